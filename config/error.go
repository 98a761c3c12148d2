package config

import (
	"fmt"
	"strings"
)

// Error is one mistake in a configuration file.
type Error struct {
	File   string // as given to Parse
	Line   int    // from 1; 0 when the site did not come from a file
	Column int    // from 1
	Field  string // devices[alice].lines[0].number
	// Problem says what is wrong; Expected what would be right, or what to do.
	Problem, Expected string
}

func (e Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
		}
		b.WriteString(": ")
	}
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Problem)
	if e.Expected != "" {
		b.WriteString("; " + e.Expected)
	}
	return b.String()
}

// Errors are all mistakes of a file, in the order they appear in it.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}
