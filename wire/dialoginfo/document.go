package dialoginfo

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Names of the format (RFC 4235, 4.4).
const (
	ContentType = "application/dialog-info+xml"
	Namespace   = "urn:ietf:params:xml:ns:dialog-info"
	Event       = "dialog" // the event package
)

// MaxSize bounds a document that is read, in bytes.
const MaxSize = 64 << 10

// Document is a dialog-info element.
type Document struct {
	Entity  string // URI of whom it is about
	Version uint32
	Partial bool // holds only the dialogs that changed
	Dialogs []Dialog
}

// Dialog is one dialog, or the attempt at one.
type Dialog struct {
	ID        string // unique within the entity, the same in all documents
	CallID    string
	LocalTag  string
	RemoteTag string
	Direction Direction
	State     State
	// Why a dialog ended, in the words of RFC 4235, 3.7.1: cancelled, rejected, replaced, local-bye, remote-bye, error, timeout. Code is
	// the status that ended it, 0 without one.
	Why           string
	Code          int
	Local, Remote Party
}

// Party is one end of a dialog.
type Party struct {
	Display  string
	Identity string // URI
	Target   string // URI of the device
	// Params describe the target: parameters of its Contact (RFC 4235, 4.1.6.2).
	Params []Param
}

// Param is a parameter of a target.
type Param struct{ Name, Value string }

// notRendering says that the device at the target does not play what it gets: it has the call on hold. RFC 4235, 5.2.
var notRendering = Param{"+sip.rendering", "no"}

// Hold marks the party as holding the call.
func (p *Party) Hold() { p.Params = append(p.Params, notRendering) }

// Held says whether the party holds the call.
func (p *Party) Held() bool {
	for _, x := range p.Params {
		if strings.EqualFold(x.Name, notRendering.Name) && strings.EqualFold(x.Value, notRendering.Value) {
			return true
		}
	}
	return false
}

// Direction says who began a dialog.
type Direction uint8

// The directions.
const (
	DirectionUnknown Direction = iota
	Initiator                  // the entity called
	Recipient                  // it was called
)

var directions = [...]string{"", "initiator", "recipient"}

// String is the word of the attribute.
func (d Direction) String() string {
	if int(d) < len(directions) {
		return directions[d]
	}
	return ""
}

// State is the state of a dialog (RFC 4235, 3.7.1).
type State uint8

// The states.
const (
	Terminated State = iota
	Trying
	Proceeding // a 1xx without a tag came
	Early
	Confirmed
)

var states = [...]string{"terminated", "trying", "proceeding", "early", "confirmed"}

// String is the word of the element.
func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return states[Terminated]
}

// Append appends the document.
func (d *Document) Append(b []byte) []byte {
	w := bytes.NewBuffer(b)
	w.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<dialog-info xmlns=\"" + Namespace + "\"")
	attr(w, "version", strconv.FormatUint(uint64(d.Version), 10))
	kind := "full"
	if d.Partial {
		kind = "partial"
	}
	attr(w, "state", kind)
	w.WriteString(` entity="`)
	escape(w, d.Entity)
	w.WriteString("\">\r\n")
	for i := range d.Dialogs {
		d.Dialogs[i].write(w)
	}
	w.WriteString("</dialog-info>\r\n")
	return w.Bytes()
}

func (d *Dialog) write(w *bytes.Buffer) {
	w.WriteString(`<dialog id="`)
	escape(w, d.ID)
	w.WriteByte('"')
	attr(w, "call-id", d.CallID)
	attr(w, "local-tag", d.LocalTag)
	attr(w, "remote-tag", d.RemoteTag)
	attr(w, "direction", d.Direction.String())
	w.WriteString(">\r\n<state")
	attr(w, "event", d.Why)
	if d.Code != 0 {
		attr(w, "code", strconv.Itoa(d.Code))
	}
	w.WriteString(">" + d.State.String() + "</state>\r\n")
	d.Local.write(w, "local")
	d.Remote.write(w, "remote")
	w.WriteString("</dialog>\r\n")
}

func (p *Party) write(w *bytes.Buffer, name string) {
	if p.Identity == "" && p.Target == "" {
		return
	}
	w.WriteString("<" + name + ">")
	if p.Identity != "" {
		w.WriteString("<identity")
		attr(w, "display", p.Display)
		w.WriteByte('>')
		escape(w, p.Identity)
		w.WriteString("</identity>")
	}
	if p.Target != "" {
		w.WriteString("<target")
		attr(w, "uri", p.Target)
		w.WriteByte('>')
		for _, x := range p.Params {
			w.WriteString(`<param pname="`)
			escape(w, x.Name)
			w.WriteString(`" pvalue="`)
			escape(w, x.Value)
			w.WriteString(`"/>`)
		}
		w.WriteString("</target>")
	}
	w.WriteString("</" + name + ">\r\n")
}

// attr writes an attribute that has a value.
func attr(w *bytes.Buffer, name, value string) {
	if value != "" {
		w.WriteString(" " + name + `="`)
		escape(w, value)
		w.WriteByte('"')
	}
}

func escape(w *bytes.Buffer, text string) { _ = xml.EscapeText(w, []byte(text)) } // a buffer never fails

// The document as encoding/xml reads it.
type (
	xmlDocument struct {
		XMLName xml.Name    `xml:"dialog-info"`
		Version string      `xml:"version,attr"`
		State   string      `xml:"state,attr"`
		Entity  string      `xml:"entity,attr"`
		Dialogs []xmlDialog `xml:"dialog"`
	}
	xmlDialog struct {
		ID        string   `xml:"id,attr"`
		CallID    string   `xml:"call-id,attr"`
		LocalTag  string   `xml:"local-tag,attr"`
		RemoteTag string   `xml:"remote-tag,attr"`
		Direction string   `xml:"direction,attr"`
		State     xmlState `xml:"state"`
		Local     xmlParty `xml:"local"`
		Remote    xmlParty `xml:"remote"`
	}
	xmlState struct {
		Why  string `xml:"event,attr"`
		Code string `xml:"code,attr"`
		Text string `xml:",chardata"`
	}
	xmlParty struct {
		Identity struct {
			Display string `xml:"display,attr"`
			Text    string `xml:",chardata"`
		} `xml:"identity"`
		Target struct {
			URI    string `xml:"uri,attr"`
			Params []struct {
				Name  string `xml:"pname,attr"`
				Value string `xml:"pvalue,attr"`
			} `xml:"param"`
		} `xml:"target"`
	}
)

// ParseError says what is wrong with a document, and after how many bytes that was seen.
type ParseError struct {
	Offset int64
	What   string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("dialog-info: at byte %d: %s", e.Offset, e.What)
}

// Parse reads a document. What it does not know it leaves out; a state it does not know is an error.
func Parse(b []byte) (*Document, error) {
	if len(b) > MaxSize {
		return nil, &ParseError{MaxSize, fmt.Sprintf("%d bytes, at most %d are read", len(b), MaxSize)}
	}
	dec := xml.NewDecoder(bytes.NewReader(b))
	dec.CharsetReader = func(charset string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("charset %q is not UTF-8", charset)
	}
	var x xmlDocument
	fail := func(format string, args ...any) (*Document, error) {
		return nil, &ParseError{dec.InputOffset(), fmt.Sprintf(format, args...)}
	}
	if err := dec.Decode(&x); err != nil {
		return fail("%v", err)
	}
	if x.XMLName.Space != Namespace {
		return fail("namespace %q, want %s", x.XMLName.Space, Namespace)
	}
	version, err := strconv.ParseUint(x.Version, 10, 32)
	if err != nil {
		return fail("version %q is no number", x.Version)
	}
	if x.State != "full" && x.State != "partial" {
		return fail("state %q: want full or partial", x.State)
	}
	d := &Document{Entity: x.Entity, Version: uint32(version), Partial: x.State == "partial"}
	for i := range x.Dialogs {
		one, what := x.Dialogs[i].value()
		if what != "" {
			return fail("dialog %q: %s", x.Dialogs[i].ID, what)
		}
		d.Dialogs = append(d.Dialogs, one)
	}
	return d, nil
}

func (x *xmlDialog) value() (d Dialog, wrong string) {
	d = Dialog{ID: x.ID, CallID: x.CallID, LocalTag: x.LocalTag, RemoteTag: x.RemoteTag, Why: x.State.Why, Local: x.Local.value(), Remote: x.Remote.value()}
	word, found := strings.TrimSpace(x.State.Text), false
	for i, name := range states {
		if word == name {
			d.State, found = State(i), true
		}
	}
	if !found {
		return d, fmt.Sprintf("state %q is not one of %s", word, strings.Join(states[:], ", "))
	}
	for i, name := range directions {
		if x.Direction == name {
			d.Direction = Direction(i)
		}
	}
	if code, err := strconv.Atoi(x.State.Code); err == nil && code >= 100 && code <= 699 {
		d.Code = code
	}
	return d, ""
}

func (x *xmlParty) value() Party {
	p := Party{Identity: strings.TrimSpace(x.Identity.Text), Target: x.Target.URI}
	if p.Identity != "" {
		p.Display = x.Identity.Display
	}
	if p.Target != "" {
		for _, y := range x.Target.Params {
			p.Params = append(p.Params, Param{y.Name, y.Value})
		}
	}
	return p
}
