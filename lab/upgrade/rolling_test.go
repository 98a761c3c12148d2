package upgrade

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/lab/program"
	"github.com/locktone/locktone/store"
)

// The commit with which clusters began: what it runs, a later program takes over node by node.
// Its program knows the schema up to clusterSchema.
const (
	clusterCommit = "a6d8625"
	clusterSchema = 4
)

// The phones of these tests ask every keepAlive and wait pongWait: so a phone is at its backup after both and a REGISTER. failOver
// leaves room for a machine that does other things at the same time.
const (
	keepAlive = 500 * time.Millisecond
	pongWait  = 1500 * time.Millisecond
	failOver  = keepAlive + pongWait + 2*time.Second
)

// cast are the devices of these tests: half are at home at n1, half at n2.
var cast = []struct{ name, number, pool string }{
	{"alice", "1001", "east"}, {"bob", "1002", "east"}, {"carol", "1003", "east"}, {"erin", "1005", "east"},
	{"dave", "1004", "west"}, {"frank", "1006", "west"}, {"gina", "1007", "west"}, {"henry", "1008", "west"},
}

// A stage is a cluster of two real processes with phones.
type stage struct {
	dsn    string
	n1, n2 *program.Member
	site   *config.Site // as the test last wanted it
	phones map[string]*phone.Phone
}

func (s *stage) nodes() []*program.Member { return []*program.Member{s.n1, s.n2} }

// tell shows what the nodes know, when the test has failed.
func (s *stage) tell(t *testing.T) {
	if !t.Failed() {
		return
	}
	for _, m := range s.nodes() {
		for _, args := range [][]string{{"status"}, {"show", "nodes"}, {"show", "registrations"}, {"calls", "list"}} {
			_, out, errs := m.Program.Run(t, append(args, "--home", m.Home)...)
			t.Logf("%s %v\n%s%s", m.Name, args, out, errs)
		}
	}
}

// raise starts two nodes of a program and the phones.
func raise(t *testing.T, p *program.Program) *stage {
	t.Helper()
	p.Path(t)
	s := &stage{dsn: postgres.Need(t).Database(t), phones: map[string]*phone.Phone{}}
	s.n1 = program.Found(t, p, s.dsn)
	patience(t, s.n1)
	s.n2 = s.n1.Join(t, p, "n2")
	c := s.n1.Config(t)
	line, device := c.Lines[0], c.Devices[0]
	c.CallManagerGroups = []config.CallManagerGroup{{Name: "east", Nodes: []string{"n1", "n2"}}, {Name: "west", Nodes: []string{"n2", "n1"}}}
	c.DevicePools = []config.DevicePool{{Name: "east", CallManagerGroup: "east"}, {Name: "west", CallManagerGroup: "west"}}
	c.Lines, c.Devices = nil, nil
	for _, x := range cast {
		line.Number, line.Display, line.AlertingName = x.number, x.name, x.name
		device.Name, device.Owner, device.DevicePool, device.Lines = x.name, "", x.pool, []config.Appearance{{Number: x.number, Partition: line.Partition}}
		c.Lines, c.Devices = append(c.Lines, line), append(c.Devices, device)
	}
	s.site = c
	if accepted, why := s.n1.Apply(t, c); !accepted {
		t.Fatal(why)
	}
	until(t, "n2 has the configuration", func() bool { return len(s.n2.Config(t).Devices) == len(cast) })
	for _, x := range cast {
		servers := s.nodes()
		if x.pool == "west" {
			slices.Reverse(servers)
		}
		s.phones[x.name] = s.n1.Phone(t, x.name, x.number, servers, func(c *phone.Config) {
			c.KeepAlive, c.PongWait = keepAlive, pongWait
			c.AutoAnswer = slices.Contains([]string{"erin", "frank"}, x.name)
		})
	}
	s.home(t)
	until(t, "both nodes hear each other", func() bool { return s.n1.Nodes(t)["n2"].Alive && s.n2.Nodes(t)["n1"].Alive })
	return s
}

// patience lets a node wait longer for the ends of its calls than the test takes to hang up.
func patience(t *testing.T, m *program.Member) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(m.Home, "node.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	ok(t, err)
	_, err = f.WriteString("drainLimit: 60s\n")
	ok(t, err)
	ok(t, f.Close())
	if code := m.Stop(t); code != 0 {
		t.Fatalf("%s ends with %d", m.Name, code)
	}
	m.Again(t, m.Program)
}

// home waits until every phone is at its primary.
func (s *stage) home(t *testing.T) {
	t.Helper()
	for _, x := range cast {
		at := s.n1
		if x.pool == "west" {
			at = s.n2
		}
		s.at(t, at, x.name)
	}
}

// at waits until phones are at a node.
func (s *stage) at(t *testing.T, m *program.Member, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := s.phones[name].WaitServer(within(t, 40*time.Second), m.Server()); err != nil {
			t.Fatalf("%s is not at %s: %v", name, m.Name, err)
		}
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// until waits for something that processes outside come to.
func until(t *testing.T, what string, it func() bool) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); !it(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// A talk is an established call.
type talk struct{ a, b *phone.Call }

// talk makes a call. A phone that has just come to another node is known there a moment later: who is refused meanwhile dials again, as in
// the traffic, whose longest gap is asserted.
func (s *stage) talk(t *testing.T, from, to string) talk {
	t.Helper()
	a, err := s.phones[from].Dial(within(t, 20*time.Second), s.phones[to].Number())
	ok(t, err)
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); {
		if status, _, err := a.WaitEnded(within(t, 300*time.Millisecond)); err != nil || status != 480 {
			break
		}
		a, err = s.phones[from].Dial(within(t, 20*time.Second), s.phones[to].Number())
		ok(t, err)
	}
	select {
	case b := <-s.phones[to].Incoming():
		ok(t, b.Answer(within(t, 20*time.Second)))
		ok(t, a.WaitAnswered(within(t, 20*time.Second)))
		return talk{a, b}
	case <-time.After(20 * time.Second):
		status, _, _ := a.WaitEnded(within(t, time.Millisecond))
		t.Fatalf("%s, at %s, calls %s, at %s: it does not ring: %v %d %s %s", from, s.phones[from].Server(), to, s.phones[to].Server(), a.State(), status, a.Warning(), a.Reason())
		return talk{}
	}
}

// alive fails unless both ends are heard.
func (c talk) alive(t *testing.T, hz float64) {
	t.Helper()
	for i, x := range []struct{ from, to *phone.Call }{{c.a, c.b}, {c.b, c.a}} {
		x.from.Tone(hz + 200*float64(i))
		if _, err := x.to.WaitTone(within(t, 20*time.Second), hz+200*float64(i)); err != nil {
			t.Errorf("an established call does not talk: %v (%v, %v; %s)", err, c.a.State(), c.b.State(), c.a.Reason()+c.b.Reason())
		}
	}
}

// over hangs up; the other end hears of it by a BYE of its node.
func (c talk) over(t *testing.T) {
	t.Helper()
	ok(t, c.a.Hangup(within(t, 20*time.Second)))
	if _, byPeer, err := c.b.WaitEnded(within(t, 20*time.Second)); err != nil || !byPeer {
		t.Errorf("the far end of a call that was hung up: %v, ended by its node: %v", err, byPeer)
	}
}

// A traffic is what goes on during an upgrade: a new short call every 200 ms, by turns from a phone of one node to a phone of the other and
// back, and a change of the configuration now and then. What went wrong is kept.
type traffic struct {
	stop     context.CancelFunc
	done     sync.WaitGroup
	good     int
	failed   []string
	dropped  []string
	longest  map[string]time.Duration // without a call, by caller
	accepted []string                 // lines that a node has said are in force
	refused  int
}

func (s *stage) traffic(t *testing.T) *traffic {
	ctx, stop := context.WithCancel(t.Context())
	f := &traffic{stop: stop, longest: map[string]time.Duration{}}
	f.done.Go(func() { s.calls(ctx, f) })
	for _, name := range []string{"erin", "frank"} {
		go func() { // they answer by themselves
			for {
				select {
				case <-s.phones[name].Incoming():
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	return f
}

// calls makes the calls until ctx ends.
func (s *stage) calls(ctx context.Context, f *traffic) {
	pairs := [][2]string{{"erin", "frank"}, {"frank", "erin"}}
	since := map[string]time.Time{}
	beat := time.NewTicker(200 * time.Millisecond)
	defer beat.Stop()
	for i := 0; ; i++ {
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
		from, to := s.phones[pairs[i%2][0]], s.phones[pairs[i%2][1]]
		began := time.Now()
		broken, err := short(ctx, from, to)
		switch {
		case ctx.Err() != nil:
		case broken != "":
			f.dropped = append(f.dropped, broken)
		case err != nil:
			f.failed = append(f.failed, fmt.Sprintf("%s %s at %s to %s at %s: %v", began.Format("05.000"), from.Name(), from.Server(), to.Name(), to.Server(), err))
			if since[from.Name()].IsZero() {
				since[from.Name()] = began
			}
		default:
			f.good++
			if at := since[from.Name()]; !at.IsZero() {
				f.longest[from.Name()] = max(f.longest[from.Name()], time.Since(at))
				delete(since, from.Name())
			}
		}
	}
}

// short makes one call of a tenth of a second; broken says how it ended although nobody hung up.
func short(ctx context.Context, from, to *phone.Phone) (broken string, err error) {
	attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := from.Dial(attempt, to.Number())
	if err != nil {
		return "", err
	}
	if err := c.WaitAnswered(attempt); err != nil {
		why := fmt.Errorf("%w (%v %s %s)", err, c.State(), c.Warning(), c.Reason())
		giveUp, cancel := context.WithTimeout(context.WithoutCancel(ctx), 100*time.Millisecond)
		defer cancel()
		_ = c.Hangup(giveUp) // as a person does: what becomes of it is not waited for
		return "", why
	}
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
	}
	if c.State() == phone.Ended {
		return fmt.Sprintf("%s to %s: %s", from.Name(), to.Name(), c.Reason()), nil
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return "", c.Hangup(ending)
}

// change adds a line to the configuration by a node, and keeps what the node has said is done.
func (s *stage) change(t *testing.T, f *traffic, by *program.Member) {
	t.Helper()
	line := s.site.Lines[0]
	line.Number = fmt.Sprint(3000 + len(f.accepted) + f.refused)
	s.site.Lines = append(s.site.Lines, line)
	if accepted, why := by.Apply(t, s.site); accepted {
		f.accepted = append(f.accepted, line.Number)
	} else {
		f.refused++
		t.Logf("a change by %s was refused: %s", by.Name, why)
	}
}

// judge ends the traffic and says what it came to.
func (s *stage) judge(t *testing.T, f *traffic) {
	t.Helper()
	f.stop()
	f.done.Wait()
	t.Logf("%d short calls, %d attempts failed, %d dropped; longest time without a call by caller: %v; %d changes accepted, %d refused",
		f.good, len(f.failed), len(f.dropped), f.longest, len(f.accepted), f.refused)
	for _, line := range f.failed {
		t.Log(line)
	}
	if len(f.dropped) > 0 {
		t.Errorf("established calls were dropped: %q", f.dropped)
	}
	for who, d := range f.longest {
		if d > failOver {
			t.Errorf("%s could not call for %v, longer than a fail-over takes (%v)", who, d, failOver)
		}
	}
	if f.good < 20 || len(f.accepted) == 0 {
		t.Errorf("%d calls and %d changes prove nothing", f.good, len(f.accepted))
	}
	for _, m := range s.nodes() {
		until(t, m.Name+" has every change that was accepted", func() bool {
			c := m.Config(t)
			return !slices.ContainsFunc(f.accepted, func(number string) bool {
				return !slices.ContainsFunc(c.Lines, func(l config.Line) bool { return l.Number == number })
			})
		})
	}
}

// replace drains a node by SIGTERM with calls up, hangs up while it drains, and starts a program in its home folder. The calls that
// are at the node, and those of others, are held against it.
func (s *stage) replace(t *testing.T, f *traffic, m *program.Member, p *program.Program, here []talk, others []talk) {
	t.Helper()
	other := s.nodes()[0]
	if other == m {
		other = s.n2
	}
	s.change(t, f, m)
	began := time.Now()
	lap := func(what string) { t.Logf("%s: %s after %.1f s", m.Name, what, time.Since(began).Seconds()) }
	m.Signal(t, syscall.SIGTERM)
	until(t, other.Name+" is told that "+m.Name+" drains", func() bool { return strings.HasPrefix(other.Nodes(t)[m.Name].Drain, bus.StateDraining) })
	s.change(t, f, other)
	for _, c := range slices.Concat(here, others) {
		c.alive(t, 600)
	}
	select {
	case <-m.Ended:
		t.Fatalf("%s has ended although there are calls:\n%s", m.Name, m.Output)
	default:
	}
	lap("every call talks while it drains")
	for _, c := range here {
		c.over(t)
	}
	if code := m.WaitEnded(t, 50*time.Second); code != 0 {
		t.Errorf("%s ended with %d:\n%s", m.Name, code, m.Output)
	}
	lap("it has ended")
	s.change(t, f, other)
	for _, c := range others {
		c.alive(t, 1000)
	}
	m.Again(t, p)
	lap("the other program is ready")
	s.change(t, f, m)
	s.change(t, f, other)
	s.home(t)
	for _, c := range others {
		c.alive(t, 1400)
	}
	lap("the phones are back")
}

// TestRolling replaces the programs of two real processes, one after the other, by one with a newer schema, under calls: what is
// established goes on until its users end it, nobody is without service for longer than a phone needs to go over, no change of the
// configuration that was accepted is lost, and between the two steps both programs work on the newer schema. The way back is a
// migration while no node runs.
func TestRolling(t *testing.T) {
	t.Parallel()
	before, next := clusterProgram(t), coming(t)
	next.Path(t)
	s := raise(t, before)
	defer s.tell(t)
	f := s.traffic(t)
	// alice is at n1 with bob, and with the phone of the other node, carol with dave: both end at n1.
	local, across, elsewhere := s.talk(t, "alice", "bob"), s.talk(t, "carol", "dave"), s.talk(t, "gina", "henry")
	s.replace(t, f, s.n1, next, []talk{local, across}, []talk{elsewhere})

	// Two programs on one record of the newer schema: each sees what the other says, calls cross both ways, changes go both ways.
	if _, err := store.PlanSchema(t.Context(), s.dsn, -1); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("has schema %d", store.NewestSchema()+1)) {
		t.Errorf("the record was not migrated: %v", err)
	}
	for _, m := range s.nodes() {
		until(t, m.Name+" knows all registrations", func() bool { return len(m.Registrations(t)) == len(cast) })
		if rows := m.Nodes(t); !rows["n1"].Alive || !rows["n2"].Alive || rows["n1"].Problem+rows["n2"].Problem != "" {
			t.Errorf("%s sees %+v", m.Name, rows)
		}
	}
	there, back := s.talk(t, "alice", "dave"), s.talk(t, "dave", "carol")
	there.alive(t, 500)
	back.alive(t, 1800)
	there.over(t)
	back.over(t)
	again := s.talk(t, "alice", "bob") // stays up while n2 is replaced
	s.replace(t, f, s.n2, next, []talk{elsewhere}, []talk{again})
	again.over(t)
	s.judge(t, f)

	s.backDown(t, f, before, next)
}

// backDown goes back to the earlier program: its schema first, with no node running.
func (s *stage) backDown(t *testing.T, f *traffic, before, next *program.Program) {
	t.Helper()
	for _, m := range []*program.Member{s.n2, s.n1} {
		m.Signal(t, syscall.SIGTERM)
		if code := m.WaitEnded(t, 50*time.Second); code != 0 {
			t.Errorf("%s ended with %d:\n%s", m.Name, code, m.Output)
		}
	}
	if before != next {
		n := before.Start(t, nil, s.n1.Home)
		<-n.Ended
		if !strings.Contains(n.Output.String(), "use the version that wrote it or a later one") {
			t.Errorf("the earlier program on the newer schema:\n%s", n.Output)
		}
	}
	schema := store.NewestSchema()
	if before != &present {
		schema = clusterSchema
	}
	s.n1.Do(t, "store", "migrate", "--to", fmt.Sprint(schema), "--yes")
	s.n1.Again(t, before)
	s.n2.Again(t, before)
	s.home(t)
	c := s.talk(t, "alice", "dave")
	c.alive(t, 700)
	c.over(t)
	for _, m := range s.nodes() {
		if n := len(m.Config(t).Lines); n != len(cast)+len(f.accepted)+f.refused {
			t.Errorf("%s has %d lines", m.Name, n)
		}
	}
}

// clusterProgram is the program clusters began with, or, in a clone that does not have its commit, the present one.
func clusterProgram(t *testing.T) *program.Program {
	t.Helper()
	if out, err := exec.Command("git", "cat-file", "-e", clusterCommit+"^{commit}").CombinedOutput(); err != nil {
		fmt.Printf("rolling upgrades are tested from the present program, not from that of %s: its commit is not in this clone (%v %s): git fetch --unshallow\n", clusterCommit, err, out)
		return &present
	}
	p := &program.Program{Source: sourcesOf(t, clusterCommit)}
	t.Cleanup(p.Remove)
	return p
}

// coming is the present program with one migration more, of the kind that a mixed cluster can bear: a table and columns with defaults.
func coming(t *testing.T) *program.Program {
	t.Helper()
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	ok(t, err)
	dir := t.TempDir()
	list := exec.Command("sh", "-c", `cd "$1" && git ls-files -z -- . ':!docs' | xargs -0 cp --parents -t "$2"`, "sh", strings.TrimSpace(string(top)), dir)
	if out, err := list.CombinedOutput(); err != nil {
		t.Fatalf("copying the sources: %v %s", err, out)
	}
	const migration = `-- +goose Up
CREATE TABLE coming (name TEXT NOT NULL PRIMARY KEY, time BIGINT NOT NULL);
ALTER TABLE certificate ADD COLUMN coming TEXT NOT NULL DEFAULT '';
ALTER TABLE document ADD COLUMN coming BIGINT NOT NULL DEFAULT 0;
ALTER TABLE revision ADD COLUMN coming TEXT NOT NULL DEFAULT '';
ALTER TABLE call_record ADD COLUMN coming TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE call_record DROP COLUMN coming;
ALTER TABLE revision DROP COLUMN coming;
ALTER TABLE document DROP COLUMN coming;
ALTER TABLE certificate DROP COLUMN coming;
DROP TABLE coming;
`
	for engine, number := range map[string]string{"sqlite": "INTEGER", "postgresql": "BIGINT"} {
		name := fmt.Sprintf("%05d_coming.sql", store.NewestSchema()+1)
		ok(t, os.WriteFile(filepath.Join(dir, "store", "migrations", engine, name), []byte(strings.ReplaceAll(migration, "BIGINT", number)), 0o600))
	}
	p := &program.Program{Source: dir}
	t.Cleanup(p.Remove)
	return p
}

// TestRollingBack replaces the present program by the earlier one in the same way: a schema both know needs no migration, and no end of
// the service.
func TestRollingBack(t *testing.T) {
	if os.Getenv("LOCKTONE_ALL") != "1" {
		t.Skip("LOCKTONE_ALL=1 runs it too: TestRolling has the same steps the other way")
	}
	t.Parallel()
	before := clusterProgram(t)
	if newest := store.NewestSchema(); before != &present && newest > clusterSchema {
		t.Skipf("the program of %s knows the schema up to %d, the present one makes %d: the way back is a migration with no node running, which TestRolling takes", clusterCommit, clusterSchema, newest)
	}
	before.Path(t)
	s := raise(t, &present)
	defer s.tell(t)
	f := s.traffic(t)
	local, elsewhere := s.talk(t, "alice", "bob"), s.talk(t, "gina", "henry")
	s.replace(t, f, s.n1, before, []talk{local}, []talk{elsewhere})
	again := s.talk(t, "alice", "bob")
	s.replace(t, f, s.n2, before, []talk{elsewhere}, []talk{again})
	again.over(t)
	s.judge(t, f)
}
