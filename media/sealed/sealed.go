// Package sealed carries the SRTP keys of a leg to the one program that is entitled to them, over ways that others can read.
//
// The keys travel inside the signalling (RFC 4568), which ends at the call manager. An application that records or monitors by right gets
// them from there, sealed to its own public key with HPKE in base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM,
// one encapsulation for each message. Whoever else reads the message has nothing. The info string binds a message to where it comes
// from, to the leg, to the receiver and to its place in the receiver's session: it opens nowhere else, and not twice.
//
// Base mode does not say who has sealed. That the message comes from the leg's call manager is the bus's promise, as for every event; a
// forged one has keys that open no packet.
package sealed

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/locktone/locktone/wire/sdp"
)

// Keys are the SRTP keys of a leg as its device uses them. They do not print (sdp.Key).
type Keys struct {
	// Transmit is what the device encrypts with, Receive what it is sent is encrypted with. Zero: none, the media is plain RTP.
	Transmit, Receive sdp.Crypto
}

// IsZero says that there are none.
func (k Keys) IsZero() bool { return k.Transmit.IsZero() && k.Receive.IsZero() }

// Same says whether both pairs are the same.
func (k Keys) Same(o Keys) bool {
	return k.Transmit.SameKey(o.Transmit) && k.Receive.SameKey(o.Receive)
}

// A Binding says where a message belongs.
type Binding struct {
	Cluster, Node, Service string // of the leg
	Call, Leg              uint64 // the engine's own numbers
	Receiver               string // who is entitled, and by what
	Session                string // of the receiver
	N                      uint64 // of the message in the session
}

// info is the binding as octets: each text with its length in front, so that no two bindings are the same octets.
func (b Binding) info() []byte {
	out := []byte("locktone srtp keys 1\x00")
	for _, s := range [...]string{b.Cluster, b.Node, b.Service, b.Receiver, b.Session} {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(s))), s...)
	}
	for _, n := range [...]uint64{b.Call, b.Leg, b.N} {
		out = binary.BigEndian.AppendUint64(out, n)
	}
	return out
}

// KeySize is the number of octets of a receiver's public key.
const KeySize = 32

// Seal seals keys to a receiver's public key.
func Seal(public []byte, b Binding, k Keys) ([]byte, error) {
	if len(public) != KeySize {
		return nil, fmt.Errorf("sealed: a public key has %d octets, this one %d", KeySize, len(public))
	}
	p, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("sealed: the receiver's public key: %w", err)
	}
	to, err := hpke.NewDHKEMPublicKey(p)
	if err != nil {
		return nil, fmt.Errorf("sealed: the receiver's public key: %w", err)
	}
	plain := k.append(nil)
	defer clear(plain)
	return hpke.Seal(to, hpke.HKDFSHA256(), hpke.AES256GCM(), b.info(), plain)
}

// append writes the keys as two values of a=crypto attributes (RFC 4568, 9.1), each on a line, empty where there is none.
func (k Keys) append(b []byte) []byte {
	for _, c := range [...]sdp.Crypto{k.Transmit, k.Receive} {
		if !c.IsZero() {
			b = c.Append(b)
		}
		b = append(b, '\n')
	}
	return b
}

// errOpen says as much as may be said of a message that does not open.
var errOpen = errors.New("sealed: the message was not sealed to this receiver, or not for this leg, session and place")

// A Receiver has the private key. It does not print.
type Receiver struct{ key hpke.PrivateKey }

// NewReceiver makes a receiver with a new key: one for each session.
func NewReceiver() (*Receiver, error) {
	k, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("sealed: no key for a receiver: %w", err)
	}
	return &Receiver{k}, nil
}

// Public is the public key.
func (r *Receiver) Public() []byte { return r.key.PublicKey().Bytes() }

// Format never shows the key.
func (*Receiver) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[redacted]") }

// Open opens a message.
func (r *Receiver) Open(b Binding, message []byte) (Keys, error) {
	plain, err := hpke.Open(r.key, hpke.HKDFSHA256(), hpke.AES256GCM(), b.info(), message)
	if err != nil {
		return Keys{}, errOpen
	}
	defer clear(plain)
	lines := strings.Split(string(plain), "\n")
	if len(lines) != 3 {
		return Keys{}, errOpen
	}
	var k Keys
	for i, c := range [...]*sdp.Crypto{&k.Transmit, &k.Receive} {
		if lines[i] == "" {
			continue
		}
		if *c, err = sdp.ParseCrypto(lines[i]); err != nil {
			return Keys{}, fmt.Errorf("sealed: %w", err)
		}
	}
	return k, nil
}
