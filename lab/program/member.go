package program

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/address"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/admin"
)

// A Member is a node of a cluster of real processes. Its program may be another at each start.
type Member struct {
	*Node
	Name    string
	Address netip.Addr
	Program *Program // that runs, or ran last
}

// Found starts the first node of a cluster, n1, on an empty PostgreSQL database.
func Found(t testing.TB, p *Program, dsn string) *Member {
	t.Helper()
	m := &Member{Name: "n1", Address: freeAddress(t), Program: p}
	home, siteFile := filepath.Join(t.TempDir(), m.Name), filepath.Join(t.TempDir(), "site.yaml")
	c := config.Default(m.Name)
	c.Nodes[0].Address = m.Address.String()
	for _, err := range []error{os.MkdirAll(home, 0o700), os.WriteFile(siteFile, config.Format(c, false), 0o600),
		os.WriteFile(filepath.Join(home, "node.yaml"), []byte("node: n1\nstore: {dsn: '"+dsn+"'}\nadmin: {address: '127.0.0.1:0'}\n"), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m.Node = p.Up(t, home, "--site", siteFile)
	return m
}

// freeAddress is one of 127.0.0.0/8 that nobody else has until the test ends.
func freeAddress(t testing.TB) netip.Addr {
	t.Helper()
	a, err := address.Take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Release() })
	return a.Addr
}

// Join starts a further node with a token of this one.
func (m *Member) Join(t testing.TB, p *Program, name string) *Member {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(m.Do(t, "node", "token")), 0o600); err != nil {
		t.Fatal(err)
	}
	n := &Member{Name: name, Address: freeAddress(t), Program: p}
	n.Node = p.Up(t, filepath.Join(t.TempDir(), name), "--join", m.admin(t), "--token-file", token, "--name", name, "--address", n.Address.String())
	return n
}

// admin is where administration of the node answers.
func (m *Member) admin(t testing.TB) string {
	t.Helper()
	var st admin.Status
	m.Ask(t, &st, "status")
	for _, s := range st.Services {
		for _, a := range s.Addresses {
			if strings.HasPrefix(a, "https://127.0.0.1:") {
				return a
			}
		}
	}
	t.Fatalf("no HTTPS API in %+v", st)
	return ""
}

// Again starts a node that has ended, in its home folder, with a program.
func (m *Member) Again(t testing.TB, p *Program) {
	t.Helper()
	m.Program = p
	m.Node = p.Up(t, m.Home)
}

// WaitEnded waits for the end of the process and returns its exit code.
func (m *Member) WaitEnded(t testing.TB, d time.Duration) int {
	t.Helper()
	select {
	case <-m.Ended:
	case <-time.After(d):
		t.Fatalf("%s runs after %v:\n%s", m.Name, d, m.Output)
	}
	return m.ExitCode()
}

// Do runs a command of the node's program, which must succeed, and returns what it prints.
func (m *Member) Do(t testing.TB, args ...string) string {
	t.Helper()
	code, out, errs := m.Program.Run(t, append(args, "--home", m.Home)...)
	if code != 0 {
		t.Fatalf("%s: locktone %s: %d\n%s%s\n%s", m.Name, strings.Join(args, " "), code, out, errs, m.Output)
	}
	return out
}

// Ask is Do with --json.
func (m *Member) Ask(t testing.TB, into any, args ...string) {
	t.Helper()
	out := m.Do(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("locktone %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// Nodes are the nodes as this one sees them.
func (m *Member) Nodes(t testing.TB) map[string]admin.NodeRow {
	t.Helper()
	var list admin.Rows[admin.NodeRow]
	m.Ask(t, &list, "show", "nodes")
	by := map[string]admin.NodeRow{}
	for _, r := range list.Rows {
		by[r.Name] = r
	}
	return by
}

// Registrations are the nodes at which devices are registered, as all nodes together tell this one.
func (m *Member) Registrations(t testing.TB) map[string]bus.Registration {
	t.Helper()
	var list admin.Rows[bus.Registration]
	m.Ask(t, &list, "show", "registrations")
	by := map[string]bus.Registration{}
	for _, r := range list.Rows {
		if r.State == "registered" {
			by[r.Device] = r
		}
	}
	return by
}

// Config is the configuration in force.
func (m *Member) Config(t testing.TB) *config.Site {
	t.Helper()
	c, err := config.Parse("config", []byte(m.Do(t, "config")), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Apply makes a configuration the one in force; false: the node has not said that it is.
func (m *Member) Apply(t testing.TB, c *config.Site) (accepted bool, why string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "site.yaml")
	if err := os.WriteFile(path, config.Format(c, false), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := m.Program.Run(t, "apply", path, "--home", m.Home)
	return code == 0, out + errs
}

// Server is where phones register.
func (m *Member) Server() string { return netip.AddrPortFrom(m.Address, 5061).String() }

// Phone registers a phone that knows servers, in order, with a certificate this node issues. It ends with the test.
func (m *Member) Phone(t testing.TB, device, number string, servers []*Member, change func(*phone.Config)) *phone.Phone {
	t.Helper()
	dir := t.TempDir()
	m.Do(t, "cert", "issue", device, "--out", dir)
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, device+".crt"), filepath.Join(dir, device+".key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	cfg := phone.Config{Name: device, Number: number, Domain: "locktone.test", Certificate: cert, Roots: roots}
	for i, s := range servers {
		if i == 0 {
			cfg.Server = s.Server()
		} else {
			cfg.Backups = append(cfg.Backups, s.Server())
		}
	}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p, err := phone.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = p.Close(ctx)
	})
	if err := p.WaitRegistered(ctx); err != nil {
		t.Fatal(err)
	}
	return p
}
