// Package sip reads, checks, builds and writes SIP messages. RFC 3261, 7.
//
// It is a codec: bytes to values and back, no sockets, no clocks, no goroutines. Transactions, transport and dialogs are
// the packages below it.
package sip
