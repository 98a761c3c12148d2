package board

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// The wire form: version (1), kind, then fields as uvarints and strings with their length before them. The head and each
// operation have their length before them as well, and what stands behind the fields known here is skipped, so that a newer
// node may add some.

// version is the first byte of a message. A node that cannot be understood by older ones takes another.
const version = 1

const flagGone, flagExclusive = 1, 2

// maxOps bounds the operations of one message.
const maxOps = 1 << 16

// Append encodes a message. Owners of facts are left out: they are who speaks.
func (m Message) Append(b []byte) []byte {
	head := appendString(nil, m.From)
	for _, v := range []uint64{m.Life.Number, m.Life.Process, m.Seq, m.Clock, m.To.Number, m.To.Process, m.Asking, uint64(m.Part), uint64(m.Parts)} {
		head = binary.AppendUvarint(head, v)
	}
	b = append(b, version, byte(m.Kind))
	b = binary.AppendUvarint(b, uint64(len(head)))
	b = append(b, head...)
	b = binary.AppendUvarint(b, uint64(len(m.Ops)))
	var scratch []byte
	for _, o := range m.Ops {
		scratch = o.append(scratch[:0])
		b = binary.AppendUvarint(b, uint64(len(scratch)))
		b = append(b, scratch...)
	}
	return b
}

func (o Op) append(b []byte) []byte {
	var flags uint64
	if o.Gone {
		flags |= flagGone
	}
	if o.Fact.Exclusive {
		flags |= flagExclusive
	}
	b = binary.AppendUvarint(b, flags)
	b = appendString(b, o.Fact.Kind)
	b = appendString(b, o.Fact.Key)
	b = binary.AppendUvarint(b, o.Fact.Claim)
	if o.Gone {
		return binary.AppendUvarint(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(o.Fact.Value)))
	return append(b, o.Fact.Value...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// SyntaxError says where a message cannot be read.
type SyntaxError struct {
	Offset int
	Why    string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("board: message at %d: %s", e.Offset, e.Why) }

// Parse reads a message; it keeps nothing of b. The error is a *SyntaxError.
func Parse(b []byte) (Message, error) {
	r := reader{b: b}
	var m Message
	if v := r.byte(); r.err == nil && v != version {
		r.fail(fmt.Sprintf("version %d; this node understands %d", v, version))
	}
	m.Kind = MessageKind(r.byte())
	if r.err == nil && (m.Kind < Beat || m.Kind > Stale) {
		r.fail("unknown " + m.Kind.String())
	}
	head := r.section()
	m.From = string(head.bytes())
	for _, v := range []*uint64{&m.Life.Number, &m.Life.Process, &m.Seq, &m.Clock, &m.To.Number, &m.To.Process, &m.Asking} {
		*v = head.uvarint()
	}
	m.Part, m.Parts = head.uint32(), head.uint32()
	if head.err == nil && m.From == "" {
		head.fail("nobody says it")
	}
	r.take(head)
	n := r.uvarint()
	if r.err == nil && (n > maxOps || n > uint64(len(b))) {
		r.fail(fmt.Sprintf("%d operations", n))
	}
	if r.err == nil && n > 0 {
		m.Ops = make([]Op, 0, n)
	}
	kind := ""
	for ; n > 0 && r.err == nil; n-- {
		s := r.section()
		o := s.op(m.From, kind)
		kind = o.Fact.Kind
		r.take(s)
		m.Ops = append(m.Ops, o)
	}
	if r.err != nil {
		return Message{}, r.err
	}
	return m, nil
}

// op reads one operation; kind is that of the one before, whose string is shared.
func (r *reader) op(owner, kind string) (o Op) {
	flags := r.uvarint()
	o.Gone, o.Fact.Exclusive = flags&flagGone != 0, flags&flagExclusive != 0
	o.Fact.Owner = owner
	if k := r.bytes(); string(k) != kind {
		kind = string(k)
	}
	o.Fact.Kind, o.Fact.Key, o.Fact.Claim = kind, string(r.bytes()), r.uvarint()
	v := r.bytes()
	if o.Gone || r.err != nil {
		return o
	}
	if !json.Valid(v) {
		r.fail("the value is not JSON")
	}
	o.Fact.Value = append(json.RawMessage(nil), v...)
	return o
}

// reader takes a message apart; after the first error everything reads as zero.
type reader struct {
	b    []byte
	base int // of b in the message
	at   int
	err  *SyntaxError
}

func (r *reader) fail(why string) {
	if r.err == nil {
		r.err = &SyntaxError{r.base + r.at, why}
	}
	r.at = len(r.b)
}

func (r *reader) byte() byte {
	if r.at >= len(r.b) {
		r.fail("it ends too early")
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		r.fail("a number is cut short or too large")
		return 0
	}
	r.at += n
	return v
}

func (r *reader) uint32() uint32 {
	v := r.uvarint()
	if v > 1<<32-1 {
		r.fail("the number is too large")
		return 0
	}
	return uint32(v)
}

// bytes reads a string.
func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)-r.at) {
		r.fail("a string is longer than the message")
		return nil
	}
	r.at += int(n)
	return r.b[r.at-int(n) : r.at]
}

// section reads what has its length before it. What its reader leaves is skipped.
func (r *reader) section() reader {
	b := r.bytes()
	return reader{b: b, base: r.base + r.at - len(b), err: r.err}
}

// take keeps the error of a section.
func (r *reader) take(s reader) {
	if r.err == nil && s.err != nil {
		r.err = s.err
		r.at = len(r.b)
	}
}
