package board

import (
	"testing"
	"time"
)

// pair is two machines that hear each other, n2 with a fact.
func pair(t *testing.T) (a, b *Machine, talk func(now time.Duration)) {
	t.Helper()
	a, b = New(Config{Self: "n1", Process: 1}), New(Config{Self: "n2", Process: 2})
	talk = func(now time.Duration) {
		t.Helper()
		for range 10 { // until nobody has anything to say
			fromA, fromB := a.Step(now, Pass{}).Send, b.Step(now, Pass{}).Send
			for len(fromA)+len(fromB) > 0 {
				var nextA, nextB []Send
				for _, s := range fromA {
					nextB = append(nextB, b.Step(now, Heard{s.Message}).Send...)
				}
				for _, s := range fromB {
					nextA = append(nextA, a.Step(now, Heard{s.Message}).Send...)
				}
				fromA, fromB = nextA, nextB
			}
		}
	}
	b.Step(0, Put{Kind: "registration", Key: "bob", Value: []byte("1")})
	talk(0)
	if f := a.Of("registration", "bob"); len(f) != 1 {
		t.Fatalf("%+v", f)
	}
	return a, b, talk
}

// passes lets time pass as the runner does: by the second.
func passes(m *Machine, from, to time.Duration) (out []Change) {
	for now := from; now <= to; now += time.Second {
		out = append(out, m.Step(now, Pass{}).Changes...)
	}
	return out
}

// TestAway: a node that has no connection to the bus itself goes on believing what the others said last, marked as stale, for Hold. When
// it is back they have a lease to be heard.
func TestAway(t *testing.T) {
	a, b, talk := pair(t)
	a.Step(time.Second, Link{Up: false})
	if c := passes(a, time.Second, 200*time.Second); len(c) != 0 {
		t.Errorf("something changed: %+v", c)
	}
	if n := a.Nodes(); !n[1].Alive || !n[1].Stale || len(a.Of("registration", "bob")) != 1 {
		t.Errorf("%+v", n)
	}
	b.Step(200*time.Second, Drop{Kind: "registration", Key: "bob"}) // nobody hears it
	passes(b, time.Second, 200*time.Second)
	a.Step(200*time.Second, Link{Up: true})
	if c := passes(a, 200*time.Second, 202*time.Second); len(c) != 0 {
		t.Errorf("back, and changed before anybody was heard: %+v", c)
	}
	talk(202 * time.Second)
	talk(203 * time.Second)
	if n := a.Nodes(); !n[1].Alive || n[1].Stale || len(a.Of("registration", "bob")) != 0 {
		t.Errorf("not converged: %+v, %+v", n, a.Of("registration", "bob"))
	}
	a.Step(204*time.Second, Link{Up: false})
	passes(a, 204*time.Second, 204*time.Second+6*time.Minute)
	if n := a.Nodes(); n[1].Alive || n[1].Stale {
		t.Errorf("believed for ever: %+v", n)
	}
}

// TestSilence: with a connection, silence is what it was.
func TestSilence(t *testing.T) {
	a, _, _ := pair(t)
	passes(a, 0, 2*time.Second)
	if !a.Nodes()[1].Alive {
		t.Error("lost before its lease was over")
	}
	passes(a, 3*time.Second, 4*time.Second)
	if a.Nodes()[1].Alive || len(a.Of("registration", "bob")) != 0 {
		t.Error("believed after its lease")
	}
}

// TestLate: a question that waited is known by the lives it carries.
func TestLate(t *testing.T) {
	a, b, talk := pair(t)
	mine, its := a.LifeOf("n1"), b.LifeOf("n1") // as a and b know a
	asker := b.LifeOf("n2")
	if mine != its || a.Late("n2", asker, its) || a.Late("n3", Life{Number: 1, Process: 3}, Life{}) {
		t.Fatal("a question between nodes that hear each other is late")
	}
	passes(a, 0, 10*time.Second) // n2 is not heard, a runs: what n2 asked has waited on the way
	if !a.Late("n2", asker, its) {
		t.Error("asked by a node that is lost, and not late")
	}
	if a.Late("n2", Life{Number: 1, Process: 99}, its) {
		t.Error("a new process of n2 is not who was lost")
	}
	passes(b, 0, 10*time.Second)
	talk(11 * time.Second)
	talk(12 * time.Second)
	if a.Late("n2", asker, its) {
		t.Error("n2 is heard again")
	}
	a.Step(30*time.Second, Pass{}) // it was stopped for 20 s
	if a.LifeOf("n1") == its || !a.Late("n2", asker, its) {
		t.Error("asked before it was stopped, and not late")
	}
	if a.Late("n2", asker, a.LifeOf("n1")) || a.Late("n2", asker, Life{}) {
		t.Error("asked after it woke, or by who has never heard of it")
	}
	if l, err := ParseLife(asker.String()); err != nil || l != asker {
		t.Errorf("%v, %v", l, err)
	}
	for _, text := range []string{"", "1", "x/1", "1/x", "/"} {
		if _, err := ParseLife(text); err == nil {
			t.Errorf("%q is a life", text)
		}
	}
}
