package snippet

import (
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/border/dialpeer"
)

// number reads a decimal within bounds.
func number(word string, low, high int) (int, error) {
	n, err := strconv.Atoi(word)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%q is not a number from %d to %d", word, low, high)
	}
	return n, nil
}

// target reads ipv4:A[:P], ipv6:[A][:P] and dns:H[:P].
func target(word string) (config.SessionTarget, error) {
	scheme, rest, ok := strings.Cut(word, ":")
	fail := func() (config.SessionTarget, error) {
		return config.SessionTarget{}, fmt.Errorf("%q is no target: expected ipv4:A.B.C.D[:PORT], ipv6:[A][:PORT], dns:NAME[:PORT] or sip-server", word)
	}
	host, port := rest, 0
	if h, p, err := net.SplitHostPort(rest); err == nil {
		n, err := number(p, 1, 65535)
		if err != nil {
			return config.SessionTarget{}, fmt.Errorf("port %w", err)
		}
		host, port = h, n
	} else if strings.HasPrefix(rest, "[") {
		host = strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]")
	}
	ip, err := netip.ParseAddr(host)
	switch kind := strings.ToLower(scheme); {
	case !ok:
		return fail()
	case kind == "ipv4" && (err != nil || !ip.Is4()), kind == "ipv6" && (err != nil || !ip.Is6() || ip.Zone() != ""):
		return config.SessionTarget{}, fmt.Errorf("%q is no %s address", host, kind)
	case kind == "dns" && (!hostShape.MatchString(host) || len(host) > 253):
		return config.SessionTarget{}, fmt.Errorf("%q is no host name", host)
	case kind != "ipv4" && kind != "ipv6" && kind != "dns":
		return fail()
	}
	return config.SessionTarget{Address: host, Port: port}, nil
}

var hostShape = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// network reads an address and a mask, 198.51.100.0 255.255.255.0; a prefix length is taken as well.
func network(address, mask string) (string, error) {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Zone() != "" {
		return "", fmt.Errorf("%q is no IP address", address)
	}
	length, err := strconv.Atoi(strings.TrimPrefix(mask, "/"))
	if err != nil {
		m, err := netip.ParseAddr(mask)
		if err != nil || !m.Is4() || !ip.Is4() {
			return "", fmt.Errorf("%q is no mask: expected for instance 255.255.255.255", mask)
		}
		a := m.As4()
		v := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
		if length = bits.LeadingZeros32(^v); v != ^uint32(0)<<(32-length) {
			return "", fmt.Errorf("%s is no mask: its ones are not all in front; a wildcard mask is the other way round", mask)
		}
	}
	p, err := ip.Prefix(length)
	if err != nil || length < 0 {
		return "", fmt.Errorf("%q is no length of a prefix", mask)
	}
	if p.Masked().Bits() == ip.BitLen() {
		return p.Addr().String(), nil
	}
	return p.Masked().String(), nil
}

// pattern checks a destination-pattern: by the grammar, and by what a site file takes.
func pattern(word string) (string, error) {
	if _, err := dialpeer.ParsePattern(word); err != nil {
		return "", err
	}
	probe := &config.Site{DialPeers: []config.DialPeer{{Tag: 1, DestinationPatterns: []string{word}}}}
	if err := probe.Check(); err != nil {
		return "", fmt.Errorf("%q: groups within groups and small letters are not offered in patterns", word)
	}
	return word, nil
}

// expression turns a regular expression of the field's translation rules into RE2's: there \( \) make groups and ( ) are themselves.
func expression(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			switch d := s[i]; d {
			case '(', ')':
				b.WriteByte(d)
			default:
				b.WriteByte('\\')
				b.WriteByte(d)
			}
		case c == '(' || c == ')' || c == '{' || c == '}' || c == '|':
			b.WriteString(`\` + string(c))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// codecs are the field's names of codecs and SDP's.
var codecs = map[string]string{"g711ulaw": "PCMU", "g711alaw": "PCMA", "g722-64": "G722", "g729r8": "G729", "g729br8": "G729", "g729": "G729", "ilbc": "iLBC", "opus": "opus",
	"g726r32": "G726-32", "g723r63": "G723", "g723r53": "G723", "g728": "G728", "gsmfr": "GSM", "amr-nb": "AMR", "amr-wb": "AMR-WB"}

func codec(word string) (string, error) {
	if c, ok := codecs[strings.ToLower(word)]; ok {
		return c, nil
	}
	return "", fmt.Errorf("%q is no codec that is known: expected for instance g711ulaw, g711alaw, g722-64, g729r8 or opus", word)
}

// name makes a name of a site out of one of the field.
func name(word string) (string, error) {
	if !config.IsName(word) {
		return "", fmt.Errorf("%q cannot be a name here: up to 64 letters, digits and . _ @ -", word)
	}
	return word, nil
}

// set puts e into a list in place of the one with its key.
func set[E config.Entity](list *[]E, e E) {
	for i := range *list {
		if (*list)[i].Key() == e.Key() {
			(*list)[i] = e
			return
		}
	}
	*list = append(*list, e)
}

// get finds an entity by its key.
func get[E config.Entity](list []E, key string) (e E, ok bool) {
	for i := range list {
		if list[i].Key() == key {
			return list[i], true
		}
	}
	return e, false
}
