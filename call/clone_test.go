package call

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// sharedTypes are what pointers of an engine and its copy may both lead to: nobody changes one once it is made.
var sharedTypes = []reflect.Type{reflect.TypeFor[Config](), reflect.TypeFor[View](), reflect.TypeFor[PartyView](), reflect.TypeFor[Quality](),
	reflect.TypeFor[Redirection](), reflect.TypeFor[Hunt](), reflect.TypeFor[MeetMe](), reflect.TypeFor[Spot](), reflect.TypeFor[Upstream](), reflect.TypeFor[Named](), reflect.TypeFor[time.Location]()}

// sharedFields are slices and pointers that both may have, since what they lead to is replaced as a whole.
var sharedFields = []string{"Call.mix", "Call.mixNames", "Leg.gaveUp", "Leg.crossed", "Party.came", "dialling.spaces", "dialling.redirecting", "dialling.through",
	"offering.outside", "offering.choices", "offering.causes", "hunt.queue", "evidence.tie", "history.weakest", "trunkState.at"}

// ownFields are those of an engine that its copy does not get: scratch space, and who watches the original.
var ownFields = []string{"Engine.touched", "Engine.out", "Engine.audit"}

// twins compares what an engine and its copy lead to.
type twins struct {
	t     testing.TB
	there map[spot]uintptr // where the copy of a piece of memory is
	back  map[spot]uintptr
	seen  map[spot]bool
	met   map[string]bool // fields that led somewhere
}

// A spot is a piece of memory.
type spot struct {
	at  uintptr
	typ reflect.Type
}

func (w *twins) compare(a, b *Engine) {
	w.there, w.back, w.seen = map[spot]uintptr{}, map[spot]uintptr{}, map[spot]bool{}
	w.same("Engine", reflect.ValueOf(a), reflect.ValueOf(b))
}

func (w *twins) fault(field, format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("%s %s", field, fmt.Sprintf(format, args...))
}

// same sees that b is a copy of a, which was found in a field.
func (w *twins) same(field string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		w.reference(field, a, b)
	case reflect.Interface:
		switch {
		case a.IsNil() != b.IsNil() || !a.IsNil() && a.Elem().Type() != b.Elem().Type():
			w.fault(field, "is not what it is in the original")
		case !a.IsNil():
			w.met[field] = true
			w.same(field, a.Elem(), b.Elem())
		}
	case reflect.Struct:
		w.correspond(field, a, b)
		for i := range a.NumField() {
			if name := a.Type().Name() + "." + a.Type().Field(i).Name; !slices.Contains(ownFields, name) {
				w.same(name, a.Field(i), b.Field(i))
			} else if !b.Field(i).IsZero() {
				w.fault(name, "is the original's own, and the copy has it")
			}
		}
	case reflect.Array:
		for i := range a.Len() {
			w.same(field, a.Index(i), b.Index(i))
		}
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		w.fault(field, "is of a kind that cannot be copied")
	default:
		if !a.Equal(b) {
			w.fault(field, "is %v in the copy and %v in the original", b, a)
		}
	}
}

// reference sees to a pointer, slice or map.
func (w *twins) reference(field string, a, b reflect.Value) {
	shared := slices.Contains(sharedFields, field) || a.Kind() == reflect.Pointer && slices.Contains(sharedTypes, a.Type().Elem())
	empty := a.Kind() != reflect.Pointer && a.Len() == 0
	switch {
	case a.Kind() != reflect.Slice && a.IsNil() != b.IsNil() || a.Kind() != reflect.Pointer && a.Len() != b.Len():
		w.fault(field, "does not lead to as much as in the original")
		return
	case a.IsNil() || b.IsNil() || empty && a.Kind() == reflect.Slice && b.Cap() == 0:
		return
	case shared && a.Pointer() != b.Pointer():
		w.fault(field, "was copied, though nobody changes it")
		return
	case !shared && a.Pointer() == b.Pointer():
		w.fault(field, "is shared with the original")
		return
	}
	w.met[field] = w.met[field] || !empty
	if shared {
		return
	}
	switch a.Kind() {
	case reflect.Pointer:
		at := spot{a.Pointer(), a.Type().Elem()}
		w.correspond(field, a.Elem(), b.Elem())
		if !w.seen[at] {
			w.seen[at] = true
			w.same(field, a.Elem(), b.Elem())
		}
	case reflect.Slice:
		for i := range a.Len() {
			w.same(field, a.Index(i), b.Index(i))
		}
	case reflect.Map:
		for it := a.MapRange(); it.Next(); {
			if v := b.MapIndex(it.Key()); v.IsValid() {
				w.same(field, it.Value(), v)
			} else {
				w.fault(field, "has no %v in the copy", it.Key())
			}
		}
	}
}

// correspond sees that every way to a piece of memory of the original leads to one piece of memory of the copy, and to no other's.
func (w *twins) correspond(field string, a, b reflect.Value) {
	if !a.CanAddr() || !b.CanAddr() || a.Type().Size() == 0 {
		return
	}
	one, two := spot{a.UnsafeAddr(), a.Type()}, spot{b.UnsafeAddr(), b.Type()}
	was, known := w.there[one]
	of, taken := w.back[two]
	if known && was != two.at || taken && of != one.at {
		w.fault(field, "leads to another %s than elsewhere", a.Type())
	}
	w.there[one], w.back[two] = two.at, one.at
}

// references are the fields of a type, and of all types it leads to, that lead somewhere.
func references(t reflect.Type, field string, seen map[reflect.Type]bool, into map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if field != "" {
			into[field] = true
		}
		if !slices.Contains(sharedFields, field) && !slices.Contains(sharedTypes, t.Elem()) {
			references(t.Elem(), "", seen, into)
		}
	case reflect.Array:
		references(t.Elem(), field, seen, into)
	case reflect.Interface:
		into[field] = true
	case reflect.Struct:
		if seen[t] {
			return
		}
		seen[t] = true
		for i := range t.NumField() {
			if name := t.Name() + "." + t.Field(i).Name; !slices.Contains(ownFields, name) {
				references(t.Field(i).Type, name, seen, into)
			}
		}
	}
}

// TestCloneIsACopy: on random ways, every pointer, slice and map of a copy leads to memory of its own that says the same as the original's,
// but for what is known never to change. A field of the engine's types that no way has filled is named: nothing was proven about it.
func TestCloneIsACopy(t *testing.T) {
	w := &twins{t: t, met: map[string]bool{}}
	for seed := int64(1); seed <= int64(walkCount(60)) && !t.Failed(); seed++ {
		k := newWalker(t, seed, seed%4 > 0)
		for i := range 200 {
			if m := k.choose(); !k.legal || k.k.allows(m) {
				k.apply(m)
			}
			if i%40 == 0 { // nothing is heard of anybody any more
				for _, id := range slices.Sorted(maps.Keys(k.k.wire)) {
					k.apply(move{in: Input{Driver: "sip", Signal: Heard{Leg: id, Proof: ProofSilent}}})
				}
			}
			if i%8 == 0 {
				k.k.e.teller = &teller{reasons: []Reason{{"a", "b"}}, unsuited: []string{"c"}}
				w.compare(k.k.e, k.k.e.Clone())
				k.k.e.teller = nil
			}
		}
	}
	for seed := int64(1); seed <= 20 && !t.Failed(); seed++ {
		c := newClusterWalk(t, seed)
		for i := range 300 {
			if c.one(); i%16 == 0 {
				for _, n := range c.nodes {
					w.compare(n.k.e, n.k.e.Clone())
				}
			}
		}
	}
	if t.Failed() {
		return
	}
	all := map[string]bool{}
	references(reflect.TypeFor[Engine](), "", map[reflect.Type]bool{}, all)
	if len(all) < 40 {
		t.Errorf("an engine has only %d fields that lead somewhere: %v", len(all), all)
	}
	for field := range all {
		if !w.met[field] && field != "Time.loc" {
			t.Errorf("%s was nil in every copy: nothing is known of how it is copied", field)
		}
	}
}

// TestTwinsSeeEverything: the comparison above finds what a forgotten line of Clone would do.
func TestTwinsSeeEverything(t *testing.T) {
	k := newWalker(t, 7, true)
	for len(k.k.e.timers) == 0 || len(k.k.e.legs) < 4 {
		if m := k.choose(); k.k.allows(m) {
			k.apply(m)
		}
	}
	var some *Leg
	for _, l := range k.k.e.legs {
		some = l
	}
	for name, spoil := range map[string]func(e *Engine){
		"Engine.turns is shared":         func(e *Engine) { e.turns = k.k.e.turns },
		"Party.legs is shared":           func(e *Engine) { e.legs[some.id].party.legs = some.party.legs },
		"Leg.party is shared":            func(e *Engine) { e.legs[some.id].party = some.party },
		"Engine.lastLeg is":              func(e *Engine) { e.lastLeg++ },
		"Leg.why is":                     func(e *Engine) { e.legs[some.id].why = "another" },
		"Party.call leads to another":    func(e *Engine) { c := *e.legs[some.id].party.call; e.legs[some.id].party.call = &c },
		"Engine.timers leads to another": func(e *Engine) { t := *e.timers[0]; e.timers[0] = &t },
		"Engine.legs does not lead":      func(e *Engine) { delete(e.legs, some.id) },
	} {
		said := &silent{TB: t}
		copied := k.k.e.Clone()
		spoil(copied)
		(&twins{t: said, met: map[string]bool{}}).compare(k.k.e, copied)
		if !strings.Contains(said.String(), name) {
			t.Errorf("%s: not seen; only %q", name, said.String())
		}
	}
}

// silent collects what a test would fail with.
type silent struct {
	testing.TB
	strings.Builder
}

func (s *silent) Errorf(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

// TestCloneLivesOn: a copy made in the middle of things does what the original does, and what is done to a copy never reaches the original.
func TestCloneLivesOn(t *testing.T) {
	calls := 0
	for seed := int64(1); seed <= int64(walkCount(40)); seed++ {
		w := newWalker(t, seed, seed%4 > 0)
		var twin *Engine
		for i := range 150 {
			if i%30 == 20 {
				before := picture(w.k.e)
				w.spoil(w.k.e.Clone())
				if after := picture(w.k.e); after != before {
					t.Fatalf("seed %d: what was done to a copy has changed the original:\n%s", seed, difference(before, after))
				}
				n, _ := w.k.e.Load()
				twin, calls = w.k.e.Clone(), calls+n
				w.records = nil
			}
			m := w.choose()
			if w.legal && !w.k.allows(m) {
				continue
			}
			w.apply(m)
			if twin == nil {
				continue
			}
			for _, r := range w.records {
				at, in, err := UnmarshalInput(r.Input)
				if err != nil {
					t.Fatal(err)
				}
				if got := AppendOutput(nil, twin.Step(at, in)); !bytes.Equal(got, r.Text) {
					t.Fatalf("seed %d, %s:\nthe copy says\n%s\nthe original\n%s", seed, m, got, r.Text)
				}
			}
			w.records = nil
			if !twin.Deadline().Equal(w.k.e.Deadline()) {
				t.Fatalf("seed %d, %s: deadlines %s and %s", seed, m, twin.Deadline(), w.k.e.Deadline())
			}
		}
	}
	if calls < 100 {
		t.Errorf("only %d calls were copied: the test proves little", calls)
	}
}

// spoil does to a copy of the walker's engine what comes to mind.
func (w *walker) spoil(e *Engine) {
	x := &walker{k: &checker{e: e, wire: maps.Clone(w.k.wire)}, rnd: rand.New(rand.NewSource(w.rnd.Int63())), nextIn: 100001, nextRef: 100000}
	now := w.now
	for range 60 {
		m := x.choose()
		now = now.Add(m.wait)
		for _, o := range e.Step(now, m.in).Commands {
			if r, ok := o.Command.(Ring); ok {
				x.k.wire[r.Leg] = &wireLeg{}
			}
		}
	}
}

// picture is everything an engine leads to, but its configuration, as text.
func picture(e *Engine) string {
	var b strings.Builder
	seen := map[spot]int{}
	var show func(name string, v reflect.Value)
	show = func(name string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			at := spot{v.Pointer(), v.Type()}
			if v.IsNil() || v.Type() == reflect.TypeFor[*Config]() || v.Type() == reflect.TypeFor[*time.Location]() || seen[at] > 0 {
				fmt.Fprintln(&b, name, "->", seen[at])
				return
			}
			seen[at] = len(seen) + 1
			fmt.Fprintln(&b, name, "is", seen[at])
			show(name, v.Elem())
		case reflect.Interface:
			if !v.IsNil() {
				show(name, v.Elem())
			}
		case reflect.Slice, reflect.Array:
			for i := range v.Len() {
				show(name, v.Index(i))
			}
		case reflect.Map:
			keys := v.MapKeys()
			slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			for _, k := range keys {
				show(name+"["+fmt.Sprint(k)+"]", v.MapIndex(k))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if field := v.Type().Name() + "." + v.Type().Field(i).Name; !slices.Contains(ownFields, field) {
					show(field, v.Field(i))
				}
			}
		default:
			fmt.Fprintln(&b, name, v)
		}
	}
	show("", reflect.ValueOf(e))
	return b.String()
}

// BenchmarkClone copies an engine with a thousand calls, of which every other one has been answered.
func BenchmarkClone(b *testing.B) {
	site := office()
	everything(&site)
	for i := range site.Lines {
		for j := range site.Lines[i].Appearances {
			site.Lines[i].Appearances[j].BusyTrigger = 10000
		}
	}
	e := New()
	e.Step(start, Input{Config: site.must(b)})
	for _, p := range phones {
		e.Step(start, Input{Driver: "sip", Signal: DeviceState{Device: p, Up: true}})
	}
	for i := range 1000 {
		offer := Desc{Ref: uint64(4*i + 1), Kind: KindOffer, Dir: SendRecv, Security: SRTP}
		out := e.Step(start, Input{Driver: "sip", Signal: Setup{Leg: LegID(2*i + 1), Device: "alice", Called: "2003", Desc: offer, Trust: TrustMutual}})
		for _, o := range out.Commands {
			if r, ok := o.Command.(Ring); ok && i%2 == 0 {
				answer := Desc{Ref: uint64(4*i + 3), Kind: KindAnswer, Dir: SendRecv, Security: SRTP}
				e.Step(start, Input{Driver: "sip", Signal: Answered{Leg: r.Leg, Desc: answer, Trust: TrustMutual}})
			}
		}
	}
	if calls, legs := e.Load(); calls != 1000 || legs != 2000 {
		b.Fatalf("%d calls, %d legs", calls, legs)
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Clone()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "us/call")
}
