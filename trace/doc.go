// Package trace records what a node does, so that a person can see a call again afterwards: every message on the
// wire, every input and output of the engine, every handshake, in one order.
//
// # Why one recorder
//
// In the field each product keeps its own log, each with its own clock and its own names for the same call, and the
// signalling inside TLS cannot be seen at all from outside. Here the tap sits behind the TLS endpoint, all services of
// a node write into one [Recorder], and every [Record] has one sequence number. A ladder, a CDR, a replay file and a
// bug report are views of the same records.
//
// # What is stored, and what never is
//
// A record is redacted before it is stored anywhere, memory included: see [Redact]. SRTP master keys (RFC 4568 inline
// keys, MIKEY), credentials of HTTP digest (RFC 3261, 22), passwords, tokens, private keys, and, unless
// [Config].ShowDigits says otherwise, the DTMF digits a caller keys in (they may be a PIN) do not reach the recorder's
// memory. The names of the fields stay, so that a reader sees that a key was there.
//
// # How it costs little
//
// [Recorder.Record] encodes the record once, as a JSON line, into a ring of memory blocks; a second goroutine writes
// the blocks to segment files. The caller never waits for a disk. What is in memory is found by call without touching
// a file; what has left the memory is found in the files. A level that excludes a record is one comparison.
//
// When the disk is full or slow the memory ring goes on, the oldest records are lost to the disk only, and the loss is
// counted and marked: by [Status] for the operator, and by one record of [KindLagged] in the file where the gap is.
//
// # Correlation
//
// A record carries the global id of its call ([Record].Call) and, where it belongs to a SIP dialog, the SIP Call-ID
// ([Record].SIPCallID). Any record that carries both ties the two together. Two services that talk SIP to each other
// share the Call-ID of that hop, so the records of a call that passes through several services form one group without
// any header of ours.
//
// # Files
//
// Segments are named trace-<first sequence number>.jsonl, one JSON object per line, UTF-8, keys as in [Record]'s
// JSON form. A reader skips a line it cannot read and counts it.
//
// # The line shape of SDL files
//
// [WriteSDL] prints the same records in the column shape that call-processing trace files have in the field, for eyes
// that are trained on it. One line per record, columns divided by " |":
//
//		00000042.000 |21:13:55.123 |SdlSig  |Offered |alerting |callmanager(n1,c7,l2) |SEP001122334455(10.0.0.7,5061) |n1,c7,l2^10.0.0.7^SEP001122334455 |[R:N-H:0,N:0,L:0,V:0,Z:0,D:0] to=2002
//		00000042.001 |21:13:55.124 |AppInfo |SIP out tls 127.0.1.10:5061 -> 10.0.0.7:40112 flow=f3 call=c7
//		SIP/2.0 180 Ringing
//		...
//
//	  - column 1 is the number of the signal and, after the dot, the number of the line written while that signal was
//	    being handled;
//	  - column 2 is the local wall clock to the millisecond;
//	  - column 3 is SdlSig for what goes into or out of the engine (signal, request, command, event, timer) and AppInfo
//	    for everything else;
//	  - a SdlSig line then has the signal's name, the state of its receiver, the receiving process, the sending process
//	    (name, then node, call and leg, or an address and port, in brackets), the correlation tag (node,call,leg ^
//	    address ^ device), the queue figures, and the parameters as name=value. We keep one queue, so the figures are
//	    constant; they stand there because people and scripts count columns;
//	  - an AppInfo line then has free text. A message follows on lines of its own, as it was on the wire (redacted).
package trace
