package appleg

import (
	"context"
	"errors"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/call"
)

// cause is the cause with which a leg is released whose program has returned.
func cause(err error) call.Cause {
	var refused *applet.Refused
	switch {
	case err == nil:
		return call.NormalClearing
	case errors.As(err, &refused):
		return refused.Cause
	}
	return call.TemporaryFailure
}

// port is what a program's session knows of the driver.
type port struct {
	d *Driver
	s *session
}

func (p port) Alert(ctx context.Context) error  { return p.ask(ctx, ask{kind: askAlert}) }
func (p port) Answer(ctx context.Context) error { return p.ask(ctx, ask{kind: askAnswer}) }
func (p port) Stream() applet.Stream            { return p.s.stream }
func (p port) Signalled() <-chan string         { return p.s.digits }

func (p port) Transfer(ctx context.Context, number string) error {
	return p.ask(ctx, ask{kind: askTransfer, to: number})
}

// ask hands a wish to the driver and waits until it is fulfilled. The driver takes asks until the program has ended.
func (p port) ask(ctx context.Context, a ask) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	a.s, a.reply = p.s, make(chan error, 1)
	p.d.asks <- a
	select {
	case err := <-a.reply:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
