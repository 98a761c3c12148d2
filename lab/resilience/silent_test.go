package resilience

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// needDescriptors skips a test that the process's limit makes impossible.
func needDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || l.Cur < n {
		t.Skipf("needs %d file descriptors, the limit is %d: raise it (ulimit -n)", n, l.Cur)
	}
}

// TestHalfHandshake holds half a handshake open: it is closed at its deadline, and counted.
func TestHalfHandshake(t *testing.T) {
	t.Parallel()
	s := start(t, lab.Options{Tune: quick})
	was := figure(t, s, "handshakes_refused_total")
	hello := clientHello(t)
	var held sync.WaitGroup
	for _, half := range [][]byte{nil, hello[:3], hello[:len(hello)/2], hello} {
		conn := must(dialFrom(t.Context(), "", addrOf(s, 5061)))(t)
		defer conn.Close()
		must(conn.Write(half))(t)
		held.Go(func() {
			begin := time.Now()
			_ = conn.SetReadDeadline(begin.Add(step))
			if _, err := io.Copy(io.Discard, conn); err != nil && isTimeout(err) {
				t.Errorf("%d bytes of a ClientHello keep a connection for longer than %v", len(half), step)
			}
			if held := time.Since(begin); held < time.Second || held > 5*time.Second {
				t.Errorf("%d bytes of a ClientHello: held for %v, the deadline is 2 s", len(half), held)
			}
		})
	}
	held.Wait()
	eventually(t, step, func() error {
		if now := figure(t, s, "handshakes_refused_total"); now != was+4 {
			return fmt.Errorf("handshakes refused: %v, before %v", now, was)
		}
		return nil
	})
}

// clientHello is a real one, taken from a client that talks to nobody.
func clientHello(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	go func() {
		_ = tls.Client(near, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true}).Handshake() //nolint:gosec // no server
	}()
	_ = far.SetReadDeadline(time.Now().Add(step))
	b := make([]byte, 4096)
	n := must(far.Read(b))(t)
	near.Close()
	return b[:n]
}

// crowd are connections that say nothing.
type crowd struct {
	port  uint16 // 0: 5061
	mu    sync.Mutex
	conns []net.Conn
	gone  int
	all   sync.WaitGroup
}

// join opens n connections, each from the address that from gives, and prepares it; both may fail: that is the limit.
func (c *crowd) join(ctx context.Context, s *lab.Site, n int, from func(int) string, prepare func(context.Context, net.Conn) (net.Conn, error)) {
	work := make(chan int)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := range work {
				conn, err := dialFrom(ctx, from(i), addrOf(s, cmp.Or(c.port, 5061)))
				if err == nil && prepare != nil {
					conn, err = prepare(ctx, conn)
				}
				if err == nil {
					c.add(conn)
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	workers.Wait()
}

// add keeps a connection and notices when the site closes it.
func (c *crowd) add(conn net.Conn) {
	c.mu.Lock()
	c.conns = append(c.conns, conn)
	c.mu.Unlock()
	c.all.Go(func() {
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
		c.mu.Lock()
		c.gone++
		c.mu.Unlock()
	})
}

func (c *crowd) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.conns) - c.gone
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
}

// withCarol is the first configuration of a site with a third phone.
func withCarol() *config.Site {
	c := config.Default("node1")
	bob, line := c.Devices[1], c.Lines[1]
	bob.Name, bob.Owner, bob.Lines = "carol", "", []config.Appearance{{Number: "1003", Partition: line.Partition}}
	line.Number, line.AlertingName, line.Display = "1003", "Carol", "Carol"
	c.Devices, c.Lines = append(c.Devices, bob), append(c.Lines, line)
	return c
}

// TestSilentConnections: 4,000 connections that say nothing, from forty addresses. Phones register and call meanwhile; then
// every one of them is closed, and nothing of them is left.
func TestSilentConnections(t *testing.T) {
	needDescriptors(t, 9000)
	for _, c := range []struct {
		name   string
		limits transport.Limits
		held   int // at least so many at the same time
	}{
		{"as configured by default", transport.Limits{HandshakeTimeout: 5 * time.Second}, 400},
		{"all of them let in", transport.Limits{HandshakeTimeout: 5 * time.Second, Handshakes: 5000, HandshakesPerIP: 5000, Unproven: 5000, AcceptRate: 20_000}, 3900},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, lab.Options{Config: withCarol(), Tune: func(cm *callmanager.Config) { cm.Conns = c.limits }})
			alice := telephone(t, s, "alice", "1001", nil)
			bob := telephone(t, s, "bob", "1002", nil)
			goodCall(t, alice, bob)
			before := measure()
			up := connect(t, alice, bob)
			crowd := &crowd{}
			defer crowd.leave()
			crowd.join(within(t, step), s, 4000, func(i int) string { return "127.66.0." + strconv.Itoa(1+i%40) }, nil)
			if n := crowd.open(); n < c.held {
				t.Errorf("%d connections are held, want %d", n, c.held)
			}
			begin := time.Now()
			late := telephone(t, s, "carol", "1003", nil) // registers while they are there
			took := time.Since(begin)
			up.hear(t)
			up.end(t)
			goodCall(t, alice, late)
			t.Logf("%d connections held; a phone registered meanwhile in %v", crowd.open(), took)
			if took > 5*time.Second {
				t.Errorf("a phone needed %v to register while silent connections were there", took)
			}
			hangUp(late)
			crowd.all.Wait()                   // closed by the site
			eventually(t, step, func() error { // the last ones are counted once they are closed
				if n := figure(t, s, "connections_refused_total") + figure(t, s, "handshakes_refused_total"); n < 4000 {
					return fmt.Errorf("%v connections were counted as refused", n)
				}
				return nil
			})
			before.returned(t, usual)
		})
	}
}

// TestSilentAfterHandshake: with a certificate and without a word.
func TestSilentAfterHandshake(t *testing.T) {
	s := start(t, lab.Options{Tune: func(c *callmanager.Config) { quick(c); c.Conns.FirstMessage = 4 * time.Second }})
	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil)
	goodCall(t, alice, bob)
	credential := must(s.Issue(t.Context(), pki.KindDevice, "alice"))(t)
	before := measure()
	crowd := &crowd{}
	defer crowd.leave()
	crowd.join(within(t, step), s, 200, func(i int) string { return "127.66.1." + strconv.Itoa(1+i%4) }, func(ctx context.Context, conn net.Conn) (net.Conn, error) {
		return secured(ctx, s, conn, credential)
	})
	if n := crowd.open(); n != 200 {
		t.Errorf("%d connections are there, want 200", n)
	}
	goodCall(t, alice, bob)
	crowd.all.Wait()
	before.returned(t, usual)
}

// TestRegisterFlood: one source sends REGISTERs as fast as it can. It is told 503 with Retry-After; another phone does not notice.
func TestRegisterFlood(t *testing.T) {
	s := start(t, lab.Options{Tune: func(c *callmanager.Config) { c.Limits = endpoint.Limits{RegisterRate: 50, RegisterBurst: 100} }})
	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil)
	goodCall(t, alice, bob)
	flooder := must(s.Issue(t.Context(), pki.KindDevice, "bob"))(t)
	quiet := registerLatency(t, s, flooder, 20)
	before := measure()
	statuses := map[int]int{}
	var after string
	n := 5000
	conn := must(secured(t.Context(), s, must(dialFrom(t.Context(), "127.66.2.1", addrOf(s, 5061)))(t), flooder))(t)
	defer conn.Close()
	ok(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	sent := make(chan error, 1)
	go func() {
		for range n {
			if _, err := io.WriteString(conn, request("REGISTER", "bob", "TLS", "Expires: 600")); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	busy := make(chan time.Duration, 1)
	go func() { busy <- registerLatency(t, s, must(s.Issue(t.Context(), pki.KindDevice, "alice"))(t), 20) }()
	r := bufio.NewReader(conn)
	for range n {
		status, header, err := answer(r)
		ok(t, err)
		statuses[status]++
		if status == 503 {
			after = field(header, "Retry-After")
		}
	}
	ok(t, <-sent)
	meanwhile := <-busy
	t.Logf("answers %v, Retry-After %s; another source's OPTIONS takes %v, %v before the flood", statuses, after, meanwhile, quiet)
	if statuses[503] < n/2 || statuses[200] == 0 {
		t.Errorf("answers to the flood: %v", statuses)
	}
	if seconds, err := strconv.Atoi(after); err != nil || seconds < 1 {
		t.Errorf("Retry-After %q", after)
	}
	if meanwhile > 500*time.Millisecond {
		t.Errorf("another source waits %v during the flood", meanwhile)
	}
	if got := figure(t, s, "overload_refused_total"); got < float64(statuses[503]) {
		t.Errorf("the metric counts %v refusals, want %d", got, statuses[503])
	}
	if rows := figure(t, s, "registrations"); rows > 10 {
		t.Errorf("%v contacts are registered", rows)
	}
	conn.Close()
	goodCall(t, alice, bob)
	before.returned(t, usual)
}

// registerLatency is the median time of an OPTIONS from a source of its own.
func registerLatency(t testing.TB, s *lab.Site, c pki.Credential, n int) time.Duration {
	conn, err := dialFrom(t.Context(), "127.66.2.2", addrOf(s, 5061))
	if err != nil {
		t.Error(err)
		return 0
	}
	tc, err := secured(t.Context(), s, conn, c)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer tc.Close()
	_ = tc.SetDeadline(time.Now().Add(step))
	r := bufio.NewReader(tc)
	var took []time.Duration
	for range n {
		begin := time.Now()
		if _, err := io.WriteString(tc, request("OPTIONS", "alice", "TLS")); err != nil {
			t.Error(err)
			return 0
		}
		if status, _, err := answer(r); status != 200 {
			t.Errorf("OPTIONS from another source: %d %v", status, err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took[len(took)/2]
}
