package sipleg

import (
	"slices"
	"strconv"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// From the engine to the session.

// command carries out one command; the goroutine at work on the shard of the leg calls it.
func (l *leg) command(c call.Command) {
	if l.state == legOver {
		return
	}
	switch c := c.(type) {
	case call.Ring:
		l.dial(c)
	case call.AnswerNow:
		l.answerNow()
	case call.Alert:
		l.step(dialog.Ring{Status: 180, Headers: append(l.asserts(c.Connected), l.beside()...)})
	case call.Progress:
		l.earlyMedia(c)
	case call.Answer:
		l.answer(c)
	case call.Confirm:
		l.complete(c.Media)
	case call.Reoffer:
		l.offer(c)
	case call.AnswerReoffer:
		if l.reoffer = false; l.told {
			l.known(c.Media)
			return
		}
		l.complete(c.Media)
	case call.RejectReoffer:
		l.reoffer = false
		l.drv.cfg.Plane.Rollback(media.LegID(l.id))
		if l.told {
			l.told = false // the peer goes on as it likes, and the other end as it was
			return
		}
		l.step(dialog.Reject{Status: c.Cause.SIP(), Headers: []dialog.Header{reason(c.Cause, "")}})
	case call.Identify:
		l.identify(c)
	case call.ShowLock:
		l.showLock(c)
	case call.SendDigit:
		l.digit(c)
	case call.TransferResult:
		l.result(c)
	case call.Release:
		l.release(c)
	}
}

// earlyMedia is a 183, with the answer where there is one.
func (l *leg) earlyMedia(c call.Progress) {
	body, err := l.make(c.Media)
	if err != nil {
		return // early media is a courtesy; the answer that counts comes with the 200
	}
	if body != nil {
		l.early = body
	}
	l.step(dialog.Ring{Status: 183, Body: body})
}

// answer is the 200 to the peer's INVITE.
func (l *leg) answer(c call.Answer) {
	body, err := l.make(c.Media)
	if err != nil {
		l.fail(err)
		return
	}
	if body == nil {
		body = l.early
	}
	l.state, l.early = legUp, nil
	l.confirmed.Store(true)
	l.focus(c.Media.Focus)
	l.said.Lock, l.said.Call = c.Lock, c.GlobalID
	l.step(dialog.Accept{Body: body, Headers: slices.Concat(l.asserts(c.Connected), l.lockInfo(c.Lock), l.beside())})
}

// complete answers what the peer offered: ACK, or 200 to re-INVITE and UPDATE.
func (l *leg) complete(m call.Media) {
	body, err := l.make(m)
	if err != nil {
		l.fail(err)
		return
	}
	l.focus(m.Focus)
	l.step(dialog.Answer{Body: body})
}

// fail ends a leg for which no description can be made.
func (l *leg) fail(err error) {
	status, headers := l.refusal(err)
	headers = append(headers, reason(call.NotAcceptable, err.Error()))
	l.released(call.NotAcceptable, "")
	l.step(dialog.End{Status: status, Headers: headers})
}

// offer sends a new offer, or asks for one.
func (l *leg) offer(c call.Reoffer) {
	if l.reoffer || l.offering || l.mending || l.ses.Exchange() == dialog.Received {
		_ = l.signal(call.ReofferRejected{Leg: l.id, Cause: call.RequestPending})
		return
	}
	body, err := l.make(c.Media)
	if err != nil {
		_ = l.signal(call.ReofferRejected{Leg: l.id, Cause: call.NotAcceptable})
		return
	}
	l.offering = true
	l.focus(c.Media.Focus)
	l.step(dialog.Offer{Body: body})
}

// identify tells the peer that somebody else is at the other end (RFC 4916 by P-Asserted-Identity).
func (l *leg) identify(c call.Identify) {
	if l.said.Inside, l.said.Call = c.Inside, c.GlobalID; c.Lock != call.LockUnknown {
		l.said.Lock, l.said.Why, l.said.Via = c.Lock, "", ""
	}
	if h := slices.Concat(l.asserts(c.Connected), l.lockInfo(c.Lock), l.beside()); h != nil {
		l.step(dialog.Refresh{Headers: h})
	}
}

// digit passes a digit on: in media that goes through us as a telephone event, otherwise by INFO, and where the peer takes neither
// as a tone.
func (l *leg) digit(c call.SendDigit) {
	noInfo := l.profile.NoInfoDigits || l.noInfo
	if len(c.Digit) == 1 && l.drv.cfg.Plane.SendDigit(media.LegID(l.id), c.Digit[0], noInfo) || noInfo {
		return
	}
	millis := c.Millis
	if millis <= 0 {
		millis = 160
	}
	l.step(dialog.Do{Method: sip.INFO, ContentType: infoRelay,
		Body: []byte("Signal=" + c.Digit + "\r\nDuration=" + strconv.Itoa(millis) + "\r\n")})
}

// result notifies the transferor (RFC 3515, 2.4.5).
func (l *leg) result(c call.TransferResult) {
	seq, quiet := l.refer, l.noResult
	if seq == 0 {
		return
	}
	if c.Final {
		l.refer = 0
	}
	if !quiet {
		l.step(dialog.ReferNotify(seq, c.Status, c.Why, c.Final))
	}
}

// release ends the leg, whatever its state.
func (l *leg) release(c call.Release) {
	l.gone = true
	was := l.state
	l.freeMedia()
	if l.ses == nil {
		l.drv.remove(l)
		return
	}
	status := c.Cause.SIP()
	headers := append([]dialog.Header{reason(c.Cause, c.Why)}, l.reasons(c)...)
	if l.node != "" && c.ToNumber != "" && was == legIncoming {
		status = 302 // RFC 3261, 21.3.3; the other node sees to it
		headers = append(headers, dialog.Header{Name: "Contact", Value: l.address(call.Identity{Number: c.ToNumber}).String()})
	}
	if c.Why != "" {
		headers = append(headers, l.warn(399, c.Why)...)
	}
	l.step(dialog.End{Status: status, Headers: headers})
}

// reason is the Reason header of a cause (RFC 3326). A leg whose call was answered elsewhere hears so with the words
// phones look for, and does not show a missed call (RFC 3326, 2).
func reason(c call.Cause, text string) dialog.Header {
	r := sip.Reason{Protocol: "Q.850", Cause: c.Q850(), Text: text}
	if c == call.PickedUpElsewhere || c == call.NonSelectedUser {
		r = sip.Reason{Protocol: "SIP", Cause: 200, Text: "Call completed elsewhere"}
	}
	return dialog.Header{Name: "Reason", Value: r.String()}
}
