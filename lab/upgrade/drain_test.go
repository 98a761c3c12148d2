package upgrade

import (
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/lab/phone"
)

// east are the devices whose primary is n1, west those of n2.
var east, west = homes("east"), homes("west")

func homes(pool string) (out []string) {
	for _, x := range cast {
		if x.pool == pool {
			out = append(out, x.name)
		}
	}
	return out
}

// busy and idle are devices of n1 during a call of the others.
var busy, idle = []string{"alice", "bob"}, []string{"carol", "erin"}

// TestDrain drains real processes: by `locktone node drain` at the other node, with a resume, and by SIGTERM, whose limit and whose
// second signal end it although there are calls.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := raise(t, &present)
	defer s.tell(t)
	s.resumed(t)
	s.commanded(t)
	s.twice(t)
	s.limited(t)
}

// resumed: idle devices go, who talks stays and is served; nothing ends, and a resume brings everybody back.
func (s *stage) resumed(t *testing.T) {
	c := s.talk(t, "alice", "bob")
	var d bus.DrainState
	ok(t, json.Unmarshal([]byte(s.n2.Do(t, "node", "drain", "n1", "--stay", "--limit", "60s", "--json")), &d))
	if d.Node != "n1" || d.State != bus.StateDraining || d.Calls != 1 || !d.Stay {
		t.Errorf("the answer: %+v", d)
	}
	s.at(t, s.n2, idle...)
	c.alive(t, 600)
	if s.phones["alice"].Server() != s.n1.Server() {
		t.Error("alice was handed over during her call")
	}
	x := s.talk(t, "carol", "alice") // to a device that is still at the node that drains: a second call beside the first
	x.alive(t, 1000)
	x.over(t)
	if out := s.n2.Do(t, "show", "servers"); !strings.Contains(out, bus.StateDraining) {
		t.Errorf("show servers:\n%s", out)
	}
	c.over(t)
	s.at(t, s.n2, busy...)
	until(t, "n1 is drained", func() bool { return strings.HasPrefix(s.n2.Nodes(t)["n1"].Drain, bus.StateDrained) })
	select {
	case <-s.n1.Ended:
		t.Fatalf("it was to stay:\n%s", s.n1.Output)
	default:
	}
	if out := s.n2.Do(t, "node", "resume", "n1"); !strings.Contains(out, "node n1 takes devices and calls") {
		t.Errorf("resume: %s", out)
	}
	s.home(t)
	if out := s.n1.Nodes(t)["n1"].Drain; out != "" {
		t.Errorf("after the resume n1 is %s", out)
	}
}

// commanded: the node ends with the last call, with 0, and is told to end by nobody else.
func (s *stage) commanded(t *testing.T) {
	c := s.talk(t, "alice", "dave")
	s.n1.Do(t, "node", "drain", "n1", "--limit", "60s")
	s.at(t, s.n2, append(slices.Clone(idle), "bob")...)
	c.alive(t, 600)
	c.over(t)
	if code := s.n1.WaitEnded(t, 30*time.Second); code != 0 {
		t.Errorf("it ended with %d:\n%s", code, s.n1.Output)
	}
	s.at(t, s.n2, east...)
	x := s.talk(t, "alice", "dave")
	x.over(t)
	s.n1.Again(t, &present)
	s.home(t)
}

// twice: a second SIGTERM ends the node at once, though its call goes on and the limit is far.
func (s *stage) twice(t *testing.T) {
	c := s.talk(t, "alice", "bob")
	s.n1.Signal(t, syscall.SIGTERM)
	s.at(t, s.n2, idle...)
	c.alive(t, 600)
	began := time.Now()
	s.n1.Signal(t, syscall.SIGTERM)
	code := s.n1.WaitEnded(t, 20*time.Second)
	t.Logf("ended with %d, %v after the second signal", code, time.Since(began))
	if code != 0 || !strings.Contains(s.n1.Output.String(), "stopping") {
		t.Errorf("it ended with %d:\n%s", code, s.n1.Output)
	}
	s.ended(t, c)
	s.at(t, s.n2, east...)
	s.n1.Again(t, &present)
	s.home(t)
}

// limited: the limit of the node's own configuration (n2 has the default, 10 s) ends a call that nobody ends.
func (s *stage) limited(t *testing.T) {
	c := s.talk(t, "gina", "henry")
	began := time.Now()
	s.n2.Signal(t, syscall.SIGTERM)
	s.at(t, s.n1, "dave", "frank")
	code := s.n2.WaitEnded(t, 40*time.Second)
	took := time.Since(began)
	t.Logf("ended with %d after %v", code, took)
	if code != 0 || took < 10*time.Second {
		t.Errorf("it ended with %d after %v:\n%s", code, took, s.n2.Output)
	}
	s.ended(t, c)
	s.at(t, s.n1, west...)
}

// ended: both phones have heard that the call is over.
func (s *stage) ended(t *testing.T, c talk) {
	t.Helper()
	for who, end := range map[string]*phone.Call{"caller": c.a, "called": c.b} {
		if _, byPeer, err := end.WaitEnded(within(t, 20*time.Second)); err != nil || !byPeer {
			t.Errorf("the %s was not told the end of the call: %v", who, err)
		}
	}
}
