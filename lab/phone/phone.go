package phone

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Phone is one phone with one line. Its methods may be called from any goroutine; its calls live on the goroutine of its
// endpoint.
type Phone struct {
	cfg      Config
	ep       *endpoint.Endpoint
	servers  []server
	round    round          // of fail-over; the endpoint's goroutine owns it
	local    netip.AddrPort // of the connection to the server
	incoming chan *Call
	digest   *sip.DigestClient // nil = no credentials; the endpoint's goroutine owns it, and kept
	kept     *transport.Flow   // of the registration

	mu      sync.Mutex
	calls   map[dialogKey]*Call
	watches map[dialogKey]*Subscription
	mails   mailbox
	flow    *transport.Flow // of the registration, or of the last call
	reg     registration
	at      int           // server that is used; the endpoint's goroutine writes it
	change  chan struct{} // closed and replaced when something changed
	closed  bool
	refused error // why the server's certificate was not accepted, if it was not
}

type dialogKey struct{ callID, tag string }

// Start connects a phone to its server and, unless told otherwise, begins to register. The error says which address or
// certificate was at fault.
func Start(ctx context.Context, cfg Config) (*Phone, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	servers, err := cfg.servers()
	if err != nil {
		return nil, err
	}
	p := &Phone{
		cfg: cfg, servers: servers, incoming: make(chan *Call, 16),
		calls: map[dialogKey]*Call{}, watches: map[dialogKey]*Subscription{}, change: make(chan struct{}),
	}
	if cfg.DigestUser != "" {
		p.digest = sip.NewDigestClient(sip.Credentials{User: cfg.DigestUser, Password: cfg.Password, AllowMD5: cfg.DigestMD5})
	}
	if err := p.open(ctx); err != nil {
		return nil, fmt.Errorf("phone %s: %w", cfg.Name, err)
	}
	if !cfg.NoRegister {
		p.ep.Post(p.reg.callID, registerNow{})
	}
	return p, nil
}

func (c *Config) complete() error {
	if c.Number == "" || c.Server == "" {
		return errors.New("phone: Config needs Number and Server")
	}
	if c.Name == "" {
		c.Name = c.Number
	}
	if c.Domain == "" {
		host, _, _ := net.SplitHostPort(c.Server)
		c.Domain = cmp.Or(c.ServerName, host)
	}
	if c.Network == transport.NoNetwork {
		c.Network = transport.TLS
	}
	if c.Expires <= 0 {
		c.Expires = time.Hour
	}
	c.KeepAlive = cmp.Or(c.KeepAlive, 110*time.Second)
	c.PongWait = cmp.Or(c.PongWait, 10*time.Second)
	if c.Network == transport.TLS && (len(c.Certificate.Certificate) == 0 || c.Roots == nil) {
		return fmt.Errorf("phone %s: TLS needs Certificate and Roots", c.Name)
	}
	c.Media.Caps.Security, c.Media.Caps.Suites = c.Security, c.Suites
	return nil
}

// open starts the endpoint and makes the first connection, so that the phone knows its own address.
func (p *Phone) open(ctx context.Context) error {
	p.reg.callID = newCallID()
	first, err := p.dialTCP(ctx)
	if err != nil {
		return err
	}
	ep, err := endpoint.New(endpoint.Config{
		User: p, Shards: 1, Server: userAgent, Identity: p.cfg.Name, Limits: p.cfg.Limits,
		Transport: transport.Config{
			Verify: p.verify, DialTLS: p.dialTLS, Observer: watcher{p, p.cfg.Observer}, Dial: p.dialer(first),
		},
	})
	if err != nil {
		return err
	}
	p.ep = ep
	if p.cfg.Network != transport.UDP {
		return nil
	}
	l, err := ep.Listen(transport.ListenConfig{Network: transport.UDP, Addr: netip.AddrPortFrom(p.bind(), 0), LocalIdentity: p.cfg.Name})
	if err != nil {
		_ = ep.Close(ctx)
		return err
	}
	p.local = l.Addr()
	return nil
}

// bind is the address calls leave from.
func (p *Phone) bind() netip.Addr {
	if p.cfg.Local.IsValid() {
		return p.cfg.Local
	}
	if p.servers[0].hop.Addr.Addr().IsLoopback() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv4Unspecified()
}

// dialTCP connects to the first server that answers.
func (p *Phone) dialTCP(ctx context.Context) (conn net.Conn, err error) {
	if p.cfg.Network == transport.UDP {
		return nil, nil
	}
	for p.at = range p.servers {
		if conn, err = p.dial(ctx, p.servers[p.at].hop.Addr); err == nil {
			p.local = netip.MustParseAddrPort(conn.LocalAddr().String())
			return conn, nil
		}
	}
	p.at = 0
	return nil, err
}

func (p *Phone) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: p.bind().AsSlice()}}
	return d.DialContext(ctx, "tcp", to.String())
}

// dialer gives the transport the connection that was made already, and new ones after it.
func (p *Phone) dialer(first net.Conn) func(context.Context, transport.Dest) (net.Conn, error) {
	ready := make(chan net.Conn, 1)
	if first != nil {
		ready <- first
	}
	to := p.servers[p.at].hop.Addr
	return func(ctx context.Context, d transport.Dest) (net.Conn, error) {
		if d.Addr == to {
			select {
			case c := <-ready:
				return c, nil
			default:
			}
		}
		return p.dial(ctx, d.Addr)
	}
}

// Close ends the phone: no BYE, no unregistering (see Unregister, Call.Hangup).
func (p *Phone) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	calls := make([]*Call, 0, len(p.calls))
	for _, c := range p.calls {
		calls = append(calls, c)
	}
	p.mu.Unlock()
	for _, c := range calls {
		c.closeMedia()
	}
	p.notify()
	return p.ep.Close(ctx)
}

// Number is the phone's own number.
func (p *Phone) Number() string { return p.cfg.Number }

// Address is where a phone over UDP listens.
func (p *Phone) Address() netip.AddrPort { return p.local }

// Name is the phone's device name.
func (p *Phone) Name() string { return p.cfg.Name }

// Incoming delivers calls that come in, ringing.
func (p *Phone) Incoming() <-chan *Call { return p.incoming }

// notify wakes everybody who waits.
func (p *Phone) notify() {
	p.mu.Lock()
	close(p.change)
	p.change = make(chan struct{})
	p.mu.Unlock()
}

// wait waits until done says so; done is called with the phone locked.
func (p *Phone) wait(ctx context.Context, what string, done func() (bool, error)) error {
	for {
		p.mu.Lock()
		ok, err := done()
		ch, closed, refused := p.change, p.closed, p.refused
		p.mu.Unlock()
		switch {
		case ok || err != nil:
			return err
		case closed:
			return fmt.Errorf("phone %s: closed while waiting: %s", p.cfg.Name, what)
		}
		select {
		case <-ch:
		case <-ctx.Done():
			if refused != nil {
				return fmt.Errorf("phone %s: %s: %w (%w)", p.cfg.Name, what, ctx.Err(), refused)
			}
			return fmt.Errorf("phone %s: %s: %w", p.cfg.Name, what, ctx.Err())
		}
	}
}

// address is the phone's address of record.
func (p *Phone) address() sip.Address {
	return sip.Address{Display: p.cfg.Display, URI: p.uri(p.cfg.Number)}
}

func (p *Phone) uri(user string) sip.URI {
	return sip.URI{Scheme: "sip", User: user, Host: p.cfg.Domain}
}

// contact is where the phone is reached: over the connection it opened (RFC 5626).
func (p *Phone) contact() sip.Address {
	u := sip.URI{Scheme: "sip", User: p.cfg.Number, Host: p.local.Addr().String(), Port: int(p.local.Port())}
	if p.cfg.Network != transport.UDP {
		u.Params = sip.Params{{Name: "transport", Value: p.cfg.Network.String()}}
	}
	return sip.Address{URI: u}
}

// session is the configuration of the phone's INVITE sessions.
func (p *Phone) session() *dialog.Config {
	c := &dialog.Config{Agent: userAgent, Timer: p.cfg.Timer, Reliable: p.cfg.Reliable, Replaces: true, Random: random, Repeats2xx: true}
	if p.digest != nil {
		c.Authorize = p.authorize
	}
	if p.cfg.NoUpdate {
		c.Allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, REFER, NOTIFY, INFO"
	}
	return c
}

// authorize answers the challenge to a request inside a call, of which next is a copy.
func (p *Phone) authorize(challenge, next *sip.Message) bool {
	if p.digest.Challenged(next, challenge) != nil {
		return false
	}
	p.digest.Authorize(next)
	return true
}

func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

func newCallID() string {
	return strconv.FormatUint(random(), 36) + strconv.FormatUint(random(), 36)
}

// find returns the call a message inside a dialog belongs to.
func (p *Phone) find(callID, tag string) *Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[dialogKey{callID, tag}]
}

// Request implements endpoint.User.
func (p *Phone) Request(tx *endpoint.ServerTx, m *sip.Message) {
	if tag := m.ToTag(); tag != "" {
		if c := p.find(m.CallID(), tag); c != nil {
			c.step(dialog.Request{Tx: tx, Msg: m})
		} else if w := p.watch(m.CallID(), tag); w != nil {
			w.step(dialog.Request{Tx: tx, Msg: m})
		} else if m.Method() != sip.ACK {
			_ = tx.Reply(481, "")
		}
		return
	}
	switch m.Method() {
	case sip.INVITE:
		p.ringing(tx, m)
	case sip.NOTIFY:
		if p.mail(tx, m) {
			return
		}
		_ = tx.Reply(200, "")
		if p.cfg.Resync != nil {
			p.cfg.Resync(m.Header("Event"))
		}
	case sip.OPTIONS, sip.MESSAGE:
		_ = tx.Reply(200, "")
	case sip.ACK:
	default:
		_ = tx.Reply(405, "")
	}
}

// Cancelled implements endpoint.User.
func (p *Phone) Cancelled(tx *endpoint.ServerTx) {
	c := p.find(tx.Request().CallID(), tx.LocalTag())
	if c == nil {
		c = p.find(tx.Request().CallID(), tx.Request().ToTag())
	}
	if c != nil {
		c.set(func() { c.reason = tx.Cancel().Header("Reason") })
		c.step(dialog.Cancelled{})
	}
}

// Response implements endpoint.User.
func (p *Phone) Response(tx *endpoint.ClientTx, m *sip.Message) {
	switch tx.Tag.(type) {
	case look, trial, farewell:
		if m.IsFinal() {
			p.looked(tx, m.Status(), m)
		}
		return
	}
	p.used(tx.Flow())
	switch t := tx.Tag.(type) {
	case *Call:
		t.step(dialog.Response{Msg: m})
		return
	case *Subscription:
		t.step(dialog.Response{Msg: m})
		return
	}
	p.registered(tx, m)
}

// Failed implements endpoint.User.
func (p *Phone) Failed(tx *endpoint.ClientTx, err error) {
	req := tx.Request()
	switch tx.Tag.(type) {
	case look, trial, farewell:
		p.looked(tx, 0, nil)
		return
	}
	if w, ok := tx.Tag.(*Subscription); ok {
		w.step(dialog.Failed{Method: req.Method(), Seq: req.CSeq().Seq, Status: 503})
		return
	}
	c, ok := tx.Tag.(*Call)
	if !ok {
		p.registerFailed(err)
		return
	}
	status := 503
	if errors.Is(err, endpoint.ErrTimeout) {
		status = 408
	}
	c.step(dialog.Failed{Method: req.Method(), Seq: req.CSeq().Seq, Status: status})
}

// Posted implements endpoint.User.
func (p *Phone) Posted(_ string, v any) {
	switch v := v.(type) {
	case order:
		v.call.obey(v)
	case callTick:
		v.call.tick()
	case subscriptionStep:
		v.w.step(v.in)
	case registerNow:
		p.register(p.cfg.Expires)
	case unregister:
		p.register(0)
	case flowLost:
		p.lost(v.flow, v.why)
	case lookNow:
		p.look()
	case pingDue:
		p.ping(v.flow)
	case pongDue:
		p.pong(v)
	}
}

// used remembers the connection in use.
func (p *Phone) used(f *transport.Flow) {
	if f == nil {
		return
	}
	p.mu.Lock()
	p.flow = f
	p.mu.Unlock()
}

func itoa(n int) string { return strconv.Itoa(n) }
