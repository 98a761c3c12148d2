package call

import (
	"fmt"
	"slices"
	"testing"
)

// What the tests of those who watch engines need of the simulated cluster of this package's tests: package call_test has no other way in.

// ObservedNote is what a follower of a node's engine would be told: a snapshot when the engine begins, then every event.
type ObservedNote struct {
	Node, Engine string
	Lost         bool // the node is
	Cut          bool // nothing is heard of it
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

// Walk does n things at random, each followed by a look, and then ends everything; it says what was wrong.
func (o *ObservedCluster) Walk(n int, look func()) []string {
	for range n {
		if o.walk.one(); o.walk.rnd.Intn(8) == 0 {
			o.confer()
		}
		o.walk.said = nil
		o.losses()
		look()
	}
	faults := o.walk.walk(0)
	o.losses()
	return faults
}

// confer has a phone with two calls join them: at random that hardly happens.
func (o *ObservedCluster) confer() {
	for _, name := range phones {
		var active []*simLeg
		for _, l := range o.walk.phones[name].legs {
			if l.active && !l.node.lost && l.node.legs[l.id] == l {
				active = append(active, l)
			}
		}
		if len(active) > 1 && active[0].node == active[1].node {
			o.walk.step(active[0].node, Input{Request: Conference{Leg: active[0].id, With: []LegID{active[1].id}}, RequestID: "r"})
		}
	}
}

// losses tells of the nodes that have been killed.
func (o *ObservedCluster) losses() {
	for _, n := range o.walk.nodes {
		if n.lost && o.lives[n.name] == n.life {
			o.lives[n.name] = 0
			o.see(ObservedNote{Node: n.name, Engine: n.engine(), Lost: true})
		}
	}
}

// Site is the site of the cluster.
func (o *ObservedCluster) Site() *Site { return &o.cluster().site }

// Snapshots are what all nodes that live would tell somebody who begins to follow them now.
func (o *ObservedCluster) Snapshots() (out []ObservedNote) {
	for _, n := range o.cluster().nodes {
		if !n.lost && o.lives[n.name] == n.life {
			out = append(out, n.snapshot())
		}
	}
	return out
}

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
		if o.lives[n.name] != 0 {
			o.see(ObservedNote{Node: n.name, Engine: n.engine(), Lost: true})
		}
		o.lives[n.name] = n.life
		o.snapshot(n)
		return
	}
	for _, ev := range out.Events {
		o.see(ObservedNote{Node: n.name, Engine: n.engine(), Event: ev})
	}
}

func (o *ObservedCluster) snapshot(n *simNode) { o.see(n.snapshot()) }

func (n *simNode) snapshot() ObservedNote {
	return ObservedNote{Node: n.name, Engine: n.engine(), Snapshot: true, AsOf: n.k.e.LastEvent(), Calls: slices.Clone(n.k.e.Calls()), Settings: n.k.e.Settings()}
}

func (n *simNode) engine() string { return fmt.Sprintf("%s.%d", n.name, n.life) }

// ScriptDifference shows the first lines that differ, with the block they are in.
func ScriptDifference(want, got string) string { return difference(want, got) }

// WalkCount is how many seeds are walked.
func WalkCount(def int) int { return walkCount(def) }
