package ctimanager

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// Service is a running CTI Manager.
type Service struct {
	cfg     Config
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	started time.Time
	docs    *store.Documents
	table   *connections
	hub     *hub
	server  *tlsServer
	answers answerTable
	workers sync.WaitGroup
	counts  counts
	current atomic.Pointer[siteView]

	passwords    *passwordKey
	terminals    *live.Terminals
	failures     failures
	certificates *certificates
	userSettings userSettings
	minted       atomic.Uint64
	listeners    []listener
	responders   bus.Responders
}

// Start starts the service. It returns when it listens.
func Start(ctx context.Context, cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("CTI manager: %w", err)
	}
	s := &Service{cfg: cfg, started: cfg.Now(), docs: cfg.Store.Documents(Collection), table: newConnections(), answers: newAnswerTable()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.hub, s.certificates, s.server = newHub(s), newCertificates(s), newTLSServer(s)
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("CTI manager: %w", err), s.Close(context.Background()))
	}
	return s, nil
}

func (s *Service) start(ctx context.Context) (err error) {
	if s.passwords, err = newPasswordKey(s.cfg.Keys, s.cfg.Now()); err != nil {
		return err
	}
	s.terminals = live.NewRemote(s.cfg.Bus, s.cfg.Engines).Terminals(rand.Text())
	changes := s.cfg.Store.Watch(s.ctx)
	now, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return err
	}
	s.use(now)
	if err := s.answer(); err != nil {
		return err
	}
	s.workers.Go(func() { s.follow(changes) })
	s.workers.Go(s.hub.follow)
	s.workers.Go(s.hub.followBoard)
	s.workers.Go(s.hub.followTerminals)
	return s.listen()
}

// use takes a revision of the site into use.
func (s *Service) use(now store.Snapshot) {
	d := directory.Compile(now.Revision.Number, now.Site)
	var known nodeNumbers
	if v := s.current.Load(); v != nil {
		known = v.nodes
	}
	nodes, err := numberNodes(s.ctx, s.docs, now.Site, known)
	if err != nil {
		s.note(trace.Error, "the numbers of the nodes could not be written down: "+err.Error())
	}
	s.current.Store(viewOf(d, now.Site, nodes))
}

// follow takes what changes.
func (s *Service) follow(changes <-chan store.Snapshot) {
	for now := range changes {
		if v := s.current.Load(); v != nil && v.Revision() == now.Revision.Number {
			continue
		}
		s.use(now)
		s.hub.tell(revised{})
	}
}

// site implements world.
func (s *Service) site() *siteView { return s.current.Load() }

// certificate implements world.
func (s *Service) certificate() []byte { return s.passwords.der }

// callerOf is what is known of a client before it says anything.
func (s *Service) callerOf(c *connection) caller {
	return caller{number: c.number, node: s.cfg.Node, secure: c.secure, full: c.full, remote: c.remote, nonce: newNonce(), login: s.site().params.Login, limits: s.cfg.Limits}
}

// newNonce is a number used once, in the shape of a UUID: RFC 9562, 5.4.
func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Addresses are where it listens, "tls 127.0.1.10:2749".
func (s *Service) Addresses() (out []string) {
	for _, l := range s.listeners {
		kind := "tcp "
		if l.secure {
			kind = "tls "
		}
		out = append(out, kind+l.Addr().String())
	}
	return out
}

// Close tells every application that the manager ends, and ends it; ctx bounds how long it waits for them.
func (s *Service) Close(ctx context.Context) error {
	s.responders.Close()
	var errs []error
	for _, l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.table.end()
	for _, c := range s.table.all() { // nobody comes in any more
		select {
		case <-c.gone:
		case <-ctx.Done():
		}
	}
	s.cancel()
	s.table.cut()
	s.workers.Wait()
	if s.terminals != nil {
		s.terminals.Close()
	}
	return errors.Join(errs...)
}
