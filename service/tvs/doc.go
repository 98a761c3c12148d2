// Package tvs is the Trust Verification Service of a node: it answers phones that ask, on TCP port 2445, about a
// certificate that is in none of their trust lists. docs/wire/tvs.md has the protocol, package wire/tvs the codec.
//
// # Why it matters
//
// A phone accepts a new trust list when somebody it knows has signed it. When the signer is new, the phone asks here:
// "who is serial 24:00.. of issuer CN=..?" (QUERY), and accepts the list when the answer names the roles of a signer.
// A renewed signer, or a phone that comes from another cluster, then costs no walk to the phone. The second question,
// "may I trust this certificate?" (VERIFY), is asked for the HTTPS servers of phone services.
//
// # What is answered
//
// The certificates of the cluster's own members that are active or retiring, with their roles, the signers of its
// lists, and what was uploaded to a trust store whose purpose is told to phones. A certificate that is revoked,
// removed, expired or unknown gets status 1 from the next question on: nothing is remembered here between questions.
// A phone remembers an answer for its TTL; an administrator who lowers it trades load for speed of a removal.
//
// # Who may ask
//
// Every answer is public knowledge (certificates, and what they are for), and the phones that need it most are those
// whose own certificate is in trouble. So a client certificate is asked for and verified, and what follows is:
//
//	it verifies                                   served
//	it verified until it expired, or will soon    served: renewing begins with this question
//	it is under an authority we do not know       served, within the budget of strangers; refused with VerifiedOnly
//	none was sent                                 refused, unless AllowAnonymous (a named exception)
//	it was revoked, or forged under our CA        refused in the handshake, with the reason in the trace
//
// # Bounds
//
// The number of connections in all, of one address and of strangers, the bytes of a message, the number of questions on
// a connection and the time of handshake, question and answer are limited. Handshakes run beside the accept loop, so a
// client that connects and says nothing costs its own slot until its time is over, and nobody waits for it.
package tvs
