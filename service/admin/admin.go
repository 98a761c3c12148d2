package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	"github.com/prometheus/client_golang/prometheus"
)

// Config says what a node's administration serves. Store, Bus and Trace must be set; the rest has good defaults.
type Config struct {
	Home     string   // the node's home folder; default "."
	Node     string   // this node's name; default "node1"
	Nodes    []string // all nodes of the cluster, where Live is not set; default: this one
	Services []string // services a status and its readiness ask for ("callmanager"); admin itself is always listed
	Version  string   // of the program

	Socket  string      // path of the unix socket; default Home/admin.sock
	Address string      // of the HTTPS listener; default 127.0.0.1:8443
	TLS     *tls.Config // of the HTTPS listener; nil: no HTTPS
	Tokens  string      // token file; default Home/admin.tokens, made with one administrator's token when missing

	Store   Store
	Health  func(context.Context) store.Health // of the store; nil: not shown
	Bus     *bus.Bus
	Trace   *trace.Recorder
	CA      Authority           // nil: certificates cannot be issued here
	Issued  pki.Register        // what was issued; nil: not shown
	Metrics prometheus.Gatherer // nil: no /metrics
	Records CallRecords         // of calls that are over; nil: not shown
	// Enrolment profiles, and requests to an offline authority; its zero value: this node does not do that.
	Enrolment Enrolment
	Lists     Lists // the trust lists that are published; nil: none
	// Rotation of certificates, and the forecast of what breaks; its zero value: this node does neither.
	Rotation Rotation
	// Certificates of others by purpose, and files for them; its zero value: this node does not do that.
	TrustStores TrustStores
	// Exceptions are what this node's own configuration leaves weaker than the defaults; nil: nothing.
	Exceptions func() []bus.Exception
	// Cluster takes and shows other nodes; nil: there are none and can be none.
	Cluster Cluster
	// Live are the services of the cluster beside administration and the nodes that run each and are heard; nil: Services on Nodes.
	Live func() map[string][]string
	// Holdings say who fetched which list, for the list of registrations; nil: not shown.
	Holdings interface {
		All(ctx context.Context) ([]lists.Holding, error)
	}

	LDAP LDAP // the LDAP directories; its zero value: this node asks none
	// Logins are what is remembered of users' logins; its zero value: this node does not know.
	Logins Logins

	// Backup writes everything a backup holds, in plain, private keys included; nil: this node does not do that.
	Backup func(ctx context.Context, w io.Writer) error

	MaxConnections int           // over all listeners; default 128
	MaxBody        int64         // bytes of a request's body; default 8 MiB
	Timeout        time.Duration // of a request that is not a stream; default 30 s
	Now            func() time.Time
}

// Store is what administration needs of the system of record; *store.Store is one.
type Store interface {
	Site(ctx context.Context) (store.Snapshot, error)
	Apply(ctx context.Context, cs store.ChangeSet) (store.Revision, error)
	Revisions(ctx context.Context, limit int) ([]store.Revision, error)
	AppendAudit(ctx context.Context, e store.AuditEntry) error
	Audit(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error)
}

// Authority issues and revokes certificates; *pki.CA is one.
type Authority interface {
	Issue(ctx context.Context, r pki.Request) (pki.Issued, error)
	Revoke(ctx context.Context, ref pki.Ref, reason string) error
	RootsPEM() []byte
}

// SocketName is the name of the unix socket in a node's home folder.
const SocketName = "admin.sock"

func (c Config) withDefaults() (Config, error) {
	if c.Store == nil || c.Bus == nil {
		return c, errors.New("admin: a store and a bus are needed")
	}
	setDefault(&c.Home, ".")
	setDefault(&c.Node, "node1")
	setDefault(&c.Version, "dev")
	setDefault(&c.Socket, filepath.Join(c.Home, SocketName))
	setDefault(&c.Address, "127.0.0.1:8443")
	setDefault(&c.Tokens, filepath.Join(c.Home, "admin.tokens"))
	setDefault(&c.MaxConnections, 128)
	setDefault(&c.MaxBody, 8<<20)
	setDefault(&c.Timeout, 30*time.Second)
	if len(c.Nodes) == 0 {
		c.Nodes = []string{c.Node}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
