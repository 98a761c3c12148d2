package store

import (
	"testing"

	"github.com/locktone/locktone/lab/postgres"
)

// testMissing: what is there is left out, what is not is written, once.
func testMissing(t *testing.T, dsn string) {
	s := open(t, dsn)
	appendRecord(t, s, 0)
	c0, l0 := record(0)
	c1, l1 := record(1)
	c0.Cause, l0.Cause = 41, 41
	for range 2 {
		if err := s.AppendMissing(t.Context(), []CallRecord{c0, c1}, []LegRecord{l0, l1}); err != nil {
			t.Fatal(err)
		}
	}
	wantRecords(t, s, 2)
	c1.Start, l1.Setup, l1.End = c1.Start.AddDate(0, 0, 1), l1.Setup.AddDate(0, 0, 1), l1.End.AddDate(0, 0, 1) // the same numbers in another life
	if err := s.AppendMissing(t.Context(), []CallRecord{c1}, []LegRecord{l1}); err != nil {
		t.Fatal(err)
	}
	calls, err := s.Calls(t.Context(), CallQuery{Call: "c1"})
	legs, err2 := s.Legs(t.Context(), CallQuery{Call: "c1"})
	if err != nil || err2 != nil || len(calls) != 2 || len(legs) != 2 {
		t.Errorf("%d calls, %d legs: %v, %v", len(calls), len(legs), err, err2)
	}
}

// TestMissingWaits: with PostgreSQL away it is decided when it is back, behind what an earlier life had let wait.
func TestMissingWaits(t *testing.T) {
	pg := postgres.Need(t)
	dsn, home := pg.Database(t), t.TempDir()
	s := node(t, dsn, home)
	first, err := s.Documents("settings").Keep(t.Context(), "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	followed(t, s, holdsDocument(t.Context(), "settings", "a", first)) // it has its copy of the record
	pg.Stop()
	t.Cleanup(func() {
		if t.Failed() {
			_ = pg.Start() // others use it
		}
	})
	appendRecord(t, s, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c0, l0 := record(0)
	c1, l1 := record(1)
	c0.Cause = 41
	for range 2 { // lives
		s = node(t, dsn, home)
		if err := s.AppendMissing(t.Context(), []CallRecord{c0, c1}, []LegRecord{l0, l1}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s = node(t, dsn, home)
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	drained(t, s)
	wantRecords(t, s, 2)
}
