package site

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/locktone/locktone/pki"
)

// revocations adds the revocation lists of foreign authorities (trust/devices/*.crl, trust/peers/*.crl; PEM or DER) to the
// trust in them. Our own certificates need none: the register knows.
func (s *Site) revocations(trust *pki.Trust, err error) (*pki.Trust, error) {
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{"devices", "peers"} {
		files, err := filepath.Glob(filepath.Join(s.opt.Home, "trust", folder, "*.crl"))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			if trust, err = trust.WithCRL(b); err != nil {
				return nil, fmt.Errorf("%s: %w", f, err)
			}
		}
	}
	return trust, nil
}
