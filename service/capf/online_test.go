package capf

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
)

// cmpServer is openssl's server of the certificate management protocol, which answers every request with one certificate
// made beforehand. It checks our signature, our nonces, and that we say "raVerified".
func cmpServer(t *testing.T, dir string, args ...string) (url string, said *bytes.Buffer) {
	t.Helper()
	if out, err := exec.Command("openssl", "cmp", "-help").CombinedOutput(); err != nil || !strings.Contains(string(out), "-accept_raverified") {
		t.Skip("there is no openssl 3 with a CMP server: the online authority is not tried")
	}
	l := check(net.Listen("tcp", "127.0.0.1:0"))(t)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "openssl", append([]string{"cmp", "-config", "", "-port", port, "-srv_cert", "srv.pem", "-srv_key", "srv.key", "-srv_trusted", "ra.pem", "-accept_raverified"}, args...)...)
	cmd.Dir = dir
	said = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("openssl does not listen: %s", said)
		}
	}
	return "http://127.0.0.1:" + port + "/pkix/", said
}

// TestOnline: a phone's key goes to openssl's server and comes back certified, with confirmation and without, and the register
// has it as the phone's.
func TestOnline(t *testing.T) {
	for _, implicit := range []bool{true, false} {
		t.Run(fmt.Sprintf("implicit confirmation %v", implicit), func(t *testing.T) {
			dir, root := corporate(t)
			a, err := authority()
			if err != nil {
				t.Fatal(err)
			}
			var ra bytes.Buffer
			for _, c := range a.ca.Roots() {
				_ = pem.Encode(&ra, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
			}
			key := check(rsaKey(2048))(t)
			spki := check(x509.MarshalPKIXPublicKey(key.Public()))(t)
			for name, b := range map[string][]byte{"ra.pem": ra.Bytes(), "phone.pub": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}),
				"ext": []byte("keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n")} {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			openssl(t, dir, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "srv.key", "-out", "srv.csr", "-subj", "/O=Corp/CN=CMP")
			openssl(t, dir, "x509", "-req", "-in", "srv.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-out", "srv.pem")
			openssl(t, dir, "x509", "-new", "-force_pubkey", "phone.pub", "-subj", "/CN="+phone.Device, "-extfile", "ext", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30", "-out", "rsp.pem")
			args := []string{"-rsp_cert", "rsp.pem"}
			if implicit {
				args = append(args, "-grant_implicitconf")
			}
			url, said := cmpServer(t, dir, args...)

			k := start(t, nil)
			cfg := OnlineConfig{URL: url, CA: k.ca, Identity: k.id, Authorities: []*x509.Certificate{root}}
			on := check(Online(cfg))(t)
			ask := Ask{Owner: phone, PublicKey: key.Public(), SPKI: spki}
			if _, err := on.Issue(t.Context(), ask); err == nil || !strings.Contains(err.Error(), "must be trusted for holders of kind device") {
				t.Errorf("an authority whose phones would not be let in: %v", err)
			}
			s := k.id.Snapshot()
			s.Trust = check(k.ca.Trust(pki.Anchor{Certificate: root, Kinds: pki.KindsOf(pki.KindDevice)}))(t)
			if err := k.id.Replace(s); err != nil {
				t.Fatal(err)
			}
			cert, err := on.Issue(t.Context(), ask)
			if err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			report := k.id.Snapshot().Trust.Verify([]*x509.Certificate{cert}, pki.PeerIsClient, pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindDevice)}, time.Now())
			if f, ok := pki.AuthorizeDevice(report, phone.Device); !ok || !report.Registered() {
				t.Errorf("%v", f)
			}
			other := check(x509.MarshalPKIXPublicKey(check(rsaKey(2048))(t).Public()))(t)
			if _, err := on.Issue(t.Context(), Ask{Owner: phone, SPKI: other}); !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), "another key") {
				t.Errorf("a certificate for another key: %v", err)
			}
			if _, err := on.Issue(t.Context(), Ask{Owner: capfprofile.Owner{Device: "SEP1"}, SPKI: spki}); !errors.Is(err, ErrRejected) {
				t.Errorf("a certificate for another name: %v", err)
			}
			cfg.Authorities = k.ca.Roots()[:1]
			if _, err := check(Online(cfg))(t).Issue(t.Context(), ask); err == nil || !strings.Contains(err.Error(), "not trusted") {
				t.Errorf("an authority we do not trust: %v", err)
			}
			cfg.URL = "http://127.0.0.1:1/"
			if _, err := check(Online(cfg))(t).Issue(t.Context(), ask); err == nil || cause(err) != capfprofile.CauseCA {
				t.Errorf("nobody there: %v", err)
			}
		})
	}
}

// FuzzCMPAnswer: whatever an authority answers, it is an error or a message that it signed.
func FuzzCMPAnswer(f *testing.F) {
	a, err := authority()
	if err != nil {
		f.Fatal(err)
	}
	id, err := pki.NewIdentity(Name, pki.Snapshot{Certificates: a.certs, Trust: func() *pki.Trust { t, _ := a.ca.Trust(); return t }()}, nil)
	if err != nil {
		f.Fatal(err)
	}
	o := &online{cfg: OnlineConfig{Identity: id, Authorities: a.ca.Roots()}, pool: x509.NewCertPool()}
	t0, err := o.begin()
	if err != nil {
		f.Fatal(err)
	}
	own, err := t0.message(bodyCP, []byte{0x30, 0}, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := t0.open(b, time.Now()); err == nil {
			t.Errorf("nobody is trusted, and this was: %v", got.kind)
		}
		for _, kind := range []int{bodyCP, bodyError} {
			if c, err := (answer{kind: kind, content: b}).certificate(); err == nil && c == nil {
				t.Error("neither certificate nor error")
			}
		}
	})
}
