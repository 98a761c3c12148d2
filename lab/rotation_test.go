package lab

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/wire/trustlist"
)

// TestSleeper rotates everything while one phone is awake and another asleep: the sleeper holds up nothing but the last
// retirements, is served lists that it can verify when it wakes up, and then the rotation ends.
func TestSleeper(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := config.Default("node1")
	for _, name := range []string{"SEP0A0000000001", "SEP0A0000000002"} {
		c.Devices = append(c.Devices, config.Device{Name: name, Model: "8845", DevicePool: "default"})
	}
	s, err := Start(ctx, Options{Config: c.Canonical(), Patience: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.WithoutCancel(ctx))
	awake, asleep := &reader{s: s, name: "SEP0A0000000001"}, &reader{s: s, name: "SEP0A0000000002"}
	for _, r := range []*reader{awake, asleep} {
		r.fetch(t, ctx)
	}
	if _, err := s.Rotation.Begin(ctx, rotation.All, rotation.Options{}, "test"); err != nil {
		t.Fatal(err)
	}
	st := follow(t, ctx, s, awake, func(st rotation.Status) bool { return st.Needed == 1 })
	if names := victims(st); !slices.Equal(names, []string{asleep.name}) {
		t.Fatalf("waits for %v, want the sleeper alone", names)
	}
	for _, step := range st.Steps[st.Done:] {
		if step.Action != rotation.Retire && step.Action != rotation.Wait && step.Action != rotation.Publish {
			t.Errorf("the sleeper holds up a step to %s %v", step.Action, step.Members)
		}
	}
	asleep.fetch(t, ctx)
	follow(t, ctx, s, asleep, func(st rotation.Status) bool { return !st.Running() })
	awake.fetch(t, ctx)
	for _, g := range s.CA.Generations() {
		if g.Number == 1 {
			t.Error("the former roots are still there")
		}
	}
}

// reader is a phone as far as lists go: it takes what it can verify, and says so.
type reader struct {
	s    *Site
	name string
	held map[trustlist.Kind]*trustlist.List
}

// fetch takes the lists it is served, by the rule of phones, and confirms them.
func (r *reader) fetch(t *testing.T, ctx context.Context) {
	t.Helper()
	for _, kind := range []trustlist.Kind{trustlist.CTL, trustlist.ITL} {
		f, err := r.s.Lists.For(ctx, r.name, kind)
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := trustlist.Parse(f.Bytes)
		if err == nil {
			_, err = trustlist.AcceptPhone(fresh, r.held[trustlist.CTL], r.held[trustlist.ITL])
		}
		if err != nil {
			t.Fatalf("%s refuses %s version %d: %v (%s)", r.name, kind, f.Version, err, f.Doubt)
		}
		if r.held == nil {
			r.held = map[trustlist.Kind]*trustlist.List{}
		}
		r.held[kind] = fresh
		x := lists.Fetch{Device: r.name, Address: netip.MustParseAddr("127.0.0.1"), Kind: kind, Version: f.Version, Signer: f.Signer}
		r.s.Holdings.Fetched(x)
		r.s.Holdings.Confirmed(x)
	}
}

// follow lets a phone fetch every new list until done says that it is enough.
func follow(t *testing.T, ctx context.Context, s *Site, r *reader, done func(rotation.Status) bool) rotation.Status {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := s.Rotation.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if done(st) && st.Waiting <= 1 {
			return st
		}
		r.fetch(t, ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("at step %d of %d, waiting for %v: %s", st.Done+1, len(st.Steps), victims(st), st.Problem)
		}
	}
}

func victims(st rotation.Status) (names []string) {
	for _, v := range st.Waits {
		names = append(names, v.Device)
	}
	return names
}
