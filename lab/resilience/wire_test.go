package resilience

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
)

// Raw connections to a site, for what no phone would do.

func addrOf(s *lab.Site, port uint16) string {
	return netip.AddrPortFrom(s.CallManager(), port).String()
}

// dialFrom connects from an address of 127.0.0.0/8; "" leaves the choice to the system.
func dialFrom(ctx context.Context, local, addr string) (net.Conn, error) {
	d := net.Dialer{}
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	return d.DialContext(ctx, "tcp", addr)
}

// secured does the client's side of a handshake with a certificate of the site.
func secured(ctx context.Context, s *lab.Site, conn net.Conn, c pki.Credential) (*tls.Conn, error) {
	tc := tls.Client(conn, &tls.Config{RootCAs: s.Roots(), ServerName: s.CallManager().String(), Certificates: []tls.Certificate{c.TLS()}})
	if err := tc.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return tc, nil
}

func dialTLS(t testing.TB, s *lab.Site, c pki.Credential) *tls.Conn {
	t.Helper()
	ctx := within(t, step)
	tc := must(secured(ctx, s, must(dialFrom(ctx, "", addrOf(s, 5061)))(t), c))(t)
	t.Cleanup(func() { tc.Close() })
	return tc
}

var serial atomic.Int64

// request is a well-formed request as text.
func request(method, user, network string, more ...string) string {
	n := strconv.FormatInt(serial.Add(1), 10)
	lines := append([]string{
		method + " sip:" + user + "@locktone.test SIP/2.0",
		"Via: SIP/2.0/" + network + " 127.0.0.1:9;branch=z9hG4bK-r" + n + ";rport",
		"From: <sip:" + user + "@locktone.test>;tag=r" + n,
		"To: <sip:" + user + "@locktone.test>",
		"Call-ID: resilience-" + n,
		"CSeq: 1 " + method,
		"Max-Forwards: 70",
		"Contact: <sip:" + user + "@127.0.0.1:9;transport=" + strings.ToLower(network) + ">",
	}, more...)
	return strings.Join(append(lines, "Content-Length: 0", "", ""), "\r\n")
}

// answer reads one response: its status and its header lines.
func answer(r *bufio.Reader) (status int, header []string, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, nil, err
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "" && status == 0: // a keep-alive's CRLF
		case line == "":
			return status, header, skipBody(r, header)
		case status == 0:
			if _, err := fmt.Sscanf(line, "SIP/2.0 %d", &status); err != nil {
				return 0, nil, fmt.Errorf("%q is no status line", line)
			}
		default:
			header = append(header, line)
		}
	}
}

func skipBody(r *bufio.Reader, header []string) error {
	n, _ := strconv.Atoi(field(header, "Content-Length"))
	_, err := io.CopyN(io.Discard, r, int64(n))
	return err
}

// field is the value of a header field, "" without it.
func field(header []string, name string) string {
	for _, h := range header {
		if k, v, _ := strings.Cut(h, ":"); strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// goodOptions asks over a connection whether the site is there.
func goodOptions(t testing.TB, conn net.Conn, network string) {
	t.Helper()
	ok(t, conn.SetDeadline(time.Now().Add(step)))
	must(io.WriteString(conn, request("OPTIONS", "alice", network)))(t)
	status, _, err := answer(bufio.NewReader(conn))
	if err != nil || status != 200 {
		t.Fatalf("a good OPTIONS over %s: %d, %v", network, status, err)
	}
}
