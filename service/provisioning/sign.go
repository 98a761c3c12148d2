package provisioning

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/trustlist"
)

// signer signs files with the service's RSA identity, as it is at that moment.
type signer struct {
	identity *pki.Identity
	now      func() time.Time
	digest   func(context.Context) (trustlist.Digest, error)
	// turns bounds how many signatures are made at a time: a building that boots must not take the processor away from calls.
	turns chan struct{}

	mu    sync.Mutex
	known map[[32]byte][]byte // signed files by what went into them
	order [][32]byte          // oldest first
	bytes int
}

// Bounds of what is remembered, so that a phone that asks again, or somebody who asks a thousand times, costs no signature.
const (
	maxKnown      = 4096
	maxKnownBytes = 32 << 20
	maxKnownFile  = 64 << 10
)

func newSigner(id *pki.Identity, now func() time.Time, digest func(context.Context) (trustlist.Digest, error)) *signer {
	return &signer{identity: id, now: now, digest: digest, turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), known: map[[32]byte][]byte{}}
}

// errNoRSA: phones know no other signatures.
var errNoRSA = errors.New("provisioning has no RSA certificate of 2048 or 4096 bits to sign with")

// current is who signs now.
func (s *signer) current() (trustlist.Signer, error) {
	for _, c := range s.identity.Snapshot().Certificates.Server {
		if k, ok := c.Leaf().PublicKey.(*rsa.PublicKey); ok && (k.N.BitLen() == 2048 || k.N.BitLen() == 4096) {
			return trustlist.Signer{Certificate: c.Leaf(), Key: c.Key}, nil
		}
	}
	return trustlist.Signer{}, errNoRSA
}

// sign makes name out of a payload: signed, and with a device key encrypted to it.
func (s *signer) sign(ctx context.Context, name string, payload []byte, device *rsa.PublicKey) ([]byte, error) {
	who, err := s.current()
	if err != nil {
		return nil, err
	}
	digest, err := s.digest(ctx)
	if err != nil {
		return nil, err
	}
	key := inputs(name, payload, device, who, digest)
	if b := s.lookup(key); b != nil {
		return b, nil
	}
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if b := s.lookup(key); b != nil { // somebody else had the turn for the same file
		return b, nil
	}
	options := trustlist.FileOptions{Filename: name, Time: s.now(), Digest: digest}
	var b []byte
	if device != nil {
		b, err = trustlist.EncryptFile(payload, device, options, who)
	} else {
		b, err = trustlist.SignFile(payload, options, who)
	}
	if err == nil {
		s.remember(key, b)
	}
	return b, err
}

// inputs is a hash of all that a signed file is made from, but for the time.
func inputs(name string, payload []byte, device *rsa.PublicKey, who trustlist.Signer, digest trustlist.Digest) (out [32]byte) {
	h := sha256.New()
	io.WriteString(h, name)
	h.Write([]byte{0, byte(digest)})
	h.Write(who.Certificate.Raw)
	if device != nil {
		h.Write(device.N.Bytes())
	}
	h.Write([]byte{0})
	h.Write(payload)
	h.Sum(out[:0])
	return out
}

func (s *signer) lookup(key [32]byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[key]
}

func (s *signer) remember(key [32]byte, b []byte) {
	if len(b) > maxKnownFile {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[key] != nil {
		return
	}
	for len(s.order) > 0 && (len(s.order) >= maxKnown || s.bytes+len(b) > maxKnownBytes) {
		s.bytes -= len(s.known[s.order[0]])
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	s.known[key] = b
	s.order = append(s.order, key)
	s.bytes += len(b)
}
