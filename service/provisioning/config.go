package provisioning

import (
	"context"
	"net/netip"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/trustlist"
)

// Name is the service's name on the bus, in traces and in the register of certificates.
const Name = "provisioning"

// Config says where provisioning runs and what it stands on. Addresses, Store, Lists, Members, Bus and Identity must be set.
type Config struct {
	Node    string // this node's name
	Version string // of the program
	// Addresses are bound one by one.
	Addresses []netip.Addr
	Ports     Ports
	// Folder holds static files: HOME/tftp. It may be missing. Empty: there are no static files.
	Folder   string
	Store    Store
	Lists    Lists
	Members  Members
	Holdings Holdings // nil: nobody remembers
	// Profiles tells of pending enrolments and of the phones' certificates; nil: there are none.
	Profiles Profiles
	// Register tells which certificates were revoked: files are not encrypted to those. nil: nobody knows.
	Register Register
	Bus      *bus.Bus
	Trace    *trace.Recorder
	Identity *pki.Identity
	Limits   Limits
	Now      func() time.Time // nil: time.Now
	// KeyLog receives the session secrets of every TLS connection: for laboratories only, listed by `show exceptions`.
	KeyLog pki.KeyLogWriter
}

// Store is what provisioning needs of the system of record; *store.Store is one.
type Store interface {
	Site(ctx context.Context) (store.Snapshot, error)
}

// Lists are the published trust lists; *lists.Reader is one.
type Lists interface {
	For(ctx context.Context, holder string, kind trustlist.Kind) (lists.File, error)
}

// Members are the services of the cluster; *lists.Members is one.
type Members interface {
	All(ctx context.Context) ([]lists.Member, error)
}

// Holdings remembers who fetched which list; *lists.Holdings is one. Fetched must not block.
type Holdings interface {
	Fetched(f lists.Fetch)
}

// Profiles are the enrolment profiles; *capfprofile.Book is one.
type Profiles interface {
	Get(ctx context.Context, o capfprofile.Owner) (capfprofile.Profile, error)
}

// Register is what provisioning needs of the register of certificates; *store.Certificates is one.
type Register interface {
	Lookup(ctx context.Context, r pki.Ref) (pki.Entry, error)
}

// Ports are where to listen. 0: the standard port (69, 6970, 6971), or a free one where that is not permitted or taken, which the
// status says; Free: a free one from the start.
type Ports struct{ TFTP, HTTP, HTTPS int }

// Free asks for a free port.
const Free = -1

// Limits bound what clients can make the service do. The zero value is a good value.
type Limits struct {
	Transfers      int           // TFTP transfers at a time. Default: 2048
	Connections    int           // HTTP and HTTPS connections at a time. Default: 2048
	PerAddress     int           // of either, of one address. Default: 32
	TransferTime   time.Duration // of one transfer, or of one HTTP answer. Default: 2 min
	RequestTime    time.Duration // for a TLS handshake, and for the head of an HTTP request. Default: 5 s
	IdleTime       time.Duration // of an HTTP connection between two requests. Default: 30 s
	StaticSize     int64         // largest file of the folder. Default: 256 MiB
	SignedSize     int64         // largest file of the folder that is signed when asked for. Default: 4 MiB
	GeneratedBytes int64         // of files that are in memory while they are sent, together. Default: 128 MiB
	OpenFiles      int           // of the folder, at a time. Default: 512
}

func (l Limits) withDefaults() Limits {
	def(&l.Transfers, 2048)
	def(&l.Connections, 2048)
	def(&l.PerAddress, 32)
	def(&l.TransferTime, 2*time.Minute)
	def(&l.RequestTime, 5*time.Second)
	def(&l.IdleTime, 30*time.Second)
	def(&l.StaticSize, 256<<20)
	def(&l.SignedSize, 4<<20)
	def(&l.GeneratedBytes, 128<<20)
	def(&l.OpenFiles, 512)
	return l
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
