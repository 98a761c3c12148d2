// Package resolve finds where to send a SIP request: transport, address and port for a URI. RFC 3263.
//
// A URI says as much as it likes, the DNS says the rest:
//
//	URI has                     transport                              address and port
//	-------------------------   ------------------------------------   ------------------------------------
//	transport parameter         that one (sips and tcp: TLS)           numeric host: it; port: A/AAAA; else SRV
//	numeric host                UDP, for sips TLS                      the host, port or 5060/5061
//	port                        UDP, for sips TLS                      A/AAAA, that port
//	only a name                 NAPTR; none: the SRVs there are;       SRV, then A/AAAA of its targets;
//	                            none: UDP, for sips TLS                none: A/AAAA, 5060/5061
//
// RFC 3263, 4.3: the result is a list to be tried in order; a target that failed is put behind the others for a while, one
// that answered 503 with Retry-After is not tried before that time.
//
// What may be chosen is decided in select.go without I/O; the Resolver asks the DNS through an Exchanger; Client is the
// Exchanger that speaks DNS over UDP, and over TCP where an answer is truncated, to the servers of resolv.conf.
//
// A target's ServerName is the domain of the URI, not the name a SRV record led to: that is what the peer's certificate has
// to assert (RFC 5922, 4), otherwise the DNS could send us to anybody.
package resolve
