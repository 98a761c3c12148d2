package lab_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/media/sealed"
	"github.com/locktone/locktone/service/callmanager"
)

// TestKeysForMany: 500 entitled applications, begun one after the other, have their sessions at the same time, and each gets the keys of a
// phone sealed for itself.
func TestKeysForMany(t *testing.T) {
	const many = 500
	ctx := within(t, 90*time.Second)
	c := config.Default("node1")
	for i := range many {
		c.Users = append(c.Users, config.User{Name: fmt.Sprint("app", i), Application: true, Devices: []string{"alice"},
			Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection, config.GroupCTISRTPKeys}})
	}
	s := must(lab.Start(ctx, lab.Options{Config: c}))(t)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	alice, bob := must(s.Registered(ctx, "alice", "1001"))(t), must(s.Registered(ctx, "bob", "1002"))(t)
	made := must(alice.Dial(ctx, "1002"))(t)
	select {
	case in := <-bob.Incoming():
		if err := in.Answer(ctx); err != nil {
			t.Fatal(err)
		}
	case <-ctx.Done():
		t.Fatal("bob is not called")
	}
	if err := made.WaitAnswered(ctx); err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := heap()
	engine, manager := live.NewRemote(s.Bus, callmanager.Name).At(s.Bus.Node()), prover(ctx, t, s, "ctimanager")
	receivers := make([]*sealed.Receiver, many)
	followers := make([]*live.KeyFollower, many)
	for i := range many {
		receivers[i] = must(sealed.NewReceiver())(t)
		followers[i] = engine.FollowKeys(fmt.Sprint("app", i), receivers[i].Public(), manager)
		t.Cleanup(followers[i].Close)
		f := followers[i]
		for got := false; !got; {
			select {
			case n := <-f.Notes():
				if n.Lost != "" { // so many begin at once that some are asked to come again, which they do
					if !strings.Contains(n.Lost, string(bus.CodeUnavailable)) {
						t.Fatalf("app%d: %s", i, n.Lost)
					}
					continue
				}
				k, err := receivers[i].Open(sealed.Binding{Cluster: "locktone", Node: s.Bus.Node(), Service: callmanager.Name, Call: uint64(n.Call), Leg: uint64(n.Leg),
					Receiver: n.Receiver, Session: n.Session, N: n.N}, n.Sealed)
				if got = err == nil && n.Device == "alice" && !k.IsZero(); !got {
					t.Fatalf("app%d: %+v %v", i, n, err)
				}
			case <-ctx.Done():
				t.Fatalf("app%d of %d has no keys", i, many)
			}
		}
	}
	t.Logf("%d sessions, both ends in this process: %d KiB each", many, int64(heap()-before)/many/1024)
}
