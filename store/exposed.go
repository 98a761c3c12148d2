package store

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"
)

// An exposure is what the way to PostgreSQL leaves open, from harmless to worst.
type exposure int

const (
	sealed    exposure = iota // a unix socket, this machine, or TLS with a server that proves its name
	anyName                   // TLS, and any server with a certificate of the authority will do
	anyServer                 // TLS, and any server will do
	inClear                   // or whatever somebody on the way makes of it
	exposures                 // how many there are
)

// modes are the sslmode of PostgreSQL that leave as much open, and what somebody could do then.
var modes = [exposures]struct{ mode, risk string }{
	anyName: {"verify-ca", "any server that has a certificate of the same authority can pose as PostgreSQL and is given the password and the call records"},
	anyServer: {"require", "whoever can answer in the place of PostgreSQL is given the password, and can read and change the record: " +
		"who is called, who may call, the certificates that count"},
	inClear: {"without TLS", "whoever is on the way can read and change the record: who is called, who may call, hashes of passwords, the certificates that count"},
}

// Exposed says what a DSN leaves open on the way to the record: value is how it is reached, without credentials, and risk one sentence for
// people. Both are empty where nothing is open: an SQLite file, a unix socket, a server on this machine, or sslmode=verify-full. Of several
// hosts the worst counts, because it is the one that somebody would bring us to.
func Exposed(dsn string) (value, risk string, err error) {
	if !isURL(dsn) {
		return "", "", nil
	}
	hosts, err := parseServers(dsn)
	if err != nil {
		return "", "", err
	}
	worst, at := sealed, ""
	for _, c := range hosts {
		if e := exposureOf(c); e > worst {
			worst, at = e, c.Host
		}
	}
	if worst == sealed {
		return "", "", nil
	}
	return fmt.Sprintf("%s: %s", at, modes[worst].mode), modes[worst].risk, nil
}

func exposureOf(c *pgx.ConnConfig) exposure {
	switch {
	case strings.HasPrefix(c.Host, "/"), strings.HasPrefix(c.Host, "@"), isHere(c.Host):
		return sealed
	case c.TLSConfig == nil:
		return inClear
	}
	return exposureOfTLS(c.TLSConfig)
}

// exposureOfTLS reads what pgx has made of sslmode: verify-ca is a verification of its own, in the place of the standard one.
func exposureOfTLS(c *tls.Config) exposure {
	switch {
	case !c.InsecureSkipVerify:
		return sealed
	case c.VerifyPeerCertificate != nil:
		return anyName
	}
	return anyServer
}

// isHere reports whether a host is this machine, without asking a name server.
func isHere(host string) bool {
	host = strings.Trim(host, "[]")
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
