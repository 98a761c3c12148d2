package sip

// Validate applies the strict rules in front of the core: everything about one message that is wrong whatever the server is
// for. nil means the typed accessors can be trusted. Reply is nil for ACK and for responses (drop those).
// What depends on the server (methods, schemes, extensions, body types, hops) is Screen.
func Validate(m *Message) *ParseError { panic("todo") }

// Capabilities is what a user agent server does; Screen compares a request with it. RFC 3261, 8.2.
type Capabilities struct {
	Methods    []Method // implemented here: anything else is 501; also the Allow list
	Denied     []Method // implemented, but not for this peer or target: 405
	Schemes    []string // accepted in Request-URIs; empty = sip, sips
	Extensions []string // option tags we support: compared with Require, sent as Supported
	Bodies     []string // media types we read; empty = application/sdp
	Encodings  []string // content encodings we read besides identity
}

// Reject is a refusal: the status and the header fields that go with it.
type Reject struct {
	Status int
	Reason string
	Fields []Field // Allow, Unsupported, Accept ...
}

// Response builds the answer to req.
func (r *Reject) Response(req *Message) *Message {
	res := NewResponse(req, r.Status, r.Reason)
	for _, f := range r.Fields {
		res.Add(f.Name, f.Value)
	}
	return res
}

// Screen applies the general rules for user agent servers in their order: method (RFC 3261, 8.2.1), Request-URI scheme
// (8.2.2.1), Require (8.2.2.3), content (8.2.3). Merged requests (8.2.2.2) are the endpoint's. nil = go on. For ACK it
// returns nil always; CANCEL ignores Require.
func Screen(req *Message, c Capabilities) *Reject { panic("todo") }

// ScreenForward is what a proxy or B2BUA adds before it passes a request on (RFC 3261, 16.3): Max-Forwards 0 is 483,
// Proxy-Require is 420.
func ScreenForward(req *Message, c Capabilities) *Reject { panic("todo") }
