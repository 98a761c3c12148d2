package dialog

import (
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// Changing a session that exists: re-INVITE (RFC 3261, 14) and UPDATE (RFC 3311), the glare between both sides, and the
// refresh of RFC 4028.
//
//	they have                  we want                  what happens
//	nothing open               an offer                 re-INVITE; UPDATE in an early dialog (RFC 3311, 5.1)
//	INVITE open                an offer                 wait until its ACK (RFC 3261, 14.1)
//	--                         offer while ours is open the newest waits for the answer
//	re-INVITE, ours open       -                        491 (RFC 3261, 14.2)
//	re-INVITE, theirs open     -                        500 with Retry-After 0 to 10 s (RFC 3261, 14.2)
//	UPDATE offer, ours open    -                        491 (RFC 3311, 5.2)
//	UPDATE offer, theirs open  -                        500 with Retry-After 0 to 10 s (RFC 3311, 5.2)
//	491                        -                        again in 2.1 to 4 s when we own the Call-ID, else 0 to 2 s

// clientUpdate is our UPDATE while it is unanswered, and the peer's offer that waits for us in PRACK or UPDATE.
type clientUpdate struct {
	seq  uint32 // 0 = none open
	what change
	peer serverOffer
}

// mayChange tells whether an offer of ours can go out now.
func (s *Session) mayChange() bool {
	if s.cli.ackWaits || s.upd.seq != 0 || s.upd.peer.req != nil || s.neg.State() == Sent || s.neg.State() == Received {
		return false
	}
	switch s.phase {
	case PhaseUp:
		return s.cli.msg == nil && s.srv.req == nil && !s.srv.unacked()
	case PhaseCalling, PhaseRinging:
		return s.State == Early && s.neg.State() == Stable && s.peerUpdate
	}
	return false
}

// change sends an offer, or keeps it until it may go. A refresh never displaces a real change.
func (s *Session) change(c change) {
	if s.phase == PhaseEnding || s.phase == PhaseOver || s.phase == PhaseNone {
		if !c.refresh {
			s.emit(Output{Kind: EvRefused, Status: 481})
		}
		return
	}
	if !s.mayChange() || !s.retry.IsZero() {
		s.wait(s.pending, c)
		return
	}
	s.send(c)
}

// wait keeps what could not go out: the newest description, and all that header fields have to tell, whatever displaces
// whatever. Who is at the other end must not be forgotten because a new description came in between.
func (s *Session) wait(older *change, newer change) {
	if older != nil {
		headers := told(older.headers, newer.headers)
		if newer.refresh {
			newer = *older
		}
		newer.headers = headers
	}
	s.pending = &newer
}

// told joins header fields of two changes; of a field in both the newer one's counts.
func told(older, newer []Header) []Header {
	out := newer[:len(newer):len(newer)]
	for _, h := range older {
		if !slices.ContainsFunc(newer, func(n Header) bool { return strings.EqualFold(n.Name, h.Name) }) {
			out = append(out, h)
		}
	}
	return out
}

// takeLater gives out what waits for a message that goes anyway.
func (s *Session) takeLater() []Header {
	h := s.later
	s.later = nil
	return h
}

// send puts a change on the wire. mayChange has said yes.
func (s *Session) send(c change) {
	early := s.State == Early
	c.headers = told(s.takeLater(), c.headers)
	if early && c.ask {
		s.emit(Output{Kind: EvRefused, Status: 500}) // UPDATE cannot ask for an offer
		return
	}
	if early || c.refresh && s.peerUpdate {
		s.sendUpdate(c)
		return
	}
	m := s.Request(sip.INVITE)
	s.common(m, c.headers)
	s.timer.ask(s.cfg.Timer, m)
	if c.refresh {
		c.body = s.localSDP // the same description with the same version: nothing changes
	}
	if !c.ask {
		s.say(m, c.body, CarrierInvite)
	}
	s.cli.retries = 0
	s.sendInvite(m, false, c)
}

// WithFocus is a Contact with or without the feature parameter isfocus. RFC 4579, 4: by it a user agent knows that its peer is a conference.
func WithFocus(a sip.Address, on bool) sip.Address {
	if _, is := a.Params.Get("isfocus"); is == on {
		return a
	}
	a.Params = a.Params.Without("isfocus")
	if on {
		a.Params = append(a.Params, sip.Param{Name: "isfocus"})
	}
	return a
}

func (s *Session) sendUpdate(c change) {
	m := s.Request(sip.UPDATE)
	s.common(m, c.headers)
	if s.State == Confirmed {
		s.timer.ask(s.cfg.Timer, m)
	}
	if !c.refresh {
		s.say(m, c.body, CarrierUpdate)
	}
	s.upd.seq, s.upd.what = m.CSeq().Seq, c
	s.dispatch(m)
}

// refreshSession is the refresher's duty (RFC 4028, 10): UPDATE without a description where the peer knows it.
func (s *Session) refreshSession() {
	if s.pending != nil || s.cli.msg != nil || s.upd.seq != 0 {
		return // what is under way refreshes as well
	}
	s.change(change{refresh: true})
}

// updateResponse is a response to our UPDATE, or its absence (m is nil).
func (s *Session) updateResponse(seq uint32, status int, m *sip.Message) {
	if seq != s.upd.seq || status < 200 {
		return
	}
	what := s.upd.what
	s.upd.seq, s.upd.what = 0, change{}
	if s.phase == PhaseEnding || s.phase == PhaseOver {
		return
	}
	if status >= 300 {
		if !what.refresh {
			s.neg.Fail()
		}
		s.updateFailed(what, status, m)
		return
	}
	s.Refresh(m)
	if s.State == Confirmed {
		s.timer.taken(s.now, s.cfg.Timer, m)
	}
	if what.refresh {
		s.emit(Output{Kind: EvRefreshed})
		return
	}
	body := description(m)
	if body == nil {
		s.neg.Fail()
		s.emit(Output{Kind: EvRefused, Status: 488, Msg: m})
		return
	}
	s.hear(body, CarrierUpdate2xx)
	s.emit(Output{Kind: EvAgreed, Msg: m, Body: body, Carrier: CarrierUpdate2xx})
}

func (s *Session) updateFailed(what change, status int, m *sip.Message) {
	switch status {
	case 405, 501: // the peer only said it knew UPDATE
		if s.peerUpdate = false; what.refresh {
			if what.gentle {
				s.later = told(what.headers, s.later)
			} else {
				s.change(what)
			}
			return
		}
	case 422:
		if m != nil && what.refresh {
			s.timer.peerMin = max(s.timer.peerMin, minSE(m))
			s.timer.interval = max(s.timer.interval, s.timer.peerMin)
			s.change(what)
			return
		}
	}
	s.changeFailed(what, status, m)
}

// changeFailed ends a re-INVITE or UPDATE that was refused.
func (s *Session) changeFailed(what change, status int, m *sip.Message) {
	switch status {
	case 491:
		s.glare(what)
		return
	case 481, 408: // RFC 3261, 12.2.1.2: the dialog is gone at the peer
		if s.phase == PhaseUp && (status == 481 || !s.cfg.Timer.Patient) {
			s.abort(status, "Peer no longer knows the dialog")
			return
		}
	}
	if !what.refresh {
		s.emit(Output{Kind: EvRefused, Status: status, Msg: m})
	}
}

// glare plans the next attempt after a 491 (RFC 3261, 14.1), in units of 10 ms: the owner of the Call-ID waits 2.1 to
// 4 s, the other side 0 to 2 s, so that they do not meet again.
func (s *Session) glare(what change) {
	if s.pending == nil {
		s.pending = &what
	} else {
		s.wait(&what, *s.pending)
	}
	wait := time.Duration(s.cfg.Random()%201) * 10 * time.Millisecond
	if s.Caller {
		wait = 2100*time.Millisecond + time.Duration(s.cfg.Random()%191)*10*time.Millisecond
	}
	s.retry = s.now.Add(max(wait, time.Nanosecond))
}

// reinvite is an INVITE of the peer inside the dialog.
func (s *Session) reinvite(tx any, m *sip.Message) {
	body := description(m)
	switch {
	case s.srv.req != nil || s.srv.unacked() || s.phase != PhaseUp || s.neg.State() == Received:
		s.respond(tx, m, 500, s.retryAfter())
		return
	case s.cli.msg != nil || s.upd.seq != 0 || s.neg.State() == Sent:
		s.respond(tx, m, 491)
		return
	case s.timer.tooSmall(s.cfg.Timer, m):
		s.respond(tx, m, 422, s.minSE())
		return
	}
	s.Refresh(m)
	s.learn(m)
	s.srv = serverInvite{tx: tx, req: m, asks: body == nil}
	if body != nil {
		same := fingerprint(body) == s.remoteSDP
		s.hear(body, CarrierInvite)
		if same && s.localSDP != nil { // RFC 4028, 7.4: nothing changed, it is a refresh
			s.answer(s.localSDP)
			s.emit(Output{Kind: EvRefreshed, Msg: m})
			return
		}
	}
	s.emit(Output{Kind: EvOffer, Tx: tx, Msg: m, Body: body, Carrier: CarrierInvite})
}

// update is an UPDATE of the peer (RFC 3311, 5.2).
func (s *Session) update(tx any, m *sip.Message) {
	body := description(m)
	if s.upd.peer.req != nil {
		s.respond(tx, m, 500, s.retryAfter())
		return
	}
	if body != nil {
		switch s.neg.State() {
		case Sent:
			s.respond(tx, m, 491)
			return
		case Received, Idle:
			s.respond(tx, m, 500, s.retryAfter())
			return
		}
	}
	if s.timer.tooSmall(s.cfg.Timer, m) {
		s.respond(tx, m, 422, s.minSE())
		return
	}
	s.Refresh(m)
	s.learn(m)
	if body == nil {
		s.grantUpdate(s.buildResponse(m, 200, nil), tx, m)
		s.emit(Output{Kind: EvRefreshed, Msg: m})
		return
	}
	s.hear(body, CarrierUpdate)
	s.upd.peer = serverOffer{tx: tx, req: m}
	s.emit(Output{Kind: EvOffer, Tx: tx, Msg: m, Body: body, Carrier: CarrierUpdate})
}

func (s *Session) grantUpdate(res *sip.Message, tx any, req *sip.Message) {
	if s.State == Confirmed {
		s.timer.grant(s.now, s.cfg.Timer, req, res)
	}
	s.emit(Output{Kind: OutResponse, Tx: tx, Msg: res})
}

// answer sends our answer to the peer's pending offer, or our offer where the peer asked for one.
func (s *Session) answer(body []byte) {
	if s.neg.State() != Received {
		if s.phase == PhaseUp && s.srv.req != nil && s.srv.asks {
			s.send2xx(body, s.takeLater())
		}
		return
	}
	switch s.neg.Pending() {
	case CarrierInvite:
		if s.phase == PhaseUp {
			s.send2xx(body, s.takeLater())
		}
	case CarrierInvite2xx:
		s.sendAck(body)
	case CarrierReliable1xx:
		s.sendPrack(body)
	case CarrierPrack, CarrierUpdate:
		s.answerOffer(body)
	}
}

// answerOffer answers the offer of a PRACK or UPDATE.
func (s *Session) answerOffer(body []byte) {
	peer := s.upd.peer
	s.upd.peer = serverOffer{}
	if peer.req == nil {
		return
	}
	res := s.buildResponse(peer.req, 200, nil)
	if peer.req.Method() == sip.PRACK {
		s.say(res, body, CarrierPrack2xx)
		s.emit(Output{Kind: OutResponse, Tx: peer.tx, Msg: res})
		s.releaseAccept()
		return
	}
	s.say(res, body, CarrierUpdate2xx)
	s.grantUpdate(res, peer.tx, peer.req)
}

// reject refuses the peer's pending offer; the session stays as it was (RFC 3261, 14.2).
func (s *Session) reject(status int, headers []Header) {
	if status < 300 {
		status = 488
	}
	switch {
	case s.upd.peer.req != nil:
		s.respond(s.upd.peer.tx, s.upd.peer.req, status, headers...)
		s.upd.peer = serverOffer{}
		s.neg.Fail()
		s.releaseAccept() // a refused PRACK acknowledges all the same: what waited for it goes on
	case s.phase == PhaseUp && s.srv.req != nil:
		s.respond(s.srv.tx, s.srv.req, status, headers...)
		s.srv = serverInvite{}
		s.neg.Fail()
	case s.neg.State() == Received: // the offer came in a 2xx or 1xx of ours to answer: only the end refuses it
		s.neg.Fail()
		s.finish(End{Status: status, Headers: headers})
	}
}
