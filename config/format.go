package config

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Format writes the site as a file Parse reads: fields that have their zero
// value are left out. Hashes of passwords are written only when reveal is set;
// otherwise "[redacted]" stands there, which Parse takes for "as it is now".
func Format(s *Site, reveal bool) []byte {
	f := &formatter{reveal: reveal}
	f.fields(reflect.ValueOf(*s), 0)
	return f.Bytes()
}

// FormatNode renders a node's configuration in the form that ParseNode reads; what is not set is left out.
func FormatNode(n *NodeConfig) []byte {
	f := &formatter{}
	f.fields(reflect.ValueOf(*n), 0)
	return f.Bytes()
}

type formatter struct {
	bytes.Buffer
	reveal bool
	// item is set when the next line opens a list item, whose "- " replaces two blanks.
	item bool
}

func (f *formatter) indent(depth int) {
	if f.item {
		f.WriteString(strings.Repeat("  ", depth-1) + "- ")
		f.item = false
		return
	}
	f.WriteString(strings.Repeat("  ", depth))
}

func (f *formatter) fields(v reflect.Value, depth int) {
	for i := range v.NumField() {
		name, inline := yamlName(v.Type().Field(i))
		switch x := v.Field(i); {
		case inline:
			f.fields(x, depth)
		case x.IsZero() || x.Kind() == reflect.Slice && x.Len() == 0:
		default:
			f.indent(depth)
			f.WriteString(name + ":")
			f.value(x, depth)
		}
	}
}

func (f *formatter) value(v reflect.Value, depth int) {
	if s, ok := f.scalar(v); ok {
		f.WriteString(" " + s + "\n")
		return
	}
	if v.Kind() == reflect.Struct {
		f.WriteByte('\n')
		f.fields(v, depth+1)
		return
	}
	if items, ok := f.flow(v); ok {
		f.WriteString(" [" + strings.Join(items, ", ") + "]\n")
		return
	}
	f.WriteByte('\n')
	for i := range v.Len() {
		f.item = true
		f.fields(v.Index(i), depth+2)
		if f.item { // an item without fields
			f.indent(depth + 2)
			f.WriteString("{}\n")
		}
	}
}

// flow spells a list of scalars on one line.
func (f *formatter) flow(v reflect.Value) ([]string, bool) {
	items := make([]string, v.Len())
	for i := range items {
		s, ok := f.scalar(v.Index(i))
		if !ok {
			return nil, false
		}
		items[i] = s
	}
	return items, true
}

func (f *formatter) scalar(v reflect.Value) (string, bool) {
	switch x := v.Interface().(type) {
	case revealer:
		if f.reveal {
			return strconv.Quote(x.Reveal()), true
		}
		return strconv.Quote(Redacted), true
	case encoding.TextMarshaler:
		text, _ := x.MarshalText()
		return string(text), true
	}
	switch v.Kind() {
	case reflect.String:
		return quoteYAML(v.String()), true
	case reflect.Int, reflect.Bool:
		return fmt.Sprint(v.Interface()), true
	}
	return "", false
}

// quoteYAML quotes what YAML could read as something else than text. Single
// quotes keep backslashes as they are.
func quoteYAML(s string) string {
	plain := s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/-.") == "" &&
		strings.Trim(s[:1], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" && !isYAMLWord(s)
	if plain {
		return s
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return strconv.Quote(s)
		}
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

func isYAMLWord(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return true
	}
	return false
}
