package ctimanager

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// streaming is a service with nothing but an event stream, for one viewer.
func streaming(t *testing.T, v viewer) (*Service, string) {
	s := &Service{cfg: Config{Limits: Limits{}.withDefaults(), Now: time.Now}}
	s.ctx, s.cancel = context.WithCancel(t.Context())
	t.Cleanup(s.cancel)
	s.current.Store(paper().view)
	s.hub = newHub(s)
	s.hub.log.epoch = "EPOCH"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveEvents(s.ctx, w, r, v) }))
	t.Cleanup(srv.Close)
	return s, srv.URL
}

// reads dials the stream and returns what reads its next message.
func reads(t *testing.T, url string) func() string {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	ws, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	t.Cleanup(func() { ws.CloseNow() })
	return func() string {
		_, b, err := ws.Read(ctx)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
}

// ringing is an event of a phone.
func ringingAt(seq uint64, device, number string) projection.Event {
	return projection.Event{Seq: seq, Kind: projection.NewCall, Device: device, Line: call.LineID{Number: number, Partition: "internal"}, Node: "node1", Engine: "E", Call: 7, Leg: 14,
		Handle: projection.Handle{CallManager: 1, Leg: 14}, GCH: projection.GCH{CallManager: 1, Call: 7}, State: ctiqbe.CallStateOffering,
		Origin: ctiqbe.CallOriginInboundInternal, Reason: ctiqbe.CallReasonDirectCall,
		Calling: projection.Party{Number: "1003", Partition: "internal", Name: "Carol", Device: "carol"}, Called: projection.Party{Number: number, Partition: "internal", Device: device}}
}

// TestStream: a client is told what its user may see, and when it comes back what it has missed; or that nobody knows.
func TestStream(t *testing.T) {
	s, url := streaming(t, viewer{user: "app"})
	s.hub.log.put(ringingAt(1, "alice", "1001"))
	next := reads(t, url)
	hello := next()
	current := next()
	s.hub.log.put(ringingAt(2, "carol", "1003")) // not this user's
	s.hub.log.put(ringingAt(3, "alice", "1001"))
	event := next()
	if !strings.Contains(event, `"seq":3`) || strings.Contains(current, `"new-call"`) {
		t.Errorf("after hello %s and %s: %s", hello, current, event)
	}
	doc, err := os.ReadFile("../../docs/cti-events.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{hello, current, event} {
		if !strings.Contains(string(doc), m) {
			t.Errorf("the example in docs/cti-events.md lacks\n%s", m)
		}
	}
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"?after=1&epoch=EPOCH", []string{`"hello"`, `"seq":3`, `"current"`}},
		{"?after=3&epoch=EPOCH", []string{`"hello"`, `"current"`}},
		{"?after=9&epoch=EPOCH", []string{`"hello"`, `"gap","seq":3,"after":9`, `"current"`}},
		{"?after=1&epoch=OTHER", []string{`"hello"`, `"gap"`, `"current"`}},
	} {
		next := reads(t, url+c.query)
		for _, want := range c.want {
			if got := next(); !strings.Contains(got, want) {
				t.Errorf("%s: %s, want %s", c.query, got, want)
			}
		}
	}
	for _, query := range []string{"?after=1", "?epoch=EPOCH", "?after=x&epoch=EPOCH"} {
		r, err := http.Get(url + query)
		if err != nil {
			t.Fatal(err)
		}
		if r.Body.Close(); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d", query, r.StatusCode)
		}
	}
}

// TestStreamForgets: the history is bounded, and who comes back too late is told so.
func TestStreamForgets(t *testing.T) {
	l := newStreamLog()
	for n := range uint64(3 * streamHistory) {
		l.put(projection.Event{Seq: n + 1})
	}
	late, err := l.enter(l.epoch, 100)
	if err != nil || !strings.Contains(late.gap, "forgotten") || len(late.missed) > 0 {
		t.Errorf("%+v, %v", late.gap, err)
	}
	soon, err := l.enter(l.epoch, 3*streamHistory-10)
	if err != nil || soon.gap != "" || len(soon.missed) != 10 || soon.missed[0].Seq != 3*streamHistory-9 {
		t.Errorf("%d events, %q, %v", len(soon.missed), soon.gap, err)
	}
	for range streamRoom + 1 {
		l.put(projection.Event{Seq: l.last + 1})
	}
	if list, cut := soon.reader.take(); !cut || len(list) > 0 {
		t.Error("who reads nothing is not cut off")
	}
	l.leave(late.reader)
	l.leave(soon.reader)
	for range streamMost {
		if _, err := l.enter("", 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.enter("", 0); err == nil {
		t.Error("as many streams as anybody likes")
	}
}

// TestStreamSlow: a client that takes nothing is cut off, and the others are not slowed.
func TestStreamSlow(t *testing.T) {
	s, url := streaming(t, viewer{all: true})
	s.cfg.Limits.Write = 200 * time.Millisecond
	slow := reads(t, url) // and never reads
	quick := reads(t, url)
	quick()
	quick()
	ev := ringingAt(1, "alice", "1001")
	ev.Why = strings.Repeat("x", 60_000) // so that the sockets are full soon
	var last projection.Event
	for n := range uint64(2000) {
		ev.Seq = n + 1
		s.hub.log.put(ev)
		if err := json.Unmarshal([]byte(quick()), &struct{ Seq *uint64 }{&last.Seq}); err != nil || last.Seq != n+1 {
			t.Fatalf("event %d came as %d: %v", n+1, last.Seq, err)
		}
		s.hub.log.mu.Lock()
		left := len(s.hub.log.readers)
		s.hub.log.mu.Unlock()
		if left == 1 {
			return
		}
	}
	t.Error("the slow one is still there: ", slow()[:50])
}

// TestStreamDigits: operators are not told digits, which may be of a PIN; the application that may control the phone is.
func TestStreamDigits(t *testing.T) {
	for _, v := range []viewer{{all: true}, {user: "app"}} {
		s, url := streaming(t, v)
		next := reads(t, url)
		next()
		next()
		ev := ringingAt(1, "alice", "1001")
		ev.Kind, ev.Digit = projection.DigitHeard, "7"
		s.hub.log.put(ev)
		if got := next(); strings.Contains(got, `"digit":"7"`) != (v.user == "app") {
			t.Errorf("%+v: %s", v, got)
		}
	}
}
