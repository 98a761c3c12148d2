package sip

import "strconv"

// ParseError says why a message cannot be accepted, and carries the answer.
type ParseError struct {
	Offset int      // bytes from the start of the message; from Validate and the value parsers, of the field's value
	Header string   // the field at fault, "" for the start line or the message as a whole
	What   string   // one sentence: what is wrong, what was expected
	Status int      // the status to answer with: 400, 505, 513 ...; 0 = drop silently (a response, an ACK)
	Reply  *Message // the response to send; nil when none may or can be built
	Fatal  bool     // on a stream: the end of the message is not known, close the connection after the reply
}

// Error is the sentence with its place.
func (e *ParseError) Error() string {
	place := e.Header
	if place == "" {
		place = "message"
	}
	return "sip: " + place + " at byte " + strconv.Itoa(e.Offset) + ": " + e.What
}
