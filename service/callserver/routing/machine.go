package routing

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact"
)

// A place is where the caller is.
type place uint8

const (
	atRouter  place = iota // with the call server's own leg
	underWay               // redirected to a browser or a number
	returning              // on the way back to the call server's leg
	atBrowser
	withFar
	over
)

var placeNames = [...]string{"at the router", "under way", "returning", "at a browser", "with somebody", "over"}

func (p place) String() string { return placeNames[p] }

// A Machine is one caller. Who has it steps it, nobody else.
type Machine struct {
	set   Settings
	query contact.Query // as the next one is, but for Reason, Cause, With
	id    call.CallID
	now   time.Time
	out   []Output

	at     place
	cause  call.Cause // why the caller came back to the router
	router call.LegID // the call server's own leg; zero: there is none
	caller call.LegID // zero: not seen yet
	far    call.LegID // atBrowser, withFar: whom the caller is connected to; underWay: who rings, zero while that is not known
	trunk  string     // of far
	with   string     // the number of far, empty at a browser
	was    place      // of returning and atRouter: where the caller came back from
	gone   work       // of underWay: where to
	pulled bool       // of underWay: the call is being fetched back
	doomed bool       // of atBrowser: the browser is lost, and left when who is rung for the caller has answered or not
	serial uint64     // of the Connect that was started last

	page    page       // what a browser plays
	want    work       // what is to be started as soon as the place allows
	ringing delivery   // who is rung for a caller that stays where it is
	connect connect    // the Connect in force
	treat   uint64     // Serial of the Treat that has no Note yet; zero: none
	tokens  []waiting  // who waits for a Page
	early   *Submitted // what a browser has submitted before the engine has told that it answered
	ask     ask
	dead    bool // a Label has ended the call
}

// work is what can be started.
type work uint8

const (
	nothing  work = iota
	toTreat       // page, at a browser
	toNumber      // connect
)

// A page is a document.
type page struct {
	doc      uint64
	serial   uint64 // of the Treat it is of; zero: it is our own
	steps    []contact.Play
	language string
	fetched  bool
	fetchBy  time.Time // atBrowser: when it should have been fetched; zero: it was
	tries    int       // how often browsers have died over it
	idle     bool      // nothing but music: while something else is waited for
}

// A connect is a number that is being called.
type connect struct {
	label  contact.Label
	open   bool // it has no Note yet that ends it
	alerts bool // its NoteRinging is out
	due    time.Time
}

// A delivery is somebody who is rung while the caller stays.
type delivery struct {
	what  work // nothing: nobody is
	party call.PartyID
}

// waiting is a browser that waits for a Page.
type waiting struct{ token, doc uint64 }

// An Arrival is a call as the engine offers it for the first time.
type Arrival struct {
	ID       contact.CallID
	Call     call.CallID
	Leg      call.LegID // the call server's own
	Caller   call.LegID // zero where it has not been seen yet
	GlobalID string
	Called   string
	Calling  call.Identity
	Router   contact.Router
}

// New takes a call and returns what to do first.
func New(now time.Time, set Settings, a Arrival) (*Machine, []Output) {
	m := &Machine{set: set.WithDefaults(), id: a.Call, now: now, router: a.Leg, caller: a.Caller}
	m.query = contact.Query{Call: a.ID, Server: set.Server, GlobalID: a.GlobalID, Called: a.Called, Began: now}
	if !a.Calling.Restricted {
		m.query.Calling, m.query.Display = a.Calling.Number, a.Calling.Display
	}
	m.ask.router = a.Router
	m.guard()
	m.keep()
	m.inquire(contact.New, call.CauseNone, "")
	return m, m.flush()
}

// Step takes what has happened, nil for time alone, and returns what to do. After Over it returns nothing more.
func (m *Machine) Step(now time.Time, in Input) []Output {
	if m.at == over {
		return m.late(in)
	}
	m.now = now
	switch in := in.(type) {
	case Seen:
		m.seen(in)
	case Answered:
		m.answered(in)
	case Ordered:
		m.ordered(in.Label)
	case RouterIs:
		m.routerIs(in.Router)
	case Fetched:
		m.fetched(in)
	case Submitted:
		m.submitted(in)
	case Gone:
		if m.early != nil && m.early.Token == in.Token {
			m.early = nil
		}
		m.tokens = slices.DeleteFunc(m.tokens, func(w waiting) bool { return w.token == in.Token })
	case PeerDown:
		m.peerDown(in.Trunk)
	case Replied:
		m.replied(in)
	}
	if m.at != over {
		m.due()
	}
	return m.flush()
}

// late answers those who come when the call is over.
func (m *Machine) late(in Input) []Output {
	switch in := in.(type) {
	case Fetched:
		return []Output{Page{Token: in.Token, Doc: in.Doc}}
	case Submitted:
		return []Output{Page{Token: in.Token, Doc: in.Doc}}
	case Ordered:
		return []Output{Took{contact.TakenAnswer{Taken: contact.UnknownCall, Why: "the call has ended"}}}
	}
	return nil
}

// Over says whether the call has ended.
func (m *Machine) Over() bool { return m.at == over }

// Standing is the call as it is now.
func (m *Machine) Standing() contact.Standing {
	q := m.query
	q.Reason, q.State, q.With, q.Variables = contact.Again, m.state(), m.with, maps.Clone(q.Variables)
	s := contact.Standing{Query: q}
	if m.connect.open {
		s.Ringing = m.connect.label.Number
	}
	return s
}

func (m *Machine) state() contact.State {
	switch m.at {
	case atBrowser:
		return contact.Treated
	case withFar:
		return contact.Connected
	}
	return contact.Waiting
}

func (m *Machine) flush() []Output {
	out := m.out
	m.out = nil
	return out
}

func (m *Machine) put(o Output) { m.out = append(m.out, o) }

// keep tells the board how the call stands, without what callers have entered.
func (m *Machine) keep() {
	s := m.Standing()
	s.Query.Variables = nil
	m.put(Keep{s})
}

// note publishes what has become of a Label.
func (m *Machine) note(n contact.Note) {
	n.Call, n.At = m.query.Call, m.now
	m.put(Publish{n})
}

// guard has the engine bring the caller back to the router whatever happens.
func (m *Machine) guard() {
	if m.caller != 0 {
		m.put(Do{call.SetGuard{Call: m.id, Leg: m.caller, To: ToRouter}})
	}
}

// document is the URI parameter that has a voice browser fetch the page (RFC 5552, 2.1). The address has no sign that a URI parameter does not take.
func (m *Machine) document() string {
	return ";voicexml=" + m.set.Documents + "/" + string(m.query.Call) + "/" + strconv.FormatUint(m.page.doc, 10)
}

// number is what a Connect dials.
func (m *Machine) number() string {
	if m.connect.label.Originator {
		return ToOriginator + m.connect.label.Number
	}
	return ToNumber + m.connect.label.Number
}

// noAnswer is how long a Connect rings.
func (m *Machine) noAnswer() time.Duration { return cmp.Or(m.connect.label.NoAnswer, m.set.NoAnswer) }

// turn makes a new page, which is to be played.
func (m *Machine) turn(serial uint64, steps []contact.Play, language string) {
	m.page = page{doc: m.page.doc + 1, serial: serial, steps: steps, language: language}
	m.want = toTreat
}

// music is what is played while something is waited for.
func (m *Machine) music() {
	m.turn(0, []contact.Play{{Kind: contact.Music}}, "")
	m.page.idle = true
}

// end ends the call, because a Label says so.
func (m *Machine) end(cause call.Cause) {
	m.dead = true
	m.put(Do{call.Drop{Call: m.id, Cause: cmp.Or(cause, call.NormalClearing)}})
}

// ended: the call is over.
func (m *Machine) ended(cause call.Cause) {
	n := contact.Note{Kind: contact.NoteEnded, Serial: m.query.Label, Cause: cause, By: contact.ByCaller}
	if m.dead {
		n.By = contact.ByServer
	}
	m.dismiss()
	m.at, m.treat, m.connect, m.ringing = over, 0, connect{}, delivery{}
	m.note(n)
	m.put(Over{})
}
