package resilience

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/store"
)

func TestMain(m *testing.M) {
	raiseDescriptors()
	code := m.Run()
	built.Remove()
	os.Exit(code)
}

// raiseDescriptors asks for room for 4,000 connections with both ends in this process.
func raiseDescriptors() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil && l.Cur < 20_000 {
		l.Cur = min(20_000, max(l.Max, l.Cur))
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) // the test that needs it says when it is not enough
	}
}

// all says whether the longer forms are asked for.
func all() bool { return os.Getenv("LOCKTONE_ALL") == "1" }

// within is a context for one step.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// step is what one step of a call may take on a busy machine.
const step = 20 * time.Second

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts a site that ends with the test. It does not shed load for the pauses of a machine that is busy with tests.
func start(t testing.TB, o lab.Options) *lab.Site {
	t.Helper()
	tune := o.Tune
	o.Tune = func(c *callmanager.Config) {
		c.Limits.ShedAbove = 2 * time.Second // these machines have pauses of their own
		if tune != nil {
			tune(c)
		}
	}
	s, err := lab.Start(within(t, time.Minute), o)
	ok(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), step)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("closing the site: %v", err)
		}
	})
	return s
}

// telephone starts a registered phone that ends with the test.
func telephone(t testing.TB, s *lab.Site, device, number string, change func(*phone.Config)) *phone.Phone {
	t.Helper()
	p, err := s.Phone(within(t, step), device, number, change)
	ok(t, err)
	t.Cleanup(func() { hangUp(p) })
	if err := p.WaitRegistered(within(t, step)); err != nil {
		t.Fatalf("%s: %v", device, err)
	}
	return p
}

func hangUp(p *phone.Phone) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = p.Close(ctx)
}

// pair is a call with both ends.
type pair struct{ caller, called *phone.Call }

// connect makes a call between two phones and waits until both are talking.
func connect(t testing.TB, from, to *phone.Phone) pair {
	t.Helper()
	p, err := tryConnect(within(t, step), from, to)
	ok(t, err)
	return p
}

func tryConnect(ctx context.Context, from, to *phone.Phone) (p pair, err error) {
	if p.caller, err = from.Dial(ctx, to.Number()); err != nil {
		return p, err
	}
	if p.called, err = ring(ctx, p.caller, to); err != nil {
		return p, err
	}
	if err = p.called.Answer(ctx); err != nil {
		return p, err
	}
	return p, p.caller.WaitAnswered(ctx)
}

// ring waits until the phone rings, or says how the caller was refused instead.
func ring(ctx context.Context, caller *phone.Call, to *phone.Phone) (*phone.Call, error) {
	ended := make(chan error, 1)
	watch, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		if status, _, err := caller.WaitEnded(watch); err == nil {
			ended <- fmt.Errorf("the call ended with %d (%s %s)", status, caller.Warning(), caller.Reason())
		}
	}()
	select {
	case c := <-to.Incoming():
		return c, nil
	case err := <-ended:
		return nil, err
	case <-ctx.Done():
		return nil, fmt.Errorf("%s did not ring: %w", to.Name(), ctx.Err())
	}
}

// hear sends a tone each way and waits until both ends hear it, which proves the media path and its keys.
func (p pair) hear(t testing.TB) {
	t.Helper()
	p.caller.Tone(1000)
	p.called.Tone(500)
	_, err := p.called.WaitTone(within(t, step), 1000)
	ok(t, err)
	_, err = p.caller.WaitTone(within(t, step), 500)
	ok(t, err)
}

// end hangs up and waits for both ends.
func (p pair) end(t testing.TB) {
	t.Helper()
	ok(t, p.caller.Hangup(within(t, step)))
	_, _, err := p.called.WaitEnded(within(t, step))
	ok(t, err)
}

// goodCall is a call from beginning to end.
func goodCall(t testing.TB, from, to *phone.Phone) {
	t.Helper()
	connect(t, from, to).end(t)
}

// show asks the call manager for one of its tables.
func show[T any](t testing.TB, s *lab.Site, verb string) []T {
	t.Helper()
	rows, err := bus.Ask[bus.Query, []T](within(t, step), s.Bus, s.Bus.Subject(callmanager.Name, verb), bus.Query{})
	ok(t, err)
	return rows
}

func registration(t testing.TB, s *lab.Site, device, state string) (bus.Registration, bool) {
	t.Helper()
	rows := show[bus.Registration](t, s, bus.VerbRegistrations)
	i := slices.IndexFunc(rows, func(r bus.Registration) bool { return r.Device == device && r.State == state })
	if i < 0 {
		return bus.Registration{}, false
	}
	return rows[i], true
}

// status asks administration, over its socket, as `locktone status` does.
func status(t testing.TB, home string) admin.Status {
	t.Helper()
	var st admin.Status
	c := admin.NewClient(home)
	defer c.Close()
	ok(t, c.Do(within(t, step), http.MethodGet, "/v1/status", nil, &st))
	return st
}

// apply brings a configuration into force and waits until the call manager uses it.
func apply(t testing.TB, s *lab.Site, change func(*config.Site)) {
	t.Helper()
	now := must(s.Store.Site(within(t, step)))(t)
	next := now.Site.Clone()
	change(next)
	ok(t, next.Check())
	rev := must(s.Store.Apply(within(t, step), store.ChangeSet{Base: now.Revision.Number, Author: "test", Changes: config.Diff(now.Site, next)}))(t)
	eventually(t, step, func() error {
		if st := s.Calls.Status(t.Context()); st.Revision != rev.Number || st.Problem != "" {
			return fmt.Errorf("revision %d is in force, want %d (%s)", st.Revision, rev.Number, st.Problem)
		}
		return nil
	})
}

// figure reads one of the call manager's metrics.
func figure(t testing.TB, s *lab.Site, name string) float64 {
	t.Helper()
	v, err := metric(s, "locktone_callmanager_"+name)
	ok(t, err)
	return v
}

// eventually waits for what no event announces: the end of somebody else's goroutines, a table that another goroutine writes.
func eventually(t testing.TB, d time.Duration, check func() error) {
	t.Helper()
	end := time.Now().Add(d)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v: %v", d, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// footprint is what the process holds.
type footprint struct {
	goroutines, descriptors int
	heap                    uint64
}

func measure() footprint {
	debug.FreeOSMemory() // a collection that ends before it returns, finalizers started
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, _ := os.ReadDir("/proc/self/fd")
	return footprint{runtime.NumGoroutine(), len(fds), m.HeapAlloc}
}

// slack is how much more there may be afterwards.
type slack struct {
	goroutines, descriptors int
	heap                    uint64
}

// usual: a few goroutines and idle client connections come and go; the trace keeps its newest records in memory.
var usual = slack{goroutines: 12, descriptors: 6, heap: 16 << 20}

// returned waits until everything is back.
func (before footprint) returned(t testing.TB, more slack) {
	t.Helper()
	var now footprint
	end := time.Now().Add(20 * time.Second)
	for {
		now = measure()
		if now.goroutines <= before.goroutines+more.goroutines && now.descriptors <= before.descriptors+more.descriptors && now.heap <= before.heap+more.heap {
			t.Logf("before %+v, after %+v", before, now)
			return
		}
		if time.Now().After(end) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Fatalf("not back where it was: before %+v, after %+v\n%s", before, now, summary(string(stacks[:runtime.Stack(stacks, true)])))
}

// summary counts goroutines by where they were made.
func summary(stacks string) string {
	count := map[string]int{}
	for _, g := range strings.Split(stacks, "\n\n") {
		lines := strings.Split(strings.TrimSpace(g), "\n")
		count[lines[len(lines)-1]]++
	}
	var out []string
	for where, n := range count {
		out = append(out, fmt.Sprintf("%4d %s", n, strings.TrimSpace(where)))
	}
	slices.Sort(out)
	slices.Reverse(out)
	return strings.Join(out[:min(20, len(out))], "\n")
}

// refusedWith is the status and sentence with which a phone's registration was refused.
func refusedWith(t testing.TB, err error) (int, string) {
	t.Helper()
	var r *phone.Refused
	if !errors.As(err, &r) {
		t.Fatalf("want a refusal, got %v", err)
	}
	return r.Status, r.Warning
}

// unaccepted starts a phone and returns how its registration was refused.
func unaccepted(t testing.TB, s *lab.Site, device, number string, change func(*phone.Config)) (int, string) {
	t.Helper()
	p, err := s.Phone(within(t, step), device, number, change)
	ok(t, err)
	defer hangUp(p)
	err = p.WaitRegistered(within(t, step))
	if err == nil {
		t.Fatalf("%s was registered", device)
	}
	return refusedWith(t, err)
}
