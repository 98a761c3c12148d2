package dialog

import (
	"github.com/locktone/locktone/wire/sip"
)

// Challenges of the peer (RFC 3261, 22.2 and 22.3). Any request of ours may be answered with 401 or 407; it goes out once more
// with credentials, a new CSeq number and a new transaction, and whoever waits for its outcome hears only of the last one.
// ACK and CANCEL cannot be challenged (RFC 3261, 22.1): the ACK to a 2xx repeats the credentials of its INVITE.

// unanswered is a request of ours other than INVITE that may still be challenged. Sessions without Config.Authorize keep none.
type unanswered struct {
	msg   *sip.Message
	tries uint8
}

// maxUnanswered bounds what is kept for a peer that answers nothing: beyond it the oldest cannot be repeated any more.
const maxUnanswered = 8

// dispatch sends a request other than INVITE.
func (s *Session) dispatch(m *sip.Message) { s.dispatchAgain(m, 0) }

func (s *Session) dispatchAgain(m *sip.Message, tries uint8) {
	if s.cfg.Authorize != nil {
		if len(s.open) == maxUnanswered {
			s.open = append(s.open[:0], s.open[1:]...)
		}
		s.open = append(s.open, unanswered{m, tries})
	}
	s.emit(Output{Kind: OutRequest, Msg: m, Seq: m.CSeq().Seq})
}

// settled takes a request off the list, as its final response or failure came.
func (s *Session) settled(c sip.CSeq) (unanswered, bool) {
	for i, u := range s.open {
		if u.msg.CSeq() == c {
			s.open = append(s.open[:i], s.open[i+1:]...)
			return u, true
		}
	}
	return unanswered{}, false
}

// challenged answers a 401 or 407 to a request other than INVITE; false means that m is its outcome.
func (s *Session) challenged(m *sip.Message) bool {
	if s.cfg.Authorize == nil || !m.IsFinal() {
		return false
	}
	u, ok := s.settled(m.CSeq())
	if !ok || m.Status() != 401 && m.Status() != 407 || u.tries >= maxRetries || s.phase == PhaseOver {
		return false
	}
	next := u.msg.Clone()
	next.Del("Via")
	if !s.cfg.Authorize(m, next) {
		return false
	}
	old := u.msg.CSeq()
	s.localSeq++
	next.SetCSeq(sip.CSeq{Seq: s.localSeq, Method: old.Method})
	switch {
	case old.Method == sip.UPDATE && s.upd.seq == old.Seq:
		s.upd.seq = s.localSeq
	case old.Method == sip.BYE && s.endSeq == old.Seq:
		s.endSeq = s.localSeq
	}
	s.dispatchAgain(next, u.tries+1)
	return true
}

// credentials are the header fields that an ACK repeats from its INVITE (RFC 3261, 22.1).
func credentials(invite *sip.Message) (out []Header) {
	if invite == nil {
		return nil
	}
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		for _, v := range invite.Headers(name) {
			out = append(out, Header{name, v})
		}
	}
	return out
}
