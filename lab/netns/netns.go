package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// What the test process that was started again inside the network is told.
const (
	prefixEnv = "LOCKTONE_NETNS"     // of the names of the namespaces
	whyEnv    = "LOCKTONE_NETNS_WHY" // there is no network, and why
)

const (
	testPlace    = "test"
	testSubnet   = 254
	mostPlaces   = 200
	prefixFormat = "lt%d" // of the names of the namespaces: the process that made them
	cutPriority  = "100"  // of the router's rules, before its routes
)

// A Net is the network of this test process. It is safe for concurrent use.
type Net struct {
	prefix string

	mu     sync.Mutex
	places map[string]netip.Addr
}

var here = sync.OnceValue(func() *Net {
	prefix := os.Getenv(prefixEnv)
	if prefix == "" {
		return nil
	}
	return &Net{prefix: prefix, places: map[string]netip.Addr{testPlace: address(testSubnet, 2)}}
})

// Main runs the tests in a process of their own inside a new network, and removes the network afterwards. Where none can be made the
// tests run all the same, and those that call Here are skipped with the reason.
func Main(m *testing.M) int {
	if os.Getenv(prefixEnv) != "" || os.Getenv(whyEnv) != "" {
		return m.Run()
	}
	n := &Net{prefix: fmt.Sprintf(prefixFormat, os.Getpid()), places: map[string]netip.Addr{}}
	sweep()
	defer n.remove()
	if err := n.make(); err != nil {
		os.Setenv(whyEnv, err.Error())
		return m.Run()
	}
	exe, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "netns:", err)
		return 1
	}
	c := n.Command(testPlace, exe, os.Args[1:]...)
	c.Env = append(os.Environ(), prefixEnv+"="+n.prefix)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	return run(c)
}

// run runs the test process. Signals that end this one (Ctrl-C, a test's time is over) end that one first, so that the network goes.
func run(c *exec.Cmd) int {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := c.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "netns:", err)
		return 1
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = c.Process.Signal(s) // it may have ended already
		case err := <-ended:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				fmt.Fprintln(os.Stderr, "netns:", err)
			}
			if code := c.ProcessState.ExitCode(); code >= 0 {
				return code
			}
			return 1
		}
	}
}

// Here is the network the test runs in. Where there is none the test is skipped, and the reason printed.
func Here(t testing.TB) *Net {
	t.Helper()
	if n := here(); n != nil {
		return n
	}
	why := os.Getenv(whyEnv)
	if why == "" {
		t.Fatal("netns: TestMain of this package has to call netns.Main")
	}
	fmt.Println("network namespaces are not tested:", why)
	t.Skip(why)
	return nil
}

// make makes the router and the place of the test process.
func (n *Net) make() error {
	if os.Getuid() != 0 {
		return errors.New("it takes root to make a network namespace")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return errors.New("it takes the program ip (Debian: iproute2)")
	}
	router := n.name("router")
	if err := ip("netns", "add", router); err != nil {
		return err
	}
	if err := ip("-n", router, "link", "set", "lo", "up"); err != nil {
		return err
	}
	if err := inside(router, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"); err != nil {
		return err
	}
	return n.connect(testPlace, testSubnet)
}

// Place makes a place, or returns the address of one that is there.
func (n *Net) Place(t testing.TB, name string) netip.Addr {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if at, ok := n.places[name]; ok {
		return at
	}
	subnet := len(n.places)
	if subnet >= mostPlaces {
		t.Fatalf("netns: more than %d places", mostPlaces)
	}
	if err := n.connect(name, subnet); err != nil {
		t.Fatal(err)
	}
	n.places[name] = address(subnet, 2)
	return n.places[name]
}

// Address is the address of a place that was made; "test" is that of the test process.
func (n *Net) Address(name string) netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.places[name]
}

// connect makes a namespace and hangs it on the router.
func (n *Net) connect(place string, subnet int) error {
	own, router, port := n.name(place), n.name("router"), fmt.Sprintf("port%d", subnet)
	for _, args := range [][]string{
		{"netns", "add", own},
		{"-n", own, "link", "set", "lo", "up"},
		{"-n", router, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", own},
		{"-n", router, "addr", "add", address(subnet, 1).String() + "/24", "dev", port},
		{"-n", router, "link", "set", port, "up"},
		{"-n", own, "addr", "add", address(subnet, 2).String() + "/24", "dev", "eth0"},
		{"-n", own, "link", "set", "eth0", "up"},
		{"-n", own, "route", "add", "default", "via", address(subnet, 1).String()},
	} {
		if err := ip(args...); err != nil {
			return err
		}
	}
	return nil
}

// Command is a program in a place. Its environment, folder and outputs are the caller's to set before it starts.
func (n *Net) Command(place, program string, args ...string) *exec.Cmd {
	c := exec.Command("ip", append([]string{"netns", "exec", n.name(place), program}, args...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return c
}

// Cut throws everything between two places away from now on, silently, in both directions.
func (n *Net) Cut(t testing.TB, a, b string) {
	t.Helper()
	n.rules(t, "add", a, b)
}

// Heal ends a Cut.
func (n *Net) Heal(t testing.TB, a, b string) {
	t.Helper()
	n.rules(t, "del", a, b)
}

func (n *Net) rules(t testing.TB, verb, a, b string) {
	t.Helper()
	x, y := n.Address(a), n.Address(b)
	if !x.IsValid() || !y.IsValid() {
		t.Fatalf("netns: there is no place %s or %s", a, b)
	}
	for _, way := range [][2]netip.Addr{{x, y}, {y, x}} {
		if err := ip("-n", n.name("router"), "rule", verb, "priority", cutPriority, "from", way[0].String(), "to", way[1].String(), "blackhole"); err != nil {
			t.Fatal(err)
		}
	}
}

// remove takes the network away; the programs in it must have ended.
func (n *Net) remove() { removeNamed(func(prefix string) bool { return prefix == n.prefix }) }

// sweep removes what test processes that were killed have left behind.
func sweep() {
	removeNamed(func(prefix string) bool {
		var pid int
		if _, err := fmt.Sscanf(prefix, prefixFormat, &pid); err != nil || fmt.Sprintf(prefixFormat, pid) != prefix {
			return false
		}
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	})
}

// removeNamed removes the namespaces whose names begin so.
func removeNamed(match func(prefix string) bool) {
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		return // there is no ip, and so no network
	}
	for _, line := range strings.Split(string(out), "\n") {
		name, _, _ := strings.Cut(line, " ")
		if prefix, _, found := strings.Cut(name, "-"); found && match(prefix) {
			_ = ip("netns", "del", name)
		}
	}
}

func (n *Net) name(place string) string { return n.prefix + "-" + place }

func address(subnet, host int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 213, byte(subnet), byte(host)})
}

func inside(namespace string, args ...string) error {
	return ip(append([]string{"netns", "exec", namespace}, args...)...)
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("netns: ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
