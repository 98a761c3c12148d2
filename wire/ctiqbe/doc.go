// Package ctiqbe is the codec of CTIQBE, the quick buffer encoding in which applications that control telephones talk to a
// CTI manager: TCP port 2749 over mutual TLS, 2748 in the clear. Nobody published the protocol; docs/wire/ctiqbe.md is
// our standard of it and says how each fact is known.
//
// A frame is a head, a fixed area with the fields of the message one behind the other, and a variable area with what
// the fields refer to. All numbers are 32 bits, little-endian; all offsets count from the first byte of the frame.
//
//	 0        4        8            12        16     20       24      28         32
//	+--------+--------+------------+---------+------+--------+-------+----------+----------------+-----------------+
//	| length | 0      | dd dd ff ff| version | PDU  | 32     | fixed | variable | fixed area ... | variable area...|
//	+--------+--------+------------+---------+------+--------+-------+----------+----------------+-----------------+
//	 length counts what is behind the first 8 bytes
//
//	number, boolean   4 bytes
//	string            8: offset, size with the NUL          bytes    8: offset, size
//	unicode          16: offset, size, count, 2             structure 12: offset, size, size of its fixed area
//	array            16: offset, size, count, size of an element
//
// schema.txt holds the whole table: 300 PDUs, 35 structures, 284 error values and the enumerations. `go generate` makes
// the Go of it: one struct for each PDU (ProviderOpenRequest), one constant for its number (PDUProviderOpenRequest), one
// type for each enumeration (CallState, with CallStateConnected). Field names are the field's with its b for booleans
// taken off.
//
// Parse is total: it reads whatever comes, copies at most a few times the frame's size, and never panics. Server and
// client write a little differently (Append and AppendClient): the field's own client drops the last element of a
// unicode string and reads an empty one wrongly, so a server ends each with a NUL.
package ctiqbe
