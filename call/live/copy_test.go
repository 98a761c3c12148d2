package live

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/dialplan"
)

// village has what an engine can keep state of: shared lines, a hunt, a list of trunks that take turns, forwards.
func village(t testing.TB) *call.Config {
	t.Helper()
	s := call.Site{Policy: call.Policy{NoAnswer: 20 * time.Second, Mixed: call.MixedAnchor, MaxDuration: time.Hour}}
	for i := range 6 {
		number, device := fmt.Sprint(2001+i), fmt.Sprint("phone", i)
		s.Devices = append(s.Devices, call.Device{Name: device, Driver: "sip"})
		line := call.Line{ID: call.LineID{Number: number}, Appearances: []call.Appearance{{Device: device, Index: 1}}}
		if i == 0 {
			line.Appearances = append(line.Appearances, call.Appearance{Device: "phone1", Index: 2})
		}
		if i == 5 {
			line.Forwards[call.ForwardNoAnswer] = call.Forward{To: "2002"}
		}
		s.Lines = append(s.Lines, line)
		s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: number, Kind: dialplan.DirectoryNumber})
	}
	for _, name := range []string{"north", "south"} {
		s.Trunks = append(s.Trunks, call.Trunk{Name: name, Driver: "sip", Media: call.MediaPolicy{SRTP: call.SRTPOrRTP}, MaxCalls: 3})
	}
	s.RouteLists = []call.RouteList{{Name: "out", Members: []call.RouteMember{{Trunk: "north", Turns: "g"}, {Trunk: "south", Turns: "g"}}}}
	s.Hunts = []call.Hunt{{Name: "sales", Groups: []call.HuntGroup{{Name: "one", Order: call.HuntCircular, Lines: []call.LineID{{Number: "2003"}, {Number: "2004"}, {Number: "2005"}}}}}}
	s.Plan.Patterns = append(s.Plan.Patterns,
		dialplan.Pattern{Digits: "0.!", Kind: dialplan.ToRouteList, To: "out"},
		dialplan.Pattern{Digits: "6000", Kind: dialplan.ToHunt, To: "sales"},
		dialplan.Pattern{Digits: "112", Kind: dialplan.ToRouteList, To: "out", Emergency: true})
	c, err := s.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// life makes up inputs for an engine, out of what its commands said.
type life struct {
	rnd  *rand.Rand
	next call.LegID
	legs []call.LegID
	ref  uint64
}

func (l *life) desc(k call.DescKind) call.Desc {
	l.ref++
	return call.Desc{Ref: l.ref, Kind: k, Dir: call.SendRecv, Security: call.SRTP}
}

func (l *life) input() (time.Duration, call.Input) {
	leg := call.LegID(0)
	if len(l.legs) > 0 {
		leg = l.legs[l.rnd.Intn(len(l.legs))]
	}
	signal := func(s call.Signal) (time.Duration, call.Input) {
		return time.Duration(l.rnd.Intn(3000)) * time.Millisecond, call.Input{Driver: "sip", Signal: s}
	}
	numbers := []string{"2001", "2002", "2006", "6000", "0301", "112", "999"}
	switch l.rnd.Intn(12) {
	case 0, 1, 2:
		l.next += 2
		l.legs = append(l.legs, l.next)
		return signal(call.Setup{Leg: l.next, Device: fmt.Sprint("phone", l.rnd.Intn(6)), Called: numbers[l.rnd.Intn(len(numbers))], Desc: l.desc(call.KindOffer)})
	case 3, 4, 5:
		return signal(call.Answered{Leg: leg, Desc: l.desc(call.KindAnswer)})
	case 6:
		return signal(call.Reoffered{Leg: leg, Desc: l.desc(call.KindOffer)})
	case 7:
		return signal(call.TransferAsked{Leg: leg, To: numbers[l.rnd.Intn(len(numbers))]})
	case 8:
		return signal(call.Released{Leg: leg, Cause: []call.Cause{call.NormalClearing, call.UserBusy}[l.rnd.Intn(2)]})
	case 9:
		return 0, call.Input{RequestID: "r", Request: call.SetForward{Line: call.LineID{Number: "2002"}, Kind: call.ForwardAll, Forward: call.Forward{To: []string{"", "2003"}[l.rnd.Intn(2)]}}}
	case 10:
		return 0, call.Input{RequestID: "r", Request: call.Hold{Leg: leg}}
	}
	return 15 * time.Second, call.Input{}
}

func (l *life) hear(out call.Output) {
	for _, o := range out.Commands {
		if r, ok := o.Command.(call.Ring); ok {
			l.legs = append(l.legs, r.Leg)
		}
	}
}

// TestCopyLivesOn: a copy made in the middle of things does what the original does, and what is done to a copy never reaches the original.
func TestCopyLivesOn(t *testing.T) {
	calls := 0
	for seed := range int64(60) {
		now := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
		l := &life{rnd: rand.New(rand.NewSource(seed)), next: 1}
		e := call.New()
		e.Step(now, call.Input{Config: village(t)})
		for i := range 6 {
			e.Step(now, call.Input{Driver: "sip", Signal: call.DeviceState{Device: fmt.Sprint("phone", i), Up: true}})
		}
		var twin *call.Engine
		for step := range 150 {
			wait, in := l.input()
			now = now.Add(wait)
			if step%50 == 40 {
				twin = CopyEngine(e)
				alone(t, e, twin)
				n, _ := e.Load()
				calls += n
				spoil(CopyEngine(e), now, rand.New(rand.NewSource(seed)), l.legs)
			}
			out := e.Step(now, in)
			l.hear(out)
			if twin == nil {
				continue
			}
			want, err := call.MarshalOutput(out)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := call.MarshalOutput(twin.Step(now, in)); !bytes.Equal(got, want) {
				t.Fatalf("seed %d, step %d, %+v:\nthe copy says %s\nthe original  %s", seed, step, in, got, want)
			}
			if !twin.Deadline().Equal(e.Deadline()) {
				t.Fatalf("seed %d, step %d: deadlines %s and %s", seed, step, twin.Deadline(), e.Deadline())
			}
		}
	}
	if calls < 100 {
		t.Errorf("only %d calls were copied: the test proves little", calls)
	}
}

// spoil does to a copy what comes to mind.
func spoil(e *call.Engine, now time.Time, rnd *rand.Rand, legs []call.LegID) {
	l := &life{rnd: rnd, next: 1 << 40, legs: slices.Clone(legs)}
	for range 60 {
		wait, in := l.input()
		now = now.Add(wait)
		l.hear(e.Step(now, in))
	}
}

// alone sees that two engines share no memory but what is never changed.
func alone(t *testing.T, a, b *call.Engine) {
	t.Helper()
	memory := func(e *call.Engine) []block {
		c := &copier{seen: map[block]bool{}, shapes: map[reflect.Type]*shape{}}
		c.survey(unsafe.Pointer(&e), c.shape(reflect.TypeOf(e)))
		return c.found
	}
	one, two := memory(a), memory(b)
	at := map[unsafe.Pointer]reflect.Type{}
	for _, x := range one {
		at[x.from] = x.shape.typ
	}
	for _, x := range two {
		if typ, both := at[x.from]; both {
			t.Fatalf("a %s is shared", typ)
		}
	}
	if len(one) < 10 {
		t.Fatalf("only %d pieces of memory in an engine", len(one))
	}
}

func TestHostCopies(t *testing.T) {
	r := open(t, Options{})
	r.signal(setup(1, "2002"))
	_ = r.next().(call.Ring)
	e, err := r.Copy(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if calls, legs := e.Load(); calls != 1 || legs != 2 {
		t.Errorf("%d calls, %d legs in the copy", calls, legs)
	}
	e.Step(time.Now(), call.Input{Driver: "sip", Signal: call.DriverLost{Driver: "sip"}})
	if views, err := r.Calls(context.Background()); err != nil || len(views) != 1 {
		t.Errorf("%d calls, %v: what was done to the copy has happened to the original", len(views), err)
	}
}

func BenchmarkCopy(b *testing.B) {
	now := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	e := call.New()
	e.Step(now, call.Input{Config: village(b)})
	for i := range 1000 {
		e.Step(now, call.Input{Driver: "sip", Signal: call.Setup{Leg: call.LegID(2*i + 1), Device: "phone3", Called: "112", Desc: call.Desc{Ref: 1, Kind: call.KindOffer, Dir: call.SendRecv, Security: call.SRTP}}})
	}
	b.ReportAllocs()
	for b.Loop() {
		CopyEngine(e)
	}
}
