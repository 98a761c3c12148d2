package sip

// Limits bound what a peer can make us hold. The zero value means the defaults in the comments.
type Limits struct {
	Message int // whole message, bytes; 65,535
	Header  int // start line and header fields, bytes; 16,384
	Fields  int // header field values after comma lists are split; 256
}

// Parse reads one datagram. The message does not refer to data afterwards. An error is a *ParseError: the message cannot be
// framed or read at all; Reply is the answer, if there is one. What Parse accepts still has to pass Validate.
// RFC 3261, 18.3: without Content-Length the body reaches to the end, bytes beyond Content-Length are dropped.
func Parse(data []byte) (*Message, error) { return Limits{}.Parse(data) }

// Parse is Parse within these limits.
func (l Limits) Parse(data []byte) (*Message, error) { panic("todo") }

// ParseURI reads an absolute URI.
func ParseURI(s string) (URI, error) { panic("todo") }

// ParseAddress reads one name-addr or addr-spec with header parameters; `*` gives IsWildcard.
// RFC 3261, 20.10: without angle brackets, parameters belong to the header, and the URI may hold no comma, `?` or `;`.
func ParseAddress(s string) (Address, error) { panic("todo") }

// ParseVia reads one Via value.
func ParseVia(s string) (Via, error) { panic("todo") }

// ParseCSeq reads a CSeq value.
func ParseCSeq(s string) (CSeq, error) { panic("todo") }

// Append writes the message to b, with a Content-Length computed from the body as last field.
func (m *Message) Append(b []byte) []byte { panic("todo") }

// String is the message as on the wire.
func (m *Message) String() string { return string(m.Append(nil)) }

// ReasonPhrase is the standard phrase for a status code, "Unknown" for one nobody registered.
func ReasonPhrase(status int) string { panic("todo") }

// Unquote takes the quotes off a quoted-string and resolves its escapes; any other string is returned as it is.
func Unquote(s string) string { panic("todo") }

// Quote makes a quoted-string.
func Quote(s string) string { panic("todo") }

// Unescape resolves the %HH escapes of a URI part. RFC 3261, 19.1.2.
func Unescape(s string) (string, error) { panic("todo") }

// EscapeUser escapes a string for the user part of a SIP URI.
func EscapeUser(s string) string { panic("todo") }

// EscapeHeader escapes a string for a header value in a SIP URI (`?Replaces=...`).
func EscapeHeader(s string) string { panic("todo") }

// Equal compares by RFC 3261, 19.1.4.
func (u URI) Equal(v URI) bool { panic("todo") }

func quoteIfNeeded(s string) string { panic("todo") }

func appendQuoted(b []byte, s string) []byte { panic("todo") }

func trimBrackets(host string) string { panic("todo") }

func parsePort(s string) int { panic("todo") }
