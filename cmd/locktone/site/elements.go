package site

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/border"
	"github.com/locktone/locktone/service/callserver"
	"github.com/locktone/locktone/service/contactcenter"
	"github.com/locktone/locktone/service/contactcenter/phones"
	"github.com/locktone/locktone/service/voicebrowser"
	"github.com/locktone/locktone/wire/secret"
)

// Laboratory is what only laboratories change of the elements beside the call manager; zero changes nothing.
type Laboratory struct {
	Network element.Network
	KeyLog  pki.KeyLogWriter
	// Worker is the command of the processes of voice browsers; none: this program.
	Worker []string
}

// beside is a service that stands beside the call manager, with an address of its own.
type beside interface {
	Metrics() prometheus.Collector
	Close(ctx context.Context) error
}

// startBeside starts those services: first who is called, then who calls.
func (s *Site) startBeside(ctx context.Context) error {
	for _, start := range []func(context.Context) error{s.startVoiceBrowser, s.startContactCenter, s.startCallServer, s.startBorder} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// add notes a service that has started, with the element it stands on, if it does.
func (s *Site) add(x beside, e *element.Element) {
	s.beside = append(s.beside, x)
	s.metrics.MustRegister(x.Metrics())
	if e != nil {
		s.elements = append(s.elements, e)
		s.metrics.MustRegister(e.Metrics())
	}
}

// mediaAt is how media of a service is opened: at its own address.
func (s *Site) mediaAt(x *served) (m media.PlaneConfig) {
	m.Bind = x.addresses[0]
	return m
}

// closeBeside stops them, who calls before who is called.
func (s *Site) closeBeside(ctx context.Context) error {
	var errs []error
	for _, x := range slices.Backward(s.beside) {
		errs = append(errs, x.Close(ctx))
	}
	if s.agentPhones != nil {
		s.agentPhones.Close()
	}
	return errors.Join(errs...)
}

func (s *Site) startCallServer(ctx context.Context) (err error) {
	x := s.served(config.ServiceCallServer.String())
	if x == nil {
		return nil
	}
	s.CallServer, err = callserver.Start(ctx, callserver.Config{Node: s.node.Node, Version: s.opt.Version, Addresses: x.addresses, Folder: s.opt.Home, Store: s.Store, Bus: s.Bus,
		Trace: s.Trace, Identity: x.identity, Media: s.mediaAt(x), Network: s.opt.Laboratory.Network, KeyLog: s.opt.Laboratory.KeyLog})
	if err == nil {
		s.add(s.CallServer, s.CallServer.Element())
	}
	return err
}

func (s *Site) startVoiceBrowser(ctx context.Context) (err error) {
	x := s.served(config.ServiceVoiceBrowser.String())
	if x == nil {
		return nil
	}
	lab := s.opt.Laboratory
	s.VoiceBrowser, err = voicebrowser.Start(ctx, voicebrowser.Config{Node: s.node.Node, Version: s.opt.Version, Addresses: x.addresses, Folder: s.opt.Home, Store: s.Store, Bus: s.Bus,
		Trace: s.Trace, Identity: x.identity, Media: s.mediaAt(x), Network: lab.Network, KeyLog: lab.KeyLog, Worker: lab.Worker})
	if err == nil {
		s.add(s.VoiceBrowser, s.VoiceBrowser.Element())
	}
	return err
}

func (s *Site) startBorder(ctx context.Context) (err error) {
	x := s.served(config.ServiceBorder.String())
	if x == nil {
		return nil
	}
	s.Border, err = border.Start(ctx, border.Config{Node: s.node.Node, Version: s.opt.Version, Addresses: x.addresses, Store: s.Store, Bus: s.Bus, Trace: s.Trace,
		Identity: x.identity, Media: s.mediaAt(x), Network: s.opt.Laboratory.Network, KeyLog: s.opt.Laboratory.KeyLog})
	if err == nil {
		s.add(s.Border, s.Border.Element())
	}
	return err
}

// startContactCenter starts the contact centre with its agents' phones, which it reaches as an application of its own, and with the API of
// their desktops.
func (s *Site) startContactCenter(ctx context.Context) (err error) {
	x := s.served(config.ServiceContactCenter.String())
	if x == nil {
		return nil
	}
	s.agentPhones = phones.Start(phones.Config{Login: func(ctx context.Context) (cti.Config, error) { return s.Application(ctx, contactCenterUser) }, Warn: s.trouble})
	s.ContactCenter, err = contactcenter.Start(ctx, contactcenter.Config{Node: s.node.Node, Version: s.opt.Version, Store: s.Store, Bus: s.Bus, Trace: s.Trace, Phones: s.agentPhones,
		Desktops: contactcenter.Desktops{Addresses: x.addresses, Port: s.service(config.ServiceContactCenter).Port, Login: s.deskLogin,
			TLS: x.identity.ServerConfig(pki.ServerPolicy{ClientAuth: pki.ClientAuthNone})}})
	if err == nil {
		s.add(s.ContactCenter, nil)
	}
	return err
}

// contactCenterUser is the application user that the contact centre is for the CTI Manager.
const contactCenterUser = "contactcenter"

// deskLogin checks who logs in at a desktop.
func (s *Site) deskLogin(ctx context.Context, user string, password secret.Text, from string) (string, error) {
	if s.Logins == nil {
		return "", errors.New("nobody can log in at this node: logins are checked where ctimanager runs, so add it to the services of the node")
	}
	r := s.Logins.Check(ctx, login.Attempt{User: user, Password: password, From: from, Service: contactcenter.Name}, nil)
	if !r.OK {
		return "", fmt.Errorf("the login was refused; locktone login explain %s says why", user)
	}
	return r.User, nil
}
