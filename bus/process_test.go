package bus

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// child is what a process of its own is told to be: a node with an embedded server, or a NATS server of an operator's cluster.
type child struct {
	Server             bool
	Name, Listen, Pair string // Pair: PEM file of certificate and key, which is its own authority
	Client             string // where a server listens for clients
	Peers, URLs        []string
}

const childEnv = "LOCKTONE_BUS_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		var c child
		err := json.Unmarshal([]byte(text), &c)
		if err == nil {
			err = c.run()
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// run lives until standard input ends, which it does with the test.
func (c child) run() error {
	pair, err := tls.LoadX509KeyPair(c.Pair, c.Pair)
	if err != nil {
		return err
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: x509.NewCertPool(), ClientAuth: tls.RequireAndVerifyClientCert}
	secure.RootCAs.AddCert(pair.Leaf)
	secure.ClientCAs = secure.RootCAs
	if c.Server {
		return c.serve(secure)
	}
	cfg := Config{Node: c.Name, Beat: quickBeat, Lease: quickLease, URLs: c.URLs, TLS: secure}
	if c.Listen != "" {
		cfg.Routes = Routes{Listen: c.Listen, Peers: c.Peers, TLS: secure}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	b, err := Open(ctx, cfg)
	if err != nil {
		return err
	}
	d := b.Board()
	w := d.Watch("phone")
	Take(d, "phone", "alice", c.Name)
	Put(d, "pid", c.Name, os.Getpid())
	r, err := Serve(b, b.Subject("test", "who"), func(_ context.Context, _ int) (string, error) { return c.Name, nil })
	if err != nil {
		return err
	}
	defer r.Close()
	done := 0
	acts, err := Serve(b, b.Subject("test", "act"), func(_ context.Context, n int) (int, error) { done += n; return done, nil }) // one asks at a time
	if err != nil {
		return err
	}
	defer acts.Close()
	fmt.Println("ready")
	go func() {
		for x := range w.C() {
			switch {
			case x.Member != nil && x.Member.Self:
				fmt.Printf("self alive=%v incarnation=%d\n", x.Member.Alive, x.Member.Incarnation)
			case x.Gone && x.TakenBy != "":
				fmt.Printf("%s taken by %s\n", x.Fact.Key, x.TakenBy)
			}
		}
	}()
	_, _ = bufio.NewReader(os.Stdin).ReadString(0)
	return b.Close()
}

func (c child) serve(secure *tls.Config) error {
	host, port, err := splitPort(c.Listen)
	if err != nil {
		return err
	}
	chost, cport, err := splitPort(c.Client)
	if err != nil {
		return err
	}
	opt := &server.Options{ServerName: c.Name, Host: chost, Port: cport, NoLog: true, NoSigs: true, TLS: true, TLSVerify: true, TLSConfig: secure, TLSTimeout: 5,
		Cluster: server.ClusterOpts{Name: "operators", Host: host, Port: port, TLSConfig: secure, TLSTimeout: 5, PingInterval: time.Second}}
	for _, p := range c.Peers {
		opt.Routes = append(opt.Routes, &url.URL{Scheme: "nats-route", Host: p})
	}
	s, err := server.NewServer(opt)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		return errors.New("not ready")
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString(0)
	s.Shutdown()
	return nil
}

// runningChild is a child that runs.
type runningChild struct {
	cmd   *exec.Cmd
	lines chan string
}

func spawn(t *testing.T, c child) *runningChild {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &runningChild{cmd: exec.Command(os.Args[0]), lines: make(chan string, 1024)}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), childEnv+"="+string(text)), os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		_ = p.cmd.Process.Kill()
		<-read
		_ = p.cmd.Wait()
	})
	p.says(t, "ready")
	return p
}

// says waits for a line that begins so.
func (p *runningChild) says(t *testing.T, begin string) string {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case l := <-p.lines:
			if strings.HasPrefix(l, begin) {
				return l
			}
		case <-limit:
			t.Fatalf("it never said %q", begin)
		}
	}
}

func (p *runningChild) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// pairFile is one certificate for all, as a file.
func pairFile(t *testing.T) (file string, secure *tls.Config) {
	t.Helper()
	secure = mutual(t)
	key, err := x509.MarshalPKCS8PrivateKey(secure.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificates[0].Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	file = filepath.Join(t.TempDir(), "pair.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, secure
}

// TestStoppedProcess: a process that is stopped for longer than its lease is dead for the others. When it wakes it says so itself, begins a
// new life, and what was taken from it meanwhile is not its any more.
func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	file, secure := pairFile(t)
	at := freePorts(t, 2)
	b := openBus(t, Config{Node: "n1", Beat: quickBeat, Lease: quickLease, Routes: Routes{Listen: at[0], Peers: at[1:], TLS: secure}})
	d := b.Board()
	p := spawn(t, child{Name: "n2", Listen: at[1], Peers: at[:1], Pair: file})
	eventually(t, "n2 has alice", func() bool { f := d.Of("phone", "alice"); return len(f) == 1 && f[0].Owner == "n2" })
	life := incarnation(d, "n2")
	p.signal(t, syscall.SIGSTOP)
	stopped := time.Now()
	eventually(t, "n2 is lost", func() bool { return !d.Alive("n2") })
	if took := time.Since(stopped); took < quickLease-2*quickBeat || took > 3*quickLease {
		t.Errorf("lost after %s, its lease is %s", took, quickLease)
	}
	if f := d.Of("pid", "n2"); len(f) != 0 {
		t.Errorf("its facts stayed: %+v", f)
	}
	Take(d, "phone", "alice", "n1")
	p.signal(t, syscall.SIGCONT)
	p.says(t, "self alive=false")
	p.says(t, "self alive=true")
	p.says(t, "alice taken by n1")
	eventually(t, "n2 is back in a new life", func() bool { return d.Alive("n2") && incarnation(d, "n2") > life && len(d.Of("pid", "n2")) == 1 })
	if f := d.Of("phone", "alice"); len(f) != 1 || f[0].Owner != "n1" {
		t.Errorf("alice is at %+v", f)
	}
}

// TestLateRequest: what was asked of a process that was stopped is not done when it wakes: whoever asked has given up, and may have asked
// somebody else. What is asked after it has woken is done.
func TestLateRequest(t *testing.T) {
	t.Parallel()
	file, secure := pairFile(t)
	at := freePorts(t, 2)
	b := openBus(t, Config{Node: "n1", Beat: quickBeat, Lease: quickLease, Routes: Routes{Listen: at[0], Peers: at[1:], TLS: secure}})
	p := spawn(t, child{Name: "n2", Listen: at[1], Peers: at[:1], Pair: file})
	allAlive(t, 2, b)
	act := func() (int, error) { return Ask[int, int](shortly(t), b, b.Subject("test", "act").To("n2"), 1) }
	eventually(t, "n2 acts", func() bool { n, err := act(); return err == nil && n > 0 })
	before, err := act()
	if err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGSTOP)
	eventually(t, "it has stopped", func() bool {
		n, err := act()
		before = max(before, n)
		return err != nil
	})
	for range 3 {
		if n, err := act(); err == nil {
			t.Fatalf("a stopped process answered: %d", n)
		}
	}
	eventually(t, "n2 is lost", func() bool { return !b.Board().Alive("n2") })
	p.signal(t, syscall.SIGCONT)
	woken := time.Now()
	p.says(t, "self alive=true")
	now := 0
	eventually(t, "n2 acts again", func() bool { now, err = act(); return err == nil })
	t.Logf("acts %s after it woke", time.Since(woken))
	if now > before+2 { // one may have been done just before it stopped, and its answer not sent
		t.Errorf("%d requests were done, and %d before it stopped: those that came too late were done", now, before)
	}
}

// shortly is the patience of somebody who asks again: a question that was under way on a connection that died waits in vain.
func shortly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func incarnation(d *Board, node string) uint64 {
	for _, m := range d.Nodes() {
		if m.Name == node {
			return m.Incarnation
		}
	}
	return 0
}

// TestKilledNode: kill -9 of one of three nodes. The other two go on at once, questions to the dead one fail at once, and it comes back.
func TestKilledNode(t *testing.T) {
	t.Parallel()
	file, secure := pairFile(t)
	at := freePorts(t, 3)
	b := openBus(t, Config{Node: "n1", Beat: quickBeat, Lease: quickLease, Routes: Routes{Listen: at[0], Peers: others(at, 0), TLS: secure}})
	second := spawn(t, child{Name: "n2", Listen: at[1], Peers: others(at, 1), Pair: file})
	spawn(t, child{Name: "n3", Listen: at[2], Peers: others(at, 2), Pair: file})
	allAlive(t, 3, b)
	life := incarnation(b.Board(), "n2")
	second.signal(t, syscall.SIGKILL)
	killed := time.Now()
	eventually(t, "questions to n2 find nobody", func() bool {
		_, err := Ask[int, string](shortly(t), b, b.Subject("test", "who").To("n2"), 0)
		var e *Error
		return errors.As(err, &e) && e.Code == CodeNoResponder
	})
	if took := time.Since(killed); took > 6*time.Second {
		t.Errorf("that took %s", took)
	}
	if who, err := Ask[int, string](t.Context(), b, b.Subject("test", "who").To("n3"), 0); err != nil || who != "n3" {
		t.Errorf("%q, %v", who, err)
	}
	eventually(t, "n2 is lost", func() bool { return !b.Board().Alive("n2") && len(b.Board().Of("pid", "n2")) == 0 })
	row, has := b.Status("n1", "n2", "n3", "n4")
	if !has || row.State != "degraded" || row.Addresses[0] != at[0] || !strings.Contains(row.Problem, "not heard on the bus: n2 (for ") || !strings.Contains(row.Problem, "n4 (never heard)") {
		t.Errorf("%+v", row)
	}
	spawn(t, child{Name: "n2", Listen: at[1], Peers: others(at, 1), Pair: file})
	eventually(t, "n2 is back in a new life", func() bool { return b.Board().Alive("n2") && incarnation(b.Board(), "n2") > life })
}

// TestOperatorsCluster: three NATS servers; the one a node is connected to is killed. The node goes to another, questions fail for a
// bounded time, and facts are as they were.
func TestOperatorsCluster(t *testing.T) {
	t.Parallel()
	file, secure := pairFile(t)
	routes, clients := freePorts(t, 3), freePorts(t, 3)
	var servers []*runningChild
	var urls []string
	for i := range routes {
		servers = append(servers, spawn(t, child{Server: true, Name: fmt.Sprintf("s%d", i+1), Listen: routes[i], Client: clients[i], Peers: others(routes, i), Pair: file}))
		urls = append(urls, "tls://"+clients[i])
	}
	a := openBus(t, Config{Node: "n1", URLs: urls[:], TLS: secure, Beat: quickBeat, Lease: 3 * quickLease})
	spawn(t, child{Name: "n2", URLs: []string{urls[2], urls[1], urls[0]}, Pair: file})
	allAlive(t, 2, a)
	for i := range 5000 {
		Put(a.Board(), "registration", fmt.Sprint(i), i)
	}
	at := slices.IndexFunc(clients, func(c string) bool { return strings.HasSuffix(a.conn.ConnectedUrl(), c) })
	servers[at].signal(t, syscall.SIGKILL)
	killed := time.Now()
	for slow := time.Duration(0); ; {
		asked := time.Now()
		who, err := Ask[int, string](shortly(t), a, a.Subject("test", "who").To("n2"), 0)
		slow = max(slow, time.Since(asked))
		if err == nil && who == "n2" && a.conn.ConnectedUrl() != urls[at] {
			t.Logf("an answer %s after the server was killed; the slowest question took %s", time.Since(killed), slow)
			break
		}
		if time.Since(killed) > 15*time.Second {
			t.Fatalf("no answer: %v", err)
		}
	}
	Put(a.Board(), "registration", "after", 1)
	eventually(t, "n2 is heard", func() bool { return a.Board().Alive("n2") && len(a.Board().Of("pid", "n2")) == 1 })
	b := openBus(t, Config{Node: "n3", URLs: urls, TLS: secure, Beat: quickBeat, Lease: quickLease})
	allAlive(t, 3, b)
	if n := len(b.Board().All("registration")); n != 5001 {
		t.Errorf("%d facts, want 5001", n)
	}
}
