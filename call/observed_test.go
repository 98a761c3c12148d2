package call

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// What the tests of those who watch engines need of the simulated cluster of this package's tests: package call_test has no other way in.

// ObservedNote is what a follower of a node's engine would be told: a snapshot when the engine begins, then every event.
type ObservedNote struct {
	Node, Engine string
	Lost         bool
	Snapshot     bool
	AsOf         uint64
	Calls        []*View
	Settings     []Event
	Event        Event
}

// An ObservedCluster is a cluster whose notes somebody sees, in the order in which things happen.
type ObservedCluster struct {
	script *nodesScript
	walk   *clusterWalk
	see    func(ObservedNote)
	lives  map[string]int
}

// ObserveScript makes a cluster for a script of several nodes; see TestNodes for its words.
func ObserveScript(t *testing.T, see func(ObservedNote)) *ObservedCluster {
	return &ObservedCluster{script: &nodesScript{t: t}, see: see, lives: map[string]int{}}
}

// ObserveWalk makes a cluster that lives at random.
func ObserveWalk(t testing.TB, seed int64, see func(ObservedNote)) *ObservedCluster {
	o := &ObservedCluster{see: see, lives: map[string]int{}}
	o.walk = newClusterWalk(t, seed)
	o.attach(o.walk.cluster)
	return o
}

// Input has the script do one line.
func (o *ObservedCluster) Input(line string) {
	before := o.script.c
	o.script.input(line)
	if o.script.c != before {
		o.attach(o.script.c)
	}
	o.script.settle()
	o.script.c.said = nil
}

// Walk does n things at random and then ends everything; it says what was wrong.
func (o *ObservedCluster) Walk(n int) []string { return o.walk.walk(n) }

// Site is the site of the cluster.
func (o *ObservedCluster) Site() *Site { return &o.cluster().site }

// Devices says where the devices are registered.
func (o *ObservedCluster) Devices() map[string]string {
	out := map[string]string{}
	for name, p := range o.cluster().phones {
		if p.node != nil {
			out[name] = p.node.name
		}
	}
	return out
}

// Snapshot has a node tell all it knows, as to somebody who begins to follow it now.
func (o *ObservedCluster) Snapshot(node string) {
	c := o.cluster()
	o.snapshot(c.node(node))
}

// Nodes are the nodes that live.
func (o *ObservedCluster) Nodes() (out []string) {
	for _, n := range o.cluster().nodes {
		if !n.lost {
			out = append(out, n.name)
		}
	}
	return out
}

// Now is what time it is.
func (o *ObservedCluster) Now() time.Time { return o.cluster().now }

func (o *ObservedCluster) cluster() *cluster {
	if o.walk != nil {
		return o.walk.cluster
	}
	return o.script.c
}

func (o *ObservedCluster) attach(c *cluster) {
	c.observe = o.step
	for _, n := range c.nodes {
		o.lives[n.name] = n.life
		o.snapshot(n)
	}
}

// step tells what one Step of a node has made happen.
func (o *ObservedCluster) step(n *simNode, out Output) {
	if o.lives[n.name] != n.life {
		o.lives[n.name] = n.life
		o.see(ObservedNote{Node: n.name, Engine: n.engine(), Lost: true})
		o.snapshot(n)
		return
	}
	for _, ev := range out.Events {
		o.see(ObservedNote{Node: n.name, Engine: n.engine(), Event: ev})
	}
}

func (o *ObservedCluster) snapshot(n *simNode) {
	o.see(ObservedNote{Node: n.name, Engine: n.engine(), Snapshot: true, AsOf: n.k.e.LastEvent(), Calls: slices.Clone(n.k.e.Calls()), Settings: n.k.e.Settings()})
}

func (n *simNode) engine() string { return fmt.Sprintf("%s.%d", n.name, n.life) }

// ScriptDifference shows the first lines that differ, with the block they are in.
func ScriptDifference(want, got string) string { return difference(want, got) }
