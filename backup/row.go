package backup

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/locktone/locktone/store"
)

// The tags of values.
const (
	tagNull    = 0
	tagInteger = 1 // 8 bytes, big endian
	tagReal    = 2 // 8 bytes, IEEE 754
	tagText    = 3 // 4 bytes of length, and the bytes
	tagBlob    = 4 // likewise
)

// appendRow appends the values of a row; each must be of its column's type.
func appendRow(b []byte, t store.Table, values []any) ([]byte, error) {
	if len(values) != len(t.Columns) {
		return nil, fmt.Errorf("backup: a row of %s has %d values, expected %d", t.Name, len(values), len(t.Columns))
	}
	for i, v := range values {
		want := tagOf(t.Columns[i].Type)
		switch v := v.(type) {
		case nil:
			b, want = append(b, tagNull), tagNull
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, tagInteger), uint64(v))
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, tagReal), math.Float64bits(v))
		case string:
			b = append(binary.BigEndian.AppendUint32(append(b, tagText), uint32(len(v))), v...)
		case []byte:
			b = append(binary.BigEndian.AppendUint32(append(b, tagBlob), uint32(len(v))), v...)
		}
		if got := tagFor(v); got != want {
			return nil, fmt.Errorf("backup: %s.%s holds a %T, which is not of its type %s", t.Name, t.Columns[i].Name, v, t.Columns[i].Type)
		}
	}
	return b, nil
}

func tagFor(v any) byte {
	switch v.(type) {
	case nil:
		return tagNull
	case int64:
		return tagInteger
	case float64:
		return tagReal
	case string:
		return tagText
	case []byte:
		return tagBlob
	}
	return 255
}

func tagOf(c store.ColumnType) byte {
	switch c {
	case store.Integer:
		return tagInteger
	case store.Real:
		return tagReal
	case store.Text:
		return tagText
	case store.Blob:
		return tagBlob
	}
	return 254
}

// parseRow reads the values of a row into row, which has one place for each column. Blobs are copies.
func parseRow(b []byte, t store.Table, row []any) error {
	whole := len(b)
	for i, c := range t.Columns {
		if len(b) == 0 {
			return fmt.Errorf("a row ends at byte %d before its column %s", whole, c.Name)
		}
		tag := b[0]
		at := whole - len(b)
		b = b[1:]
		if tag == tagNull {
			row[i] = nil
			continue
		}
		if tag != tagOf(c.Type) {
			return fmt.Errorf("byte %d: the column %s has a value of another type (%d)", at, c.Name, tag)
		}
		size := 8
		if tag == tagText || tag == tagBlob {
			if len(b) < 4 {
				return fmt.Errorf("byte %d: the column %s has no length", at, c.Name)
			}
			n := binary.BigEndian.Uint32(b)
			b = b[4:]
			if uint64(n) > uint64(len(b)) {
				return fmt.Errorf("byte %d: the column %s claims %d bytes, %d follow", at, c.Name, n, len(b))
			}
			size = int(n)
		}
		if len(b) < size {
			return fmt.Errorf("byte %d: the column %s is cut off", at, c.Name)
		}
		row[i] = value(tag, b[:size])
		b = b[size:]
	}
	if len(b) > 0 {
		return fmt.Errorf("%d bytes follow the last column", len(b))
	}
	return nil
}

func value(tag byte, b []byte) any {
	switch tag {
	case tagInteger:
		return int64(binary.BigEndian.Uint64(b))
	case tagReal:
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	case tagText:
		return string(b)
	}
	return append([]byte{}, b...)
}
