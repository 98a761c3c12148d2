package trace

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Ladder is a call as engineers draw it: one column for each endpoint and service it went through, one row for each
// message or remark, downwards in time. It is plain data; [Ladder.Text] and [Ladder.SVG] draw it.
type Ladder struct {
	Call    string    `json:"call"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to,omitempty"`
	State   string    `json:"state,omitempty"`
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"` // of the last row
	Columns []Column  `json:"columns"`
	Rows    []Row     `json:"rows"`
}

// Column is one party of a ladder.
type Column struct {
	Name    string `json:"name"`
	Service bool   `json:"service"`        // one of ours, which recorded; else the far end of a flow
	Note    string `json:"note,omitempty"` // an address
}

// Row is one line of a ladder.
type Row struct {
	Seq    uint64        `json:"seq"`
	At     time.Time     `json:"at"`
	From   int           `json:"from"` // column
	To     int           `json:"to"`   // column; the same as From for a remark
	Label  string        `json:"label"`
	Short  string        `json:"-"`               // the label where there is little room
	Title  string        `json:"title,omitempty"` // more, for a tooltip: the start line
	Net    string        `json:"net,omitempty"`
	Secure bool          `json:"secure"`            // the hop is TLS
	Class  string        `json:"class"`             // "request", "provisional", "success", "redirect", "failure", "note", "alarm"
	Took   time.Duration `json:"took_ns,omitempty"` // from one service to the next, where both recorded the message
}

// LadderOptions choose what a ladder shows.
type LadderOptions struct {
	Engine bool // also what goes into and out of the engine
}

// NewLadder draws up the ladder of a call's records (see [Recorder.Call]).
func NewLadder(recs []Record, o LadderOptions) *Ladder {
	b := &builder{options: o, names: map[netip.AddrPort]string{}, columns: map[string]int{}, sent: map[string][]int{}, services: map[string]bool{}}
	info, _ := describeCall(recs)
	b.ladder = &Ladder{Call: info.Call, From: info.From, To: info.To, State: info.State}
	recs = slices.Clone(recs)
	slices.SortStableFunc(recs, func(x, y Record) int {
		if x.Node == y.Node {
			return cmpUint(x.Seq, y.Seq)
		}
		return x.Time.Compare(y.Time)
	})
	b.learn(recs)
	for i := range recs {
		b.add(&recs[i])
	}
	if n := len(b.ladder.Rows); n > 0 {
		b.ladder.Start, b.ladder.End = b.ladder.Rows[0].At, b.ladder.Rows[n-1].At
	}
	return b.ladder
}

func cmpUint(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

type builder struct {
	options  LadderOptions
	ladder   *Ladder
	names    map[netip.AddrPort]string // address -> column name: our services by their own records, others by their names
	columns  map[string]int
	services map[string]bool  // names of services that recorded
	sent     map[string][]int // rows of messages that left a service and were not yet seen to arrive at another
}

// learn finds who is behind each address: a service of ours that recorded with it as its own end, or the name the
// peer was known by in any record.
func (b *builder) learn(recs []Record) {
	for i := range recs {
		if r := &recs[i]; r.Kind.SIP() && r.Remote.IsValid() {
			if name := peerName(r); name != "" {
				b.names[r.Remote] = name
			}
		}
	}
	for i := range recs {
		if r := &recs[i]; r.Kind.SIP() && r.Local.IsValid() && r.Service != "" {
			b.names[r.Local] = r.Service
			b.services[r.Service] = true
		}
	}
}

func peerName(r *Record) string {
	if r.Device != "" {
		return r.Device
	}
	return r.Peer
}

func (b *builder) add(r *Record) {
	switch {
	case r.Kind.SIP():
		b.addMessage(r)
	case r.Kind == KindTLSOK, r.Kind == KindTLSFailed, r.Kind == KindMedia, r.Kind == KindLagged, r.Kind == KindNote:
		b.addNote(r)
	case r.Kind.Engine() && b.options.Engine:
		b.addNote(r)
	}
}

func (b *builder) addMessage(r *Record) {
	m := readMessage(r.Body)
	var here, there int
	if r.Kind == KindSIPIn { // the one who speaks first stands left
		there = b.far(r)
		here = b.near(r)
	} else {
		here = b.near(r)
		there = b.far(r)
	}
	row := Row{
		Seq: r.Seq, At: r.Time, From: here, To: there, Label: m.label(), Short: m.short(), Title: strings.Map(printable, m.first),
		Net: r.Net, Secure: r.Net == "tls", Class: m.class(),
	}
	if r.Kind == KindSIPIn {
		row.From, row.To = there, here
	}
	key := fmt.Sprint(row.From, row.To, m.first, m.cseq, m.branch, m.callID)
	if r.Kind == KindSIPIn {
		if waiting := b.sent[key]; len(waiting) > 0 {
			b.sent[key] = waiting[1:]
			seen := &b.ladder.Rows[waiting[0]]
			seen.Took = r.Time.Sub(seen.At)
			return
		}
	} else if b.services[b.ladder.Columns[there].Name] {
		b.sent[key] = append(b.sent[key], len(b.ladder.Rows))
	}
	b.ladder.Rows = append(b.ladder.Rows, row)
}

// near returns the column of the service that recorded.
func (b *builder) near(r *Record) int {
	note := ""
	if r.Local.IsValid() {
		note = r.Local.Addr().String()
	}
	return b.column(r.Service, true, note)
}

// far returns the column of the other end of a record's flow.
func (b *builder) far(r *Record) int {
	name, known := b.names[r.Remote]
	if !known {
		if name = peerName(r); name == "" {
			name = r.Remote.String()
		}
	}
	note := ""
	if r.Remote.IsValid() && name != r.Remote.String() {
		note = r.Remote.Addr().String()
	}
	return b.column(name, false, note)
}

func (b *builder) column(name string, service bool, note string) int {
	if name == "" {
		name = "?"
	}
	i, ok := b.columns[name]
	if !ok {
		i = len(b.ladder.Columns)
		b.columns[name] = i
		b.ladder.Columns = append(b.ladder.Columns, Column{Name: name})
	}
	c := &b.ladder.Columns[i]
	c.Service = c.Service || service
	if c.Note == "" {
		c.Note = note
	}
	return i
}

func (b *builder) addNote(r *Record) {
	at := b.column(r.Service, true, "")
	class := "note"
	if r.Kind == KindTLSFailed || r.Kind == KindLagged {
		class = "alarm"
	}
	label := r.Summary
	if r.Kind.Engine() {
		label = r.Kind.String() + " " + label
	}
	b.ladder.Rows = append(b.ladder.Rows, Row{
		Seq: r.Seq, At: r.Time, From: at, To: at, Label: strings.Map(printable, label), Class: class,
		Net: r.Net, Secure: r.Net == "tls",
	})
}

// class groups messages for colouring.
func (m *message) class() string {
	switch {
	case m.request:
		return "request"
	case m.status < 200:
		return "provisional"
	case m.status < 300:
		return "success"
	case m.status < 400:
		return "redirect"
	}
	return "failure"
}
