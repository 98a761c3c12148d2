package callmanager

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/store"
)

// TestCallRecord makes a record of a finished call: its parties are those that have left, its security the weakest lock of its legs.
func TestCallRecord(t *testing.T) {
	party := func(id call.PartyID, number, called, device string) *call.PartyView {
		return &call.PartyView{ID: id, Identity: call.Identity{Number: number}, Called: called, Legs: []call.LegView{{Device: device, State: call.LegIsActive}}}
	}
	at := time.Unix(3, 0)
	leg := func(id call.LegID, incoming bool, by call.Releaser, lock call.Lock) call.Event {
		return call.Event{Kind: call.LegDropped, Call: 1, Leg: id, Record: &call.LegRecord{Call: 1, Leg: id, Incoming: incoming, By: by, Lock: lock, End: at, Setup: time.Unix(1, 0)}}
	}
	for _, c := range []struct {
		name           string
		caller, called call.Event
		by, security   string
	}{
		{"called hangs up", leg(1, true, call.ReleasedByOther, call.LockEncrypted), leg(2, false, call.ReleasedByLeg, call.LockEncrypted), "called", "encrypted"},
		{"caller hangs up", leg(1, true, call.ReleasedByLeg, call.LockEncrypted), leg(2, false, call.ReleasedByOther, call.LockNonSecure), "calling", "non-secure"},
		{"longest duration", leg(1, true, call.ReleasedBySystem, call.LockAuthenticated), leg(2, false, call.ReleasedBySystem, call.LockUnknown), "system", "authenticated"},
		{"an application", leg(1, true, call.ReleasedByApplication, call.LockUnknown), leg(2, false, call.ReleasedByApplication, call.LockUnknown), "application", ""},
	} {
		s := &Service{cfg: Config{Node: "n1"}, meters: newMeters()}
		r := &recorder{s: s, ends: map[call.CallID]callEnd{}}
		v := &call.View{ID: 1, GlobalID: "g", Created: time.Unix(1, 0), Answered: time.Unix(2, 0), Ended: true, Left: []*call.PartyView{
			party(1, "1001", "", "alice"), party(2, "1002", "1002", "bob")}}
		for _, ev := range []call.Event{c.caller, c.called, {Kind: call.CallEnded, Call: 1, At: at, Cause: call.CallerCancelled, View: v}} {
			r.take(live.Note{Event: ev})
		}
		want := store.CallRecord{Call: "g", Node: "n1", Start: v.Created, Answer: v.Answered, End: at, Calling: "1001", Called: "1002", Dialled: "1002",
			FromDevice: "alice", ToDevice: "bob", Cause: 16, ReleasedBy: c.by, Security: c.security}
		if len(r.calls) != 1 || len(r.ends) != 0 {
			t.Fatalf("%s: %d records, ends %v", c.name, len(r.calls), r.ends)
		}
		got := r.calls[0]
		if got.Detail == "" {
			t.Errorf("%s: no detail", c.name)
		}
		if got.Detail = ""; got != want {
			t.Errorf("%s:\n%+v, want\n%+v", c.name, got, want)
		}
	}
}

// shelf is a store that can be away.
type shelf struct {
	Store
	away  bool
	calls []store.CallRecord
	legs  []store.LegRecord
}

func (s *shelf) AppendCalls(_ context.Context, r ...store.CallRecord) error {
	if s.away {
		return errors.New("away")
	}
	s.calls = append(s.calls, r...)
	return nil
}

func (s *shelf) AppendLegs(_ context.Context, r ...store.LegRecord) error {
	s.legs = append(s.legs, r...)
	return nil
}

// TestLegRecords: the record of a leg waits a moment for what the driver and the phone report, is written once, and survives a store
// that is away.
func TestLegRecords(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	db := &shelf{}
	s := &Service{cfg: Config{Node: "n1", Store: db}, ctx: t.Context(), meters: newMeters()}
	r := &recorder{s: s, ends: map[call.CallID]callEnd{}}
	ended := func(id call.LegID, o call.Outcome, more func(*call.LegRecord)) {
		l := &call.LegRecord{Call: 7, Party: 2, Leg: id, Device: "bob", Setup: at.Add(-time.Minute), End: at, Outcome: o, Cause: call.PickedUpElsewhere}
		if more != nil {
			more(l)
		}
		r.take(live.Note{Event: call.Event{Kind: call.LegDropped, Call: 7, Leg: id, Record: l}})
	}
	legs := func() (ids []int64) {
		r.write()
		for _, l := range db.legs {
			ids = append(ids, l.Leg)
		}
		slices.Sort(ids)
		return ids
	}
	ended(2, call.OutcomeElsewhere, nil)
	ended(4, call.OutcomeAnswered, func(l *call.LegRecord) {
		l.Joined, l.Redirecting = []call.CallRef{{ID: 3}, {ID: 5, GlobalID: "g5"}}, call.Redirection{From: call.Identity{Number: "1009"}, Reason: call.RedirectBusy}
	})
	ended(6, call.OutcomeAnswered, nil)
	ended(8, call.OutcomeAnswered, func(l *call.LegRecord) {
		l.Quality = &call.Quality{By: "here", Codec: "PCMA", Received: 98, Lost: 2, Jitter: 2, MOS: 4.3}
	})
	s.ends.add(at, 4, "TLS 1.3 TLS_AES_128_GCM_SHA256", media.LegMedia{Suite: "AES_CM_128_HMAC_SHA1_80", Codec: "G722"})
	s.ends.add(at, 8, "", media.LegMedia{Codec: "PCMU"})
	r.ripen(at.Add(time.Second), false)
	if got := legs(); !slices.Equal(got, []int64{2, 8}) {
		t.Errorf("at once: %v", got)
	}
	s.ends.measured(at.Add(time.Second), call.Measured{Leg: 4, Quality: call.Quality{By: "phone", Received: 10}})
	r.ripen(at.Add(2*time.Second), false)
	if got := legs(); !slices.Equal(got, []int64{2, 4, 8}) {
		t.Errorf("with the phone's report: %v", got)
	}
	db.away = true
	r.calls = append(r.calls, store.CallRecord{Call: "held back"})
	r.ripen(at.Add(reportWait), false)
	if got := legs(); !slices.Equal(got, []int64{2, 4, 8}) || value(t, s.meters.waiting.WithLabelValues("leg")) != 1 || s.troubles.text() == "" {
		t.Errorf("while the store is away: %v", got)
	}
	db.away = false
	if got := legs(); !slices.Equal(got, []int64{2, 4, 6, 8}) || s.troubles.text() != "" || len(db.calls) != 1 || len(s.ends.by) != 0 {
		t.Errorf("nobody reported on leg 6: %v", got)
	}
	for _, l := range db.legs {
		switch l.Leg {
		case 2:
			if l.Cause != 26 || l.CauseName != "answered elsewhere" || l.Outcome != "elsewhere" || l.Direction != "out" || l.Call != "c7@n1" {
				t.Errorf("%+v", l)
			}
		case 4:
			if l.Cipher != "TLS 1.3 TLS_AES_128_GCM_SHA256" || l.Suite != "AES_CM_128_HMAC_SHA1_80" || l.Codec != "G722" || l.MeasuredBy != "phone" || l.Received != 10 ||
				l.Joined != "c3@n1,g5" || l.Redirecting != "1009" || l.RedirectReason != "user-busy" {
				t.Errorf("%+v", l)
			}
		case 8:
			if l.Codec != "PCMA" || l.Lost != 2 || l.Jitter != 2 || l.MOS != 4.3 || l.MeasuredBy != "here" {
				t.Errorf("%+v", l)
			}
		}
	}
	if n := seriesOf(t, s.meters.loss); n != 2 {
		t.Errorf("%d histograms of loss, want one for here and one for phones", n)
	}
}

// TestLegEndsAreBounded: what is told of legs without a record is forgotten.
func TestLegEndsAreBounded(t *testing.T) {
	var ends legEnds
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for i := range recordLimit + 10 {
		ends.add(at, call.LegID(i+1), "", media.LegMedia{})
	}
	if n := len(ends.by); n > recordLimit {
		t.Errorf("%d entries", n)
	}
	ends.expire(at.Add(2 * time.Minute))
	if n := len(ends.by); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// pruned counts what is removed.
type pruned struct {
	Store
	before []time.Time
	left   int64
}

func (p *pruned) PruneCalls(_ context.Context, before time.Time, limit int) (int64, error) {
	p.before = append(p.before, before)
	n := min(p.left, int64(limit))
	p.left -= n
	return n, nil
}

func (p *pruned) Lead(ctx context.Context, _ string) <-chan context.Context {
	terms := make(chan context.Context, 1)
	terms <- ctx
	context.AfterFunc(ctx, func() { close(terms) })
	return terms
}

// TestPruneRecords: old records go in small batches until none is left, and then once an hour.
func TestPruneRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		db := &pruned{left: 2*pruneBatch + 1}
		s := &Service{cfg: Config{Store: db}, ctx: ctx, now: time.Now, meters: newMeters()}
		s.site.Store(siteOf(t, "cluster: {callRecordRetention: 30}"))
		begin := time.Now()
		done := make(chan struct{})
		go func() { s.pruneRecords(); close(done) }()
		time.Sleep(2 * time.Minute)
		if len(db.before) != 3 || db.left != 0 || !db.before[0].Equal(begin.Add(time.Minute).AddDate(0, 0, -30)) {
			t.Errorf("%d batches, %d left, the first up to %v", len(db.before), db.left, db.before[0])
		}
		time.Sleep(time.Hour)
		if len(db.before) != 4 {
			t.Errorf("%d batches after an hour", len(db.before))
		}
		if n := value(t, s.meters.removed); n != 2*pruneBatch+1 {
			t.Errorf("%v are counted", n)
		}
		cancel()
		<-done
	})
}
