package load

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/sip"
)

// Mode is what a run does.
type Mode string

// The modes.
const (
	Calls    Mode = "calls"    // phones register and call each other
	Register Mode = "register" // phones refresh their registrations at a rate
	Connect  Mode = "connect"  // mutual TLS handshakes at a rate
	Failover Mode = "failover" // registered phones lose their server and go to another one
)

// Protection says which ends of a call offer SRTP.
type Protection string

// The protections. A server bridges the mixed ones only where its policy lets it.
const (
	Both   Protection = "both"
	Caller Protection = "caller"
	Callee Protection = "callee"
	None   Protection = "none"
)

// Config is one run. Server must be set; the zero value of everything else is a gentle run.
type Config struct {
	Mode      Mode           // default Calls
	Network   string         // tls (default), tcp, udp
	Server    netip.AddrPort // the PBX
	Name      string         // what its certificate must say; default: its address
	Domain    string         // of the users; default: the server's address
	Callees   netip.AddrPort // where the called half registers, another node of the same cluster; default: Server
	Backup    netip.AddrPort // mode failover: where the phones go
	Stagger   time.Duration  // mode failover: each at a random moment within this time; 0: all at once
	AllowHost string         // the address of a server that is not on this machine, to say that loading it is meant
	From      netip.Addr     // our address; default: what the system chooses
	Spread    int            // phones come from this many addresses, From and the following; servers limit what one source may ask

	Phones int    // default 2; even
	User   string // user part of phone I, with one %d: default load%d
	First  int    // number of the first phone; default 1
	Device string // name in its certificate, with one %d; default as User
	Target string // number that all call, instead of each other

	Roots       *x509.CertPool
	Certificate func(device string) (tls.Certificate, error) // TLS: the phone's own certificate
	Password    sip.Secret                                   // digest, with the phone's user name; zero: none
	AllowMD5    bool
	NoRegister  bool
	Resume      bool // mode connect: keep session tickets; default full handshakes

	Count    int           // calls, REGISTERs or handshakes in all; default 100
	Rate     float64       // a second; default 10
	Duration time.Duration // ends sooner than Count when it is over; default none
	Hold     time.Duration // from answer to BYE
	Ring     time.Duration // from 180 to 200 at the callee
	Timeout  time.Duration // of one call's setup or end; default 32 s (RFC 3261, timer B)

	SRTP  Protection // default Both
	Suite sdp.Suite  // default AES_CM_128_HMAC_SHA1_80
	Media bool       // send and check G.711 packets, 50 a second each way

	// Plateau, where not nil, is called once Count calls are up; they hang up after it returned. Hold is not used then.
	Plateau func(Live)
	// Begin and End, where not nil, are called around what is measured: after all phones are registered, and when the last call
	// has ended.
	Begin, End func()
	// Says, where not nil, is called just before a called phone sends its 180 or 200, with the user part of its number.
	Says     func(user string, status int)
	Progress func(string)
}

// Live is what Plateau may look at.
type Live struct {
	Established int
	Media       func() MediaCounts
}

// Limits of one run.
const (
	maxPhones = 20_000
	maxCount  = 10_000_000
	maxRate   = 20_000
	maxTime   = 24 * time.Hour
)

func (c Config) withDefaults() Config {
	set(&c.Mode, Calls)
	set(&c.Network, "tls")
	set(&c.Domain, c.Server.Addr().String())
	set(&c.Name, c.Server.Addr().String())
	set(&c.Phones, 2)
	set(&c.User, "load%d")
	set(&c.First, 1)
	set(&c.Device, c.User)
	set(&c.Count, 100)
	set(&c.Rate, 10)
	set(&c.Timeout, 32*time.Second)
	set(&c.SRTP, Both)
	set(&c.Suite, sdp.AES_CM_128_HMAC_SHA1_80)
	if c.Says == nil {
		c.Says = func(string, int) {}
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

func set[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// check refuses what cannot work or was not meant.
func (c Config) check() error {
	addr := c.Server.Addr()
	switch {
	case !c.Server.IsValid():
		return errors.New("no server: give its address and port, such as 127.0.1.10:5061")
	case !addr.IsLoopback() && c.AllowHost != addr.String():
		return fmt.Errorf("%s is not on this machine: load belongs on machines whose owner agreed; if it is meant, add --i-may-load %s", addr, addr)
	case c.Network != "tls" && c.Network != "tcp" && c.Network != "udp":
		return fmt.Errorf("transport %q: expected tls, tcp or udp", c.Network)
	case c.Mode != Calls && c.Mode != Register && c.Mode != Connect && c.Mode != Failover:
		return fmt.Errorf("mode %q: expected calls, register, connect or failover", c.Mode)
	case c.Mode == Connect && c.Network != "tls":
		return errors.New("mode connect measures TLS handshakes: use it with --transport tls")
	case c.Callees.IsValid() && c.Callees.Addr() != addr && !c.Callees.Addr().IsLoopback(), c.Backup.IsValid() && !c.Backup.Addr().IsLoopback():
		return errors.New("a second server has to be on this machine")
	case c.Mode == Failover && (c.Network != "tls" || !c.Backup.IsValid() || c.Stagger < 0 || c.Stagger > maxTime):
		return errors.New("mode failover is over tls, and needs a backup")
	case c.Network == "tls" && c.Certificate == nil:
		return errors.New("no certificates for the phones: give --ca and --ca-key, --cert and --key, or --home of a running site")
	case c.Network == "tls" && c.Roots == nil:
		return errors.New("no authority to check the server with: give --roots")
	case c.Phones < 1 || c.Phones > maxPhones:
		return fmt.Errorf("%d phones: expected 1 to %d", c.Phones, maxPhones)
	case c.Mode == Calls && c.Target == "" && c.Phones%2 != 0:
		return fmt.Errorf("%d phones: half of them call the other half, so expected an even number (or --call NUMBER)", c.Phones)
	case c.Spread < 0 || c.Spread > 1<<16 || c.Spread > 0 && !c.From.Is4():
		return errors.New("spread: expected up to 65536 addresses, and --from with the first (IPv4)")
	case c.Count < 1 || c.Count > maxCount:
		return fmt.Errorf("count %d: expected 1 to %d", c.Count, maxCount)
	case !(c.Rate > 0 && c.Rate <= maxRate):
		return fmt.Errorf("rate %v a second: expected above 0, at most %d", c.Rate, maxRate)
	case c.Duration < 0 || c.Duration > maxTime || c.Hold < 0 || c.Hold > maxTime || c.Ring < 0 || c.Ring > maxTime || c.Timeout <= 0:
		return errors.New("times: expected none below zero or above 24 hours, and a timeout above zero")
	}
	return nil
}
