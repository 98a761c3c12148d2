package lab_test

import (
	"crypto/tls"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
)

// TestNodeSettings: where a node keeps its things, and a bus cluster that it trusts and is trusted by without naming a file: by the
// cluster's authority.
func TestNodeSettings(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "dsn"), []byte("record.db\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	node := config.NodeConfig{Store: config.StoreConfig{DSNFile: "dsn"}, Admin: config.AdminConfig{Socket: "own.sock"}, Trace: config.TraceConfig{Folder: "traces", MaxMiB: 8}}
	first := must(lab.Start(within(t, time.Minute), lab.Options{Home: home, Node: node}))(t)
	for _, name := range []string{"record.db", "own.sock", "traces"} {
		if _, err := os.Stat(filepath.Join(home, name)); err != nil {
			t.Error(err)
		}
	}
	issued := must(first.CA.Issue(within(t, time.Minute), pki.Request{Kind: pki.KindPeer, Name: "bus.example", IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}))(t)
	roots := first.Roots()
	if err := first.Close(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}

	nats := must(server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, TLS: true, TLSVerify: true, TLSTimeout: 5,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{issued.Credential.TLS()}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert}}))(t)
	nats.Start()
	t.Cleanup(nats.Shutdown)
	if !nats.ReadyForConnections(time.Minute) {
		t.Fatal("the bus is not ready")
	}
	node.Bus.URLs = []string{"tls://" + nats.Addr().String()}
	second := must(lab.Start(within(t, time.Minute), lab.Options{Home: home, Node: node}))(t)
	t.Cleanup(func() { second.Close(within(t, time.Minute)) })
	if n := nats.NumClients(); n == 0 {
		t.Error("nobody is on the bus")
	}
	if s := second.Calls.Status(t.Context()); s.State != "ready" {
		t.Errorf("call manager: %+v", s)
	}

	// An authority that is named takes the place of the cluster's.
	other := must(lab.Start(within(t, time.Minute), lab.Options{}))(t)
	foreign := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(foreign, other.CA.RootsPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
	node = config.NodeConfig{Bus: config.BusConfig{URLs: node.Bus.URLs, CAFile: foreign}}
	if s, err := lab.Start(within(t, time.Minute), lab.Options{Node: node}); err == nil {
		s.Close(within(t, time.Minute))
		t.Error("a bus of another authority was trusted")
	}
}
