package call

import "strings"

// digits passes DTMF that was heard in signalling, or in media that comes by here, on to who hears the leg. RFC 4733 events of direct media
// never come here. In a conference digits are for machines: applets, and what is behind trunks (a mailbox, a conference elsewhere), have
// them, and the other phones are spared the tones. A leg that is about to hear something else, after a retrieve or a transfer, has its
// digits when that stands: said into a stream that ends, they would end with it.
type digits struct{ abstain }

func (digits) signal(e *Engine, l *Leg, s Signal) bool {
	d, ok := s.(Digit)
	if !ok {
		return false
	}
	e.digit(l, d)
	return true
}

// digit passes one digit on.
func (e *Engine) digit(l *Leg, d Digit) {
	c := l.party.call
	e.emit(DigitHeard, c, l.party, l, CauseNone).Digit = d.Digit
	if !l.active() || l.party.held || l.party.listens() {
		return
	}
	for _, o := range e.heard(l) {
		if !o.party.held && (!c.focus || o.device == "" && (o.tie == nil || o.party.outside())) {
			e.sayDigit(o, SendDigit{o.id, d.Digit, d.Millis})
		}
	}
}

// maxDigits bounds what one request may play, and what may wait for the media of a leg.
const maxDigits = 128

// sayDigit says a digit to a leg, now or after those that wait already.
func (e *Engine) sayDigit(l *Leg, d SendDigit) {
	switch waiting := l.few().digits; {
	case e.standing(l) && len(waiting) == 0:
		e.tell(l, d)
	case len(waiting) < maxDigits:
		l.seldom().digits = append(waiting, d)
	}
}

// sayDigits says the digits that have waited, to the legs whose media stands. Who has put the call on hold meanwhile does not hear them.
func (e *Engine) sayDigits(c *Call) {
	for _, p := range c.parties {
		l := p.activeLeg()
		if l == nil || len(l.few().digits) == 0 || !e.standing(l) {
			continue
		}
		all := l.rare.digits
		l.rare.digits = nil
		for _, d := range all {
			if !p.held {
				e.tell(l, d)
			}
		}
	}
}

func (digits) request(e *Engine, r Request, reply *Reply) bool {
	s, ok := r.(SendDigits)
	if !ok {
		return false
	}
	l := e.activeHere(s.Leg, reply)
	switch {
	case l == nil:
	case s.Digits == "" || len(s.Digits) > maxDigits || strings.Trim(s.Digits, "0123456789*#ABCD") != "":
		reply.Cause, reply.Why = InvalidNumberFormat, "digits are 0 to 9, *, # and A to D, and no more than 128"
	case l.party.held:
		reply.Cause, reply.Why = WrongCallState, "leg "+l.id.String()+" has its call on hold: nobody would hear the digits"
	default:
		for i := range s.Digits {
			e.digit(l, Digit{Leg: l.id, Digit: s.Digits[i : i+1], Millis: s.Millis})
		}
	}
	return true
}
