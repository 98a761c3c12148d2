package lab_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// ctiHandle is a call of a line, as an application names it.
type ctiHandle struct{ line, manager, leg uint32 }

// A ctiLedger is an application that keeps account of everything it is told: which calls its lines have, and whether the lines are in service.
// What no application could make sense of is an error: a handle given twice in one life of a node, or while its call has not ended; a word about a call
// that it was never told of or that has ended.
type ctiLedger struct {
	*lab.CTI
	t       *testing.T
	ctx     context.Context
	names   map[uint32]string // of the lines
	manager uint32            // of the lines
	in      map[uint32]bool
	calls   map[ctiHandle]ctiqbe.CallState // those that have not ended
	given   map[ctiHandle]bool
	heard   []string
}

func newCTILedger(t *testing.T, ctx context.Context, a *lab.CTI) *ctiLedger {
	return &ctiLedger{CTI: a, t: t, ctx: ctx, names: map[uint32]string{}, in: map[uint32]bool{}, calls: map[ctiHandle]ctiqbe.CallState{}, given: map[ctiHandle]bool{}}
}

// open opens a device and its line; what was told meanwhile is accounted for.
func (l *ctiLedger) open(device, number string) {
	l.t.Helper()
	manager, line, err := l.OpenLine(l.ctx, device, number, "internal")
	if err != nil {
		l.t.Fatal(err)
	}
	l.names[line], l.manager = number, manager
}

// until takes what is told until a condition holds.
func (l *ctiLedger) until(what string, holds func() bool) {
	l.t.Helper()
	for !holds() {
		m, err := l.Next(l.ctx)
		if err != nil {
			l.t.Fatalf("never: %s: %v: calls %v, in service %v; it was told\n%s", what, err, l.calls, l.in, strings.Join(l.heard, "\n"))
		}
		l.take(m)
	}
}

func (l *ctiLedger) take(m ctiqbe.Message) {
	l.t.Helper()
	l.heard = append(l.heard, fmt.Sprintf("%v %+v", m.PDU(), m))
	switch m := m.(type) {
	case *ctiqbe.LineInServiceEvent:
		l.in[m.LineID] = true
	case *ctiqbe.LineOutOfServiceEvent:
		l.in[m.LineID] = false
	case *ctiqbe.LineNewCallEvent:
		l.give(ctiHandle{m.LineID, m.CallCallManagerID, m.CallLegID}, m.State)
	case *ctiqbe.LineExistingCallEvent:
		l.give(ctiHandle{m.LineID, m.CallCallManagerID, m.CallLegID}, m.State)
	case *ctiqbe.CallStateChangedEventV2:
		h := ctiHandle{m.LineID, m.CallCallManagerID, m.CallLegID}
		if _, known := l.calls[h]; !known {
			l.t.Errorf("it is told %v of a call that it does not have: %+v", m.State, h)
		}
		if l.calls[h] = m.State; m.State == ctiqbe.CallStateIdle {
			delete(l.calls, h)
		}
	case *ctiqbe.LineClosedEvent, *ctiqbe.DeviceClosedEvent, *ctiqbe.ProviderClosedEvent:
		l.t.Errorf("it loses %v: %+v", m.PDU(), m)
	}
}

func (l *ctiLedger) give(h ctiHandle, s ctiqbe.CallState) {
	l.t.Helper()
	if _, up := l.calls[h]; up || l.given[h] {
		l.t.Errorf("the handle %+v is given twice", h)
	}
	l.given[h], l.calls[h] = true, s
}

// reborn notes that a node has started anew: its engine counts from 1 again, so that handles of calls that have ended come back.
func (l *ctiLedger) reborn(manager uint32) {
	maps.DeleteFunc(l.given, func(h ctiHandle, _ bool) bool { return h.manager == manager })
}

// talking waits until each line has one call, which is connected, and no other.
func (l *ctiLedger) talking(what string) (of map[string]ctiHandle) {
	l.t.Helper()
	l.until(what, func() bool {
		of = map[string]ctiHandle{}
		for h, s := range l.calls {
			if s != ctiqbe.CallStateConnected {
				return false
			}
			of[l.names[h.line]] = h
		}
		return len(of) == len(l.names) && len(l.calls) == len(of)
	})
	return of
}

// idle waits until it was told of the end of every call.
func (l *ctiLedger) idle(what string) {
	l.t.Helper()
	l.until(what, func() bool { return len(l.calls) == 0 })
}

// service waits until all lines are in service, or all out of it.
func (l *ctiLedger) service(what string, in bool) {
	l.t.Helper()
	l.until(what, func() bool {
		n := 0
		for line := range l.names {
			if now, told := l.in[line]; told && now == in {
				n++
			}
		}
		return n == len(l.names)
	})
}

// said is how often it was told a thing, from a place of its account on.
func (l *ctiLedger) said(from int, p ctiqbe.PDU) (n int) {
	for _, s := range l.heard[from:] {
		if strings.HasPrefix(s, p.String()+" ") {
			n++
		}
	}
	return n
}

// answeredCall calls number and answers at the phone that has it.
func answeredCall(t *testing.T, from, to *phone.Phone, number string) (a, b *phone.Call) {
	t.Helper()
	a = must(from.Dial(within(t, 30*time.Second), number))(t)
	select {
	case b = <-to.Incoming():
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not ring", number)
	}
	if err := b.Answer(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := a.WaitAnswered(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// TestCTIPhonesNodeKilled: an application is logged in at n2's CTI Manager; the phones of its lines are at n1, with a call, when n1 is killed.
// Its connection and its lines stay open; it is told the end of each call (84 and IDLE), that the lines are out of service, that they are in
// service again when the phones are at n2, and of a new call there, which it ends itself. Then n1 starts again and the phones return to it: the lines
// go out of service and in again, and a call of n1's new life is told and ended like any other.
func TestCTIPhonesNodeKilled(t *testing.T) {
	t.Parallel()
	cl := lab.StartCluster(t, lab.ClusterOptions{Site: func(s *config.Site) {
		tspUser(s)
		s.Users[slices.IndexFunc(s.Users, func(u config.User) bool { return u.Name == "tapi" })].Name = "app"
	}})
	ctx := within(t, 110*time.Second) // the manager gives up who sends no heartbeat after 120 s
	alice, bob := cl.Registered("n1 n2", "alice", "1001", soon), cl.Registered("n1 n2", "bob", "1002", soon)
	n2 := cl.Node("n2").Site
	l := newCTILedger(t, ctx, loggedIn(t, ctx, n2, enrolled(t, ctx, n2, "app", "1")))
	l.open("alice", "1001")
	l.open("bob", "1002")
	l.service("both lines are in service at first", true)
	a, b := answeredCall(t, alice, bob, "1002")
	first := l.talking("the first call is up")

	from := len(l.heard)
	cl.Kill("n1")
	l.idle("each call of n1 has ended")
	if ends := l.said(from, ctiqbe.PDUCallClosedEvent); ends != len(first) {
		t.Errorf("%d calls are said to be closed, there were %d", ends, len(first))
	}
	for _, p := range []*phone.Phone{alice, bob} {
		if err := p.WaitServer(ctx, cl.Node("n2").Server()); err != nil {
			t.Fatal(err)
		}
	}
	l.until("both lines go out of service", func() bool { return l.said(from, ctiqbe.PDULineOutOfServiceEvent) >= 2 })
	l.service("both lines are in service at n2", true)
	if out, in := l.said(from, ctiqbe.PDULineOutOfServiceEvent), l.said(from, ctiqbe.PDULineInServiceEvent); out != 2 || in != 2 {
		t.Errorf("two lines go out of service %d times and come back %d times", out, in)
	}
	for _, c := range []*phone.Call{a, b} { // the media of a lost call is the phones' own
		_ = c.Hangup(within(t, 20*time.Second)) // nobody may be left who says yes
	}
	answeredCall(t, alice, bob, "1002")
	second := l.talking("a call at n2 is up")
	if _, err := l.Ask(ctx, &ctiqbe.CallDisconnectRequest{LineCallManagerID: l.manager, LineID: second["1001"].line,
		CallLegCallManagerID: second["1001"].manager, CallLegID: second["1001"].leg}); err != nil {
		t.Fatal(err)
	}
	l.idle("the call at n2 is ended")

	from = len(l.heard)
	l.reborn(first["1001"].manager)
	cl.Restart("n1")
	for _, p := range []*phone.Phone{alice, bob} {
		if err := p.WaitServer(ctx, cl.Node("n1").Server()); err != nil {
			t.Fatal(err)
		}
	}
	l.until("both lines move to n1", func() bool { return l.said(from, ctiqbe.PDULineInServiceEvent) >= 2 })
	l.service("both lines are in service at n1", true)
	a, _ = answeredCall(t, alice, bob, "1002")
	third := l.talking("a call of n1's new life is up")
	if third["1001"].manager != first["1001"].manager {
		t.Errorf("n1 has the number %d, had %d", third["1001"].manager, first["1001"].manager)
	}
	if err := a.Hangup(ctx); err != nil {
		t.Error(err)
	}
	l.idle("the last call has ended")
}
