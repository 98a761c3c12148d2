package resilience

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/admin"
)

// These tests run the real program.

// freeAddress is an address of 127.0.0.0/8 on which nobody has port 5061.
func freeAddress(t testing.TB) netip.Addr {
	t.Helper()
	for range 200 {
		addr := netip.AddrFrom4([4]byte{127, 1 + byte(rand.IntN(250)), 1 + byte(rand.IntN(250)), 20})
		if l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 5061).String()); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free loopback address")
	return netip.Addr{}
}

// siteFile writes a site with n further phones and returns its path. The call manager is at addr, registrations are short.
func siteFile(t testing.TB, dir string, addr netip.Addr, n int) string {
	t.Helper()
	c := config.Default("node1")
	c.Nodes[0].Services = []config.NodeService{{Service: config.ServiceCallManager, Address: addr.String()}, {Service: config.ServiceAdmin}}
	c.SIPProfiles[0].RegisterExpires, c.SIPProfiles[0].RegisterMinExpires = config.Duration(10*time.Second), config.Duration(time.Second)
	for i := range n {
		addPhone(c, fmt.Sprintf("extra%05d", i), fmt.Sprint(20000+i), "encrypted")
	}
	path := filepath.Join(dir, fmt.Sprintf("site%d.yaml", n))
	ok(t, os.WriteFile(path, config.Format(c.Canonical(), false), 0o600))
	return path
}

// home makes a home folder whose administration takes any free port.
func home(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "home")
	ok(t, os.MkdirAll(dir, 0o700))
	ok(t, os.WriteFile(filepath.Join(dir, "node.yaml"), []byte("admin: {address: '127.0.0.1:0'}\n"), 0o600))
	return dir
}

// softphone starts the phone whose files `locktone up` made.
func softphone(t testing.TB, home, name, number string, addr netip.Addr) *phone.Phone {
	t.Helper()
	dir := filepath.Join(home, "phones", name)
	c := must(pki.LoadCredential(must(os.ReadFile(filepath.Join(dir, name+".pem")))(t)))(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(filepath.Join(dir, "ca.pem")))(t))
	p, err := phone.Start(within(t, step), phone.Config{Name: name, Number: number, Domain: "locktone.test", Server: netip.AddrPortFrom(addr, 5061).String(),
		Certificate: c.TLS(), Roots: roots, Expires: 2 * time.Second})
	ok(t, err)
	t.Cleanup(func() { hangUp(p) })
	ok(t, p.WaitRegistered(within(t, step)))
	return p
}

// registeredAt asks the node who is registered.
func registeredAt(t testing.TB, home, device string) bool {
	t.Helper()
	_, out, _ := command(t, "show", "registrations", "--home", home, "--json")
	var rows admin.Rows[bus.Registration]
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		var plain []bus.Registration
		if json.Unmarshal([]byte(out), &plain) != nil {
			return false
		}
		rows.Rows = plain
	}
	for _, r := range rows.Rows {
		if r.Device == device && r.State == "registered" {
			return true
		}
	}
	return false
}

// extras counts the further phones in the configuration in force.
func extras(t testing.TB, home string) int {
	t.Helper()
	code, out, errs := command(t, "config", "--home", home)
	if code != 0 {
		t.Fatalf("locktone config: %s", errs)
	}
	c, err := config.Parse("config", []byte(out), nil)
	ok(t, err)
	n := 0
	for _, d := range c.Devices {
		if strings.HasPrefix(d.Name, "extra") {
			n++
		}
	}
	if lines := len(c.Lines) - 2; lines != n {
		t.Errorf("half a configuration: %d further devices, %d lines", n, lines)
	}
	return n
}

// TestKilledWhileApplying kills the node with -9 in the middle of `locktone apply`, again and again: what is in force
// afterwards is the old or the new configuration, whole, and phones come back by themselves.
func TestKilledWhileApplying(t *testing.T) {
	t.Parallel()
	dir, addr := home(t), freeAddress(t)
	files := map[int]string{0: siteFile(t, t.TempDir(), addr, 0), 1500: siteFile(t, t.TempDir(), addr, 1500)}
	n := built.Up(t, dir, "--site", files[0])
	alice := softphone(t, dir, "alice", "1001", addr)
	rounds, old, fresh := 4, 0, 0
	if all() {
		rounds = 40
	}
	now := 0
	// How long an apply takes here, so that the kills fall into it.
	begin := time.Now()
	if code, _, errs := command(t, "apply", "--home", dir, files[1500]); code != 0 {
		t.Fatalf("apply: %s", errs)
	}
	usual := time.Since(begin)
	now = 1500
	for round := range rounds {
		next := 1500 - now
		applied := make(chan int, 1)
		go func() {
			c := exec.Command(built.Path(t), "apply", "--home", dir, files[next])
			_ = c.Run()
			applied <- c.ProcessState.ExitCode()
		}()
		time.Sleep(usual * time.Duration(round+1) / time.Duration(rounds+2)) // the moment is what varies
		n.Kill()
		said := <-applied
		n = built.Up(t, dir)
		got := extras(t, dir)
		switch {
		case got == next:
			fresh++
		case got == now && said != 0:
			old++
		case got == now:
			t.Errorf("apply said that it is done, and the old configuration is in force")
		default:
			t.Fatalf("%d further phones are configured: neither %d nor %d", got, now, next)
		}
		now = got
	}
	t.Logf("an apply takes %v; after %d kills the old configuration was in force %d times, the new one %d times", usual, rounds, old, fresh)
	eventually(t, step, func() error {
		if !registeredAt(t, dir, "alice") {
			return errors.New("alice's phone did not come back")
		}
		return nil
	})
	goodCall(t, alice, softphone(t, dir, "bob", "1002", addr))
	if code := n.Stop(t); code != 0 {
		t.Errorf("Ctrl-C: exit code %d\n%s", code, n.Output)
	}
}

// TestUpAndDown: Ctrl-C stops a node cleanly and leaves neither socket nor lock behind; the next start finds everything
// again; a second node in the same folder is told so.
func TestUpAndDown(t *testing.T) {
	t.Parallel()
	dir, addr := home(t), freeAddress(t)
	file := siteFile(t, t.TempDir(), addr, 3)
	n := built.Up(t, dir, "--site", file)
	alice, bob := softphone(t, dir, "alice", "1001", addr), softphone(t, dir, "bob", "1002", addr)
	goodCall(t, alice, bob)

	code, _, says := command(t, "up", "--home", dir)
	if code != 1 || !strings.Contains(says, "a site is already running in "+dir) {
		t.Errorf("a second node in one folder: exit code %d, %s", code, says)
	}
	other := home(t)
	code, _, says = command(t, "up", "--home", other, "--site", file)
	if code != 1 || !strings.Contains(says, addr.String()+":5061") || !strings.Contains(says, "address already in use") {
		t.Errorf("a second node on one address: exit code %d, %s", code, says)
	}

	before := must(os.ReadFile(filepath.Join(dir, "phones", "alice", "alice.crt")))(t)
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		n.Signal(t, signal)
		select {
		case <-n.Ended:
		case <-time.After(step):
			t.Fatalf("%v does not stop the node:\n%s", signal, n.Output)
		}
		if code := n.ExitCode(); code != 0 {
			t.Errorf("%v: exit code %d\n%s", signal, code, n.Output)
		}
		if _, err := os.Lstat(filepath.Join(dir, admin.SocketName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v leaves the socket behind: %v", signal, err)
		}
		if listening(netip.AddrPortFrom(addr, 5061).String()) {
			t.Error("5061 is open after the end")
		}
		if code, _, says := command(t, "status", "--home", dir); code != 3 || !strings.Contains(says, "no node is running") {
			t.Errorf("status without a node: %d, %s", code, says)
		}
		n = built.Up(t, dir)
		if got := extras(t, dir); got != 3 {
			t.Errorf("after a restart %d further phones are configured, want 3", got)
		}
		eventually(t, step, func() error {
			if !registeredAt(t, dir, "alice") || !registeredAt(t, dir, "bob") {
				return errors.New("the phones did not come back by themselves")
			}
			return nil
		})
		goodCall(t, alice, bob)
	}
	if after := must(os.ReadFile(filepath.Join(dir, "phones", "alice", "alice.crt")))(t); string(after) != string(before) {
		t.Error("a restart made a new certificate for a softphone")
	}

	t.Run("a bad file changes nothing", func(t *testing.T) {
		bad := strings.Replace(string(must(os.ReadFile(file))(t)), "deviceSecurityMode", "deviceSecurityMood", 1)
		bad = strings.Replace(bad, "devicePool: default", "devicePool: defalt", 1)
		if !strings.Contains(bad, "devicePool: defalt") {
			t.Fatal("the file is not bad")
		}
		bad += "sipProfiles2: []\n"
		path := filepath.Join(t.TempDir(), "bad.yaml")
		ok(t, os.WriteFile(path, []byte(bad), 0o600))
		for _, verb := range []string{"plan", "apply"} {
			code, _, says := command(t, verb, "--home", dir, path)
			t.Log(says)
			if code != 1 {
				t.Errorf("%s of a bad file: exit code %d", verb, code)
			}
			line := 1 + strings.Count(bad[:strings.Index(bad, "devicePool: defalt")], "\n")
			for _, want := range []string{fmt.Sprintf("%s:%d:", path, line), "devicePool", "defalt", "sipProfiles2"} {
				if !strings.Contains(says, want) {
					t.Errorf("%s: the error does not name %q:\n%s", verb, want, says)
				}
			}
		}
		if got := extras(t, dir); got != 3 {
			t.Errorf("%d further phones after a bad file", got)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), step)
	defer cancel()
	ok(t, alice.Unregister(ctx))
	if code := n.Stop(t); code != 0 {
		t.Errorf("Ctrl-C: exit code %d\n%s", code, n.Output)
	}
}
