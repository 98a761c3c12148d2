package lab_test

import (
	"context"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/contactcenter/phones"
)

// TestAgentPhones: the contact centre sees what its agents' phones do and presses their keys, through CTI over mutual TLS.
func TestAgentPhones(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := config.Default("node1")
	c.Users = append(c.Users, config.User{Name: "contactcenter", Application: true, Devices: []string{"alice"},
		Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection}})
	third := c.Devices[1]
	third.Name, third.Owner, third.Lines = "carol", "", []config.Appearance{{Number: "1003", Partition: "internal"}}
	c.Devices = append(c.Devices, third)
	c.Lines = append(c.Lines, config.Line{Number: "1003", Partition: "internal", CallingSearchSpace: "internal"})
	site, err := lab.Start(ctx, lab.Options{Config: c.Canonical()})
	no(t, err)
	defer site.Close(context.WithoutCancel(ctx))
	agents := phones.Start(phones.Config{Login: func(ctx context.Context) (cti.Config, error) { return site.Application(ctx, "contactcenter") }, Warn: func(s string) { t.Log(s) }})
	defer agents.Close()
	agents.Follow("alice", "1001")
	// shows waits until the agent's phone has calls in these states, in service.
	shows := func(what string, want ...phones.State) phones.Phone {
		t.Helper()
		for {
			p, err := agents.Next(ctx)
			if err != nil {
				now, _ := agents.Phone("alice")
				t.Fatalf("%s: %v: the phone is %+v", what, err, now)
			}
			fits := p.InService && len(p.Calls) == len(want)
			for i := range p.Calls {
				fits = fits && p.Calls[i].State == want[i]
			}
			if fits {
				return p
			}
		}
	}
	do := func(k phones.Key, number string) {
		t.Helper()
		no(t, agents.Do(ctx, phones.Command{Device: "alice", Key: k, Number: number}))
	}
	answers := func(p *phone.Phone) {
		t.Helper()
		select {
		case in := <-p.Incoming():
			no(t, in.Answer(ctx))
		case <-ctx.Done():
			t.Fatal("no call came")
		}
	}
	alice, err := site.Phone(ctx, "alice", "1001", func(c *phone.Config) { c.Intercom = true })
	no(t, err)
	no(t, alice.WaitRegistered(ctx))
	shows("registered")
	bob, err := site.Registered(ctx, "bob", "1002")
	no(t, err)
	carol, err := site.Registered(ctx, "carol", "1003")
	no(t, err)

	if err := agents.Do(ctx, phones.Command{Device: "alice", Key: phones.Answer}); err == nil {
		t.Error("a call was answered that there is not")
	}
	call, err := bob.Dial(ctx, "1001")
	no(t, err)
	if p := shows("rings", phones.Ringing); p.Calls[0].Number != "1002" || p.Calls[0].Outgoing {
		t.Errorf("it rings with %+v", p.Calls[0])
	}
	do(phones.Answer, "")
	shows("answered", phones.Talking)
	no(t, call.WaitAnswered(ctx))
	do(phones.Hold, "")
	shows("held", phones.Held)
	do(phones.Resume, "")
	shows("resumed", phones.Talking)
	do(phones.Consult, "1003")
	answers(carol)
	shows("consulting", phones.Held, phones.Talking)
	do(phones.Reconnect, "")
	shows("back", phones.Talking)
	do(phones.Consult, "1003")
	answers(carol)
	shows("consulting again", phones.Held, phones.Talking)
	do(phones.Complete, "")
	shows("handed over")
	no(t, call.Hangup(ctx))

	do(phones.Dial, "1002")
	answers(bob)
	shows("called", phones.Talking)
	do(phones.Release, "")
	shows("released")
	agents.Leave("alice")
	if _, ok := agents.Phone("alice"); ok {
		t.Error("a phone that was left is still followed")
	}
}

// no ends the test with an error.
func no(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
