package tvs

import "github.com/locktone/locktone/pki/truststore"

// FromTrustStore is the source of what was uploaded for purposes that phones are told of.
func FromTrustStore(s *truststore.Store) Source { panic("soon") }
