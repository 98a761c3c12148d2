package ctimanager

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// Name is the service's name on the bus, in traces and in the register of certificates.
const Name = "ctimanager"

// The ports of the protocol. Cisco Unified Communications Manager Security Guide: CTI over TLS on 2749, in the clear on 2748.
const (
	Port      = 2749
	ClearPort = 2748
)

// Free asks for a free port.
const Free = -1

// Exception is the name of this service's one exception: connections in the clear.
const Exception = "cti-clear"

// Config says where the service runs and what it stands on. Addresses, Store, Bus, Identity, Profiles and Login must be set.
type Config struct {
	Node    string // this node's name
	Version string // of the program
	// Addresses are bound one by one.
	Addresses []netip.Addr
	Port      int // 0: 2749; Free: a free one on each address
	// Clear listens on ClearPort as well: the exception cti-clear.
	Clear     bool
	ClearPort int // 0: 2748; Free: a free one
	Store     Store
	Bus       *bus.Bus
	Trace     *trace.Recorder
	Identity  *pki.Identity
	// Profiles tell to which user and instance a client's certificate was given, and remember that it is in use.
	Profiles Profiles
	// Engines is the service whose call engines are controlled; "": callmanager.
	Engines string
	// Login checks users and their passwords.
	Login  Authenticator
	Limits Limits
	// Keys makes the key under which passwords come; nil: a new one. Laboratories give ready-made ones.
	Keys func(pki.Algorithm) (pki.PrivateKey, error)
	Now  func() time.Time // nil: time.Now
	// KeyLog receives the session secrets of every TLS connection: for laboratories only, listed by `show exceptions`.
	KeyLog pki.KeyLogWriter
}

// Store is what the service needs of the store; *store.Store is one.
type Store interface {
	Site(ctx context.Context) (store.Snapshot, error)
	Watch(ctx context.Context) <-chan store.Snapshot
	Documents(collection string) *store.Documents
}

// Profiles is what the service needs of the enrolment profiles; *capfprofile.Book is one.
type Profiles interface {
	Holder(ctx context.Context, kind pki.Kind, commonName string, ref pki.Ref) (capfprofile.Owner, error)
	Used(ctx context.Context, kind pki.Kind, commonName string, ref pki.Ref) error
	Watch(ctx context.Context) <-chan struct{}
}

// Limits bound what clients can make the service do, beside the service parameters of the cluster's configuration. The zero value is a
// good value.
type Limits struct {
	PerAddress  int           // of one address. Default: 512
	HalfOpen    int           // connections that have not logged in: as many as come at once when a manager starts again. Default: 1024
	HalfOpenOne int           // of one address. Default: 64
	Frame       int           // bytes of one frame. Default: 1 MiB
	Queue       int           // bytes that wait for a client. Default: 8 MiB
	Inputs      int           // events that wait for a provider. Default: 65536
	Requests    int           // of one connection that wait for their answer. Default: 256
	Handshake   time.Duration // of one TLS handshake. Default: 10 s
	Check       time.Duration // of one look into the directory, behind the others that log in. Default: 50 s
	Write       time.Duration // that a client may take nothing. Default: 10 s
	Hold        time.Duration // for which a refused certificate's first answer is held back; the next for twice as long, and so on up to 32 times. Default: 1 s
	Lines       int           // of one device that stand in one event. Default: 64
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Store == nil || c.Bus == nil || c.Identity == nil || c.Profiles == nil || c.Login == nil || len(c.Addresses) == 0:
		return c, errors.New("addresses, a store, a bus, an identity, the enrolment profiles and who checks logins are needed")
	case c.Port < Free || c.Port > 0xffff || c.ClearPort < Free || c.ClearPort > 0xffff:
		return c, fmt.Errorf("there is no port %d or %d", c.Port, c.ClearPort)
	}
	for _, x := range []struct {
		port *int
		def  int
	}{{&c.Port, Port}, {&c.ClearPort, ClearPort}} {
		switch *x.port {
		case 0:
			*x.port = x.def
		case Free:
			*x.port = 0
		}
	}
	setDefault(&c.Engines, "callmanager")
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Keys == nil {
		c.Keys = pki.GenerateKey
	}
	c.Limits = c.Limits.withDefaults()
	return c, nil
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.PerAddress, 512)
	setDefault(&l.HalfOpen, 1024)
	setDefault(&l.HalfOpenOne, 64)
	setDefault(&l.Frame, 1<<20)
	setDefault(&l.Queue, 8<<20)
	setDefault(&l.Inputs, 1<<16)
	setDefault(&l.Requests, 256)
	setDefault(&l.Handshake, 10*time.Second)
	setDefault(&l.Check, 50*time.Second)
	setDefault(&l.Write, 10*time.Second)
	setDefault(&l.Hold, time.Second)
	setDefault(&l.Lines, 64)
	return l
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// weaknesses lists in words what is weaker than the default.
func (c Config) weaknesses() []bus.Exception {
	out := []bus.Exception{}
	add := func(setting, value, normal, risk string) {
		out = append(out, bus.Exception{Node: c.Node, Kind: "node", Name: c.Node, Setting: setting, Value: value, Default: normal, Risk: risk})
	}
	if c.Clear {
		add(Exception, "true", "false", "whoever is on the way reads and changes what applications and the CTI manager say to each other, and can learn their passwords by posing as it")
	}
	if c.KeyLog != nil {
		add("ctimanager tls", "logs session secrets", "", "whoever has the log can read everything that was recorded of these connections")
	}
	return out
}
