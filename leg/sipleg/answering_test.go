package sipleg_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// An answering is a call from a to b that rings, and what b gets.
type answering struct {
	t         *testing.T
	host      *live.Host
	watch     *live.Watcher
	a, b      *peer
	reqs      chan received
	ress      chan *sip.Message
	cancelled chan *endpoint.ServerTx
	first     received // the INVITE that rings
	leg       call.LegID
}

// ringing has b ring with some header fields in its 180.
func ringing(t *testing.T, fields ...sip.Field) *answering {
	x := &answering{t: t, cancelled: make(chan *endpoint.ServerTx, 4)}
	_, x.host, x.a, x.b = bridge(t, nil)
	x.watch = x.host.Watch(256)
	t.Cleanup(x.watch.Close)
	x.reqs, _ = record(x.b)
	x.b.onCancelled = func(tx *endpoint.ServerTx) { x.cancelled <- tx }
	_, x.ress = record(x.a)
	x.a.send(x.a.invite("1002", offer(30000)))
	x.first = next(t, x.reqs)
	x.rings(x.first, fields...)
	for next(t, x.ress).Status() != 180 {
	}
	calls, err := x.host.Calls(t.Context())
	if err != nil || len(calls) != 1 {
		t.Fatalf("calls %v, %v", calls, err)
	}
	x.leg = calls[0].Parties[1].Legs[0].ID
	return x
}

func (x *answering) rings(r received, fields ...sip.Field) {
	res := sip.NewResponse(r.m, 180, "")
	res.SetToTag(r.tx.LocalTag())
	res.SetContact(x.b.contact())
	for _, f := range fields {
		res.Add(f.Name, f.Value)
	}
	_ = r.tx.Respond(res)
}

// ask has the leg answer.
func (x *answering) ask() {
	x.t.Helper()
	reply, err := x.host.Request(x.t.Context(), "cti", call.AnswerCall{Leg: x.leg})
	if err != nil || reply.Cause != call.CauseNone {
		x.t.Fatalf("%+v, %v", reply, err)
	}
}

// refuse answers an INVITE of b's with a failure.
func refuse(r received, status int) {
	res := sip.NewResponse(r.m, status, "")
	res.SetToTag(r.tx.LocalTag())
	_ = r.tx.Respond(res)
}

// renewed takes the CANCEL, answers the INVITE as cancelled, and is the INVITE that comes instead.
func (x *answering) renewed() received {
	x.t.Helper()
	next(x.t, x.cancelled)
	refuse(x.first, 487)
	again := next(x.t, x.reqs)
	for again.m.Method() == sip.ACK {
		again = next(x.t, x.reqs)
	}
	if again.m.Method() != sip.INVITE || again.m.CallID() != x.first.m.CallID() || again.m.FromTag() == x.first.m.FromTag() {
		x.t.Fatalf("b got %s %s", again.m.Method(), again.m.CallID())
	}
	if !strings.Contains(again.m.Header("Call-Info"), "answer-after=0") || !strings.Contains(again.m.Header("Alert-Info"), "info=alert-autoanswer") {
		x.t.Errorf("the second INVITE does not ask to be answered: %q, %q", again.m.Header("Call-Info"), again.m.Header("Alert-Info"))
	}
	return again
}

// up sees that the call is up, and what the engine has told of b's leg in the meantime.
func (x *answering) up(by received) {
	x.t.Helper()
	ok(x.b, by, answer(20000))
	if res := final(x.t, x.ress); res.Status() != 200 {
		x.t.Fatalf("the caller got %d %s", res.Status(), res.Header("Warning"))
	}
	var told []call.EventKind
	for !slices.Contains(told, call.LegActive) {
		n := next(x.t, x.watch.Notes())
		if n.Event.Leg == x.leg {
			told = append(told, n.Event.Kind)
		}
	}
	if want := []call.EventKind{call.LegRinging, call.LegAlerted, call.LegActive}; !slices.Equal(told, want) {
		x.t.Errorf("the engine told %v, want %v", told, want)
	}
}

// TestAnswerByTalk: a phone that listens to talk is told so in its early dialog, and nothing else happens.
func TestAnswerByTalk(t *testing.T) {
	x := ringing(t, sip.Field{Name: "Allow-Events", Value: "hold, talk"})
	x.ask()
	n := next(t, x.reqs)
	if n.m.Method() != sip.NOTIFY || n.m.Header("Event") != "talk" || n.m.ToTag() != x.first.tx.LocalTag() || n.m.FromTag() != x.first.m.FromTag() {
		t.Fatalf("b got %s", n.m)
	}
	_ = n.tx.Reply(200, "")
	x.up(x.first)
	if len(x.cancelled) > 0 {
		t.Error("its INVITE was cancelled all the same")
	}
}

// TestAnswerByRingingAgain: a phone that knows no such word is rung once more, and asked to answer.
func TestAnswerByRingingAgain(t *testing.T) {
	x := ringing(t)
	x.ask()
	tx := next(t, x.cancelled)
	if why := tx.Request().Header("Reason"); why != "" {
		t.Errorf("the INVITE has the reason %q", why)
	}
	x.cancelled <- tx
	again := x.renewed()
	x.ask() // once more changes nothing
	x.rings(again)
	x.up(again)
}

// TestAnswerTalkRefused: it said talk, and refuses it: then it is rung once more.
func TestAnswerTalkRefused(t *testing.T) {
	x := ringing(t, sip.Field{Name: "Allow-Events", Value: "talk"})
	x.ask()
	n := next(t, x.reqs)
	_ = n.tx.Reply(489, "")
	x.up(x.renewed())
}

// TestAnswerCrossesUser: the user answers, or refuses, while the INVITE is cancelled: that counts.
func TestAnswerCrossesUser(t *testing.T) {
	x := ringing(t)
	x.ask()
	next(t, x.cancelled)
	x.up(x.first)
	for m := next(t, x.reqs); m.m.Method() != sip.ACK; m = next(t, x.reqs) {
		t.Errorf("b got %s", m.m.Method())
	}
	if n := len(x.reqs); n > 0 {
		t.Errorf("b got %d more requests", n)
	}

	x = ringing(t)
	x.ask()
	next(t, x.cancelled)
	refuse(x.first, 486)
	if res := final(t, x.ress); res.Status() != 486 {
		t.Errorf("the caller got %d", res.Status())
	}
}

// TestAnswerRefusedThen: the second INVITE is refused like any other.
func TestAnswerRefusedThen(t *testing.T) {
	x := ringing(t)
	x.ask()
	refuse(x.renewed(), 486)
	if res := final(t, x.ress); res.Status() != 486 {
		t.Errorf("the caller got %d", res.Status())
	}
}

// TestAnswerCallerGone: the caller gives up while its call is rung once more: nothing is sent again.
func TestAnswerCallerGone(t *testing.T) {
	x := ringing(t)
	x.ask()
	next(t, x.cancelled)
	if reply, err := x.host.Request(t.Context(), "cti", call.Drop{Leg: x.leg}); err != nil || reply.Cause != call.CauseNone {
		t.Fatal(reply, err)
	}
	refuse(x.first, 487)
	if res := final(t, x.ress); res.Status() < 400 {
		t.Errorf("the caller got %d", res.Status())
	}
	_, out := record(x.b)
	x.b.onRequest = func(tx *endpoint.ServerTx, m *sip.Message) { x.reqs <- received{tx, m} }
	x.b.send(x.b.invite("9999", offer(31000)))
	final(t, out) // what came besides has come before this
	if n := len(x.reqs); n > 0 {
		t.Errorf("b got %d more requests, first %s", n, next(t, x.reqs).m.Method())
	}
}
