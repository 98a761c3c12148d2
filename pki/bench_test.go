package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"syscall"
	"testing"
	"time"
)

// BenchmarkHandshake compares a full mutual handshake with our configuration on both ends to bare crypto/tls that does
// its own verification with the same certificates. Run with -count to see the spread; the ratio is to stay under 1.15.
func BenchmarkHandshake(b *testing.B) {
	ca := testCA(b)
	server, client := testIdentity(b, "alpha"), testIdentity(b, "beta")
	roots := pool(ca.Roots()...)
	for _, alg := range []string{"ECDSA", "RSA"} {
		which := map[string]int{"ECDSA": 0, "RSA": 1}[alg]
		only := func(id *Identity) *Identity {
			s := id.Snapshot()
			s.Certificates.Server = s.Certificates.Server[which : which+1]
			s.Certificates.Client = s.Certificates.Client[which : which+1]
			return must(NewIdentity(id.Name(), s, nil))(b)
		}
		s, c := only(server), only(client)
		ourServer := s.ServerConfig(ServerPolicy{Peers: PeerPolicy{Kinds: KindsOf(KindService)}})
		ourClient := c.ClientConfig(ClientPolicy{Peer: PeerPolicy{Kinds: KindsOf(KindService), Names: Names{Host: "alpha.lab.test"}}})
		bareServer := &tls.Config{Certificates: []tls.Certificate{s.cur.Load().server[0]}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots}
		bareClient := &tls.Config{Certificates: []tls.Certificate{c.cur.Load().client[0]}, RootCAs: roots, ServerName: "alpha.lab.test"}
		b.Run(alg+"/bare", func(b *testing.B) { handshakes(b, bareServer, bareClient) })
		b.Run(alg+"/ours", func(b *testing.B) { handshakes(b, ourServer, ourClient) })
	}
}

func handshakes(b *testing.B, server, client *tls.Config) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(b)
	defer ln.Close()
	b.ReportAllocs()
	start := cpuTime(b)
	defer func() { b.ReportMetric(float64(cpuTime(b)-start)/1e3/float64(b.N), "cpu-us/op") }()
	for b.Loop() {
		a := must(net.Dial("tcp", ln.Addr().String()))(b)
		z := must(ln.Accept())(b)
		done := make(chan error, 1)
		s, c := tls.Server(z, server), tls.Client(a, client)
		go func() { done <- s.Handshake() }()
		if err := c.Handshake(); err != nil {
			b.Fatal(err)
		}
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		a.Close()
		z.Close()
	}
}

// cpuTime is what this process has used, both ends of the handshakes together: on a busy machine the only fair clock.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkVerify is the verifier alone: a chain seen before, one never seen, and crypto/x509 for comparison.
func BenchmarkVerify(b *testing.B) {
	ca := testCA(b)
	trust := must(ca.Trust())(b)
	chain := must(ca.Service(b.Context(), spec("alpha")))(b).Client[0].Chain
	p := PeerPolicy{Kinds: KindsOf(KindService), Names: Names{SIPDomain: "lab.test"}}
	now := ca.cfg.Now()
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !trust.Verify(chain, PeerIsClient, p, now).OK() {
				b.Fatal("refused")
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			trust.paths = newPathCache()
			if !trust.Verify(chain, PeerIsClient, p, now).OK() {
				b.Fatal("refused")
			}
		}
	})
	b.Run("crypto-x509", func(b *testing.B) {
		opts := x509.VerifyOptions{Roots: pool(ca.Roots()...), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		for b.Loop() {
			if _, err := chain[0].Verify(opts); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkIssue is linting, signing and registering (in memory): with a key made, and for a key that was sent.
func BenchmarkIssue(b *testing.B) {
	ca := testCA(b)
	for _, alg := range []Algorithm{ECDSAP256, RSA2048} {
		key := must(GenerateKey(alg))(b)
		for _, c := range []struct {
			name string
			r    Request
		}{
			{"key made", Request{Kind: KindDevice, Name: "SEP001122334455", Algorithm: alg}},
			{"key sent", Request{Kind: KindDevice, Name: "SEP001122334455", PublicKey: key.Public()}},
		} {
			b.Run(alg.String()+"/"+c.name, func(b *testing.B) {
				for b.Loop() {
					issue(b, ca, c.r)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certs/s")
			})
		}
	}
}
