package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/locktone/locktone/bus"
)

// Sizes of the rows of the bus.
const (
	busAsks  = 5000
	busFacts = 2000
	busBurst = 5000
)

// busFact is as large as what a node says of a registered phone.
type busFact struct {
	Mode    string    `json:"mode"`
	Lines   []string  `json:"lines"`
	Contact string    `json:"contact"`
	Remote  string    `json:"remote"`
	Agent   string    `json:"agent"`
	Since   time.Time `json:"since"`
}

func registrationFact(i int) busFact {
	return busFact{"encrypted", []string{strconv.Itoa(20001 + i)}, "sip:20001@192.0.2.17:52144;transport=tls", "192.0.2.17:52144", "Cisco-CP8851/14.2.1", time.Now().UTC()}
}

// bus is request and answer within a node and between two, and facts from one node to another. Both ends are embedded servers in this
// process, joined by mutual TLS as those of two nodes are; nothing else runs in it.
func (b *bench) bus(ctx context.Context) error {
	one, other, err := b.twoBuses(ctx)
	if err != nil {
		return err
	}
	defer one.Close()
	defer other.Close()
	serve := func(x *bus.Bus) (*bus.Responder, error) {
		return bus.Serve(x, x.Subject("callmanager", bus.VerbStatus), func(context.Context, bus.StatusRequest) (bus.ServiceStatus, error) {
			return bus.ServiceStatus{State: "ready"}, nil
		})
	}
	for _, x := range []*bus.Bus{one, other} {
		r, err := serve(x)
		if err != nil {
			return err
		}
		defer r.Close()
	}
	for range b.rounds {
		for _, to := range []struct {
			name string
			at   *bus.Bus
		}{{"within a node", one}, {"of another node", other}} {
			took, err := asks(ctx, one, to.at.Subject("callmanager", bus.VerbStatus))
			if err != nil {
				return err
			}
			b.latencies("bus: request and answer "+to.name, took)
		}
		if err := b.facts(ctx, one, other); err != nil {
			return err
		}
	}
	return nil
}

// latencies puts the median and the 99th percentile into the table.
func (b *bench) latencies(name string, took []time.Duration) {
	slices.Sort(took)
	b.table.row(name+", p50", "us", "").add("locktone", 1000*percentile(took, 0.5))
	b.table.row(name+", p99", "us", "").add("locktone", 1000*percentile(took, 0.99))
	b.say("%s: p50 %.0f p99 %.0f us", name, 1000*percentile(took, 0.5), 1000*percentile(took, 0.99))
}

// twoBuses are two nodes that hear each other.
func (b *bench) twoBuses(ctx context.Context) (one, other *bus.Bus, err error) {
	cert, err := b.ca.Issue("bus", func(t *x509.Certificate) { t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	if err != nil {
		return nil, nil, err
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, RootCAs: b.ownRoots(), ClientCAs: b.ownRoots(), ClientAuth: tls.RequireAndVerifyClientCert}
	one, err = bus.Open(ctx, bus.Config{Node: "n1", Routes: bus.Routes{Listen: "127.0.0.1:0", TLS: secure}})
	if err != nil {
		return nil, nil, err
	}
	other, err = bus.Open(ctx, bus.Config{Node: "n2", Routes: bus.Routes{Listen: "127.0.0.1:0", Peers: []string{one.RouteAddress()}, TLS: secure}})
	if err != nil {
		return nil, nil, errors.Join(err, one.Close())
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if one.Board().Alive("n2") && other.Board().Alive("n1") {
			return one, other, nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return nil, nil, errors.Join(errors.New("the two nodes do not hear each other"), one.Close(), other.Close())
		}
	}
}

// asks is one request after the other.
func asks(ctx context.Context, from *bus.Bus, s bus.Subject) ([]time.Duration, error) {
	took := make([]time.Duration, busAsks)
	for i := range took {
		begun := time.Now()
		if _, err := bus.Ask[bus.StatusRequest, bus.ServiceStatus](ctx, from, s, bus.StatusRequest{}); err != nil {
			return nil, err
		}
		took[i] = time.Since(begun)
	}
	return took, nil
}

// facts is one fact after the other until the other node's watcher has it, and a burst of them.
func (b *bench) facts(ctx context.Context, one, other *bus.Bus) error {
	w := other.Board().Watch("bench")
	defer w.Close()
	took := make([]time.Duration, busFacts)
	for i := range took {
		begun := time.Now()
		bus.Put(one.Board(), "bench", "one", registrationFact(i))
		if err := heard(ctx, w, "one", 1); err != nil {
			return err
		}
		took[i] = time.Since(begun)
	}
	b.latencies("bus: a fact is known at another node after", took)
	before, begun := spent(os.Getpid()), time.Now()
	for i := range busBurst {
		bus.Put(one.Board(), "bench", "d"+strconv.Itoa(i), registrationFact(i))
	}
	said := time.Since(begun)
	for end := begun.Add(time.Minute); len(other.Board().All("bench")) < busBurst+1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("%d of %d facts are known after a minute", len(other.Board().All("bench")), busBurst+1)
		}
	}
	all := time.Since(begun)
	cpu := spent(os.Getpid()) - before
	b.table.row(fmt.Sprintf("bus: a burst of %d facts is known at another node after", busBurst), "ms", "").add("locktone", float64(all.Microseconds())/1000)
	b.table.row(fmt.Sprintf("bus: a fact of a burst of %d: CPU of both nodes", busBurst), "us", "").add("locktone", float64(cpu.Microseconds())/busBurst)
	b.say("bus: burst said in %s, known after %s, CPU %s; %+v", said, all, cpu, other.Board().Stats())
	for i := range busBurst {
		one.Board().Drop("bench", "d"+strconv.Itoa(i))
	}
	one.Board().Drop("bench", "one")
	for end := time.Now().Add(time.Minute); len(other.Board().All("bench")) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) || ctx.Err() != nil {
			return errors.New("facts that were taken back are still known after a minute")
		}
	}
	return nil
}

// heard waits for so many changes of a key.
func heard(ctx context.Context, w *bus.BoardWatch, key string, n int) error {
	for n > 0 {
		select {
		case c := <-w.C():
			switch {
			case c.Lagged:
				return errors.New("the watcher was too slow")
			case c.Fact.Key == key && !c.Gone:
				n--
			}
		case <-time.After(30 * time.Second):
			return errors.New("a fact does not come")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
