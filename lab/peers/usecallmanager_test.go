package peers

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/wire/trustlist"
)

// A toolbox is the tools of the usecallmanager.nz project, run with the distribution's Python in a folder of their own.
type toolbox struct{ from, dir string }

// needToolbox finds them in the folder LOCKTONE_USECALLMANAGER: clones of usecallmanagernz/daemons in daemons and of
// usecallmanagernz/certutils in certutils.
func needToolbox(t *testing.T) *toolbox {
	t.Helper()
	from := os.Getenv("LOCKTONE_USECALLMANAGER")
	if from == "" {
		t.Skip("LOCKTONE_USECALLMANAGER is not set: capfc, tvsc and tlvfile of usecallmanager.nz are not tried against a whole site")
	}
	for _, name := range []string{"daemons/capfc", "daemons/tvsc", "certutils/tlvfile"} {
		if _, err := os.Stat(filepath.Join(from, name)); err != nil {
			t.Skipf("LOCKTONE_USECALLMANAGER: %v: the tools are not tried against a whole site", err)
		}
	}
	b := &toolbox{from, folder(t, "uc")}
	// tvsc knows no client certificate, and phones have one. Python reads this before the program, and every TLS client in it
	// then shows the certificate and key in the file named.
	b.write(t, "sitecustomize.py", `import os, ssl
if 'SHOW_CERTIFICATE' in os.environ:
    wrap = ssl.SSLContext.wrap_socket
    def showing(self, *args, **words):
        self.load_cert_chain(os.environ['SHOW_CERTIFICATE'])
        return wrap(self, *args, **words)
    ssl.SSLContext.wrap_socket = showing
`)
	return b
}

func (b *toolbox) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a tool to its end and returns what it said, with single spaces.
func (b *toolbox) run(t *testing.T, ctx context.Context, show, tool string, args ...string) (string, error) {
	t.Helper()
	env := []string{"PYTHONPATH=" + b.dir, "PYTHONDONTWRITEBYTECODE=1"}
	if show != "" {
		env = append(env, "SHOW_CERTIFICATE="+show)
	}
	p, err := run(b.dir, "env", append(append(env, "/usr/bin/python3", filepath.Join(b.from, tool)), args...)...)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Exit(ctx)
	out := strings.Join(strings.Fields(strings.Join(p.Output(), " ")), " ")
	if strings.Contains(out, "No module named") {
		t.Skipf("%s: %s: apt-get install python3-cryptography python3-lxml", tool, out)
	}
	return out, err
}

// TestUsecallmanager: lists fetched by TFTP verify with tlvfile, a phone of the configuration enrols with capfc and registers
// encrypted with what it got, and tvsc, showing that, learns what the lists name.
func TestUsecallmanager(t *testing.T) {
	box := needToolbox(t)
	Need(t, curl)
	ctx := within(t, 60*time.Second)
	s := startSite(t, func(c *config.Site) {
		addNewcomer(c)
		c.Cluster.FileSignature = config.SignSHA1 // tlvfile knows SHA-1, and a SHA-512 that other readers take for SHA-384
	}, lab.Options{})
	api := admin.NewClient(s.Home())
	t.Cleanup(api.Close)

	lists := map[trustlist.Kind]*trustlist.List{}
	for kind, name := range map[trustlist.Kind]string{trustlist.CTL: "CTL" + newcomerName + ".tlv", trustlist.ITL: "ITL" + newcomerName + ".tlv"} {
		lists[kind] = box.fetchList(t, ctx, s, name)
	}

	var made admin.CAPFCreated
	if err := api.Do(ctx, http.MethodPost, "/v1/capf/profiles", admin.CAPFOrder{Device: newcomerName}, &made); err != nil {
		t.Fatal(err)
	}
	roots, lsc, at := box.write(t, "roots.pem", string(s.CA.RootsPEM())), filepath.Join(box.dir, "lsc.pem"), s.CallManager().String()
	if out, err := box.run(t, ctx, "", "daemons/capfc", "-A", roots, "-h", at, "-p", "00000", "-c", lsc, newcomerName); err == nil && strings.Contains(out, "Wrote") {
		t.Errorf("with a wrong string: %s", out)
	}
	out, err := box.run(t, ctx, "", "daemons/capfc", "-A", roots, "-h", at, "-p", made.String, "-c", lsc, newcomerName)
	if err != nil || !strings.Contains(out, "Wrote") {
		t.Fatalf("capfc: %v: %s", err, out)
	}
	serial := box.register(t, ctx, s, lsc)
	var list admin.Rows[admin.CAPFProfile]
	if err := api.Do(ctx, http.MethodGet, "/v1/capf/profiles?name="+newcomerName, nil, &list); err != nil {
		t.Fatal(err)
	}
	if p := list.Rows[0]; p.Status != "Upgrade Success" || p.LSC == nil || !strings.EqualFold(p.LSC.Serial, serial) || !p.Unpinned {
		t.Errorf("the profile: %+v", p)
	}

	manager := box.listed(t, lists[trustlist.CTL], trustlist.RoleCCMTFTP)
	ask := func(show, file string) (string, error) {
		return box.run(t, ctx, show, "daemons/tvsc", "-T", roots, "-h", at, "-d", "CP-8845-"+newcomerName, file)
	}
	if out, err := ask("", manager); err == nil {
		t.Errorf("TVS answers whoever shows no certificate: %s", out)
	}
	for file, words := range map[string][]string{manager: {"Status: Valid", "Role: CCM+TFTP"}, box.listed(t, lists[trustlist.ITL], trustlist.RoleTVS): {"Status: Valid", "Role: TVS"},
		box.listed(t, lists[trustlist.CTL], trustlist.RoleCAPF): {"Status: Valid", "Role: CAPF"}, lsc: {"Status: Invalid"}} {
		out, err := ask(lsc, file)
		for _, w := range words {
			if err != nil || !strings.Contains(out, w) {
				t.Errorf("tvsc about %s: %v: %s, want %s", filepath.Base(file), err, out, w)
			}
		}
	}
}

// fetchList fetches a list with curl and has tlvfile judge it, as it came and with one bit flipped.
func (b *toolbox) fetchList(t *testing.T, ctx context.Context, s *testSite, name string) *trustlist.List {
	t.Helper()
	p, err := run(b.dir, "curl", "--fail", "--silent", "--show-error", "-o", name, "tftp://"+s.Provisioning.TFTP().String()+"/"+name)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Exit(ctx); err != nil {
		t.Fatalf("curl %s: %v: %s", name, err, p.Tail(5))
	}
	path := filepath.Join(b.dir, name)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := b.run(t, ctx, "", "certutils/tlvfile", "-p", path); err != nil || !strings.Contains(out, "Valid signature") || strings.Contains(out, "Invalid") {
		t.Errorf("tlvfile about %s: %v: %s", name, err, out)
	}
	l, err := trustlist.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-40] ^= 1
	if out, _ := b.run(t, ctx, "", "certutils/tlvfile", "-p", b.write(t, "changed.tlv", string(raw))); strings.Contains(out, "Valid signature") {
		t.Errorf("tlvfile about a changed %s: %s", name, out)
	}
	return l
}

// listed writes the certificate of a role in a list into a file.
func (b *toolbox) listed(t *testing.T, l *trustlist.List, role trustlist.Role) string {
	t.Helper()
	records := l.ByRole(role)
	if len(records) == 0 {
		t.Fatalf("no record of role %v", role)
	}
	return b.write(t, role.String()+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: records[0].Certificate})))
}

// register lets a phone register with the certificate and key in the file, and returns the serial number.
func (b *toolbox) register(t *testing.T, ctx context.Context, s *testSite, file string) string {
	t.Helper()
	credential, err := readCredential(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Phone(ctx, newcomerName, newcomerNumber, func(c *phone.Config) { c.Certificate = credential })
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	if err := p.WaitRegistered(ctx); err != nil {
		t.Fatal(err)
	}
	serial := pki.RefOf(credential.Leaf).Serial
	rows := show[bus.Registration](t, s, bus.VerbRegistrations, newcomerName)
	if len(rows) != 1 || rows[0].Mode != "encrypted" || rows[0].Certificate != "LSC" || !strings.EqualFold(rows[0].Serial, serial) {
		t.Errorf("registered as %+v with the certificate %s", rows, serial)
	}
	return serial
}

// readCredential reads certificate and key from one file.
func readCredential(file string) (tls.Certificate, error) { return tls.LoadX509KeyPair(file, file) }
