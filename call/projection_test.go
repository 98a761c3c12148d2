package call_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// The tests of CTI events (package projection) that need whole engines live here, where the simulated cluster is.

const ctiScripts = "../service/ctimanager/projection/testdata"

// siteNumbers is the site of a cluster as the projection asks for it.
type siteNumbers struct{ c *call.ObservedCluster }

func (s siteNumbers) CallManager(node string) uint32 {
	return uint32(slices.Index(s.c.Site().Nodes, node) + 1)
}

func (s siteNumbers) Appearances(line call.LineID) (out []string) {
	for _, l := range s.c.Site().Lines {
		for _, a := range l.Appearances {
			if l.ID == line {
				out = append(out, a.Device)
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
	return projection.Input{Node: n.Node, Engine: n.Engine, Lost: n.Lost || n.Cut, Gone: n.Lost, Snapshot: n.Snapshot, AsOf: n.AsOf, Calls: n.Calls, Settings: n.Settings, Event: n.Event}
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
	for _, f := range judge.faults {
		t.Error(f)
	}
	return out.String()
}

// A judge checks what must hold of every stream of CTI events, whatever the engines do.
type judge struct {
	t      testing.TB
	legs   map[legOf]*projection.Event // the last event of each that lives
	over   map[legOf]bool
	begun  map[string]bool // merges that have begun and not ended, by line
	seq    uint64
	faults []string
	kinds  map[projection.Kind]int
}

// A legOf names a leg: handles begin anew with every life of an engine.
type legOf struct {
	engine string
	handle projection.Handle
}

func newJudge(t testing.TB) *judge {
	return &judge{t: t, legs: map[legOf]*projection.Event{}, over: map[legOf]bool{}, begun: map[string]bool{}, kinds: map[projection.Kind]int{}}
}

func (j *judge) fault(ev projection.Event, format string, args ...any) {
	j.faults = append(j.faults, fmt.Sprintf(format, args...)+": "+ev.String())
}

// legal says which state of a leg may follow which.
var legal = map[ctiqbe.CallState][]ctiqbe.CallState{
	ctiqbe.CallStateOffering:     {ctiqbe.CallStateOffering, ctiqbe.CallStateAccepted, ctiqbe.CallStateRemoteInUse, ctiqbe.CallStateDisconnected, ctiqbe.CallStateIdle},
	ctiqbe.CallStateAccepted:     {ctiqbe.CallStateConnected, ctiqbe.CallStateRemoteInUse, ctiqbe.CallStateDisconnected, ctiqbe.CallStateIdle},
	ctiqbe.CallStateDialTone:     {ctiqbe.CallStateDialTone, ctiqbe.CallStateDialing, ctiqbe.CallStateDisconnected, ctiqbe.CallStateIdle},
	ctiqbe.CallStateDialing:      {ctiqbe.CallStateProceeding, ctiqbe.CallStateDisconnected, ctiqbe.CallStateIdle},
	ctiqbe.CallStateProceeding:   {ctiqbe.CallStateRingback, ctiqbe.CallStateDisconnected, ctiqbe.CallStateIdle},
	ctiqbe.CallStateRingback:     {ctiqbe.CallStateConnected, ctiqbe.CallStateDisconnected, ctiqbe.CallStateIdle},
	ctiqbe.CallStateConnected:    {ctiqbe.CallStateConnected, ctiqbe.CallStateOnHold, ctiqbe.CallStateRemoteInUse, ctiqbe.CallStateDisconnected, ctiqbe.CallStateIdle},
	ctiqbe.CallStateOnHold:       {ctiqbe.CallStateOnHold, ctiqbe.CallStateConnected, ctiqbe.CallStateRemoteInUse, ctiqbe.CallStateDisconnected, ctiqbe.CallStateIdle},
	ctiqbe.CallStateRemoteInUse:  {ctiqbe.CallStateRemoteInUse, ctiqbe.CallStateOnHold, ctiqbe.CallStateIdle},
	ctiqbe.CallStateDisconnected: {ctiqbe.CallStateIdle},
}

func (j *judge) event(ev projection.Event) {
	j.kinds[ev.Kind]++
	if j.seq++; ev.Seq != j.seq {
		j.fault(ev, "event %d is numbered %d", j.seq, ev.Seq)
		j.seq = ev.Seq
	}
	for _, p := range []projection.Party{ev.Calling, ev.Called, ev.Original, ev.LastRedirecting} {
		if len(p.Number) == 4 && p.Number[0] == '2' && p.Number < "2101" && p.Partition == "" && p.Number[1] != '5' && p.Number[1] != '9' {
			j.fault(ev, "%s has no partition", p.Number)
		}
	}
	switch ev.Kind {
	case projection.TransferStarted, projection.ConferenceStarted, projection.TransferEnded, projection.ConferenceEnded:
		key := fmt.Sprint(ev.Device, ev.Line, ev.Merge.ID)
		start := ev.Kind == projection.TransferStarted || ev.Kind == projection.ConferenceStarted
		if j.begun[key] == start {
			j.fault(ev, "a merge begins twice, or ends without a beginning")
		}
		j.begun[key] = start
		if !start {
			delete(j.begun, key)
		}
	}
	if ev.Handle != (projection.Handle{}) {
		j.leg(ev)
	}
}

func (j *judge) leg(ev projection.Event) {
	h := legOf{ev.Engine, ev.Handle}
	last := j.legs[h]
	first := ev.Kind == projection.NewCall || ev.Kind == projection.ExistingCall
	switch {
	case j.over[h] && !(first && ev.RemoteInUse): // a passive leg may be seen again
		j.fault(ev, "a leg that is over")
	case (last == nil) != first:
		j.fault(ev, "a leg is told first as new, and once")
	case last != nil && (ev.Device != last.Device || ev.Line != last.Line):
		j.fault(ev, "a leg has another place than before")
	case last != nil && ev.Kind == projection.GCHChanged && (ev.OldGCH != last.GCH || ev.GCH == last.GCH):
		j.fault(ev, "the global call handle was %v", last.GCH)
	case last != nil && ev.Kind != projection.GCHChanged && ev.GCH != last.GCH:
		j.fault(ev, "the global call handle was %v and nobody was told", last.GCH)
	case last != nil && ev.Kind == projection.StateChanged && !slices.Contains(legal[last.State], ev.State):
		j.fault(ev, "state %v follows %v", ev.State, last.State)
	case last != nil && ev.Kind != projection.StateChanged && ev.State != last.State:
		j.fault(ev, "the state was %v and nobody was told", last.State)
	}
	if ev.State == ctiqbe.CallStateIdle {
		delete(j.legs, h)
		j.over[h] = true
		return
	}
	delete(j.over, h)
	j.legs[h] = &ev
}

// end is when all calls are over.
func (j *judge) end() {
	for _, ev := range j.legs {
		j.faults = append(j.faults, "never idle: "+ev.String())
	}
	for key := range j.begun {
		j.faults = append(j.faults, "never ended: merge "+key)
	}
}

// TestCTIEventsWalk has clusters live at random and judges the CTI events. Every few steps it asks what somebody would be told who begins to
// watch now: by snapshots alone that must be what events have told.
func TestCTIEventsWalk(t *testing.T) {
	kinds := map[projection.Kind]int{}
	first, last := int64(1), int64(call.WalkCount(60))
	if only, _ := strconv.ParseInt(flag.Lookup("seed").Value.String(), 10, 64); only != 0 {
		first, last = only, only
	}
	seeds := []int64{1257} // two ties between a conference and one call: what each said of the other went round for ever
	for seed := last; seed >= first; seed-- {
		seeds = append(seeds, seed)
	}
	if first == last {
		seeds = seeds[1:]
	}
	for _, seed := range slices.Backward(seeds) {
		j := newJudge(t)
		for k, n := range walkCTI(t, seed, j) {
			kinds[k] += n
		}
		if len(j.faults) > 0 {
			t.Fatalf("seed %d (go test -run %s -seed %d): %s", seed, t.Name(), seed, strings.Join(j.faults[:min(len(j.faults), 5)], "\n"))
		}
	}
	for k := projection.NewCall; k <= projection.Gap; k++ {
		if kinds[k] == 0 && first != last && k != projection.PrivacyChanged { // see settings.txt
			t.Errorf("no walk told of %v", k)
		}
	}
}

func walkCTI(t *testing.T, seed int64, j *judge) map[projection.Kind]int {
	var m *projection.Machine
	var c *call.ObservedCluster
	var early []call.ObservedNote
	deaf := "" // a node whose events do not arrive
	note := func(n call.ObservedNote) {
		for _, ev := range m.Note(input(n)) {
			if testing.Verbose() && t.Name() != "" && seedGiven() {
				t.Log(ev)
			}
			j.event(ev)
		}
	}
	c = call.ObserveWalk(t, seed, func(n call.ObservedNote) {
		if m == nil { // the cluster is being made
			early = append(early, n)
		} else if n.Node != deaf || n.Lost {
			note(n)
		}
	})
	m = projection.New(siteNumbers{c})
	for _, n := range early {
		note(n)
	}
	step := 0
	deaf = ""
	c.Walk(250, func() {
		switch step++; {
		case len(j.faults) > 0:
		case step%40 == 20: // for a while nothing is heard of a node
			if there := c.Snapshots(); len(there) > 0 {
				deaf = there[0].Node
				note(call.ObservedNote{Node: deaf, Engine: there[0].Engine, Cut: true})
			}
		case step%40 == 30:
			deaf = ""
			for _, n := range c.Snapshots() {
				note(n)
			}
		case step%10 == 0:
			compare(j, m, c)
		}
	})
	if len(j.faults) == 0 {
		j.end()
	}
	return j.kinds
}

func seedGiven() bool { return flag.Lookup("seed").Value.String() != "0" }

// compare says where events have told something else than snapshots would.
func compare(j *judge, m *projection.Machine, c *call.ObservedCluster) {
	fresh := projection.New(siteNumbers{c})
	parts := map[string]bool{} // calls that came over a tie: while their root is not there, how they are named is remembered, not seen
	reborn := false            // ties to an engine's former life are taken for ties to this one where numbers of legs agree, until they expire
	for _, n := range c.Snapshots() {
		reborn = reborn || !strings.HasSuffix(n.Engine, ".1")
	}
	for _, n := range c.Snapshots() {
		fresh.Note(input(n))
		for _, v := range n.Calls {
			parts[n.Node+v.ID.String()] = v.Upstream != nil || reborn
		}
	}
	for _, l := range c.Site().Lines {
		for _, a := range l.Appearances {
			was, is := known(m.Existing(a.Device, l.ID), parts), known(fresh.Existing(a.Device, l.ID), parts)
			if !slices.Equal(was, is) {
				j.faults = append(j.faults, fmt.Sprintf("%s/%s: events have told\n%s\nand snapshots tell\n%s", a.Device, l.ID, strings.Join(was, "\n"), strings.Join(is, "\n")))
			}
		}
	}
}

// known is what must be the same: which legs, their states and calls. A caller whose call goes elsewhere hears ringing all the time, which a
// picture does not show; devices without a leg are numbered by each Machine for itself.
func known(list []projection.Event, parts map[string]bool) (out []string) {
	for _, ev := range list {
		if parts[ev.Node+ev.Call.String()] {
			ev.GCH = projection.GCH{}
		}
		if ev.RemoteInUse {
			ev.Handle = projection.Handle{}
		}
		if ev.State == ctiqbe.CallStateDialing || ev.State == ctiqbe.CallStateRingback {
			ev.State = ctiqbe.CallStateProceeding
		}
		out = append(out, fmt.Sprint(ev.Handle, ev.State, ev.GCH, ev.RemoteInUse, ev.Private))
	}
	slices.Sort(out)
	return out
}
