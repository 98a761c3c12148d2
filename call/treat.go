package call

// security is what a device or trunk takes, with the default in place.
func (p MediaPolicy) security() Security { return orDefault(p.SRTP, SRTP) }

// mediaOf is the policy of a device: as configured, less what it has come without.
func (e *Engine) mediaOf(d *Device) MediaPolicy {
	p := d.Media
	if e.device(d.Name).plain {
		p.SRTP = RTP
	}
	return p
}

// sourceSecurity is how a stream of ours is offered to a leg: as agreed before, else as its policy says. In a conference with somebody
// who insists on SRTP it is SRTP for everybody, unless policy lets calls be mixed.
func (e *Engine) sourceSecurity(l *Leg) Security {
	if c := l.party.call; c.mixed && e.mustMatch(l, c) {
		return SRTP
	}
	return orDefault(l.security, l.policy.security())
}

// mustMatch says whether a leg that may have SRTP or not must have it in a call, for the sake of somebody who insists on it.
func (e *Engine) mustMatch(l *Leg, c *Call) bool {
	if e.config.site.Policy.Mixed != MixedRefuse || l.policy.security() != SRTPOrRTP {
		return false
	}
	for _, p := range c.parties {
		if o := p.wire(); o != nil && o != l && o.insists() {
			return true
		}
	}
	return false
}

// takes is what a leg can do: what its policy says, less what its far end has shown that it cannot.
func (l *Leg) takes() Security {
	s := l.policy.security()
	if s == SRTPOrRTP || s == SRTP && l.can == RTP && l.emergency() {
		return orDefault(l.can, SRTPOrRTP)
	}
	return s
}

// noteCan notes what the descriptions of a far end that may have SRTP or not show: an offer of one kind alone, or an answer without SRTP
// where it was to be had. It counts until another offer or answer shows more.
func (l *Leg) noteCan() {
	d := l.desc
	switch {
	case d.Kind == KindOffer && d.Security != SecurityUnknown:
		l.can = d.Security
	case d.Kind != KindAnswer || l.oa != stable:
	case d.Security == RTP && l.told.Kind == KindOffer && l.told.Security != RTP:
		l.can = RTP
	case d.Security == SRTP && l.can == RTP:
		l.can = SRTPOrRTP
	}
}

// plain says whether a leg is, or is going to be, without SRTP.
func (l *Leg) plain() bool {
	return l.security == RTP || l.security == SecurityUnknown && l.takes() == RTP
}

// suits says whether two legs may hear each other under the policy for mixed calls: CauseNone, or SecurityMismatch where one insists
// on SRTP, the other has none, and such calls are refused. Whoever is about to bring two legs together asks before anybody is dropped.
func (e *Engine) suits(a, b *Leg) Cause {
	if a.emergency() || b.emergency() {
		return CauseNone
	}
	a.noteCan()
	b.noteCan()
	if e.config.site.Policy.Mixed == MixedRefuse && (a.takes() == RTP && b.insists() || b.takes() == RTP && a.insists()) {
		return SecurityMismatch
	}
	return CauseNone
}

// wouldSuit says whether w may hear l once l has answered with a description. Nothing has been changed when it may not.
func (e *Engine) wouldSuit(w, l *Leg, d Desc) bool {
	if d.Kind == KindNone {
		return true
	}
	if d.Security == RTP && l.insists() && l.tie == nil && !l.emergency() {
		return false // by its own policy
	}
	desc, oa := l.desc, l.oa
	if l.desc = d; d.Kind == KindAnswer {
		l.oa = stable
	}
	cause := e.suits(w, l)
	l.desc, l.oa = desc, oa
	return cause == CauseNone
}

// insists says whether a leg has SRTP or nothing.
func (l *Leg) insists() bool {
	return l.policy.security() == SRTP || l.tie != nil && l.takes() == SRTP // of what is behind a tie its offers are all that is known
}

// converts says whether two legs that take these need a conversion between them.
func converts(a, b Security) bool {
	_, convert := agree(a, b)
	return convert
}

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
	need := to.policy.security()
	if to.emergency() {
		need = to.takes() // what it has shown it can do counts
	}
	security, convert := agree(have, need)
	switch mixed := e.config.site.Policy.Mixed; {
	case convert && mixed == MixedRefuse && !from.party.call.emergency:
		return Media{}, SecurityMismatch
	case convert && mixed == MixedWarn:
		return e.warned(from.party.call, to), CauseNone
	}
	m := Media{Kind: KindOffer, Ref: from.desc.Ref, Peer: from.id, Dir: SendRecv, Security: security}
	if convert || from.policy.Anchor || to.policy.Anchor || e.needBridge(from, to) {
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
	case got == RTP && to.policy.security() == SRTP && !to.emergency():
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

// downgraded says whether a leg has answered an offer of SRTP with plain RTP: nothing is downgraded in silence, but for an emergency.
func (l *Leg) downgraded() bool {
	return l.desc.Security == RTP && (l.insists() || l.told.Security == SRTP) && !l.emergency()
}

// emergency says whether a leg is part of an emergency call.
func (l *Leg) emergency() bool { return l.party != nil && l.party.call.emergency }

// putUpWith says whether an answer that cannot be passed back is put up with, since the call is an emergency: the leg counts as one without
// SRTP from now on, and the settling offers it plain RTP through a relay, or the mixer, that has SRTP with the other end.
func (l *Leg) putUpWith(cause Cause) bool {
	if cause != SecurityMismatch || !l.emergency() || l.desc.Security != RTP || l.told.Security == RTP {
		return false
	}
	l.can = RTP
	return true
}

const downgradedWhy = "plain RTP was answered to an offer of SRTP"
