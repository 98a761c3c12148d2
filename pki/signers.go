package pki

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// The names of the identities that sign lists.
const (
	SAST1    = "sast-1"       // signs, as long as nothing else is decided
	SAST2    = "sast-2"       // in every list as well: may sign as soon as the first one is lost
	Recovery = "itl-recovery" // in every list, signs nothing in normal times; its key can be kept elsewhere
)

// SignerNames are the three, in the order in which lists name them.
func SignerNames() []string { return []string{SAST1, SAST2, Recovery} }

// signerKind is what a signer is called and how long it lasts. Devices check no validity of a signer, people do.
type signerKind struct {
	stem string
	life time.Duration
}

func signerKindOf(name string) (signerKind, error) {
	switch name {
	case SAST1:
		return signerKind{"SAST1", 10 * year}, nil
	case SAST2:
		return signerKind{"SAST2", 10 * year}, nil
	case Recovery:
		return signerKind{"ITLRECOVERY", 20 * year}, nil
	}
	return signerKind{}, fmt.Errorf("pki: signer %q: want %s, %s or %s", name, SAST1, SAST2, Recovery)
}

// Signer is one generation of an identity that signs lists: a self-signed RSA-2048 certificate with its key. RSA since
// trust lists know nothing else, 2048 bits since phones verify nothing longer. Its common name is SAST1_<cluster>-<id>,
// SAST2_<cluster>-<id> or ITLRECOVERY_<cluster>-<id>, later generations with -g2, -g3, ... behind. It is a crypto.Signer.
type Signer struct {
	Name        string
	Generation  int
	State       State
	Certificate *x509.Certificate
	PrivateKey  // zero when the key is not on this machine
}

// Online reports whether the key is here, so that it can sign.
func (s Signer) Online() bool { return !s.PrivateKey.IsZero() }

// Signers are the identities that sign trust lists, kept in Custody. They are not under the CA: a list has to be
// verifiable by somebody who has only an older list. It is safe for concurrent use.
type Signers struct {
	cfg   Config
	mu    sync.Mutex // held while custody is changed and while rings is read
	rings map[string]keyring
}

func signerSecret(name string) string { return "signer/" + name }

// OpenSigners loads the signers from custody, or makes those that are missing. Config.Register is not used. Two nodes that
// open the same empty custody at once get the same signers.
func OpenSigners(ctx context.Context, cfg Config) (*Signers, error) {
	if cfg.Custody == nil {
		return nil, errors.New("pki: signers need a custody for their keys")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Signers{cfg: cfg, rings: make(map[string]keyring)}
	g, gctx := errgroup.WithContext(ctx)
	for _, name := range SignerNames() {
		g.Go(func() error {
			ring, err := s.open(gctx, name)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.rings[name] = ring
			return err
		})
	}
	return s, g.Wait()
}

func (s *Signers) open(ctx context.Context, name string) (keyring, error) {
	ring, err := s.load(ctx, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, err
	}
	e, err := s.make(name, "", 1)
	if err != nil {
		return keyring{}, err
	}
	e.state = StateActive
	ring = keyring{entries: []ringEntry{e}, highest: 1}
	secret, err := ring.seal()
	if err == nil {
		err = s.cfg.Custody.Create(ctx, signerSecret(name), secret)
	}
	if errors.Is(err, fs.ErrExist) { // another node was faster: its signer is the cluster's
		return s.load(ctx, name)
	}
	return ring, err
}

func (s *Signers) load(ctx context.Context, name string) (keyring, error) {
	secret, err := s.cfg.Custody.Load(ctx, signerSecret(name))
	if err != nil {
		return keyring{}, fmt.Errorf("pki: signer %s: %w", name, err)
	}
	ring, err := openKeyring(secret)
	if err == nil && ring.in(StateActive) == 0 {
		err = errors.New("no active generation")
	}
	if err != nil {
		return ring, fmt.Errorf("pki: signer %s in custody: %w: restore the secret %q from a backup", name, err, signerSecret(name))
	}
	return ring, nil
}

// make makes a generation; stem is the common name of the first one, empty for the first one itself.
func (s *Signers) make(name, stem string, generation int) (ringEntry, error) {
	kind, err := signerKindOf(name)
	if err != nil {
		return ringEntry{}, err
	}
	if stem == "" {
		id := make([]byte, 3)
		rand.Read(id)
		stem = fmt.Sprintf("%s_%s-%x", kind.stem, s.cfg.Cluster, id)
	}
	if generation > 1 {
		stem += "-g" + strconv.Itoa(generation)
	}
	key, err := s.cfg.Keys(RSA2048)
	if err != nil {
		return ringEntry{}, err
	}
	s.cfg.say("made the list signer %s", stem)
	now := s.cfg.Now()
	t := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: stem},
		NotBefore: now.Add(-backdate).UTC().Truncate(time.Second), NotAfter: now.Add(kind.life).UTC().Truncate(time.Second),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	cert, err := create(t, t, key.Public(), key)
	return ringEntry{role: name, generation: generation, state: StateStaged, cert: cert, key: key}, err
}

// Active returns the signer of that name that is in use. Its key may be elsewhere (Online).
func (s *Signers) Active(name string) (Signer, error) {
	return s.pick(name, StateActive)
}

// Staged returns the staged generation of a signer; fs.ErrNotExist when there is none.
func (s *Signers) Staged(name string) (Signer, error) { return s.pick(name, StateStaged) }

func (s *Signers) pick(name string, state State) (Signer, error) {
	if _, err := signerKindOf(name); err != nil {
		return Signer{}, err
	}
	for _, x := range s.All() {
		if x.Name == name && x.State == state {
			return x, nil
		}
	}
	return Signer{}, fmt.Errorf("pki: signer %s has no %s generation: %w", name, state, fs.ErrNotExist)
}

// All returns every generation still known, by name in the order of SignerNames and by generation.
func (s *Signers) All() []Signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Signer
	for _, name := range SignerNames() {
		for _, e := range s.rings[name].entries {
			all = append(all, e.signer())
		}
	}
	return all
}

func (e ringEntry) signer() Signer {
	return Signer{Name: e.role, Generation: e.generation, State: e.state, Certificate: e.cert, PrivateKey: e.key}
}

// change reads a signer from custody, lets f change it and stores it; f returns false when there is nothing to do.
func (s *Signers) change(ctx context.Context, name string, f func(*keyring) (bool, error)) error {
	if _, err := signerKindOf(name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ring, err := s.load(ctx, name)
	if err != nil {
		return err
	}
	changed, err := f(&ring)
	if err != nil {
		return err
	}
	if changed {
		secret, err := ring.seal()
		if err != nil {
			return err
		}
		if err := s.cfg.Custody.Replace(ctx, signerSecret(name), secret); err != nil {
			return fmt.Errorf("pki: storing signer %s: %w", name, err)
		}
	}
	s.rings[name] = ring
	return nil
}

// Stage makes the next generation of a signer without using it; when one is staged already it is returned.
func (s *Signers) Stage(ctx context.Context, name string) (Signer, error) {
	err := s.change(ctx, name, func(k *keyring) (bool, error) {
		if k.in(StateStaged) != 0 {
			return false, nil
		}
		e, err := s.make(name, stemOf(*k), k.highest+1)
		k.add(e)
		return true, err
	})
	if err != nil {
		return Signer{}, err
	}
	return s.Staged(name)
}

// stemOf is the common name without the generation.
func stemOf(k keyring) string {
	e := k.entries[0]
	cn := e.cert.Subject.CommonName
	if suffix := "-g" + strconv.Itoa(e.generation); e.generation > 1 && len(cn) > len(suffix) {
		return cn[:len(cn)-len(suffix)]
	}
	return cn
}

// Activate puts the staged generation in use; the former one is retiring and keeps its key, since devices that know
// no other signer may have to be served. Without a staged one nothing changes.
func (s *Signers) Activate(ctx context.Context, name string) (Signer, error) {
	err := s.change(ctx, name, func(k *keyring) (bool, error) { return k.promote(), nil })
	if err != nil {
		return Signer{}, err
	}
	return s.Active(name)
}

// Discard forgets the staged generation. Its number and name are not used again.
func (s *Signers) Discard(ctx context.Context, name string) error {
	return s.change(ctx, name, func(k *keyring) (bool, error) {
		staged := k.in(StateStaged)
		k.drop(staged)
		return staged != 0, nil
	})
}

// Retire forgets a retiring generation and its key. Only whoever knows that no device depends on it should ask
// (lists.Reader.Dependants).
func (s *Signers) Retire(ctx context.Context, name string, generation int) error {
	return s.change(ctx, name, func(k *keyring) (bool, error) {
		for _, e := range k.of(generation) {
			if e.state != StateRetiring {
				return false, fmt.Errorf("pki: generation %d of signer %s is %s: only a retiring one can be forgotten", generation, name, e.state)
			}
		}
		had := len(k.entries)
		k.drop(generation)
		return len(k.entries) != had, nil
	})
}

// TakeOffline hands out the recovery signer, certificate and key as PEM, and removes the key from this machine: keep
// it in two places. It works once; a second call says that the key is not here.
func (s *Signers) TakeOffline(ctx context.Context) (Secret, error) {
	var out Secret
	err := s.change(ctx, Recovery, func(k *keyring) (bool, error) {
		g := k.in(StateActive)
		var away keyring
		for i, e := range k.entries {
			if e.generation != g {
				continue
			}
			if e.key.IsZero() {
				return false, fmt.Errorf("pki: the key of %s is not on this machine: it was taken offline before", subject(e.cert))
			}
			away.add(e)
			k.entries[i].key = PrivateKey{}
		}
		var err error
		out, err = away.seal()
		return true, err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// BringBack puts the recovery key that TakeOffline handed out back, so that it can sign.
func (s *Signers) BringBack(ctx context.Context, pem Secret) (Signer, error) {
	away, err := openKeyring(pem)
	if err != nil {
		return Signer{}, fmt.Errorf("pki: the recovery key: %w", err)
	}
	at := slices.IndexFunc(away.entries, func(e ringEntry) bool { return !e.key.IsZero() })
	if at < 0 {
		return Signer{}, errors.New("pki: the recovery key: no private key in the PEM text: give what was handed out when it was taken offline")
	}
	back, known := away.entries[at], Signer{}
	err = s.change(ctx, Recovery, func(k *keyring) (bool, error) {
		for i, e := range k.entries {
			if e.cert.Equal(back.cert) {
				k.entries[i].key = back.key
				known = k.entries[i].signer()
				return e.key.IsZero(), nil
			}
		}
		return false, fmt.Errorf("pki: the recovery key is that of %s, which this cluster does not have (any more)", subject(back.cert))
	})
	return known, err
}

// Reload reads custody again (another process or node may have changed it) and reports whether something changed.
func (s *Signers) Reload(ctx context.Context) (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range SignerNames() {
		ring, err := s.load(ctx, name)
		if err != nil {
			return changed, err
		}
		changed = changed || !slices.EqualFunc(ring.entries, s.rings[name].entries, sameEntry)
		s.rings[name] = ring
	}
	return changed, nil
}

func sameEntry(a, b ringEntry) bool {
	return a.generation == b.generation && a.state == b.state && a.cert.Equal(b.cert) && a.key.IsZero() == b.key.IsZero()
}
