package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/postgres"
)

// generation is a site in which every device tells the same number, so that
// half of one is seen.
func generation(n int64) *config.Site {
	s := config.Default("node1")
	for i := range 150 {
		s.Devices = append(s.Devices, config.Device{Name: fmt.Sprintf("phone%03d", i), DevicePool: "default"})
	}
	for i := range s.Devices {
		s.Devices[i].Description = strconv.FormatInt(n, 10)
	}
	s.Devices = s.Devices[:len(s.Devices)-int(n%2)] // now and then one is removed
	return s.Canonical()
}

// applyForEver is the child: it applies one generation after the other and
// prints the revision once Apply has returned.
func applyForEver(dsn string) {
	ctx := context.Background()
	s, err := Open(ctx, dsn, Options{})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("open")
	for {
		snap := s.Known()
		next := generation(snap.Revision.Number + 1)
		r, err := s.Apply(ctx, ChangeSet{Base: snap.Revision.Number, Author: "child", Changes: config.Diff(snap.Site, next)})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(r.Number)
	}
}

// TestKill kills a process in the middle of applying, again and again: what
// the next one finds is a whole generation, at least as new as the last that
// was acknowledged.
func TestKill(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { kill(t, filepath.Join(t.TempDir(), "kill.db"), 12) })
	t.Run("PostgreSQL", func(t *testing.T) { kill(t, postgres.Need(t).Database(t), 5) })
}

func kill(t *testing.T, dsn string, rounds int) {
	var inFlight int
	for round := range rounds {
		acknowledged := killOnce(t, dsn, time.Duration(rand.IntN(40_000))*time.Microsecond)
		s, err := Open(t.Context(), dsn, Options{})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		snap := read(t, s)
		if snap.Revision.Number < acknowledged {
			t.Fatalf("round %d: revision %d was acknowledged, %d is there", round, acknowledged, snap.Revision.Number)
		}
		if snap.Revision.Number > 0 {
			wantSite(t, snap.Site, generation(snap.Revision.Number))
			at, err := s.SiteAt(t.Context(), snap.Revision.Number)
			if err != nil {
				t.Fatal(err)
			}
			wantSite(t, at, snap.Site)
		}
		if snap.Revision.Number > acknowledged {
			inFlight++
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills, %d of them between commit and acknowledgement", rounds, inFlight)
}

// killOnce runs the child, kills it after it has applied at least once more and
// the time given, and returns the last revision it acknowledged.
func killOnce(t *testing.T, dsn string, after time.Duration) (acknowledged int64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LOCKTONE_STORE_CHILD="+dsn)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once bool
	for sc := bufio.NewScanner(out); sc.Scan(); {
		if strings.HasPrefix(sc.Text(), "error") {
			t.Error(sc.Text())
		}
		n, err := strconv.ParseInt(sc.Text(), 10, 64)
		if err != nil {
			continue
		}
		acknowledged = n
		if !once { // the timer starts with the first acknowledged revision
			once = true
			timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
			defer timer.Stop()
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return acknowledged
}
