package resilience

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/locktone/locktone/lab"
)

// built is the real program, made once for the tests that kill it.
var built program

type program struct {
	once sync.Once
	dir  string
	err  error
}

func (p *program) path(t testing.TB) string {
	t.Helper()
	p.once.Do(func() {
		if p.dir, p.err = os.MkdirTemp("", "locktone-resilience-"); p.err != nil {
			return
		}
		if out, err := exec.Command("go", "build", "-o", filepath.Join(p.dir, "locktone"), "github.com/locktone/locktone/cmd/locktone").CombinedOutput(); err != nil {
			p.err = errors.New(err.Error() + "\n" + string(out))
		}
	})
	if p.err != nil {
		t.Fatalf("building locktone: %v", p.err)
	}
	return filepath.Join(p.dir, "locktone")
}

func (p *program) remove() {
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}

// command runs the program and returns its exit code with what it wrote.
func command(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, built.path(t), args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// node is a running `locktone up`.
type node struct {
	cmd    *exec.Cmd
	home   string
	output *bytes.Buffer
	ended  chan struct{}
}

// up starts a node and waits until `locktone status` says that it is ready.
func up(t testing.TB, home string, args ...string) *node {
	t.Helper()
	n := &node{home: home, output: &bytes.Buffer{}, ended: make(chan struct{})}
	n.cmd = exec.Command(built.path(t), append([]string{"up", "--home", home}, args...)...)
	n.cmd.Stdout, n.cmd.Stderr = n.output, n.output
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	ok(t, n.cmd.Start())
	go func() { _ = n.cmd.Wait(); close(n.ended) }()
	t.Cleanup(func() { n.kill() })
	if code, _, errs := command(t, "status", "--home", home, "--json", "--wait", "40s"); code != 0 {
		n.kill()
		t.Fatalf("the node did not become ready (%d): %s\n%s", code, errs, n.output)
	}
	return n
}

// kill is kill -9.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	<-n.ended
}

// stop is Ctrl-C; it returns the exit code.
func (n *node) stop(t testing.TB) int {
	t.Helper()
	ok(t, n.cmd.Process.Signal(os.Interrupt))
	select {
	case <-n.ended:
	case <-time.After(20 * time.Second):
		t.Fatalf("Ctrl-C does not stop the node:\n%s", n.output)
	}
	return n.cmd.ProcessState.ExitCode()
}

// metric reads one figure of a site through its Prometheus collector.
func metric(s *lab.Site, name string) (float64, error) {
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(s.Calls.Metrics()); err != nil {
		return 0, err
	}
	families, err := r.Gather()
	if err != nil {
		return 0, err
	}
	for _, f := range families {
		if f.GetName() == name {
			sum := 0.0
			for _, m := range f.GetMetric() { // of all its labels
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
			return sum, nil
		}
	}
	return 0, errors.New("no metric " + name)
}
