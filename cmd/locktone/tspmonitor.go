package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/locktone/locktone/cti"
)

// tspMonitorCmd is `locktone tsp monitor`.
type tspMonitorCmd struct {
	Device string        `help:"Only the lines of this device." placeholder:"NAME"`
	For    time.Duration `help:"End after this time; 0: at Ctrl-C." default:"0"`
}

// Run watches: on a terminal as a picture that is kept up to date, otherwise as a line for each event.
func (c *tspMonitorCmd) Run(a *app, tsp *tspCmd) error {
	p, closing, err := tsp.provider(a)
	if err != nil {
		return err
	}
	defer closing()
	ctx := a.ctx
	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	var lines []cti.LineInfo
	for _, l := range p.Lines() {
		if c.Device != "" && l.ID.Device != c.Device {
			continue
		}
		if err := p.OpenLine(ctx, l.ID); err != nil {
			fmt.Fprintln(a.err, tspProblem(err))
			continue
		}
		lines = append(lines, l)
	}
	if len(lines) == 0 {
		return errors.New("there is no line to watch")
	}
	m := &monitor{p: p, lines: lines, since: map[string]time.Time{}, width: a.width}
	if a.width == 0 || a.json {
		return m.print(ctx, a)
	}
	return m.draw(ctx, a)
}

// monitor is the picture on the terminal.
type monitor struct {
	p     *cti.Provider
	lines []cti.LineInfo
	since map[string]time.Time // when each call came into its state
	log   []string
	width int
}

const monitorLog = 12

func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// print writes a line for each event.
func (m *monitor) print(ctx context.Context, a *app) error {
	for {
		e, err := m.p.Next(ctx)
		if err != nil {
			return ended(ctx, err)
		}
		if a.json {
			if err := a.printJSON(map[string]any{"at": time.Now().UTC(), "event": strings.TrimPrefix(fmt.Sprintf("%T", e), "cti."), "text": eventText(e)}); err != nil {
				return err
			}
			continue
		}
		a.tellEvent(e)
		if c, ok := e.(cti.Closed); ok {
			return tspProblem(c.Err)
		}
	}
}

// tellEvent prints one, where it says anything.
func (a *app) tellEvent(e cti.Event) {
	if text := eventText(e); text != "" {
		fmt.Fprintf(a.out, "%s  %s\n", time.Now().Format("15:04:05.000"), strings.Map(printable, text))
	}
}

// eventText is an event in one line; "" for what a person need not know.
func eventText(e cti.Event) string {
	switch e := e.(type) {
	case cti.NewCall:
		return "new      " + callText(e.Call)
	case cti.CallChanged:
		text := "changed  " + callText(e.Call)
		if e.Call.Cause != 0 {
			text += "  " + e.Call.Cause.String()
		}
		return text
	case cti.PartiesChanged:
		return "parties  " + callText(e.Call)
	case cti.GlobalChanged:
		return "merged   " + callText(e.Call)
	case cti.CallEnded:
		return "ended    " + callText(e.Call)
	case cti.Transfer:
		return fmt.Sprintf("transfer %s  %s", e.Line, phase(e.Ended, e.Success))
	case cti.Conference:
		return fmt.Sprintf("conference %s  %s", e.Line, phase(e.Ended, e.Success))
	case cti.Digit:
		return fmt.Sprintf("digit    %s  %c", e.Call.Line, e.Digit)
	case cti.Parked:
		return fmt.Sprintf("parked   %s  at %s  %s", e.Line, e.Number, e.Status)
	case cti.ForwardChanged:
		return fmt.Sprintf("forward  %s  to %q", e.Line, e.To)
	}
	return stateText(e)
}

func phase(ended, success bool) string {
	switch {
	case !ended:
		return "begins"
	case success:
		return "done"
	}
	return "failed"
}

func stateText(e cti.Event) string {
	switch e := e.(type) {
	case cti.LinkLost:
		return fmt.Sprintf("LOST     CTI manager %s: %v", e.Manager, e.Err)
	case cti.Gap:
		return fmt.Sprintf("GAP      of %v; now at %s, before at %s", e.To.Sub(e.From).Round(time.Millisecond), e.Manager, e.Before)
	case cti.Closed:
		return fmt.Sprintf("CLOSED   %v", e.Err)
	case cti.ServiceChanged:
		what := e.Device
		if e.Line.Number != "" {
			what = e.Line.String()
		}
		if e.InService {
			return "in service  " + what
		}
		return "OUT OF SERVICE  " + what + "  " + e.Why
	case cti.DeviceChanged:
		return "device   " + e.Device
	case cti.DoNotDisturb:
		return fmt.Sprintf("do not disturb  %s  %s", e.Device, yes(e.On))
	}
	return ""
}

// draw keeps a picture on the terminal, on its other screen.
func (m *monitor) draw(ctx context.Context, a *app) error {
	fmt.Fprint(a.out, "\x1b[?1049h\x1b[?25l")
	defer fmt.Fprint(a.out, "\x1b[?25h\x1b[?1049l")
	events, failed := make(chan cti.Event), make(chan error, 1)
	go func() {
		for {
			e, err := m.p.Next(ctx)
			if err != nil {
				failed <- err
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
			}
		}
	}()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		fmt.Fprint(a.out, m.picture(time.Now()))
		select {
		case e := <-events:
			m.note(e, time.Now())
			if c, ok := e.(cti.Closed); ok {
				return tspProblem(c.Err)
			}
		case err := <-failed:
			return ended(ctx, err)
		case <-second.C:
		}
	}
}

// note takes an event into the picture.
func (m *monitor) note(e cti.Event, now time.Time) {
	switch e := e.(type) {
	case cti.NewCall:
		m.since[callKey(e.Call)] = now
	case cti.CallChanged:
		if e.Before != e.Call.State {
			m.since[callKey(e.Call)] = now
		}
	case cti.CallEnded:
		delete(m.since, callKey(e.Call))
	}
	if text := eventText(e); text != "" {
		m.log = append(m.log, now.Format("15:04:05")+"  "+text)
		m.log = m.log[max(0, len(m.log)-monitorLog):]
	}
}

func callKey(c cti.Call) string { return fmt.Sprint(c.Line, c.ID) }

// picture is the whole screen.
func (m *monitor) picture(now time.Time) string {
	var b strings.Builder
	line := func(style, format string, args ...any) {
		text := []rune(strings.Map(printable, fmt.Sprintf(format, args...)))
		if len(text) > m.width {
			text = text[:m.width]
		}
		fmt.Fprintf(&b, "%s%s\x1b[0m\x1b[K\r\n", style, string(text))
	}
	b.WriteString("\x1b[H")
	st := m.p.Status()
	state := "connected to " + st.Manager
	if !st.Up {
		state = "NO CTI MANAGER, trying again"
	}
	line("\x1b[7m", "%-*s", m.width, " locktone tsp monitor   "+state+"   "+now.Format("15:04:05"))
	line("\x1b[1m", "%-20s %-10s %-16s %-24s %-24s %s", "DEVICE", "LINE", "STATE", "PARTY", "LABEL", "TIME")
	calls := m.p.Calls()
	for _, l := range m.lines {
		rows := 0
		for _, c := range calls {
			if c.Line != l.ID {
				continue
			}
			rows++
			since := ""
			if t, ok := m.since[callKey(c)]; ok {
				since = now.Sub(t).Round(time.Second).String()
			}
			line("\x1b[32m", "%-20s %-10s %-16s %-24s %-24s %s", l.ID.Device, l.ID.Number, c.State, pad(c.Peer().String(), 24), pad(l.Label, 24), since)
		}
		switch {
		case rows > 0:
		case m.p.InService(l.ID):
			line("", "%-20s %-10s %-16s %-24s %-24s", l.ID.Device, l.ID.Number, "-", "", pad(l.Label, 24))
		default:
			line("\x1b[2m", "%-20s %-10s %-16s %-24s %-24s", l.ID.Device, l.ID.Number, "out of service", "", pad(l.Label, 24))
		}
	}
	line("", "")
	for _, text := range m.log {
		line("\x1b[2m", "%s", text)
	}
	b.WriteString("\x1b[J")
	return b.String()
}

// pad bounds a text that others chose.
func pad(text string, width int) string {
	if utf8.RuneCountInString(text) > width {
		text = string([]rune(text)[:width-1]) + "~"
	}
	return text
}

// printable keeps what others chose, names and numbers, from steering the terminal.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
		return '?'
	}
	return r
}
