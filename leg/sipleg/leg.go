package sipleg

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/leg/describe"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// leg is one dialog and the leg of a call it carries. Whoever is at work on the shard of its Call-ID owns it; only remoteTag and
// confirmed are read from elsewhere.
type leg struct {
	drv     *Driver
	id      call.LegID
	callID  string
	key     dialogKey
	device  string // target.Device; like key it is guarded by the driver's lock
	ses     *dialog.Session
	cfg     dialog.Config
	profile *Profile
	to      endpoint.Target // where requests of ours go
	peer    string          // verified identity of the peer's connection; "" = none
	domain  string          // host of the addresses of ours the peer is told
	node    string          // of the call manager at the other end; "" = it is none of this cluster
	counted bool            // among the driver's ties
	said    Said            // what it knows of our side
	beyond  Said            // what we know of its side
	named   call.Identity   // who it said is connected
	why     reasoned        // of its CANCEL
	target  call.Target     // outgoing: what was rung
	route   *route          // incoming, until the engine was told: where its directory sends it
	ways    []Way           // outgoing: the ways not tried yet
	ring    *call.Ring      // outgoing: until something rang or answered
	tx      *endpoint.ClientTx
	timer   *endpoint.Timer
	armed   time.Time

	inputs   []dialog.Input // of the step under way
	closed   bool
	state    legState
	gone     bool   // Released was signalled, or the engine released the leg
	early    []byte // the answer that went out in a 183 and comes again in the 200 (RFC 3261, 13.2.1)
	heard    []byte // the answer that came in a 1xx, with what the engine was told of it
	heardAs  call.Desc
	offering bool      // a Reoffer of the engine has no outcome yet
	reoffer  bool      // a Reoffered of ours has no answer of the engine yet
	told     bool      // that Reoffered is the peer's answer to a refresh: the peer waits for nothing
	mending  bool      // an offer of our own, after such an answer, is under way
	refer    uint32    // CSeq of the REFER whose result is awaited
	noResult bool      // the REFER wanted no notifications
	noInfo   bool      // the peer's Allow lacks INFO
	talks    bool      // the peer's Allow-Events has talk
	nudged   bool      // it was told to answer by that
	renewing bool      // its INVITE was cancelled, to be sent again
	again    *attempt  // with what it was rung
	weighed  bool      // Measured was signalled
	codec    string    // of its media at the end
	lock     call.Lock // what the phone was told last
	focused  bool      // our Contact says isfocus
	outgoing bool      // we rang the phone
	globalID string
	session  string // the peer's UUID of RFC 7989

	remoteTag atomic.Pointer[string]
	confirmed atomic.Bool
}

// route is Origin.Route.
type route struct {
	members []call.RouteMember
	causes  []call.Cause
}

type legState uint8

const (
	legIncoming legState = iota // INVITE of the peer, not answered
	legOutgoing                 // our INVITE, not answered
	legUp
	legOver
)

func (d *Driver) newLeg(id call.LegID, callID string) *leg {
	return &leg{drv: d, id: id, callID: callID}
}

// open prepares the session for a profile.
func (l *leg) open(p *Profile) {
	if p == nil {
		p = &Profile{} // the directory changed between two of its answers: the strict profile
	}
	l.profile = p
	l.cfg = dialog.Config{
		Agent:      l.drv.cfg.Agent,
		Timer:      p.Timer,
		Reliable:   p.Reliable,
		Replaces:   p.Replaces,
		Random:     l.drv.cfg.Random,
		T1:         l.t1(),
		Repeats2xx: true, // the endpoint does
	}
	if p.Authorize != nil {
		l.cfg.Authorize = l.authorize
	}
	if !p.Transfer {
		l.cfg.Allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, NOTIFY, INFO"
	}
	l.ses = dialog.New(&l.cfg)
	l.drv.cfg.Plane.AddLeg(media.LegID(l.id), p.Media)
}

// authorize answers a challenge of the peer. Only one that has proven its name gets to see an answer; a profile that has its calls go in
// clear has taken that risk by name.
func (l *leg) authorize(challenge, next *sip.Message) bool {
	f := l.to.Flow
	proven := f != nil && f.Network() == transport.TLS && f.Peer().Verified()
	return (proven || l.profile.AuthorizeInClear) && l.profile.Authorize(challenge, next)
}

// t1 is the round-trip estimate for the peer, as its requests are repeated by.
func (l *leg) t1() time.Duration {
	if t := l.profile.Timers; t != nil && t.T1 > 0 {
		return t.T1
	}
	return l.drv.cfg.T1
}

// step moves the session and acts on what comes out. Acting may call for further steps: they follow in order, since the
// session reuses the slice of its outputs.
func (l *leg) step(in dialog.Input) {
	if l.ses == nil {
		return
	}
	l.inputs = append(l.inputs, in)
	if len(l.inputs) > 1 {
		return
	}
	for i := 0; i < len(l.inputs); i++ {
		for _, o := range l.ses.Step(time.Now(), l.inputs[i]) {
			l.output(o)
		}
	}
	clear(l.inputs)
	l.inputs = l.inputs[:0]
	l.arm()
	if l.ses.Done() {
		l.close()
	}
}

// arm keeps one timer at or before the session's deadline.
func (l *leg) arm() {
	at := l.ses.Deadline()
	if at.IsZero() || !l.armed.IsZero() && !at.Before(l.armed) {
		return
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	l.armed = at
	l.timer = l.drv.ep.After(l.callID, max(0, time.Until(at)), ticked{l})
}

func (l *leg) tick() {
	l.armed, l.timer = time.Time{}, nil
	if !l.closed {
		l.step(dialog.Tick{})
	}
}

// close forgets the dialog.
func (l *leg) close() {
	if l.closed {
		return
	}
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.drv.remove(l)
	if obs := l.drv.cfg.Observer; obs != nil {
		obs.LegClosed(l.id, l.callID)
	}
}

// signal tells the engine, unless the leg is over for it.
func (l *leg) signal(s call.Signal) error {
	if l.gone {
		return nil
	}
	return l.drv.cfg.Engine.Signal(s)
}

// released is the last signal of the leg.
func (l *leg) released(c call.Cause, toNumber string) {
	l.freeMedia()
	if l.gone {
		return
	}
	_ = l.signal(call.Released{Leg: l.id, Cause: c, ToNumber: toNumber, Why: l.why.text})
	l.gone = true
}

func (l *leg) freeMedia() {
	if l.counted {
		l.counted = false
		l.drv.tied(l.node, -1)
	}
	if l.state != legOver {
		l.state = legOver
		m, _ := l.drv.cfg.Plane.Show(media.LegID(l.id))
		l.codec = m.Codec
		if obs := l.drv.cfg.Observer; obs != nil {
			obs.LegEnded(l.id, m, l.to.Flow)
		}
		l.measureHere()
		l.drv.cfg.Plane.RemoveLeg(media.LegID(l.id))
	}
}

// put hands a received description to the plane.
func (l *leg) put(kind call.DescKind, body []byte) (call.Desc, error) {
	return describe.Put(l.drv.cfg.Plane, l.id, kind, body)
}

// putAnswer hands an answer to our INVITE to the plane, once: some phones count the version of their o= line up between 183
// and 200, and that is no news.
func (l *leg) putAnswer(body []byte) (call.Desc, error) {
	if l.heard != nil && body != nil && dialog.SameDescription(l.heard, body) {
		return l.heardAs, nil
	}
	d, err := l.put(call.KindAnswer, body)
	if err == nil && body != nil {
		l.heard, l.heardAs = body, d
	}
	return d, err
}

// make has the plane make the description that goes with a command; nil for KindNone.
func (l *leg) make(m call.Media) ([]byte, error) { return describe.Make(l.drv.cfg.Plane, l.id, m) }

// request is a request of the peer inside the dialog.
func (l *leg) request(tx *endpoint.ServerTx, m *sip.Message) {
	if !l.samePeer(tx.Flow(), m) {
		l.drv.refuse(tx, m, Refusal{Status: 403, Warning: "this dialog belongs to a peer with another certificate"})
		return
	}
	l.step(dialog.Request{Tx: tx, Msg: m})
}

// peerKey is the verified identity at the other end of a flow, "" without one.
func peerKey(f *transport.Flow) string {
	if p := f.Peer(); p != nil {
		return p.Key
	}
	return ""
}

// samePeer tells whether a request comes from whom the dialog is with: a certificate that is good for the listener is
// not good for somebody else's call. Another certificate of the same device or trunk is: one renewed in mid-call, or the
// client certificate of a system whose server certificate our INVITE met. The directory knows whose it is. A new
// connection of the same peer is the one to use from now on.
func (l *leg) samePeer(flow *transport.Flow, m *sip.Message) bool {
	key := peerKey(flow)
	if key != l.peer {
		o, refusal := l.drv.cfg.Directory.Sender(flow, m)
		if refusal != nil || o.Node != l.node || l.node == "" && (o.Device != l.target.Device || o.Trunk != l.target.Trunk) {
			return false
		}
	}
	if l.to.Flow != nil && l.to.Flow != flow {
		l.to.Flow, l.peer = flow, key
	}
	return true
}

// response is a response to a request of ours.
func (l *leg) response(tx *endpoint.ClientTx, m *sip.Message) {
	if flow := tx.Flow(); flow != nil && (l.to.Flow == nil || l.node != "" && flow != l.to.Flow) {
		l.to.Flow, l.peer = flow, peerKey(flow)
	}
	if l.rings(m) {
		l.ring, l.ways = nil, nil
	}
	if l.renewing && tx == l.tx && m.IsFinal() && l.renewed(m) {
		return
	}
	if m.Status() == 503 && l.nextWay() {
		return
	}
	if m.Status() == 481 && l.node != "" && l.state == legUp && l.profile.Dialect.Reborn() {
		l.step(dialog.Failed{Method: m.Method(), Seq: m.CSeq().Seq, Status: 503}) // it has forgotten; the phones have not
		return
	}
	if tx == l.tx && m.IsFinal() {
		l.tx = nil // nothing is left to be cancelled, and it holds the INVITE
	}
	l.step(dialog.Response{Msg: m})
}

// rings tells whether a response commits us to the way in use.
func (l *leg) rings(m *sip.Message) bool {
	return m.Method() == sip.INVITE && m.Status() > 100 && m.Status() < 300
}

// failed is a request of ours that got no response.
func (l *leg) failed(tx *endpoint.ClientTx, err error) {
	if l.nextWay() {
		return
	}
	status := 503
	if errors.Is(err, endpoint.ErrTimeout) {
		status = 408
	}
	req := tx.Request()
	if errors.Is(err, endpoint.ErrFlowGone) && l.reconnect(req) {
		return
	}
	if l.node != "" && l.state != legOutgoing && req.Method() == sip.BYE {
		l.drv.deliverLater(req, l.to)
	}
	l.step(dialog.Failed{Method: req.Method(), Seq: req.CSeq().Seq, Status: status})
}

// reconnect sends a request once more after its connection was lost: the device may have registered on a new one. Whose that
// is the directory has verified, by the certificate of the device, which may be another one than before.
func (l *leg) reconnect(req *sip.Message) bool {
	old := l.to.Flow
	if old == nil || l.target.Device == "" || l.node != "" || req.Method() == sip.INVITE && l.state == legOutgoing {
		return false
	}
	ways, refusal := l.drv.cfg.Directory.Ways(l.target)
	if refusal != nil {
		return false
	}
	for _, w := range ways {
		if f := w.To.Flow; f != nil && f != old {
			l.to, l.peer = w.To, peerKey(f)
			l.to.Timers = l.profile.Timers
			next := req.Clone()
			next.Del("Via")
			l.send(next)
			return true
		}
	}
	return false
}

// ask asks the device whether it still has the call, when the connection of the call is gone: reconnect finds the new one.
func (l *leg) ask() {
	if l.gone || l.state != legUp || l.to.Flow == nil || l.to.Flow.Alive() {
		return
	}
	l.step(dialog.Refresh{})
}

// send sends a request in a client transaction of this leg.
func (l *leg) send(m *sip.Message) {
	tx, err := l.drv.ep.RequestTag(m, l.to, l)
	if err != nil {
		l.step(dialog.Failed{Method: m.Method(), Seq: m.CSeq().Seq, Status: 503})
		return
	}
	if m.Method() == sip.INVITE {
		l.tx = tx
	}
}
