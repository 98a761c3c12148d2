package resolve

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is what the test DNS server knows: "type name" -> resource bodies.
type zone map[string][]dnsmessage.ResourceBody

// dnsServer answers on loopback, UDP and TCP, one port.
type dnsServer struct {
	addr     netip.AddrPort
	zone     zone
	truncate bool // answer UDP with TC and nothing else
	fail     bool // answer SERVFAIL
	forge    bool // send a wrong answer (another id, another name) before the right one

	mu    sync.Mutex
	asked []string // "udp SRV _sip._udp.example.com"
}

func startDNS(t *testing.T, s *dnsServer) *dnsServer {
	t.Helper()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s.addr = udp.LocalAddr().(*net.UDPAddr).AddrPort()
	tcp, err := net.Listen("tcp", s.addr.String())
	if err != nil {
		udp.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	go s.serveUDP(udp)
	go s.serveTCP(tcp)
	return s
}

func (s *dnsServer) serveUDP(conn *net.UDPConn) {
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		answer := s.answer("udp", buf[:n])
		if s.forge {
			forged := append([]byte(nil), answer...)
			forged[0]++ // another id
			_, _ = conn.WriteToUDPAddrPort(forged, from)
			_, _ = conn.WriteToUDPAddrPort([]byte("junk"), from)
		}
		_, _ = conn.WriteToUDPAddrPort(answer, from)
	}
}

func (s *dnsServer) serveTCP(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err == nil {
			buf := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(conn, buf); err == nil {
				a := s.answer("tcp", buf)
				_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
			}
		}
		conn.Close()
	}
}

func typeName(t dnsmessage.Type) string {
	if t == typeNAPTR {
		return "NAPTR"
	}
	return strings.TrimPrefix(t.String(), "Type")
}

func (s *dnsServer) answer(network string, query []byte) []byte {
	var q dnsmessage.Message
	if q.Unpack(query) != nil || len(q.Questions) != 1 {
		return query
	}
	name := strings.TrimSuffix(q.Questions[0].Name.String(), ".")
	key := typeName(q.Questions[0].Type) + " " + name
	s.mu.Lock()
	s.asked = append(s.asked, network+" "+key)
	s.mu.Unlock()
	r := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, RecursionAvailable: true}, Questions: q.Questions}
	switch records := s.zone[key]; {
	case s.fail:
		r.RCode = dnsmessage.RCodeServerFailure
	case s.truncate && network == "udp":
		r.Truncated = true
	case len(records) == 0:
		r.RCode = dnsmessage.RCodeNameError
		r.Authorities = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("example.com."), Class: dnsmessage.ClassINET, TTL: 600},
			Body: &dnsmessage.SOAResource{NS: dnsmessage.MustNewName("ns."), MBox: dnsmessage.MustNewName("m."), MinTTL: 60}}}
	default:
		for _, body := range records {
			r.Answers = append(r.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 300}, Body: body})
		}
	}
	data, err := r.Pack()
	if err != nil {
		panic(err)
	}
	return data
}

func (s *dnsServer) questions() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.asked, "; ")
}

func a(text string) dnsmessage.ResourceBody {
	return &dnsmessage.AResource{A: netip.MustParseAddr(text).As4()}
}

func aaaa(text string) dnsmessage.ResourceBody {
	return &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(text).As16()}
}

func srv(priority, weight, port uint16, target string) dnsmessage.ResourceBody {
	return &dnsmessage.SRVResource{Priority: priority, Weight: weight, Port: port, Target: dnsmessage.MustNewName(target + ".")}
}

func naptr(order, preference uint16, flags, services, replacement string) dnsmessage.ResourceBody {
	b := binary.BigEndian.AppendUint16(nil, order)
	b = binary.BigEndian.AppendUint16(b, preference)
	for _, text := range []string{flags, services, ""} {
		b = append(append(b, byte(len(text))), text...)
	}
	for label := range strings.SplitSeq(replacement, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return &dnsmessage.UnknownResource{Type: typeNAPTR, Data: append(b, 0)}
}
