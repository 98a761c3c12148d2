package trace

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
)

// Kind says what a record is about. The zero value is a plain note.
type Kind uint8

// The kinds of record. The text form (see [Kind.String]) is what files and APIs show.
const (
	KindNote      Kind = iota // "note": a remark by a service
	KindSIPIn                 // "sip-in": a SIP message read from the wire; Body is the message
	KindSIPOut                // "sip-out": a SIP message written to the wire; Body is the message
	KindSignal                // "signal": driver -> engine
	KindRequest               // "request": application -> engine
	KindCommand               // "command": engine -> driver
	KindEvent                 // "event": engine -> observers
	KindTimer                 // "timer": a timer fired or was set
	KindTLSOK                 // "tls-ok": a handshake succeeded; Fields version, cipher, subject
	KindTLSFailed             // "tls-failed": a handshake failed; Fields rule, expected, got, fix
	KindMedia                 // "media": a stream's start, end, figures, or a DTMF digit (Field "digit")
	KindAdmin                 // "admin": an operator's change
	KindBus                   // "bus": a message over the bus
	KindLink                  // "link": ties a SIP Call-ID to a global call id
	KindLagged                // "lagged": records were lost here; Field "lost" says how many
	kindEnd
)

var kindNames = [kindEnd]string{
	"note", "sip-in", "sip-out", "signal", "request", "command", "event", "timer",
	"tls-ok", "tls-failed", "media", "admin", "bus", "link", "lagged",
}

// String returns the kind's name as it stands in files: "sip-in", "signal" and so on.
func (k Kind) String() string {
	if k < kindEnd {
		return kindNames[k]
	}
	return "kind-" + fmt.Sprint(uint8(k))
}

// ParseKind is the reverse of [Kind.String].
func ParseKind(s string) (Kind, error) {
	for k, name := range kindNames {
		if name == s {
			return Kind(k), nil
		}
	}
	return 0, fmt.Errorf("trace: no record kind %q", s)
}

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a kind's name.
func (k *Kind) UnmarshalText(b []byte) (err error) {
	*k, err = ParseKind(string(b))
	return err
}

// Engine reports whether records of this kind go into or come out of an engine.
func (k Kind) Engine() bool {
	switch k {
	case KindSignal, KindRequest, KindCommand, KindEvent, KindTimer:
		return true
	}
	return false
}

// SIP reports whether the record's Body is a SIP message.
func (k Kind) SIP() bool { return k == KindSIPIn || k == KindSIPOut }

// Level says how much is recorded. In a [Record] it is the level from which the record is wanted; in a [Levels] table
// it is the most that is recorded.
type Level uint8

// The levels, each including those before it. The zero value means "not said": a record then counts as [Info], a rule
// then does not exist.
const (
	Inherit Level = iota // "inherit"
	Off                  // "off": nothing
	Error                // "error": what an operator must know: refused handshakes, failures, exceptions
	Info                 // "info": messages, signals, requests, events: enough for ladders and for replay. The default
	Detail               // "detail": also commands, timers, handshakes that went well, bus traffic
	Debug                // "debug": everything, keep-alives and media figures included
	levelEnd
)

var levelNames = [levelEnd]string{"inherit", "off", "error", "info", "detail", "debug"}

// String returns the level's name.
func (l Level) String() string {
	if l < levelEnd {
		return levelNames[l]
	}
	return "level-" + fmt.Sprint(uint8(l))
}

// ParseLevel is the reverse of [Level.String].
func ParseLevel(s string) (Level, error) {
	for l, name := range levelNames {
		if name == s {
			return Level(l), nil
		}
	}
	return 0, fmt.Errorf("trace: no level %q; the levels are off, error, info, detail, debug, and inherit to remove a rule", s)
}

// MarshalText writes the level's name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a level's name.
func (l *Level) UnmarshalText(b []byte) (err error) {
	*l, err = ParseLevel(string(b))
	return err
}

// Field is one named value of a record. A field whose name says that it is a secret (password, pin, key, token ...) is
// stored without its value.
type Field struct{ Name, Value string }

// Record is one thing that happened. The recorder sets Seq, and Time and Node where they are zero. Body and Fields are copied before
// [Recorder.Record] returns.
type Record struct {
	Seq       uint64         // order on this node; never reused, goes on over a restart
	Time      time.Time      // when; stored in UTC to the microsecond
	Node      string         // the node that recorded it
	Service   string         // the service that recorded it: "callmanager", "border" ...; one column of a ladder
	Kind      Kind           //
	Level     Level          // from which level it is wanted; zero counts as Info
	Call      string         // global call id; empty where not (yet) known
	SIPCallID string         // SIP Call-ID; ties records of several services together
	Leg       string         // leg id within the call
	Device    string         // device name, e.g. SEP001122334455
	User      string         // user or line, e.g. 2001 or alice
	Peer      string         // name of the other end where it is known (device, trunk, service); one column of a ladder
	Flow      string         // the flow's id
	Net       string         // "udp", "tcp" or "tls"
	Local     netip.AddrPort // our end of the flow
	Remote    netip.AddrPort // the other end of the flow
	Summary   string         // one line for a person; for engine kinds the name first ("Offered to=2002")
	Body      []byte         // the message or the marshalled value; cut after MaxBody bytes
	Fields    []Field        // further values, in order
	Made      Source         // makes Body when it is needed; nil: Body is there
}

// MaxBody is the number of bytes of a body that are stored; what is longer is cut and says so.
const MaxBody = 32 << 10

// MaxEngineBody is the same for records of the engine, whose configuration of a large site is one input and must be
// whole for a replay.
const MaxEngineBody = 32 << 20

// Field returns the value of the named field, or "".
func (r *Record) Field(name string) string {
	for _, f := range r.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// MarshalJSON writes the record as it stands in a segment file, without the line's end. It redacts as the recorder
// does, but for DTMF digits: what became of those was decided when the record was stored.
func (r Record) MarshalJSON() ([]byte, error) {
	return appendRecord(nil, &r, policy{digits: true}), nil
}

// wireRecord is the JSON form for reading. Writing is done by hand in encode.go, since it is on the path of every call.
type wireRecord struct {
	Seq       uint64         `json:"seq"`
	Time      time.Time      `json:"time"`
	Node      string         `json:"node"`
	Service   string         `json:"service"`
	Kind      Kind           `json:"kind"`
	Level     Level          `json:"level"`
	Call      string         `json:"call"`
	SIPCallID string         `json:"sip"`
	Leg       string         `json:"leg"`
	Device    string         `json:"device"`
	User      string         `json:"user"`
	Peer      string         `json:"peer"`
	Flow      string         `json:"flow"`
	Net       string         `json:"net"`
	Local     netip.AddrPort `json:"local"`
	Remote    netip.AddrPort `json:"remote"`
	Summary   string         `json:"summary"`
	Body      *string        `json:"body"`
	Body64    []byte         `json:"body64"`
	Fields    orderedFields  `json:"fields"`
}

// UnmarshalJSON reads one line of a segment file.
func (r *Record) UnmarshalJSON(b []byte) error {
	var w wireRecord
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*r = Record{
		Seq: w.Seq, Time: w.Time, Node: w.Node, Service: w.Service, Kind: w.Kind, Level: w.Level, Call: w.Call,
		SIPCallID: w.SIPCallID, Leg: w.Leg, Device: w.Device, User: w.User, Peer: w.Peer, Flow: w.Flow, Net: w.Net,
		Local: w.Local, Remote: w.Remote, Summary: w.Summary, Body: w.Body64, Fields: w.Fields,
	}
	if w.Body != nil {
		r.Body = []byte(*w.Body)
	}
	return nil
}

// orderedFields reads a JSON object of strings without losing its order.
type orderedFields []Field

// UnmarshalJSON keeps the order of the object's members.
func (o *orderedFields) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(newReader(b))
	t, err := dec.Token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("trace: fields is not an object")
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var value string
		if err := dec.Decode(&value); err != nil {
			return err
		}
		*o = append(*o, Field{Name: name.(string), Value: value})
	}
	return nil
}
