package dialog

import (
	"cmp"
	"strconv"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// The calling side of an INVITE: first and re-INVITE (RFC 3261, 13.2 and 14.1), its provisional responses, forks, ACK
// and CANCEL.

// maxForks bounds the early dialogs of one call: a peer cannot make us remember more.
const maxForks = 16

// change is something the session wants to tell the peer: a new description, the wish for its offer, or only that it
// is still there.
type change struct {
	body    []byte
	ask     bool // re-INVITE without a description
	refresh bool // session timer, or only headers to tell
	gentle  bool // a refresh that is worth no re-INVITE
	headers []Header
}

type cancelState uint8

const (
	cancelNone   cancelState = iota
	cancelWanted             // RFC 3261, 9.1: CANCEL waits for a provisional response
	cancelSent
)

// clientInvite is our INVITE while it is unanswered, and its ACK for as long as 2xx may be repeated.
type clientInvite struct {
	seq         uint32
	msg         *sip.Message // nil = no INVITE of ours is open
	what        change
	initial     bool
	provisional bool
	cancel      cancelState
	why         []Header // for the CANCEL
	credentials []Header // for the ACK (RFC 3261, 22.1)
	retries     uint8
	ackWaits    bool         // the 2xx brought an offer: the ACK waits for our answer
	ack         *sip.Message // RFC 3261, 13.2.2.4: sent again for each repeated 2xx
	ackUntil    time.Time
}

// maxRetries bounds new attempts after 401, 407 and 422, so that no peer can keep us in a loop.
const maxRetries = 3

// call opens the session.
func (s *Session) call(in Call) {
	if s.phase != PhaseNone {
		return
	}
	s.phase, s.contact = PhaseCalling, in.Contact
	s.plain1xx = in.Body == nil && s.cfg.Reliable != ReliableRequired
	m := sip.NewRequest(sip.INVITE, in.URI)
	m.SetRoutes(in.Routes)
	m.SetMaxForwards(max(cmp.Or(in.Hops, 70), 0))
	from := in.From
	from.Params = from.Params.With("tag", Tag(s.cfg.Random()))
	m.SetFrom(from)
	m.SetTo(in.To)
	m.SetCallID(in.CallID)
	m.SetCSeq(sip.CSeq{Seq: uint32(s.cfg.Random()&0xffff) + 1, Method: sip.INVITE})
	s.common(m, in.Headers)
	if s.cfg.Reliable == ReliableRequired {
		m.Add("Require", "100rel")
	}
	s.timer.ask(s.cfg.Timer, m)
	s.Dialog = NewUAC(m)
	s.say(m, in.Body, CarrierInvite)
	s.sendInvite(m, true, change{body: in.Body, ask: in.Body == nil})
}

func (s *Session) sendInvite(m *sip.Message, initial bool, what change) {
	s.cli = clientInvite{seq: m.CSeq().Seq, msg: m, initial: initial, what: what, retries: s.cli.retries}
	s.emit(Output{Kind: OutRequest, Msg: m, Seq: s.cli.seq})
}

// response sorts a response to one of our requests.
func (s *Session) response(m *sip.Message) {
	if m.Method() != sip.INVITE && s.challenged(m) {
		return
	}
	switch m.Method() {
	case sip.INVITE:
		s.inviteResponse(m)
	case sip.UPDATE:
		s.updateResponse(m.CSeq().Seq, m.Status(), m)
	case sip.BYE:
		if m.IsFinal() && m.CSeq().Seq == s.endSeq && s.phase == PhaseEnding {
			s.over(m.Status(), m, true)
		}
	case sip.PRACK:
		s.prackResponse(m)
	case sip.CANCEL:
	default:
		if m.IsFinal() {
			s.emit(Output{Kind: EvResponse, Msg: m, Status: m.Status(), Seq: m.CSeq().Seq})
		}
	}
}

// failed is a client transaction that ended without a response (RFC 3261, 8.1.3.1: like a 408 or 503).
func (s *Session) failed(in Failed) {
	s.settled(sip.CSeq{Seq: in.Seq, Method: in.Method})
	switch in.Method {
	case sip.INVITE:
		if s.cli.msg != nil && in.Seq == s.cli.seq {
			s.inviteFailed(in.Status, nil)
		}
	case sip.UPDATE:
		s.updateResponse(in.Seq, in.Status, nil)
	case sip.BYE:
		if s.phase == PhaseEnding {
			s.over(in.Status, nil, true)
		}
	case sip.PRACK:
		if s.phase == PhaseCalling {
			s.abort(in.Status, "No answer to PRACK")
		}
	case sip.CANCEL, sip.ACK:
	default:
		s.emit(Output{Kind: EvResponse, Status: in.Status, Seq: in.Seq})
	}
}

func (s *Session) inviteResponse(m *sip.Message) {
	if m.CSeq().Seq != s.cli.seq {
		return
	}
	if s.cli.msg == nil {
		s.repeated2xx(m)
		return
	}
	switch {
	case !m.IsFinal():
		s.provisional(m)
	case m.IsSuccess():
		s.success(m)
	default:
		s.inviteFailed(m.Status(), m)
	}
}

// provisional is a 1xx to our INVITE.
func (s *Session) provisional(m *sip.Message) {
	s.cli.provisional = true
	if s.cli.cancel == cancelWanted {
		s.sendCancel()
	}
	if m.Status() == 100 || s.phase == PhaseEnding {
		return
	}
	if s.cli.initial && m.ToTag() != "" && !s.use(m) {
		return
	}
	if !s.takeReliable(m) {
		return
	}
	s.learn(m)
	s.emit(Output{Kind: EvProgress, Msg: m, Status: m.Status(), Body: description(m)})
	s.afterReliable(m)
}

// use makes the branch a response belongs to the current one, creating it when its tag is new.
func (s *Session) use(m *sip.Message) bool {
	tag := m.ToTag()
	if s.State == None {
		return s.establish(m, branch{Dialog: s.Dialog, neg: s.neg})
	}
	if s.Remote.Tag() == tag {
		return true
	}
	for i := range s.forks {
		if s.forks[i].Remote.Tag() == tag {
			s.branch, s.forks[i] = s.forks[i], s.branch
			return true
		}
	}
	if len(s.forks) >= maxForks {
		return false
	}
	old := s.branch
	fresh := branch{Dialog: s.Dialog}
	if s.cli.what.body != nil {
		_, _ = fresh.neg.Send(CarrierInvite) // every fork answers the one offer (RFC 3261, 13.2.1)
	}
	if !s.establish(m, fresh) {
		return false
	}
	s.forks = append(s.forks, old)
	return true
}

// establish makes b the current dialog as the response m shapes it. A provisional response without a Contact (some
// peers send such) still makes a usable early dialog aimed at the old target.
func (s *Session) establish(m *sip.Message, b branch) bool {
	d, err := b.Establish(m)
	if err != nil && m.IsSuccess() {
		return false
	}
	b.Dialog = d
	s.branch = b
	return true
}

// success is the first 2xx to our INVITE.
func (s *Session) success(m *sip.Message) {
	first := s.cli.initial
	s.cli.credentials = credentials(s.cli.msg)
	s.cli.msg, s.cli.provisional = nil, true
	if first && !s.use(m) {
		s.abandon(m)
		s.over(502, m, true) // a 2xx without a Contact cannot be acknowledged or ended properly
		return
	}
	s.forks = nil
	_ = s.Confirm(m)
	s.learn(m)
	ending := s.phase == PhaseEnding
	if !ending {
		s.phase = PhaseUp
		s.timer.taken(s.now, s.cfg.Timer, m)
	}
	if ending {
		s.sendAck(nil)
		s.bye(nil)
		return
	}
	s.conclude(m, description(m))
}

// conclude takes the session description of a 2xx and acknowledges it.
func (s *Session) conclude(m *sip.Message, body []byte) {
	what := s.cli.what
	switch {
	case s.neg.State() == Sent && body == nil:
		s.violated(m, "2xx brings no answer to our offer")
		return
	case s.neg.State() == Sent:
		before := s.remoteSDP
		s.hear(body, CarrierInvite2xx)
		s.sendAck(nil)
		if what.refresh && s.remoteSDP == before {
			body = nil // nothing new
		}
		s.concluded(m, body, false)
	case !what.ask, s.neg.State() == Stable && s.cli.initial:
		s.sendAck(nil) // the pair was completed by a reliable provisional response
		s.concluded(m, nil, false)
	case body == nil:
		s.violated(m, "2xx to an INVITE without an offer brings no offer")
	default:
		s.hear(body, CarrierInvite2xx)
		s.cli.ackWaits = true
		s.concluded(m, body, true)
	}
}

// concluded reports the success of our INVITE.
func (s *Session) concluded(m *sip.Message, body []byte, offer bool) {
	o := Output{Kind: EvAnswered, Msg: m, Status: m.Status(), Body: body, Offer: offer, Carrier: CarrierInvite2xx}
	switch {
	case s.cli.initial:
	case s.cli.what.refresh:
		o = Output{Kind: EvRefreshed, Msg: m, Body: body, Carrier: CarrierInvite2xx}
	case offer:
		o.Kind = EvOffer
	default:
		o.Kind = EvAgreed
	}
	s.emit(o)
}

// violated ends a session whose peer breaks the offer/answer rules: acknowledge, then BYE with the reason.
func (s *Session) violated(m *sip.Message, text string) {
	s.neg.Fail()
	s.sendAck(nil)
	if s.cli.initial {
		s.emit(Output{Kind: EvAnswered, Msg: m, Status: m.Status()})
	}
	s.abort(500, text)
}

// sendAck acknowledges the 2xx of our INVITE, with our answer when it brought an offer.
func (s *Session) sendAck(body []byte) {
	ack := s.Ack(s.cli.seq)
	for _, h := range s.cli.credentials {
		ack.Add(h.Name, h.Value)
	}
	s.say(ack, body, CarrierAck)
	s.cli.ack, s.cli.ackWaits = ack, false
	s.cli.ackUntil = s.now.Add(64 * s.cfg.t1()) // RFC 3261, 13.2.2.4
	s.emit(Output{Kind: OutAck, Msg: ack})
}

// repeated2xx acknowledges a 2xx again, or gives up the dialog of a fork that answered too late.
func (s *Session) repeated2xx(m *sip.Message) {
	if !m.IsSuccess() {
		return
	}
	if m.ToTag() == s.Remote.Tag() {
		if s.cli.ack != nil {
			s.emit(Output{Kind: OutAck, Msg: s.cli.ack})
		}
		return
	}
	s.abandon(m)
}

// abandon acknowledges and ends the dialog of a fork we do not want (RFC 3261, 13.2.2.4).
func (s *Session) abandon(m *sip.Message) {
	lost, err := s.Dialog.Establish(m)
	if err != nil {
		return
	}
	s.emit(Output{Kind: OutAck, Msg: lost.Ack(m.CSeq().Seq)})
	bye := lost.Request(sip.BYE)
	s.common(bye, nil)
	s.emit(Output{Kind: OutRequest, Msg: bye, Seq: bye.CSeq().Seq})
}

// inviteFailed is a final response of 300 and above to our INVITE, or none at all (m is nil).
func (s *Session) inviteFailed(status int, m *sip.Message) {
	cli := s.cli
	s.cli.msg = nil
	if s.phase == PhaseEnding || s.phase == PhaseOver {
		if cli.initial {
			s.over(status, m, true)
		}
		return
	}
	s.neg.Fail()
	if s.tryAgain(cli, status, m) {
		return
	}
	if cli.initial {
		s.over(status, m, false)
		return
	}
	s.changeFailed(cli.what, status, m)
}

// tryAgain repeats an INVITE that was refused for a reason we can mend: 401 and 407 with credentials, 422 with the
// interval the peer needs.
func (s *Session) tryAgain(cli clientInvite, status int, m *sip.Message) bool {
	if m == nil || cli.retries >= maxRetries || cli.cancel != cancelNone {
		return false
	}
	next := cli.msg.Clone()
	next.Del("Via")
	switch status {
	case 401, 407:
		if s.cfg.Authorize == nil || !s.cfg.Authorize(m, next) {
			return false
		}
	case 422:
		s.timer.peerMin = max(s.timer.peerMin, minSE(m))
		s.timer.ask(s.cfg.Timer, next)
	default:
		return false
	}
	s.State, s.forks = None, nil
	if !cli.initial {
		s.State = Confirmed
	}
	s.localSeq++
	next.SetCSeq(sip.CSeq{Seq: s.localSeq, Method: sip.INVITE})
	if cli.what.body != nil {
		_, _ = s.neg.Send(CarrierInvite)
	}
	s.cli.retries = cli.retries + 1
	s.sendInvite(next, cli.initial, cli.what)
	return true
}

// sendCancel asks the endpoint to cancel our INVITE.
func (s *Session) sendCancel() {
	s.cli.cancel = cancelSent
	s.emit(Output{Kind: OutCancel, Seq: s.cli.seq, Headers: s.cli.why})
}

// finish ends the session in the way its phase demands (RFC 3261, 9 and 15).
func (s *Session) finish(in End) {
	switch s.phase {
	case PhaseNone:
		s.over(in.Status, nil, true)
	case PhaseCalling:
		s.phase, s.giveUp = PhaseEnding, s.now.Add(128*s.cfg.t1())
		s.cli.why = in.Headers
		if s.cli.cancel = cancelWanted; s.cli.provisional {
			s.sendCancel()
		}
	case PhaseRinging:
		status := in.Status
		if status < 300 {
			status = 480
		}
		s.refuse(status, in.Headers)
	case PhaseUp:
		if s.srv.unacked() { // RFC 3261, 15: no BYE before the ACK
			s.end = &in
			return
		}
		if s.cli.ackWaits {
			s.sendAck(nil)
		}
		s.bye(in.Headers)
	}
}

// bye ends a confirmed dialog.
func (s *Session) bye(headers []Header) {
	s.rejectPending(487)
	m := s.Request(sip.BYE)
	s.common(m, headers)
	s.phase, s.endSeq, s.giveUp = PhaseEnding, m.CSeq().Seq, s.now.Add(70*s.cfg.t1())
	s.timer.stop()
	s.pending, s.retry, s.end = nil, time.Time{}, nil
	s.dispatch(m)
}

// do sends a request that does not concern the session itself.
func (s *Session) do(in Do) {
	if s.State == None || s.phase == PhaseOver {
		s.emit(Output{Kind: EvResponse, Status: 481})
		return
	}
	m := s.Request(in.Method)
	s.common(m, in.Headers)
	if len(in.Body) > 0 {
		m.SetBody(in.ContentType, in.Body)
	}
	s.dispatch(m)
}

// retryAfter is the header of a 500 that asks the peer to come again in 0 to 10 s (RFC 3261, 14.2).
func (s *Session) retryAfter() Header {
	return Header{"Retry-After", strconv.Itoa(int(s.cfg.Random() % 11))}
}
