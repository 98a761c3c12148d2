// Package pki is the cluster's certificate authority, its services' identities and its one verifier.
//
// # Who may use a certificate
//
// TLS authenticates a key; RFC 5280 binds the key to a name. Neither says what the holder is. The Register does: every
// certificate is entered, when it is issued, under its issuer and serial with the Kind of its holder (device, service,
// CTI instance, peer). A certificate of one kind never authenticates another, whatever its subject says, and one with
// our CA's signature that is not in the register is refused. Under a foreign Anchor (a manufacturer's root, a customer's
// CA, a trunk's far end) the anchor says for which kinds it is trusted.
//
// # The CA
//
// A CA has two roots, ECDSA P-256 and RSA 3072, and issues directly from both: an RSA certificate comes under the RSA
// root, so that a peer that knows RSA only (Cisco's CTI client) can verify it to the top. A service has four
// certificates: server and client, since client authentication is being withdrawn from certificates of public CAs and
// peers begin to check, each as ECDSA and as RSA. Their common names differ (<host>-EC, <host>, <host>-client-EC,
// <host>-client, later generations with -g2, -g3, ...), because readers of trust lists index by name and keep the last.
// Everything is linted before it is signed: a throw-away root of the same name signs first, and the verifier below
// looks at the outcome.
//
//	          Custody (keys)          Register (issuer + serial -> kind, name, revoked)
//	                 \                 /                       \
//	Request --> lint --> CA.Issue ----+                         +--> Trust.Verify --> Report, Findings
//	                 \                                         /
//	                  Certificates + Trust = Snapshot --> Identity --> ServerConfig, ClientConfig
//
// # Generations
//
// What others have in their lists cannot be replaced in one step. A service whose spec says Listed, the CA's roots and the
// signers of lists therefore have generations: staged (made and announced, not used), active (used), retiring (announced
// still). Stage, Activate and Retire move them on; custody keeps all of one identity in one value, so that a crash leaves
// the state before or the state after, and a restart gives the same answer. A discarded generation's number, hence its
// name, is not given again. Due says that a renewal is due and leaves it to whoever does it with overlap (package
// rotation); Refresh never does more for a Listed service than put in use what was activated, or issue what is Urgent.
//
// # Signers
//
// Signers are outside the CA: a device verifies a new list by those whom its old list names. There are two that sign in
// turn of need, so that the loss of one key strands nobody, and a recovery identity whose key can leave the machine.
//
// # Foreign issuers
//
// A certificate of a foreign issuer authenticates whom its anchor is trusted for, as phones' manufacturer certificates
// (MIC) do. Adopt binds one to one holder in the register: it is then exactly that holder's, whatever its anchor is
// trusted for, and can be revoked here. Report.Registered tells the two apart: an LSC is registered, a MIC is not.
//
// # The verifier
//
// Trust.Verify is used by handshakes in both directions, by package probe, by the linter and by forecasts (it takes
// the time as an argument). crypto/x509 builds the path and checks signatures and name constraints. What it does not
// check is ours: key strength, key usage, a CA's certificate used as an end entity, a missing extended key usage,
// revocation, kind and identity (RFC 5922, 7; RFC 6125, 6). When it refuses, we walk the chain ourselves to say why.
// The result is a list of Findings, each with a stable Rule, the certificate it is about, what was expected, what was
// found and what to do, and a rendering as one sentence. In the other direction Explain decodes a peer's alert.
//
// Paths once verified are remembered by the certificates presented, inside the immutable Trust that verified them;
// validity, revocation, kind and names are looked at anew each time, so a remembered path never outlives a decision.
//
// # Algorithms
//
// Accepted from peers: RSA from 2048 bits, ECDSA on P-256 and larger curves, Ed25519 (RFC 8410), signatures with SHA-2.
// Issued: ECDSA P-256 and RSA 2048, and for requests that bring their key RSA to 4096 bits and P-384 and P-521. Ed25519
// is accepted because it is as strong as P-256 and TLS 1.3 has it; it is not issued because phones and most gateways
// cannot use it.
//
// # Hot replacement
//
// An Identity holds one immutable Snapshot behind an atomic pointer. Identity.Replace is seen by the next handshake, in
// and out; no connection is closed and no listener restarted. Session tickets are good for the certificates they were
// issued under, and a resumed peer is verified as any other.
package pki
