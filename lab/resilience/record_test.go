package resilience

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/store"
)

// ownPostgres is a server that the test may stop, hang and fill.
func ownPostgres(t *testing.T) *postgres.Server {
	t.Helper()
	if _, err := os.Stat("/usr/lib/postgresql"); err != nil {
		postgres.Need(t) // says why, and skips
	}
	db := must(postgres.New())(t)
	t.Cleanup(func() { ok(t, db.Close()) })
	return db
}

// statusOf is what `locktone status` says of a process.
func statusOf(t testing.TB, home string) (st admin.Status) {
	t.Helper()
	_, out, errs := command(t, "status", "--home", home, "--json")
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	return st
}

// written is how long after the end of a call its record is safe on a disk, whatever becomes of the node: five times what docs/records.md says,
// for a machine that is busy. The record of a leg may wait for the report of its phone.
const (
	written    = time.Second
	writtenLeg = written + 3*time.Second
)

// calls makes calls one after the other for some time, and returns when each was over for both phones.
func calls(t *testing.T, d time.Duration, from, to *phone.Phone) (over []time.Time) {
	t.Helper()
	for until := time.Now().Add(d); time.Now().Before(until); {
		goodCall(t, from, to)
		over = append(over, time.Now())
	}
	return over
}

// TestKilledWithFullOutbox kills a node with -9 while it lets records wait for PostgreSQL, which is stopped or hangs, again and again, in the
// middle of writing and of delivering. Every call whose end was told a moment before the kill is in the record, and no call is there twice.
func TestKilledWithFullOutbox(t *testing.T) {
	t.Parallel()
	db := ownPostgres(t)
	n, dsn := founderOn(t, db)
	alice, bob := softphone(t, n.Home, "alice", "1001", n.addr), softphone(t, n.Home, "bob", "1002", n.addr)
	ends := calls(t, time.Second, alice, bob) // when both phones knew of the end of each call
	var kills []time.Time
	rounds := 2
	if all() {
		rounds = 12
	}
	for round := range rounds {
		if hung := round%3 == 1; hung {
			ok(t, db.Hang())
		} else {
			db.Stop()
		}
		ends = append(ends, calls(t, 5*time.Second+rand.N(time.Second), alice, bob)...)
		n.Kill()
		kills = append(kills, time.Now())
		if round%3 == 1 {
			ok(t, db.Resume())
		} else {
			ok(t, db.Start())
		}
		n.Node = built.Up(t, n.Home)
		if round%2 == 0 { // in the middle of the delivery, perhaps between a commit and the removal
			n.Kill()
			n.Node = built.Up(t, n.Home)
		}
		for _, p := range []*phone.Phone{alice, bob} {
			ok(t, p.WaitRegistered(within(t, step)))
		}
	}
	eventually(t, step, func() error {
		if st := statusOf(t, n.Home); st.Store.Waiting > 0 || st.Store.Stale {
			return fmt.Errorf("%+v", st.Store)
		}
		return nil
	})
	s := must(store.Open(t.Context(), dsn, store.Options{}))(t)
	defer s.Close()
	rows := must(s.Calls(t.Context(), store.CallQuery{Oldest: true, Limit: 1_000_000}))(t)
	legs := must(s.Legs(t.Context(), store.CallQuery{Oldest: true, Limit: 1_000_000}))(t)
	seen := map[string]int{}
	var callEnds, legEnds []time.Time
	for _, r := range rows {
		if seen[r.Call]++; seen[r.Call] > 1 {
			t.Errorf("call %s is in the record %d times", r.Call, seen[r.Call])
		}
		callEnds = append(callEnds, r.End)
	}
	for _, l := range legs {
		key := fmt.Sprint(l.Call, " ", l.Leg)
		if seen[key]++; seen[key] > 1 {
			t.Errorf("leg %s is in the record %d times", key, seen[key])
		}
		legEnds = append(legEnds, l.End)
	}
	wantCalls, wantLegs := safe(ends, kills, written), 2*safe(ends, kills, writtenLeg)
	t.Logf("%d calls, %d kills: %d calls and %d legs are in the record; told long enough before: %d and %d", len(ends), len(kills), len(rows), len(legs), wantCalls, wantLegs)
	if len(ends) < 10*rounds || safe(callEnds, kills, written) < wantCalls || safe(legEnds, kills, writtenLeg) < wantLegs {
		t.Errorf("records are missing: %d calls and %d legs", safe(callEnds, kills, written), safe(legEnds, kills, writtenLeg))
	}
}

// lost reports whether a kill came so soon after a moment that what happened then may be lost.
func lost(at time.Time, kills []time.Time, within time.Duration) bool {
	for _, k := range kills {
		if d := k.Sub(at); d >= 0 && d < within {
			return true
		}
	}
	return false
}

// safe is how many ends no kill can have taken. A record says when the engine knew, which is before the phones did.
func safe(ends, kills []time.Time, within time.Duration) (n int) {
	for _, at := range ends {
		if !lost(at, kills, within) {
			n++
		}
	}
	return n
}
