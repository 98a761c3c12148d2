package resilience

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/service/ctimanager"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// Many at once: connections that never log in, logins that never succeed, an application that asks and does not read.

// TestCTIHalfOpen proves that connections which never log in - silent, with half a handshake, or with somebody's certificate and no password -
// hold no more than their bound and no longer than their time, that an application which is logged in works on and that another can log in
// meanwhile, and that nothing is left of them.
func TestCTIHalfOpen(t *testing.T) {
	n, descriptors, login := 600, uint64(2000), 3*time.Second
	if all() {
		n, descriptors, login = 3334, 12000, 5*time.Second // 10,000 that say little, and their other ends
	}
	needDescriptors(t, descriptors)
	s := ctiSite(t, login, func(c *ctimanager.Config) { c.Limits.Handshake, c.Limits.HalfOpen = 2*time.Second, 256 })
	o := worker(t, s, application(t, s, enrolled(t, s, "app", "1"), "app"))
	quiet := o.works(t)
	late, stolen := enrolled(t, s, "other", "1"), enrolled(t, s, "app", "2")
	hello := clientHello(t)
	for _, kind := range []struct {
		name    string
		n       int
		prepare func(context.Context, net.Conn) (net.Conn, error)
	}{
		{"silent", n, nil},
		{"half a handshake", n, func(_ context.Context, c net.Conn) (net.Conn, error) {
			_, err := c.Write(hello[:len(hello)-5])
			return c, err
		}},
		{"handshake not ended", n, func(_ context.Context, c net.Conn) (net.Conn, error) {
			_, err := c.Write(hello)
			return c, err
		}},
		{"no login", n / 4, func(ctx context.Context, c net.Conn) (net.Conn, error) {
			tc, err := secured(ctx, s, c, stolen)
			if err == nil {
				_, err = tc.Write(ctiqbe.AppendClient(nil, ctiqbe.Newest, &ctiqbe.ProviderInitRequest{SequenceNumber: 1}))
			}
			return tc, err
		}},
	} {
		if (kind.name == "silent" || kind.name == "half a handshake") && !all() { // they wait as long as the next
			continue
		}
		t.Run(kind.name, func(t *testing.T) {
			before := measure()
			crowd := &crowd{port: ctimanager.Port}
			defer crowd.leave()
			began := time.Now()
			crowd.join(within(t, step), s, kind.n, func(i int) string { return "127.67.0." + strconv.Itoa(1+i%40) }, kind.prepare)
			held := ctiFigure(t, s, "connections_waiting")
			since := time.Now()
			b := application(t, s, late, "other")
			took := time.Since(since)
			busy := o.works(t)
			t.Logf("%d connections in %v, %v held; a login took %v; an application waited %v, %v when it was quiet", kind.n, since.Sub(began), held, took, busy, quiet)
			if held > 256 || held < 100 {
				t.Errorf("%v connections that have not logged in are held, at most 256 are to be", held)
			}
			if took > 5*time.Second || busy > 5*time.Second {
				t.Errorf("a login took %v, an application waited %v", took, busy)
			}
			b.Close()
			crowd.all.Wait() // closed by the site
			if took := time.Since(began); took > step {
				t.Errorf("the last was closed after %v", took)
			}
			providers(t, s, 1)
			before.returned(t, usual)
		})
	}
}

// spent is the processor time that this process has used.
func spent(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	ok(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestCTILoginFlood proves that a flood of wrong passwords locks the account that it is for, as the policy says, and no other, that it costs
// no more processor time for each than a few logins do, and that others log in and work meanwhile.
func TestCTILoginFlood(t *testing.T) {
	n := 80
	if all() {
		n = 2000
	}
	s := ctiSite(t, 0, nil)
	mine, late := enrolled(t, s, "app", "1"), enrolled(t, s, "other", "1")
	o := worker(t, s, application(t, s, mine, "app"))
	quiet := o.works(t)
	clear := netip.AddrPortFrom(s.CallManager(), ctimanager.ClearPort).String()
	attempt := func(ctx context.Context, i int, user string) (ctiqbe.Result, error) {
		conn, err := dialFrom(ctx, "127.68.0."+strconv.Itoa(1+i%40), clear)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		_, err = lab.NewCTI(conn).Login(ctx, user, "wrong "+strconv.Itoa(i))
		var no *lab.Refused
		if errors.As(err, &no) {
			return no.Result, nil
		}
		return 0, fmt.Errorf("attempt %d: %w", i, err)
	}
	cost := spent(t)
	for i := range 4 {
		must(attempt(within(t, step), i, "nobody-there"))(t)
	}
	one := (spent(t) - cost) / 4

	before := measure()
	var mu sync.Mutex
	results := map[ctiqbe.Result]int{}
	work := make(chan int)
	var flood sync.WaitGroup
	cost = spent(t)
	ctx := within(t, time.Minute)
	for range 32 {
		flood.Go(func() {
			for i := range work {
				user := "app"
				if i%4 == 3 {
					user = "nobody-" + strconv.Itoa(i)
				}
				r, err := attempt(ctx, i, user)
				if err != nil {
					t.Error(err)
					continue
				}
				mu.Lock()
				results[r]++
				mu.Unlock()
			}
		})
	}
	flood.Go(func() {
		defer close(work)
		for i := range n {
			work <- i
		}
	})
	var took, busy time.Duration
	for range 3 {
		since := time.Now()
		b := application(t, s, late, "other")
		took = max(took, time.Since(since))
		b.Close()
		busy = max(busy, o.works(t))
		providers(t, s, 1)
	}
	flood.Wait()
	each := (spent(t) - cost) / time.Duration(n)
	t.Logf("%v; %v of processor time for each, %v for a wrong login alone; another's login took %v, an application waited %v, %v when it was quiet", results, each, one, took, busy, quiet)
	if results[ctiqbe.ErrDirectoryLoginFailed]+results[ctiqbe.ErrLoginFailedAccountLocked] != n || results[ctiqbe.ErrLoginFailedAccountLocked] < n/2 {
		t.Errorf("answers to the flood: %v", results)
	}
	if each > 3*one+50*time.Millisecond { // the calls and logins beside it are in it
		t.Errorf("each wrong login takes %v of processor time in a flood, %v alone", each, one)
	}
	if took > 8*time.Second || busy > 3*time.Second {
		t.Errorf("another's login took %v, an application waited %v", took, busy)
	}
	before.returned(t, usual)
	o.works(t) // who was logged in stays so
	a := must(s.DialCTI(within(t, step), enrolled(t, s, "app", "2")))(t)
	defer a.Close()
	var no *lab.Refused
	if _, err := a.Login(within(t, step), "app", ctiPassword); !errors.As(err, &no) || no.Result != ctiqbe.ErrLoginFailedAccountLocked {
		t.Errorf("the right password of a locked account: %v", err)
	}
}

// TestCTIDeaf proves that an application which asks without end and never reads is cut off, and that another one which has opened the same
// line hears of its calls as if nobody were there.
func TestCTIDeaf(t *testing.T) {
	s := ctiSite(t, 0, func(c *ctimanager.Config) { c.Limits.Queue, c.Limits.Write = 1<<20, 2*time.Second })
	o := worker(t, s, application(t, s, enrolled(t, s, "app", "1"), "app"))
	credential := enrolled(t, s, "app", "2")
	quiet := max(o.works(t), o.works(t))
	before := measure()
	cut := ctiFigure(t, s, "cut_off_total")
	deaf := observe(t, application(t, s, credential, "app"), "alice", "1001")
	began := time.Now()
	over := make(chan time.Duration, 1)
	ok(t, deaf.Conn.SetWriteDeadline(began.Add(2*step)))
	go func() {
		frame := ctiqbe.AppendClient(nil, ctiqbe.Newest, &ctiqbe.ProviderGetAllDevicesAndLinesRequest{SequenceNumber: 9})
		for {
			if _, err := deaf.Conn.Write(frame); err != nil {
				over <- time.Since(began)
				return
			}
		}
	}()
	var busy time.Duration
	calls, gone := 0, time.Duration(0)
	for gone == 0 {
		busy = max(busy, o.works(t))
		calls++
		select {
		case gone = <-over:
		default:
		}
	}
	t.Logf("cut off after %v; in %d calls meanwhile an application waited %v at most, %v when it was quiet", gone, calls, busy, quiet)
	if gone > step {
		t.Errorf("an application that does not read was cut off after %v", gone)
	}
	if busy > quiet+time.Second {
		t.Errorf("another application waited %v, %v when it was quiet", busy, quiet)
	}
	deaf.Close()
	providers(t, s, 1)
	if now := ctiFigure(t, s, "cut_off_total"); now != cut+1 {
		t.Errorf("%v applications are counted as cut off, before %v", now, cut)
	}
	before.returned(t, usual)
}
