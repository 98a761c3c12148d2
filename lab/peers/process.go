package peers

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Process is a running program whose output is kept and can be waited on, line by line.
type Process struct {
	Name string
	Dir  string

	cmd   *exec.Cmd
	stdin io.WriteCloser
	log   *os.File

	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced when a line arrives or the program ends
	done    bool
	err     error
	ended   chan struct{}
}

// run starts a program in dir. Its output goes to dir/<name>.log as well. Standard input stays open: some softphones end
// when it closes.
func run(dir, name string, args ...string) (*Process, error) {
	path, err := Find(name)
	if err != nil {
		return nil, err
	}
	p := &Process{Name: name, Dir: dir, changed: make(chan struct{}), ended: make(chan struct{})}
	if p.log, err = os.Create(filepath.Join(dir, name+".log")); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	w.Close()
	go p.follow(r)
	return p, nil
}

// follow reads the output until the program ends. A carriage return ends a line too: status lines are written over
// each other.
func (p *Process) follow(r *os.File) {
	in := bufio.NewScanner(io.TeeReader(r, p.log))
	in.Buffer(nil, 1<<20)
	in.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexAny(data, "\r\n"); i >= 0 {
			return i + 1, data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	})
	for in.Scan() {
		if in.Text() == "" {
			continue
		}
		p.mu.Lock()
		p.lines = append(p.lines, in.Text())
		p.wake()
		p.mu.Unlock()
	}
	r.Close()
	err := p.cmd.Wait()
	p.log.Close()
	p.mu.Lock()
	p.done, p.err = true, err
	p.wake()
	p.mu.Unlock()
	close(p.ended)
}

// followFile takes the lines of a log file as output too, for a program that says on its terminal what a person wants to
// know and in a file what happens. Files have no event: it looks 50 times a second until the program ends.
func (p *Process) followFile(path string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var rest []byte
	var at int64
	buf := make([]byte, 64<<10)
	for {
		select {
		case <-tick.C:
		case <-p.ended:
			return
		}
		f, err := os.Open(path)
		if err != nil {
			continue // not there yet
		}
		n, _ := f.ReadAt(buf, at)
		f.Close()
		at += int64(n)
		rest = append(rest, buf[:n]...)
		for i := bytes.IndexByte(rest, '\n'); i >= 0; i = bytes.IndexByte(rest, '\n') {
			p.mu.Lock()
			p.lines = append(p.lines, strings.TrimRight(string(rest[:i]), "\r"))
			p.wake()
			p.mu.Unlock()
			rest = rest[i+1:]
		}
	}
}

// wake tells waiters that something changed. The caller holds mu.
func (p *Process) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Mark is a place in the output: Wait looks only at what comes after it.
func (p *Process) Mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// Wait returns the first line after mark that holds one of the texts. It fails when the program ends or ctx does.
func (p *Process) Wait(ctx context.Context, mark int, texts ...string) (string, error) {
	for {
		p.mu.Lock()
		for ; mark < len(p.lines); mark++ {
			for _, text := range texts {
				if strings.Contains(p.lines[mark], text) {
					line := p.lines[mark]
					p.mu.Unlock()
					return line, nil
				}
			}
		}
		changed, done := p.changed, p.done
		p.mu.Unlock()
		if done {
			return "", fmt.Errorf("%s ended (%v) before it said %q; its last words:\n%s", p.Name, p.err, texts, p.Tail(15))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("%s did not say %q: %w; its last words:\n%s", p.Name, texts, context.Cause(ctx), p.Tail(15))
		}
	}
}

// Tail returns the last n lines of output.
func (p *Process) Tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines[max(0, len(p.lines)-n):], "\n")
}

// Output returns all lines so far.
func (p *Process) Output() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// Say writes a line to the program's standard input.
func (p *Process) Say(line string) error {
	_, err := io.WriteString(p.stdin, line+"\n")
	return err
}

// PID is the process id of the program.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exit waits until the program ends by itself and returns how.
func (p *Process) Exit(ctx context.Context) error {
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Interrupt asks the program to end and returns when it has.
func (p *Process) Interrupt(ctx context.Context) error {
	p.cmd.Process.Signal(syscall.SIGINT)
	return p.Exit(ctx)
}

// Stop ends the program and everything it started.
func (p *Process) Stop() {
	p.stdin.Close()
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.ended:
		return
	case <-time.After(3 * time.Second):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}
