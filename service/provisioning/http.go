package provisioning

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/trace"
)

// newHTTP makes the server of both TCP ports. RFC 9110, 9.3.1: GET and HEAD; nothing else is known here.
func (s *Service) newHTTP() *http.Server {
	l := s.cfg.Limits
	return &http.Server{Handler: answer{s}, ReadHeaderTimeout: l.RequestTime, ReadTimeout: l.RequestTime, WriteTimeout: l.TransferTime, IdleTimeout: l.IdleTime,
		MaxHeaderBytes: maxHead, ErrorLog: log.New(httpLog{s}, "", 0)}
}

// maxHead bounds the head of a request; a phone's has some hundred bytes.
const maxHead = 8 << 10

// httpLog puts what net/http complains about (handshakes that failed, most of all) into the trace.
type httpLog struct{ s *Service }

func (h httpLog) Write(p []byte) (int, error) {
	h.s.note(trace.Detail, strings.TrimSpace(string(p)))
	return len(p), nil
}

// answer is the handler: there is no multiplexer, which would answer paths it finds untidy with redirections.
type answer struct{ s *Service }

func (a answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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

// gate bounds the connections of all TCP ports together, and of each address.
type gate struct {
	total, each int
	now         func() time.Time

	mu      sync.Mutex
	open    map[*gated]struct{}
	byAddr  map[netip.Addr]int
	refused uint64
}

func newGate(total, each int, now func() time.Time) *gate {
	return &gate{total: total, each: each, now: now, open: map[*gated]struct{}{}, byAddr: map[netip.Addr]int{}}
}

func (g *gate) wrap(l net.Listener, p protocol) net.Listener { return &gatedListener{l, g, p} }

type gatedListener struct {
	net.Listener
	gate     *gate
	protocol protocol
}

// Accept implements net.Listener. A connection over a limit is told so where it can be, and closed.
func (l *gatedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if x := l.gate.admit(c, l.protocol); x != nil {
			return x, nil
		}
		if l.protocol == overHTTP {
			_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // a fresh socket takes a hundred bytes at once
			_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}
		c.Close()
	}
}

// gated is a connection that counts.
type gated struct {
	net.Conn
	gate          *gate
	protocol      protocol
	remote, local netip.AddrPort
	since         time.Time
	once          sync.Once
}

func (g *gate) admit(c net.Conn, p protocol) *gated {
	x := &gated{Conn: c, gate: g, protocol: p, remote: addrPort(c.RemoteAddr().String()), local: addrPort(c.LocalAddr().String()), since: g.now()}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.open) >= g.total || g.byAddr[x.remote.Addr()] >= g.each {
		g.refused++
		return nil
	}
	g.open[x] = struct{}{}
	g.byAddr[x.remote.Addr()]++
	return x
}

// Close implements net.Conn.
func (x *gated) Close() error {
	x.once.Do(func() {
		x.gate.mu.Lock()
		defer x.gate.mu.Unlock()
		delete(x.gate.open, x)
		if x.gate.byAddr[x.remote.Addr()]--; x.gate.byAddr[x.remote.Addr()] == 0 {
			delete(x.gate.byAddr, x.remote.Addr())
		}
	})
	return x.Conn.Close()
}

func (g *gate) list() (out []*gated, refused uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for x := range g.open {
		out = append(out, x)
	}
	return out, g.refused
}
