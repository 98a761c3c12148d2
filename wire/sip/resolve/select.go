package resolve

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/locktone/locktone/wire/sip"
)

// The networks a target can have.
const (
	UDP = "udp"
	TCP = "tcp"
	TLS = "tls"
)

// NAPTR is one NAPTR record. RFC 2915, 2.
type NAPTR struct {
	Order, Preference           uint16
	Flags, Services, Expression string
	Replacement                 string // without trailing dot
}

// SRV is one SRV record. RFC 2782.
type SRV struct {
	Priority, Weight, Port uint16
	Target                 string // without trailing dot; "" = the service is decidedly not available
}

// step is one SRV or address lookup that gives targets over one network.
type step struct {
	network string
	name    string // of the SRV record, or of the host when port is set
	port    uint16 // 0 = name is of a SRV record
	addr    netip.Addr
}

// plan is what a URI leaves open.
type plan struct {
	domain   string // the name to ask NAPTR and SRV for, and the identity to expect
	secure   bool
	networks []string // that may be used, most wanted first
	steps    []step   // when the URI says all: no NAPTR, no choice of SRV
	fixed    string   // transport given, port open: SRV for it, then addresses
}

// NetworkOf is the network for a scheme and a transport parameter ("" when absent). RFC 3263, 4.1; transport=tls with sip is
// deprecated (RFC 5630, 3.1.4) and widely used: it means TLS to the next hop.
func NetworkOf(scheme, transport string) (string, error) {
	secure := scheme == "sips"
	switch transport {
	case "":
		if secure {
			return TLS, nil
		}
		return "", nil
	case "tcp":
		if secure {
			return TLS, nil
		}
		return TCP, nil
	case "tls":
		return TLS, nil
	case "udp":
		if !secure {
			return UDP, nil
		}
	}
	return "", fmt.Errorf("resolve: transport %q cannot carry a %s URI here; udp, tcp and tls can", transport, scheme)
}

// defaultPort: RFC 3261, 19.1.2.
func defaultPort(network string) uint16 {
	if network == TLS {
		return 5061
	}
	return 5060
}

// planFor reads the URI by RFC 3263, 4.1 and 4.2. networks are those this element speaks, most wanted first.
func planFor(u sip.URI, networks []string) (plan, error) {
	if !u.IsSIP() {
		return plan{}, fmt.Errorf("resolve: %s is no sip or sips URI", u)
	}
	p := plan{domain: u.Host, secure: u.IsSecure(), networks: networks}
	if maddr, ok := u.Params.Get("maddr"); ok && maddr != "" {
		p.domain = strings.Trim(maddr, "[]")
	}
	p.domain = strings.ToLower(strings.TrimSuffix(p.domain, "."))
	network, err := NetworkOf(u.Scheme, u.Transport())
	if err != nil {
		return plan{}, err
	}
	if p.secure {
		p.networks = []string{TLS}
	}
	if network != "" && !slices.Contains(networks, network) {
		return plan{}, fmt.Errorf("resolve: %s needs %s, which is not enabled here", u, network)
	}
	p.fixed = network
	if p.secure && u.Transport() == "" {
		p.fixed = ""
	}
	p.say(u, network)
	return p, nil
}

// say fills the steps where the URI leaves no question to NAPTR or SRV.
func (p *plan) say(u sip.URI, network string) {
	addr, err := netip.ParseAddr(p.domain)
	if err != nil && u.Port == 0 {
		return
	}
	if network == "" {
		network = p.standard()
	}
	port := uint16(u.Port)
	if port == 0 {
		port = defaultPort(network)
	}
	p.steps = []step{{network: network, name: p.domain, port: port, addr: addr}}
}

// standard is the transport of a URI that names none. RFC 3263, 4.1: UDP, for sips TLS; when UDP is not spoken here, the
// most wanted one that is.
func (p *plan) standard() string {
	if p.secure {
		return TLS
	}
	if slices.Contains(p.networks, UDP) || len(p.networks) == 0 {
		return UDP
	}
	return p.networks[0]
}

// fromNAPTR picks the services we speak. RFC 3263, 4.1: of the lowest order that has one; a sips URI takes SIPS only.
func (p *plan) fromNAPTR(records []NAPTR) []step {
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b NAPTR) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Preference, b.Preference))
	})
	var steps []step
	order := -1
	for _, r := range records {
		network := serviceNetwork(r.Services)
		if network == "" || !strings.EqualFold(r.Flags, "s") || r.Replacement == "" || !slices.Contains(p.networks, network) {
			continue
		}
		if order >= 0 && int(r.Order) != order {
			break
		}
		order = int(r.Order)
		steps = append(steps, step{network: network, name: r.Replacement})
	}
	return steps
}

func serviceNetwork(service string) string {
	switch strings.ToUpper(service) {
	case "SIP+D2U":
		return UDP
	case "SIP+D2T":
		return TCP
	case "SIPS+D2T":
		return TLS
	}
	return ""
}

// srvName is the name to ask for. RFC 3263, 4.2.
func srvName(network, domain string) string {
	switch network {
	case TLS:
		return "_sips._tcp." + domain
	case TCP:
		return "_sip._tcp." + domain
	}
	return "_sip._udp." + domain
}

// orderSRV puts records into the order to try them. RFC 2782: by priority, inside a priority at random by weight, those of
// weight 0 with a small chance to come first. random(n) is uniform in [0, n).
func orderSRV(records []SRV, random func(int) int) []SRV {
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b SRV) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(min(a.Weight, 1), min(b.Weight, 1)))
	})
	for start := 0; start < len(records); {
		end := start + 1
		for end < len(records) && records[end].Priority == records[start].Priority {
			end++
		}
		shuffle(records[start:end], random)
		start = end
	}
	return records
}

// shuffle is the algorithm of RFC 2782: the running sum of weights, and a number drawn from 0 to the sum inclusive.
func shuffle(group []SRV, random func(int) int) {
	for len(group) > 1 {
		sum := 0
		for _, r := range group {
			sum += int(r.Weight)
		}
		drawn, running := random(sum+1), 0
		for i, r := range group {
			if running += int(r.Weight); running >= drawn {
				copy(group[1:i+1], group[:i])
				group[0] = r
				break
			}
		}
		group = group[1:]
	}
}
