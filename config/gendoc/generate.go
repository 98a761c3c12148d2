package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/locktone/locktone/config"
)

// source is what the manual needs of the package's files.
type source struct {
	structs map[string]*ast.StructType
	docs    map[string]string   // of types
	values  map[string][]string // of enumerations
	order   []string            // types still to be described, in order of appearance
	seen    map[string]bool
	out     bytes.Buffer
}

const head = `# Configuration

<!-- Generated from the doc comments of package config by go generate; do not edit. -->

## The site

The site file is YAML and describes the whole cluster. ` + "`locktone plan FILE`" + ` says what it would change, ` + "`locktone apply FILE`" + `
changes it, all or nothing. A field that is left out has the default named below, which is never the weaker choice. Lists
are sets: their order does not matter unless a field says so. References are by name. YAML anchors and aliases are not
used; a value that begins with ` + "`*`, `#`, `&` or `!`" + `, such as a pattern, stands in single quotes.

A new cluster starts with this site:

`

// generate reads the package in dir and returns the manual.
func generate(dir string) ([]byte, error) {
	s, err := load(dir)
	if err != nil {
		return nil, err
	}
	s.out.WriteString(head + "```yaml\n")
	s.out.Write(config.Format(config.Default("node1"), false))
	s.out.WriteString("```\n")
	if err := s.describe("Site"); err != nil {
		return nil, err
	}
	s.out.WriteString("\n## The node\n\nEach machine has a small file of its own, which says what it must know before it can read the site.\n")
	if err := s.describe("NodeConfig"); err != nil {
		return nil, err
	}
	return s.out.Bytes(), nil
}

func load(dir string) (*source, error) {
	s := &source{structs: map[string]*ast.StructType{}, docs: map[string]string{}, values: map[string][]string{}, seen: map[string]bool{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			s.declaration(d)
		}
	}
	return s, nil
}

func (s *source) declaration(d ast.Decl) {
	switch d := d.(type) {
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if t, ok := spec.(*ast.TypeSpec); ok {
				s.docs[t.Name.Name] = oneLine(d.Doc)
				if st, ok := t.Type.(*ast.StructType); ok {
					s.structs[t.Name.Name] = st
				}
			}
		}
	case *ast.FuncDecl: // func (T) Values() []string { return []string{...} }
		if d.Name.Name != "Values" || d.Recv == nil || len(d.Body.List) != 1 {
			return
		}
		ret, ok := d.Body.List[0].(*ast.ReturnStmt)
		if !ok {
			return
		}
		for _, e := range ret.Results[0].(*ast.CompositeLit).Elts {
			text, _ := strconv.Unquote(e.(*ast.BasicLit).Value)
			name := d.Recv.List[0].Type.(*ast.Ident).Name
			s.values[name] = append(s.values[name], text)
		}
	}
}

// describe writes the tables of a type and of every type it holds.
func (s *source) describe(root string) error {
	s.order = append(s.order, root)
	for len(s.order) > 0 {
		name := s.order[0]
		s.order = s.order[1:]
		if s.seen[name] {
			continue
		}
		s.seen[name] = true
		if name != root {
			fmt.Fprintf(&s.out, "\n### %s\n\n%s\n", name, s.docs[name])
		}
		s.out.WriteString("\n| Field | Value | Meaning |\n|---|---|---|\n")
		if err := s.table(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) table(name string) error {
	for _, f := range s.structs[name].Fields.List {
		tag := ""
		if f.Tag != nil {
			raw, _ := strconv.Unquote(f.Tag.Value)
			_, tag, _ = strings.Cut(raw, `yaml:"`)
			tag, _, _ = strings.Cut(tag, `"`)
		}
		typ := typeName(f.Type)
		switch {
		case tag == ",inline":
			if err := s.table(typ); err != nil {
				return err
			}
			continue
		case oneLine(f.Doc) == "":
			return fmt.Errorf("field %s of %s has no doc comment", tag, name)
		}
		fmt.Fprintf(&s.out, "| `%s` | %s | %s |\n", tag, s.value(typ), strings.ReplaceAll(oneLine(f.Doc), "|", `\|`))
	}
	return nil
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.ArrayType:
		return "[]" + typeName(e.Elt)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}

// value says what may stand in a field, and queues the types it refers to.
func (s *source) value(typ string) string {
	if item, list := strings.CutPrefix(typ, "[]"); list {
		return "list of " + s.value(item)
	}
	if v := s.values[typ]; len(v) > 0 {
		return "`" + strings.Join(v, "`, `") + "` (the first is the default)"
	}
	if s.structs[typ] != nil && typ != "Verifier" && typ != "DigestVerifier" && typ != "Password" {
		s.order = append(s.order, typ)
		return "[" + typ + "](#" + strings.ToLower(typ) + ")"
	}
	switch typ {
	case "string":
		return "text"
	case "int":
		return "number"
	case "bool":
		return "true, false"
	case "Duration":
		return "duration"
	case "Verifier", "DigestVerifier":
		return "password or hash"
	case "Password":
		return "password"
	}
	return typ
}

func oneLine(g *ast.CommentGroup) string {
	if g == nil {
		return ""
	}
	return strings.Join(strings.Fields(g.Text()), " ")
}
