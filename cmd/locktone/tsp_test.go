package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// tspCommand runs a command of the provider with a text on standard input.
func tspCommand(ctx context.Context, dir, in string, args ...string) (string, int) {
	var out safeBuffer
	a := &app{ctx: ctx, in: strings.NewReader(in), out: &out, err: &out}
	code := a.run(append([]string{"tsp", "--dir", dir}, args...))
	return out.String(), code
}

// safeBuffer is read while a command writes.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestTSPForm: every field of the form is set by a flag, kept, and shown, the secrets only as set.
func TestTSPForm(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tsp")
	text, code := tspCommand(t.Context(), dir, "correct horse\n", "configure", "--user", "tapi", "--password", "--primary", "10.106.97.137", "--backup", "cucm2.example",
		"--prefer", "ipv6", "--instance", "5", "--capf", "10.106.97.137", "--tftp", "10.106.97.137", "--trace", "detailed", "--trace-cti", "--trace-tspi", "--trace-size", "3",
		"--trace-files", "4", "--retries", "7", "--interval", "5s", "--capf-port", "13804")
	if code != exitOK {
		t.Fatal(code, text)
	}
	if text, code := tspCommand(t.Context(), dir, "cisco\n", "configure", "--authorization"); code != exitOK {
		t.Fatal(code, text)
	}
	text, code = tspCommand(t.Context(), dir, "", "configure")
	for name, value := range map[string]string{"User Name": "tapi", "Password": "set", "Use Single Sign On": "no", "Primary CTI Manager Location": "IP Address 10.106.97.137",
		"Backup CTI Manager Location": "Host Name cucm2.example", "Preferred IP Addressing Mode": "ipv6", "Secure Connection": "yes", "Authorization String": "set",
		"Certificate Status":  "Not Available: none was fetched yet",
		"Instance Identifier": "5", "CAPF IP Address": "10.106.97.137", "CAPF Port": "13804", "Number Of Retries": "7", "Retry Interval": "5s", "TFTP Server IP Address": "10.106.97.137",
		"TSP Trace": "detailed", "CTI Trace": "yes", "TSPI Trace": "yes", "Trace File Size (MB)": "3", "Number of Trace Files": "4"} {
		found := false
		for line := range strings.Lines(text) {
			found = found || strings.HasPrefix(line, name) && strings.TrimSpace(strings.TrimPrefix(line, name)) == value
		}
		if !found {
			t.Errorf("%s is not %q:\n%s", name, value, text)
		}
	}
	if code != exitOK || strings.Contains(text, "cisco") || strings.Contains(text, "horse") {
		t.Error(code, text)
	}
	for _, c := range []struct {
		words string
		args  []string
		code  int
	}{
		{"CTIERR_SSO_DISABLED", []string{"status"}, exitFailed},
		{"neither none", []string{"configure", "--primary", "a b"}, exitFailed},
		{"are the same", []string{"configure", "--backup", "10.106.97.137"}, exitFailed},
		{"--prefer", []string{"configure", "--prefer", "ipv5"}, exitUsage},
		{"one at a time", []string{"configure", "--password", "--authorization"}, exitFailed},
	} {
		if c.args[0] == "status" {
			tspCommand(t.Context(), dir, "", "configure", "--single-sign-on")
		}
		if text, code := tspCommand(t.Context(), dir, "", c.args...); code != c.code || !strings.Contains(text, c.words) {
			t.Errorf("%v: %d %s", c.args, code, text)
		}
	}
	tspCommand(t.Context(), dir, "", "configure", "--no-single-sign-on")
	if text, code := tspCommand(t.Context(), dir, "", "phones"); code != exitFailed || !strings.Contains(text, "fetch-certificate") {
		t.Errorf("without a certificate: %d %s", code, text)
	}
}

// TestTSP: seed document 001 on the command line, against a whole site: the form, Fetch Certificate, the phone dialer.
func TestTSP(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole site")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := config.Default("n1")
	carol := c.Devices[0]
	carol.Name, carol.Lines = "carol", append([]config.Appearance(nil), carol.Lines[:1]...)
	carol.Lines[0].Number = "1003"
	line := c.Lines[0]
	line.Number = "1003"
	c.Devices, c.Lines = append(c.Devices, carol), append(c.Lines, line)
	const password = "correct horse battery"
	c.Users = append(c.Users, config.User{Name: "tapi", Application: true, Password: config.NewVerifier(password), Devices: []string{"alice"},
		Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection}})
	s, err := lab.Start(ctx, lab.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	phones := map[string]*phone.Phone{}
	for name, number := range map[string]string{"alice": "1001", "bob": "1002", "carol": "1003"} {
		p, err := s.Phone(ctx, name, number, func(cfg *phone.Config) { cfg.AutoAnswer = name != "alice"; cfg.Intercom = true })
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close(ctx)
		if err := p.WaitRegistered(ctx); err != nil {
			t.Fatal(err)
		}
		phones[name] = p
	}
	made, err := s.Profiles.Create(ctx, capfprofile.Order{Owner: capfprofile.Owner{User: "tapi", Instance: "5"}, Operation: capfprofile.InstallUpgrade,
		Mode: capfprofile.ByAuthenticationString, Order: capfprofile.RSAOnly})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "tsp")
	do := func(in string, args ...string) string {
		t.Helper()
		text, code := tspCommand(ctx, dir, in, args...)
		if code != exitOK {
			t.Fatalf("%v: exit %d\n%s", args, code, text)
		}
		return text
	}
	at := s.CallManager().String()
	do(password+"\n", "configure", "--user", "tapi", "--password", "--primary", at, "--instance", "5", "--capf", at, "--tftp", s.Provisioning.TFTP().String(),
		"--trace", "detailed", "--trace-cti", "--interval", "100ms")
	do(made.String.Reveal()+"\n", "configure", "--authorization")
	if text := do("", "fetch-certificate"); !strings.Contains(text, "CTI-5") {
		t.Error(text)
	}
	if text := do("", "configure"); !strings.Contains(text, "Certificate Status             Available") || !strings.Contains(text, "Authorization String           not set") {
		t.Error(text)
	}
	if text := do("", "status"); !strings.Contains(text, at) || !strings.Contains(text, "Lines                          1") {
		t.Error(text)
	}
	if text := do("", "phones"); !strings.Contains(text, "alice") || !strings.Contains(text, "1001") || strings.Contains(text, "bob") {
		t.Error(text)
	}
	watching, stop := context.WithCancel(ctx)
	var seen safeBuffer
	over := make(chan int, 1)
	go func() {
		a := &app{ctx: watching, out: &seen, err: &seen}
		over <- a.run([]string{"tsp", "--dir", dir, "monitor"})
	}()
	for !strings.Contains(seen.String(), "in service  1001@alice") {
		if ctx.Err() != nil {
			t.Fatal("the monitor sees nothing:", seen.String())
		}
		time.Sleep(20 * time.Millisecond) // a buffer has no event
	}
	stop()
	if code := <-over; code != exitOK {
		t.Error(code, seen.String())
	}
	if text := do("", "dial", "1002"); !strings.Contains(text, "1001@alice  to 1002") || !strings.Contains(text, "CONNECTED") {
		t.Error(text)
	}
	if text := do("", "hold"); !strings.Contains(text, "ONHOLD") {
		t.Error(text)
	}
	if text := do("", "hold", "--retrieve"); !strings.Contains(text, "CONNECTED") {
		t.Error(text)
	}
	if text, code := tspCommand(ctx, dir, "", "answer"); code != exitFailed || !strings.Contains(text, "0 calls") {
		t.Error(code, text)
	}
	do("", "transfer", "1003", "--consult")
	bob := <-phones["bob"].Incoming()
	if err := bob.WaitConnected(ctx, "1003"); err != nil {
		t.Error("bob does not talk with carol:", err)
	}
	do("", "dial", "1003")
	do("", "drop")
	trace, err := os.ReadFile(filepath.Join(dir, "trace", "TSP000001.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"CSSLHelper::GetCTLFromTFTP CTLFileName = CTLCAPF7F00", "CSSLHelper::GetCTLFromTFTP CERT SUBJECTNAME = /", "SSL connection using ",
		"CAPF client: open file ", "QBEClient.pem mode w+b"} {
		if !strings.Contains(string(trace), line) {
			t.Errorf("the trace lacks %q:\n%s", line, trace)
		}
	}
	for _, secret := range []string{password, made.String.Reveal()} {
		if strings.Contains(string(trace), secret) {
			t.Error("a secret is in the trace")
		}
	}
	text, code := tspCommand(ctx, dir, "", "dial", "9999", "--wait", "5s")
	if code != exitFailed {
		t.Errorf("a number that nobody has: %s", text)
	}
}

// TestTSPMonitorPicture: the screen, line by line, and that nobody's name can steer the terminal.
func TestTSPMonitorPicture(t *testing.T) {
	call := cti.Call{Line: cti.LineID{Device: "SEP1", Number: "1001"}, State: ctiqbe.CallStateConnected, Calling: cti.Party{Number: "2000", Name: "Eve\x1b[2J"}}
	m := &monitor{width: 60, since: map[string]time.Time{}}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m.note(cti.NewCall{Call: call}, at)
	for range 50 {
		m.note(cti.CallChanged{Call: call, Before: ctiqbe.CallStateAccepted}, at)
	}
	if len(m.log) != monitorLog || len(m.since) != 1 {
		t.Errorf("%d lines, %d calls", len(m.log), len(m.since))
	}
	m.note(cti.CallEnded{Call: call}, at)
	if len(m.since) != 0 {
		t.Error("a call that is over is kept")
	}
	if text := strings.Map(printable, eventText(cti.NewCall{Call: call})); strings.ContainsRune(text, 0x1b) {
		t.Errorf("%q", text)
	}
	if text := pad("a name that is much longer than its column", 10); text != "a name th~" {
		t.Error(text)
	}
	var p admin.Problem
	if err := tspProblem(&cti.Error{Doing: "Logging in", Result: ctiqbe.ErrConnectionOnInvalidPort, Advice: "Use 2749."}); err == nil {
		t.Error("no problem")
	} else if b, _ := json.Marshal(err); json.Unmarshal(b, &p) != nil || p.Code != "cti-connection_on_invalid_port" || p.Advice != "Use 2749" {
		t.Errorf("%+v", p)
	}
}
