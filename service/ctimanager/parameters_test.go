package ctimanager

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// TestParameters: every service parameter of the cluster is the one the manager goes by, and a change is felt without a new start.
func TestParameters(t *testing.T) {
	k := newKit(true)
	k.change(func(c *config.Site) {
		c.Cluster.CTIHeartbeatMinimumInterval, c.Cluster.CTIHeartbeatMaximumInterval = config.Duration(10*time.Second), config.Duration(20*time.Second)
		c.Cluster.CTIMaximumDevicesPerProvider, c.Cluster.CTIMaximumConnections = 1, 7
	})
	for asked, want := range map[uint32]time.Duration{0: 20 * time.Second, 1: 10 * time.Second, 15: 15 * time.Second, 60: 20 * time.Second} {
		if got := k.site().params.clamp(asked); got != want {
			t.Errorf("asked for %d s: %v, want %v", asked, got, want)
		}
	}
	k.login()
	expect(t, "capabilities", k.say(&ctiqbe.ProviderGetCapabilitiesInfoRequest{}), "MaxNumberOfDevicesOpen=1 ")
	alarm := func(device string) (said bool) {
		k.seq++
		for _, o := range k.p.Step(k.now, received{message: &ctiqbe.DeviceOpenRequest{SequenceNumber: k.seq, DeviceName: device}, header: ctiqbe.Header{PDU: ctiqbe.PDUDeviceOpenRequest, Version: ctiqbe.Newest}}) {
			r, ok := o.(remark)
			said = said || ok && strings.HasPrefix(r.text, "MaxDevicesPerProviderExceeded")
		}
		return said
	}
	if alarm("alice") || !alarm("bob") {
		t.Error("the alarm is not raised with the second device of one")
	}
	k.p = newProvider(k.fakeWorld, caller{full: true, login: time.Minute, limits: Limits{}.withDefaults()}, newAnswerTable(), k.now)
	expect(t, "full", k.say(&ctiqbe.ProviderInitRequest{}), `Result=MAX_NUMBER_OF_CTI_CONNECTIONS_REACHED Description="7 applications are connected`, "finish{}")
}

// parametersOnPaper is a service that has nothing but a site.
func parametersOnPaper(change func(*config.Cluster)) *Service {
	w := paper()
	w.change(func(c *config.Site) { change(&c.Cluster) })
	s := &Service{cfg: Config{Limits: Limits{}.withDefaults(), Now: time.Now}, table: newConnections()}
	s.current.Store(w.view)
	return s
}

// TestConnectionPlaces: who comes when all places are taken is let in to be told so, and gets one when somebody has gone.
func TestConnectionPlaces(t *testing.T) {
	s := parametersOnPaper(func(c *config.Cluster) {
		c.CTIMaximumConnections, c.CTILoginTimeLimit = 1, config.Duration(7*time.Second)
	})
	enter := func() *connection {
		a, b := net.Pipe()
		t.Cleanup(func() { a.Close(); b.Close() })
		c, why := s.table.enter(a, false, s.cfg.Limits, s.site().params.Connections, time.Now())
		if c == nil {
			t.Fatal(why)
		}
		return c
	}
	first := enter()
	s.table.ready(first)
	if got := s.callerOf(first).login; got != 7*time.Second {
		t.Errorf("it has %v for its login", got)
	}
	if second := enter(); first.full || !second.full {
		t.Errorf("one place: the first is refused (%v), the second is not (%v)", first.full, !second.full)
	}
	s.table.leave(first)
	if third := enter(); third.full {
		t.Error("the place of one that has gone is not free")
	}
}

// TestRetryCount: the certificate is marked when it was used twice more often than is allowed.
func TestRetryCount(t *testing.T) {
	s := parametersOnPaper(func(c *config.Cluster) { c.CTIInstanceIDRetryCount = 2 })
	table := newCertificates(s)
	marked := errors.New("marked")
	table.put = func(context.Context, Compromise) error { return marked }
	ref := pki.Ref{Issuer: "CA", Serial: "1"}
	for round, want := range []error{nil, nil, marked} {
		if no, err := table.take(t.Context(), newConnection(&net.TCPConn{}, true, s.cfg.Limits, time.Now()), ref, capfprofile.Owner{User: "app"}); no != nil || err != nil {
			t.Fatal(no, err)
		}
		if _, err := table.take(t.Context(), newConnection(&net.TCPConn{}, true, s.cfg.Limits, time.Now()), ref, capfprofile.Owner{User: "app"}); err != want {
			t.Errorf("round %d: %v, want %v", round, err, want)
		}
	}
}

// TestRequestTimeLimit: a call manager that does not answer is not waited for longer than the parameter says.
func TestRequestTimeLimit(t *testing.T) {
	b, err := bus.Open(t.Context(), bus.Config{Node: "node1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	deaf, err := bus.Serve(b, b.Subject("callmanager", bus.VerbSetMessages), func(ctx context.Context, _ bus.MessagesRequest) (bus.MessagesResult, error) {
		<-ctx.Done()
		return bus.MessagesResult{}, ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(deaf.Close)
	s := parametersOnPaper(func(c *config.Cluster) { c.CTIRequestTimeLimit = config.Duration(time.Second) })
	s.cfg.Bus, s.cfg.Engines = b, "callmanager"
	began := time.Now()
	a := setMessages{}.do(t.Context(), s, nil)
	if took := time.Since(began); a.Err == nil || took < time.Second || took > 8*time.Second {
		t.Errorf("after %v: %v", took, a.Err)
	}
}
