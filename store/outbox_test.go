package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/lab/postgres"
)

// node opens a store as a node of a cluster does: with copy and outbox in a folder.
func node(t *testing.T, dsn, home string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn, nodeOptions(home))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func nodeOptions(home string) Options {
	return Options{Copy: filepath.Join(home, "copy.db"), Outbox: filepath.Join(home, "outbox.db")}
}

func record(i int) (CallRecord, LegRecord) {
	at := time.Date(2026, 11, 22, 9, 0, i, 123000, time.UTC)
	return CallRecord{Call: fmt.Sprint("c", i), Node: "node1", Start: at, End: at, Detail: "{}"}, LegRecord{Call: fmt.Sprint("c", i), Node: "node1", Leg: int64(i), Setup: at, End: at, Jitter: 1.5}
}

// drained waits until nothing waits.
func drained(t *testing.T, s *Store) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !s.waiting().empty(); time.Sleep(5 * time.Millisecond) { // the outbox has no event for this
		if time.Now().After(deadline) {
			t.Fatalf("still waiting: %+v", s.waiting())
		}
	}
}

// wantRecords wants every record once, in order.
func wantRecords(t *testing.T, s *Store, n int) {
	t.Helper()
	calls, err := s.Calls(t.Context(), CallQuery{Oldest: true, Limit: 10_000})
	legs, err2 := s.Legs(t.Context(), CallQuery{Oldest: true, Limit: 10_000})
	if err != nil || err2 != nil || len(calls) != n || len(legs) != n {
		t.Fatalf("%d calls and %d legs, want %d: %v, %v", len(calls), len(legs), n, err, err2)
	}
	for i := range n {
		call, leg := record(i)
		calls[i].ID, legs[i].ID = 0, 0
		if calls[i] != call || legs[i] != leg {
			t.Fatalf("record %d: %+v %+v", i, calls[i], legs[i])
		}
	}
}

func appendRecord(t *testing.T, s *Store, i int) {
	t.Helper()
	c, l := record(i)
	if err := errors.Join(s.AppendCalls(t.Context(), c), s.AppendLegs(t.Context(), l)); err != nil {
		t.Fatal(err)
	}
}

// TestOutbox: records and settings wait while PostgreSQL is away, outlive the process, and are written in order, once.
func TestOutbox(t *testing.T) {
	pg := postgres.Need(t)
	dsn, home := pg.Database(t), t.TempDir()
	s := node(t, dsn, home)
	ctx := t.Context()
	d := s.Documents("settings")
	first, err := d.Keep(ctx, "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(ctx, "old", "was here", 0); err != nil {
		t.Fatal(err)
	}
	appendRecord(t, s, 0)
	followed(t, s, holdsDocument(ctx, "settings", "a", first))
	wantRecords(t, s, 1)
	if !s.waiting().empty() {
		t.Errorf("it waits although PostgreSQL is there: %+v", s.waiting())
	}

	pg.Stop()
	for i := 1; i < 5; i++ {
		appendRecord(t, s, i)
	}
	var last int64
	for i := range 3 { // of a document the newest waits
		if last, err = d.Keep(ctx, "a", 2+i); err != nil || last <= first {
			t.Fatalf("revision %d after %d, %v", last, first, err)
		}
	}
	if _, err := d.Keep(ctx, "b", "new"); err != nil {
		t.Fatal(err)
	}
	if h := s.Health(ctx); h.OK || !h.Stale || h.Waiting != 10 || !strings.Contains(h.Problem, "8 batches of records and 2 settings of users wait") {
		t.Errorf("health %+v", h)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = node(t, dsn, home) // it starts while PostgreSQL is away
	d = s.Documents("settings")
	if doc, err := d.Get(ctx, "a"); err != nil || string(doc.Value) != "4" || doc.Revision != last {
		t.Errorf("what waits is not read: %+v, %v", doc, err)
	}
	if list, err := d.List(ctx, ""); err != nil || len(list) != 3 || string(list[0].Value) != "4" || string(list[1].Value) != `"new"` {
		t.Errorf("%v, %v", list, err)
	}
	appendRecord(t, s, 5)

	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	drained(t, s)
	wantRecords(t, s, 6)
	other := open(t, dsn)
	if doc, err := other.Documents("settings").Get(ctx, "a"); err != nil || string(doc.Value) != "4" || doc.Revision != last {
		t.Errorf("what waited was not written: %+v, %v", doc, err)
	}
	if at, err := d.Put(ctx, "a", 5, last); err != nil || at <= last {
		t.Errorf("the revision of what waited does not count: %v", err)
	}
	if st := s.waiting(); st.delivered != 12 || st.overtake != 0 || st.bytes != 0 {
		t.Errorf("%+v", st)
	}
}

// TestOutboxOnce delivers what is in the record already: as after a commit that got no answer, or a kill between commit and removal.
func TestOutboxOnce(t *testing.T) {
	pg := postgres.Need(t)
	s := node(t, pg.Database(t), t.TempDir())
	appendRecord(t, s, 0)
	o, ctx := s.outbox, t.Context()
	o.order.Lock()
	for number := int64(1); number <= 2; number++ { // the two batches of record 0, again
		c, l := record(0)
		body := fmt.Sprintf(`[{"call":%q}]`, c.Call+l.Call)
		if err := o.put(ctx, entry{epoch: o.epoch, number: number, kind: []string{callTable.name, legTable.name}[number-1], body: body}); err != nil {
			t.Fatal(err)
		}
	}
	o.order.Unlock()
	drained(t, s)
	wantRecords(t, s, 1)
	o.order.Lock()
	if err := o.put(ctx, entry{epoch: o.epoch, number: 99, kind: callTable.name, body: `not JSON`}); err != nil { // the record will never take it
		t.Fatal(err)
	}
	o.order.Unlock()
	o.next = 99
	appendRecord(t, s, 1)
	drained(t, s)
	wantRecords(t, s, 2)
	if h := s.Health(ctx); !h.OK || !strings.Contains(h.Problem, "does not take 1 batches") {
		t.Errorf("%+v", h)
	}
}

// TestKeepOvertaken: of two changes of a document the newer stays, whichever waited.
func TestKeepOvertaken(t *testing.T) {
	pg := postgres.Need(t)
	dsn := pg.Database(t)
	clock := time.Now()
	at := func(home string, offset time.Duration) *Store {
		opt := nodeOptions(home)
		opt.Now = func() time.Time { return clock.Add(offset) }
		s, err := Open(t.Context(), dsn, opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	ctx := t.Context()
	late := at(t.TempDir(), time.Hour)
	waiting := at(t.TempDir(), 0)
	if _, err := late.Documents("s").Put(ctx, "seen", 0, 0); err != nil {
		t.Fatal(err)
	}
	doc, _ := late.Documents("s").Get(ctx, "seen")
	followed(t, waiting, holdsDocument(ctx, "s", "seen", doc.Revision))
	pg.Stop()
	for _, key := range []string{"mine", "theirs", "seen"} {
		if _, err := waiting.Documents("s").Keep(ctx, key, "waited"); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(waiting.Close(), pg.Start()); err != nil { // it stays away while others go on
		t.Fatal(err)
	}
	earlier := at(t.TempDir(), -time.Hour)
	for s, key := range map[*Store]string{earlier: "mine", late: "theirs"} {
		back(t, s)
		if _, err := s.Documents("s").Put(ctx, key, "somebody else's", AnyRevision); err != nil {
			t.Fatal(err)
		}
	}
	waiting = at(filepath.Dir(waiting.outbox.e.path), 0)
	drained(t, waiting)
	for key, want := range map[string]string{"mine": `"waited"`, "theirs": `"somebody else's"`, "seen": `"waited"`} {
		if doc, err := waiting.Documents("s").Get(ctx, key); err != nil || string(doc.Value) != want {
			t.Errorf("%s: %s, %v; want %s", key, doc.Value, err, want)
		}
	}
	if n := waiting.waiting().overtake; n != 1 {
		t.Errorf("%d yielded, want 1", n)
	}
}

// TestOutboxFull: the newest are refused, and what was taken is kept; settings have room when records have none.
func TestOutboxFull(t *testing.T) {
	pg := postgres.Need(t)
	opt := nodeOptions(t.TempDir())
	opt.OutboxBytes = 16 << 10
	s, err := Open(t.Context(), pg.Database(t), opt)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pg.Stop()
	n := 0
	for ; err == nil && n < 1000; n++ {
		c, _ := record(n)
		err = s.AppendCalls(t.Context(), c)
	}
	if n--; !errors.Is(err, ErrNoSpace) || n < 10 || !strings.Contains(err.Error(), "outbox.db already") {
		t.Errorf("%d were taken, then: %v", n, err)
	}
	if _, err := s.Documents("s").Keep(t.Context(), "k", 1); err != nil {
		t.Errorf("a setting: %v", err)
	}
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	drained(t, s)
	if calls, err := s.Calls(t.Context(), CallQuery{Limit: 1000}); err != nil || len(calls) != n {
		t.Errorf("%d calls, %v; want %d", len(calls), err, n)
	}
}

// TestHung: a server that is stopped is away within a bound, blocks nobody after that, and is back when it goes on.
func TestHung(t *testing.T) {
	pg := postgres.Need(t)
	s := node(t, pg.Database(t), t.TempDir())
	ctx := t.Context()
	shelved := shelve(t, s)
	followed(t, s, holdsDocument(ctx, "other", "last", shelved))
	want := readAll(t, s, "shelf")
	terms := s.Lead(ctx, "prune")
	leading := term(t, terms)
	if err := pg.Hang(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	appendRecord(t, s, 0) // waits for the server until it is found out
	if took := time.Since(begin); took > pulse+answerTime+2*time.Second {
		t.Errorf("it took %v to find out that the server hangs", took)
	} else {
		t.Logf("found out after %v", took)
	}
	begin = time.Now()
	sameReads(t, want, readAll(t, s, "shelf"))
	appendRecord(t, s, 1)
	if _, err := s.Apply(ctx, ChangeSet{Base: 3, Changes: nil}); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "does not answer within") {
		t.Errorf("apply: %v", err)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("calls took %v while the server hung", took)
	}
	select {
	case <-leading.Done():
	case <-time.After(leadBeat + answerTime + 2*time.Second):
		t.Error("it leads on without a server")
	}
	if err := pg.Resume(); err != nil {
		t.Fatal(err)
	}
	drained(t, s)
	wantRecords(t, s, 2)
	term(t, terms)
}
