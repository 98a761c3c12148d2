// Package rfc keeps the index of the standards this product follows. A comment in the code names its source as
// "RFC 3261, 17.2.1"; the index says which numbers and sections exist and how much of each is done; the test of this
// package holds comment and index against each other and writes the table in docs/rfc-status.md.
package rfc

import (
	_ "embed"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

//go:embed index.txt
var index string

// State says how much of a standard is done.
type State string

// The states a line of the index can have.
const (
	Read    State = "read"    // facts of it are used, nothing is claimed
	Partial State = "partial" // the part named in the line
	Full    State = "full"    // what the role of this product needs of it
)

// A Standard is one line of the index.
type Standard struct {
	Number   int
	Sections int // the highest top-level section; appendices are letters and always allowed
	Title    string
	State    State
	Note     string
}

// Index returns the standards by number. An error names the line of index.txt that cannot be read.
func Index() (map[int]Standard, error) {
	all := map[int]Standard{}
	for n, line := range strings.Split(index, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		s, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("rfc/index.txt:%d: %w", n+1, err)
		}
		if _, twice := all[s.Number]; twice {
			return nil, fmt.Errorf("rfc/index.txt:%d: RFC %d stands there twice", n+1, s.Number)
		}
		all[s.Number] = s
	}
	return all, nil
}

func parse(line string) (Standard, error) {
	f := strings.Split(line, "\t")
	if len(f) < 4 {
		return Standard{}, fmt.Errorf("%d fields, want number, sections, title, state and perhaps a note, with tabs between", len(f))
	}
	number, err := strconv.Atoi(f[0])
	if err != nil {
		return Standard{}, fmt.Errorf("number %q: %w", f[0], err)
	}
	sections, err := strconv.Atoi(f[1])
	if err != nil {
		return Standard{}, fmt.Errorf("sections %q: %w", f[1], err)
	}
	s := Standard{Number: number, Sections: sections, Title: f[2], State: State(f[3])}
	if s.State != Read && s.State != Partial && s.State != Full {
		return Standard{}, fmt.Errorf("state %q, want read, partial or full", f[3])
	}
	if len(f) > 4 {
		s.Note = f[4]
	}
	return s, nil
}

// A Reference is one mention of a standard in a comment.
type Reference struct {
	Number  int
	Section string // "" when the comment names the standard as a whole
}

// The section may follow with or without the word "section"; "RFC 3581," before a word is a mention of the whole.
var mention = regexp.MustCompile(`RFC (\d{3,5})(?:,? (?:[Ss]ection )?(\d+(?:\.\d+)*|[A-Z]\.\d+(?:\.\d+)*)\b)?`)

// References finds the mentions in a text.
func References(text string) []Reference {
	var found []Reference
	for _, m := range mention.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		found = append(found, Reference{n, m[2]})
	}
	return found
}

// Check holds one reference against the index and returns what is wrong with it, or "".
func Check(all map[int]Standard, r Reference) string {
	s, known := all[r.Number]
	if !known {
		return fmt.Sprintf("RFC %d is not in rfc/index.txt: add its line", r.Number)
	}
	if r.Section == "" || r.Section[0] >= 'A' {
		return ""
	}
	top, _ := strconv.Atoi(strings.SplitN(r.Section, ".", 2)[0])
	if top < 1 || top > s.Sections {
		return fmt.Sprintf("RFC %d has %d sections; the comment names %s", r.Number, s.Sections, r.Section)
	}
	return ""
}

// StatusTable renders docs/rfc-status.md; where maps a number to the packages that name it.
func StatusTable(all map[int]Standard, where map[int][]string) string {
	var b strings.Builder
	b.WriteString("# Standards and how much of each is done\n\nGenerated from rfc/index.txt and the comments in the code (`go test ./rfc -update`).\n\n")
	b.WriteString("| RFC | title | state | what of it | named in |\n|---|---|---|---|---|\n")
	numbers := make([]int, 0, len(all))
	for n, s := range all {
		if s.State != Read {
			numbers = append(numbers, n)
		}
	}
	sort.Ints(numbers)
	for _, n := range numbers {
		s := all[n]
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", n, s.Title, s.State, s.Note, strings.Join(where[n], ", "))
	}
	return b.String()
}
