package call

// digits passes DTMF that was heard in signalling, or in media that comes by here, on to who hears the leg. RFC 4733 events of direct media
// never come here. In a conference digits are for machines: applets, and what is behind trunks (a mailbox, a conference elsewhere), have
// them, and the other phones are spared the tones.
type digits struct{ abstain }

func (digits) signal(e *Engine, l *Leg, s Signal) bool {
	d, ok := s.(Digit)
	if !ok {
		return false
	}
	c := l.party.call
	e.emit(DigitHeard, c, l.party, l, CauseNone).Digit = d.Digit
	if !l.active() || l.party.held {
		return true
	}
	for _, o := range e.heard(l) {
		if !o.party.held && (!c.focus || o.device == "" && (o.tie == nil || o.party.outside())) {
			e.tell(o, SendDigit{o.id, d.Digit, d.Millis})
		}
	}
	return true
}
