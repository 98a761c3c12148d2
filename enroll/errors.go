package enroll

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/trustlist"
)

// Step is the part of an enrolment in which something failed.
type Step uint8

// The steps in their order.
const (
	StepConfig      Step = iota // what we were told to do makes no sense
	StepDownload                // fetching a trust list or a configuration
	StepVerify                  // whether to believe it
	StepConnect                 // TCP to CAPF
	StepHandshake               // TLS
	StepCertificate             // CAPF's certificate against the list
	StepDialogue                // what CAPF said
	StepStore                   // our own disk
)

var stepNames = [...]string{"configuration", "download", "trust list", "connection", "TLS handshake", "certificate of the server", "enrolment", "storing"}

// String is a word or two.
func (s Step) String() string { return stepNames[s] }

// MarshalText writes the word.
func (s Step) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// An Error says what failed, where, and what a person can do about it.
type Error struct {
	Step   Step
	Where  string // the server or file
	Err    error
	Advice string        // one or two sentences; "" when there is none
	Retry  bool          // the same attempt may succeed a little later
	After  time.Duration // the server's wish when; 0: none
}

// Error is one paragraph.
func (e *Error) Error() string {
	if e.Advice == "" {
		return e.Sentence()
	}
	return e.Sentence() + ". " + e.Advice
}

// Sentence is what failed, where and why, without the advice.
func (e *Error) Sentence() string {
	if e.Where == "" {
		return fmt.Sprintf("%v: %v", e.Step, e.Err)
	}
	return fmt.Sprintf("%v (%s): %v", e.Step, e.Where, e.Err)
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// CertificateError says that the server which answered on CAPF's address is not one that the trust list names.
type CertificateError struct {
	Subject     string
	Issuer      string
	Fingerprint string   // SHA-256, hex
	Listed      []string // "CN=... (SHA-256 ...)" of each CAPF entry of the list
}

// Error is one sentence.
func (e *CertificateError) Error() string {
	listed := "no certificate at all"
	if len(e.Listed) > 0 {
		listed = strings.Join(e.Listed, ", ")
	}
	return fmt.Sprintf("the server presents %q, issued by %q, SHA-256 %s; the trust list names for CAPF %s", e.Subject, e.Issuer, e.Fingerprint, listed)
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// downloadError explains a failed download.
func downloadError(server, name string, err error) *Error {
	e := &Error{Step: StepDownload, Where: name + " from " + server, Err: err, Retry: true, Advice: "Check the address of the TFTP server."}
	var timeout net.Error
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Advice = "The server answers but has no such file: is it the TFTP server of this site, and is the site in mixed mode (locktone trust mode)? For CTLCAPF files, is the CAPF address the one the site knows?"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Retry = false
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Err = errors.New("no answer")
		e.Advice = "Check the address, that UDP is let through in both directions (TFTP answers from another port), and that the service runs."
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Advice = "Nothing listens there: check the address and port, and that the service runs."
	}
	return e
}

// listError explains a refused trust list.
func listError(where string, err error, pinned bool) *Error {
	e := &Error{Step: StepVerify, Where: where, Err: err, Advice: "The file is damaged, or somebody changed it on the way. What is held stays in force."}
	var untrusted *trustlist.UntrustedSignerError
	if !errors.As(err, &untrusted) {
		return e
	}
	if pinned {
		e.Advice = "The join token does not know this signer: it is of another site, or older than the site's signers, or somebody stands between. Nothing was sent. Ask for a new token."
		return e
	}
	e.Advice = "The list held does not know this signer: the site's signers were replaced without overlap, or this is another site. Check with the operator; a join token with the new signers settles it."
	return e
}

// connectError explains a connection that did not come about.
func connectError(addr string, err error) *Error {
	e := &Error{Step: StepConnect, Where: addr, Err: err, Retry: true}
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		e.Retry = false
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Advice = "Nothing listens there: check the CAPF address and port (default 3804), and that the service runs on that node."
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Advice = "No answer: check the address and that TCP port 3804 is let through."
	}
	return e
}

// handshakeError explains a failed handshake: what the field's clients call "Internal SSL error".
// asked says that the server wanted a certificate of ours.
func handshakeError(addr string, err error, legacy, asked bool) *Error {
	e := &Error{Step: StepHandshake, Where: addr, Err: err}
	var (
		wrong  *CertificateError
		alert  *net.OpError
		record tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &wrong):
		e.Step, e.Err = StepCertificate, wrong
		e.Advice = "Either the list is older than the server's certificate (fetch it again once the site has published it), or the address belongs to another site, or somebody stands between. Nothing was sent."
	case errors.As(err, &alert) && alert.Op == "remote error":
		e.Advice = alertAdvice(alert.Err.Error(), legacy, asked)
	case errors.As(err, &record):
		e.Advice = "The server does not speak TLS on this port: is it CAPF's (default 3804)?"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		e.Err, e.Retry = errors.New("the server took the connection and then said nothing"), true
		e.Advice = "It may be overloaded, or a middlebox holds the connection."
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		e.Retry = true
		e.Advice = "The server closed the connection inside the handshake: it may be restarting, or refuse this address."
	}
	return e
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// alertAdvice explains the alerts a client can do something about: RFC 8446, 6.2 has their meaning. The standard library
// has names for them only.
func alertAdvice(alert string, legacy, asked bool) string {
	switch {
	case asked:
		return "The server wants a certificate of ours, which CAPF does not: is this the CTI manager's port rather than CAPF's (default 3804)?"
	case alert == "tls: handshake failure", alert == "tls: protocol version not supported", alert == "tls: insufficient security level":
		if legacy {
			return "The server accepts none of our versions and cipher suites, the old ones included."
		}
		return "The server accepts none of our versions and cipher suites. Old call managers know only RSA-AES128-SHA: if this one must be used, allow it by the exception capf-legacy-rsa (--legacy-rsa)."
	}
	return "The server ended the handshake; its log says why."
}

// dialogueError explains how a session ended.
func dialogueError(addr, device string, r capf.Result) *Error {
	e := &Error{Step: StepDialogue, Where: fmt.Sprintf("%s as %s", addr, device), Err: r.Err}
	switch {
	case errors.Is(r.Err, capf.ErrRefused) && r.Reason == capf.ReasonUnknown:
		e.Advice = "The server knows no such device or instance id: check the spelling and that a CAPF profile exists (locktone capf profile list)."
	case errors.Is(r.Err, capf.ErrRefused) && r.Reason == capf.ReasonRefused:
		e.Advice = "The authorization string is wrong, used up, or too late, or nothing is pending for this name. A string is good for one enrolment: have a new one made (locktone capf profile create --replace), and do not guess, since the server locks out guessers."
	case errors.Is(r.Err, capf.ErrRefused):
		e.Advice = "See the profile's status on the server (locktone capf profile show)."
	case errors.Is(r.Err, capf.ErrRetry):
		e.Retry = true
		e.Advice = "The request is with an authority that takes its time (an offline one waits for a person); the key is kept."
	case errors.Is(r.Err, capf.ErrNoneSaved):
		e.Advice = "Such an answer counts as success to some clients, and they fail later without a certificate."
	case errors.Is(r.Err, capf.ErrSilent), errors.Is(r.Err, capf.ErrClosed):
		e.Retry = true
		e.Advice = "The server or the way to it failed; what was held before is untouched."
	case errors.Is(r.Err, capf.ErrDialogue):
		e.Advice = "The server does not keep to the protocol as specified in docs/wire/capf.md: please report the trace."
	case errors.Is(r.Err, capf.ErrOrder):
		e.Advice = "Change the key order or size of the profile."
	case errors.Is(r.Err, capf.ErrLocal):
		e.Step = StepStore
	}
	return e
}

func subjectOf(c *x509.Certificate) string {
	if text, err := trustlist.DN(c.RawSubject); err == nil {
		return text
	}
	return c.Subject.String()
}

func issuerOf(c *x509.Certificate) string {
	if text, err := trustlist.DN(c.RawIssuer); err == nil {
		return text
	}
	return c.Issuer.String()
}
