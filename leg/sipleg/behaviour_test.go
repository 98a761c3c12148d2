package sipleg_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/lab/phone/phonetest"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// received is a request with its transaction.
type received struct {
	tx *endpoint.ServerTx
	m  *sip.Message
}

// record has a peer put what it gets into channels.
func record(p *peer) (requests chan received, responses chan *sip.Message) {
	requests, responses = make(chan received, 32), make(chan *sip.Message, 32)
	p.onRequest = func(tx *endpoint.ServerTx, m *sip.Message) { requests <- received{tx, m} }
	p.onResponse = func(_ *endpoint.ClientTx, m *sip.Message) { responses <- m }
	return requests, responses
}

func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		var zero T
		t.Fatalf("no %T came", zero)
		return zero
	}
}

// final is the next final response.
func final(t *testing.T, c <-chan *sip.Message) *sip.Message {
	t.Helper()
	for {
		if m := next(t, c); m.IsFinal() {
			return m
		}
	}
}

// ok is a 200 of the peer with a description.
func ok(p *peer, r received, sdp string) {
	res := sip.NewResponse(r.m, 200, "")
	res.SetToTag(r.tx.LocalTag())
	res.SetContact(p.contact())
	if sdp != "" {
		res.SetBody("application/sdp", []byte(sdp))
	}
	_ = r.tx.Respond(res)
}

// established is a call from a to b that is up, with a's dialog.
func established(t *testing.T, a, b *peer, reqs chan received, ress chan *sip.Message) (*dialog.Dialog, received) {
	t.Helper()
	inv := a.invite("1002", offer(30000))
	a.send(inv)
	in := next(t, reqs)
	ok(b, in, answer(20000))
	res := final(t, ress)
	if res.Status() != 200 {
		t.Fatalf("call refused: %d %s", res.Status(), res.Header("Warning"))
	}
	base := dialog.NewUAC(inv)
	d, err := base.Establish(res)
	if err != nil {
		t.Fatal(err)
	}
	_ = a.ep.Send(d.Ack(1), a.to)
	if ack := next(t, reqs); ack.m.Method() != sip.ACK {
		t.Fatalf("b got %s, want ACK", ack.m.Method())
	}
	return &d, in
}

// TestLastHop: a call whose last hop this is goes out with Max-Forwards 0, so that it cannot go round for ever.
func TestLastHop(t *testing.T) {
	_, _, a, b := bridge(t, nil)
	reqs, _ := record(b)
	inv := a.invite("1002", offer(30000))
	inv.SetMaxForwards(1)
	a.send(inv)
	if got := next(t, reqs).m.Header("Max-Forwards"); got != "0" {
		t.Errorf("Max-Forwards %q after 1", got)
	}
}

func TestIdentifiersAndIdentitiesGoThrough(t *testing.T) {
	_, _, a, b := bridge(t, nil)
	reqs, _ := record(b)
	_, ress := record(a)
	inv := a.invite("1002", offer(30000))
	const id = "ab30317f1a784dc48ff824d0d3715d86"
	inv.Set("Session-ID", id+";remote=00000000000000000000000000000000")
	inv.Set("P-Asserted-Identity", `"Somebody Else" <sip:9999@locktone.test>`)
	inv.SetMaxForwards(20)
	a.send(inv)
	in := next(t, reqs)
	for _, c := range []struct{ what, got, want string }{
		{"Session-ID", in.m.Header("Session-ID"), id + ";remote=00000000000000000000000000000000"},
		{"From number", in.m.From().URI.User, "1001"},
		{"asserted identity: the phone's claim does not count", in.m.Header("P-Asserted-Identity"), "<sip:1001@locktone.test>"},
		{"Request-URI", in.m.RequestURI().String(), "sip:1002@192.0.2.9:5061;transport=tls"},
		{"Max-Forwards", in.m.Header("Max-Forwards"), "19"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
	if in.m.CallID() == inv.CallID() {
		t.Error("both legs have one Call-ID")
	}
	if c, _ := in.m.Contact(); c.URI.Scheme != "sip" || c.URI.Transport() != "tls" || c.URI.Port == 0 {
		t.Errorf("Contact %s", c)
	}
	if string(in.m.Body()) == offer(30000) || !strings.Contains(string(in.m.Body()), "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz") {
		t.Errorf("the offer is not passed on with its key and an origin of ours:\n%s", in.m.Body())
	}
	ok(b, in, answer(20000))
	if res := final(t, ress); !strings.HasSuffix(res.Header("Session-ID"), "remote="+id) {
		t.Errorf("Session-ID of the 200: %s", res.Header("Session-ID"))
	}
}

// A certificate that is good for its own calls is not good for somebody else's.
func TestRequestOnAnotherPeersDialogIsRefused(t *testing.T) {
	x, host, a, b := bridge(t, nil)
	reqs, _ := record(b)
	_, ress := record(a)
	d, _ := established(t, a, b, reqs, ress)
	x.AddDevice(phonetest.Device(3), call.LineID{Number: "1003"})
	thief := connect(t, x, 3, "1003")
	_, stolen := record(thief)
	thief.send(d.Request(sip.BYE))
	if res := final(t, stolen); res.Status() != 403 || res.Header("Warning") == "" {
		t.Errorf("BYE of a thief: %d %q", res.Status(), res.Header("Warning"))
	}
	if views, err := host.Calls(context.Background()); err != nil || len(views) != 1 {
		t.Fatalf("%d calls are left, %v", len(views), err)
	}
	d2 := *d
	a.send(d2.Request(sip.BYE))
	if res := final(t, ress); res.Status() != 200 {
		t.Errorf("BYE of the owner: %d", res.Status())
	}
}

// A device whose certificate was renewed in mid-call still owns its dialog.
func TestRequestUnderARenewedCertificate(t *testing.T) {
	x, _, a, b := bridge(t, nil)
	reqs, _ := record(b)
	_, ress := record(a)
	d, _ := established(t, a, b, reqs, ress)
	x.Challenge(`Digest realm="x", nonce="y"`) // who opens a call is asked for credentials; who is in one is not
	renewed := connect(t, x, 1, "1001")        // the same device, another serial number, another connection
	_, ress = record(renewed)
	renewed.send(d.Request(sip.BYE))
	if res := final(t, ress); res.Status() != 200 {
		t.Errorf("BYE under the renewed certificate: %d %s", res.Status(), res.Header("Warning"))
	}
}

// A way that fails before anything rang is followed by the next one.
func TestNextWayAfterTransportFailure(t *testing.T) {
	x, _, a, b := bridge(t, nil)
	x.Before(sipleg.Way{
		URI:     sip.URI{Scheme: "sip", User: "1002", Host: "127.0.0.1", Port: 1, Params: sip.Params{{Name: "transport", Value: "tcp"}}},
		To:      endpoint.Target{Hops: []endpoint.Hop{{Network: transport.TCP, Addr: netip.MustParseAddrPort("127.0.0.1:1")}}},
		Contact: sip.URI{Scheme: "sip", Host: "127.0.0.1", Port: 5060}, Profile: &sipleg.Profile{},
	})
	reqs, _ := record(b)
	_, ress := record(a)
	established(t, a, b, reqs, ress)
}

// RFC 4568 and the profile: SRTP was required, the answer is plain: no call.
func TestPlainAnswerEndsTheCall(t *testing.T) {
	_, _, a, b := bridge(t, nil)
	reqs, _ := record(b)
	_, ress := record(a)
	a.send(a.invite("1002", offer(30000)))
	in := next(t, reqs)
	plain := strings.ReplaceAll(strings.Split(answer(20000), "a=crypto")[0], "SAVP", "AVP")
	ok(b, in, plain)
	if res := final(t, ress); res.Status() != 488 {
		t.Errorf("a was answered with %d", res.Status())
	}
	for _, want := range []sip.Method{sip.ACK, sip.BYE} {
		if r := next(t, reqs); r.m.Method() != want {
			t.Errorf("b got %s, want %s", r.m.Method(), want)
		}
	}
}

// TestPlainAnswerOfAnEmergencyService: a trunk that answers an emergency call without SRTP is called again with plain RTP and a relay, by which
// the phone has SRTP; so is one that refuses SRTP.
func TestPlainAnswerOfAnEmergencyService(t *testing.T) {
	plain := strings.ReplaceAll(strings.Split(answer(20000), "a=crypto")[0], "SAVP", "AVP")
	for name, first := range map[string]func(*peer, received){
		"answered": func(b *peer, r received) { ok(b, r, plain) },
		"refused":  func(_ *peer, r received) { _ = r.tx.Reply(488, "") },
	} {
		t.Run(name, func(t *testing.T) {
			_, _, a, b := bridge(t, func(s *call.Site, x *phonetest.Exchange) {
				x.AddDevice(phonetest.Device(2), s.Lines[1].ID).Media.Security = desc.Optional
				s.Trunks = []call.Trunk{{Name: phonetest.Device(2), Driver: "sip", Media: call.MediaPolicy{SRTP: call.SRTPOrRTP}}}
				s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: "112", Partition: "p", Kind: dialplan.ToTrunk, To: phonetest.Device(2), Emergency: true})
			})
			reqs, _ := record(b)
			_, ress := record(a)
			a.send(a.invite("112", offer(30000)))
			first(b, next(t, reqs))
			again := next(t, reqs)
			for again.m.Method() != sip.INVITE { // ACK and BYE of the first
				again = next(t, reqs)
			}
			body := string(again.m.Body())
			if !strings.Contains(body, " RTP/AVP ") || strings.Contains(body, "a=crypto") || strings.Contains(body, "192.0.2.9") {
				t.Errorf("b got this for an offer of plain RTP with a relay:\n%s", body)
			}
			ok(b, again, plain)
			res := final(t, ress)
			if body := string(res.Body()); res.Status() != 200 || !strings.Contains(body, " RTP/SAVP ") || !strings.Contains(body, "a=crypto") || strings.Contains(body, "192.0.2.8") {
				t.Errorf("a was answered with %d\n%s", res.Status(), body)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	_, _, a, _ := bridge(t, nil)
	_, ress := record(a)
	for _, c := range []struct {
		name   string
		edit   func(*sip.Message)
		want   int
		header string
	}{
		{"unknown extension", func(m *sip.Message) { m.Set("Require", "warp") }, 420, "Unsupported"},
		{"interval too small", func(m *sip.Message) { m.Set("Session-Expires", "60") }, 422, "Min-SE"},
		{"Replaces of nothing", func(m *sip.Message) { m.Set("Replaces", "no;to-tag=a;from-tag=b") }, 481, "Warning"},
		{"dialog that does not exist", func(m *sip.Message) { m.SetToTag("gone") }, 481, ""},
		{"plain RTP", func(m *sip.Message) {
			m.SetBody("application/sdp", []byte("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0\r\n"))
		}, 488, "Warning"},
		{"broken description", func(m *sip.Message) { m.SetBody("application/sdp", []byte("nonsense")) }, 400, "Warning"},
		{"nobody has this number", func(m *sip.Message) { m.SetRequestURI(sip.URI{Scheme: "sip", User: "4711", Host: "locktone.test"}) }, 404, "Reason"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := a.invite("1002", offer(30000))
			c.edit(m)
			a.send(m)
			res := final(t, ress)
			if res.Status() != c.want || c.header != "" && res.Header(c.header) == "" {
				t.Errorf("%s\nwant %d with %s", res.Append(nil), c.want, c.header)
			}
		})
	}
}

// RFC 5630, 5.3: a dialog of a sips INVITE has a sips Contact at both ends.
func TestSipsContact(t *testing.T) {
	_, _, a, b := bridge(t, nil)
	reqs, _ := record(b)
	_, ress := record(a)
	inv := a.invite("1002", offer(30000))
	inv.SetRequestURI(sip.URI{Scheme: "sips", User: "1002", Host: "locktone.test"})
	c := a.contact()
	c.URI.Scheme, c.URI.Params = "sips", nil
	inv.SetContact(c)
	a.send(inv)
	ok(b, next(t, reqs), answer(20000))
	res := final(t, ress)
	if got, _ := res.Contact(); res.Status() != 200 || got.URI.Scheme != "sips" {
		t.Errorf("%d, Contact %s", res.Status(), got)
	}
}

// A re-INVITE that changes nothing is answered by the driver; the other leg hears nothing of it.
func TestRefreshStaysOnItsLeg(t *testing.T) {
	_, _, a, b := bridge(t, nil)
	reqs, _ := record(b)
	_, ress := record(a)
	d, _ := established(t, a, b, reqs, ress)
	re := d.Request(sip.INVITE)
	re.SetContact(a.contact())
	re.SetBody("application/sdp", []byte(offer(30000)))
	a.send(re)
	res := final(t, ress)
	if res.Status() != 200 || len(res.Body()) == 0 {
		t.Fatalf("refresh: %d", res.Status())
	}
	_ = a.ep.Send(d.Ack(re.CSeq().Seq), a.to)
	a.send(d.Request(sip.BYE))
	if r := next(t, reqs); r.m.Method() != sip.BYE {
		t.Errorf("b heard %s of a's refresh", r.m.Method())
	}
}

// RFC 3326: why a call was refused goes through as the cause of Q.850.
func TestReasonOfRelease(t *testing.T) {
	_, _, a, b := bridge(t, nil)
	reqs, _ := record(b)
	_, ress := record(a)
	a.send(a.invite("1002", offer(30000)))
	in := next(t, reqs)
	_ = in.tx.Reply(486, "")
	res := final(t, ress)
	if res.Status() != 486 || !strings.HasPrefix(res.Header("Reason"), "Q.850;cause=17") {
		t.Errorf("%d %s", res.Status(), res.Header("Reason"))
	}
}
