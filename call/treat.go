package call

// security is what a device or trunk takes, with the default in place.
func (p MediaPolicy) security() Security { return orDefault(p.SRTP, SRTP) }

// sourceSecurity is how a stream of ours is offered to a leg: as agreed before, else as its policy says.
func (l *Leg) sourceSecurity() Security { return orDefault(l.security, l.policy.security()) }

// offered is what a leg's own offer amounts to under its policy: a device that must use SRTP does not get RTP by offering it.
func offered(l *Leg) (Security, Cause) {
	s := orDefault(l.desc.Security, l.policy.security())
	if l.policy.security() != SRTP || l.party.call.emergency {
		return s, CauseNone
	}
	if s == RTP {
		return s, SecurityMismatch
	}
	return SRTP, CauseNone
}

// agree is what to offer a leg that takes need, given an offer of have; convert says that a relay must change one into the other.
func agree(have, need Security) (s Security, convert bool) {
	switch {
	case need == SRTPOrRTP:
		return have, false
	case have == SRTPOrRTP:
		return need, false
	}
	return need, have != need
}

// passOn says how from's offer is passed on to to.
func (e *Engine) passOn(from, to *Leg) (Media, Cause) {
	have, cause := offered(from)
	if cause != CauseNone {
		return Media{}, cause
	}
	security, convert := agree(have, to.policy.security())
	if convert && e.config.site.Policy.Mixed == MixedRefuse && !from.party.call.emergency {
		return Media{}, SecurityMismatch
	}
	m := Media{Kind: KindOffer, Ref: from.desc.Ref, Peer: from.id, Dir: SendRecv, Security: security}
	if convert || from.policy.Anchor || to.policy.Anchor {
		m.Treatment = Anchored
	}
	return m, CauseNone
}

// passBack says how to's answer is passed back to from, whose offer went out with the treatment. An answer that is weaker than
// the offer allowed is refused: nothing is downgraded in silence.
func (e *Engine) passBack(from, to *Leg, t Treatment) (Media, Cause) {
	have, cause := offered(from)
	if cause != CauseNone {
		return Media{}, cause
	}
	got := to.desc.Security
	m := Media{Kind: KindAnswer, Treatment: t, Ref: to.desc.Ref, Peer: to.id, Dir: SendRecv}
	switch {
	case got == RTP && to.policy.security() == SRTP:
		return Media{}, SecurityMismatch
	case t == Anchored && have == SRTPOrRTP:
		m.Security = SRTP
	case t == Anchored:
		m.Security = have
	case got == RTP && have == SRTP:
		return Media{}, SecurityMismatch
	case got == SecurityUnknown && have != SRTPOrRTP:
		m.Security = have
	default:
		m.Security = got
	}
	return m, CauseNone
}

// suits says whether two legs can talk to one another at all: SecurityMismatch where one must have SRTP, the other RTP, and the
// policy has no conversion. It is asked before anybody is dropped for the sake of a new connection.
func (e *Engine) suits(a, b *Leg) Cause {
	if _, convert := agree(a.capable(), b.capable()); convert && e.config.site.Policy.Mixed == MixedRefuse {
		return SecurityMismatch
	}
	return CauseNone
}

// capable is what the far end of a leg is known to take: what it has offered, or what its answer shows, within its policy.
func (l *Leg) capable() Security {
	switch s := l.policy.security(); {
	case s != SRTPOrRTP:
		return s
	case l.desc.Kind == KindOffer && l.desc.Security != SecurityUnknown:
		return l.desc.Security
	case l.desc.Kind == KindAnswer && l.desc.Security == RTP && l.told.Security == SRTPOrRTP:
		return RTP // it was offered both
	default:
		return s
	}
}
