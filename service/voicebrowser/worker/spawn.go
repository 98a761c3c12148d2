package worker

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// child is a process with its pipes. The goroutine of its session owns it once it is taken; before, the pool.
type child struct {
	cmd    *exec.Cmd
	to     *os.File // its standard input
	from   *os.File // its standard output
	frames chan frame
	left   chan struct{} // nobody takes frames any more
	broken error         // why frames was closed, set before
	gone   chan struct{} // it has ended and is reaped, its group with it
	fate   error         // of the process, set before gone is closed
	words  *tail
}

// spawner starts processes on one thread that lives as long as they do: PDEATHSIG is sent when the thread that made a process ends, not
// when the program does (prctl(2)).
type spawner struct {
	orders chan func()
	done   chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{orders: make(chan func()), done: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine, once Close has seen all children end
		defer close(s.done)
		for order := range s.orders {
			order()
		}
	}()
	return s
}

// start starts a process.
func (s *spawner) start(command []string) (c *child, err error) {
	finished := make(chan struct{})
	s.orders <- func() {
		c, err = start(command)
		close(finished)
	}
	<-finished
	return c, err
}

func (s *spawner) close() {
	close(s.orders)
	<-s.done
}

func start(command []string) (*child, error) {
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		_, _ = inRead.Close(), inWrite.Close()
		return nil, err
	}
	c := &child{cmd: exec.Command(command[0], command[1:]...), to: inWrite, from: outRead, frames: make(chan frame), left: make(chan struct{}), gone: make(chan struct{}), words: &tail{}}
	c.cmd.Env = []string{"GOMAXPROCS=1", "GOTRACEBACK=none"}
	c.cmd.Dir = "/"
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = inRead, outWrite, c.words
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	err = c.cmd.Start()
	_, _ = inRead.Close(), outWrite.Close()
	if err != nil {
		_, _ = inWrite.Close(), outRead.Close()
		return nil, fmt.Errorf("%s cannot be started: %w", command[0], err)
	}
	go c.read()
	go c.reap()
	return c, nil
}

var errLeft = errors.New("nobody listens to it any more")

// over says whether it has ended.
func (c *child) over() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// read passes frames on until the pipe ends or somebody sees sense in nothing on it.
func (c *child) read() {
	defer close(c.frames)
	r := bufio.NewReader(c.from)
	for {
		f, err := readFrame(r, maxFromChild)
		if err != nil {
			c.broken = err
			return
		}
		select {
		case c.frames <- f:
		case <-c.left:
			c.broken = errLeft
			return
		}
	}
}

// reap waits for the end of the process, ends what else is in its group while the number still means that group, and takes it off the table.
func (c *child) reap() {
	const byPID, exited, keep = 1, 4, 0x01000000 // waitid(2): P_PID, WEXITED, WNOWAIT
	var info [128]byte
	for {
		_, _, e := syscall.Syscall6(syscall.SYS_WAITID, byPID, uintptr(c.cmd.Process.Pid), uintptr(unsafe.Pointer(&info)), exited|keep, 0, 0)
		if e != syscall.EINTR {
			break
		}
	}
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	c.fate = c.cmd.Wait()
	close(c.gone)
}

// end kills the process and its group, and returns when both are gone. Its owner calls it, once.
func (c *child) end() {
	close(c.left)
	_ = c.cmd.Process.Kill() // one that has ended is no failure
	<-c.gone
	_, _ = c.to.Close(), c.from.Close()
}

// send writes a frame; a child that does not read is broken.
func (c *child) send(f frame, within time.Duration) error {
	if err := c.to.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	return writeFrame(c.to, f, maxToChild)
}

// tail keeps the first words that a process writes to its standard error, which say why it died.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const most = 2048
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b[:min(len(b), most-len(t.text))]...)
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
