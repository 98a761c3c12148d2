package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/bus/board"
	"github.com/nats-io/nats.go"
)

// Handler answers a request. A returned *Error keeps its code; any other error
// becomes CodeInternal.
type Handler[Req, Res any] func(ctx context.Context, req Req) (Res, error)

// Answer is what one node said.
type Answer[T any] struct {
	Node  string `json:"node"`
	Value T      `json:"value"`
	// Err is set when the node refused or did not answer in time.
	Err *Error `json:"error,omitempty"`
}

// Responder serves one subject until Close.
type Responder struct {
	sub    *nats.Subscription
	online func() bool
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
	mu     sync.Mutex
	closed bool // no handler starts any more
}

// begin counts a handler; false after Close.
func (r *Responder) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.wg.Add(1)
	}
	return !r.closed
}

// maxInFlight bounds the requests one responder works on at the same time;
// further ones are told CodeUnavailable.
const maxInFlight = 32

// Serve answers requests on a subject of this node. Handlers run concurrently,
// up to 32 at a time, and see their context end with Close.
func Serve[Req, Res any](b *Bus, s Subject, h Handler[Req, Res]) (*Responder, error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Responder{cancel: cancel, online: b.conn.IsConnected}
	slots := make(chan struct{}, maxInFlight)
	sub, err := b.conn.Subscribe(s.String(), func(m *nats.Msg) {
		select {
		case slots <- struct{}{}:
		default:
			reply(m, Answer[Res]{Node: b.node, Err: &Error{CodeUnavailable, "too many requests at the same time; ask again"}})
			return
		}
		if !r.begin() {
			<-slots
			return
		}
		go func() {
			defer func() { <-slots; r.wg.Done() }()
			if b.late(m) {
				reply(m, Answer[Res]{Node: b.node, Err: &Error{CodeUnavailable, "the request came too late: " + b.node + " or the way to it had stopped; ask again"}})
				return
			}
			reply(m, answer(ctx, b.node, m.Data, h))
		}()
	})
	if err == nil {
		err = b.conn.FlushTimeout(defaultConnectTimeout)
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("bus: serve %s: %w", s, err)
	}
	r.sub = sub
	return r, nil
}

// Close stops answering and waits for handlers that run.
func (r *Responder) Close() { r.once.Do(r.close) }

func (r *Responder) close() {
	if drained := make(chan struct{}); r.online() { // those that were asked before get their answer
		r.sub.SetClosedHandler(func(string) { close(drained) })
		if r.sub.Drain() == nil {
			select {
			case <-drained:
			case <-time.After(askTimeout): // the connection went away meanwhile
			}
		}
	} else {
		_ = r.sub.Unsubscribe() // nobody is there to be waited for
	}
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
}

func answer[Req, Res any](ctx context.Context, node string, data []byte, h Handler[Req, Res]) (a Answer[Res]) {
	a.Node = node
	var req Req
	if err := json.Unmarshal(data, &req); err != nil {
		a.Err = &Error{CodeInvalid, fmt.Sprintf("the request is not a %T: %v", req, err)}
		return a
	}
	v, err := h(ctx, req)
	if err != nil {
		a.Err = asError(err)
		return a
	}
	a.Value = v
	return a
}

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{CodeInternal, err.Error()}
}

func reply[Res any](m *nats.Msg, a Answer[Res]) {
	data, err := json.Marshal(a)
	if err != nil {
		data = refusal(a.Node, "the answer cannot be encoded: "+err.Error())
	}
	if err := m.Respond(data); errors.Is(err, nats.ErrMaxPayload) {
		_ = m.Respond(refusal(a.Node, "the answer is larger than the bus carries; ask for less"))
	}
}

// refusal is an answer without a value.
func refusal(node, why string) []byte {
	data, _ := json.Marshal(struct { // strings always encode
		Node string `json:"node"`
		Err  *Error `json:"error"`
	}{node, &Error{CodeInternal, why}})
	return data
}

// Ask asks one node and waits for its answer until ctx ends (at most 5 s when
// ctx has no deadline). The error is an *Error: CodeNoResponder when nobody
// serves the subject, CodeTimeout, or the node's own.
func Ask[Req, Res any](ctx context.Context, b *Bus, s Subject, req Req) (Res, error) {
	var zero Res
	if s.Node == Any {
		return zero, &Error{CodeInvalid, "Ask wants one node; AskAll gathers from many"}
	}
	answers, err := AskAll[Req, Res](ctx, b, s, req, s.Node)
	if err != nil {
		return zero, err
	}
	if e := answers[0].Err; e != nil {
		return zero, e
	}
	return answers[0].Value, nil
}

// lifeHeader carries the asker and two lives: that in which it asks, and that in which it knows who is asked. Values of the form
// "NODE LIFE LIFE". Whoever is asked refuses what waited so long that nobody waits for it any more; no two clocks are compared.
const lifeHeader = "Locktone-Life"

// stamp is the header of a question to a node.
func (b *Bus) stamp(node string) nats.Header {
	mine, its := b.board.lives(node)
	return nats.Header{lifeHeader: {b.node + " " + mine.String() + " " + its.String()}}
}

// late reports whether a question comes too late. One without the header is of an older release, or no question of ours.
func (b *Bus) late(m *nats.Msg) bool {
	f := strings.Fields(m.Header.Get(lifeHeader))
	if len(f) != 3 || f[0] == b.node {
		return false
	}
	its, err := board.ParseLife(f[1])
	mine, err2 := board.ParseLife(f[2])
	return err == nil && err2 == nil && b.board.late(f[0], its, mine)
}

// askTimeout bounds a question whose context has no deadline.
const askTimeout = 5 * time.Second

// AskAll asks every node named and gathers one answer of each, ordered by
// node; a node that stays silent gets an answer with CodeTimeout, one whose
// service is not there CodeNoResponder. The error is for the question itself.
func AskAll[Req, Res any](ctx context.Context, b *Bus, s Subject, req Req, nodes ...string) ([]Answer[Res], error) {
	data, err := json.Marshal(req)
	if err != nil {
		return nil, &Error{CodeInvalid, fmt.Sprintf("encode %T: %v", req, err)}
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, askTimeout)
		defer cancel()
	}
	nodes = slices.Compact(slices.Sorted(slices.Values(nodes)))
	out := make([]Answer[Res], len(nodes))
	var wg sync.WaitGroup
	for i, node := range nodes {
		wg.Go(func() { out[i] = askOne[Res](ctx, b, s.To(node), data) })
	}
	wg.Wait()
	sort.SliceStable(out, func(i, j int) bool { return out[i].Node < out[j].Node })
	return out, nil
}

func askOne[Res any](ctx context.Context, b *Bus, s Subject, data []byte) (a Answer[Res]) {
	m, err := b.conn.RequestMsgWithContext(ctx, &nats.Msg{Subject: s.String(), Data: data, Header: b.stamp(s.Node)})
	if err == nil {
		err = json.Unmarshal(m.Data, &a)
	}
	a.Node = s.Node
	switch {
	case err == nil:
	case errors.Is(err, nats.ErrNoResponders):
		a.Err = &Error{CodeNoResponder, fmt.Sprintf("nobody on %s serves %s %s; is the service running there?", s.Node, s.Service, s.Verb)}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout), errors.Is(err, context.Canceled):
		a.Err = &Error{CodeTimeout, fmt.Sprintf("%s did not answer %s %s in time", s.Node, s.Service, s.Verb)}
	default:
		a.Err = &Error{CodeUnavailable, "bus: " + err.Error()}
	}
	return a
}
