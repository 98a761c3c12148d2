package callmanager

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// wireTrace writes what the transport sees: messages, connections, refused handshakes.
type wireTrace struct{ s *Service }

var _ transport.Observer = wireTrace{}

// Received implements transport.Observer.
func (w wireTrace) Received(f *transport.Flow, at time.Time, raw []byte, m *sip.Message, problem *sip.ParseError) {
	if problem != nil {
		r := w.record(f, at, trace.KindSIPIn, m)
		r.Level, r.Summary, r.Body = trace.Info, "malformed: "+problem.Error(), raw
		w.s.cfg.Trace.Record(r)
		return
	}
	w.message(f, at, trace.KindSIPIn, raw, m)
}

// Sent implements transport.Observer.
func (w wireTrace) Sent(f *transport.Flow, at time.Time, raw []byte, m *sip.Message) {
	w.message(f, at, trace.KindSIPOut, raw, m)
}

func (w wireTrace) message(f *transport.Flow, at time.Time, kind trace.Kind, raw []byte, m *sip.Message) {
	r := w.record(f, at, kind, m)
	if !w.s.cfg.Trace.Enabled(Name, r.Device, "", trace.Info) {
		return
	}
	if r.Body = raw; raw == nil {
		buf := wireBuffers.Get().(*[]byte)
		*buf = m.Append((*buf)[:0])
		r.Body = *buf
		defer wireBuffers.Put(buf)
	}
	w.s.cfg.Trace.Record(r)
}

var wireBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

func (w wireTrace) record(f *transport.Flow, at time.Time, kind trace.Kind, m *sip.Message) trace.Record {
	owner := w.s.owners.get(f)
	r := trace.Record{Time: at, Service: Name, Kind: kind, Peer: owner, Flow: flowName(f.ID()), Net: f.Network().String(), Local: f.Local(), Remote: f.Remote()}
	if w.s.site.Load().device(owner) != nil {
		r.Device = owner
	}
	if m != nil {
		r.SIPCallID = m.CallID()
	}
	return r
}

// Opened implements transport.Observer.
func (w wireTrace) Opened(f *transport.Flow, at time.Time) {
	if f.Network() != transport.TLS {
		return
	}
	info := f.Info()
	r := w.record(f, at, trace.KindTLSOK, nil)
	r.Level = trace.Detail
	r.Summary = fmt.Sprintf("%s %s with %s", info.TLSVersion, info.Cipher, info.Peer.Subject)
	r.Fields = []trace.Field{{Name: "version", Value: info.TLSVersion}, {Name: "cipher", Value: info.Cipher}, {Name: "subject", Value: info.Peer.Subject},
		{Name: "issuer", Value: info.Peer.Issuer}, {Name: "serial", Value: info.Peer.Serial}}
	w.s.cfg.Trace.Record(r)
}

// Closed implements transport.Observer: what was registered over the connection is not reachable any more.
func (w wireTrace) Closed(f *transport.Flow, at time.Time, err error) {
	r := w.record(f, at, trace.KindNote, nil)
	r.Level = trace.Detail
	r.Summary = "connection closed"
	if err != nil {
		r.Summary += ": " + err.Error()
	}
	w.s.cfg.Trace.Record(r)
	w.s.unreachable(w.s.bindings.flowClosed(w.s.now(), f.ID()))
	w.s.owners.forget(f.ID())
}

// Refused implements transport.Observer.
func (w wireTrace) Refused(h transport.HandshakeFailure) {
	x := w.s.failures.add(h)
	w.s.meters.refused(&h)
	w.s.cfg.Trace.Record(trace.Record{Time: h.At, Service: Name, Kind: trace.KindTLSFailed, Level: trace.Error, Peer: h.Policy, Net: "tls", Remote: h.Remote,
		Summary: x.last, Fields: []trace.Field{{Name: "phase", Value: h.Phase}, {Name: "subject", Value: x.subject}}})
}

// failures counts refused handshakes by the peer's address, guarded by a lock and bounded.
type failures struct {
	mu  sync.Mutex
	all map[string]failure
}

type failure struct {
	count                           int64
	at                              time.Time
	last, subject, local, direction string
	peer                            string
	shown                           bool
}

const maxFailures = 4096

func (t *failures) add(h transport.HandshakeFailure) failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil || len(t.all) >= maxFailures {
		t.all = map[string]failure{}
	}
	key := h.Remote.Addr().String()
	x := t.all[key]
	x.count++
	x.at, x.last, x.peer, x.local, x.direction = h.At, whyRefused(h), h.Policy, h.Listener, "outbound"
	if h.Inbound {
		x.direction = "inbound"
	}
	x.subject = ""
	if len(h.Chain) > 0 {
		if c, err := x509.ParseCertificate(h.Chain[0]); err == nil {
			x.subject = c.Subject.String()
		}
	}
	t.all[key] = x
	return x
}

func (t *failures) byRemote() map[string]failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[string]failure, len(t.all))
	for k, v := range t.all {
		out[k] = v
	}
	return out
}

// engineTrace writes every input of the engine with what came of it: the replay file.
type engineTrace struct{ s *Service }

var _ live.Recorder = engineTrace{}

// Record implements live.Recorder.
func (e engineTrace) Record(r live.Record) {
	e.s.meters.stepped(&r)
	if m, ok := r.Input.Signal.(call.Measured); ok { // also what comes when the engine has let go of the leg
		e.s.ends.measured(r.At, m)
	}
	t := e.s.cfg.Trace
	if !t.Enabled(Name, "", "", trace.Info) {
		return
	}
	rec := trace.Record{Time: r.At, Service: Name, Kind: trace.KindTimer, Level: trace.Info}
	switch {
	case r.Input.Signal != nil:
		rec.Kind = trace.KindSignal
		rec.Summary = nameOf(r.Input.Signal)
		if leg := r.Input.Signal.SignalLeg(); leg != 0 {
			rec.Leg = leg.String()
			rec.Summary += " " + rec.Leg
		}
	case r.Input.Request != nil:
		rec.Kind, rec.User, rec.Summary = trace.KindRequest, r.Input.By, nameOf(r.Input.Request)
	case r.Input.Config != nil:
		rec.Summary = "Configure"
	default:
		rec.Summary = "Tick"
	}
	for _, ev := range r.Output.Events {
		if ev.View != nil && ev.View.GlobalID != "" {
			rec.Call = ev.View.GlobalID
			break
		}
	}
	rec.Made = step{r.Seq, r.At, r.Input, r.Output}
	t.Record(rec)
}

// step is the body of an engine's record: the input as call.Replay wants it, and what came of it as text. JSON of the output would
// cost ten times as much, and says no more: the views follow from the events. Inputs and outputs never change.
type step struct {
	seq uint64
	at  time.Time
	in  call.Input
	out call.Output
}

// AppendBody implements trace.Source.
func (s step) AppendBody(body []byte) []byte {
	body = strconv.AppendUint(append(body, `{"n":`...), s.seq, 10) // 1 is where an engine's life begins
	in, err := call.AppendInput(append(body, `,"input":`...), s.at, s.in)
	if err != nil {
		in = appendJSON(append(body, `,"unwritten":`...), []byte(err.Error()))
	}
	body = in
	text := wireBuffers.Get().(*[]byte)
	defer giveBack(text)
	*text = call.AppendOutput((*text)[:0], s.out)
	return append(appendJSON(append(body, `,"text":`...), *text), '}')
}

// giveBack returns a buffer to the pool; a huge one is left to the collector.
func giveBack(b *[]byte) {
	if cap(*b) <= 64<<10 {
		wireBuffers.Put(b)
	}
}

// appendJSON appends a text as a JSON string. RFC 8259, 7: quotation mark, backslash and control characters are escaped; what
// is not UTF-8 goes the long way.
func appendJSON(b, text []byte) []byte {
	if !utf8.Valid(text) {
		quoted, _ := json.Marshal(string(text)) // a string can always be written
		return append(b, quoted...)
	}
	b = append(b, '"')
	from := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, text[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
	}
	return append(append(b, text[from:]...), '"')
}

// nameOf is the word for a value of the engine's vocabulary: "Setup" for call.Setup.
func nameOf(v any) string {
	name := fmt.Sprintf("%T", v)
	return name[strings.LastIndexByte(name, '.')+1:]
}

// legTrace ties dialogs to calls.
type legTrace struct{ s *Service }

// LegOpened implements sipleg.Observer.
func (l legTrace) LegOpened(leg call.LegID, callID, globalID, device, trunk string) {
	if globalID != "" {
		l.s.cfg.Trace.Link(Name, globalID, callID)
	}
}

// LegEnded implements sipleg.Observer.
func (l legTrace) LegEnded(leg call.LegID, m media.LegMedia, on *transport.Flow) {
	cipher := ""
	if on != nil {
		cipher = on.Cipher()
	}
	l.s.ends.add(l.s.now(), leg, cipher, m)
}

// LegClosed implements sipleg.Observer.
func (legTrace) LegClosed(call.LegID, string) {}

// note records a remark about a device, a trunk or the service.
func (s *Service) note(about, text string) {
	r := trace.Record{Service: Name, Kind: trace.KindNote, Level: trace.Info, Peer: about, Summary: text}
	if s.site.Load().device(about) != nil {
		r.Device = about
	}
	s.cfg.Trace.Record(r)
}

// problem tells the operator: in the trace, where it is news, and in the status until it is mended.
func (s *Service) problem(about, text string) {
	if s.troubles.set(about, text) {
		s.cfg.Trace.Record(trace.Record{Service: Name, Kind: trace.KindNote, Level: trace.Error, Summary: text})
	}
}

// warn leaves a note that asks for an operator.
func (s *Service) warn(text string) {
	s.cfg.Trace.Record(trace.Record{Service: Name, Kind: trace.KindNote, Level: trace.Error, Summary: text})
}

// detail is a value as JSON, for the record of a finished call.
func detail(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// whyRefused says in one sentence why a handshake failed: the verifier's finding, or what the TLS error means.
func whyRefused(h transport.HandshakeFailure) string {
	side := pki.PeerIsServer
	if h.Inbound {
		side = pki.PeerIsClient
	}
	peer := h.Policy
	if peer == "" {
		peer = h.Remote.String()
	}
	decides, found := pki.Explain(h.Err, side).First() // a warning that came along is not the reason
	if !found {
		return peer + ": " + h.Err.Error()
	}
	return decides.Sentence(peer)
}
