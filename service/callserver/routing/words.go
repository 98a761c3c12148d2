package routing

import (
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact"
)

// Numbers of the call server's own dial plan. They begin with a letter so that no number that is called from outside is one of them: what
// comes in with a letter in front is refused before it is looked up.
const (
	ToRouter     = "A0" // the call server's own leg: where a guarded caller comes back to
	ToNumber     = "A1" // in front of the number of a Connect: call routes
	ToBrowser    = "A2" // the voice browsers
	ToOriginator = "A3" // in front of a number that goes back out where the call came in
)

// Applet is the name under which the engine knows the call server's own leg.
const Applet = "router"

// Settings are the same for all calls. Zero values take the defaults.
type Settings struct {
	// Server is the node that says it in queries.
	Server string
	// Documents is where voice browsers fetch documents, without the call: https://127.0.1.20:8443/vxml.
	Documents string
	// AskTimeout is how long an answer may take, 2 s. AskAgain is how long after it the question is repeated, 5 s.
	AskTimeout, AskAgain time.Duration
	// NoAnswer is how long a number rings whose Label does not say, 15 s.
	NoAnswer time.Duration
	// FetchTimeout is how long a browser that has answered may take to ask for its document, 15 s.
	FetchTimeout time.Duration
	// Default is what a caller hears while the contact centre is silent; empty is music.
	Default []contact.Play
	// SurvivalNumber is called for the caller when the contact centre has been silent for SurvivalAfter, 1 min; empty: never.
	SurvivalNumber string
	SurvivalAfter  time.Duration
}

// WithDefaults fills in the defaults.
func (s Settings) WithDefaults() Settings {
	for _, d := range []struct {
		at *time.Duration
		to time.Duration
	}{{&s.AskTimeout, 2 * time.Second}, {&s.AskAgain, 5 * time.Second}, {&s.NoAnswer, 15 * time.Second}, {&s.FetchTimeout, 15 * time.Second}, {&s.SurvivalAfter, time.Minute}} {
		if *d.at <= 0 {
			*d.at = d.to
		}
	}
	if len(s.Default) == 0 {
		s.Default = []contact.Play{{Kind: contact.Music}}
	}
	return s
}

// An Input is something that has happened to the call. Exactly the types of this file are inputs; nil is the time that has passed.
type Input interface{ input() }

// Seen: the engine tells an event of the call; or, with no Kind, shows a picture because events were lost: a nil View is a call that has ended.
type Seen struct {
	Kind     call.EventKind
	Party    call.PartyID
	Leg      call.LegID
	OtherLeg call.LegID
	Cause    call.Cause
	View     *call.View
}

// Replied answers a Do. The runner gives it before it takes any other input.
type Replied struct {
	Request call.Request
	Reply   call.Reply
}

// Answered: the contact centre has answered Ask number Seq, with a Label, or not (Why).
type Answered struct {
	Seq   uint64
	Label contact.Label
	Why   string
}

// Ordered: the contact centre orders a Label. It is answered with Took.
type Ordered struct{ Label contact.Label }

// RouterIs: the contact centre that leads is another one, or one with a new life; nobody, without a Node.
type RouterIs struct{ Router contact.Router }

// Fetched: a voice browser asks for document Doc; Token names the asking. It is answered with Page, at once or later.
type Fetched struct{ Token, Doc uint64 }

// Submitted: a voice browser has come to the end of document Doc. It is answered with Page.
type Submitted struct {
	Token, Doc uint64
	Results    map[string]string
}

// Gone: who fetched or submitted by Token has gone without an answer.
type Gone struct{ Token uint64 }

// PeerDown: the peer of this trunk answers no heartbeat any more.
type PeerDown struct{ Trunk string }

func (Seen) input()      {}
func (Replied) input()   {}
func (Answered) input()  {}
func (Ordered) input()   {}
func (RouterIs) input()  {}
func (Fetched) input()   {}
func (Submitted) input() {}
func (Gone) input()      {}
func (PeerDown) input()  {}

// An Output is something to do. Exactly the types below are outputs.
type Output interface{ output() }

// Do is a request to the engine. Replied comes for each, in order.
type Do struct{ Request call.Request }

// Ask is a question to the contact centre that leads; its answer comes as Answered.
type Ask struct {
	Seq   uint64
	Query contact.Query
}

// Publish is a Note, but for what is the server's own: Server, Life, Seq.
type Publish struct{ Note contact.Note }

// Took answers Ordered.
type Took struct{ Answer contact.TakenAnswer }

// Page answers Fetched or Submitted: document Doc of these Steps. Without steps there is nothing more: the browser's session ends.
type Page struct {
	Token, Doc uint64
	Steps      []contact.Play
	Language   string
}

// Keep says what the board is to say of the call.
type Keep struct{ Standing contact.Standing }

// Free releases the call server's own leg, which the call needs no more.
type Free struct{ Leg call.LegID }

// Over is the last output: the call has ended.
type Over struct{}

func (Do) output()      {}
func (Ask) output()     {}
func (Publish) output() {}
func (Took) output()    {}
func (Page) output()    {}
func (Keep) output()    {}
func (Free) output()    {}
func (Over) output()    {}
