package tvs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/tvs"
)

// Name is the service's name on the bus, in traces and in the register of certificates.
const Name = "tvs"

// Free asks for a free port.
const Free = -1

// Config says where the service runs and what it answers from. Addresses, Sources, Bus and Identity must be set.
type Config struct {
	Node    string // this node's name
	Version string // of the program
	// Addresses are bound one by one.
	Addresses []netip.Addr
	Port      int // 0: 2445; Free: a free one on each address
	// Sources are asked in their order, all of them, at every question: FromLists, FromTrustStore.
	Sources  []Source
	Bus      *bus.Bus
	Trace    *trace.Recorder
	Identity *pki.Identity
	// Register is asked whether a certificate of ours was revoked; nil: not asked.
	Register Register
	// TTL is how long a phone may remember an answer. Default: 24 hours; at most 30 days, at least one second.
	TTL    time.Duration
	Limits Limits
	// VerifiedOnly refuses phones whose certificate does not verify, an expired one excepted.
	VerifiedOnly bool
	// AllowAnonymous serves clients without a certificate, within the budget of strangers: an exception.
	AllowAnonymous bool
	Now            func() time.Time // nil: time.Now
	// KeyLog receives the session secrets of every TLS connection: for laboratories only, listed by `show exceptions`.
	KeyLog pki.KeyLogWriter
}

// Limits bound what clients can make the service do. The zero value is a good value.
type Limits struct {
	Connections int           // at a time. Default: 1024
	PerAddress  int           // of one address. Default: 8
	Strangers   int           // of clients whose certificate does not verify. Default: a quarter of Connections
	Message     int           // bytes of the elements of a question. Default: 16 KiB
	Questions   int           // on one connection. Default: 64
	Handshake   time.Duration // of one TLS handshake. Default: 10 s
	Idle        time.Duration // without a whole question on a connection. Default: 10 s
}

// Register is what the service needs of the register of certificates; every pki.Register is one.
type Register interface {
	Lookup(ctx context.Context, r pki.Ref) (pki.Entry, error)
}

// The bounds of what a phone may remember.
const (
	defaultTTL = 24 * time.Hour
	maxTTL     = 30 * 24 * time.Hour
)

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Bus == nil || c.Identity == nil || len(c.Addresses) == 0 || len(c.Sources) == 0:
		return c, errors.New("addresses, sources, a bus and an identity are needed")
	case c.TTL < 0 || c.TTL > maxTTL || c.TTL > 0 && c.TTL < time.Second:
		return c, fmt.Errorf("a time to live of %v: want 1 s to %v", c.TTL, maxTTL)
	case c.Port < Free || c.Port > 0xffff:
		return c, fmt.Errorf("there is no port %d", c.Port)
	}
	setDefault(&c.TTL, defaultTTL)
	switch c.Port {
	case 0:
		c.Port = tvs.Port
	case Free:
		c.Port = 0
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Limits = c.Limits.withDefaults()
	return c, nil
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.Connections, 1024)
	setDefault(&l.PerAddress, 8)
	setDefault(&l.Strangers, max(1, l.Connections/4))
	setDefault(&l.Message, 16<<10)
	setDefault(&l.Questions, 64)
	setDefault(&l.Handshake, 10*time.Second)
	setDefault(&l.Idle, 10*time.Second)
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
	if c.AllowAnonymous {
		add("tvs anonymous", "true", "false", "whoever reaches the port may ask which certificates the cluster trusts")
	}
	if c.KeyLog != nil {
		add("tvs tls", "logs session secrets", "", "whoever has the log can read everything that was recorded of these connections")
	}
	return out
}
