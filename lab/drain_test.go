package lab_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
)

// talk sets up a call.
func talk(t *testing.T, from, to *phone.Phone) (a, b *phone.Call) {
	t.Helper()
	a = must(from.Dial(within(t, 10*time.Second), to.Number()))(t)
	select {
	case b = <-to.Incoming():
	case <-time.After(10 * time.Second):
		status, _, _ := a.WaitEnded(within(t, time.Second))
		t.Fatalf("%s, at %s, does not ring: the call of %s, at %s, is %s, %d %s", to.Name(), to.Server(), from.Name(), from.Server(), a.State(), status, a.Warning())
	}
	for _, err := range []error{b.Answer(within(t, 10*time.Second)), a.WaitAnswered(within(t, 10*time.Second))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return a, b
}

// hears fails unless a tone of one end arrives at the other.
func hears(t *testing.T, from, to *phone.Call, hz float64) {
	t.Helper()
	from.Tone(hz)
	if _, err := to.WaitTone(within(t, 10*time.Second), hz); err != nil {
		t.Errorf("the call does not talk: %v", err)
	}
}

func end(t *testing.T, calls ...*phone.Call) {
	t.Helper()
	for _, c := range calls {
		if err := c.Hangup(within(t, 10*time.Second)); err != nil {
			t.Error(err)
		}
	}
}

func at(t *testing.T, n *lab.Node, phones ...*phone.Phone) {
	t.Helper()
	for _, p := range phones {
		if err := p.WaitServer(within(t, 20*time.Second), n.Server()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRollingUpgrade: n1 is drained, started again, then n2. A call that was up before talks after both, no call is refused for longer
// than a phone needs to go over, and phones are back at their primary in the end.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	c := lab.StartCluster(t, lab.ClusterOptions{Site: fourPhones})
	n1, n2 := c.Node("n1"), c.Node("n2")
	alice, bob := c.Registered("n1 n2", "alice", "1001", soon), c.Registered("n1 n2", "bob", "1002", soon)
	carol, dave := c.Registered("n1 n2", "carol", "1003", soon), c.Registered("n1 n2", "dave", "1004", soon)
	a, b := talk(t, alice, bob)
	hears(t, a, b, 700)

	// The others go over at once; who talks stays, and the node waits for the call.
	must(n1.Calls.Drain(t.Context(), bus.DrainRequest{On: true, Limit: time.Minute, Actor: "test"}))(t)
	at(t, n2, carol, dave)
	x, y := talk(t, carol, dave)
	end(t, x)
	_, _, _ = y.WaitEnded(within(t, 10*time.Second))
	if st := n1.Calls.Status(t.Context()); st.State != bus.StateDraining || !strings.Contains(st.Problem, "1 calls and 2 devices are left") {
		t.Errorf("status: %+v", st)
	}
	if f := n2.Bus.Board().Of(bus.FactDrain, "n1"); len(f) != 1 {
		t.Errorf("n2 knows of %v", f)
	}
	hears(t, b, a, 900)
	if alice.Server() != n1.Server() || bob.Server() != n1.Server() {
		t.Errorf("alice is at %s, bob at %s, during a call at %s", alice.Server(), bob.Server(), n1.Server())
	}
	// New calls of those who are still here are served: a second call beside the first.
	q := must(alice.Dial(within(t, 10*time.Second), "9196"))(t)
	if err := q.WaitAnswered(within(t, 10*time.Second)); err != nil {
		t.Errorf("a second call of a phone that is here: %v, %s", err, q.Warning())
	}
	end(t, q)
	end(t, a)
	_, _, _ = b.WaitEnded(within(t, 10*time.Second))
	select {
	case <-n1.Calls.Ended():
	case <-time.After(20 * time.Second):
		t.Fatalf("n1 does not end: %+v", n1.Calls.Draining())
	}
	at(t, n2, alice, bob)
	a, b = talk(t, alice, bob) // before n1 goes, and up until the end
	c.Stop("n1")
	c.Restart("n1")
	at(t, n1, carol, dave)
	hears(t, a, b, 1100)

	// Now n2, with the call up: the limit ends it for the node; direct media goes on until somebody hangs up, as long as the node does not say so.
	drained := make(chan struct{})
	go func() { defer close(drained); c.Drain("n2", 30*time.Second) }()
	hears(t, b, a, 1300)
	x, y = talk(t, carol, dave)
	end(t, x)
	_, _, _ = y.WaitEnded(within(t, 10*time.Second))
	end(t, a)
	_, _, _ = b.WaitEnded(within(t, 10*time.Second))
	<-drained
	c.Restart("n2")
	at(t, n1, alice, bob, carol, dave)
	a, _ = talk(t, alice, bob)
	end(t, a)
}

// fourPhones adds carol and dave.
func fourPhones(s *config.Site) {
	for _, x := range []struct{ name, number string }{{"carol", "1003"}, {"dave", "1004"}} {
		line, device := s.Lines[0], s.Devices[0]
		line.Number, line.Display, line.AlertingName = x.number, x.name, x.name
		device.Name, device.Owner, device.Lines = x.name, "", []config.Appearance{{Number: x.number, Partition: line.Partition}}
		s.Lines, s.Devices = append(s.Lines, line), append(s.Devices, device)
	}
}

// TestGroups: a node outside of a device's group refuses it and says why; a backup takes it though the primary lives, and who asks is
// told; a drained node refuses with a time, lets nobody stay who could go, and takes everybody again when it is resumed.
func TestGroups(t *testing.T) {
	t.Parallel()
	c := lab.StartCluster(t, lab.ClusterOptions{Nodes: 3, Site: func(s *config.Site) {
		s.CallManagerGroups[0].Nodes = []string{"n1", "n2"}
	}})
	n1, n2 := c.Node("n1"), c.Node("n2")
	stranger := c.Phone("n3", "alice", "1001", soon)
	err := stranger.WaitRegistered(within(t, 10*time.Second))
	if err == nil || !strings.Contains(err.Error(), "403") || !strings.Contains(err.Error(), "call-manager group default (n1, n2)") {
		t.Errorf("at a node outside of the group: %v", err)
	}
	_ = stranger.Close(within(t, 5*time.Second))
	bob := c.Registered("n2", "bob", "1002", soon)
	row := registration(t, n1, "bob")
	if row.Node != "n2" || row.Group != "default" || row.Rank != "backup of n1" {
		t.Errorf("bob: %+v", row)
	}
	alice := c.Registered("n1 n2", "alice", "1001", soon)
	if row := registration(t, n2, "alice"); row.Node != "n1" || row.Rank != "primary" || row.State != "registered" {
		t.Errorf("alice: %+v", row)
	}

	must(n2.Calls.Drain(t.Context(), bus.DrainRequest{On: true, Limit: time.Minute, Stay: true, Actor: "test"}))(t)
	if err := bob.WaitUnregistered(within(t, 10*time.Second)); err != nil {
		t.Error(err) // it knows no other node
	}
	waitDrained(t, n2)
	late := c.Phone("n2", "alice", "1001", soon)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := late.WaitRegistered(ctx); err == nil {
		t.Error("a drained node has taken a device")
	}
	_ = late.Close(within(t, 5*time.Second))
	must(n2.Calls.Drain(t.Context(), bus.DrainRequest{Actor: "test"}))(t)
	if err := bob.WaitRegistered(within(t, 30*time.Second)); err != nil {
		t.Error(err)
	}
	if st := n2.Calls.Status(t.Context()); st.State != "ready" || st.Problem != "" {
		t.Errorf("resumed: %+v", st)
	}

	// Who has nowhere else to go stays.
	w := n2.Bus.Board().Watch("callmanager")
	c.Kill("n1")
	for gone := range w.C() {
		if m := gone.Member; m != nil && m.Name == "n1" && !m.Alive {
			break
		}
	}
	w.Close()
	at(t, n2, alice)
	must(n2.Calls.Drain(t.Context(), bus.DrainRequest{On: true, Limit: time.Minute, Stay: true, Actor: "test"}))(t)
	waitDrained(t, n2)
	if d := n2.Calls.Draining(); d.Held != 2 || !alice.Registered() {
		t.Errorf("%+v", d)
	}
}

func waitDrained(t *testing.T, n *lab.Node) {
	t.Helper()
	w := n.Bus.Board().Watch(bus.FactDrain)
	defer w.Close()
	deadline := time.After(20 * time.Second)
	for n.Calls.Draining().State != bus.StateDrained {
		select {
		case <-w.C():
		case <-time.After(50 * time.Millisecond): // its own facts are no news to a node
		case <-deadline:
			t.Fatalf("not drained: %+v", n.Calls.Draining())
		}
	}
}

// registration waits until all nodes together tell one row of a device.
func registration(t *testing.T, n *lab.Node, device string) bus.Registration {
	t.Helper()
	ctx := within(t, 10*time.Second)
	for {
		answers := must(bus.AskAll[bus.Query, []bus.Registration](ctx, n.Bus, n.Bus.AllNodes("callmanager", bus.VerbRegistrations), bus.Query{Name: device}, "n1", "n2", "n3"))(t)
		var rows []bus.Registration
		for _, a := range answers {
			rows = append(rows, slices.DeleteFunc(a.Value, func(r bus.Registration) bool { return r.State == "rejected" })...)
		}
		if len(rows) == 1 {
			return rows[0]
		}
		select {
		case <-time.After(50 * time.Millisecond): // what one has just done the others have not heard
		case <-ctx.Done():
			t.Fatalf("device %s has %d rows: %+v", device, len(rows), rows)
		}
	}
}
