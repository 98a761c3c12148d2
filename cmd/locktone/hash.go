package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/locktone/locktone/config"
)

// hashCmd is `locktone hash`: what may stand in a site file in place of a password.
type hashCmd struct {
	Digest string `help:"Hash a digest credential for this user and realm (the cluster's domain) instead of a login password." placeholder:"USER@REALM"`
}

// Run reads a password, from the terminal without echo or from standard input, and prints its hash.
func (c *hashCmd) Run(a *app) error {
	user, realm, ok := strings.Cut(c.Digest, "@")
	if c.Digest != "" && (!ok || user == "" || realm == "" || strings.Contains(user, "$")) {
		return fmt.Errorf("--digest %s: want USER@REALM, the user's name and the cluster's domain", c.Digest)
	}
	password, err := a.password("Password: ", "Again: ")
	switch {
	case err != nil:
		return err
	case len(password) < config.MinPassword:
		return fmt.Errorf("the password is too short: at least %d characters are needed", config.MinPassword)
	}
	hash := config.NewVerifier(password).Reveal()
	if c.Digest != "" {
		hash = config.NewDigestVerifier(user, realm, password).Reveal()
	}
	if a.json {
		return a.printJSON(map[string]string{"hash": hash})
	}
	_, err = fmt.Fprintln(a.out, hash)
	return err
}

// maxPassword bounds a password's length in bytes.
const maxPassword = 1024

// password reads one line. At a terminal it is asked for as often as there are questions, and not shown.
func (a *app) password(questions ...string) (string, error) {
	typed, err := a.passwords(1, questions...)
	if err == nil && typed[0] != typed[len(typed)-1] {
		err = errors.New("the two differ")
	}
	if err != nil {
		return "", err
	}
	return typed[0], nil
}

// passwordChange reads the present password and the new one: two lines of standard input, or asked for.
func (a *app) passwordChange(user string) (old, next string, err error) {
	typed, err := a.passwords(2, "Present password of "+user+": ", "New password: ", "New password again: ")
	switch {
	case err != nil:
		return "", "", err
	case len(typed) == 3 && typed[1] != typed[2]:
		return "", "", errors.New("the two differ")
	}
	return typed[0], typed[1], nil
}

// passwords asks every question at a terminal, and shows no answer; from elsewhere it reads so many lines.
func (a *app) passwords(count int, questions ...string) ([]string, error) {
	in := a.in
	if in == nil {
		in = os.Stdin
	}
	lines := bufio.NewReader(io.LimitReader(in, 3*(maxPassword+2)))
	ask := func(string) {}
	if f, ok := in.(*os.File); ok {
		if shown, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			hidden := *shown
			hidden.Lflag &^= unix.ECHO
			hidden.Lflag |= unix.ICANON | unix.ISIG
			if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &hidden); err != nil {
				return nil, fmt.Errorf("the terminal cannot be kept from showing the password: %w", err)
			}
			defer func() { _ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, shown) }() // the terminal may be gone
			ask, count = func(text string) { fmt.Fprint(a.err, text) }, len(questions)
		}
	}
	typed := make([]string, count)
	for i := range typed {
		ask(questions[min(i, len(questions)-1)])
		line, err := passwordLine(a.ctx, lines)
		ask("\n")
		if err != nil {
			return nil, err
		}
		typed[i] = line
	}
	return typed, nil
}

// passwordLine reads one line, until the command is interrupted.
func passwordLine(ctx context.Context, r *bufio.Reader) (string, error) {
	type result struct {
		line string
		err  error
	}
	got := make(chan result, 1)
	go func() { // a read of standard input cannot be interrupted; the program ends right after
		line, err := r.ReadString('\n')
		got <- result{strings.TrimRight(line, "\r\n"), err}
	}()
	select {
	case x := <-got:
		switch {
		case x.err != nil && (x.err != io.EOF || x.line == ""):
			return "", fmt.Errorf("no password came: %w", x.err)
		case len(x.line) > maxPassword:
			return "", fmt.Errorf("the password is longer than %d characters", maxPassword)
		}
		return x.line, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
