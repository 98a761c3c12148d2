package sip

import (
	"bytes"
	"io"
	"slices"
)

// Framer cuts a byte stream (TCP, TLS) into messages. RFC 3261, 18.3: Content-Length says where each ends. It holds at most
// one message of Limits.Message plus one read. It is owned by the connection's reader.
type Framer struct {
	Limits Limits

	buf     []byte
	start   int  // first byte not yet handed out
	scanned int  // bytes after start known to hold no end of header
	newline int  // CRLFs in a row since the last message
	head    head // header of the message whose body is awaited; its message is nil between messages
	headLen int
	checked bool // the first line of what is buffered was looked at
	dead    bool
}

const (
	framerRead   = 2048  // room offered to one read: most messages fit
	framerRetain = 16384 // a larger buffer is given back when it is empty: phones are idle most of the time
)

// Frame is what the stream held next: exactly one of Message, Err, Ping and Pong is set.
type Frame struct {
	Message *Message    // framed and read; Validate comes next
	Err     *ParseError // send Err.Reply if it is not nil; close when Err.Fatal, otherwise go on with Next
	Ping    bool        // RFC 5626, 3.5.1: CRLF CRLF between messages; a server answers CRLF
	Pong    bool        // a single CRLF between messages: a peer's answer to our ping
	Raw     []byte      // the bytes of this frame, valid until the next Write or Fill
}

// Fill reads once from r into the buffer.
func (f *Framer) Fill(r io.Reader) (int, error) {
	f.room(framerRead)
	n, err := r.Read(f.buf[len(f.buf):cap(f.buf)])
	if !f.dead {
		f.buf = f.buf[:len(f.buf)+n]
	}
	return n, err
}

// Write adds bytes that were read elsewhere; it never fails. After a Fatal error it forgets them.
func (f *Framer) Write(p []byte) (int, error) {
	if !f.dead {
		f.room(len(p))
		f.buf = append(f.buf, p...)
	}
	return len(p), nil
}

// room moves what is left to the front and makes place for n more bytes.
func (f *Framer) room(n int) {
	if f.start > 0 {
		f.buf = f.buf[:copy(f.buf, f.buf[f.start:])]
		f.start = 0
	}
	if len(f.buf) == 0 && cap(f.buf) > framerRetain && n <= framerRetain {
		f.buf = nil
	}
	f.buf = slices.Grow(f.buf, n)
}

// Buffered is the number of bytes that wait for the rest of their message: 0 between messages.
func (f *Framer) Buffered() int { return len(f.buf) - f.start }

// Next is the next frame; false when more bytes are needed. After a Fatal error it returns false for ever.
func (f *Framer) Next() (Frame, bool) {
	if f.dead {
		return Frame{}, false
	}
	if f.head.m == nil {
		if frame, ok := f.keepAlive(); ok {
			return frame, true
		}
		if frame, ok := f.readHead(); ok || f.head.m == nil {
			return frame, ok
		}
	}
	return f.readBody()
}

// keepAlive takes the CRLFs between messages two by two.
func (f *Framer) keepAlive() (Frame, bool) {
	data := f.buf[f.start:]
	if f.scanned > 0 || len(data) < 2 || data[0] != '\r' || data[1] != '\n' {
		return Frame{}, false
	}
	if f.newline == 0 && len(data) >= 4 && data[2] == '\r' && data[3] == '\n' {
		return Frame{Ping: true, Raw: f.take(4)}, true
	}
	if f.newline == 0 && len(data) == 3 && data[2] == '\r' { // half of the second CRLF: wait for it
		return Frame{}, false
	}
	f.newline = 1 - f.newline
	if f.newline == 0 { // the second half of a ping that came in two reads
		return Frame{Ping: true, Raw: f.take(2)}, true
	}
	return Frame{Pong: true, Raw: f.take(2)}, true
}

func (f *Framer) take(n int) []byte {
	raw := f.buf[f.start : f.start+n]
	f.start += n
	return raw
}

// readHead waits for the end of the header fields, within the limits, and reads them.
func (f *Framer) readHead() (Frame, bool) {
	limits := f.Limits.withDefaults()
	data := f.buf[f.start:]
	if len(data) == 0 || len(data) == 1 && data[0] == '\r' || len(data) == 3 && data[0] == '\r' && data[1] == '\n' {
		return Frame{}, false
	}
	if classes[data[0]]&ctoken == 0 {
		return f.fatal(&ParseError{What: "this is not SIP: a message begins with a method or SIP/2.0", Fatal: true}, data)
	}
	n := headEnd(data, max(f.scanned-3, 0))
	if n < 0 && len(data) <= limits.Header {
		f.scanned = len(data)
		return f.garbage(data)
	}
	if n < 0 || n > limits.Header {
		h := limits.head(data[:limits.Header])
		return f.fatal(h.refuse(513, limits.Header, "", "the header fields exceed the limit"), data)
	}
	f.scanned, f.newline, f.checked = 0, 0, false
	h := limits.head(data[:n])
	switch {
	case !h.sip:
		h.fail(0, "", "this is not SIP")
		return f.fatal(h.finish(), data[:n])
	case h.lengths == 0:
		return f.fatal(h.refuse(400, n, "Content-Length", "on a stream Content-Length is mandatory"), data[:n])
	case h.lengths > 1 || h.length < 0: // RFC 3261, 18.3: where it ends is anybody's guess, and guessing is smuggling
		h.fail(n, "Content-Length", "more than one Content-Length, or one that is no number")
		return f.fatal(h.finish(), data[:n])
	case h.length > int64(limits.Message-n):
		return f.fatal(h.refuse(513, n, "Content-Length", "the message exceeds the limit"), data[:n])
	}
	f.head, f.headLen = h, n
	return Frame{}, false
}

// garbage gives up early on a stream whose first line is complete and no start line of SIP: an HTTP client, for example.
func (f *Framer) garbage(data []byte) (Frame, bool) {
	line, _, ok := bytes.Cut(data, []byte("\r\n"))
	if !ok || f.checked {
		return Frame{}, false
	}
	f.checked = true
	if bytes.Contains(bytes.ToUpper(line), []byte("SIP/")) {
		return Frame{}, false
	}
	return f.fatal(&ParseError{What: "this is not SIP: the first line names no SIP version"}, data)
}

func (f *Framer) fatal(e *ParseError, raw []byte) (Frame, bool) {
	e.Fatal = true
	f.dead, f.start = true, len(f.buf)
	return Frame{Err: e, Raw: raw}, true
}

// readBody waits for the body and hands out the message, or its fault: then the stream goes on behind it.
func (f *Framer) readBody() (Frame, bool) {
	h, size := &f.head, f.headLen+int(f.head.length)
	if f.Buffered() < size {
		f.room(size - f.Buffered())
		return Frame{}, false
	}
	raw := f.take(size)
	frame := Frame{Message: h.m, Raw: raw}
	switch {
	case h.fault != nil:
		frame.Message, frame.Err = nil, h.finish()
	case h.length > 0:
		h.m.body = bytes.Clone(raw[f.headLen:])
	}
	f.head = head{}
	return frame, true
}
