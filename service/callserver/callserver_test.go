package callserver

import (
	"net/url"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/lab/phone"
)

// greeting is a treatment that says something and then plays music.
func greeting(serial uint64, text string) contact.Label {
	return contact.Label{Serial: serial, Kind: contact.Treat, Steps: []contact.Play{{Prompts: []contact.Prompt{{Text: text}}}, {Kind: contact.Music}}}
}

func connect(serial uint64, number string) contact.Label {
	return contact.Label{Serial: serial, Kind: contact.Connect, Number: number}
}

// TestContactCall is the call of seed 003: greeting, music, an agent becomes ready, is rung, answers; both media paths are SRTP; the caller
// hangs up.
func TestContactCall(t *testing.T) {
	s := newStand(t, nil)
	ctx := within(t)
	c := s.call(ctx, "800")
	q := s.centre.query(ctx, contact.New)
	if q.Called != "800" || q.Calling != "4711" || q.Server != "n1" || q.Call == "" || q.Label != 0 {
		t.Errorf("asked %+v", q.Query)
	}
	if c.State() == phone.Talking {
		t.Error("the call is answered before the contact centre has said where it goes")
	}
	q.answer <- greeting(1, "Good morning")
	v := s.vb.session(ctx)
	if !v.says("Good morning") || !v.says("/audio/music.wav") {
		t.Error("the browser has not got what the label says")
	}
	must(t, c.WaitAnswered(ctx))
	hears(ctx, t, c, 700)
	if a := s.centre.order(ctx, q.Query, connect(2, "2001")); a.Taken != contact.OrderTaken {
		t.Fatalf("the order: %+v", a)
	}
	a := s.agent(ctx)
	if a.info.Called != "2001" || a.info.Calling.Number != "4711" {
		t.Errorf("the agent is shown %+v for %s", a.info.Calling, a.info.Called)
	}
	s.centre.note(ctx, contact.NoteRinging)
	hears(ctx, t, c, 700)
	a.answer <- call.CauseNone
	if n := s.centre.note(ctx, contact.NoteSuperseded); n.Serial != 1 {
		t.Errorf("%+v", n)
	}
	if n := s.centre.note(ctx, contact.NoteConnected); n.Serial != 2 || n.Number != "2001" {
		t.Errorf("%+v", n)
	}
	hears(ctx, t, c, 440)
	if ev := c.Evidence(); ev.Suite == "" || ev.Failed != 0 {
		t.Errorf("media is not protected: %+v", ev)
	}
	must(t, c.Hangup(ctx))
	if n := s.centre.note(ctx, contact.NoteEnded); n.By != contact.ByCaller || n.Serial != 2 {
		t.Errorf("%+v", n)
	}
	if len(s.bus.Board().All(contact.FactCall)) != 0 {
		t.Error("the board says that the call lives")
	}
}

// TestMenu: what the caller enters comes to the contact centre, whose answer is the next document of the same session.
func TestMenu(t *testing.T) {
	s := newStand(t, nil)
	ctx := within(t)
	c := s.call(ctx, "800")
	q := s.centre.query(ctx, contact.New)
	q.answer <- contact.Label{Serial: 1, Kind: contact.Treat, Variables: map[string]string{"line": "sales"}, Steps: []contact.Play{{Kind: contact.Menu, Variable: "choice",
		Prompts: []contact.Prompt{{Text: "One or two"}}, Choices: []contact.Choice{{Key: "1", Value: "english"}, {Key: "2", Value: "french"}}}}}
	v := s.vb.session(ctx)
	must(t, c.WaitAnswered(ctx))
	done := make(chan struct{})
	go func() { defer close(done); v.submit(url.Values{"r0": {"2"}, "w0": {""}}) }()
	s.centre.note(ctx, contact.NoteTreated)
	step := s.centre.query(ctx, contact.Step)
	if step.Variables["choice"] != "french" || step.Variables["line"] != "sales" || step.Label != 1 || step.State != contact.Treated {
		t.Errorf("asked %+v", step.Query)
	}
	step.answer <- greeting(2, "Bonjour")
	<-done
	if !v.says("Bonjour") {
		t.Error("the next document is not the next label's")
	}
	if a := s.centre.order(ctx, q.Query, contact.Label{Serial: 3, Kind: contact.End, Cause: call.NormalClearing}); a.Taken != contact.OrderTaken {
		t.Fatalf("%+v", a)
	}
	if n := s.centre.note(ctx, contact.NoteEnded); n.By != contact.ByServer || n.Serial != 3 {
		t.Errorf("%+v", n)
	}
	if _, byPeer, err := c.WaitEnded(ctx); err != nil || !byPeer {
		t.Errorf("ended by us: %v, %v", !byPeer, err)
	}
	if a := s.centre.order(ctx, q.Query, greeting(4, "x")); a.Taken != contact.UnknownCall {
		t.Errorf("an order for a call that is over: %+v", a)
	}
}

// TestAgentsFail: a busy agent, one that does not answer in time and one that hangs up: each time the contact centre is asked, and the caller
// stays.
func TestAgentsFail(t *testing.T) {
	s := newStand(t, nil)
	ctx := within(t)
	c := s.call(ctx, "800")
	q := s.centre.query(ctx, contact.New)
	q.answer <- greeting(1, "Hello")
	s.vb.session(ctx)
	must(t, c.WaitAnswered(ctx))

	s.centre.order(ctx, q.Query, connect(2, "2001"))
	a := s.agent(ctx)
	s.centre.note(ctx, contact.NoteRinging)
	a.answer <- call.UserBusy
	if n := s.centre.note(ctx, contact.NoteFailed); n.Serial != 2 || n.Cause != call.UserBusy {
		t.Errorf("%+v", n)
	}
	busy := s.centre.query(ctx, contact.Busy)
	if busy.With != "2001" || busy.State != contact.Treated {
		t.Errorf("asked %+v", busy.Query)
	}
	late := connect(3, "2002")
	late.NoAnswer = time.Second
	busy.answer <- late
	s.agent(ctx) // answers nothing
	s.centre.note(ctx, contact.NoteRinging)
	if n := s.centre.note(ctx, contact.NoteFailed); n.Serial != 3 {
		t.Errorf("%+v", n)
	}
	q = s.centre.query(ctx, contact.NoAnswer)
	hears(ctx, t, c, 700)
	q.answer <- connect(4, "2003")
	a = s.agent(ctx)
	s.centre.note(ctx, contact.NoteRinging)
	a.answer <- call.CauseNone
	s.centre.note(ctx, contact.NoteSuperseded)
	s.centre.note(ctx, contact.NoteConnected)
	hears(ctx, t, c, 440)
	a.hangup()
	q = s.centre.query(ctx, contact.Left)
	if q.With != "2003" {
		t.Errorf("asked %+v", q.Query)
	}
	q.answer <- greeting(5, "How was it?")
	if v := s.vb.session(ctx); !v.says("How was it?") {
		t.Error("the caller hears something else")
	}
	hears(ctx, t, c, 700)
	must(t, c.Hangup(ctx))
	s.centre.note(ctx, contact.NoteEnded)
}

// TestConnectAtOnce: a call that is connected without a treatment is not answered before the agent does.
func TestConnectAtOnce(t *testing.T) {
	s := newStand(t, nil)
	ctx := within(t)
	c := s.call(ctx, "+49800")
	q := s.centre.query(ctx, contact.New)
	if q.Called != "+49800" {
		t.Errorf("called %q", q.Called)
	}
	q.answer <- connect(1, "2001")
	a := s.agent(ctx)
	s.centre.note(ctx, contact.NoteRinging)
	must(t, c.WaitRinging(ctx))
	a.answer <- call.UserBusy
	s.centre.note(ctx, contact.NoteFailed)
	q = s.centre.query(ctx, contact.Busy)
	q.answer <- connect(2, "2002")
	a = s.agent(ctx)
	s.centre.note(ctx, contact.NoteRinging)
	a.answer <- call.CauseNone
	s.centre.note(ctx, contact.NoteConnected)
	must(t, c.WaitAnswered(ctx))
	hears(ctx, t, c, 440)
	must(t, c.Hangup(ctx))
	s.centre.note(ctx, contact.NoteEnded)
}

// TestUnroutable: a number that no call route has fails at once, and the contact centre is asked.
func TestUnroutable(t *testing.T) {
	s := newStand(t, nil)
	ctx := within(t)
	c := s.call(ctx, "800")
	s.centre.query(ctx, contact.New).answer <- connect(1, "3001")
	s.centre.note(ctx, contact.NoteFailed)
	q := s.centre.query(ctx, contact.Failed)
	q.answer <- contact.Label{Serial: 2, Kind: contact.End, Cause: call.UserBusy}
	if status, _, err := c.WaitEnded(ctx); err != nil || status != 486 {
		t.Errorf("ended with %d, %v", status, err)
	}
	s.centre.note(ctx, contact.NoteEnded)
}

// TestInnerNumbers: what the call server calls its own numbers cannot be called from outside.
func TestInnerNumbers(t *testing.T) {
	s := newStand(t, nil)
	ctx := within(t)
	for _, number := range []string{"A12001", "A2", "A0"} {
		c := s.call(ctx, number)
		if status, _, err := c.WaitEnded(ctx); err != nil || status != 404 {
			t.Errorf("%s: ended with %d, %v", number, status, err)
		}
	}
}
