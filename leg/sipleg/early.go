package sipleg

import (
	"errors"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// Descriptions that come where the engine has no step for them: it knows one exchange before the answer, and offers after it.
//
//	peer does                                        what happens
//	offer in PRACK or early UPDATE, media through    answered here: the other end need not know
//	us, or only the direction changes
//	the same, media direct and something changes     UPDATE: 504 (RFC 3311, 5.2: what cannot be decided promptly);
//	                                                 PRACK: 488. The peer may ask again once the call is answered
//	offer in a reliable 1xx (our INVITE had none)    the call ends with 488: the engine has nobody to ask yet
//	another answer after the one passed on in a 183  the engine's: re-INVITE once the call is answered, as a caller
//	                                                 ignores it (RFC 3261, 13.2.1)
//	changed answer to a refresh of ours              an offer of the peer for the engine; what the other end answers is
//	                                                 what the peer was told in the refresh, or goes to it as an offer

// offeredEarly is an offer of the peer before the call is answered.
func (l *leg) offeredEarly(o dialog.Output) {
	if o.Carrier == dialog.CarrierReliable1xx {
		l.step(dialog.Reject{Status: 488, Headers: l.warn(399, "a call without an offer takes none before it is answered")})
		return
	}
	if _, err := l.put(call.KindOffer, o.Body); err != nil {
		l.step(l.rejection(err))
		return
	}
	body, err := l.drv.cfg.Plane.AnswerAlone(media.LegID(l.id))
	if err == nil {
		l.step(dialog.Answer{Body: body})
		return
	}
	l.drv.cfg.Plane.Rollback(media.LegID(l.id))
	if !errors.Is(err, media.ErrOtherEnd) {
		l.step(l.rejection(err))
		return
	}
	status := 488
	if o.Msg.Method() == sip.UPDATE {
		status = 504
	}
	l.step(dialog.Reject{Status: status, Headers: l.warn(399, "media goes directly to the other end, which can be asked for this change once it has answered")})
}

// changed is an answer to a refresh of ours that says something new.
func (l *leg) changed(body []byte) {
	if l.offering || l.reoffer || l.mending || l.state != legUp {
		return // the exchange under way will bring it
	}
	d, err := l.put(call.KindOffer, body)
	if err != nil {
		l.breakOff(err)
		return
	}
	l.reoffer, l.told = true, true
	_ = l.signal(call.Reoffered{Leg: l.id, Desc: d})
}

// known is the other end's answer to what changed made of a refresh: mostly what the peer was told already.
func (l *leg) known(m call.Media) {
	l.told = false
	body, err := l.make(m)
	if err != nil {
		l.fail(err)
		return
	}
	if dialog.SameDescription(body, l.ses.LocalSDP()) {
		return
	}
	if body, err = l.drv.cfg.Plane.OfferAgain(media.LegID(l.id)); err == nil {
		l.mending = true
		l.step(dialog.Offer{Body: body})
	}
}
