package rotation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// model is a site that consists of its graph: for tests of the runner, which has to do with nothing else.
type model struct {
	state   State
	devices []Device
	calls   []string
	// left counts the calls until the process dies; after: the last one has its effect, and nobody hears of it.
	left  int
	after bool
}

var errCrash = errors.New("the process died")

func newModel(lines ...string) *model {
	s, ds := siteOf(lines)
	return &model{state: s, devices: ds}
}

func (m *model) call(what string, st Step) error {
	m.left--
	if m.left == 0 && !m.after {
		return errCrash
	}
	m.calls = append(m.calls, what)
	m.state = m.state.after(st)
	if m.left == 0 {
		return errCrash
	}
	return nil
}

func (m *model) Graph(context.Context) (State, []Device, error) {
	return m.state, slices.Clone(m.devices), nil
}

func (m *model) Stage(_ context.Context, member string, n int) error {
	st := Step{Action: Stage, Members: []string{member}}
	if x, _ := m.state.Member(member); x.next() > n {
		st.Members = nil
	}
	return m.call("stage "+string(NewID(member, n)), st)
}

func (m *model) Activate(_ context.Context, member string, n int) error {
	st := Step{Action: Activate, Members: []string{member}}
	x, _ := m.state.Member(member)
	if g, _ := x.Active(); g.Number >= n {
		st.Members = nil
	}
	return m.call("activate "+string(NewID(member, n)), st)
}

func (m *model) Retire(_ context.Context, member string, n int) error {
	return m.call(fmt.Sprintf("retire %s before %d", member, n), Step{Action: Retire, Members: []string{member}})
}

func (m *model) Publish(context.Context) error { return m.call("publish", Step{Action: Publish}) }

// contact lets every device that is awake fetch and renew, and peers be told.
func (m *model) contact(asleep ...string) error {
	for i, d := range m.devices {
		if slices.Contains(asleep, d.Name) {
			continue
		}
		if f, why := m.state.Fate(d); f != Fine {
			return fmt.Errorf("%s is %s: %s", d.Name, f, why)
		}
		if d.Peer {
			m.devices[i].Held = m.state.told(d.Held)
			continue
		}
		d.Held, _ = m.state.Refresh(d)
		d.LSC = m.state.renewed(d)
		d.LastSeen = m.state.Time
		m.devices[i] = d
	}
	return nil
}

// rig is a runner over a model with a clock of its own.
type rig struct {
	*model
	docs *documents
	now  time.Time
	r    *Runner
}

func newRig(t *testing.T, lines ...string) *rig {
	x := &rig{model: newModel(lines...), docs: newDocuments(), now: noon}
	x.restart(t)
	return x
}

// restart is another process over the same documents.
func (x *rig) restart(t *testing.T) {
	t.Helper()
	r, err := NewRunner(Config{Site: x.model, Documents: x.docs, Now: func() time.Time { return x.now }})
	if err != nil {
		t.Fatal(err)
	}
	x.r = r
}

func (x *rig) later(d time.Duration) {
	x.now = x.now.Add(d)
	x.state.Time = x.now
}

func (x *rig) begin(t *testing.T, target Target, o Options) {
	t.Helper()
	if _, err := x.r.Begin(t.Context(), target, o, "alice"); err != nil {
		t.Fatal(err)
	}
}

func (x *rig) advance(t *testing.T) Status {
	t.Helper()
	st, err := x.r.Advance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

var everybody = []string{"SEP01", "JTAPI1 no-tvs two-signers no-lsc", "vm-b peer knows=callmanager-g1"}

// TestCrashAnywhere kills the runner before and after every call it makes (every third in the short form), and starts another: it ends in the same
// state, each generation made once, and nobody is stranded on the way.
func TestCrashAnywhere(t *testing.T) {
	calls, every, enough := 0, 3, 20
	if os.Getenv("LOCKTONE_ALL") != "" {
		every, enough = 1, 60
	}
	for at := 1; ; at += every {
		for _, after := range []bool{false, true} {
			x := newRig(t, everybody...)
			x.left, x.after = at, after
			x.begin(t, All, Options{})
			crashed := x.toTheEnd(t, at)
			if !crashed {
				t.Logf("%d crashes survived", calls)
				if calls < enough {
					t.Error("too few")
				}
				return
			}
			calls++
			for _, m := range x.state.Members {
				if len(m.Generations) != 1 || m.Generations[0].Number != 2 || m.Generations[0].Phase != Active {
					t.Fatalf("crash at call %d (its effect was had: %v): %s ends as %+v", at, after, m.Name, m.Generations)
				}
			}
		}
	}
}

func (x *rig) toTheEnd(t *testing.T, at int) (crashed bool) {
	t.Helper()
	for range 300 {
		st, err := x.r.Advance(t.Context())
		if errors.Is(err, errCrash) {
			crashed = true
			if st, _ := x.r.Status(t.Context()); st.Problem == "" {
				t.Errorf("crash at call %d: the status says nothing of it", at)
			}
			x.restart(t)
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if !st.Running() {
			return crashed
		}
		x.later(time.Minute)
		if err := x.contact(); err != nil {
			t.Fatalf("crash at call %d, step %d: %v", at, st.Done+1, err)
		}
	}
	t.Fatalf("crash at call %d: the run does not end", at)
	return crashed
}

// TestGates: who is awake is given time and no more; who would be stranded is waited for without end, unless it is named.
func TestGates(t *testing.T) {
	x := newRig(t, "SEP01", "SEP02", "SEP03 asleep")
	x.begin(t, CallManager, Options{})
	st := x.advance(t)
	if st.Waiting != 2 || st.Needed != 0 || !st.GoesOn.Equal(noon.Add(15*time.Minute)) {
		t.Fatalf("waits for %d, %d needed, goes on at %s", st.Waiting, st.Needed, st.GoesOn)
	}
	x.later(time.Minute)
	if err := x.contact("SEP02", "SEP03"); err != nil {
		t.Fatal(err)
	}
	if st = x.advance(t); st.Waiting != 1 || st.Waits[0].Device != "SEP02" {
		t.Fatalf("waits for %v", st.Waits)
	}
	x.later(15 * time.Minute)
	if st = x.advance(t); st.Running() {
		t.Fatalf("patience has ended, and it waits for %v", st.Waits)
	}
	if err := x.contact(); err != nil {
		t.Fatal("who woke up late:", err)
	}

	x = newRig(t, "SEP01", "JTAPI1 no-tvs two-signers no-lsc asleep", "JTAPI2 no-tvs two-signers no-lsc asleep")
	x.begin(t, ITL, Options{})
	for range 10 {
		st = x.advance(t)
		x.later(24 * time.Hour)
		if err := x.contact("JTAPI1", "JTAPI2"); err != nil {
			t.Fatal(err)
		}
	}
	if st = x.advance(t); st.Needed != 2 || st.Steps[st.Done+1].Action != Retire {
		t.Fatalf("at %+v, waits for %v", st.Steps[st.Done], st.Waits)
	}
	if x.devices[1].Name != "JTAPI1" {
		t.Fatal("the model changed its order")
	}
	if err := x.contact("JTAPI2"); err != nil { // JTAPI1 wakes up after ten days
		t.Fatal(err)
	}
	if st = x.advance(t); st.Needed != 1 || st.Waits[0].Device != "JTAPI2" || st.Waits[0].Fate != Stranded { // the call manager is rotated with the signers
		t.Fatalf("waits for %v", st.Waits)
	}
	if _, err := x.r.Accept(t.Context(), []string{"JTAPI2"}); err != nil {
		t.Fatal(err)
	}
	if st = x.advance(t); st.Running() {
		t.Fatalf("the only victim was named, and it waits for %v", st.Waits)
	}
}

// TestPeersAreTold: a peer fetches nothing, so the run waits until somebody says that it has the new certificate.
func TestPeersAreTold(t *testing.T) {
	x := newRig(t, "vm-b peer knows=callmanager-g1")
	x.begin(t, CallManager, Options{})
	if st := x.advance(t); st.Needed != 1 {
		t.Fatalf("waits for %v", st.Waits)
	}
	if err := x.r.Told(t.Context(), "vm-c", []ID{"callmanager-g2"}); err == nil {
		t.Error("an unknown peer was told")
	}
	if err := x.r.Told(t.Context(), "vm-b", []ID{"callmanager-g3"}); err == nil {
		t.Error("a certificate that is not there was told of")
	}
	if err := x.r.Told(t.Context(), "vm-b", []ID{"callmanager-g2"}); err != nil {
		t.Fatal(err)
	}
	if st := x.advance(t); st.Running() {
		t.Fatalf("waits for %v", st.Waits)
	}
}

// half is one node's view of a site of two: what the other one runs, it cannot do.
type half struct {
	*model
	other string
}

func (h half) elsewhere(member string) error {
	if member == h.other {
		return fmt.Errorf("%s: %w", member, ErrElsewhere)
	}
	return nil
}

func (h half) Stage(ctx context.Context, m string, n int) error {
	if err := h.elsewhere(m); err != nil {
		return err
	}
	return h.model.Stage(ctx, m, n)
}

func (h half) Activate(ctx context.Context, m string, n int) error {
	if err := h.elsewhere(m); err != nil {
		return err
	}
	return h.model.Activate(ctx, m, n)
}

func (h half) Retire(ctx context.Context, m string, n int) error {
	if err := h.elsewhere(m); err != nil {
		return err
	}
	return h.model.Retire(ctx, m, n)
}

// TestTwoNodes: each node does its own part of a step, and none goes on before the other has.
func TestTwoNodes(t *testing.T) {
	x := newRig(t, "SEP01")
	at := slices.IndexFunc(x.state.Members, func(m Member) bool { return m.Name == "callmanager" })
	second := Member{Name: "callmanager@node2", Service: "callmanager", Generations: []Generation{{ID: "callmanager@node2-g1", Number: 1, Phase: Active, Issuer: "ca-g1"}}}
	x.state.Members = slices.Insert(x.state.Members, at+1, second)
	x.state.Published = x.state.listing()
	x.devices = []Device{newPhone(x.state, "SEP01")}
	config := Config{Documents: x.docs, Now: func() time.Time { return x.now }}
	var nodes [2]*Runner
	for i, other := range []string{"callmanager@node2", "callmanager"} {
		config.Site = half{x.model, other}
		nodes[i], _ = NewRunner(config)
	}
	if _, err := nodes[0].Begin(t.Context(), CallManager, Options{}, "alice"); err != nil {
		t.Fatal(err)
	}
	if st, err := nodes[0].Advance(t.Context()); !errors.Is(err, ErrElsewhere) || st.Done != 0 {
		t.Fatalf("one node did the other's part: %+v, %v", st.Done, err)
	}
	for turn := range 40 {
		st, err := nodes[1-turn%2].Advance(t.Context())
		if err != nil && !errors.Is(err, ErrElsewhere) {
			t.Fatal(err)
		}
		if !st.Running() {
			break
		}
		x.later(time.Minute)
		if err := x.contact(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"callmanager", "callmanager@node2"} {
		if m, _ := x.state.Member(name); len(m.Generations) != 1 || m.Generations[0].Number != 2 {
			t.Errorf("%s ends as %+v", name, m.Generations)
		}
	}
}

// TestNewcomers: a device that appears while a rotation runs is judged by what it holds, although no plan knew it.
func TestNewcomers(t *testing.T) {
	x := newRig(t, "SEP01")
	x.begin(t, CallManager, Options{})
	x.advance(t)
	x.devices = append(x.devices, newPhone(newSite(), "SEP09").with(x.state, "knows=callmanager-g1,provisioning-g1,sast-1-g0"))
	x.devices[1].NoTVS = true
	x.later(time.Hour)
	if err := x.contact("SEP09"); err != nil {
		t.Fatal(err)
	}
	if st := x.advance(t); st.Needed != 1 || st.Waits[0].Device != "SEP09" {
		t.Fatalf("waits for %v", st.Waits)
	}
}

// TestOneAtATime: a second rotation is refused while one runs.
func TestOneAtATime(t *testing.T) {
	x := newRig(t, "SEP01")
	x.begin(t, CallManager, Options{})
	if _, err := x.r.Begin(t.Context(), TVS, Options{}, "bob"); !errors.Is(err, ErrRunning) {
		t.Fatalf("%v, want ErrRunning", err)
	}
	if _, err := x.r.Accept(t.Context(), []string{"SEP01"}); err != nil {
		t.Fatal(err)
	}
}

// TestRenew: what is past two thirds of its life is rotated by the same path, one target after the other.
func TestRenew(t *testing.T) {
	x := newRig(t, "SEP01", "SEP02")
	if st, err := x.r.Renew(t.Context()); err != nil || st.Running() {
		t.Fatal(st, err)
	}
	for i, m := range x.state.Members {
		if m.Name == "tvs" || m.Name == "callmanager" {
			x.state.Members[i].Generations[0].NotAfter = noon.AddDate(0, 0, 10)
		}
	}
	if due := Due(x.state, noon); !slices.Equal(due, []Target{TVS, CallManager}) {
		t.Fatalf("due: %v", due)
	}
	for _, want := range []Target{TVS, CallManager} {
		st, err := x.r.Renew(t.Context())
		if err != nil || st.Target != want || st.By != renewer {
			t.Fatal(st, err)
		}
		x.toTheEnd(t, 0)
	}
	if due := Due(x.state, x.now); due != nil {
		t.Fatalf("still due: %v", due)
	}
}
