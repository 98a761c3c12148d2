package element

import (
	"fmt"
	"sync"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// wireTrace writes what the transport sees: messages, connections, refused handshakes.
type wireTrace struct{ e *Element }

var _ transport.Observer = wireTrace{}

// Received implements transport.Observer.
func (w wireTrace) Received(f *transport.Flow, at time.Time, raw []byte, m *sip.Message, problem *sip.ParseError) {
	if problem != nil {
		r := w.record(f, at, trace.KindSIPIn, m)
		r.Level, r.Summary, r.Body = trace.Info, "malformed: "+problem.Error(), raw
		w.e.cfg.Trace.Record(r)
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
	if !w.e.cfg.Trace.Enabled(w.e.cfg.Service, r.Device, "", trace.Info) {
		return
	}
	if r.Body = raw; raw == nil {
		buf := wireBuffers.Get().(*[]byte)
		*buf = m.Append((*buf)[:0])
		r.Body = *buf
		defer wireBuffers.Put(buf)
	}
	w.e.cfg.Trace.Record(r)
}

var wireBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

func (w wireTrace) record(f *transport.Flow, at time.Time, kind trace.Kind, m *sip.Message) trace.Record {
	owner := w.e.owners.get(f)
	r := trace.Record{Time: at, Service: w.e.cfg.Service, Kind: kind, Peer: owner, Flow: FlowName(f.ID()), Net: f.Network().String(), Local: f.Local(), Remote: f.Remote()}
	if w.e.device(owner) {
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
	w.e.cfg.Trace.Record(r)
}

// Closed implements transport.Observer.
func (w wireTrace) Closed(f *transport.Flow, at time.Time, err error) {
	r := w.record(f, at, trace.KindNote, nil)
	r.Level = trace.Detail
	r.Summary = "connection closed"
	if err != nil {
		r.Summary += ": " + err.Error()
	}
	w.e.cfg.Trace.Record(r)
	if w.e.cfg.Hooks.Closed != nil {
		w.e.cfg.Hooks.Closed(f)
	}
	w.e.owners.forget(f.ID())
}

// Refused implements transport.Observer.
func (w wireTrace) Refused(h transport.HandshakeFailure) {
	x := w.e.failures.add(h)
	if w.e.cfg.Hooks.Refused != nil {
		w.e.cfg.Hooks.Refused(&h)
	}
	w.e.cfg.Trace.Record(trace.Record{Time: h.At, Service: w.e.cfg.Service, Kind: trace.KindTLSFailed, Level: trace.Error, Peer: h.Policy, Net: "tls", Remote: h.Remote,
		Summary: x.Why, Fields: []trace.Field{{Name: "phase", Value: h.Phase}, {Name: "subject", Value: x.subject()}}})
}

// legTrace ties dialogs to calls.
type legTrace struct{ e *Element }

// LegOpened implements sipleg.Observer.
func (l legTrace) LegOpened(leg call.LegID, callID, globalID, device, trunk string) {
	if globalID != "" {
		l.e.cfg.Trace.Link(l.e.cfg.Service, globalID, callID)
	}
}

// LegEnded implements sipleg.Observer.
func (l legTrace) LegEnded(leg call.LegID, m media.LegMedia, on *transport.Flow) {
	if l.e.cfg.Hooks.Ended != nil {
		l.e.cfg.Hooks.Ended(leg, m, on)
	}
}

// LegClosed implements sipleg.Observer.
func (legTrace) LegClosed(call.LegID, string) {}

// Note records a remark about a device, a peer or the service.
func (e *Element) Note(about, text string) {
	r := trace.Record{Service: e.cfg.Service, Kind: trace.KindNote, Level: trace.Info, Peer: about, Summary: text}
	if e.device(about) {
		r.Device = about
	}
	e.cfg.Trace.Record(r)
}

// Warn leaves a note that asks for an operator.
func (e *Element) Warn(text string) {
	e.cfg.Trace.Record(trace.Record{Service: e.cfg.Service, Kind: trace.KindNote, Level: trace.Error, Summary: text})
}

// device says whether a name is a device.
func (e *Element) device(name string) bool {
	return name != "" && e.cfg.Hooks.Device != nil && e.cfg.Hooks.Device(name)
}
