package lists

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/trustlist"
)

// MaxFile is the size above which phones do not read a list.
const MaxFile = trustlist.PhoneListSize

// keepAlways is how many versions are kept whoever holds them: a fetch may be known a moment after it happened, and a
// person looking for what went wrong wants to see what was there.
const keepAlways = 8

// SignerSource is where the publisher gets its signers; *pki.Signers is one.
type SignerSource interface{ All() []pki.Signer }

// PublisherConfig says what is published. Lists, Signers and Mode must be set.
type PublisherConfig struct {
	Lists   Documents
	Signers SignerSource
	Mode    func(context.Context) (config.SecurityMode, error)
	// Holdings decides which old versions are kept; nil: all are.
	Holdings *Holdings
	// Digest of the signatures: SHA256 or SHA1, which every reader takes alike; others are refused. nil: SHA256.
	Digest func(context.Context) (trustlist.Digest, error)
	// SignerVersion of the ITL. Zero: 1.1, with which newer phones use HTTPS 6971 and EC keys.
	SignerVersion trustlist.Version
	Now           func() time.Time // nil: time.Now
}

// Publisher makes the lists. One at a time publishes; a second one on another node with the same signers does no harm.
type Publisher struct {
	cfg     PublisherConfig
	members *Members
	reader  *Reader
	one     sync.Mutex // held while publishing
}

// NewPublisher returns a publisher; nothing is published yet.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	if cfg.Lists == nil || cfg.Signers == nil || cfg.Mode == nil {
		return nil, errors.New("lists: a publisher needs documents, signers and the security mode")
	}
	if cfg.SignerVersion == (trustlist.Version{}) {
		cfg.SignerVersion = trustlist.SignerVersion11
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Publisher{cfg: cfg, members: NewMembers(cfg.Lists), reader: NewReader(cfg.Lists, cfg.Holdings)}, nil
}

// Kinds are the lists that are published.
func Kinds() []trustlist.Kind { return []trustlist.Kind{trustlist.CTL, trustlist.ITL} }

// Publish makes and signs new versions of CTL and ITL where members, signers or mode changed, and returns those that
// changed (none: everything was published already). A version is complete in the store or not there at all. When a list
// cannot be made (*TooLargeError, no signer, no members) the old version stays in use.
func (p *Publisher) Publish(ctx context.Context) ([]Version, error) {
	p.one.Lock()
	defer p.one.Unlock()
	var fresh []Version
	var errs []error
	for _, kind := range Kinds() {
		v, changed, err := p.publish(ctx, kind)
		if errors.Is(err, store.ErrConflict) { // another node published meanwhile
			v, changed, err = p.publish(ctx, kind)
		}
		if err != nil {
			errs = append(errs, err)
		} else if changed {
			fresh = append(fresh, v)
		}
	}
	if len(fresh) > 0 {
		errs = append(errs, p.collect(ctx))
	}
	return fresh, errors.Join(errs...)
}

func (p *Publisher) publish(ctx context.Context, kind trustlist.Kind) (Version, bool, error) {
	d, err := p.draft(ctx, kind)
	if err != nil {
		return Version{}, false, err
	}
	cur, revision, err := p.reader.current(ctx, kind)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Version{}, false, err
	}
	if err == nil && cur.Content == d.content() {
		return p.complete(ctx, cur, revision, d)
	}
	v := Version{Kind: kind, Number: cur.Number + 1, Time: p.clock(cur), Mode: d.mode, Records: records(d.servers),
		Default: printOf(d.signers.preferred[0]), Content: d.content()}
	files, err := d.sign(&v, d.signers.preferred)
	if err != nil {
		return Version{}, false, err
	}
	return v, true, p.store(ctx, v, files, 0, revision)
}

// clock is the time of the next version: later than the last one's, since readers notice an older list.
func (p *Publisher) clock(last Version) time.Time {
	now := p.cfg.Now().UTC().Truncate(time.Second)
	if !now.After(last.Time) {
		return last.Time.Add(time.Second)
	}
	return now
}

// complete adds variants to the current version: a signer's key was brought back.
func (p *Publisher) complete(ctx context.Context, v Version, revision int64, d draft) (Version, bool, error) {
	missing := slices.DeleteFunc(slices.Clone(d.signers.preferred), func(s pki.Signer) bool {
		_, ok := v.Variant(printOf(s))
		return ok
	})
	if len(missing) == 0 {
		return v, false, nil
	}
	doc, err := p.cfg.Lists.Get(ctx, versionKey(v.Kind, v.Number))
	if err != nil {
		return v, false, err
	}
	files, err := d.sign(&v, missing)
	if err != nil {
		return v, false, err
	}
	return v, true, p.store(ctx, v, files, doc.Revision, revision)
}

// digest is that of the signatures made now.
func (p *Publisher) digest(ctx context.Context) (trustlist.Digest, error) {
	if p.cfg.Digest == nil {
		return trustlist.SHA256, nil
	}
	d, err := p.cfg.Digest(ctx)
	if err == nil && d != trustlist.SHA256 && d != trustlist.SHA1 {
		err = fmt.Errorf("lists: lists signed with %s are not read alike by phones and JTAPI clients: use SHA-256 or SHA-1 for them", d)
	}
	return d, err
}

// draft lays out what is to be published now.
func (p *Publisher) draft(ctx context.Context, kind trustlist.Kind) (draft, error) {
	d := draft{kind: kind}
	if kind == trustlist.ITL {
		d.signer = p.cfg.SignerVersion
	}
	var err error
	if d.digest, err = p.digest(ctx); err != nil {
		return d, err
	}
	if d.mode, err = p.cfg.Mode(ctx); err != nil {
		return d, err
	}
	members, err := p.members.All(ctx)
	if err != nil {
		return d, err
	}
	if len(members) == 0 {
		return d, errors.New("lists: no service has announced its certificates yet: there is nothing to publish")
	}
	set, err := p.settings(ctx)
	if err != nil {
		return d, err
	}
	if d.signers, err = newSignerSet(p.cfg.Signers.All(), set.Signer); err != nil {
		return d, err
	}
	d.servers, err = serverRows(kind, d.mode, members)
	return d, err
}

// sign makes the variants of the signers, and adds them to the version.
func (d draft) sign(v *Version, signers []pki.Signer) (map[Fingerprint][]byte, error) {
	files := make(map[Fingerprint][]byte)
	for _, s := range signers {
		signer := printOf(s)
		t := trustlist.Draft{Kind: d.kind, Entries: d.entries(signer), Time: v.Time, Digest: d.digest, SignerVersion: d.signer}
		b, warnings, err := t.Sign(trustlist.Signer{Certificate: s.Certificate, Key: s.PrivateKey})
		if err != nil {
			return nil, fmt.Errorf("lists: %w", err)
		}
		if len(b) > MaxFile {
			return nil, d.tooLarge(len(b))
		}
		if signer == v.Default {
			v.Warnings = nil
			for _, w := range warnings {
				v.Warnings = append(v.Warnings, w.What)
			}
		}
		files[signer] = b
		v.Variants = append(v.Variants, d.variant(signer, b))
	}
	v.Signers = records(slices.Concat(d.signers.order(v.Default), d.signers.retiring))
	slices.SortStableFunc(v.Variants, func(a, b Variant) int { return d.preference(a) - d.preference(b) })
	return files, nil
}

// preference is a variant's place: the order in which For tries them.
func (d draft) preference(v Variant) int {
	at := slices.IndexFunc(d.signers.preferred, func(s pki.Signer) bool { return printOf(s) == v.Signer })
	if at < 0 {
		return len(d.signers.preferred) // its key is gone; the file is there
	}
	return at
}

func (d draft) variant(signer Fingerprint, b []byte) Variant {
	m, s1, s2 := md5.Sum(b), sha1.Sum(b), sha256.Sum256(b)
	v := Variant{Signer: signer, Size: len(b), MD5: hex.EncodeToString(m[:]), SHA1: hex.EncodeToString(s1[:]), SHA256: hex.EncodeToString(s2[:])}
	for _, r := range d.signers.order(signer) {
		v.SAST = append(v.SAST, r.Fingerprint)
	}
	return v
}

// pointer says which version is in force.
type pointer struct {
	Number   int `json:"number"`
	Variants int `json:"variants"`
}

// file is a variant's bytes.
type file struct {
	Bytes []byte `json:"bytes"`
}

// store writes a version, its files and the pointer to it: all or nothing.
func (p *Publisher) store(ctx context.Context, v Version, files map[Fingerprint][]byte, versionRevision, pointerRevision int64) error {
	writes := []store.Write{{Key: versionKey(v.Kind, v.Number), Value: v, IfRevision: versionRevision}}
	for _, variant := range v.Variants {
		if b, ok := files[variant.Signer]; ok {
			writes = append(writes, store.Write{Key: fileKey(v.Kind, v.Number, variant.Signer), Value: file{b}, IfRevision: store.AnyRevision})
		}
	}
	writes = append(writes, store.Write{Key: currentKey(v.Kind), Value: pointer{v.Number, len(v.Variants)}, IfRevision: pointerRevision})
	_, err := p.cfg.Lists.PutAll(ctx, writes)
	return err
}

func kindName(k trustlist.Kind) string {
	if k == trustlist.ITL {
		return "itl"
	}
	return "ctl"
}

const versionPrefix = "version/"

func versionKey(k trustlist.Kind, n int) string {
	return fmt.Sprintf("%s%s/%010d", versionPrefix, kindName(k), n)
}

func fileKey(k trustlist.Kind, n int, signer Fingerprint) string {
	return fmt.Sprintf("file/%s/%010d/%s", kindName(k), n, signer)
}

func currentKey(k trustlist.Kind) string { return "current/" + kindName(k) }

// Preview returns what Publish would publish of a kind, as its default signer would sign it, without storing anything.
func (p *Publisher) Preview(ctx context.Context, kind trustlist.Kind) (Version, []byte, error) {
	d, err := p.draft(ctx, kind)
	if err != nil {
		return Version{}, nil, err
	}
	cur, _, err := p.reader.current(ctx, kind)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Version{}, nil, err
	}
	v := Version{Kind: kind, Number: cur.Number + 1, Time: p.clock(cur), Mode: d.mode, Records: records(d.servers),
		Default: printOf(d.signers.preferred[0]), Content: d.content()}
	if cur.Content == v.Content {
		v.Number, v.Time = cur.Number, cur.Time
	}
	files, err := d.sign(&v, d.signers.preferred[:1])
	return v, files[v.Default], err
}

// settings are what an operator decided about publishing.
type settings struct {
	Signer string `json:"signer,omitempty"`
}

const settingsKey = "settings"

func (p *Publisher) settings(ctx context.Context) (s settings, err error) {
	doc, err := p.cfg.Lists.Get(ctx, settingsKey)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(doc.Value, &s)
}

// SignWith makes a signer ("sast-2") the one that signs for those of whom nothing is known. Without it, or while its key
// is not here, it is the first of pki.SignerNames whose key is. Then Publish.
func (p *Publisher) SignWith(ctx context.Context, name string) error {
	if !slices.Contains(pki.SignerNames(), name) {
		return fmt.Errorf("lists: signer %q: want one of %v", name, pki.SignerNames())
	}
	_, err := p.cfg.Lists.PutAll(ctx, []store.Write{{Key: settingsKey, Value: settings{name}, IfRevision: store.AnyRevision}})
	return err
}

// collect removes versions that nobody can hold any more.
func (p *Publisher) collect(ctx context.Context) error {
	if p.cfg.Holdings == nil {
		return nil
	}
	all, err := p.cfg.Holdings.All(ctx)
	if err != nil {
		return err
	}
	for _, kind := range Kinds() {
		held := make(map[int]bool)
		for _, h := range all {
			for _, c := range h.Of(kind).May() {
				held[c.Version] = true
			}
		}
		versions, err := p.reader.Versions(ctx, kind)
		if err != nil {
			return err
		}
		for _, v := range versions[:max(0, len(versions)-keepAlways)] {
			if !held[v.Number] {
				if err := p.remove(ctx, v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// remove forgets a version: its files first, so that what is left of an interruption is found again.
func (p *Publisher) remove(ctx context.Context, v Version) error {
	for _, variant := range v.Variants {
		if err := p.cfg.Lists.Delete(ctx, fileKey(v.Kind, v.Number, variant.Signer), store.AnyRevision); err != nil {
			return err
		}
	}
	return p.cfg.Lists.Delete(ctx, versionKey(v.Kind, v.Number), store.AnyRevision)
}
