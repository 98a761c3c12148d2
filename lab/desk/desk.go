// Package desk is a desk phone of the laboratory that provisions itself: it knows its name, where files are served and, at
// most, a string that somebody keys in. Trust lists, configuration and certificate it fetches as desk phones do (package
// enroll), then it registers and calls (package phone). When the call manager tells it to look again, it does all of that
// again under its calls, and comes back on a new connection with what it has learned.
package desk

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/phonexml"
	"github.com/locktone/locktone/wire/sip/transport"
	"github.com/locktone/locktone/wire/trustlist"
)

// Config says which phone to be. All but Authorization and Change are needed.
type Config struct {
	Name   string        // SEP001122334455
	Dir    string        // its memory
	Source enroll.Source // where it gets its files
	Domain string        // of its address of record
	// Authorization is what its user keys in; a join token pins the signers of the first list.
	Authorization capf.JoinToken
	// Observe hears what it does before it registers; nil: nobody.
	Observe func(enroll.Event)
	// Change alters what the phone is made of, after its configuration was read; nil: nothing.
	Change func(*phone.Config)
}

// Phone is a registered desk phone. Its files and its trust are touched by one goroutine; what it has learned may be asked for
// by any.
type Phone struct {
	*phone.Phone
	// First is what the first provisioning brought.
	First enroll.Result

	files  *enroll.Phone
	look   chan struct{} // capacity 1: it was told to look again
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	rounds int    // provisionings after the first
	failed error  // of the last one
	lsc    string // serial of the certificate shown
}

// provisionTime bounds one provisioning.
const provisionTime = 30 * time.Second

// Start provisions the phone and registers it.
func Start(ctx context.Context, cfg Config) (*Phone, error) {
	files, err := enroll.NewPhone(enroll.PhoneConfig{Name: cfg.Name, Dir: cfg.Dir, Source: cfg.Source, Authorization: cfg.Authorization, Retries: 3, Every: time.Second, Observe: cfg.Observe})
	if err != nil {
		return nil, err
	}
	p := &Phone{files: files, look: make(chan struct{}, 1), done: make(chan struct{})}
	c, result, err := files.Provision(ctx)
	if err != nil {
		return nil, err
	}
	p.First = result
	pc, err := p.configure(cfg, c)
	if err != nil {
		return nil, err
	}
	if p.Phone, err = phone.Start(ctx, pc); err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go p.follow(run)
	if err := p.WaitRegistered(ctx); err != nil {
		return nil, errors.Join(err, p.Close(ctx))
	}
	return p, nil
}

// configure makes the phone that its configuration file describes.
func (p *Phone) configure(cfg Config, c enroll.Configuration) (phone.Config, error) {
	d := c.Device
	if d == nil || d.SIP == nil || len(d.SIP.Lines) == 0 || len(d.Pool.Members) == 0 {
		return phone.Config{}, fmt.Errorf("%s: %s names no line or no call manager", cfg.Name, c.File)
	}
	manager := d.Pool.Members[0]
	out := phone.Config{Name: cfg.Name, Number: d.SIP.Lines[0].Name, Domain: cfg.Domain, Resync: p.told}
	port := func(m phonexml.Member) int { return m.SecureSIPPort }
	switch d.Transport {
	case phonexml.TLS:
		credential, err := p.files.Credential()
		if err != nil {
			return out, err
		}
		out.Certificate, out.Roots = credential, p.roots()
		p.lsc = serial(credential)
	case phonexml.UDP:
		out.Network = transport.UDP
	default:
		out.Network = transport.TCP
	}
	if d.Transport != phonexml.TLS {
		port = func(m phonexml.Member) int { return m.SIPPort }
	}
	if d.SecurityMode != phonexml.Encrypted {
		out.Security = desc.Forbidden
	}
	out.Server = net.JoinHostPort(manager.Host, strconv.Itoa(port(manager)))
	for _, m := range d.Pool.Members[1:] {
		out.Backups = append(out.Backups, net.JoinHostPort(m.Host, strconv.Itoa(port(m))))
	}
	if cfg.Change != nil {
		cfg.Change(&out)
	}
	return out, nil
}

// held tells one state of the phone's lists from another.
func (p *Phone) held() (digests [2][sha256.Size]byte) {
	for i, kind := range []trustlist.Kind{trustlist.CTL, trustlist.ITL} {
		if l, err := p.files.Store().List(kind); err == nil && l != nil {
			digests[i] = sha256.Sum256(l.Append(nil))
		}
	}
	return digests
}

// roots are the call managers' certificates in the lists held: each stands for itself.
func (p *Phone) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, kind := range []trustlist.Kind{trustlist.CTL, trustlist.ITL} {
		l, err := p.files.Store().List(kind)
		if err != nil || l == nil {
			continue
		}
		for _, r := range l.ByRole(trustlist.RoleCCM, trustlist.RoleCCMTFTP) {
			if c, err := r.X509(); err == nil {
				pool.AddCert(c)
			}
		}
	}
	return pool
}

func (p *Phone) told(string) {
	select {
	case p.look <- struct{}{}:
	default: // it will look anyhow
	}
}

// follow looks again whenever it is told to.
func (p *Phone) follow(ctx context.Context) {
	defer close(p.done)
	for {
		select {
		case <-p.look:
			err := p.again(ctx)
			p.mu.Lock()
			p.rounds, p.failed = p.rounds+1, err
			p.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// again fetches everything once more and, where something is new, comes back on a new connection; calls go on by it.
func (p *Phone) again(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, provisionTime)
	defer cancel()
	before := p.held()
	if _, _, err := p.files.Provision(ctx); err != nil {
		return err
	}
	credential, err := p.files.Credential()
	if err != nil {
		return err
	}
	if before == p.held() && serial(credential) == p.LSC() {
		return nil
	}
	p.mu.Lock()
	p.lsc = serial(credential)
	p.mu.Unlock()
	p.Renew(credential)
	p.Trust(p.roots())
	p.Cut()
	return nil
}

// Rounds is how often the phone has looked again, and how the last time went.
func (p *Phone) Rounds() (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rounds, p.failed
}

// Files is the folder of the phone's memory.
func (p *Phone) Files() string { return p.files.Store().Path() }

// LSC is the serial number of the certificate it shows now, in hex.
func (p *Phone) LSC() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lsc
}

func serial(c tls.Certificate) string {
	if c.Leaf == nil {
		return ""
	}
	return c.Leaf.SerialNumber.Text(16)
}

// Close ends the phone.
func (p *Phone) Close(ctx context.Context) error {
	p.cancel()
	<-p.done
	return p.Phone.Close(ctx)
}
