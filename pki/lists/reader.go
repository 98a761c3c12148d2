package lists

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/trustlist"
)

// Reader reads what was published, from the store alone. It is safe for concurrent use. What it has read once of a
// version it remembers, since that does not change.
type Reader struct {
	docs     Documents
	holdings *Holdings
	mu       sync.Mutex
	versions map[string]Version // by key
	files    map[string][]byte  // by key
	known    []Known            // of the versions knownOf
	knownOf  string
}

// The bounds of what is remembered: some 10 kB a version, up to 64 KiB a file.
const (
	maxVersions = 256
	maxFiles    = 32
)

// NewReader returns a reader of a collection (store.Documents(Collection)). holdings may be nil: then For knows nothing
// of any device.
func NewReader(docs Documents, holdings *Holdings) *Reader {
	return &Reader{docs: docs, holdings: holdings, versions: make(map[string]Version), files: make(map[string][]byte)}
}

// remember keeps a value in a bounded memory; which one goes when it is full does not matter.
func remember[T any](r *Reader, in map[string]T, bound int, key string, value T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(in) >= bound {
		for k := range in {
			delete(in, k)
			break
		}
	}
	in[key] = value
}

func remembered[T any](r *Reader, in map[string]T, key string) (T, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := in[key]
	return v, ok
}

// Current returns the version in force; fs.ErrNotExist before the first one.
func (r *Reader) Current(ctx context.Context, kind trustlist.Kind) (Version, error) {
	v, _, err := r.current(ctx, kind)
	return v, err
}

// current returns the revision of the pointer too, 0 when there is none.
func (r *Reader) current(ctx context.Context, kind trustlist.Kind) (Version, int64, error) {
	doc, err := r.docs.Get(ctx, currentKey(kind))
	if errors.Is(err, fs.ErrNotExist) {
		return Version{}, 0, fmt.Errorf("lists: no %s was published yet: %w", kind, fs.ErrNotExist)
	}
	if err != nil {
		return Version{}, 0, err
	}
	var at pointer
	if err := json.Unmarshal(doc.Value, &at); err != nil {
		return Version{}, 0, fmt.Errorf("lists: %s: %w", doc.Key, err)
	}
	v, err := r.version(ctx, kind, at.Number, at.Variants)
	return v, doc.Revision, err
}

// Version returns a version that is still kept; fs.ErrNotExist when it is not.
func (r *Reader) Version(ctx context.Context, kind trustlist.Kind, number int) (Version, error) {
	return r.version(ctx, kind, number, 0)
}

// version takes what is remembered if it has as many variants as wanted.
func (r *Reader) version(ctx context.Context, kind trustlist.Kind, number, variants int) (Version, error) {
	key := versionKey(kind, number)
	if v, ok := remembered(r, r.versions, key); ok && len(v.Variants) >= variants {
		return v, nil
	}
	doc, err := r.docs.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return Version{}, fmt.Errorf("lists: version %d of the %s is not kept: %w", number, kind, fs.ErrNotExist)
	}
	if err != nil {
		return Version{}, err
	}
	var v Version
	if err := json.Unmarshal(doc.Value, &v); err != nil {
		return Version{}, fmt.Errorf("lists: %s: %w", key, err)
	}
	remember(r, r.versions, maxVersions, key, v)
	return v, nil
}

// Versions returns all versions still kept, oldest first.
func (r *Reader) Versions(ctx context.Context, kind trustlist.Kind) ([]Version, error) {
	docs, err := r.docs.List(ctx, versionPrefix+kindName(kind)+"/")
	if err != nil {
		return nil, err
	}
	all := make([]Version, len(docs))
	for i, d := range docs {
		if err := json.Unmarshal(d.Value, &all[i]); err != nil {
			return nil, fmt.Errorf("lists: %s: %w", d.Key, err)
		}
	}
	return all, nil
}

// File returns the bytes of a variant; fs.ErrNotExist when the signer did not sign that version. They are not to be
// changed.
func (r *Reader) File(ctx context.Context, kind trustlist.Kind, number int, signer Fingerprint) ([]byte, error) {
	key := fileKey(kind, number, signer)
	if b, ok := remembered(r, r.files, key); ok {
		return b, nil
	}
	doc, err := r.docs.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("lists: version %d of the %s signed by %.16s... is not there: %w", number, kind, signer.String(), fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	var f file
	if err := json.Unmarshal(doc.Value, &f); err != nil {
		return nil, fmt.Errorf("lists: %s: %w", key, err)
	}
	remember(r, r.files, maxFiles, key, f.Bytes)
	return f.Bytes, nil
}

// For returns the variant of the current version that the holder (see Holder) can verify with whatever it may hold.
func (r *Reader) For(ctx context.Context, holder string, kind trustlist.Kind) (File, error) {
	v, err := r.Current(ctx, kind)
	if err != nil {
		return File{}, err
	}
	f := File{Kind: kind, Version: v.Number, Time: v.Time}
	if f.Signer, f.Doubt, err = r.choose(ctx, holder, v); err != nil {
		return File{}, err
	}
	f.Bytes, err = r.File(ctx, kind, v.Number, f.Signer)
	return f, err
}

// choose returns whose variant a holder is served.
func (r *Reader) choose(ctx context.Context, holder string, v Version) (signer Fingerprint, doubt string, err error) {
	if r.holdings == nil {
		return v.Default, "", nil
	}
	h, ok, err := r.holdings.Get(ctx, holder)
	if err != nil || !ok {
		return v.Default, "", err
	}
	own, err := r.signersOf(ctx, v.Kind, h.Of(v.Kind).May())
	if err != nil {
		return v.Default, "", err
	}
	rest, err := r.signersOf(ctx, other(v.Kind), h.Of(other(v.Kind)).May())
	if err != nil {
		return v.Default, "", err
	}
	all := slices.Concat(own, rest)
	if h.Of(v.Kind).Confirmed == (Copy{}) { // it may have none of the kind: then it verifies its first with the other kind
		own = all
	}
	var signers []Fingerprint
	for _, x := range v.Variants {
		signers = append(signers, x.Signer)
	}
	// Best is who is known by every list of either kind: so the two stay together, and a signer whom all know remains.
	for _, try := range []struct {
		knowledge
		limit int
	}{{all, firstTwo}, {own, firstTwo}, {own, everyone}} {
		if s, ok := try.pick(signers, try.limit); ok {
			return s, "", nil
		}
	}
	s := own.likeliest(signers, v.Default)
	return s, fmt.Sprintf("no signer of %s version %d is in every list that %s may hold (%s)", v.Kind, v.Number, holder, own), nil
}

// knowledge is which signers each list names that a holder may hold.
type knowledge []knows

type knows struct {
	kind trustlist.Kind
	copy Copy
	sast []Fingerprint // in file order
}

// How many signers of a list a reader knows: every reader the first two, most of them every one.
const (
	firstTwo = 2
	everyone = 1 << 10
)

// Trusts returns the signers whom a holder knows for sure: they are named by every list of either kind that it may hold.
// ok is false when nothing is known of it.
func (r *Reader) Trusts(ctx context.Context, holder string) (signers []Fingerprint, ok bool, err error) {
	if r.holdings == nil {
		return nil, false, nil
	}
	h, ok, err := r.holdings.Get(ctx, holder)
	if err != nil || !ok {
		return nil, false, err
	}
	var all knowledge
	for _, kind := range Kinds() {
		more, err := r.signersOf(ctx, kind, h.Of(kind).May())
		if err != nil {
			return nil, false, err
		}
		all = append(all, more...)
	}
	if len(all) == 0 {
		return nil, false, nil
	}
	for _, s := range all[0].sast {
		if all.all(s, everyone) {
			signers = append(signers, s)
		}
	}
	return signers, true, nil
}

// signersOf looks up what lists say. One that is not kept any more says nothing.
func (r *Reader) signersOf(ctx context.Context, kind trustlist.Kind, copies []Copy) (knowledge, error) {
	var all knowledge
	for _, c := range copies {
		v, err := r.Version(ctx, kind, c.Version)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		x, ok := v.Variant(c.Signer)
		if !ok { // a variant added since it was read
			if v, err = r.version(ctx, kind, c.Version, len(v.Variants)+1); err != nil {
				return nil, err
			}
			x, ok = v.Variant(c.Signer)
		}
		if ok {
			all = append(all, knows{kind, c, x.SAST})
		}
	}
	return all, nil
}

func other(kind trustlist.Kind) trustlist.Kind {
	if kind == trustlist.ITL {
		return trustlist.CTL
	}
	return trustlist.ITL
}

// pick returns the first of the signers whom all copies know among their first ones.
func (k knowledge) pick(signers []Fingerprint, limit int) (Fingerprint, bool) {
	for _, s := range signers {
		if k.all(s, limit) {
			return s, true
		}
	}
	return Fingerprint{}, false
}

func (k knowledge) all(s Fingerprint, limit int) bool {
	return !slices.ContainsFunc(k, func(x knows) bool { return !slices.Contains(x.sast[:min(limit, len(x.sast))], s) })
}

// common counts the signers who are among the first two of all copies.
func (k knowledge) common(signers []Fingerprint) int {
	n := 0
	for _, s := range signers {
		n += btoi(k.all(s, firstTwo))
	}
	return n
}

// likeliest returns the signer whom most copies know; what is oldest counts most, since a device that could not verify
// what it fetched has still that.
func (k knowledge) likeliest(signers []Fingerprint, otherwise Fingerprint) Fingerprint {
	best, most := otherwise, 0
	for _, s := range signers {
		n := 0
		for i, x := range k {
			if slices.Contains(x.sast, s) {
				n += 1
				if i == 0 {
					n += len(k)
				}
			}
		}
		if n > most {
			best, most = s, n
		}
	}
	return best
}

// String names the versions.
func (k knowledge) String() string {
	var words []string
	for _, x := range k {
		words = append(words, fmt.Sprintf("%s version %d", x.kind, x.copy.Version))
	}
	return strings.Join(words, ", ")
}

// Known is a certificate of the current lists with every role it has in them.
type Known struct {
	Certificate *x509.Certificate
	Roles       []trustlist.Role // ascending
	Records     []Record
}

// Known returns the certificates of the current CTL and ITL: what TVS answers for. Certificates of the retiring signers
// are among them. What was found is remembered until something is published.
func (r *Reader) Known(ctx context.Context) ([]Known, error) {
	var current []Version
	key := ""
	for _, kind := range Kinds() {
		v, err := r.Current(ctx, kind)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		current = append(current, v)
		key += fmt.Sprintf("%s %d %d ", kind, v.Number, len(v.Variants))
	}
	r.mu.Lock()
	known, of := r.known, r.knownOf
	r.mu.Unlock()
	if of == key {
		return slices.Clone(known), nil
	}
	known, err := r.gather(ctx, current)
	if err == nil {
		r.mu.Lock()
		r.known, r.knownOf = known, key
		r.mu.Unlock()
	}
	return slices.Clone(known), err
}

// gather collects the certificates of some versions, each once.
func (r *Reader) gather(ctx context.Context, of []Version) ([]Known, error) {
	by := make(map[Fingerprint]*Known)
	var order []Fingerprint
	for _, v := range of {
		for _, variant := range v.Variants {
			certs, err := r.certificates(ctx, v, variant)
			if err != nil {
				return nil, err
			}
			for _, c := range certs {
				print := Fingerprint(sha256.Sum256(c.Raw))
				if by[print] == nil {
					by[print] = &Known{Certificate: c}
					order = append(order, print)
				}
			}
		}
		for _, rec := range slices.Concat(v.Signers, v.Records) {
			if k := by[rec.Fingerprint]; k != nil {
				k.Records = append(k.Records, rec)
				k.Roles = append(k.Roles, rec.Role)
			}
		}
	}
	var all []Known
	for _, print := range order {
		k := by[print]
		slices.Sort(k.Roles)
		k.Roles = slices.Compact(k.Roles)
		all = append(all, *k)
	}
	return all, nil
}

// certificates are those of a variant, in file order.
func (r *Reader) certificates(ctx context.Context, v Version, variant Variant) ([]*x509.Certificate, error) {
	b, err := r.File(ctx, v.Kind, v.Number, variant.Signer)
	if err != nil {
		return nil, err
	}
	l, err := trustlist.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("lists: version %d of the %s in the store: %w", v.Number, v.Kind, err)
	}
	var certs []*x509.Certificate
	for i := range l.Records {
		if l.Records[i].Certificate == nil {
			continue // reduced
		}
		c, err := l.Records[i].X509()
		if err != nil {
			return nil, fmt.Errorf("lists: version %d of the %s in the store: %w", v.Number, v.Kind, err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// Signers returns the signers of the current CTL whose certificates a join token pins: active ones, the default signer
// first.
func (r *Reader) Signers(ctx context.Context) ([]Record, error) {
	v, err := r.Current(ctx, trustlist.CTL)
	if err != nil {
		return nil, err
	}
	active := slices.DeleteFunc(slices.Clone(v.Signers), func(x Record) bool { return x.State != pki.StateActive })
	slices.SortStableFunc(active, func(a, b Record) int {
		return cmp.Compare(btoi(a.Fingerprint != v.Default), btoi(b.Fingerprint != v.Default))
	})
	return active, nil
}

// Identify finds the version and the variant whose file has the digest (MD5, SHA-1 or SHA-256, in hex): what a phone
// says of its lists in an alarm. ok is false when no version kept has it.
func (r *Reader) Identify(ctx context.Context, kind trustlist.Kind, digest string) (c Copy, ok bool, err error) {
	versions, err := r.Versions(ctx, kind)
	if err != nil {
		return Copy{}, false, err
	}
	for _, v := range slices.Backward(versions) {
		for _, x := range v.Variants {
			if digest != "" && (strings.EqualFold(digest, x.MD5) || strings.EqualFold(digest, x.SHA1) || strings.EqualFold(digest, x.SHA256)) {
				return Copy{Version: v.Number, Signer: x.Signer, Time: v.Time}, true, nil
			}
		}
	}
	return Copy{}, false, nil
}

// Changed gets a value after something was published or announced; closed with ctx.
func (r *Reader) Changed(ctx context.Context) <-chan struct{} { return r.docs.Watch(ctx) }

// Dependant is a holder that needs a signer.
type Dependant struct {
	Holder string
	Kinds  []trustlist.Kind // of the copies
	Copies []Copy           // what it may hold
}

// Dependants returns who would depend on a single signer, or on none, if only the signers left could sign: the possible
// victims of retiring the others. A holder counts as safe when two of those left are among the first two signers of
// everything it may hold of either kind, so that the loss of any one key strands nobody. left are usually the fingerprints of all signers
// online but the one to be retired. Lists that are not kept any more do not count.
func (r *Reader) Dependants(ctx context.Context, left []Fingerprint) ([]Dependant, error) {
	if r.holdings == nil {
		return nil, errors.New("lists: nobody knows who holds which list: this reader was made without holdings")
	}
	all, err := r.holdings.All(ctx)
	if err != nil {
		return nil, err
	}
	var out []Dependant
	for _, h := range all {
		var know knowledge
		d := Dependant{Holder: h.Holder}
		for _, kind := range Kinds() {
			more, err := r.signersOf(ctx, kind, h.Of(kind).May())
			if err != nil {
				return nil, err
			}
			for _, x := range more {
				d.Copies = append(d.Copies, x.copy)
				d.Kinds = append(d.Kinds, kind)
			}
			know = append(know, more...)
		}
		if len(know) > 0 && know.common(left) < firstTwo {
			out = append(out, d)
		}
	}
	return out, nil
}
