package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dop251/goja"
	"github.com/locktone/locktone/service/voicebrowser/interpreter"
)

// parentCommand makes the test program a parent of its own, for TestChildrenDieWithTheParent.
const parentCommand = "vxml-test-parent"

func TestMain(m *testing.M) {
	switch {
	case IsWorker(os.Args):
		os.Exit(Main(os.Stdin, os.Stdout, behave))
	case len(os.Args) == 2 && os.Args[1] == parentCommand:
		beParent()
	}
	os.Exit(m.Run())
}

// behave is the interpreter of the tests: the URL says what it does.
func behave(ctx context.Context, start interpreter.Start, p interpreter.Platform) interpreter.Result {
	what, arg, _ := strings.Cut(start.URL, " ")
	switch what {
	case "script":
		v, err := goja.New().RunString(arg)
		if err != nil {
			return interpreter.Result{End: interpreter.Failed, Error: err.Error()}
		}
		return interpreter.Result{End: interpreter.Exited, Error: v.String()}
	case "hog":
		var all [][]byte
		for i := range 1 << 20 {
			all = append(all, bytes.Repeat([]byte{byte(i)}, 1<<20))
		}
		return interpreter.Result{Steps: len(all)}
	case "garbage":
		_, _ = os.Stdout.WriteString(strings.Repeat("\x00\x00\x00\x05nope!", 100))
		select {}
	case "huge":
		_, _ = os.Stdout.Write([]byte{0xff, 0xff, 0xff, 0xff})
		select {}
	case "begin":
		_ = writeFrame(os.Stdout, frame{Begin: &begin{}}, maxFromChild)
		select {}
	case "both":
		_, err := p.Do(ctx, interpreter.Action{Stop: &interpreter.Stop{}, Log: &interpreter.Log{}})
		return interpreter.Result{Error: fmt.Sprint(err)}
	case "close":
		_ = os.Stdout.Close()
		select {}
	case "exit":
		os.Exit(7)
	case "flood":
		for {
			if _, err := p.Do(ctx, interpreter.Action{Log: &interpreter.Log{Text: "again"}}); err != nil {
				return interpreter.Result{Error: err.Error()}
			}
		}
	case "files":
		_, err := os.Open("/proc/self/status")
		s, socket := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		return interpreter.Result{Error: fmt.Sprintf("%v / %v %d / %v / %s", err, socket, s, os.Environ(), nice())}
	case "big":
		_, err := p.Do(ctx, interpreter.Action{Log: &interpreter.Log{Text: strings.Repeat("x", maxFromChild)}})
		return interpreter.Result{End: interpreter.Failed, Error: fmt.Sprint(err)}
	case "echo":
		o, err := p.Do(ctx, interpreter.Action{Listen: &interpreter.Listen{Wait: time.Second}})
		if err != nil || o.Input == nil {
			return interpreter.Result{Error: fmt.Sprint(err)}
		}
		return interpreter.Result{End: interpreter.Exited, Error: o.Input.Digit}
	}
	return interpreter.Result{End: interpreter.Exited}
}

func nice() string {
	n, _ := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	return strconv.Itoa(20 - n)
}

// keys is a platform on which every Listen hears the same digit.
type keys string

func (k keys) Do(_ context.Context, a interpreter.Action) (interpreter.Outcome, error) {
	if a.Listen != nil {
		return interpreter.Outcome{Input: &interpreter.Input{Digit: string(k)}}, nil
	}
	return interpreter.Outcome{}, nil
}

// open opens a pool of the test program's children that ends with the test, and shows then that no child is left.
func open(t testing.TB, cfg Config) *Pool {
	t.Helper()
	p := Open(cfg)
	t.Cleanup(func() {
		p.Close()
		if left := children(os.Getpid()); len(left) > 0 {
			t.Errorf("children that outlived the pool: %v", left)
		}
	})
	return p
}

// children lists the processes made by pid, zombies too, by number, state and name.
func children(pid int) (out []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range all {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		head, rest, _ := strings.Cut(string(b), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			out = append(out, head+") "+fields[0])
		}
	}
	return out
}

func TestSessions(t *testing.T) {
	p := open(t, Config{Spares: 2})
	for i := range 6 {
		digit := strconv.Itoa(i)
		res, err := p.Run(t.Context(), interpreter.Start{URL: "echo"}, keys(digit))
		if err != nil || res.Error != digit {
			t.Fatalf("session %d: %+v, %v", i, res, err)
		}
	}
	if s := p.Stats(); s.Sessions != 0 || s.Started < 6 || len(s.Failures) != 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestRunaways: whatever a session does, only it ends, with a word about why, and the pool has spares again.
func TestRunaways(t *testing.T) {
	p := open(t, Config{Spares: 2, Think: 1500 * time.Millisecond, Actions: 10})
	for _, test := range []struct {
		url, why string
		kind     Kind
	}{
		{"script 'x'.repeat(6e9).length", "memory", Died},
		{"hog", "memory", Died},
		{"script for(;;);", "computed", Hung},
		{"script var a=[]; function f(){ a.push(a.length); f() }; try { f() } catch (e) {}; for(;;) a.push(new Array(1000).join('y'))", "", ""},
		{"garbage", "not understood", Lied},
		{"huge", "larger", Lied},
		{"begin", "only we write", Lied},
		{"both", "2 members", Lied},
		{"close", "lives on", Lied},
		{"exit", "exit status 7", Died},
		{"flood", "10 things", Flood},
	} {
		t.Run(test.url, func(t *testing.T) {
			began := time.Now()
			res, err := p.Run(t.Context(), interpreter.Start{URL: test.url}, keys("1"))
			var f *Failure
			if !errors.As(err, &f) || test.kind != "" && f.Kind != test.kind || !strings.Contains(f.Why, test.why) {
				t.Errorf("after %v: %+v, %v", time.Since(began), res, err)
			}
			t.Logf("%v: %v", time.Since(began).Round(time.Millisecond), err)
			if res, err := p.Run(t.Context(), interpreter.Start{URL: "echo"}, keys("5")); err != nil || res.Error != "5" {
				t.Errorf("the session behind it: %+v, %v", res, err)
			}
		})
	}
}

// TestConfined: a child has no environment, can open neither a file nor a socket, and yields.
func TestConfined(t *testing.T) {
	p := open(t, Config{Spares: 1})
	res, err := p.Run(t.Context(), interpreter.Start{URL: "files"}, keys(""))
	if err != nil || strings.Count(res.Error, "too many open files") != 2 || !strings.Contains(res.Error, "[GOMAXPROCS=1 GOTRACEBACK=none]") || !strings.HasSuffix(res.Error, "/ 10") {
		t.Errorf("%+v, %v", res, err)
	}
	if res, err := p.Run(t.Context(), interpreter.Start{URL: "big"}, keys("")); err != nil || !strings.Contains(res.Error, "larger") {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestProcessorTime: a session that always asks in time, and burns a processor between, ends when its time is used up.
func TestProcessorTime(t *testing.T) {
	if os.Getenv("LOCKTONE_ALL") == "" {
		t.Skip("LOCKTONE_ALL is not set: a second of processor time is burnt here")
	}
	p := open(t, Config{Spares: 1, CPU: time.Second, Think: time.Minute})
	_, err := p.Run(t.Context(), interpreter.Start{URL: "script for(;;);"}, keys(""))
	var f *Failure
	if !errors.As(err, &f) || f.Kind != Died {
		t.Error(err)
	}
}

// TestEndedFromOutside: a platform's error and the end of ctx end the session at once, and Close those that are left.
func TestEndedFromOutside(t *testing.T) {
	p := open(t, Config{Spares: 1, Think: time.Minute, Sessions: 2})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no more")
	ended := make(chan error, 2)
	go func() {
		_, err := p.Run(ctx, interpreter.Start{URL: "script for(;;);"}, keys(""))
		ended <- err
	}()
	go func() {
		_, err := p.Run(context.Background(), interpreter.Start{URL: "script for(;;);"}, keys(""))
		ended <- err
	}()
	await(t, func() bool { return p.Stats().Sessions == 2 })
	var f *Failure
	if _, err := p.Run(t.Context(), interpreter.Start{URL: "echo"}, keys("")); !errors.As(err, &f) || f.Kind != Absent {
		t.Errorf("over the limit of sessions: %v", err)
	}
	cancel(why)
	if err := <-ended; !errors.Is(err, why) {
		t.Error(err)
	}
	p.Close()
	if err := <-ended; err == nil {
		t.Error("Close has left a session")
	}
}

// TestSparesAreReplaced: one that is killed while it waits is replaced, and no call gets it.
func TestSparesAreReplaced(t *testing.T) {
	p := open(t, Config{Spares: 3})
	await(t, func() bool { return p.Stats().Spares == 3 })
	for _, c := range children(os.Getpid()) {
		pid, _ := strconv.Atoi(strings.Fields(c)[0])
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	await(t, func() bool { return p.Stats().Started >= 6 && p.Stats().Spares == 3 })
	if res, err := p.Run(t.Context(), interpreter.Start{URL: "echo"}, keys("3")); err != nil || res.Error != "3" {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestCommandThatIsNoWorker(t *testing.T) {
	said := make(chan string, 100)
	p := open(t, Config{Command: []string{"/bin/false"}, Spares: 1, Trouble: func(s string) { said <- s }})
	if s := <-said; !strings.Contains(s, "exit status 1") && !strings.Contains(s, "broken pipe") && !strings.Contains(s, "ready") {
		t.Error(s)
	}
	var f *Failure
	if _, err := p.Run(t.Context(), interpreter.Start{URL: "echo"}, keys("")); !errors.As(err, &f) || f.Kind != Absent {
		t.Error(err)
	}
}

// beParent is a parent with spares and one session that loops. It says when, and waits to be killed.
func beParent() {
	p := Open(Config{Spares: 2, Think: time.Hour, CPU: time.Hour})
	go func() { _, _ = p.Run(context.Background(), interpreter.Start{URL: "script for(;;);"}, keys("")) }()
	for p.Stats().Sessions != 1 || p.Stats().Spares != 2 {
		runtime.Gosched()
	}
	fmt.Println("up")
	select {}
}

// TestChildrenDieWithTheParent: a parent that is killed leaves nothing, neither a spare nor what loops in a script.
func TestChildrenDieWithTheParent(t *testing.T) {
	parent := exec.Command(os.Args[0], parentCommand)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	offspring := children(parent.Process.Pid)
	if len(offspring) < 3 {
		t.Errorf("the parent has %v", offspring)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	await(t, func() bool {
		for _, c := range offspring {
			stat, err := os.ReadFile("/proc/" + strings.Fields(c)[0] + "/stat")
			if err == nil && strings.Contains(string(stat), filepath.Base(os.Args[0])[:8]) && !strings.Contains(string(stat), ") Z ") {
				return false
			}
		}
		return true
	})
}

// await waits for what has no event.
func await(t testing.TB, done func() bool) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// FuzzFrame: any octets give a frame or an error, and frames survive the way there and back.
func FuzzFrame(f *testing.F) {
	var b bytes.Buffer
	_ = writeFrame(&b, frame{Start: &interpreter.Start{URL: "https://a.test/"}}, maxToChild)
	f.Add(b.Bytes())
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := readFrame(bytes.NewReader(in), 1<<16)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := writeFrame(&b, got, 1<<20); err != nil {
			t.Fatal(err)
		}
		again, err := readFrame(&b, 1<<20)
		x, _ := json.Marshal(got)
		y, _ := json.Marshal(again)
		if err != nil || !bytes.Equal(x, y) {
			t.Fatalf("%s became %s: %v", x, y, err)
		}
	})
}

// BenchmarkSession is what a session costs from Run to its result, with spares at hand and without.
func BenchmarkSession(b *testing.B) {
	for _, spares := range []int{1, 8} {
		b.Run(strconv.Itoa(spares), func(b *testing.B) {
			p := open(b, Config{Spares: spares})
			var once sync.Once
			for b.Loop() {
				if _, err := p.Run(context.Background(), interpreter.Start{URL: "echo"}, keys("1")); err != nil {
					once.Do(func() { b.Error(err) })
				}
			}
			s := p.Stats()
			b.ReportMetric(float64(s.StartTime.Microseconds())/1000, "ms/start")
			b.ReportMetric(float64(s.StartSpace>>20), "MiB/start")
		})
	}
}
