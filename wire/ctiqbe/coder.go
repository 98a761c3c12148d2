package ctiqbe

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// coder walks the fields of a message in the order of the wire, and either fills them from a frame or writes them into
// one: a message has one method for both ways, so the two cannot drift apart.
//
// A fixed area is walked from at to end; what the fields refer to stands behind it. All offsets count from the first
// byte of the frame, in nested structures too.
type coder struct {
	frame   []byte // reading: the whole frame; writing: dst, the frame begins at base
	base    int
	at, end int
	version Version
	writing bool
	client  bool   // writing as a client does
	budget  int    // reading: what may still be copied out of the frame
	err     *Error // reading: the first error
}

var le = binary.LittleEndian

// field is where the next n bytes of the fixed area stand; false where the area is over, which is a peer of another
// version, and the field stays as it is.
func (c *coder) field(n int) (int, bool) {
	if c.err != nil || c.end-c.at < n {
		c.at = c.end
		return 0, false
	}
	at := c.at
	c.at += n
	return at, true
}

// since tells whether a field of that protocol version is on the wire. A reader takes what there is.
func (c *coder) since(v uint32) bool { return !c.writing || uint32(c.version)>>16 >= v }

func (c *coder) fail(at int, format string, args ...any) {
	if c.err == nil {
		c.err = wrong(at, format, args...)
	}
}

func number[T ~uint32](c *coder, v *T) {
	at, ok := c.field(4)
	switch {
	case !ok:
	case c.writing:
		le.PutUint32(c.frame[at:], uint32(*v))
	default:
		*v = T(le.Uint32(c.frame[at:]))
	}
}

func (c *coder) numbers(vs ...*uint32) {
	for _, v := range vs {
		number(c, v)
	}
}

// bools are zero or not. Servers write 1, the client of the field writes all ones.
func (c *coder) bools(vs ...*bool) {
	for _, v := range vs {
		at, ok := c.field(4)
		switch {
		case !ok:
		case !c.writing:
			*v = le.Uint32(c.frame[at:]) != 0
		case *v && c.client:
			le.PutUint32(c.frame[at:], 0xFFFFFFFF)
		case *v:
			le.PutUint32(c.frame[at:], 1)
		}
	}
}

// refer writes a reference, offset and size and whatever else it has, to n bytes that are appended; it returns those bytes.
func (c *coder) refer(at, n int, more ...int) []byte {
	start := len(c.frame)
	c.frame = append(c.frame, make([]byte, n)...)
	le.PutUint32(c.frame[at:], uint32(start-c.base))
	le.PutUint32(c.frame[at+4:], uint32(n))
	for i, v := range more {
		le.PutUint32(c.frame[at+8+4*i:], uint32(v))
	}
	return c.frame[start:]
}

// target reads a reference and is what it refers to, checked against the frame and charged to the budget. start is the
// offset of those bytes.
func (c *coder) target(at int) (b []byte, start int, ok bool) {
	return c.span(at, int64(le.Uint32(c.frame[at:])), int64(le.Uint32(c.frame[at+4:])))
}

func (c *coder) span(at int, start, size int64) ([]byte, int, bool) {
	if size == 0 {
		return nil, 0, true
	}
	if start < headSize || start+size > int64(len(c.frame)) {
		c.fail(at, "refers to %d bytes at offset %d of a frame of %d", size, start, len(c.frame))
		return nil, 0, false
	}
	if c.budget -= int(size); c.budget < 0 {
		c.fail(at, "references overlap: the frame of %d bytes would become more than %d times as much", len(c.frame), inflation)
		return nil, 0, false
	}
	return c.frame[start : start+size], int(start), true
}

func (c *coder) blobs(vs ...*[]byte) {
	for _, v := range vs {
		at, ok := c.field(8)
		if !ok {
			continue
		}
		if c.writing {
			copy(c.refer(at, len(*v)), *v)
			continue
		}
		if b, _, ok := c.target(at); ok && len(b) > 0 {
			*v = append([]byte(nil), b...)
		}
	}
}

// strings are bytes with a NUL behind them that the size counts. The client of the field writes most empty ones as
// nothing at all.
func (c *coder) strings(vs ...*string) {
	for _, v := range vs {
		c.string(v, c.client)
	}
}

// stringOrNUL is a string that the client of the field writes as a NUL where it is empty.
func (c *coder) stringOrNUL(v *string) { c.string(v, false) }

func (c *coder) string(v *string, mayVanish bool) {
	at, ok := c.field(8)
	switch {
	case !ok:
	case !c.writing:
		if b, _, ok := c.target(at); ok {
			if n := len(b); n > 0 && b[n-1] == 0 {
				b = b[:n-1]
			}
			*v = string(b)
		}
	case *v == "" && mayVanish:
		c.refer(at, 0)
	default:
		copy(c.refer(at, len(*v)+1), *v)
	}
}

// unicodes are UTF-16. A server ends them with a NUL and counts it, because the client of the field drops the last
// element, and reads an empty reference wrongly; the client sends neither NUL nor anything for an empty one.
func (c *coder) unicodes(vs ...*string) {
	for _, v := range vs {
		at, ok := c.field(16)
		switch {
		case !ok:
		case c.writing:
			c.putUnicode(at, *v)
		default:
			*v = c.unicode(at)
		}
	}
}

func (c *coder) putUnicode(at int, v string) {
	n := 0
	for _, r := range v {
		n += max(utf16.RuneLen(r), 1)
	}
	if !c.client {
		n++
	}
	b := c.refer(at, 2*n, n, 2)
	for _, r := range v {
		if r1, r2 := utf16.EncodeRune(r); r1 != utf8.RuneError {
			le.PutUint16(b, uint16(r1))
			le.PutUint16(b[2:], uint16(r2))
			b = b[4:]
			continue
		}
		le.PutUint16(b, uint16(r))
		b = b[2:]
	}
}

func (c *coder) unicode(at int) string {
	count, width := int64(le.Uint32(c.frame[at+8:])), int64(le.Uint32(c.frame[at+12:]))
	if size := int64(le.Uint32(c.frame[at+4:])); size == 0 || count == 0 {
		return ""
	}
	if width != 2 {
		c.fail(at+12, "unicode of %d bytes an element: 2 are known", width)
		return ""
	}
	b, _, ok := c.span(at, int64(le.Uint32(c.frame[at:])), count*width)
	if !ok {
		return ""
	}
	units := make([]uint16, count)
	for i := range units {
		units[i] = le.Uint16(b[2*i:])
	}
	if units[count-1] == 0 {
		units = units[:count-1]
	}
	return string(utf16.Decode(units))
}

// coded is a structure.
type coded interface{ code(*coder) }

// nested is a structure behind a reference of offset, size and size of its own fixed area.
func (c *coder) nested(v coded, fixed int) {
	at, ok := c.field(12)
	if !ok {
		return
	}
	if c.writing {
		start := len(c.frame)
		c.refer(at, fixed, fixed)
		c.inside(v, start, start+fixed)
		le.PutUint32(c.frame[at+4:], uint32(len(c.frame)-start))
		return
	}
	size, own := int64(le.Uint32(c.frame[at+4:])), int64(le.Uint32(c.frame[at+8:]))
	if own > size {
		c.fail(at+8, "a structure of %d bytes has a fixed area of %d", size, own)
		return
	}
	b, start, ok := c.span(at, int64(le.Uint32(c.frame[at:])), own)
	if ok {
		c.inside(v, start, start+len(b))
	}
}

// inside walks a structure's own fixed area.
func (c *coder) inside(v coded, at, end int) {
	outerAt, outerEnd := c.at, c.end
	c.at, c.end = at, end
	v.code(c)
	c.at, c.end = outerAt, outerEnd
}

// elements reads the reference of an array: where it begins, how many elements, how far apart. cost is what an element
// becomes at least.
func (c *coder) elements(at, cost int) (start, count, stride int, ok bool) {
	n, width := int64(le.Uint32(c.frame[at+8:])), int64(le.Uint32(c.frame[at+12:]))
	if n == 0 {
		return 0, 0, 0, true
	}
	if width == 0 {
		c.fail(at+12, "an array of %d elements of no size", n)
		return 0, 0, 0, false
	}
	if n > int64(len(c.frame)) || width > int64(len(c.frame)) {
		c.fail(at+8, "an array of %d elements of %d bytes in a frame of %d", n, width, len(c.frame))
		return 0, 0, 0, false
	}
	_, start, ok = c.span(at, int64(le.Uint32(c.frame[at:])), n*width)
	if extra := int(n) * cost; ok && extra > int(n*width) {
		if c.budget -= extra - int(n*width); c.budget < 0 {
			c.fail(at+8, "an array of %d elements in a frame of %d bytes", n, len(c.frame))
			return 0, 0, 0, false
		}
	}
	return start, int(n), int(width), ok
}

// numberList is an array of numbers. The client of the field tells 16 bytes an element for its size, of which 4 hold the
// number: count and element size are what is to be believed.
func numberList[T ~uint32](c *coder, v *[]T) {
	at, ok := c.field(16)
	if !ok {
		return
	}
	if c.writing {
		size := 4 * len(*v)
		if c.client {
			size = 16 * len(*v)
		}
		b := c.refer(at, size, len(*v), 4)
		for i, n := range *v {
			le.PutUint32(b[4*i:], uint32(n))
		}
		return
	}
	start, count, stride, ok := c.elements(at, 4)
	if !ok || count == 0 {
		return
	}
	if stride < 4 {
		c.fail(at+12, "numbers of %d bytes", stride)
		return
	}
	*v = make([]T, count)
	for i := range *v {
		(*v)[i] = T(le.Uint32(c.frame[start+i*stride:]))
	}
}

// list is an array of structures: all fixed areas, then all that they refer to.
func list[T any, P interface {
	*T
	coded
}](c *coder, v *[]T, fixed int) {
	at, ok := c.field(16)
	if !ok {
		return
	}
	if c.writing {
		stride := fixed
		if len(*v) == 0 && c.client {
			stride = 0
		}
		start := len(c.frame)
		c.refer(at, fixed*len(*v), len(*v), stride)
		for i := range *v {
			c.inside(P(&(*v)[i]), start+i*fixed, start+(i+1)*fixed)
		}
		le.PutUint32(c.frame[at+4:], uint32(len(c.frame)-start))
		return
	}
	start, count, stride, ok := c.elements(at, fixed)
	if !ok || count == 0 {
		return
	}
	*v = make([]T, count)
	for i := range *v {
		c.inside(P(&(*v)[i]), start+i*stride, start+(i+1)*stride)
	}
}
