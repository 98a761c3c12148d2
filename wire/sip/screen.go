package sip

import (
	"slices"
	"strings"
)

// Capabilities is what a user agent server does; Screen compares a request with it. RFC 3261, 8.2.
type Capabilities struct {
	Methods    []Method // implemented here: anything else is 501; also the Allow list
	Denied     []Method // implemented, but not for this peer or target: 405
	Schemes    []string // accepted in Request-URIs, lower case; empty = sip, sips
	Extensions []string // option tags we support: compared with Require, sent as Supported
	Bodies     []string // media types we read, lower case; empty = application/sdp
	Encodings  []string // content encodings we read besides identity
	Answers    []string // media types we put into answers to INVITE, compared with Accept; empty = application/sdp
}

// Reject is a refusal: the status and the header fields that go with it.
type Reject struct {
	Status int
	Reason string  // "" = the standard phrase
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

// With is r with one more header field.
func (r *Reject) With(name, value string) *Reject {
	r.Fields = append(r.Fields, newField(lookupField(name), name, value))
	return r
}

// Screen applies the general rules for user agent servers in their order: method (RFC 3261, 8.2.1), Request-URI scheme
// (8.2.2.1), Require (8.2.2.3), content (8.2.3), Accept (20.1). Merged requests (8.2.2.2) are the endpoint's. nil = go on.
// For ACK it returns nil always: nothing may answer an ACK. CANCEL ignores Require (RFC 3261, 8.2.2.3).
func Screen(req *Message, c Capabilities) *Reject {
	if req.method == ACK {
		return nil
	}
	if r := c.method(req); r != nil {
		return r
	}
	if !slices.Contains(orDefault(c.Schemes, "sip", "sips"), req.uri.Scheme) {
		return &Reject{Status: 416}
	}
	if req.method == CANCEL {
		return nil
	}
	if r := c.require(req, "Require"); r != nil {
		return r
	}
	if r := c.content(req); r != nil {
		return r
	}
	return c.accept(req)
}

// ScreenForward is what a proxy or B2BUA adds before it passes a request on (RFC 3261, 16.3): Max-Forwards 0 is 483,
// Proxy-Require is 420. A server that answers OPTIONS itself at 0 (RFC 3261, 11) does not call it for those.
func ScreenForward(req *Message, c Capabilities) *Reject {
	if n, ok := req.MaxForwards(); ok && n == 0 {
		return &Reject{Status: 483}
	}
	if req.method == ACK || req.method == CANCEL {
		return nil
	}
	return c.require(req, "Proxy-Require")
}

func orDefault(list []string, standard ...string) []string {
	if len(list) == 0 {
		return standard
	}
	return list
}

// method: RFC 3261, 8.2.1: not recognised is 501 (21.5.2), recognised but not allowed here is 405 with Allow.
func (c Capabilities) method(req *Message) *Reject {
	if slices.Contains(c.Denied, req.method) {
		return (&Reject{Status: 405}).With("Allow", c.Allow())
	}
	if !slices.Contains(c.Methods, req.method) {
		return (&Reject{Status: 501}).With("Allow", c.Allow())
	}
	return nil
}

// Allow is the Allow header field that goes with these capabilities.
func (c Capabilities) Allow() string {
	b := make([]byte, 0, 96)
	for _, m := range c.Methods {
		if slices.Contains(c.Denied, m) {
			continue
		}
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = append(b, m...)
	}
	return string(b)
}

// Supported is the Supported header field that goes with these capabilities.
func (c Capabilities) Supported() string { return strings.Join(c.Extensions, ", ") }

// require: RFC 3261, 8.2.2.3: 420 names in Unsupported every option tag that is not understood.
func (c Capabilities) require(req *Message, name string) *Reject {
	if !req.Has(name) {
		return nil
	}
	var unknown []string
	for _, tag := range req.Tokens(name) {
		if !slices.ContainsFunc(c.Extensions, func(known string) bool { return strings.EqualFold(known, tag) }) {
			unknown = append(unknown, tag)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return (&Reject{Status: 420}).With("Unsupported", strings.Join(unknown, ", "))
}

// content: RFC 3261, 8.2.3: a body of unknown type or encoding is 415, unless Content-Disposition says it is optional. A
// multipart body whose type is listed is judged by its parts (RFC 5621, 8.1).
func (c Capabilities) content(req *Message) *Reject {
	if len(req.body) == 0 || optionalHandling(req.first(idContentDisposition)) {
		return nil
	}
	bodies := orDefault(c.Bodies, "application/sdp")
	known := func(t string) bool { return slices.Contains(bodies, t) }
	if !known(req.MediaType()) {
		return (&Reject{Status: 415}).With("Accept", strings.Join(bodies, ", "))
	}
	if isMultipart(req.MediaType()) {
		switch all, err := req.parts(); {
		case err != nil:
			return &Reject{Status: 400, Reason: "Multipart Body Cannot Be Read"}
		case !understood(all, known):
			return (&Reject{Status: 415}).With("Accept", strings.Join(bodies, ", "))
		}
	}
	for _, e := range req.Tokens("Content-Encoding") {
		if !strings.EqualFold(e, "identity") && !slices.Contains(c.Encodings, strings.ToLower(e)) {
			return (&Reject{Status: 415}).With("Accept-Encoding", strings.Join(append([]string{"identity"}, c.Encodings...), ", "))
		}
	}
	return nil
}

// accept: an INVITE whose Accept leaves no type we can answer with is 406 (RFC 4475, 3.3.15).
func (c Capabilities) accept(req *Message) *Reject {
	if req.method != INVITE || !req.Has("Accept") {
		return nil
	}
	answers := orDefault(c.Answers, "application/sdp")
	for _, rng := range req.Tokens("Accept") {
		rng, _, _ = strings.Cut(rng, ";")
		rng = strings.ToLower(strings.TrimSpace(rng))
		for _, a := range answers {
			main, _, _ := strings.Cut(a, "/")
			if rng == "*/*" || rng == a || rng == main+"/*" {
				return nil
			}
		}
	}
	return (&Reject{Status: 406}).With("Accept", strings.Join(answers, ", "))
}

// ScreenResponse is the rule of RFC 3261, 8.1.3.3 for a user agent client: a response with more than one Via was meant for
// somebody else and is dropped. Call it when the topmost Via is ours.
func ScreenResponse(res *Message) bool {
	n := 0
	for i := range res.fields {
		if res.fields[i].id == idVia {
			n++
		}
	}
	return n == 1
}
