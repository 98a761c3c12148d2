package lab_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/store"
)

// blocked is the longest any step of a call may take while the record is in trouble: generous, on a machine that is busy with other
// tests; what it is here is printed. A server that hangs keeps whoever waits for it for three seconds.
const blocked = 2 * time.Second

// traffic is calls, one after the other, from alice at the first node to bob at the second.
type traffic struct {
	mu      sync.Mutex
	calls   int
	longest time.Duration // of a step: until it rang, until the answer was heard, until the end
	err     error
	stop    context.CancelFunc
	done    chan struct{}
}

func (x *traffic) step(since *time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	x.longest = max(x.longest, now.Sub(*since))
	*since = now
}

func startTraffic(t *testing.T, alice, bob *phone.Phone) *traffic {
	ctx, stop := context.WithCancel(t.Context())
	x := &traffic{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(x.done)
		for ctx.Err() == nil && x.err == nil {
			x.err = x.call(alice, bob)
			pauseFor(ctx, 20*time.Millisecond) // as many as a busy office makes
		}
	}()
	return x
}

func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (x *traffic) call(alice, bob *phone.Phone) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	since := time.Now()
	a, err := alice.Dial(ctx, "1002")
	if err != nil {
		return err
	}
	var b *phone.Call
	select {
	case b = <-bob.Incoming():
	case <-ctx.Done():
		return errors.New("it does not ring")
	}
	x.step(&since)
	if err := errors.Join(b.Answer(ctx), a.WaitAnswered(ctx)); err != nil {
		return err
	}
	x.step(&since)
	err = a.Hangup(ctx)
	if _, _, ended := b.WaitEnded(ctx); ended != nil || err != nil {
		return errors.Join(err, ended)
	}
	x.step(&since)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.calls++
	return nil
}

// so is what calls noticed since the last time it was asked.
func (x *traffic) so(t *testing.T, during string) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	t.Logf("%s: %d calls so far, no step took longer than %v", during, x.calls, x.longest.Round(time.Millisecond))
	if x.longest > blocked {
		t.Errorf("%s a step of a call took %v", during, x.longest)
	}
	x.longest = 0
}

// servers are a primary and its standby, of this test alone.
func servers(t *testing.T) (primary, standby *postgres.Server) {
	t.Helper()
	if _, err := os.Stat("/usr/lib/postgresql"); err != nil {
		postgres.Need(t) // says why, and skips
	}
	primary = must(postgres.New())(t)
	t.Cleanup(func() { _ = primary.Close() })
	standby = must(primary.Standby())(t)
	t.Cleanup(func() { _ = standby.Close() })
	return primary, standby
}

// TestRecordInTrouble restarts the PostgreSQL of a cluster, lets it hang, and kills it so that its standby takes over, while calls go from one
// node to the other: no call notices, a change is refused with the reason and works afterwards, what users set meanwhile is kept, both nodes
// come to the same, and every call is in the record once.
func TestRecordInTrouble(t *testing.T) {
	t.Parallel()
	primary, standby := servers(t)
	c := lab.StartCluster(t, lab.ClusterOptions{Postgres: []*postgres.Server{primary, standby}, Site: func(s *config.Site) {
		s.Devices = append(s.Devices, config.Device{Name: "carol", DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard",
			Lines: []config.Appearance{{Number: "1003", Partition: "internal"}}})
		s.Lines = append(s.Lines, config.Line{Number: "1003", Partition: "internal", CallingSearchSpace: "internal"})
	}})
	n1, n2 := c.Node("n1"), c.Node("n2")
	alice, bob, carol := c.Registered("n1", "alice", "1001", soon), c.Registered("n2", "bob", "1002", soon), c.Registered("n1", "carol", "1003", soon)
	eventually(t, "copies", func(ctx context.Context) bool {
		return !n1.Store.Health(ctx).Copied.IsZero() && !n2.Store.Health(ctx).Copied.IsZero()
	})
	x := startTraffic(t, alice, bob)
	t.Cleanup(func() {
		if x.stop(); t.Failed() {
			<-x.done
			t.Logf("%d calls, the last: %v", x.calls, x.err)
		}
	})
	setting := func(ctx context.Context, n *lab.Node) int64 {
		d, err := n.Store.Documents("user-settings").Get(ctx, "device/carol")
		if err != nil {
			return 0
		}
		return d.Revision
	}
	describe := func(ctx context.Context, text string) error {
		now, err := n1.Store.Site(ctx)
		if err != nil {
			return err
		}
		next := now.Site.Clone()
		next.Devices[0].Description = text
		_, err = n1.Store.Apply(ctx, store.ChangeSet{Base: now.Revision.Number, Author: "test", Changes: config.Diff(now.Site, next)})
		return err
	}
	for _, trouble := range []struct {
		name       string
		begin, end func() error
	}{
		{"during a restart", func() error { primary.Stop(); return nil }, primary.Start},
		{"while it hung", primary.Hang, primary.Resume},
		{"during a fail-over", primary.Kill, standby.Promote},
	} {
		before := setting(t.Context(), n1)
		if err := trouble.begin(); err != nil {
			t.Fatal(err)
		}
		code := must(carol.Dial(within(t, 10*time.Second), "*78"))(t) // before anybody knows that it is away
		_ = code.WaitAnswered(within(t, 10*time.Second))
		_ = code.Hangup(within(t, 10*time.Second))
		begin := time.Now()
		err := describe(within(t, 20*time.Second), trouble.name)
		if took := time.Since(begin); !errors.Is(err, store.ErrUnavailable) || took > 6*time.Second {
			t.Errorf("%s a change: %v after %v", trouble.name, err, took)
		}
		eventually(t, "records and a setting that wait", func(ctx context.Context) bool {
			h := n1.Store.Health(ctx)
			return h.Stale && h.Waiting >= 2 && strings.Contains(h.Problem, "calls go on") && setting(ctx, n1) > before
		})
		if err := trouble.end(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a change that works again", func(ctx context.Context) bool {
			ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
			defer cancel()
			return describe(ctx, trouble.name+", afterwards") == nil
		})
		eventually(t, "two nodes that agree, and nothing that waits", func(ctx context.Context) bool {
			h1, h2 := n1.Store.Health(ctx), n2.Store.Health(ctx)
			at := setting(ctx, n1)
			return !h1.Stale && !h2.Stale && h1.Revision == h2.Revision && at > before && at == setting(ctx, n2) &&
				n2.Store.Known().Site.Devices[0].Description == trouble.name+", afterwards" && h1.Waiting < 3 && h2.Waiting < 3
		})
		x.so(t, trouble.name)
	}
	x.stop()
	<-x.done
	if x.err != nil {
		t.Fatalf("after %d calls: %v", x.calls, x.err)
	}
	var seen map[string]int
	eventually(t, "every call at both nodes, once", func(ctx context.Context) bool {
		legs, err := n2.Store.Legs(ctx, store.CallQuery{Party: "bob", Limit: 100_000})
		seen = map[string]int{}
		for _, l := range legs {
			if l.Node == "n2" { // n1 has the leg to n2
				seen[fmt.Sprint(l.Call, " ", l.Leg)]++
			}
		}
		return err == nil && len(seen) >= x.calls
	})
	if len(seen) != x.calls {
		t.Errorf("%d legs of %d calls", len(seen), x.calls)
	}
	for leg, n := range seen {
		if n != 1 {
			t.Errorf("leg %s is in the record %d times", leg, n)
		}
	}
}
