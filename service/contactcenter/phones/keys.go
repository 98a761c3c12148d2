package phones

import (
	"context"
	"errors"
	"fmt"

	"github.com/locktone/locktone/cti"
)

// keys is what can be done at a phone.
type keys interface {
	Answer(ctx context.Context, c cti.Call) error
	Hold(ctx context.Context, c cti.Call) error
	Retrieve(ctx context.Context, c cti.Call) error
	Drop(ctx context.Context, c cti.Call) error
	transfers
}

// transfers is what connects calls.
type transfers interface {
	BlindTransfer(ctx context.Context, c cti.Call, number string) error
	Consult(ctx context.Context, c cti.Call, number string) (cti.CallID, error)
	Transfer(ctx context.Context, first, second cti.Call) error
	Join(ctx context.Context, first cti.Call, others ...cti.Call) error
	dials
}

// dials is what makes calls and sounds.
type dials interface {
	Dial(ctx context.Context, line cti.LineID, number string) (cti.CallID, error)
	Digits(ctx context.Context, c cti.Call, digits string) error
}

// A Key is what an agent does with a phone.
type Key uint8

// The keys.
const (
	NoKey      Key = iota
	Answer         // the call that rings
	Hold           // the call in progress
	Resume         // the held call
	Release        // the call in progress, or the one that rings or is being made
	Transfer       // the call in progress goes to Number
	Consult        // it is held, and Number is called
	Complete       // the held call goes to who was consulted
	Conference     // the held call and the one in progress become one
	Reconnect      // the consultation ends, the held call goes on
	Dial           // Number is called
	SendDigits     // Number is played into the call in progress
)

var keyNames = [...]string{"none", "answer", "hold", "resume", "release", "transfer", "consult", "complete", "conference", "reconnect", "dial", "digits"}

func (k Key) String() string { return keyNames[k] }

// ParseKey reads a key's name.
func ParseKey(name string) (Key, error) {
	for i, n := range keyNames[1:] {
		if n == name {
			return Key(i + 1), nil
		}
	}
	return NoKey, fmt.Errorf("%q is nothing that can be done at a phone: expected one of %v", name, keyNames[1:])
}

// A Command is a key pressed at a phone that is followed.
type Command struct {
	Device string
	Key    Key
	Call   cti.CallID // zero: the call that the key is about by itself
	Number string     // to transfer to, consult, dial; or the digits
}

// A WrongMoment says that the phone has no call for a key.
type WrongMoment struct {
	Key    Key
	Device string
	Has    []Call
}

func (e *WrongMoment) Error() string {
	text := "no call"
	for i, c := range e.Has {
		if i == 0 {
			text = ""
		} else {
			text += ", "
		}
		text += fmt.Sprintf("a call %s with %s", c.State, c.Number)
	}
	return fmt.Sprintf("phone %s: %s is not possible now: it has %s", e.Device, e.Key, text)
}

// ErrNumber says that a key needs a number.
var ErrNumber = errors.New("a number is missing")

// Do presses a key. It returns when the CTI Manager has taken or refused it; what became of it is seen in the phone's pictures.
func (p *Phones) Do(ctx context.Context, c Command) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	p.mu.Lock()
	f, at := p.followed[c.Device], p.provider
	var line cti.LineID
	if f != nil {
		line = f.line
	}
	open := f != nil && f.open
	p.mu.Unlock()
	switch {
	case f == nil:
		return fmt.Errorf("phone %s is used by no agent", c.Device)
	case at == nil:
		return ErrAway
	case !open:
		return fmt.Errorf("phone %s is out of service: it is not registered, or its line is not open to the contact centre", c.Device)
	}
	has := map[State][]cti.Call{}
	for _, have := range at.Calls() {
		if have.Line == line && (c.Call == (cti.CallID{}) || c.Call == have.ID) {
			has[stateOf(have)] = append(has[stateOf(have)], have)
		}
	}
	if err := press(ctx, at, line, has, c); err != nil {
		var wrong *WrongMoment
		if errors.As(err, &wrong) {
			now, _ := p.Phone(c.Device)
			wrong.Device, wrong.Has = c.Device, now.Calls
		}
		return err
	}
	return nil
}

// press finds the call a key is about and does it.
func press(ctx context.Context, at keys, line cti.LineID, has map[State][]cti.Call, c Command) error {
	first := func(states ...State) (cti.Call, bool) {
		for _, s := range states {
			if len(has[s]) > 0 {
				return has[s][0], true
			}
		}
		return cti.Call{}, false
	}
	with := func(do func(context.Context, cti.Call) error, states ...State) error {
		call, ok := first(states...)
		if !ok {
			return &WrongMoment{Key: c.Key}
		}
		return do(ctx, call)
	}
	if c.Number == "" && (c.Key == Transfer || c.Key == Consult || c.Key == Dial || c.Key == SendDigits) {
		return fmt.Errorf("%s: %w", c.Key, ErrNumber)
	}
	switch c.Key {
	case Answer:
		return with(at.Answer, Ringing)
	case Hold:
		return with(at.Hold, Talking)
	case Resume:
		return with(at.Retrieve, Held)
	case Release:
		return with(at.Drop, Talking, Ringing, Dialing, Held)
	case Transfer:
		return with(func(ctx context.Context, call cti.Call) error { return at.BlindTransfer(ctx, call, c.Number) }, Talking, Held)
	case SendDigits:
		return with(func(ctx context.Context, call cti.Call) error { return at.Digits(ctx, call, c.Number) }, Talking)
	case Consult:
		return with(func(ctx context.Context, call cti.Call) error {
			_, err := at.Consult(ctx, call, c.Number)
			return err
		}, Talking)
	case Dial:
		_, err := at.Dial(ctx, line, c.Number)
		return err
	}
	return connect(ctx, at, first, c.Key)
}

// connect does what concerns two calls: the held one and the other.
func connect(ctx context.Context, at keys, first func(...State) (cti.Call, bool), key Key) error {
	held, one := first(Held)
	other, two := first(Talking, Dialing)
	if !one || !two {
		return &WrongMoment{Key: key}
	}
	switch key {
	case Complete:
		return at.Transfer(ctx, held, other)
	case Conference:
		return at.Join(ctx, held, other)
	}
	if err := at.Drop(ctx, other); err != nil {
		return err
	}
	return at.Retrieve(ctx, held)
}
