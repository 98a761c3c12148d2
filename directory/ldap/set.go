package ldap

import (
	"reflect"
	"slices"
	"sync"

	"github.com/locktone/locktone/config"
)

// Set holds the directories of a site, each opened when it is first needed and again when its configuration changes. It is safe for concurrent use.
type Set struct {
	base Config // without Settings

	mu   sync.Mutex
	site *config.Site
	open map[string]*Directory
}

// NewSet returns the set of no site yet. c has what all directories share; its Settings are not looked at.
func NewSet(c Config) *Set {
	return &Set{base: c, site: &config.Site{}, open: map[string]*Directory{}}
}

// Use takes a site into use. Directories that are configured otherwise, or no longer, are closed. The site is not modified and may be shared.
func (s *Set) Use(site *config.Site) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.site = site
	for name, d := range s.open {
		if now, ok := settingsOf(site, name); !ok || !reflect.DeepEqual(now, d.settings) {
			d.Close()
			delete(s.open, name)
		}
	}
}

func settingsOf(site *config.Site, name string) (config.LDAPDirectory, bool) {
	i := slices.IndexFunc(site.LDAPDirectories, func(e config.LDAPDirectory) bool { return e.Name == name })
	if i < 0 {
		return config.LDAPDirectory{}, false
	}
	return site.LDAPDirectories[i].WithDefaults(), true
}

// Get is the directory of that name.
func (s *Set) Get(name string) (*Directory, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.open[name]; ok {
		return d, true
	}
	settings, ok := settingsOf(s.site, name)
	if !ok {
		return nil, false
	}
	c := s.base
	c.Settings = settings
	d := Open(c)
	s.open[name] = d
	return d, true
}

// For is the directory that knows the password of a user of the site; ok is false where the user has it here, or there is no such directory.
func (s *Set) For(u config.User) (*Directory, bool) {
	s.mu.Lock()
	settings, ok := s.site.LDAPFor(u)
	s.mu.Unlock()
	if !ok {
		return nil, false
	}
	return s.Get(settings.Name)
}

// Names are the directories of the site, by name.
func (s *Set) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.site.LDAPDirectories {
		out = append(out, e.Name)
	}
	slices.Sort(out)
	return out
}

// Close closes them all.
func (s *Set) Close() { s.Use(&config.Site{}) }
