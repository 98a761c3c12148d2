package rotation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/locktone/locktone/store"
)

// documents is a collection in memory.
type documents struct {
	mu   sync.Mutex
	docs map[string]store.Document
}

func newDocuments() *documents { return &documents{docs: make(map[string]store.Document)} }

func (d *documents) Get(_ context.Context, key string) (store.Document, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	doc, ok := d.docs[key]
	if !ok {
		return doc, fs.ErrNotExist
	}
	return doc, nil
}

func (d *documents) Put(_ context.Context, key string, value any, ifRevision int64) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := json.Marshal(value)
	if err != nil {
		return 0, err
	}
	now := d.docs[key].Revision
	if len(b) > 256<<10 {
		return 0, errors.New("too large for a document")
	}
	if ifRevision != store.AnyRevision && ifRevision != now {
		return 0, store.ErrConflict
	}
	d.docs[key] = store.Document{Key: key, Revision: now + 1, Value: b}
	return now + 1, nil
}

func (d *documents) Delete(_ context.Context, key string, _ int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.docs, key)
	return nil
}

func (d *documents) List(_ context.Context, prefix string) (docs []store.Document, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, doc := range d.docs {
		if len(key) >= len(prefix) && key[:len(prefix)] == prefix {
			docs = append(docs, doc)
		}
	}
	slices.SortFunc(docs, func(a, b store.Document) int { return int(a.Revision - b.Revision) })
	return docs, nil
}

// contact is what a device does when it is awake: it fetches lists, renews its LSC when told to, and verifies what it meets.
func (w *world) contact(p *phone) error {
	if p.peer {
		*p = *p.told(w)
	} else if ctl, itl, ok := w.fetch(p); ok {
		p.ctl, p.itl = ctl, itl
		if p.jtapi {
			p.itl = nil
		}
	} else {
		return fmt.Errorf("%s accepts no list", p.name)
	}
	if !w.works(p, p.ctl, p.itl) {
		return fmt.Errorf("%s cannot verify what it meets", p.name)
	}
	ca, _ := w.state.Member("ca")
	if g, _ := ca.Active(); p.lsc != nil && p.lsc.Issuer.CommonName != string(g.ID) {
		if !w.enrols(p, p.ctl) {
			return fmt.Errorf("%s gets no new LSC", p.name)
		}
		p.lsc = w.newLSC(p.name, pool.signer(w.t, false, 0))
	}
	if !w.letIn(p) {
		return fmt.Errorf("%s is not let in with its LSC", p.name)
	}
	p.seen = w.state.Time
	return nil
}

// newSimulation is a site with many devices, every twentieth of which falls asleep.
func newSimulation(t testing.TB, count int, seed uint64) *world {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(seed, 1))
	w.populate(r, 0, count)
	for n, p := range w.phones {
		p.asleep = n%20 == 7 && !p.peer
		if p.ctl == nil && !p.peer {
			p.lsc = nil
		}
	}
	return w
}

func simulated(t *testing.T) int {
	if os.Getenv("LOCKTONE_ALL") != "" {
		return 10_000
	}
	return 600
}

// TestRotateEverything: every certificate and every key of a site is replaced, with real lists and real verification, while
// one device in twenty sleeps for a month; at no contact of any device anything fails, and nobody is stranded.
func TestRotateEverything(t *testing.T) {
	w := newSimulation(t, simulated(t), 1)
	now := noon
	runner, err := NewRunner(Config{Site: w, Documents: newDocuments(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := runner.Begin(t.Context(), All, Options{}, "test"); err != nil {
		t.Fatal(err)
	}
	before := identities(w)
	contacts := 0
	for hour := range 24 * 40 {
		now = noon.Add(time.Duration(hour) * time.Hour / 2)
		w.state.Time = now
		asleep := now.Sub(noon) < 30*24*time.Hour/2
		if hour > 40 && asleep && hour%240 != 0 {
			continue // nothing happens but waiting for the sleepers
		}
		st, err := runner.Advance(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range w.phones {
			if p.asleep && asleep {
				continue
			}
			contacts++
			if err := w.contact(p); err != nil {
				t.Fatalf("hour %d, step %d of %d: %v", hour, st.Done+1, len(st.Steps), err)
			}
		}
		if !st.Running() {
			break
		}
		if asleep && hour > 40 && (st.Needed == 0 || st.Steps[st.Done].Action != Wait) {
			t.Fatalf("the run does not wait for sleepers: %+v", st)
		}
	}
	st, err := runner.Status(t.Context())
	if err != nil || st.Running() || st.Done != len(st.Steps) {
		t.Fatalf("not ended: step %d of %d, waits for %d (%v), %v", st.Done+1, len(st.Steps), st.Waiting, st.Waits, err)
	}
	for id := range before {
		if slices.ContainsFunc(w.state.Members, func(m Member) bool {
			return slices.ContainsFunc(m.Generations, func(g Generation) bool { return g.ID == id })
		}) {
			t.Errorf("%s was not rotated", id)
		}
	}
	for _, p := range w.phones {
		if f := w.fate(p); f != Fine {
			t.Errorf("%s is %s", p.name, f)
		}
	}
	t.Logf("%d devices, %d steps, %d lists published, longest list %d bytes, %d contacts, nobody stranded", len(w.phones), len(st.Steps), w.versions, w.peak, contacts)
	if w.peak > 64<<10 {
		t.Errorf("a list of %d bytes is more than phones read", w.peak)
	}
}

func identities(w *world) map[ID]bool {
	ids := make(map[ID]bool)
	for id := range w.certs {
		ids[id] = true
	}
	return ids
}

// TestAtOnceIsRefused: the order that the field fell into is refused with its victims, and when it is forced, exactly these
// are stranded.
func TestAtOnceIsRefused(t *testing.T) {
	w := newSimulation(t, simulated(t), 2)
	now := noon
	runner, err := NewRunner(Config{Site: w, Documents: newDocuments(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		target Target
		order  Order
	}{{ITL, SignersWithTVS}, {All, AtOnce}} {
		var refused *RefusedError
		if _, err := runner.Begin(t.Context(), x.target, Options{Order: x.order}, "test"); !errors.As(err, &refused) {
			t.Fatalf("%s %s: %v, want a refusal", x.target, x.order, err)
		}
		victims := names(refused.Plan.Victims)
		if len(victims) == 0 {
			t.Fatal("refused without a victim")
		}
		if _, err := runner.Begin(t.Context(), x.target, Options{Order: x.order, Accept: victims[1:]}, "test"); !errors.As(err, &refused) || names(refused.Plan.Victims)[0] != victims[0] {
			t.Fatalf("one victim was not named, and the answer is %v", err)
		}
		if _, err := runner.Begin(t.Context(), x.target, Options{Order: x.order, Accept: victims}, "test"); err != nil {
			t.Fatal(err)
		}
		fates := make(map[string]Fate)
		for _, p := range w.phones {
			fates[p.name] = w.fate(p)
		}
		if st, err := runner.Advance(t.Context()); err != nil || st.Running() {
			t.Fatal(st, err)
		}
		var lost []string
		for _, p := range w.phones {
			if w.fate(p) > fates[p.name] {
				lost = append(lost, p.name)
			}
		}
		slices.Sort(lost)
		if d := cmp.Diff(victims, lost); d != "" {
			t.Fatalf("(-planned +simulated):\n%s", d)
		}
		t.Logf("%s %s: %s of %d", x.target, x.order, devices(len(lost)), len(w.phones))
	}
}
