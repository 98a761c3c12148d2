package expression

import (
	"math"
	"strconv"
	"strings"
)

type kind uint8

const (
	nothing kind = iota
	number
	text
	truth
)

// A Value is a number, a text or a truth value; the zero Value is none of them.
type Value struct {
	kind kind
	num  float64 // of a truth value 1 or 0
	text string
}

// Number makes a number; what is none (NaN, infinity) becomes no value.
func Number(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{kind: number, num: f}
}

// Text makes a text.
func Text(s string) Value { return Value{kind: text, text: s} }

// Bool makes a truth value.
func Bool(b bool) Value {
	if b {
		return Value{kind: truth, num: 1}
	}
	return Value{kind: truth}
}

// Read makes a truth value of true and false, a number of what reads as one, and a text of the rest.
func Read(s string) Value {
	switch s {
	case "true":
		return Bool(true)
	case "false":
		return Bool(false)
	}
	if f, ok := Text(s).Number(); ok && strconv.FormatFloat(f, 'f', -1, 64) == s { // 007 stays text: it is dialled, not counted
		return Number(f)
	}
	return Text(s)
}

// IsZero says that there is no value.
func (v Value) IsZero() bool { return v.kind == nothing }

// True reports whether the value counts as true: the truth value, a number other than 0, a text other than the empty one,
// "0" and "false".
func (v Value) True() bool {
	switch v.kind {
	case number, truth:
		return v.num != 0
	case text:
		return v.text != "" && v.text != "0" && v.text != "false"
	}
	return false
}

// Number reads the value as a number; true is 1, false 0.
func (v Value) Number() (f float64, ok bool) {
	switch v.kind {
	case number, truth:
		return v.num, true
	case text:
		if strings.Trim(v.text, "0123456789.-") != "" || v.text == "" || len(v.text) > 15 { // no 0x, 1e9, Inf; more digits than a float holds are a name
			return 0, false
		}
		f, err := strconv.ParseFloat(v.text, 64)
		return f, err == nil
	}
	return 0, false
}

// String is the value as text: how it is spoken and stored.
func (v Value) String() string {
	switch v.kind {
	case number:
		return strconv.FormatFloat(v.num, 'f', -1, 64)
	case truth:
		return strconv.FormatBool(v.num != 0)
	}
	return v.text
}

// compare orders two values: as numbers when both are, else as text.
func compare(a, b Value) int {
	x, okX := a.Number()
	y, okY := b.Number()
	if okX && okY {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	return strings.Compare(a.String(), b.String())
}
