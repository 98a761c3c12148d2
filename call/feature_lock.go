package call

import (
	"strings"
	"time"
)

// lockState keeps what is known about the protection of each leg, and says so when it has changed: to observers, and to the phones, whose
// users look at a lock icon. A leg is as well protected as was verified: its signalling by the certificate of its connection, its media
// by what was negotiated and, where the packets come by here, by the packets themselves. A call is as good as its weakest leg.
type lockState struct{ abstain }

// weakness is what the sentence of a Protection comes from: cheap to compare.
type weakness struct {
	trust    Trust
	security Security
	proof    Proof
	behind   Lock
	stale    bool
}

// signal: the media plane has something to say about the last packets.
func (lockState) signal(e *Engine, l *Leg, s Signal) bool {
	switch s := s.(type) {
	case Heard:
		if l.onWire() {
			e.heardPackets(l, s.Proof, s.Why)
		}
		return true
	case Answered:
		if l.ringing() && l.applet == "" {
			l.trust = s.Trust
			l.party.changed()
			if l.trust < TrustMutual && l.shown != LockUnknown {
				l.shown = LockNonSecure // the driver knew that when it told the phone
			}
		}
	}
	return false
}

// heardPackets notes what the last packets of a leg have shown.
func (e *Engine) heardPackets(l *Leg, proof Proof, why string) {
	if l.proof == proof && l.proofWhy == why {
		return
	}
	l.proof, l.proofWhy = proof, why
	l.party.changed()
	l.party.call.weakness.stale = true // the sentence may be another
	e.noteTrouble(l)
}

// noteTrouble tells observers what the last packets of a leg mean for who listens.
func (e *Engine) noteTrouble(l *Leg) {
	was := l.troubled
	switch l.troubled = l.trouble(); {
	case l.troubled:
		e.emit(MediaTrouble, l.party.call, l.party, l, CauseNone).Why = l.name() + ": " + orDefault(l.proofWhy, l.proof.String())
	case was:
		e.emit(MediaGood, l.party.call, l.party, l, CauseNone)
	}
}

// firstPackets is how long a leg that was silent before it was answered has to be heard.
const firstPackets = 2 * time.Second

// expectPackets: a leg has been answered. That nothing came from it before was no trouble; before long it is.
func (e *Engine) expectPackets(l *Leg) {
	if l.proof == ProofSilent {
		l.silence = &timer{kind: timerSilence, call: l.party.call, party: l.party}
		e.start(l.silence, firstPackets)
	}
}

func (lockState) expired(e *Engine, t *timer) bool {
	if t.kind != timerSilence {
		return false
	}
	if l := t.party.activeLeg(); l != nil && l.silence == t && l.proof == ProofSilent {
		e.noteTrouble(l)
	}
	return true
}

// trouble says whether what arrives is not what should.
func (l *Leg) trouble() bool {
	switch l.proof {
	case ProofFailed:
		return true
	case ProofSilent:
		return l.active() && (l.silence == nil || !l.silence.running())
	case ProofPlain:
		return l.security != RTP
	}
	return false
}

// lock is how well a leg alone is protected.
func (l *Leg) lock() Lock {
	k := l.own()
	if b := l.behind(); b != LockUnknown && k != LockUnknown {
		k = min(k, b)
	}
	return k
}

// own is how well a leg is protected up to its own far end: of a tie, the other node.
func (l *Leg) own() Lock {
	switch {
	case l.applet != "":
		return LockEncrypted // it ends in this program
	case l.security == SecurityUnknown:
		return LockUnknown
	case l.trust < TrustMutual:
		return LockNonSecure
	case l.security != SRTP:
		return LockAuthenticated
	case l.proof == ProofPlain || l.proof == ProofFailed:
		return LockNonSecure
	}
	return LockEncrypted
}

// potential is the best lock state a leg that waits for our answer can have.
func (l *Leg) potential() Lock {
	switch {
	case l.applet != "":
		return LockEncrypted
	case l.behind() != LockUnknown && l.behind() < LockEncrypted:
		return l.behind()
	case l.trust < TrustMutual:
		return LockNonSecure
	case l.takes() == RTP || l.desc.Kind == KindOffer && l.desc.Security == RTP:
		return LockAuthenticated
	}
	return LockEncrypted
}

// couldBe is the sentence for a potential that is too weak.
func (l *Leg) couldBe(k Lock) string {
	if k == LockAuthenticated {
		return "the leg to " + l.name() + " has no SRTP"
	}
	return l.trustWhy()
}

// name is what people call a leg.
func (l *Leg) name() string {
	switch {
	case l.tie != nil && !l.tie.left:
		return strings.TrimSpace(l.device + l.trunk + " at node " + l.tie.node)
	case l.tie != nil:
		return "node " + l.tie.node
	case l.device != "":
		return "device " + l.device
	case l.trunk != "":
		return "trunk " + l.trunk
	case l.applet != "":
		return "applet " + l.applet
	}
	return "leg " + l.id.String()
}

// lockWhy says in a sentence why a leg is not encrypted; empty when it is.
func (l *Leg) lockWhy() string {
	switch k := l.lock(); {
	case k == LockEncrypted:
		return ""
	case l.weakBehind() && k != LockUnknown:
		return "node " + l.tie.origin() + ": " + orDefault(l.tie.why, "what lies behind it is only "+k.String())
	case k == LockUnknown && l.potential() < LockEncrypted:
		return l.couldBe(l.potential())
	case k == LockUnknown:
		return "the media of the leg to " + l.name() + " is not agreed yet"
	case l.trust < TrustMutual:
		return l.trustWhy()
	case l.security != SRTP && l.policy.security() == RTP:
		return "the leg to " + l.name() + " carries plain RTP: its security profile is non-secure, or does not allow SRTP"
	case l.security != SRTP:
		return "the leg to " + l.name() + " carries plain RTP: the far end offers nothing better"
	case l.proof == ProofPlain:
		return "the last packets of " + l.name() + " were plain RTP though SRTP was agreed" + because(l.proofWhy)
	}
	return "the last packets of " + l.name() + " could not be authenticated" + because(l.proofWhy)
}

func (l *Leg) trustWhy() string {
	if l.trust == TrustServer {
		return "the signalling of " + l.name() + " does not prove who is there: it showed no certificate that belongs to it"
	}
	return "the signalling of " + l.name() + " is neither encrypted nor proven: it does not use TLS"
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// weakest is the protection of a call's active legs, and of one that is about to be active: LockUnknown while the media of one that may be
// protected or not is not agreed.
func (c *Call) weakest(also *Leg) (Lock, *Leg) { return c.weakestBut(nil, also) }

// weakestBut is the same without one leg: what a tie tells of the call at this end of it.
func (c *Call) weakestBut(but, also *Leg) (Lock, *Leg) {
	lock, leg := LockUnknown, (*Leg)(nil)
	for _, p := range c.parties {
		if p.listens() {
			continue // it is no weaker, see guardGuests
		}
		for _, l := range p.legs {
			if l.state != LegIsActive && l != also || l == but {
				continue
			}
			k := l.lock()
			if k == LockUnknown {
				if k = l.potential(); k == LockEncrypted && l.insists() {
					continue // it will be SRTP or nothing
				}
				if k == LockEncrypted {
					return LockUnknown, nil
				}
			}
			if leg == nil || k < lock || k == lock && l.nearer(leg) {
				lock, leg = k, l
			}
		}
	}
	return lock, leg
}

// noteProtection notes how well the call is protected; it says whether that has changed.
func (e *Engine) noteProtection(c *Call) bool {
	for _, p := range c.parties {
		if l := p.activeLeg(); l != nil {
			l.locked() // for its record
		}
	}
	k, l := c.weakest(nil)
	now := Protection{Lock: k}
	var w weakness
	if l != nil && k != LockEncrypted {
		now.Leg, w = l.id, weakness{trust: l.trust, security: l.security, proof: l.proof}
		if l.tie != nil {
			w.behind = l.behind()
		}
	}
	if w == c.weakness && now.Lock == c.protection.Lock && now.Leg == c.protection.Leg {
		return false
	}
	c.weakness = w
	if now.Leg != 0 {
		now.Why = l.lockWhy()
	}
	was := c.protection
	if c.protection = now; was == now {
		return false
	}
	c.view = nil
	return true
}

// showLocks tells every phone whose lock icon is not what it should be, once its own exchange is over.
func (e *Engine) showLocks(c *Call) {
	k := c.protection.Lock
	if k == LockUnknown {
		return
	}
	for _, p := range c.parties {
		l := p.activeLeg()
		if l != nil && l.tie != nil {
			e.showBehind(l)
			continue
		}
		if l != nil && l.device != "" && l.shown != k && l.oa == stable && l.security != SecurityUnknown {
			l.shown = k
			if !e.identifyWith(l, k) {
				e.tell(l, ShowLock{Leg: l.id, Protection: c.protection})
			}
		}
	}
}

// showBehind tells the other node how well the call is protected at this end of a tie, where that has changed.
func (e *Engine) showBehind(l *Leg) {
	k, weak := l.party.call.weakestBut(l, nil)
	if k == LockUnknown || l.oa != stable || l.security == SecurityUnknown {
		return
	}
	var via Via
	if k != LockEncrypted {
		via = weak.via()
	}
	if l.shown == k && l.tie.told == via {
		return
	}
	l.shown, l.tie.told = k, via
	p := Protection{Lock: k, Leg: weak.id}
	switch {
	case k == LockEncrypted:
		p.Leg = 0
	case via != "":
		p.Why = weak.tie.why
	default:
		p.Why = weak.lockWhy()
	}
	show := ShowLock{Leg: l.id, Protection: p}
	if k != LockEncrypted {
		show.Via = via.through(l.tie.home, l.party.call.id)
	}
	e.tell(l, show)
}

// behind is how well the call of whoever calls is protected, as far as is known before the answer: what a tie is told with its Ring.
func behind(from *Leg) Lock {
	switch {
	case from == nil:
		return LockUnknown
	case from.active():
		return from.lock()
	}
	return from.potential()
}

// identifyWith puts a lock state into the Identify that the Step has for the leg already: one message tells both.
func (e *Engine) identifyWith(l *Leg, k Lock) bool {
	for i := range e.out.Commands {
		if c, ok := e.out.Commands[i].Command.(Identify); ok && c.Leg == l.id {
			c.Lock = k
			e.out.Commands[i].Command = c
			return true
		}
	}
	return false
}

// promise is the lock state a call will have if a leg answers the offer it gets: what the caller's side amounts to, and what the offer
// insists on. LockUnknown where the answer decides.
func (e *Engine) promise(from *Leg, m Media) Lock {
	if from == nil || m.Kind != KindOffer || m.Security == SRTPOrRTP || m.Security == SecurityUnknown {
		return LockUnknown
	}
	k := from.potential()
	if from.active() {
		k = from.lock()
	}
	if m.Security == RTP {
		k = min(k, LockAuthenticated)
	}
	return k
}
