package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// paper is a site that consists of its call manager and what is known of devices.
type paper struct {
	mu      sync.Mutex
	s       rotation.State
	devices []rotation.Device
}

func newPaper() *paper {
	one := func(name string, kind rotation.Kind) rotation.Member {
		return rotation.Member{Name: name, Kind: kind, Generations: []rotation.Generation{{ID: rotation.NewID(name, 1), Number: 1, Phase: rotation.Active}}}
	}
	p := &paper{s: rotation.State{Members: []rotation.Member{one("sast-1", rotation.Signer), one("callmanager", rotation.Service)}}}
	p.s.Published = rotation.List{Version: 1, Signers: []rotation.ID{"sast-1-g1"}, Others: []rotation.ID{"callmanager-g1"}}
	p.devices = []rotation.Device{
		{Name: "SEP01", Held: rotation.Held{Knows: []rotation.ID{"callmanager-g1", "sast-1-g1"}}},
		{Name: "trunk-a", Peer: true, Held: rotation.Held{Knows: []rotation.ID{"callmanager-g1"}}},
	}
	return p
}

func (p *paper) Graph(context.Context) (rotation.State, []rotation.Device, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.s
	s.Members = slices.Clone(p.s.Members)
	for i, m := range s.Members {
		s.Members[i].Generations = slices.Clone(m.Generations)
	}
	return s, slices.Clone(p.devices), nil
}

func (p *paper) change(member string, f func(*rotation.Member)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.s.Members {
		if p.s.Members[i].Name == member {
			f(&p.s.Members[i])
			return nil
		}
	}
	return errors.New("no such member")
}

func (p *paper) Stage(_ context.Context, member string, n int) error {
	return p.change(member, func(m *rotation.Member) {
		m.Generations = append(m.Generations, rotation.Generation{ID: rotation.NewID(member, n), Number: n})
	})
}

func (p *paper) Activate(_ context.Context, member string, _ int) error {
	return p.change(member, func(m *rotation.Member) {
		m.Generations[0].Phase, m.Generations[1].Phase = rotation.Retiring, rotation.Active
	})
}

func (p *paper) Retire(_ context.Context, member string, _ int) error {
	return p.change(member, func(m *rotation.Member) { m.Generations = m.Generations[1:] })
}

func (p *paper) Publish(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.s.Published = rotation.List{Version: p.s.Published.Version + 1, Signers: []rotation.ID{"sast-1-g1"}}
	for _, g := range p.s.Members[1].Generations {
		p.s.Published.Others = append(p.s.Published.Others, g.ID)
	}
	return nil
}

// trustNode is a node that plans and runs rotations of a paper site.
func trustNode(t *testing.T) string {
	t.Helper()
	ctx, home := context.Background(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := store.Open(ctx, filepath.Join(home, "s.db"), store.Options{})
	must(err)
	t.Cleanup(func() { s.Close() })
	_, err = s.Apply(ctx, store.ChangeSet{Changes: config.Diff(nil, config.Default("node1"))})
	must(err)
	b, err := bus.Open(ctx, bus.Config{})
	must(err)
	t.Cleanup(func() { b.Close() })
	rec, err := trace.Open(trace.Config{Dir: filepath.Join(home, "trace")})
	must(err)
	t.Cleanup(func() { rec.Close() })
	docs := s.Documents(rotation.Collection)
	runner, err := rotation.NewRunner(rotation.Config{Site: newPaper(), Documents: docs})
	must(err)
	running, stop := context.WithCancel(ctx)
	var worker sync.WaitGroup
	worker.Go(func() { // as a node does
		for range docs.Watch(running) {
			if _, err := runner.Advance(running); err != nil && running.Err() == nil {
				t.Error(err)
			}
		}
	})
	t.Cleanup(func() { stop(); worker.Wait() })
	server, err := admin.Listen(ctx, admin.Config{Home: home, Store: s, Bus: b, Trace: rec, Rotation: admin.Rotation{Runner: runner,
		Forecast: func(_ context.Context, now, until time.Time) (rotation.Input, error) {
			return rotation.Input{Now: now, Until: until, Alone: nil}, nil
		}}})
	must(err)
	t.Cleanup(func() { server.Close(ctx) })
	return home
}

// TestTrust: the plan with its victims, the refusal, what is waited for, and the end, as an operator sees them.
func TestTrust(t *testing.T) {
	home := trustNode(t)
	for _, x := range []struct {
		args string
		code int
		says []string
	}{
		{"trust status", 0, []string{"Nothing was rotated yet."}},
		{"trust plan --rotate tvs", 1, []string{"has no tvs"}},
		{"trust plan --rotate everything", 2, []string{"must be one of"}},
		{"trust plan --rotate callmanager", 0, []string{"stage     callmanager-g2", "must be given it: trunk-a", "locktone trust told", "Nobody is stranded.", "at-once", "strands 1 device: trunk-a"}},
		{"trust plan --rotate callmanager --order at-once --apply", 1, []string{"REFUSED: it strands 1 device: trunk-a"}},
		{"--json trust plan --rotate callmanager --order at-once --apply", 1, []string{`"code": "conflict"`, "trunk-a (stranded)"}},
		{"trust accept trunk-a", 1, []string{"no rotation is under way"}},
		{"trust plan --rotate callmanager --apply --wait 200ms", 0, []string{"done   1  stage     callmanager-g2", "done   2  publish", "Waits for 1 device that would be stranded", "trunk-a: callmanager-g2 is in use", "goes on by itself"}},
		{"trust status", 0, []string{"2 of 6 steps done", "->    3  wait", "trunk-a: would be stranded", "locktone trust told notes", "locktone trust accept DEVICE gives one up"}},
		{"trust plan --rotate callmanager --apply", 1, []string{"a rotation is under way"}},
		{"trust told trunk-b callmanager-g2", 1, []string{"no peer \"trunk-b\""}},
		{"trust told trunk-a callmanager-g2", 0, []string{"trunk-a has callmanager-g2"}},
		{"trust forecast --until 2020-01-01", 1, []string{"a day to come"}},
		{"trust forecast --until 2099-01-01", 0, []string{"nothing breaks"}},
	} {
		text, code := command(t, append([]string{"--home", home}, strings.Fields(x.args)...)...)
		if code != x.code {
			t.Errorf("%s: exit code %d, want %d:\n%s", x.args, code, x.code, text)
		}
		for _, want := range x.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q:\n%s", x.args, want, text)
			}
		}
	}
	text := ""
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if text, _ = command(t, "--home", home, "trust", "status"); strings.Contains(text, "ended") {
			return
		}
	}
	t.Errorf("the peer was told, and the rotation does not end:\n%s", text)
}
