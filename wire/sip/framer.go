package sip

import "io"

// Framer cuts a byte stream (TCP, TLS) into messages. RFC 3261, 18.3: Content-Length says where each ends. It holds at most
// one message of Limits.Message plus one read. It is owned by the connection's reader.
type Framer struct {
	Limits Limits
	buf    []byte
	start  int
}

// Frame is what the stream held next: exactly one of Message, Err, Ping and Pong is set.
type Frame struct {
	Message *Message    // framed and read; Validate comes next
	Err     *ParseError // send Err.Reply if it is not nil; close when Err.Fatal, otherwise go on with Next
	Ping    bool        // RFC 5626, 3.5.1: CRLF CRLF between messages; a server answers CRLF
	Pong    bool        // a single CRLF between messages: a peer's answer to our ping
	Raw     []byte      // the bytes of this frame, valid until the next Write, Fill or Next
}

// Fill reads once from r into the buffer.
func (f *Framer) Fill(r io.Reader) (int, error) { panic("todo") }

// Write adds bytes that were read elsewhere; it never fails.
func (f *Framer) Write(p []byte) (int, error) { panic("todo") }

// Next is the next frame; false when more bytes are needed. After a Fatal error it returns false for ever.
func (f *Framer) Next() (Frame, bool) { panic("todo") }

// Buffered is the number of bytes that wait for the rest of their message: 0 between messages.
func (f *Framer) Buffered() int { return len(f.buf) - f.start }
