package rotation

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
)

// SeenCollection is the collection of the store in which chains are kept that peers showed.
const SeenCollection = "chains-seen"

// SeenDocuments is where chains are kept; *store.Documents is one.
type SeenDocuments interface {
	Documents
	List(ctx context.Context, prefix string) ([]store.Document, error)
	Delete(ctx context.Context, key string, ifRevision int64) error
}

// Bounds of what is kept of strangers.
const (
	maxSeen    = 2000                // chains
	forgetSeen = 90 * 24 * time.Hour // a chain that was not shown since then
	againSeen  = 24 * time.Hour      // a chain shown again is written again
	countSeen  = time.Minute         // what is kept is counted again, for other nodes write too
)

// Shown is a chain somebody showed us.
type Shown struct {
	Peer  string    `json:"peer,omitempty"` // as the policy called it: a trunk's name; may be empty
	Side  pki.Side  `json:"side"`
	Kinds pki.Kinds `json:"kinds"`
	Chain [][]byte  `json:"chain"` // DER, leaf first, as presented
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// Seen records the chains that peers show in handshakes, so that a forecast can tell what will become of them. What our own CA
// issued is left out: the register knows it. It is fed by pki.Identity.Observe and never makes a handshake wait.
type Seen struct {
	docs    SeenDocuments
	now     func() time.Time
	in      chan Shown
	written map[string]time.Time // by key; only the writer's
	kept    int                  // chains in the collection when they were counted, and those written since; only the writer's
	counted time.Time
	dropped atomic.Uint64
}

// NewSeen returns a recorder that writes until ctx ends. now may be nil for time.Now.
func NewSeen(ctx context.Context, d SeenDocuments, now func() time.Time) *Seen {
	if now == nil {
		now = time.Now
	}
	s := &Seen{docs: d, now: now, in: make(chan Shown, 64), written: make(map[string]time.Time)}
	go s.write(ctx)
	return s
}

// Observe remembers a chain that was verified, whether it was let in or not. It never waits: what finds the writer busy is
// dropped and comes again with the next handshake.
func (s *Seen) Observe(r *pki.Report, side pki.Side, p pki.PeerPolicy) {
	if r == nil || len(r.Presented) == 0 || r.Entry != nil {
		return
	}
	x := Shown{Peer: p.Peer, Side: side, Kinds: p.Kinds, First: s.now(), Last: s.now()}
	for _, c := range r.Presented[:min(len(r.Presented), pki.MaxChain)] {
		x.Chain = append(x.Chain, c.Raw)
	}
	select {
	case s.in <- x:
	default:
		s.dropped.Add(1)
	}
}

// Dropped counts what was not remembered: the writer was busy, the store away, or there were too many already.
func (s *Seen) Dropped() uint64 { return s.dropped.Load() }

// key is the same for the same chain shown by the same peer on the same side.
func (x Shown) key() string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\x00%s\x00", x.Side, x.Peer)
	for _, c := range x.Chain {
		h.Write(c) // DER is self-delimiting
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (s *Seen) write(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case x := <-s.in:
			if err := s.keep(ctx, x); err != nil {
				s.dropped.Add(1)
			}
		}
	}
}

// keep writes a chain unless it was written within a day.
func (s *Seen) keep(ctx context.Context, x Shown) error {
	key := x.key()
	if at, known := s.written[key]; known && x.Last.Sub(at) < againSeen {
		return nil
	}
	if s.full() {
		return errFull
	}
	doc, err := s.docs.Get(ctx, key)
	switch {
	case err == nil:
		var old Shown
		if json.Unmarshal(doc.Value, &old) == nil {
			x.First = old.First
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	default:
		if err := s.room(ctx); err != nil {
			return err
		}
	}
	if len(s.written) > 2*maxSeen {
		clear(s.written)
	}
	_, err = s.docs.Put(ctx, key, x, store.AnyRevision)
	if err == nil {
		s.written[key] = x.Last
	}
	return err
}

var errFull = errors.New("rotation: too many chains of strangers")

// full says whether there was no room when chains were last counted, and it is too early to count again: after the loss of a node
// thousands of phones come at once, each with a chain, and none of them may cost a look through the collection.
func (s *Seen) full() bool { return s.kept >= maxSeen && s.now().Sub(s.counted) < countSeen }

// room forgets what was not shown for long, and refuses when there is too much all the same.
func (s *Seen) room(ctx context.Context) error {
	if s.counted.IsZero() || s.now().Sub(s.counted) >= countSeen || s.kept >= maxSeen {
		if err := s.count(ctx); err != nil {
			return err
		}
	}
	if s.kept >= maxSeen {
		return errFull
	}
	s.kept++
	return nil
}

// count looks through the collection. Where it is full, what was not shown for long is forgotten.
func (s *Seen) count(ctx context.Context) error {
	docs, err := s.docs.List(ctx, "")
	if err != nil {
		return err
	}
	s.kept, s.counted = len(docs), s.now()
	for _, doc := range docs {
		var x Shown
		if s.kept < maxSeen || json.Unmarshal(doc.Value, &x) == nil && s.now().Sub(x.Last) < forgetSeen {
			continue
		}
		if err := s.docs.Delete(ctx, doc.Key, store.AnyRevision); err != nil {
			return err
		}
		s.kept--
	}
	return nil
}

// SeenChains returns what a recorder kept, for a forecast, by peer. What cannot be parsed is left out.
func SeenChains(ctx context.Context, d SeenDocuments, now time.Time) ([]Chain, error) {
	docs, err := d.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var chains []Chain
	for _, doc := range docs {
		var x Shown
		if json.Unmarshal(doc.Value, &x) != nil || now.Sub(x.Last) > forgetSeen {
			continue
		}
		if c, ok := x.chain(); ok {
			chains = append(chains, c)
		}
	}
	slices.SortFunc(chains, func(a, b Chain) int { return cmp.Compare(a.Name, b.Name) })
	return chains, nil
}

func (x Shown) chain() (Chain, bool) {
	c := Chain{Holder: cmp.Or(x.Peer, "a peer"), Side: x.Side, Foreign: true, Policy: pki.PeerPolicy{Peer: x.Peer, Kinds: x.Kinds}}
	for _, der := range x.Chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return c, false
		}
		c.Chain = append(c.Chain, cert)
	}
	if len(c.Chain) == 0 {
		return c, false
	}
	role := "client"
	if x.Side == pki.PeerIsServer {
		role = "server"
	}
	c.Name = fmt.Sprintf("%s, as %s: %s", c.Holder, role, cmp.Or(c.Chain[0].Subject.CommonName, c.Chain[0].Subject.String()))
	return c, true
}
