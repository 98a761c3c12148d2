package lab_test

import (
	"context"
	"testing"
	"time"

	"github.com/locktone/locktone/lab"
)

// TestShutdownEndsCalls: a site that is stopped tells both ends of a call, so that no phone waits for its session timer.
func TestShutdownEndsCalls(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	site, err := lab.Start(ctx, lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	alice, err := site.Registered(ctx, "alice", "1001")
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close(ctx)
	bob, err := site.Registered(ctx, "bob", "1002")
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close(ctx)
	a, err := alice.Dial(ctx, "1002")
	if err != nil {
		t.Fatal(err)
	}
	b := <-bob.Incoming()
	if err := b.Answer(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.WaitAnswered(ctx); err != nil {
		t.Fatal(err)
	}
	if err := site.Close(ctx); err != nil {
		t.Errorf("closing the site: %v", err)
	}
	for name, c := range map[string]interface {
		WaitEnded(context.Context) (int, bool, error)
	}{"alice": a, "bob": b} {
		if _, byPeer, err := c.WaitEnded(ctx); err != nil || !byPeer {
			t.Errorf("%s: call ended by the peer: %v, %v", name, byPeer, err)
		}
	}
}
