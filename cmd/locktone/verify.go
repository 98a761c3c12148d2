package main

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/probe"
	"github.com/locktone/locktone/service/admin"
)

// verifyCmd is `locktone verify HOST:PORT`.
type verifyCmd struct {
	Address string        `arg:"" help:"HOST:PORT."`
	CA      []string      `help:"Roots to trust (PEM); default those of the running node." name:"ca" type:"existingfile" placeholder:"FILE"`
	Cert    string        `help:"Certificate to show (PEM)." type:"existingfile" placeholder:"FILE"`
	Key     string        `help:"Its key (PEM)." type:"existingfile" placeholder:"FILE"`
	Name    string        `help:"Name the certificate must carry; default the host."`
	At      time.Time     `help:"Forecast: verify as of this moment (RFC 3339)." placeholder:"TIME"`
	Timeout time.Duration `help:"For everything." default:"5s"`
}

// Run looks and prints the findings; a peer that would be refused is a failure.
func (c *verifyCmd) Run(a *app) error {
	trust, err := c.trust(a)
	if err != nil {
		return err
	}
	o := probe.Options{Trust: trust, At: c.At, Timeout: c.Timeout}
	o.Policy.Peer.Kinds = pki.AllKinds()
	o.Policy.Peer.Names.Host = c.Name
	if c.Cert != "" {
		if o.Identity, err = c.identity(trust); err != nil {
			return err
		}
	}
	result, err := probe.Dial(a.ctx, c.Address, o)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(result)
	} else {
		fmt.Fprint(a.out, result.Text())
	}
	if err == nil && !result.Accepted {
		err = errQuiet
	}
	return err
}

// trust is the roots of --ca, else of the running node, else none.
func (c *verifyCmd) trust(a *app) (*pki.Trust, error) {
	var bundles [][]byte
	for _, file := range c.CA {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		bundles = append(bundles, b)
	}
	if len(bundles) == 0 {
		var roots admin.PEM
		if err := a.api.Do(a.ctx, http.MethodGet, "/v1/certificates/roots", nil, &roots); err == nil {
			bundles = append(bundles, []byte(roots.PEM))
		}
	}
	var anchors []pki.Anchor
	for _, b := range bundles {
		certs, err := pki.ParseCertificates(b)
		if err != nil {
			return nil, err
		}
		for _, x := range certs {
			anchors = append(anchors, pki.Anchor{Certificate: x, Kinds: pki.AllKinds()})
		}
	}
	return pki.NewTrust(anchors...)
}

func (c *verifyCmd) identity(trust *pki.Trust) (*pki.Identity, error) {
	pem, err := os.ReadFile(c.Cert)
	if err != nil {
		return nil, err
	}
	if c.Key != "" {
		key, err := os.ReadFile(c.Key)
		if err != nil {
			return nil, err
		}
		pem = append(append(pem, '\n'), key...)
	}
	credential, err := pki.LoadCredential(pem)
	if err != nil {
		return nil, err
	}
	return pki.NewIdentity("verify", pki.Snapshot{Certificates: pki.Certificates{Client: []pki.Credential{credential}}, Trust: trust}, nil)
}
