package main

import (
	"fmt"
	"strconv"
	"strings"
)

// field is one field of a PDU or of a structure.
type field struct {
	name string
	kind string // i b s u x or the name of a structure
	enum string // the Go type of a number that has one
	list bool
	nul  bool   // the client writes an empty one as a NUL
	from string // the protocol version that added it, in hex; "" for all
}

type structure struct {
	name   string
	fixed  int
	fields []field
}

type pdu struct {
	number    int
	name      string
	direction string // C>S, S>C, both
	unseen    bool   // the number is reserved; what it carries is not known
	fields    []field
}

type value struct {
	number uint64
	field  string // the field's name for it
	goName string
}

type enum struct {
	name, field string
	values      []value
}

type schema struct {
	structs []structure
	pdus    []pdu
	errors  []value
	enums   []enum
}

// read reads schema.txt. Errors begin with the number of the line.
func read(text string) (*schema, error) {
	s := &schema{}
	section := ""
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if strings.HasPrefix(words[0], "[") {
			section = words[0]
			continue
		}
		if err := s.line(section, line, words); err != nil {
			return nil, fmt.Errorf("%d: %w", n+1, err)
		}
	}
	return s, s.check()
}

func (s *schema) line(section, line string, words []string) error {
	switch section {
	case "[structs]":
		return s.structLine(words)
	case "[pdus]":
		return s.pduLine(words)
	case "[errors]":
		v, err := readValue(words)
		s.errors = append(s.errors, v)
		return err
	case "[enums]":
		if line[0] != ' ' {
			s.enums = append(s.enums, enum{name: words[0], field: words[1]})
			return nil
		}
		v, err := readValue(words)
		e := &s.enums[len(s.enums)-1]
		e.values = append(e.values, v)
		return err
	}
	return fmt.Errorf("no section %q", section)
}

func readValue(words []string) (v value, err error) {
	if len(words) != 3 {
		return v, fmt.Errorf("want value, name, name in Go; have %q", words)
	}
	v = value{field: words[1], goName: words[2]}
	v.number, err = strconv.ParseUint(words[0], 0, 32)
	return v, err
}

func (s *schema) structLine(words []string) error {
	fixed, err := strconv.Atoi(words[0])
	if err != nil {
		return err
	}
	f, err := readFields(words[2:])
	s.structs = append(s.structs, structure{words[1], fixed, f})
	return err
}

func (s *schema) pduLine(words []string) error {
	number, err := strconv.Atoi(words[0])
	if err != nil {
		return err
	}
	p := pdu{number: number, name: words[1], direction: words[2]}
	words = words[3:]
	if len(words) > 0 && words[0] == "unseen" {
		p.unseen, words = true, words[1:]
	}
	p.fields, err = readFields(words)
	s.pdus = append(s.pdus, p)
	return err
}

func readFields(words []string) ([]field, error) {
	var all []field
	for _, w := range words {
		parts := strings.Split(w, ":")
		if len(parts) < 2 {
			return nil, fmt.Errorf("%q is no field", w)
		}
		f := field{name: parts[0], kind: parts[1]}
		for _, mark := range parts[2:] {
			if v, ok := strings.CutPrefix(mark, "since"); ok {
				f.from = v
			} else if mark == "nul" {
				f.nul = true
			} else {
				return nil, fmt.Errorf("%s: mark %q is not known", w, mark)
			}
		}
		f.kind, f.list = strings.CutSuffix(f.kind, "[]")
		f.kind, f.enum, _ = strings.Cut(f.kind, "/")
		all = append(all, f)
	}
	return all, nil
}

// inline tells of the one structure that stands in the fixed area itself where it is no array.
func inline(name string) bool { return name == "ClientCallHandle" }

func (f field) width() int {
	switch {
	case f.list || f.kind == "u":
		return 16
	case f.kind == "i" || f.kind == "b":
		return 4
	case f.kind == "s" || f.kind == "x" || inline(f.kind):
		return 8
	}
	return 12
}

func width(fields []field, version string) int {
	n := 0
	for _, f := range fields {
		if f.from == "" || f.from <= version {
			n += f.width()
		}
	}
	return n
}

// newest is the protocol version whose fixed areas a structure's size is told for.
const newest = "ffff"

func (s *schema) check() error {
	known := map[string]bool{"i": true, "b": true, "s": true, "u": true, "x": true}
	for _, t := range s.structs {
		if w := width(t.fields, newest); w != t.fixed {
			return fmt.Errorf(" %s: %d bytes are told, its fields have %d", t.name, t.fixed, w)
		}
		known[t.name] = true
	}
	enums := map[string]bool{"": true, "Result": true}
	for _, e := range s.enums {
		enums[e.name] = true
	}
	look := func(owner string, fields []field) error {
		for _, f := range fields {
			if !known[f.kind] || !enums[f.enum] {
				return fmt.Errorf(" %s.%s: nobody knows %q %q", owner, f.name, f.kind, f.enum)
			}
		}
		return nil
	}
	for _, t := range s.structs {
		if err := look(t.name, t.fields); err != nil {
			return err
		}
	}
	for _, p := range s.pdus {
		if err := look(p.name, p.fields); err != nil {
			return err
		}
	}
	return nil
}

func (s *schema) structure(name string) structure {
	for _, t := range s.structs {
		if t.name == name {
			return t
		}
	}
	return structure{}
}
