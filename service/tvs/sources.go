package tvs

import (
	"context"
	"crypto/x509"

	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/pki/truststore"
	"github.com/locktone/locktone/wire/trustlist"
)

// Source is somebody who knows certificates that phones may ask about.
type Source interface {
	// Known returns every certificate that counts at this moment. What it returned is not changed afterwards.
	Known(ctx context.Context) ([]Known, error)
}

// Known is a certificate with what phones may trust it as.
type Known struct {
	Certificate *x509.Certificate
	Roles       []trustlist.Role
	Issues      bool   // also the certificates it issued count (VERIFY)
	From        string // where it is known from, for the trace: "the trust lists", "tomcat-trust"
}

// Lists is what the service needs of the published lists; *lists.Reader is one.
type Lists interface {
	Known(ctx context.Context) ([]lists.Known, error)
}

// FromLists is the source of the cluster's own members and signers.
func FromLists(l Lists) Source { return fromLists{l} }

type fromLists struct{ lists Lists }

// Known implements Source.
func (f fromLists) Known(ctx context.Context) ([]Known, error) {
	all, err := f.lists.Known(ctx)
	out := make([]Known, 0, len(all))
	for _, k := range all {
		out = append(out, Known{Certificate: k.Certificate, Roles: k.Roles, From: "the trust lists"})
	}
	return out, err
}

// FromTrustStore is the source of what was uploaded for purposes that phones are told of.
func FromTrustStore(s *truststore.Store) Source { return fromTrustStore{s} }

type fromTrustStore struct{ store *truststore.Store }

// Known implements Source.
func (f fromTrustStore) Known(ctx context.Context) ([]Known, error) {
	entries, err := f.store.Trusted(ctx)
	if err != nil {
		return nil, err
	}
	var out []Known
	for _, e := range entries {
		rule, ok := truststore.RuleOf(e.Purpose)
		if ok && len(e.Roles) > 0 {
			out = append(out, Known{Certificate: e.Certificate(), Roles: e.Roles, Issues: rule.Issues && e.CA, From: string(e.Purpose)})
		}
	}
	return out, nil
}
