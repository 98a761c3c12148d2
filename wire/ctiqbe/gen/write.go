package main

import (
	"fmt"
	"sort"
	"strings"
)

// files writes everything.
func (s *schema) files() []file {
	structs := &shelf{stem: "structs"}
	for _, t := range s.structs {
		if t.name == "UnicodeString" {
			continue // what the field calls the reference of a unicode string: a Go string here
		}
		structs.add(s.structCode(t))
	}
	messages := &shelf{stem: "messages"}
	for _, p := range s.pdus {
		messages.add(s.pduCode(p))
	}
	table := &shelf{stem: "table"}
	table.add(s.numbers())
	table.add(s.table())
	enums := &shelf{stem: "enums"}
	for _, e := range s.enums {
		enums.add(enumCode(e))
	}
	errors := &shelf{stem: "errors"}
	errors.add(errorCode(s.errors))
	var all []file
	for _, sh := range []*shelf{structs, messages, table, enums, errors} {
		sh.close()
		all = append(all, sh.files...)
	}
	return all
}

func (f field) goType() string {
	t := f.kind
	switch f.kind {
	case "i":
		t = "uint32"
		if f.enum != "" {
			t = f.enum
		}
	case "b":
		t = "bool"
	case "s", "u":
		t = "string"
	case "x":
		t = "[]byte"
	}
	if f.list {
		return "[]" + t
	}
	return t
}

// declare writes the fields of a Go struct, neighbours of one type on one line.
func declare(fields []field) string {
	var b strings.Builder
	for i := 0; i < len(fields); {
		j := i + 1
		names, length := fields[i].name, len(fields[i].name)
		for j < len(fields) && fields[j].goType() == fields[i].goType() && length < 110 {
			names += ", " + fields[j].name
			length += len(fields[j].name) + 2
			j++
		}
		fmt.Fprintf(&b, "%s %s\n", names, fields[i].goType())
		i = j
	}
	return b.String()
}

// plain names the method of coder that takes several fields of the kind at once.
func (f field) plain() string {
	switch {
	case f.list || f.from != "" || f.nul:
		return ""
	case f.kind == "i" && f.enum == "":
		return "numbers"
	case f.kind == "b":
		return "bools"
	case f.kind == "s":
		return "strings"
	case f.kind == "u":
		return "unicodes"
	case f.kind == "x":
		return "blobs"
	}
	return ""
}

// walk writes the body of a method code: the fields in the order of the wire.
func (s *schema) walk(fields []field) string {
	var b strings.Builder
	for i := 0; i < len(fields); {
		f := fields[i]
		p := f.plain()
		if p == "" {
			line := s.one(f)
			if f.from != "" {
				line = fmt.Sprintf("if c.since(0x%s) {\n%s}\n", f.from, line)
			}
			b.WriteString(line)
			i++
			continue
		}
		args, length := "", 0
		for i < len(fields) && fields[i].plain() == p && length < 110 {
			a := "&m." + fields[i].name + ", "
			args += a
			length += len(a)
			i++
		}
		fmt.Fprintf(&b, "c.%s(%s)\n", p, strings.TrimSuffix(args, ", "))
	}
	return b.String()
}

func (s *schema) one(f field) string {
	switch {
	case f.list && f.kind == "i":
		return fmt.Sprintf("numberList(c, &m.%s)\n", f.name)
	case f.list:
		return fmt.Sprintf("list(c, &m.%s, %d)\n", f.name, s.structure(f.kind).fixed)
	case f.kind == "i":
		return fmt.Sprintf("number(c, &m.%s)\n", f.name)
	case f.kind == "s" && f.nul:
		return fmt.Sprintf("c.stringOrNUL(&m.%s)\n", f.name)
	case inline(f.kind):
		return fmt.Sprintf("m.%s.code(c)\n", f.name)
	}
	return fmt.Sprintf("c.nested(&m.%s, %d)\n", f.name, s.structure(f.kind).fixed)
}

func (s *schema) structCode(t structure) string {
	return fmt.Sprintf("// %s is a structure of %d bytes (%s).\ntype %s struct {\n%s}\n\nfunc (m *%s) code(c *coder) {\n%s}\n\n",
		t.name, t.fixed, count(len(t.fields), "field"), t.name, declare(t.fields), t.name, s.walk(t.fields))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (s *schema) pduCode(p pdu) string {
	var b strings.Builder
	who := map[string]string{"C>S": "sent by the client", "S>C": "sent by the server", "both": "sent by both"}[p.direction]
	fmt.Fprintf(&b, "// %s is PDU %d, %s", p.name, p.number, who)
	if p.unseen {
		b.WriteString("; the number is reserved, what it carries beyond this was never seen")
	}
	fmt.Fprintf(&b, ".\ntype %s struct {\n%s}\n\n", p.name, declare(p.fields))
	fmt.Fprintf(&b, "func (*%s) PDU() PDU { return PDU%s }\n", p.name, p.name)
	recv := "m *"
	if len(p.fields) == 0 {
		recv = "*"
	}
	body := s.walk(p.fields)
	if body == "" {
		fmt.Fprintf(&b, "func (%s%s) code(*coder) {}\n", recv, p.name)
	} else {
		fmt.Fprintf(&b, "func (%s%s) code(c *coder) {\n%s}\n", recv, p.name, body)
	}
	if len(p.fields) > 0 && p.fields[0].name == "SequenceNumber" {
		fmt.Fprintf(&b, "func (m *%s) sequence() *uint32 { return &m.SequenceNumber }\n", p.name)
		if len(p.fields) > 1 && p.fields[1].name == "Result" {
			fmt.Fprintf(&b, "func (m *%s) result() *Result { return &m.Result }\n", p.name)
		}
	}
	b.WriteString("\n")
	return b.String()
}

func (s *schema) numbers() string {
	var b strings.Builder
	b.WriteString("// The PDU numbers.\nconst (\n")
	for _, p := range s.pdus {
		fmt.Fprintf(&b, "PDU%s PDU = %d\n", p.name, p.number)
	}
	b.WriteString(")\n\n")
	return b.String()
}

func (s *schema) table() string {
	var b strings.Builder
	b.WriteString("// shapes is what is known of each PDU, by its number.\nvar shapes = [...]shape{\n")
	names := map[string]bool{}
	for _, p := range s.pdus {
		names[p.name] = true
	}
	for _, p := range s.pdus {
		dir := map[string]string{"C>S": "FromClient", "S>C": "FromServer", "both": "FromBoth"}[p.direction]
		answer := "0"
		if r, ok := strings.CutSuffix(p.name, "Request"); ok && names[r+"Response"] {
			answer = "PDU" + r + "Response"
		}
		fmt.Fprintf(&b, "PDU%s: {%q, %s, %d, %d, func() Message { return new(%s) }, %s, %t},\n", p.name, p.name, dir,
			width(p.fields, newest), width(p.fields, "0010"), p.name, answer, p.unseen)
	}
	b.WriteString("}\n")
	return b.String()
}

func enumCode(e enum) string {
	var b strings.Builder
	fmt.Fprintf(&b, "// %s is the field's %s.\ntype %s uint32\n\n// The values of %s.\nconst (\n", e.name, e.field, e.name, e.name)
	for _, v := range e.values {
		if v.goName != "-" {
			fmt.Fprintf(&b, "%s%s %s = %s\n", e.name, v.goName, e.name, number(v.number))
		}
	}
	fmt.Fprintf(&b, ")\n\nvar names%s = names{", e.name)
	b.WriteString(pairs(e.values))
	fmt.Fprintf(&b, "}\n\n// String is the field's name of the value.\nfunc (v %s) String() string { return names%s.of(%q, uint32(v)) }\n\n", e.name, e.name, e.name)
	fmt.Fprintf(&b, "// MarshalText is String, for JSON.\nfunc (v %s) MarshalText() ([]byte, error) { return []byte(v.String()), nil }\n\n", e.name)
	return b.String()
}

func number(v uint64) string {
	if v > 0xffff {
		return fmt.Sprintf("0x%08x", v)
	}
	return fmt.Sprint(v)
}

// pairs writes the names of values sorted by value, the first of several names of one value only.
func pairs(values []value) string {
	sorted := append([]value(nil), values...)
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].number < sorted[j].number })
	var b strings.Builder
	length := 0
	for i, v := range sorted {
		if i > 0 && sorted[i-1].number == v.number {
			continue
		}
		if length == 0 {
			b.WriteString("\n")
		}
		p := fmt.Sprintf("{%s, %q}, ", number(v.number), v.field)
		b.WriteString(p)
		if length += len(p); length > 110 {
			length = 0
		}
	}
	if length > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

func errorCode(errors []value) string {
	var b strings.Builder
	b.WriteString("// The results that are errors.\nconst (\n")
	for _, v := range errors {
		fmt.Fprintf(&b, "%s Result = 0x%08x\n", v.goName, v.number)
	}
	b.WriteString(")\n\nvar namesResult = names{")
	b.WriteString(pairs(errors))
	b.WriteString("}\n")
	return b.String()
}
