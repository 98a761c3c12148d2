package lists

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/trustlist"
)

// Fetch is one list handed to one device.
type Fetch struct {
	Device  string     // empty: a client without a name, known by its address
	Address netip.Addr // of the client
	Kind    trustlist.Kind
	Version int
	Signer  Fingerprint
	Time    time.Time // zero: now
}

func (f Fetch) holder() string { return Holder(f.Device, f.Address) }

// HoldingsConfig has good zero values.
type HoldingsConfig struct {
	Delay time.Duration    // how long fetches are gathered before they are written. Default: 1 s
	Now   func() time.Time // nil: time.Now
	// Failed hears of a batch that could not be written; it is tried again with the next. nil: nobody does.
	Failed func(error)
	// Known reports whether the site has the device. Anybody can ask for a list under any name; what is fetched under a
	// name that the site does not have is noted under the client's address, so that made-up names cost nothing. nil: every
	// name is taken. It is called at each fetch and does not wait for anything.
	Known func(device string) bool
}

// Holdings remembers which device fetched which list. Fetches are kept in memory at once, where Reader.For sees them,
// and written in batches; Close writes what is left.
type Holdings struct {
	docs Documents
	cfg  HoldingsConfig

	mu      sync.Mutex
	waiting map[string][]event // by holder, oldest first: not in the store yet
	writing map[string][]event // being written now

	flushing sync.Mutex // one batch at a time
	kick     chan struct{}
	stop     context.CancelFunc
	ended    chan struct{}
}

// event is a fetch or a confirmation.
type event struct {
	Fetch
	confirmed bool
}

// maxCopies bounds what is remembered of a holder that fetches and never confirms: the oldest copy and the newest ones.
const maxCopies = 16

// maxWaiting bounds what is waiting for one holder while the store is away.
const maxWaiting = 64

const holdingPrefix = "holder/"

// OpenHoldings starts it on a collection (store.Documents(HoldingsCollection)).
func OpenHoldings(docs Documents, cfg HoldingsConfig) *Holdings {
	if cfg.Delay == 0 {
		cfg.Delay = time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Failed == nil {
		cfg.Failed = func(error) {}
	}
	ctx, stop := context.WithCancel(context.Background())
	h := &Holdings{docs: docs, cfg: cfg, waiting: make(map[string][]event), kick: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
	go h.run(ctx)
	return h
}

// run writes what is waiting, a while after the first of it came.
func (h *Holdings) run(ctx context.Context) {
	defer close(h.ended)
	for {
		select {
		case <-h.kick:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(h.cfg.Delay):
		case <-ctx.Done():
			return
		}
		if err := h.Flush(ctx); err != nil && ctx.Err() == nil {
			h.cfg.Failed(err)
			h.wake()
		}
	}
}

func (h *Holdings) wake() {
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

// Fetched notes that a device was sent a list whole. It never waits for the store.
func (h *Holdings) Fetched(f Fetch) { h.note(event{Fetch: f}) }

// Confirmed notes that a device proved to use a list: it reported its digest, or did what only that list lets it do. What
// it fetched before that list no longer counts.
func (h *Holdings) Confirmed(f Fetch) { h.note(event{f, true}) }

func (h *Holdings) note(e event) {
	if e.Time.IsZero() {
		e.Time = h.cfg.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	if e.Device != "" && h.cfg.Known != nil && !h.cfg.Known(e.Device) {
		e.Device = ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	key := e.holder()
	list := h.waiting[key]
	if len(list) >= maxWaiting { // the first ones are what it may be holding still
		list = slices.Delete(list, maxWaiting/2, maxWaiting/2+1)
	}
	h.waiting[key] = append(list, e)
	h.wake()
}

// apply adds an event to what is known.
func (x *Holding) apply(e event) {
	x.Holder = e.holder()
	if e.Time.After(x.Seen) {
		x.Seen = e.Time
	}
	if e.Address.IsValid() {
		x.Address = e.Address.Unmap()
	}
	held := x.of(e.Kind)
	c := Copy{e.Version, e.Signer, e.Time}
	at := slices.IndexFunc(held.Fetched, c.same)
	switch {
	case e.confirmed:
		if at >= 0 {
			held.Fetched = slices.Delete(held.Fetched, 0, at+1)
		}
		held.Confirmed = c
	case len(held.Fetched) == 0 && held.Confirmed.same(c):
		held.Confirmed.Time = c.Time
	default:
		if at >= 0 {
			held.Fetched = slices.Delete(held.Fetched, at, at+1)
		}
		held.Fetched = append(held.Fetched, c)
		if len(held.Fetched) > maxCopies {
			held.Fetched = slices.Delete(held.Fetched, 1, 2)
		}
	}
}

func (c Copy) same(d Copy) bool { return c.Version == d.Version && c.Signer == d.Signer }

// pending returns the events of a holder that are not in the store for sure.
func (h *Holdings) pending(holder string) []event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Concat(h.writing[holder], h.waiting[holder])
}

// Get returns what is known of a holder; ok is false when that is nothing.
func (h *Holdings) Get(ctx context.Context, holder string) (x Holding, ok bool, err error) {
	events := h.pending(holder) // before the store is read: an event may be in both, never in neither
	x, revision, err := h.load(ctx, holder)
	for _, e := range events {
		x.apply(e)
	}
	return x, err == nil && (revision != 0 || len(events) > 0), err
}

// load reads a holding from the store; revision 0 when it is not there.
func (h *Holdings) load(ctx context.Context, holder string) (x Holding, revision int64, err error) {
	doc, err := h.docs.Get(ctx, holdingPrefix+holder)
	if errors.Is(err, fs.ErrNotExist) {
		return Holding{Holder: holder}, 0, nil
	}
	if err != nil {
		return Holding{Holder: holder}, 0, err
	}
	return x, doc.Revision, decode(doc, &x)
}

func decode(doc store.Document, x *Holding) error {
	if err := json.Unmarshal(doc.Value, x); err != nil {
		return fmt.Errorf("lists: %s: %w", doc.Key, err)
	}
	return nil
}

// All returns every holding, by holder.
func (h *Holdings) All(ctx context.Context) ([]Holding, error) {
	if err := h.Flush(ctx); err != nil {
		return nil, err
	}
	docs, err := h.docs.List(ctx, holdingPrefix)
	if err != nil {
		return nil, err
	}
	all := make([]Holding, len(docs))
	for i, d := range docs {
		if err := decode(d, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Forget removes a holder: a device that was deleted.
func (h *Holdings) Forget(ctx context.Context, holder string) error {
	h.flushing.Lock()
	defer h.flushing.Unlock()
	h.mu.Lock()
	delete(h.waiting, holder)
	h.mu.Unlock()
	return h.docs.Delete(ctx, holdingPrefix+holder, store.AnyRevision)
}

// batch is how many holdings are written in one transaction.
const batch = 256

// Flush writes what is waiting.
func (h *Holdings) Flush(ctx context.Context) error {
	h.flushing.Lock()
	defer h.flushing.Unlock()
	h.mu.Lock()
	h.writing, h.waiting = h.waiting, make(map[string][]event)
	h.mu.Unlock()
	var holders []string
	for holder := range h.writing { // only changed under flushing
		holders = append(holders, holder)
	}
	slices.Sort(holders)
	var errs []error
	for part := range slices.Chunk(holders, batch) {
		if err := h.write(ctx, part); err != nil {
			errs = append(errs, err)
			h.keep(part)
		}
	}
	h.mu.Lock()
	h.writing = nil
	h.mu.Unlock()
	return errors.Join(errs...)
}

// keep puts what could not be written back in front of what came meanwhile.
func (h *Holdings) keep(holders []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, holder := range holders {
		h.waiting[holder] = slices.Concat(h.writing[holder], h.waiting[holder])
	}
}

// write applies the events of some holders to what the store has; another node may write the same ones.
func (h *Holdings) write(ctx context.Context, holders []string) error {
	for {
		var writes []store.Write
		for _, holder := range holders {
			x, revision, err := h.load(ctx, holder)
			if err != nil {
				return err
			}
			for _, e := range h.writing[holder] {
				x.apply(e)
			}
			writes = append(writes, store.Write{Key: holdingPrefix + holder, Value: x, IfRevision: revision})
		}
		_, err := h.docs.PutAll(ctx, writes)
		if !errors.Is(err, store.ErrConflict) || ctx.Err() != nil {
			return err
		}
	}
}

// Close writes what is waiting and ends.
func (h *Holdings) Close(ctx context.Context) error {
	h.stop()
	<-h.ended
	return h.Flush(ctx)
}
