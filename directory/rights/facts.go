package rights

import (
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/login"
)

// The ports of the protocol.
const (
	SecurePort = 2749
	ClearPort  = 2748
)

// Facts are what is known when the question is asked. Site and User must be set; a device is needed for the steps from Device on.
type Facts struct {
	Now  time.Time
	Site *directory.Directory
	// Nodes are those of the configuration, for what runs where.
	Nodes        []config.Node
	User, Device string
	// Line is a number of the device, or empty for any of its lines.
	Line string
	// Port is where the application comes to: SecurePort or ClearPort. 0 is SecurePort.
	Port int
	// Instance is the instance id of the application, or empty for any that the user has.
	Instance string

	// LoggedIn says that the login itself is over: whether it would succeed again does not matter.
	LoggedIn bool

	// What is not known is nil.
	Managers     []Service      // the CTI managers that answer
	CallManagers []Service      // the call managers that answer
	CTL          *CTL           // the trust list applications verify the CTI manager by
	Account      *login.Account // what is remembered of the user's logins
	Source       *Source        // what the user's LDAP directory says
	Enrolment    *Enrolment     // the user's instances
	Registration *Registration  // of the device
}

func (f *Facts) secure() bool { return f.Port != ClearPort }

func (f *Facts) port() int {
	if f.secure() {
		return SecurePort
	}
	return ClearPort
}

// user is the user of the question, nil where there is none.
func (f *Facts) user() *directory.User {
	u, _ := f.Site.User(f.User)
	return u
}

func (f *Facts) device() *directory.Device {
	d, _ := f.Site.Device(f.Device)
	return d
}

// Service is a service that was asked how it is.
type Service struct {
	Node string
	// State is that of bus.ServiceStatus: ready, degraded; "" when it did not answer.
	State, Problem string
	// Addresses are where it listens: "tls 127.0.0.1:2749".
	Addresses []string
}

func (s Service) up() bool {
	return s.State == "ready" || s.State == "degraded" || s.State == "draining"
}

// listens says whether the service listens with TLS, or without.
func (s Service) listens(secure bool) bool {
	kind := "tcp"
	if secure {
		kind = "tls"
	}
	for _, a := range s.Addresses {
		if k, _, ok := strings.Cut(a, " "); ok && k == kind {
			return true
		}
		if _, port, err := net.SplitHostPort(a); err == nil && port == strconv.Itoa(map[bool]int{true: SecurePort, false: ClearPort}[secure]) {
			return true
		}
	}
	return false
}

// CTL is what the certificate trust list in force says.
type CTL struct {
	Version int
	// Missing are the nodes whose CTI manager shows a certificate that is not in the list.
	Missing []string
	// Expired are the nodes whose CTI manager shows a certificate that is over.
	Expired []string
}

// Source is what the user's LDAP directory says of the user, without a password.
type Source struct {
	Name string
	// Reason is login.Success when the directory answers and the user may log in there.
	Reason login.Reason
	Why    string
	Fix    string
}

// Enrolment is what CAPF knows of a user's instances.
type Enrolment struct{ Instances []Instance }

// Instance is one instance of the user's application.
type Instance struct {
	ID string
	// Operation and Status are those of the enrolment profile, as the field spells them.
	Operation, Status string
	Locked            bool
	// Issued says that there is a certificate; the rest is about it.
	Issued              bool
	NotBefore, NotAfter time.Time
	Revoked             string // why; empty: it is not
	Unverified          string // why its chain does not verify any more; empty: it does
	Compromised         string // why; empty: it is not
}

// Registration is how the device is there.
type Registration struct {
	Registered bool
	Node       string
	// Failure is why the last attempt was refused, where that is known.
	Failure string
}
