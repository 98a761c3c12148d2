package endpoint

import (
	"slices"
	"strconv"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// serverKey finds the server transaction of a request. RFC 3261, 17.2.3: branch, sent-by and method, INVITE for ACK and
// CANCEL.
type serverKey struct {
	branch, host string
	port         int
	method       sip.Method
}

func keyOf(m *sip.Message, method sip.Method) serverKey {
	v := m.TopVia()
	branch := v.Branch()
	if len(branch) <= len(sip.MagicCookie) || branch[:len(sip.MagicCookie)] != sip.MagicCookie {
		// RFC 3261, 17.2.3: RFC 2543 elements are matched by these fields instead of the branch.
		branch = "2543 " + m.RequestURI().String() + " " + m.FromTag() + " " + m.CallID() + " " +
			strconv.FormatUint(uint64(m.CSeq().Seq), 10) + " " + branch
	}
	return serverKey{branch, v.Host, v.Port, method}
}

// mergeKey finds a request that came before on another way. RFC 3261, 8.2.2.2.
type mergeKey struct {
	callID, fromTag string
	seq             uint32
	method          sip.Method
}

// dialogKey finds the INVITEs of a dialog that got a 2xx: the one an ACK acknowledges (RFC 3261, 13.2.2.4: same Call-ID, CSeq number and To
// tag), and those whose 2xx need not be repeated any more because the dialog has ended.
type dialogKey struct{ callID, localTag string }

// ServerTx is a server transaction: one request from a peer and our responses to it. Its methods may be called from any
// goroutine; its fields belong to the shard.
type ServerTx struct {
	s    *shard
	flow *transport.Flow
	req  *sip.Message
	key  serverKey
	tag  string

	invite     bool
	stateless  bool
	mergeable  bool // stands in merges
	cancelled  bool
	cancel     *sip.Message
	final      bool      // a final response was given
	of         *ServerTx // the INVITE a stateless tx acknowledges
	inv        transaction.ServerInvite
	non        transaction.ServerRequest
	success    transaction.SuccessSender
	last       *sip.Message // latest response
	successMsg *sip.Message // 2xx to repeat until its ACK
	dialog     dialogKey    // stands in accepted when callID is not empty
	older      *ServerTx    // the next one of the same dialog in accepted
	alarm      alarm
}

// Request is the request that opened the transaction; do not change it.
func (tx *ServerTx) Request() *sip.Message { return tx.req }

// Flow is the flow the request came on.
func (tx *ServerTx) Flow() *transport.Flow { return tx.flow }

// Stateless is true for an ACK that acknowledges a 2xx: it takes no response.
func (tx *ServerTx) Stateless() bool { return tx.stateless }

// Invite is the INVITE transaction whose 2xx a stateless tx acknowledges; nil when it is not known (any more).
func (tx *ServerTx) Invite() *ServerTx { return tx.of }

// LocalTag is the To tag the endpoint puts into responses above 100 that have none. A User that makes dialogs takes it as
// its own tag, so that the 200 to a CANCEL carries the same (RFC 3261, 9.2).
func (tx *ServerTx) LocalTag() string { return tx.tag }

// Respond sends a response: provisional, final, or a further 2xx. The endpoint owns res from now on. A provisional or
// non-2xx final after a final response is dropped, so that a 487 after Cancelled cannot harm an INVITE that was answered
// at the same moment.
func (tx *ServerTx) Respond(res *sip.Message) error {
	if tx.stateless {
		return ErrStateless
	}
	if change := tx.s.e.cfg.Outgoing; change != nil {
		change(res, "", tx.flow)
	}
	tx.s.ask(item{kind: askRespond, msg: res, obj: tx})
	return nil
}

// Reply is Respond with a response of this status and the standard phrase when reason is empty.
func (tx *ServerTx) Reply(status int, reason string) error {
	return tx.Respond(sip.NewResponse(tx.req, status, reason))
}

// request finds the transaction of a request, or makes one.
func (s *shard) request(f *transport.Flow, m *sip.Message) {
	switch m.Method() {
	case sip.ACK:
		s.acknowledge(f, m)
		return
	case sip.CANCEL:
		s.cancelled(f, m)
		return
	}
	key := keyOf(m, m.Method())
	if tx := s.servers[key]; tx != nil {
		s.counters.absorbed.Add(1)
		tx.step(transaction.Request)
		return
	}
	if s.mustRefuse(m) {
		s.counters.refused.Add(1)
		s.e.refuse(f, m)
		return
	}
	merge := mergeKey{m.CallID(), m.FromTag(), m.CSeq().Seq, m.Method()}
	if m.ToTag() == "" && s.merges[merge] != nil {
		s.counters.merged.Add(1)
		s.e.answer(f, m, 482, "")
		return
	}
	tx := s.open(f, m, key)
	if m.Method() == sip.BYE {
		s.dialogEnded(f, dialogKey{m.CallID(), m.ToTag()})
	}
	if m.ToTag() == "" {
		tx.mergeable = true
		s.merges[merge] = tx
	}
	s.e.cfg.User.Request(tx, m)
}

func (s *shard) open(f *transport.Flow, m *sip.Message, key serverKey) *ServerTx {
	tx := &ServerTx{s: s, flow: f, req: m, key: key, invite: m.Method() == sip.INVITE}
	tx.tag = m.ToTag()
	if tx.tag == "" {
		tx.tag = s.token("")
	}
	tx.alarm.owner = tx
	if v := m.TopVia(); f.Network() == transport.TLS && v.Params.Has("alias") {
		f.Alias(uint16(v.Port))
	}
	s.servers[key] = tx
	s.e.serverCount.Add(1)
	s.e.begin()
	reliable := f.Network().Reliable()
	if tx.invite {
		tx.inv.Start(s.now, &s.e.timers, reliable)
	} else {
		tx.non.Start(s.now, &s.e.timers, reliable)
	}
	tx.rearm()
	return tx
}

// mustRefuse says whether a request that would open a transaction is past a limit. Requests of existing calls are served
// until twice the number of transactions.
func (s *shard) mustRefuse(m *sip.Message) bool {
	n, most := s.e.serverCount.Load(), int64(s.e.cfg.Limits.Transactions)
	if existing(m) {
		return n >= 2*most
	}
	return n >= most || s.shedding.Load() || s.e.closing.Load()
}

// acknowledge is ACK: for a non-2xx it ends the retransmissions, for a 2xx it also goes to the User.
func (s *shard) acknowledge(f *transport.Flow, m *sip.Message) {
	if tx := s.servers[keyOf(m, sip.INVITE)]; tx != nil && tx.invite && tx.inv.State() != transaction.Accepted {
		if samePeer(f, tx.flow) {
			tx.step(transaction.Acknowledge)
		}
		return
	}
	if m.ToTag() == s.e.statelessTag(m) { // RFC 3261, 16.11: answers a response we did not remember
		return
	}
	tx := s.accepted[dialogKey{m.CallID(), m.ToTag()}]
	for tx != nil && tx.req.CSeq().Seq != m.CSeq().Seq {
		tx = tx.older
	}
	if tx != nil && samePeer(f, tx.flow) {
		tx.settled()
	}
	s.e.cfg.User.Request(&ServerTx{s: s, flow: f, req: m, tag: m.ToTag(), stateless: true, of: tx}, m)
}

// settled ends the retransmission of a 2xx.
func (tx *ServerTx) settled() {
	if tx.successMsg == nil {
		return
	}
	tx.successMsg, tx.last = nil, nil // what lingers until Timer L only absorbs: it need not hold the answer
	tx.success.Step(tx.s.now, transaction.Acknowledge)
	tx.rearm()
}

// dialogEnded is a BYE of either side. RFC 3261, 15.1.2: the session is over, so nobody waits for the ACK of a 2xx within it any more. f is the
// flow of the peer's BYE; ours has none yet.
func (s *shard) dialogEnded(f *transport.Flow, k dialogKey) {
	for tx := s.accepted[k]; tx != nil; tx = tx.older {
		if f == nil || samePeer(f, tx.flow) {
			tx.settled()
		}
	}
}

// Cancel is the peer's CANCEL, which may say why; to be read in Cancelled.
func (tx *ServerTx) Cancel() *sip.Message { return tx.cancel }

// cancelled is CANCEL. RFC 3261, 9.2: 481 when nothing matches, else 200, and the INVITE is cancelled unless it has its
// final response. The answer needs no memory: a repeated CANCEL gets it again.
func (s *shard) cancelled(f *transport.Flow, m *sip.Message) {
	tx := s.servers[keyOf(m, sip.INVITE)]
	if tx == nil || !tx.invite || !samePeer(f, tx.flow) {
		s.e.answer(f, m, 481, "")
		return
	}
	ok := sip.NewResponse(m, 200, "")
	ok.SetToTag(tx.tag)
	_ = s.send(f.ForReply(m.TopVia()), ok)
	if !tx.final && !tx.cancelled {
		tx.cancelled, tx.cancel = true, m
		s.e.cfg.User.Cancelled(tx)
		tx.cancel = nil // it is not kept
	}
}

// samePeer says whether a message that refers to a transaction comes from who may: over TLS from the same identity, which
// may show another certificate when it is the client; without a certificate, from the same address.
func samePeer(a, b *transport.Flow) bool {
	if a == b {
		return true
	}
	if a.Network() != transport.TLS && b.Network() != transport.TLS {
		return true
	}
	p, q := a.Peer(), b.Peer()
	if a.Network() != b.Network() || p.Verified() != q.Verified() {
		return false
	}
	if !p.Verified() {
		return a.Remote().Addr() == b.Remote().Addr()
	}
	return p.Key == q.Key || slices.ContainsFunc(p.Names, q.Covers)
}

// respond is a response of the User.
func (tx *ServerTx) respond(res *sip.Message) {
	s, status := tx.s, res.Status()
	if status > 100 {
		res.SetToTag(tx.tag)
		if own := res.ToTag(); own != tx.tag {
			tx.tag = own
		}
	}
	var do transaction.Action
	if tx.invite {
		do = tx.inv.Respond(s.now, status)
	} else {
		do = tx.non.Respond(s.now, status)
	}
	if do.Has(transaction.Send) {
		tx.last = res
	}
	if status >= 200 && !tx.final {
		tx.final = true
		s.e.end()
	}
	if do.Has(transaction.Send) && tx.invite && res.IsSuccess() {
		tx.repeatSuccess(res)
	}
	tx.do(do)
}

// repeatSuccess starts the retransmission of a 2xx. RFC 3261, 13.3.1.4.
func (tx *ServerTx) repeatSuccess(res *sip.Message) {
	if tx.dialog.callID != "" {
		return
	}
	tx.dialog = dialogKey{res.CallID(), res.ToTag()}
	tx.older = tx.s.accepted[tx.dialog]
	tx.s.accepted[tx.dialog] = tx
	tx.successMsg = res
	tx.success.Start(tx.s.now, &tx.s.e.timers)
}

// step gives the machine an input and does what it says.
func (tx *ServerTx) step(in transaction.Input) {
	if tx.invite {
		tx.do(tx.inv.Step(tx.s.now, in))
	} else {
		tx.do(tx.non.Step(tx.s.now, in))
	}
}

func (tx *ServerTx) fire(now transaction.Instant) {
	if tx.successMsg != nil {
		tx.repeat(tx.success.Step(now, transaction.Timer))
	}
	var do transaction.Action
	if tx.invite {
		do = tx.inv.Step(now, transaction.Timer)
	} else {
		do = tx.non.Step(now, transaction.Timer)
	}
	if do.Has(transaction.Send) {
		tx.s.counters.retransmitted.Add(1)
	}
	tx.do(do)
}

// repeat does what the retransmission of a 2xx says. It stays on the connection of the request: RFC 3261, 18.2.2 opens another one for a
// response that could not be sent, and this one was. Whoever is behind the address of the Via by then need not be the peer.
func (tx *ServerTx) repeat(do transaction.Action) {
	if do.Has(transaction.Send) && tx.flow.Alive() {
		tx.s.counters.retransmitted.Add(1)
		_ = tx.s.send(tx.flow.ForReply(tx.req.TopVia()), tx.successMsg)
	}
	if do.Has(transaction.TimedOut) {
		tx.successMsg = nil
		tx.s.counters.timeouts.Add(1)
		tx.s.e.cfg.User.Posted(tx.req.CallID(), NoAck{tx})
	}
}

func (tx *ServerTx) do(do transaction.Action) {
	s := tx.s
	if do.Has(transaction.SendTrying) {
		tx.last = sip.NewResponse(tx.req, 100, "")
		do |= transaction.Send
	}
	if do.Has(transaction.Send) && tx.last != nil {
		if err := tx.transmit(tx.last); err != nil {
			tx.failed(err)
			return
		}
	}
	if do.Has(transaction.TimedOut) {
		s.counters.timeouts.Add(1)
		s.e.cfg.User.Posted(tx.req.CallID(), ServerFailed{tx, ErrTimeout})
	}
	if do.Has(transaction.Done) {
		tx.forget()
		return
	}
	tx.rearm()
}

// failed is a response that could not be sent. RFC 3261, 17.2.4.
func (tx *ServerTx) failed(err error) {
	var do transaction.Action
	if tx.invite {
		do = tx.inv.Step(tx.s.now, transaction.TransportError)
		if do.Has(transaction.Failed) {
			tx.s.e.cfg.User.Posted(tx.req.CallID(), ServerFailed{tx, err})
		}
	} else {
		do = tx.non.Step(tx.s.now, transaction.TransportError)
	}
	if do.Has(transaction.Done) || tx.terminated() {
		tx.forget()
		return
	}
	tx.rearm()
}

func (tx *ServerTx) terminated() bool {
	if tx.invite {
		return tx.inv.State() == transaction.Terminated
	}
	return tx.non.State() == transaction.Terminated
}

// transmit sends a response. RFC 3261, 18.2.2: on the connection of the request; when that has gone, on a new one to the
// address it came from and the port of sent-by. Over TLS the new peer must prove a name of the old one.
func (tx *ServerTx) transmit(m *sip.Message) error {
	v := tx.req.TopVia()
	err := tx.s.send(tx.flow.ForReply(v), m)
	if err == nil || tx.flow.Network() == transport.UDP {
		return err
	}
	port := uint16(v.Port)
	if port == 0 {
		port = tx.flow.Network().Port()
	}
	d := transport.Dest{
		Network: tx.flow.Network(), LocalIdentity: tx.flow.LocalIdentity(), Addr: addrPort(tx.flow.Remote().Addr(), port),
	}
	if d.Network == transport.TLS {
		names := tx.flow.Peer().Names
		if len(names) == 0 {
			return err
		}
		d.ServerName = names[0]
	}
	again, openErr := tx.s.e.transport.Flow(d)
	if openErr != nil {
		return err
	}
	return tx.s.send(again, m)
}

// rearm sets the alarm to the nearer deadline.
func (tx *ServerTx) rearm() {
	var at transaction.Instant
	if tx.invite {
		at = tx.inv.Deadline()
	} else {
		at = tx.non.Deadline()
	}
	if tx.successMsg != nil {
		if d := tx.success.Deadline(); d != 0 && (at == 0 || d < at) {
			at = d
		}
	}
	tx.s.alarms.set(&tx.alarm, at)
}

// unlist takes the transaction out of those of its dialog.
func (tx *ServerTx) unlist() {
	s := tx.s
	first := s.accepted[tx.dialog]
	switch {
	case tx.dialog.callID == "":
	case first != tx:
		for p := first; p != nil; p = p.older {
			if p.older == tx {
				p.older = tx.older
				break
			}
		}
	case tx.older != nil:
		s.accepted[tx.dialog] = tx.older
	default:
		delete(s.accepted, tx.dialog)
	}
	tx.older = nil
}

// forget takes an ended transaction out of the tables.
func (tx *ServerTx) forget() {
	s := tx.s
	if s.servers[tx.key] != tx {
		return
	}
	if tx.successMsg != nil { // Timer L and the last retransmission are due at the same moment
		tx.repeat(transaction.TimedOut)
	}
	s.alarms.remove(&tx.alarm)
	delete(s.servers, tx.key)
	if tx.mergeable {
		delete(s.merges, mergeKey{tx.req.CallID(), tx.req.FromTag(), tx.req.CSeq().Seq, tx.req.Method()})
	}
	tx.unlist()
	s.e.serverCount.Add(-1)
	if !tx.final {
		tx.final = true
		s.e.end()
	}
}
