package call

// Digits between two legs whose media is direct are telephone events (RFC 4733), which both must have agreed on. Where one of them has
// none, its digits come as tones or by INFO, and the other's would reach nobody: a relay of ours between them says to each what it
// understands.

// bridged is what a leg remembers of attempts at that.
type bridged struct {
	with  LegID
	tries int
}

// needBridge says whether an offer of from goes to to by way of a relay, for the digits. An offer without events would keep whoever answers
// it from having any; an applet hears tones by itself; of a trunk its last answer is remembered; a terminal of an application is known to
// have none, its application hears of digits by CTI. After a refusal media is worth more than digits.
func (e *Engine) needBridge(from, to *Leg) bool {
	switch {
	case from.applet != "" || to.applet != "" || from.party.call.tries > 0:
		return false
	case to.desc.Kind == KindNone:
		return from.desc.NoEvents || to.trunk != "" && e.trunkOf(to.trunk).noEvents || e.terminal(to)
	}
	return from.desc.NoEvents != to.desc.NoEvents
}

// terminal says whether a leg is one of an application's terminal.
func (e *Engine) terminal(l *Leg) bool {
	d := e.config.devices[l.device]
	return d != nil && d.Terminal
}

// bridge re-offers the media of a pair of phones that hear each other directly and have not agreed on telephone events. Trunks are spared a
// new offer right after the answer: gateways often make one then.
func (e *Engine) bridge(c *Call) bool {
	if !c.flight.idle() || c.mixed {
		return false
	}
	for _, p := range c.parties {
		l := p.activeLeg()
		if l == nil || l.oa != stable || l.anchored || l.hears.kind != feedPeer || l.retry.running() {
			continue
		}
		o := e.legs[l.hears.peer]
		if o == nil || l.trunk != "" || o.trunk != "" || !o.active() || o.oa != stable || o.anchored || o.hears != (feed{kind: feedPeer, peer: l.id}) ||
			l.desc.NoEvents || !e.needBridge(l, o) {
			continue
		}
		if l.bridged.with != o.id {
			l.bridged = bridged{with: o.id}
		}
		if l.bridged.tries++; l.bridged.tries <= maxTries {
			return e.ask(l, o)
		}
	}
	return false
}

// bridgeRefused: media stays as it is. An offer that collided is asked for again.
func (e *Engine) bridgeRefused(l *Leg, cause Cause) {
	if cause != RequestPending {
		l.bridged.tries = maxTries
		return
	}
	e.again(l.party.call, l.backOff())
}
