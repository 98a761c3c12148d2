package peers

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/trace"
)

// A testSite is a whole site in this process that programs from outside register at.
type testSite struct {
	*lab.Site
	addr string // of the call manager, ip:5061

	mu    sync.Mutex
	files map[string]files
}

// files are the paths of a certificate and what belongs to it.
type files struct{ certificate, key, both, ca string }

// startSite starts a site with more than the default configuration, and stops it after the test.
func startSite(t *testing.T, change func(*config.Site), o lab.Options) *testSite {
	t.Helper()
	o.Config = config.Default("node1")
	if change != nil {
		change(o.Config)
	}
	return openSite(t, o)
}

// openSite starts a site as the options say, and stops it after the test.
func openSite(t *testing.T, o lab.Options) *testSite {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	s, err := lab.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	out := &testSite{Site: s, addr: netip.AddrPortFrom(s.CallManager(), 5061).String(), files: map[string]files{}}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if t.Failed() {
			out.tellTrace(t, ctx)
		}
		if err := s.Close(ctx); err != nil {
			t.Errorf("the site did not stop cleanly: %v", err)
		}
	})
	return out
}

// tellTrace shows the ladder of the newest calls of a site whose test failed.
func (s *testSite) tellTrace(t *testing.T, ctx context.Context) {
	for _, c := range s.Trace.Calls(3) {
		if c.Records > 200 {
			continue
		}
		t.Log("\n" + ladder(ctx, s, c.Call))
		if testing.Verbose() && os.Getenv("LOCKTONE_PEERS_MESSAGES") != "" {
			recs, _ := s.Trace.Call(ctx, c.Call)
			for _, r := range recs {
				if r.Kind.SIP() {
					t.Logf("%s %s\n%s", r.Kind, r.Remote, r.Body)
				}
			}
		}
	}
}

// phone adds a device with one line to a site's configuration.
func addPhone(c *config.Site, name, number, profile string) {
	c.Devices = append(c.Devices, config.Device{Name: name, DevicePool: "default", PhoneSecurityProfile: profile, SIPProfile: "standard",
		Lines: []config.Appearance{{Number: number, Partition: "internal"}}})
	c.Lines = append(c.Lines, config.Line{Number: number, Partition: "internal", CallingSearchSpace: "internal", Display: name})
}

// withCAPF runs every service, CAPF with settings.
func withCAPF(c *config.Site, settings config.NodeService) {
	settings.Service = config.ServiceCAPF
	c.Nodes[0].Services = []config.NodeService{{Service: config.ServiceCallManager}, {Service: config.ServiceProvisioning}, settings, {Service: config.ServiceTVS}}
}

// certificate issues one and writes it into files, once for each name and kind.
func (s *testSite) certificate(t *testing.T, kind pki.Kind, name string) files {
	t.Helper()
	return s.issue(t, pki.Request{Kind: kind, Name: name})
}

func (s *testSite) issue(t *testing.T, r pki.Request) files {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprintf("%s %s %v", r.Kind, r.Name, r.DNSNames)
	if f, ok := s.files[id]; ok {
		return f
	}
	issued, err := s.CA.Issue(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	f := writeCredential(t, issued.Credential, s.CA.RootsPEM())
	s.files[id] = f
	return f
}

func writeCredential(t *testing.T, c pki.Credential, roots []byte) files {
	t.Helper()
	key, err := c.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "locktone-cert-") // some programs truncate long paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	chain := c.CertificatePEM()
	f := files{filepath.Join(dir, "crt.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "both.pem"), filepath.Join(dir, "ca.pem")}
	for path, text := range map[string][]byte{f.certificate: chain, f.key: key, f.both: append(append([]byte{}, chain...), key...), f.ca: roots} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// rogue makes another authority's certificate with a name of ours.
func rogue(t *testing.T, kind pki.Kind, name string, roots []byte) files {
	t.Helper()
	keys, err := pki.OpenDir(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	register, err := pki.OpenRegister(filepath.Join(t.TempDir(), "register"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.Open(t.Context(), pki.Config{Cluster: "rogue", Custody: keys, Register: register})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.Issue(t.Context(), pki.Request{Kind: kind, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return writeCredential(t, issued.Credential, roots)
}

// show asks the call manager what an operator would ask.
func show[T any](t *testing.T, s *testSite, verb, name string) []T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	rows, err := bus.Ask[bus.Query, []T](ctx, s.Bus, s.Bus.Subject(callmanager.Name, verb), bus.Query{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// eventually waits until want says yes; what it looks at has no event a test could wait for.
func eventually(t *testing.T, ctx context.Context, what string, want func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !want() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not seen: %v", what, context.Cause(ctx))
		}
	}
}

// makeTone writes a WAV file of a pure tone, 8 kHz mono, into the test's folder.
func makeTone(t *testing.T, hz, seconds int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), fmt.Sprintf("tone%d.wav", hz))
	out, err := exec.Command("sox", "-n", "-r", "8000", "-c", "1", "-b", "16", path, "synth", strconv.Itoa(seconds), "sine", strconv.Itoa(hz), "vol", "0.4").CombinedOutput()
	if err != nil {
		t.Fatalf("sox: %v: %s", err, out)
	}
	return path
}

// folder is a short-lived folder with a short name: sockets and some programs' paths are limited.
func folder(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lt-"+name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			os.RemoveAll(dir)
		}
	})
	return dir
}

// within bounds one test's wait.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, fmt.Errorf("not within %v", d))
	t.Cleanup(cancel)
	return ctx
}

func hasLine(p *Process, texts ...string) bool {
	for _, line := range p.Output() {
		found := true
		for _, text := range texts {
			found = found && strings.Contains(line, text)
		}
		if found {
			return true
		}
	}
	return false
}

// ladder draws one call from the trace.
func ladder(ctx context.Context, s *testSite, id string) string {
	recs, err := s.Trace.Call(ctx, id)
	if err != nil {
		return err.Error()
	}
	return trace.NewLadder(recs, trace.LadderOptions{}).Text(120)
}

// countIn counts the lines of a file that hold a text.
func countIn(t *testing.T, path, text string) (n int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}
