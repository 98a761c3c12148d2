package ctileg

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/leg/drivertest"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/sdp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// port is a terminal of the tests.
func port() Terminal {
	return Terminal{Media: Static, Address: netip.MustParseAddrPort("127.0.0.1:40000"), Suites: sdp.Suites(),
		Codecs: []Codec{{Payload: ctiqbe.MediaPayloadG711MuLaw64K, Packet: 20}, {Payload: ctiqbe.MediaPayloadG711ALaw64K, Packet: 20}}}
}

// TestDriverContract: terminals keep the contract every driver keeps, static and dynamic ones. They do not dial, hold or press keys by
// themselves: an application asks the engine.
func TestDriverContract(t *testing.T) {
	for name, kind := range map[string]Media{"static": Static, "dynamic": Dynamic} {
		t.Run(name, func(t *testing.T) {
			drivertest.Suite(t, func(t *testing.T, e *drivertest.Engine, p *media.Plane) drivertest.Rig {
				far := &far{e: e, kind: kind, watched: newWatched(p)}
				terminal := port()
				if terminal.Media = kind; kind == Dynamic {
					terminal.Address = netip.AddrPort{}
				}
				far.d = Start(Config{Engine: e, Plane: far, AcceptTimer: func() time.Duration { return time.Minute }, Changed: far.changed,
					Terminal: func(device string) (Terminal, bool) { return terminal, device == "port" }})
				t.Cleanup(far.d.Close)
				return drivertest.Rig{Far: far, Target: call.Target{Device: "port", Called: "1001"}, Nobody: call.Target{Device: "away", Called: "1003"}}
			})
		})
	}
}

// watched is a plane that says which legs there are, and what they were told.
type watched struct {
	*media.Plane
	mu   sync.Mutex
	legs map[media.LegID]bool
	dir  sdp.Direction // of the last description made for a leg
	news chan struct{}
}

func newWatched(p *media.Plane) *watched {
	return &watched{Plane: p, legs: map[media.LegID]bool{}, news: make(chan struct{})}
}

func (w *watched) AddLeg(id media.LegID, p media.Profile) {
	w.Plane.AddLeg(id, p)
	w.note(func() { w.legs[id] = true })
}

func (w *watched) RemoveLeg(id media.LegID) {
	w.Plane.RemoveLeg(id)
	w.note(func() { delete(w.legs, id) })
}

func (w *watched) Make(id media.LegID, o media.Order) ([]byte, media.Kind, error) {
	text, kind, err := w.Plane.Make(id, o)
	if s, bad := sdp.Parse(text); bad == nil && len(s.Media) > 0 {
		w.note(func() { w.dir = s.Media[0].Direction })
	}
	return text, kind, err
}

func (w *watched) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.news)
	w.news = make(chan struct{})
}

// until waits until something holds of the plane.
func (w *watched) until(ctx context.Context, holds func() bool) error {
	for {
		w.mu.Lock()
		ok, news := holds(), w.news
		w.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// far is the application at the far end: what it does it asks of the engine, or of the driver.
type far struct {
	*watched
	e    *drivertest.Engine
	d    *Driver
	kind Media
	leg  call.LegID
}

func (f *far) changed(call.LegID) { f.note(func() {}) }

// Do implements drivertest.Far.
func (f *far) Do(ctx context.Context, a drivertest.Action, _ string) error {
	switch a {
	case drivertest.Answer:
		f.e.Command(call.AnswerNow{Leg: f.leg})
		if f.kind == Dynamic {
			err := f.until(ctx, func() bool { _, wanted := f.d.Wanted(f.leg); return wanted })
			f.d.Address("port", f.leg, netip.MustParseAddrPort("127.0.0.1:40002"))
			return err
		}
	case drivertest.Reject:
		f.d.End("port", call.UserBusy, call.UserBusy)
	case drivertest.Hangup:
		f.d.End("port", call.NormalClearing, call.NormalClearing)
	default:
		return errors.ErrUnsupported
	}
	return nil
}

// Wait implements drivertest.Far.
func (f *far) Wait(ctx context.Context, s drivertest.Seen) error {
	switch s {
	case drivertest.Rings:
		err := f.until(ctx, func() bool { return len(f.legs) > 0 })
		for id := range f.legs {
			f.leg = call.LegID(id)
		}
		f.e.Command(call.AcceptNow{Leg: f.leg})
		return err
	case drivertest.Over:
		return f.until(ctx, func() bool { return len(f.legs) == 0 })
	case drivertest.OnHold:
		return f.until(ctx, func() bool { return f.dir == sdp.SendOnly })
	}
	return nil
}
