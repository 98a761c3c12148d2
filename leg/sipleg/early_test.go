package sipleg_test

import (
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/lab/phone/phonetest"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// anchored has the media of both devices go through ports of ours.
func anchored(cs *call.Site, x *phonetest.Exchange) {
	for i := range cs.Devices {
		cs.Devices[i].Media.Anchor = true
		x.AddDevice(cs.Devices[i].Name, cs.Lines[i].ID).Media.Anchor = true
	}
}

// reliably is a reliable 183 of the peer.
func reliably(p *peer, r received, sdp string) {
	res := sip.NewResponse(r.m, 183, "")
	res.SetToTag(r.tx.LocalTag())
	res.SetContact(p.contact())
	res.Set("Require", "100rel")
	res.Set("RSeq", "1")
	res.SetBody("application/sdp", []byte(sdp))
	_ = r.tx.Respond(res)
}

// request is the next request of that method, everything else is answered with 200 on the way.
func request(t *testing.T, c <-chan received, method sip.Method) received {
	t.Helper()
	for {
		r := next(t, c)
		if r.m.Method() == method {
			return r
		}
		if r.m.Method() != sip.ACK {
			_ = r.tx.Reply(200, "")
		}
	}
}

// answered is the next final response to a method.
func answered(t *testing.T, c <-chan *sip.Message, method sip.Method) *sip.Message {
	t.Helper()
	for {
		if m := final(t, c); m.Method() == method {
			return m
		}
	}
}

// answerTo is the answer to an offer, in its suite's tag.
func answerTo(t *testing.T, offer []byte, port int) string {
	t.Helper()
	for line := range strings.Lines(string(offer)) {
		tag, _, ours := strings.Cut(strings.TrimPrefix(line, "a=crypto:"), " AES_CM_128_HMAC_SHA1_80")
		if ours {
			return strings.Replace(answer(port), "a=crypto:1", "a=crypto:"+tag, 1)
		}
	}
	t.Fatalf("no such suite in the offer:\n%s", offer)
	return ""
}

// held is a description as its next version: on hold.
func held(sdp string) string {
	return strings.Replace(strings.Replace(sdp, "a=sendrecv", "a=sendonly", 1), "o=- 2 2", "o=- 2 3", 1)
}

// RFC 3311, 5.2: an UPDATE with an offer from the called side before it answers. What needs nobody at the other end is
// answered at once; new media that would go directly to the caller is 504. The call goes on either way.
func TestEarlyUpdateOfTheCalledSide(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  func(*call.Site, *phonetest.Exchange)
		offer string
		want  int
	}{
		{"direct, direction only", nil, held(answer(20000)), 200},
		{"direct, another port", nil, answer(20002), 504},
		{"anchored, another port", anchored, answer(20002), 200},
		{"not acceptable to the profile", nil, strings.ReplaceAll(strings.Split(answer(20002), "a=crypto")[0], "SAVP", "AVP"), 488},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, a, b := bridge(t, c.edit)
			reqs, bres := record(b)
			_, ares := record(a)
			a.send(a.invite("1002", offer(30000)))
			in := next(t, reqs)
			reliably(b, in, answerTo(t, in.m.Body(), 20000))
			_ = request(t, reqs, sip.PRACK).tx.Reply(200, "")
			d, err := dialog.NewUAS(in.m, in.tx.LocalTag())
			if err != nil {
				t.Fatal(err)
			}
			up := d.Request(sip.UPDATE)
			up.SetContact(b.contact())
			up.SetBody("application/sdp", []byte(c.offer))
			b.send(up)
			res := answered(t, bres, sip.UPDATE)
			if res.Status() != c.want || (c.want == 200) != (len(res.Body()) > 0) {
				t.Errorf("UPDATE: %s", res.Append(nil))
			}
			ok(b, in, "")
			if res := answered(t, ares, sip.INVITE); res.Status() != 200 {
				t.Errorf("call: %d %s", res.Status(), res.Header("Warning"))
			}
			request(t, reqs, sip.ACK)
		})
	}
}

// RFC 3262, 5: an offer of the caller in its PRACK.
func TestOfferInPrack(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  func(*call.Site, *phonetest.Exchange)
		offer string
		want  int
	}{
		{"direct, same again", nil, offer(30000), 200},
		{"direct, another port", nil, offer(30002), 488},
		{"anchored, another port", anchored, offer(30002), 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, a, b := bridge(t, c.edit)
			reqs, _ := record(b)
			_, ares := record(a)
			inv := a.invite("1002", offer(30000))
			inv.Set("Require", "100rel")
			a.send(inv)
			in := next(t, reqs)
			early := sip.NewResponse(in.m, 183, "")
			early.SetToTag(in.tx.LocalTag())
			early.SetContact(b.contact())
			early.SetBody("application/sdp", []byte(answerTo(t, in.m.Body(), 20000)))
			_ = in.tx.Respond(early)
			rel := next(t, ares)
			for len(rel.Body()) == 0 {
				rel = next(t, ares)
			}
			base := dialog.NewUAC(inv)
			d, err := base.Establish(rel)
			if err != nil {
				t.Fatal(err)
			}
			prack := d.Request(sip.PRACK)
			prack.Set("RAck", rel.Header("RSeq")+" "+rel.CSeq().String())
			prack.SetBody("application/sdp", []byte(c.offer))
			a.send(prack)
			if res := answered(t, ares, sip.PRACK); res.Status() != c.want || (c.want == 200) != (len(res.Body()) > 0) {
				t.Errorf("PRACK: %s", res.Append(nil))
			}
			ok(b, in, answerTo(t, in.m.Body(), 20000))
			if res := answered(t, ares, sip.INVITE); res.Status() != 200 {
				t.Errorf("call: %d %s", res.Status(), res.Header("Warning"))
			}
		})
	}
}

// RFC 3261, 13.2.1: a caller that took one answer ignores another one in the 200. It is told by re-INVITE instead.
func TestAnswerThatDiffersFromTheReliableOne(t *testing.T) {
	_, _, a, b := bridge(t, nil)
	reqs, _ := record(b)
	areqs, ares := record(a)
	inv := a.invite("1002", offer(30000))
	inv.Set("Require", "100rel")
	a.send(inv)
	in := next(t, reqs)
	early := sip.NewResponse(in.m, 183, "")
	early.SetToTag(in.tx.LocalTag())
	early.SetContact(b.contact())
	early.SetBody("application/sdp", []byte(answerTo(t, in.m.Body(), 20000)))
	_ = in.tx.Respond(early)
	rel := next(t, ares)
	for len(rel.Body()) == 0 {
		rel = next(t, ares)
	}
	base := dialog.NewUAC(inv)
	d, err := base.Establish(rel)
	if err != nil {
		t.Fatal(err)
	}
	prack := d.Request(sip.PRACK)
	prack.Set("RAck", rel.Header("RSeq")+" "+rel.CSeq().String())
	a.send(prack)
	answered(t, ares, sip.PRACK)
	ok(b, in, answer(20002))
	if res := answered(t, ares, sip.INVITE); res.Status() != 200 || len(res.Body()) != 0 {
		t.Fatalf("the 200 after a reliable answer: %s", res.Append(nil))
	}
	_ = a.ep.Send(d.Ack(1), a.to)
	re := request(t, areqs, sip.INVITE)
	if len(re.m.Body()) > 0 {
		t.Errorf("the caller is not asked but told:\n%s", re.m.Body())
	}
	ok(a, re, offer(30000))
	again := request(t, reqs, sip.INVITE)
	ok(b, again, answerTo(t, again.m.Body(), 20002))
	if ack := request(t, areqs, sip.ACK); !strings.Contains(string(ack.m.Body()), "m=audio 20002 ") {
		t.Errorf("the caller hears:\n%s", ack.m.Body())
	}
	a.send(d.Request(sip.BYE))
	if res := answered(t, ares, sip.BYE); res.Status() != 200 {
		t.Errorf("BYE: %d", res.Status())
	}
}

// A phone that answers our refresh with another port: its far end is told, and the phone is asked for nothing more.
func TestChangedAnswerToARefresh(t *testing.T) {
	_, _, a, b := bridge(t, func(cs *call.Site, x *phonetest.Exchange) {
		x.AddDevice(phonetest.Device(2), cs.Lines[1].ID).Timer = dialog.TimerConfig{Interval: 2 * time.Second, Min: time.Second}
	})
	reqs, _ := record(b)
	areqs, ares := record(a)
	d, _ := established(t, a, b, reqs, ares)
	re := request(t, reqs, sip.INVITE) // b said nothing of UPDATE
	ok(b, re, strings.Replace(answer(20002), "o=- 2 2", "o=- 2 3", 1))
	request(t, reqs, sip.ACK)
	told := request(t, areqs, sip.INVITE)
	if !strings.Contains(string(told.m.Body()), "m=audio 20002 ") {
		t.Errorf("a is told:\n%s", told.m.Body())
	}
	ok(a, told, offer(30000))
	request(t, areqs, sip.ACK)
	re = request(t, reqs, sip.INVITE) // the next refresh: the same description as before
	if !strings.Contains(string(re.m.Body()), "m=audio 30000 ") {
		t.Errorf("b is offered:\n%s", re.m.Body())
	}
	ok(b, re, strings.Replace(answer(20002), "o=- 2 2", "o=- 2 3", 1))
	request(t, reqs, sip.ACK)
	a.send(d.Request(sip.BYE))
	request(t, reqs, sip.BYE)
	select {
	case r := <-areqs:
		t.Errorf("a got a %s after an answer without news", r.m.Method())
	default:
	}
}
