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
	in := a.in
	if in == nil {
		in = os.Stdin
	}
	lines := bufio.NewReader(io.LimitReader(in, 2*(maxPassword+2)))
	f, ok := in.(*os.File)
	if !ok {
		return passwordLine(a.ctx, lines)
	}
	shown, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return passwordLine(a.ctx, lines)
	}
	hidden := *shown
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &hidden); err != nil {
		return "", fmt.Errorf("the terminal cannot be kept from showing the password: %w", err)
	}
	defer func() { _ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, shown) }() // the terminal may be gone
	typed := make([]string, len(questions))
	for i, ask := range questions {
		fmt.Fprint(a.err, ask)
		typed[i], err = passwordLine(a.ctx, lines)
		fmt.Fprintln(a.err)
		if err != nil {
			return "", err
		}
	}
	if typed[0] != typed[len(typed)-1] {
		return "", errors.New("the two differ")
	}
	return typed[0], nil
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
