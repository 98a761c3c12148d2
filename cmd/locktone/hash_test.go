package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/locktone/locktone/config"
)

// hashed runs `locktone hash` with something to read.
func hashed(t *testing.T, in string, args ...string) (text string, code int) {
	t.Helper()
	var out bytes.Buffer
	a := &app{ctx: context.Background(), in: strings.NewReader(in), out: &out, err: &out}
	code = a.run(append([]string{"hash"}, args...))
	return strings.TrimSpace(out.String()), code
}

// TestHash: the hash opens what the password opens, in a site file too, and the output never has the password.
func TestHash(t *testing.T) {
	const password = "correct horse"
	text, code := hashed(t, password+"\r\n")
	v, err := config.ParseVerifier(text)
	if code != exitOK || err != nil || !v.Verify(password) || v.Verify(password+"x") {
		t.Errorf("exit %d, %q: %v", code, text, err)
	}
	digest, code := hashed(t, password, "--digest", "ann@lab.example")
	if code != exitOK || digest != config.NewDigestVerifier("ann", "lab.example", password).Reveal() {
		t.Errorf("exit %d, %q", code, digest)
	}
	file := fmt.Sprintf("cluster: {domain: lab.example}\nusers:\n  - {name: ann, password: '%s', digestCredential: '%s'}\n", text, digest)
	site, err := config.Parse("site.yaml", []byte(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	if u := site.Users[0]; !u.Password.Verify(password) || u.DigestCredential.IsZero() {
		t.Errorf("the site file does not take the hashes: %+v", u)
	}
	if text, code := hashed(t, password, "--json"); code != exitOK || !strings.Contains(text, `"hash": "$argon2id$`) {
		t.Errorf("--json: exit %d, %s", code, text)
	}
	for name, x := range map[string]struct {
		in   string
		args []string
		want string
	}{
		"short":          {"1234567\n", nil, "at least 8 characters"},
		"nothing":        {"", nil, "no password came"},
		"endless":        {strings.Repeat("x", 5000), nil, "longer than"},
		"no realm":       {password, []string{"--digest", "ann"}, "USER@REALM"},
		"no user":        {password, []string{"--digest", "@lab.example"}, "USER@REALM"},
		"dollar in user": {password, []string{"--digest", "a$b@lab.example"}, "USER@REALM"},
	} {
		if text, code := hashed(t, x.in, x.args...); code != exitFailed || !strings.Contains(text, x.want) {
			t.Errorf("%s: exit %d, %s", name, code, text)
		}
	}
}

// terminal opens a pseudo-terminal.
func terminal(t *testing.T) (far, near *os.File) {
	t.Helper()
	far, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { far.Close() })
	n, err := unix.IoctlGetInt(int(far.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(far.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	near, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { near.Close() })
	return far, near
}

// asks is the terminal's other end: it answers each question with the next line.
type asks struct {
	t       *testing.T
	far     *os.File
	answers []string
	said    bytes.Buffer
}

func (a *asks) Write(b []byte) (int, error) {
	a.said.Write(b)
	if strings.HasSuffix(string(b), ": ") && len(a.answers) > 0 {
		if _, err := a.far.WriteString(a.answers[0] + "\n"); err != nil {
			a.t.Error(err)
		}
		a.answers = a.answers[1:]
	}
	return len(b), nil
}

// TestHashAtATerminal: the password is asked for twice and never shown, and the terminal is as it was before.
func TestHashAtATerminal(t *testing.T) {
	for _, again := range []string{"correct horse", "correct house"} {
		far, near := terminal(t)
		questions := &asks{t: t, far: far, answers: []string{"correct horse", again}}
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		a := &app{ctx: ctx, in: near, out: &out, err: questions}
		code := a.run([]string{"hash"})
		cancel()
		if v, err := config.ParseVerifier(strings.TrimSpace(out.String())); again == "correct horse" && (code != exitOK || err != nil || !v.Verify(again)) {
			t.Errorf("exit %d, %q, %q", code, out.String(), questions.said.String())
		} else if again != "correct horse" && (code != exitFailed || !strings.Contains(questions.said.String(), "differ")) {
			t.Errorf("exit %d, %q", code, questions.said.String())
		}
		mode, err := unix.IoctlGetTermios(int(near.Fd()), unix.TCGETS)
		if err != nil || mode.Lflag&unix.ECHO == 0 {
			t.Errorf("the terminal does not echo afterwards: %v", err)
		}
		if _, err := near.WriteString("\x04"); err != nil {
			t.Fatal(err)
		}
		shown := make([]byte, 4096)
		n, err := far.Read(shown)
		if err != nil || strings.Contains(string(shown[:n]), "correct") {
			t.Errorf("the terminal showed %q (%v)", shown[:n], err)
		}
	}
}
