package peers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/siptest"
)

// coreAnswers is what the call manager says to a torture message that is well-formed, by method: nobody in these messages is
// configured here, so an INVITE is refused (403, or 404 to a device), a REGISTER is 404, and OPTIONS, which everybody may
// ask, is answered.
var coreAnswers = map[sip.Method][]string{
	sip.INVITE: {"403", "404"}, sip.REGISTER: {"404"}, sip.OPTIONS: {"200"}, "MESSAGE": {"405", "501"}, sip.ACK: {}, sip.BYE: {"481"},
}

// exceptional are messages whose answer depends on more than the method.
var exceptional = map[string][]string{
	"wsinv":  {"481"},        // a To tag of a dialog nobody knows
	"unksm2": {"400", "404"}, // no address of record can be made of an isbn: URI
}

// TestTorture sends RFC 4475 and RFC 5118 to a running call manager over UDP, TCP and TLS. Each message gets the answer the
// RFCs ask for, and after each a good OPTIONS is answered: on the same connection where it lives, else on a new one.
func TestTorture(t *testing.T) {
	t.Parallel()
	siptest.ReadFile(t, "wsinv")
	results := make([][3]string, len(siptest.Torture()))
	t.Run("transports", func(t *testing.T) {
		for i, network := range []string{"UDP", "TCP", "TLS"} {
			t.Run(network, func(t *testing.T) {
				t.Parallel()
				tortureOver(t, network, func(n int, result string) { results[n][i] = result })
			})
		}
	})
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "message\tRFC 4475\tUDP\tTCP\tTLS\twhy")
	for n, m := range siptest.Torture() {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.File, m.Section, results[n][0], results[n][1], results[n][2], m.Why)
	}
	w.Flush()
	t.Log("\n" + b.String())
}

// tortureOver starts a site of its own: the same message over another transport would be the same transaction.
func tortureOver(t *testing.T, network string, result func(int, string)) {
	s := startSite(t, func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "plain", DeviceSecurityMode: config.NonSecure})
		addPhone(c, "plain", "1900", "plain")
	}, lab.Options{})
	ctx := within(t, 60*time.Second)
	alice := s.certificate(t, pki.KindDevice, "alice")
	pair, err := tls.LoadX509KeyPair(alice.certificate, alice.key)
	must(t, err)
	secure := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: s.Roots()}
	plain := netip.AddrPortFrom(s.CallManager(), 5060).String()
	dial := func() (net.Conn, error) { return net.Dial("tcp", plain) }
	if network == "TLS" {
		dial = func() (net.Conn, error) { return tls.Dial("tcp", s.addr, secure) }
	}
	for n, m := range siptest.Torture() {
		if network == "UDP" {
			result(n, overUDP(t, ctx, plain, m))
		} else {
			result(n, overStream(t, m, network, dial))
		}
	}
	for _, r := range s.Trace.Recent(trace.Filter{Kinds: []trace.Kind{trace.KindSIPOut}}, 2000) {
		if !strings.HasPrefix(string(r.Body), "SIP/2.0 ") {
			t.Errorf("a torture message made the call manager send a request to %s:\n%s", r.Remote, r.Body)
		}
	}
}

// wanted checks an outcome, a list of statuses and closes or silent, against the table. Answers to two messages may come in
// either order.
func wanted(m siptest.Message, data []byte, verdict siptest.Verdict, got []string) bool {
	words := strings.Fields(string(verdict))
	if len(words) == 3 && len(got) == 3 && got[0] == words[1] {
		got = []string{got[1], got[0], got[2]}
	}
	for i, w := range words {
		switch siptest.Verdict(w) {
		case siptest.Accepted:
			may := coreMay(m, data)
			if len(may) == 0 { // nothing is answered to an ACK or a response
				continue
			}
			if len(got) > 0 && i+1 < len(words) && got[0] == words[i+1] && slices.Contains(words, string(siptest.Closes)) {
				continue // junk followed: the connection was closed before the core had answered
			}
			if len(got) == 0 || !slices.Contains(may, got[0]) {
				return false
			}
			got = got[1:]
		case siptest.Silent, siptest.Waits:
			return i == len(words)-1 && len(got) == 0
		default:
			if len(got) == 0 || got[0] != w {
				return false
			}
			got = got[1:]
		}
	}
	return len(got) == 0
}

func coreMay(m siptest.Message, data []byte) []string {
	if may, ok := exceptional[m.File]; ok {
		return may
	}
	parsed, err := sip.Parse(data)
	if err != nil || !parsed.IsRequest() {
		return nil
	}
	return coreAnswers[parsed.Method()]
}

const goodOptions = "OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s;rport\r\nFrom: <sip:torture@example.com>;tag=1\r\n" +
	"To: <sip:%s>\r\nCall-ID: good-%s\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"

func options(network, to, from, id string) string {
	return fmt.Sprintf(goodOptions, to, network, from, id, to, id)
}

// settle is how long nothing may come after the good OPTIONS was answered.
const settle = 60 * time.Millisecond

// overUDP sends the message from port 5060 of an address of its own: without rport, the answer goes to the port in Via (RFC
// 3261, 18.2.2).
func overUDP(t *testing.T, ctx context.Context, to string, m siptest.Message) string {
	data := m.Read(t)
	if strings.HasSuffix(m.File, ".as-printed") { // with its twin's branch it would be a retransmission of that, with its Call-ID merged (482)
		data = bytes.Replace(data, []byte("Call-ID: "), []byte("Call-ID: printed-"), 1)
		data = bytes.Replace(data, []byte("branch=z9hG4bK"), []byte("branch=z9hG4bKprinted"), 1)
	}
	heard := make(chan []byte, 100)
	var first *net.UDPConn
	local := netip.AddrFrom4([4]byte{127, 77, byte(os.Getpid() >> 8), byte(os.Getpid())})
	for _, port := range viaPorts(data) {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, port)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if first == nil {
			first = c
		}
		go func() {
			buf := make([]byte, 65536)
			for {
				n, _, err := c.ReadFromUDP(buf)
				if err != nil {
					return
				}
				heard <- bytes.Clone(buf[:n])
			}
		}()
	}
	dst := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to))
	send := func(b []byte) {
		if _, err := first.WriteToUDP(b, dst); err != nil {
			t.Fatal(err)
		}
	}
	send(data)
	send([]byte(options("UDP", to, first.LocalAddr().String(), m.File)))
	var got []string
	good := false
	expect := wantsAnswers(m, data, m.Datagram)
	quiet := time.NewTimer(5 * time.Second)
	for done := false; !done; {
		select {
		case b := <-heard:
			if ack := ackOf(b, data); ack != nil {
				send(ack)
			}
			if bytes.Contains(b, []byte("Call-ID: good-")) {
				good = bytes.HasPrefix(b, []byte("SIP/2.0 200"))
			} else if status := statusOf(b); concerns(b, data) && !slices.Contains(got, status) && status != "100" { // a retransmission is no second answer
				got = append(got, status)
			}
			if good && len(got) >= expect {
				quiet.Reset(settle)
			}
		case <-quiet.C:
			done = true
		case <-ctx.Done():
			t.Fatal(context.Cause(ctx))
		}
	}
	return report(t, "UDP", m, data, m.Datagram, got, good)
}

// wantsAnswers is how many answers the verdict means.
func wantsAnswers(m siptest.Message, data []byte, v siptest.Verdict) (n int) {
	for _, w := range strings.Fields(string(v)) {
		switch siptest.Verdict(w) {
		case siptest.Accepted:
			n += min(1, len(coreMay(m, data)))
		case siptest.Silent, siptest.Waits, siptest.Closes:
		default:
			n++
		}
	}
	return n
}

// viaPorts are the ports an answer may come to: SIP's, and the one in the top Via.
func viaPorts(data []byte) []uint16 {
	ports := []uint16{5060}
	if m, _ := sip.Parse(data); m != nil {
		if p := m.TopVia().Port; p != 0 && p != 5060 && p < 65536 {
			ports = append(ports, uint16(p))
		}
	}
	return ports
}

// ackOf acknowledges a final answer to an INVITE, which is repeated otherwise (RFC 3261, 17.1.1.3); nil for anything else.
func ackOf(response, message []byte) []byte {
	r, err := sip.Parse(response)
	if err != nil || r.IsRequest() || r.CSeq().Method != sip.INVITE || r.Status() < 200 || r.CallID() == "" || !concerns(response, message) {
		return nil
	}
	line := strings.Fields(string(message[:bytes.IndexByte(message, '\n')]))
	if len(line) != 3 {
		return nil
	}
	return []byte(fmt.Sprintf("ACK %s SIP/2.0\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
		line[1], r.TopVia(), r.Header("From"), r.Header("To"), r.CallID(), r.CSeq().Seq))
}

// concerns says whether a response is about the message, and no retransmission of the answer to an earlier one. Many of the
// messages share branch or Call-ID; over UDP one with both the branch and the method of another is its retransmission.
func concerns(response, message []byte) bool {
	r, err := sip.Parse(response)
	if err != nil {
		return true
	}
	branch, cseq := r.TopVia().Branch(), r.CSeq()
	return (bytes.HasPrefix(message, []byte(cseq.Method)) || bytes.Contains(message, []byte(cseq.String()))) &&
		(branch != "" && bytes.Contains(message, []byte(branch)) || bytes.Contains(message, []byte(r.CallID())))
}

func statusOf(b []byte) string {
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	if f := strings.Fields(string(line)); len(f) > 1 && f[0] == "SIP/2.0" {
		return f[1]
	}
	return "request " + string(line)
}

// overStream sends the message, then the good OPTIONS on the same connection; where that is closed, or waits for more, on a
// new one.
func overStream(t *testing.T, m siptest.Message, network string, dial func() (net.Conn, error)) string {
	data := m.Read(t)
	if !bytes.Contains(data, []byte("\r\n\r\n")) {
		data = append(data, "\r\n"...) // baddn.dat lacks the empty line: complete it to see the fault it is about
	}
	verdict := m.OverStream()
	conn, err := dial()
	must(t, err)
	defer conn.Close()
	good := []byte(options(network, conn.RemoteAddr().String(), conn.LocalAddr().String(), m.File))
	_, err = conn.Write(data)
	must(t, err)
	lives := !strings.Contains(string(verdict), string(siptest.Closes)) && verdict != siptest.Waits
	if lives {
		if _, err := conn.Write(good); err != nil {
			t.Errorf("%s over %s: the connection is gone: %v", m.File, network, err)
		}
	}
	got, answered := statuses(conn, lives, verdict == siptest.Waits)
	if !lives {
		again, err := dial()
		must(t, err)
		defer again.Close()
		_, err = again.Write(good)
		must(t, err)
		_, answered = statuses(again, true, false)
	}
	return report(t, network, m, data, verdict, got, answered)
}

// statuses reads responses until the good OPTIONS was answered (and a moment longer), the peer closes, or, for a message
// that is not whole, a moment has passed.
func statuses(conn net.Conn, untilGood, short bool) (got []string, good bool) {
	in := bufio.NewReader(conn)
	wait := 5 * time.Second
	if short {
		wait = 300 * time.Millisecond
	}
	for {
		conn.SetReadDeadline(time.Now().Add(wait))
		head, err := readHead(in)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return got, good
		case err != nil:
			return append(got, string(siptest.Closes)), good
		case strings.Contains(head, "Call-ID: good-"):
			good = strings.HasPrefix(head, "SIP/2.0 200")
			wait = settle
		default:
			if status := statusOf([]byte(head)); status != "100" {
				got = append(got, status)
			}
		}
		if !untilGood && good {
			return got, good
		}
	}
}

// readHead reads one message and returns its header.
func readHead(in *bufio.Reader) (string, error) {
	var head strings.Builder
	length := 0
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if strings.TrimSpace(line) == "" {
			if head.Len() == 0 {
				continue
			}
			_, err := io.CopyN(io.Discard, in, int64(length))
			return head.String(), err
		}
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "Content-Length") {
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		}
		head.WriteString(line)
	}
}

func report(t *testing.T, network string, m siptest.Message, data []byte, verdict siptest.Verdict, got []string, good bool) string {
	t.Helper()
	text := strings.Join(got, " ")
	if text == "" {
		text = string(siptest.Silent)
		if verdict == siptest.Waits {
			text = string(siptest.Waits)
		}
	}
	if !wanted(m, data, verdict, got) {
		t.Errorf("%s (RFC 4475, %s) over %s: got %q, want %s %v: %s", m.File, m.Section, network, text, verdict, coreMay(m, data), m.Why)
		text += " (!)"
	}
	if !good {
		t.Errorf("%s over %s: a good OPTIONS after it was not answered with 200", m.File, network)
		text += " (no OPTIONS)"
	}
	return text
}
