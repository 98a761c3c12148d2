package bus

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// mutual is TLS for both ends that lets in whoever has the one certificate.
func mutual(t *testing.T) *tls.Config {
	cert, pool := certificate(t)
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
}

// freePorts are addresses on loopback nobody listens on.
func freePorts(t *testing.T, n int) (out []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out
}

// others are all addresses but one.
func others(all []string, i int) []string {
	return slices.Delete(slices.Clone(all), i, i+1)
}

// quick makes the board lose a node within the patience of a test.
const quickBeat, quickLease = 100 * time.Millisecond, time.Second

func joined(t *testing.T, n int, secure *tls.Config) (out []*Bus, at []string) {
	t.Helper()
	at = freePorts(t, n)
	for i := range n {
		out = append(out, openBus(t, Config{Node: fmt.Sprintf("n%d", i+1), Beat: quickBeat, Lease: quickLease, Routes: Routes{Listen: at[i], Peers: others(at, i), TLS: secure}}))
	}
	return out, at
}

// eventually waits for what no event tells.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// allAlive waits until every bus counts n nodes as alive.
func allAlive(t *testing.T, n int, all ...*Bus) {
	t.Helper()
	for _, b := range all {
		eventually(t, fmt.Sprintf("%s sees %d nodes alive", b.Node(), n), func() bool { return alive(b) == n })
	}
}

func alive(b *Bus) (n int) {
	for _, m := range b.Board().Nodes() {
		if m.Alive {
			n++
		}
	}
	return n
}

// TestJoinedServers: the embedded servers of the nodes are one bus, with everything a bus does.
func TestJoinedServers(t *testing.T) {
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) {
			secure := mutual(t)
			at := freePorts(t, 3)
			all := map[string]*Bus{}
			c.run(t, func(node string) *Bus {
				if all[node] == nil {
					i := len(all)
					all[node] = openBus(t, Config{Cluster: "x", Node: node, Beat: quickBeat, Routes: Routes{Listen: at[i], Peers: others(at, i), TLS: secure}})
					for _, b := range all {
						allAlive(t, len(all), b)
					}
				}
				return all[node]
			})
		})
	}
}

// TestFactsAcross: what one node says the others read, until it ends or drops it.
func TestFactsAcross(t *testing.T) {
	nodes, at := joined(t, 3, mutual(t))
	if s := nodes[0].server; s.Addr() != nil || s.MonitorAddr() != nil || nodes[0].RouteAddress() != at[0] {
		t.Errorf("it listens for others than nodes: %v %v %s", s.Addr(), s.MonitorAddr(), nodes[0].RouteAddress())
	}
	allAlive(t, 3, nodes...)
	a, b, c := nodes[0].Board(), nodes[1].Board(), nodes[2].Board()
	w := c.Watch("registration")
	Put(a, "registration", "alice", "at n1")
	if got := change(t, w); got.Fact.Owner != "n1" || got.Fact.Key != "alice" || got.Gone {
		t.Errorf("%+v", got)
	}
	first := Take(a, "registration", "bob", 1)
	eventually(t, "n2 knows of bob", func() bool { return len(b.Of("registration", "bob")) == 1 })
	second := Take(b, "registration", "bob", 2)
	if second <= first {
		t.Errorf("claims %d, then %d", first, second)
	}
	eventually(t, "bob is n2's alone", func() bool {
		return slices.EqualFunc([]*Board{a, b, c}, []string{"n2", "n2", "n2"}, func(d *Board, owner string) bool {
			f := d.Of("registration", "bob")
			return len(f) == 1 && f[0].Owner == owner && string(f[0].Value) == "2"
		})
	})
	if s := a.Stats(); s.Taken != 1 || s.Alive != 2 || s.FactsOfAllNodes != 2 {
		t.Errorf("%+v", s)
	}
	nodes[0].Close()
	eventually(t, "alice is gone with n1", func() bool { return len(c.All("registration")) == 1 && !c.Alive("n1") })
}

// TestPeersChange: nodes come and go while the bus runs.
func TestPeersChange(t *testing.T) {
	secure, at := mutual(t), freePorts(t, 3)
	open := func(i int, peers ...string) *Bus {
		return openBus(t, Config{Node: fmt.Sprintf("n%d", i+1), Beat: quickBeat, Lease: quickLease, Routes: Routes{Listen: at[i], Peers: peers, TLS: secure}})
	}
	a, b := open(0), open(1)
	if alive(a) != 1 || alive(b) != 1 {
		t.Fatal("they know each other already")
	}
	Put(a.Board(), "line", "7001", "a")
	if err := a.SetPeers([]string{at[1]}); err != nil {
		t.Fatal(err)
	}
	allAlive(t, 2, a, b)
	c := open(2, at[0], at[1])
	for _, x := range []*Bus{a, b} {
		if err := x.SetPeers(others(at, slices.Index([]*Bus{a, b}, x))); err != nil {
			t.Fatal(err)
		}
	}
	allAlive(t, 3, a, b, c)
	before := b.Board().Stats().Lost
	for _, x := range []*Bus{a, b} { // n3 is taken out
		if err := x.SetPeers(others(at[:2], slices.Index([]*Bus{a, b}, x))); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	allAlive(t, 2, a, b)
	if lost := b.Board().Stats().Lost - before; lost != 1 {
		t.Errorf("%d nodes were lost, want n3 alone: connections to those that stay are kept", lost)
	}
	if f := b.Board().Of("line", "7001"); len(f) != 1 {
		t.Errorf("%+v", f)
	}
	if err := a.SetPeers([]string{"nonsense"}); err == nil {
		t.Error("an address without a port")
	}
}

// TestStrangersStayOut: without the right certificate nobody is let in, and nothing is said to them; in clear neither.
func TestStrangersStayOut(t *testing.T) {
	secure, at := mutual(t), freePorts(t, 2)
	a := openBus(t, Config{Node: "n1", Beat: quickBeat, Routes: Routes{Listen: at[0], TLS: secure}})
	stranger := mutual(t)
	stranger.InsecureSkipVerify = true // it would talk to anybody
	var tries atomic.Int64
	cert := stranger.Certificates[0]
	stranger.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { tries.Add(1); return &cert, nil }
	b := openBus(t, Config{Node: "n2", Beat: quickBeat, Routes: Routes{Listen: at[1], Peers: at[:1], TLS: stranger}})
	none := openBus(t, Config{Node: "n3", Beat: quickBeat, Routes: Routes{Listen: "127.0.0.1:0", Peers: at[:1], TLS: &tls.Config{RootCAs: secure.RootCAs}}})
	conn, err := net.Dial("tcp", at[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "CONNECT {\"verbose\":false}\r\nSUB > 1\r\nPING\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	all := make([]byte, 64<<10)
	n := 0
	for err = nil; err == nil && n < len(all); {
		var k int
		k, err = conn.Read(all[n:])
		n += k
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || strings.Contains(string(all[:n]), "PONG") || strings.Contains(string(all[:n]), "MSG") {
		t.Errorf("spoken to in clear: %v, %q", err, all[:n])
	}
	eventually(t, "the stranger tries again", func() bool { return tries.Load() > 1 })
	if a.Connections()+b.Connections()+none.Connections() != 0 || alive(a) != 1 || alive(b) != 1 || a.Board().Stats().Members != 0 {
		t.Errorf("a stranger is in: %+v, %+v", a.Board().Nodes(), b.Board().Nodes())
	}
}

// TestRoutesNeed: mistakes of configuration are told where they can be mended.
func TestRoutesNeed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	secure := mutual(t)
	for want, r := range map[string]Routes{
		"routes need TLS":        {Listen: "127.0.0.1:0"},
		"address already in use": {Listen: l.Addr().String(), TLS: secure},
		"is no port":             {Listen: "127.0.0.1:x", TLS: secure},
		"missing port":           {Listen: "127.0.0.1:0", TLS: secure, Peers: []string{"127.0.0.1"}},
	} {
		b, err := Open(t.Context(), Config{Routes: r})
		if err == nil {
			closed(t, b)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestSnapshotAcross: a node that comes has everything the others say once it counts them as alive.
func TestSnapshotAcross(t *testing.T) {
	secure, at := mutual(t), freePorts(t, 2)
	a := openBus(t, Config{Node: "n1", Beat: quickBeat, Routes: Routes{Listen: at[0], TLS: secure}})
	value := json.RawMessage(`{"contact":"sip:alice@192.0.2.1:5061;transport=tls","since":"2026-01-01T00:00:00Z","agent":"phone"}`)
	const facts = 20000
	for i := range facts {
		Put(a.Board(), "registration", fmt.Sprintf("SEP%012d", i), value)
	}
	b := openBus(t, Config{Node: "n2", Beat: quickBeat, Routes: Routes{Listen: at[1], Peers: at[:1], TLS: secure}})
	allAlive(t, 2, b)
	if n := len(b.Board().All("registration")); n != facts { // alive and known are one
		t.Errorf("%d facts", n)
	}
}
