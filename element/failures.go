package element

import (
	"crypto/x509"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip/transport"
)

// A HandshakeFailure is a connection that never became one, as an operator reads it.
type HandshakeFailure struct {
	At        time.Time `json:"at"`
	Peer      string    `json:"peer,omitempty"` // that was dialled
	Remote    string    `json:"remote"`
	Local     string    `json:"local,omitempty"` // the listener
	Direction string    `json:"direction"`       // inbound, outbound
	Phase     string    `json:"phase"`           // see transport.HandshakeFailure
	Chain     []string  `json:"chain,omitempty"` // subjects of what the peer had shown, leaf first
	Why       string    `json:"why"`             // the finding that decided, and what to do, in one sentence
	Findings  []string  `json:"findings,omitempty"`
}

// failures counts refused handshakes by the peer's address and keeps the newest, guarded by a lock and bounded.
type failures struct {
	mu     sync.Mutex
	all    map[string]failure
	newest []HandshakeFailure // oldest first
	total  uint64
}

type failure struct {
	count int64
	last  HandshakeFailure
	shown bool
}

// Most addresses with failures that are counted, and most failures that are kept.
const (
	maxFailures = 4096
	maxNewest   = 256
)

func (t *failures) add(h transport.HandshakeFailure) HandshakeFailure {
	x := readable(h)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil || len(t.all) >= maxFailures {
		t.all = map[string]failure{}
	}
	key := h.Remote.Addr().String()
	t.all[key] = failure{count: t.all[key].count + 1, last: x}
	if t.total++; len(t.newest) >= maxNewest {
		t.newest = slices.Delete(t.newest, 0, 1)
	}
	t.newest = append(t.newest, x)
	return x
}

// HandshakeFailures are the newest handshakes that failed, oldest first, with what was found: at most 256.
func (e *Element) HandshakeFailures() []HandshakeFailure {
	e.failures.mu.Lock()
	defer e.failures.mu.Unlock()
	return slices.Clone(e.failures.newest)
}

// readable puts a failure into words.
func readable(h transport.HandshakeFailure) HandshakeFailure {
	x := HandshakeFailure{At: h.At.UTC(), Peer: h.Policy, Remote: h.Remote.String(), Local: h.Listener, Direction: "outbound", Phase: h.Phase, Why: whyRefused(h)}
	side := pki.PeerIsServer
	if h.Inbound {
		side, x.Direction = pki.PeerIsClient, "inbound"
	}
	for _, f := range pki.Explain(h.Err, side) {
		x.Findings = append(x.Findings, f.String())
	}
	for _, der := range h.Chain {
		if c, err := x509.ParseCertificate(der); err == nil {
			x.Chain = append(x.Chain, c.Subject.String())
		}
	}
	return x
}

// subject is whom the leaf was issued to.
func (x *HandshakeFailure) subject() string {
	if len(x.Chain) == 0 {
		return ""
	}
	return x.Chain[0]
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
