package tvs

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/trustlist"
	"github.com/locktone/locktone/wire/tvs"
)

// verdict is an answer with the reason for it.
type verdict struct {
	tvs.Response
	subject string // of the certificate asked about
	why     string // one clause
}

// answer decides on a question. An error means that somebody who has to be asked could not be: then no answer is right,
// and the phone tries the next server of its list.
func (s *Service) answer(ctx context.Context, r tvs.Request) (verdict, error) {
	v := verdict{Response: tvs.Response{Query: r.Certificate == nil, Session: r.Session, Status: tvs.NotFound}}
	var known []Known
	for _, source := range s.cfg.Sources {
		list, err := source.Known(ctx)
		if err != nil {
			return v, err
		}
		known = append(known, list...)
	}
	var found []Known
	if v.Query {
		v.subject = cmpOr(r.Subject, fmt.Sprintf("serial %x of %s", r.Serial, r.Issuer))
		found = named(known, r)
	} else {
		c, err := x509.ParseCertificate(r.Certificate)
		if err != nil {
			v.why = "what was sent is no certificate: " + err.Error()
			return v, nil
		}
		v.subject = c.Subject.String()
		found = s.vouched(known, c)
	}
	if len(found) == 0 {
		v.why = "nobody here knows it"
		return v, nil
	}
	return s.judge(ctx, v, found)
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// named are the entries of the certificate a QUERY names: RFC 5280, 4.1.2.2: issuer name and serial number identify a
// unique certificate. The first source that knows one decides which.
func named(known []Known, r tvs.Request) (out []Known) {
	serial := bytes.TrimLeft(r.Serial, "\x00")
	for _, k := range known {
		c := k.Certificate
		if !bytes.Equal(c.SerialNumber.Bytes(), serial) || len(out) > 0 && !out[0].Certificate.Equal(c) || !isName(r.Issuer, c.RawIssuer) {
			continue
		}
		if r.Subject == "" || isName(r.Subject, c.RawSubject) {
			out = append(out, k)
		}
	}
	return out
}

func isName(text string, raw []byte) bool {
	dn, err := trustlist.DN(raw)
	return err == nil && trustlist.EqualDN(text, dn)
}

// vouched are the entries that speak for the certificate of a VERIFY: its own, or else those of a CA that issued it.
func (s *Service) vouched(known []Known, c *x509.Certificate) (out []Known) {
	for _, k := range known {
		if k.Certificate.Equal(c) {
			out = append(out, k)
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, k := range known {
		if k.Issues && s.issued(k.Certificate, c) {
			out = append(out, Known{Certificate: c, Roles: k.Roles, From: k.From + " (issued by " + k.Certificate.Subject.String() + ")"})
		}
	}
	return out
}

// issued reports whether an HTTPS server may show the certificate under the CA: signature, validity, use and revocation
// lists are looked at as in our own handshakes.
func (s *Service) issued(ca, c *x509.Certificate) bool {
	if !bytes.Equal(ca.RawSubject, c.RawIssuer) || c.CheckSignatureFrom(ca) != nil {
		return false
	}
	trust, err := s.cfg.Identity.Snapshot().Trust.WithAnchors(pki.Anchor{Certificate: ca, Kinds: pki.KindsOf(pki.KindPeer)})
	if err != nil {
		return false
	}
	return trust.Verify([]*x509.Certificate{c}, pki.PeerIsServer, pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindPeer)}, s.cfg.Now()).OK()
}

// judge looks at whether a certificate that is known is good at this moment, and puts the answer together.
func (s *Service) judge(ctx context.Context, v verdict, found []Known) (verdict, error) {
	c, now := found[0].Certificate, s.cfg.Now()
	switch {
	case now.Before(c.NotBefore):
		v.why = "it is not valid before " + c.NotBefore.UTC().Format(time.DateTime)
		return v, nil
	case now.After(c.NotAfter):
		v.why = "it expired on " + c.NotAfter.UTC().Format(time.DateTime)
		return v, nil
	}
	if at, err := s.revoked(ctx, c); err != nil || at != "" {
		v.why = at
		return v, err
	}
	for _, k := range found {
		for _, role := range k.Roles {
			if role <= 0xff && !slices.Contains(v.Roles, byte(role)) {
				v.Roles = append(v.Roles, byte(role))
			}
		}
	}
	slices.Sort(v.Roles)
	v.Status, v.why = tvs.Found, "known from "+found[0].From
	// A phone must not remember it longer than it is valid.
	v.TTL = uint32(max(1, min(s.cfg.TTL, c.NotAfter.Sub(now))/time.Second))
	if v.Query {
		v.Certificate = c.Raw
	}
	return v, nil
}

// revoked says since when a certificate of ours is, "" when it is not.
func (s *Service) revoked(ctx context.Context, c *x509.Certificate) (string, error) {
	if s.cfg.Register == nil {
		return "", nil
	}
	e, err := s.cfg.Register.Lookup(ctx, pki.RefOf(c))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil // somebody else's
	case err != nil:
		return "", err
	case e.Revoked.IsZero():
		return "", nil
	}
	return "it was revoked on " + e.Revoked.UTC().Format(time.DateTime) + ": " + e.Reason, nil
}
