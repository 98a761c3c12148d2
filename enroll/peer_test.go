package enroll

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/capf"
)

// peer is the folder of the usecallmanager.nz daemons, which are programs of others that we run and do not copy.
func peer(t *testing.T) (capfd, capfctl string) {
	t.Helper()
	dir := os.Getenv("LOCKTONE_USECALLMANAGER")
	if dir == "" {
		t.Skip("LOCKTONE_USECALLMANAGER is not set: a folder with a clone of usecallmanagernz/daemons in daemons; its CAPF server would judge our client")
	}
	capfd, capfctl = filepath.Join(dir, "daemons", "capfd"), filepath.Join(dir, "daemons", "capfctl")
	if _, err := os.Stat(capfd); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("/usr/bin/python3", "-c", "import cryptography").Run(); err != nil {
		t.Skip("python3 has no module cryptography (Debian: python3-cryptography), which the CAPF server of usecallmanager.nz needs")
	}
	return capfd, capfctl
}

// startCAPFD runs the server with the site's CAPF identity and returns its address.
func startCAPFD(t *testing.T, s *site, capfd, folder string) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(s.authority.Key)
	if err != nil {
		t.Fatal(err)
	}
	both := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.authority.Certificate.Raw})...)
	if err := os.WriteFile(filepath.Join(folder, "CAPF.pem"), both, 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	_ = free.Close()
	var out bytes.Buffer
	cmd := exec.Command("/usr/bin/python3", capfd, "-A", filepath.Join(folder, "CAPF.pem"), "-p", port, filepath.Join(folder, "db"), folder)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	for end := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return address
		}
		if time.Now().After(end) {
			t.Fatalf("capfd does not listen: %v\n%s", err, out.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestUsecallmanagerServer: our client against the CAPF server of usecallmanager.nz: string, null string, EC, existing
// certificate, fetch, delete, and its refusals.
func TestUsecallmanagerServer(t *testing.T) {
	capfd, capfctl := peer(t)
	s, folder, home := newSite(t, time.Now), t.TempDir(), t.TempDir()
	order := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("/usr/bin/python3", append(append([]string{capfctl}, args...), filepath.Join(folder, "db"))...).CombinedOutput(); err != nil {
			t.Fatalf("capfctl %v: %v\n%s", args, err, out)
		}
	}
	order("-i", "SEP0000000000AA", "-p", "123456", "-b", "2048")
	address := startCAPFD(t, s, capfd, folder)
	enrol := func(password string) (Result, error) {
		t.Helper()
		cfg := s.config(home)
		cfg.Instance, cfg.Device, cfg.CAPF, cfg.Dial = "", "SEP0000000000AA", address, nil
		cfg.Authorization.Password = capf.NewSecret(password)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return open(t, cfg).Enroll(ctx)
	}
	if _, err := enrol("999999"); !errors.Is(err, capf.ErrRefused) || !strings.Contains(err.Error(), "authorization string") {
		t.Errorf("wrong string: %v", err)
	}
	r, err := enrol("123456")
	if must(t, r, err); r.Certificate.CheckSignatureFrom(s.authority.Certificate) != nil || !strings.Contains(r.Subject, "CN=SEP0000000000AA") {
		t.Errorf("by string: %+v", r)
	}
	if _, err := enrol("123456"); !errors.Is(err, ErrNothingPending) {
		t.Errorf("again: %v", err)
	}
	order("-i", "SEP0000000000AA", "--certificate", "-b", "2048")
	renewed, err := enrol("")
	if must(t, renewed, err); renewed.Serial == r.Serial {
		t.Error("by the existing certificate: the same certificate")
	}
	order("-f", "SEP0000000000AA")
	if r, err = enrol(""); err != nil || r.Operation != capf.OperationFetch {
		t.Errorf("fetch: %+v, %v", r, err)
	}
	order("-i", "SEP0000000000AA", "-E", "secp384r1")
	r, err = enrol("")
	if must(t, r, err); r.Certificate.PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("EC: %v", r.Certificate.PublicKeyAlgorithm)
	}
	order("-i", "SEP0000000000AA", "--certificate", "-E", "secp256r1")
	r, err = enrol("")
	must(t, r, err)
	order("-d", "SEP0000000000AA")
	if r, err = enrol(""); err != nil || r.Operation != capf.OperationDelete {
		t.Errorf("delete: %+v, %v", r, err)
	}
}
