package routing

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact"
)

// world is everything around a machine: the engine as far as the machine can tell, voice browsers, agents, the contact centre, the bus. It
// does what it is asked at once, or refuses, and tells what has happened later and in order, as the engine does.
type world struct {
	t      testing.TB
	r      *rand.Rand
	now    time.Time
	m      *Machine
	events []Seen
	log    []string

	ended   bool
	router  call.LegID // ringing
	ringing call.LegID // of a redirect
	active  call.LegID
	browser bool // active or ringing is one
	party   call.PartyID
	deliver call.LegID
	toVB    bool // the delivery is to a browser
	guest   call.LegID
	state   call.LegState // of the guest
	purpose call.Purpose
	host    call.LegID // whom it was let in to
	next    call.LegID

	asks     []Ask
	doc      uint64 // that the browser has
	token    uint64
	tokens   map[uint64]int // answers by token
	serial   uint64         // of the contact centre
	taken    map[uint64]contact.Kind
	notes    map[uint64]int // that end a label
	over     bool
	endAsked bool // a Label with End was taken
	reached  map[string]bool
}

const caller call.LegID = 1

func (w *world) leg() call.LegID { w.next += 2; return w.next }

// view is the call as it is.
func (w *world) view() *call.View {
	v := &call.View{ID: 9, Ended: w.ended}
	add := func(id call.LegID, p call.PartyID, state call.LegState, applet string) *call.PartyView {
		l := call.LegView{ID: id, State: state, Applet: applet, Trunk: "t", Incoming: id == caller}
		if applet != "" {
			l.Trunk = ""
		}
		v.Parties = append(v.Parties, &call.PartyView{ID: p, Legs: []call.LegView{l}})
		return v.Parties[len(v.Parties)-1]
	}
	add(caller, 1, call.LegIsActive, "")
	if w.router != 0 {
		add(w.router, call.PartyID(w.router), call.LegOffering, Applet)
	}
	if w.ringing != 0 {
		add(w.ringing, call.PartyID(w.ringing), call.LegOffering, "")
	}
	if w.active != 0 {
		add(w.active, call.PartyID(w.active), call.LegIsActive, "")
	}
	if w.deliver != 0 {
		add(w.deliver, w.party, call.LegOffering, "")
	}
	if w.guest != 0 {
		add(w.guest, call.PartyID(w.guest), w.state, "").Purpose = w.purpose
	}
	return v
}

func (w *world) tell(kind call.EventKind, leg call.LegID, cause call.Cause) {
	w.events = append(w.events, Seen{Kind: kind, Leg: leg, Party: call.PartyID(leg), Cause: cause, View: w.view()})
}

func (w *world) logf(format string, args ...any) {
	w.log = append(w.log, w.now.Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf(format+"\n%s", append(args, strings.Join(w.log, "\n"))...)
}

// request is the engine.
func (w *world) request(r call.Request) (reply call.Reply) {
	defer func() { w.logf("   %T %+v -> %v", r, r, reply.Cause) }()
	if w.ended {
		return call.Reply{Cause: call.NoSuchCall}
	}
	switch x := r.(type) {
	case call.SetGuard:
		if x.Leg != caller || x.To != ToRouter {
			w.fail("a guard for leg %v to %q", x.Leg, x.To)
		}
	case call.Redirect:
		return call.Reply{Cause: w.redirect(x)}
	case call.Deliver:
		switch {
		case x.Instead != w.active || w.active == 0:
			return call.Reply{Cause: call.NoSuchCall}
		case w.r.IntN(8) == 0:
			return call.Reply{Cause: call.UnallocatedNumber}
		}
		w.cancel()
		w.deliver = w.leg()
		w.party, w.toVB = call.PartyID(w.deliver), x.To == ToBrowser
		if w.toVB != strings.HasPrefix(x.Parameters, ";voicexml=https://cs/vxml/cs-1-1/") {
			w.fail("a delivery to %q with the parameters %q", x.To, x.Parameters)
		}
		w.tell(call.LegRinging, w.deliver, 0)
		return call.Reply{Party: w.party}
	case call.CancelDeliver:
		if w.deliver == 0 {
			return call.Reply{Cause: call.WrongCallState}
		}
		w.cancel()
	case call.Drop:
		if !w.endAsked {
			w.fail("the machine drops a call that nobody wants ended")
		}
		w.end(x.Cause)
	}
	return call.Reply{}
}

func (w *world) cancel() {
	if w.deliver != 0 {
		w.deliver = 0
		w.events = append(w.events, Seen{Kind: call.DeliverFailed, Party: w.party, Cause: call.CallerCancelled, View: w.view()})
		w.lonely(call.CallerCancelled)
	}
}

// lonely: the engine brings a caller back who is with nobody.
func (w *world) lonely(cause call.Cause) {
	if w.ended || w.router+w.ringing+w.active+w.deliver != 0 {
		return
	}
	w.tell(call.Guarded, caller, cause)
	w.router = w.leg()
	w.tell(call.LegRinging, w.router, 0)
}

func (w *world) redirect(x call.Redirect) call.Cause {
	if !x.CallerSpace {
		w.fail("a redirection that looks up where the caller does not reach")
	}
	if x.To == ToRouter {
		switch x.Leg {
		case w.ringing:
			w.ringing = 0
		case w.active:
			w.active = 0
		default:
			return call.NoSuchCall
		}
		if x.Leg == 0 {
			return call.NoSuchCall
		}
		w.router = w.leg()
		w.tell(call.LegRinging, w.router, 0)
		w.tell(call.LegDropped, x.Leg, call.NormalClearing)
		return 0
	}
	if x.Leg != w.router || w.router == 0 {
		return call.NoSuchCall
	}
	if w.r.IntN(8) == 0 {
		return call.UnallocatedNumber
	}
	w.ringing, w.browser = w.leg(), x.To == ToBrowser
	w.tell(call.LegRinging, w.ringing, 0)
	old := w.router
	w.router = 0
	w.tell(call.LegDropped, old, call.NormalClearing)
	return 0
}

func (w *world) end(cause call.Cause) {
	w.ended, w.router, w.ringing, w.active, w.deliver, w.guest = true, 0, 0, 0, 0, 0
	w.tell(call.CallEnded, 0, cause)
}

// step steps the machine and does what it wants.
func (w *world) step(in Input) {
	w.logf("%T %+v", in, in)
	took := 0
	out := w.m.Step(w.now, in)
	took = w.do(out)
	if _, ordered := in.(Ordered); ordered != (took == 1) {
		w.fail("an order has %d answers", took)
	}
	w.look()
}

func (w *world) do(out []Output) (took int) {
	for n := 0; len(out) > 0; n++ {
		if n > 60 {
			w.fail("there is no end to what the machine wants")
		}
		o := out[0]
		out = out[1:]
		w.reached[fmt.Sprintf("%T", o)] = true
		switch o := o.(type) {
		case Do:
			out = append(out, w.m.Step(w.now, Replied{o.Request, w.request(o.Request)})...)
		case Ask:
			w.logf("   asks %d %v about %d", o.Seq, o.Query.Reason, o.Query.Label)
			w.reached["ask "+o.Query.Reason.String()] = true
			w.asks = append(w.asks, o)
			w.serial = max(w.serial, o.Query.Label)
		case Publish:
			w.note(o.Note)
		case Took:
			took++
			w.reached["took "+o.Answer.Taken.String()] = true
		case Page:
			w.tokens[o.Token]++
			if w.tokens[o.Token] != 1 {
				w.fail("token %d is answered %d times", o.Token, w.tokens[o.Token])
			}
			if w.browser && w.active != 0 && len(o.Steps) > 0 {
				w.doc = o.Doc
			}
		case Over:
			w.over = true
		}
	}
	return took
}

func (w *world) note(n contact.Note) {
	w.logf("   notes %v %d %v", n.Kind, n.Serial, n.Cause)
	w.reached["note "+n.Kind.String()] = true
	if w.over {
		w.fail("a note after the end")
	}
	switch n.Kind {
	case contact.NoteRinging:
	case contact.NoteEnded:
		for serial, kind := range w.taken {
			if (kind == contact.Treat || kind == contact.Connect) && w.notes[serial] > 1 {
				w.fail("label %d has ended %d times", serial, w.notes[serial])
			}
		}
	default:
		w.notes[n.Serial]++
		if kind := w.taken[n.Serial]; n.Serial == 0 || w.notes[n.Serial] > 1 || kind != contact.Treat && kind != contact.Connect {
			w.fail("%v of label %d (%v), which has ended %d times", n.Kind, n.Serial, kind, w.notes[n.Serial])
		}
	}
}

// look checks what must be so whenever nothing waits to be told.
func (w *world) look() {
	m := w.m
	if len(w.events) > 0 || w.over {
		return
	}
	switch {
	case w.ended != m.Over():
		w.fail("the call has ended: %v, the machine says %v", w.ended, m.at)
	case m.dead:
	case w.router != 0 && m.at != atRouter && w.deliver == 0, w.ringing != 0 && m.at != underWay, w.active != 0 && m.at != atBrowser && m.at != withFar:
		w.fail("router %v, ringing %v, active %v, and the machine has the caller %v", w.router, w.ringing, w.active, m.at)
	case w.active != 0 && m.far != w.active:
		w.fail("the caller is with leg %v, the machine says %v", w.active, m.far)
	case m.at == atRouter && m.want == nothing && m.ringing.what == nothing && m.Deadline().IsZero():
		w.fail("the caller is at the router and nothing will ever be done for it")
	case m.at == atBrowser && len(m.tokens) > 0 && m.want == nothing && m.Deadline().IsZero():
		w.fail("a browser waits for ever")
	case !m.Deadline().IsZero() && m.Deadline().Before(w.now.Add(-time.Minute)):
		w.fail("the deadline is long over: %v", m.Deadline())
	}
	open := 0
	for serial, kind := range w.taken {
		if (kind == contact.Treat || kind == contact.Connect) && w.notes[serial] == 0 {
			open++
		}
	}
	if open > 2 {
		w.fail("%d labels are under way", open)
	}
}

// label makes a label of the contact centre, a bad one now and then.
func (w *world) label() contact.Label {
	w.serial++
	l := contact.Label{Serial: w.serial, Variables: map[string]string{"n": strconv.Itoa(int(w.serial))}}
	switch w.r.IntN(12) {
	case 0, 1, 2, 3:
		l.Kind, l.Steps = contact.Treat, []contact.Play{{Kind: contact.Menu, Variable: "choice", Choices: []contact.Choice{{Key: "1", Value: "one"}}}, {Kind: contact.Music}}
	case 4, 5, 6, 7:
		l.Kind, l.Number, l.NoAnswer, l.Originator = contact.Connect, "2001", time.Duration(w.r.IntN(3))*10*time.Second, w.r.IntN(4) == 0
	case 8:
		if w.r.IntN(4) == 0 {
			l.Kind = contact.End
		}
	case 9:
		l.Serial = w.r.Uint64N(w.serial + 1) // of an old one, or none
	case 10:
		l.Kind = contact.Connect // to nowhere
	}
	return l
}

// note that a label will be taken, as the machine will see it.
func (w *world) offers(l contact.Label) {
	if l.Check() == nil && l.Serial > w.m.query.Label && !w.m.dead && !w.m.Over() {
		w.taken[l.Serial] = l.Kind
		if l.Kind == contact.End {
			w.endAsked = true
		}
	}
}

// act lets something happen.
func (w *world) act() {
	switch n := w.r.IntN(20); {
	case n < 6 && len(w.events) > 0:
		ev := w.events[0]
		w.events = w.events[1:]
		if w.r.IntN(40) == 0 { // they are lost, and a picture takes their place
			w.events = nil
			ev = Seen{View: w.view()}
			if w.ended {
				ev.View = nil
			}
			w.reached["lag"] = true
		}
		w.step(ev)
	case n < 8 && len(w.asks) > 0:
		a := w.asks[0]
		w.asks = w.asks[1:]
		in := Answered{Seq: a.Seq}
		if w.r.IntN(4) == 0 {
			in.Why = "silence"
		} else {
			in.Label = w.label()
			w.offers(in.Label)
		}
		w.step(in)
	case n == 8:
		l := w.label()
		w.offers(l)
		w.step(Ordered{l})
	case n == 9 && w.r.IntN(3) == 0:
		w.step(RouterIs{contact.Router{Node: []string{"", "n1", "n2"}[w.r.IntN(3)], Life: w.r.Uint64N(3)}})
	case n < 12:
		w.far()
		w.dismiss()
	case n == 17 && w.r.IntN(2) == 0:
		w.visit()
	case n < 15:
		w.browse()
	case n == 15 && w.r.IntN(20) == 0 && !w.ended:
		w.logf("the caller hangs up")
		w.end(call.NormalClearing)
	case n == 16 && w.r.IntN(10) == 0:
		w.step(PeerDown{"t"})
	default:
		w.now = w.now.Add(time.Duration(w.r.IntN(3000)) * time.Millisecond)
		if d := w.m.Deadline(); !d.IsZero() && !d.After(w.now) {
			w.step(nil)
		}
	}
}

// far lets who is rung, or talked to, do something.
func (w *world) far() {
	causes := []call.Cause{call.UserBusy, call.NoAnswer, call.DestinationOutOfOrder}
	cause := causes[w.r.IntN(3)]
	switch {
	case w.ended:
	case w.ringing != 0 && w.r.IntN(2) == 0:
		w.active, w.ringing = w.ringing, 0
		w.logf("leg %v answers, a browser: %v", w.active, w.browser)
		w.tell(call.LegActive, w.active, 0)
	case w.ringing != 0 && w.r.IntN(2) == 0:
		w.tell(call.LegAlerted, w.ringing, 0)
	case w.ringing != 0:
		old := w.ringing
		w.ringing = 0
		w.logf("leg %v fails: %v", old, cause)
		w.tell(call.LegDropped, old, cause)
		w.lonely(cause)
	case w.deliver != 0 && w.r.IntN(2) == 0:
		w.active, w.deliver, w.browser = w.deliver, 0, w.toVB
		w.logf("leg %v answers and is delivered to, a browser: %v", w.active, w.browser)
		w.events = append(w.events, Seen{Kind: call.Delivered, Party: w.party, Leg: w.active, View: w.view()})
	case w.deliver != 0:
		w.deliver = 0
		w.logf("the delivery fails: %v", cause)
		w.events = append(w.events, Seen{Kind: call.DeliverFailed, Party: w.party, Cause: cause, View: w.view()})
		w.lonely(cause)
	case w.active != 0 && w.r.IntN(4) == 0:
		old := w.active
		w.active = 0
		w.logf("leg %v leaves", old)
		w.tell(call.LegDropped, old, call.NormalClearing)
		w.lonely(call.NormalClearing)
	}
}

// visit has a guest come, answer or go.
func (w *world) visit() {
	switch {
	case w.ended:
	case w.guest == 0 && w.active != 0:
		w.guest, w.state, w.purpose, w.host = w.leg(), call.LegOffering, []call.Purpose{call.PurposeListen, call.PurposeJoin}[w.r.IntN(2)], w.active
		w.logf("guest %v is rung: %v", w.guest, w.purpose)
		w.tell(call.LegRinging, w.guest, 0)
	case w.guest != 0 && w.state == call.LegOffering && w.r.IntN(4) > 0:
		w.state = call.LegIsActive
		w.logf("guest %v answers", w.guest)
		w.reached["guest "+w.purpose.String()] = true
		kind := call.Monitored
		if w.purpose == call.PurposeJoin {
			kind = call.Attended
		}
		w.tell(kind, w.guest, 0)
		w.tell(call.LegActive, w.guest, 0)
	case w.guest != 0:
		w.parted()
	}
}

// parted: the guest goes, or does not come.
func (w *world) parted() {
	old, state := w.guest, w.state
	w.guest = 0
	w.logf("guest %v goes", old)
	if state == call.LegOffering {
		w.tell(call.JoinFailed, old, call.NoAnswer)
	}
	w.tell(call.LegDropped, old, call.NormalClearing)
}

// dismiss: a guest goes with whom it was let in to.
func (w *world) dismiss() {
	if w.guest != 0 && w.active != w.host {
		w.parted()
	}
}

// browse lets a browser fetch or submit.
func (w *world) browse() {
	if !w.browser || w.active == 0 && w.ringing == 0 {
		return
	}
	w.token++
	doc := w.m.page.doc
	if w.r.IntN(6) == 0 {
		doc = w.r.Uint64N(doc + 2)
	}
	w.tokens[w.token] = 0
	if w.r.IntN(2) == 0 {
		w.step(Fetched{Token: w.token, Doc: doc})
		return
	}
	results := map[string]string{"r0": []string{"1", "7", ""}[w.r.IntN(3)], "w0": []string{"", "noinput"}[w.r.IntN(2)]}
	w.step(Submitted{Token: w.token, Doc: doc, Results: results})
	if w.r.IntN(10) == 0 {
		w.step(Gone{w.token})
		delete(w.tokens, w.token)
	}
}

// walk lets things happen in an order of that seed, then lets the call end.
func walk(t testing.TB, seed uint64, reached map[string]bool) {
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 7)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), next: 10, router: 3, tokens: map[uint64]int{},
		taken: map[uint64]contact.Kind{}, notes: map[uint64]int{}, reached: reached}
	w.logf("seed %d", seed)
	set := Settings{Server: "cs", Documents: "https://cs/vxml"}
	if seed%3 == 0 {
		set.SurvivalNumber = "0"
	}
	a := Arrival{ID: "cs-1-1", Call: 9, Leg: 3, Called: "800", Router: contact.Router{Node: "n1", Life: 1}}
	if seed%2 == 0 {
		a.Caller = caller
	}
	if seed%5 == 0 {
		a.Router = contact.Router{}
	}
	var out []Output
	w.m, out = New(w.now, set, a)
	w.do(out)
	for range 300 {
		if w.over {
			break
		}
		w.act()
	}
	if !w.ended {
		w.end(call.NormalClearing)
	}
	for len(w.events) > 0 {
		ev := w.events[0]
		w.events = w.events[1:]
		w.step(ev)
	}
	if !w.over {
		w.fail("the call has ended, and the machine is not over")
	}
	for token, n := range w.tokens {
		if n != 1 {
			w.fail("token %d has %d answers", token, n)
		}
	}
}

// TestWalk: whatever happens in whatever order, no call is ended but by the caller or a Label, every Label ends in one Note, every question of
// a browser and every order is answered once, and a caller for whom nothing is done is never left at that.
func TestWalk(t *testing.T) {
	n := uint64(1000)
	if s := os.Getenv("LOCKTONE_WALKS"); s != "" {
		n, _ = strconv.ParseUint(s, 10, 64)
	}
	reached := map[string]bool{}
	for seed := range n {
		walk(t, seed, reached)
	}
	for _, what := range []string{"ask new", "ask step", "ask no-answer", "ask busy", "ask failed", "ask treatment-failed", "ask left", "ask again", "note ringing",
		"note treated", "note connected", "note failed", "note superseded", "note ended", "took taken", "took old-label", "took bad-label", "lag",
		"routing.Page", "routing.Keep", "routing.Over", "guest listen", "guest join"} {
		if !reached[what] {
			t.Errorf("no walk has reached %q", what)
		}
	}
}
