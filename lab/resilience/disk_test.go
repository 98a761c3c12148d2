package resilience

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/store"
)

// smallDisk mounts a file system of a few MiB for the test.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := must(os.MkdirTemp("", "ltdisk"))(t) // not below a folder that another user may not enter
	t.Cleanup(func() { ok(t, os.Remove(dir)) })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("needs to mount a small file system (root, CAP_SYS_ADMIN): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return dir
}

// fill takes every byte that is left.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f := must(os.Create(name))(t)
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		block := make([]byte, size)
		for {
			if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	return func() { ok(t, os.Remove(name)) }
}

// TestFullDisk: when the disk is full calls go on, the operator is told what to do, a change is refused whole; when there is
// space again everything is as it was, and the records of the calls made meanwhile are there.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "48m")
	s := start(t, lab.Options{Home: filepath.Join(disk, "home"), Config: config.Default("node1")})
	var bobs phone.Config // with its certificate
	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", func(c *phone.Config) { bobs = *c })
	goodCall(t, alice, bob)
	if st := status(t, s.Home()); !st.Ready || len(st.Problems) > 0 {
		t.Fatalf("before: %+v", st)
	}
	up := connect(t, alice, bob)
	free := fill(t, disk)

	up.hear(t)
	up.end(t)
	const calls = 20
	for range calls {
		goodCall(t, alice, bob)
	}
	eventually(t, step, func() error { // the recorder notices with its next write, the call manager with its next record
		st := status(t, s.Home())
		problems := strings.Join(st.Problems, "\n")
		for _, want := range []string{"trace files are not being written", "free space in", "call records are not being written, calls go on", "store:"} {
			if !strings.Contains(problems, want) {
				return fmt.Errorf("status does not say %q: %q", want, st.Problems)
			}
		}
		if !st.Ready {
			return errors.New("the node calls itself not ready, although calls go on")
		}
		return nil
	})
	t.Log(strings.Join(status(t, s.Home()).Problems, "\n"))
	if rows := show[bus.Exception](t, s, bus.VerbExceptions); !slices.ContainsFunc(rows, func(r bus.Exception) bool { return r.Setting == "trace" && strings.Contains(r.Risk, "free space in") }) {
		t.Errorf("show exceptions: %+v", rows)
	}
	was := must(s.Store.Site(t.Context()))(t)
	next := was.Site.Clone()
	for n := range 2000 { // more than a half-filled page takes
		addPhone(next, fmt.Sprintf("extra%05d", n), fmt.Sprint(20000+n), "encrypted")
	}
	_, err := s.Store.Apply(within(t, step), store.ChangeSet{Base: was.Revision.Number, Author: "test", Changes: config.Diff(was.Site, next)})
	if !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("a change on a full disk: %v, want %v", err, store.ErrNoSpace)
	}
	if now := must(s.Store.Site(t.Context()))(t); now.Revision.Number != was.Revision.Number || len(now.Site.Devices) != len(was.Site.Devices) {
		t.Errorf("revision %d with %d devices after a refused change", now.Revision.Number, len(now.Site.Devices))
	}
	hangUp(bob)
	bob = must(phone.Start(within(t, step), bobs))(t) // a phone that comes back is not kept out
	t.Cleanup(func() { hangUp(bob) })
	ok(t, bob.WaitRegistered(within(t, step)))

	free()
	goodCall(t, alice, bob)
	eventually(t, time.Minute, func() error {
		if st := status(t, s.Home()); !st.Ready || len(st.Problems) > 0 {
			return fmt.Errorf("after space was freed: %q", st.Problems)
		}
		return nil
	})
	if rows := show[bus.Exception](t, s, bus.VerbExceptions); len(rows) != 0 {
		t.Errorf("show exceptions after space was freed: %+v", rows)
	}
	apply(t, s, func(c *config.Site) {
		c.Cluster.MixedCalls = config.MixedRefuse
		c.Lines[0].Display = "Alice again"
	})
	eventually(t, step, func() error {
		if got := must(s.Store.Calls(t.Context(), store.CallQuery{Limit: 1000}))(t); len(got) < calls+3 {
			return fmt.Errorf("%d call records, want %d", len(got), calls+3)
		}
		return nil
	})
}
