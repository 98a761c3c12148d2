package dialog

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// What peers do that the scripts cannot make our own session do: challenge, offer in PRACK, change an answer, wrap a
// description in a multipart body.

var moment = time.Unix(1, 0)

// up is a call of ours that is answered.
func up(t *testing.T, edit func(*Config, *Call)) *Session {
	t.Helper()
	s, invite := caller(t, edit)
	got := kinds(s.Step(moment, Response{reply(invite, 200, "x", "a1", Header{"Allow", DefaultAllow})}))
	if !slices.Equal(got, []string{"ack ACK", "answered"}) {
		t.Fatalf("200 gave %v", got)
	}
	return s
}

func authorized(c *Config, _ *Call) {
	n := 0
	c.Authorize = func(challenge, next *sip.Message) bool {
		n++
		next.Set("Authorization", "Digest "+strconv.Itoa(n))
		return n < 10
	}
}

// only is the one output of a step.
func only(t *testing.T, out []Output, kind Kind) Output {
	t.Helper()
	if len(out) != 1 || out[0].Kind != kind {
		t.Fatalf("got %v, want one %s", kinds(out), kind)
	}
	return out[0]
}

// RFC 3261, 22.2: every request inside the dialog that is challenged goes out again with credentials and the next CSeq.
func TestChallengedRequestsInDialog(t *testing.T) {
	for _, c := range []struct {
		method sip.Method
		in     Input
		then   string // what the 200 gives in the end
	}{
		{sip.BYE, End{}, "ended"},
		{sip.UPDATE, Refresh{}, "refreshed"},
		{sip.INFO, Do{Method: sip.INFO}, "response-event"},
		{sip.REFER, Do{Method: sip.REFER}, "response-event"},
		{sip.NOTIFY, Do{Method: sip.NOTIFY}, "response-event"},
		{sip.INVITE, Offer{Body: []byte("o2")}, "ack ACK,agreed"},
	} {
		t.Run(string(c.method), func(t *testing.T) {
			s := up(t, authorized)
			first := only(t, s.Step(moment, c.in), OutRequest).Msg
			second := only(t, s.Step(moment, Response{reply(first, 407, "x", "")}), OutRequest)
			if m := second.Msg; m.Method() != c.method || m.CSeq().Seq != first.CSeq().Seq+1 || second.Seq != m.CSeq().Seq || m.Header("Authorization") != "Digest 1" {
				t.Fatalf("after the challenge: %s", m.Append(nil))
			}
			body := ""
			if c.method == sip.INVITE {
				body = "a2"
			}
			if got := kinds(s.Step(moment, Response{reply(second.Msg, 200, "x", body)})); strings.Join(got, ",") != c.then {
				t.Errorf("after the 200: %v", got)
			}
			if len(s.open) != 0 {
				t.Errorf("%d requests are kept", len(s.open))
			}
		})
	}
}

// A reliable provisional response whose PRACK is challenged is still acknowledged.
func TestChallengedPrack(t *testing.T) {
	s, invite := caller(t, authorized)
	out := s.Step(moment, Response{reply(invite, 183, "x", "a1", Header{"Require", "100rel"}, Header{"RSeq", "7"})})
	if got := kinds(out); !slices.Equal(got, []string{"progress", "request PRACK", "agreed"}) {
		t.Fatalf("183 gave %v", got)
	}
	first := out[1].Msg
	again := only(t, s.Step(moment, Response{reply(first, 401, "x", "")}), OutRequest).Msg
	if again.Method() != sip.PRACK || again.Header("RAck") != first.Header("RAck") || !again.Has("Authorization") {
		t.Errorf("%s", again.Append(nil))
	}
}

// A peer that never is content gets its last refusal as the outcome, and no more attempts.
func TestEndlessChallenge(t *testing.T) {
	s := up(t, authorized)
	m := only(t, s.Step(moment, Do{Method: sip.INFO}), OutRequest).Msg
	for range maxRetries {
		m = only(t, s.Step(moment, Response{reply(m, 401, "x", "")}), OutRequest).Msg
	}
	if o := only(t, s.Step(moment, Response{reply(m, 401, "x", "")}), EvResponse); o.Status != 401 {
		t.Errorf("%+v", o)
	}
}

// RFC 3261, 22.1: the ACK has the credentials of its INVITE.
func TestAckRepeatsCredentials(t *testing.T) {
	s, invite := caller(t, authorized)
	next := only(t, s.Step(moment, Response{reply(invite, 401, "x", "")}), OutRequest).Msg
	out := s.Step(moment, Response{reply(next, 200, "x", "a1")})
	if ack := out[0].Msg; ack.Method() != sip.ACK || ack.Header("Authorization") != "Digest 1" {
		t.Errorf("%s", ack.Append(nil))
	}
}

// callee is a session with an INVITE of the peer, and a way to make further requests of it.
func callee(t *testing.T, contentType, offer string) (s *Session, request func(sip.Method, string) Request) {
	t.Helper()
	_, invite := caller(t, func(c *Config, _ *Call) { c.Reliable = ReliablePreferred })
	invite.SetBody(contentType, []byte(offer))
	n := uint64(0)
	s = New(&Config{Random: func() uint64 { n++; return n }, Reliable: ReliablePreferred, Timer: TimerConfig{Off: true}})
	peer := NewUAC(invite)
	if o := only(t, s.Step(moment, Request{Tx: 1, Msg: invite, Tag: "us", Contact: address("b", "192.0.2.2")}), EvInvite); string(o.Body) != "o1" {
		t.Fatalf("offer %q", o.Body)
	}
	peer.Remote.Params = peer.Remote.Params.With("tag", "us")
	return s, func(m sip.Method, body string) Request {
		r := peer.Request(m)
		r.SetContact(address("a", "192.0.2.1"))
		if body != "" {
			r.SetBody(ContentSDP, []byte(body))
		}
		return Request{Tx: string(m), Msg: r}
	}
}

// pracked rings with an answer, reliably, has the call accepted, and brings the PRACK with an offer of its own.
func pracked(t *testing.T) (*Session, func(sip.Method, string) Request) {
	t.Helper()
	s, request := callee(t, ContentSDP, "o1")
	rel := only(t, s.Step(moment, Ring{Status: 183, Body: []byte("a1")}), OutResponse).Msg
	if out := s.Step(moment, Accept{Body: []byte("a1")}); len(out) != 0 {
		t.Fatalf("the 200 did not wait for the PRACK: %v", kinds(out))
	}
	p := request(sip.PRACK, "o2")
	p.Msg.Set("RAck", rel.Header("RSeq")+" "+rel.CSeq().String())
	if o := only(t, s.Step(moment, p), EvOffer); o.Carrier != CarrierPrack || string(o.Body) != "o2" {
		t.Fatalf("%+v", o)
	}
	return s, request
}

// RFC 6337, table 1, pattern 5: an offer in PRACK is answered in its 200, and the INVITE's 200 waited for it.
func TestOfferInPrack(t *testing.T) {
	for _, c := range []struct {
		in     Input
		status int
		body   string
	}{{Answer{Body: []byte("a2")}, 200, "a2"}, {Reject{Status: 488}, 488, ""}} {
		s, _ := pracked(t)
		out := s.Step(moment, c.in)
		if got := kinds(out); !slices.Equal(got, []string{"response PRACK", "response INVITE"}) {
			t.Fatalf("%T gave %v", c.in, got)
		}
		if m := out[0].Msg; m.Status() != c.status || string(m.Body()) != c.body {
			t.Errorf("PRACK: %d %q", m.Status(), m.Body())
		}
		if m := out[1].Msg; m.Status() != 200 || s.Exchange() != Stable {
			t.Errorf("INVITE: %d, %s", m.Status(), s.Exchange())
		}
	}
}

// RFC 3311, 5.2: an UPDATE with an offer before our answer went out comes too early: 500 with Retry-After.
func TestUpdateBeforeTheAnswer(t *testing.T) {
	s, request := callee(t, ContentSDP, "o1")
	if m := only(t, s.Step(moment, request(sip.UPDATE, "o2")), OutResponse).Msg; m.Status() != 500 || !m.Has("Retry-After") {
		t.Errorf("%s", m.Append(nil))
	}
}

// RFC 5621: a description is found in a multipart body, in every message that may carry one.
func TestDescriptionInMultipart(t *testing.T) {
	wrap := func(sdp string) string {
		return "--b\r\nContent-Type: image/png\r\nContent-Disposition: icon;handling=optional\r\n\r\nPNG\r\n--b\r\nContent-Type: application/sdp\r\n\r\n" + sdp + "\r\n--b--\r\n"
	}
	const mixed = "multipart/mixed; boundary=b"
	t.Run("INVITE and UPDATE", func(t *testing.T) {
		s, request := callee(t, mixed, wrap("o1"))
		s.Step(moment, Accept{Body: []byte("a1")})
		update := request(sip.UPDATE, "")
		update.Msg.SetBody(mixed, []byte(wrap("o2")))
		if o := only(t, s.Step(moment, update), EvOffer); string(o.Body) != "o2" {
			t.Errorf("UPDATE offers %q", o.Body)
		}
	})
	t.Run("200", func(t *testing.T) {
		s, invite := caller(t, nil)
		ok := reply(invite, 200, "x", "")
		ok.SetBody(mixed, []byte(wrap("a1")))
		if out := s.Step(moment, Response{ok}); len(out) != 2 || string(out[1].Body) != "a1" {
			t.Errorf("%v", kinds(out))
		}
	})
	t.Run("ACK", func(t *testing.T) {
		s, invite := caller(t, func(_ *Config, c *Call) { c.Body = nil })
		b := New(&Config{Random: func() uint64 { return 5 }, Timer: TimerConfig{Off: true}})
		b.Step(moment, Request{Tx: 1, Msg: invite, Tag: "us", Contact: address("b", "192.0.2.2")})
		ok := only(t, b.Step(moment, Accept{Body: []byte("o1")}), OutResponse).Msg
		s.Step(moment, Response{ok})
		ack := only(t, s.Step(moment, Answer{Body: []byte("a1")}), OutAck).Msg
		ack.SetBody(mixed, []byte(wrap("a1")))
		if out := b.Step(moment, Request{Msg: ack}); len(out) != 2 || out[0].Kind != EvAgreed || string(out[0].Body) != "a1" {
			t.Errorf("%v", kinds(out))
		}
	})
}

// A refresh of ours by re-INVITE: an answer that says something new is handed on, one that only counted its version up is not.
func TestRefreshWithChangedAnswer(t *testing.T) {
	const before, counted, changed = "v=0\r\no=- 1 1 x\r\nm=1\r\n", "v=0\r\no=- 1 2 x\r\nm=1\r\n", "v=0\r\no=- 1 3 x\r\nm=2\r\n"
	s, invite := caller(t, nil)
	s.Step(moment, Response{reply(invite, 200, "x", before)})
	for _, c := range []struct{ answer, want string }{{counted, ""}, {changed, changed}, {changed, ""}, {before, before}} {
		re := only(t, s.Step(moment, Refresh{}), OutRequest).Msg
		if re.Method() != sip.INVITE {
			t.Fatalf("refreshed by %s", re.Method())
		}
		out := s.Step(moment, Response{reply(re, 200, "x", c.answer)})
		if got := kinds(out); !slices.Equal(got, []string{"ack ACK", "refreshed"}) || string(out[1].Body) != c.want {
			t.Errorf("%q gave %v %q, want %q", c.answer, got, out[1].Body, c.want)
		}
	}
}

// A second reliable provisional response with other early media is an answer too; the same one again is none.
func TestSecondReliableDescription(t *testing.T) {
	s, invite := caller(t, nil)
	for i, c := range []struct {
		body   string
		agreed bool
	}{{"a1", true}, {"a1", false}, {"a2", true}, {"", false}} {
		out := s.Step(moment, Response{reply(invite, 183, "x", c.body, Header{"Require", "100rel"}, Header{"RSeq", strconv.Itoa(i + 1)})})
		last := out[len(out)-1]
		if got := last.Kind == EvAgreed; got != c.agreed || got && string(last.Body) != c.body {
			t.Errorf("%d: %v", i, kinds(out))
		}
	}
	out := s.Step(moment, Response{reply(invite, 200, "x", "")})
	if got := kinds(out); !slices.Equal(got, []string{"ack ACK", "answered"}) {
		t.Errorf("200 gave %v", got)
	}
}

// What a gentle refresh has to tell a peer without UPDATE is told by the next change, whoever makes it, and once; of two the newer counts.
func TestGentleRefreshOfAPeerWithoutUpdate(t *testing.T) {
	const lock = "Call-Info"
	s, invite := caller(t, nil)
	s.Step(moment, Response{reply(invite, 200, "x", "a1")})
	for _, word := range []string{"older", "newer"} {
		if out := s.Step(moment, Refresh{Headers: []Header{{lock, word}}, Gentle: true}); len(out) != 0 {
			t.Fatalf("it made %v", kinds(out))
		}
	}
	re := only(t, s.Step(moment, Offer{Body: []byte("o2")}), OutRequest).Msg
	if got := re.Headers(lock); re.Method() != sip.INVITE || !slices.Equal(got, []string{"newer"}) {
		t.Errorf("the re-INVITE says %q", got)
	}
	s.Step(moment, Response{reply(re, 200, "x", "a2")})
	re = only(t, s.Step(moment, Offer{Body: []byte("o3")}), OutRequest).Msg
	if got := re.Headers(lock); len(got) != 0 {
		t.Errorf("the next one says %q as well", got)
	}
	s, request := callee(t, ContentSDP, "o1")
	ok := only(t, s.Step(moment, Accept{Body: []byte("a1")}), OutResponse).Msg
	ack := request(sip.ACK, "")
	ack.Msg.SetCSeq(sip.CSeq{Seq: ok.CSeq().Seq, Method: sip.ACK})
	s.Step(moment, ack)
	s.peerUpdate = false
	s.Step(moment, Refresh{Headers: []Header{{lock, "last"}}, Gentle: true})
	s.Step(moment, request(sip.INVITE, "o2"))
	if got := only(t, s.Step(moment, Answer{Body: []byte("a2")}), OutResponse).Msg.Headers(lock); !slices.Equal(got, []string{"last"}) {
		t.Errorf("the 200 to the peer's re-INVITE says %q", got)
	}
}
