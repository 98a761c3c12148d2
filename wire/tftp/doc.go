// Package tftp is the serving half of the Trivial File Transfer Protocol: octet reads, with the options blksize, tsize and timeout.
//
//	client                                    server
//	  | RRQ name octet [options]  -------------> | port 69
//	  | <------------- OACK options | DATA 1     | a port of its own for each transfer: its transfer identifier
//	  | ACK 0 (of the OACK)       -------------> |
//	  | <------------------------------- DATA 1  |
//	  | ACK 1                     -------------> |
//	  |                  ...                     |
//	  | <-------------- DATA n, less than a block|
//	  | ACK n                     -------------> | done: only now does the server know that the client has the file
//
// RFC 1350 is the protocol, RFC 2347 the options, RFC 2348 blksize, RFC 2349 tsize and timeout.
//
// # Why our own
//
// What a phone is told here decides what it trusts. "File not found" for a trust list means to a phone that the cluster is not
// secure; a server that says so because it is busy, or because its database is away, talks phones out of their protection. So a
// Handler can also say nothing at all (ErrSilent), and the phone asks again. Libraries at hand answer every failure with error 1,
// start a goroutine and a socket before anybody can refuse, answer from an address of the kernel's choice on a machine with several,
// convert netascii, and do not negotiate timeout.
//
// # The parts
//
// Request, Error and the packet functions are the codec, total on any input. Sender is one transfer without sockets or clocks:
// Step takes what came in and says what to send, Deadline when to call again. Server is the runner: it listens, admits, gives each
// transfer a socket on the address that was asked, and tells an Observer how it ended.
package tftp
