package site

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locktone/locktone/config"
)

// TestNodeExceptions: ways to the record and the bus that somebody could listen on are named, and no password is.
func TestNodeExceptions(t *testing.T) {
	for _, name := range []string{"PGHOST", "PGSSLMODE", "PGSSLROOTCERT"} {
		t.Setenv(name, "")
	}
	home := t.TempDir()
	file := func(name, dsn string, mode os.FileMode) string {
		if err := os.WriteFile(filepath.Join(home, name), []byte(dsn+"\n"), mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	const safe, open = "postgres://u:hidden@db.example.com/x?sslmode=verify-full", "postgres://u:hidden@db.example.com/x"
	for _, c := range []struct {
		name  string
		store config.StoreConfig
		bus   []string
		want  string // setting=value, comma separated
	}{
		{name: "everything embedded"},
		{name: "verified", store: config.StoreConfig{DSN: safe}},
		{name: "in clear", store: config.StoreConfig{DSN: open}, want: "store.dsn=db.example.com: without TLS"},
		{name: "a file", store: config.StoreConfig{DSNFile: file("dsn", safe, 0o600)}},
		{name: "a file, in clear", store: config.StoreConfig{DSNFile: file("dsn2", open, 0o600)}, want: "store.dsnFile=db.example.com: without TLS"},
		{name: "a file for all", store: config.StoreConfig{DSNFile: file("dsn3", safe, 0o640)}, want: "store.dsnFile=mode 0640"},
		{name: "NATS with TLS", bus: []string{"tls://a.example.com:4222", "b.example.com"}},
		{name: "NATS on this machine", bus: []string{"nats://127.0.0.1:4222", "nats://[::1]:4222", "localhost"}},
		{name: "NATS in clear", bus: []string{"nats://me:hidden@a.example.com:4222", "ws://hidden@[2001:db8::1]:8080"}, want: "bus.urls=a.example.com:4222, [2001:db8::1]:8080"},
	} {
		var got []string
		for _, r := range nodeExceptions(home, config.NodeConfig{Node: "n1", Store: c.store, Bus: config.BusConfig{URLs: c.bus}}) {
			got = append(got, r.Setting+"="+r.Value)
			if r.Kind != "node" || r.Node != "n1" || r.Name != "n1" || r.Risk == "" || r.Default == "" {
				t.Errorf("%s: %+v", c.name, r)
			}
			if strings.Contains(r.Value+r.Risk, "hidden") {
				t.Errorf("%s: the password is shown: %+v", c.name, r)
			}
		}
		if strings.Join(got, ",") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
