package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/wire/capf"
)

// TestPhoneEnrollRefusals: what is wrong is said with an advice, in words and in JSON, before anything is sent.
func TestPhoneEnrollRefusals(t *testing.T) {
	token := capf.JoinToken{Password: capf.NewSecret("4711471147"), Signers: [][32]byte{{1}}}.Text()
	common := []string{"phone", "enroll", "--tftp", "127.0.0.1:99999", "--dir", t.TempDir()}
	for _, c := range []struct {
		args  []string
		code  int
		words string
	}{
		{nil, exitUsage, "--name"},
		{[]string{"--instance", "5", "--name", "SEP1"}, exitUsage, "--name and --instance"},
		{[]string{"--instance", "5", "--string", "1234", "--token", token}, exitUsage, "--string and --token"},
		{[]string{"--instance", "5", "--token", "4711471147"}, exitFailed, "begins with LT1-"},
		{[]string{"--instance", "5", "--token", token[:len(token)-1]}, exitFailed, "copy it again"},
		{[]string{"--instance", "../5", "--string", "4711471147"}, exitFailed, "a name has letters"},
		{[]string{"--instance", "5", "--string", "4711471147"}, exitFailed, "What to do:"},
	} {
		text, code := command(t, append(common, c.args...)...)
		if code != c.code || !strings.Contains(text, c.words) || strings.Contains(text, "4711471147") {
			t.Errorf("%v: exit %d\n%s", c.args, code, text)
		}
	}
	text, code := command(t, append([]string{"--json"}, append(common, "--instance", "5")...)...)
	var p admin.Problem
	if err := json.Unmarshal([]byte(text), &p); err != nil || code != exitFailed || p.Code != "enroll-download" || p.Advice == "" {
		t.Errorf("%d %s %v", code, text, err)
	}
}

// TestPhoneEnroll: a string from standard input, against a whole site.
func TestPhoneEnroll(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole site")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := lab.Start(ctx, lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	made, err := s.Profiles.Create(ctx, capfprofile.Order{Owner: capfprofile.Owner{User: "tapi", Instance: "5"}, Operation: capfprofile.InstallUpgrade, Order: capfprofile.RSAOnly, Author: "test"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(args ...string) (string, int) {
		var out bytes.Buffer
		a := &app{ctx: ctx, in: strings.NewReader(made.String.Reveal() + "\n"), out: &out, err: &out}
		code := a.run(append(args, "phone", "enroll", "--tftp", s.Provisioning.TFTP().String(), "--capf", s.CAPF.Addresses()[0].String(), "--instance", "5", "--string", "-", "--dir", dir))
		return out.String(), code
	}
	text, code := run("--json")
	var r enroll.Result
	if err := json.Unmarshal([]byte(text), &r); err != nil || code != exitOK || r.Name != "CTI-5" || r.Done != "Install/Upgrade" || r.Pinned || r.NotAfter.IsZero() {
		t.Fatalf("%d %s %v", code, text, err)
	}
	if _, err := os.Stat(filepath.Join(dir, enroll.Folder, "QBEClient.cer")); err != nil {
		t.Error(err)
	}
	if text, code = run(); code != exitFailed || !strings.Contains(text, "What to do:") {
		t.Errorf("the same string again: %d %s", code, text)
	}
}
