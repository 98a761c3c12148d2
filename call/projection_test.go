package call_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/service/ctimanager/projection"
)

// The tests of CTI events (package projection) that need whole engines live here, where the simulated cluster is.

const ctiScripts = "../service/ctimanager/projection/testdata"

// siteNumbers is the site of a cluster as the projection asks for it.
type siteNumbers struct{ c *call.ObservedCluster }

func (s siteNumbers) CallManager(node string) uint32 {
	return uint32(slices.Index(s.c.Site().Nodes, node) + 1)
}

func (s siteNumbers) Appearances(line call.LineID) (out []projection.Appearance) {
	at := s.c.Devices()
	for _, l := range s.c.Site().Lines {
		for _, a := range l.Appearances {
			if l.ID == line {
				out = append(out, projection.Appearance{Device: a.Device, Node: at[a.Device]})
			}
		}
	}
	return out
}

func (s siteNumbers) Line(number string) (call.LineID, bool) {
	var found []call.LineID
	for _, l := range s.c.Site().Lines {
		if l.ID.Number == number {
			found = append(found, l.ID)
		}
	}
	if len(found) != 1 {
		return call.LineID{}, false
	}
	return found[0], true
}

func input(n call.ObservedNote) projection.Input {
	return projection.Input{Node: n.Node, Engine: n.Engine, Lost: n.Lost, Gone: n.Lost, Snapshot: n.Snapshot, AsOf: n.AsOf, Calls: n.Calls, Settings: n.Settings, Event: n.Event}
}

// TestCTIEvents runs the golden scripts of the projection: what people do, in the words of TestNodes, and the CTI events that come of it.
func TestCTIEvents(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(ctiScripts, "*.txt"))
	if len(files) == 0 {
		t.Fatal("no scripts")
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) { ctiScript(t, f) })
	}
}

func ctiScript(t *testing.T, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := runCTI(t, string(b))
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != string(b) {
		t.Errorf("the script gives something else now (go test -update writes it):\n%s", call.ScriptDifference(string(b), got))
	}
}

func runCTI(t *testing.T, text string) string {
	var out, said strings.Builder
	var m *projection.Machine
	var c *call.ObservedCluster
	judge := newJudge(t)
	c = call.ObserveScript(t, func(n call.ObservedNote) {
		if m == nil {
			m = projection.New(siteNumbers{c})
		}
		for _, ev := range m.Note(input(n)) {
			fmt.Fprintln(&said, ev)
			judge.event(ev)
		}
	})
	inOutput := false
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case line == "":
			inOutput = false
			fmt.Fprintln(&out)
		case strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
		case inOutput:
		case line == "----":
			inOutput = true
			fmt.Fprintf(&out, "----\n%s", said.String())
			said.Reset()
		default:
			fmt.Fprintln(&out, line)
			c.Input(line)
		}
	}
	return out.String()
}

// A judge checks what must hold of every stream of CTI events.
type judge struct {
	t    testing.TB
	legs map[projection.Handle]*projection.Event // the last event of each
	over map[projection.Handle]bool
	seq  uint64
}

func newJudge(t testing.TB) *judge {
	return &judge{t: t, legs: map[projection.Handle]*projection.Event{}, over: map[projection.Handle]bool{}}
}

func (j *judge) event(ev projection.Event) {}
