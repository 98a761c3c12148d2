package tvs

import (
	"context"
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/trustlist"
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

// Source is somebody who knows certificates that phones may ask about.
type Source interface {
	// Known returns every certificate that counts at this moment. What it returned is not changed afterwards.
	Known(ctx context.Context) ([]Known, error)
}

// Known is a certificate with what phones may trust it as.
type Known struct {
	Certificate *x509.Certificate
	Roles       []trustlist.Role
	Issues      bool   // also the certificates it issued count (VERIFY)
	From        string // where it is known from, for the trace: "list member callmanager on n1", "tomcat-trust"
}
