package ctimanager

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory/rights"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/trace"
)

// The JSON event stream: the events of package projection over a WebSocket, for programs that want to see calls and need no CTIQBE. It is on
// the TLS port: a client that asks for HTTP there (ALPN "http/1.1") and GETs StreamPath is told what a provider of its user would be told.
// docs/cti-events.md is its specification.

// StreamPath is where the event stream is.
const StreamPath = "/events"

const (
	streamHistory = 4096             // events that are remembered for those who come back
	streamRoom    = 4096             // events a client may be behind; then it is cut off
	streamMost    = 128              // clients at a time
	streamBeat    = 15 * time.Second // between signs of life
	streamHTTP    = "http/1.1"
)

// streamWord is a message of the stream that is no event of the projection.
type streamWord struct {
	Kind string `json:"kind"` // hello, gap, current, heartbeat
	// Seq is the number of the last event there was when it was said.
	Seq uint64 `json:"seq"`
	// Epoch names the life of this CTI manager: numbers mean something within it.
	Epoch string `json:"epoch,omitempty"`
	// Heartbeat is how many seconds pass at most between two messages.
	Heartbeat int    `json:"heartbeat,omitempty"`
	After     uint64 `json:"after,omitempty"` // of a gap: the last event that the client had
	Why       string `json:"why,omitempty"`
}

// A streamLog remembers the last events and hands new ones to the clients. Nobody who puts something in waits.
type streamLog struct {
	epoch string

	mu      sync.Mutex
	kept    []projection.Event // the last ones, oldest first
	last    uint64
	readers map[*streamReader]struct{}
}

// A streamReader is what waits for one client.
type streamReader struct {
	mu     sync.Mutex
	queue  []projection.Event
	cut    bool          // it was too slow
	signal chan struct{} // capacity 1
}

func newStreamLog() *streamLog {
	return &streamLog{epoch: rand.Text(), readers: map[*streamReader]struct{}{}}
}

// put takes an event in.
func (l *streamLog) put(ev projection.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last = ev.Seq; len(l.kept) == 2*streamHistory {
		n := copy(l.kept, l.kept[streamHistory:]) // in place: nobody else has the array
		clear(l.kept[n:])
		l.kept = l.kept[:n]
	}
	l.kept = append(l.kept, ev)
	for r := range l.readers {
		r.put(ev)
	}
}

func (r *streamReader) put(ev projection.Event) {
	r.mu.Lock()
	if len(r.queue) >= streamRoom {
		r.queue, r.cut = nil, true
	} else if !r.cut {
		r.queue = append(r.queue, ev)
	}
	r.mu.Unlock()
	select {
	case r.signal <- struct{}{}:
	default:
	}
}

func (r *streamReader) take() (list []projection.Event, cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list, r.queue = r.queue, nil
	return list, r.cut
}

// A resumption is from where a client goes on.
type resumption struct {
	reader *streamReader
	seq    uint64 // of the last event there is
	missed []projection.Event
	// gap says why what the client has missed is not known any more; empty where it has missed is all of it.
	gap string
}

// enter adds a client. It has had the events up to after of an epoch; an empty epoch has had nothing.
func (l *streamLog) enter(epoch string, after uint64) (resumption, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.readers) >= streamMost {
		return resumption{}, fmt.Errorf("%d programs read the event stream already", streamMost)
	}
	out := resumption{reader: &streamReader{signal: make(chan struct{}, 1)}, seq: l.last}
	first := l.last + 1
	if len(l.kept) > 0 {
		first = l.kept[0].Seq
	}
	switch {
	case epoch == "":
	case epoch != l.epoch:
		out.gap = "this CTI manager is another, or has started anew"
	case after > l.last:
		out.gap = fmt.Sprintf("there is no event %d yet", after)
	case after+1 < first:
		out.gap = fmt.Sprintf("events %d to %d are forgotten", after+1, first-1)
	default:
		out.missed = append(out.missed, l.kept[uint64(len(l.kept))-(l.last-after):]...)
	}
	l.readers[out.reader] = struct{}{}
	return out, nil
}

func (l *streamLog) leave(r *streamReader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.readers, r)
}

// A viewer is who reads a stream.
type viewer struct {
	user string
	all  bool // everything but digits: an operator of the site
}

// sees says whether somebody may be told of an event: what a provider of the same user could have opened.
func (v viewer) sees(site *siteView, ev *projection.Event) bool {
	switch {
	case v.all || ev.Kind == projection.Gap:
		return true
	case ev.Device != "":
		return v.opens(site, ev.Device, ev.Line)
	}
	l, ok := site.Line(ev.Line.Number, ev.Line.Partition)
	if !ok {
		return false
	}
	for _, a := range l.Appearances {
		if v.opens(site, a.Device.Name, ev.Line) {
			return true
		}
	}
	return false
}

// opens says whether the user may open a device, and a line of it.
func (v viewer) opens(site *siteView, device string, line call.LineID) bool {
	f := facts(site, v.user, true)
	f.Device = device
	if unmet(f, rights.Device) != nil {
		return false
	}
	d, ok := site.Device(device)
	if !ok || line.IsZero() {
		return ok
	}
	for _, a := range d.Appearances {
		if a.Line.Number == line.Number && a.Line.Partition == line.Partition {
			return a.AllowControlFromCTI != config.CTIControlRefused
		}
	}
	return false
}

// enterStream adds a client at one moment of the projection: what there was before that is existing, what comes is in the reader.
func (h *hub) enterStream(epoch string, after uint64) (r resumption, existing []projection.Event, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r, err = h.log.enter(epoch, after); err == nil && (epoch == "" || r.gap != "") {
		existing = h.machine.All()
	}
	return r, existing, err
}

// ServeEvents serves the event stream to an operator, whom the caller has authenticated: the administration's server can offer it.
func (s *Service) ServeEvents(w http.ResponseWriter, r *http.Request) {
	s.serveEvents(s.ctx, w, r, viewer{all: true})
}

// serveEvents serves the event stream to somebody until one of them ends it.
func (s *Service) serveEvents(ctx context.Context, w http.ResponseWriter, r *http.Request, v viewer) {
	epoch := r.URL.Query().Get("epoch")
	after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	if (epoch != "") != (r.URL.Query().Get("after") != "") || epoch != "" && err != nil {
		http.Error(w, "to resume, give both: after, the number of the last event you had, and the epoch it was of", http.StatusBadRequest)
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer ws.CloseNow()
	from, existing, err := s.hub.enterStream(epoch, after)
	if err != nil {
		ws.Close(websocket.StatusTryAgainLater, err.Error())
		return
	}
	defer s.hub.log.leave(from.reader)
	out := streamWriter{s: s, ws: ws, v: v, ctx: ws.CloseRead(ctx)} // a client says nothing; one that does is cut off
	err = out.begin(from, existing, after)
	if err == nil {
		err = out.follow(from)
	}
	switch {
	case errors.Is(err, errSlow):
		s.note(trace.Error, "the event stream of "+orUnnamed(v.user)+": "+err.Error())
		ws.Close(websocket.StatusPolicyViolation, "too slow: come back with the last number you have")
	case s.ctx.Err() != nil:
		ws.Close(websocket.StatusGoingAway, "the CTI manager ends")
	}
}

func orUnnamed(user string) string {
	if user == "" {
		return "an operator"
	}
	return user
}

// A streamWriter writes to one client.
type streamWriter struct {
	s   *Service
	ws  *websocket.Conn
	v   viewer
	ctx context.Context
}

// begin says hello, and tells what the client has missed, or what there is.
func (o *streamWriter) begin(from resumption, existing []projection.Event, after uint64) error {
	if err := o.write(streamWord{Kind: "hello", Seq: from.seq, Epoch: o.s.hub.log.epoch, Heartbeat: int(streamBeat / time.Second)}); err != nil {
		return err
	}
	if from.gap != "" {
		if err := o.write(streamWord{Kind: "gap", Seq: from.seq, After: after, Why: from.gap}); err != nil {
			return err
		}
	}
	for _, list := range [][]projection.Event{existing, from.missed} {
		if err := o.events(list); err != nil {
			return err
		}
	}
	return o.write(streamWord{Kind: "current", Seq: from.seq})
}

// follow tells what happens.
func (o *streamWriter) follow(from resumption) error {
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	seq := from.seq
	for {
		select {
		case <-o.ctx.Done():
			return o.ctx.Err()
		case <-from.reader.signal:
			list, cut := from.reader.take()
			if cut {
				return errSlow
			}
			if err := o.events(list); err != nil {
				return err
			}
			if len(list) > 0 {
				seq = list[len(list)-1].Seq
			}
		case <-beat.C:
			if err := o.write(streamWord{Kind: "heartbeat", Seq: seq}); err != nil {
				return err
			}
		}
	}
}

// events writes those that the client may see.
func (o *streamWriter) events(list []projection.Event) error {
	site := o.s.site()
	for i := range list {
		ev := &list[i]
		if !o.v.sees(site, ev) {
			continue
		}
		if o.v.all && ev.Digit != "" { // it may be of a PIN
			hidden := *ev
			hidden.Digit = ""
			ev = &hidden
		}
		if err := o.write(ev); err != nil {
			return err
		}
	}
	return nil
}

// write writes one message. A client that does not take it for as long as a write may take is too slow.
func (o *streamWriter) write(m any) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(o.ctx, o.s.cfg.Limits.Write)
	defer cancel()
	err = o.ws.Write(ctx, websocket.MessageText, text)
	if err != nil && o.ctx.Err() == nil && ctx.Err() != nil {
		return errSlow
	}
	return err
}

// serveHTTP serves a client of the TLS port that wants HTTP: it is the instance whose certificate it has, with the rights of that user's
// providers, and, like them, alone with it.
func (s *Service) serveHTTP(c *connection) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	user, no := s.streamUser(ctx, c)
	defer s.certificates.leave(c)
	if no == "" {
		go func() { // ends with ctx, or ends it
			defer cancel()
			s.awaitOrder(ctx, c)
		}()
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+StreamPath, func(w http.ResponseWriter, r *http.Request) {
		if no != "" {
			http.Error(w, no, http.StatusForbidden)
			return
		}
		s.serveEvents(ctx, w, r, viewer{user: user})
	})
	l := &oneConnection{conn: c.stream, over: make(chan struct{})}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: s.cfg.Limits.Handshake, IdleTimeout: s.cfg.Limits.Handshake, MaxHeaderBytes: 16 << 10}
	go func() {
		<-ctx.Done()
		l.close()
	}()
	_ = srv.Serve(l) // it ends when the connection does
}

// streamUser is whose certificate a client has, or why it gets nothing.
func (s *Service) streamUser(ctx context.Context, c *connection) (user, no string) {
	if c.report.Entry == nil {
		return "", "the certificate was not given out by this site's CAPF"
	}
	owner, err := s.cfg.Profiles.Holder(ctx, c.report.Entry.Kind, c.report.Entry.Name, c.report.Entry.Ref)
	if err != nil {
		return "", "no CAPF profile knows the certificate any more"
	}
	if _, no := mayLogIn(s.site(), owner.User, true); no != nil {
		return "", no.why
	}
	switch no, err := s.certificates.admit(ctx, c, owner.User); {
	case err != nil:
		return "", "the certificate could not be looked at: try again"
	case no != nil:
		return "", no.why
	}
	return owner.User, ""
}

// awaitOrder waits until somebody else has the connection ended.
func (s *Service) awaitOrder(ctx context.Context, c *connection) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.box.signal:
		}
		list, _ := c.box.take()
		for _, in := range list {
			switch in.(type) {
			case ordered, shutdown:
				return
			}
		}
	}
}

// oneConnection is a listener for an http.Server that has one connection to serve.
type oneConnection struct {
	conn net.Conn
	once sync.Once
	end  sync.Once
	over chan struct{}
}

// Accept implements net.Listener: it returns the connection, and then nothing until that is over.
func (l *oneConnection) Accept() (conn net.Conn, err error) {
	l.once.Do(func() { conn = endingConn{l.conn, l} })
	if conn != nil {
		return conn, nil
	}
	<-l.over
	return nil, net.ErrClosed
}

func (l *oneConnection) close() { l.end.Do(func() { close(l.over); l.conn.Close() }) }

// Close implements net.Listener.
func (l *oneConnection) Close() error { return nil }

// Addr implements net.Listener.
func (l *oneConnection) Addr() net.Addr { return l.conn.LocalAddr() }

// endingConn tells its listener when it is closed.
type endingConn struct {
	net.Conn
	l *oneConnection
}

// Close implements net.Conn.
func (c endingConn) Close() error {
	c.l.close()
	return nil
}
