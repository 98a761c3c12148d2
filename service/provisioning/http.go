package provisioning

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/locktone/locktone/trace"
)

// newHTTP makes the server of both TCP ports. RFC 9110, 9.3.1: GET and HEAD; nothing else is known here.
func (s *Service) newHTTP() *http.Server {
	l := s.cfg.Limits
	return &http.Server{Handler: answer{s}, ReadHeaderTimeout: l.RequestTime, ReadTimeout: l.RequestTime, WriteTimeout: l.TransferTime, IdleTimeout: l.IdleTime,
		MaxHeaderBytes: maxHead, ErrorLog: log.New(httpLog{s}, "", 0), ConnContext: withGated}
}

// maxHead bounds the head of a request; a phone's has some hundred bytes.
const maxHead = 8 << 10

// httpLog puts what net/http complains about (handshakes that failed, most of all) into the trace.
type httpLog struct{ s *Service }

func (h httpLog) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	who, why, ok := strings.Cut(strings.TrimPrefix(text, handshakeFailed), ": ")
	if remote := addrPort(who); ok && strings.HasPrefix(text, handshakeFailed) && remote.IsValid() {
		h.s.gate.failed(remote, "the TLS handshake failed: "+why)
	} else {
		h.s.note(trace.Detail, text)
	}
	return len(p), nil
}

// handshakeFailed is how net/http begins to tell of that; the client's address and the reason follow.
const handshakeFailed = "http: TLS handshake error from "

// gatedKey finds the connection in a request's context.
type gatedKey struct{}

// withGated puts our connection, which is under TLS or plain, into the context of its requests.
func withGated(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return context.WithValue(ctx, gatedKey{}, c)
}

// useless notes that a connection ended without a request: a broken handshake, garbage, silence.
func (s *Service) useless(x *gated, why string) {
	kind := trace.KindNote
	if x.protocol == overHTTPS {
		kind = trace.KindTLSFailed
	}
	s.cfg.Trace.Record(trace.Record{Time: s.now(), Service: Name, Kind: kind, Level: trace.Error,
		Net: transportOf(x.protocol), Local: x.local, Remote: x.remote, Summary: x.protocol.String() + ": " + why})
}

// answer is the handler: there is no multiplexer, which would answer paths it finds untidy with redirections.
type answer struct{ s *Service }

func (a answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if x, ok := r.Context().Value(gatedKey{}).(*gated); ok {
		x.asked.Store(true)
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store") // RFC 9111, 5.2.2.5
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "files can only be read here", http.StatusMethodNotAllowed)
		return
	}
	d := delivery{protocol: overHTTP, name: strings.TrimPrefix(r.URL.Path, "/"), remote: addrPort(r.RemoteAddr), local: localAddr(r)}
	if r.TLS != nil {
		d.protocol = overHTTPS
	}
	began := a.s.now()
	d.body, d.err = a.s.library.find(r.Context(), question{name: d.name, remote: d.remote.Addr(), bare: r.TLS != nil})
	switch d.result() {
	case delivered:
		a.s.send(w, r, &d)
	case notFound:
		http.Error(w, "no such file", http.StatusNotFound)
	default:
		h.Set("Retry-After", "5") // RFC 9110, 10.2.3
		http.Error(w, "ask again in a moment", http.StatusServiceUnavailable)
	}
	if d.took = a.s.now().Sub(began); r.Method == http.MethodHead && d.err == nil {
		return // nobody got anything
	}
	a.s.ended(d)
}

// send writes a body; what fails then is the client's end.
func (s *Service) send(w http.ResponseWriter, r *http.Request, d *delivery) {
	defer d.body.close()
	h := w.Header()
	h.Set("Content-Type", contentType(d.body.file))
	h.Set("Content-Length", strconv.FormatInt(d.body.size, 10))
	if r.Method == http.MethodHead {
		return
	}
	d.sent = true
	d.bytes, d.err = io.Copy(w, io.NewSectionReader(d.body, 0, d.body.size))
	if d.err == nil && d.bytes < d.body.size {
		d.err = io.ErrUnexpectedEOF
	}
	if flush := http.NewResponseController(w).Flush(); d.err == nil && flush != nil && !errors.Is(flush, http.ErrNotSupported) {
		d.err = flush
	}
}

// contentType is for people with browsers; phones do not look.
func contentType(f File) string {
	if f.Form == Plain && (f.Class == ClassConfig || f.Class == ClassDefault) {
		return "text/xml; charset=utf-8"
	}
	return "application/octet-stream"
}

func addrPort(s string) netip.AddrPort {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func localAddr(r *http.Request) netip.AddrPort {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return addrPort(a.String())
	}
	return netip.AddrPort{}
}
