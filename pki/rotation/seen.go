package rotation

import (
	"context"
	"time"

	"github.com/locktone/locktone/pki"
)

// Seen is the recorder of chains peers showed us (store.Documents, collection "chains-seen"). Its Observe is for
// pki.Identity's observer hook: it never blocks a handshake.
type Seen struct{}

// SeenDocuments is where chains are kept; *store.Documents is one.
type SeenDocuments interface {
	Documents
}

// NewSeen returns a recorder that writes until ctx ends.
func NewSeen(ctx context.Context, d SeenDocuments, now func() time.Time) *Seen { panic("soon") }

// Observe remembers a verified chain.
func (s *Seen) Observe(r *pki.Report, side pki.Side, p pki.PeerPolicy) { panic("soon") }
