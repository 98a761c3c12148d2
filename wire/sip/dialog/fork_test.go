package dialog

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// caller is a session with a call under way, and its INVITE.
func caller(t *testing.T, edit func(*Config, *Call)) (*Session, *sip.Message) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	cfg := &Config{Random: r.Uint64, Timer: TimerConfig{Off: true}}
	c := Call{URI: address("b", "b.example").URI, From: address("a", "a.example"), To: address("b", "b.example"),
		CallID: "fork-1", Contact: address("a", "192.0.2.1"), Body: []byte("o1")}
	if edit != nil {
		edit(cfg, &c)
	}
	s := New(cfg)
	out := s.Step(time.Unix(0, 0), c)
	if len(out) != 1 || out[0].Kind != OutRequest {
		t.Fatalf("Call gave %v", kinds(out))
	}
	return s, out[0].Msg
}

func kinds(out []Output) []string {
	var k []string
	for _, o := range out {
		s := o.Kind.String()
		if o.Msg != nil && o.Kind <= OutCancel {
			s += " " + string(o.Msg.Method())
		}
		k = append(k, s)
	}
	return k
}

// reply is a response of the fork with that tag.
func reply(invite *sip.Message, status int, tag, body string, headers ...Header) *sip.Message {
	m := sip.NewResponse(invite, status, "")
	m.SetToTag(tag)
	m.SetContact(address("b", tag+".example"))
	if body != "" {
		m.SetBody(ContentSDP, []byte(body))
	}
	for _, h := range headers {
		m.Add(h.Name, h.Value)
	}
	return m
}

// RFC 3261, 13.2.2.4: each fork is a dialog of its own; the first 2xx wins, a later one is acknowledged and ended.
func TestForkedCallKeepsTheFirstAnswerAndEndsTheOthers(t *testing.T) {
	s, invite := caller(t, nil)
	now := time.Unix(1, 0)
	for _, tag := range []string{"x", "y"} {
		if got := kinds(s.Step(now, Response{reply(invite, 180, tag, "")})); !slices.Equal(got, []string{"progress"}) {
			t.Fatalf("180 of %s: %v", tag, got)
		}
	}
	out := s.Step(now, Response{reply(invite, 200, "x", "ax")})
	if got := kinds(out); !slices.Equal(got, []string{"ack ACK", "answered"}) {
		t.Fatalf("200 of x: %v", got)
	}
	if u := out[0].Msg.RequestURI(); u.Host != "x.example" {
		t.Errorf("ACK goes to %s", u)
	}
	out = s.Step(now, Response{reply(invite, 200, "y", "ay")})
	if got := kinds(out); !slices.Equal(got, []string{"ack ACK", "request BYE"}) {
		t.Fatalf("200 of y: %v", got)
	}
	for _, o := range out {
		if o.Msg.RequestURI().Host != "y.example" || o.Msg.ToTag() != "y" {
			t.Errorf("%s for the loser goes to %s, tag %s", o.Msg.Method(), o.Msg.RequestURI(), o.Msg.ToTag())
		}
	}
	if s.Phase() != PhaseUp || s.Remote.Tag() != "x" {
		t.Errorf("session is %s with %s", s.Phase(), s.Remote.Tag())
	}
	// The loser's answer to our BYE must not end the winner's call.
	bye := out[1].Msg
	if got := kinds(s.Step(now, Response{reply(bye, 200, "y", "")})); len(got) != 0 {
		t.Errorf("200 to the loser's BYE: %v", got)
	}
}

// RFC 3261, 13.2.2.4: a repeated 2xx gets the same ACK again, for 64*T1.
func TestRepeated2xxIsAcknowledgedAgain(t *testing.T) {
	s, invite := caller(t, nil)
	now := time.Unix(1, 0)
	ok := reply(invite, 200, "x", "ax")
	first := s.Step(now, Response{ok})[0].Msg
	again := s.Step(now.Add(time.Second), Response{ok})
	if len(again) != 1 || again[0].Msg != first {
		t.Fatalf("repeated 200: %v", kinds(again))
	}
	if d := s.Deadline(); !d.Equal(now.Add(32 * time.Second)) {
		t.Errorf("ACK is kept until %v", d.Sub(now))
	}
	s.Step(now.Add(32*time.Second), Tick{})
	if got := s.Step(now.Add(33*time.Second), Response{ok}); len(got) != 0 {
		t.Errorf("after 64*T1: %v", kinds(got))
	}
}

// RFC 3262, 4: each fork numbers its reliable responses on its own; gaps and repetitions are ignored.
func TestReliableResponsesOfForks(t *testing.T) {
	s, invite := caller(t, nil)
	now := time.Unix(1, 0)
	rel := func(tag, rseq string) *sip.Message {
		return reply(invite, 183, tag, "", Header{"Require", "100rel"}, Header{"RSeq", rseq})
	}
	for _, c := range []struct {
		m    *sip.Message
		want []string
	}{
		{rel("x", "10"), []string{"progress", "request PRACK"}},
		{rel("x", "10"), nil},
		{rel("x", "12"), nil},
		{rel("y", "500"), []string{"progress", "request PRACK"}},
		{rel("x", "11"), []string{"progress", "request PRACK"}},
		{rel("x", "zero"), nil},
	} {
		out := s.Step(now, Response{c.m})
		if got := kinds(out); !slices.Equal(got, c.want) {
			t.Errorf("%s RSeq %s: %v, want %v", c.m.ToTag(), c.m.Header("RSeq"), got, c.want)
		}
		if len(out) > 1 && out[1].Msg.ToTag() != c.m.ToTag() {
			t.Errorf("PRACK for %s went to %s", c.m.ToTag(), out[1].Msg.ToTag())
		}
	}
}

// RFC 3261, 12.2.1.1: loose and strict routes.
func TestRouteSet(t *testing.T) {
	for _, c := range []struct {
		name, rr string
		uri      string
		routes   []string
	}{
		{"none", "", "sip:b@x.example", nil},
		{"loose", "<sip:p2.example;lr>,<sip:p1.example;lr>", "sip:b@x.example", []string{"<sip:p1.example;lr>", "<sip:p2.example;lr>"}},
		{"strict", "<sip:p2.example;lr>,<sip:p1.example>", "sip:p1.example", []string{"<sip:p2.example;lr>", "<sip:b@x.example>"}},
	} {
		s, invite := caller(t, nil)
		ok := reply(invite, 200, "x", "ax")
		if c.rr != "" {
			ok.Add("Record-Route", c.rr)
		}
		ack := s.Step(time.Unix(1, 0), Response{ok})[0].Msg
		if got := ack.RequestURI().String(); got != c.uri {
			t.Errorf("%s: Request-URI %s, want %s", c.name, got, c.uri)
		}
		var routes []string
		for _, r := range ack.Routes() {
			routes = append(routes, r.String())
		}
		if !slices.Equal(routes, c.routes) {
			t.Errorf("%s: routes %v, want %v", c.name, routes, c.routes)
		}
	}
}

// A request of the peer with an old CSeq is answered with 500, one of an unknown dialog with 481, one that demands an
// unknown extension with 420, and the session lives on.
func TestBadRequestsInDialog(t *testing.T) {
	s, invite := caller(t, nil)
	now := time.Unix(1, 0)
	s.Step(now, Response{reply(invite, 200, "x", "ax")})
	ask := func(method sip.Method, seq uint32, tag string, headers ...Header) *sip.Message {
		m := sip.NewRequest(method, address("a", "192.0.2.1").URI)
		m.SetFrom(sip.Address{URI: address("b", "b.example").URI, Params: sip.Params{{Name: "tag", Value: tag}}})
		m.SetTo(invite.From())
		m.SetCallID("fork-1")
		m.SetCSeq(sip.CSeq{Seq: seq, Method: method})
		for _, h := range headers {
			m.Add(h.Name, h.Value)
		}
		return m
	}
	for _, c := range []struct {
		m    *sip.Message
		want int
	}{
		{ask(sip.OPTIONS, 10, "x"), 200},
		{ask(sip.OPTIONS, 9, "x"), 500},
		{ask(sip.BYE, 11, "stranger"), 481},
		{ask(sip.OPTIONS, 12, "x", Header{"Require", "warp"}), 420},
		{ask(sip.PRACK, 13, "x", Header{"RAck", "1 1 INVITE"}), 481},
	} {
		out := s.Step(now, Request{Tx: 1, Msg: c.m})
		if len(out) != 1 || out[0].Kind != OutResponse || out[0].Msg.Status() != c.want {
			t.Errorf("%s %d of %s: %v", c.m.Method(), c.m.CSeq().Seq, c.m.FromTag(), kinds(out))
		}
	}
	if s.Phase() != PhaseUp {
		t.Errorf("session is %s", s.Phase())
	}
}

// 401 with credentials is tried again with the next CSeq; a peer that keeps asking is given up.
func TestChallengedCall(t *testing.T) {
	s, invite := caller(t, func(c *Config, _ *Call) {
		c.Authorize = func(_, next *sip.Message) bool { next.Set("Authorization", "Digest x"); return true }
	})
	now := time.Unix(1, 0)
	for range maxRetries {
		out := s.Step(now, Response{reply(invite, 401, "x", "")})
		if len(out) != 1 || out[0].Kind != OutRequest || out[0].Msg.CSeq().Seq != invite.CSeq().Seq+1 {
			t.Fatalf("after 401: %v", kinds(out))
		}
		invite = out[0].Msg
	}
	if got := kinds(s.Step(now, Response{reply(invite, 401, "x", "")})); !slices.Equal(got, []string{"ended"}) {
		t.Fatalf("after the last 401: %v", got)
	}
}

// RFC 3261, 14.1: the waits after a glare, by role.
func TestGlareWaits(t *testing.T) {
	for _, owner := range []bool{true, false} {
		low, high := time.Duration(0), 2*time.Second
		if owner {
			low, high = 2100*time.Millisecond, 4*time.Second
		}
		r := rand.New(rand.NewPCG(3, 3))
		s := New(&Config{Random: r.Uint64})
		s.Caller = owner
		seen := map[time.Duration]bool{}
		for range 2000 {
			s.retry, s.pending, s.now = time.Time{}, nil, time.Unix(9, 0)
			s.glare(change{})
			w := s.retry.Sub(s.now).Truncate(10 * time.Millisecond)
			if w < low || w > high {
				t.Fatalf("owner %v waits %v", owner, w)
			}
			seen[w] = true
		}
		if !seen[low] || !seen[high] || len(seen) < 150 {
			t.Errorf("owner %v: %d different waits, ends seen: %v %v", owner, len(seen), seen[low], seen[high])
		}
	}
}

// The exchange follows RFC 6337, table 1: every pair of carriers, and nothing else.
func TestOfferAnswerTable(t *testing.T) {
	legal := map[[2]Carrier]bool{
		{CarrierInvite, CarrierInvite2xx}: true, {CarrierInvite2xx, CarrierAck}: true,
		{CarrierInvite, CarrierReliable1xx}: true, {CarrierReliable1xx, CarrierPrack}: true,
		{CarrierPrack, CarrierPrack2xx}: true, {CarrierUpdate, CarrierUpdate2xx}: true,
	}
	for o := CarrierNone; o <= CarrierAck; o++ {
		for a := CarrierNone; a <= CarrierAck; a++ {
			var n Negotiation
			offer, err := n.Send(o)
			if (err == nil && offer) != mayOffer(o) {
				t.Errorf("offer in %s: %v", o, err)
			}
			if err != nil {
				continue
			}
			if _, err := n.Send(o); err == nil {
				t.Errorf("second offer in %s was let through", o)
			}
			_, err = n.Receive(a)
			if (err == nil) != legal[[2]Carrier{o, a}] {
				t.Errorf("offer in %s, answer in %s: %v", o, a, err)
			}
			if err == nil && n.State() != Stable {
				t.Errorf("after %s, %s: %s", o, a, n.State())
			}
			n.Fail()
			if want := map[bool]OfferState{true: Stable, false: Idle}[err == nil]; n.State() != want {
				t.Errorf("Fail after %s, %s: %s", o, a, n.State())
			}
		}
	}
}
