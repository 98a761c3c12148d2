package sipleg

import (
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// How a phone that rings is had to answer without its user (call.AnswerNow). A phone that says "Allow-Events: talk" while it rings is told to
// by a NOTIFY of that event, in the early dialog: a convention that many makers of desk phones share, and no RFC has. All others are rung once
// more, since a call that rings cannot be told to answer: the INVITE is cancelled, with the reason that keeps it from being shown as missed, and
// sent again as one that asks to be answered at once (call.Ring.AutoAnswer). For the engine that is one leg that goes on ringing:
//
//	INVITE ----> 180                  CANCEL crosses      INVITE, answer-after=0
//	CANCEL ----> 487 ----------------------------------> new session, same Call-ID, same leg ---> 200
//	       ----> 200 (the user was quicker) ------------> taken as it is
//	       ----> 486 (the user refuses) ----------------> refused
//
// A phone that knows neither rings on, and its user answers.

// attempt is what a phone was rung with last, kept while it rings.
type attempt struct {
	ring *call.Ring
	way  Way
}

// answerNow has the phone answer.
func (l *leg) answerNow() {
	switch {
	case l.state != legOutgoing || l.gone || l.again == nil || l.renewing || l.again.ring.AutoAnswer:
	case l.talks && !l.nudged:
		l.nudged = true
		l.step(dialog.Do{Method: sip.NOTIFY, Headers: []dialog.Header{{Name: "Event", Value: "talk"}, {Name: "Subscription-State", Value: "active"}}})
	default:
		l.renew()
	}
}

// renew begins to ring the phone once more. The session hears nothing of it: its INVITE is cancelled behind its back, and unless that
// fails it is never asked again.
func (l *leg) renew() {
	if l.tx == nil {
		return // its outcome is here already
	}
	l.renewing = true
	l.cancel([]dialog.Header{reason(call.PickedUpElsewhere, "")})
}

// responded is the outcome of a request that means nothing to the session: a phone that will not be told to answer is rung once more.
func (l *leg) responded(o dialog.Output) {
	if o.Msg != nil && o.Msg.Method() == sip.NOTIFY && o.Status >= 300 && l.nudged && l.state == legOutgoing && !l.renewing && !l.gone {
		l.renew()
	}
}

// renewed takes the final response to an INVITE that was cancelled to ring once more; false leaves it to the session.
func (l *leg) renewed(m *sip.Message) bool {
	l.renewing = false
	if m.Status() != 487 || l.gone {
		return false
	}
	ring := *l.again.ring
	ring.AutoAnswer, ring.Quiet = true, false
	l.forgetAttempt()
	l.ring, l.ways = &ring, []Way{l.again.way}
	if !l.tryWay() {
		l.ses = nil
		l.abandon(call.NotAcceptable)
	}
	return true
}

// forgetAttempt makes room for another INVITE of the same leg.
func (l *leg) forgetAttempt() {
	l.drv.mu.Lock()
	delete(l.drv.byDialog, l.key)
	l.drv.mu.Unlock()
	l.drv.cfg.Plane.Rollback(media.LegID(l.id))
	l.heard = nil
}
