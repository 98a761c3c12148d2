package sipleg_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/lab/phone/phonetest"
	"github.com/locktone/locktone/leg/drivertest"
	"github.com/locktone/locktone/media"
)

// The SIP driver keeps the contract every driver keeps, with a real phone over mutual TLS at the far end.
func TestDriverContract(t *testing.T) {
	drivertest.Suite(t, func(t *testing.T, e *drivertest.Engine, p *media.Plane) drivertest.Rig {
		x := phonetest.Open(t, e, p)
		line := call.LineID{Number: "1001"}
		x.AddDevice(phonetest.Device(1), line)
		x.AddDevice(phonetest.Device(2), call.LineID{Number: "1003"})
		far := &far{p: x.Phone(1, "1001", nil)}
		e.Forget() // the registrar's DeviceState is not the driver's
		return drivertest.Rig{
			Far:    far,
			Target: call.Target{Device: phonetest.Device(1), Line: line, Called: "1001"},
			Nobody: call.Target{Device: phonetest.Device(2), Line: call.LineID{Number: "1003"}, Called: "1003"},
		}
	})
}

// far is a lab phone as a far end.
type far struct {
	p *phone.Phone
	c *phone.Call
}

// Do implements drivertest.Far.
func (f *far) Do(ctx context.Context, a drivertest.Action, number string) (err error) {
	switch a {
	case drivertest.Dial:
		f.c, err = f.p.Dial(ctx, number)
	case drivertest.Answer:
		f.c.StartAnswer()
	case drivertest.Reject:
		f.c.Reject(486)
	case drivertest.Hangup:
		err = f.c.Hangup(ctx)
	case drivertest.Hold:
		err = f.c.Hold(ctx)
	case drivertest.Resume:
		err = f.c.Resume(ctx)
	case drivertest.Digit5:
		f.c.SendInfo("5")
	default:
		err = errors.ErrUnsupported
	}
	return err
}

// Wait implements drivertest.Far.
func (f *far) Wait(ctx context.Context, s drivertest.Seen) error {
	switch s {
	case drivertest.Rings:
		select {
		case f.c = <-f.p.Incoming():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	case drivertest.Alerted:
		return f.c.WaitRinging(ctx)
	case drivertest.Answered:
		return f.c.WaitAnswered(ctx)
	case drivertest.Over:
		_, _, err := f.c.WaitEnded(ctx)
		return err
	case drivertest.OnHold:
		return f.c.WaitHeld(ctx, true)
	}
	return fmt.Errorf("far end cannot see %d", s)
}
