package endpoint

import (
	"context"
	crand "crypto/rand"
	"errors"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Endpoint is a running SIP element: listeners, connections, transactions. It owns its goroutines until Close returns.
type Endpoint struct {
	cfg       Config
	timers    transaction.Timers
	origin    time.Time
	seed      maphash.Seed
	transport *transport.Transport
	shards    []*shard
	buckets   buckets
	resolving chan struct{}
	base      context.Context // done when the endpoint closes: for the resolver
	stop      context.CancelFunc
	wg        sync.WaitGroup

	serverCount atomic.Int64 // server transactions
	open        atomic.Int64 // transactions without a final response
	closing     atomic.Bool
	closeOnce   sync.Once
	idle        chan struct{} // told when open becomes 0 while closing
	limited     atomic.Uint64 // requests refused before they reached a shard
}

// New starts an endpoint without listeners.
func New(cfg Config) (*Endpoint, error) {
	if cfg.User == nil {
		return nil, errors.New("endpoint: a User is needed")
	}
	if cfg.Shards <= 0 {
		cfg.Shards = runtime.GOMAXPROCS(0)
	}
	cfg.Limits = cfg.Limits.withDefaults()
	e := &Endpoint{
		cfg: cfg, timers: cfg.Timers.WithDefaults(), origin: time.Now(), seed: maphash.MakeSeed(),
		resolving: make(chan struct{}, cfg.Limits.Resolving), idle: make(chan struct{}, 1),
	}
	e.base, e.stop = context.WithCancel(context.Background())
	e.buckets.limits = &e.cfg.Limits
	for range cfg.Shards {
		var seed [32]byte
		_, _ = crand.Read(seed[:])
		e.shards = append(e.shards, newShard(e, seed))
	}
	e.transport = transport.New(cfg.Transport, receiver{e})
	for _, s := range e.shards {
		e.wg.Add(1)
		go s.run()
	}
	return e, nil
}

// Listen adds a listener.
func (e *Endpoint) Listen(lc transport.ListenConfig) (*transport.Listener, error) {
	return e.transport.Listen(lc)
}

// Transport is the transport below, for its listeners, counters and flows.
func (e *Endpoint) Transport() *transport.Transport { return e.transport }

// Request sends a request other than ACK in a new client transaction. The endpoint adds Via, and Max-Forwards when it is
// missing; it owns req from now on. Responses and failures come to the User under req's Call-ID. The error is ErrClosed
// or says what is missing in req.
func (e *Endpoint) Request(req *sip.Message, to Target) (*ClientTx, error) {
	return e.RequestTag(req, to, nil)
}

// RequestTag is Request with a value of the caller's in ClientTx.Tag.
func (e *Endpoint) RequestTag(req *sip.Message, to Target, tag any) (*ClientTx, error) {
	if req.Method() == sip.ACK {
		return nil, errors.New("endpoint: ACK has no transaction, use Send")
	}
	return e.launch(req, to, tag)
}

// Send sends a message outside of any transaction: the ACK for a 2xx, with its own Via branch (RFC 3261, 13.2.2.4).
func (e *Endpoint) Send(m *sip.Message, to Target) error {
	if m.Method() != sip.ACK {
		return errors.New("endpoint: only ACK goes without a transaction")
	}
	_, err := e.launch(m, to, nil)
	return err
}

func (e *Endpoint) launch(req *sip.Message, to Target, tag any) (*ClientTx, error) {
	if err := complete(req); err != nil {
		return nil, err
	}
	if e.cfg.Outgoing != nil {
		e.cfg.Outgoing(req, to.Policy, to.Flow)
	}
	s := e.shard(req.CallID())
	tx := &ClientTx{
		Tag: tag, s: s, req: req, to: to, invite: req.Method() == sip.INVITE, ack: req.Method() == sip.ACK,
	}
	if !s.ask(item{kind: askRequest, obj: tx}) {
		return nil, ErrClosed
	}
	return tx, nil
}

// complete checks what the caller must have set. RFC 3261, 8.1.1.
func complete(req *sip.Message) error {
	switch {
	case !req.IsRequest():
		return errors.New("endpoint: a response is sent with ServerTx.Respond")
	case req.CallID() == "":
		return errors.New("endpoint: the request has no Call-ID")
	case req.FromTag() == "":
		return errors.New("endpoint: the request has no From tag")
	case req.To().URI.Scheme == "":
		return errors.New("endpoint: the request has no To")
	case req.CSeq().Method != req.Method():
		return errors.New("endpoint: the request has no CSeq, or one of another method")
	}
	if _, ok := req.MaxForwards(); !ok {
		req.SetMaxForwards(70)
	}
	return nil
}

// Post hands v to User.Posted on the goroutine of callID, behind what is queued for it already.
func (e *Endpoint) Post(callID string, v any) {
	e.shard(callID).put(item{kind: post, obj: v, id: callID})
}

// Leave is Post without a wake-up: for a Relay, after which the shards are run anyway, and for who calls Wake afterwards.
func (e *Endpoint) Leave(callID string, v any) {
	e.shard(callID).leave(item{kind: post, obj: v, id: callID})
}

// Wake has the shards' goroutines see to what was left.
func (e *Endpoint) Wake() { e.runShards(0) }

// carry has the Relay run and the shards that have something to do and nobody at work, by turns until nothing is left; after most
// messages what is left is for the goroutines that are there for it. Nothing is held between two turns.
func (e *Endpoint) carry(most int) {
	for n := 1; n > 0; most -= n {
		if e.cfg.Relay != nil {
			e.cfg.Relay.Onward()
		}
		n = e.runShards(most)
	}
}

// runShards runs the shards with something to do and nobody at work, as far as most allows, and returns how much there was. For
// the others it wakes their goroutines.
func (e *Endpoint) runShards(most int) (done int) {
	for _, s := range e.shards {
		n := int(s.waiting.Load() + s.asked.Load())
		switch {
		case n == 0:
		case done >= most:
			s.rouse()
		case s.enter():
			s.work(most - done)
			done += n
		}
	}
	return done
}

// After is Post, d from now, unless the timer is stopped before.
func (e *Endpoint) After(callID string, d time.Duration, v any) *Timer {
	s := e.shard(callID)
	t := &Timer{s: s, callID: callID, v: v}
	t.at = e.instant().Add(d)
	s.ask(item{kind: askAfter, obj: t})
	return t
}

// Flows are snapshots of all flows, for `show connections`.
func (e *Endpoint) Flows() []transport.FlowInfo { return e.transport.Flows() }

// Stats are the counters.
func (e *Endpoint) Stats() Stats {
	st := Stats{ServerTransactions: int(e.serverCount.Load()), Refused: e.limited.Load()}
	for _, s := range e.shards {
		c := &s.counters
		st.ClientTransactions += int(c.clients.Load())
		st.Mailbox += int(s.waiting.Load())
		st.Wait = max(st.Wait, time.Duration(s.wait.Load()))
		if s.shedding.Load() {
			st.Shedding++
		}
		st.Requests += c.requests.Load()
		st.Responses += c.responses.Load()
		st.Refused += c.refused.Load()
		st.Merged += c.merged.Load()
		st.Stray += c.stray.Load()
		st.Absorbed += c.absorbed.Load()
		st.Retransmitted += c.retransmitted.Load()
		st.Timeouts += c.timeouts.Load()
	}
	return st
}

// Close answers new requests with 503, waits until ctx is done or every transaction has its final response, then closes
// all listeners and flows. No goroutine is left when it returns. Values posted afterwards are dropped.
func (e *Endpoint) Close(ctx context.Context) error {
	var err error
	e.closeOnce.Do(func() {
		e.closing.Store(true)
		if err = e.settle(ctx); err == nil && e.open.Load() > 0 {
			select {
			case <-e.idle:
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		e.stop()
		_ = e.transport.Close()
		for _, s := range e.shards {
			s.end()
		}
		e.wg.Wait()
	})
	return err
}

// settle waits until every shard has done what was queued before: what was posted may still open transactions (the BYEs of
// calls that end with the service).
func (e *Endpoint) settle(ctx context.Context) error {
	for _, s := range e.shards {
		reached := make(chan struct{})
		s.put(item{kind: mark, obj: reached})
		select {
		case <-reached:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// begin and end count the transactions without a final response.
func (e *Endpoint) begin() { e.open.Add(1) }

func (e *Endpoint) end() {
	if e.open.Add(-1) == 0 && e.closing.Load() {
		select {
		case e.idle <- struct{}{}:
		default:
		}
	}
}

func (e *Endpoint) shard(callID string) *shard {
	return e.shards[maphash.String(e.seed, callID)%uint64(len(e.shards))]
}

// receiver is the endpoint as the transport's Handler. Its methods run on the readers of the connections.
type receiver struct{ e *Endpoint }

// Message refuses what is past a limit before any state is made, and puts the rest into the mailbox of its shard.
func (r receiver) Message(f *transport.Flow, m *sip.Message) {
	e := r.e
	s := e.shard(m.CallID())
	now := e.instant()
	if !existing(m) {
		full := s.waiting.Load() >= int64(e.cfg.Limits.Mailbox)
		if full || !e.buckets.allow(f.Remote().Addr(), m, now) {
			e.limited.Add(1)
			e.refuse(f, m)
			f.Processed()
			return
		}
	}
	i := item{kind: wire, at: now, flow: f, msg: m}
	if f.Pressed() {
		s.put(i)
		return
	}
	s.leave(i)
}

// Rest has the reader do the work for what it has brought.
func (r receiver) Rest(*transport.Flow) { r.e.carry(carryMost) }

// carryMost is how many messages a reader sees to before it reads again.
const carryMost = 64

// Opened tells all shards: any of them may have requests that wait for the connection.
func (r receiver) Opened(f *transport.Flow) { r.tell(opened, f) }

// Closed tells all shards.
func (r receiver) Closed(f *transport.Flow, _ error) { r.tell(closed, f) }

func (r receiver) tell(k kind, f *transport.Flow) {
	for _, s := range r.e.shards {
		s.put(item{kind: k, flow: f})
	}
}
