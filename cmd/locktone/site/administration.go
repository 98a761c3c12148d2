package site

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/service/admin"
)

// enrolment is what administration needs to order certificates for phones and applications.
func (s *Site) enrolment() admin.Enrolment {
	return admin.Enrolment{Profiles: s.Profiles, Requests: capfprofile.NewQueue(s.Store.Documents(capfprofile.RequestCollection), nil), Adopt: s.CA.Adopt,
		Trust: func() *pki.Trust { return s.Identity(adminName).Snapshot().Trust }, Signers: s.SignerPins}
}

// SignerPins are the fingerprints of those who may sign a first trust list: what a join token carries.
func (s *Site) SignerPins(context.Context) (pins [][32]byte, err error) {
	for _, x := range s.Signers.All() {
		if x.State == pki.StateActive && x.Name != pki.Recovery {
			pins = append(pins, sha256.Sum256(x.Certificate.Raw))
		}
	}
	return pins, nil
}

// credentials are the certificates of a service of this node.
func (s *Site) credentials(service string) (pki.Certificates, bool) {
	x := s.served(service)
	if x == nil {
		return pki.Certificates{}, false
	}
	return x.identity.Snapshot().Certificates, true
}

// forecast gathers every chain that is held or was seen.
func (s *Site) forecast(ctx context.Context, now, until time.Time) (rotation.Input, error) {
	return rotation.Gather(ctx, rotation.Sources{Trust: s.Identity(adminName).Snapshot().Trust, Members: s.members, Signers: s.Signers,
		Register: s.Store.Certificates(), Seen: s.Store.Documents("chains-seen")}, now, until)
}
