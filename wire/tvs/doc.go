// Package tvs is the codec of the Trust Verification Service: the protocol in which a phone asks its cluster about a
// certificate that is in none of its trust lists. It runs over TLS on TCP port 2445, the phone being the client.
//
// There are two questions, each with one answer:
//
//	phone                                          server
//	  | VERIFY_REQ  device, certificate              |   "may I trust this certificate, and as what?"
//	  |--------------------------------------------->|
//	  | VERIFY_RES  status [roles, ttl]              |
//	  |<---------------------------------------------|
//	  | QUERY_REQ   device, subject, issuer, serial  |   "who signed this list? give me the certificate, and its roles"
//	  |--------------------------------------------->|
//	  | QUERY_RES   status [certificate, roles, ttl] |
//	  |<---------------------------------------------|
//
// A message is a header of ten bytes and a list of elements in any order:
//
//	 0      1      2        3         4         8       10
//	+------+------+--------+---------+---------+--------+-----------------+
//	| 0x57 | 0x01 | command| reserved| session | length | elements ...    |
//	+------+------+--------+---------+---------+--------+-----------------+
//	                                   element: tag (1) length (2) value
//
// All numbers are big-endian; length counts the elements. Nobody published the protocol: docs/wire/tvs.md says of every
// field how it is known. Two things are made lenient on purpose. The reserved byte, which real servers fill with
// leftovers, is kept and never looked at. And the tags 4 and 5, of which no captured trace shows which is the issuer's
// name and which the serial number, are told apart by what is in them, so that either reading of the protocol is
// understood.
//
// Message is a frame as it is on the wire: what Parse read, Append writes again, byte for byte. Request and Response are
// what it means.
package tvs
