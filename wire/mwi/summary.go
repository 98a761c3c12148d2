package mwi

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Names of the format (RFC 3842, 5.2 and 3.1).
const (
	ContentType = "application/simple-message-summary"
	Event       = "message-summary"
)

// Bounds of a summary that is read.
const (
	MaxSize    = 16 << 10
	maxClasses = 16
)

// Summary is the state of a mailbox.
type Summary struct {
	Waiting bool
	Account string // URI of the mailbox; empty where the sender said none
	Counts  []Count
}

// Count is how many messages of a class there are.
type Count struct {
	Class    string // of RFC 3458: Voice, Fax, Pager, Multimedia, Text; without "-Message"
	New, Old uint32
	// Urgent says that the urgent ones among them were counted.
	Urgent               bool
	UrgentNew, UrgentOld uint32
}

// The classes that systems of ours count: voicemail and faxes.
const (
	Voice = "Voice"
	Fax   = "Fax"
)

// Voice is the count of voice messages; zero where none was given.
func (s *Summary) Voice() Count {
	for _, c := range s.Counts {
		if c.Class == Voice {
			return c
		}
	}
	return Count{Class: Voice}
}

// ParseError says what is wrong with a summary, and where.
type ParseError struct {
	Offset int
	What   string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("message-summary: at byte %d: %s", e.Offset, e.What)
}

// Parse reads a summary. Lines it does not know, and header fields of single messages behind an empty line, are left out.
func Parse(b []byte) (*Summary, error) {
	if len(b) > MaxSize {
		return nil, &ParseError{MaxSize, fmt.Sprintf("%d bytes, at most %d are read", len(b), MaxSize)}
	}
	s, offset, first := &Summary{}, 0, true
	for line := range bytes.Lines(b) {
		text := strings.TrimRight(string(line), "\r\n")
		if strings.TrimSpace(text) == "" && !first {
			break
		}
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return nil, &ParseError{offset, fmt.Sprintf("%.40q is no header field", text)}
		}
		if what := s.field(first, strings.TrimSpace(name), strings.TrimSpace(value)); what != "" {
			return nil, &ParseError{offset, what}
		}
		offset += len(line)
		first = false
	}
	if first {
		return nil, &ParseError{0, "is empty"}
	}
	return s, nil
}

// field takes one line; what is wrong with it comes back.
func (s *Summary) field(first bool, name, value string) (wrong string) {
	if first { // RFC 3842, 5.2: the status line comes first
		switch {
		case !strings.EqualFold(name, "Messages-Waiting"):
			return fmt.Sprintf("begins with %.40q, want Messages-Waiting", name)
		case strings.EqualFold(value, "yes"):
			s.Waiting = true
		case !strings.EqualFold(value, "no"):
			return fmt.Sprintf("Messages-Waiting: %.40q, want yes or no", value)
		}
		return ""
	}
	if strings.EqualFold(name, "Message-Account") {
		s.Account = strings.TrimSpace(strings.Map(printable, value))
		return ""
	}
	class, ok := classOf(name)
	if !ok {
		return ""
	}
	c, ok := parseCount(value)
	switch c.Class = class; {
	case !ok:
		return fmt.Sprintf("%s: %.40q, want new/old or new/old (urgent new/urgent old)", name, value)
	case s.Voice() != Count{Class: Voice} && class == Voice, len(s.Counts) == maxClasses:
		return fmt.Sprintf("%.40s comes once more", name)
	}
	s.Counts = append(s.Counts, c)
	return ""
}

// printable leaves out what would end a line.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f || r == '\uFFFD' {
		return -1
	}
	return r
}

var classes = [...]string{Voice, Fax, "Pager", "Multimedia", "Text"}

func classOf(name string) (string, bool) {
	for _, c := range classes {
		if strings.EqualFold(name, c+"-Message") {
			return c, true
		}
	}
	return "", false
}

// parseCount reads "2/8 (0/2)".
func parseCount(text string) (c Count, ok bool) {
	all, urgent, bracket := strings.Cut(text, "(")
	if c.New, c.Old, ok = pair(all); !ok || !bracket {
		return c, ok
	}
	inner, rest, closed := strings.Cut(urgent, ")")
	if !closed || strings.TrimSpace(rest) != "" {
		return c, false
	}
	c.Urgent = true
	c.UrgentNew, c.UrgentOld, ok = pair(inner)
	return c, ok
}

func pair(text string) (a, b uint32, ok bool) {
	left, right, ok := strings.Cut(text, "/")
	if !ok {
		return 0, 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(left), 10, 32)
	m, err2 := strconv.ParseUint(strings.TrimSpace(right), 10, 32)
	return uint32(n), uint32(m), err == nil && err2 == nil
}

// Append appends the summary.
func (s *Summary) Append(b []byte) []byte {
	if b = append(b, "Messages-Waiting: no\r\n"...); s.Waiting {
		b = append(b[:len(b)-4], "yes\r\n"...)
	}
	if s.Account != "" {
		b = append(append(append(b, "Message-Account: "...), s.Account...), "\r\n"...)
	}
	for _, c := range s.Counts {
		b = append(b, c.Class+"-Message: "...)
		b = strconv.AppendUint(b, uint64(c.New), 10)
		b = strconv.AppendUint(append(b, '/'), uint64(c.Old), 10)
		if c.Urgent {
			b = strconv.AppendUint(append(b, " ("...), uint64(c.UrgentNew), 10)
			b = strconv.AppendUint(append(b, '/'), uint64(c.UrgentOld), 10)
			b = append(b, ')')
		}
		b = append(b, "\r\n"...)
	}
	return b
}
