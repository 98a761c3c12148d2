package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/pki"
)

// TestWalk lets two nodes change the record in random ways while its server stops and starts: nothing that was acknowledged is lost, records
// are there once, and both copies become what the record is. LOCKTONE_WALKS says how many seeds are tried.
func TestWalk(t *testing.T) {
	pg := postgres.Need(t)
	walks, _ := strconv.Atoi(os.Getenv("LOCKTONE_WALKS"))
	for seed := range uint64(max(walks, 1)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { walk(t, pg, rand.New(rand.NewPCG(seed, 20))) })
	}
}

// walked is what was acknowledged.
type walked struct {
	revisions map[int64]string // comments
	documents map[string]string
	certs     map[string]bool
	records   int
}

func walk(t *testing.T, pg *postgres.Server, r *rand.Rand) {
	dsn := pg.Database(t)
	nodes := []*Store{node(t, dsn, t.TempDir()), node(t, dsn, t.TempDir())}
	apply(t, nodes[0], config.Default("node1"))
	read(t, nodes[1])
	w := walked{revisions: map[int64]string{}, documents: map[string]string{}, certs: map[string]bool{}}
	up := true
	for step := range 150 {
		if r.IntN(12) == 0 {
			if up = !up; !up {
				pg.Stop()
			} else if err := pg.Start(); err != nil {
				t.Fatal(err)
			}
		}
		w.step(t, nodes[0], nodes[r.IntN(2)], step, r.IntN(5))
	}
	if !up {
		if err := pg.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range nodes {
		back(t, s)
		drained(t, s)
	}
	w.check(t, nodes)
}

// step is one change; recorder writes the records, so that their order is known.
func (w *walked) step(t *testing.T, recorder, s *Store, n, what int) {
	t.Helper()
	ctx, text := t.Context(), fmt.Sprint(n)
	var err error
	switch what {
	case 0:
		snap, _ := s.Site(ctx)
		next := snap.Site.Clone()
		next.Devices[0].Description = text
		var rev Revision
		if rev, err = s.Apply(ctx, ChangeSet{Base: snap.Revision.Number, Comment: text, Changes: config.Diff(snap.Site, next)}); err == nil {
			w.revisions[rev.Number] = text
		}
	case 1:
		key := fmt.Sprint(n % 7)
		if _, err = s.Documents("kept").Keep(ctx, key, n); err == nil {
			w.documents[key] = text // of one clock: the last is the newest
		}
	case 2:
		if err = s.Certificates().Add(ctx, pki.Entry{Ref: pki.Ref{Issuer: "CN=CA", Serial: text}}); err == nil {
			w.certs[text] = true
		}
	case 3:
		_, err = s.Documents("put").Put(ctx, text, n, 0)
	default:
		appendRecord(t, recorder, w.records)
		w.records++
	}
	if err != nil && !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrConflict) {
		t.Errorf("step %d (%d): %v", n, what, err)
	}
}

func (w *walked) check(t *testing.T, nodes []*Store) {
	t.Helper()
	ctx := t.Context()
	wantRecords(t, nodes[0], w.records)
	last, err := nodes[1].Documents("put").Put(ctx, "last", 0, AnyRevision)
	if err != nil {
		t.Fatal(err)
	}
	truth := readAll(t, nodes[0], "kept", "put")
	comments := map[int64]string{}
	for _, r := range truth.Revisions {
		comments[r.Number] = r.Comment
	}
	for number, comment := range w.revisions {
		if comments[number] != comment {
			t.Errorf("revision %d (%s) was acknowledged and is lost", number, comment)
		}
	}
	kept := map[string]string{}
	for _, d := range truth.Documents["kept"] {
		kept[d.Key] = string(d.Value)
	}
	if d := cmp.Diff(w.documents, kept); d != "" {
		t.Error(d)
	}
	serials := map[string]bool{}
	for _, e := range truth.Entries {
		serials[e.Serial] = true
	}
	for serial := range w.certs {
		if !serials[serial] {
			t.Errorf("certificate %s was acknowledged and is lost", serial)
		}
	}
	for i, s := range nodes {
		followed(t, s, holdsDocument(ctx, "put", "last", last))
		for _, table := range copied {
			if d := cmp.Diff(tableText(t, nodes[0].e, table), tableText(t, s.copy.e, table), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("copy of node %d: %s: %s", i, table, d)
			}
		}
	}
}

// tableText is a table, row by row.
func tableText(t *testing.T, e *engine, table string) (out []string) {
	t.Helper()
	d, err := e.dump(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, x := range d.Tables() {
		if x.Name != table {
			continue
		}
		if err := d.Rows(t.Context(), x, func(row []any) error { out = append(out, fmt.Sprint(row...)); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
