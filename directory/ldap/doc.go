// Package ldap asks LDAP directories (RFC 4511) who somebody is and whether a password is right: Active Directory, OpenLDAP and what
// behaves like them.
//
// # A login
//
// A login is a search and a bind. The service account of the configuration looks for exactly one entry by the configured filter, with the
// name escaped (RFC 4515, 3); then a second connection binds as that entry with the user's password. The service's connections are kept in
// a small pool, users' are not.
//
//	Authenticate -> pool: connect, TLS, service bind --> search (filter, base) --> one entry
//	                                                                               |
//	                connect, TLS, bind as the entry's DN <-------------------------+
//
// An empty password never reaches a server: a bind without one succeeds as nobody (RFC 4513, 5.1.2), and would let everybody in.
//
// # Never stalled
//
// Every step has the network timeout of the configuration; a server that accepts and never answers costs a login that time once. It is
// then left alone for a while that doubles (1 s to 30 s), and the next server is asked. While all are left alone a login fails at once with
// the reason the last one had. A connection that the server has closed meanwhile is replaced without a failure. What a server may send in
// answer to one request is bounded.
//
// # What went wrong
//
// Whatever fails is a *Problem: a typed Reason, where, what the server said and what to do. Active Directory answers every refused bind
// with result 49 and tells them apart by a number in the text ("data 52e"); OpenLDAP does so by the password policy control
// (draft-behera-ldap-password-policy-10) and by its text. Both become the same reasons.
//
// # Trust
//
// Certificates of directory servers are verified by package pki, with its findings, under the cluster's own roots and those uploaded for
// the purpose directory-trust: not under a carrier's or a phone manufacturer's.
package ldap
