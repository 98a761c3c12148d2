package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/pki"
)

func testDocuments(t *testing.T, dsn string) {
	s := open(t, dsn)
	d := s.Documents("shelf")
	ctx := t.Context()
	if _, err := d.Get(ctx, "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	first, err := d.Put(ctx, "a", map[string]int{"n": 1}, 0)
	if err != nil || first <= 0 {
		t.Fatalf("revision %d, %v", first, err)
	}
	if _, err := d.Put(ctx, "a", 2, 0); !errors.Is(err, ErrConflict) {
		t.Errorf("made twice: %v", err)
	}
	second, err := d.Put(ctx, "a", map[string]int{"n": 2}, first)
	if err != nil || second <= first {
		t.Fatalf("revision %d after %d, %v", second, first, err)
	}
	if _, err := d.Put(ctx, "a", 3, first); !errors.Is(err, ErrConflict) {
		t.Errorf("written over a newer one: %v", err)
	}
	if _, err := d.Put(ctx, "new", 3, first); !errors.Is(err, ErrConflict) {
		t.Errorf("changed what is not there: %v", err)
	}
	third, err := d.Put(ctx, "a", map[string]int{"n": 3}, AnyRevision)
	if err != nil || third <= second {
		t.Fatalf("revision %d after %d, %v", third, second, err)
	}
	got, err := d.Get(ctx, "a")
	if err != nil || got.Revision != third || string(got.Value) != `{"n":3}` || got.Time.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	if err := d.Delete(ctx, "a", second); !errors.Is(err, ErrConflict) {
		t.Errorf("removed an older one: %v", err)
	}
	for _, at := range []int64{third, AnyRevision} {
		if err := d.Delete(ctx, "a", at); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	if again, err := d.Put(ctx, "a", 4, 0); err != nil || again <= third {
		t.Errorf("made again with revision %d after %d: %v", again, third, err)
	}
	if _, err := d.Put(ctx, "large", strings.Repeat("x", maxDocument), AnyRevision); err == nil {
		t.Error("a large document was kept")
	}
	if _, err := d.Put(ctx, "c", make(chan int), AnyRevision); err == nil {
		t.Error("a value that is no JSON was kept")
	}
	testDocumentLists(t, s)
}

func testDocumentLists(t *testing.T, s *Store) {
	ctx := t.Context()
	d := s.Documents("list")
	if _, err := d.PutAll(ctx, []Write{{"x%/2", 2, 0}, {"x%/1", 1, 0}, {"xy", 3, 0}, {"x_", 4, AnyRevision}}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.PutAll(ctx, []Write{{"z", 1, 0}, {"xy", 1, 0}}); !errors.Is(err, ErrConflict) {
		t.Errorf("one of two conflicts: %v", err)
	}
	if _, err := d.Get(ctx, "z"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half was written: %v", err)
	}
	for prefix, want := range map[string]string{"x%/": "x%/1 x%/2", "": "x%/1 x%/2 x_ xy", "xy": "xy", "q": ""} {
		list, err := d.List(ctx, prefix)
		var keys []string
		for _, x := range list {
			keys = append(keys, x.Key)
		}
		if got := strings.Join(keys, " "); err != nil || got != want {
			t.Errorf("%q: %q, want %q, %v", prefix, got, want, err)
		}
	}
	if other, err := s.Documents("lis").List(ctx, ""); err != nil || len(other) != 0 {
		t.Errorf("another collection: %v, %v", other, err)
	}
}

// testDocumentsOfTwo lets two processes count with compare and swap: no count is lost.
func testDocumentsOfTwo(t *testing.T, dsn string) {
	const each = 20
	var wg sync.WaitGroup
	for range 2 {
		d := open(t, dsn).Documents("count")
		wg.Go(func() {
			for range each {
				for {
					n, at := 0, int64(0)
					if doc, err := d.Get(t.Context(), "n"); err == nil {
						at = doc.Revision
						_ = json.Unmarshal(doc.Value, &n)
					}
					_, err := d.Put(t.Context(), "n", n+1, at)
					if errors.Is(err, ErrConflict) {
						continue
					}
					if err != nil {
						t.Error(err)
					}
					break
				}
			}
		})
	}
	wg.Wait()
	doc, err := open(t, dsn).Documents("count").Get(t.Context(), "n")
	if err != nil || string(doc.Value) != fmt.Sprint(2*each) {
		t.Errorf("%s, %v; want %d", doc.Value, err, 2*each)
	}
}

func testDocumentsWatched(t *testing.T, dsn string) {
	a := open(t, dsn)
	ctx := t.Context()
	seen, other := a.Documents("w").Watch(ctx), a.Documents("v").Watch(ctx)
	await := func(c <-chan struct{}) {
		t.Helper()
		select {
		case _, open := <-c:
			if !open {
				t.Fatal("closed")
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no sign of a change")
		}
	}
	drain := func() { // the first connection of another engine wakes everybody once
		for len(seen)+len(other) > 0 {
			select {
			case <-seen:
			case <-other:
			}
		}
	}
	if _, err := a.Documents("w").Put(ctx, "k", 1, AnyRevision); err != nil {
		t.Fatal(err)
	}
	await(seen)
	if a.e.notify != "" {
		b := open(t, dsn)
		drain()
		if _, err := b.Documents("w").Put(ctx, "k", 2, AnyRevision); err != nil {
			t.Fatal(err)
		}
		await(seen)
	}
	revoked := a.Certificates().Watch(ctx)
	e := pki.Entry{Ref: pki.Ref{Issuer: "CN=x", Serial: "1"}, Kind: pki.KindDevice, Name: "n"}
	if err := errors.Join(a.Certificates().Add(ctx, e), a.Certificates().Revoke(ctx, e.Ref, time.Now(), "lost")); err != nil {
		t.Fatal(err)
	}
	await(revoked)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []<-chan struct{}{seen, other} {
		for range 3 {
			if _, open := <-c; !open {
				break
			}
		}
		if _, open := <-c; open {
			t.Error("open after the store closed")
		}
	}
}
