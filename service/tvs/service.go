package tvs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/tvs"
)

// Service is a running verification service.
type Service struct {
	cfg     Config
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	tls     *tls.Config
	started time.Time
	table   *connections
	workers sync.WaitGroup
	counts  counts
	trouble atomic.Pointer[string] // why the last question found no answer; nil: it did

	listeners  []net.Listener
	responders bus.Responders
}

// Start starts the service. It returns when it listens.
func Start(_ context.Context, cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("verification service: %w", err)
	}
	s := &Service{cfg: cfg, started: cfg.Now(), table: newConnections()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.tls = s.tlsConfig()
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("verification service: %w", err), s.Close(context.Background()))
	}
	return s, nil
}

func (s *Service) start() error {
	for _, ip := range s.cfg.Addresses {
		at := netip.AddrPortFrom(ip, uint16(s.cfg.Port))
		l, err := net.Listen("tcp", at.String())
		if err != nil {
			return fmt.Errorf("listening on %s: %w: end the program that has it, or give the service another port", at, err)
		}
		s.listeners = append(s.listeners, l)
	}
	if err := s.serve(); err != nil {
		return err
	}
	for _, l := range s.listeners {
		s.workers.Go(func() { s.accept(l) })
	}
	return nil
}

// Close stops listening and ends every connection; ctx bounds how long it waits for answers under way.
func (s *Service) Close(ctx context.Context) error {
	s.responders.Close()
	var errs []error
	for _, l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.table.end(false)
	done := make(chan struct{})
	go func() {
		s.workers.Wait()
		close(done)
	}()
	select {
	case <-done:
		s.cancel()
	case <-ctx.Done():
		s.cancel()
		s.table.end(true)
		<-done
	}
	return errors.Join(errs...)
}

// Addresses are where it listens, "tls 127.0.1.10:2445".
func (s *Service) Addresses() (out []string) {
	for _, l := range s.listeners {
		out = append(out, "tls "+l.Addr().String())
	}
	return out
}

// acceptPause is how long the service waits when the system has no more sockets for it.
const acceptPause = 50 * time.Millisecond

// accept takes connections in. Nothing here waits for a client.
func (s *Service) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.note(trace.Error, "", "a connection could not be accepted: "+err.Error())
			select {
			case <-time.After(acceptPause):
			case <-s.ctx.Done():
				return
			}
			continue
		}
		x, why := s.table.enter(c, s.cfg.Limits, s.cfg.Now())
		if x == nil {
			s.counts.refused.Add(1)
			s.table.fail(addrPort(c.RemoteAddr()), addrPort(c.LocalAddr()), "not let in: "+why, s.cfg.Now())
			c.Close()
			continue
		}
		s.counts.accepted.Add(1)
		s.workers.Go(func() {
			defer s.table.leave(x)
			defer c.Close()
			s.handle(x)
		})
	}
}

// handle serves one connection: handshake, then questions one after the other.
func (s *Service) handle(x *connection) {
	c := tls.Server(x.conn, s.tls)
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Limits.Handshake)
	err := c.HandshakeContext(ctx)
	cancel()
	if err != nil {
		s.counts.handshakes.Add(1)
		s.failed(x, whyFailed(err))
		return
	}
	class, report, err := s.classify(c.ConnectionState())
	if err != nil { // the trust changed since the handshake
		s.failed(x, err.Error())
		return
	}
	if !s.table.established(x, class, report, c.ConnectionState(), s.cfg.Limits) {
		s.counts.refused.Add(1)
		s.failed(x, fmt.Sprintf("not let in: %d clients whose certificate does not verify are connected, the most that are allowed", s.cfg.Limits.Strangers))
		return
	}
	s.entered(x, class, report)
	for range s.cfg.Limits.Questions {
		if !s.next(x, c) {
			return
		}
	}
}

// whyFailed is a handshake's end in a sentence.
func whyFailed(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return "the connection ended during the handshake"
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return "the handshake was not over in time"
	}
	if fs := pki.Explain(err, pki.PeerIsClient); len(fs) > 0 {
		return fs[0].Sentence(policy().Peer)
	}
	return err.Error()
}

// next reads a question and answers it. The time is for the whole of both: a client that sends a byte now and then gets no
// more of it. false: the connection is over.
func (s *Service) next(x *connection, c *tls.Conn) bool {
	_ = c.SetDeadline(time.Now().Add(s.cfg.Limits.Idle)) // fails when the connection is gone, which the read says too
	if s.table.ending() {
		return false
	}
	m, err := tvs.Read(c, s.cfg.Limits.Message)
	if err != nil {
		var p *tvs.ParseError
		if errors.As(err, &p) {
			s.counts.malformed.Add(1)
			s.failed(x, "the question cannot be read: "+err.Error())
		}
		return false
	}
	r, err := m.Request()
	if err != nil {
		s.counts.malformed.Add(1)
		s.failed(x, "the question cannot be understood: "+err.Error())
		return false
	}
	s.table.question(x, r.Device)
	v, err := s.answer(s.ctx, r)
	if err != nil {
		s.noAnswer(x, r, err)
		return false
	}
	s.trouble.Store(nil)
	s.answered(x, r, v)
	b, err := v.Message().Append(nil)
	if err != nil { // a certificate that is too long for the protocol
		s.noAnswer(x, r, err)
		return false
	}
	_, err = c.Write(b)
	return err == nil
}
