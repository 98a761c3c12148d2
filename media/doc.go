// Package media is the media side of a node: streams that end here (RTP, RFC 3550; SRTP, RFC 3711), relays between two
// parties, and the table of session descriptions through which signalling drivers hand media from leg to leg.
//
// Three things meet the rest of the program:
//
//   - Plane: the table. A driver puts the SDP its leg received and gets a Ref; the call engine carries the Ref; the
//     driver of another leg renders the Ref into the SDP for its own peer. Keys never leave this package and the two
//     signalling connections.
//   - Stream: an RTP endpoint for applets and for the laboratory's phones: play, record, digits, evidence.
//   - Evidence: what the receiving end can prove, and only that.
//
// A leg that is given the source "mix:ID" sits in a conference: it hears everybody who was given the same, and is heard by
// them (package mixer). One goroutine serves a conference; each leg keeps its own keys and codec, G.722 or G.711.
//
// By default media goes direct between the endpoints and this package moves only descriptions. Where a profile asks for
// it, or the two ends cannot meet (SRTP here, RTP there), the plane anchors: package relay forwards packets between two
// of our ports, each with its own keys.
//
// What the packets of a leg show is told within two seconds (PlaneConfig.Watch): wrong keys, plain RTP, one-way audio. DTMF between
// legs that do not do the same is translated where media passes through here: payload types of telephone events, events for
// a side that has none, tones of it (PlaneConfig.Digits, Plane.SendDigit). Media that goes directly is between the ends: a device
// without telephone events that must be reached by digits has mediaAnchor: always in its SIP profile.
package media
