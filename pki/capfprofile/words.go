package capfprofile

import (
	"fmt"
	"strings"
)

// Operation is what is to be done at the owner's next contact. The zero value is nothing.
type Operation uint8

// The operations.
const (
	NoPendingOperation Operation = iota
	InstallUpgrade
	Delete
	Troubleshoot
)

var operationNames = []string{"No Pending Operation", "Install/Upgrade", "Delete", "Troubleshoot"}

// String is the field's word.
func (o Operation) String() string { return word(operationNames, int(o)) }

// verb begins a status: "Upgrade Success".
func (o Operation) verb() string {
	if o == InstallUpgrade {
		return "Upgrade"
	}
	return o.String()
}

// MarshalText writes the field's word.
func (o Operation) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the field's word, or a short one: none, install, delete, troubleshoot.
func (o *Operation) UnmarshalText(b []byte) error {
	i, err := parseWord("operation", operationNames, []string{"none", "install", "delete", "troubleshoot"}, string(b))
	*o = Operation(i)
	return err
}

// AuthMode is how an owner proves itself. The zero value is the strictest.
type AuthMode uint8

// The modes.
const (
	ByAuthenticationString AuthMode = iota
	ByNullString
	ByExistingLSC
	ByExistingMIC
)

var modeNames = []string{"By Authentication String", "By Null String", "By Existing Certificate (precedence to LSC)", "By Existing Certificate (precedence to MIC)"}

// String is the field's word.
func (m AuthMode) String() string { return word(modeNames, int(m)) }

// Code is the number of the mode in capfAuthMode of a phone's configuration file: 1 to 4.
func (m AuthMode) Code() int { return int(m) + 1 }

// MarshalText writes the field's word.
func (m AuthMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the field's word, or that of site files.
func (m *AuthMode) UnmarshalText(b []byte) error {
	i, err := parseWord("authentication mode", modeNames, []string{"authentication-string", "null-string", "existing-certificate-lsc", "existing-certificate-mic"}, string(b))
	*m = AuthMode(i)
	return err
}

// KeyOrder is which kind of key pair the owner has to make.
type KeyOrder uint8

// The orders; the first is the default, as in site files.
const (
	ECPreferredRSABackup KeyOrder = iota
	ECOnly
	RSAOnly
)

var orderNames = []string{"EC Preferred, RSA Backup", "EC Only", "RSA Only"}

// String is the field's word.
func (k KeyOrder) String() string { return word(orderNames, int(k)) }

// MarshalText writes the field's word.
func (k KeyOrder) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the field's word, or that of site files.
func (k *KeyOrder) UnmarshalText(b []byte) error {
	i, err := parseWord("key order", orderNames, []string{"ec-preferred-rsa-backup", "ec-only", "rsa-only"}, string(b))
	*k = KeyOrder(i)
	return err
}

// Status is the field "Certificate Operation Status".
type Status string

// Statuses without an operation.
const (
	StatusNone    Status = "None"
	StatusPending Status = "Operation Pending"
)

// Cause is why an operation failed, in the field's words.
type Cause string

// The causes.
const (
	CauseInvalidLSC     Cause = "Invalid LSC"
	CauseInvalidString  Cause = "Invalid Authentication String"
	CauseInvalidMIC     Cause = "Invalid MIC"
	CauseCredentials    Cause = "Invalid Credentials"
	CauseCommunication  Cause = "Phone Communication Failure"
	CauseKeyFailed      Cause = "Key Generation Failed"
	CauseKeyTimeout     Cause = "Key Generation Timeout"
	CauseCA             Cause = "CA Communication Failure"
	CauseCARejected     Cause = "CA Rejected Connection"
	CauseLate           Cause = "User Initiated Request Late/Timedout"
	CauseECUnsupported  Cause = "No Support for EC only in CAPF version 3"
	causeUnspecified    Cause = ""
	statusSuccessSuffix       = " Success"
)

// Success is the status of an operation that was done: "Upgrade Success".
func Success(o Operation) Status { return Status(o.verb() + statusSuccessSuffix) }

// Failure is the status of an operation that was not: "Upgrade Failed: Invalid LSC". The causes that a certificate
// authority gives have no place in a Troubleshoot, and "EC only" only in an Upgrade: there it is "Failed" alone.
func Failure(o Operation, c Cause) Status {
	switch {
	case c == causeUnspecified,
		o == Troubleshoot && (c == CauseCA || c == CauseCARejected),
		o != InstallUpgrade && c == CauseECUnsupported:
		return Status(o.verb() + " Failed")
	}
	return Status(o.verb() + " Failed: " + string(c))
}

// Failed reports whether the status tells of a failure.
func (s Status) Failed() bool { return strings.Contains(string(s), " Failed") }

func word(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("unknown (%d)", i)
}

func parseWord(what string, names, short []string, s string) (int, error) {
	for i := range names {
		if strings.EqualFold(s, names[i]) || strings.EqualFold(s, short[i]) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("capfprofile: %s %q: want one of %s", what, s, strings.Join(short, ", "))
}
