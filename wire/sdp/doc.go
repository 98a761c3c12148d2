// Package sdp reads and writes session descriptions (RFC 4566, 5) as telephony uses them, with the attributes of the
// offer/answer model (RFC 3264) and of keys carried in the signalling (RFC 4568, 4).
//
// A description is lines of the form "x=value". First come those of the session, then for every m= line those of one
// medium:
//
//	v=0
//	o=alice 2890844526 2890844526 IN IP4 192.0.2.1     who made it; the version counts the changes
//	s=-
//	c=IN IP4 192.0.2.1                                 where media goes, unless a medium says otherwise
//	t=0 0
//	m=audio 49170 RTP/SAVP 0 8 101                     port 0 means: refused
//	a=rtpmap:101 telephone-event/8000
//	a=fmtp:101 0-15
//	a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:...      the key its sender encrypts with
//	a=sendrecv
//
// The parser is our own and total: it takes what phones send (bare LF, lines out of order, T.38 and unknown media,
// unknown attributes and bandwidth modifiers, a missing t= line) and refuses what cannot be understood with the offset
// of the line. pion/sdp refuses m=image, udptl and unknown b= modifiers, which would turn a fax-capable phone's call
// away, and quotes the text it stumbled on, which may be a key; it serves as the second opinion in the tests instead.
//
// Everything that is not understood is kept, in order, and written back. Keys are of the type Key, which never prints.
package sdp
