package ctimanager

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/trace"
)

// peers is whom the TLS port lets in: instances of applications, by the certificate that CAPF gave them.
func peers() pki.PeerPolicy {
	return pki.PeerPolicy{Peer: "the application", Kinds: pki.KindsOf(pki.KindCTI)}
}

// tlsServer is the TLS side of the service. TLS 1.2 with forward secrecy and authenticated encryption is the least; Cisco's client offers
// ECDHE-RSA with AES-GCM, for which the identity has its RSA certificate. Sessions are not resumed: each provider proves its key.
type tlsServer struct{ config *tls.Config }

func newTLSServer(s *Service) *tlsServer {
	return &tlsServer{s.cfg.Identity.ServerConfig(pki.ServerPolicy{TLSPolicy: pki.TLSPolicy{KeyLog: s.cfg.KeyLog, NextProtos: []string{streamHTTP}}, NoResumption: true, Peers: peers()})}
}

// handshake does the TLS handshake and notes who the client is. false: the connection is over.
func (s *Service) handshake(c *connection) bool {
	var read atomic.Int64
	conn := tls.Server(countedConn{c.conn, &read}, s.server.config)
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Limits.Handshake)
	err := conn.HandshakeContext(ctx)
	cancel()
	if err != nil {
		if read.Load() == 0 && errors.Is(err, io.EOF) { // clients look whether the port answers before they connect
			s.counts.probes.Add(1)
			return false
		}
		if s.ctx.Err() == nil {
			s.counts.handshakes.Add(1)
			s.handshakeFailed(c, err)
		}
		return false
	}
	c.tls = conn.ConnectionState()
	c.report = s.cfg.Identity.Inspect(c.tls, pki.PeerIsClient, peers())
	c.stream = conn
	c.showTLS()
	s.handshakeDone(c)
	return true
}

// countedConn counts what is read of a connection.
type countedConn struct {
	net.Conn
	n *atomic.Int64
}

// Read implements net.Conn.
func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// whyFailed is a handshake's end in a sentence, with the rule that failed.
func whyFailed(err error) (why string, f pki.Finding) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return "the connection ended during the handshake", f
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "the handshake was not over in time", f
	}
	if fs := pki.Explain(err, pki.PeerIsClient); len(fs) > 0 {
		return fs[0].Sentence(peers().Peer), fs[0]
	}
	return err.Error(), f
}

func (s *Service) handshakeFailed(c *connection, err error) {
	why, f := whyFailed(err)
	s.failures.add(c.remote, c.local, why, s.cfg.Now())
	s.cfg.Trace.Record(trace.Record{Time: s.cfg.Now(), Service: Name, Kind: trace.KindTLSFailed, Level: trace.Error, Flow: c.id, Net: "tls", Local: c.local, Remote: c.remote, Summary: why,
		Fields: []trace.Field{{Name: "rule", Value: string(f.Rule)}, {Name: "expected", Value: f.Expected}, {Name: "got", Value: f.Got}, {Name: "fix", Value: f.Fix}}})
}

func (s *Service) handshakeDone(c *connection) {
	version, cipher := tls.VersionName(c.tls.Version), tls.CipherSuiteName(c.tls.CipherSuite)
	s.cfg.Trace.Record(trace.Record{Time: s.cfg.Now(), Service: Name, Kind: trace.KindTLSOK, Level: trace.Info, Flow: c.id, Net: "tls", Local: c.local, Remote: c.remote,
		Summary: "SSL connection using " + cipher + ", CERT SUBJECTNAME = " + c.report.Subject(),
		Fields:  []trace.Field{{Name: "version", Value: version}, {Name: "cipher", Value: cipher}, {Name: "subject", Value: c.report.Subject()}}})
}
