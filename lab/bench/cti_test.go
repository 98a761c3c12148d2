package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/load"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// The rows of the CTI manager in small, against a site in this process: every one is filled, every event is there, nobody is refused.
func TestCTIRows(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole site")
	}
	ca, err := load.NewAuthority("bench authority")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: t.TempDir(), ca: ca, quiet: true, rounds: 1}
	home := filepath.Join(b.dir, "home")
	if err := os.MkdirAll(filepath.Join(home, "trust", "devices"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "trust", "devices", "bench.pem"), ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	a := applications{providers: 2, devices: 6, phones: 4, rate: 20, seconds: 1, logins: 3}
	site, err := lab.Start(t.Context(), lab.Options{Home: home, Config: a.site()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := site.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	s := &server{name: "locktone", addr: netip.AddrPortFrom(site.CallManager(), 5061), roots: site.Roots(), pid: os.Getpid(), home: home}
	if err := b.ctiRounds(t.Context(), s, a); err != nil {
		t.Fatal(err)
	}
	for _, r := range b.table.rows() {
		if len(r.OurRuns) != 1 {
			t.Errorf("%s: %d samples", r.Name, len(r.OurRuns))
		}
		switch {
		case strings.HasSuffix(r.Name, ": refused") && r.Ours != 0, strings.HasSuffix(r.Name, "calls reached") && r.Ours < 1, strings.Contains(r.Name, "p50") && r.Ours <= 0:
			t.Errorf("%s: %v", r.Name, r.Ours)
		}
	}
	if len(b.table.rows()) != 18 {
		t.Errorf("%d rows", len(b.table.rows()))
	}
}

// A meter pairs what a line's phone says with the event that tells it, and shows what has no pair.
func TestMeter(t *testing.T) {
	m := newMeter()
	ringing := cti.CallChanged{Before: ctiqbe.CallStateOffering, Call: cti.Call{Line: cti.LineID{Number: "1"}, State: ctiqbe.CallStateAccepted, Origin: ctiqbe.CallOriginInboundInternal}}
	m.says("1", 180)
	m.says("2", 180)
	m.told(ringing, time.Now().Add(time.Second))
	if len(m.took[180]) != 1 || m.took[180][0] < time.Second || m.took[180][0] > time.Minute || m.untold() != 1 || m.early != 0 {
		t.Errorf("%+v", m)
	}
	m.told(ringing, time.Now())
	if m.early != 1 || len(m.took[180]) != 1 {
		t.Errorf("an event of nothing was taken for one: %+v", m)
	}
	for _, other := range []cti.Event{cti.NewCall{Call: ringing.Call}, cti.CallChanged{Call: cti.Call{Line: ringing.Call.Line, State: ctiqbe.CallStateConnected, Origin: ctiqbe.CallOriginOutbound}}} {
		if m.told(other, time.Now()); m.early != 1 {
			t.Errorf("%+v", other)
		}
	}
	if err := (&bench{}).eventRows(applications{}, m, &cost{Result: &load.Result{}}); err == nil {
		t.Error("a sample with unpaired events was accepted")
	}
}
