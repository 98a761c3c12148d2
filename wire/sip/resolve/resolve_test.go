package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

var example = zone{
	"NAPTR example.com": {
		naptr(20, 10, "s", "SIP+D2U", "_sip._udp.example.com"),
		naptr(10, 20, "s", "SIP+D2T", "_sip._tcp.example.com"),
		naptr(10, 10, "S", "sips+d2t", "_sips._tcp.example.com"),
		naptr(5, 1, "s", "SIP+D2S", "_sip._sctp.example.com"),
		naptr(5, 1, "u", "E2U+sip", "x.example.com"),
	},
	"SRV _sips._tcp.example.com": {srv(20, 0, 5071, "b.example.com"), srv(10, 0, 5061, "a.example.com")},
	"SRV _sip._tcp.example.com":  {srv(10, 0, 5060, "a.example.com")},
	"SRV _sip._udp.example.com":  {srv(10, 0, 5070, "a.example.com")},
	"A a.example.com":            {a("192.0.2.1")},
	"AAAA a.example.com":         {aaaa("2001:db8::1")},
	"A b.example.com":            {a("192.0.2.2"), a("192.0.2.3")},

	"SRV _sip._udp.nonaptr.example":  {srv(0, 0, 5080, "a.example.com")},
	"SRV _sips._tcp.nonaptr.example": {srv(0, 0, 5081, "a.example.com")},
	"A plain.example":                {a("192.0.2.9")},
	"SRV _sips._tcp.none.example":    {srv(0, 0, 0, "")},
	"A none.example":                 {a("192.0.2.66")},
	"A maddr.example":                {a("192.0.2.77")},
}

// all drains the targets.
func all(t *testing.T, targets *Targets, err error) string {
	t.Helper()
	if err != nil {
		return "error: " + err.Error()
	}
	var out []string
	for {
		target, err := targets.Next(context.Background())
		if errors.Is(err, ErrExhausted) {
			return strings.Join(out, ", ")
		}
		if err != nil {
			return strings.Join(append(out, "error: "+err.Error()), ", ")
		}
		out = append(out, target.Network+" "+target.Addr.String())
	}
}

func mustURI(t *testing.T, text string) sip.URI {
	t.Helper()
	u, err := sip.ParseURI(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestResolve is RFC 3263, 4.1 and 4.2, against a DNS server on loopback. networks are those spoken here.
func TestResolve(t *testing.T) {
	server := startDNS(t, &dnsServer{zone: example})
	for _, test := range []struct{ networks, uri, want string }{
		// numeric host, or transport and port given: nothing to ask
		{"tls tcp udp", "sip:192.0.2.5", "udp 192.0.2.5:5060"},
		{"tls tcp udp", "sips:[2001:db8::5]", "tls [2001:db8::5]:5061"},
		{"tls tcp udp", "sip:192.0.2.5:5099;transport=tcp", "tcp 192.0.2.5:5099"},
		{"tls tcp udp", "sip:192.0.2.5;transport=tls", "tls 192.0.2.5:5061"},
		{"tls tcp", "sip:192.0.2.5", "tls 192.0.2.5:5061"},
		{"tls tcp udp", "sips:u@192.0.2.5;transport=tcp", "tls 192.0.2.5:5061"},
		{"tls tcp udp", "sip:example.com;maddr=192.0.2.7", "udp 192.0.2.7:5060"},
		{"tls tcp udp", "sip:example.com:5090;maddr=maddr.example", "udp 192.0.2.77:5090"},
		// a port: addresses only
		{"tls tcp udp", "sip:a.example.com:5090", "udp 192.0.2.1:5090, udp [2001:db8::1]:5090"},
		{"tls tcp udp", "sips:a.example.com:5090", "tls 192.0.2.1:5090, tls [2001:db8::1]:5090"},
		// a transport: its SRV, or addresses
		{"tls tcp udp", "sip:example.com;transport=tcp", "tcp 192.0.2.1:5060, tcp [2001:db8::1]:5060"},
		{"tls tcp udp", "sip:plain.example;transport=tcp", "tcp 192.0.2.9:5060"},
		{"tls tcp udp", "sip:plain.example;transport=tls", "tls 192.0.2.9:5061"},
		// only a name: NAPTR
		{"tls tcp udp", "sip:example.com", "tls 192.0.2.1:5061, tls [2001:db8::1]:5061, tls 192.0.2.2:5071, tls 192.0.2.3:5071"},
		{"udp", "sip:example.com", "udp 192.0.2.1:5070, udp [2001:db8::1]:5070"},
		{"tls tcp udp", "sips:example.com", "tls 192.0.2.1:5061, tls [2001:db8::1]:5061, tls 192.0.2.2:5071, tls 192.0.2.3:5071"},
		{"tls tcp udp", "sip:EXAMPLE.com.", "tls 192.0.2.1:5061, tls [2001:db8::1]:5061, tls 192.0.2.2:5071, tls 192.0.2.3:5071"},
		// no NAPTR: the SRVs in our order of preference
		{"tcp udp tls", "sip:nonaptr.example", "udp 192.0.2.1:5080, udp [2001:db8::1]:5080"},
		{"tls udp", "sip:nonaptr.example", "tls 192.0.2.1:5081, tls [2001:db8::1]:5081"},
		{"tls udp", "sips:nonaptr.example", "tls 192.0.2.1:5081, tls [2001:db8::1]:5081"},
		// no SRV either
		{"tls tcp udp", "sip:plain.example", "udp 192.0.2.9:5060"},
		{"tls tcp udp", "sips:plain.example", "tls 192.0.2.9:5061"},
		{"tls", "sip:localhost", "tls 127.0.0.1:5061, tls [::1]:5061"},
		// what cannot be
		{"tls tcp udp", "sip:gone.example", "error: resolve: no address found for gone.example: the name does not exist or has no A, AAAA or SRV record"},
		{"tls tcp udp", "sips:none.example", "error: resolve: _sips._tcp.none.example says that this service is not offered"},
		{"tls tcp udp", "sips:example.com;transport=udp", "error: resolve: transport \"udp\" cannot carry a sips URI here; udp, tcp and tls can"},
		{"udp", "sips:example.com", "error: resolve: sips:example.com needs tls, which is not enabled here"},
		{"udp", "sip:example.com;transport=sctp", "error: resolve: transport \"sctp\" cannot carry a sip URI here; udp, tcp and tls can"},
		{"udp", "tel:110", "error: resolve: tel:110 is no sip or sips URI"},
	} {
		r := New(Config{DNS: &Client{Servers: []netip.AddrPort{server.addr}}, Networks: strings.Fields(test.networks)})
		targets, err := r.Resolve(t.Context(), mustURI(t, test.uri))
		if got := all(t, targets, err); got != test.want {
			t.Errorf("%s with %s:\n got %s\nwant %s", test.uri, test.networks, got, test.want)
		}
	}
}

// TestClearFallback: a domain that offers TLS is not tried in clear after TLS failed, unless the exception says so.
func TestClearFallback(t *testing.T) {
	server := startDNS(t, &dnsServer{zone: example})
	for fallback, want := range map[bool]bool{false: false, true: true} {
		r := New(Config{DNS: &Client{Servers: []netip.AddrPort{server.addr}}, ClearFallback: fallback})
		targets, err := r.Resolve(t.Context(), mustURI(t, "sip:example.com"))
		got := all(t, targets, err)
		if strings.Contains(got, "tcp 192.0.2.1:5060") != want {
			t.Errorf("ClearFallback %v: got %s", fallback, got)
		}
	}
}

// brokenNAPTR is a resolver in the way that knows A and SRV only.
type brokenNAPTR struct{ Exchanger }

func (b brokenNAPTR) Exchange(ctx context.Context, name string, t Type) (Answer, error) {
	if t == TypeNAPTR {
		return Answer{}, errors.New("not implemented")
	}
	return b.Exchanger.Exchange(ctx, name, t)
}

func TestWithoutNAPTR(t *testing.T) {
	server := startDNS(t, &dnsServer{zone: example})
	r := New(Config{DNS: brokenNAPTR{&Client{Servers: []netip.AddrPort{server.addr}}}, Networks: []string{TLS}})
	targets, err := r.Resolve(t.Context(), mustURI(t, "sip:nonaptr.example"))
	if got := all(t, targets, err); !strings.HasPrefix(got, "tls 192.0.2.1:5081") {
		t.Errorf("a resolver that refuses NAPTR: got %s, want the SRV record", got)
	}
}

func TestTargetNames(t *testing.T) {
	server := startDNS(t, &dnsServer{zone: example})
	r := New(Config{DNS: &Client{Servers: []netip.AddrPort{server.addr}}})
	targets, err := r.Resolve(t.Context(), mustURI(t, "sips:bob@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	target, err := targets.Next(t.Context())
	if err != nil || target.ServerName != "example.com" || target.Host != "a.example.com" {
		t.Errorf("got %+v (%v): the certificate must assert the domain of the URI, not the SRV target", target, err)
	}
	if q := server.questions(); strings.Contains(q, "b.example.com") {
		t.Errorf("the second SRV target was looked up before it was needed: %s", q)
	}
	before := server.questions()
	again, err := r.Resolve(t.Context(), mustURI(t, "sips:bob@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Next(t.Context()); err != nil || server.questions() != before {
		t.Errorf("the cache was not used: %s (%v)", strings.TrimPrefix(server.questions(), before), err)
	}
	via := sip.Via{Transport: "TLS", Host: "example.com"}
	back, err := r.ResolveVia(t.Context(), via)
	if got := all(t, back, err); !strings.HasPrefix(got, "tls 192.0.2.1:5061") {
		t.Errorf("response to %s: got %s", via, got)
	}
}

func TestDNSTransport(t *testing.T) {
	truncated := startDNS(t, &dnsServer{zone: example, truncate: true})
	forged := startDNS(t, &dnsServer{zone: example, forge: true})
	failing := startDNS(t, &dnsServer{fail: true})
	for name, servers := range map[string][]netip.AddrPort{
		"TCP after a truncated answer":      {truncated.addr},
		"answers to other questions":        {forged.addr},
		"the next server after a SERVFAIL":  {failing.addr, truncated.addr},
		"the next server after nobody home": {netip.MustParseAddrPort("127.0.0.1:1"), forged.addr},
	} {
		c := &Client{Servers: servers, Timeout: time.Second}
		answer, err := c.Exchange(t.Context(), "b.example.com", TypeA)
		if err != nil || len(answer.Addrs) != 2 || answer.TTL != 300*time.Second {
			t.Errorf("%s: got %+v (%v)", name, answer, err)
		}
	}
	if !strings.Contains(truncated.questions(), "tcp A b.example.com") {
		t.Errorf("TCP was not used: %s", truncated.questions())
	}
	c := &Client{Servers: []netip.AddrPort{failing.addr}, Attempts: 1}
	if _, err := c.Exchange(t.Context(), "x.example", TypeA); err == nil || !strings.Contains(err.Error(), "ServerFailure") {
		t.Errorf("SERVFAIL: got %v", err)
	}
	answer, err := (&Client{Servers: []netip.AddrPort{forged.addr}}).Exchange(t.Context(), "gone.example", TypeAAAA)
	if err != nil || len(answer.Addrs) != 0 || answer.TTL != 60*time.Second {
		t.Errorf("a name that does not exist: got %+v (%v), want nothing for 60 s", answer, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Exchange(ctx, "x.example", TypeA); err == nil {
		t.Error("a cancelled question was answered")
	}
}

// fixed is an Exchanger without I/O, for the tests with a clock of their own.
type fixed map[string]Answer

func (f fixed) Exchange(_ context.Context, name string, t Type) (Answer, error) {
	a, ok := f[fmt.Sprintf("%d %s", t, name)]
	if !ok {
		a.TTL = time.Hour
	}
	return a, nil
}

// TestFailover: RFC 3263, 4.3 and RFC 3261, 21.5.4, with the clock of synctest.
func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addrs := func(list ...string) (a Answer) {
			for _, s := range list {
				a.Addrs = append(a.Addrs, netip.MustParseAddr(s))
			}
			a.TTL = time.Hour
			return a
		}
		r := New(Config{DNS: fixed{"0 h": addrs("192.0.2.1", "192.0.2.2", "192.0.2.3")}, Penalty: 10 * time.Second})
		u := mustURI(t, "sip:h:5060")
		order := func() string {
			targets, err := r.Resolve(t.Context(), u)
			return strings.NewReplacer("udp 192.0.2.", "", ":5060", "").Replace(all(t, targets, err))
		}
		target := func(n byte) Target {
			return Target{Network: UDP, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 5060)}
		}
		expect := func(what, want string) {
			t.Helper()
			if got := order(); got != want {
				t.Errorf("%s: got %s, want %s", what, got, want)
			}
		}
		expect("all well", "1, 2, 3")
		r.Failed(target(1), 0)
		expect("1 failed: last", "2, 3, 1")
		time.Sleep(9 * time.Second)
		expect("still", "2, 3, 1")
		time.Sleep(time.Second)
		expect("penalty over", "1, 2, 3")
		r.Failed(target(1), 0)
		r.Reached(target(1))
		expect("it answered", "1, 2, 3")
		r.Failed(target(2), time.Minute)
		expect("2 said Retry-After: not at all", "1, 3")
		r.Failed(target(1), 2*time.Minute)
		r.Failed(target(3), 3*time.Minute)
		targets, err := r.Resolve(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		var busy *UnavailableError
		if _, err := targets.Next(t.Context()); !errors.As(err, &busy) || time.Until(busy.Until) != time.Minute {
			t.Errorf("everybody said Retry-After: got %v, want unavailable for one minute", err)
		}
		time.Sleep(time.Minute)
		expect("2 may be tried again", "2")
	})
}

// TestWeights: RFC 2782: over many draws each server gets its share.
func TestWeights(t *testing.T) {
	r := New(Config{})
	records := []SRV{{2, 0, 1, "backup"}, {1, 60, 1, "big"}, {1, 20, 1, "small"}, {1, 20, 1, "other"}, {1, 0, 1, "rare"}}
	first := map[string]int{}
	for range 5000 {
		order := orderSRV(records, r.random)
		if order[4].Target != "backup" {
			t.Fatalf("priority 2 before priority 1: %v", order)
		}
		first[order[0].Target]++
	}
	if first["big"] < 2600 || first["big"] > 3400 || first["small"] < 700 || first["small"] > 1300 || first["rare"] > 200 {
		t.Errorf("shares of 5000: %v; want about 3000 big, 1000 small, 1000 other, few rare", first)
	}
	if records[0].Target != "backup" {
		t.Error("the records of the cache were reordered")
	}
}

func TestCacheIsBounded(t *testing.T) {
	r := New(Config{DNS: fixed{}, Entries: 10})
	for i := range 100 {
		if _, err := r.ask(t.Context(), fmt.Sprintf("h%d.example", i), TypeA); err != nil {
			t.Fatal(err)
		}
		r.Failed(Target{Network: UDP, Addr: netip.AddrPortFrom(netip.IPv6Loopback(), uint16(i+1))}, time.Hour)
	}
	if len(r.cache) > 10 || len(r.failed) > 10 {
		t.Errorf("%d answers and %d failures kept, want at most 10", len(r.cache), len(r.failed))
	}
}

func TestFiles(t *testing.T) {
	c := parseResolvConf(strings.NewReader("# comment\nsearch x\nnameserver 192.0.2.53\nnameserver 2001:db8::53 # six\nnameserver bad\noptions timeout:3 attempts:9 rotate\n"))
	if fmt.Sprint(c.Servers) != "[192.0.2.53:53 [2001:db8::53]:53]" || c.Timeout != 3*time.Second || c.Attempts != 5 {
		t.Errorf("resolv.conf: got %+v", c)
	}
	c.Hosts = parseHosts(strings.NewReader("127.0.0.1 localhost\n192.0.2.1 Phone.lab phone # lab\nbad x\n2001:db8::1 phone.lab\n"))
	for typ, want := range map[Type]string{TypeA: "[192.0.2.1]", TypeAAAA: "[2001:db8::1]"} {
		got, err := c.Exchange(t.Context(), "phone.lab", typ)
		if err != nil || fmt.Sprint(got.Addrs) != want {
			t.Errorf("hosts: got %v (%v), want %s", got.Addrs, err, want)
		}
	}
	if _, err := OpenClient("/nonexistent", ""); err == nil {
		t.Error("a resolv.conf that is not there was read")
	}
}

// FuzzAnswer: any datagram; nothing panics.
func FuzzAnswer(f *testing.F) {
	s := &dnsServer{zone: example}
	for typ, name := range map[Type]string{TypeNAPTR: "example.com", TypeSRV: "_sips._tcp.example.com", TypeA: "b.example.com", TypeAAAA: "gone"} {
		q, err := appendQuery(nil, 7, name, typ)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s.answer("udp", q), uint8(typ), name)
	}
	f.Fuzz(func(t *testing.T, data []byte, typ uint8, name string) {
		a, err := parseAnswer(data, 7, name, Type(typ%4))
		if err == nil && a.TTL < 0 {
			t.Errorf("an answer with TTL %v", a.TTL)
		}
		_, _ = parseNAPTR(data)
		p := plan{networks: []string{TLS, TCP, UDP}}
		p.fromNAPTR(a.NAPTR)
		orderSRV(a.SRV, func(n int) int { return n - 1 })
	})
}
