package dialog

import (
	"strconv"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// Reliable provisional responses (RFC 3262).
//
//	UAC                         UAS
//	 |  INVITE Supported:100rel  |
//	 |-------------------------->|
//	 |  183 Require:100rel RSeq  |  again after T1, 2*T1, ... until PRACK;
//	 |<--------------------------|  after 64*T1 the INVITE is refused with 5xx
//	 |  PRACK RAck               |
//	 |-------------------------->|
//	 |  200 (PRACK)              |
//	 |<--------------------------|

// reliable is the called side: one response at a time waits for its PRACK, later ones queue (RFC 3262, 3).
type reliable struct {
	next  uint32 // RSeq of the next one; 0 = none sent yet
	tx    any
	msg   *sip.Message // nil = nothing waits
	body  bool         // it carries a session description: a 2xx must wait for its PRACK
	at    time.Time
	wait  time.Duration
	until time.Time
	queue []Ring
}

// maxQueue bounds the provisional responses that wait for a PRACK.
const maxQueue = 8

func (r *reliable) stop() { r.msg, r.tx, r.queue, r.body = nil, nil, nil, false }

func (r *reliable) blocks2xx() bool { return r.msg != nil && r.body }

func (r *reliable) deadline() time.Time {
	if r.msg == nil {
		return time.Time{}
	}
	return earliest(r.at, r.until)
}

// wantsReliable decides whether a provisional response to the peer's INVITE is sent reliably.
func (s *Session) wantsReliable(in Ring) bool {
	if in.Status <= 100 || s.cfg.Reliable == ReliableOff {
		return false
	}
	req := s.srv.req
	if req.HasToken("Require", "100rel") {
		return true
	}
	wanted := s.cfg.Reliable == ReliablePreferred || s.cfg.Reliable == ReliableRequired || s.cfg.Reliable == ReliableSDP && len(in.Body) > 0
	return wanted && req.HasToken("Supported", "100rel")
}

// ring sends a provisional response.
func (s *Session) ring(in Ring) {
	if s.phase != PhaseRinging || s.srv.req == nil || in.Status <= 100 || in.Status >= 200 {
		return
	}
	if !s.wantsReliable(in) {
		res := s.buildResponse(s.srv.req, in.Status, in.Headers)
		if len(in.Body) > 0 && s.neg.State() != Idle { // RFC 3261, 13.2.1: an offer may not travel unreliably
			res.SetBody(ContentSDP, in.Body)
		}
		s.emit(Output{Kind: OutResponse, Tx: s.srv.tx, Msg: res})
		return
	}
	if s.rel.msg != nil {
		if len(s.rel.queue) < maxQueue {
			s.rel.queue = append(s.rel.queue, in)
		}
		return
	}
	s.sendReliable(in)
}

func (s *Session) sendReliable(in Ring) {
	r := &s.rel
	if r.next == 0 {
		r.next = uint32(s.cfg.Random()&0x7fff) + 1 // RFC 3262, 3: between 1 and 2**31 - 1
	}
	res := s.buildResponse(s.srv.req, in.Status, in.Headers)
	res.Add("Require", "100rel")
	res.Set("RSeq", strconv.FormatUint(uint64(r.next), 10))
	r.next++
	if s.neg.State() == Stable {
		in.Body = nil // RFC 6337, 2.2: after the answer, a provisional response carries nothing new
	}
	r.body = s.say(res, in.Body, CarrierReliable1xx)
	r.tx, r.msg, r.wait = s.srv.tx, res, s.cfg.t1()
	r.at, r.until = s.now.Add(r.wait), s.now.Add(64*s.cfg.t1())
	s.emit(Output{Kind: OutResponse, Tx: r.tx, Msg: res})
}

// tickReliable repeats the response that waits, and refuses the INVITE when no PRACK ever comes (RFC 3262, 3).
func (s *Session) tickReliable() {
	r := &s.rel
	switch {
	case r.msg == nil:
	case due(r.until, s.now):
		r.stop()
		s.refuse(504, []Header{{"Warning", `399 locktone "no PRACK for a reliable provisional response"`}})
	case due(r.at, s.now):
		r.wait *= 2
		r.at = s.now.Add(r.wait)
		s.emit(Output{Kind: OutResponse, Tx: r.tx, Msg: r.msg})
	}
}

// prack is a PRACK of the peer.
func (s *Session) prack(tx any, m *sip.Message) {
	r := &s.rel
	if ack, ok := m.RAck(); !ok || r.msg == nil || ack.RSeq != r.next-1 || ack.CSeq != r.msg.CSeq() {
		s.respond(tx, m, 481) // RFC 3262, 3: it matches no unacknowledged response
		return
	}
	r.msg, r.tx, r.body = nil, nil, false
	body := description(m)
	if body == nil {
		s.respond(tx, m, 200)
		s.releaseAccept()
		return
	}
	offer, ok := s.hear(body, CarrierPrack)
	switch {
	case !ok:
		s.respond(tx, m, 488)
	case offer:
		s.upd.peer = serverOffer{tx: tx, req: m}
		s.emit(Output{Kind: EvOffer, Tx: tx, Msg: m, Body: body, Carrier: CarrierPrack})
		return
	default:
		s.respond(tx, m, 200)
		s.emit(Output{Kind: EvAgreed, Msg: m, Body: body, Carrier: CarrierPrack})
	}
	s.releaseAccept()
}

// releaseAccept sends what had to wait for a PRACK.
func (s *Session) releaseAccept() {
	if s.srv.held != nil {
		in := *s.srv.held
		s.srv.held = nil
		s.accept(in)
		return
	}
	if q := s.rel.queue; len(q) > 0 {
		s.rel.queue = q[1:]
		s.sendReliable(q[0])
	}
}

// takeReliable checks a provisional response that demands a PRACK; false = it is a repetition or came out of order and
// must be ignored (RFC 3262, 4).
func (s *Session) takeReliable(m *sip.Message) bool {
	if !m.HasToken("Require", "100rel") {
		return true
	}
	n, ok := m.RSeq()
	if !ok || n == 0 || m.ToTag() == "" {
		return false
	}
	if s.rseq != 0 && n != s.rseq+1 {
		return false
	}
	s.rseq = n
	return true
}

// afterReliable acknowledges a reliable provisional response, at once or, when it brought an offer, with our answer.
func (s *Session) afterReliable(m *sip.Message) {
	if !m.HasToken("Require", "100rel") {
		return
	}
	body := description(m)
	if body == nil || s.neg.State() == Stable {
		s.sendPrack(nil)
		s.another(m, body)
		return
	}
	offer, ok := s.hear(body, CarrierReliable1xx)
	if ok && offer {
		s.emit(Output{Kind: EvOffer, Msg: m, Body: body, Carrier: CarrierReliable1xx})
		return
	}
	s.sendPrack(nil)
	if ok {
		s.emit(Output{Kind: EvAgreed, Msg: m, Body: body, Carrier: CarrierReliable1xx})
	}
}

// another is a description in a reliable provisional response after our offer was answered. RFC 6337, 3.1.1 wants the same
// one there; what gateways send when another announcement begins is another answer to the offer, and it counts.
func (s *Session) another(m *sip.Message, body []byte) {
	if body == nil || s.offeredSDP == nil || s.cli.what.body == nil || fingerprint(body) == s.remoteSDP {
		return
	}
	s.heardSDP = fingerprint(body)
	s.remoteSDP = s.heardSDP
	s.emit(Output{Kind: EvAgreed, Msg: m, Body: body, Carrier: CarrierReliable1xx})
}

func (s *Session) sendPrack(body []byte) {
	m := s.Request(sip.PRACK)
	m.Set("RAck", sip.RAck{RSeq: s.rseq, CSeq: sip.CSeq{Seq: s.cli.seq, Method: sip.INVITE}}.String())
	s.common(m, nil)
	s.say(m, body, CarrierPrack)
	s.dispatch(m)
}

// prackResponse: the 2xx to a PRACK that carried our offer brings the answer.
func (s *Session) prackResponse(m *sip.Message) {
	if !m.IsFinal() || s.neg.State() != Sent || s.neg.Pending() != CarrierPrack {
		return
	}
	body := description(m)
	if !m.IsSuccess() || body == nil {
		s.neg.Fail()
		s.emit(Output{Kind: EvRefused, Status: m.Status(), Msg: m})
		return
	}
	s.hear(body, CarrierPrack2xx)
	s.emit(Output{Kind: EvAgreed, Msg: m, Body: body, Carrier: CarrierPrack2xx})
}
