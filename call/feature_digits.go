package call

import "strings"

// digits passes DTMF that was heard in signalling, or in media that comes by here, on to who hears the leg. RFC 4733 events of direct media
// never come here. In a conference digits are for machines: applets, and what is behind trunks (a mailbox, a conference elsewhere), have
// them, and the other phones are spared the tones.
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
	if !l.active() || l.party.held {
		return
	}
	for _, o := range e.heard(l) {
		if !o.party.held && (!c.focus || o.device == "" && (o.tie == nil || o.party.outside())) {
			e.tell(o, SendDigit{o.id, d.Digit, d.Millis})
		}
	}
}

// maxDigits bounds what one request may play.
const maxDigits = 128

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
