package dialog

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

var update = flag.Bool("update", false, "write the expected part of testdata/*.txt anew")

// TestFlows runs the scripts in testdata: two sessions, a and b, joined by a wire without delay. Input, ----, output.
//
//	cfg a|b key=value ...        configuration, before anything else
//	a call [sdp]                 b ring 180 [sdp]      b accept [sdp]
//	a offer [sdp] | a ask        b answer sdp          b reject 488
//	a end [status]               a do INFO             b reply 200
//	lose a|b NAME                the next such message of that side is lost
//	mute a|b                     that side has vanished: nothing of it arrives any more, until unmute
//	fail a INVITE 408            the client transaction ends without a response
//	cancelled b                  the peer's CANCEL reached b
//	wait 5s                      time passes, timers fire at their moments
func TestFlows(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts in testdata", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			script, want, _ := strings.Cut(string(text), "----\n")
			got := newFlow(t).run(script)
			if *update {
				if err := os.WriteFile(f, []byte(script+"----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// flow joins two sessions.
type flow struct {
	t     *testing.T
	now   time.Time
	start time.Time
	sides map[string]*side
	queue []parcel
	lose  map[string]bool
	mute  map[string]bool
	log   strings.Builder
}

type side struct {
	name string
	cfg  *Config
	ses  *Session
	tx   any // of the last EvRequest
	req  *sip.Message
}

type parcel struct {
	to string
	in Input
}

// fakeTx is a server transaction: it knows whom to answer.
type fakeTx struct{ peer string }

func newFlow(t *testing.T) *flow {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f := &flow{t: t, now: start, start: start, sides: map[string]*side{}, lose: map[string]bool{}, mute: map[string]bool{}}
	for i, n := range []string{"a", "b"} {
		r := rand.New(rand.NewPCG(1, uint64(i)))
		cfg := &Config{Random: r.Uint64, Reliable: ReliableOff, Timer: TimerConfig{Off: true}}
		f.sides[n] = &side{name: n, cfg: cfg, ses: New(cfg)}
	}
	return f
}

func (f *flow) run(script string) string {
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fmt.Fprintf(&f.log, "> %s\n", line)
		f.command(strings.Fields(line))
		f.settle()
	}
	for _, n := range []string{"a", "b"} {
		s := f.sides[n].ses
		fmt.Fprintf(&f.log, "= %s %s, %s\n", n, s.Phase(), s.Exchange())
	}
	return f.log.String()
}

func (f *flow) command(w []string) {
	arg := func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	switch w[0] {
	case "cfg":
		f.configure(f.sides[w[1]].cfg, w[2:])
		return
	case "lose":
		f.lose[w[1]+w[2]] = true
		return
	case "mute":
		f.mute[w[1]] = true
		return
	case "unmute":
		f.mute[w[1]] = false
		return
	case "fail":
		n, _ := strconv.Atoi(w[3])
		s := f.sides[w[1]].ses
		seq := s.LocalSeq()
		if w[2] == "INVITE" {
			seq = s.cli.seq
		}
		f.step(w[1], Failed{Method: sip.Method(w[2]), Seq: seq, Status: n})
		return
	case "cancelled":
		f.step(w[1], Cancelled{})
		return
	case "wait":
		d, err := time.ParseDuration(w[1])
		if err != nil {
			f.t.Fatal(err)
		}
		f.wait(d)
		return
	}
	f.step(w[0], f.input(w[0], w[1], arg(2), arg(3)))
}

func body(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

func (f *flow) input(who, verb, x, y string) Input {
	n, _ := strconv.Atoi(x)
	switch verb {
	case "call":
		return f.call(who, x)
	case "ring":
		return Ring{Status: n, Body: body(y)}
	case "accept":
		return Accept{Body: body(x)}
	case "answer":
		return Answer{Body: body(x)}
	case "offer":
		return Offer{Body: body(x)}
	case "ask":
		return Offer{}
	case "reject":
		return Reject{Status: n}
	case "end":
		return End{Status: n}
	case "do":
		return Do{Method: sip.Method(x)}
	case "reply":
		s := f.sides[who]
		return Reply{Tx: s.tx, Req: s.req, Status: n}
	}
	f.t.Fatalf("unknown verb %q", verb)
	return nil
}

func address(user, host string) sip.Address {
	return sip.Address{URI: sip.URI{Scheme: "sip", User: user, Host: host}}
}

func (f *flow) call(who, sdp string) Call {
	return Call{URI: address("b", "b.example").URI, From: address(who, "a.example"), To: address("b", "b.example"),
		CallID: "call-1", Contact: address(who, "192.0.2.1"), Body: body(sdp)}
}

func (f *flow) configure(c *Config, pairs []string) {
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		d, _ := time.ParseDuration(v)
		switch k {
		case "rel":
			c.Reliable = map[string]Reliability{"off": ReliableOff, "demand": ReliableOnDemand, "prefer": ReliablePreferred, "require": ReliableRequired, "sdp": ReliableSDP}[v]
		case "timer":
			c.Timer.Off, c.Timer.Interval = false, d
		case "min":
			c.Timer.Min = d
		case "refresher":
			c.Timer.Prefer = refresherOf(v)
		case "patient":
			c.Timer.Patient = true
		case "noupdate":
			c.Allow = "INVITE, ACK, CANCEL, BYE"
		case "repeats2xx":
			c.Repeats2xx = true
		default:
			f.t.Fatalf("unknown setting %q", k)
		}
	}
}

// wait lets time pass: each timer fires at its own moment.
func (f *flow) wait(d time.Duration) {
	end := f.now.Add(d)
	for {
		next, who := time.Time{}, ""
		for _, n := range []string{"a", "b"} {
			at := f.sides[n].ses.Deadline()
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next, who = at, n
			}
		}
		if who == "" || next.After(end) {
			f.now = end
			return
		}
		if next.Before(f.now) {
			f.t.Fatalf("%s wants a Tick in the past: %v", who, next.Sub(f.start))
		}
		f.now = next
		f.step(who, Tick{})
		if again := f.sides[who].ses.Deadline(); !again.IsZero() && !again.After(next) {
			f.t.Fatalf("%s: the timer at %v fired and stays", who, next.Sub(f.start))
		}
		f.settle()
	}
}

func (f *flow) settle() {
	for len(f.queue) > 0 {
		p := f.queue[0]
		f.queue = f.queue[1:]
		f.step(p.to, p.in)
	}
}

func (f *flow) step(who string, in Input) {
	s := f.sides[who]
	if r, ok := in.(Request); ok && r.Msg.Method() == sip.INVITE && r.Msg.ToTag() == "" && s.ses.Phase() == PhaseOver {
		s.ses = New(s.cfg) // a new attempt is a new session for the called side
	}
	for _, o := range s.ses.Step(f.now, in) {
		f.output(s, o)
	}
}

func (f *flow) output(s *side, o Output) {
	peer := map[string]string{"a": "b", "b": "a"}[s.name]
	switch o.Kind {
	case OutRequest, OutAck:
		m := f.over(s, peer, o.Msg)
		if m == nil {
			return
		}
		in := Request{Msg: m, Contact: address(peer, "192.0.2.2")}
		if o.Kind == OutRequest {
			in.Tx = &fakeTx{s.name}
		}
		f.queue = append(f.queue, parcel{peer, in})
	case OutResponse:
		if m := f.over(s, peer, o.Msg); m != nil {
			f.queue = append(f.queue, parcel{peer, Response{m}})
		}
	case OutCancel:
		fmt.Fprintf(&f.log, "%8s %s>%s CANCEL\n", f.clock(), s.name, peer)
		f.queue = append(f.queue, parcel{peer, Cancelled{}})
	default:
		f.event(s, o)
	}
}

func (f *flow) event(s *side, o Output) {
	fmt.Fprintf(&f.log, "%8s   %s: %s", f.clock(), s.name, o.Kind)
	if o.Status != 0 {
		fmt.Fprintf(&f.log, " %d", o.Status)
	}
	if o.Body != nil {
		fmt.Fprintf(&f.log, " %q", o.Body)
	}
	if o.Offer {
		f.log.WriteString(" (an offer)")
	}
	if o.Local {
		f.log.WriteString(" (by us)")
	}
	f.log.WriteByte('\n')
	if o.Kind == EvRequest {
		s.tx, s.req = o.Tx, o.Msg
	}
}

func (f *flow) clock() string { return f.now.Sub(f.start).String() }

// over takes a message over the wire: serialised and parsed, so that only what the bytes say arrives.
func (f *flow) over(s *side, peer string, m *sip.Message) *sip.Message {
	name := string(m.Method())
	if m.IsResponse() {
		name = strconv.Itoa(m.Status()) + "/" + name
	}
	fmt.Fprintf(&f.log, "%8s %s>%s %s %d", f.clock(), s.name, peer, name, m.CSeq().Seq%100)
	for _, h := range []string{"Session-Expires", "Min-SE", "Require", "RSeq", "RAck", "Unsupported", "Retry-After"} {
		if v := m.Header(h); v != "" {
			fmt.Fprintf(&f.log, " %s=%s", h, v)
		}
	}
	if len(m.Body()) > 0 {
		fmt.Fprintf(&f.log, " %q", m.Body())
	}
	if f.lose[s.name+name] || f.mute[s.name] {
		delete(f.lose, s.name+name)
		f.log.WriteString(" (lost)\n")
		return nil
	}
	f.log.WriteByte('\n')
	c := m.Clone()
	if c.IsRequest() {
		c.PrependVia(sip.Via{Transport: "TLS", Host: "192.0.2.1", Params: sip.Params{{Name: "branch", Value: "z9hG4bK1"}}})
	}
	r, err := sip.Parse(c.Append(nil))
	if err != nil {
		f.t.Fatalf("our own message does not parse: %v\n%s", err, c.Append(nil))
	}
	if perr := sip.Validate(r); perr != nil {
		f.t.Fatalf("our own message is not valid: %v\n%s", perr, c.Append(nil))
	}
	return r
}
