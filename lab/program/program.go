// Package program runs the real program in tests: built once for a test binary, started as processes that are killed, stopped and
// started again.
package program

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Program is the program of one source tree. The zero value is that of the tests' own.
type Program struct {
	// Source is the folder of the tree; empty is the one the tests run in.
	Source string

	once sync.Once
	dir  string
	err  error
}

// Path is where the program is; it is built at the first call.
func (p *Program) Path(t testing.TB) string {
	t.Helper()
	p.once.Do(func() {
		if p.dir, p.err = os.MkdirTemp("", "locktone-program-"); p.err != nil {
			return
		}
		c := exec.Command("go", "build", "-o", filepath.Join(p.dir, "locktone"), "github.com/locktone/locktone/cmd/locktone")
		c.Dir = p.Source
		if out, err := c.CombinedOutput(); err != nil {
			p.err = errors.New(err.Error() + "\n" + string(out))
		}
	})
	if p.err != nil {
		t.Fatalf("building locktone: %v", p.err)
	}
	return filepath.Join(p.dir, "locktone")
}

// Remove removes what was built; TestMain calls it at the end.
func (p *Program) Remove() {
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}

// Run runs a command of the program for a minute at most, and returns its exit code with what it wrote.
func (p *Program) Run(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return p.RunWith(t, "", args...)
}

// RunWith is Run with something on standard input.
func (p *Program) RunWith(t testing.TB, input string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, p.Path(t), args...)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// A Launch makes the command for a program, where it is not simply a process of this machine: in a place of a network, with another
// clock.
type Launch func(path string, args ...string) *exec.Cmd

// A Node is a running `locktone up`.
type Node struct {
	Home   string
	Output *Output
	Ended  chan struct{} // closed when the process has ended
	cmd    *exec.Cmd
}

// Output is what a process has written so far.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Up starts a node and waits until `locktone status` says that it is ready.
func (p *Program) Up(t testing.TB, home string, args ...string) *Node {
	t.Helper()
	return p.UpIn(t, nil, home, args...)
}

// UpIn is Up with a launch of the caller's; nil is a process of this machine.
func (p *Program) UpIn(t testing.TB, launch Launch, home string, args ...string) *Node {
	t.Helper()
	n := p.Start(t, launch, home, args...)
	if code, _, errs := p.Run(t, "status", "--home", home, "--json", "--wait", "40s"); code != 0 {
		n.Kill()
		t.Fatalf("the node did not become ready (%d): %s\n%s", code, errs, n.Output)
	}
	return n
}

// Start is UpIn without the waiting.
func (p *Program) Start(t testing.TB, launch Launch, home string, args ...string) *Node {
	t.Helper()
	if launch == nil {
		launch = exec.Command
	}
	n := &Node{Home: home, Output: &Output{}, Ended: make(chan struct{})}
	n.cmd = launch(p.Path(t), append([]string{"up", "--home", home}, args...)...)
	n.cmd.Stdout, n.cmd.Stderr = n.Output, n.Output
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = n.cmd.Wait(); close(n.Ended) }()
	t.Cleanup(n.Kill)
	return n
}

// Signal sends the process a signal.
func (n *Node) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Kill is kill -9.
func (n *Node) Kill() {
	_ = n.cmd.Process.Kill() // it may have ended already
	<-n.Ended
}

// Stop is Ctrl-C; it returns the exit code.
func (n *Node) Stop(t testing.TB) int {
	t.Helper()
	n.Signal(t, os.Interrupt)
	select {
	case <-n.Ended:
	case <-time.After(20 * time.Second):
		t.Fatalf("Ctrl-C does not stop the node:\n%s", n.Output)
	}
	return n.ExitCode()
}

// ExitCode is that of a process that has ended.
func (n *Node) ExitCode() int { return n.cmd.ProcessState.ExitCode() }
