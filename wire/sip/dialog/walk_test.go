package dialog

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// TestRandomWalk lets two sessions do random things over a wire that loses messages, and checks after every step what
// must always hold: exactly one end, nothing after it, no timer in the past, and in the end both sides are done.
func TestRandomWalk(t *testing.T) {
	seeds := uint64(2000)
	if testing.Short() {
		seeds = 50
	}
	reached := map[string]int{}
	for seed := range seeds {
		w := newWalker(t, seed)
		w.run()
		for k := range w.reached {
			reached[k]++
		}
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(w.log, "\n"))
		}
	}
	for _, k := range []string{"a up", "b up", "a offer", "b offer", "491", "500", "PRACK", "UPDATE", "refreshed", "487", "408", "BYE", "agreed"} {
		if reached[k] == 0 {
			t.Errorf("no walk of %d reached %q", seeds, k)
		}
	}
}

type walker struct {
	t       *testing.T
	r       *rand.Rand
	now     time.Time
	ses     map[string]*Session
	owes    map[string]bool // this side has an EvOffer to answer
	asked   map[string]*Output
	ended   map[string]int
	queue   []parcel
	pending []waiting
	loss    float64
	n       int
	log     []string
	reached map[string]bool
}

// waiting is a client transaction without its final response.
type waiting struct {
	side   string
	method sip.Method
	seq    uint32
	tag    string
	at     time.Time
}

func newWalker(t *testing.T, seed uint64) *walker {
	r := rand.New(rand.NewPCG(seed, 99))
	w := &walker{t: t, r: r, now: time.Unix(0, 0), ses: map[string]*Session{}, owes: map[string]bool{}, asked: map[string]*Output{},
		ended: map[string]int{}, reached: map[string]bool{}, loss: []float64{0, 0, 0.05, 0.2}[r.IntN(4)]}
	for _, n := range []string{"a", "b"} {
		cfg := &Config{Random: r.Uint64, Reliable: Reliability(r.IntN(3)), Repeats2xx: r.IntN(2) == 0}
		if r.IntN(2) == 0 {
			cfg.Timer = TimerConfig{Interval: 100 * time.Second, Prefer: Refresher(r.IntN(3))}
		}
		if r.IntN(3) == 0 {
			cfg.Allow = "INVITE, ACK, CANCEL, BYE"
		}
		w.ses[n] = New(cfg)
	}
	return w
}

func (w *walker) say(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%8s ", w.now.Sub(time.Unix(0, 0)))+fmt.Sprintf(format, args...))
}

func (w *walker) sdp() []byte { w.n++; return fmt.Appendf(nil, "sdp %d", w.n) }

func (w *walker) run() {
	c := Call{URI: address("b", "b.example").URI, From: address("a", "a.example"), To: address("b", "b.example"),
		CallID: "walk", Contact: address("a", "192.0.2.1")}
	if w.r.IntN(4) > 0 {
		c.Body = w.sdp()
	}
	w.step("a", c)
	for range 60 {
		switch w.r.IntN(4) {
		case 0:
			w.deliver()
		case 1:
			w.pass(time.Duration(w.r.IntN(8000)) * time.Millisecond)
		default:
			w.act([]string{"a", "b"}[w.r.IntN(2)])
		}
	}
	if w.loss == 0 {
		w.agree()
	}
	w.loss = 0
	for _, n := range []string{"a", "b"} {
		w.step(n, End{})
	}
	w.pass(10 * time.Minute)
	for n, s := range w.ses {
		if s.Phase() == PhaseNone {
			continue // the INVITE never arrived
		}
		if !s.Done() || w.ended[n] != 1 {
			w.t.Errorf("%s: %s, ended %d times, deadline %v", n, s.Phase(), w.ended[n], s.Deadline().Sub(w.now))
		}
	}
}

// agree lets everything that is open come to its end: then both sides must hold the same two descriptions.
func (w *walker) agree() {
	for range 8 {
		w.pass(5 * time.Second)
		for _, n := range []string{"a", "b"} {
			if w.owes[n] {
				w.owes[n] = false
				w.step(n, Answer{Body: w.sdp()})
			}
		}
	}
	a, b := w.ses["a"], w.ses["b"]
	if a.Phase() != PhaseUp || b.Phase() != PhaseUp {
		return
	}
	w.reached["agreed"] = true
	if a.Exchange() != Stable || b.Exchange() != Stable {
		w.t.Errorf("nothing is open, but a is %s and b is %s", a.Exchange(), b.Exchange())
	}
	if fingerprint(a.localSDP) != b.remoteSDP || fingerprint(b.localSDP) != a.remoteSDP {
		w.t.Errorf("a said %q, b %q: one did not hear the other", a.localSDP, b.localSDP)
	}
}

// act is something a user may do; most of it is legal at most a part of the time.
func (w *walker) act(n string) {
	if w.owes[n] && w.r.IntN(3) > 0 {
		w.owes[n] = false
		if w.r.IntN(5) == 0 {
			w.step(n, Reject{Status: 488})
		} else {
			w.step(n, Answer{Body: w.sdp()})
		}
		return
	}
	switch w.r.IntN(12) {
	case 0:
		w.step(n, Ring{Status: 180})
	case 1:
		w.step(n, Ring{Status: 183, Body: w.sdp()})
	case 2, 3, 4:
		w.step(n, Accept{Body: w.sdp()})
	case 5, 6:
		w.step(n, Offer{Body: w.sdp()})
	case 7:
		w.step(n, Offer{})
	case 8:
		w.step(n, Do{Method: sip.INFO})
	case 9:
		w.step(n, Refresh{})
	case 10:
		if w.r.IntN(4) == 0 {
			w.step(n, End{})
		}
	case 11:
		if o := w.asked[n]; o != nil {
			w.asked[n] = nil
			w.step(n, Reply{Tx: o.Tx, Req: o.Msg, Status: 200})
		}
	}
}

func (w *walker) deliver() {
	for len(w.queue) > 0 {
		p := w.queue[0]
		w.queue = w.queue[1:]
		w.step(p.to, p.in)
	}
}

// pass lets time go by; the wire delivers at once meanwhile.
func (w *walker) pass(d time.Duration) {
	end := w.now.Add(d)
	for {
		w.deliver()
		at, act := time.Time{}, func() {}
		for _, n := range []string{"a", "b"} {
			if x := w.ses[n].Deadline(); !x.IsZero() && (at.IsZero() || x.Before(at)) {
				at, act = x, func() { w.step(n, Tick{}) }
			}
		}
		for i, p := range w.pending {
			if at.IsZero() || p.at.Before(at) {
				at, act = p.at, func() {
					w.pending = append(w.pending[:i:i], w.pending[i+1:]...)
					w.step(p.side, Failed{Method: p.method, Seq: p.seq, Status: 408})
				}
			}
		}
		if at.IsZero() || at.After(end) {
			w.now = end
			return
		}
		if at.Before(w.now) {
			w.t.Errorf("a timer in the past: %v", at.Sub(w.now))
			at = w.now
		}
		w.now = at
		act()
		if w.t.Failed() {
			return
		}
	}
}

func (w *walker) step(n string, in Input) {
	s := w.ses[n]
	if r, ok := in.(Response); ok && r.Msg.IsFinal() {
		for i, p := range w.pending {
			if p.side == n && p.method == r.Msg.Method() && p.seq == r.Msg.CSeq().Seq {
				w.pending = append(w.pending[:i:i], w.pending[i+1:]...)
				break
			}
		}
	}
	w.say("%s %T", n, in)
	for _, o := range s.Step(w.now, in) {
		w.output(n, o)
	}
	if s.Phase() == PhaseUp {
		w.reached[n+" up"] = true
	}
	if d := s.Deadline(); !d.IsZero() && d.Before(w.now) {
		w.t.Errorf("%s after %T: deadline %v in the past", n, in, d.Sub(w.now))
	}
}

func (w *walker) output(n string, o Output) {
	peer := map[string]string{"a": "b", "b": "a"}[n]
	if w.ended[n] > 0 && o.Kind >= EvInvite {
		switch o.Kind {
		case EvRefused, EvResponse: // the late outcome of something asked for after the end
		default:
			w.t.Errorf("%s: %s after the end", n, o.Kind)
		}
	}
	if o.Msg != nil && o.Kind <= OutCancel {
		w.say("  %s %s %s %d %q", n, o.Kind, o.Msg.Method(), o.Msg.Status(), o.Msg.Body())
		w.reached[string(o.Msg.Method())] = true
		w.reached[fmt.Sprint(o.Msg.Status())] = true
	} else {
		w.say("  %s %s %d %q", n, o.Kind, o.Status, o.Body)
	}
	var in Input
	switch o.Kind {
	case OutRequest:
		w.pending = append(w.pending, waiting{n, o.Msg.Method(), o.Msg.CSeq().Seq, o.Msg.ToTag(), w.now.Add(32 * time.Second)})
		in = Request{Tx: 1, Msg: o.Msg, Contact: address(peer, "192.0.2.2")}
	case OutAck:
		in = Request{Msg: o.Msg}
	case OutResponse:
		in = Response{o.Msg}
	case OutCancel:
		in = Cancelled{}
	case EvOffer:
		w.owes[n], w.reached[n+" offer"] = true, true
		return
	case EvAnswered:
		w.owes[n] = o.Offer
		return
	case EvRequest:
		w.asked[n] = &o
		return
	case EvRefreshed:
		w.reached["refreshed"] = true
		return
	case EvEnded:
		w.ended[n]++
		w.reached[fmt.Sprint(o.Status)] = true
		return
	default:
		return
	}
	if w.r.Float64() < w.loss {
		w.say("  (lost)")
		return
	}
	w.queue = append(w.queue, parcel{peer, in})
}
