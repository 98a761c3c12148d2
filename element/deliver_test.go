package element_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/element/elementtest"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/leg/sipleg"
)

// sends is the policy of an element whose program plays a tone, and transfers its caller: to a number that is nowhere, then to one that answers.
type sends struct{ ends chan error }

func (sends) Arrival(in element.Incoming) (element.Arrival, *sipleg.Refusal) {
	return element.Arrival{Peer: in.Peer}, in.Refused
}

func (p sends) Program(string) applet.Program {
	return func(ctx context.Context, s *applet.Session) error {
		if err := s.Answer(ctx); err != nil {
			return err
		}
		p.ends <- s.Transfer(ctx, "4711")
		p.ends <- s.Transfer(ctx, "9500")
		<-ctx.Done()
		p.ends <- context.Cause(ctx)
		return nil
	}
}

// TestDeliverLeavesNoGap: a caller hears one element's tone until it hears the other's: it is delivered by a new offer, and the first is released
// when that is agreed. All packets are authentic, none is lost, and the caller is never without any for long.
func TestDeliverLeavesNoGap(t *testing.T) {
	ca := elementtest.NewAuthority(t)
	front, frontAddr := start(t, ca, "front", nil)
	tones := func(service string, hertz float64) element.Peer {
		e, addr := start(t, ca, service, func(c *element.Config) { c.Policy = told{make(chan applet.Info, 1), hertz} })
		must(t, e.Configure(call.Site{Plan: plan("XXXX", dialplan.ToApplet, "tone"), Applets: []call.Applet{{Name: "tone", Driver: element.DriverApplet}}},
			[]element.Peer{{Name: "front", Subjects: []string{"front.test"}, Trunk: call.Trunk{SearchSpace: "all"}}}))
		return element.Peer{Name: service, Subjects: []string{service + ".test"}, Destinations: []element.Destination{{Address: addr.String()}}}
	}
	rules := plan("98XX", dialplan.ToTrunk, "browser")
	rules.Patterns = append(rules.Patterns, plan("95XX", dialplan.ToTrunk, "agent").Patterns...)
	must(t, front.Configure(call.Site{Plan: rules}, []element.Peer{{Name: "outside", Subjects: []string{"caller.test"}, Trunk: call.Trunk{SearchSpace: "all"}},
		tones("browser", 1000), tones("agent", 440)}))
	watch := front.Host().Watch(64, call.LegActive, call.Delivered, call.LegDropped)
	defer watch.Close()
	made := dialled(t, ca, frontAddr, "9800")
	if got, err := made.WaitTone(within(t), 1000); err != nil {
		t.Fatalf("heard %v Hz: %v", got, err)
	}
	browser := active(watch, "browser")
	r, err := front.Host().Request(within(t), "test", call.Deliver{Call: 1, Instead: browser, To: "9500"})
	if err != nil || r.Cause != call.CauseNone {
		t.Fatalf("%+v, %v", r, err)
	}
	longest, last, at := time.Duration(0), made.Evidence().RxAuth, time.Now()
	e, err := made.WaitEvidence(within(t), func(e phone.Evidence) bool {
		if now := time.Now(); e.RxAuth != last {
			longest, last, at = max(longest, now.Sub(at)), e.RxAuth, now
		}
		return e.ToneHz > 430 && e.ToneHz < 450
	})
	if err != nil || e.Failed != 0 {
		t.Fatalf("%v: %+v", err, e)
	}
	t.Logf("without a packet for at most %v (looked every 20 ms); lost: %+v", longest, e.Media.Rx)
	if longest > time.Second { // what a busy machine costs is no gap of ours: on a quiet one it is 40 ms
		t.Errorf("the caller heard nothing for %v", longest)
	}
	var order []call.EventKind
	for n := range watch.Notes() {
		if order = append(order, n.Event.Kind); n.Event.Kind == call.LegDropped {
			break
		}
	}
	if len(order) != 3 || order[0] != call.LegActive || order[1] != call.Delivered {
		t.Errorf("the browser left after %v", order)
	}
	must(t, made.Hangup(within(t)))
}

// dialled is a call of a system outside.
func dialled(t *testing.T, ca *elementtest.Authority, to netip.Addr, number string) *phone.Call {
	t.Helper()
	c, err := phone.Start(within(t), phone.Config{Number: "4711", Server: netip.AddrPortFrom(to, 5061).String(), ServerName: to.String(),
		Certificate: ca.Peer("caller.test"), Roots: ca.Roots(), NoRegister: true})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	made, err := c.Dial(within(t), number)
	must(t, err)
	return made
}

// active takes notes until both legs of the call talk, and returns the one to a trunk.
func active(w *live.Watcher, trunk string) (id call.LegID) {
	for n := range w.Notes() {
		if n.Event.Kind != call.LegActive {
			continue
		}
		talk := 0
		for _, p := range n.Event.View.Parties {
			for _, l := range p.Legs {
				if l.State == call.LegIsActive {
					talk++
				}
				if l.Trunk == trunk {
					id = l.ID
				}
			}
		}
		if talk == 2 {
			return id
		}
	}
	return 0
}

// TestProgramTransfers: a program has its caller sent to a number: one that leads nowhere leaves the call as it was, with the reason; one that
// answers releases the program.
func TestProgramTransfers(t *testing.T) {
	ca := elementtest.NewAuthority(t)
	ends := make(chan error, 3)
	front, frontAddr := start(t, ca, "front", func(c *element.Config) { c.Policy = sends{ends} })
	agent, agentAddr := start(t, ca, "agent", func(c *element.Config) { c.Policy = told{make(chan applet.Info, 1), 440} })
	must(t, agent.Configure(call.Site{Plan: plan("XXXX", dialplan.ToApplet, "tone"), Applets: []call.Applet{{Name: "tone", Driver: element.DriverApplet}}},
		[]element.Peer{{Name: "front", Subjects: []string{"front.test"}, Trunk: call.Trunk{SearchSpace: "all"}}}))
	rules := plan("9800", dialplan.ToApplet, "sends")
	rules.Patterns = append(rules.Patterns, plan("95XX", dialplan.ToTrunk, "agent").Patterns...)
	must(t, front.Configure(call.Site{Plan: rules, Applets: []call.Applet{{Name: "sends", Driver: element.DriverApplet}}}, []element.Peer{
		{Name: "outside", Subjects: []string{"caller.test"}, Trunk: call.Trunk{SearchSpace: "all"}},
		{Name: "agent", Subjects: []string{"agent.test"}, Destinations: []element.Destination{{Address: agentAddr.String()}}}}))
	made := dialled(t, ca, frontAddr, "9800")
	if got, err := made.WaitTone(within(t), 440); err != nil {
		t.Fatalf("heard %v Hz: %v", got, err)
	}
	var not *applet.NotTransferred
	if err := <-ends; !errors.As(err, &not) || not.Status != 404 {
		t.Errorf("a number that is nowhere: %v", err)
	}
	if err := <-ends; err != nil {
		t.Errorf("a number that answers: %v", err)
	}
	if err := <-ends; !errors.Is(err, applet.ErrHungUp) {
		t.Errorf("the program ended with %v", err)
	}
	must(t, made.Hangup(within(t)))
}
