package pidf

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Names of the format.
const (
	ContentType     = "application/pidf+xml"      // RFC 3863
	ContentTypeCPIM = "application/cpim-pidf+xml" // what it was called before, and what desk phones still ask for
	Event           = "presence"                  // RFC 3856, 6.1
)

// Name spaces of a document.
const (
	nsPIDF   = "urn:ietf:params:xml:ns:pidf"
	nsModel  = "urn:ietf:params:xml:ns:pidf:data-model"  // RFC 4479
	nsRPID   = "urn:ietf:params:xml:ns:pidf:status:rpid" // the draft of RFC 4480 that desk phones know
	nsVendor = "urn:cisco:params:xml:ns:pidf:rpid"
)

// MaxSize bounds a document that is read, in bytes.
const MaxSize = 64 << 10

// Activity is what somebody is doing.
type Activity uint8

// The activities a lamp knows.
const (
	OnThePhone   Activity = iota
	Busy                  // takes no further call
	Alerting              // the phone rings
	DoNotDisturb          // wants no calls
)

// names of the activities, with the prefix of their name space as documents of ours have it.
var activities = [...]struct{ prefix, name string }{{"e", "on-the-phone"}, {"e", "busy"}, {"ce", "alerting"}, {"ce", "dnd"}}

// String is the name of the element.
func (a Activity) String() string {
	if int(a) < len(activities) {
		return activities[a].name
	}
	return "other"
}

// Presence is a presence document with one tuple.
type Presence struct {
	Entity     string // URI of whom it is about
	Tuple      string // id of the tuple
	Open       bool   // can be reached
	Activities []Activity
}

// Append appends the document.
func (p *Presence) Append(b []byte) []byte {
	w := bytes.NewBuffer(b)
	w.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<presence xmlns=\"" + nsPIDF + `" xmlns:dm="` + nsModel + `" xmlns:e="` + nsRPID + `" xmlns:ce="` + nsVendor + `" entity="`)
	escape(w, p.Entity)
	w.WriteString("\">\r\n<dm:person id=\"p")
	escape(w, p.Tuple)
	w.WriteString("\"><e:activities>")
	for _, a := range p.Activities {
		if int(a) < len(activities) {
			w.WriteString("<" + activities[a].prefix + ":" + activities[a].name + "/>")
		}
	}
	w.WriteString("</e:activities></dm:person>\r\n<tuple id=\"t")
	escape(w, p.Tuple)
	basic := "closed"
	if p.Open {
		basic = "open"
	}
	w.WriteString("\"><status><basic>" + basic + "</basic></status></tuple>\r\n</presence>\r\n")
	return w.Bytes()
}

func escape(w *bytes.Buffer, text string) { _ = xml.EscapeText(w, []byte(text)) } // a buffer never fails

// ParseError says what is wrong with a document, and after how many bytes that was seen.
type ParseError struct {
	Offset int64
	What   string
}

func (e *ParseError) Error() string { return fmt.Sprintf("pidf: at byte %d: %s", e.Offset, e.What) }

type xmlPresence struct {
	XMLName xml.Name
	Entity  string `xml:"entity,attr"`
	Persons []struct {
		Activities struct {
			All []struct{ XMLName xml.Name } `xml:",any"`
		} `xml:"activities"`
	} `xml:"person"`
	Tuples []struct {
		ID    string `xml:"id,attr"`
		Basic string `xml:"status>basic"`
	} `xml:"tuple"`
}

// Parse reads a document: the first tuple, and the activities of the first person. What it does not know it leaves out.
func Parse(b []byte) (*Presence, error) {
	if len(b) > MaxSize {
		return nil, &ParseError{MaxSize, fmt.Sprintf("%d bytes, at most %d are read", len(b), MaxSize)}
	}
	dec := xml.NewDecoder(bytes.NewReader(b))
	dec.CharsetReader = func(charset string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("charset %q is not UTF-8", charset)
	}
	var x xmlPresence
	if err := dec.Decode(&x); err != nil {
		return nil, &ParseError{dec.InputOffset(), err.Error()}
	}
	if x.XMLName != (xml.Name{Space: nsPIDF, Local: "presence"}) {
		return nil, &ParseError{dec.InputOffset(), fmt.Sprintf("element %s of %q, want presence of %s", x.XMLName.Local, x.XMLName.Space, nsPIDF)}
	}
	p := &Presence{Entity: x.Entity}
	if len(x.Tuples) > 0 {
		p.Tuple, p.Open = strings.TrimPrefix(x.Tuples[0].ID, "t"), strings.TrimSpace(x.Tuples[0].Basic) == "open"
	}
	if len(x.Persons) > 0 {
		for _, el := range x.Persons[0].Activities.All {
			for i, a := range activities {
				if el.XMLName.Local == a.name && !slices.Contains(p.Activities, Activity(i)) {
					p.Activities = append(p.Activities, Activity(i))
				}
			}
		}
	}
	return p, nil
}
