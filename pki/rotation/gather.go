package rotation

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/lists"
)

// Sources are where the chains are that a forecast asks about. Trust must be set; what is nil is left out.
type Sources struct {
	// Trust is what this site verifies with: its own roots, and whom it trusts besides.
	Trust   *pki.Trust
	Members interface { // what services announce: *lists.Members
		All(ctx context.Context) ([]lists.Member, error)
	}
	Signers  lists.SignerSource
	Register pki.Register
	Seen     SeenDocuments
}

// Gather collects everything that is held or was seen. now and until go into the Input.
func Gather(ctx context.Context, src Sources, now, until time.Time) (Input, error) {
	in := Input{Now: now, Until: until, Trust: src.Trust}
	known := make(map[string]bool) // fingerprints with their certificates: the register need not speak for them
	for _, part := range []func(context.Context, Sources, map[string]bool) error{in.members, in.signers, in.anchors, in.register, in.seen} {
		if err := part(ctx, src, known); err != nil {
			return in, err
		}
	}
	return in, nil
}

// ours is the holder of what this site renews itself.
const ours = "this site"

// renewal is when a certificate is past two thirds of its life, and renewed by itself.
func renewal(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2)
}

// members are the services' certificates, as whoever trusts our roots verifies them. Retiring ones are presented to nobody.
func (in *Input) members(ctx context.Context, src Sources, known map[string]bool) error {
	if src.Members == nil {
		return nil
	}
	all, err := src.Members.All(ctx)
	if err != nil {
		return err
	}
	for _, m := range all {
		for _, c := range m.Certificates {
			cert, err := x509.ParseCertificate(c.DER)
			if err != nil {
				return fmt.Errorf("certificate of %s on %s: %w", m.Service, m.Node, err)
			}
			known[pki.Fingerprint(cert)] = true
			if c.State == pki.StateRetiring {
				continue
			}
			side, role := pki.PeerIsServer, "server"
			if c.Client {
				side, role = pki.PeerIsClient, "client"
			}
			in.Chains = append(in.Chains, Chain{
				Name: fmt.Sprintf("%s@%s-g%d, %s, %s", m.Service, m.Node, c.Generation, role, pki.KeyName(cert)), Holder: ours,
				Chain: []*x509.Certificate{cert}, Side: side, Policy: pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindService)}, Renews: renewal(cert),
			})
		}
	}
	return nil
}

func (in *Input) signers(_ context.Context, src Sources, _ map[string]bool) error {
	if src.Signers == nil {
		return nil
	}
	for _, s := range src.Signers.All() {
		if s.State != pki.StateRetiring {
			in.Alone = append(in.Alone, Chain{Name: string(NewID(s.Name, s.Generation)), Holder: ours, Chain: []*x509.Certificate{s.Certificate}, Renews: renewal(s.Certificate)})
		}
	}
	return nil
}

// anchors are the roots and the trust stores.
func (in *Input) anchors(_ context.Context, src Sources, _ map[string]bool) error {
	for _, a := range src.Trust.Anchors() {
		c := Chain{Name: "trusted: " + a.Certificate.Subject.String(), Holder: a.Certificate.Subject.CommonName, Chain: []*x509.Certificate{a.Certificate}, Foreign: a.Kinds != 0}
		if !c.Foreign { // our own roots have no kinds of their own
			c.Name, c.Holder, c.Renews = "root: "+a.Certificate.Subject.String(), ours, renewal(a.Certificate)
		}
		in.Alone = append(in.Alone, c)
	}
	return nil
}

// register are the certificates of devices, applications and peers, the newest of each key type and usage.
func (in *Input) register(ctx context.Context, src Sources, known map[string]bool) error {
	if src.Register == nil {
		return nil
	}
	entries, err := src.Register.Entries(ctx)
	if err != nil {
		return err
	}
	type holder struct {
		kind            pki.Kind
		name, algorithm string
		usage           pki.Usage
	}
	newest := make(map[holder]pki.Entry)
	for _, e := range entries {
		h := holder{e.Kind, e.Name, e.Algorithm, e.Usage}
		if old, ok := newest[h]; e.Revoked.IsZero() && (!ok || e.NotBefore.After(old.NotBefore)) {
			newest[h] = e
		}
	}
	listed := make(map[string]bool) // services whose certificates are announced
	for h, e := range newest {
		if known[e.Fingerprint] {
			listed[h.name] = true
		}
	}
	for h, e := range newest {
		if !known[e.Fingerprint] && !(h.kind == pki.KindService && listed[h.name]) {
			in.Entries = append(in.Entries, e)
		}
	}
	slices.SortFunc(in.Entries, func(a, b pki.Entry) int {
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Serial, b.Serial))
	})
	return nil
}

func (in *Input) seen(ctx context.Context, src Sources, _ map[string]bool) error {
	if src.Seen == nil {
		return nil
	}
	chains, err := SeenChains(ctx, src.Seen, in.Now)
	in.Chains = append(in.Chains, chains...)
	return err
}
