package pki

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strconv"
)

// keyring is every generation of one identity as custody keeps it: one value, so that a crash leaves all of it as it was
// or as it is to be. PEM: per certificate a CERTIFICATE block, its PRIVATE KEY block before it when the key is here, and
// role, generation and state in the headers of the first of the two; and a mark with the highest generation ever made, so
// that the name of a discarded one is not given again.
type keyring struct {
	entries []ringEntry
	highest int
}

type ringEntry struct {
	role       string
	generation int
	state      State
	cert       *x509.Certificate
	key        PrivateKey // zero: kept elsewhere
}

const (
	headerRole       = "Locktone-Role"
	headerGeneration = "Locktone-Generation"
	headerState      = "Locktone-State"
	blockHighest     = "LOCKTONE HIGHEST GENERATION"
)

func (k keyring) seal() (Secret, error) {
	var out Secret
	for _, e := range k.entries {
		headers := map[string]string{headerRole: e.role, headerGeneration: strconv.Itoa(e.generation), headerState: e.state.String()}
		if !e.key.IsZero() {
			der, err := x509.MarshalPKCS8PrivateKey(e.key.signer)
			if err != nil {
				return nil, fmt.Errorf("pki: storing the key of %s: %w", e.role, err)
			}
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der, Headers: headers})...)
			headers = nil
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.cert.Raw, Headers: headers})...)
	}
	mark := &pem.Block{Type: blockHighest, Headers: map[string]string{headerGeneration: strconv.Itoa(k.highest)}}
	return append(out, pem.EncodeToMemory(mark)...), nil
}

// openKeyring reads what seal wrote, and the form before there were states: all of it is then active.
func openKeyring(secret Secret) (keyring, error) {
	var k keyring
	var cur ringEntry
	for block, rest := pem.Decode(secret); block != nil; block, rest = pem.Decode(rest) {
		if block.Headers[headerGeneration] != "" {
			e, err := readHeaders(block)
			if err != nil {
				return k, err
			}
			cur = e
			k.highest = max(k.highest, e.generation)
		}
		if block.Type == blockHighest {
			continue
		}
		key, isKey, err := parseKey(block)
		if err != nil {
			return k, err
		}
		if isKey {
			cur.key = key
			continue
		}
		if cur.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
			return k, fmt.Errorf("certificate of %s: %w", cur.role, err)
		}
		if err := cur.check(); err != nil {
			return k, err
		}
		k.entries = append(k.entries, cur)
		cur = ringEntry{}
	}
	k.sort()
	return k, nil
}

func readHeaders(block *pem.Block) (e ringEntry, err error) {
	e.role = block.Headers[headerRole]
	if e.generation, err = strconv.Atoi(block.Headers[headerGeneration]); err != nil || e.generation < 1 {
		return e, fmt.Errorf("a %s with the header %s: %q", block.Type, headerGeneration, block.Headers[headerGeneration])
	}
	e.state = StateActive
	if text := block.Headers[headerState]; text != "" {
		e.state, err = ParseState(text)
	}
	return e, err
}

func (e ringEntry) check() error {
	if e.role == "" || e.generation == 0 {
		return fmt.Errorf("a certificate without its %s and %s headers", headerRole, headerGeneration)
	}
	if e.key.IsZero() {
		return nil
	}
	if err := (Credential{Chain: []*x509.Certificate{e.cert}, Key: e.key}).check(); err != nil {
		return fmt.Errorf("%s: %w", e.role, err)
	}
	return nil
}

// sort: oldest generation first.
func (k *keyring) sort() {
	slices.SortStableFunc(k.entries, func(a, b ringEntry) int {
		return cmp.Or(cmp.Compare(a.generation, b.generation), cmp.Compare(a.role, b.role))
	})
}

// in returns the generation in a state, the newest of several; 0 when there is none.
func (k *keyring) in(s State) int {
	for _, e := range slices.Backward(k.entries) {
		if e.state == s {
			return e.generation
		}
	}
	return 0
}

// of returns the entries of a generation.
func (k *keyring) of(generation int) []ringEntry {
	var of []ringEntry
	for _, e := range k.entries {
		if e.generation == generation {
			of = append(of, e)
		}
	}
	return of
}

// set puts a generation into a state.
func (k *keyring) set(generation int, s State) {
	for i := range k.entries {
		if k.entries[i].generation == generation {
			k.entries[i].state = s
		}
	}
}

// drop forgets a generation.
func (k *keyring) drop(generation int) {
	k.entries = slices.DeleteFunc(k.entries, func(e ringEntry) bool { return e.generation == generation })
}

// add takes in a new generation.
func (k *keyring) add(es ...ringEntry) {
	k.entries = append(k.entries, es...)
	for _, e := range es {
		k.highest = max(k.highest, e.generation)
	}
	k.sort()
}

// promote makes the staged generation the active one; false when none is staged.
func (k *keyring) promote() bool {
	staged := k.in(StateStaged)
	if staged == 0 {
		return false
	}
	k.set(k.in(StateActive), StateRetiring)
	k.set(staged, StateActive)
	return true
}

// clone is a keyring that may be changed without changing this one.
func (k keyring) clone() keyring { return keyring{slices.Clone(k.entries), k.highest} }
