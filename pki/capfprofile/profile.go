package capfprofile

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
)

// Certificate is what a profile remembers of a certificate.
type Certificate struct {
	pki.Ref
	Fingerprint string    `json:"fingerprint"` // SHA-256, lower-case hex
	Subject     string    `json:"subject"`
	NotBefore   time.Time `json:"notBefore"`
	NotAfter    time.Time `json:"notAfter"`
	IssuerEnds  time.Time `json:"issuerEnds,omitzero"` // "LSC Issuer Expires"
	Since       time.Time `json:"since"`               // when it came into its present place
	Seen        bool      `json:"seen,omitempty"`      // in a handshake
	Reason      string    `json:"reason,omitempty"`    // why it was replaced
	DER         []byte    `json:"der,omitempty"`       // the whole of it: configuration files are encrypted to the LSC
}

func certificateOf(c *x509.Certificate, issuerEnds, now time.Time) Certificate {
	return Certificate{Ref: pki.RefOf(c), Fingerprint: pki.Fingerprint(c), Subject: c.Subject.String(), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
		IssuerEnds: issuerEnds.UTC(), Since: now.UTC(), DER: c.Raw}
}

// Profile is an enrolment profile. Its authorization string is not part of it: only a hash is kept, and that stays in
// the Book.
type Profile struct {
	Owner
	Operation  Operation `json:"operation"`
	Mode       AuthMode  `json:"authenticationMode"`
	Order      KeyOrder  `json:"keyOrder"`
	RSAKeySize int       `json:"rsaKeySize"`
	ECKeySize  int       `json:"ecKeySize"`
	// CompletesBy is the end of a pending operation; zero: nothing pends.
	CompletesBy time.Time `json:"completesBy,omitzero"`
	Status      Status    `json:"status"`
	StatusAt    time.Time `json:"statusAt,omitzero"`
	Created     time.Time `json:"created"`
	Author      string    `json:"author,omitempty"`

	// Pins says that the string was handed out inside a join token, so that the owner knows whose lists to trust.
	Pins bool `json:"pins,omitempty"`
	// Renewal says that the pending operation was begun by the owner itself, with its LSC, near the end of its life.
	Renewal bool `json:"renewal,omitempty"`
	// Unpinned says that the present LSC was fetched on a string without a token: trust on first use.
	Unpinned bool `json:"enrolledWithoutPinning,omitempty"`

	LSC         *Certificate  `json:"lsc,omitempty"`         // stored by the owner, as it said
	Unconfirmed *Certificate  `json:"unconfirmed,omitempty"` // sent to the owner, which has not answered
	Superseded  []Certificate `json:"superseded,omitempty"`  // still valid, to be revoked
	Fetched     []Certificate `json:"fetched,omitempty"`     // what the last Troubleshoot brought

	Failures    int       `json:"failures,omitempty"`   // wrong strings in a row
	Lockouts    int       `json:"lockouts,omitempty"`   // since the last success or reset
	LockedUntil time.Time `json:"lockedUntil,omitzero"` // no string is looked at before
	LastRemote  string    `json:"lastRemote,omitempty"` // address of the last contact
	LastContact time.Time `json:"lastContact,omitzero"` //
	Attempts    int       `json:"attempts,omitempty"`   // sessions that began and did not end well
	Session     string    `json:"session,omitempty"`    // the session that works on it
	Enrolled    time.Time `json:"enrolled,omitzero"`    // last success
	Revision    int64     `json:"-"`                    // of the document
	Waiting     string    `json:"waiting,omitempty"`    // id of its request in the queue of the offline authority
	HasString   bool      `json:"-"`                    // a string is set and not used up
}

// Pending reports whether an operation is to be done at this time.
func (p *Profile) Pending(now time.Time) bool {
	return p.Operation != NoPendingOperation && !p.late(now)
}

func (p *Profile) late(now time.Time) bool {
	return p.Operation != NoPendingOperation && !p.CompletesBy.IsZero() && now.After(p.CompletesBy)
}

// Locked reports whether the profile is locked at this time.
func (p *Profile) Locked(now time.Time) bool { return now.Before(p.LockedUntil) }

// RenewalDue reports whether the LSC is past two thirds of its life, when its owner may renew it unasked.
func (p *Profile) RenewalDue(now time.Time) bool {
	return p.LSC != nil && now.Before(p.LSC.NotAfter) && now.Sub(p.LSC.NotBefore) > p.LSC.NotAfter.Sub(p.LSC.NotBefore)/3*2
}

// AuthModeCode is capfAuthMode in the phone's configuration file: 0 when nothing pends, else 1 to 4.
func (p *Profile) AuthModeCode(now time.Time) int {
	if !p.Pending(now) {
		return 0
	}
	return p.Mode.Code()
}

func (p *Profile) setStatus(s Status, now time.Time) { p.Status, p.StatusAt = s, now.UTC() }

// finish ends the operation: the string is used up, the session over.
func (p *Profile) finish(s Status, now time.Time) {
	p.Operation, p.CompletesBy, p.Session, p.Attempts, p.Waiting = NoPendingOperation, time.Time{}, "", 0, ""
	p.HasString, p.Pins, p.Renewal = false, false, false
	p.setStatus(s, now)
}

// Settings are the defaults of a new device profile: those of the device's phone security profile.
func Settings(c config.CAPFSettings) (AuthMode, KeyOrder, int, int) {
	mode := map[config.CAPFAuthenticationMode]AuthMode{config.CAPFAuthenticationString: ByAuthenticationString, config.CAPFExistingLSC: ByExistingLSC,
		config.CAPFExistingMIC: ByExistingMIC, config.CAPFNullString: ByNullString}[c.AuthenticationMode]
	order := map[config.KeyOrder]KeyOrder{config.ECPreferred: ECPreferredRSABackup, config.ECOnly: ECOnly, config.RSAOnly: RSAOnly}[c.KeyOrder]
	return mode, order, c.RSAKeySize, c.ECKeySize
}

// completesLayout is the form's YYYY:MM:DD:HH.
const completesLayout = "2006:01:02:15"

// ParseCompletesBy reads YYYY:MM:DD:HH, in UTC.
func ParseCompletesBy(s string) (time.Time, error) {
	t, err := time.ParseInLocation(completesLayout, s, time.UTC)
	if err != nil {
		return time.Time{}, fmt.Errorf("capfprofile: completes by %q: want YYYY:MM:DD:HH in UTC, such as 2027:01:31:18", s)
	}
	return t, nil
}

// FormatCompletesBy writes YYYY:MM:DD:HH, in UTC; "" for the zero time.
func FormatCompletesBy(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(completesLayout)
}
