package cluster

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/netns"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/lab/program"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/admin"
)

// built is the real program.
var built program.Program

// forwardEnv makes this test binary a forwarder: "address socket". The database is in a place of its own that way.
const forwardEnv = "LOCKTONE_CLUSTER_FORWARD"

func TestMain(m *testing.M) {
	if what := os.Getenv(forwardEnv); what != "" {
		address, socket, _ := strings.Cut(what, " ")
		fmt.Fprintln(os.Stderr, forward(address, socket))
		os.Exit(1)
	}
	code := netns.Main(m)
	built.Remove()
	os.Exit(code)
}

// forward carries connections to a unix socket until it fails.
func forward(address, socket string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			s, err := net.Dial("unix", socket)
			if err != nil {
				return
			}
			defer s.Close()
			go func() { _, _ = io.Copy(s, c); s.Close() }()
			_, _ = io.Copy(c, s)
		}()
	}
}

// step bounds one step of a test.
const step = 20 * time.Second

// returning is how long a phone may take to be back at its node: one that has hung up while its node was lost is idle when its BYE has
// been given up after 32 s.
const returning = 90 * time.Second

// A cluster is three nodes and their database, each in a place of its own. The first node of a device pool pN is nN.
type cluster struct {
	t     *testing.T // the one it was started for
	net   *netns.Net
	db    *postgres.Server
	dsn   string
	nodes map[string]*node
	seats map[int]*phone.Phone // those that were started
	certs string               // folder of the phones' certificates
	roots *x509.CertPool
}

// A node is one of them.
type node struct {
	*program.Node
	name, home string
	at         netip.Addr
}

var names = []string{"n1", "n2", "n3"}

// start builds a cluster as an operator does: one node on PostgreSQL, two that join it.
func start(t *testing.T, phones int) *cluster {
	t.Helper()
	c := &cluster{t: t, net: netns.Here(t), db: postgres.Need(t), nodes: map[string]*node{}, seats: map[int]*phone.Phone{}, certs: t.TempDir()}
	c.forwardDatabase(t)
	for _, name := range names {
		n := &node{name: name, home: filepath.Join(t.TempDir(), name), at: c.net.Place(t, name)}
		ok(t, os.MkdirAll(n.home, 0o700))
		c.nodes[name] = n
	}
	first := c.nodes["n1"]
	site := config.Default("n1")
	site.Nodes[0].Address = first.at.String()
	site.Nodes[0].Services = services(first.at)
	file := c.write(t, "site.yaml", site)
	ok(t, os.WriteFile(filepath.Join(first.home, "node.yaml"), fmt.Appendf(nil, "node: n1\nstore: {dsn: '%s'}\n", c.dsn), 0o600))
	first.Node = built.UpIn(t, c.launch("n1"), first.home, "--site", file)
	for _, name := range names[1:] {
		c.join(t, name)
	}
	c.configure(t, phones)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, p := range c.seats {
			_ = p.Close(ctx) // what it does not get rid of ends with the nodes
		}
	})
	return c
}

// tell prints what every node says of the cluster, after a test that has failed.
func (c *cluster) tell(t *testing.T) {
	if !t.Failed() {
		return
	}
	for _, name := range names {
		home := c.nodes[name].home
		for _, what := range [][]string{{"status"}, {"show", "nodes"}, {"show", "registrations"}, {"calls"}} {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			out, _ := exec.CommandContext(ctx, built.Path(t), append(what, "--home", home)...).CombinedOutput() // a node that is down says so
			cancel()
			t.Logf("%s: %s\n%s", name, strings.Join(what, " "), out)
		}
		t.Logf("%s wrote: %s", name, c.nodes[name].Output)
	}
}

func services(at netip.Addr) []config.NodeService {
	return []config.NodeService{{Service: config.ServiceCallManager}, {Service: config.ServiceAdmin, Address: at.String()}}
}

// forwardDatabase gives the database an address in the network: that of the place db.
func (c *cluster) forwardDatabase(t *testing.T) {
	t.Helper()
	at := netip.AddrPortFrom(c.net.Place(t, "db"), 5432).String()
	exe := must(os.Executable())(t)
	f := c.net.Command("db", exe)
	f.Env = append(os.Environ(), forwardEnv+"="+at+" "+c.db.Socket())
	f.Stderr = os.Stderr
	ok(t, f.Start())
	t.Cleanup(func() { _ = f.Process.Kill(); _ = f.Wait() })
	u := must(url.Parse(c.db.Database(t)))(t)
	c.dsn = fmt.Sprintf("postgres://locktone:secret@%s%s?sslmode=disable", at, u.Path)
	eventually(t, step, func() error {
		conn, err := net.Dial("tcp", at)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

func (c *cluster) launch(place string) program.Launch {
	return func(path string, args ...string) *exec.Cmd { return c.net.Command(place, path, args...) }
}

// join adds a node with a token of the first one.
func (c *cluster) join(t *testing.T, name string) {
	t.Helper()
	n, first := c.nodes[name], c.nodes["n1"]
	var token struct {
		Token string `json:"token"`
	}
	ok(t, json.Unmarshal(c.run(t, "node", "token", "--name", name, "--home", first.home, "--json"), &token))
	file := filepath.Join(n.home, "token")
	ok(t, os.WriteFile(file, []byte(token.Token), 0o600))
	n.Node = built.UpIn(t, c.launch(name), n.home, "--join", fmt.Sprintf("https://%s:8443", first.at), "--token-file", file, "--name", name, "--address", n.at.String())
}

// configure gives every node a device pool that has it first, and the phones: p01 (number 2001) to p0N, one after the other in the pools.
func (c *cluster) configure(t *testing.T, phones int) {
	t.Helper()
	site := must(config.Parse("config", c.run(t, "config", "--home", c.nodes["n1"].home), nil))(t)
	for _, name := range names {
		site.CallManagerGroups = append(site.CallManagerGroups, config.CallManagerGroup{Name: "g" + name, Nodes: groupOf(name)})
		site.DevicePools = append(site.DevicePools, config.DevicePool{Name: "p" + name, CallManagerGroup: "g" + name})
	}
	site.SIPProfiles[0].RegisterExpires, site.SIPProfiles[0].RegisterMinExpires = config.Duration(20*time.Second), config.Duration(2*time.Second)
	for i := range phones {
		device, number := phoneName(i), phoneNumber(i)
		site.Lines = append(site.Lines, config.Line{Number: number, Partition: "internal", CallingSearchSpace: "internal", PickupGroup: "everybody"})
		site.Devices = append(site.Devices, config.Device{Name: device, DevicePool: "p" + homeOf(i), PhoneSecurityProfile: "encrypted", SIPProfile: "standard",
			Lines: []config.Appearance{{Number: number, Partition: "internal"}}})
	}
	c.run(t, "apply", "--home", c.nodes["n1"].home, c.write(t, "phones.yaml", site))
	for i := range phones {
		c.run(t, "cert", "issue", phoneName(i), "--home", c.nodes["n1"].home, "--out", c.certs)
	}
	c.roots = x509.NewCertPool()
	c.roots.AppendCertsFromPEM(must(os.ReadFile(filepath.Join(c.certs, "ca.pem")))(t))
}

func phoneName(i int) string   { return fmt.Sprintf("p%02d", i) }
func phoneNumber(i int) string { return fmt.Sprint(2000 + i) }
func homeOf(i int) string      { return names[i%len(names)] }

// groupOf is the call-manager group whose primary is the node.
func groupOf(name string) []string {
	i := slices.Index(names, name)
	return slices.Concat(names[i:], names[:i])
}

func (c *cluster) write(t *testing.T, name string, site *config.Site) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	ok(t, os.WriteFile(path, config.Format(site.Canonical(), false), 0o600))
	return path
}

// run runs a command that has to succeed, and returns what it printed.
func (c *cluster) run(t testing.TB, args ...string) []byte {
	t.Helper()
	code, out, errs := built.Run(t, args...)
	if code != 0 {
		t.Fatalf("locktone %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return []byte(out)
}

// up starts a node again in its home folder; it lives as long as the cluster.
func (c *cluster) up(n *node) {
	n.Node = built.UpIn(c.t, c.launch(n.name), n.home)
}

// metric reads one figure of a node, as Prometheus does; -1 when it does not answer.
func (n *node) metric(t testing.TB, name string) (value float64) {
	t.Helper()
	api := admin.NewClient(n.home)
	defer api.Close()
	var b bytes.Buffer
	if _, err := api.Download(within(t), http.MethodGet, "/metrics", &b); err != nil {
		return -1
	}
	value = -1
	for _, line := range strings.Split(b.String(), "\n") {
		if _, err := fmt.Sscanf(line, name+" %g", &value); err == nil {
			return value
		}
	}
	return value
}

// phone is the i-th phone with the servers of its pool, started when it is asked for first; it is registered at its home.
func (c *cluster) phone(t testing.TB, i int) *phone.Phone {
	t.Helper()
	if p := c.seats[i]; p != nil {
		ctx, cancel := context.WithTimeout(t.Context(), returning)
		defer cancel()
		ok(t, p.WaitServer(ctx, netip.AddrPortFrom(c.nodes[homeOf(i)].at, 5061).String()))
		return p
	}
	cred := must(pki.LoadCredential(append(must(os.ReadFile(filepath.Join(c.certs, phoneName(i)+".crt")))(t), must(os.ReadFile(filepath.Join(c.certs, phoneName(i)+".key")))(t)...)))(t)
	ctx, cancel := context.WithTimeout(t.Context(), step)
	defer cancel()
	var servers []string
	for _, name := range groupOf(homeOf(i)) {
		servers = append(servers, netip.AddrPortFrom(c.nodes[name].at, 5061).String())
	}
	here := c.net.Address("test")
	p, err := phone.Start(ctx, phone.Config{Local: here, Media: media.StreamConfig{Bind: here}, Name: phoneName(i), Number: phoneNumber(i), Domain: "locktone.test", Certificate: cred.TLS(), Roots: c.roots,
		Server: servers[0], Backups: servers[1:], Expires: 20 * time.Second, KeepAlive: time.Second, PongWait: time.Second})
	ok(t, err)
	ok(t, p.WaitRegistered(ctx))
	c.seats[i] = p
	return p
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

// eventually tries until it works or the time is over.
func eventually(t testing.TB, longest time.Duration, try func() error) {
	t.Helper()
	end := time.Now().Add(longest)
	err := errors.New("not tried")
	for time.Now().Before(end) {
		if err = try(); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond) // what other processes do has no event here
	}
	t.Fatal(err)
}
