package lists

import (
	"context"
	"net/netip"
	"time"

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

// HoldingsConfig has good zero values.
type HoldingsConfig struct {
	Delay time.Duration    // how long fetches are gathered before they are written. Default: 1 s
	Now   func() time.Time // nil: time.Now
	// Failed hears of a batch that could not be written; it is tried again with the next. nil: nobody does.
	Failed func(error)
}

// Holdings remembers which device fetched which list. Fetches are kept in memory at once, where Reader.For sees them,
// and written in batches; Close writes what is left.
type Holdings struct{ docs Documents }

// OpenHoldings starts it on a collection (store.Documents(HoldingsCollection)).
func OpenHoldings(docs Documents, cfg HoldingsConfig) *Holdings { panic("lists: not yet") }

// Fetched notes that a device was sent a list whole. It never blocks on the store.
func (h *Holdings) Fetched(f Fetch) { panic("lists: not yet") }

// Confirmed notes that a device proved to use a list: it reported its digest, or did what only that list lets it do. What
// it fetched before no longer counts.
func (h *Holdings) Confirmed(f Fetch) { panic("lists: not yet") }

// Get returns what is known of a holder; ok is false when that is nothing.
func (h *Holdings) Get(ctx context.Context, holder string) (x Holding, ok bool, err error) {
	panic("lists: not yet")
}

// All returns every holding, by holder.
func (h *Holdings) All(ctx context.Context) ([]Holding, error) { panic("lists: not yet") }

// Forget removes a holder: a device that was deleted.
func (h *Holdings) Forget(ctx context.Context, holder string) error { panic("lists: not yet") }

// Flush writes what is waiting.
func (h *Holdings) Flush(ctx context.Context) error { panic("lists: not yet") }

// Close writes what is waiting and ends.
func (h *Holdings) Close(ctx context.Context) error { panic("lists: not yet") }

// Dependant is a holder that needs a signer.
type Dependant struct {
	Holder string
	Kind   trustlist.Kind
	Copies []Copy // that it may hold and that name no signer still left
}

// Dependants returns who could verify no variant any more if only the signers left could
// sign: the victims of retiring a signer. left are usually the active signers' fingerprints.
func (r *Reader) Dependants(ctx context.Context, left []Fingerprint) ([]Dependant, error) {
	panic("lists: not yet")
}
