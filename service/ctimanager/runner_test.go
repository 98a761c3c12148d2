package ctimanager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// everybody lets everybody in.
type everybody struct{}

func (everybody) Check(_ context.Context, a login.Attempt, _ login.StageFunc) login.Result {
	return login.Result{User: a.User, OK: true, ExpiresInDays: login.Never}
}

// A wire is a client at the other end of a connection that is served, on the clock of the bubble.
type wire struct {
	t     *testing.T
	s     *Service
	conn  net.Conn
	r     *ctiqbe.Reader
	began time.Time
	over  chan struct{} // closed when the runner has returned
	talks sync.WaitGroup
}

// served runs a connection of an application that may come in the clear.
func served(t *testing.T) *wire {
	w := paper()
	w.change(func(c *config.Site) { c.Users[len(c.Users)-1].Groups = []config.Group{config.GroupCTIEnabled} })
	s := &Service{cfg: Config{Limits: Limits{}.withDefaults(), Now: time.Now, Login: everybody{}}, table: newConnections(), answers: newAnswerTable(), passwords: &passwordKey{}}
	s.ctx, s.cancel = context.WithCancel(t.Context())
	s.current.Store(w.view)
	s.hub, s.certificates = newHub(s), newCertificates(s)
	near, far := net.Pipe()
	c, why := s.table.enter(near, false, s.cfg.Limits, 1, time.Now())
	if c == nil {
		t.Fatal(why)
	}
	x := &wire{t: t, s: s, conn: far, r: ctiqbe.NewReader(far, 0), began: time.Now(), over: make(chan struct{})}
	go func() {
		defer close(x.over)
		s.serve(c)
	}()
	t.Cleanup(func() { // the bubble waits for all of it
		far.Close()
		<-x.over
		x.talks.Wait()
		s.cancel()
	})
	return x
}

// say sends a message.
func (x *wire) say(m ctiqbe.Message) {
	x.t.Helper()
	if _, err := x.conn.Write(ctiqbe.AppendClient(nil, ctiqbe.Newest, m)); err != nil {
		x.t.Fatal(err)
	}
}

// hear is the next message, with the time since the beginning: "30s Heartbeat"; "60s over" at the end.
func (x *wire) hear() string {
	frame, err := x.r.Next()
	at := time.Since(x.began)
	if err != nil {
		return fmt.Sprint(at, " over")
	}
	m, _, err := ctiqbe.Parse(frame)
	if err != nil {
		x.t.Fatal(err)
	}
	if e, ok := m.(*ctiqbe.ProviderClosedEvent); ok {
		return fmt.Sprint(at, " closed ", e.Reason)
	}
	return fmt.Sprint(at, " ", m.PDU())
}

func (x *wire) hears(want ...string) {
	x.t.Helper()
	var got []string
	for range want {
		got = append(got, x.hear())
	}
	if !slices.Equal(got, want) {
		x.t.Fatalf("heard %q, want %q", got, want)
	}
}

// login logs in with heartbeats of 30 s; the time is 0.
func (x *wire) login() {
	x.t.Helper()
	x.say(&ctiqbe.ProviderInitRequest{SequenceNumber: 1})
	x.hears("0s ProviderInitResponse")
	x.say(&ctiqbe.ProviderOpenRequest{SequenceNumber: 2, Login: "app", DesiredServerHeartbeatTime: 30})
	x.hears("0s ProviderOpenResponse", "0s ProviderOpenCompletedEvent")
}

// TestSilentClient: it gets its heartbeats, and at the end of the second interval it is told why it is cut off.
func TestSilentClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := served(t)
		x.login()
		x.hears("30s Heartbeat", "1m0s closed HEARTBEAT_MISSED", "1m0s over")
	})
}

// TestTalkingClient: a word a nanosecond before the end of the window is in time, and opens a window of two intervals again. What we say
// ourselves takes the place of a heartbeat.
func TestTalkingClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := served(t)
		x.login()
		x.talks.Go(func() {
			time.Sleep(45 * time.Second)
			x.say(&ctiqbe.ProviderGetCapabilitiesInfoRequest{SequenceNumber: 3})
			time.Sleep(time.Minute - 1)
			x.say(&ctiqbe.Heartbeat{})
		})
		x.hears("30s Heartbeat", "45s ProviderGetCapabilitiesInfoResponse", "1m15s Heartbeat", "1m45s Heartbeat", "2m15s Heartbeat", "2m44.999999999s closed HEARTBEAT_MISSED",
			"2m44.999999999s over")
	})
}

// TestDeafClient: one that talks and does not read is cut off when a write has taken as long as it may, and is counted.
func TestDeafClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := served(t)
		x.login()
		x.talks.Go(func() {
			for err := error(nil); err == nil; _, err = x.conn.Write(ctiqbe.AppendClient(nil, ctiqbe.Newest, &ctiqbe.Heartbeat{})) {
				time.Sleep(10 * time.Second)
			}
		})
		<-x.over // 30 s: the first heartbeat; 10 s for which nobody takes it
		if got := time.Since(x.began); got != 40*time.Second {
			t.Errorf("cut off after %v, want 40 s", got)
		}
		if n := x.s.counts.cut.Load(); n != 1 {
			t.Errorf("%d are counted as cut off", n)
		}
	})
}

// TestDeafAndFull: one for whom too much waits is cut off at once.
func TestDeafAndFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := served(t)
		x.login()
		size := len(ctiqbe.Append(nil, ctiqbe.Newest, &ctiqbe.ProviderGetCapabilitiesInfoResponse{SequenceNumber: 3}))
		asked := 0
		for err := error(nil); err == nil; asked++ { // while it is read: all that it asks for waits
			_, err = x.conn.Write(ctiqbe.AppendClient(nil, ctiqbe.Newest, &ctiqbe.ProviderGetCapabilitiesInfoRequest{SequenceNumber: 3}))
			if err != nil && !errors.Is(err, net.ErrClosed) && time.Since(x.began) > 10*time.Second {
				t.Fatal(err)
			}
		}
		<-x.over
		if least := x.s.cfg.Limits.Queue / size; asked < least || time.Since(x.began) > 10*time.Second {
			t.Errorf("cut off after %d requests (at least %d fit) and %v", asked, least, time.Since(x.began))
		}
	})
}

// TestHalfOpen: who connects and says nothing, or begins and goes no further, is let go when the time for a login is over.
func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := served(t)
		x.hears("1m0s over")
	})
	synctest.Test(t, func(t *testing.T) {
		x := served(t)
		x.say(&ctiqbe.ProviderInitRequest{SequenceNumber: 1})
		x.hears("0s ProviderInitResponse", "1m0s closed PROVIDEROPENFAILURE", "1m0s over")
	})
}
