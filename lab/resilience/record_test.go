package resilience

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
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

// TestFullDiskOfPostgres fills the disk of PostgreSQL, then that of the node, then both, while calls go on: the operator is told which, what was
// recorded waits where there is room, a change is refused, and everything is there when there is space again.
func TestFullDiskOfPostgres(t *testing.T) {
	t.Parallel()
	db := ownPostgres(t)
	theirs, ours := smallDisk(t, "24m"), smallDisk(t, "64m")
	t.Cleanup(func() { ok(t, db.Close()) }) // before its disk is taken away
	dsn := db.URL(must(db.CreateOn(t.Context(), theirs))(t))
	s := start(t, lab.Options{Home: filepath.Join(ours, "home"), Config: config.Default("node1"), Node: config.NodeConfig{Store: config.StoreConfig{DSN: dsn}}})
	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil)
	made := 0
	call := func() { t.Helper(); goodCall(t, alice, bob); made++ }
	says := func(when string, want ...string) {
		t.Helper()
		eventually(t, step, func() error {
			call()
			problems := strings.Join(status(t, s.Home()).Problems, "\n")
			for _, w := range want {
				if !strings.Contains(problems, w) {
					return fmt.Errorf("%s: status does not say %q: %q", when, w, problems)
				}
			}
			return nil
		})
		t.Log(when, ": ", strings.Join(status(t, s.Home()).Problems, "\n"))
	}
	fine := func(when string) {
		t.Helper()
		eventually(t, time.Minute, func() error {
			call()
			if st := status(t, s.Home()); len(st.Problems) > 0 || st.Store.Waiting > 2 {
				return fmt.Errorf("%s: %q, %+v", when, st.Problems, st.Store)
			}
			return nil
		})
	}
	extra := func() (store.Revision, error) {
		was := must(s.Store.Site(t.Context()))(t)
		next := was.Site.Clone()
		for n := range 2000 {
			addPhone(next, fmt.Sprintf("extra%d-%05d", was.Revision.Number, n), fmt.Sprint(int(was.Revision.Number)*20000+n), "encrypted")
		}
		return s.Store.Apply(within(t, time.Minute), store.ChangeSet{Base: was.Revision.Number, Author: "test", Changes: config.Diff(was.Site, next)})
	}
	fine("before")

	freeTheirs := fill(t, theirs)
	says("PostgreSQL's disk is full", "free space for "+filepath.Dir(db.Socket()), "what waits in the outbox")
	if _, err := extra(); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("a change on the full disk of PostgreSQL: %v", err)
	}

	freeOurs := fill(t, ours) // both
	says("both disks are full", "call records are not being written, calls go on")
	freeOurs()
	says("the node has space again", "what waits in the outbox")
	freeTheirs()
	fine("after both were freed")

	freeOurs = fill(t, ours) // the node's alone: what it records goes to PostgreSQL
	rev := must(extra())(t)
	says("the node's disk is full", "MiB left for "+ours, "free some")
	if st := status(t, s.Home()); st.Store.Waiting > 2 || st.Revision != rev.Number {
		t.Errorf("%+v", st)
	}
	freeOurs()
	fine("in the end")
	eventually(t, step, func() error {
		got := must(s.Store.Calls(t.Context(), store.CallQuery{Limit: 100_000}))(t)
		seen := map[string]bool{}
		for _, r := range got {
			seen[r.Call] = true
		}
		if len(got) != made || len(seen) != made {
			return fmt.Errorf("%d records of %d calls, %d were made", len(got), len(seen), made)
		}
		return nil
	})
}
