// Package dialpeer decides where a call at the border comes from and where it goes, as the field's border elements and gateways
// do. It is pure: the same peers, status and query give the same answer, and the answer explains itself.
//
// # Dial-peers
//
// A dial-peer is one neighbour seen from one side. It has a tag (a number), matches that make it the inbound peer of a call,
// matches that make it an outbound one, and the addresses of the neighbour. One peer can be both.
//
// # Which peer a call comes in by
//
// Only peers that the sender can be are looked at: a peer with addresses or subjects of its own is only for calls from
// there, one without is for every sender the border trusts at all. What a stranger writes into a header chooses nothing. Among those the
// field's order decides; the first rule with a match wins:
//
//	1 incoming uri via       5 incoming called-number      the called number
//	2 incoming uri request   6 answer-address              the calling number
//	3 incoming uri to        7 destination-pattern         the calling number, too
//	4 incoming uri from      8 the sender itself           its address, or a subject of its certificate
//
// In rules 5 to 7 the pattern with most digits spelt out wins; among equals the lower preference, then the lower tag.
//
// # Which peers it goes out by
//
// A list of peers that the inbound peer names (a dial-peer group) decides alone. Else the peers whose destination URI fits the
// request; else those with a destination-pattern that matches the called number. These are hunted in the order: most digits spelt
// out, preference, tag, up to and with the first that stops the hunt. Peers that are shut down, out of service or full are
// left out, and so are the one the call came in by and those the sender is, unless they allow that: a carrier's own calls do not go
// back to it at this site's cost. Each peer's addresses are tried in the order
// of their preference, or in turn.
//
// # Patterns
//
//	0-9 A-D * #   that digit            (...)  a group            ^    the beginning, where every pattern begins anyway
//	.             any one digit         %      the last one zero times or more
//	[1-57]        one of a set          ?      the last one zero times or once
//	[^1-5]        one that is not       +      in front: the plus sign of E.164; else the last one once or more
//	,             a pause: nothing      T      at the end: any further digits; alone: any number
//	\x            x itself              $      the end: nothing may follow
//
// A pattern without $ matches numbers that go on after it: that is why "incoming called-number ." is the field's way to say
// "every number". A pattern that does not begin with + looks at the digits behind a number's plus sign.
//
// # Numbers
//
// Translations rewrite the called and the calling number by regular expressions (RE2), at the inbound peer before the choice is
// made and at each outbound peer afterwards. A rule is the first of its list that matches; \1 to \9 are what the groups matched.
package dialpeer
