package capf

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/trace"
	wire "github.com/locktone/locktone/wire/capf"
)

// session runs one machine. Only its step goroutine touches machine, grant and certificate.
type session struct {
	s      *Service
	conn   *tls.Conn
	id     uint32
	remote netip.AddrPort
	local  netip.AddrPort
	ctx    context.Context
	cancel context.CancelFunc
	inputs chan input // answers of the pool; the reader's messages come on messages

	machine  *machine
	gone     bool // the client has closed
	grant    capfprofile.Grant
	granted  bool
	asked    Ask
	asking   sync.Mutex // answers of an offline authority come at any time
	watching bool

	shown shown // for `show connections`
}

// shown is what other goroutines may read.
type shown struct {
	mu       sync.Mutex
	device   string
	state    string
	since    time.Time
	tls      tls.ConnectionState
	in, out  atomic.Int64
	messages [2]atomic.Int64
}

func newSessionID() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand says
	return binary.BigEndian.Uint32(b[:]) | 1
}

// startSession makes a session of a connection whose handshake is done, under an id that no other has.
func (s *Service) startSession(x *session, conn *tls.Conn, remote, local netip.AddrPort) {
	x.s, x.conn, x.remote, x.local, x.inputs = s, conn, remote, local, make(chan input, 8)
	x.ctx, x.cancel = context.WithCancel(s.ctx)
	x.shown.since, x.shown.tls = s.cfg.Now(), conn.ConnectionState()
	s.mu.Lock()
	defer s.mu.Unlock()
	for x.id = newSessionID(); s.sessions[x.id] != nil; {
		x.id = newSessionID()
	}
	s.sessions[x.id] = x
}

// run returns when the session has ended and the connection is closed.
func (x *session) run() {
	defer x.cancel()
	messages := make(chan input)
	go x.read(messages)
	m, out := newMachine(x.id, x.s.cfg.Times, time.Now())
	x.machine = m
	for x.perform(out) {
		out = x.next(messages)
	}
	x.part(messages)
}

// next waits for the next input or the deadline and steps.
func (x *session) next(messages <-chan input) []output {
	timer := time.NewTimer(time.Until(x.machine.Deadline()))
	defer timer.Stop()
	var in input
	select {
	case in = <-messages:
	case in = <-x.inputs:
	case <-timer.C:
	case <-x.ctx.Done():
		in = closed{x.ctx.Err()}
	}
	if _, over := in.(closed); over {
		x.gone = true
	}
	out := x.machine.Step(time.Now(), in)
	x.shown.mu.Lock()
	x.shown.state = x.machine.state.String()
	x.shown.mu.Unlock()
	return out
}

// read turns the stream into inputs, until it ends or makes no sense.
func (x *session) read(messages chan<- input) {
	for n := 0; ; n++ {
		msg, err := wire.Read(x.conn, x.s.cfg.Limits.Body)
		var in input = received{message: msg}
		var malformed *wire.ParseError
		switch {
		case errors.As(err, &malformed):
			x.s.counts.malformed.Add(1)
			in = received{err: err}
		case err != nil:
			in = closed{err}
		case n >= x.s.cfg.Limits.Messages:
			in = received{err: fmt.Errorf("more than %d messages in one session", x.s.cfg.Limits.Messages)}
		default:
			x.shown.messages[0].Add(1)
			x.trace(trace.Detail, "received "+msg.String(), msg)
		}
		select {
		case messages <- in:
		case <-x.ctx.Done():
			return
		}
		if _, more := in.(received); !more || err != nil {
			return
		}
	}
}

// perform does what the machine asks for; false after quit.
func (x *session) perform(out []output) bool {
	for _, o := range out {
		switch o := o.(type) {
		case send:
			x.send(o.message)
		case authenticate:
			x.work(stageAuthenticate, func() input { return x.authenticate(o.response) })
		case issue:
			x.work(stageIssue, func() input { return x.issue(o) })
		case noteStored:
			x.work(stageEnd, func() input { return x.stored() })
		case noteDeleted:
			x.work(stageEnd, func() input { return x.deleted() })
		case noteFetched:
			x.work(stageEnd, func() input { return x.fetched(o.certificates) })
		case failed:
			x.failed(o)
		case quit:
			return false
		}
	}
	return true
}

// work has a job done by the pool; its answer is the session's next input.
func (x *session) work(st stage, job func() input) {
	x.s.pool.do(st, func() {
		if x.ctx.Err() == nil {
			x.input(job())
		}
	})
}

func (x *session) input(in input) {
	select {
	case x.inputs <- in:
	case <-x.ctx.Done():
	}
}

// writeTime bounds a write: a client that reads nothing is gone.
const writeTime = 20 * time.Second

func (x *session) send(m wire.Message) {
	_ = x.conn.SetWriteDeadline(time.Now().Add(writeTime))
	if err := wire.Write(x.conn, m); err != nil {
		x.input(closed{err})
		return
	}
	x.shown.messages[1].Add(1)
	x.trace(trace.Detail, "sent "+m.String(), m)
}

// partTime is how long a client may take to close after the end: it reads END_SESSION first.
const partTime = 3 * time.Second

// part ends the connection: we say that nothing more comes, and wait for the client to close.
func (x *session) part(messages <-chan input) {
	_ = x.conn.SetDeadline(time.Now().Add(partTime))
	if !x.gone {
		_ = x.conn.CloseWrite()
	}
	for open := !x.gone; open; {
		select {
		case in := <-messages:
			_, over := in.(closed)
			bad, _ := in.(received)
			open = !over && bad.err == nil
		case <-time.After(partTime):
			open = false
		case <-x.ctx.Done():
			open = false
		}
	}
	_ = x.conn.Close()
}

// authenticate looks the client up and lets it in or not.
func (x *session) authenticate(r wire.AuthResponse) input {
	x.shown.mu.Lock()
	x.shown.device = r.Device
	x.shown.mu.Unlock()
	g, err := x.s.book.Begin(x.ctx, x.prove(r))
	if err == nil {
		x.grant, x.granted = g, true
		x.s.counts.begun.Add(1)
		x.note(trace.Info, fmt.Sprintf("%s: %s begins, %s", g.Owner, g.Operation, g.Mode))
		return decided{profile: g.Profile}
	}
	var no *capfprofile.Refused
	if !errors.As(err, &no) {
		x.note(trace.Error, "the profile of "+quoted(r.Device)+" cannot be read: "+err.Error())
		return decided{refused: true, reason: wire.ReasonRefused}
	}
	return decided{refused: true, reason: x.refuse(no, r.Device)}
}

// refuse counts and tells of a refusal, and chooses the reason on the wire. A locked profile looks like a wrong string.
func (x *session) refuse(no *capfprofile.Refused, name string) wire.Reason {
	x.s.counts.refused.Add(1)
	level, alarm := trace.Info, []trace.Field(nil)
	if no.Locked {
		level, alarm = trace.Error, []trace.Field{{Name: "alarm", Value: "capf-lock-out"}}
		x.s.counts.lockouts.Add(1)
		x.s.lockouts.add(no.Owner)
	}
	x.note(level, "refused "+quoted(name)+": "+no.Error(), alarm...)
	switch no.Why {
	case capfprofile.RefusedUnknown:
		if x.s.known(x.ctx, name) {
			return wire.ReasonNone
		}
		return wire.ReasonUnknown
	case capfprofile.RefusedNothing, capfprofile.RefusedLate:
		return wire.ReasonNone
	}
	return wire.ReasonRefused
}

// prove verifies existing certificates: possession of the key, the chain, the name, and that nothing is revoked. What
// does not hold proves nothing, and the trace says why.
func (x *session) prove(r wire.AuthResponse) (k capfprofile.Knock) {
	k = capfprofile.Knock{Name: r.Device, String: capfprofile.String(r.Password.Reveal()), Remote: x.remote.String()}
	for _, c := range r.Certificates {
		cert, err := x509.ParseCertificate(c.DER)
		if err == nil {
			err = wire.VerifyProof(cert, r)
		}
		x.proof(&k, cert, err, false)
	}
	if r.SUDI != nil {
		cert, err := x509.ParseCertificate(r.SUDI.Certificate)
		if err == nil {
			err = wire.VerifySUDI(cert, x.id, *r.SUDI)
		}
		x.proof(&k, cert, err, true)
	}
	return k
}

// existingPolicy is what an existing certificate has to be. Manufacturers' certificates are older than the rules about
// usage.
func existingPolicy(name string, kind pki.Kind) pki.PeerPolicy {
	return pki.PeerPolicy{Peer: name, Kinds: pki.KindsOf(kind), Exceptions: []pki.Rule{pki.RuleEKUMissing, pki.RuleEKU, pki.RuleKeyUsage}}
}

// proof adds what one certificate proves. One that our register has counts more than one that only an anchor vouches for.
func (x *session) proof(k *capfprofile.Knock, cert *x509.Certificate, err error, fresh bool) {
	if err != nil {
		x.note(trace.Info, "the existing certificate of "+quoted(k.Name)+" proves nothing: "+err.Error())
		return
	}
	kind, authorize, name := pki.KindDevice, pki.AuthorizeDevice, k.Name
	if instance, ok := strings.CutPrefix(k.Name, capfprofile.ApplicationPrefix); ok {
		kind, authorize, name = pki.KindCTI, pki.AuthorizeCTI, capfprofile.Owner{Instance: instance}.CommonName()
	}
	report := x.s.cfg.Identity.Snapshot().Trust.Verify([]*x509.Certificate{cert}, pki.PeerIsClient, existingPolicy(k.Name, kind), x.s.cfg.Now())
	if f, ok := authorize(report, name); !ok {
		x.note(trace.Info, "the existing certificate of "+quoted(k.Name)+" proves nothing: it "+f.What,
			trace.Field{Name: "rule", Value: string(f.Rule)}, trace.Field{Name: "expected", Value: f.Expected}, trace.Field{Name: "got", Value: f.Got}, trace.Field{Name: "fix", Value: f.Fix})
		return
	}
	proof := capfprofile.ProofMIC
	if report.Registered() {
		proof = capfprofile.ProofLSC
	}
	if k.Proof != capfprofile.ProofLSC || proof == capfprofile.ProofLSC {
		k.Proof, k.Proven, k.Fresh = proof, pki.RefOf(cert), k.Fresh || fresh
	}
}

// issue asks the authority and notes the certificate in the profile before it is sent.
func (x *session) issue(o issue) input {
	x.asked = Ask{Owner: x.grant.Owner, PublicKey: o.key, SPKI: o.spki, Remote: x.remote.String()}
	if err := soundKey(o.key); err != nil {
		x.note(trace.Info, x.grant.Owner.String()+": "+err.Error())
		return issued{cause: capfprofile.CauseKeyFailed}
	}
	return x.ask()
}

func (x *session) ask() input {
	x.asking.Lock()
	defer x.asking.Unlock()
	cert, err := x.s.cfg.Authority.Issue(x.ctx, x.asked)
	switch {
	case errors.Is(err, ErrQueued):
		return x.queued()
	case err != nil:
		x.note(trace.Error, fmt.Sprintf("%s: no certificate from the %s authority: %v", x.grant.Owner, x.s.cfg.Authority.Name(), err))
		return issued{cause: cause(err)}
	}
	if _, err := x.s.book.Issued(x.ctx, x.grant, cert, x.s.issuerEnds(cert)); err != nil {
		if rerr := x.s.cfg.CA.Revoke(context.WithoutCancel(x.ctx), pki.RefOf(cert), "issued to a session that another one took over"); rerr != nil {
			err = errors.Join(err, rerr)
		}
		x.note(trace.Info, fmt.Sprintf("%s: %v", x.grant.Owner, err))
		return issued{cause: capfprofile.CauseCommunication}
	}
	x.s.counts.issued.Add(1)
	x.note(trace.Info, fmt.Sprintf("%s: certificate %s issued by the %s authority, until %s", x.grant.Owner, pki.RefOf(cert).Serial, x.s.cfg.Authority.Name(), cert.NotAfter.UTC().Format(time.DateOnly)))
	return issued{certificate: cert}
}

// queued notes that the offline authority has the request, and watches for its answer as long as the client stays.
func (x *session) queued() input {
	if x.watching {
		return issued{waiting: true}
	}
	if _, err := x.s.book.Queued(x.ctx, x.grant, capfprofile.RequestID(x.asked.Owner, x.asked.SPKI)); err != nil {
		x.note(trace.Info, fmt.Sprintf("%s: %v", x.grant.Owner, err))
		return issued{cause: capfprofile.CauseCommunication}
	}
	x.watching = true
	x.note(trace.Info, x.grant.Owner.String()+": its request waits for the offline authority")
	changes := x.s.queue.Watch(x.ctx)
	go func() {
		for range changes {
			x.work(stageIssue, x.ask)
		}
	}()
	x.work(stageIssue, x.ask) // an answer may have come between the question and the watch
	return issued{waiting: true}
}

func (x *session) stored() input {
	p, err := x.s.book.Stored(x.ctx, x.grant)
	if err != nil {
		x.note(trace.Error, fmt.Sprintf("%s: the certificate is stored, the profile not: %v", x.grant.Owner, err))
		return noted{err}
	}
	x.done(p)
	if done, ok := x.s.cfg.Authority.(interface {
		Done(ctx context.Context, a Ask) error
	}); ok {
		if err := done.Done(x.ctx, x.asked); err != nil {
			x.note(trace.Error, fmt.Sprintf("%s: its request stays in the queue: %v", x.grant.Owner, err))
		}
	}
	return noted{}
}

func (x *session) deleted() input {
	p, err := x.s.book.Deleted(x.ctx, x.grant)
	if err == nil {
		x.done(p)
		x.s.sweepSoon()
	}
	return noted{err}
}

func (x *session) fetched(list []wire.Certificate) input {
	var certs []*x509.Certificate
	for _, c := range list {
		cert, err := x509.ParseCertificate(c.DER)
		if err != nil {
			x.note(trace.Info, fmt.Sprintf("%s: it showed what is no certificate: %v", x.grant.Owner, err))
			continue
		}
		certs = append(certs, cert)
		x.note(trace.Info, fmt.Sprintf("%s: it holds the %s %s of %s", x.grant.Owner, c.Type, pki.RefOf(cert).Serial, cert.Subject), trace.Field{Name: "pem", Value: pemOf(cert)})
	}
	p, err := x.s.book.Fetched(x.ctx, x.grant, certs)
	if err == nil {
		x.done(p)
	}
	return noted{err}
}

func (x *session) done(p capfprofile.Profile) {
	x.s.counts.succeeded.Add(1)
	x.note(trace.Info, fmt.Sprintf("%s: %s", p.Owner, p.Status))
}

// failed notes how a session ended that was let in. It waits for the store: the next session must find it.
func (x *session) failed(o failed) {
	if !x.granted {
		return
	}
	x.s.counts.failed.Add(1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.ctx), writeTime)
	defer cancel()
	p, err := x.s.book.Failed(ctx, x.grant, o.cause)
	if err != nil {
		x.note(trace.Info, fmt.Sprintf("%s: the session failed (%s), and its profile says otherwise: %v", x.grant.Owner, o.why, err))
		return
	}
	x.note(trace.Info, fmt.Sprintf("%s: %s: %s", p.Owner, p.Status, o.why))
}

func quoted(name string) string { return fmt.Sprintf("%.140q", name) }

// note records something about the session.
func (x *session) note(l trace.Level, summary string, fields ...trace.Field) {
	x.record(l, summary, nil, fields...)
}

func (x *session) trace(l trace.Level, summary string, m wire.Message) {
	body, err := m.Redacted().Append(nil)
	if err != nil {
		body = nil
	}
	x.record(l, summary, body)
}

func (x *session) record(l trace.Level, summary string, body []byte, fields ...trace.Field) {
	if x.s.cfg.Trace == nil {
		return
	}
	x.shown.mu.Lock()
	device := x.shown.device
	x.shown.mu.Unlock()
	x.s.cfg.Trace.Record(trace.Record{Service: Name, Kind: trace.KindNote, Level: l, Device: device, Flow: flowName(x.id), Net: "tls",
		Local: x.local, Remote: x.remote, Summary: summary, Body: body, Fields: fields})
}

// counted counts a connection's bytes.
type counted struct {
	net.Conn
	in, out *atomic.Int64
}

// Read implements io.Reader.
func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(int64(n))
	return n, err
}

// Write implements io.Writer.
func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.Add(int64(n))
	return n, err
}

var _ io.ReadWriter = counted{}
