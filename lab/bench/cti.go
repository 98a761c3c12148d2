package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/lab/load"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/secret"
)

// applications is how much the rows of the CTI manager ask for.
type applications struct {
	providers, devices int     // that open devices, and how many each: another device each
	phones             int     // that are registered and call each other: the devices of the first provider, or some of them
	rate               float64 // of their calls, 1/s
	seconds            float64
	logins             int // of the storm
}

// everyApplication is the size of the rows. Opening a device that is registered and one that is not is the same work; the registrations
// of 10,000 phones are not what is measured.
func (b *bench) everyApplication() applications {
	a := applications{providers: 5, devices: 2000, phones: 2000, rate: 200, seconds: b.seconds, logins: b.logins}
	if b.rate > 0 {
		a.rate = b.rate
	}
	return a
}

// The password of all applications, hashed once: every login compares it anew.
const applicationPassword = "correct horse battery staple"

// applicationUser is the user of application I; those of the storm come behind the providers that open devices.
func applicationUser(i int) string { return fmt.Sprintf("app%04d", i) }

// site is the configuration: phones with a line each, and a user for every application.
func (a applications) site() *config.Site {
	s := siteConfig(a.providers * a.devices)
	verifier := config.NewVerifier(applicationPassword)
	for i := range a.providers + a.logins {
		u := config.User{Name: applicationUser(i), Application: true, Password: verifier, Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection}}
		first, n := i*a.devices, a.devices
		if i >= a.providers {
			first, n = i-a.providers, 1
		}
		for d := range n {
			u.Devices = append(u.Devices, fmt.Sprintf("load%d", direct+first+d))
		}
		s.Users = append(s.Users, u)
	}
	return s
}

// cti is what applications cost: devices that are opened, events of calls, logins. All rounds are with one node, because enrolling the
// applications takes minutes (CAPF works at a quarter of one core); the memory is that of the first.
func (b *bench) cti(ctx context.Context) error {
	a := b.everyApplication()
	b.say("cti: starting a site of %d devices and %d applications", a.providers*a.devices, a.providers+a.logins)
	s, err := b.startChanged(ctx, "locktone", b.bin, func(c *config.Site) {
		node := c.Nodes
		*c = *a.site()
		c.Nodes = node
		at := node[0].Services[0].Address
		c.Nodes[0].Services = append(node[0].Services, config.NodeService{Service: config.ServiceCAPF, Address: at}, config.NodeService{Service: config.ServiceCTIManager, Address: at})
	})
	if err != nil {
		return err
	}
	defer s.stop()
	b.note("cti: the applications are the Go client (package cti) in the bench's process, as the phones are, and share the machine with the node")
	return b.ctiRounds(ctx, s, a)
}

// ctiRounds measures a node. What exists once, whoever comes first, is in no figure: there are calls before.
func (b *bench) ctiRounds(ctx context.Context, s *server, a applications) error {
	b.say("cti: certificates for %d applications", a.providers+a.logins)
	all, err := enrolApplications(ctx, s, a.providers+a.logins)
	if err != nil {
		return err
	}
	warm := b.config(s, direct, min(a.phones, pairsOfPhones))
	warm.Rate, warm.Count = a.rate, int(min(3, a.seconds)*a.rate)
	if _, err := load.Run(ctx, warm); err != nil {
		return err
	}
	for round := range b.rounds {
		if err := b.ctiCalls(ctx, s, a, all[:a.providers], round == 0); err != nil {
			return err
		}
		if err := b.loginRows(ctx, all[a.providers:], s); err != nil {
			return err
		}
	}
	return nil
}

// ctiCalls registers the phones, has the devices opened, and calls.
func (b *bench) ctiCalls(ctx context.Context, s *server, a applications, apps []*application, memory bool) (err error) {
	m := newMeter()
	o := &opener{b: b, s: s, a: a, apps: apps, meter: m, memory: memory}
	defer o.close()
	var before, cpu time.Duration
	var allocs float64
	done := func() {}
	b.say("cti: registering %d phones", a.phones)
	conf := b.config(s, direct, a.phones)
	conf.Rate, conf.Count, conf.Ring, conf.Says = a.rate, int(a.rate*a.seconds), 20*time.Millisecond, m.says
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	conf.Begin = func() {
		if err = o.open(ctx); err != nil {
			stop() // no calls
			return
		}
		done = b.profiling(ctx, s, "cti-events")
		allocs, before = b.allocs(ctx, s), spent(s.pid)
	}
	conf.End = func() {
		cpu, allocs = spent(s.pid)-before, b.allocs(ctx, s)-allocs
		m.wait(ctx)
		done()
	}
	r, failed := load.Run(ctx, conf)
	if err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	return b.eventRows(a, m, &cost{Result: r, cpu: cpu, allocs: allocs})
}

// An application is a user with the certificate of its one instance, at an address of its own.
type application struct {
	user, instance string
	from           netip.Addr
	at             netip.Addr // the node
	tls            *tls.Config
}

// enrolApplications has every application fetch its certificate from CAPF. They have one key, which took long to make, in certificates of
// their own: nothing in the node goes by the key.
func enrolApplications(ctx context.Context, s *server, n int) ([]*application, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	all := make([]*application, n)
	api := admin.NewClient(s.home)
	defer api.Close()
	people := make([]*applicant, n)
	for i := range all {
		a := &application{user: applicationUser(i), instance: fmt.Sprint(i + 1), from: netip.AddrFrom4([4]byte{127, 102, byte(i >> 7), byte(1 + i&0x7f)}), at: s.addr.Addr()}
		var made admin.CAPFCreated
		order := admin.CAPFOrder{User: a.user, Instance: a.instance, Mode: "authentication-string", KeyOrder: "rsa-only", RSAKeySize: 2048, Replace: true}
		if err := api.Do(ctx, http.MethodPost, "/v1/capf/profiles", order, &made); err != nil {
			return nil, err
		}
		all[i], people[i] = a, &applicant{name: "CTI-" + a.instance, from: a.from, password: capf.NewSecret(made.String), key: key}
	}
	if err := together(ctx, n, 16, func(ctx context.Context, i int) error { return people[i].enrol(ctx, s) }); err != nil {
		return nil, err
	}
	for i, a := range all {
		a.tls = &tls.Config{RootCAs: s.roots, ServerName: a.at.String(), Certificates: []tls.Certificate{{Certificate: [][]byte{people[i].got}, PrivateKey: people[i].key}}}
	}
	return all, nil
}

// together does n things, so many at a time; the first error ends it.
func together(ctx context.Context, n, atOnce int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		workers.Go(func() {
			defer func() { <-slots }()
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// login opens the application's provider.
func (a *application) login(ctx context.Context) (*cti.Provider, error) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: a.from.AsSlice()}, Timeout: time.Minute}
	return cti.Open(ctx, cti.Config{User: a.user, Password: secret.New(applicationPassword), Primary: cti.Manager{IPv4: a.at.String()}, Application: "bench",
		LoginTime: 2 * time.Minute, Queue: 1 << 20, Dial: dialer.DialContext, TLS: func(context.Context) (*tls.Config, error) { return a.tls, nil }})
}

// An opener has the providers open all their devices and lines.
type opener struct {
	b         *bench
	s         *server
	a         applications
	apps      []*application
	meter     *meter
	memory    bool // is looked at
	providers []*cti.Provider
	reading   sync.WaitGroup
}

// open opens the first provider's devices, then those of all others, and looks at the memory before, between and after.
func (o *opener) open(ctx context.Context) error {
	b, a := o.b, o.a
	before := o.look(ctx)
	begun := time.Now()
	if err := o.provider(ctx, o.apps[0]); err != nil {
		return err
	}
	took := time.Since(begun)
	b.table.row(fmt.Sprintf("one application logs in and opens %d devices and lines, one after the other: all are open after", a.devices), "s", "").add("locktone", took.Seconds())
	b.say("cti: %d devices open after %.1f s", a.devices, took.Seconds())
	one := o.look(ctx)
	if err := together(ctx, len(o.apps)-1, len(o.apps), func(ctx context.Context, i int) error { return o.provider(ctx, o.apps[i+1]) }); err != nil {
		return err
	}
	all := o.look(ctx)
	if !o.memory {
		return nil
	}
	b.heap(ctx, o.s, "cti-devices")
	b.grown(fmt.Sprintf("memory of an opened device with its line (of %d, registered)", a.devices), "kB", one.share(before, a.devices))
	name := fmt.Sprintf("%d applications have %d devices and lines open (%d registered): ", a.providers, a.providers*a.devices, a.phones)
	b.table.row(name+"memory they added, alive", "MB", "").add("locktone", (all.alive-before.alive)/1024)
	b.table.row(name+"memory they added, resident", "MB", "<= 500").add("locktone", (all.resident-before.resident)/1024)
	b.table.row(name+"memory of the whole node, resident", "MB", "").add("locktone", all.resident/1024)
	b.say("cti: memory (resident, alive) %.0f kB, %.0f with %d devices open, %.0f with %d", before, one, a.devices, all, a.providers*a.devices)
	return nil
}

// look is the memory of the node, where it is wanted.
func (o *opener) look(ctx context.Context) footprint {
	if !o.memory {
		return footprint{}
	}
	return o.b.footprint(ctx, o.s)
}

// provider logs in and opens what the user has. A line of a registered device must be in service then.
func (o *opener) provider(ctx context.Context, app *application) error {
	p, err := app.login(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", app.user, err)
	}
	o.meter.mu.Lock()
	o.providers = append(o.providers, p)
	o.meter.mu.Unlock()
	o.reading.Go(func() { o.meter.hear(p) })
	lines := p.Lines()
	if len(lines) != o.a.devices {
		return fmt.Errorf("%s has %d lines, not %d", app.user, len(lines), o.a.devices)
	}
	for _, l := range lines {
		if err := p.OpenLine(ctx, l.ID); err != nil {
			return fmt.Errorf("%s: %w", app.user, err)
		}
	}
	in := 0
	for _, l := range lines {
		if p.InService(l.ID) {
			in++
		}
	}
	want := 0
	if app == o.apps[0] {
		want = min(o.a.phones, o.a.devices)
	}
	if in < want {
		return fmt.Errorf("%s: %d of %d lines of registered phones are in service", app.user, in, want)
	}
	return nil
}

// close ends the providers. It may be called twice.
func (o *opener) close() {
	var ending sync.WaitGroup
	for _, p := range o.providers {
		ending.Go(func() { _ = p.Close() })
	}
	ending.Wait()
	o.reading.Wait()
	o.providers = nil
}

// loginRows is the storm: all applications log in at once, each comes again until it is in.
func (b *bench) loginRows(ctx context.Context, apps []*application, s *server) error {
	var mu sync.Mutex
	var took []time.Duration
	refused := map[string]int{}
	var in []*cti.Provider
	done := b.profiling(ctx, s, "cti-logins")
	before, begun := spent(s.pid), time.Now()
	err := together(ctx, len(apps), len(apps), func(ctx context.Context, i int) error {
		p, turned, err := apps[i].comeIn(ctx)
		mu.Lock()
		defer mu.Unlock()
		took, in = append(took, time.Since(begun)), append(in, p)
		for _, why := range turned {
			refused[why]++
		}
		return err
	})
	last, cpu := time.Since(begun), spent(s.pid)-before
	done()
	_ = together(ctx, len(in), len(in), func(_ context.Context, i int) error {
		if in[i] == nil {
			return nil
		}
		return in[i].Close()
	})
	if err != nil {
		return err
	}
	slices.Sort(took)
	times := 0
	for _, n := range refused {
		times += n
	}
	name := fmt.Sprintf("%d applications log in at once, each with its certificate and an argon2id password: ", len(apps))
	add := func(what, unit, target string, v float64) { b.table.row(name+what, unit, target).add("locktone", v) }
	add("the last is open after", "s", "", last.Seconds())
	add("half of them after", "s", "", percentile(took, 0.5)/1000)
	add("a login, p99", "s", "", percentile(took, 0.99)/1000)
	add("CPU of a login", "ms", "", float64(cpu.Milliseconds())/float64(len(apps)))
	add("refused", "times", "0", float64(times))
	b.say("cti: %d logins, the last after %.1f s, p50 %.1f p99 %.1f s, CPU %.1f s, refused %v", len(apps), last.Seconds(), percentile(took, 0.5)/1000,
		percentile(took, 0.99)/1000, cpu.Seconds(), refused)
	return nil
}

// patience is how often an application of the storm comes again.
const patience = 20

// comeIn logs in, and comes again after a pause when it was refused; turned are the reasons.
func (a *application) comeIn(ctx context.Context) (p *cti.Provider, turned []string, err error) {
	for range patience {
		if p, err = a.login(ctx); err == nil {
			return p, turned, nil
		}
		why := err.Error()
		var e *cti.Error
		if errors.As(err, &e) && e.Result != 0 {
			why = e.Result.String()
		}
		turned = append(turned, why)
		select {
		case <-time.After(2 * time.Second): // what the Go client waits, Config.Retry
		case <-ctx.Done():
			return nil, turned, context.Cause(ctx)
		}
	}
	return nil, turned, fmt.Errorf("%s was refused %d times: %w", a.user, patience, err)
}
