package trustlist

import (
	"crypto/x509"
	"fmt"
	"slices"
)

// Acceptance is why a reader took a list.
type Acceptance struct {
	Signer  *Record // the record that vouched, of the list held, or of the list itself when First or Pinned; nil when Vouched
	First   bool    // nothing was held: trust on first use
	Pinned  bool    // a pinned fingerprint vouched
	Vouched bool    // a trust verification service vouched
	Older   bool    // the list is older than one held of the same kind: a replay, or a restored backup. Phones do not mind; log it.
}

// An UntrustedSignerError: the file is not signed by anybody whom the reader trusts. A phone now asks TVS for Signer.
type UntrustedSignerError struct {
	Signer SignerID
	Rule   string // whom the reader would have trusted
}

func (e *UntrustedSignerError) Error() string {
	return fmt.Sprintf("signer %s is not trusted: %s", e.Signer, e.Rule)
}

// phoneRoles sign lists, in the eyes of a phone.
var phoneRoles = []Role{RoleSAST, RoleCCMTFTP, RoleTFTP}

// AcceptPhone is the rule of phones: a list is taken when SAST, CCM+TFTP or TFTP of a list held signed it; with nothing held
// (nil lists are ignored), when it is consistent in itself. A CTL comes first: an ITL is judged by the CTL and ITL held.
// Errors are an UntrustedSignerError, on which the phone asks TVS (see AcceptVouched), or a SignatureError.
func AcceptPhone(fresh *List, held ...*List) (Acceptance, error) {
	a := Acceptance{Older: older(fresh, held)}
	var err error
	if !slices.ContainsFunc(held, func(l *List) bool { return l != nil }) {
		a.First = true
		a.Signer, err = fresh.Verify(PhoneReading)
	} else {
		a.Signer, err = fresh.VerifyBy(PhoneReading, phoneRoles, held...)
	}
	if err != nil {
		return Acceptance{}, err
	}
	return a, nil
}

// AcceptVouched is what a phone does after UntrustedSignerError with the answer of a trust verification service: the signer's
// certificate and its roles. The list is taken when one of the roles signs lists and the certificate made the signature.
func AcceptVouched(fresh *List, c *x509.Certificate, roles []Role, held ...*List) (Acceptance, error) {
	if !slices.ContainsFunc(roles, Role.SignsLists) {
		return Acceptance{}, &UntrustedSignerError{Signer: fresh.Header.Signer, Rule: "the trust verification service knows it, but not as " + roleList(phoneRoles)}
	}
	if _, err := fresh.VerifyCertificate(c, PhoneReading); err != nil {
		return Acceptance{}, err
	}
	return Acceptance{Vouched: true, Older: older(fresh, held)}, nil
}

// AcceptJTAPI is the rule of JTAPI and TSP clients: the signer must be a SAST of the list held; with nothing held (nil), of the
// list itself, which is thus not taken blindly, it must be whole. The digest code is read by their table.
func AcceptJTAPI(fresh, held *List) (Acceptance, error) {
	trusted := held
	if held == nil {
		trusted = fresh
	}
	rec, err := fresh.VerifyBy(JTAPIReading, []Role{RoleSAST}, trusted)
	if err != nil {
		return Acceptance{}, err
	}
	return Acceptance{Signer: rec, First: held == nil, Older: older(fresh, []*List{held})}, nil
}

// AcceptPinned takes a list that is signed by a SAST of its own whose certificate has one of the SHA-256 fingerprints, as a join
// token carries them: the first download is then no leap of faith.
func AcceptPinned(fresh *List, fingerprints [][32]byte) (Acceptance, error) {
	var err error = &UntrustedSignerError{Signer: fresh.Header.Signer, Rule: "its certificate has none of the pinned fingerprints; the list is not this site's, or the token is old"}
	for _, rec := range fresh.Signer() {
		print, ok := rec.Fingerprint()
		if !ok || rec.Role != RoleSAST || !slices.Contains(fingerprints, print) {
			continue
		}
		if err = fresh.verifyRecord(rec, AnyReading); err == nil {
			return Acceptance{Signer: rec, Pinned: true}, nil
		}
	}
	return Acceptance{}, err
}

func older(fresh *List, held []*List) bool {
	return slices.ContainsFunc(held, func(l *List) bool {
		return l != nil && l.Kind == fresh.Kind && fresh.Header.Time.Before(l.Header.Time)
	})
}
