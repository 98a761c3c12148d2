package site

import (
	"context"

	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/ldap"
	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/truststore"
)

// openDirectories makes ready to ask LDAP directories. They have a trust of their own: the cluster's roots, and authorities uploaded for
// directory-trust.
func (s *Site) openDirectories(ctx context.Context) error {
	trust, err := s.directoryTrust(ctx)
	if err != nil {
		return err
	}
	if s.directoryTLS, err = pki.NewIdentity("directory", pki.Snapshot{Trust: trust}, nil); err != nil {
		return err
	}
	s.directoryTLS.Observe(s.observed)
	s.Directories = ldap.NewSet(ldap.Config{Identity: s.directoryTLS, Home: s.opt.Home})
	now, err := s.Store.Site(ctx)
	if err != nil {
		return err
	}
	s.Directories.Use(now.Site)
	s.Syncer = ldap.NewSyncer(s.Store, s.Directories, nil, func(err error) { s.trouble(err.Error()) })
	return nil
}

func (s *Site) directoryTrust(ctx context.Context) (*pki.Trust, error) {
	anchors, err := s.Anchors.Anchors(ctx, truststore.DirectoryTrust)
	if err != nil {
		return nil, err
	}
	return s.CA.Trust(anchors...)
}

// trustDirectories takes uploads into use by the next connection to a directory.
func (s *Site) trustDirectories(ctx context.Context) error {
	if s.directoryTLS == nil {
		return nil
	}
	trust, err := s.directoryTrust(ctx)
	if err != nil {
		return err
	}
	return s.directoryTLS.SetTrust(trust)
}

// followDirectories takes changes of the configuration into use.
func (s *Site) followDirectories() {
	for snap := range s.Store.Watch(s.ctx) {
		s.Directories.Use(snap.Site)
	}
}

// syncDirectories brings users by the clock, on the node that leads.
func (s *Site) syncDirectories() { s.Syncer.Run(s.ctx) }

// loginDirectory is the LDAP directory that knows a user's password, and its name.
func (s *Site) loginDirectory(u *directory.User) (string, login.Directory) {
	d, ok := s.Directories.For(u.User)
	if !ok {
		return "", nil
	}
	return d.Name(), login.LDAP{Directory: d}
}
