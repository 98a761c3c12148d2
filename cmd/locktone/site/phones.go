package site

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/border"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/service/callserver"
	"github.com/locktone/locktone/service/capf"
	"github.com/locktone/locktone/service/provisioning"
	"github.com/locktone/locktone/service/tvs"
	"github.com/locktone/locktone/service/voicebrowser"
)

// cutLine is the first line of a text.
func cutLine(s string) (line, rest string, more bool) {
	line, rest, more = strings.Cut(s, "\n")
	return strings.TrimSpace(line), rest, more
}

// phoneFolder is where the files of a softphone are.
func (s *Site) phoneFolder(name string) string { return filepath.Join(s.opt.Home, "phones", name) }

// writePhones makes certificate files for the softphones of a new site, once, and account lines for where the site listens
// now, at every start. Desk phones (SEP...) get their certificates by enrolment.
func (s *Site) writePhones(ctx context.Context) error {
	if s.opt.NoPhones {
		return nil
	}
	now, err := s.Store.Site(ctx)
	if err != nil {
		return err
	}
	for _, d := range now.Site.Devices {
		if strings.HasPrefix(d.Name, "SEP") || d.WithDefaults().Model != "softphone" {
			continue
		}
		// After the first configuration, certificates are the matter of `locktone cert issue`.
		if _, err := os.Stat(filepath.Join(s.phoneFolder(d.Name), "complete")); err != nil {
			if now.Revision.Number > 1 {
				continue
			}
			if err := s.certifyPhone(ctx, d.Name); err != nil {
				return fmt.Errorf("certificate for softphone %s: %w", d.Name, err)
			}
		}
		if err := s.writeAccounts(d.Name); err != nil {
			return fmt.Errorf("account lines for softphone %s: %w", d.Name, err)
		}
	}
	return nil
}

// certifyPhone issues a certificate and writes the files a softphone wants it in.
func (s *Site) certifyPhone(ctx context.Context, name string) error {
	issued, err := s.CA.Issue(ctx, pki.Request{Kind: pki.KindDevice, Name: name})
	if err != nil {
		return err
	}
	key, err := issued.Credential.KeyPEM()
	if err != nil {
		return err
	}
	chain := issued.Credential.CertificatePEM()
	return s.writeFiles(name, []file{
		{name + ".crt", chain}, {name + ".key", key}, {name + ".pem", append(append([]byte{}, chain...), key...)}, {"ca.pem", s.CA.RootsPEM()},
		{"complete", []byte("certificate serial " + issued.Entry.Serial + "\n")}, // written last: the certificate files are whole
	})
}

// writeAccounts writes account lines and configuration for baresip and linphone.
func (s *Site) writeAccounts(name string) error {
	dir, err := filepath.Abs(s.phoneFolder(name))
	if err != nil {
		return err
	}
	return s.writeFiles(name, []file{
		{"baresip-accounts", []byte(s.baresipAccount(name) + "\n")}, {"baresip-config", []byte(baresipConfig(dir, name))}, {"linphonerc", []byte(linphoneConfig(dir, name))},
	})
}

type file struct {
	name string
	text []byte
}

func (s *Site) writeFiles(phone string, files []file) error {
	dir := s.phoneFolder(phone)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// baresipAccount is the account line: baresip reaches the call manager by address.
func (s *Site) baresipAccount(name string) string {
	return fmt.Sprintf("<sip:%s@%s;transport=tls>;regint=300;mediaenc=srtp-mand;audio_codecs=PCMU,PCMA;auth_pass=none", name, s.opt.CallManager)
}

func baresipConfig(dir, name string) string {
	return fmt.Sprintf("net_interface 127.0.0.1\nsip_certificate %s\nsip_cafile %s\nmodule srtp.so\nmodule g711.so\nmodule account.so\n", filepath.Join(dir, name+".pem"), filepath.Join(dir, "ca.pem"))
}

func linphoneConfig(dir, name string) string {
	return fmt.Sprintf(`[sip]
root_ca=%s
client_cert_chain=%s
client_cert_key=%s
verify_server_certs=1
verify_server_cn=1
media_encryption=srtp
media_encryption_mandatory=1
default_proxy=0
[proxy_0]
reg_proxy=<sip:localhost:5061;transport=tls>
reg_identity=sip:%s@localhost
reg_expires=300
reg_sendregister=1
`, filepath.Join(dir, "ca.pem"), filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"), name)
}

// bannerNames are the services as people call them.
var bannerNames = map[string]string{callmanager.Name: "call manager", provisioning.Name: "provisioning", capf.Name: "enrolment (CAPF)", tvs.Name: "TVS",
	callserver.Name: "call server", voicebrowser.Name: "voice browser", border.Name: "border"}

// listed writes addresses, one a line, the first one with what they are.
func listed(b *strings.Builder, label string, addresses []string) {
	for _, a := range addresses {
		fmt.Fprintf(b, "  %-16s %s\n", label, a)
		label = ""
	}
}

// statuses are how the services of this node are, in the order in which people ask.
func (s *Site) statuses() (out []bus.ServiceStatus) {
	if s.Calls != nil {
		out = append(out, s.Calls.Status(s.ctx))
	}
	if s.Provisioning != nil {
		out = append(out, s.Provisioning.Status(s.ctx))
	}
	if s.CAPF != nil {
		out = append(out, s.CAPF.Status(s.ctx))
	}
	if s.TVS != nil {
		out = append(out, s.TVS.Status(s.ctx))
	}
	for _, e := range s.elements {
		out = append(out, e.Status())
	}
	return out
}

// Banner is what a person reads when the site is ready.
func (s *Site) Banner() string {
	var b strings.Builder
	kind := "a secure site (mixed mode)"
	if s.Store.Known().Site.Cluster.SecurityMode == config.NonSecureCluster {
		kind = "a site in NON-SECURE mode"
	}
	fmt.Fprintf(&b, "Locktone is up: %s in %s\n\n", kind, s.opt.Home)
	names := 1 // under which softphones can reach the call manager
	for _, status := range s.statuses() {
		listed(&b, bannerNames[status.Service], status.Addresses)
		if status.Problem != "" {
			fmt.Fprintf(&b, "  %-16s note: %s\n", "", status.Problem)
		}
		if status.Service == callmanager.Name {
			names = len(status.Addresses)
		}
	}
	listed(&b, "administration", s.admin.Addresses())
	if phones, _ := filepath.Glob(filepath.Join(s.opt.Home, "phones", "*", "complete")); len(phones) > 0 {
		b.WriteString("\nAttach a softphone (certificates and ready account lines are in its folder):\n")
		for _, p := range phones {
			dir := filepath.Dir(p)
			name := filepath.Base(dir)
			fmt.Fprintf(&b, "  %-8s baresip:  account line %s\n", name, s.baresipAccount(name))
			fmt.Fprintf(&b, "  %-8s           with the lines of %s\n", "", filepath.Join(dir, "baresip-config"))
			if names > 1 { // linphone matches DNS names only: it needs localhost
				fmt.Fprintf(&b, "  %-8s linphone: linphonec -c %s\n", "", filepath.Join(dir, "linphonerc"))
			}
		}
		b.WriteString("  Dial 1001 or 1002; 9196 echoes you, 9197 is a tone, 9664 plays music.\n")
		for _, n := range s.Store.Known().Site.ContactNumbers {
			if s.CallServer != nil {
				fmt.Fprintf(&b, "  Dial %s for the contact centre; what agents do: docs/agents-api.md.\n", n.Number)
			}
		}
	}
	home := ""
	if s.opt.Home != "var" {
		home = " --home " + s.opt.Home
	}
	fmt.Fprintf(&b, "\nLook:  locktone status%s   locktone show registrations%s   locktone show ctl%s   locktone calls%s   locktone trace CALL%s\nCtrl-C stops it; the next start finds everything again.\n", home, home, home, home, home)
	return b.String()
}
