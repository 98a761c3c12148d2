package provisioning_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	pin "github.com/pin/tftp/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/service/provisioning"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/tftp"
	"github.com/locktone/locktone/wire/trustlist"
)

// away is a reader of lists whose store is away.
type away struct{ err error }

func (x away) For(context.Context, string, trustlist.Kind) (lists.File, error) {
	return lists.File{}, x.err
}

// ask sends a TFTP packet and returns the opcode and number of the answer; ok is false after silence.
func ask(t *testing.T, p *provisioning.Service, wait time.Duration, packet []byte) (op tftp.Opcode, number int, ok bool) {
	t.Helper()
	c := must(net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 7, 9)}))(t)
	defer c.Close()
	must(c.WriteToUDPAddrPort(packet, p.TFTP()))(t)
	c.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 2000)
	n, _, err := c.ReadFromUDPAddrPort(buf)
	if err != nil || n < 4 {
		return 0, 0, false
	}
	return tftp.Opcode(int(buf[0])<<8 | int(buf[1])), int(buf[2])<<8 | int(buf[3]), true
}

func rrq(name, mode string) []byte {
	return (&tftp.Request{Op: tftp.OpRead, Name: name, Mode: mode}).Append(nil)
}

// TestNeverFalselyNotFound: a phone that hears "no such file" for a list believes that the cluster is not secure. So a store that is
// away, lists that are not published, and a limit that is reached sound otherwise.
func TestNeverFalselyNotFound(t *testing.T) {
	s := newSite(t)
	for name, tune := range map[string]func(*provisioning.Config){
		"store away":    func(c *provisioning.Config) { c.Lists = away{errors.New("the database is away")} },
		"not published": func(c *provisioning.Config) { c.Lists = away{os.ErrNotExist} },
		"no memory":     func(c *provisioning.Config) { c.Limits.GeneratedBytes = 10 },
	} {
		p := s.start(tune)
		if op, n, ok := ask(t, p, 100*time.Millisecond, rrq("CTL"+sep+".tlv", "octet")); ok {
			t.Errorf("%s: TFTP answered %d %d, want silence", name, op, n)
		}
		for _, protocol := range []string{"http", "https"} {
			if _, problem := get(t, p, protocol, "CTLFile.tlv"); !strings.HasPrefix(problem, "503") {
				t.Errorf("%s: %s answered %q, want 503", name, protocol, problem)
			}
		}
		wait(t, func() bool { return name == "no memory" || p.Status(t.Context()).State == "degraded" })
	}
}

func TestHostileTFTP(t *testing.T) {
	s := newSite(t)
	p := s.start()
	s.write("inside.txt", []byte("inside"))
	for _, c := range []struct {
		name   string
		packet []byte
		op     tftp.Opcode
		number int
	}{
		{"traversal", rrq("../pki/roots", "octet"), tftp.OpError, 1}, {"absolute", rrq("//etc/passwd", "octet"), tftp.OpError, 1},
		{"deep traversal", rrq("a/../../../../etc/passwd", "octet"), tftp.OpError, 1}, {"backslashes", rrq(`..\..\etc\passwd`, "octet"), tftp.OpError, 1},
		{"cache list", rrq("ConfigFileCacheList.txt", "octet"), tftp.OpError, 1}, {"netascii", rrq("CTLFile.tlv", "netascii"), tftp.OpError, 4},
		{"mail", rrq("CTLFile.tlv", "mail"), tftp.OpError, 4}, {"huge name", rrq(strings.Repeat("n", 2000), "octet"), tftp.OpError, 4},
		{"long name", rrq(strings.Repeat("n", 400), "octet"), tftp.OpError, 1}, {"write", (&tftp.Request{Op: tftp.OpWrite, Name: "x", Mode: "octet"}).Append(nil), tftp.OpError, 2},
		{"inside", rrq("inside.txt", "octet"), tftp.OpData, 1},
		{"absurd block", (&tftp.Request{Op: tftp.OpRead, Name: "inside.txt", Mode: "octet", Options: []tftp.Option{{Name: "blksize", Value: "99999999999999999999"}}}).Append(nil), tftp.OpData, 1},
	} {
		op, n, ok := ask(t, p, 2*time.Second, c.packet)
		if !ok || op != c.op || n != c.number {
			t.Errorf("%s: answered %d %d (%v), want %d %d", c.name, op, n, ok, c.op, c.number)
		}
	}
}

// TestFolder: what is not a file inside the folder is not there.
func TestFolder(t *testing.T) {
	s := newSite(t)
	s.write("real.xml", []byte("real"))
	folder := filepath.Join(s.dir, "tftp")
	secret := filepath.Join(s.dir, "secret")
	if err := errors.Join(os.WriteFile(secret, []byte("secret"), 0o600), os.Symlink(secret, filepath.Join(folder, "out.xml")), os.Symlink("..", filepath.Join(folder, "up")),
		os.Symlink("real.xml", filepath.Join(folder, "within.xml")), syscall.Mkfifo(filepath.Join(folder, "pipe"), 0o644), os.Mkdir(filepath.Join(folder, "dir"), 0o755),
		os.WriteFile(filepath.Join(folder, ".hidden"), []byte("hidden"), 0o644), os.WriteFile(filepath.Join(folder, sep+".cnf.xml"), []byte("shadow"), 0o644),
		os.WriteFile(filepath.Join(folder, "CTLFile.tlv"), []byte("shadow"), 0o644), os.WriteFile(filepath.Join(folder, "big"), make([]byte, 200<<10), 0o644),
		os.WriteFile(filepath.Join(folder, "huge"), make([]byte, 400<<10), 0o644)); err != nil {
		t.Fatal(err)
	}
	p := s.start(func(c *provisioning.Config) { c.Limits.StaticSize, c.Limits.SignedSize = 300<<10, 100<<10 })
	for _, name := range []string{"out.xml", "up/secret", "up/tftp/real.xml", "pipe", "dir", "dir/", "", ".hidden", "out.xml.sgn", "real.xml/x", "big.sgn", "huge", "%2e%2e/secret", "..%2fsecret", "a%00b"} {
		if b, problem := get(t, p, "http", name); !strings.HasPrefix(problem, "404") {
			t.Errorf("%q: %d bytes, %s", name, len(b), problem)
		}
	}
	for name, want := range map[string]string{"real.xml": "real", "within.xml": "real"} {
		if b := fetch(t, p, "http", name); string(b) != want {
			t.Errorf("%q: %q", name, b)
		}
	}
	if b := fetch(t, p, "tftp", "big"); len(b) != 200<<10 {
		t.Errorf("big: %d bytes", len(b))
	}
	for _, name := range []string{sep + ".cnf.xml", "CTLFile.tlv"} {
		if b := fetch(t, p, "http", name); string(b) == "shadow" {
			t.Errorf("%s came from the folder", name)
		}
	}
}

func TestHTTPMethods(t *testing.T) {
	s := newSite(t)
	p := s.start()
	for _, c := range []struct {
		method string
		status int
	}{{"GET", 200}, {"HEAD", 200}, {"POST", 405}, {"PUT", 405}, {"DELETE", 405}, {"OPTIONS", 405}, {"PROPFIND", 405}} {
		req := must(http.NewRequestWithContext(t.Context(), c.method, "http://"+p.HTTP().String()+"/CTLFile.tlv", nil))(t)
		tr := &http.Transport{DisableKeepAlives: true}
		res := must(tr.RoundTrip(req))(t)
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		tr.CloseIdleConnections()
		if res.StatusCode != c.status || c.method == "HEAD" && (len(b) > 0 || res.ContentLength < 1000) {
			t.Errorf("%s: %s, %d bytes", c.method, res.Status, len(b))
		}
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) { // noted behind the answer
		s.holdings.Flush(t.Context())
		h, ok, _ := s.holdings.Get(t.Context(), "@127.0.0.1")
		if ok && len(h.CTL.May()) == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", h)
		}
	}
}

// TestSilentConnections: connections that say nothing are bounded for each address, shut others out for no longer than the
// request time, and an address of its own is served meanwhile.
func TestSilentConnections(t *testing.T) {
	s := newSite(t)
	p := s.start(func(c *provisioning.Config) {
		c.Limits.Connections, c.Limits.PerAddress, c.Limits.RequestTime = 40, 8, 300*time.Millisecond
	})
	dial := func(host byte, to string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 7, host)}}
		c := must(d.Dial("tcp", to))(t)
		t.Cleanup(func() { c.Close() })
		return c
	}
	var silent []net.Conn
	for range 8 {
		silent = append(silent, dial(20, p.HTTP().String()))
	}
	over := dial(20, p.HTTP().String())
	line, _ := bufio.NewReader(over).ReadString('\n')
	if !strings.Contains(line, "503") {
		t.Errorf("the ninth connection of an address heard %q", line)
	}
	over = dial(20, p.HTTPS().String())
	over.SetReadDeadline(time.Now().Add(2 * time.Second))
	if n, err := over.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over HTTPS: %d bytes, %v", n, err)
	}
	other := dial(21, p.HTTP().String())
	fmt.Fprintf(other, "GET /CTLFile.tlv HTTP/1.1\r\nHost: x\r\n\r\n")
	if line, _ := bufio.NewReader(other).ReadString('\n'); !strings.Contains(line, "200") {
		t.Errorf("another address heard %q", line)
	}
	for _, c := range silent { // each is closed by itself
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a silent connection is still open")
		}
	}
	slow := dial(22, p.HTTP().String()) // one byte at a time
	began := time.Now()
	for i := 0; ; i++ {
		if _, err := slow.Write([]byte("G")); err != nil || time.Since(began) > 5*time.Second {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("a request without an end was listened to for %v", took)
	}
}

// TestSlowReader: who does not read the answer loses the connection, and the file is closed.
func TestSlowReader(t *testing.T) {
	s := newSite(t)
	s.write("firmware.bin", make([]byte, 32<<20))
	s.write("small.xml", []byte("small"))
	p := s.start(func(c *provisioning.Config) { c.Limits.TransferTime, c.Limits.OpenFiles = time.Second, 1 })
	c := must(net.Dial("tcp", p.HTTP().String()))(t)
	defer c.Close()
	fmt.Fprintf(c, "GET /firmware.bin HTTP/1.1\r\nHost: x\r\n\r\n")
	wait(t, func() bool { _, problem := get(t, p, "http", "small.xml"); return strings.HasPrefix(problem, "503") })
	wait(t, func() bool {
		_, problem := get(t, p, "http", "firmware.bin")
		return !strings.HasPrefix(problem, "503")
	})
}

// TestHalfOpenTransfers: thousands of requests of clients that never answer take bounded memory, and honest ones are served again soon.
func TestHalfOpenTransfers(t *testing.T) {
	s := newSite(t)
	p := s.start(func(c *provisioning.Config) { c.Limits.Transfers, c.Limits.PerAddress = 256, 64 })
	before := memory()
	var conns []*net.UDPConn
	for i := range 600 {
		c := must(net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 7, byte(100+i%100))}))(t)
		defer c.Close()
		conns = append(conns, c)
	}
	for range 5 {
		for _, c := range conns {
			c.WriteToUDPAddrPort(rrq("CTLFile.tlv", "octet"), p.TFTP())
		}
	}
	wait(t, func() bool { rows := connections(t, s); return rows > 200 })
	if rows := connections(t, s); rows > 256 {
		t.Errorf("%d transfers, at most 256 are allowed", rows)
	}
	if grown := memory() - before; grown > 64<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	c := must(pin.NewClient(p.TFTP().String()))(t)
	c.SetTimeout(500 * time.Millisecond)
	c.SetRetries(20)
	w := must(c.Receive("CTLFile.tlv", "octet"))(t)
	if n := must(w.WriteTo(io.Discard))(t); n < 1000 {
		t.Errorf("%d bytes", n)
	}
}

func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func connections(t *testing.T, s *site) int {
	t.Helper()
	rows := must(bus.Ask[bus.Query, []bus.Connection](t.Context(), s.bus, s.bus.Subject(provisioning.Name, bus.VerbConnections), bus.Query{}))(t)
	return len(rows)
}

// TestManyPhones: a building whose power comes back.
func TestManyPhones(t *testing.T) {
	s := newSite(t)
	p := s.start(func(c *provisioning.Config) { c.Limits.PerAddress = 256 })
	var work sync.WaitGroup
	problems := make(chan string, 1000)
	turn := make(chan struct{}, 64)
	for i := range 300 {
		work.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			c, err := pin.NewClient(p.TFTP().String())
			if err != nil {
				problems <- err.Error()
				return
			}
			c.SetTimeout(3 * time.Second)
			c.SetRetries(5)
			w, err := c.Receive([]string{"CTLFile.tlv", sep + ".cnf.xml.sgn", "ITL" + sep + ".tlv"}[i%3], "octet")
			if err != nil {
				problems <- err.Error()
				return
			}
			var b bytes.Buffer
			if _, err := w.WriteTo(&b); err != nil {
				problems <- err.Error()
			} else if _, err := trustlist.ParseSigned(b.Bytes()); err != nil {
				problems <- err.Error()
			}
		})
	}
	work.Wait()
	close(problems)
	for x := range problems {
		t.Error(x)
	}
}

// TestPorts: a standard port that is not to be had is replaced and the status says so; one that was asked for is not.
func TestPorts(t *testing.T) {
	s := newSite(t)
	other := must(net.ListenTCP("tcp", &net.TCPAddr{IP: s.addr.AsSlice(), Port: 6970}))(t)
	defer other.Close()
	p := s.start(func(c *provisioning.Config) { c.Ports.HTTP = 0 })
	st := p.Status(t.Context())
	if st.State != "ready" || !strings.Contains(st.Problem, "http port 6970 is taken") || p.HTTP().Port() == 6970 || len(st.Addresses) != 3 {
		t.Errorf("%+v", st)
	}
	cfg := provisioning.Config{Node: "node1", Addresses: []netip.Addr{s.addr}, Ports: provisioning.Ports{TFTP: provisioning.Free, HTTP: 6970, HTTPS: provisioning.Free},
		Store: s.store, Lists: s.reader, Members: s.members, Bus: s.bus, Identity: s.identity}
	if q, err := provisioning.Start(t.Context(), cfg); err == nil {
		q.Close(t.Context())
		t.Error("a port that was asked for and is taken was passed over")
	}
}

// TestOperators: status, exceptions, metrics and traces.
func TestOperators(t *testing.T) {
	s := newSite(t)
	p := s.start()
	fetch(t, p, "tftp", "CTL"+sep+".tlv")
	fetch(t, p, "https", sep+".cnf.xml")
	get(t, p, "http", "nothing")
	st := must(bus.Ask[bus.StatusRequest, bus.ServiceStatus](t.Context(), s.bus, s.bus.Subject(provisioning.Name, bus.VerbStatus), bus.StatusRequest{}))(t)
	if st.State != "ready" || st.Revision != 2 || st.Service != "provisioning" {
		t.Errorf("%+v", st)
	}
	s.change(func(c *config.Site) { c.PhoneSecurityProfiles[0].TFTPEncryptedConfig = config.EncryptOff })
	rows := must(bus.Ask[bus.Query, []bus.Exception](t.Context(), s.bus, s.bus.Subject(provisioning.Name, bus.VerbExceptions), bus.Query{}))(t)
	if len(rows) != 1 || rows[0].Setting != "tftpEncryptedConfig" || rows[0].Name != "encrypted" {
		t.Errorf("%+v", rows)
	}
	want := []string{"config/https/delivered 1", "ctl/tftp/delivered 1", "static/http/not-found 1"}
	wait(t, func() bool { return slices.Equal(counted(t, p), want) })
	recs := s.trace.Recent(trace.Filter{Device: sep}, 10)
	if len(recs) != 2 || recs[0].Field("result") != "delivered" || recs[0].Remote.Addr() != recs[1].Remote.Addr() {
		t.Errorf("%+v", recs)
	}
	before := must(trustlist.ParseSigned(fetch(t, p, "http", "XMLDefault.cnf.xml.sgn")))(t)
	s.change(func(c *config.Site) {
		c.PhoneSecurityProfiles[0].TFTPEncryptedConfig, c.Cluster.FileSignature = 0, config.SignSHA1
	})
	after := must(trustlist.ParseSigned(fetch(t, p, "http", "XMLDefault.cnf.xml.sgn")))(t)
	if before.Header.DigestCode != 2 || after.Header.DigestCode != 1 {
		t.Errorf("digest codes %d and %d", before.Header.DigestCode, after.Header.DigestCode)
	}
	rows = must(bus.Ask[bus.Query, []bus.Exception](t.Context(), s.bus, s.bus.Subject(provisioning.Name, bus.VerbExceptions), bus.Query{}))(t)
	if len(rows) != 1 || rows[0].Setting != "fileSignature" || rows[0].Value != "sha-1" || rows[0].Kind != "cluster" {
		t.Errorf("%+v", rows)
	}
}

// counted are the requests the metrics tell of.
func counted(t *testing.T, p *provisioning.Service) (out []string) {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(p.Metrics())
	for _, family := range must(r.Gather())(t) {
		if family.GetName() != "locktone_provisioning_requests_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			out = append(out, fmt.Sprintf("%s %v", strings.Join(labels, "/"), m.GetCounter().GetValue()))
		}
	}
	return out
}
