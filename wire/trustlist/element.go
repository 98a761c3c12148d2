package trustlist

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A FormatError says where a file stops making sense.
type FormatError struct {
	Offset int    // from the start of the file
	What   string // what is wrong and what was expected
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("trust list: offset %d: %s", e.Offset, e.What)
}

func malformed(offset int, format string, args ...any) error {
	return &FormatError{Offset: offset, What: fmt.Sprintf(format, args...)}
}

// An Element is one tag-length-value. A container has Children and no Value.
type Element struct {
	Tag      uint8
	Bare     bool // a run of padding: Value is the run itself, there is no length
	Offset   int  // of the tag, in the file
	Value    []byte
	Children []Element
}

const elementHead = 3 // tag u8, length u16

// containers are the header tags whose value is elements.
var containers = [...]uint8{TagSignerID, TagSignatureInfo, TagSignatureAlgorithmInfo, TagEncryptionInfo, TagIVInfo, TagKeyInfo}

func isContainer(tag uint8) bool { return bytes.IndexByte(containers[:], tag) >= 0 }

// next cuts one plain element from b, which stands at offset in the file.
func next(b []byte, offset int) (Element, []byte, error) {
	if len(b) < elementHead {
		return Element{}, nil, malformed(offset, "%d bytes left, an element has a tag and two bytes of length", len(b))
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	if n > len(b)-elementHead {
		return Element{}, nil, malformed(offset, "element with tag %d claims %d bytes, %d are left", b[0], n, len(b)-elementHead)
	}
	return Element{Tag: b[0], Offset: offset, Value: b[elementHead : elementHead+n : elementHead+n]}, b[elementHead+n:], nil
}

// plainElements splits the elements of a record.
func plainElements(b []byte, offset int) ([]Element, error) {
	all := make([]Element, 0, 10) // as many as a full record has
	for len(b) > 0 {
		e, rest, err := next(b, offset)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
		offset, b = offset+len(b)-len(rest), rest
	}
	return all, nil
}

// maxDepth is how deep containers go: ENCRYPTION INFO holds KEY INFO. One more is harmless, a thousand is an attack.
const maxDepth = 4

// headerElements splits a header, or one of its containers when depth is not zero.
func headerElements(b []byte, offset, depth int) ([]Element, error) {
	var all []Element
	if depth == 0 {
		all = make([]Element, 0, 9)
	}
	for len(b) > 0 {
		if b[0] == TagPadding && depth == 0 {
			n := len(b) - len(bytes.TrimLeft(b, "\r"))
			all = append(all, Element{Tag: TagPadding, Bare: true, Offset: offset, Value: b[:n:n]})
			offset, b = offset+n, b[n:]
			continue
		}
		e, rest, err := next(b, offset)
		if err != nil {
			return nil, err
		}
		if isContainer(e.Tag) && depth < maxDepth {
			if e.Children, err = headerElements(e.Value, offset+elementHead, depth+1); err != nil {
				return nil, err
			}
			e.Value = nil
		}
		all = append(all, e)
		offset, b = offset+len(b)-len(rest), rest
	}
	return all, nil
}

// appendElements writes elements as they were read.
func appendElements(b []byte, all []Element) []byte {
	for _, e := range all {
		if e.Bare {
			b = append(b, e.Value...)
			continue
		}
		b = append(b, e.Tag, 0, 0)
		start := len(b)
		if e.Children != nil {
			b = appendElements(b, e.Children)
		} else {
			b = append(b, e.Value...)
		}
		binary.BigEndian.PutUint16(b[start-2:], uint16(len(b)-start))
	}
	return b
}
