package contact

import (
	"fmt"
	"strings"
	"time"
)

// Bounds of a Label; what is over them is refused whole, so that no mistake in a routing script fills a call server.
const (
	MaxSteps     = 64
	MaxPrompts   = 32
	MaxChoices   = 32
	MaxText      = 4096 // octets of a Prompt's text
	MaxVariables = 64
	MaxName      = 64   // octets of a variable's name
	MaxValue     = 1024 // octets of a variable's value
	MaxDigits    = 64
	MaxTries     = 10
	MaxTime      = 24 * time.Hour
	MaxRecord    = 10 * time.Minute
	MaxJoin      = 2 * time.Minute // that who joins may ring
)

// Check says what of the Label cannot be done, nil when all can.
func (l *Label) Check() error {
	if l.Serial == 0 {
		return fmt.Errorf("contact: a label without a serial; they count from 1")
	}
	if err := CheckVariables(l.Variables); err != nil {
		return err
	}
	switch l.Kind {
	case Stay, End:
		return nil
	case Connect:
		return l.checkConnect()
	case Treat:
	default:
		return fmt.Errorf("contact: label %d: its kind %s is not known", l.Serial, l.Kind)
	}
	if n := len(l.Steps); n == 0 || n > MaxSteps {
		return fmt.Errorf("contact: label %d: a treatment of %d steps; expected 1 to %d", l.Serial, n, MaxSteps)
	}
	for i := range l.Steps {
		if err := l.Steps[i].Check(); err != nil {
			return fmt.Errorf("contact: label %d: step %d (%s): %w", l.Serial, i+1, l.Steps[i].Kind, err)
		}
	}
	return nil
}

// isNumber says whether s can be dialled.
func isNumber(s string) bool { return s != "" && len(s) <= MaxName && strings.Trim(s, dialled) == "" }

func (l *Label) checkConnect() error {
	switch {
	case !isNumber(l.Number):
		return fmt.Errorf("contact: label %d: %q is no number to connect to; expected digits, *, #, +", l.Serial, l.Number)
	case l.Calling != "" && !isNumber(l.Calling):
		return fmt.Errorf("contact: label %d: %q is no calling number; expected digits, *, #, +", l.Serial, l.Calling)
	case l.NoAnswer < 0 || l.NoAnswer > MaxTime:
		return fmt.Errorf("contact: label %d: a number may ring up to %s, not %s", l.Serial, MaxTime, l.NoAnswer)
	}
	return nil
}

// dialled are the signs of numbers, keys those of a keypad.
const (
	dialled = "0123456789*#+ABCD"
	keys    = "0123456789*#"
)

// CheckVariables says what is wrong with variables of a call: a name is a letter and then letters, digits and underscores.
func CheckVariables(v map[string]string) error {
	if len(v) > MaxVariables {
		return fmt.Errorf("contact: %d variables; a call has up to %d", len(v), MaxVariables)
	}
	for name, value := range v {
		if !IsName(name) {
			return fmt.Errorf("contact: %q is no name of a variable; expected a letter, then up to %d letters, digits or underscores", name, MaxName-1)
		}
		if len(value) > MaxValue {
			return fmt.Errorf("contact: variable %s has a value of %d octets; up to %d are carried", name, len(value), MaxValue)
		}
	}
	return nil
}

// IsName says whether s can be the name of a variable.
func IsName(s string) bool {
	if s == "" || len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

// Check says what is wrong with the step, nil when nothing is.
func (p *Play) Check() error {
	if len(p.Prompts) > MaxPrompts {
		return fmt.Errorf("%d prompts; a step has up to %d", len(p.Prompts), MaxPrompts)
	}
	for i, m := range p.Prompts {
		if err := m.check(); err != nil {
			return fmt.Errorf("prompt %d: %w", i+1, err)
		}
	}
	switch {
	case p.Timeout < 0 || p.Timeout > time.Minute || p.Inter < 0 || p.Inter > time.Minute:
		return fmt.Errorf("it would wait %s and %s for keys; up to 1m0s each", p.Timeout, p.Inter)
	case p.Tries < 0 || p.Tries > MaxTries:
		return fmt.Errorf("%d tries; up to %d", p.Tries, MaxTries)
	case p.asks() && !IsName(p.Variable):
		return fmt.Errorf("%q is no variable for its result", p.Variable)
	case p.asks() && len(p.Variable)+len(Why) > MaxName:
		return fmt.Errorf("the variable %q is too long; up to %d octets", p.Variable, MaxName-len(Why))
	}
	return p.checkKind()
}

// asks says whether the step has a result.
func (p *Play) asks() bool { return p.Kind == Menu || p.Kind == Digits || p.Kind == Record }

func (p *Play) checkKind() error {
	switch p.Kind {
	case Say:
		if len(p.Prompts) == 0 {
			return fmt.Errorf("it has nothing to say")
		}
	case Menu:
		return p.checkChoices()
	case Digits:
		least, most := p.Range()
		if least < 1 || most < least || most > MaxDigits {
			return fmt.Errorf("%d to %d digits; expected 1 to %d", least, most, MaxDigits)
		}
		if p.End != "" && p.End != NoEnd && (len(p.End) != 1 || strings.Trim(p.End, keys) != "") {
			return fmt.Errorf("%q is no key that could end the digits; expected one of %s or %q", p.End, keys, NoEnd)
		}
	case Music:
		if p.For < 0 || p.For > MaxTime {
			return fmt.Errorf("music for %s; up to %s", p.For, MaxTime)
		}
		if p.Source != "" {
			return Prompt{Audio: p.Source}.check()
		}
	case Record:
		if p.For < 0 || p.For > MaxRecord {
			return fmt.Errorf("a recording of %s; up to %s", p.For, MaxRecord)
		}
	default:
		return fmt.Errorf("not known")
	}
	return nil
}

// Range is how many digits are collected, with the defaults.
func (p *Play) Range() (least, most int) {
	least = max(p.Min, 0)
	if least == 0 {
		least = 1
	}
	if most = p.Max; most == 0 {
		most = least
	}
	return least, most
}

func (p *Play) checkChoices() error {
	if n := len(p.Choices); n == 0 || n > MaxChoices {
		return fmt.Errorf("%d choices; expected 1 to %d", n, MaxChoices)
	}
	for i, c := range p.Choices {
		if c.Key == "" || len(c.Key) > 8 || strings.Trim(c.Key, keys) != "" {
			return fmt.Errorf("choice %d: %q cannot be pressed; expected 1 to 8 of %s", i+1, c.Key, keys)
		}
		if len(c.Value) > MaxValue {
			return fmt.Errorf("choice %d: a value of %d octets; up to %d", i+1, len(c.Value), MaxValue)
		}
		for j := range i {
			if p.Choices[j].Key == c.Key {
				return fmt.Errorf("choices %d and %d are both for key %s", j+1, i+1, c.Key)
			}
		}
	}
	return nil
}

func (m Prompt) check() error {
	switch {
	case (m.Text == "") == (m.Audio == ""):
		return fmt.Errorf("expected a text or an audio file")
	case len(m.Text) > MaxText:
		return fmt.Errorf("a text of %d octets; up to %d", len(m.Text), MaxText)
	case len(m.Audio) > MaxValue:
		return fmt.Errorf("an audio file's name of %d octets; up to %d", len(m.Audio), MaxValue)
	case strings.Contains(m.Audio, "://"):
		scheme, rest, _ := strings.Cut(m.Audio, "://")
		if scheme != "https" && scheme != "http" || rest == "" || rest[0] == '/' || strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' }) {
			return fmt.Errorf("%q is no http or https URI", m.Audio)
		}
	case strings.ContainsFunc(m.Audio, func(r rune) bool { return r < ' ' || r == '\\' }) || strings.Contains(m.Audio, ".."):
		return fmt.Errorf("%q is no name of an audio file", m.Audio)
	}
	return nil
}
