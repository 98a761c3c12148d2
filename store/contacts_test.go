package store

import (
	"testing"
	"time"

	"github.com/locktone/locktone/lab/postgres"
)

func contactOf(i int) (ContactRecord, QueueInterval, AgentInterval) {
	at := time.Date(2026, 11, 22, 9, i, 0, 0, time.UTC)
	return ContactRecord{Contact: "n1-x-1", Node: "n1", Begin: at, Queued: at.Add(time.Second), End: at.Add(time.Minute), Called: "6000", Queue: "sales", Agent: "ann", Callback: 1, WaitMS: 1500,
			Outcome: "answered", By: "caller", Cause: 16, Variables: `{"k":"v"}`},
		QueueInterval{Begin: at, End: at.Add(time.Minute), Node: "n1", Queue: "sales", Offered: 3, Answered: 2, LongestWaitMS: 9000, ServiceLevel: 66.5},
		AgentInterval{Begin: at, End: at.Add(time.Minute), Node: "n1", Agent: "ann", Team: "red", Handled: 2, TalkingMS: 40000}
}

func appendContact(t *testing.T, s *Store, i int) {
	t.Helper()
	c, q, a := contactOf(i)
	if err := s.AppendContacts(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := s.AppendIntervals(t.Context(), []QueueInterval{q}, []AgentInterval{a}); err != nil {
		t.Fatal(err)
	}
}

// wantContacts wants contacts and intervals first to n-1, once.
func wantContacts(t *testing.T, s *Store, first, n int) {
	t.Helper()
	contacts, err := s.Contacts(t.Context(), CallQuery{Oldest: true, Party: "ann"})
	queues, err2 := s.QueueIntervals(t.Context(), CallQuery{Oldest: true, Party: "sales"})
	agents, err3 := s.AgentIntervals(t.Context(), CallQuery{Oldest: true, Party: "red"})
	if err != nil || err2 != nil || err3 != nil || len(contacts) != n-first || len(queues) != n-first || len(agents) != n-first {
		t.Fatalf("%d contacts, %d queues, %d agents, want %d: %v %v %v", len(contacts), len(queues), len(agents), n-first, err, err2, err3)
	}
	for i := range contacts {
		c, q, a := contactOf(first + i)
		contacts[i].ID, queues[i].ID, agents[i].ID = 0, 0, 0
		if contacts[i] != c || queues[i] != q || agents[i] != a {
			t.Fatalf("%+v\n%+v\n%+v", contacts[i], queues[i], agents[i])
		}
	}
}

func testContacts(t *testing.T, dsn string) {
	s := open(t, dsn)
	for i := range 5 {
		appendContact(t, s, i)
	}
	wantContacts(t, s, 0, 5)
	c, _, _ := contactOf(2)
	if n, err := s.PruneContacts(t.Context(), c.Begin, 100); err != nil || n != 6 {
		t.Errorf("%d removed, %v", n, err)
	}
	wantContacts(t, s, 2, 5)
	if list, err := s.Contacts(t.Context(), CallQuery{Party: "nobody"}); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestOutboxContacts: records of contacts and intervals wait while PostgreSQL is away, as those of calls do.
func TestOutboxContacts(t *testing.T) {
	pg := postgres.Need(t)
	dsn, home := pg.Database(t), t.TempDir()
	s := node(t, dsn, home)
	appendContact(t, s, 0)
	pg.Stop()
	appendContact(t, s, 1)
	if n := s.waiting().records; n != 3 {
		t.Errorf("%d batches wait, want 3", n)
	}
	pg.Start()
	drained(t, s)
	wantContacts(t, s, 0, 2)
}
