package capf

import (
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	wire "github.com/locktone/locktone/wire/capf"
)

// Name is the service's name on the bus, in traces and in the register of certificates.
const Name = "capf"

// Config says where the service runs and what it stands on. Store, Bus, Identity, CA and Addresses must be set.
type Config struct {
	Node    string   // this node's name
	Nodes   []string // all nodes, asked which certificates are in use; default: this one
	Version string   // of the program
	// Addresses are bound one by one.
	Addresses []netip.Addr
	// Port of all addresses; 0: 3804. Free takes any free one instead, for tests.
	Port     int
	Free     bool
	Store    Store
	Bus      *bus.Bus
	Trace    *trace.Recorder // nil: nothing is recorded
	Identity *pki.Identity
	CA       CA
	// Authority issues; nil: the cluster's own CA.
	Authority Authority
	Profiles  capfprofile.Config
	// LegacyRSA is the exception capf-legacy-rsa: TLS 1.2 with TLS_RSA_WITH_AES_128_CBC_SHA. The site's setting for this
	// node counts too, and takes effect at the next handshake.
	LegacyRSA bool
	Times     Times
	Limits    Limits
	Pace      Pace
	// Sweep is the time between two looks for operations that are late and certificates that were replaced. Default: 1m.
	Sweep time.Duration
	Now   func() time.Time // nil: time.Now
}

// Store is what the service needs of the system of record; *store.Store is one.
type Store interface {
	Site(ctx context.Context) (store.Snapshot, error)
	Watch(ctx context.Context) <-chan store.Snapshot
	Documents(collection string) *store.Documents
}

// CA is the cluster's authority, and its register for what others issued; *pki.CA is one.
type CA interface {
	Issue(ctx context.Context, r pki.Request) (pki.Issued, error)
	Revoke(ctx context.Context, ref pki.Ref, reason string) error
	Adopt(ctx context.Context, c *x509.Certificate, kind pki.Kind, name string) (pki.Entry, error)
	Roots() []*x509.Certificate
}

// Limits bound what strangers can make the service hold. The zero value is a good one.
type Limits struct {
	Connections int           // at the same time. Default: 2048
	PerAddress  int           // of one address. Default: 128
	Handshake   time.Duration // for TLS. Default: 10s
	Accepts     int           // new connections let in a second. Default: 200
	Body        int           // bytes of one message. Default: the codec's 32 KiB
	Messages    int           // of one session. Default: 1024
}

// Pace keeps certificate work from starving calls.
type Pace struct {
	// Workers do the work. Default: 1.
	Workers int
	// Share of its time for which a worker works; it rests for the others. Default: 0.25. One worker then enrols some
	// 15 to 25 phones a second.
	Share float64
}

func (c Config) withDefaults() (Config, error) {
	if c.Store == nil || c.Bus == nil || c.Identity == nil || c.CA == nil || len(c.Addresses) == 0 {
		return c, errors.New("a store, a bus, an identity, a CA and an address are needed")
	}
	def(&c.Node, "node1")
	def(&c.Version, "dev")
	def(&c.Port, wire.Port)
	def(&c.Sweep, time.Minute)
	def(&c.Limits.Connections, 2048)
	def(&c.Limits.PerAddress, 128)
	def(&c.Limits.Handshake, 10*time.Second)
	def(&c.Limits.Accepts, 200)
	def(&c.Limits.Body, wire.MaxBody)
	def(&c.Limits.Messages, 1024)
	def(&c.Pace.Workers, 1)
	def(&c.Pace.Share, 0.25)
	c.Pace.Share = min(max(c.Pace.Share, 0.01), 1)
	if c.Free {
		c.Port = 0
	}
	if len(c.Nodes) == 0 {
		c.Nodes = []string{c.Node}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Profiles.Now == nil {
		c.Profiles.Now = c.Now
	}
	if c.Authority == nil {
		c.Authority = Own(c.CA)
	}
	return c, nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
