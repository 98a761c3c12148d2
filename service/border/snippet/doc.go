// Package snippet reads what people of the field paste: the configuration snippets of border elements and voice gateways (sip-ua,
// crypto signaling, dial-peer voice, voice class ...), as they stand in a guide or a running configuration, with the prose around them.
//
//	result := snippet.Read(text, site)
//
// Every line of the text gets an answer, by its number: understood as what, ignored and why, unknown, or wrong with what to do. No line is
// dropped in silence. What was understood is worked into a copy of the site; whether that is put into force is the caller's affair.
//
// # How a line is read
//
// Commands are compared without regard to case; a word may be cut short to three letters or more (conf t is known besides). A
// prompt in front (border(config-sip-ua)#) is taken off. As on the
// command line of the field, some commands open a mode (dial-peer voice 6000 voip) that lasts until exit, end or the next command that
// the mode does not know and the top does. What references a class of numbers may stand before the class; references are resolved at the end.
//
// A line that is no command is prose when it looks like it: a sentence, a bullet, letters beyond ASCII. Anything else is unknown, and said
// to be: it may be a command that matters.
//
// # What differs from the field
//
// A dial-peer over TLS has SRTP unless the text says otherwise (the field: RTP unless it says srtp). Peers' certificates are always
// verified, names included (the field: with cn-san-validate). A new dial-peer with a target and without session transport is
// reached by UDP as in the field, and is an exception.
package snippet
