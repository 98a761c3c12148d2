package sip

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
)

// Bodies of several parts (RFC 5621). A session description may travel beside other things: a picture of the caller, an ISUP
// message, a location. What we look for is one part of a known type; of the rest we ask only whether we may ignore it.

// Bounds of a multipart body: more than any telephone sends, less than anybody needs to make us work.
const (
	maxParts    = 16 // of one message, parts of parts included
	maxPartDeep = 3  // multipart within multipart
)

// ErrMultipart is a multipart body that cannot be read: no boundary, a part that does not end, too many or too deep.
var ErrMultipart = errors.New("sip: multipart body cannot be read (RFC 2046, 5.1.1), or has more than 16 parts or 3 levels")

// part is one body part, multipart containers included; their own parts follow them.
type part struct {
	mediaType   string // lower case, without parameters
	body        []byte
	optional    bool // RFC 3261, 20.11: handling=optional; required is the default
	alternative bool // it is one of several that say the same: multipart/alternative (RFC 2046, 5.1.4)
	container   bool
	depth       int // 1 = of the message itself
}

// isMultipart tells whether a media type has parts.
func isMultipart(mediaType string) bool { return strings.HasPrefix(mediaType, "multipart/") }

// Part is the body part of a media type (lower case): the body itself where it is of that type, else the part of a multipart
// body. RFC 2046, 5.1.4: of alternatives the last counts; elsewhere the first. Nil when there is none, or the body cannot be
// read.
func (m *Message) Part(mediaType string) []byte {
	if len(m.body) == 0 {
		return nil
	}
	own := m.MediaType()
	if own == mediaType {
		return m.body
	}
	if !isMultipart(own) {
		return nil
	}
	all, err := m.parts()
	if err != nil {
		return nil
	}
	var found []byte
	for _, p := range all {
		if p.container || p.mediaType != mediaType || len(p.body) == 0 {
			continue
		}
		if found = p.body; !p.alternative {
			break
		}
	}
	return found
}

// parts lists the parts of a multipart body in their order, containers before their content.
func (m *Message) parts() ([]part, error) {
	return appendParts(nil, m.ContentType(), m.body, 1)
}

func appendParts(all []part, contentType string, body []byte, depth int) ([]part, error) {
	container, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" || depth > maxPartDeep {
		return nil, ErrMultipart
	}
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		raw, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil || len(all) == maxParts {
			return nil, ErrMultipart
		}
		p, contentType, err := readPart(raw)
		if err != nil {
			return nil, err
		}
		p.alternative, p.depth = container == "multipart/alternative", depth
		all = append(all, p)
		if !p.container {
			continue
		}
		if all, err = appendParts(all, contentType, p.body, depth+1); err != nil {
			return nil, err
		}
	}
}

// readPart reads one part. The message bounds its size.
func readPart(raw *multipart.Part) (p part, contentType string, err error) {
	if p.body, err = io.ReadAll(raw); err != nil {
		return p, "", ErrMultipart
	}
	contentType = raw.Header.Get("Content-Type")
	if contentType == "" {
		contentType = "text/plain" // RFC 2046, 5.1
	}
	p.mediaType, _, _ = strings.Cut(contentType, ";")
	p.mediaType = strings.ToLower(strings.TrimSpace(p.mediaType))
	p.container = isMultipart(p.mediaType)
	p.optional = optionalHandling(raw.Header.Get("Content-Disposition"))
	switch strings.ToLower(raw.Header.Get("Content-Transfer-Encoding")) {
	case "", "7bit", "8bit", "binary": // RFC 5621, 3.1: SIP carries bodies as they are
	default:
		p.mediaType += " encoded" // no type we know: what is required cannot be understood, what is optional is ignored
	}
	return p, contentType, nil
}

// optionalHandling tells whether a Content-Disposition says that its body may be ignored (RFC 3261, 20.11).
func optionalHandling(disposition string) bool {
	_, params, _ := strings.Cut(disposition, ";")
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "handling") {
			return strings.EqualFold(strings.Trim(strings.TrimSpace(value), `"`), "optional")
		}
	}
	return false
}

// understood tells whether we may go on with a body of several parts. RFC 5621, 8.1: each part with required handling must be
// understood; of alternatives one is enough (RFC 2046, 5.1.4); a part of a multipart that may be ignored may be ignored.
func understood(all []part, known func(mediaType string) bool) bool {
	alternatives, chosen := false, false
	within := 0 // depth of the container that may be ignored; 0 = of none
	for _, p := range all {
		if p.depth <= within {
			within = 0
		}
		switch {
		case within > 0:
		case p.optional:
			within = p.depth
		case p.container:
		case p.alternative:
			alternatives, chosen = true, chosen || known(p.mediaType)
		case !known(p.mediaType):
			return false
		}
	}
	return !alternatives || chosen
}
