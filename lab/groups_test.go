package lab_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/callmanager"
)

// figure reads one of a node's metrics.
func figure(t *testing.T, n *lab.Node, name string) float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(n.Calls.Metrics()); err != nil {
		t.Fatal(err)
	}
	for _, f := range must(r.Gather())(t) {
		if f.GetName() == "locktone_callmanager_"+name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// tells waits until the status of a node has a sentence, or does not have it.
func tells(t *testing.T, n *lab.Node, sentence string, want bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) { // a status has no event
		st := n.Calls.Status(t.Context())
		if strings.Contains(st.Problem, sentence) == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s says %q, with %q: want %v", n.Name, st.Problem, sentence, want)
		}
	}
}

// TestGroupTroubles: the status says, at the node concerned and at no other, that devices have been at a backup for more than ten minutes
// although their primary takes devices, and that no node of a pool's group runs; metrics count the devices at backups and tell of drains.
func TestGroupTroubles(t *testing.T) {
	t.Parallel()
	var later atomic.Int64 // the clocks of call managers are ahead by it
	c := lab.StartCluster(t, lab.ClusterOptions{Nodes: 3, Tune: func(_ string, cm *callmanager.Config) {
		cm.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	}, Site: func(s *config.Site) {
		fourPhones(s)
		s.CallManagerGroups = append(s.CallManagerGroups, config.CallManagerGroup{Name: "far", Nodes: []string{"n3"}})
		s.DevicePools = append(s.DevicePools, config.DevicePool{Name: "far", CallManagerGroup: "far"})
		s.Devices[len(s.Devices)-1].DevicePool = "far" // dave
		s.SIPProfiles[0].RegisterExpires = config.Duration(time.Hour)
	}})
	n1, n2 := c.Node("n1"), c.Node("n2")
	long := func(cfg *phone.Config) { cfg.Expires = time.Hour }
	c.Registered("n2", "bob", "1002", long)
	c.Registered("n1", "alice", "1001", long)
	const astray = "1 device is registered here, at a backup, for more than 10m0s although the primary n1 runs (bob)"
	const stranded = "device pool far: no node of its call-manager group far (n3) runs, so its devices (1) cannot register"
	for _, n := range []*lab.Node{n1, n2} {
		if st := n.Calls.Status(t.Context()); st.Problem != "" || st.State != "ready" {
			t.Errorf("%s: %+v", n.Name, st)
		}
	}
	if here, there := figure(t, n2, "devices_at_backup"), figure(t, n1, "devices_at_backup"); here != 1 || there != 0 {
		t.Errorf("devices at backups: %v at n2, %v at n1", here, there)
	}
	later.Store(int64(9 * time.Minute))
	tells(t, n2, astray, false)
	later.Store(int64(10*time.Minute + 30*time.Second))
	tells(t, n2, astray, true)
	tells(t, n1, "backup", false)

	// Who could not register at the primary is nobody's fault while it is drained.
	must(n1.Calls.Drain(t.Context(), bus.DrainRequest{On: true, Limit: time.Minute, Stay: true, Actor: "test"}))(t)
	tells(t, n2, astray, false)
	if figure(t, n1, "draining") != 1 || figure(t, n2, "draining") != 0 {
		t.Error("the metrics do not tell who is drained")
	}
	if d := n1.Calls.Draining(); figure(t, n1, "drain_devices") != float64(d.Devices) || figure(t, n1, "drain_calls") != float64(d.Calls) {
		t.Errorf("the metrics do not tell how far the drain is: %+v", d)
	}
	must(n1.Calls.Drain(t.Context(), bus.DrainRequest{Actor: "test"}))(t)
	tells(t, n2, astray, true)
	if figure(t, n1, "draining") != 0 {
		t.Error("a drain that was ended is told")
	}

	tells(t, n1, stranded, false)
	c.Kill("n3")
	tells(t, n1, stranded, true)
	tells(t, n2, stranded, false) // one node says it
	c.Restart("n3")
	tells(t, n1, stranded, false)
}
