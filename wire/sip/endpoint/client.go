package endpoint

import (
	"fmt"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// clientKey finds the client transaction of a response. RFC 3261, 17.1.3: branch and CSeq method; the branches are ours
// and unique, only a CANCEL shares that of its INVITE.
type clientKey struct {
	branch string
	cancel bool
}

// phase is where a ClientTx is on its way over its hops.
type phase uint8

const (
	resolving  phase = iota // no hops yet
	connecting              // waits for its flow
	sent                    // the machine runs
	finished                // nothing more will happen, except absorbing
)

// ClientTx is an outgoing request, over all hops it is tried on. Its methods may be called from any goroutine; its fields
// belong to the shard.
type ClientTx struct {
	// Tag is the caller's own; the endpoint does not look at it. RequestTag sets it before the first callback.
	Tag any

	s      *shard
	req    *sip.Message
	to     Target
	hops   []Hop
	next   int // in hops
	onFlow bool
	flow   *transport.Flow
	hop    Hop
	key    clientKey

	phase    phase
	invite   bool
	ack      bool // a stateless ACK: sent once
	internal bool // CANCEL, or a ghost that absorbs: the User does not hear of it
	answered bool // something came back on this hop
	cancels  bool // the User wants to cancel
	ended    bool // the User has its final response or failure
	counted  bool // in e.begin
	asked    bool // the hops come from the resolver
	header   []sip.Field
	inv      transaction.ClientInvite
	non      transaction.ClientRequest
	timers   *transaction.Timers
	alarm    alarm

	// links of the shard's list of transactions on one flow
	listed   *transport.Flow
	fwd, bwd *ClientTx
}

type cancellation struct {
	tx     *ClientTx
	header []sip.Field
}

// Request is the request. While it is being sent its top Via is that of the hop in use.
func (tx *ClientTx) Request() *sip.Message { return tx.req }

// Flow is the flow of the hop in use; nil before there is one. To be read in User callbacks.
func (tx *ClientTx) Flow() *transport.Flow { return tx.flow }

// Cancel cancels an INVITE: CANCEL goes out at once, or after the first provisional response (RFC 3261, 9.1). The INVITE
// still ends with a final response (487, or 200 when it crossed) or with ErrTimeout 64*T1 later. header gives header
// fields for the CANCEL (Reason). It does nothing for other requests.
func (tx *ClientTx) Cancel(header ...sip.Field) {
	tx.s.ask(item{kind: askCancel, obj: &cancellation{tx, header}})
}

// start finds the hops.
func (tx *ClientTx) start() {
	tx.alarm.owner = tx
	tx.timers = &tx.s.e.timers
	if own := tx.to.Timers; own != nil {
		t := own.WithDefaults()
		tx.timers = &t
	}
	if d := tx.to.Timeout; d > 0 {
		t := *tx.timers
		t.B, t.F = d, d
		tx.timers = &t
	}
	if !tx.ack {
		tx.counted = true
		tx.s.e.begin()
	}
	if tx.req.Method() == sip.BYE {
		tx.s.dialogEnded(nil, dialogKey{tx.req.CallID(), tx.req.FromTag()})
	}
	if tx.s.e.closing.Load() && !existing(tx.req) {
		tx.fail(ErrClosed)
		return
	}
	tx.onFlow = tx.to.Flow != nil
	tx.hops = tx.to.Hops
	if tx.onFlow || len(tx.hops) > 0 {
		tx.try()
		return
	}
	tx.s.e.resolve(tx)
}

// resolved takes the resolver's hops.
func (tx *ClientTx) resolved(hops []Hop, err error) {
	switch {
	case tx.phase == finished:
	case err != nil:
		tx.fail(err)
	case len(hops) == 0:
		tx.fail(ErrNoHop)
	default:
		tx.hops, tx.asked = hops, true
		tx.try()
	}
}

// try goes to the next hop that has a flow.
func (tx *ClientTx) try() {
	err := error(ErrNoHop)
	for {
		f, more, flowErr := tx.nextFlow()
		if !more {
			tx.fail(err)
			return
		}
		if flowErr != nil {
			err = &TransportError{tx.hop, flowErr}
			continue
		}
		tx.use(f)
		if !f.Alive() {
			err = tx.gone(f.Err())
			tx.leave()
			continue
		}
		if f.Established() {
			if err = tx.launch(); err == nil {
				return
			}
			continue
		}
		tx.phase = connecting
		return
	}
}

// nextFlow is the flow of the next hop; more is false when there is none left.
func (tx *ClientTx) nextFlow() (f *transport.Flow, more bool, err error) {
	if tx.onFlow {
		f, tx.onFlow = tx.to.Flow, false
		tx.hop = Hop{f.Network(), f.Remote()}
		return f, true, nil
	}
	if tx.next >= len(tx.hops) {
		return nil, false, nil
	}
	tx.preferStream()
	tx.hop = tx.hops[tx.next]
	tx.next++
	name := tx.to.ServerName
	if name == "" {
		name = nextHop(tx.req).Host
	}
	identity := tx.to.LocalIdentity
	if identity == "" {
		identity = tx.s.e.cfg.Identity
	}
	f, err = tx.s.e.transport.Flow(transport.Dest{
		Network: tx.hop.Network, Addr: tx.hop.Addr, LocalIdentity: identity, ServerName: name, Policy: tx.to.Policy,
	})
	return f, true, err
}

// preferStream puts the first stream hop in front when the request is too large for UDP. RFC 3261, 18.1.1: over 1300
// bytes a congestion-controlled transport is used; where there is none the request goes over UDP all the same.
func (tx *ClientTx) preferStream() {
	if tx.hops[tx.next].Network != transport.UDP || tx.req.Method() == sip.ACK || len(tx.req.Append(nil)) <= 1300-200 {
		return
	}
	for i := tx.next + 1; i < len(tx.hops); i++ {
		if tx.hops[i].Network.Reliable() {
			hops := append([]Hop(nil), tx.hops...)
			stream := hops[i]
			copy(hops[tx.next+1:i+1], hops[tx.next:i])
			hops[tx.next] = stream
			tx.hops = hops
			return
		}
	}
}

// use puts the transaction into the list of the flow, so that it hears when the flow is ready or gone.
func (tx *ClientTx) use(f *transport.Flow) {
	tx.leave()
	tx.flow, tx.listed = f, f
	if first := tx.s.byFlow[f.ID()]; first != nil {
		tx.fwd, first.bwd = first, tx
	}
	tx.s.byFlow[f.ID()] = tx
}

// leave takes it out of that list.
func (tx *ClientTx) leave() {
	if tx.listed == nil {
		return
	}
	switch {
	case tx.bwd != nil:
		tx.bwd.fwd = tx.fwd
	case tx.fwd != nil:
		tx.s.byFlow[tx.listed.ID()] = tx.fwd
	default:
		delete(tx.s.byFlow, tx.listed.ID())
	}
	if tx.fwd != nil {
		tx.fwd.bwd = tx.bwd
	}
	tx.listed, tx.fwd, tx.bwd = nil, nil, nil
}

// launch sends the request on its flow and starts the machine; an error means that it was not sent.
func (tx *ClientTx) launch() error {
	if !tx.internal || tx.key.branch == "" {
		tx.stamp()
	}
	if tx.ack {
		err := tx.s.send(tx.flow, tx.req)
		if err == nil {
			tx.done()
		} else {
			tx.leave()
		}
		return err
	}
	tx.s.clients[tx.key] = tx
	tx.s.counters.clients.Add(1)
	tx.phase, tx.answered = sent, false
	reliable := tx.flow.Network().Reliable()
	if tx.invite {
		tx.inv.Start(tx.s.now, tx.timers, reliable)
	} else {
		tx.non.Start(tx.s.now, tx.timers, reliable)
	}
	if err := tx.s.send(tx.flow, tx.req); err != nil {
		err = tx.gone(err)
		tx.unlist()
		return err
	}
	if tx.cancels {
		tx.do(tx.step(transaction.CancelRequest), nil)
		return nil
	}
	tx.rearm()
	return nil
}

// stamp puts our Via on top, anew for every hop. RFC 3261, 8.1.1.7 and 18.1.1; RFC 3581, 3: rport; RFC 5923, 8.1: alias
// when the peer may send requests back on this connection because a listener of ours has the same identity.
func (tx *ClientTx) stamp() {
	again := tx.key.branch != ""
	tx.key = clientKey{branch: tx.s.token(sip.MagicCookie)}
	at := tx.flow.SentBy()
	v := sip.Via{Transport: tx.flow.Network().Via(), Host: hostOf(at.Addr()), Port: int(at.Port())}
	v.Params = append(make(sip.Params, 0, 3), sip.Param{Name: "branch", Value: tx.key.branch}, sip.Param{Name: "rport"})
	if tx.flow.Network() == transport.TLS && !tx.flow.Inbound() && at != tx.flow.Local() {
		v.Params = append(v.Params, sip.Param{Name: "alias"})
	}
	if again {
		tx.req.SetTopVia(v)
	} else {
		tx.req.PrependVia(v)
	}
}

// flowOpened launches what waited for the connection.
func (s *shard) flowOpened(f *transport.Flow) {
	for tx := s.byFlow[f.ID()]; tx != nil; {
		next := tx.fwd
		if tx.phase == connecting {
			if err := tx.launch(); err != nil {
				tx.retry(err)
			}
		}
		tx = next
	}
}

// flowClosed tells every transaction on the flow.
func (s *shard) flowClosed(f *transport.Flow) {
	var on []*ClientTx
	for tx := s.byFlow[f.ID()]; tx != nil; tx = tx.fwd {
		on = append(on, tx)
	}
	in := transaction.FlowLost
	if f.Inbound() { // the peer has no listener of ours to come back to
		in = transaction.TransportError
	}
	for _, tx := range on {
		if tx.phase == connecting {
			tx.leave()
			tx.retry(tx.gone(f.Err()))
			continue
		}
		tx.do(tx.step(in), nil)
	}
}

// gone is the error for a flow that cannot be used.
func (tx *ClientTx) gone(err error) error {
	if tx.to.Flow != nil && tx.to.Flow == tx.flow {
		return fmt.Errorf("%w: %v", ErrFlowGone, err)
	}
	return &TransportError{tx.hop, err}
}

// response finds the transaction of a response.
func (s *shard) response(f *transport.Flow, m *sip.Message) {
	tx := s.clients[clientKey{m.TopVia().Branch(), m.CSeq().Method == sip.CANCEL}]
	if tx == nil || m.CSeq().Method != tx.req.Method() || !samePeer(f, tx.flow) {
		s.counters.stray.Add(1)
		return
	}
	tx.answered = true
	do := tx.step(transaction.Classify(m.Status()))
	if m.Status() == 503 && do.Has(transaction.Deliver) {
		tx.reportHop(m)
	}
	if m.Status() == 503 && tx.more() && do.Has(transaction.Deliver) {
		tx.moveOn(do, m)
		return
	}
	tx.do(do, m)
}

// more says whether there is another hop to try.
func (tx *ClientTx) more() bool {
	return !tx.internal && !tx.cancels && tx.next < len(tx.hops)
}

// moveOn goes to the next hop after a 503. RFC 3263, 4.3: each hop is a new transaction; a ghost of the old one
// acknowledges and absorbs what still comes from the old hop.
func (tx *ClientTx) moveOn(do transaction.Action, m *sip.Message) {
	s := tx.s
	s.alarms.remove(&tx.alarm)
	ghost := &ClientTx{
		s: s, req: tx.req.Clone(), to: tx.to, flow: tx.flow, hop: tx.hop, key: tx.key, phase: sent, internal: true,
		ended: true, invite: tx.invite, inv: tx.inv, non: tx.non, timers: tx.timers,
	}
	ghost.alarm.owner = ghost
	s.clients[tx.key] = ghost
	tx.leave()
	ghost.do(do&^transaction.Deliver, m)
	tx.try()
}

func (tx *ClientTx) step(in transaction.Input) transaction.Action {
	if tx.invite {
		return tx.inv.Step(tx.s.now, in)
	}
	return tx.non.Step(tx.s.now, in)
}

func (tx *ClientTx) fire(now transaction.Instant) {
	do := tx.step(transaction.Timer)
	if do.Has(transaction.Send) {
		tx.s.counters.retransmitted.Add(1)
	}
	tx.do(do, nil)
}

// do does what the machine says; m is the response it is about, if any.
func (tx *ClientTx) do(do transaction.Action, m *sip.Message) {
	s := tx.s
	if do.Has(transaction.Send) {
		if err := s.send(tx.flow, tx.req); err != nil {
			do |= tx.step(transaction.TransportError)
		}
	}
	if do.Has(transaction.SendAck) && m != nil {
		if err := s.send(tx.flow, tx.ackFor(m)); err != nil {
			do |= tx.step(transaction.TransportError) &^ transaction.Failed
		}
	}
	if do.Has(transaction.SendCancel) {
		tx.sendCancel()
	}
	var failure error
	switch {
	case do.Has(transaction.TimedOut):
		s.counters.timeouts.Add(1)
		failure = ErrTimeout
	case do.Has(transaction.Failed):
		failure = tx.gone(tx.flow.Err())
	}
	if failure != nil {
		tx.unlist()
		if tx.answered && !do.Has(transaction.Failed) {
			tx.fail(failure)
		} else {
			tx.retry(failure)
		}
		return
	}
	if do.Has(transaction.Done) {
		tx.done()
	} else {
		tx.rearm()
	}
	if do.Has(transaction.Deliver) && !tx.internal {
		tx.deliver(m)
	}
}

func (tx *ClientTx) deliver(m *sip.Message) {
	if m.IsFinal() {
		tx.settle()
	}
	tx.s.e.cfg.User.Response(tx, m)
}

// settle notes that the User has its answer.
func (tx *ClientTx) settle() {
	tx.ended = true
	if tx.counted {
		tx.counted = false
		tx.s.e.end()
	}
}

// retry goes to the next hop, or tells the User that there is none.
func (tx *ClientTx) retry(err error) {
	tx.reportHop(nil)
	if tx.more() && !tx.answered {
		tx.try()
		return
	}
	tx.fail(err)
}

// fail ends the request without a final response.
func (tx *ClientTx) fail(err error) {
	tell := !tx.internal && !tx.ended && !tx.ack
	tx.settle()
	tx.done()
	if tell {
		tx.s.e.cfg.User.Failed(tx, err)
	}
}

// done takes the transaction out of the tables.
func (tx *ClientTx) done() {
	tx.unlist()
	tx.phase = finished
}

func (tx *ClientTx) unlist() {
	tx.s.alarms.remove(&tx.alarm)
	tx.leave()
	if tx.s.clients[tx.key] == tx {
		delete(tx.s.clients, tx.key)
		tx.s.counters.clients.Add(-1)
	}
}

func (tx *ClientTx) rearm() {
	if tx.invite {
		tx.s.alarms.set(&tx.alarm, tx.inv.Deadline())
	} else {
		tx.s.alarms.set(&tx.alarm, tx.non.Deadline())
	}
}

// cancel is the User's wish to cancel.
func (tx *ClientTx) cancel(header []sip.Field) {
	if !tx.invite || tx.ended || tx.cancels {
		return
	}
	tx.cancels, tx.header = true, header
	if tx.phase != sent { // nothing was sent yet
		tx.fail(ErrCancelled)
		return
	}
	tx.do(tx.step(transaction.CancelRequest), nil)
}

// sendCancel sends CANCEL in a transaction of its own. RFC 3261, 9.1: same Request-URI, Call-ID, To, From, number of CSeq,
// a single Via equal to the request's top one, and its Route values.
func (tx *ClientTx) sendCancel() {
	m := sip.NewRequest(sip.CANCEL, tx.req.RequestURI())
	m.PrependVia(tx.req.TopVia())
	m.SetFrom(tx.req.From())
	m.SetTo(tx.req.To())
	m.SetCallID(tx.req.CallID())
	m.SetCSeq(sip.CSeq{Seq: tx.req.CSeq().Seq, Method: sip.CANCEL})
	m.SetMaxForwards(70)
	copyRoutes(m, tx.req)
	for _, f := range tx.header {
		m.Add(f.Name, f.Value)
	}
	c := &ClientTx{
		s: tx.s, req: m, hop: tx.hop, key: clientKey{tx.key.branch, true}, internal: true, ended: true, timers: tx.timers,
	}
	c.alarm.owner = c
	c.use(tx.flow)
	_ = c.launch()
}

// ackFor builds the ACK for a non-2xx final response. RFC 3261, 17.1.1.3.
func (tx *ClientTx) ackFor(res *sip.Message) *sip.Message {
	m := sip.NewRequest(sip.ACK, tx.req.RequestURI())
	m.PrependVia(tx.req.TopVia())
	m.SetFrom(tx.req.From())
	m.SetTo(res.To())
	m.SetCallID(tx.req.CallID())
	m.SetCSeq(sip.CSeq{Seq: tx.req.CSeq().Seq, Method: sip.ACK})
	m.SetMaxForwards(70)
	copyRoutes(m, tx.req)
	return m
}

func copyRoutes(to, from *sip.Message) {
	for _, value := range from.Headers("Route") {
		to.Add("Route", value)
	}
}
