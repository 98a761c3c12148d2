package endpoint

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// The client of BenchmarkCall runs in a process of its own, so that CPU time and allocations of this process are the
// server's alone. This variable tells the test binary to be that client: "address calls connections rate certificate key".
const benchClient = "LOCKTONE_BENCH_SIP_CLIENT"

// BenchmarkCall terminates calls (INVITE, 180, 200, ACK, BYE, 200) on warm mutual TLS connections. cpu-us/call and
// allocs/call are those of the server's whole process, system time included.
func BenchmarkCall(b *testing.B) {
	for _, rate := range []int{300, 1000, 3000, 0} {
		name := fmt.Sprintf("tls/rate=%d", rate)
		if rate == 0 {
			name = "tls/rate=max"
		}
		b.Run(name, func(b *testing.B) { benchmarkCalls(b, rate) })
	}
}

func benchmarkCalls(b *testing.B, rate int) {
	ca := newAuthority(b)
	server := &answerer{}
	unlimited := Limits{RequestRate: -1, ShedAbove: time.Hour}
	_, ls := start(b, Config{User: server, Transport: ca.transportConfig(ca.issue(b, "server")), Limits: unlimited},
		ca.listenTLS(ca.issue(b, "server")))
	cert := ca.issue(b, "client")
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		b.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d %d %s %s", benchClient, ls[0].Addr(), b.N, 16, rate,
		base64.StdEncoding.EncodeToString(cert.Certificate[0]), base64.StdEncoding.EncodeToString(key)))
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for server.options.Load() < 16 { // each connection warms up with an OPTIONS
		time.Sleep(time.Millisecond)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu := processTime()
	b.ResetTimer()
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		b.Fatalf("client: %v\n%s", err, output.String())
	}
	b.StopTimer()
	cpu = processTime() - cpu
	runtime.ReadMemStats(&after)
	var live runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&live)
	b.ReportMetric((float64(live.HeapAlloc)-float64(before.HeapAlloc))/float64(b.N), "lingering-bytes/call") // until Timer L
	if got := server.byes.Load(); got != int64(b.N) {
		b.Fatalf("%d calls ended, want %d", got, b.N)
	}
	b.ReportMetric(float64(cpu.Nanoseconds())/1000/float64(b.N), "cpu-us/call")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N), "allocs/call")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N), "bytes/call")
}

func processTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// runBenchClient is main of the client process.
func runBenchClient(spec string) int {
	f := strings.Fields(spec)
	number := func(i int) int { n, _ := strconv.Atoi(f[i]); return n }
	calls, conns, rate := number(1), number(2), number(3)
	der, _ := base64.StdEncoding.DecodeString(f[4])
	keyDER, _ := base64.StdEncoding.DecodeString(f[5])
	key, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, InsecureSkipVerify: true,
	}
	errs := make(chan error, conns)
	tickets := make(chan int, 4096)
	var ready []*rawCaller
	for i := range conns {
		conn, err := tls.Dial("tcp", f[0], config)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		c := newRawCaller(conn, i)
		if err := c.options(); err != nil {
			fmt.Println(err)
			return 1
		}
		ready = append(ready, c)
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // the server measures from here
	for _, c := range ready {
		go func() { errs <- c.run(tickets) }()
	}
	begin := time.Now()
	for i := range calls {
		if rate > 0 {
			if d := time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))); d > 0 {
				time.Sleep(d)
			}
		}
		tickets <- i
	}
	close(tickets)
	for range conns {
		if err := <-errs; err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return 0
}

// rawCaller makes calls on one connection from prepared text, one after the other.
type rawCaller struct {
	conn net.Conn
	id   int
	buf  []byte
	have []byte
}

func newRawCaller(conn net.Conn, id int) *rawCaller {
	return &rawCaller{conn: conn, id: id, buf: make([]byte, 16<<10)}
}

const benchSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0 101\r\n" +
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\na=rtpmap:0 PCMU/8000\r\n" +
	"a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"

func (c *rawCaller) send(method, call, to string, seq int, body string) error {
	extra := ""
	if body != "" {
		extra = "Content-Type: application/sdp\r\n"
	}
	_, err := fmt.Fprintf(c.conn, "%s sip:bob@127.0.0.1:5061;transport=tls SIP/2.0\r\n"+
		"Via: SIP/2.0/TLS 127.0.0.1:5071;branch=z9hG4bK%s%d%s;rport\r\nMax-Forwards: 70\r\n"+
		"From: \"Alice\" <sip:alice@127.0.0.1>;tag=f%s\r\nTo: <sip:bob@127.0.0.1>%s\r\nCall-ID: %s@127.0.0.1\r\nCSeq: %d %s\r\n"+
		"Contact: <sip:alice@127.0.0.1:5071;transport=tls>\r\nUser-Agent: bench\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n"+
		"Supported: 100rel, timer\r\n%sContent-Length: %d\r\n\r\n%s",
		method, call, seq, method, call, to, call, seq, method, extra, len(body), body)
	return err
}

// await reads until a response with that status to that method came, and returns it.
func (c *rawCaller) await(status, method string) ([]byte, error) {
	for {
		if i := bytes.Index(c.have, []byte("\r\n\r\n")); i >= 0 {
			length := 0
			head := c.have[:i]
			if j := bytes.Index(head, []byte("Content-Length: ")); j >= 0 {
				_, _ = fmt.Sscanf(string(head[j:]), "Content-Length: %d", &length)
			}
			if len(c.have) >= i+4+length {
				m := c.have[:i+4+length]
				c.have = c.have[i+4+length:]
				if !bytes.HasPrefix(m, []byte("SIP/2.0 180")) && !bytes.HasPrefix(m, []byte("SIP/2.0 200")) {
					return nil, fmt.Errorf("unexpected answer:\n%s", m)
				}
				if bytes.HasPrefix(m, []byte("SIP/2.0 "+status)) && bytes.Contains(m, []byte(" "+method+"\r\n")) {
					return m, nil
				}
				continue
			}
		}
		_ = c.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		n, err := c.conn.Read(c.buf)
		if err != nil {
			return nil, err
		}
		c.have = append(c.have, c.buf[:n]...)
	}
}

func (c *rawCaller) options() error {
	if err := c.send("OPTIONS", fmt.Sprintf("warm%d", c.id), "", 1, ""); err != nil {
		return err
	}
	_, err := c.await("200", "OPTIONS")
	return err
}

func (c *rawCaller) run(tickets <-chan int) error {
	for i := range tickets {
		call := fmt.Sprintf("c%dx%d", c.id, i)
		if err := c.send("INVITE", call, "", 1, benchSDP); err != nil {
			return err
		}
		m, err := c.await("200", "INVITE")
		if err != nil {
			return err
		}
		to := m[bytes.Index(m, []byte("\r\nTo: "))+6:]
		to = to[bytes.Index(to, []byte(";tag=")):]
		tag := string(to[:bytes.IndexByte(to, '\r')])
		if err := c.send("ACK", call, tag, 1, ""); err != nil {
			return err
		}
		if err := c.send("BYE", call, tag, 2, ""); err != nil {
			return err
		}
		if _, err := c.await("200", "BYE"); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkHandshake compares a full mutual handshake to a listening Transport with one to bare crypto/tls, client
// included in both.
func BenchmarkHandshake(b *testing.B) {
	ca := newAuthority(b)
	serverCert, clientCert := ca.issue(b, "server"), ca.issue(b, "client")
	client := &tls.Config{Certificates: []tls.Certificate{clientCert}, ServerName: "server", RootCAs: ca.pool}
	b.Run("bare", func(b *testing.B) {
		ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
			Certificates: []tls.Certificate{serverCert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool,
		})
		if err != nil {
			b.Fatal(err)
		}
		defer ln.Close()
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					_, _ = conn.Read(make([]byte, 1))
				}()
			}
		}()
		handshakes(b, ln.Addr().String(), client)
	})
	b.Run("transport", func(b *testing.B) {
		cfg := ca.transportConfig(serverCert)
		cfg.Limits.AcceptRate = 1 << 30
		cfg.Limits.UnprovenPerIP, cfg.Limits.HandshakesPerIP = 1<<20, 1<<20
		_, ls := start(b, Config{User: &answerer{}, Transport: cfg}, ca.listenTLS(serverCert))
		handshakes(b, ls[0].Addr().String(), client)
	})
}

func handshakes(b *testing.B, addr string, config *tls.Config) {
	cpu := processTime()
	for b.Loop() {
		conn, err := tls.Dial("tcp", addr, config)
		if err != nil {
			b.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((processTime()-cpu).Nanoseconds())/1000/float64(b.N), "cpu-us/handshake")
}

// BenchmarkFlowOnly is one OPTIONS and its 200 through the whole stack over TCP, for profiles.
func BenchmarkFlowOnly(b *testing.B) {
	_, ls := start(b, Config{User: &answerer{}, Limits: Limits{RequestRate: -1}}, listenOn(transport.TCP))
	conn, err := net.Dial("tcp", ls[0].Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	c := newRawCaller(conn, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.id = i
		if err := c.options(); err != nil {
			b.Fatal(err)
		}
	}
	_ = sip.OPTIONS
}
