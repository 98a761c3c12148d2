package trace

import (
	"net/netip"
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
	// Nodes recorded the call, the one whose clock the times are by first; Clocks say how those of the others stand.
	Nodes  []string `json:"nodes,omitempty"`
	Clocks []Clock  `json:"clocks,omitempty"`
	// Notes are sentences about the ladder as a whole: clocks, nodes that could not be asked.
	Notes []string `json:"notes,omitempty"`
}

// Column is one party of a ladder.
type Column struct {
	Name    string `json:"name"`
	Service bool   `json:"service"`        // one of ours, which recorded; else the far end of a flow
	Note    string `json:"note,omitempty"` // an address
	Node    string `json:"node,omitempty"` // of a service, where several nodes recorded; the name then has it too
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
	Node   string        `json:"node,omitempty"`    // that recorded it first, where several did
	Early  bool          `json:"early,omitempty"`   // by the clocks it came before the row above; that cannot be
}

// LadderOptions choose what a ladder shows.
type LadderOptions struct {
	Engine bool // also what goes into and out of the engine
}

// NewLadder draws up the ladder of a call's records (see [Recorder.Call]), which may be of several nodes (see [Merge]): a message that went
// from one to the other is one arrow, whoever's clock says what.
func NewLadder(recs []Record, o LadderOptions) *Ladder {
	m := Merge(recs)
	b := &builder{options: o, merged: m, names: map[spot]string{}, columns: map[string]int{}, rows: make([]int, len(m.Records))}
	info, _ := describeCall(m.Records)
	b.ladder = &Ladder{Call: info.Call, From: info.From, To: info.To, State: info.State, Clocks: m.Clocks}
	if b.several = len(info.Nodes) > 1; b.several {
		b.ladder.Nodes = info.Nodes
		for _, c := range m.Clocks {
			b.ladder.Notes = append(b.ladder.Notes, c.String())
		}
	}
	b.learn(m.Records)
	for i := range b.rows {
		b.rows[i] = -1
	}
	for i := range m.Records {
		b.add(i)
	}
	if n := len(b.ladder.Rows); n > 0 {
		b.ladder.Start, b.ladder.End = b.ladder.Rows[0].At, b.ladder.Rows[n-1].At
	}
	return b.ladder
}

type builder struct {
	options LadderOptions
	merged  *Merged
	several bool // nodes
	ladder  *Ladder
	names   map[spot]string // address -> column name: our services by their own records, others by their names
	columns map[string]int
	rows    []int // of each record's message; -1: none
}

// A spot is an address as one node knows it; the same address can be another machine's elsewhere. Node "" is what is known of our
// services wherever.
type spot struct {
	node string
	at   netip.AddrPort
}

// learn finds who is behind each address: a service of ours that recorded with it as its own end, or the name the
// peer was known by in any record.
func (b *builder) learn(recs []Record) {
	for i := range recs {
		if r := &recs[i]; r.Kind.SIP() && r.Remote.IsValid() {
			if name := peerName(r); name != "" {
				b.names[spot{r.Node, r.Remote}] = name
			}
		}
	}
	for i := range recs {
		if r := &recs[i]; r.Kind.SIP() && r.Local.IsValid() && r.Service != "" {
			b.names[spot{r.Node, r.Local}] = b.service(r)
			b.names[spot{"", r.Local}] = b.service(r)
		}
	}
}

// service is the name of the column of the service that recorded.
func (b *builder) service(r *Record) string {
	if b.several && r.Service != "" {
		return r.Service + "@" + r.Node
	}
	return r.Service
}

func peerName(r *Record) string {
	if r.Device != "" {
		return r.Device
	}
	return r.Peer
}

func (b *builder) add(i int) {
	r := &b.merged.Records[i]
	switch {
	case r.Kind.SIP():
		b.addMessage(i, r)
	case r.Kind == KindTLSOK, r.Kind == KindTLSFailed, r.Kind == KindMedia, r.Kind == KindLagged, r.Kind == KindNote:
		b.addNote(i, r)
	case r.Kind.Engine() && b.options.Engine:
		b.addNote(i, r)
	}
}

func (b *builder) addMessage(i int, r *Record) {
	if o := b.merged.Other[i]; o >= 0 && b.rows[o] >= 0 { // its other end stands there already
		b.ladder.Rows[b.rows[o]].Took = max(0, b.merged.At[i].Sub(b.merged.At[o]))
		return
	}
	m := readMessage(r.Body)
	var here, there int
	if r.Kind == KindSIPIn { // the one who speaks first stands left
		there = b.far(i, r)
		here = b.near(r)
	} else {
		here = b.near(r)
		there = b.far(i, r)
	}
	row := Row{
		Seq: r.Seq, At: b.merged.At[i], From: here, To: there, Label: m.label(), Short: m.short(), Title: strings.Map(printable, m.first),
		Net: r.Net, Secure: r.Net == "tls", Class: m.class(),
	}
	if r.Kind == KindSIPIn {
		row.From, row.To = there, here
	}
	b.rows[i] = len(b.ladder.Rows)
	b.append(row, r)
}

// append adds a row.
func (b *builder) append(row Row, r *Record) {
	if b.several {
		row.Node = r.Node
		if n := len(b.ladder.Rows); n > 0 {
			row.Early = row.At.Before(b.ladder.Rows[n-1].At)
		}
	}
	b.ladder.Rows = append(b.ladder.Rows, row)
}

// near returns the column of the service that recorded.
func (b *builder) near(r *Record) int {
	note := ""
	if r.Local.IsValid() {
		note = r.Local.Addr().String()
	}
	i := b.column(b.service(r), true, note)
	if b.several {
		b.ladder.Columns[i].Node = r.Node
	}
	return i
}

// far returns the column of the other end of a record's flow.
func (b *builder) far(i int, r *Record) int {
	if o := b.merged.Other[i]; o >= 0 {
		return b.near(&b.merged.Records[o])
	}
	name, known := b.names[spot{r.Node, r.Remote}]
	if !known {
		name, known = b.names[spot{"", r.Remote}]
	}
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

func (b *builder) addNote(i int, r *Record) {
	at := b.column(b.service(r), true, "")
	class := "note"
	if r.Kind == KindTLSFailed || r.Kind == KindLagged {
		class = "alarm"
	}
	label := r.Summary
	if r.Kind.Engine() {
		label = r.Kind.String() + " " + label
	}
	b.append(Row{
		Seq: r.Seq, At: b.merged.At[i], From: at, To: at, Label: strings.Map(printable, label), Class: class,
		Net: r.Net, Secure: r.Net == "tls",
	}, r)
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
