package store

import (
	"context"
	"testing"
	"time"

	"github.com/locktone/locktone/lab/postgres"
)

// testLead: of two stores one leads; the other follows when it gives up, and a term ends with its context.
func testLead(t *testing.T, dsn string) {
	a, b := open(t, dsn), open(t, dsn)
	ctx, giveUp := context.WithCancel(t.Context())
	terms := a.Lead(ctx, "prune")
	first := term(t, terms)
	if a.e.link != nil {
		other, next := term(t, b.Lead(t.Context(), "publish")), b.Lead(t.Context(), "prune")
		select {
		case <-next:
			t.Fatal("two lead")
		case <-other.Done():
			t.Fatal("the lead of another duty was lost")
		case <-time.After(100 * time.Millisecond):
		}
		giveUp()
		second := term(t, next)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if second.Err() == nil {
			t.Error("the term goes on after the store closed")
		}
	}
	giveUp()
	<-first.Done()
	if _, open := <-terms; open {
		t.Error("another term after ctx ended")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, open := <-a.Lead(t.Context(), "prune"); open {
		t.Error("a closed store leads")
	}
}

func term(t *testing.T, terms <-chan context.Context) context.Context {
	t.Helper()
	select {
	case term, open := <-terms:
		if !open {
			t.Fatal("no term")
		}
		return term
	case <-time.After(30 * time.Second):
		t.Fatal("nobody leads")
	}
	return nil
}

// TestLeadLost: when the server is lost the term ends, and when it is back there is another one.
func TestLeadLost(t *testing.T) {
	pg := postgres.Need(t)
	s := open(t, pg.Database(t))
	terms := s.Lead(t.Context(), "prune")
	first := term(t, terms)
	pg.Stop()
	select {
	case <-first.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the term goes on without a server")
	}
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	if second := term(t, terms); second.Err() != nil {
		t.Error("the second term is over")
	}
}
