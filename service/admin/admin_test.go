package admin

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (-update writes it anew):\n%s", path, got)
	}
}

// kit is a running administration with everything real below it but the certificate authority, and a service "cm" that
// answers over the bus.
type kit struct {
	*Server
	t      *testing.T
	home   string
	store  *store.Store
	trace  *trace.Recorder
	client *Client
	https  *http.Client
}

const (
	viewerToken   = "viewer-token-viewer-token-viewer-token"
	operatorToken = "operator-token-operator-token-operator"
	adminToken    = "admin-token-admin-token-admin-token-admin"
	secretKey     = "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
)

func start(t *testing.T, change func(*Config)) *kit {
	t.Helper()
	ctx := context.Background()
	k := &kit{t: t, home: t.TempDir()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	k.store, err = store.Open(ctx, filepath.Join(k.home, "s.db"), store.Options{})
	must(err)
	t.Cleanup(func() { k.store.Close() })
	_, err = k.store.Apply(ctx, store.ChangeSet{Author: "test", Changes: config.Diff(nil, config.Default("node1"))})
	must(err)
	b, err := bus.Open(ctx, bus.Config{})
	must(err)
	t.Cleanup(func() { b.Close() })
	k.trace, err = trace.Open(trace.Config{Dir: filepath.Join(k.home, "trace")})
	must(err)
	t.Cleanup(func() { k.trace.Close() })
	serveRows(t, b)
	must(os.WriteFile(filepath.Join(k.home, "admin.tokens"), []byte("# test\nviewer vera "+viewerToken+"\noperator otto "+operatorToken+"\nadministrator ada "+adminToken+"\n"), 0o600))
	cert, pool := selfSigned(t)
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "locktone_test_total", Help: "x"}))
	cfg := Config{
		Home: k.home, Services: []string{"cm"}, Version: "v0", Address: "127.0.0.1:0", TLS: &tls.Config{Certificates: []tls.Certificate{cert}},
		Store: k.store, Health: k.store.Health, Bus: b, Trace: k.trace, Issued: k.store.Certificates(), Metrics: registry,
	}
	if change != nil {
		change(&cfg)
	}
	k.Server, err = Listen(ctx, cfg)
	must(err)
	k.client = NewSocketClient(cfg.Socket)
	if cfg.Socket == "" {
		k.client = NewClient(k.home)
	}
	k.https = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	t.Cleanup(func() {
		k.client.Close()
		k.https.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if err := k.Server.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return k
}

// serveRows answers as a call manager does.
func serveRows(t *testing.T, b *bus.Bus) {
	t.Helper()
	since := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	keep := func(r *bus.Responder, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
	}
	keep(bus.Serve(b, b.Subject("cm", bus.VerbStatus), func(context.Context, bus.StatusRequest) (bus.ServiceStatus, error) {
		return bus.ServiceStatus{Node: "node1", Service: "cm", State: "ready", Addresses: []string{"127.0.1.10:5061"}, Since: since, PID: 1, Revision: 1}, nil
	}))
	keep(bus.Serve(b, b.Subject("cm", bus.VerbRegistrations), func(_ context.Context, q bus.Query) ([]bus.Registration, error) {
		rows := []bus.Registration{{Node: "node1", Device: "alice", Lines: []string{"1001"}, Contact: "sip:alice@10.0.0.7", Remote: "10.0.0.7:40112", Protocol: "SIP", Mode: "encrypted", State: "registered", Since: since}}
		if q.Name != "" && q.Name != "alice" {
			rows = []bus.Registration{}
		}
		return rows, nil
	}))
	keep(bus.Serve(b, b.Subject("cm", bus.VerbReset), func(_ context.Context, q bus.ResetRequest) (bus.ResetResult, error) {
		if q.Name != "alice" {
			return bus.ResetResult{}, &bus.Error{Code: bus.CodeNotFound, Message: "no device is called " + q.Name}
		}
		return bus.ResetResult{Registrations: 1, Note: string(q.Action) + " by " + q.Actor}, nil
	}))
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// ask sends a request over HTTPS and returns status and body.
func (k *kit) ask(method, path, token, body string) (int, string) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, k.addresses[1]+path, strings.NewReader(body))
	if err != nil {
		k.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := k.https.Do(req)
	if err != nil {
		k.t.Fatal(err)
	}
	defer res.Body.Close()
	if strings.Contains(res.Header.Get("Content-Type"), "event-stream") {
		return res.StatusCode, ""
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// record puts a small call with a key and a password into the traces.
func (k *kit) record() {
	body := "INVITE sip:1002@h SIP/2.0\r\nFrom: <sip:1001@h>;tag=a\r\nTo: <sip:1002@h>\r\nCall-ID: x@y\r\nCSeq: 1 INVITE\r\nAuthorization: Digest response=\"0123456789abcdef\"\r\n\r\n" +
		"v=0\r\nm=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 " + secretKey + "\r\n"
	k.trace.Record(trace.Record{Service: "cm", Kind: trace.KindSIPIn, SIPCallID: "x@y", Device: "alice", Net: "tls", Body: []byte(body)})
	k.trace.Link("cm", "c1", "x@y")
	k.trace.Record(trace.Record{Service: "cm", Kind: trace.KindEvent, Call: "c1", Summary: "Offered", Body: []byte(`{"password":"hunter2hunter2"}`)})
}

// operations lists every operation of the API's description with the role it names.
func (k *kit) operations() (out []struct{ method, path, role string }) {
	for path, item := range k.api.OpenAPI().Paths {
		for method, op := range map[string]any{"GET": item.Get, "PUT": item.Put, "POST": item.Post, "DELETE": item.Delete, "PATCH": item.Patch} {
			b, _ := json.Marshal(op)
			var x struct {
				Role string `json:"x-role"`
			}
			if json.Unmarshal(b, &x) == nil && string(b) != "null" {
				out = append(out, struct{ method, path, role string }{method, path, x.Role})
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].path+out[i].method < out[j].path+out[j].method })
	return out
}

// goodBodies are requests that pass the checks of form, so that what answers is the role.
var goodBodies = map[string]string{
	"POST /v1/config/plan":           `{"yaml":"nodes: []"}`,
	"POST /v1/config/apply":          `{"yaml":"nodes: []"}`,
	"POST /v1/lines/forward":         `{"number":"1001","kind":"all"}`,
	"POST /v1/device-settings":       `{"device":"alice","setting":"privacy","on":true}`,
	"PUT /v1/trace/levels":           `{"level":"info"}`,
	"PUT /v1/trust/mode":             `{"mode":"mixed"}`,
	"POST /v1/trust/plan":            `{"target":"all"}`,
	"POST /v1/trust/rotation":        `{"target":"all"}`,
	"POST /v1/trust/rotation/accept": `{"devices":["x"]}`,
	"POST /v1/trust/peers":           `{"peer":"x","certificates":["ca-g1"]}`,
	"POST /v1/certificates":          `{"kind":"device","name":"x"}`,
	"POST /v1/certificates/revoke":   `{"issuer":"CN=x","serial":"1","reason":"r"}`,

	"POST /v1/certificates/export":    `{"name":"x","password":"longenough"}`,
	"POST /v1/trust/revoke":           `{"fingerprint":"0123456789","reason":"r"}`,
	"POST /v1/trust/stores/{purpose}": `{"data":"AA=="}`,
	"POST /v1/capf/profiles":          `{"device":"SEP001122334455"}`,
	"POST /v1/capf/profiles/reset":    `{"owner":"x"}`,
	"POST /v1/capf/profiles/delete":   `{"owner":"x"}`,
	"POST /v1/capf/requests/export":   `{}`,
	"POST /v1/capf/requests/import":   `{"pem":"x"}`,
	"POST /v1/capf/requests/reject":   `{"id":"x","reason":"r"}`,

	"POST /v1/nodes/tokens":    `{"name":"n2"}`,
	"POST /v1/nodes/removals":  `{"name":"n2"}`,
	"POST /v1/nodes/drain":     `{"name":"n2"}`,
	"POST /v1/nodes/resume":    `{"name":"n2"}`,
	"POST /v1/logins/unlock":   `{"user":"tapi"}`,
	"POST /v1/logins/password": `{"user":"tapi","password":"x","newPassword":"y"}`,
	"POST /v1/cti/pardon":      `{"owner":"tapi/1"}`,
	"POST /v1/ldap/check":      `{"name":"corp"}`,
	"POST /v1/ldap/sync":       `{"name":"corp"}`,
}

// TestRoles: every operation with every role, with no token and with a wrong one.
func TestRoles(t *testing.T) {
	now := time.Now()
	k := start(t, func(c *Config) { c.Now = func() time.Time { return now } })
	k.record()
	var table strings.Builder
	ranks := map[string]int{"viewer": 1, "operator": 2, "administrator": 3}
	for _, op := range k.operations() {
		fmt.Fprintf(&table, "%-5s %-32s %s\n", op.method, op.path, op.role)
		if ranks[op.role] == 0 {
			t.Errorf("%s %s names no role", op.method, op.path)
		}
		path := strings.NewReplacer("{call}", "c1", "{name}", "alice", "{action}", "reset", "{kind}", "ctl").Replace(op.path)
		for rank, token := range []string{"", viewerToken, operatorToken, adminToken} {
			status, body := k.ask(op.method, path, token, goodBodies[op.method+" "+op.path])
			switch {
			case rank == 0:
				if status != 401 {
					t.Errorf("%s %s without a token: %d", op.method, path, status)
				}
			case rank < ranks[op.role]:
				if status != 403 || !strings.Contains(body, `"code":"forbidden"`) {
					t.Errorf("%s %s with rank %d: %d %s", op.method, path, rank, status, body)
				}
			case strings.Contains(body, "unix socket only"): // what no token opens
			case status == 401 || status == 403 || status == 500:
				t.Errorf("%s %s with rank %d: %d %s", op.method, path, rank, status, body)
			}
		}
		now = now.Add(2 * attemptWindow)
	}
	golden(t, "roles.txt", []byte(table.String()))
	for _, path := range []string{"/metrics", "/openapi.json", "/nothing"} {
		if status, _ := k.ask("GET", path, "", ""); status != 401 {
			t.Errorf("%s without a token: %d", path, status)
		}
	}
	if status, body := k.ask("GET", "/metrics", viewerToken, ""); status != 200 || !strings.Contains(body, "locktone_test_total") {
		t.Errorf("/metrics: %d %s", status, body)
	}
	if status, body := k.ask("GET", "/openapi.json", viewerToken, ""); status != 200 || !strings.Contains(body, `"openapi":"3.1`) {
		t.Errorf("/openapi.json: %d %.80s", status, body)
	}
}

// TestWrongTokens: after ten of them the address is not listened to for a minute; the socket still is.
func TestWrongTokens(t *testing.T) {
	now := time.Now()
	k := start(t, func(c *Config) { c.Now = func() time.Time { return now } })
	for i := range maxAttempts {
		if status, _ := k.ask("GET", "/v1/status", fmt.Sprint("wrong", i), ""); status != 401 {
			t.Fatalf("attempt %d: %d", i, status)
		}
	}
	if status, body := k.ask("GET", "/v1/status", adminToken, ""); status != 429 || !strings.Contains(body, "too-many-attempts") {
		t.Errorf("after %d wrong tokens: %d %s", maxAttempts, status, body)
	}
	if err := k.client.Do(context.Background(), "GET", "/v1/status", nil, nil); err != nil {
		t.Errorf("the socket: %v", err)
	}
	now = now.Add(attemptWindow + time.Second)
	if status, _ := k.ask("GET", "/v1/status", adminToken, ""); status != 200 {
		t.Errorf("a minute later: %d", status)
	}
}

// TestTokenFile: a file others can read lets nobody in; a removed line ends a token at once.
func TestTokenFile(t *testing.T) {
	k := start(t, nil)
	path := filepath.Join(k.home, "admin.tokens")
	check := func(token string, want int) {
		t.Helper()
		if status, _ := k.ask("GET", "/v1/status", token, ""); status != want {
			t.Errorf("%d, want %d", status, want)
		}
	}
	check(adminToken, 200)
	if err := os.WriteFile(path, []byte("viewer vera "+viewerToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check(adminToken, 401)
	check(viewerToken, 200)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	check(viewerToken, 401)
	for _, text := range []string{"viewer vera short\n", "king kurt " + viewerToken + "\n", "one two\n"} {
		file := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openTokens(file); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	fresh := filepath.Join(t.TempDir(), "tokens")
	made, err := openTokens(fresh)
	if err != nil || len(made.entries) != 1 || made.entries[0].role != RoleAdministrator {
		t.Errorf("a new file: %v %v", made, err)
	}
	if info, _ := os.Stat(fresh); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// TestSocket: mode 0600, the user of the node is administrator, a second node is told, a dead socket is replaced.
func TestSocket(t *testing.T) {
	k := start(t, nil)
	info, err := os.Stat(k.addresses[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	var audit Rows[AuditRow]
	if err := k.client.Do(context.Background(), "GET", "/v1/audit", nil, &audit); err != nil {
		t.Errorf("not administrator: %v", err)
	}
	if _, err := Listen(context.Background(), k.cfg); err == nil || !strings.Contains(err.Error(), "already running") {
		t.Errorf("a second node: %v", err)
	}
	dead := filepath.Join(t.TempDir(), "dead.sock")
	l, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	start(t, func(c *Config) { c.Socket = dead })
	if err := NewClient(t.TempDir()).Do(context.Background(), "GET", "/v1/status", nil, nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no node: %v", err)
	}
}

// TestAudit: every change is there with who, from where, what and how it ended, refused ones too; reading is not.
func TestAudit(t *testing.T) {
	k := start(t, nil)
	k.ask("GET", "/v1/registrations", viewerToken, "")
	k.ask("POST", "/v1/devices/alice/reset", operatorToken, "")
	k.ask("POST", "/v1/devices/nobody/reset", operatorToken, "")
	k.ask("POST", "/v1/devices/alice/reset", viewerToken, "")
	k.ask("POST", "/v1/config/apply", operatorToken, `{"yaml":"x"}`)
	k.ask("POST", "/v1/config/apply", adminToken, `{"name":"bad.yaml","yaml":"nodes: 7"}`)
	k.ask("PUT", "/v1/trace/levels", operatorToken, `{"device":"alice","level":"debug"}`)
	var audit Rows[AuditRow]
	if err := k.client.Do(context.Background(), "GET", "/v1/audit", nil, &audit); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for i := len(audit.Rows) - 1; i >= 0; i-- {
		e := audit.Rows[i]
		if e.Source == "" || e.Time.IsZero() {
			t.Errorf("incomplete: %+v", e)
		}
		fmt.Fprintf(&out, "%s | %s | %s | %s | %s\n", e.Actor, e.Action, e.Object, e.Result, e.Detail)
	}
	golden(t, "audit.txt", []byte(out.String()))
}

// failingAudit is a store whose audit log cannot be written.
type failingAudit struct{ Store }

func (failingAudit) AppendAudit(context.Context, store.AuditEntry) error { return store.ErrNoSpace }

// TestNoAuditNoChange: what cannot be written down does not happen.
func TestNoAuditNoChange(t *testing.T) {
	k := start(t, func(c *Config) { c.Store = failingAudit{c.Store} })
	status, body := k.ask("PUT", "/v1/trace/levels", operatorToken, `{"device":"alice","level":"debug"}`)
	if status != 507 || !strings.Contains(body, `"code":"no-space"`) || !strings.Contains(body, "audit") {
		t.Errorf("%d %s", status, body)
	}
	if k.trace.Enabled("cm", "alice", "", trace.Debug) {
		t.Error("the level was changed all the same")
	}
}

// TestApply: plan, apply, conflict, mistakes.
func TestApply(t *testing.T) {
	k := start(t, nil)
	ctx := context.Background()
	var now ConfigText
	if err := k.client.Do(ctx, "GET", "/v1/config", nil, &now); err != nil {
		t.Fatal(err)
	}
	type request struct {
		Name string `json:"name"`
		YAML string `json:"yaml"`
		Base int64  `json:"base,omitempty"`
	}
	file := request{Name: "site.yaml", YAML: strings.Replace(now.YAML, "Alice", "Alicia", 1)}
	if file.YAML == now.YAML {
		t.Fatalf("the default site has no Alice:\n%s", now.YAML)
	}
	var plan, done, again Plan
	if err := k.client.Do(ctx, "POST", "/v1/config/plan", file, &plan); err != nil {
		t.Fatal(err)
	}
	text, _ := json.MarshalIndent(plan, "", "  ")
	golden(t, "plan.json", append(text, '\n'))
	file.Base = plan.Base
	if err := k.client.Do(ctx, "POST", "/v1/config/apply", file, &done); err != nil || done.Revision != plan.Base+1 {
		t.Fatalf("%+v %v", done, err)
	}
	var p *Problem
	if err := k.client.Do(ctx, "POST", "/v1/config/apply", file, nil); !errors.As(err, &p) || p.Code != bus.CodeConflict {
		t.Errorf("on an old base: %v", err)
	}
	file.Base = 0
	if err := k.client.Do(ctx, "POST", "/v1/config/apply", file, &again); err != nil || again.Revision != done.Revision || len(again.Changes) != 0 {
		t.Errorf("the same again: %+v %v", again, err)
	}
	file.YAML += "\nnonsense: 1\n"
	if err := k.client.Do(ctx, "POST", "/v1/config/apply", file, nil); !errors.As(err, &p) || p.Code != bus.CodeInvalid || len(p.Details) == 0 || !strings.Contains(p.Details[0], "site.yaml:") {
		t.Errorf("a bad file: %v %+v", err, p)
	}
	var revisions Rows[store.Revision]
	if err := k.client.Do(ctx, "GET", "/v1/config/revisions", nil, &revisions); err != nil || revisions.Rows[0].Number != done.Revision {
		t.Errorf("%+v %v", revisions, err)
	}
}

// TestShapes: what programs read stays as it is.
func TestShapes(t *testing.T) {
	at := time.Date(2026, 11, 21, 21, 0, 0, 0, time.UTC)
	k := start(t, func(c *Config) { c.Now = func() time.Time { return at } })
	var status map[string]any
	if err := k.client.Do(context.Background(), "GET", "/v1/status", nil, &status); err != nil {
		t.Fatal(err)
	}
	status["pid"], status["home"] = 0, "HOME"
	status["store"].(map[string]any)["location"] = "HOME/s.db"
	first := status["services"].([]any)[0].(map[string]any)
	first["pid"], first["addresses"] = 0, []string{"HOME/admin.sock", "https://127.0.0.1:PORT"}
	status["trace"] = "see trace.Status"
	b, _ := json.MarshalIndent(status, "", "  ")
	golden(t, "status.json", append(b, '\n'))
	_, registrations := k.ask("GET", "/v1/registrations?name=alice", viewerToken, "")
	golden(t, "registrations.json", []byte(registrations))
	_, trunks := k.ask("GET", "/v1/trunks", viewerToken, "") // the service runs, and has nothing of the kind
	golden(t, "trunks.json", []byte(trunks))
	gone := &Server{cfg: Config{Services: []string{"gone"}, Nodes: k.cfg.Nodes, Bus: k.cfg.Bus}}
	if r := gather[bus.TrunkState](context.Background(), gone, bus.VerbTrunks, ""); len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "nobody on node1 serves gone trunks") {
		t.Errorf("a service that does not run: %+v", r)
	}
	_, missing := k.ask("GET", "/v1/calls/none/ladder", viewerToken, "")
	golden(t, "problem.json", []byte(missing))
	_, invalid := k.ask("PUT", "/v1/trace/levels", operatorToken, `{"level":"loud"}`)
	golden(t, "invalid.json", []byte(invalid))
	_, reset := k.ask("POST", "/v1/devices/alice/apply", operatorToken, "")
	golden(t, "reset.json", []byte(reset))
}

// TestNoSecretLeaves: a call with a key and a password, through every way out.
func TestNoSecretLeaves(t *testing.T) {
	k := start(t, nil)
	k.record()
	var all bytes.Buffer
	for _, path := range []string{"/v1/calls", "/v1/calls/c1/ladder?engine=true", "/v1/calls/x@y/records", "/v1/calls/c1/ladder.svg", "/v1/trace/records", "/v1/config", "/v1/status", "/v1/audit"} {
		status, body := k.ask("GET", path, adminToken, "")
		if status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
		all.WriteString(body)
	}
	for path, want := range map[string]string{
		"/v1/calls/c1/ladder": `"call":"c1"`, "/v1/calls/x@y/ladder": "INVITE", "/v1/trace/records?device=nobody": `{"rows":[]}`, "/v1/trace/records?device=alice&limit=1": `"device":"alice"`,
		"/v1/trace/records?after=2": `"seq":3`,
	} {
		if _, body := k.ask("GET", path, adminToken, ""); !strings.Contains(body, want) {
			t.Errorf("%s lacks %s: %s", path, want, body)
		}
	}
	var archive bytes.Buffer
	if _, err := k.client.Download(context.Background(), "POST", "/v1/logs", &archive); err != nil {
		t.Fatal(err)
	}
	names := unpack(t, &archive, &all)
	for _, want := range []string{"version.txt", "status.json", "config.yaml", "exceptions.json", "trace/recent.sdl.txt", "trace/trace-000000000001.jsonl"} {
		if !strings.Contains(names, want) {
			t.Errorf("the archive lacks %s: %s", want, names)
		}
	}
	for _, secret := range []string{secretKey, "hunter2hunter2", "0123456789abcdef", viewerToken, adminToken} {
		if bytes.Contains(all.Bytes(), []byte(secret)) {
			t.Errorf("%q left the node", secret)
		}
	}
	if !bytes.Contains(all.Bytes(), []byte("inline:[redacted]")) || !bytes.Contains(all.Bytes(), []byte("INVITE sdp SAVP CM_128_80")) {
		t.Error("the call is not in the answers: the scan proves nothing")
	}
}

func unpack(t *testing.T, archive io.Reader, all *bytes.Buffer) string {
	t.Helper()
	gz, err := gzip.NewReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(gz); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(names, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if _, err := io.Copy(all, r); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFollow: records arrive as they happen; what viewers get carries no message.
func TestFollow(t *testing.T) {
	k := start(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	errEnough := errors.New("enough")
	for path, wantBody := range map[string]bool{"/v1/trace/stream?device=alice": true, "/v1/events": false} {
		res, err := k.client.open(ctx, "GET", path, nil)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, len(": listening\n\n")) // from here on nothing is missed
		if _, err := io.ReadFull(res.Body, first); err != nil {
			t.Fatal(err)
		}
		k.record()
		buf := make([]byte, 64<<10)
		n, err := res.Body.Read(buf)
		if err != nil || !strings.Contains(string(buf[:n]), "event: record") || strings.Contains(string(buf[:n]), `"body"`) != wantBody {
			t.Errorf("%s: %v %s", path, err, buf[:n])
		}
		res.Body.Close()
	}
	go func() {
		for ctx.Err() == nil {
			k.trace.Record(trace.Record{Service: "cm", Kind: trace.KindNote, Summary: "tick"})
			time.Sleep(5 * time.Millisecond) // a source of records; nothing waits for this
		}
	}()
	err := k.client.Follow(ctx, "/v1/trace/stream", func(r trace.Record, _ uint64) error {
		if r.Summary == "tick" {
			return errEnough
		}
		return nil
	})
	cancel()
	if !errors.Is(err, errEnough) {
		t.Error(err)
	}
}

// TestCloseEndsStreams: a node stops although somebody listens.
func TestCloseEndsStreams(t *testing.T) {
	k := start(t, nil)
	res, err := k.client.open(context.Background(), "GET", "/v1/trace/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := k.Server.Close(ctx); err != nil {
		t.Error(err)
	}
}

// TestBounds: connections beyond the limit are closed, bodies and headers beyond theirs refused, a panic is an answer.
func TestBounds(t *testing.T) {
	k := start(t, func(c *Config) { c.MaxConnections, c.MaxBody = 4, 10_000 })
	if status, body := k.ask("POST", "/v1/config/plan", adminToken, `{"yaml":"`+strings.Repeat("x", 20_000)+`"}`); status != 413 || !strings.Contains(body, "too-large") {
		t.Errorf("a large body: %d %s", status, body)
	}
	if status, _ := k.ask("GET", "/v1/status?x="+strings.Repeat("y", 40_000), adminToken, ""); status != 431 {
		t.Errorf("a large header: %d", status)
	}
	var open []net.Conn
	for range 4 {
		c, err := net.Dial("unix", k.addresses[0])
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for k.bounds[0].open.Load() < 4 {
		time.Sleep(time.Millisecond) // until the server has taken them
	}
	c, err := net.Dial("unix", k.addresses[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(3 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the fifth connection: %v", err)
	}
	if n := k.bounds[0].refused.Load(); n != 1 {
		t.Errorf("%v connections were counted as refused", n)
	}
	if status, _ := k.ask("GET", "/v1/status", adminToken, ""); status != 200 {
		t.Errorf("HTTPS while the socket has its limit: %d", status)
	}
	was := k.bounds[0].useless.Load()
	open[0].Write([]byte("no request\r\n\r\n"))
	io.Copy(io.Discard, open[0])
	for deadline := time.Now().Add(5 * time.Second); k.bounds[0].useless.Load() != was+1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("garbage was not counted")
		}
	}
}

func TestPanicIsAnAnswer(t *testing.T) {
	k := start(t, func(c *Config) { c.Issued = brokenRegister{} })
	if status, body := k.ask("GET", "/v1/certificates", viewerToken, ""); status != 500 || !strings.Contains(body, `"code":"internal"`) {
		t.Errorf("%d %s", status, body)
	}
	if got := k.trace.Recent(trace.Filter{Service: ServiceName, Level: trace.Error}, 10); len(got) != 1 || !strings.Contains(got[0].Summary, "broken") {
		t.Errorf("the trace does not say so: %+v", got)
	}
}

type brokenRegister struct{ pki.Register }

func (brokenRegister) Entries(context.Context) ([]pki.Entry, error) { panic("broken") }

// TestIssue: a certificate from the real authority; the key is in the answer and in nothing else.
func TestIssue(t *testing.T) {
	var ca *pki.CA
	k := start(t, func(c *Config) {
		keys, err := pki.OpenDir(filepath.Join(c.Home, "pki"))
		if err != nil {
			t.Fatal(err)
		}
		if ca, err = pki.Open(context.Background(), pki.Config{Cluster: "test", Custody: keys, Register: c.Issued}); err != nil {
			t.Fatal(err)
		}
		c.CA = ca
	})
	ctx := context.Background()
	var issued CertIssued
	if err := k.client.Do(ctx, "POST", "/v1/certificates", CertRequest{Kind: "device", Name: "carol"}, &issued); err != nil {
		t.Fatal(err)
	}
	credential, err := pki.LoadCredential([]byte(issued.Certificate + issued.Key))
	if err != nil || credential.Leaf().Subject.CommonName != "carol" {
		t.Fatalf("%v", err)
	}
	revoke := map[string]string{"issuer": issued.Entry.Issuer, "serial": issued.Entry.Serial, "reason": "lost"}
	if err := k.client.Do(ctx, "POST", "/v1/certificates/revoke", revoke, nil); err != nil {
		t.Fatal(err)
	}
	var list Rows[pki.Entry]
	if err := k.client.Do(ctx, "GET", "/v1/certificates", nil, &list); err != nil || len(list.Rows) != 1 || list.Rows[0].Revoked.IsZero() {
		t.Errorf("%+v %v", list, err)
	}
	revoke["serial"] = "77"
	var p *Problem
	if err := k.client.Do(ctx, "POST", "/v1/certificates/revoke", revoke, nil); !errors.As(err, &p) || p.Code != bus.CodeNotFound {
		t.Errorf("an unknown serial: %v", err)
	}
	if err := k.client.Do(ctx, "POST", "/v1/certificates", CertRequest{Kind: "device", Name: "x", IPs: []string{"not an address"}}, nil); !errors.As(err, &p) || p.Code != bus.CodeInvalid {
		t.Errorf("a bad address: %v", err)
	}
	var archive, all bytes.Buffer
	if _, err := k.client.Download(ctx, "POST", "/v1/logs", &archive); err != nil {
		t.Fatal(err)
	}
	unpack(t, &archive, &all)
	if lines := strings.Split(issued.Key, "\n"); bytes.Contains(all.Bytes(), []byte(lines[1])) {
		t.Error("the private key is in the logs")
	}
}

// FuzzInputs sends any path, query and body: there is always an answer with a code, never a panic.
func FuzzInputs(f *testing.F) {
	f.Add("GET", "/v1/calls/%00/ladder", "width=-1", "")
	f.Add("POST", "/v1/config/plan", "", `{"yaml":"nodes: [}"}`)
	f.Add("POST", "/v1/certificates", "", `{"kind":"device","name":"x","csr":"-----BEGIN"}`)
	f.Add("PUT", "/v1/trace/levels", "", `{"level":"debug","device":"`+strings.Repeat("a", 200)+`"}`)
	f.Add("GET", "/v1/trace/records", "since=x&limit=1e9&after=-1", "")
	s := &Server{cfg: Config{MaxBody: 1 << 16, Timeout: time.Second, Store: emptyStore{}, Now: time.Now}, closing: make(chan struct{})}
	handler := s.handler()
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		if strings.HasSuffix(path, "/events") || strings.HasSuffix(path, "/stream") || !strings.HasPrefix(path, "/v1/c") && !strings.HasPrefix(path, "/v1/t") {
			return
		}
		ctx := context.WithValue(context.Background(), principalKey{}, principal{"fuzz", RoleAdministrator, "test"})
		req, err := http.NewRequestWithContext(ctx, method, "http://x"+path+"?"+query, strings.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("Content-Type", "application/json")
		w := &answer{header: http.Header{}}
		handler.ServeHTTP(w, req)
		if w.status == 500 {
			t.Errorf("%s %s?%s %q: %s", method, path, query, body, w.body.String())
		}
	})
}

// answer is a response writer without a connection.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }
func (a *answer) WriteHeader(s int) {
	if a.status == 0 {
		a.status = s
	}
}
func (a *answer) Write(b []byte) (int, error)      { a.WriteHeader(200); return a.body.Write(b) }
func (a *answer) Flush()                           {}
func (a *answer) SetReadDeadline(time.Time) error  { return nil }
func (a *answer) SetWriteDeadline(time.Time) error { return nil }

// emptyStore has the default site and takes nothing.
type emptyStore struct{ Store }

func (emptyStore) Site(context.Context) (store.Snapshot, error) {
	return store.Snapshot{Site: config.Default("node1")}, nil
}
func (emptyStore) Apply(context.Context, store.ChangeSet) (store.Revision, error) {
	return store.Revision{}, store.ErrConflict
}
func (emptyStore) Revisions(context.Context, int) ([]store.Revision, error) { return nil, nil }
func (emptyStore) AppendAudit(context.Context, store.AuditEntry) error      { return nil }
