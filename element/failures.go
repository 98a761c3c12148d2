package element

import (
	"crypto/x509"
	"sync"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip/transport"
)

// failures counts refused handshakes by the peer's address, guarded by a lock and bounded.
type failures struct {
	mu  sync.Mutex
	all map[string]failure
}

type failure struct {
	count                           int64
	at                              time.Time
	last, subject, local, direction string
	peer                            string
	shown                           bool
}

const maxFailures = 4096

func (t *failures) add(h transport.HandshakeFailure) failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil || len(t.all) >= maxFailures {
		t.all = map[string]failure{}
	}
	key := h.Remote.Addr().String()
	x := t.all[key]
	x.count++
	x.at, x.last, x.peer, x.local, x.direction = h.At, whyRefused(h), h.Policy, h.Listener, "outbound"
	if h.Inbound {
		x.direction = "inbound"
	}
	x.subject = ""
	if len(h.Chain) > 0 {
		if c, err := x509.ParseCertificate(h.Chain[0]); err == nil {
			x.subject = c.Subject.String()
		}
	}
	t.all[key] = x
	return x
}

func (t *failures) byRemote() map[string]failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[string]failure, len(t.all))
	for k, v := range t.all {
		out[k] = v
	}
	return out
}

// whyRefused says in one sentence why a handshake failed: the verifier's finding, or what the TLS error means.
func whyRefused(h transport.HandshakeFailure) string {
	side := pki.PeerIsServer
	if h.Inbound {
		side = pki.PeerIsClient
	}
	peer := h.Policy
	if peer == "" {
		peer = h.Remote.String()
	}
	decides, found := pki.Explain(h.Err, side).First() // a warning that came along is not the reason
	if !found {
		return peer + ": " + h.Err.Error()
	}
	return decides.Sentence(peer)
}
