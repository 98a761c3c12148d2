package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/locktone/locktone/service/voicebrowser/interpreter"
)

// Name is the hidden command of the child process.
const Name = "vxml-worker"

// Runner is interpreter.Run; tests have others.
type Runner func(context.Context, interpreter.Start, interpreter.Platform) interpreter.Result

// IsWorker says whether this process was started as a child. The program asks before anything else, and calls Main.
func IsWorker(args []string) bool { return len(args) == 2 && args[1] == Name }

// Exit codes of a child.
const (
	exitDone   = 0
	exitOrphan = 3 // the parent is gone
	exitLimits = 4 // the limits could not be set
)

// Main is the child: it takes one session from in, runs it, and returns the exit code of the process.
func Main(in io.Reader, out io.Writer, run Runner) int {
	runtime.GOMAXPROCS(1)
	debug.SetTraceback("none")
	reader := bufio.NewReader(in)
	first, err := readFrame(reader, maxToChild)
	if err != nil || first.Begin == nil {
		return exitOrphan
	}
	space, err := confine(*first.Begin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "vxml-worker: the limits cannot be set:", err)
		return exitLimits
	}
	if writeFrame(out, frame{Ready: &ready{Space: space}}, maxFromChild) != nil {
		return exitOrphan
	}
	job, err := readFrame(reader, maxToChild)
	if err != nil || job.Start == nil {
		return exitOrphan
	}
	l := &link{out: out, outcomes: make(chan interpreter.Outcome)}
	go l.listen(reader)
	result := run(context.Background(), *job.Start, l)
	if writeFrame(out, frame{Result: &result}, maxFromChild) != nil {
		return exitOrphan
	}
	return exitDone
}

// link is the interpreter's platform: the pipes.
type link struct {
	out      io.Writer
	outcomes chan interpreter.Outcome
}

// listen takes outcomes. The end of the input is the end of the process, whatever a script is doing.
func (l *link) listen(in io.Reader) {
	for {
		f, err := readFrame(in, maxToChild)
		if err != nil || f.Outcome == nil {
			os.Exit(exitOrphan)
		}
		l.outcomes <- *f.Outcome
	}
}

// Do implements interpreter.Platform.
func (l *link) Do(ctx context.Context, a interpreter.Action) (interpreter.Outcome, error) {
	switch err := writeFrame(l.out, frame{Action: &a}, maxFromChild); {
	case errors.Is(err, errFrameSize):
		return interpreter.Outcome{}, errors.New("what the document asks for is larger than a platform takes")
	case err != nil:
		return interpreter.Outcome{}, err
	}
	select {
	case o := <-l.outcomes:
		return o, nil
	case <-ctx.Done():
		return interpreter.Outcome{}, context.Cause(ctx)
	}
}

// niceness is how much a session yields to the media of all calls.
const niceness = 10

// confine sets the limits of this process, after it has everything that it will ever open. It returns the address space there was.
func confine(b begin) (space uint64, err error) {
	warm()
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness); err != nil {
		return 0, err
	}
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(string(text), &space); err != nil {
		return 0, err
	}
	space *= uint64(os.Getpagesize())
	debug.SetMemoryLimit(int64(b.Memory) / 4 * 3)
	seconds := uint64((b.CPU + time.Second - 1) / time.Second)
	for _, l := range []struct {
		what  int
		limit uint64
	}{{syscall.RLIMIT_AS, space + b.Memory}, {syscall.RLIMIT_CPU, seconds}, {syscall.RLIMIT_CORE, 0}, {syscall.RLIMIT_FSIZE, 0}, {syscall.RLIMIT_NOFILE, 0}} {
		if err := syscall.Setrlimit(l.what, &syscall.Rlimit{Cur: l.limit, Max: l.limit}); err != nil {
			return 0, fmt.Errorf("resource %d: %w", l.what, err)
		}
	}
	const setNoNewPrivileges = 38 // prctl(2)
	if _, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivileges, 1, 0, 0, 0, 0); e != 0 {
		return 0, e
	}
	return space, nil
}

// warm makes the runtime open what it opens once: the poller, which timers need, and the local time zone, which scripts show.
func warm() {
	<-time.After(time.Microsecond)
	_, _ = time.Now().Local().Zone()
}
