package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// decoder walks a YAML tree against Go structs. It goes on after a mistake, so
// that one run reports all of them, and remembers where every field stood.
type decoder struct {
	file  string
	errs  Errors
	where map[string]position // by path: devices[3].lines[0].number
	nodes map[string]ast.Node // elements of lists, by path
	plain map[string]string   // secrets as the file has them, by path
	// unusable is set when there is no tree to check; decoded when the tree has
	// been read, after which a field that could not be is not reported again.
	unusable, decoded bool
	unread            map[string]bool
}

type position struct{ line, column int }

func newDecoder(file string) *decoder {
	return &decoder{file: file, where: map[string]position{}, nodes: map[string]ast.Node{}, plain: map[string]string{}, unread: map[string]bool{}}
}

// fail reports a mistake at a path; a path the file does not have takes the
// position of the nearest one around it.
func (d *decoder) fail(path, problem, expected string) {
	for p := path; d.decoded && p != ""; p = parentPath(p) {
		if d.unread[p] {
			return
		}
	}
	d.unread[path] = d.unread[path] || !d.decoded
	e := Error{File: d.file, Field: path, Problem: problem, Expected: expected}
	for p := path; ; p = parentPath(p) {
		if at, ok := d.where[p]; ok {
			e.Line, e.Column = at.line, at.column
			break
		}
		if p == "" {
			break
		}
	}
	d.errs = append(d.errs, e)
}

func parentPath(p string) string {
	return p[:max(strings.LastIndexAny(p, ".["), 0)]
}

func (d *decoder) document(data []byte, v reflect.Value) {
	f, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return
	}
	docs := f.Docs[:0:0]
	for _, doc := range f.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType {
			docs = append(docs, doc)
		}
	}
	switch len(docs) {
	case 0: // an empty file is an empty configuration
	case 1:
		d.value(docs[0].Body, v, "")
		d.decoded = true
	default:
		d.mark("", docs[1].Body)
		d.fail("", "the file holds more than one YAML document", "expected one; remove the line --- between them")
	}
}

func (d *decoder) syntax(err error) {
	d.unusable = true
	e := Error{File: d.file, Problem: "not YAML: " + firstLine(err.Error()), Expected: "expected keys and values indented with blanks"}
	var s *yaml.SyntaxError
	if errors.As(err, &s) {
		e.Problem = "not YAML: " + s.Message
		switch {
		case strings.Contains(s.Message, "escape"):
			e.Expected = `in double quotes a backslash is special; write '\+49' in single quotes`
		case strings.Contains(s.Message, "tab") || strings.Contains(s.Message, "'\t'"):
			e.Expected = "expected lines indented with blanks, not with tabs"
		}
		if s.Token != nil && s.Token.Position != nil {
			e.Line, e.Column = s.Token.Position.Line, s.Token.Position.Column
		}
	}
	d.errs = append(d.errs, e)
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

func (d *decoder) mark(path string, n ast.Node) {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key // its own token is the first colon
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		d.where[path] = position{t.Position.Line, t.Position.Column}
	}
}

// value decodes one node into v. A null leaves the zero value.
func (d *decoder) value(n ast.Node, v reflect.Value, path string) {
	if _, known := d.where[path]; !known {
		d.mark(path, n)
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.fail(path, fmt.Sprintf("YAML anchors, aliases and tags are not used here (%s)", n.GetToken().Value),
			"a value that begins with &, * or ! must be put in quotes")
		return
	}
	switch {
	case isSecret(v):
		d.secret(n, v, path)
	case isText(v):
		d.text(n, v, path)
	case v.Kind() == reflect.Struct:
		d.mapping(n, v, path)
	case v.Kind() == reflect.Slice:
		d.sequence(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

func isText(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	return ok
}

func isSecret(v reflect.Value) bool {
	_, ok := v.Interface().(revealer)
	return ok
}

func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, path string) {
	values, ok := pairs(n)
	if !ok {
		d.fail(path, "found "+describe(n), "expected fields: "+listOf(fieldNames(v.Type())))
		return
	}
	seen := map[string]bool{}
	for _, kv := range values {
		name := kv.Key.GetToken().Value
		sub := strings.TrimPrefix(path+"."+name, ".")
		f, known := fieldByName(v, name)
		switch {
		case !known:
			d.mark(sub, kv.Key)
			hint := suggest(name, fieldNames(v.Type()), "known are")
			if sub == "cluster.mediaConversion" {
				hint = "it is mixedCalls now: refused is refuse, allowed is anchor"
			}
			if name == "receiveSRTPKeys" {
				hint = "it is a group now: groups: [standard-cti-enabled, standard-cti-secure-connection, standard-cti-allow-reception-of-srtp-key-material]"
			}
			d.fail(sub, "there is no field "+strconv.Quote(name), hint)
		case seen[name]:
			d.where[sub] = position{kv.Key.GetToken().Position.Line, kv.Key.GetToken().Position.Column}
			d.fail(sub, "the field is given twice", "remove one")
		default:
			d.mark(sub, kv.Key)
			d.value(kv.Value, f, sub)
		}
		seen[name] = true
	}
}

func (d *decoder) sequence(n ast.Node, v reflect.Value, path string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fail(path, "found "+describe(n), "expected a list, each item on a line that begins with -")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values))
	for i, item := range s.Values {
		sub := fmt.Sprintf("%s[%d]", path, i)
		d.nodes[sub] = item
		d.mark(sub, item)
		if _, null := item.(*ast.NullNode); null {
			d.fail(sub, "the item is empty", "fill it in or remove the -")
			continue
		}
		d.value(item, out.Index(i), sub)
	}
	v.Set(out)
}

// scalarText is the text of a scalar as the file spells it: 0049 stays 0049.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func (d *decoder) text(n ast.Node, v reflect.Value, path string) {
	s, ok := scalarText(n)
	e, isEnum := v.Interface().(enumerated)
	if !ok {
		want := "expected a duration with its unit, such as 500ms, 90s or 30m"
		if isEnum {
			want = "expected one of " + listOf(e.Values())
		}
		d.fail(path, "found "+describe(n), want)
		return
	}
	err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
	switch {
	case err == nil:
	case isEnum:
		d.fail(path, fmt.Sprintf("%q is not a value of this field", s), suggest(s, e.Values(), "expected one of"))
	default:
		d.fail(path, fmt.Sprintf("%q is not a duration", s), "expected a number with its unit, such as 500ms, 90s or 30m")
	}
}

func (d *decoder) secret(n ast.Node, _ reflect.Value, path string) {
	s, ok := scalarText(n)
	if !ok {
		d.fail(path, "found "+describe(n), "expected a password as text; put it in quotes")
		return
	}
	d.plain[path] = s
}

func (d *decoder) scalar(n ast.Node, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.String:
		if s, ok := scalarText(n); ok {
			v.SetString(s)
			return
		}
		d.fail(path, "found "+describe(n), "expected text; put it in quotes")
	case reflect.Int:
		s, ok := scalarText(n)
		if i, err := strconv.Atoi(s); ok && err == nil {
			v.SetInt(int64(i))
			return
		}
		d.fail(path, "found "+describe(n), "expected a whole number")
	case reflect.Bool:
		if b, ok := n.(*ast.BoolNode); ok {
			v.SetBool(b.Value)
			return
		}
		d.fail(path, "found "+describe(n), "expected true or false")
	default:
		d.fail(path, "the field cannot be read from a file", "remove it")
	}
}

func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "fields"
	case *ast.SequenceNode:
		return "a list"
	case *ast.BoolNode:
		return "the truth value " + n.GetToken().Value
	}
	if s, ok := scalarText(n); ok {
		return strconv.Quote(s)
	}
	return "a " + strings.ToLower(n.Type().String())
}

func fieldNames(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		name, inline := yamlName(t.Field(i))
		if inline {
			out = append(out, fieldNames(t.Field(i).Type)...)
		} else if name != "" {
			out = append(out, name)
		}
	}
	return out
}

func fieldByName(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		tag, inline := yamlName(v.Type().Field(i))
		if inline {
			if f, ok := fieldByName(v.Field(i), name); ok {
				return f, true
			}
		} else if tag == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}
