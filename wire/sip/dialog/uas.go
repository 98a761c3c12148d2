package dialog

import (
	"strconv"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// The called side: the INVITE that opens the session, re-INVITE and UPDATE of the peer, the 2xx that comes again until
// it is acknowledged, and the end (RFC 3261, 13.3, 14.2 and 15.1.2; RFC 3311, 5.2).

// serverInvite is the peer's INVITE until its final response, and our 2xx until its ACK.
type serverInvite struct {
	tx       any
	req      *sip.Message // nil = the peer has no INVITE open
	asks     bool         // it came without a description: our 2xx carries the offer
	held     *Accept      // the 2xx waits for a PRACK (RFC 3262, 3)
	final    *sip.Message // our 2xx; nil = not sent, or acknowledged
	finalTx  any
	at       time.Time // next repetition
	wait     time.Duration
	until    time.Time // RFC 3261, 13.3.1.4: after 64*T1 without ACK the session ends
	finalSeq uint32
}

func (i *serverInvite) unacked() bool { return i.final != nil }

func (i *serverInvite) deadline() time.Time {
	if i.final == nil {
		return time.Time{}
	}
	return earliest(i.at, i.until)
}

// serverOffer is a PRACK or UPDATE of the peer whose offer waits for our answer.
type serverOffer struct {
	tx  any
	req *sip.Message
}

// request sorts a request of the peer.
func (s *Session) request(in Request) {
	tx, m := in.Tx, in.Msg
	switch {
	case s.phase == PhaseNone && m.Method() == sip.INVITE:
		s.incoming(in)
	case m.Method() == sip.ACK:
		s.acked(m)
	case s.phase == PhaseNone || s.phase == PhaseOver || !s.useRequest(m):
		s.respond(tx, m, 481)
	default:
		s.inDialog(tx, m)
	}
}

// useRequest finds the branch a request of the peer belongs to.
func (s *Session) useRequest(m *sip.Message) bool {
	if s.Remote.Tag() == m.FromTag() {
		return true
	}
	for i := range s.forks {
		if s.forks[i].Remote.Tag() == m.FromTag() {
			s.branch, s.forks[i] = s.forks[i], s.branch
			return true
		}
	}
	return false
}

func (s *Session) inDialog(tx any, m *sip.Message) {
	if err := s.Accept(m); err != nil {
		s.respond(tx, m, 500, s.retryAfter())
		return
	}
	if m.Method() == sip.BYE {
		s.byeReceived(tx, m)
		return
	}
	if s.phase == PhaseEnding {
		s.respond(tx, m, 481)
		return
	}
	if bad := s.unsupported(m); bad != "" {
		s.respond(tx, m, 420, Header{"Unsupported", bad})
		return
	}
	switch m.Method() {
	case sip.INVITE:
		s.reinvite(tx, m)
	case sip.UPDATE:
		s.update(tx, m)
	case sip.PRACK:
		s.prack(tx, m)
	case sip.OPTIONS:
		s.capabilities(s.respond(tx, m, 200))
	default:
		s.emit(Output{Kind: EvRequest, Tx: tx, Msg: m})
	}
}

// unsupported lists the option tags of Require we do not know (RFC 3261, 8.2.2.3).
func (s *Session) unsupported(m *sip.Message) string {
	if !m.Has("Require") {
		return ""
	}
	bad := ""
	for _, t := range m.Tokens("Require") {
		if s.knows(t) {
			continue
		}
		if bad != "" {
			bad += ", "
		}
		bad += t
	}
	return bad
}

func (s *Session) knows(tag string) bool {
	switch tag {
	case "timer":
		return true
	case "100rel":
		return s.cfg.Reliable != ReliableOff
	case "replaces", "join":
		return s.cfg.Replaces
	}
	for _, t := range s.cfg.Supported {
		if t == tag {
			return true
		}
	}
	return false
}

// incoming is the INVITE that opens the session.
func (s *Session) incoming(in Request) {
	tx, m, tag := in.Tx, in.Msg, in.Tag
	if tag == "" {
		tag = Tag(s.cfg.Random())
	}
	d, err := NewUAS(m, tag)
	s.Dialog, s.phase, s.contact = d, PhaseRinging, in.Contact
	s.srv = serverInvite{tx: tx, req: m}
	s.localSeq = uint32(s.cfg.Random()&0xffff) + 1
	if err != nil {
		s.refuse(400, []Header{{"Warning", `399 locktone "INVITE without a usable Contact"`}})
		return
	}
	if bad := s.unsupported(m); bad != "" {
		s.refuse(420, []Header{{"Unsupported", bad}})
		return
	}
	if s.timer.tooSmall(s.cfg.Timer, m) {
		s.refuse(422, []Header{s.minSE()})
		return
	}
	s.learn(m)
	body := description(m)
	if s.srv.asks = body == nil; body != nil {
		s.hear(body, CarrierInvite)
	}
	s.emit(Output{Kind: EvInvite, Tx: tx, Msg: m, Body: body})
}

func (s *Session) minSE() Header {
	return Header{"Min-SE", secondsText(s.cfg.Timer.min())}
}

// refuse answers the INVITE that opened the session with a final error; the session is over.
func (s *Session) refuse(status int, headers []Header) {
	s.rejectUpdate(487)
	s.respond(s.srv.tx, s.srv.req, status, headers...)
	s.srv = serverInvite{}
	s.over(status, nil, true)
}

// cancelled: RFC 3261, 9.2: the INVITE is answered with 487 unless a final response went out.
func (s *Session) cancelled() {
	if s.srv.req == nil {
		return
	}
	if s.phase == PhaseUp { // a re-INVITE was cancelled: the session stays as it is
		s.reject(487, nil)
		return
	}
	if s.phase != PhaseRinging {
		return
	}
	s.rejectUpdate(487)
	s.respond(s.srv.tx, s.srv.req, 487)
	req := s.srv.req
	s.srv = serverInvite{}
	s.over(487, req, false)
}

// accept sends the 2xx of the INVITE that opened the session.
func (s *Session) accept(in Accept) {
	if s.phase != PhaseRinging || s.srv.req == nil {
		return
	}
	if s.rel.blocks2xx() {
		s.srv.held = &in
		return
	}
	switch s.neg.State() {
	case Received, Idle:
		if len(in.Body) == 0 {
			s.refuse(500, []Header{{"Warning", `399 locktone "no session description to answer with"`}})
			return
		}
	default: // the answer went out reliably: a description here would be a new offer
		in.Body = nil
	}
	s.phase, s.State = PhaseUp, Confirmed
	s.rel.stop()
	s.send2xx(in.Body, in.Headers)
}

// send2xx answers the peer's INVITE and keeps the 2xx until its ACK.
func (s *Session) send2xx(body []byte, headers []Header) {
	i := &s.srv
	res := s.buildResponse(i.req, 200, headers)
	s.say(res, body, CarrierInvite2xx)
	s.timer.grant(s.now, s.cfg.Timer, i.req, res)
	i.final, i.finalTx, i.finalSeq = res, i.tx, i.req.CSeq().Seq
	i.req, i.tx, i.held = nil, nil, nil
	i.until = s.now.Add(64 * s.cfg.t1())
	if !s.cfg.Repeats2xx {
		i.wait = s.cfg.t1()
		i.at = s.now.Add(i.wait)
	}
	s.emit(Output{Kind: OutResponse, Tx: i.finalTx, Msg: res})
}

// tickAccept repeats an unacknowledged 2xx (RFC 3261, 13.3.1.4).
func (s *Session) tickAccept() {
	i := &s.srv
	switch {
	case i.final == nil:
	case due(i.until, s.now):
		s.srv = serverInvite{}
		s.neg.Fail()
		s.abort(408, "No ACK received")
	case due(i.at, s.now):
		i.wait = min(2*i.wait, s.cfg.t2())
		i.at = s.now.Add(i.wait)
		s.emit(Output{Kind: OutResponse, Tx: i.finalTx, Msg: i.final})
	}
}

// acked is the ACK to our 2xx.
func (s *Session) acked(m *sip.Message) {
	if !s.srv.unacked() || m.CSeq().Seq != s.srv.finalSeq {
		return
	}
	s.srv = serverInvite{}
	body := description(m)
	if s.neg.State() == Sent && s.neg.Pending() == CarrierInvite2xx {
		if body == nil {
			s.neg.Fail()
			s.abort(488, "ACK brings no answer to our offer")
			return
		}
		s.hear(body, CarrierAck)
		s.emit(Output{Kind: EvAgreed, Msg: m, Body: body, Carrier: CarrierAck})
	}
	s.emit(Output{Kind: EvAcked, Msg: m})
}

// byeReceived: RFC 3261, 15.1.2.
func (s *Session) byeReceived(tx any, m *sip.Message) {
	s.respond(tx, m, 200)
	s.rejectPending(487)
	if s.cli.ackWaits {
		s.sendAck(nil)
	}
	if s.srv.unacked() {
		s.srv = serverInvite{}
	}
	if s.phase == PhaseCalling && s.cli.msg != nil && s.cli.provisional {
		s.sendCancel() // the called party left its early dialog; the INVITE still has to end
	}
	s.over(200, m, false)
}

// rejectPending answers every request of the peer that still waits (RFC 3261, 15.1.2: 487 is recommended).
func (s *Session) rejectPending(status int) {
	s.rejectUpdate(status)
	if s.srv.req != nil {
		s.respond(s.srv.tx, s.srv.req, status)
		s.srv = serverInvite{}
		s.neg.Fail()
	}
}

func (s *Session) rejectUpdate(status int) {
	if s.upd.peer.req == nil {
		return
	}
	s.respond(s.upd.peer.tx, s.upd.peer.req, status)
	s.upd.peer = serverOffer{}
	s.neg.Fail()
}

// reply answers a request that was given out as EvRequest.
func (s *Session) reply(in Reply) {
	if in.Req != nil {
		s.respond(in.Tx, in.Req, in.Status, in.Headers...)
	}
}

func secondsText(d time.Duration) string {
	return strconv.Itoa(int(d / time.Second))
}
