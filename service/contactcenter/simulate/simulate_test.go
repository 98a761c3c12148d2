package simulate

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/contact/expression"
	"github.com/locktone/locktone/service/contactcenter/center"
)

// simple is one queue with so many agents, who wrap up for no time.
func simple(t testing.TB, agents int) *center.Site {
	e, err := expression.Parse("sales > 0", expression.Known{Names: []string{"sales"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &center.Site{Teams: []center.Team{{Name: "all", WrapUpMode: center.WrapUpNone}}, Queues: []center.Queue{{Name: "sales", Steps: []center.QueueStep{{Where: e}}}},
		Scripts: []center.Script{{Name: "sales", Start: "q", Nodes: []center.Node{{Name: "q", Kind: center.NodeQueue, Queue: "sales"}}}},
		Numbers: []center.Number{{Number: "800", Script: "sales"}}}
	for i := range agents {
		s.Agents = append(s.Agents, center.Agent{Name: fmt.Sprint("a", i), Team: "all", Attributes: []center.Attribute{{Name: "sales", Value: expression.Number(1)}}})
	}
	return s
}

// TestErlangC (ten times as long with LOCKTONE_ALL=1): where Erlang's formula holds (callers at random, exponential times, nobody hangs up, one queue) the simulation agrees with it.
func TestErlangC(t *testing.T) {
	for _, c := range []struct {
		agents  int
		perHour float64
	}{{10, 140}, {10, 160}, {40, 700}} {
		load := Load{Seed: 1, Length: 300 * time.Hour, Interval: 300 * time.Hour, Talk: 3 * time.Minute, Arrivals: []Arrivals{{"800", c.perHour}}}
		if c.agents > 10 {
			load.Length, load.Interval = 80*time.Hour, 80*time.Hour
		}
		if os.Getenv("LOCKTONE_ALL") != "" {
			load.Length, load.Interval = 10*load.Length, 10*load.Interval
		}
		r, err := Run(simple(t, c.agents), load)
		if err != nil {
			t.Fatal(err)
		}
		planned := 100 * c.perHour * load.Talk.Hours() / float64(c.agents)
		erlangs := r.Occupancy * float64(c.agents) / 100 // the load that the dice have made of the planned one
		talk := erlangs / (float64(r.Calls) / load.Length.Seconds())
		waits := ErlangC(c.agents, erlangs)
		rate := (float64(c.agents) - erlangs) / talk
		average, level := waits/rate, 100*(1-waits*math.Exp(-rate*20))
		q := r.Queues[0]
		if math.Abs(q.Average.Seconds()-average) > 0.08*average+0.1 || math.Abs(q.ServiceLevel-level) > 1 || math.Abs(r.Occupancy-planned) > 1.5 || len(r.Repaired) > 0 {
			t.Errorf("%d agents, %.0f calls/h: waits of %s on average, expected %.2fs; service level %.1f %%, expected %.1f; occupancy %.1f %%; %q", c.agents, c.perHour, q.Average, average,
				q.ServiceLevel, level, r.Occupancy, r.Repaired)
		}
	}
}

// TestErlangCTable: values that are in print: 1 agent with half an erlang has half of its callers wait; 2 with 1 a third.
func TestErlangCTable(t *testing.T) {
	for _, c := range []struct {
		n    int
		load float64
		want float64
	}{{1, 0.5, 0.5}, {2, 1, 1.0 / 3}, {10, 10, 1}, {10, 8, 0.4092}} {
		if got := ErlangC(c.n, c.load); math.Abs(got-c.want) > 0.0001 {
			t.Errorf("C(%d, %g) = %.4f, expected %.4f", c.n, c.load, got, c.want)
		}
	}
}

// TestSeed: the same seed is the same day, another one another; more callers than agents wait longer and hang up.
func TestSeed(t *testing.T) {
	load := Load{Seed: 7, Length: 4 * time.Hour, Arrivals: []Arrivals{{"800", 200}}, Patience: time.Minute, Answer: 3 * time.Second, NoAnswer: 0.02, Pattern: []float64{0.5, 1.5}}
	run := func(l Load) *Result {
		r, err := Run(simple(t, 8), l)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	a := run(load)
	if b := run(load); !reflect.DeepEqual(a, b) {
		t.Error("the same seed gives something else")
	}
	q := a.Queues[0]
	if q.Abandoned == 0 || q.Answered == 0 || len(a.Intervals) != 8 || a.Intervals[1].Offered >= a.Intervals[6].Offered || len(a.Repaired) > 0 || q.P50 > q.P90 || q.P90 > q.P99 {
		t.Errorf("%+v", a)
	}
	if p := Plot(a); strings.Count(p, "<polyline") != 2 || !strings.HasSuffix(p, "</svg>\n") {
		t.Error(p)
	}
	load.Seed = 8
	if reflect.DeepEqual(a.Intervals, run(load).Intervals) {
		t.Error("another seed gives the same")
	}
	load.Arrivals[0].Number = "801"
	if _, err := Run(simple(t, 1), load); err == nil || !strings.Contains(err.Error(), "801") {
		t.Error(err)
	}
}
