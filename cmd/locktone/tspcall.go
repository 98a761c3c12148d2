package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// tspLine chooses a line on the command line.
type tspLine struct {
	Device string `help:"Device; may be left out where only one line fits." placeholder:"NAME"`
	Line   string `help:"Number of the line; default the device's first." placeholder:"NUMBER"`
}

// open logs in and opens the line.
func (l tspLine) open(a *app, tsp *tspCmd) (*cti.Provider, cti.LineID, func(), error) {
	p, closing, err := tsp.provider(a)
	if err != nil {
		return nil, cti.LineID{}, nil, err
	}
	id, err := p.Find(l.Device, l.Line)
	if err == nil {
		err = p.OpenLine(a.ctx, id)
	}
	if err != nil {
		closing()
		return nil, id, nil, tspProblem(err)
	}
	return p, id, closing, nil
}

// tspStep is how long a command waits for what it asked for to happen.
const tspStep = 10 * time.Second

// until reads events until one says that a call is in a state that was waited for, or over.
func (a *app) until(p *cti.Provider, limit time.Duration, id cti.CallID, line cti.LineID, states ...ctiqbe.CallState) (cti.Call, error) {
	ctx, cancel := context.WithTimeout(a.ctx, limit)
	defer cancel()
	last := cti.Call{ID: id, Line: line}
	for {
		if c, ok := p.Call(line, id); ok {
			if last.State != c.State {
				last = c
			}
			if slices.Contains(states, c.State) {
				return c, nil
			}
		}
		e, err := p.Next(ctx)
		if err != nil {
			return last, fmt.Errorf("the call is %s: %w", last.State, err)
		}
		if !a.json {
			a.tellEvent(e)
		}
		switch e := e.(type) {
		case cti.CallChanged:
			if e.Call.ID == id && e.Call.Line == line {
				last = e.Call
				if slices.Contains(states, e.Call.State) {
					return e.Call, nil
				}
			}
		case cti.CallEnded:
			if e.Call.ID == id && e.Call.Line == line {
				e.Call.Cause = last.Cause
				return e.Call, fmt.Errorf("the call ended: %s", last.Cause)
			}
		case cti.Closed:
			return last, errors.Join(cti.ErrClosed, e.Err)
		}
	}
}

// one is the one call of a line in a state that fits.
func one(p *cti.Provider, line cti.LineID, doing string, fits ...ctiqbe.CallState) (cti.Call, error) {
	var found []cti.Call
	for _, c := range p.Calls() {
		if c.Line == line && !c.Remote && slices.Contains(fits, c.State) {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		return cti.Call{}, fmt.Errorf("%s: line %s has %d calls that this can be done to", doing, line, len(found))
	}
	return found[0], nil
}

func (a *app) tellCall(c cti.Call) error {
	if a.json {
		return a.printJSON(c)
	}
	fmt.Fprintln(a.out, strings.Map(printable, callText(c)))
	return nil
}

func callText(c cti.Call) string {
	way := "from"
	if c.Outgoing() {
		way = "to"
	}
	return fmt.Sprintf("%s  %s %s  %s", c.Line, way, c.Peer(), c.State)
}

// tspDialCmd is `locktone tsp dial`.
type tspDialCmd struct {
	Number string `arg:"" help:"Whom to call."`
	tspLine
	Wait time.Duration `help:"How long to wait for an answer." default:"60s"`
}

// Run calls, and returns when somebody answers. The call goes on at the telephone.
func (c *tspDialCmd) Run(a *app, tsp *tspCmd) error {
	p, line, closing, err := c.open(a, tsp)
	if err != nil {
		return err
	}
	defer closing()
	id, err := p.Dial(a.ctx, line, c.Number)
	if err != nil {
		return tspProblem(err)
	}
	call, err := a.until(p, c.Wait, id, line, ctiqbe.CallStateConnected)
	if err != nil {
		return err
	}
	return a.tellCall(call)
}

// tspAnswerCmd is `locktone tsp answer`.
type tspAnswerCmd struct{ tspLine }

var ringing = []ctiqbe.CallState{ctiqbe.CallStateOffering, ctiqbe.CallStateAccepted}

// Run answers.
func (c *tspAnswerCmd) Run(a *app, tsp *tspCmd) error {
	return c.act(a, tsp, "answering", ringing, ctiqbe.CallStateConnected, (*cti.Provider).Answer)
}

// act does one thing to the one call of a line that it can be done to, and waits for what comes of it.
func (l tspLine) act(a *app, tsp *tspCmd, doing string, fits []ctiqbe.CallState, then ctiqbe.CallState, do func(*cti.Provider, context.Context, cti.Call) error) error {
	p, line, closing, err := l.open(a, tsp)
	if err != nil {
		return err
	}
	defer closing()
	call, err := one(p, line, doing, fits...)
	if err != nil {
		return err
	}
	if err := do(p, a.ctx, call); err != nil {
		return tspProblem(err)
	}
	after, err := a.until(p, tspStep, call.ID, line, then)
	if err != nil && (then != ctiqbe.CallStateIdle || after.State != ctiqbe.CallStateIdle) {
		return err
	}
	return a.tellCall(after)
}

// tspHoldCmd is `locktone tsp hold`.
type tspHoldCmd struct {
	tspLine
	Retrieve bool `help:"Take a held call back."`
}

// Run holds or retrieves.
func (c *tspHoldCmd) Run(a *app, tsp *tspCmd) error {
	if c.Retrieve {
		return c.act(a, tsp, "retrieving", []ctiqbe.CallState{ctiqbe.CallStateOnHold}, ctiqbe.CallStateConnected, (*cti.Provider).Retrieve)
	}
	return c.act(a, tsp, "holding", []ctiqbe.CallState{ctiqbe.CallStateConnected}, ctiqbe.CallStateOnHold, (*cti.Provider).Hold)
}

// tspDropCmd is `locktone tsp drop`.
type tspDropCmd struct{ tspLine }

// Run ends the call.
func (c *tspDropCmd) Run(a *app, tsp *tspCmd) error {
	alive := append([]ctiqbe.CallState{ctiqbe.CallStateConnected, ctiqbe.CallStateOnHold, ctiqbe.CallStateDialTone, ctiqbe.CallStateDialing,
		ctiqbe.CallStateProceeding, ctiqbe.CallStateRingback, ctiqbe.CallStateBusy}, ringing...)
	return c.act(a, tsp, "ending", alive, ctiqbe.CallStateIdle, (*cti.Provider).Drop)
}

// tspTransferCmd is `locktone tsp transfer`.
type tspTransferCmd struct {
	Number string `arg:"" help:"To whom."`
	tspLine
	Consult bool          `help:"Call there first, and hand over when somebody answers."`
	Wait    time.Duration `help:"How long to wait for that answer." default:"60s"`
}

// Run transfers.
func (c *tspTransferCmd) Run(a *app, tsp *tspCmd) error {
	if !c.Consult {
		return c.act(a, tsp, "transferring", []ctiqbe.CallState{ctiqbe.CallStateConnected}, ctiqbe.CallStateIdle,
			func(p *cti.Provider, ctx context.Context, call cti.Call) error {
				return p.BlindTransfer(ctx, call, c.Number)
			})
	}
	p, line, closing, err := c.open(a, tsp)
	if err != nil {
		return err
	}
	defer closing()
	first, err := one(p, line, "transferring", ctiqbe.CallStateConnected)
	if err != nil {
		return err
	}
	id, err := p.Consult(a.ctx, first, c.Number)
	if err != nil {
		return tspProblem(err)
	}
	second, err := a.until(p, c.Wait, id, line, ctiqbe.CallStateConnected)
	if err != nil {
		return err
	}
	if err := p.Transfer(a.ctx, first, second); err != nil {
		return tspProblem(err)
	}
	after, err := a.until(p, tspStep, first.ID, line, ctiqbe.CallStateIdle)
	if err != nil && after.State != ctiqbe.CallStateIdle {
		return err
	}
	return a.tellCall(after)
}
