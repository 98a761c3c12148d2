package cti

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/secret"
)

// The ports of a CTI manager.
const (
	PortTLS   = 2749
	PortClear = 2748
)

const (
	clientVersion = "Locktone CTI client 1.0"
	pluginName    = "Locktone CTI"
)

// Manager is where a CTI manager is: none, an IPv4 address, an IPv6 address or a host name, one of them. A port that is not
// the protocol's own may stand behind it (10.0.0.1:12749).
type Manager struct {
	IPv4 string `json:"ipv4,omitempty"`
	IPv6 string `json:"ipv6,omitempty"`
	Host string `json:"host,omitempty"`
}

// None tells of a manager that there is none.
func (m Manager) None() bool { return m == Manager{} }

// String is the address as it was given, "none" without one.
func (m Manager) String() string {
	for _, a := range []string{m.IPv4, m.IPv6, m.Host} {
		if a != "" {
			return a
		}
	}
	return "none"
}

// Check says what is wrong with the address.
func (m Manager) Check() error {
	given := 0
	for _, a := range []string{m.IPv4, m.IPv6, m.Host} {
		if a != "" {
			given++
		}
	}
	if given > 1 {
		return errors.New("give one of IPv4 address, IPv6 address and host name")
	}
	if a, err := netip.ParseAddr(withoutPort(m.IPv4)); m.IPv4 != "" && (err != nil || !a.Is4()) {
		return fmt.Errorf("%q is no IPv4 address", m.IPv4)
	}
	if a, err := netip.ParseAddr(withoutPort(m.IPv6)); m.IPv6 != "" && (err != nil || !a.Is6()) {
		return fmt.Errorf("%q is no IPv6 address", m.IPv6)
	}
	return nil
}

// withoutPort is the host of HOST or HOST:PORT.
func withoutPort(text string) string {
	if h, _, err := net.SplitHostPort(text); err == nil {
		return h
	}
	return text
}

// Family is which kind of address to try first of a host name that has both.
type Family uint8

// The families.
const (
	PreferIPv4 Family = iota
	PreferIPv6
)

// Config says who logs in where. User, Password, Primary, and TLS or Clear are needed; the rest has good values when zero.
type Config struct {
	User     string
	Password secret.Text
	// SingleSignOn asks for a login by a ticket. The protocol's form of it is not known: it is refused with
	// CTIERR_SSO_DISABLED before anything is sent.
	SingleSignOn    bool
	Primary, Backup Manager
	Prefer          Family
	// TLS makes the configuration of the next connection; (*Enrolment).TLS is one that fetches the trust list as the field's
	// clients do. It is asked at every connection.
	TLS func(ctx context.Context) (*tls.Config, error)
	// Clear uses port 2748 without TLS. The password is sealed only for whoever answered.
	Clear bool
	// Application is how the manager's logs name this program.
	Application string
	// Heartbeat is the interval that is asked for, 30 s when 0, at least 5 s. The manager decides.
	Heartbeat time.Duration
	// LoginTime bounds a login, with all that belongs to it, at one manager; 30 s when 0.
	LoginTime time.Duration
	// Retry is the pause after no manager could be reached, 2 s when 0; it doubles up to 30 s.
	Retry time.Duration
	// Queue is how many events may wait for the application; 10000 when 0. When there are more all are dropped, and the
	// application sees a Gap.
	Queue int
	Trace *Tracer
	// Dial opens connections; nil is a net.Dialer. Resolve finds addresses; nil is the system's.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

func (c *Config) check() error {
	if c.SingleSignOn {
		return refused("Logging in by single sign-on", ctiqbe.ErrSSODisabled, "")
	}
	wrong := func(format string, args ...any) error {
		return &Error{Doing: "Opening the provider", Err: fmt.Errorf(format, args...)}
	}
	switch {
	case c.User == "":
		return wrong("the user name is missing")
	case c.Primary.None() && c.Backup.None():
		return wrong("there is neither a primary nor a backup CTI manager")
	case c.TLS == nil && !c.Clear:
		return wrong("there is no certificate for the secure port (Config.TLS), and the clear one was not asked for (Config.Clear)")
	case c.TLS != nil && c.Clear:
		return wrong("both the secure and the clear port are asked for")
	case c.Heartbeat != 0 && c.Heartbeat < 5*time.Second:
		return wrong("a heartbeat of %v is shorter than the protocol's 5 s", c.Heartbeat)
	}
	for _, m := range []Manager{c.Primary, c.Backup} {
		if err := m.Check(); err != nil {
			return wrong("%w", err)
		}
	}
	return nil
}

func (c *Config) complete() {
	if c.Application == "" {
		c.Application = "Locktone"
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 30 * time.Second
	}
	if c.LoginTime == 0 {
		c.LoginTime = 30 * time.Second
	}
	if c.Retry == 0 {
		c.Retry = 2 * time.Second
	}
	if c.Queue == 0 {
		c.Queue = 10000
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	}
	if c.Resolve == nil {
		c.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
}

// managers are those that are there, primary first.
func (c *Config) managers() []Manager {
	var all []Manager
	for _, m := range []Manager{c.Primary, c.Backup} {
		if !m.None() {
			all = append(all, m)
		}
	}
	return all
}

// addresses are host:port of a manager in the order in which to try them.
func (c *Config) addresses(ctx context.Context, m Manager) ([]string, error) {
	host, port := m.String(), strconv.Itoa(PortTLS)
	if c.Clear {
		port = strconv.Itoa(PortClear)
	}
	if h, p, err := net.SplitHostPort(host); err == nil {
		host, port = h, p
	}
	if m.Host == "" {
		return []string{net.JoinHostPort(host, port)}, nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{net.JoinHostPort(host, port)}, nil
	}
	ips, err := c.Resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var first, second []string
	for _, ip := range ips {
		ip = ip.Unmap()
		if a := net.JoinHostPort(ip.String(), port); ip.Is6() == (c.Prefer == PreferIPv6) {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	return append(first, second...), nil
}

// dial connects to a manager, by TLS unless it is the clear port.
func (c *Config) dial(ctx context.Context, m Manager) (net.Conn, string, error) {
	all, err := c.addresses(ctx, m)
	if err != nil {
		return nil, m.String(), err
	}
	var failed []error
	for _, a := range all {
		conn, err := c.Dial(ctx, "tcp", a)
		if err == nil && !c.Clear {
			conn, err = c.handshake(ctx, conn)
		}
		if err == nil {
			return conn, a, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", a, err))
	}
	return nil, m.String(), errors.Join(failed...)
}

func (c *Config) handshake(ctx context.Context, raw net.Conn) (net.Conn, error) {
	cfg, err := c.TLS(ctx)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	c.Trace.connected(conn.ConnectionState())
	return conn, nil
}
