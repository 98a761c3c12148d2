package cti

import (
	"errors"
	"fmt"
	"strings"

	"github.com/locktone/locktone/wire/ctiqbe"
)

// Error is what a manager refused or how it could not be reached.
type Error struct {
	Doing   string        // what was tried
	Manager string        // its address; "" where none was asked
	Result  ctiqbe.Result // the protocol's value; OK where there is none
	Text    string        // the manager's words
	Err     error         // the cause that is no result
	Advice  string        // what to do
}

// Error is one paragraph.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Doing)
	if e.Manager != "" {
		fmt.Fprintf(&b, " at %s", e.Manager)
	}
	if e.Result != ctiqbe.OK {
		fmt.Fprintf(&b, ": %v", e.Result.Error())
	}
	if e.Text != "" {
		fmt.Fprintf(&b, ": %s", e.Text)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Advice != "" {
		fmt.Fprintf(&b, ". %s", e.Advice)
	}
	return b.String()
}

// Unwrap is the cause, and the Result so that errors.Is finds it.
func (e *Error) Unwrap() []error {
	var all []error
	if e.Result != ctiqbe.OK {
		all = append(all, e.Result)
	}
	if e.Err != nil {
		all = append(all, e.Err)
	}
	return all
}

// Unreachable says that no manager let us in, and why each did not.
type Unreachable struct{ Each []error }

// Error is all of them.
func (e *Unreachable) Error() string {
	return "no CTI manager could be used: " + errors.Join(e.Each...).Error()
}

// Unwrap is all of them.
func (e *Unreachable) Unwrap() []error { return e.Each }

// Errors of the provider itself.
var (
	ErrClosed   = errors.New("cti: the provider is closed")
	ErrNoLink   = errors.New("cti: there is no connection to a CTI manager now")
	ErrLagged   = errors.New("cti: the application did not read its events")
	ErrSilent   = errors.New("nothing was heard for two heartbeat intervals")
	ErrNotOpen  = errors.New("cti: the line is not open")
	ErrNoCall   = errors.New("cti: there is no such call")
	ErrNoDevice = errors.New("cti: the user controls no such line")
)

// refused makes the error of a result, with what a person can do about it.
func refused(doing string, r ctiqbe.Result, text string) *Error {
	return &Error{Doing: doing, Result: r, Text: text, Advice: advice[r]}
}

// final tells whether trying again, here or at the other manager, is of no use.
func final(r ctiqbe.Result) bool {
	switch r {
	case ctiqbe.ErrDirectoryLoginFailed, ctiqbe.ErrDirectoryLoginNotAllowed, ctiqbe.ErrUserNotAuthForSecurity, ctiqbe.ErrConnectionOnInvalidPort,
		ctiqbe.ErrCertificateCompromised, ctiqbe.ErrInvalidCertificateUsed, ctiqbe.ErrLoginFailedAccountLocked, ctiqbe.ErrLoginFailedAccountDisabled,
		ctiqbe.ErrLoginFailedPwdExpiredUserCanReset, ctiqbe.ErrLoginFailedPwdExpiredUserCannotReset, ctiqbe.ErrSSODisabled,
		ctiqbe.ErrInvalidAuthenticationType, ctiqbe.ErrAuthenticationTypeOnUnsupportedPort, ctiqbe.ErrIncompatibleProtocolVersion:
		return true
	}
	return false
}

var advice = map[ctiqbe.Result]string{
	ctiqbe.ErrDirectoryLoginFailed:                 "The user name or the password is wrong: locktone tsp configure",
	ctiqbe.ErrDirectoryLoginNotAllowed:             "The user is not in the group Standard CTI Enabled, or may not log in",
	ctiqbe.ErrDirectoryLoginTimeout:                "The manager's directory did not answer in time: try again",
	ctiqbe.ErrUserNotAuthForSecurity:               "Port 2749 needs a user of the group Standard CTI Secure Connection",
	ctiqbe.ErrConnectionOnInvalidPort:              "A user of the group Standard CTI Secure Connection must use port 2749",
	ctiqbe.ErrDuplicateCertificateUsed:             "Another application is logged in with the same certificate: give each an instance id of its own",
	ctiqbe.ErrInvalidCertificateUsed:               "The certificate is not the one that this user's CAPF profile was given: locktone tsp fetch-certificate",
	ctiqbe.ErrCertificateCompromised:               "The certificate was used by two applications and is given up: order a new one in the CAPF profile, then locktone tsp fetch-certificate",
	ctiqbe.ErrLoginFailedAccountLocked:             "The account is locked: an administrator unlocks it, or wait",
	ctiqbe.ErrLoginFailedAccountDisabled:           "The account is disabled",
	ctiqbe.ErrLoginFailedPwdExpiredUserCanReset:    "The password has expired: set a new one",
	ctiqbe.ErrLoginFailedPwdExpiredUserCannotReset: "The password has expired: an administrator sets a new one",
	ctiqbe.ErrDeviceRestricted:                     "The device does not allow control from CTI",
	ctiqbe.ErrLineRestricted:                       "The line does not allow control from CTI",
	ctiqbe.ErrAccessToDeviceDenied:                 "The device is not one that the user controls",
	ctiqbe.ErrSSODisabled:                          "Single sign-on is not offered: use a user name and a password",
	ctiqbe.ErrIncompatibleProtocolVersion:          "The manager does not speak this version of the protocol",
}

// finalClose tells whether a closed provider may try again.
func finalClose(r ctiqbe.ProviderCloseReason) bool {
	switch r {
	case ctiqbe.ProviderCloseReasonUserDeleted, ctiqbe.ProviderCloseReasonCertCompromised, ctiqbe.ProviderCloseReasonUnauthorizedForTLS,
		ctiqbe.ProviderCloseReasonStandardCTIEnabledPermissionsRemoved, ctiqbe.ProviderCloseReasonAuthenticationTypeOnUnsupportedPort,
		ctiqbe.ProviderCloseReasonLoginNotAllowed, ctiqbe.ProviderCloseReasonLoginFailed, ctiqbe.ProviderCloseReasonIncompatibleProtocol,
		ctiqbe.ProviderCloseReasonUserNotAuthorizedForSecurity, ctiqbe.ProviderCloseReasonConnectionOnInvalidPort:
		return true
	}
	return false
}
