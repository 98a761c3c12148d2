package ctiqbe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Version is the protocol version of a frame, as the client announces it in each.
type Version uint32

// The versions that are known.
const (
	Version11 Version = 0x00100000 // release 11.5
	Version12 Version = 0x00110000 // releases 12.5, 14 and 15
)

// Newest is the version that this package writes unless told otherwise.
const Newest = Version12

// Known tells whether a server should talk to a client of that version. The field refuses others with
// CTIERR_INCOMPATIBLE_PROTOCOL_VERSION.
func (v Version) Known() bool { return v == Version11 || v == Version12 }

func (v Version) String() string { return fmt.Sprintf("0x%08x", uint32(v)) }

// Bounds of a frame.
const (
	headSize   = 32
	lengthSize = 8          // the length counts what stands behind these
	magic      = 0xFFFFDDDD // bytes dd dd ff ff

	// DefaultLimit is the longest frame a Reader takes unless told otherwise, in bytes. No document names a bound; a
	// device of 80 lines needs 40 kB.
	DefaultLimit = 1 << 20

	// inflation bounds what the references of a frame may add up to, in lengths of the frame: honest frames refer to
	// every byte once.
	inflation = 8
)

// Header is the head of a frame.
type Header struct {
	Length       uint32 // bytes behind the first 8
	Second       uint32 // the second word; 0 in all frames ever seen
	Version      Version
	PDU          PDU
	FixedOffset  uint32
	FixedSize    uint32
	VariableSize uint32
}

// Error is a frame that is none, with the place where that shows.
type Error struct {
	Offset int // bytes from the start of the frame
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("ctiqbe: at offset %d: %s", e.Offset, e.Reason) }

func wrong(at int, format string, args ...any) *Error {
	return &Error{Offset: at, Reason: fmt.Sprintf(format, args...)}
}

func parseHeader(frame []byte) (h Header, err error) {
	if len(frame) < headSize {
		return h, wrong(len(frame), "a frame has a head of %d bytes, here are %d", headSize, len(frame))
	}
	h = Header{Length: le.Uint32(frame), Second: le.Uint32(frame[4:]), Version: Version(le.Uint32(frame[12:])), PDU: PDU(le.Uint32(frame[16:])),
		FixedOffset: le.Uint32(frame[20:]), FixedSize: le.Uint32(frame[24:]), VariableSize: le.Uint32(frame[28:])}
	if m := le.Uint32(frame[8:]); m != magic {
		return h, wrong(8, "the mark is 0x%08x, not 0x%08x", m, uint32(magic))
	}
	if int64(h.Length)+lengthSize != int64(len(frame)) {
		return h, wrong(0, "the head tells %d bytes, the frame has %d", int64(h.Length)+lengthSize, len(frame))
	}
	if h.FixedOffset < headSize || int64(h.FixedOffset)+int64(h.FixedSize) > int64(len(frame)) {
		return h, wrong(20, "a fixed area of %d bytes at offset %d of a frame of %d", h.FixedSize, h.FixedOffset, len(frame))
	}
	if int64(h.FixedOffset)+int64(h.FixedSize)+int64(h.VariableSize) > int64(len(frame)) {
		return h, wrong(28, "a variable area of %d bytes behind offset %d of a frame of %d", h.VariableSize, h.FixedOffset+h.FixedSize, len(frame))
	}
	return h, nil
}

// Parse reads one whole frame, head and all. It keeps nothing of frame. A number that is not known gives *Unknown and no
// error; fixed areas that are shorter or longer than ours are those of other versions, and are taken. Errors are *Error.
// The Header is as far as it could be read, so that a server can answer a frame whose body is wrong.
func Parse(frame []byte) (Message, Header, error) {
	h, err := parseHeader(frame)
	if err != nil {
		return nil, h, err
	}
	m, ok := New(h.PDU)
	if !ok {
		return parseUnknown(frame, h), h, nil
	}
	c := coder{frame: frame, at: int(h.FixedOffset), end: int(h.FixedOffset + h.FixedSize), budget: inflation*len(frame) + 4096}
	m.code(&c)
	if c.err != nil {
		return nil, h, c.err
	}
	return m, h, nil
}

func parseUnknown(frame []byte, h Header) *Unknown {
	u := &Unknown{Number: h.PDU, Raw: append([]byte(nil), frame[headSize:]...)}
	if h.FixedSize >= 4 {
		u.SequenceNumber = le.Uint32(frame[h.FixedOffset:])
	}
	return u
}

// SequenceOf is the first number of a frame's fixed area, for the answer to a request that could not be parsed.
func SequenceOf(frame []byte) uint32 {
	h, err := parseHeader(frame)
	if err != nil || h.FixedSize < 4 {
		return 0
	}
	return le.Uint32(frame[h.FixedOffset:])
}

// Append appends the frame of a message as a server writes it: booleans are 1, unicode ends with a NUL that counts.
func Append(dst []byte, v Version, m Message) []byte { return appendFrame(dst, v, m, false) }

// AppendClient appends the frame of a message as the field's client writes it: booleans are all ones, unicode has no
// end, and most empty strings are nothing.
func AppendClient(dst []byte, v Version, m Message) []byte { return appendFrame(dst, v, m, true) }

func appendFrame(dst []byte, v Version, m Message, client bool) []byte {
	fixed := 0
	u, unknown := m.(*Unknown)
	switch s := m.PDU().shape(); {
	case unknown:
		fixed = min(4, len(u.Raw))
	case v <= Version11 && v != 0:
		fixed = int(s.fixed10)
	default:
		fixed = int(s.fixed)
	}
	base := len(dst)
	dst = append(dst, make([]byte, headSize+fixed)...)
	if unknown {
		dst = append(dst[:base+headSize], u.Raw...)
	}
	c := coder{frame: dst, base: base, at: base + headSize, end: base + headSize + fixed, version: v, writing: true, client: client}
	m.code(&c)
	dst = c.frame
	head := dst[base:]
	le.PutUint32(head, uint32(len(head)-lengthSize))
	le.PutUint32(head[8:], magic)
	le.PutUint32(head[12:], uint32(v))
	le.PutUint32(head[16:], uint32(m.PDU()))
	le.PutUint32(head[20:], headSize)
	le.PutUint32(head[24:], uint32(fixed))
	le.PutUint32(head[28:], uint32(len(head)-headSize-fixed))
	return dst
}

// Reader cuts a stream into frames.
type Reader struct {
	r     *bufio.Reader
	limit int
	buf   []byte
}

// ErrTooBig is in the error for a frame over the limit.
var ErrTooBig = errors.New("the frame is over the limit")

// NewReader reads frames of at most limit bytes; 0 means DefaultLimit.
func NewReader(r io.Reader, limit int) *Reader {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Reader{r: bufio.NewReader(r), limit: limit}
}

// Next is the next whole frame, valid until the following call. io.EOF means that the stream ended between two frames,
// io.ErrUnexpectedEOF that it ended inside one; a frame over the limit is told before a byte of it is read.
func (r *Reader) Next() ([]byte, error) {
	head, err := r.r.Peek(12)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	length := int64(le.Uint32(head)) + lengthSize
	switch {
	case le.Uint32(head[8:]) != magic:
		return nil, wrong(8, "the mark is 0x%08x, not 0x%08x: the peer does not speak CTIQBE", le.Uint32(head[8:]), uint32(magic))
	case length < headSize:
		return nil, wrong(0, "the head tells %d bytes, less than a head", length)
	case length > int64(r.limit):
		return nil, fmt.Errorf("ctiqbe: a frame of %d bytes, %d are allowed: %w", length, r.limit, ErrTooBig)
	}
	if int64(cap(r.buf)) < length {
		r.buf = make([]byte, length)
	}
	r.buf = r.buf[:length]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return r.buf, nil
}
