package live

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
)

const (
	followLease  = 15 * time.Second // a session that nobody keeps alive for so long is over
	maxFollowers = 128              // sessions of one engine
	followRoom   = 8192             // events a session may be behind its engine; then it gets a snapshot
	frameSize    = 256 << 10        // about the most bytes of one message; NATS takes 1 MiB where nobody has said otherwise
	replyKept    = time.Minute      // how long the answer to a request is known, for who asks again
	maxReplies   = 4096             // answers that are known
)

// A BusPort connects a host with the bus until Close: it serves requests, and it publishes events to those who follow the engine.
//
// Nobody who follows costs nobody anything: without sessions no event is looked at. A session has a watcher of its own, so a slow one
// lags alone, and the engine never waits for the bus. Sessions share the JSON of events.
type BusPort struct {
	host    *Host
	bus     *bus.Bus
	service string
	engine  string

	responders []*bus.Responder
	texts      texts
	replies    replies

	mu       sync.Mutex
	sessions map[string]*session
	closed   bool
	wg       sync.WaitGroup
}

// Connect serves the host's engine on the bus under the service's name.
func (h *Host) Connect(b *bus.Bus, service string) (*BusPort, error) {
	p := &BusPort{host: h, bus: b, service: service, engine: rand.Text(), sessions: map[string]*session{}, replies: replies{known: map[string]*keptReply{}}}
	requests, err := bus.Serve(b, b.Subject(service, VerbRequests), p.serveRequest)
	if err != nil {
		return nil, fmt.Errorf("live: serve requests for %s: %w", service, err)
	}
	follow, err := bus.Serve(b, b.Subject(service, VerbFollow), p.serveFollow)
	if err != nil {
		requests.Close()
		return nil, fmt.Errorf("live: serve followers for %s: %w", service, err)
	}
	p.responders = []*bus.Responder{requests, follow}
	return p, nil
}

// Close ends all sessions and waits for them.
func (p *BusPort) Close() {
	for _, r := range p.responders {
		r.Close()
	}
	p.mu.Lock()
	p.closed = true
	for _, s := range p.sessions {
		s.end()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// Followers is how many sessions there are; of nil none.
func (p *BusPort) Followers() int {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sessions)
}

// serveRequest hands a request to the engine, once for each ID.
func (p *BusPort) serveRequest(ctx context.Context, m BusRequest) (call.Reply, error) {
	r, err := m.unpack()
	if err != nil {
		return call.Reply{}, &bus.Error{Code: bus.CodeInvalid, Message: err.Error()}
	}
	if m.ID == "" {
		return p.request(ctx, m.By, r)
	}
	kept, first := p.replies.take(m.ID, time.Now())
	if first {
		kept.reply, kept.err = p.request(ctx, m.By, r)
		close(kept.done)
	}
	select {
	case <-kept.done:
		return kept.reply, kept.err
	case <-ctx.Done():
		return call.Reply{}, ctx.Err()
	}
}

func (p *BusPort) request(ctx context.Context, by string, r call.Request) (call.Reply, error) {
	reply, err := p.host.Request(ctx, by, r)
	var refused *RefusedError
	if errors.As(err, &refused) {
		return call.Reply{Cause: refused.Cause, Why: refused.Error()}, nil
	}
	return reply, err
}

// replies are the answers of the last minute.
type replies struct {
	mu    sync.Mutex
	known map[string]*keptReply
	order []*keptReply // oldest first
}

type keptReply struct {
	id    string
	at    time.Time
	done  chan struct{} // closed once the two below stand
	reply call.Reply
	err   error
}

// take finds the answer to a request, or makes room for it: then the caller is the first.
func (r *replies) take(id string, now time.Time) (k *keptReply, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.order) > 0 && (len(r.order) >= maxReplies || now.Sub(r.order[0].at) > replyKept) {
		delete(r.known, r.order[0].id)
		r.order[0] = nil
		r.order = r.order[1:]
	}
	if k = r.known[id]; k != nil {
		return k, false
	}
	k = &keptReply{id: id, at: now, done: make(chan struct{})}
	r.known[id] = k
	r.order = append(r.order, k)
	return k, true
}

// serveFollow starts, keeps alive or ends a session.
func (p *BusPort) serveFollow(_ context.Context, m FollowRequest) (FollowAnswer, error) {
	if !validSession(m.Session) {
		return FollowAnswer{}, &bus.Error{Code: bus.CodeInvalid, Message: "a session's name is 1 to 64 letters, digits and hyphens"}
	}
	if len(m.Filter.Devices)+len(m.Filter.Lines) > maxFiltered {
		return FollowAnswer{}, &bus.Error{Code: bus.CodeInvalid, Message: fmt.Sprintf("a filter has at most %d devices and lines; follow all calls", maxFiltered)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sessions[m.Session]
	switch {
	case p.closed:
		return FollowAnswer{}, &bus.Error{Code: bus.CodeUnavailable, Message: "the engine is stopping"}
	case s == nil && m.End:
	case s == nil && !m.Begin:
		return FollowAnswer{}, &bus.Error{Code: bus.CodeNotFound, Message: "there is no such session: it was not kept alive, or the engine has started anew"}
	case s == nil && len(p.sessions) >= maxFollowers:
		return FollowAnswer{}, &bus.Error{Code: bus.CodeUnavailable, Message: fmt.Sprintf("%d programs follow this engine already", maxFollowers)}
	case s == nil:
		p.begin(m)
	case m.End:
		s.end()
	default:
		s.keep()
	}
	return FollowAnswer{Engine: p.engine, Lease: followLease}, nil
}

// begin starts a session. The caller holds the lock.
func (p *BusPort) begin(m FollowRequest) {
	subject := p.bus.Subject(p.service, VerbEvents+"."+m.Session)
	s := newSession(p.engine, m, &p.texts, max(1024, min(frameSize, p.bus.MaxPayload()/2)), func(text []byte) {
		_ = bus.PublishJSON(p.bus, subject, text) // what cannot be sent is a gap, which the follower sees
	})
	p.sessions[m.Session] = s
	p.wg.Go(func() {
		s.run(p.host)
		p.mu.Lock()
		delete(p.sessions, s.name)
		p.mu.Unlock()
	})
}

// A session publishes to one follower. Its goroutine owns it.
type session struct {
	engine string
	name   string
	filter Filter
	texts  *texts
	room   int          // bytes of notes in a frame
	send   func([]byte) // publishes a frame

	inView map[call.CallID]bool // calls of the filter, as the follower knows them; unused without a filter
	n      uint64               // frames published
	frame  []byte               // notes of the frame being made, each with a comma behind it

	kept chan struct{} // capacity 1
	quit chan struct{}
	once sync.Once
}

func newSession(engine string, m FollowRequest, t *texts, room int, send func([]byte)) *session {
	return &session{engine: engine, name: m.Session, filter: m.Filter, texts: t, room: room, send: send, inView: map[call.CallID]bool{},
		kept: make(chan struct{}, 1), quit: make(chan struct{})}
}

func (s *session) end() { s.once.Do(func() { close(s.quit) }) }

// keep has the session live on and say so.
func (s *session) keep() {
	select {
	case s.kept <- struct{}{}:
	default:
	}
}

func (s *session) run(h *Host) {
	w := h.Collect(followRoom)
	defer w.Close()
	lease := time.NewTimer(followLease)
	defer lease.Stop()
	for {
		select {
		case <-w.Ready():
			s.tell(w.Take())
		case <-s.kept:
			lease.Reset(followLease)
			s.publish(nil)
		case <-lease.C:
			return
		case <-s.quit:
			return
		case <-w.Done():
			s.tell(w.Take())
			s.publish([]byte(`,"over":true`))
			return
		}
	}
}

// tell publishes notes, as many in a frame as fit.
func (s *session) tell(notes []Note) {
	for i := range notes {
		if notes[i].Snapshot {
			s.snapshot(&notes[i])
		} else {
			s.event(&notes[i].Event)
		}
	}
	s.flush()
}

// event adds an event, unless it is none of the follower's business.
func (s *session) event(ev *call.Event) {
	left := false
	switch {
	case ev.View == nil: // of a line or a device
		if !s.filter.wantsSetting(ev) {
			return
		}
	case !s.filter.All():
		was, is := s.inView[ev.Call], s.filter.Wants(ev.View) && ev.Kind != call.CallEnded
		if !was && !is {
			return
		}
		if left = !is; left {
			delete(s.inView, ev.Call)
		} else {
			s.inView[ev.Call] = true
		}
		left = left && ev.Kind != call.CallEnded
	}
	text, err := s.texts.of(ev)
	if err != nil {
		return // an event that cannot be written is a defect, and the gap in Seq tells of it
	}
	if left {
		s.add([]byte(`{"left":true,"event":`), text)
	} else {
		s.add([]byte(`{"event":`), text)
	}
}

// snapshot adds a picture of the filter's calls, in pieces.
func (s *session) snapshot(n *Note) {
	clear(s.inView)
	head := BusNote{Snapshot: true, Engine: s.engine, Lagged: n.Lagged, AsOf: n.AsOf}
	for i := range n.Settings {
		if s.filter.wantsSetting(&n.Settings[i]) {
			head.Settings = append(head.Settings, n.Settings[i])
		}
		if len(head.Settings) == 500 {
			s.piece(head, true)
			head.Settings = nil
		}
	}
	s.piece(head, true)
	head.Settings = nil
	for _, v := range n.Calls {
		if !s.filter.Wants(v) {
			continue
		}
		if !s.filter.All() {
			s.inView[v.ID] = true
		}
		if head.Calls = append(head.Calls, v); len(head.Calls) == 20 {
			s.piece(head, true)
			head.Calls = nil
		}
	}
	s.piece(head, false)
}

func (s *session) piece(n BusNote, more bool) {
	n.More = more
	if text, err := json.Marshal(n); err == nil { // pictures can always be written; a gap in frames would tell
		s.add(nil, text)
	}
}

// add adds a note, made of an opening and its rest, to the frame; the opening is closed with a brace.
func (s *session) add(opening, rest []byte) {
	size := len(opening) + len(rest) + 2
	if len(s.frame)+size > s.room {
		s.flush()
	}
	s.frame = append(append(s.frame, opening...), rest...)
	if len(opening) > 0 {
		s.frame = append(s.frame, '}')
	}
	if size > s.room {
		s.pieces()
		return
	}
	s.frame = append(s.frame, ',')
}

// pieces publishes a note that is too large for a frame.
func (s *session) pieces() {
	most := s.room * 3 / 4 // base64
	for text := s.frame; len(text) > 0; {
		part := text[:min(most, len(text))]
		text = text[len(part):]
		encoded, _ := json.Marshal(part) // octets can always be written
		field := append([]byte(`,"part":`), encoded...)
		if len(text) == 0 {
			field = append(field, `,"last":true`...)
		}
		s.publish(field)
	}
	s.frame = s.frame[:0]
}

// flush publishes the frame, if there is anything in it.
func (s *session) flush() {
	if len(s.frame) == 0 {
		return
	}
	field := append([]byte(`,"notes":[`), s.frame[:len(s.frame)-1]...)
	s.frame = s.frame[:0]
	s.publish(append(field, ']'))
}

// publish sends the next frame, with these members.
func (s *session) publish(fields []byte) {
	s.n++
	text := strconv.AppendUint([]byte(`{"n":`), s.n, 10)
	s.send(append(append(text, fields...), '}'))
}

// texts are the newest events as JSON, so that sessions that tell the same event write it once.
type texts struct {
	mu   sync.Mutex
	ring [256]struct {
		seq  uint64
		text []byte
	}
}

func (t *texts) of(ev *call.Event) ([]byte, error) {
	slot := &t.ring[ev.Seq%uint64(len(t.ring))]
	t.mu.Lock()
	text := slot.text
	if slot.seq != ev.Seq {
		text = nil
	}
	t.mu.Unlock()
	if text != nil {
		return text, nil
	}
	text, err := json.Marshal(ev)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	slot.seq, slot.text = ev.Seq, text
	t.mu.Unlock()
	return text, nil
}
