package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/locktone/locktone/cmd/locktone/site"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/address"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/service/ctimanager"

	"crypto/x509"
)

// Options of a throw-away site. The zero value is the site of a first `locktone up`.
type Options struct {
	Home   string       // "": a temporary folder that Close removes
	Config *config.Site // nil: config.Default
	// ConfigAt makes the configuration for the address that the call manager will have, in place of Config.
	ConfigAt func(netip.Addr) *config.Site
	Node     config.NodeConfig // what the node knows before it can read its store; zero: everything embedded
	Progress func(string)
	Tune     func(*callmanager.Config)
	TuneCTI  func(*ctimanager.Config)
	// Laboratory changes border, call server, voice browser and contact centre.
	Laboratory site.Laboratory
	Patience   time.Duration // of rotations with devices that are awake; 0: 15 minutes
}

// Site is a throw-away site.
type Site struct {
	*site.Site
	address   address.Taken
	temporary string
}

// Start starts a site on an address of its own.
func Start(ctx context.Context, o Options) (*Site, error) {
	s := &Site{}
	if o.Home == "" {
		dir, err := os.MkdirTemp("", "locktone-lab-")
		if err != nil {
			return nil, err
		}
		o.Home, s.temporary = filepath.Join(dir, "home"), dir
	}
	opt := site.Options{Home: o.Home, Site: o.Config, Node: o.Node, Version: "lab", Progress: o.Progress, NoPhones: true, Tune: o.Tune, TuneCTI: o.TuneCTI,
		Laboratory: o.Laboratory, Patience: o.Patience, Keys: (&keys{used: map[pki.Algorithm]int{}}).make}
	opt.Node.Admin.Address = "127.0.0.1:0"
	for {
		var err error
		if s.address, err = address.Take(); err != nil {
			return nil, errors.Join(err, s.remove())
		}
		if opt.CallManager = s.address.Addr; o.ConfigAt != nil {
			opt.Site = o.ConfigAt(opt.CallManager)
		}
		s.Site, err = site.Start(ctx, opt)
		if errors.Is(err, syscall.EADDRINUSE) && s.address.Release() == nil {
			continue // somebody who does not ask took the address since we looked
		}
		if err != nil {
			return nil, errors.Join(err, s.remove())
		}
		return s, nil
	}
}

// Close stops the site and removes its folder when it was temporary.
func (s *Site) Close(ctx context.Context) error {
	return errors.Join(s.Site.Close(ctx), s.remove())
}

func (s *Site) remove() error {
	err := s.address.Release()
	if s.temporary == "" {
		return err
	}
	return errors.Join(err, os.RemoveAll(s.temporary))
}

// Roots are the site's own authorities, as its phones know them.
func (s *Site) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range s.CA.Roots() {
		pool.AddCert(c)
	}
	return pool
}

// Issue makes a certificate of the site's authority.
func (s *Site) Issue(ctx context.Context, kind pki.Kind, name string) (pki.Credential, error) {
	issued, err := s.CA.Issue(ctx, pki.Request{Kind: kind, Name: name})
	if err != nil {
		return pki.Credential{}, fmt.Errorf("certificate for %s %s: %w", kind, name, err)
	}
	return issued.Credential, nil
}

// Phone starts a phone of the lab with a certificate for the device. change, where not nil, alters its configuration first.
func (s *Site) Phone(ctx context.Context, device, number string, change func(*phone.Config)) (*phone.Phone, error) {
	credential, err := s.Issue(ctx, pki.KindDevice, device)
	if err != nil {
		return nil, err
	}
	cfg := phone.Config{Name: device, Number: number, Domain: "locktone.test", Server: netip.AddrPortFrom(s.CallManager(), 5061).String(),
		Certificate: credential.TLS(), Roots: s.Roots()}
	if change != nil {
		change(&cfg)
	}
	return phone.Start(ctx, cfg)
}

// Registered starts a phone and waits until it is registered.
func (s *Site) Registered(ctx context.Context, device, number string) (*phone.Phone, error) {
	p, err := s.Phone(ctx, device, number, nil)
	if err != nil {
		return nil, err
	}
	if err := p.WaitRegistered(ctx); err != nil {
		return nil, errors.Join(err, p.Close(ctx))
	}
	return p, nil
}
