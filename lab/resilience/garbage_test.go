package resilience

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/wire/sip/transport"
)

// plainSite has, besides alice and bob, carol (1003) and dave (1004) without TLS: ports 5060 are open.
func plainSite() *config.Site {
	c := config.Default("node1")
	c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "plain", DeviceSecurityMode: config.NonSecure})
	addPhone(c, "carol", "1003", "plain")
	addPhone(c, "dave", "1004", "plain")
	return c.Canonical()
}

func addPhone(c *config.Site, name, number, profile string) {
	c.Lines = append(c.Lines, config.Line{Number: number, Partition: "internal", CallingSearchSpace: "internal"})
	c.Devices = append(c.Devices, config.Device{Name: name, DevicePool: "default", PhoneSecurityProfile: profile, SIPProfile: "standard",
		Lines: []config.Appearance{{Number: number, Partition: "internal"}}})
}

// plainly makes a phone that knows nothing of TLS and SRTP.
func plainly(network transport.Network) func(*phone.Config) {
	return func(c *phone.Config) {
		c.Network, c.Security = network, desc.Forbidden
		c.Server = strings.Replace(c.Server, ":5061", ":5060", 1)
	}
}

// quick shortens the deadlines that a test waits for.
func quick(c *callmanager.Config) {
	c.Conns = transport.Limits{HandshakeTimeout: 2 * time.Second, FirstMessage: 2 * time.Second, PartialMessage: 2 * time.Second}
}

// rubbish is what is sent where SIP is expected. The seed makes it the same at every run.
func rubbish() map[string][]byte {
	noise := make([]byte, 8192)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(noise)
	good := request("OPTIONS", "alice", "TCP")
	with := func(line string) []byte { return []byte(strings.Replace(good, "Max-Forwards: 70", line, 1)) }
	return map[string][]byte{
		"noise":           noise,
		"noise with CRLF": []byte(string(noise[:500]) + "\r\n\r\n" + string(noise[500:900]) + "\r\n\r\n"),
		"half a message":  []byte(good[:len(good)/2]),
		"huge header":     with("X-Huge: " + strings.Repeat("a", 1<<20)),
		"many headers":    with(strings.Repeat("X-Many: 1\r\n", 5000) + "Max-Forwards: 70"),
		"huge body":       []byte(strings.Replace(good, "Content-Length: 0", "Content-Length: 999999999", 1)),
		"negative body":   []byte(strings.Replace(good, "Content-Length: 0", "Content-Length: -1", 1)),
		"version 7":       []byte(strings.Replace(good, "SIP/2.0\r\n", "SIP/7.0\r\n", 1)),
		"no Via":          []byte(strings.Replace(good, "Via:", "Vox:", 1)),
		"HTTP":            []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"zeros":           make([]byte, 4096),
	}
}

// records are TLS records of nonsense.
func records() map[string][]byte {
	noise := make([]byte, 400)
	r := rand.NewChaCha8([32]byte{2})
	_, _ = r.Read(noise)
	record := func(kind byte, version uint16, body []byte) []byte {
		b := append([]byte{kind}, binary.BigEndian.AppendUint16(nil, version)...)
		return append(append(b, binary.BigEndian.AppendUint16(nil, uint16(len(body)))...), body...)
	}
	return map[string][]byte{
		"handshake of noise":    record(22, 0x0301, noise),
		"hello of noise":        record(22, 0x0301, append([]byte{1, 0, 1, 0x8c}, noise[:396]...)),
		"application data":      record(23, 0x0303, noise),
		"alert":                 record(21, 0x0303, []byte{2, 80}),
		"unknown record":        record(99, 0x0303, noise),
		"record longer than is": append([]byte{22, 3, 1, 0xff, 0xff}, noise...),
		"SSL 2 hello":           append([]byte{0x80, 0x2e, 1, 0, 2}, noise[:43]...),
		"noise":                 noise,
		"SIP in clear":          []byte(request("OPTIONS", "alice", "TLS")),
	}
}

// TestGarbage sends rubbish to every port a site opens. The metrics count it, and a good request right after is answered.
func TestGarbage(t *testing.T) {
	s := start(t, lab.Options{Config: plainSite(), Tune: quick})
	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil)
	carol, dave := telephone(t, s, "carol", "1003", plainly(transport.UDP)), telephone(t, s, "dave", "1004", plainly(transport.TCP))
	credential := must(s.Issue(t.Context(), pki.KindDevice, "alice"))(t)
	goodCall(t, alice, bob)
	goodCall(t, carol, dave)
	sendAll := func() {
		garbageTLS(t, s)
		garbageStream(t, s, "TLS", func() net.Conn { return dialTLS(t, s, credential) })
		garbageStream(t, s, "TCP", func() net.Conn { return must(dialFrom(t.Context(), "", addrOf(s, 5060)))(t) })
		garbageUDP(t, s)
		garbageAdmin(t, s)
	}
	sendAll() // once, to warm up what is allocated once
	before := measure()
	for range 3 {
		sendAll()
	}
	goodCall(t, alice, bob)
	goodCall(t, carol, dave)
	before.returned(t, usual)
}

func garbageTLS(t *testing.T, s *lab.Site) {
	t.Helper()
	was := figure(t, s, "handshakes_refused_total")
	for name, b := range records() {
		conn := must(dialFrom(t.Context(), "", addrOf(s, 5061)))(t)
		_, _ = conn.Write(b)
		_ = conn.SetReadDeadline(time.Now().Add(step))
		if _, err := io.Copy(io.Discard, conn); err != nil && isTimeout(err) {
			t.Errorf("%s: the connection stays open", name)
		}
		conn.Close()
	}
	eventually(t, step, func() error {
		if now := figure(t, s, "handshakes_refused_total"); now != was+float64(len(records())) {
			return fmt.Errorf("handshakes refused: %v, before %v, sent %d", now, was, len(records()))
		}
		return nil
	})
}

func isTimeout(err error) bool {
	n, is := err.(net.Error)
	return is && n.Timeout()
}

// garbageStream sends each piece on a connection of its own, which ends or answers; then a good OPTIONS on a new one.
func garbageStream(t *testing.T, s *lab.Site, network string, dial func() net.Conn) {
	t.Helper()
	was := figure(t, s, "malformed_total")
	for name, b := range rubbish() {
		conn := dial()
		_ = conn.SetDeadline(time.Now().Add(step))
		_, _ = conn.Write(b)
		if c, is := conn.(interface{ CloseWrite() error }); is {
			_ = c.CloseWrite()
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && isTimeout(err) {
			t.Errorf("%s, %s: the connection stays open", network, name)
		}
		conn.Close()
	}
	conn := dial()
	goodOptions(t, conn, network)
	conn.Close()
	if now := figure(t, s, "malformed_total"); now < was+5 {
		t.Errorf("%s: malformed messages counted: %v, before %v", network, now, was)
	}
}

func garbageUDP(t *testing.T, s *lab.Site) {
	t.Helper()
	was := figure(t, s, "malformed_total")
	conn := must(net.Dial("udp", addrOf(s, 5060)))(t)
	defer conn.Close()
	for _, b := range rubbish() {
		_, _ = conn.Write(b[:min(len(b), 60_000)])
	}
	fresh := must(net.Dial("udp", addrOf(s, 5060)))(t)
	defer fresh.Close()
	goodOptions(t, fresh, "UDP")
	if now := figure(t, s, "malformed_total"); now < was+5 {
		t.Errorf("UDP: malformed messages counted: %v, before %v", now, was)
	}
}

func garbageAdmin(t *testing.T, s *lab.Site) {
	t.Helper()
	socket := filepath.Join(s.Home(), admin.SocketName)
	https := httpsOf(t, s)
	const useless = "locktone_admin_connections_without_request_total"
	was := scraped(t, s, useless)
	send := func(conn net.Conn, err error, b []byte) {
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(step))
		_, _ = conn.Write(b)
		if c, is := conn.(interface{ CloseWrite() error }); is {
			_ = c.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, conn)
	}
	for _, b := range rubbish() {
		conn, err := net.Dial("unix", socket)
		send(conn, err, b)
		conn, err = tls.Dial("tcp", https, &tls.Config{RootCAs: s.Roots(), ServerName: "localhost"})
		send(conn, err, b)
	}
	for _, b := range records() {
		conn, err := net.Dial("tcp", https)
		send(conn, err, b)
	}
	if st := status(t, s.Home()); !st.Ready {
		t.Errorf("status after garbage: %+v", st)
	}
	if now := scraped(t, s, useless); now < was+20 {
		t.Errorf("administration counted %v connections without a request, before %v", now, was)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: s.Roots(), ServerName: "localhost"}}}
	res, err := client.Get("https://" + https + "/v1/status")
	if err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Fatalf("HTTPS without a token, after garbage: %v, %v", res, err)
	}
	res.Body.Close()
}

// scraped is one figure of /metrics, as Prometheus reads it.
func scraped(t testing.TB, s *lab.Site, name string) (v float64) {
	t.Helper()
	c := admin.NewClient(s.Home())
	defer c.Close()
	var text strings.Builder
	must(c.Download(within(t, step), http.MethodGet, "/metrics", &text))(t)
	for line := range strings.Lines(text.String()) {
		if strings.HasPrefix(line, name+" ") {
			must(fmt.Sscan(strings.TrimPrefix(line, name), &v))(t)
			return v
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestSilentAdministration: whoever fills the HTTPS port of administration does not keep the operator on the socket out.
func TestSilentAdministration(t *testing.T) {
	s := start(t, lab.Options{})
	https := httpsOf(t, s)
	before := measure()
	for range 300 {
		conn := must(net.Dial("tcp", https))(t)
		defer conn.Close()
	}
	if st := status(t, s.Home()); !st.Ready {
		t.Errorf("status: %+v", st)
	}
	if n := scraped(t, s, "locktone_admin_connections_refused_total"); n < 100 {
		t.Errorf("%v connections were counted as refused", n)
	}
	eventually(t, step, func() error { // those that were let in end at their deadline
		if n := scraped(t, s, "locktone_admin_connections_without_request_total"); n < 100 {
			return fmt.Errorf("%v connections ended without a request", n)
		}
		return nil
	})
	before.returned(t, slack{goroutines: 12, descriptors: 310, heap: 16 << 20}) // our ends are still open
}

// httpsOf is the address of administration's HTTPS port.
func httpsOf(t testing.TB, s *lab.Site) string {
	t.Helper()
	for _, row := range status(t, s.Home()).Services {
		for _, a := range row.Addresses {
			if rest, is := strings.CutPrefix(a, "https://"); is {
				return rest
			}
		}
	}
	t.Fatal("administration has no HTTPS port")
	return ""
}
