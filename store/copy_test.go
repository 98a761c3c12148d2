package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/pki"
)

// reads is everything that can be read from a copy too.
type reads struct {
	Site      *config.Site
	Revision  Revision
	At        []*config.Site
	Revisions []Revision
	History   [][]HistoryEntry
	Entries   []pki.Entry
	Documents map[string][]Document
}

func readAll(t *testing.T, s *Store, collections ...string) (r reads) {
	t.Helper()
	ctx := t.Context()
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Error(err)
		}
	}
	snap, err := s.Site(ctx)
	check(err)
	r.Site, r.Revision = snap.Site, snap.Revision
	for n := range snap.Revision.Number + 1 {
		at, err := s.SiteAt(ctx, n)
		check(err)
		h, err := s.History(ctx, n)
		check(err)
		r.At, r.History = append(r.At, at), append(r.History, h)
	}
	r.Revisions, err = s.Revisions(ctx, 0)
	check(err)
	r.Entries, err = s.Certificates().Entries(ctx)
	check(err)
	r.Documents = map[string][]Document{}
	for _, c := range collections {
		list, err := s.Documents(c).List(ctx, "")
		check(err)
		r.Documents[c] = list
		for _, want := range list {
			got, err := s.Documents(c).Get(ctx, want.Key)
			check(err)
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		}
	}
	return r
}

// sameReads compares sites as sites: what they hold of secrets is not for cmp.
func sameReads(t *testing.T, want, got reads) {
	t.Helper()
	wantSite(t, got.Site, want.Site)
	for i := range want.At {
		wantSite(t, got.At[i], want.At[i])
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(reads{}, "Site", "At"), cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
}

// withCopy opens a store with a copy.
func withCopy(t *testing.T, dsn, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn, Options{Copy: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// followed waits until what a copy holds meets a condition, which is looked at whenever the follower has written.
func followed(t *testing.T, s *Store, holds func(c *engine) bool) {
	t.Helper()
	news := s.signals.add(noticeCopy)
	defer s.signals.drop(news)
	late := time.After(30 * time.Second)
	for !s.hasCopy() || !holds(s.copy.e) {
		select {
		case <-news:
		case <-late:
			mark, err := s.copy.state()
			t.Fatalf("the copy does not follow: %+v, %v", mark, err)
		}
	}
}

// holdsDocument says that a copy has a document at a revision; 0: that it has none.
func holdsDocument(ctx context.Context, collection, key string, revision int64) func(c *engine) bool {
	return func(c *engine) bool {
		var at int64
		_ = c.read.QueryRowContext(ctx, "SELECT revision FROM document WHERE collection = ? AND key = ?", collection, key).Scan(&at)
		return at == revision
	}
}

// shelve gives a store some of everything.
func shelve(t *testing.T, s *Store) (last int64) {
	t.Helper()
	ctx := t.Context()
	site := config.Default("node1")
	site.Users[0].Password = config.NewVerifier("correct horse")
	apply(t, s, site)
	next := site.Clone()
	next.Devices = next.Devices[:1]
	apply(t, s, next)
	apply(t, s, site)
	for i := range 20 {
		e := pki.Entry{Ref: pki.Ref{Issuer: "CN=CA", Serial: fmt.Sprint(i)}, Kind: pki.KindDevice, Name: fmt.Sprint("d", i), NotAfter: time.Unix(2e9, 0).UTC()}
		if err := s.Certificates().Add(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	d := s.Documents("shelf")
	for i := range 20 {
		if _, err := d.Put(ctx, fmt.Sprintf("ä%d", i), i, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Certificates().Revoke(ctx, pki.Ref{Issuer: "CN=CA", Serial: "3"}, time.Now(), "lost"), d.Delete(ctx, "ä7", AnyRevision)); err != nil {
		t.Fatal(err)
	}
	last, err := s.Documents("other").Put(ctx, "last", "x", AnyRevision)
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// TestReadsWhileAway: what could be read of PostgreSQL is read from the copy while it is away, by a node that runs and by one that starts.
func TestReadsWhileAway(t *testing.T) {
	pg := postgres.Need(t)
	dsn, path := pg.Database(t), filepath.Join(t.TempDir(), "copy.db")
	writer := open(t, dsn)
	early := shelve(t, writer) // before there is a copy
	s := withCopy(t, dsn, path)
	followed(t, s, holdsDocument(t.Context(), "other", "last", early))
	shelved := shelve2(t, writer) // and after
	followed(t, s, holdsDocument(t.Context(), "other", "last", shelved))
	want := readAll(t, s, "shelf", "other")
	if len(want.Entries) != 21 || len(want.Documents["shelf"]) != 19 || want.Revision.Number != 4 || want.Entries[3].Revoked.IsZero() || want.Entries[4].Node != "node2" {
		t.Fatalf("%d entries, %d documents, revision %d", len(want.Entries), len(want.Documents["shelf"]), want.Revision.Number)
	}

	pg.Stop()
	t.Cleanup(func() {
		if err := pg.Start(); err != nil {
			t.Error(err)
		}
	})
	sameReads(t, want, readAll(t, s, "shelf", "other"))
	if snap, _ := s.Site(t.Context()); !snap.Stale || !errors.Is(snap.Reason, ErrUnavailable) {
		t.Errorf("stale %v, %v", snap.Stale, snap.Reason)
	}
	if _, err := s.Documents("shelf").Put(t.Context(), "ä1", "x", AnyRevision); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a change: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dsn, Options{Copy: filepath.Join(t.TempDir(), "none.db")}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("start without anything in the copy: %v", err)
	}
	again := withCopy(t, dsn, path)
	sameReads(t, want, readAll(t, again, "shelf", "other"))
	if got, err := again.Certificates().Lookup(t.Context(), want.Entries[3].Ref); err != nil || got != want.Entries[3] {
		t.Errorf("lookup: %+v, %v", got, err)
	}
	if snap := again.Known(); !snap.Stale || !errors.Is(snap.Reason, ErrUnavailable) {
		t.Errorf("started with stale %v, %v", snap.Stale, snap.Reason)
	}
	testTruthIsBack(t, pg, again, want.Revision.Number)
}

// shelve2 changes some of everything.
func shelve2(t *testing.T, s *Store) (last int64) {
	t.Helper()
	ctx := t.Context()
	next := read(t, s).Site.Clone()
	next.Devices[0].Description = "changed"
	next.Devices = append(next.Devices[:1], config.Device{Name: "SEP001122334455", DevicePool: "default"})
	apply(t, s, next)
	reg, d := s.Certificates(), s.Documents("shelf")
	_, err := d.PutAll(ctx, []Write{{"ä1", "new", AnyRevision}, {"new\n\"", "new", 0}})
	err = errors.Join(err, d.Delete(ctx, "ä2", AnyRevision), reg.Revoke(ctx, pki.Ref{Issuer: "CN=CA", Serial: "5"}, time.Now(), "lost too"),
		reg.Place(ctx, pki.Ref{Issuer: "CN=CA", Serial: "4"}, "node2"), reg.Add(ctx, pki.Entry{Ref: pki.Ref{Issuer: "CN=CA", Serial: "new"}}))
	if err != nil {
		t.Fatal(err)
	}
	last, err = s.Documents("other").Put(ctx, "last", "y", AnyRevision)
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// testTruthIsBack: a node that started from its copy takes the truth when it is there again, and tells.
func testTruthIsBack(t *testing.T, pg *postgres.Server, s *Store, revision int64) {
	t.Helper()
	watch := s.Watch(t.Context())
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-watch:
		if got.Stale || got.Reason != nil || got.Revision.Number != revision {
			t.Errorf("told of %+v", got)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was told that the truth is back")
	}
	if read(t, s); s.Known().Stale {
		t.Error("stale")
	}
	pg.Stop()
}
