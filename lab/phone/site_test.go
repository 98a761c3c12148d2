package phone_test

import (
	"context"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/lab/phone/phonetest"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
)

// site is an exchange with the real call engine behind it.
type site struct {
	*phonetest.Exchange
	t        testing.TB
	host     *live.Host
	profiles []*sipleg.Profile
}

// newSite starts a site whose lines are given as number: devices.
func newSite(t testing.TB, edit func(*call.Site, *site), lines map[string][]int, driver ...func(*sipleg.Config)) *site {
	t.Helper()
	s := &site{t: t, host: live.Start(live.Options{})}
	drv, err := s.host.Attach("sip", 0)
	must(t, err)
	plane := media.NewPlane(media.PlaneConfig{})
	t.Cleanup(func() { s.host.Close(); plane.Close() })
	s.Exchange = phonetest.Open(t, drv, plane, driver...)
	cs := call.Site{Plan: dialplan.Rules{SearchSpaces: []dialplan.SearchSpace{{Name: "all", Partitions: []string{"internal"}}}}}
	for number, devices := range lines {
		id := call.LineID{Number: number, Partition: "internal"}
		l := call.Line{ID: id, Display: "Line " + number, SearchSpace: "all"}
		for _, n := range devices {
			name := phonetest.Device(n)
			l.Appearances = append(l.Appearances, call.Appearance{Device: name, Index: 1})
			cs.Devices = append(cs.Devices, call.Device{Name: name, Driver: "sip"})
			s.profiles = append(s.profiles, s.AddDevice(name, id))
		}
		cs.Lines = append(cs.Lines, l)
		cs.Plan.Patterns = append(cs.Plan.Patterns, dialplan.Pattern{Digits: number, Partition: "internal", Kind: dialplan.DirectoryNumber})
	}
	if edit != nil {
		edit(&cs, s)
	}
	cfg, err := cs.Compile()
	must(t, err)
	must(t, s.host.Configure(cfg))
	return s
}

// phone starts the phone of device n.
func (s *site) phone(n int, number string, edit func(*phone.Config)) *phone.Phone {
	s.t.Helper()
	return s.Phone(n, number, edit)
}

// wait is a context of a minute: what does not happen by then does not happen.
func wait(t testing.TB) context.Context { return phonetest.Wait(t) }

// noLegs waits until the driver has forgotten every dialog.
func (s *site) noLegs(ctx context.Context) {
	s.t.Helper()
	s.idle(ctx)
	for s.Driver.Legs() > 0 {
		select {
		case <-time.After(10 * time.Millisecond): // dialogs have no event of their own
		case <-ctx.Done():
			s.t.Fatalf("%d dialogs are left", s.Driver.Legs())
		}
	}
}
