package ldap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/store"
)

// SyncCollection is where the outcome of the last synchronisation of each directory is kept, by its name.
const SyncCollection = "ldap-sync"

// Record is what a synchronisation needs of the system of record; *store.Store is one.
type Record interface {
	Site(ctx context.Context) (store.Snapshot, error)
	Apply(ctx context.Context, cs store.ChangeSet) (store.Revision, error)
	Documents(collection string) *store.Documents
	Lead(ctx context.Context, duty string) <-chan context.Context
}

// LastSync is the last synchronisation of a directory.
type LastSync struct {
	At     time.Time  `json:"at"`
	By     string     `json:"by"`
	Report SyncReport `json:"report"`
}

// Syncer brings the users of directories into the site.
type Syncer struct {
	record Record
	set    *Set
	now    func() time.Time
	told   func(error)
}

// NewSyncer returns one. told hears of synchronisations by the clock that failed; now nil is time.Now.
func NewSyncer(r Record, set *Set, now func() time.Time, told func(error)) *Syncer {
	if now == nil {
		now = time.Now
	}
	return &Syncer{record: r, set: set, now: now, told: told}
}

// SyncOptions say how one is done.
type SyncOptions struct {
	DryRun bool
	Force  bool   // although many users would be disabled or removed
	By     string // who wants it
}

// maxRaces is how often a synchronisation begins again because somebody changed the configuration meanwhile.
const maxRaces = 5

// Sync does one. The report has a Problem when the directory could not be read: then nothing was changed.
func (s *Syncer) Sync(ctx context.Context, name string, o SyncOptions) (r SyncReport, err error) {
	d, ok := s.set.Get(name)
	if !ok {
		return r, fmt.Errorf("ldap: no LDAP directory is called %q: %w", name, fs.ErrNotExist)
	}
	found, p := d.Users(ctx)
	if p != nil {
		r = SyncReport{Directory: name, DryRun: o.DryRun, Changes: []UserChange{}, Problem: p}
		return r, s.remember(ctx, o, r)
	}
	for range maxRaces {
		snap, err := s.record.Site(ctx)
		if err != nil {
			return r, err
		}
		var next *config.Site
		next, r = Plan(d.settings, snap.Site, found, o.Force)
		r.DryRun = o.DryRun
		changes := config.Diff(snap.Site, next)
		if o.DryRun {
			return r, nil
		}
		if len(changes) == 0 || r.Refused != "" {
			return r, s.remember(ctx, o, r)
		}
		rev, err := s.record.Apply(ctx, store.ChangeSet{Base: snap.Revision.Number, Author: o.By, Comment: "synchronisation with the LDAP directory " + name, Changes: changes})
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return r, err
		}
		r.Revision = rev.Number
		return r, s.remember(ctx, o, r)
	}
	return r, fmt.Errorf("ldap: the configuration changes all the time: %w", store.ErrConflict)
}

// remember keeps the outcome, for whoever looks and for the clock.
func (s *Syncer) remember(ctx context.Context, o SyncOptions, r SyncReport) error {
	if o.DryRun {
		return nil
	}
	kept := r
	if len(kept.Changes) > 100 { // a first synchronisation adds everybody: the history of the configuration has them
		kept.Changes = kept.Changes[:100]
	}
	_, err := s.record.Documents(SyncCollection).Keep(ctx, r.Directory, LastSync{At: s.now().UTC(), By: o.By, Report: kept})
	return err
}

// Last is the last synchronisation of a directory; the zero value: none is known.
func (s *Syncer) Last(ctx context.Context, name string) (out LastSync, err error) {
	doc, err := s.record.Documents(SyncCollection).Get(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err == nil {
		err = json.Unmarshal(doc.Value, &out)
	}
	return out, err
}

// lookEvery is how often the clock of synchronisations is looked at.
const lookEvery = time.Minute

// Run synchronises by the clock until ctx ends. One node of the cluster does it at a time.
func (s *Syncer) Run(ctx context.Context) {
	for term := range s.record.Lead(ctx, "ldap-sync") {
		tick := time.NewTicker(lookEvery)
		for term.Err() == nil {
			s.due(term)
			select {
			case <-tick.C:
			case <-term.Done():
			}
		}
		tick.Stop()
	}
}

// due does those whose time has come.
func (s *Syncer) due(ctx context.Context) {
	for _, name := range s.set.Names() {
		d, ok := s.set.Get(name)
		if !ok || d.settings.Sync.Interval == 0 {
			continue
		}
		last, err := s.Last(ctx, name)
		if err == nil && s.now().Before(last.At.Add(d.settings.Sync.Interval.D())) {
			continue
		}
		var r SyncReport
		if err == nil {
			r, err = s.Sync(ctx, name, SyncOptions{By: "ldap-sync"})
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
		case r.Problem != nil:
			err = r.Problem
		case r.Refused != "":
			err = errors.New(r.Refused)
		}
		if err != nil {
			s.told(fmt.Errorf("the users of the LDAP directory %s were not brought: %w", name, err))
		}
	}
}
