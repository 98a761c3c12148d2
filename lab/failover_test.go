package lab_test

import (
	"testing"
	"time"

	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
)

// soon makes a phone notice within a second.
func soon(cfg *phone.Config) {
	cfg.KeepAlive, cfg.PongWait = 200*time.Millisecond, 700*time.Millisecond
}

// TestFailOver: a phone whose primary is killed registers with the backup, keeps its call, whose media is direct, and returns when
// the primary is back and the call has ended: there first, and only then away from the backup. A primary that is merely silent is as dead.
func TestFailOver(t *testing.T) {
	t.Parallel()
	c := lab.StartCluster(t, lab.ClusterOptions{})
	n1, n2 := c.Node("n1").Server(), c.Node("n2").Server()
	alice, bob := c.Registered("n1 n2", "alice", "1001", soon), c.Registered("n1 n2", "bob", "1002", soon)
	a := must(alice.Dial(within(t, 10*time.Second), "1002"))(t)
	b := <-bob.Incoming()
	if err := b.Answer(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := a.WaitAnswered(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	c.Kill("n1")
	for _, p := range []*phone.Phone{alice, bob} {
		if err := p.WaitServer(within(t, 10*time.Second), n2); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("both are at the backup after %v", time.Since(at))
	a.Tone(1000)
	if _, err := b.WaitTone(within(t, 10*time.Second), 1000); err != nil {
		t.Errorf("the call does not talk: %v", err)
	}
	c.Restart("n1")
	looks := alice.Registrations()
	time.Sleep(time.Second) // several looks: a phone with a call stays where it is
	if alice.Server() != n2 || alice.Registrations() != looks {
		t.Errorf("alice is at %s and registered %d times during the call", alice.Server(), alice.Registrations()-looks)
	}
	for _, x := range []*phone.Call{a, b} {
		if err := x.Hangup(within(t, 20*time.Second)); err != nil {
			t.Error(err)
		}
	}
	for _, p := range []*phone.Phone{alice, bob} {
		if err := p.WaitServer(within(t, 20*time.Second), n1); err != nil {
			t.Fatal(err)
		}
	}
	c.Isolate("n1")
	for _, p := range []*phone.Phone{alice, bob} {
		if err := p.WaitServer(within(t, 20*time.Second), n2); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := alice.Dial(within(t, 10*time.Second), "1002"); err != nil {
		t.Fatal(err)
	}
	<-bob.Incoming()
}
