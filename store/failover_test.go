package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/postgres"
)

// pair is a primary with a standby that it waits for, of this test alone, and a database on them.
func pair(t *testing.T) (primary, standby *postgres.Server, dsn string) {
	t.Helper()
	primary, err := postgres.New()
	if err != nil {
		if errors.Is(err, postgres.ErrNotInstalled) && os.Getenv("LOCKTONE_REQUIRE_PEERS") != "1" {
			t.Skip("fail-over is not tested: ", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = primary.Close() })
	name, err := primary.Create(t.Context())
	if err == nil {
		standby, err = primary.Standby()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Close() })
	return primary, standby, primary.URLs(name, standby)
}

// change applies one change after the other, and appends a record with each, until ctx ends; it gives back the revisions that were
// acknowledged, by their comment.
func changes(ctx context.Context, t *testing.T, s *Store, acknowledged func(n int)) map[string]int64 {
	done := map[string]int64{}
	for n := 0; ctx.Err() == nil; {
		snap, err := s.Site(ctx)
		if err != nil {
			break
		}
		next := snap.Site.Clone()
		next.Devices[0].Description = fmt.Sprint(n)
		r, err := s.Apply(context.Background(), ChangeSet{Base: snap.Revision.Number, Author: "writer", Comment: fmt.Sprint(n), Changes: config.Diff(snap.Site, next)})
		switch {
		case err == nil:
			done[r.Comment] = r.Number
			c, l := record(len(done) - 1)
			if err := errors.Join(s.AppendCalls(context.Background(), c), s.AppendLegs(context.Background(), l)); err != nil {
				t.Error(err)
			}
			acknowledged(n)
			n++
		case errors.Is(err, ErrConflict): // a commit without an answer did it, and did so under this comment
			n++
		case errors.Is(err, ErrUnavailable):
			pause(ctx, 5*time.Millisecond)
		default:
			t.Error(err)
			return done
		}
	}
	return done
}

// TestFailOver kills the primary of a PostgreSQL with a standby while changes are made, and promotes the standby: what was acknowledged is
// there, records are there once, notices go on, the lead is taken again, and the copies are those of the new primary.
func TestFailOver(t *testing.T) {
	primary, standby, dsn := pair(t)
	a, b := node(t, dsn, t.TempDir()), node(t, dsn, t.TempDir())
	apply(t, a, config.Default("node1"))
	terms := b.Lead(t.Context(), "prune")
	term(t, terms)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	progress, result := make(chan int, 100_000), make(chan map[string]int64, 1)
	go func() { result <- changes(ctx, t, a, func(n int) { progress <- n }) }()
	for range 20 {
		<-progress
	}
	begin := time.Now()
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	promoted := time.Now()
	for len(progress) > 0 {
		<-progress
	}
	select {
	case <-progress:
	case <-time.After(20 * time.Second):
		since, why := a.e.link.state()
		t.Fatalf("no change on the new primary: %v %v", since, why)
	}
	t.Logf("a change was acknowledged %v after the primary was killed, %v after the standby was promoted", time.Since(begin), time.Since(promoted))
	watch := b.Watch(t.Context())
	for range 20 {
		<-progress
	}
	stop()
	acknowledged := <-result
	latest := a.Known().Revision.Number
	await(t, watch, latest) // LISTEN goes on at the new primary
	term(t, terms)
	drained(t, a)
	wantRecords(t, a, len(acknowledged))
	revisions, err := b.Revisions(t.Context(), 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]int64{}
	for _, r := range revisions {
		there[r.Comment] = r.Number
	}
	for comment, number := range acknowledged {
		if there[comment] != number {
			t.Errorf("revision %d (%s) was acknowledged and is lost", number, comment)
		}
	}
	for _, s := range []*Store{a, b} {
		followed(t, s, func(c *engine) bool { r, err := c.newest(t.Context(), c.read); return err == nil && r.Number >= latest })
		site, err := s.copy.e.site(t.Context(), s.copy.e.read)
		if err != nil {
			t.Fatal(err)
		}
		wantSite(t, site, read(t, s).Site)
	}
}

// TestHungPrimary: a primary that hangs does not keep its nodes from the standby that was promoted in its place.
func TestHungPrimary(t *testing.T) {
	primary, standby, dsn := pair(t)
	s := node(t, dsn, t.TempDir())
	apply(t, s, config.Default("node1"))
	if err := primary.Hang(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	next := config.Default("node1")
	next.Devices[0].Description = "on the new one"
	for {
		_, err := s.Apply(t.Context(), ChangeSet{Base: 1, Changes: config.Diff(config.Default("node1"), next)})
		if err == nil {
			break
		}
		if !errors.Is(err, ErrUnavailable) || time.Since(begin) > 30*time.Second {
			t.Fatal(err)
		}
		pause(t.Context(), 10*time.Millisecond)
	}
	t.Logf("the new primary took a change %v after the old one hung", time.Since(begin))
}
