package site

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/secret"
)

// An application of the site itself logs in to the CTI Manager as every other does: a user with a password and access control groups, and
// a certificate that CAPF gave to its instance. Here both are made without anybody's help: the password lies where the keys lie, and the
// certificate is fetched, with a join token that nobody sees, before the first connection.

// Application is how the user logs in from this node. The user must be in the configuration; without a password it is given one.
func (s *Site) Application(ctx context.Context, user string) (cti.Config, error) {
	password, err := s.applicationPassword(ctx, user)
	if err != nil {
		return cti.Config{}, fmt.Errorf("application user %s: %w", user, err)
	}
	managers := s.ctiManagers()
	if len(managers) == 0 {
		return cti.Config{}, fmt.Errorf("application user %s: no node runs the CTI Manager: add ctimanager to the services of a node", user)
	}
	c := cti.Config{User: user, Password: password, Application: "Locktone " + user, Primary: managers[0]}
	if len(managers) > 1 {
		c.Backup = managers[1]
	}
	e := &applicationCertificate{s: s, owner: capfprofile.Owner{User: user, Instance: hex.EncodeToString([]byte(s.node.Node))}}
	c.TLS = e.tls
	return c, nil
}

// applicationPassword is the password that the site has made up for an application of its own.
func (s *Site) applicationPassword(ctx context.Context, user string) (secret.Text, error) {
	known, ok := s.directory().User(user)
	if !ok {
		return secret.Text{}, errors.New("the site has no such user: add it under users, as an application, with the groups standard-cti-enabled and " +
			"standard-cti-secure-connection and the devices it is to control")
	}
	name := "application/" + user
	held, err := s.keys.Load(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.keys.Create(ctx, name, pki.Secret(rand.Text())); err == nil || errors.Is(err, fs.ErrExist) {
			held, err = s.keys.Load(ctx, name) // of whoever was first
		}
	}
	if err != nil {
		return secret.Text{}, err
	}
	if !known.Password.Verify(string(held)) {
		err = s.setPassword(ctx, user, config.NewVerifier(string(held)))
	}
	return secret.New(string(held)), err
}

// ctiManagers are where the CTI Manager runs, this node first.
func (s *Site) ctiManagers() (out []cti.Manager) {
	if x := s.served(config.ServiceCTIManager.String()); x != nil {
		host := x.addresses[0].String()
		if port := s.service(config.ServiceCTIManager).Port; port != 0 {
			host = net.JoinHostPort(host, strconv.Itoa(port))
		}
		out = append(out, cti.Manager{Host: host})
	}
	for _, n := range s.elsewhere(config.ServiceCTIManager) {
		out = append(out, cti.Manager{Host: n})
	}
	return out
}

// elsewhere are the hosts of the other nodes that run a service.
func (s *Site) elsewhere(name config.ServiceName) (out []string) {
	for _, n := range s.Store.Known().Site.Nodes {
		if n.Name != s.node.Node && n.Runs(name) && n.Address != "" {
			out = append(out, n.Address)
		}
	}
	return out
}

// applicationCertificate is the certificate of an application's instance at this node: instance ids are of letters and digits alone, so it is
// the node's name in hexadecimal. Its lock is held while one is fetched.
type applicationCertificate struct {
	s         *Site
	owner     capfprofile.Owner
	mu        sync.Mutex
	enrolment *cti.Enrolment
}

// renewApplication is how long before its end an application's certificate is replaced.
const renewApplication = 30 * 24 * time.Hour

// tls is the configuration of the next connection, with a certificate that was fetched by then.
func (a *applicationCertificate) tls(ctx context.Context) (*tls.Config, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.enrolment == nil {
		if err := a.open(""); err != nil {
			return nil, err
		}
	}
	if have := a.enrolment.Status(); !have.Available || time.Until(have.NotAfter) < renewApplication {
		if err := a.fetch(ctx); err != nil {
			return nil, fmt.Errorf("certificate of application %s: %w", a.owner, err)
		}
	}
	return a.enrolment.TLS(ctx)
}

// open opens the folder of the certificate; token lets another be fetched.
func (a *applicationCertificate) open(token string) (err error) {
	security := cti.Security{Instance: a.owner.Instance, Retries: 2, Interval: time.Second}
	if security.TFTP, err = a.host(config.ServiceProvisioning); err != nil {
		return err
	}
	if a.s.Provisioning != nil {
		security.TFTP = a.s.Provisioning.TFTP().String()
	}
	if security.CAPF, err = a.host(config.ServiceCAPF); err != nil {
		return err
	}
	if a.s.CAPF != nil {
		security.Port = a.s.service(config.ServiceCAPF).Port
	}
	a.enrolment, err = cti.NewEnrolment(filepath.Join(a.s.opt.Home, "applications", a.owner.User), security, token, nil, nil)
	return err
}

// host is where a service that this node or another one runs is reached.
func (a *applicationCertificate) host(name config.ServiceName) (string, error) {
	if x := a.s.served(name.String()); x != nil {
		return x.addresses[0].String(), nil
	}
	if others := a.s.elsewhere(name); len(others) > 0 {
		return others[0], nil
	}
	return "", fmt.Errorf("no node runs %s: add it to the services of a node", name)
}

// fetch orders a certificate and fetches it, as locktone capf profile create and locktone tsp do for applications of others.
func (a *applicationCertificate) fetch(ctx context.Context) error {
	pins, err := a.s.SignerPins(ctx)
	if err != nil {
		return err
	}
	made, err := a.s.Profiles.Create(ctx, capfprofile.Order{Owner: a.owner, Operation: capfprofile.InstallUpgrade, Pins: true, Replace: true, Author: "site"})
	if err != nil {
		return err
	}
	token := capf.JoinToken{Signers: pins[:min(len(pins), capf.MaxTokenSigners)], Password: capf.NewSecret(made.String.Reveal())}
	if err := a.open(token.Text()); err != nil {
		return err
	}
	_, err = a.enrolment.Fetch(ctx)
	return err
}
