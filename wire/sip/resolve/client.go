package resolve

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// Client asks DNS servers: each in turn over UDP, over TCP when an answer is truncated. It is an Exchanger without a cache of
// its own (the Resolver has one) and safe for concurrent use.
type Client struct {
	Servers  []netip.AddrPort
	Timeout  time.Duration           // of one try; 0 = 2 seconds
	Attempts int                     // rounds over all servers; 0 = 2
	Hosts    map[string][]netip.Addr // names answered from a hosts file, lower case
}

// OpenClient reads resolv.conf and a hosts file; "" are the system's /etc/resolv.conf and /etc/hosts. A hosts file that is not
// there is an empty one.
func OpenClient(resolvConf, hosts string) (*Client, error) {
	if resolvConf == "" {
		resolvConf = "/etc/resolv.conf"
	}
	if hosts == "" {
		hosts = "/etc/hosts"
	}
	file, err := os.Open(resolvConf)
	if err != nil {
		return nil, fmt.Errorf("resolve: no DNS servers: %w", err)
	}
	defer file.Close()
	c := parseResolvConf(file)
	if len(c.Servers) == 0 { // resolv.conf(5): then the server is on this machine
		c.Servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	if h, err := os.Open(hosts); err == nil {
		defer h.Close()
		c.Hosts = parseHosts(h)
	}
	return c, nil
}

// parseResolvConf reads nameserver and the options timeout and attempts; search lists are for people, not for SIP domains.
func parseResolvConf(r io.Reader) *Client {
	c := &Client{}
	for lines := bufio.NewScanner(io.LimitReader(r, 1<<16)); lines.Scan(); {
		fields := strings.Fields(strings.SplitN(lines.Text(), "#", 2)[0])
		switch {
		case len(fields) >= 2 && fields[0] == "nameserver":
			if a, err := netip.ParseAddr(fields[1]); err == nil && len(c.Servers) < 3 {
				c.Servers = append(c.Servers, netip.AddrPortFrom(a, 53))
			}
		case len(fields) >= 2 && fields[0] == "options":
			for _, o := range fields[1:] {
				c.option(o)
			}
		}
	}
	return c
}

func (c *Client) option(text string) {
	name, number, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		return
	}
	switch name {
	case "timeout":
		c.Timeout = time.Duration(min(n, 30)) * time.Second
	case "attempts":
		c.Attempts = min(n, 5)
	}
}

func parseHosts(r io.Reader) map[string][]netip.Addr {
	hosts := map[string][]netip.Addr{}
	for lines := bufio.NewScanner(io.LimitReader(r, 1<<20)); lines.Scan(); {
		fields := strings.Fields(strings.SplitN(lines.Text(), "#", 2)[0])
		if len(fields) < 2 {
			continue
		}
		a, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			name = strings.ToLower(name)
			hosts[name] = append(hosts[name], a.WithZone(""))
		}
	}
	return hosts
}

// Exchange asks until one server answers.
func (c *Client) Exchange(ctx context.Context, name string, t Type) (Answer, error) {
	if a, ok := c.fromHosts(name, t); ok {
		return a, nil
	}
	timeout, attempts := c.Timeout, c.Attempts
	if timeout <= 0 {
		timeout = 2 * time.Second
	}
	if attempts <= 0 {
		attempts = 2
	}
	var failures []error
	for range attempts {
		for _, server := range c.Servers {
			a, err := c.try(ctx, server, name, t, timeout)
			if err == nil {
				return a, nil
			}
			failures = append(failures, fmt.Errorf("%s: %w", server, err))
			if ctx.Err() != nil {
				return Answer{}, errors.Join(failures...)
			}
		}
	}
	if len(failures) == 0 {
		return Answer{}, errors.New("resolve: no DNS server is configured")
	}
	return Answer{}, fmt.Errorf("resolve: no DNS server answered for %s: %w", name, errors.Join(failures...))
}

func (c *Client) fromHosts(name string, t Type) (Answer, bool) {
	addrs, ok := c.Hosts[name]
	if !ok || t != TypeA && t != TypeAAAA {
		return Answer{}, false
	}
	a := Answer{TTL: time.Minute}
	for _, addr := range addrs {
		if addr.Is4() == (t == TypeA) {
			a.Addrs = append(a.Addrs, addr)
		}
	}
	return a, true
}

// try asks one server: UDP from a port of its own with a random id, so that an answer is hard to forge, then TCP if need be.
func (c *Client) try(ctx context.Context, server netip.AddrPort, name string, t Type, timeout time.Duration) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	a, err := exchange(ctx, "udp", server, name, t)
	if errors.Is(err, errTruncated) {
		return exchange(ctx, "tcp", server, name, t)
	}
	return a, err
}

func exchange(ctx context.Context, network string, server netip.AddrPort, name string, t Type) (Answer, error) {
	id := uint16(rand.Uint32()) // ChaCha8, seeded by the system: not to be guessed
	query, err := appendQuery(make([]byte, 2, 512), id, name, t)
	if err != nil {
		return Answer{}, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		return overTCP(conn, query, id, name, t)
	}
	return overUDP(conn, query[2:], id, name, t)
}

// overUDP reads on past datagrams that are no answer to this question, until the deadline.
func overUDP(conn net.Conn, query []byte, id uint16, name string, t Type) (Answer, error) {
	if _, err := conn.Write(query); err != nil {
		return Answer{}, err
	}
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return Answer{}, err
		}
		a, err := parseAnswer(buf[:n], id, name, t)
		if !errors.Is(err, errForeign) {
			return a, err
		}
	}
}

// overTCP puts the length before query and answer, as DNS over TCP has it.
func overTCP(conn net.Conn, query []byte, id uint16, name string, t Type) (Answer, error) {
	binary.BigEndian.PutUint16(query, uint16(len(query)-2))
	if _, err := conn.Write(query); err != nil {
		return Answer{}, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return Answer{}, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return Answer{}, err
	}
	return parseAnswer(buf, id, name, t)
}
