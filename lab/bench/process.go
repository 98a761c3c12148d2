package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is a server that is measured: a process and all it started.
type child struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan error
}

// launch starts a program with its output in dir/name.log.
func launch(dir, name, path string, args ...string) (*child, error) {
	c := &child{name: name, log: filepath.Join(dir, name+".log"), done: make(chan error, 1)}
	out, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c.cmd = exec.Command(path, args...)
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = dir, out, out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { c.done <- c.cmd.Wait() }()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop ends the process group that launch made.
func (c *child) stop() {
	_ = syscall.Kill(-c.pid(), syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(20 * time.Second):
		_ = syscall.Kill(-c.pid(), syscall.SIGKILL)
		<-c.done
	}
}

// tail is the end of its output, for an error.
func (c *child) tail() string {
	b, _ := os.ReadFile(c.log)
	return string(b[max(0, len(b)-600):])
}

// ready waits until ask says yes.
func (c *child) ready(ctx context.Context, ask func() bool) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case err := <-c.done:
			c.done <- err
			return fmt.Errorf("%s ended: %v\n%s", c.name, err, c.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", c.name, context.Cause(ctx), c.tail())
		case <-tick.C:
		}
	}
	return nil
}

// ticks is the unit of times in /proc: USER_HZ, 100 on every Linux.
const ticks = 100

// spent is the CPU time, user and system, of a process and its descendants.
func spent(pid int) (all time.Duration) {
	for _, p := range tree(pid) {
		f := statOf(p)
		if len(f) < 15 {
			continue
		}
		user, _ := strconv.ParseInt(f[11], 10, 64)
		system, _ := strconv.ParseInt(f[12], 10, 64)
		all += time.Duration(user+system) * time.Second / ticks
	}
	return all
}

// statOf are the fields of /proc/PID/stat after the name; the first is the state.
func statOf(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

// tree is a process with its descendants.
func tree(pid int) []int {
	parents := map[int][]int{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if f := statOf(n); len(f) > 1 {
			parent, _ := strconv.Atoi(f[1])
			parents[parent] = append(parents[parent], n)
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, parents[all[i]]...)
	}
	return all
}

// resident is the memory of a process and its descendants: proportional set size, so that what Kamailio's workers share
// counts once.
func resident(pid int) (kb int64) {
	for _, p := range tree(pid) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				kb += n
			}
		}
	}
	return kb
}

// freeAddress finds an address 127.0.N.20 with ports 5061 free.
func freeAddress() (netip.Addr, error) {
	for i := range 250 {
		addr := netip.AddrFrom4([4]byte{127, 0, byte(2 + (os.Getpid()+i)%250), 20})
		l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 5061).String())
		if err == nil {
			return addr, l.Close()
		}
	}
	return netip.Addr{}, errors.New("no free loopback address for port 5061")
}
