package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// Explain turns any error of a handshake into findings: ours, a peer's alert decoded into its likely causes, a missing
// certificate, a protocol that is not TLS. side is the peer's. It returns at least one finding for a non-nil error.
func Explain(err error, side Side) Findings {
	if err == nil {
		return nil
	}
	if fs := FindingsOf(err); fs != nil {
		return fs
	}
	if code, ok := PeerAlert(err); ok {
		return explainAlert(code, side)
	}
	return Findings{explainLocal(err, side)}
}

// PeerAlert returns the TLS alert by which the peer ended the handshake. crypto/tls hides the number in an unexported
// type that prints as tls.AlertError does, which is how it is found.
func PeerAlert(err error) (tls.AlertError, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0, false
	}
	for n := range 256 {
		if a := tls.AlertError(n); a.Error() == op.Err.Error() {
			return a, true
		}
	}
	return 0, false
}

// cause is one thing that makes implementations send an alert, most likely first in its list.
type cause struct{ what, fix string }

// alertCauses decodes alerts. RFC 8446, 6.2 says what each means; which cause is likely is from what OpenSSL, GnuTLS,
// Java and crypto/tls send it for. ours names our end's certificate: client when we dial, server when we listen.
func alertCauses(a tls.AlertError, side Side) []cause {
	ours, eku := "client", "clientAuth"
	if side == PeerIsClient {
		ours, eku = "server", "serverAuth"
	}
	notTrusted := cause{"it does not trust the CA that issued our " + ours + " certificate", "install our roots in its trust store"}
	refused := cause{"it refuses our " + ours + " certificate by a rule of its own (name, usage, revocation)", "compare our name with the names it accepts for us"}
	switch a {
	case 40: // handshake_failure
		return []cause{{"there is no protocol, cipher suite or curve common to both ends", "compare the TLS settings of both ends"},
			{"it wants a client certificate and got none (TLS 1.2)", "present one that it can use"}}
	case 42: // bad_certificate
		return []cause{refused, notTrusted, {"our certificate or its signature is damaged", "verify our own certificate"}}
	case 43: // unsupported_certificate
		return []cause{{"our " + ours + " certificate lacks the extended key usage " + eku, "issue one with " + eku},
			{"it cannot use our key's type", "offer an RSA certificate too"}}
	case 44: // certificate_revoked
		return []cause{{"our " + ours + " certificate is on its revocation list", "issue a new one"}}
	case 45: // certificate_expired
		return []cause{{"our " + ours + " certificate has expired, or is not yet valid, by its clock", "compare the clocks, then renew the certificate"}}
	case 46: // certificate_unknown
		return []cause{notTrusted, refused, {"Java and GnuTLS send this for any refusal", "see the peer's own log"}}
	case 47, 50: // illegal_parameter, decode_error
		return []cause{{"it could not make sense of our handshake", "have it try TLS 1.2 only, to see whether TLS 1.3 is what it stumbles over"}}
	case 48: // unknown_ca
		return []cause{notTrusted, {"we did not send the intermediate it needs", "send the whole chain"}}
	case 49: // access_denied
		return []cause{{"our certificate is valid and not entitled to connect", "add our name to the names it accepts"}}
	case 51: // decrypt_error
		return []cause{{"a signature did not verify: a key that does not belong to its certificate", "verify that key and certificate belong together, on both ends"}}
	case 70: // protocol_version
		return []cause{{"there is no TLS version common to both ends", "enable TLS 1.2 on the peer, or name an exception for it here"}}
	case 71: // insufficient_security
		return []cause{{"it wants stronger cipher suites or keys than we offer", "compare the TLS settings of both ends"}}
	case 80: // internal_error
		return []cause{{"it failed for a reason of its own", "see the peer's own log"}}
	case 86, 109: // inappropriate_fallback, missing_extension
		return []cause{{"it does not accept how our handshake is made up", "see the peer's own log"}}
	case 112: // unrecognized_name
		return []cause{{"it has no certificate for the server name we asked for", "dial it by a name that it has"}}
	case 116: // certificate_required
		return []cause{{"it wants a client certificate and got none", "present one that it can use"}}
	case 120: // no_application_protocol
		return []cause{{"it wants an application protocol (ALPN) that we do not offer", "dial the port of the right protocol"}}
	}
	return []cause{{"it ended the handshake", "see the peer's own log"}}
}

// explainAlert gives the likeliest cause as the refusal and the others as notes, in falling likelihood.
func explainAlert(a tls.AlertError, side Side) Findings {
	name := strings.TrimPrefix(a.Error(), "tls: ")
	var fs Findings
	for i, c := range alertCauses(a, side) {
		f := Finding{Rule: RuleAlert, Severity: Note, Index: -1, Got: fmt.Sprintf("alert %d (%s)", uint8(a), name),
			What: fmt.Sprintf("may also have ended the handshake because %s", c.what), Fix: c.fix}
		if i == 0 {
			f.Severity = Refusal
			f.What = fmt.Sprintf("ended the handshake with alert %d (%s), most likely because %s", uint8(a), name, c.what)
		}
		fs = append(fs, f)
	}
	return fs
}

// explainLocal explains what this end noticed itself.
func explainLocal(err error, side Side) Finding {
	f := Finding{Rule: RuleProtocol, Severity: Refusal, Index: -1, Got: clean(err.Error())}
	var header tls.RecordHeaderError
	var bad *tls.CertificateVerificationError
	var timeout net.Error
	text := err.Error()
	switch {
	case strings.Contains(text, "didn't provide a certificate"):
		return noCertificate(side)
	case strings.Contains(text, "failed to parse"), errors.As(err, &bad) && !errors.As(err, new(x509.UnknownAuthorityError)):
		f.Rule, f.What, f.Expected = RuleMalformed, "presented a certificate that cannot be read", "a certificate in DER (RFC 5280, 4.1)"
		f.Fix = "issue it anew"
	case errors.As(err, &header):
		f.What, f.Expected = "does not speak TLS: it began with "+notTLS(header.RecordHeader[:]), "a TLS record"
		f.Fix = "switch TLS on at the peer, or use the port for plain connections"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		f.What, f.Fix = "did not finish the handshake in time", "see whether it is overloaded, or whether the port speaks TLS at all"
	case errors.Is(err, syscall.ECONNREFUSED):
		f.What, f.Fix = "refused the connection: nothing listens there", "check address and port, and whether the service runs"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		f.What, f.Fix = "closed the connection in the middle of the handshake without saying why", "see the peer's own log; old devices do so when no version or cipher suits them"
	case strings.Contains(text, "protocol version"), strings.Contains(text, "unsupported versions"):
		f.What, f.Expected = "offers only TLS versions that are not allowed here", "TLS 1.2 or 1.3"
		f.Fix = "update it, or name an exception for it"
	case strings.Contains(text, "no cipher suite"), strings.Contains(text, "cipher suite"):
		f.What, f.Expected = "offers no cipher suite that is allowed here", "ECDHE with AES-GCM or ChaCha20-Poly1305"
		f.Fix = "enable one of them on it, or name an exception for it"
	default:
		f.What, f.Fix = "and this end could not complete the handshake ("+clean(text)+")", "see both ends' logs"
	}
	return f
}

// notTLS describes the first bytes of a peer that does not speak TLS.
func notTLS(b []byte) string {
	for _, p := range []string{"SIP/", "REGIS", "OPTIO", "INVIT", "HTTP/", "GET /", "SSH-"} {
		if strings.HasPrefix(string(b), p) {
			return fmt.Sprintf("%q, which is plain text", clean(string(b)))
		}
	}
	return fmt.Sprintf("%q", clean(string(b)))
}
