package pki

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// RootGeneration is one pair of roots.
type RootGeneration struct {
	Number int
	State  State
	ECDSA  *x509.Certificate
	RSA    *x509.Certificate
}

// rootPair is a generation ready to issue.
type rootPair struct {
	number  int
	state   State
	ec, rsa issuer
}

func (p *rootPair) public() RootGeneration {
	return RootGeneration{Number: p.number, State: p.state, ECDSA: p.ec.cert, RSA: p.rsa.cert}
}

// rootSet is all of the CA's generations at one moment, oldest first; immutable.
type rootSet struct {
	ring  keyring
	pairs []*rootPair
}

// active is the pair that issues.
func (s *rootSet) active() *rootPair {
	for _, p := range s.pairs {
		if p.state == StateActive {
			return p
		}
	}
	return nil
}

// issuers are all roots, the active pair first, then the others, newest first; ECDSA before RSA.
func (s *rootSet) issuers() []*issuer {
	a := s.active()
	all := []*issuer{&a.ec, &a.rsa}
	for _, p := range slices.Backward(s.pairs) {
		if p != a {
			all = append(all, &p.ec, &p.rsa)
		}
	}
	return all
}

// loadRoots reads what custody has. Linters of pairs already known are kept.
func loadRoots(secret Secret, known *rootSet) (*rootSet, error) {
	ring, err := openKeyring(secret)
	if err != nil {
		return nil, fmt.Errorf("pki: the CA's keys in custody: %w", err)
	}
	s := &rootSet{ring: ring}
	for _, e := range ring.entries {
		if len(s.pairs) > 0 && s.pairs[len(s.pairs)-1].number == e.generation {
			continue
		}
		p, err := loadPair(ring, e.generation, known)
		if err != nil {
			return nil, err
		}
		s.pairs = append(s.pairs, p)
	}
	if s.active() == nil {
		return nil, fmt.Errorf("pki: the CA's keys in custody: no %s: restore the secret %q from a backup", roleRootEC, rootSecret)
	}
	return s, nil
}

func loadPair(ring keyring, number int, known *rootSet) (*rootPair, error) {
	p := &rootPair{number: number}
	for role, to := range map[string]*issuer{roleRootEC: &p.ec, roleRootRSA: &p.rsa} {
		of := ring.of(number)
		at := slices.IndexFunc(of, func(e ringEntry) bool { return e.role == role })
		if at < 0 || of[at].key.IsZero() {
			return nil, fmt.Errorf("pki: the CA's keys in custody: no %s of generation %d: restore the secret %q from a backup", role, number, rootSecret)
		}
		p.state = of[at].state
		is, err := newIssuer(of[at], known)
		if err != nil {
			return nil, err
		}
		*to = is
	}
	return p, nil
}

func newIssuer(e ringEntry, known *rootSet) (issuer, error) {
	if known != nil {
		for _, old := range known.issuers() {
			if old.cert.Equal(e.cert) {
				return *old, nil
			}
		}
	}
	lint, err := newLinter(e.cert)
	return issuer{cert: e.cert, key: e.key, lint: lint}, err
}

// makeRoots makes a pair. The two share an id in their names, and no other pair has it.
func (ca *CA) makeRoots(number int) ([]ringEntry, error) {
	ca.cfg.say("making the cluster CA")
	id := make([]byte, 3)
	rand.Read(id)
	stem := fmt.Sprintf("%s-%x-CA", ca.cfg.Cluster, id)
	if number > 1 {
		stem = fmt.Sprintf("%s-g%d", stem, number)
	}
	var pair []ringEntry
	for _, r := range []struct {
		role, cn string
		alg      Algorithm
	}{{roleRootEC, stem + "-EC", ECDSAP256}, {roleRootRSA, stem, RSA3072}} {
		key, err := ca.cfg.Keys(r.alg)
		if err != nil {
			return nil, err
		}
		cert, err := selfSign(r.cn, key, ca.cfg.Now())
		if err != nil {
			return nil, err
		}
		pair = append(pair, ringEntry{role: r.role, generation: number, state: StateStaged, cert: cert, key: key})
	}
	return pair, nil
}

// openRoots loads the roots, or makes the first pair.
func (ca *CA) openRoots(ctx context.Context) error {
	secret, err := ca.cfg.Custody.Load(ctx, rootSecret)
	if errors.Is(err, fs.ErrNotExist) {
		if secret, err = ca.firstRoots(); err == nil {
			err = ca.cfg.Custody.Create(ctx, rootSecret, secret)
		}
		if errors.Is(err, fs.ErrExist) { // another node was faster: its CA is the cluster's
			secret, err = ca.cfg.Custody.Load(ctx, rootSecret)
		}
	}
	if err != nil {
		return fmt.Errorf("pki: opening the CA: %w", err)
	}
	set, err := loadRoots(secret, nil)
	if err == nil {
		ca.roots.Store(set)
	}
	return err
}

func (ca *CA) firstRoots() (Secret, error) {
	pair, err := ca.makeRoots(1)
	if err != nil {
		return nil, err
	}
	var ring keyring
	ring.add(pair...)
	ring.set(1, StateActive)
	return ring.seal()
}

// changeRoots reads the roots from custody, lets f change them and stores them; f returns false when there is nothing to
// do.
func (ca *CA) changeRoots(ctx context.Context, f func(*keyring) (bool, error)) error {
	ca.changing.Lock()
	defer ca.changing.Unlock()
	secret, err := ca.cfg.Custody.Load(ctx, rootSecret)
	if err != nil {
		return fmt.Errorf("pki: the CA's keys: %w", err)
	}
	set, err := loadRoots(secret, ca.roots.Load())
	if err != nil {
		return err
	}
	ring := set.ring.clone()
	changed, err := f(&ring)
	if err != nil {
		return err
	}
	if changed {
		if secret, err = ring.seal(); err != nil {
			return err
		}
		if set, err = loadRoots(secret, set); err != nil { // before it is stored: what cannot be read is not kept
			return err
		}
		if err := ca.cfg.Custody.Replace(ctx, rootSecret, secret); err != nil {
			return fmt.Errorf("pki: storing the CA's keys: %w", err)
		}
	}
	ca.roots.Store(set)
	return nil
}

// Generations returns the generations of roots that are trusted, oldest first.
func (ca *CA) Generations() []RootGeneration {
	var all []RootGeneration
	for _, p := range ca.roots.Load().pairs {
		all = append(all, p.public())
	}
	return all
}

// rootsIn returns the newest generation in a state.
func (ca *CA) rootsIn(s State) (g RootGeneration) {
	for _, p := range ca.roots.Load().pairs {
		if p.state == s {
			g = p.public()
		}
	}
	return g
}

// StageRoots makes new roots. From the next Trust on they are trusted, and nothing is issued under them yet. When
// some are staged already they are returned.
func (ca *CA) StageRoots(ctx context.Context) (RootGeneration, error) {
	err := ca.changeRoots(ctx, func(k *keyring) (bool, error) {
		if k.in(StateStaged) != 0 {
			return false, nil
		}
		pair, err := ca.makeRoots(k.highest + 1)
		k.add(pair...)
		return true, err
	})
	return ca.rootsIn(StateStaged), err
}

// ActivateRoots lets the staged roots issue from now on; the former ones stay trusted and keep signing their
// revocation list. Without staged ones nothing changes.
func (ca *CA) ActivateRoots(ctx context.Context) (RootGeneration, error) {
	err := ca.changeRoots(ctx, func(k *keyring) (bool, error) { return k.promote(), nil })
	return ca.rootsIn(StateActive), err
}

// DiscardRoots forgets the staged roots. Their number is not used again.
func (ca *CA) DiscardRoots(ctx context.Context) error {
	return ca.changeRoots(ctx, func(k *keyring) (bool, error) {
		staged := k.in(StateStaged)
		k.drop(staged)
		return staged != 0, nil
	})
}

// RetireRoots forgets a retiring generation of roots and erases their keys: what they issued is refused by the next
// Trust. Outstanding tells first what that is.
func (ca *CA) RetireRoots(ctx context.Context, number int) error {
	return ca.changeRoots(ctx, func(k *keyring) (bool, error) {
		of := k.of(number)
		if len(of) > 0 && of[0].state != StateRetiring {
			return false, fmt.Errorf("pki: generation %d of the CA's roots is %s: only a retiring one can be forgotten", number, of[0].state)
		}
		k.drop(number)
		return len(of) > 0, nil
	})
}

// Outstanding returns the certificates that a generation of roots issued and that are neither revoked nor expired.
func (ca *CA) Outstanding(ctx context.Context, number int) ([]Entry, error) {
	names := make(map[string]bool)
	for _, p := range ca.roots.Load().pairs {
		if p.number == number {
			names[p.ec.cert.Subject.String()], names[p.rsa.cert.Subject.String()] = true, true
		}
	}
	entries, err := ca.cfg.Register.Entries(ctx)
	if err != nil {
		return nil, fmt.Errorf("pki: what the CA issued: %w", err)
	}
	now := ca.cfg.Now()
	return slices.DeleteFunc(entries, func(e Entry) bool {
		return !names[e.Issuer] || !e.Revoked.IsZero() || now.After(e.NotAfter)
	}), nil
}

// Reload reads the roots from custody again (another process or node may have changed them) and reports whether they
// changed; then make Trust anew.
func (ca *CA) Reload(ctx context.Context) (changed bool, err error) {
	before := ca.roots.Load().ring.entries
	err = ca.changeRoots(ctx, func(*keyring) (bool, error) { return false, nil })
	return !slices.EqualFunc(before, ca.roots.Load().ring.entries, sameEntry), err
}

// Roots returns the roots that are trusted: the active ones first, ECDSA before RSA, then those of other generations.
// Peers and phones install them as trusted.
func (ca *CA) Roots() []*x509.Certificate {
	var roots []*x509.Certificate
	for _, is := range ca.roots.Load().issuers() {
		roots = append(roots, is.cert)
	}
	return roots
}

// RootsPEM returns Roots as one PEM bundle.
func (ca *CA) RootsPEM() []byte { return encodeCertificates(ca.Roots()) }

// issuedBy returns the generation of roots that signed the certificate; nil when none that is trusted did.
func (s *rootSet) issuedBy(c *x509.Certificate) *rootPair {
	for _, p := range s.pairs {
		for _, root := range []*x509.Certificate{p.ec.cert, p.rsa.cert} {
			if bytes.Equal(root.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(root) == nil {
				return p
			}
		}
	}
	return nil
}
