package provisioning

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/phonexml"
	"github.com/locktone/locktone/wire/trustlist"
)

// Why there is no file.
var (
	errNotFound = errors.New("no such file")
	// errBusy and every other error mean: ask again. They must never become "no such file".
	errBusy = errors.New("too much is being sent at the moment")
)

// question is a request for a file, however it came.
type question struct {
	name   string
	remote netip.Addr
	// bare: the connection says who serves, so a .sgn name is answered with the unsigned body.
	bare bool
}

// body is a file that was found.
type body struct {
	io.ReaderAt
	size    int64
	release func() // when it was sent, or not; may be nil
	file    File
	list    *lists.File // of a trust list
	shared  bool        // ClassCTLCAPF: the list for clients of that CAPF, not that of a device
	notes   []string    // what an operator should know
}

func (b *body) close() {
	if b != nil && b.release != nil {
		b.release()
	}
}

// library finds bodies. Everything in it may be used from any goroutine.
type library struct {
	cfg    Config
	now    func() time.Time
	sign   *signer
	memory *semaphore.Weighted // bytes of bodies in memory
	files  *semaphore.Weighted // open files

	mu       sync.Mutex
	compiled *directory.Directory
	members  []lists.Member // as last read, for when the store is away
}

func newLibrary(cfg Config, now func() time.Time) *library {
	return &library{cfg: cfg, now: now, sign: newSigner(cfg.Identity, now, func(ctx context.Context) (trustlist.Digest, error) { return signatureDigest(ctx, cfg.Store) }),
		memory: semaphore.NewWeighted(cfg.Limits.GeneratedBytes), files: semaphore.NewWeighted(int64(cfg.Limits.OpenFiles))}
}

// find returns the body for a question, errNotFound, or another error.
func (l *library) find(ctx context.Context, q question) (*body, error) {
	f := Resolve(q.name)
	var b *body
	var err error
	switch f.Class {
	case ClassCTL, ClassITL, ClassCTLCAPF:
		b, err = l.list(ctx, q, f)
	case ClassConfig:
		b, err = l.config(ctx, q, f)
	case ClassDefault:
		b, err = l.defaults(ctx, q, f)
	case ClassStatic:
		b, err = l.static(ctx, q, f)
	default:
		err = errNotFound
	}
	if err != nil {
		return &body{file: f}, err
	}
	b.file = f
	return b, nil
}

// bytes makes a body of what is in memory, within the bound on all of them.
func (l *library) bytes(content []byte) (*body, error) {
	n := int64(len(content))
	if !l.memory.TryAcquire(n) {
		return nil, errBusy
	}
	return &body{ReaderAt: bytes.NewReader(content), size: n, release: sync.OnceFunc(func() { l.memory.Release(n) })}, nil
}

// site is the configuration as it is now.
func (l *library) site(ctx context.Context) (*directory.Directory, store.Snapshot, error) {
	snapshot, err := l.cfg.Store.Site(ctx)
	if err != nil {
		return nil, snapshot, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.compiled == nil || l.compiled.Revision() != snapshot.Revision.Number {
		l.compiled = directory.Compile(snapshot.Revision.Number, snapshot.Site)
	}
	return l.compiled, snapshot, nil
}

// signatureDigest is what the site says of signatures on files.
func signatureDigest(ctx context.Context, s Store) (trustlist.Digest, error) {
	snapshot, err := s.Site(ctx)
	if err == nil && snapshot.Site.Cluster.FileSignature == config.SignSHA1 {
		return trustlist.SHA1, nil
	}
	return trustlist.SHA256, err
}

// allMembers are the services of the cluster, as last known when the store is away.
func (l *library) allMembers(ctx context.Context) ([]lists.Member, error) {
	all, err := l.cfg.Members.All(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.members = all
	case l.members != nil && ctx.Err() == nil:
		return l.members, nil
	}
	return all, err
}

// list finds a trust list. That none is published is no answer: see the package's comment.
func (l *library) list(ctx context.Context, q question, f File) (*body, error) {
	device, shared := f.Device, false
	if f.Class == ClassCTLCAPF {
		hit, err := l.isCAPF(ctx, f.CAPF)
		if err != nil {
			return nil, err
		}
		if hit {
			device, shared = "", true
		}
	}
	if device != "" {
		dir, _, err := l.site(ctx)
		if err != nil {
			return nil, err
		}
		if _, ok := dir.Device(device); !ok {
			return nil, errNotFound
		}
	}
	kind := trustlist.CTL
	if f.Class == ClassITL {
		kind = trustlist.ITL
	}
	file, err := l.cfg.Lists.For(ctx, lists.Holder(device, q.remote), kind)
	if err != nil {
		return nil, fmt.Errorf("the %s: %w", kind, err)
	}
	b, err := l.bytes(file.Bytes)
	if err != nil {
		return nil, err
	}
	b.list, b.shared = &file, shared
	if file.Doubt != "" {
		b.notes = append(b.notes, file.Doubt)
	}
	return b, nil
}

// isCAPF reports whether a CAPF can be reached at an IPv4 address.
func (l *library) isCAPF(ctx context.Context, number uint32) (bool, error) {
	members, err := l.allMembers(ctx)
	for _, m := range members {
		for _, a := range m.Addresses {
			if a = a.Unmap(); m.Service == capf && a.Is4() {
				if four := a.As4(); binary.BigEndian.Uint32(four[:]) == number {
					return true, nil
				}
			}
		}
	}
	return false, err
}

// config makes a phone's configuration.
func (l *library) config(ctx context.Context, q question, f File) (*body, error) {
	dir, snapshot, err := l.site(ctx)
	if err != nil {
		return nil, err
	}
	d, ok := dir.Device(f.Device)
	if !ok || d.Protocol.Terminal() {
		return nil, errNotFound
	}
	s := surroundings{site: snapshot.Site, now: l.now()}
	if s.members, err = l.allMembers(ctx); err != nil {
		return nil, err
	}
	if s.profile, err = l.profile(ctx, f.Device); err != nil {
		return nil, err
	}
	full, notes, err := phoneFile(d, &s)
	if err != nil {
		return nil, fmt.Errorf("the configuration of %s: %w", d.Name, err)
	}
	revoked, err := l.revoked(ctx, s.profile)
	if err != nil {
		return nil, err
	}
	how, key, der, why := protect(d, dir.Cluster().SecurityMode, s.profile, revoked)
	if why != "" {
		notes = append(notes, why)
	}
	if f.Form == Encrypted && how != encrypted {
		return nil, errNotFound
	}
	if f.Form != Encrypted && how != signedOnly {
		full, key = phonexml.Short(full, der), nil
	}
	text, err := phonexml.Marshal(full)
	if err != nil {
		return nil, fmt.Errorf("the configuration of %s: %w", d.Name, err)
	}
	if f.Form == Signed && !q.bare || f.Form == Encrypted {
		if text, err = l.sign.sign(ctx, base(q.name), text, key); err != nil {
			return nil, err
		}
	}
	b, err := l.bytes(text)
	if err == nil {
		b.notes = notes
	}
	return b, err
}

// base is a requested name as it stands in a signed file.
func base(name string) string {
	if name != "" && name[0] == '/' {
		return name[1:]
	}
	return name
}

// profile is a device's enrolment profile, nil when there is none.
func (l *library) profile(ctx context.Context, device string) (*capfprofile.Profile, error) {
	if l.cfg.Profiles == nil {
		return nil, nil
	}
	p, err := l.cfg.Profiles.Get(ctx, capfprofile.Owner{Device: device})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &p, nil
}

// revoked reports whether a profile's LSC was revoked.
func (l *library) revoked(ctx context.Context, p *capfprofile.Profile) (bool, error) {
	if l.cfg.Register == nil || p == nil || p.LSC == nil {
		return false, nil
	}
	e, err := l.cfg.Register.Lookup(ctx, p.LSC.Ref)
	if errors.Is(err, fs.ErrNotExist) { // of an authority that never entered it
		return false, nil
	}
	return !e.Revoked.IsZero(), err
}

func (l *library) defaults(ctx context.Context, q question, f File) (*body, error) {
	_, snapshot, err := l.site(ctx)
	if err != nil {
		return nil, err
	}
	members, err := l.allMembers(ctx)
	if err != nil {
		return nil, err
	}
	text, err := phonexml.MarshalDefault(defaultFile(&surroundings{site: snapshot.Site, members: members, now: l.now()}))
	if err != nil {
		return nil, err
	}
	if f.Form == Signed && !q.bare {
		if text, err = l.sign.sign(ctx, base(q.name), text, nil); err != nil {
			return nil, err
		}
	}
	return l.bytes(text)
}

// weakFiles are the profiles whose phones' files are never encrypted, for `show exceptions`.
func weakFiles(s *config.Site) (names []string) {
	for _, p := range s.PhoneSecurityProfiles {
		if p.TFTPEncryptedConfig == config.EncryptOff {
			names = append(names, p.Name)
		}
	}
	return names
}
