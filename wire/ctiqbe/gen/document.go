package main

import (
	"fmt"
	"os"
	"strings"
)

// document writes the tables of schema.txt into the specification, between its marks.
func (s *schema) document(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(b)
	for _, t := range []struct{ mark, table string }{
		{"structures", s.structTable()}, {"messages", s.pduTable(seen())}, {"errors", s.errorTable()}, {"enumerations", s.enumTable()},
	} {
		begin, end := "<!-- "+t.mark+": generated from wire/ctiqbe/schema.txt -->\n", "<!-- end of "+t.mark+" -->"
		head, rest, ok := strings.Cut(text, begin)
		_, tail, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			return fmt.Errorf("%s has no place for %s: %q ... %q", path, t.mark, begin, end)
		}
		text = head + begin + t.table + end + tail
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// seen tells of the PDU numbers in the recorded frames whether the client sent or took them.
func seen() map[string]string {
	b, err := os.ReadFile("testdata/frames.tsv")
	if err != nil {
		return nil
	}
	all := map[string]string{}
	for line := range strings.Lines(string(b)) {
		p := strings.Split(line, "\t")
		if len(p) < 6 || p[3] == "pdu" {
			continue
		}
		if p[2] == "C" {
			all[p[3]] = "sent"
		} else {
			all[p[3]] = "taken"
		}
	}
	return all
}

func (f field) text() string {
	t := f.name
	if f.enum != "" {
		t += " (" + f.enum + ")"
	} else if f.kind != "i" {
		t += " *" + f.kind + "*"
	}
	if f.list {
		t += " []"
	}
	if f.from != "" {
		t += " (from version 0x" + f.from + "0000)"
	}
	return t
}

func texts(fields []field) string {
	var all []string
	for _, f := range fields {
		all = append(all, f.text())
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

func (s *schema) structTable() string {
	var b strings.Builder
	b.WriteString("| Structure | Fixed bytes | Fields |\n|---|---|---|\n")
	for _, t := range s.structs {
		fmt.Fprintf(&b, "| %s | %d | %s |\n", t.name, t.fixed, texts(t.fields))
	}
	return b.String()
}

func (s *schema) pduTable(seen map[string]string) string {
	var b strings.Builder
	b.WriteString("| PDU | Message | Direction | Fixed bytes | Known | Fields |\n|---|---|---|---|---|---|\n")
	for _, p := range s.pdus {
		known := "meta"
		switch {
		case p.unseen:
			known = "number only"
		case seen[fmt.Sprint(p.number)] != "":
			known = seen[fmt.Sprint(p.number)]
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %d | %s | %s |\n", p.number, p.name, p.direction, width(p.fields, newest), known, texts(p.fields))
	}
	return b.String()
}

func (s *schema) errorTable() string {
	var b strings.Builder
	b.WriteString("| Value | Name |\n|---|---|\n")
	for _, v := range s.errors {
		fmt.Fprintf(&b, "| 0x%08X | %s |\n", v.number, v.field)
	}
	return b.String()
}

func (s *schema) enumTable() string {
	var b strings.Builder
	b.WriteString("| Type | Values |\n|---|---|\n")
	for _, e := range s.enums {
		var all []string
		for _, v := range e.values {
			all = append(all, number(v.number)+" "+v.field)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", e.name, strings.Join(all, ", "))
	}
	return b.String()
}
