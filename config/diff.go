package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"sort"
	"strings"
)

// Op says what becomes of an entity.
type Op uint8

// The three ops.
const (
	OpNone Op = iota
	OpAdd
	OpChange
	OpRemove
)

// Values lists the spellings of Op.
func (Op) Values() []string { return []string{"none", "add", "change", "remove"} }

func (o Op) String() string { return enumString(o, o.Values()) }

// MarshalText writes the op as text.
func (o Op) MarshalText() ([]byte, error) { return enumText(o, o.Values()) }

// UnmarshalText reads one of Values.
func (o *Op) UnmarshalText(b []byte) error { return enumParse(o, o.Values(), b) }

// Change is one entity added, changed or removed.
type Change struct {
	Op   Op     `json:"op"`
	Kind Kind   `json:"kind"`
	Key  string `json:"key"`
	// Fields that differ; for an added or removed entity those that are set.
	Fields []FieldChange `json:"fields,omitempty"`
	// Before and After are the entity's values (nil where there is none). They
	// are shared with the sites compared and must not be modified.
	Before Entity `json:"-"`
	After  Entity `json:"-"`
}

// FieldChange is one field's old and new value as text; secrets read "[redacted]".
type FieldChange struct {
	Field string `json:"field"` // lines[0].label
	Old   string `json:"old,omitempty"`
	New   string `json:"new,omitempty"`
}

func (f FieldChange) String() string {
	return fmt.Sprintf("%s: %s -> %s", f.Field, orNone(f.Old), orNone(f.New))
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// String is the first line of a change in a plan: "+ device alice".
func (c Change) String() string {
	return [...]string{"?", "+", "~", "-"}[c.Op&3] + " " + string(c.Kind) + " " + c.Key
}

// Diff lists what turns old into new, ordered by kind (as in Site) and key. A
// nil site is an empty one.
func Diff(old, new *Site) []Change {
	was, is := index(old), index(new)
	var out []Change
	for _, k := range kinds() {
		for _, key := range unionKeys(was[k], is[k]) {
			if c := compare(k, key, was[k][key], is[k][key]); c.Op != OpNone {
				out = append(out, c)
			}
		}
	}
	return out
}

func index(s *Site) map[Kind]map[string]Entity {
	m := map[Kind]map[string]Entity{}
	if s == nil {
		return m
	}
	for _, e := range s.Entities() {
		if m[e.Kind()] == nil {
			m[e.Kind()] = map[string]Entity{}
		}
		m[e.Kind()][e.Key()] = e
	}
	return m
}

func unionKeys(a, b map[string]Entity) []string {
	keys := make([]string, 0, len(a)+len(b))
	for k := range a {
		keys = append(keys, k)
	}
	for k := range b {
		if _, dup := a[k]; !dup {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	return keys
}

func compare(k Kind, key string, before, after Entity) Change {
	c := Change{Kind: k, Key: key, Before: before, After: after, Op: OpChange}
	switch {
	case before == nil:
		c.Op = OpAdd
	case after == nil:
		c.Op = OpRemove
	case reflect.DeepEqual(before, after):
		return Change{}
	}
	c.Fields = fieldChanges(flatten(before), flatten(after))
	if c.Op == OpChange && len(c.Fields) == 0 {
		return Change{} // nil and empty list are the same
	}
	return c
}

type field struct{ path, value, secret string }

func fieldChanges(was, is []field) []FieldChange {
	var out []FieldChange
	old := map[string]field{}
	for _, f := range was {
		old[f.path] = f
	}
	for _, f := range is {
		o := old[f.path]
		delete(old, f.path)
		if o.value != f.value || o.secret != f.secret {
			out = append(out, FieldChange{f.path, o.value, f.value})
		}
	}
	for _, f := range was {
		if o, left := old[f.path]; left {
			out = append(out, FieldChange{o.path, o.value, ""})
		}
	}
	return out
}

// flatten lists the fields of an entity that are set, in declaration order.
func flatten(e Entity) []field {
	if e == nil {
		return nil
	}
	var out []field
	flattenValue(reflect.ValueOf(e), "", &out)
	return out
}

func flattenValue(v reflect.Value, path string, out *[]field) {
	if v.IsZero() {
		return
	}
	if s, ok := v.Interface().(revealer); ok {
		*out = append(*out, field{path, Redacted, s.Reveal()})
		return
	}
	if t, ok := v.Interface().(fmt.Stringer); ok {
		*out = append(*out, field{path, t.String(), ""})
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			flattenValue(v.Field(i), joinPath(path, v.Type().Field(i)), out)
		}
	case reflect.Slice:
		if s, ok := stringList(v); ok {
			*out = append(*out, field{path, s, ""})
			return
		}
		for i := range v.Len() {
			flattenValue(v.Index(i), fmt.Sprintf("%s[%d]", path, i), out)
		}
	default:
		*out = append(*out, field{path, fmt.Sprint(v.Interface()), ""})
	}
}

// stringList prints a list of scalars on one line, since its order and
// membership are what a reader compares.
func stringList(v reflect.Value) (string, bool) {
	if v.Type().Elem().Kind() == reflect.Struct {
		return "", false
	}
	items := make([]string, v.Len())
	for i := range items {
		items[i] = fmt.Sprint(v.Index(i).Interface())
	}
	return "[" + strings.Join(items, ", ") + "]", true
}

func joinPath(path string, f reflect.StructField) string {
	name, inline := yamlName(f)
	if inline || name == "" {
		return path
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func yamlName(f reflect.StructField) (name string, inline bool) {
	name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name, opts == "inline"
}

type revealer interface{ Reveal() string }

// Stored is an entity as the store keeps it: a JSON document without secrets,
// and the secrets by field beside it.
type Stored struct {
	Kind   Kind
	Key    string
	Doc    json.RawMessage
	Secret Secrets
}

// Secrets are the secret fields of one entity by field path, for the store
// only. They print as "[redacted]".
type Secrets map[string]string

func (s Secrets) String() string { return redact(strings.Repeat("x", min(len(s), 1))) }

// GoString keeps %#v from printing secrets.
func (s Secrets) GoString() string { return s.String() }

// LogValue keeps slog from printing secrets.
func (s Secrets) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON writes "[redacted]": package store encodes the plain map.
func (s Secrets) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }
