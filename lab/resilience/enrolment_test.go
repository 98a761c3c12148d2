package resilience

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/service/capf"
	"github.com/locktone/locktone/service/provisioning"
	"github.com/locktone/locktone/service/tvs"
	wirecapf "github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/trustlist"
	wiretvs "github.com/locktone/locktone/wire/tvs"
)

// The ports that phones meet before they register.

func capfAddr(s *lab.Site) string   { return s.CAPF.Addresses()[0].String() }
func tvsAddr(s *lab.Site) string    { return strings.TrimPrefix(s.TVS.Addresses()[0], "tls ") }
func tftpAddr(s *lab.Site) string   { return s.Provisioning.TFTP().String() }
func httpAddr(s *lab.Site) string   { return s.Provisioning.HTTP().String() }
func httpsFiles(s *lab.Site) string { return s.Provisioning.HTTPS().String() }

// applicant is a good client of all of them: an application that enrols, a phone that asks and fetches.
type applicant struct {
	site   *lab.Site
	lsc    pki.Credential // alice's
	turns  int
	callee *x509.Certificate // whose certificate it asks about
}

func newApplicant(t testing.TB, s *lab.Site) *applicant {
	t.Helper()
	return &applicant{site: s, lsc: must(s.Issue(t.Context(), pki.KindDevice, "alice"))(t), callee: s.Identity(callmanager.Name).Snapshot().Certificates.Server[0].Leaf()}
}

// enrol is a whole enrolment: TFTP, the list, CAPF.
func (a *applicant) enrol(t testing.TB) {
	t.Helper()
	a.turns++
	instance := strconv.Itoa(a.turns)
	made := must(a.site.Profiles.Create(within(t, step), capfprofile.Order{Owner: capfprofile.Owner{User: "tapi", Instance: instance}, Operation: capfprofile.InstallUpgrade,
		Mode: capfprofile.ByAuthenticationString, Order: capfprofile.RSAOnly, Author: "test"}))(t)
	c := must(enroll.New(enroll.Config{Instance: instance, Dir: t.TempDir(), TFTP: tftpAddr(a.site), CAPF: capfAddr(a.site),
		Authorization: wirecapf.JoinToken{Password: wirecapf.NewSecret(made.String.Reveal())}}))(t)
	if r := must(c.Enroll(within(t, step)))(t); r.Certificate == nil {
		t.Errorf("enrolled without a certificate: %+v", r)
	}
}

// ask is a QUERY for the call manager's certificate.
func (a *applicant) ask(t testing.TB) {
	t.Helper()
	c := must(tlsTo(within(t, step), "", tvsAddr(a.site), &a.lsc))(t)
	defer c.Close()
	subject, issuer := must(trustlist.DN(a.callee.RawSubject))(t), must(trustlist.DN(a.callee.RawIssuer))(t)
	must(c.Write(must(wiretvs.Request{Session: 7, Device: "CP-8861-alice", DeviceType: wiretvs.DeviceType, Subject: subject, Issuer: issuer, Serial: a.callee.SerialNumber.Bytes()}.Message().Append(nil))(t)))(t)
	r := must(must(wiretvs.Read(c, 0))(t).Response())(t)
	if r.Status != wiretvs.Found || string(r.Certificate) != string(a.callee.Raw) {
		t.Errorf("QUERY for the call manager: %+v", r)
	}
}

// fetch gets the lists and a signed file in all three ways.
func (a *applicant) fetch(t testing.TB) {
	t.Helper()
	ctx := within(t, step)
	var held []*trustlist.List
	for _, src := range []enroll.Source{enroll.TFTP{Server: tftpAddr(a.site), BlockSize: 1400}, enroll.HTTP{Server: httpAddr(a.site)},
		enroll.HTTP{Server: httpsFiles(a.site), TLS: &tls.Config{RootCAs: a.site.Roots(), ServerName: a.site.CallManager().String()}}} {
		for _, name := range []string{"CTLFile.tlv", "ITLFile.tlv"} {
			l := must(trustlist.Parse(must(src.Fetch(ctx, name))(t)))(t)
			must(trustlist.AcceptPhone(l, held...))(t)
			held = append(held, l)
		}
		if b := must(src.Fetch(ctx, "XMLDefault.cnf.xml.sgn"))(t); len(b) < 200 {
			t.Errorf("%T: XMLDefault.cnf.xml.sgn has %d bytes", src, len(b))
		}
	}
}

// everything is one of each; it returns how long the slowest took.
func (a *applicant) everything(t testing.TB) (slowest time.Duration) {
	t.Helper()
	for _, do := range []func(testing.TB){a.enrol, a.ask, a.fetch} {
		begin := time.Now()
		do(t)
		slowest = max(slowest, time.Since(begin))
	}
	return slowest
}

// tlsTo connects to one of the ports, believing whom it meets.
func tlsTo(ctx context.Context, from, addr string, c *pki.Credential) (*tls.Conn, error) {
	conn, err := dialFrom(ctx, from, addr)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the bytes are what is tested
	if c != nil {
		cfg.Certificates = []tls.Certificate{c.TLS()}
	}
	tc := tls.Client(conn, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	_ = tc.SetDeadline(time.Now().Add(step))
	return tc, nil
}

// questions is rubbish where CAPF and TVS expect their messages: almost right, in the head or in an element.
func questions(magic byte) map[string][]byte {
	noise := make([]byte, 70_000)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(noise)
	head := func(first ...byte) []byte { return append([]byte{magic}, first...) }
	out := map[string][]byte{
		"noise":          noise,
		"HTTP":           []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"zeros":          make([]byte, 4096),
		"head only":      head(2, 0, 0),
		"no command":     head(0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0),
		"command 200":    head(200, 0, 0, 0, 1, 0, 4, 1, 0, 1, 0, 0, 0),
		"longer than is": append(head(2, 0, 0, 0, 1, 0xff, 0xff), noise[:40_000]...),
		"element beyond": head(2, 0, 0, 0, 1, 0, 5, 1, 0xff, 0xff, 'a', 'b', 0, 0),
		"half element":   head(2, 0, 0, 0, 1, 0, 2, 1, 0, 0, 0),
	}
	return out
}

// garbageIn sends each piece through a connection of its own, which must end, and returns how many were sent.
func garbageIn(t *testing.T, what string, pieces map[string][]byte, dial func() net.Conn) int {
	t.Helper()
	for name, b := range pieces {
		conn := dial()
		_ = conn.SetDeadline(time.Now().Add(step))
		_, _ = conn.Write(b)
		if c, is := conn.(interface{ CloseWrite() error }); is {
			_ = c.CloseWrite()
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && isTimeout(err) {
			t.Errorf("%s, %s: the connection stays open", what, name)
		}
		conn.Close()
	}
	return len(pieces)
}

// counted waits until a figure has grown by what was sent.
func counted(t *testing.T, s *lab.Site, name string, was float64, by int) {
	t.Helper()
	eventually(t, step, func() error {
		if now := scraped(t, s, name); now < was+float64(by) {
			return fmt.Errorf("%s is %v, was %v, want %d more", name, now, was, by)
		}
		return nil
	})
}

// says waits until `show connections` of a service has a failure with a sentence for an address.
func says(t *testing.T, s *lab.Site, service, from string) {
	t.Helper()
	eventually(t, step, func() error {
		rows, err := bus.Ask[bus.Query, []bus.Connection](within(t, step), s.Bus, s.Bus.Subject(service, bus.VerbConnections), bus.Query{})
		ok(t, err)
		for _, r := range rows {
			if strings.HasPrefix(r.Remote, from) && r.Failures > 0 && r.LastFailure != "" {
				return nil
			}
		}
		return fmt.Errorf("show connections of %s says nothing of what came from %s: %+v", service, from, rows)
	})
}

// TestGarbageBeforeRegistration sends rubbish to every port that phones meet before they register. Each service counts it and
// says whose it was, nothing of it is left, and a good client is served right after.
func TestGarbageBeforeRegistration(t *testing.T) {
	s := start(t, lab.Options{})
	a := newApplicant(t, s)
	a.everything(t)
	sendAll := func() {
		garbageCAPF(t, s)
		garbageTVS(t, s, a.lsc)
		garbageTFTP(t, s)
		garbageHTTP(t, s)
		a.everything(t)
	}
	sendAll()
	before := measure()
	for range 3 {
		sendAll()
	}
	before.returned(t, usual)
	if st := status(t, s.Home()); !st.Ready || len(st.Problems) > 0 {
		t.Errorf("status after garbage: %+v", st)
	}
}

func garbageCAPF(t *testing.T, s *lab.Site) {
	t.Helper()
	const from = "127.66.10.1"
	was := scraped(t, s, "locktone_capf_handshakes_refused_total")
	n := garbageIn(t, "CAPF", records(), func() net.Conn { return must(dialFrom(within(t, step), from, capfAddr(s)))(t) })
	counted(t, s, "locktone_capf_handshakes_refused_total", was, n)
	says(t, s, capf.Name, from)
	was = scraped(t, s, "locktone_capf_malformed_total")
	garbageIn(t, "CAPF in TLS", questions(0x55), func() net.Conn { return must(tlsTo(within(t, step), from, capfAddr(s), nil))(t) })
	counted(t, s, "locktone_capf_malformed_total", was, 5)
}

func garbageTVS(t *testing.T, s *lab.Site, lsc pki.Credential) {
	t.Helper()
	const from = "127.66.10.2"
	was := scraped(t, s, "locktone_tvs_handshakes_refused_total")
	n := garbageIn(t, "TVS", records(), func() net.Conn { return must(dialFrom(within(t, step), from, tvsAddr(s)))(t) })
	counted(t, s, "locktone_tvs_handshakes_refused_total", was, n)
	says(t, s, tvs.Name, from)
	was = scraped(t, s, "locktone_tvs_malformed_total")
	garbageIn(t, "TVS in TLS", questions(0x57), func() net.Conn { return must(tlsTo(within(t, step), from, tvsAddr(s), &lsc))(t) })
	counted(t, s, "locktone_tvs_malformed_total", was, 5)
}

// requests is rubbish where TFTP expects requests; none of it begins a transfer.
func requests() map[string]string {
	return map[string]string{
		"empty":           "",
		"one byte":        "\x00",
		"operation 0":     "\x00\x00CTLFile.tlv\x00octet\x00",
		"operation 99":    "\x00\x63CTLFile.tlv\x00octet\x00",
		"no end":          "\x00\x01CTLFile.tlv",
		"no mode":         "\x00\x01CTLFile.tlv\x00",
		"mode mail":       "\x00\x01CTLFile.tlv\x00mail\x00",
		"a write":         "\x00\x02CTLFile.tlv\x00octet\x00",
		"no name":         "\x00\x01\x00octet\x00",
		"long name":       "\x00\x01" + strings.Repeat("a", 1000) + "\x00octet\x00",
		"option unpaired": "\x00\x01CTLFile.tlv\x00octet\x00blksize\x00",
		"huge":            "\x00\x01" + strings.Repeat("\xff", 40_000),
	}
}

// elsewhere are names of files that nobody may have.
func elsewhere() []string {
	return []string{"../../etc/passwd", "/etc/passwd", "..\\..\\locktone.db", "locktone.db", "pki/root.json", "SEP../../../etc/passwd.cnf.xml", "CTLSEP\r\n.tlv", "ConfigFileCacheList.txt",
		"SEP000000000000.cnf.xml.sgn", strings.Repeat("../", 100) + "etc/passwd"}
}

func garbageTFTP(t *testing.T, s *lab.Site) {
	t.Helper()
	was := scraped(t, s, "locktone_provisioning_malformed_total")
	conn := must(net.Dial("udp", tftpAddr(s)))(t)
	defer conn.Close()
	for _, b := range requests() {
		must(io.WriteString(conn, b))(t)
	}
	counted(t, s, "locktone_provisioning_malformed_total", was, 5)
	for _, name := range elsewhere() {
		if b, err := (enroll.TFTP{Server: tftpAddr(s)}).Fetch(within(t, step), name); err == nil {
			t.Errorf("TFTP gave away %q: %d bytes", name, len(b))
		}
	}
}

func garbageHTTP(t *testing.T, s *lab.Site) {
	t.Helper()
	const useless = `locktone_provisioning_connections_without_request_total{protocol="%s"}`
	overHTTP, overHTTPS := fmt.Sprintf(useless, "http"), fmt.Sprintf(useless, "https")
	wasHTTP, wasHTTPS := scraped(t, s, overHTTP), scraped(t, s, overHTTPS)
	const from = "127.66.10.3"
	bad := rubbish()
	delete(bad, "HTTP") // that is what is spoken here
	n := garbageIn(t, "HTTP", bad, func() net.Conn { return must(dialFrom(within(t, step), from, httpAddr(s)))(t) })
	counted(t, s, overHTTP, wasHTTP, n)
	n = garbageIn(t, "HTTPS", records(), func() net.Conn { return must(dialFrom(within(t, step), from, httpsFiles(s)))(t) })
	n += garbageIn(t, "HTTP in TLS", bad, func() net.Conn { return must(tlsTo(within(t, step), from, httpsFiles(s), nil))(t) })
	counted(t, s, overHTTPS, wasHTTPS, n)
	says(t, s, provisioning.Name, from)
	for _, name := range elsewhere() {
		if b, err := (enroll.HTTP{Server: httpAddr(s)}).Fetch(within(t, step), name); err == nil {
			t.Errorf("HTTP gave away %q: %d bytes", name, len(b))
		}
	}
}

// TestSilentBeforeRegistration: on every port that phones meet before they register are as many connections as one address may
// hold, from many addresses: silent ones, and ones with half a handshake; and TFTP transfers whose client never answers. They
// are bounded, a good client is served meanwhile, and at their deadlines all of them are closed.
func TestSilentBeforeRegistration(t *testing.T) {
	needDescriptors(t, 6000)
	s := start(t, lab.Options{Config: withCarol()})
	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil)
	a := newApplicant(t, s)
	a.everything(t)
	quiet := a.everything(t)
	before := measure()
	up := connect(t, alice, bob)

	crowd, hello := &crowd{}, clientHello(t)
	defer crowd.leave()
	for i, port := range []struct {
		addr       string
		hosts, own int // addresses, and how many connections of each are tried: more than it may have
	}{{capfAddr(s), 3, 160}, {tvsAddr(s), 20, 12}, {httpAddr(s), 5, 40}, {httpsFiles(s), 5, 40}} {
		for host := range port.hosts {
			from := fmt.Sprintf("127.66.%d.%d", 20+i, 1+host)
			crowdAt(within(t, step), crowd, port.addr, from, port.own, func(i int, c net.Conn) error {
				_, err := c.Write([][]byte{nil, hello[:3], hello[:len(hello)/2], hello}[i%4])
				return err
			})
		}
	}
	halfOpen := transfersWithoutAnswer(t, s, 12, 40)
	defer halfOpen.Wait()
	held := crowd.open()
	for _, c := range []struct{ service, metric string }{{"capf", "locktone_capf_connections_refused_total"}, {"tvs", "locktone_tvs_connections_refused_total"},
		{"http", `locktone_provisioning_refused_total{protocol="http"}`}, {"tftp", `locktone_provisioning_refused_total{protocol="tftp"}`}} {
		eventually(t, step, func() error { // they are let in at a pace
			if n := scraped(t, s, c.metric); n < 20 {
				return fmt.Errorf("%s turned %v clients away at the limit of an address", c.service, n)
			}
			return nil
		})
	}
	slowest := a.everything(t)
	up.hear(t)
	up.end(t)
	t.Logf("%d connections held; the slowest of an enrolment, a QUERY and the files took %v, %v before", held, slowest, quiet)
	if slowest > 5*time.Second {
		t.Errorf("a good client needed %v while silent ones were there, %v before", slowest, quiet)
	}
	if held < 500 {
		t.Errorf("%d connections are held, want 500", held)
	}
	begin := time.Now()
	crowd.all.Wait() // closed by the services
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("the last silent connection was closed after %v", took)
	}
	eventually(t, step, func() error {
		if n := scraped(t, s, `locktone_provisioning_active{protocol="tftp"}`); n != 0 {
			return fmt.Errorf("%v transfers without a client are still there", n)
		}
		return nil
	})
	goodCall(t, alice, bob)
	before.returned(t, usual)
}

// crowdAt opens n connections from one address.
func crowdAt(ctx context.Context, c *crowd, addr, from string, n int, prepare func(int, net.Conn) error) {
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := w; i < n; i += 8 {
				conn, err := dialFrom(ctx, from, addr)
				if err == nil {
					err = prepare(i, conn)
				}
				if err == nil {
					c.add(conn)
				} else if conn != nil {
					conn.Close()
				}
			}
		})
	}
	workers.Wait()
}

// transfersWithoutAnswer asks for files from many addresses and never says a word more; the sockets are closed when all of the
// transfers are given up, or the test ends.
func transfersWithoutAnswer(t *testing.T, s *lab.Site, hosts, each int) *sync.WaitGroup {
	t.Helper()
	var held sync.WaitGroup
	for host := range hosts {
		for range each {
			d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(fmt.Sprintf("127.66.9.%d", 1+host))}}
			conn := must(d.Dial("udp", tftpAddr(s)))(t)
			must(io.WriteString(conn, "\x00\x01CTLFile.tlv\x00octet\x00blksize\x001400\x00"))(t)
			held.Go(func() {
				time.Sleep(8 * time.Second) // a socket that is closed answers with ICMP, which would end the transfer at once
				conn.Close()
			})
		}
	}
	return &held
}
