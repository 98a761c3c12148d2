package trustlist

import (
	"errors"
	"testing"
	"time"
)

func untrusted(err error) bool {
	var u *UntrustedSignerError
	return errors.As(err, &u)
}

func badSignature(err error) bool {
	var s *SignatureError
	return errors.As(err, &s)
}

// broken is a list with a signature that does not fit.
func broken(t *testing.T, l *List) *List {
	b := l.Append(nil)
	b[l.Header.SignatureOffset+10] ^= 1
	return mustParse(t, b)
}

func TestAcceptPhone(t *testing.T) {
	d, sast, ccm := site(t, CTL)
	held := d.mustSign(t, sast[0])
	d.Time = testTime.Add(time.Hour)
	second := d.mustSign(t, sast[1])
	other := signer(t, 2, "SAST-3")
	foreign := Draft{Kind: CTL, Time: testTime, Entries: []Entry{{Role: RoleSAST, Certificate: other.Certificate}}}.mustSign(t, other)
	asCCM := Draft{Kind: ITL, Time: testTime, Entries: []Entry{{Role: RoleSAST, Certificate: ccm.Certificate}}}.mustSign(t, ccm)

	if a, err := AcceptPhone(held); err != nil || !a.First || a.Signer != &held.Records[0] {
		t.Errorf("first: %+v, %v", a, err)
	}
	if _, err := AcceptPhone(broken(t, held), nil, nil); !badSignature(err) {
		t.Errorf("first, broken: %v", err)
	}
	if a, err := AcceptPhone(second, held); err != nil || a.First || a.Older || a.Signer != &held.Records[1] {
		t.Errorf("by the second signer: %+v, %v", a, err)
	}
	if a, err := AcceptPhone(held, second); err != nil || !a.Older {
		t.Errorf("a replay: %+v, %v", a, err)
	}
	if a, err := AcceptPhone(asCCM, nil, held); err != nil || a.Signer.Role != RoleCCMTFTP {
		t.Errorf("an ITL by the call manager: %+v, %v", a, err)
	}
	if _, err := AcceptPhone(broken(t, second), held); !badSignature(err) {
		t.Errorf("broken: %v", err)
	}
	if _, err := AcceptPhone(foreign, held, asCCM); !untrusted(err) {
		t.Errorf("by a stranger: %v", err)
	}
	if a, err := AcceptVouched(foreign, other.Certificate, []Role{RoleTVS, RoleSAST}, second); err != nil || !a.Vouched || !a.Older {
		t.Errorf("vouched for: %+v, %v", a, err)
	}
	if _, err := AcceptVouched(foreign, other.Certificate, []Role{RoleCAPF, RoleAppServer}, held); !untrusted(err) {
		t.Errorf("vouched for in another role: %v", err)
	}
	if _, err := AcceptVouched(foreign, ccm.Certificate, []Role{RoleSAST}, held); !badSignature(err) {
		t.Errorf("vouched for another: %v", err)
	}
	// CAPF signs no lists, though it is in the list held.
	capf := Signer{held.mustX509(t, 3), rsaKeys()[2]}
	byCAPF := Draft{Kind: CTL, Time: testTime, Entries: []Entry{{Role: RoleSAST, Certificate: capf.Certificate}}}.mustSign(t, capf)
	if _, err := AcceptPhone(byCAPF, held); !untrusted(err) {
		t.Errorf("by CAPF: %v", err)
	}
}

// TestAcceptJTAPI is jtapi-client's table: who may sign, first and later.
func TestAcceptJTAPI(t *testing.T) {
	d, sast, ccm := site(t, CTL)
	held := d.mustSign(t, sast[0])
	if a, err := AcceptJTAPI(held, nil); err != nil || !a.First {
		t.Errorf("first: %+v, %v", a, err)
	}
	if _, err := AcceptJTAPI(broken(t, held), nil); !badSignature(err) {
		t.Errorf("first, broken: %v", err)
	}
	if _, err := AcceptJTAPI(broken(t, held), held); !badSignature(err) {
		t.Errorf("broken: %v", err)
	}
	if a, err := AcceptJTAPI(d.mustSign(t, sast[1]), held); err != nil || a.Signer.Role != RoleSAST {
		t.Errorf("by the second signer: %+v, %v", a, err)
	}
	// Tokenless: the call manager's certificate is listed as SAST too.
	d.Entries = append(d.Entries, Entry{Role: RoleSAST, Certificate: ccm.Certificate})
	tokenless := d.mustSign(t, ccm)
	if _, err := AcceptJTAPI(tokenless, nil); err != nil {
		t.Errorf("tokenless, first: %v", err)
	}
	if _, err := AcceptJTAPI(tokenless, held); !untrusted(err) {
		t.Errorf("by a signer that only the new file has as SAST: %v", err)
	}
	if _, err := AcceptPhone(tokenless, held); err != nil {
		t.Errorf("which phones take: %v", err)
	}
	d.Digest = SHA512
	if _, err := AcceptJTAPI(d.mustSign(t, ccm), nil); !badSignature(err) {
		t.Errorf("code 3 as phones read it: %v", err)
	}
}

func TestAcceptPinned(t *testing.T) {
	d, sast, _ := site(t, CTL)
	l := d.mustSign(t, sast[0])
	pin := func(n int) [32]byte {
		p, ok := l.Records[n].Fingerprint()
		if !ok {
			t.Fatal("no certificate")
		}
		return p
	}
	if a, err := AcceptPinned(l, [][32]byte{pin(1), pin(0)}); err != nil || !a.Pinned || a.Signer != &l.Records[0] {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := AcceptPinned(l, [][32]byte{pin(1), pin(2)}); !untrusted(err) {
		t.Errorf("another's pin: %v", err)
	}
	if _, err := AcceptPinned(l, nil); !untrusted(err) {
		t.Errorf("no pin: %v", err)
	}
	if _, err := AcceptPinned(broken(t, l), [][32]byte{pin(0)}); !badSignature(err) {
		t.Errorf("broken: %v", err)
	}
}

// TestHashRecordVerifies: a list held may hold only a hash and the key of its signer's server.
func TestHashRecordVerifies(t *testing.T) {
	d, sast, ccm := site(t, ITL)
	d.Entries[2].Form = HashForm
	held := d.mustSign(t, sast[0])
	b, err := SignFile([]byte("<device/>"), FileOptions{Filename: "SEP001122334455.cnf.xml.sgn", Time: testTime}, ccm)
	if err != nil {
		t.Fatal(err)
	}
	if payload, s, err := Open(b, held); err != nil || string(payload) != "<device/>" || s.Header.Filename != "SEP001122334455.cnf.xml.sgn" {
		t.Errorf("%q, %v", payload, err)
	}
}
