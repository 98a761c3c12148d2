package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/wire/capf"
)

// The burst: enrolments phones come for at once, on as many connections at a time, while calls go on at a rate.
const (
	enrolments  = 2000
	enrolAtOnce = 200
	enrolRate   = 100
	enrolFirst  = 40001 // device load40001 is the first that enrols
)

// enrol is what a burst of enrolments does to the calls of the same node: the same calls, as long as the burst, with it and without.
func (b *bench) enrol(ctx context.Context) error {
	s, err := b.startChanged(ctx, "locktone", b.bin, func(site *config.Site) {
		site.Nodes[0].Services = append(site.Nodes[0].Services, config.NodeService{Service: config.ServiceCAPF, Address: site.Nodes[0].Services[0].Address})
		for i := range enrolments {
			site.Devices = append(site.Devices, config.Device{Name: enrolDevice(i), Model: "load generator", DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard"})
		}
	})
	if err != nil {
		return err
	}
	defer s.stop()
	if _, err := b.calls(ctx, s, enrolRate, 3); err != nil {
		return err
	}
	burst, err := b.burst(ctx, s) // without calls: how long it takes, and caches
	if err != nil {
		return err
	}
	seconds := max(b.seconds, 1.2*burst.Seconds())
	b.say("enrol: %d in %.1f s without calls", enrolments, burst.Seconds())
	for round := range b.rounds {
		for i := range 2 {
			if err := b.enrolSample(ctx, s, seconds, (i+round)%2 == 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// enrolSample is calls for some seconds, with a burst or without.
func (b *bench) enrolSample(ctx context.Context, s *server, seconds float64, with bool) error {
	row := b.table.row(fmt.Sprintf("INVITE to 200 p99 at %d/s during %d enrolments, against none", enrolRate, enrolments), "ms", "<= 1.20")
	half := b.table.row(fmt.Sprintf("INVITE to 200 p50 at %d/s during %d enrolments, against none", enrolRate, enrolments), "ms", "")
	if !with {
		c, err := b.calls(ctx, s, enrolRate, seconds)
		if err != nil {
			return err
		}
		row.add("no enrolments", float64(c.Answer.P99US)/1000)
		half.add("no enrolments", float64(c.Answer.P50US)/1000)
		b.say("enrol: calls alone p50 %.2f p99 %.2f ms", float64(c.Answer.P50US)/1000, float64(c.Answer.P99US)/1000)
		return nil
	}
	if err := b.arm(ctx, s); err != nil {
		return err
	}
	var took time.Duration
	var failed error
	var running sync.WaitGroup
	c := b.config(s, direct, pairsOfPhones)
	c.Rate, c.Count = enrolRate, int(enrolRate*seconds)
	c.Begin = func() { running.Go(func() { took, failed = enrolAll(ctx, s) }) }
	out, err := b.measure(ctx, s, c)
	running.Wait()
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	if err := out.clean(); err != nil {
		return err
	}
	row.add(s.name, float64(out.Answer.P99US)/1000)
	half.add(s.name, float64(out.Answer.P50US)/1000)
	b.table.row(fmt.Sprintf("%d enrolments beside %d calls/s", enrolments, enrolRate), "s", "").add(s.name, took.Seconds())
	b.say("enrol: with %d in %.1f s p50 %.2f p99 %.2f ms", enrolments, took.Seconds(), float64(out.Answer.P50US)/1000, float64(out.Answer.P99US)/1000)
	return nil
}

// burst is one burst without calls.
func (b *bench) burst(ctx context.Context, s *server) (time.Duration, error) {
	if err := b.arm(ctx, s); err != nil {
		return 0, err
	}
	return enrolAll(ctx, s)
}

func enrolDevice(i int) string { return "load" + strconv.Itoa(enrolFirst+i) }

// arm gives every device's profile its operation.
func (b *bench) arm(ctx context.Context, s *server) error {
	b.say("enrol: giving %d profiles their operation", enrolments)
	api := admin.NewClient(s.home)
	defer api.Close()
	for i := range enrolments {
		order := admin.CAPFOrder{Device: enrolDevice(i), Mode: "null-string", KeyOrder: "ec-only", ECKeySize: 256, Replace: true}
		if err := api.Do(ctx, http.MethodPost, "/v1/capf/profiles", order, nil); err != nil {
			return err
		}
	}
	return nil
}

// enrolAll has all devices enrol, enrolAtOnce at a time, and returns how long that took. One that is asked to come later does.
func enrolAll(ctx context.Context, s *server) (time.Duration, error) {
	begun := time.Now()
	var next atomic.Int64
	var workers sync.WaitGroup
	errs := make(chan error, enrolAtOnce)
	for range enrolAtOnce {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < enrolments; i = int(next.Add(1)) - 1 {
				if err := enrolOne(ctx, s, i); err != nil {
					errs <- fmt.Errorf("%s: %w", enrolDevice(i), err)
					return
				}
			}
		})
	}
	workers.Wait()
	close(errs)
	return time.Since(begun), <-errs
}

// applicant is one who comes to CAPF for a certificate, from an address of its own.
type applicant struct {
	name     string // SEP... or CTI-<instance>
	from     netip.Addr
	password capf.Secret   // zero: the null string
	key      crypto.Signer // nil: a new P-256 one is made
	got      []byte        // the certificate, DER
}

// enrolOne is one device, until it has its certificate.
func enrolOne(ctx context.Context, s *server, i int) error {
	a := &applicant{name: enrolDevice(i), from: netip.AddrFrom4([4]byte{127, 101, byte(i >> 8), byte(1 + i&0x7f)})}
	return a.enrol(ctx, s)
}

// enrol comes again as often as it is asked to.
func (a *applicant) enrol(ctx context.Context, s *server) error {
	for {
		r, err := a.session(ctx, s)
		switch {
		case err != nil:
			return err
		case r.Err == nil:
			return nil
		case !errors.Is(r.Err, capf.ErrRetry):
			return r.Err
		}
		select {
		case <-time.After(max(r.Retry, 100*time.Millisecond)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// session is one connection and its dialogue. The key is made here, as phones do.
func (a *applicant) session(ctx context.Context, s *server) (capf.Result, error) {
	dialer := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: a.from.AsSlice()}, Timeout: 30 * time.Second},
		Config: &tls.Config{RootCAs: s.roots, ServerName: s.addr.Addr().String()}}
	conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(s.addr.Addr(), capf.Port).String())
	if err != nil {
		return capf.Result{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	machine := capf.NewClient(capf.ClientConfig{Device: a.name, Password: a.password}, time.Now())
	for {
		m, err := capf.Read(conn, 0)
		var in capf.Input = capf.Received{Message: m}
		if err != nil {
			in = capf.Closed{Err: err}
		}
		outs := machine.Step(time.Now(), in)
		for len(outs) > 0 {
			var more []capf.Output
			switch out := outs[0].(type) {
			case capf.Done:
				return out.Result, nil
			case capf.Send:
				if err := capf.Write(conn, out.Message); err != nil {
					return capf.Result{}, err
				}
			case capf.Generate:
				more = machine.Step(time.Now(), a.generated())
			case capf.Store:
				a.got = out.Certificate.DER
				more = machine.Step(time.Now(), capf.Stored{})
			}
			outs = append(outs[1:len(outs):len(outs)], more...)
		}
	}
}

func (a *applicant) generated() capf.Generated {
	if a.key == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return capf.Generated{Err: err}
		}
		a.key = key
	}
	spki, err := x509.MarshalPKIXPublicKey(a.key.Public())
	return capf.Generated{PublicKey: spki, Err: err}
}
