// Package sip reads, checks, builds and writes SIP messages. RFC 3261, 7.
//
// It is a codec: bytes to values and back, no sockets, no goroutines, time only as an argument. Transport, transactions
// and dialogs are the packages below it; this one knows what a message is, they know what it does.
//
// # The way in
//
// Parse takes a datagram, a Framer cuts a stream. Both read the start line, split the header fields (compact names, folded
// lines and comma lists included) and the values everybody needs: Request-URI, topmost Via, From, To, CSeq, Call-ID, first
// Contact. Then Validate applies the strict rules that hold for every server, and Screen those that depend on what this
// server does:
//
//	bytes --Parse/Framer--> *Message --Validate--> trusted values --Screen--> the core
//	            |                        |                          |
//	            400, 513 or silence      400, 505 or silence        405, 406, 415, 416, 420, 501
//
// Each refusal is a value with the answer ready in it (ParseError.Reply, Reject.Response); a malformed response or ACK has
// none. torture_test.go holds the whole of RFC 4475 and RFC 5118 against this.
//
// Strict means: what RFC 3261 forbids is refused where letting it pass would let two elements understand a message
// differently (two Content-Lengths, a bare LF, a CSeq of another method). It does not mean pedantry towards phones: unknown
// fields, parameters, schemes and transports pass untouched and in order, and RFC 2543 senders are understood.
//
// # The way out
//
// Messages are built from typed values and written with Append into the caller's buffer. No value can end its line: CR and LF
// never leave a Message. Content-Length is computed, never stored.
//
// # Why not somebody else's parser
//
// The package was to stand on github.com/emiago/sipgo/sip. Held against RFC 4475 its parser upper-cases methods (which are
// case-sensitive), loses white space rules in Via, splits parameters at quoted semicolons, takes the last of two
// Content-Lengths and reads SIP/7.0, so that a validator in front of the core has to read every byte again; it makes 60
// allocations of the INVITE in bench_test.go, where Parse and Validate together make 4. So sipgo is here what it is best at:
// a second opinion. The tests check that it reads what we write, and the benchmarks measure against it.
//
// # Values
//
// URI, Address, Via and Params are plain values. Params keep the wire form of a value (a quoted string with its quotes), Get
// takes the quotes off, With puts them on where needed; none changes the list it is called on. Strings of a parsed message
// are parts of one text: keep strings.Clone of what outlives the message by far.
package sip
