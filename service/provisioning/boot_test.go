package provisioning_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	pin "github.com/pin/tftp/v3"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/service/provisioning"
	"github.com/locktone/locktone/wire/phonexml"
	"github.com/locktone/locktone/wire/trustlist"
)

// get fetches a name over one of the protocols; "" and the error's text, or the status, when there is no file.
func get(t *testing.T, p *provisioning.Service, protocol, name string) ([]byte, string) {
	t.Helper()
	switch protocol {
	case "tftp":
		c := must(pin.NewClient(p.TFTP().String()))(t)
		c.SetTimeout(2 * time.Second)
		c.SetRetries(1)
		c.RequestTSize(true)
		c.SetBlockSize(1024)
		w, err := c.Receive(name, "octet")
		if err != nil {
			return nil, err.Error()
		}
		var b bytes.Buffer
		if _, err := w.WriteTo(&b); err != nil {
			return nil, err.Error()
		}
		if n, ok := w.(pin.IncomingTransfer).Size(); ok && int(n) != b.Len() {
			t.Errorf("%s: tsize %d, %d bytes came", name, n, b.Len())
		}
		return b.Bytes(), ""
	case "http":
		return getHTTP(t, "http://"+p.HTTP().String()+"/"+name)
	}
	return getHTTP(t, "https://"+p.HTTPS().String()+"/"+name)
}

func getHTTP(t *testing.T, url string) ([]byte, string) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // who serves is looked at elsewhere
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		return nil, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err.Error()
	}
	if res.StatusCode != http.StatusOK {
		return nil, res.Status
	}
	if res.Header.Get("Cache-Control") != "no-store" || res.ContentLength != int64(len(b)) {
		t.Errorf("%s: Cache-Control %q, Content-Length %d of %d", url, res.Header.Get("Cache-Control"), res.ContentLength, len(b))
	}
	return b, ""
}

func fetch(t *testing.T, p *provisioning.Service, protocol, name string) []byte {
	t.Helper()
	b, problem := get(t, p, protocol, name)
	if problem != "" {
		t.Fatalf("%s %s: %s", protocol, name, problem)
	}
	return b
}

// phone is the trust of a phone.
type phone struct{ ctl, itl *trustlist.List }

// boot fetches lists and configuration in the order of phones and takes them by the rules of phones.
func (ph *phone) boot(t *testing.T, p *provisioning.Service, protocol, device string) *phonexml.Device {
	t.Helper()
	ctl := must(trustlist.Parse(fetch(t, p, protocol, "CTL"+device+".tlv")))(t)
	must(trustlist.AcceptPhone(ctl, ph.ctl, ph.itl))(t)
	ph.ctl = ctl
	itl := must(trustlist.Parse(fetch(t, p, protocol, "ITL"+device+".tlv")))(t)
	must(trustlist.AcceptPhone(itl, ph.ctl, ph.itl))(t)
	ph.itl = itl
	return ph.config(t, p, protocol, device)
}

func (ph *phone) config(t *testing.T, p *provisioning.Service, protocol, device string) *phonexml.Device {
	t.Helper()
	name := device + ".cnf.xml.sgn"
	text := fetch(t, p, protocol, name)
	if protocol != "https" {
		payload, signed, err := trustlist.Open(text, ph.ctl, ph.itl)
		if err != nil {
			t.Fatal(err)
		}
		if signed.Header.Filename != name {
			t.Errorf("FILENAME %q, want %q", signed.Header.Filename, name)
		}
		text = payload
	}
	return must(phonexml.Parse(text))(t)
}

func TestBoot(t *testing.T) {
	s := newSite(t)
	p := s.start()
	for _, protocol := range []string{"tftp", "http", "https"} {
		var ph phone
		d := ph.boot(t, p, protocol, sep)
		if !d.FullConfig || d.SecurityMode != phonexml.Encrypted || d.Transport != phonexml.TLS || d.Pool.TimeZone != "W. Europe Standard/Daylight Time" || d.EncryptedConfig {
			t.Errorf("%s: %+v", protocol, d)
		}
		if len(d.SIP.Lines) != 2 || d.SIP.Lines[0].Label != "Front" || d.SIP.Lines[0].Name != "1001" || d.SIP.Lines[0].DisplayName != "Alice" || !d.SIP.Lines[0].Shared || d.SIP.Lines[1].CallWaiting != "0" {
			t.Errorf("%s: lines %+v", protocol, d.SIP.Lines)
		}
		if len(d.Pool.Members) != 1 || d.Pool.Members[0].Host != "127.0.7.1" || d.Pool.Members[0].SecureSIPPort != 5061 {
			t.Errorf("%s: call managers %+v", protocol, d.Pool.Members)
		}
		if len(d.CAPF) != 1 || d.CAPF[0] != (phonexml.Server{Host: "127.0.7.1", Port: 3804}) || len(d.TVS) != 1 || d.TVS[0].Port != 2445 {
			t.Errorf("%s: CAPF %+v, TVS %+v", protocol, d.CAPF, d.TVS)
		}
		old := must(phonexml.Parse(fetch(t, p, protocol, sccp+".cnf.xml")))(t)
		if old.DeviceProtocol != "SCCP" || old.SIP != nil || len(old.Lines) != 1 || old.Lines[0].Name != "1002" || old.Pool.Members[0].SecureSCCPPort != 2443 {
			t.Errorf("%s: SCCP phone %+v", protocol, old)
		}
		must(phonexml.ParseDefault(fetch(t, p, protocol, "XMLDefault.cnf.xml")))(t)
		soft := must(phonexml.Parse(fetch(t, p, protocol, "alice.cnf.xml")))(t)
		if soft.SIP.PhoneLabel != "1001" {
			t.Errorf("%s: %q", protocol, soft.SIP.PhoneLabel)
		}
	}
	// The certificate on 6971 is the one that the lists have as TFTP.
	conn := must(tls.Dial("tcp", p.HTTPS().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}))(t)
	defer conn.Close()
	shown := conn.ConnectionState().PeerCertificates[0]
	itl := must(trustlist.Parse(fetch(t, p, "tftp", "ITLFile.tlv")))(t)
	found := false
	for _, r := range itl.ByRole(trustlist.RoleTFTP) {
		found = found || bytes.Equal(r.Certificate, shown.Raw)
	}
	if !found {
		t.Errorf("the ITL has no TFTP record with %s", shown.Subject)
	}
}

// TestSameNamesEverywhere: the three protocols have one name space.
func TestSameNamesEverywhere(t *testing.T) {
	s := newSite(t)
	s.write("RingList.xml", []byte("<rings/>"))
	s.write("New_Zealand/g3-tones.xml", []byte("<tones/>"))
	s.write("vendor.loads.sgn", []byte("signed by its maker"))
	s.write("ConfigFileCacheList.txt", []byte("SEP001122334455.cnf.xml"))
	p := s.start()
	for _, c := range []struct {
		name  string
		there bool
	}{
		{"CTLFile.tlv", true}, {"ITLFile.tlv", true}, {"CTL" + sep + ".tlv", true}, {"ITL" + sep + ".tlv", true}, {"CTLalice.tlv", true},
		{"CTLCAPF7F000701.tlv", true}, {"CTLCAPF0A010203.tlv", true}, {"CTLCAPFA010203.tlv", true}, {"CTLCAPF0A010204.tlv", false}, {"CTLCAPFA.tlv", false},
		{"CTLSEP000000000000.tlv", false}, {"ctlfile.tlv", false}, {sep + ".cnf.xml", true}, {sep + ".cnf.xml.sgn", true}, {sep + ".cnf.xml.enc.sgn", false},
		{"sep001122334455.cnf.xml", false}, {"SEP000000000000.cnf.xml", false}, {"XMLDefault.cnf.xml.sgn", true}, {"RingList.xml", true}, {"RingList.xml.sgn", true}, {"ringlist.xml", false},
		{"New_Zealand/g3-tones.xml.sgn", true}, {"New_Zealand", false}, {"vendor.loads.sgn", true}, {"vendor.loads", false}, {"ConfigFileCacheList.txt", false},
		{"nothing.xml", false}, {"nothing.xml.sgn", false},
	} {
		for _, protocol := range []string{"tftp", "http", "https"} {
			b, problem := get(t, p, protocol, c.name)
			switch {
			case (problem == "") != c.there:
				t.Errorf("%s %s: %d bytes, %s", protocol, c.name, len(b), problem)
			case !c.there && !strings.Contains(problem, "404") && !strings.Contains(problem, "code: 1"):
				t.Errorf("%s %s: %s, want error 1 or 404", protocol, c.name, problem)
			}
		}
	}
	itl := must(trustlist.Parse(fetch(t, p, "tftp", "ITLFile.tlv")))(t)
	for name, want := range map[string]string{"RingList.xml": "<rings/>", "New_Zealand/g3-tones.xml": "<tones/>"} {
		payload, signed, err := trustlist.Open(fetch(t, p, "tftp", name+".sgn"), itl)
		if err != nil || string(payload) != want || signed.Header.Filename != name+".sgn" {
			t.Errorf("%s: %q, %v", name, payload, err)
		}
		if bare := fetch(t, p, "https", name+".sgn"); string(bare) != want {
			t.Errorf("%s over HTTPS: %q", name, bare)
		}
	}
	if b := fetch(t, p, "tftp", "vendor.loads.sgn"); string(b) != "signed by its maker" {
		t.Errorf("%q", b)
	}
}

// TestHoldings: a list that arrived is remembered, one that did not is not.
func TestHoldings(t *testing.T) {
	s := newSite(t)
	p := s.start()
	fetch(t, p, "tftp", "CTL"+sep+".tlv")
	fetch(t, p, "http", "ITL"+sep+".tlv")
	fetch(t, p, "https", "CTLCAPF7F000701.tlv")
	get(t, p, "tftp", "CTLSEP000000000000.tlv")
	current := must(s.reader.Current(t.Context(), trustlist.CTL))(t)
	wait(t, func() bool {
		s.holdings.Flush(t.Context())
		h, ok, err := s.holdings.Get(t.Context(), sep)
		return err == nil && ok && len(h.CTL.May()) == 1 && len(h.ITL.May()) == 1 && h.CTL.May()[0].Version == current.Number && h.CTL.May()[0].Signer == current.Default
	})
	all := must(s.holdings.All(t.Context()))(t)
	if len(all) != 2 || all[0].Holder != "@127.0.0.1" || all[1].Holder != sep {
		t.Errorf("%+v", all)
	}
}

// wait waits for something that another goroutine does.
func wait(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never happened")
		}
	}
}

// TestNextRequestSeesIt: a change is in the very next answer, and an unchanged phone keeps its stamp.
func TestNextRequestSeesIt(t *testing.T) {
	s := newSite(t)
	p := s.start()
	before := must(phonexml.Parse(fetch(t, p, "tftp", sep+".cnf.xml")))(t)
	s.change(func(c *config.Site) {
		for i := range c.Devices {
			if c.Devices[i].Name == "alice" {
				c.Devices[i].Lines[0].Label = "Alice's"
			}
		}
	})
	if same := must(phonexml.Parse(fetch(t, p, "tftp", sep+".cnf.xml")))(t); same.Version != before.Version {
		t.Errorf("another phone's label changed the stamp from %s to %s", before.Version, same.Version)
	}
	if soft := must(phonexml.Parse(fetch(t, p, "http", "alice.cnf.xml")))(t); soft.SIP.Lines[0].Label != "Alice's" {
		t.Errorf("label %q", soft.SIP.Lines[0].Label)
	}
	must(s.book.Create(t.Context(), capfprofile.Order{Owner: capfprofile.Owner{Device: sep}, Operation: capfprofile.InstallUpgrade, Mode: capfprofile.ByAuthenticationString}))(t)
	if now := must(phonexml.Parse(fetch(t, p, "tftp", sep+".cnf.xml")))(t); now.CAPFAuthMode != phonexml.CAPFString || now.Version == before.Version {
		t.Errorf("capfAuthMode %d, stamp %s", now.CAPFAuthMode, now.Version)
	}
	s.change(func(c *config.Site) { c.Cluster.SecurityMode = config.NonSecureCluster })
	s.publish()
	var ph phone
	d := ph.boot(t, p, "tftp", sep) // a reduced, signed CTL; the configuration is verified by the ITL
	if d.SecurityMode != phonexml.NonSecure || d.Transport == phonexml.TLS || d.SIP.Lines[0].Port != 5060 || d.Pool.Members[0].SIPPort != 5060 {
		t.Errorf("non-secure cluster: mode %d, transport %d, %+v", d.SecurityMode, d.Transport, d.Pool.Members)
	}
	s.change(func(c *config.Site) {
		c.Devices = slices.DeleteFunc(c.Devices, func(d config.Device) bool { return d.Name == sep })
	})
	if _, problem := get(t, p, "http", sep+".cnf.xml"); !strings.HasPrefix(problem, "404") {
		t.Errorf("a device that was removed: %s", problem)
	}
}

func TestEncrypted(t *testing.T) {
	s := newSite(t)
	p := s.start()
	setting := func(v config.EncryptedConfig) {
		s.change(func(c *config.Site) { c.PhoneSecurityProfiles[0].TFTPEncryptedConfig = v })
	}
	kind := func() string {
		var ph phone
		d := ph.boot(t, p, "tftp", sep)
		_, problem := get(t, p, "tftp", sep+".cnf.xml.enc.sgn")
		switch {
		case d.FullConfig && problem != "" && !d.EncryptedConfig:
			return "signed"
		case !d.FullConfig && d.EncryptedConfig && d.CertHash != "" && problem == "":
			return "encrypted"
		case !d.FullConfig && d.EncryptedConfig && d.CertHash == "" && problem != "":
			return "enrol first"
		}
		return fmt.Sprintf("%+v, encrypted file: %s", d, problem)
	}
	want := func(state string) {
		t.Helper()
		if got := kind(); got != state {
			t.Errorf("%s, want %s", got, state)
		}
	}
	want("signed")
	setting(config.EncryptRequired)
	want("enrol first")
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	s.enrol(sep, ec.Public())
	want("enrol first")
	setting(config.EncryptWhenPossible)
	want("signed")
	lsc := s.enrol(sep, phoneKey().Public())
	want("encrypted")

	var ph phone
	short := ph.boot(t, p, "http", sep)
	if short.CertHash != phonexml.CertHash(lsc.Raw) || short.SIP != nil || len(short.CAPF) != 1 {
		t.Errorf("companion %+v", short)
	}
	if bare := must(phonexml.Parse(fetch(t, p, "https", sep+".cnf.xml.sgn")))(t); bare.FullConfig {
		t.Error("HTTPS gives strangers what TFTP encrypts")
	}
	payload, signed, err := trustlist.Open(fetch(t, p, "tftp", sep+".cnf.xml.enc.sgn"), ph.ctl, ph.itl)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(payload, []byte("1001")) {
		t.Error("the payload can be read")
	}
	full := must(phonexml.Parse(must(signed.Decrypt(phoneKey()))(t)))(t)
	if !full.FullConfig || full.SIP.Lines[0].Name != "1001" || full.CertHash != "" {
		t.Errorf("decrypted: %+v", full)
	}
	setting(config.EncryptOff)
	want("signed")
	setting(config.EncryptRequired)
	want("encrypted")
	if err := s.ca.Revoke(t.Context(), pki.RefOf(lsc), "the phone was stolen"); err != nil {
		t.Fatal(err)
	}
	want("enrol first")
	s.enrol(sep, phoneKey().Public())
	want("encrypted")
	s.change(func(c *config.Site) { c.Cluster.SecurityMode = config.NonSecureCluster })
	s.publish()
	want("signed")
}

// TestSignerFollowsTheIdentity: the file is signed by the certificate that is in force at that moment.
func TestSignerFollowsTheIdentity(t *testing.T) {
	s := newSite(t)
	p := s.start()
	one := fetch(t, p, "tftp", sep+".cnf.xml.sgn")
	if again := fetch(t, p, "tftp", sep+".cnf.xml.sgn"); !bytes.Equal(one, again) {
		t.Error("the same file was signed twice")
	}
	other := must(s.ca.Service(t.Context(), pki.ServiceSpec{Name: "provisioning", Host: "other.locktone.test", IPs: []netip.Addr{s.addr}}))(t)
	snapshot := s.identity.Snapshot()
	snapshot.Certificates = other
	if err := s.identity.Replace(snapshot); err != nil {
		t.Fatal(err)
	}
	signed := must(trustlist.ParseSigned(fetch(t, p, "tftp", sep+".cnf.xml.sgn")))(t)
	var leaf *x509.Certificate
	for _, c := range other.Server {
		if c.Leaf().PublicKeyAlgorithm == x509.RSA {
			leaf = c.Leaf()
		}
	}
	if !signed.Header.Signer.NamesCertificate(leaf) {
		t.Errorf("signed by %s, want %s", signed.Header.Signer, leaf.Subject)
	}
}
