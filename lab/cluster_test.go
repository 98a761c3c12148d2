package lab_test

import (
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
)

// TestCluster: two nodes in one process on one PostgreSQL and one bus; a phone at each, a node killed and back, a cut.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := lab.StartCluster(t, lab.ClusterOptions{})
	for _, n := range c.Nodes() {
		if st := n.Calls.Status(t.Context()); st.State != "ready" || st.Node != n.Name {
			t.Errorf("%s: %+v", n.Name, st)
		}
	}
	soon := func(cfg *phone.Config) { cfg.KeepAlive, cfg.PongWait = 100*time.Millisecond, 200*time.Millisecond }
	c.Registered("n1", "alice", "1001", soon)
	bob := c.Registered("n2", "bob", "1002", soon)
	answers, err := bus.AskAll[bus.Query, []bus.Registration](within(t, 10*time.Second), c.Node("n1").Bus, c.Node("n1").Bus.AllNodes("callmanager", bus.VerbRegistrations), bus.Query{}, "n1", "n2")
	at := map[string]string{}
	for _, answer := range answers {
		for _, r := range answer.Value {
			if r.State == "registered" {
				at[r.Device] = r.Node
			}
		}
	}
	if err != nil || at["alice"] != "n1" || at["bob"] != "n2" {
		t.Errorf("registrations: %v, %v", at, err)
	}

	c.Kill("n2")
	if err := bob.WaitUnregistered(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	c.Restart("n2")
	if err := bob.WaitRegistered(within(t, 30*time.Second)); err != nil {
		t.Error(err)
	}
	c.Isolate("n2")
	if err := bob.WaitUnregistered(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	c.Return("n2")
	if err := bob.WaitRegistered(within(t, 30*time.Second)); err != nil {
		t.Error(err)
	}
}
