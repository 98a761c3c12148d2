package admin

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path"
	"reflect"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/trace"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ServiceName is how administration calls itself in status rows and traces.
const ServiceName = "admin"

// Server is a node's administration while it runs. It owns its listeners; everything it shows belongs to others.
type Server struct {
	cfg      Config
	api      huma.API
	tokens   *tokens
	attempts attempts
	since    time.Time

	servers   []*http.Server
	addresses []string
	bounds    []*bounded
	closing   chan struct{} // closed first: ends the streams

	responders bus.Responders // for other nodes
	once       sync.Once
	wg         sync.WaitGroup
}

// Listen starts serving on the unix socket and, with Config.TLS, on HTTPS.
func Listen(_ context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, closing: make(chan struct{}), since: cfg.Now()}
	s.attempts = attempts{now: cfg.Now, by: map[string]*attempt{}}
	if s.tokens, err = openTokens(cfg.Tokens); err != nil {
		return nil, err
	}
	handler := s.handler()
	if err := s.listenUnix(handler); err != nil {
		return nil, err
	}
	if cfg.TLS != nil {
		if err := s.listenHTTPS(handler); err != nil {
			return nil, errors.Join(err, s.Close(context.Background()))
		}
	}
	if err := s.serveNodes(); err != nil {
		return nil, errors.Join(err, s.Close(context.Background()))
	}
	return s, nil
}

// Addresses returns where it listens: the socket's path, then https://host:port.
func (s *Server) Addresses() []string { return s.addresses }

// Close stops listening, ends streams and waits for requests that run, until ctx ends.
func (s *Server) Close(ctx context.Context) error {
	s.once.Do(func() { close(s.closing) })
	s.responders.Close()
	var errs []error
	for _, h := range s.servers {
		if err := h.Shutdown(ctx); err != nil {
			errs = append(errs, err, h.Close())
		}
	}
	s.wg.Wait()
	return errors.Join(errs...)
}

// listenUnix listens on the socket. A socket left by a killed run is replaced; one that answers is somebody else's.
func (s *Server) listenUnix(handler http.Handler) error {
	socket := s.cfg.Socket
	if c, err := net.DialTimeout("unix", socket, time.Second); err == nil {
		c.Close()
		return fmt.Errorf("admin: a node is already running in this home folder (%s answers); stop it, or choose another with --home", socket)
	}
	if info, err := os.Lstat(socket); err == nil && info.Mode()&os.ModeSocket != 0 {
		os.Remove(socket)
	}
	l, err := listenPrivate(socket)
	if err != nil {
		return fmt.Errorf("admin: listening on %s: %w", socket, err)
	}
	s.serve(l, nil, handler, func(ctx context.Context, c net.Conn) context.Context {
		p := principal{name: "somebody", source: "unix"}
		if u, ok := below(c).Conn.(*net.UnixConn); ok {
			p = peerOf(u)
		}
		return context.WithValue(ctx, principalKey{}, p)
	})
	s.addresses = append(s.addresses, socket)
	return nil
}

// listenPrivate makes the socket with mode 0600. Between bind and chmod the peer check still holds.
func listenPrivate(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (s *Server) listenHTTPS(handler http.Handler) error {
	l, err := net.Listen("tcp", s.cfg.Address)
	if err != nil {
		return fmt.Errorf("admin: listening on %s: %w; choose another address in node.yaml (admin.address)", s.cfg.Address, err)
	}
	s.serve(l, s.cfg.TLS, handler, nil)
	s.addresses = append(s.addresses, "https://"+l.Addr().String())
	return nil
}

func (s *Server) serve(l net.Listener, t *tls.Config, handler http.Handler, connContext func(context.Context, net.Conn) context.Context) {
	b := &bounded{Listener: l, max: int64(s.cfg.MaxConnections)} // each listener its own: whoever fills HTTPS does not shut the socket
	s.bounds = append(s.bounds, b)
	l = b
	if t != nil {
		l = tls.NewListener(l, t)
	}
	h := &http.Server{
		Handler: handler, ConnContext: identified(connContext), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: log.New(quiet{}, "", 0),
	}
	s.servers = append(s.servers, h)
	s.wg.Go(func() { _ = h.Serve(l) }) // always ErrServerClosed or a listener's end
}

// quiet drops what net/http would log: broken handshakes of strangers are no matter of ours.
type quiet struct{}

func (quiet) Write(b []byte) (int, error) { return len(b), nil }

// handler is everything between a connection and an operation.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	s.api = s.newAPI(mux)
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: s.cfg.Timeout}))
	}
	s.profiles(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(bus.CodeNotFound, r.Method+" "+r.URL.Path+" is no operation of this API; /openapi.json describes all"))
	})
	outer := http.NewServeMux()
	s.joining(outer)
	outer.Handle("/", s.guard(mux))
	return outer
}

// profiles serves the runtime's profiles (go tool pprof) on the unix socket only: they show memory of the process, so that no
// token is enough.
func (s *Server) profiles(mux *http.ServeMux) {
	local := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if p, _ := r.Context().Value(principalKey{}).(principal); p.source != "unix" {
				writeProblem(w, problem(bus.CodeNotFound, r.URL.Path+" is served on the unix socket only"))
				return
			}
			h(w, r)
		}
	}
	mux.HandleFunc("GET /debug/pprof/", local(pprof.Index))
	mux.HandleFunc("GET /debug/pprof/profile", local(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/trace", local(pprof.Trace))
}

// guard identifies who asks, bounds the time, and turns a panic into an error answer.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recovered(w, r)
		if c, ok := r.Context().Value(connKey{}).(*boundedConn); ok {
			c.asked.Store(true)
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		p, refused := s.identify(r)
		if refused != nil {
			if refused.Code == CodeTooMany {
				w.Header().Set("Retry-After", "60")
			} else {
				w.Header().Set("WWW-Authenticate", `Bearer realm="locktone"`)
			}
			writeProblem(w, refused)
			return
		}
		control := http.NewResponseController(w)
		end := time.Now().Add(s.cfg.Timeout + 5*time.Second)
		_ = control.SetReadDeadline(end)
		_ = control.SetWriteDeadline(end) // streams move it on as they write
		r.Body = http.MaxBytesReader(w, r.Body, s.cfg.MaxBody)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, p)))
	})
}

func (s *Server) recovered(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil || v == http.ErrAbortHandler {
		return
	}
	s.cfg.Trace.Record(trace.Record{
		Service: ServiceName, Kind: trace.KindNote, Level: trace.Error, Summary: fmt.Sprintf("%s %s failed: %v", r.Method, r.URL.Path, v), Body: debug.Stack(),
	})
	writeProblem(w, problem(bus.CodeInternal, r.Method+" "+r.URL.Path+" failed; the trace has the place"))
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// newAPI registers every operation.
func (s *Server) newAPI(mux *http.ServeMux) huma.API {
	c := huma.DefaultConfig("Locktone administration", s.cfg.Version)
	c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", nil
	c.OpenAPIPath = "/openapi"
	c.Transformers = []huma.Transformer{fromHuma}
	c.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	c.Security = []map[string][]string{{"token": {}}}
	c.Info.Description = "One API for everything an operator does with a node. Roles include each other: viewer, operator, administrator; x-role says what an operation needs."
	api := humago.New(mux, c)
	s.showOperations(api)
	s.traceOperations(api)
	s.recordOperations(api)
	s.configOperations(api)
	s.listOperations(api)
	s.controlOperations(api)
	s.lineOperations(api)
	s.drainOperations(api)
	s.certOperations(api)
	s.capfOperations(api)
	s.trustStoreOperations(api)
	s.rotationOperations(api)
	s.backupOperations(api)
	s.nodeOperations(api)
	s.ldapOperations(api)
	s.loginOperations(api)
	s.ctiOperations(api)
	s.contactOperations(api)
	return api
}

// schemaName names a type in the API's description: those of other packages carry their package's name, since several
// have a Status.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := huma.DefaultSchemaNamer(t, hint)
	pkg := path.Base(t.PkgPath())
	if t.Name() == "" || pkg == "." || pkg == "admin" || strings.Contains(t.Name(), "[") {
		return name
	}
	return strings.ToUpper(pkg[:1]) + pkg[1:] + name
}
