package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/load"
	"github.com/locktone/locktone/lab/peers"
	"github.com/locktone/locktone/service/admin"
)

// server is a SIP server that phones can register at and call through.
type server struct {
	name  string
	addr  netip.AddrPort
	roots *x509.CertPool
	pid   int
	home  string // of a Locktone site
	stop  func()
	kill  func() // kill -9, of a member of a cluster
}

const domain = "locktone.test"

// Numbers of the phones. Each group's first half calls its second half.
const (
	direct  = load.FirstNumber // encrypted, media direct
	secured = 31001            // encrypted at both ends, media through the node
	mixed   = 32001            // encrypted callers, callees with RTP in clear, media through the node
	clear_  = 33001            // RTP in clear at both ends, signalling over TLS, media through the node
	group   = 20
	many    = 1000 // phones of the group direct
)

// siteConfig is the configuration of our site, with so many phones of the group direct.
func siteConfig(phones int) *config.Site {
	s := load.Site(phones)
	s.Cluster.MixedCalls = config.MixedAnchor
	s.PhoneSecurityProfiles = append(s.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "clear media", DeviceSecurityMode: config.Authenticated})
	for i := range s.PhoneSecurityProfiles {
		s.PhoneSecurityProfiles[i].Certificate = config.CertificateLSCOrMIC // the phones of both servers show certificates of the bench's own authority
	}
	s.SIPProfiles = append(s.SIPProfiles, config.SIPProfile{Name: "anchored", MediaAnchor: config.AnchorAlways})
	for _, first := range []int{secured, mixed, clear_} {
		for i := range group {
			profile := "encrypted"
			if first == clear_ || first == mixed && i >= group/2 {
				profile = "clear media"
			}
			number := strconv.Itoa(first + i)
			s.Devices = append(s.Devices, config.Device{Name: "load" + number, Model: "load generator", DevicePool: "default", PhoneSecurityProfile: profile, SIPProfile: "anchored",
				Lines: []config.Appearance{{Number: number, Partition: "internal", MaxCalls: 200, BusyTrigger: 200}}})
			s.Lines = append(s.Lines, config.Line{Number: number, Partition: "internal", CallingSearchSpace: "internal"})
		}
	}
	return s.Canonical()
}

// startSite starts our site as a process of its own, in a new home folder.
func (b *bench) startSite(ctx context.Context) (*server, error) {
	return b.startBuild(ctx, "locktone", b.bin)
}

// startBuild starts a site with a certain build of our program.
func (b *bench) startBuild(ctx context.Context, name, bin string) (*server, error) {
	return b.startChanged(ctx, name, bin, func(*config.Site) {})
}

// startChanged is startBuild with something changed in the configuration.
func (b *bench) startChanged(ctx context.Context, name, bin string, change func(*config.Site)) (*server, error) {
	dir, err := os.MkdirTemp(b.dir, "site")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	conf := siteConfig(many)
	conf.Nodes = []config.Node{{Name: "node1", Services: []config.NodeService{{Service: config.ServiceCallManager, Address: addr.String()}}}}
	change(conf)
	home, file := filepath.Join(dir, "home"), filepath.Join(dir, "site.yaml")
	if err := os.MkdirAll(filepath.Join(home, "trust", "devices"), 0o700); err != nil {
		return nil, err
	}
	for path, text := range map[string][]byte{file: config.Format(conf.Canonical(), true), filepath.Join(home, "node.yaml"): []byte("admin:\n  address: 127.0.0.1:0\n"),
		filepath.Join(home, "trust", "devices", "bench.pem"): b.ca.PEM()} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return nil, err
		}
	}
	c, err := launch(dir, name, bin, "up", "--home", home, "--site", file)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	err = c.ready(ctx, func() bool { return exec.CommandContext(ctx, bin, "status", "--home", home, "--json").Run() == nil })
	if err != nil {
		c.stop()
		return nil, err
	}
	s := &server{name: name, addr: netip.AddrPortFrom(addr, 5061), roots: x509.NewCertPool(), pid: c.pid(), home: home, stop: c.stop}
	ca, err := os.ReadFile(filepath.Join(home, "phones", "alice", "ca.pem"))
	if err != nil {
		c.stop()
		return nil, err
	}
	s.roots.AppendCertsFromPEM(ca)
	return s, nil
}

// metric reads one figure of a site.
func (s *server) metric(ctx context.Context, name string) float64 {
	api := admin.NewClient(s.home)
	defer api.Close()
	var text bytes.Buffer
	if _, err := api.Download(ctx, http.MethodGet, "/metrics", &text); err != nil {
		return 0
	}
	for line := range strings.Lines(text.String()) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, _ := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return v
		}
	}
	return 0
}

// serverFiles issues a certificate for a server on addr and writes it.
func (b *bench) serverFiles(dir string, addr netip.Addr) (cert, key, ca string, err error) {
	c, err := b.ca.Issue(domain, func(t *x509.Certificate) {
		t.IPAddresses, t.DNSNames = []net.IP{addr.AsSlice()}, []string{domain}
	})
	if err != nil {
		return "", "", "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return "", "", "", err
	}
	cert, key, ca = filepath.Join(dir, "crt.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	for path, text := range map[string][]byte{cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}),
		key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), ca: b.ca.PEM()} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return "", "", "", err
		}
	}
	return cert, key, ca, nil
}

func (b *bench) ownRoots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(b.ca.Certificate)
	return pool
}

// home is a folder, an address and certificate files for a server beside ours.
type home struct {
	dir, cert, key, ca string
	at                 netip.AddrPort
}

func (b *bench) home(name string) (h home, err error) {
	if h.dir, err = os.MkdirTemp(b.dir, name); err != nil {
		return h, err
	}
	addr, err := freeAddress()
	if err != nil {
		return h, err
	}
	h.at = netip.AddrPortFrom(addr, 5061)
	h.cert, h.key, h.ca, err = b.serverFiles(h.dir, addr)
	return h, err
}

// startKamailio starts a stateful proxy and registrar: tm, rr, usrloc in memory, mutual TLS.
func (b *bench) startKamailio(ctx context.Context) (*server, error) {
	h, err := b.home("kamailio")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	p, err := peers.StartKamailio(ctx, h.dir, peers.KamailioConfig{Listen: h.at.String(), Name: domain, Certificate: h.cert, Key: h.key, CA: h.ca, Register: true})
	if err != nil {
		return nil, err
	}
	return &server{name: "kamailio", addr: h.at, roots: b.ownRoots(), pid: p.PID(), stop: p.Stop}, nil
}

// startBare starts this program again as a TLS server of crypto/tls and nothing else.
func (b *bench) startBare(ctx context.Context) (*server, error) {
	h, err := b.home("bare")
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c, err := launch(h.dir, "bare", self, "bare-tls", h.at.String(), h.cert, h.key, h.ca)
	if err != nil {
		return nil, err
	}
	err = c.ready(ctx, func() bool {
		conn, err := net.Dial("tcp", h.at.String())
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	if err != nil {
		c.stop()
		return nil, err
	}
	return &server{name: "crypto/tls", addr: h.at, roots: b.ownRoots(), pid: c.pid(), stop: c.stop}, nil
}

// bareTLS is the process that startBare starts: mutual TLS, and an answer to a keep-alive.
func bareTLS(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("bare-tls: expected address, certificate, key, authority")
	}
	pair, err := tls.LoadX509KeyPair(args[1], args[2])
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(args[3])
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	ln, err := tls.Listen("tcp", args[0], &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			r := bufio.NewReaderSize(conn, 64)
			for {
				if _, err := r.ReadString('\n'); err != nil {
					return
				}
				if line, err := r.ReadString('\n'); err != nil || strings.TrimSpace(line) != "" {
					return
				}
				if _, err := conn.Write([]byte("\r\n")); err != nil {
					return
				}
			}
		}()
	}
}
