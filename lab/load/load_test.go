package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
)

// startSite is a site with phones load1 to loadN, which are also their numbers in the partition everybody reaches.
func startSite(t *testing.T, phones int) (*lab.Site, Config) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := lab.Start(ctx, lab.Options{Config: Site(phones)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	issue := remember(func(device string) (tls.Certificate, error) {
		c, err := s.Issue(t.Context(), pki.KindDevice, device)
		if err != nil {
			return tls.Certificate{}, err
		}
		return c.TLS(), nil
	})
	return s, Config{Server: netip.AddrPortFrom(s.CallManager(), 5061), Domain: "locktone.test", Phones: phones, User: "%d", First: FirstNumber, Device: "load%d",
		Roots: s.Roots(), Certificate: issue, Timeout: 10 * time.Second}
}

func TestCalls(t *testing.T) {
	t.Parallel()
	_, c := startSite(t, 8)
	c.Count, c.Rate = 100, 50
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Clean() || r.Completed != 100 || r.Registered != 8 {
		t.Errorf("not clean: %+v", r)
	}
	if r.Answer.Count != 100 || r.Ringing.Count != 100 || r.Ringing.P50US > r.Answer.P50US*33/32+1 || r.Answer.P50US == 0 {
		t.Errorf("times: 180 %+v, 200 %+v", r.Ringing, r.Answer)
	}
	if r.RateDone < 35 || r.RateDone > 51 {
		t.Errorf("%v calls a second, want 50", r.RateDone)
	}
}

func TestMediaIsAuthenticated(t *testing.T) {
	t.Parallel()
	_, c := startSite(t, 4)
	c.Count, c.Rate, c.Media = 4, 20, true
	held := make(chan struct{})
	c.Plateau = func(l Live) {
		if l.Established != 4 {
			t.Errorf("%d calls up, want 4", l.Established)
		}
		for l.Media().Authenticated < 200 {
			time.Sleep(10 * time.Millisecond)
		}
		close(held)
	}
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	<-held
	if !r.Clean() {
		t.Errorf("not clean: %+v", r)
	}
	if m := r.Media; m.Rejected != 0 || m.Authenticated != m.Received || m.Received > m.Sent || m.Received < m.Sent/2 {
		t.Errorf("packets: %+v", m)
	}
}

func TestRegisterAndConnect(t *testing.T) {
	t.Parallel()
	_, c := startSite(t, 4)
	c.Mode, c.Count, c.Rate = Register, 100, 100
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Clean() || r.Registering.Count != 100 {
		t.Errorf("register: %+v", r)
	}
	c.Mode, c.Count, c.Rate = Connect, 20, 20
	if r, err = Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if !r.Clean() || r.Handshake.Count != 20 || r.Handshake.P50US < 100 {
		t.Errorf("connect: %+v", r)
	}
}

// A failure is told by what the server said, and a call that nobody answers ends.
func TestFailuresAreTold(t *testing.T) {
	t.Parallel()
	_, c := startSite(t, 2)
	c.Target, c.Count, c.Rate = "5555", 3, 50
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 3 || r.Answered != 0 {
		t.Errorf("calls to nowhere: %+v", r)
	}
	for why := range r.Failures {
		if !strings.HasPrefix(why, "INVITE 404") {
			t.Errorf("failure %q, want INVITE 404", why)
		}
	}
	c.Target, c.Ring, c.Timeout, c.Count = "", time.Minute, 300*time.Millisecond, 1
	if r, err = Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if r.Failures["timeout"] != 1 {
		t.Errorf("a call that rings for ever: %+v", r)
	}
}

func TestConfigIsChecked(t *testing.T) {
	here := netip.MustParseAddrPort("127.0.0.1:5061")
	for _, x := range []struct {
		c    Config
		want string
	}{
		{Config{}, "no server"},
		{Config{Server: netip.MustParseAddrPort("192.0.2.1:5061")}, "--i-may-load 192.0.2.1"},
		{Config{Server: netip.MustParseAddrPort("192.0.2.1:5061"), AllowHost: "192.0.2.2"}, "--i-may-load 192.0.2.1"},
		{Config{Server: here, Network: "sctp"}, "transport"},
		{Config{Server: here}, "no certificates"},
		{Config{Server: here, Network: "udp", Phones: 3}, "even number"},
		{Config{Server: here, Network: "udp", Rate: 1e9}, "rate"},
		{Config{Server: here, Network: "udp", Mode: Connect}, "handshakes"},
	} {
		_, err := Run(t.Context(), x.c)
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v, want %q in it", x.c, err, x.want)
		}
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	s, c := startSite(t, 2)
	var out bytes.Buffer
	quiet := func(string) {}
	if err := Command(t.Context(), []string{"--help"}, &out, quiet); err != nil || !strings.Contains(out.String(), "--i-may-load") || strings.Count(out.String(), "--server") < 3 {
		t.Errorf("help: %v\n%s", err, out.String())
	}
	out.Reset()
	args := []string{"calls", "--json", "--server", c.Server.String(), "--home", s.Home(), "--user", "%d", "--first", fmt.Sprint(FirstNumber), "--device", "load%d",
		"--domain", "locktone.test", "--count", "5", "--rate", "50"}
	if err := Command(t.Context(), args, &out, quiet); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	var r Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Completed != 5 {
		t.Errorf("%v: %s", err, out.String())
	}
	out.Reset()
	r.Print(&out)
	if !strings.Contains(out.String(), "INVITE to 200") {
		t.Error(out.String())
	}
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Command(t.Context(), []string{"--server", "127.0.0.1:1", "--srtp", "some"}, &out, quiet)
	if err == nil || !strings.Contains(err.Error(), "both, caller, callee or none") {
		t.Error(err)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * 100 * time.Microsecond)
	}
	l := h.latency()
	near := func(got, want int64) bool { return got <= want && got >= want-want/16 }
	if l.Count != 1000 || !near(l.P50US, 50_000) || !near(l.P99US, 99_000) || l.MaxUS != 100_000 || l.MeanUS != 50_050 {
		t.Errorf("%+v", l)
	}
	for us := int64(0); us < 1<<20; us += 7 {
		i := bucketOf(uint64(us))
		if lowest(i) > us || lowest(i+1) <= us {
			t.Fatalf("%d us in bucket %d: %d to %d", us, i, lowest(i), lowest(i+1))
		}
	}
}

func TestScan(t *testing.T) {
	text := "SIP/2.0 200 OK\r\nv: SIP/2.0/TLS a;branch=1\r\nRecord-Route: <sip:p1;lr>\r\nRecord-Route: <sip:p2;lr>\r\nf: <sip:a@b>;tag=1\r\n" +
		"To: <sip:c@d>;tag=2\r\ni: x1\r\nCSeq: 7 INVITE\r\nm: \"c\" <sip:c@1.2.3.4;transport=tls>;expires=1\r\nl: 4\r\n\r\nabcd"
	var m message
	for cut := range len(text) {
		if n, err := m.scan([]byte(text[:cut])); n != 0 || err != nil {
			t.Fatalf("first %d octets: %d, %v", cut, n, err)
		}
	}
	n, err := m.scan([]byte(text + "OPTIONS"))
	if err != nil || n != len(text) || m.status != 200 || string(m.callID) != "x1" || string(m.cseq) != "7" || string(m.method) != "INVITE" ||
		string(m.contact) != "sip:c@1.2.3.4;transport=tls" || string(m.body) != "abcd" || len(m.routes) != 2 || string(m.to) != "<sip:c@d>;tag=2" {
		t.Errorf("%d %v %+v", n, err, m)
	}
	if _, err := m.scan([]byte("rubbish\r\n\r\n")); err == nil {
		t.Error("rubbish was taken for a message")
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte("INVITE sip:a SIP/2.0\r\nVia: x\r\nl: 3\r\n\r\nabc"))
	f.Add([]byte("SIP/2.0 2"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m message
		n, err := m.scan(b)
		if n < 0 || n > len(b) || err == nil && n > 0 && !bytes.Equal(m.raw, b[:n]) {
			t.Errorf("%d of %d, %v", n, len(b), err)
		}
		for i := range m.body {
			_, _ = lineOf(m.body[i:], "c=IN IP")
		}
	})
}

// TestFailover: phones whose server is taken away register with the other one.
func TestFailover(t *testing.T) {
	t.Parallel()
	c := lab.StartCluster(t, lab.ClusterOptions{Site: func(s *config.Site) {
		phones := Site(8)
		s.Devices, s.Lines = append(s.Devices, phones.Devices...), append(s.Lines, phones.Lines...)
	}})
	one := c.Node("n1")
	at := func(name string) netip.AddrPort { return netip.AddrPortFrom(c.Node(name).CallManager(), 5061) }
	conf := Config{Mode: Failover, Server: at("n1"), Backup: at("n2"), Domain: "locktone.test", Phones: 8, User: "%d", First: FirstNumber, Device: "load%d", Roots: one.Roots(),
		Certificate: remember(func(device string) (tls.Certificate, error) {
			issued, err := one.Issue(t.Context(), pki.KindDevice, device)
			if err != nil {
				return tls.Certificate{}, err
			}
			return issued.TLS(), nil
		}), Stagger: 200 * time.Millisecond, Duration: 30 * time.Second}
	conf.Begin = func() { c.Kill("n1") }
	r, err := Run(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 0 || r.Registered != 8 || r.Moved == nil || r.Moved.Phones != 8 || r.Moved.After.Count != 8 || r.Moved.Attempts < 8 {
		t.Errorf("%+v %+v", r, r.Moved)
	}
	conf.Backup = netip.AddrPort{}
	if _, err := Run(t.Context(), conf); err == nil || !strings.Contains(err.Error(), "needs a backup") {
		t.Errorf("no backup: %v", err)
	}
}
