package provisioning

import (
	"context"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// Name is the service's name on the bus, in traces and in the register of certificates.
const Name = "provisioning"

// Config says where provisioning runs and what it stands on. Store, Bus, Identity, Addresses and Lists must be set.
type Config struct {
	Node    string // this node's name
	Version string // of the program
	// Addresses are bound one by one.
	Addresses []netip.Addr
	Ports     Ports
	// Folder holds static files: HOME/tftp. Empty: there are none.
	Folder   string
	Store    Store
	Bus      *bus.Bus
	Trace    *trace.Recorder
	Identity *pki.Identity
	Limits   Limits
	Now      func() time.Time // nil: time.Now
	// KeyLog receives the session secrets of every TLS connection: for laboratories only, listed by `show exceptions`.
	KeyLog pki.KeyLogWriter
}

// Ports are where to listen. 0: the standard port, or a free one where that is not permitted or taken, which the status says;
// Free: a free one from the start.
type Ports struct{ TFTP, HTTP, HTTPS int }

// Free asks for a free port.
const Free = -1

// Limits bound what clients can make the service do. The zero value is a good value.
type Limits struct {
	Transfers       int           // TFTP transfers at a time. Default: 2048
	PerAddress      int           // of one address. Default: 16
	TransferTime    time.Duration // of one TFTP transfer. Default: 2 min
	Connections     int           // HTTP and HTTPS connections at a time. Default: 2048
	ConnectionsEach int           // of one address. Default: 16
	FileSize        int64         // of a static file. Default: 64 MiB
}

// Store is what provisioning needs of the system of record; *store.Store is one.
type Store interface {
	Site(ctx context.Context) (store.Snapshot, error)
	Watch(ctx context.Context) <-chan store.Snapshot
}

// Service is a running provisioning service.
type Service struct{ cfg Config }

// Start starts the service. It returns when it listens.
func Start(ctx context.Context, cfg Config) (*Service, error) { panic("soon") }

// Close stops listening and waits for what runs, no longer than ctx.
func (s *Service) Close(ctx context.Context) error { panic("soon") }

// Addresses says where it listens, as "tftp 127.0.1.10:69", "http ...", "https ...".
func (s *Service) Addresses() []string { panic("soon") }

// Metrics are the service's figures.
func (s *Service) Metrics() prometheus.Collector { panic("soon") }
