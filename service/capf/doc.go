// Package capf is the enrolment service (certificate authority proxy function) on port 3804: phones and CTI
// applications come to it for their locally significant certificate (LSC). docs/wire/capf.md specifies the protocol;
// package capfprofile says who may have what.
//
//	connection --> TLS (no client certificate) --> machine (one per session, no I/O)
//	                                                  |  what takes time
//	                                                  v
//	                                      pool: few workers, paced, those nearest to their end first
//	                                                  |
//	                              profiles (capfprofile.Book), authority (own, online, offline)
//
// The machine (machine.go) holds the dialogue of all three protocol versions and every limit in time. The session
// (session.go) is its runner: one goroutine that reads, one that steps. Handshakes happen in the connection's own
// goroutine, so that a silent client holds up nobody. What costs CPU (hashing a string, checking a proof, having a
// certificate issued) goes through a pool whose workers rest between jobs: a burst of enrolments takes longer and the
// calls of the same machine do not notice.
//
// # TLS
//
// TLS 1.2 and 1.3 with forward secrecy. CTI applications of the field speak TLS 1.2 with RSA key exchange only; the
// exception capf-legacy-rsa (legacyRSA of the node's service) lets TLS_RSA_WITH_AES_128_CBC_SHA in for them. TLS 1.0,
// TLS 1.1 and NULL ciphers are refused whatever is configured, and the refusal says what the client offered. No client
// certificate is asked for: an existing certificate proves itself inside the protocol.
//
// # Authorities
//
// A certificate comes from the cluster's own CA (Own), from an online one by the certificate management protocol
// (Online), or from an offline one, to which people carry files (Offline).
package capf
