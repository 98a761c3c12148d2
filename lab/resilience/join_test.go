package resilience

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/lab/program"
	"github.com/locktone/locktone/service/admin"
)

// member is a node of a cluster of real processes.
type member struct {
	*program.Node
	name string
	addr netip.Addr
}

// founder starts the first node of a cluster on an empty database.
func founder(t *testing.T) (*member, string) {
	t.Helper()
	return founderOn(t, postgres.Need(t))
}

func founderOn(t *testing.T, db *postgres.Server) (*member, string) {
	t.Helper()
	dsn := db.Database(t)
	dir := filepath.Join(t.TempDir(), "n1")
	ok(t, os.MkdirAll(dir, 0o700))
	ok(t, os.WriteFile(filepath.Join(dir, "node.yaml"), []byte("node: n1\nstore: {dsn: '"+dsn+"'}\nadmin: {address: '127.0.0.1:0'}\n"), 0o600))
	m := &member{name: "n1", addr: freeAddress(t)}
	c := config.Default("n1")
	c.Nodes[0].Address = m.addr.String()
	path := filepath.Join(t.TempDir(), "site.yaml")
	ok(t, os.WriteFile(path, config.Format(c, false), 0o600))
	m.Node = built.Up(t, dir, "--site", path)
	return m, dsn
}

// url is where administration of a node answers.
func (m *member) url(t *testing.T) string {
	t.Helper()
	code, out, errs := command(t, "status", "--home", m.Home, "--json")
	if code != 0 {
		t.Fatalf("%s", errs)
	}
	var st admin.Status
	ok(t, json.Unmarshal([]byte(out), &st))
	for _, s := range st.Services {
		for _, a := range s.Addresses {
			if strings.HasPrefix(a, "https://127.0.0.1:") {
				return a
			}
		}
	}
	t.Fatalf("no HTTPS API in %s", out)
	return ""
}

// token makes one and returns the file it is in.
func (m *member) token(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := command(t, append([]string{"node", "token", "--home", m.Home}, args...)...)
	if code != 0 {
		t.Fatalf("node token: %s", errs)
	}
	file := filepath.Join(t.TempDir(), "token")
	ok(t, os.WriteFile(file, []byte(out), 0o600))
	return file
}

// joined starts a second node.
func (m *member) joined(t *testing.T, name string) *member {
	t.Helper()
	n := &member{name: name, addr: freeAddress(t)}
	n.Node = built.Up(t, filepath.Join(t.TempDir(), name), "--join", m.url(t), "--token-file", m.token(t), "--name", name, "--address", n.addr.String())
	return n
}

func (m *member) nodes(t *testing.T) map[string]admin.NodeRow {
	t.Helper()
	code, out, errs := command(t, "show", "nodes", "--home", m.Home, "--json")
	if code != 0 {
		t.Fatalf("show nodes: %s", errs)
	}
	var list admin.Rows[admin.NodeRow]
	ok(t, json.Unmarshal([]byte(out), &list))
	by := map[string]admin.NodeRow{}
	for _, r := range list.Rows {
		by[r.Name] = r
	}
	return by
}

// group puts another node behind this one in the call-manager group, and waits until that one knows.
func (m *member) group(t *testing.T, other *member) {
	t.Helper()
	c := must(config.Parse("config", []byte(m.config(t)), nil))(t)
	c.CallManagerGroups[0].Nodes = []string{m.name, other.name}
	path := filepath.Join(t.TempDir(), "group.yaml")
	ok(t, os.WriteFile(path, config.Format(c, false), 0o600))
	if code, _, errs := command(t, "apply", "--home", m.Home, path); code != 0 {
		t.Fatalf("apply: %s", errs)
	}
	want := m.config(t)
	eventually(t, step, func() error {
		if other.config(t) != want {
			return errors.New(other.name + " does not have the configuration")
		}
		return nil
	})
}

func (m *member) config(t *testing.T) string {
	t.Helper()
	code, out, errs := command(t, "config", "--home", m.Home)
	if code != 0 {
		t.Fatalf("config: %s", errs)
	}
	return out
}

// apply changes the configuration by this node.
func (m *member) apply(t *testing.T, change func(*config.Site)) {
	t.Helper()
	c := must(config.Parse("config", []byte(m.config(t)), nil))(t)
	change(c)
	path := filepath.Join(t.TempDir(), "site.yaml")
	ok(t, os.WriteFile(path, config.Format(c, false), 0o600))
	if code, _, errs := command(t, "apply", path, "--home", m.Home); code != 0 {
		t.Fatalf("apply: %s", errs)
	}
}

// holds waits until processes outside have come to something.
func holds(t *testing.T, what string, it func() bool) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		if it() {
			return nil
		}
		return errors.New(what)
	})
}

// TestJoin: two real processes on one real PostgreSQL become a cluster.
func TestJoin(t *testing.T) {
	t.Parallel()
	n1, _ := founder(t)
	n2 := n1.joined(t, "n2")
	if a, b := n1.config(t), n2.config(t); a != b || !strings.Contains(a, n2.addr.String()) {
		t.Errorf("two configurations:\n%s\n%s", a, b)
	}
	for name, want := range map[string]fs.FileMode{"node.yaml": 0o600, "pki/dsn": 0o600, "pki/cluster-key.pem": 0o600, "pki": fs.ModeDir | 0o700} {
		if st, err := os.Stat(filepath.Join(n2.Home, name)); err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	for _, m := range []*member{n1, n2} {
		for _, name := range []string{"pki/ca.pem", "pki/signer/sast-1.pem", "pki/join-claim.pem"} {
			if _, err := os.Stat(filepath.Join(m.Home, name)); err == nil {
				t.Errorf("%s keeps %s", m.name, name)
			}
		}
	}
	n2.apply(t, func(c *config.Site) {
		c.CallManagerGroups[0].Nodes = []string{"n1", "n2"}
		addPhone(c, "extra00001", "20001", "encrypted")
	})
	holds(t, "what is applied at n2 is in force at n1", func() bool {
		rows := n1.nodes(t)
		return extras(t, n1.Home) == 1 && rows["n1"].Revision == 3 && slices.Contains(rows["n2"].Groups, "default")
	})
	lists(t, n1, n2)
	serversNamed(t, n1)
	for _, m := range []*member{n1, n2} {
		holds(t, m.name+" hears both nodes and what runs there", func() bool {
			rows := m.nodes(t)
			for _, x := range []*member{n1, n2} {
				r := rows[x.name]
				if !r.Alive || r.Address != x.addr.String() || r.Version == "" || !slices.Contains(r.Services, "callmanager") || r.Self != (x == m) {
					return false
				}
			}
			return len(rows) == 2
		})
	}
	// Both come back as they were, with the names they had, the second without being asked anything.
	for _, m := range []*member{n2, n1} {
		if code := m.Stop(t); code != 0 {
			t.Errorf("%s ends with %d:\n%s", m.name, code, m.Output)
		}
	}
	before := keysIn(t, dirOf(t, n1, n2))
	n1.Node, n2.Node = built.Up(t, n1.Home), built.Up(t, n2.Home, "--join", "https://127.0.0.1:1", "--token-file", "/nowhere")
	if after := keysIn(t, dirOf(t, n1, n2)); before != after {
		t.Error("a restart replaced certificates")
	}
	lists(t, n1, n2)
}

// lists waits until both nodes serve lists that name the services of both.
func lists(t *testing.T, all ...*member) {
	t.Helper()
	for _, m := range all {
		var out string
		holds(t, "the lists of "+m.name+" name every node", func() bool {
			_, out, _ = command(t, "show", "itl", "--home", m.Home)
			for _, x := range all {
				if !strings.Contains(out, x.addr.String()) {
					return false
				}
			}
			return true
		})
		if strings.Contains(out, "CN=capf.n1.") || !strings.Contains(out, "CN=capf.locktone.test") || !strings.Contains(out, "CN=capf.n2.locktone.test") {
			t.Errorf("names in the list of %s:\n%s", m.name, out)
		}
	}
}

// dirOf are the folders with the keys of services.
func dirOf(t *testing.T, all ...*member) (dirs []string) {
	t.Helper()
	for _, m := range all {
		dirs = append(dirs, filepath.Join(m.Home, "pki", "service"))
	}
	return dirs
}

// keysIn is what is in folders.
func keysIn(t *testing.T, dirs []string) string {
	t.Helper()
	var b strings.Builder
	for _, d := range dirs {
		ok(t, filepath.WalkDir(d, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			fmt.Fprintf(&b, "%s %x\n", path, content)
			return err
		}))
	}
	if b.Len() == 0 {
		t.Fatal("no keys")
	}
	return b.String()
}

// serversNamed: the names for DNS are those that the certificates of the call managers have, that of the node that was alone once, too.
func serversNamed(t *testing.T, m *member) {
	t.Helper()
	var list admin.Rows[admin.ServerRow]
	api(t, m.Home, http.MethodGet, "/v1/servers", nil, &list)
	for _, r := range list.Rows {
		conn, err := tls.Dial("tcp", net.JoinHostPort(r.Host, "5061"), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // only read
		if err != nil {
			t.Errorf("%s: %v", r.Node, err)
			continue
		}
		if err := conn.ConnectionState().PeerCertificates[0].VerifyHostname(r.Name); err != nil {
			t.Errorf("%s is shown as %s: %v", r.Node, r.Name, err)
		}
		_ = conn.Close()
	}
	if len(list.Rows) != 2 {
		t.Errorf("servers: %+v", list.Rows)
	}
}

// TestJoinRefused: what is not right is refused before anything is written, on either side.
func TestJoinRefused(t *testing.T) {
	t.Parallel()
	n1, _ := founder(t)
	stranger, _ := founder(t)
	used := n1.token(t)
	n2 := &member{name: "n2", addr: freeAddress(t)}
	n2.Node = built.Up(t, filepath.Join(t.TempDir(), "n2"), "--join", n1.url(t), "--token-file", used, "--name", "n2", "--address", n2.addr.String())
	before := n1.config(t)
	garbage := filepath.Join(t.TempDir(), "garbage")
	ok(t, os.WriteFile(garbage, []byte("LN1-AAAA"), 0o600))
	for what, x := range map[string]struct {
		url, token, name, want string
	}{
		"wrong pin":             {stranger.url(t), n1.token(t), "n3", "not the cluster that made the token"},
		"used":                  {n1.url(t), used, "n3", "was used"},
		"for another name":      {n1.url(t), n1.token(t, "--name", "n9"), "n3", "for another name"},
		"a name that is taken":  {n1.url(t), n1.token(t), "n2", "the token is for another name"},
		"no token":              {n1.url(t), garbage, "n3", "cut short"},
		"a name of no use":      {n1.url(t), n1.token(t), "n_3", "host names"},
		"nobody there":          {"https://127.0.0.1:1", n1.token(t), "n3", "asking 127.0.0.1:1"},
		"another cluster's one": {n1.url(t), stranger.token(t), "n3", "not the cluster that made the token"},
	} {
		home := filepath.Join(t.TempDir(), "n3")
		code, out, errs := command(t, "up", "--home", home, "--join", x.url, "--token-file", x.token, "--name", x.name)
		if code != 1 || !strings.Contains(errs, x.want) {
			t.Errorf("%s: %d %s%s", what, code, out, errs)
		}
		for _, name := range []string{"node.yaml", "pki/dsn", "pki/cluster-key.pem", "locktone.db"} {
			if _, err := os.Stat(filepath.Join(home, name)); err == nil {
				t.Errorf("%s: %s was written", what, name)
			}
		}
	}
	if after := n1.config(t); after != before {
		t.Errorf("and the site has changed:\n%s", after)
	}
	if code, _, errs := command(t, "node", "token", "--home", n1.Home, "--ttl", "1s"); code == 0 {
		t.Errorf("a token for a second: %s", errs)
	}
	// A site on a file takes nobody, and says how it could.
	alone := home(t)
	built.Up(t, alone)
	if code, _, errs := command(t, "node", "token", "--home", alone); code != 1 || !strings.Contains(errs, "locktone backup") {
		t.Errorf("a site on a file: %d %s", code, errs)
	}
}

// TestJoinKilled: the newcomer is killed with kill -9 while it joins, at ever later moments, and comes in with the same token.
func TestJoinKilled(t *testing.T) {
	t.Parallel()
	n1, _ := founder(t)
	tries := 2
	if all() {
		tries = 8
	}
	for i := range tries {
		name, dir, addr := fmt.Sprintf("n%d", i+2), filepath.Join(t.TempDir(), "home"), freeAddress(t)
		args := []string{"--join", n1.url(t), "--token-file", n1.token(t), "--name", name, "--address", addr.String()}
		for _, wait := range []time.Duration{time.Duration(i) * 8 * time.Millisecond, time.Duration(i) * 40 * time.Millisecond} {
			p := built.Start(t, nil, dir, args...)
			select { // the moment is the point: nothing tells how far it has come
			case <-time.After(20*time.Millisecond + wait):
			case <-p.Ended:
			}
			p.Kill()
		}
		if code, _, errs := run(t, dir, args); code != 0 {
			t.Errorf("%s does not come in: %s", name, errs)
		}
	}
	c := must(config.Parse("config", []byte(n1.config(t)), nil))(t)
	if len(c.Nodes) != 1+tries {
		t.Errorf("%d nodes: %+v", len(c.Nodes), c.Nodes)
	}
	code, out, errs := command(t, "audit", "--home", n1.Home, "--json")
	if code != 0 || !strings.Contains(out, "node-join") || !strings.Contains(out, "node-token") {
		t.Errorf("the audit log: %s %s", out, errs)
	}
}

// run starts a node until it is ready and stops it.
func run(t *testing.T, dir string, args []string) (int, string, string) {
	t.Helper()
	p := built.Start(t, nil, dir, args...)
	code, out, errs := command(t, "status", "--home", dir, "--json", "--wait", "40s")
	p.Kill()
	return code, out, errs + p.Output.String()
}

// TestNodeRemoved: a node that is taken out ends, its certificates are worth nothing, and it comes back only by a token for it.
func TestNodeRemoved(t *testing.T) {
	t.Parallel()
	n1, _ := founder(t)
	n2 := n1.joined(t, "n2")
	n1.apply(t, func(c *config.Site) { c.CallManagerGroups[0].Nodes = []string{"n2"} })
	lists(t, n1, n2)
	if code, _, errs := command(t, "node", "remove", "n2", "--force", "--home", n1.Home); code != 1 || !strings.Contains(errs, "only node of call-manager group default") {
		t.Errorf("the last one of a group: %d %s", code, errs)
	}
	n1.apply(t, func(c *config.Site) { c.CallManagerGroups[0].Nodes = []string{"n2", "n1"} })
	if code, _, errs := command(t, "node", "remove", "n1", "--force", "--home", n1.Home); code != 1 || !strings.Contains(errs, "this node") {
		t.Errorf("itself: %d %s", code, errs)
	}
	if code, _, errs := command(t, "node", "remove", "n7", "--home", n1.Home); code != 1 || !strings.Contains(errs, "no node n7") {
		t.Errorf("nobody: %d %s", code, errs)
	}
	code, out, errs := command(t, "node", "remove", "n2", "--force", "--home", n1.Home)
	if code != 0 || !strings.Contains(out, "certificates revoked") || strings.Contains(out, " 0 certificates") {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	select {
	case <-n2.Ended:
	case <-time.After(30 * time.Second):
		t.Fatalf("it goes on:\n%s", n2.Output)
	}
	if n2.ExitCode() != 1 || !strings.Contains(n2.Output.String(), "taken out of the site by") {
		t.Errorf("it ends with %d:\n%s", n2.ExitCode(), n2.Output)
	}
	holds(t, "the lists name it no longer", func() bool {
		_, out, _ := command(t, "show", "itl", "--home", n1.Home)
		return !strings.Contains(out, n2.addr.String()) && strings.Contains(out, n1.addr.String())
	})
	if out := n1.config(t); strings.Contains(out, n2.addr.String()) || strings.Contains(out, "n2") {
		t.Errorf("still in the site:\n%s", out)
	}
	if code, _, errs := run(t, n2.Home, nil); code == 0 || !strings.Contains(errs, `no node "n2"`) {
		t.Errorf("it starts again: %s", errs)
	}
	dir := filepath.Join(t.TempDir(), "again")
	if code, _, errs := run(t, dir, []string{"--join", n1.url(t), "--token-file", n1.token(t, "--name", "n2"), "--address", n2.addr.String()}); code != 0 {
		t.Errorf("it does not come back: %s", errs)
	}
}

// TestRotationAcrossNodes: a rotation ordered at one node replaces what belongs to both, and its certificates are known to both.
func TestRotationAcrossNodes(t *testing.T) {
	t.Parallel()
	n1, _ := founder(t)
	n2 := n1.joined(t, "n2")
	lists(t, n1, n2)
	// Signers are followed by the call manager, whose handshake is the proof that their predecessors may go.
	for _, x := range []struct{ what, signer, n1, n2 string }{
		{"callmanager", "CN=SAST1_", "CN=cm.locktone.test-g2", "CN=cm.n2.locktone.test-g2"},
		{"itl", "-g2\n", "CN=cm.locktone.test-g3", "CN=cm.n2.locktone.test-g3"},
	} {
		code, out, errs := command(t, "trust", "plan", "--rotate", x.what, "--apply", "--wait", "45s", "--home", n2.Home)
		if code != 0 {
			t.Fatalf("rotating %s: %d %s %s", x.what, code, out, errs)
		}
		for _, m := range []*member{n1, n2} {
			var out string
			eventually(t, 30*time.Second, func() error {
				_, out, _ = command(t, "show", "ctl", "--home", m.Home)
				if strings.Contains(out, x.signer) && strings.Contains(out, x.n1) && strings.Contains(out, x.n2) {
					return nil
				}
				return fmt.Errorf("%s serves no list with what is new:\n%s", m.name, out)
			})
		}
	}
}

// TestStartWithoutRecord: a node starts, and serves, while PostgreSQL is away; what needs the record is refused with the reason and works
// again once it is back.
func TestStartWithoutRecord(t *testing.T) {
	t.Parallel()
	db := must(postgres.New())(t)
	t.Cleanup(func() { ok(t, db.Close()) })
	n1, _ := founderOn(t, db)
	n2 := n1.joined(t, "n2")
	n1.group(t, n2)
	lists(t, n1, n2)
	held := keysIn(t, dirOf(t, n1, n2))
	n2.Kill()
	db.Stop()
	n2.Node = built.Up(t, n2.Home)
	if after := keysIn(t, dirOf(t, n1, n2)); after != held {
		t.Error("a start without the record replaced certificates")
	}
	softphone(t, n1.Home, "alice", "1001", n2.addr)
	if rows := n2.nodes(t); rows["n2"].StaleAt.IsZero() || rows["n2"].Problem == "" {
		t.Errorf("the list of nodes does not say it: %+v", rows["n2"])
	}
	for _, args := range [][]string{{"node", "token"}, {"cert", "issue", "SEP001122334455", "--out", t.TempDir()}} {
		if code, out, errs := command(t, append(args, "--home", n2.Home)...); code == 0 || !strings.Contains(errs, "unavailable") {
			t.Errorf("%v: %d %s%s", args, code, out, errs)
		}
	}
	ok(t, db.Start())
	holds(t, "it finds the record again", func() bool {
		code, _, _ := command(t, "node", "token", "--home", n2.Home)
		return code == 0 && n2.nodes(t)["n2"].StaleAt.IsZero()
	})
	lists(t, n1, n2)
}
