package lab_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/callmanager"
)

// TestEventsOfACluster: a program at one node hears of the calls of both and can end those of the other; a node that is cut off is told as
// lost, its return with a snapshot of what is there then, and the engine of a node that was killed is another one.
func TestEventsOfACluster(t *testing.T) {
	t.Parallel()
	c := lab.StartCluster(t, lab.ClusterOptions{})
	ctx := within(t, 90*time.Second)
	soon := func(cfg *phone.Config) { cfg.KeepAlive, cfg.PongWait = 100*time.Millisecond, 200*time.Millisecond }
	alice, bob := c.Registered("n2", "alice", "1001", soon), c.Registered("n2", "bob", "1002", soon)
	remote := live.NewRemote(c.Node("n1").Bus, callmanager.Name)
	w := remote.Follow(live.Filter{}, "n1", "n2")
	defer w.Close()
	pictures := map[string]*live.Picture{"n1": {}, "n2": {}}
	wait := func(what string, done func(n live.RemoteNote) bool) {
		t.Helper()
		for {
			select {
			case n := <-w.Notes():
				pictures[n.Node].Apply(n)
				if done(n) {
					return
				}
			case <-ctx.Done():
				t.Fatal("no " + what)
			}
		}
	}
	both := func(live.RemoteNote) bool { return pictures["n1"].Fresh && pictures["n2"].Fresh }
	wait("snapshot of both", both)
	talk := func() {
		t.Helper()
		a, err := alice.Dial(ctx, "1002")
		if err != nil {
			t.Fatal(err)
		}
		if err := (<-bob.Incoming()).Answer(ctx); err != nil {
			t.Fatal(err)
		}
		if err := a.WaitAnswered(ctx); err != nil {
			t.Fatal(err)
		}
	}
	talk()
	var id call.CallID
	wait("call at n2", func(n live.RemoteNote) bool {
		id = n.Event.Call
		return n.Node == "n2" && n.Event.Kind == call.LegActive
	})
	if calls := pictures["n1"].Calls(); len(calls) != 0 {
		t.Errorf("n1 has %d calls", len(calls))
	}
	if reply, err := remote.At("n2").Request(ctx, "operator", call.Drop{Call: id}); err != nil || reply.Cause != call.CauseNone {
		t.Fatalf("%+v %v", reply, err)
	}
	wait("end", func(n live.RemoteNote) bool { return n.Node == "n2" && n.Event.Kind == call.CallEnded })

	c.Isolate("n2")
	wait("loss", func(n live.RemoteNote) bool { return n.Node == "n2" && n.Lost != live.LossNone })
	c.Return("n2")
	wait("return", both)
	life := pictures["n2"].Engine
	c.Kill("n2")
	wait("loss", func(n live.RemoteNote) bool { return n.Node == "n2" && n.Lost != live.LossNone })
	if pictures["n2"].Fresh {
		t.Error("fresh without a node")
	}
	c.Restart("n2")
	wait("return", both)
	if pictures["n2"].Engine == life || len(pictures["n2"].Calls()) != 0 {
		t.Errorf("the engine after the restart is %s with %d calls, before %s", pictures["n2"].Engine, len(pictures["n2"].Calls()), life)
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := remote.At("n9").Request(short, "operator", call.Drop{Call: 1}); err == nil || !strings.Contains(err.Error(), "n9") {
		t.Errorf("a node that is not there: %v", err)
	}
}
