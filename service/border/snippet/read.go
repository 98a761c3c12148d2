package snippet

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/locktone/locktone/config"
)

// Bounds of a text.
const (
	maxLines = 50000
	maxLine  = 4096
)

// A Verdict says what was made of a line.
type Verdict string

// The verdicts.
const (
	Understood Verdict = "understood"
	Ignored    Verdict = "ignored"
	Unknown    Verdict = "unknown"
	Wrong      Verdict = "error"
)

// A Line is what was made of a line of the text.
type Line struct {
	Number  int     `json:"line"`
	Text    string  `json:"text"`
	Verdict Verdict `json:"verdict"`
	// Says is what it was understood as, why it is ignored, or what is wrong and what to do.
	Says string `json:"says"`
}

// A Result is what came of a text.
type Result struct {
	Lines []Line `json:"lines"`
	// Problems are mistakes of the site that came of it, and Hints what is worth knowing, a sentence each.
	Problems []string `json:"problems,omitempty"`
	Hints    []string `json:"hints,omitempty"`
	// Site is the current site with everything worked in that was understood.
	Site *config.Site `json:"-"`
}

// Count is the number of lines with the verdict.
func (r Result) Count(v Verdict) (n int) {
	for _, l := range r.Lines {
		if l.Verdict == v {
			n++
		}
	}
	return n
}

// Clean says whether all of the text can be put into force.
func (r Result) Clean() bool { return r.Count(Wrong)+r.Count(Unknown)+len(r.Problems) == 0 }

// Read reads a text on top of the current site, which it does not change. Any text gives a result.
func Read(text string, current *config.Site) Result {
	if current == nil {
		current = &config.Site{}
	}
	r := newReader(current)
	n := 0
	for raw := range strings.Lines(text) {
		n++
		raw = strings.TrimRight(raw, "\r\n")
		if n > maxLines {
			r.lines = append(r.lines, Line{n, "", Wrong, fmt.Sprintf("the text has more than %d lines: give it in parts", maxLines)})
			break
		}
		r.line(n, raw)
	}
	for _, f := range r.later {
		f()
	}
	r.finish()
	return Result{Lines: r.lines, Site: r.site.Canonical(), Problems: r.problems, Hints: r.hints}
}

// reader is the state of one reading.
type reader struct {
	site  *config.Site
	was   *config.Site
	mode  mode
	arg   string // what the mode is about: a tag, a class
	lines []Line
	// later are references, resolved when the whole text has been read.
	later []func()
	// indented says that the line of now begins with a blank, as in a running configuration.
	indented        bool
	problems, hints []string
	classes         classes
	sipServer       *config.SessionTarget
	transportSaid   map[int]bool
	targetLine      map[int]int // by tag, the index of the line that gave the target
}

func newReader(current *config.Site) *reader {
	return &reader{site: current.Clone(), was: current, classes: newClasses(), transportSaid: map[int]bool{}, targetLine: map[int]int{}}
}

// mode is where in the command tree the text is.
type mode uint8

const (
	modeTop mode = iota
	modeSIPUA
	modePeer
	modeService    // voice service voip
	modeServiceSIP // sip in it
	modeTrusted    // ip address trusted list in it
	modeCodec
	modeURI
	modeServers
	modeGroup
	modeMap
	modeProfiles
	modeKeepalive
	modeTLSProfile
	modeRule
	modeTranslation
	modeTrustpoint
	modeCertificate // hexadecimal lines up to quit
	modeOther       // something that is not for us, up to the next line without indent
)

func (m mode) String() string {
	return [...]string{"the top", "sip-ua", "dial-peer", "voice service voip", "voice service voip, sip", "ip address trusted list", "voice class codec", "voice class uri",
		"voice class server-group", "voice class dpg", "voice class e164-pattern-map", "voice class sip-profiles", "voice class sip-options-keepalive", "voice class tls-profile",
		"voice translation-rule", "voice translation-profile", "crypto pki trustpoint", "certificate", "a section that is not for a border element"}[m]
}

// outcome is what a command says of itself.
type outcome struct {
	verdict Verdict
	says    string
}

func did(format string, args ...any) outcome {
	return outcome{Understood, fmt.Sprintf(format, args...)}
}
func skip(format string, args ...any) outcome { return outcome{Ignored, fmt.Sprintf(format, args...)} }
func bad(format string, args ...any) outcome  { return outcome{Wrong, fmt.Sprintf(format, args...)} }

var promptShape = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,62}(\([a-z0-9-]+\))?[#>]\s*`)

// line reads one line and answers it.
func (r *reader) line(n int, raw string) {
	l := Line{Number: n, Text: clean(raw)}
	text := promptShape.ReplaceAllString(strings.TrimSpace(raw), "")
	r.indented = raw != "" && (raw[0] == ' ' || raw[0] == '\t')
	r.lines = append(r.lines, l)
	var out outcome
	switch {
	case len(raw) > maxLine:
		out = bad("longer than %d bytes: nothing of the field is", maxLine)
	case text == "":
		out = skip("empty")
	case strings.HasPrefix(text, "!"):
		out = r.comment()
	case strings.HasPrefix(text, "#") || strings.HasPrefix(text, "//"):
		out = skip("a comment")
	default:
		out = r.command(text)
	}
	at := len(r.lines) - 1
	r.lines[at].Verdict, r.lines[at].Says = out.verdict, clean(out.says)
}

// clean makes a text fit for a terminal and a report: no control characters, and no end of lengths.
func clean(s string) string {
	s = strings.Map(func(c rune) rune {
		if c == '\t' {
			return ' '
		}
		if unicode.IsControl(c) || c == unicode.ReplacementChar || unicode.Is(unicode.Cf, c) {
			return '?'
		}
		return c
	}, s)
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + "..."
	}
	return s
}

// comment is a line with an exclamation mark. In a running configuration one without indent ends a section.
func (r *reader) comment() outcome {
	if !r.indented && r.mode == modeOther {
		r.mode = modeTop
	}
	return skip("a comment")
}

// command finds the command of the mode, else of the top, and does it.
func (r *reader) command(text string) outcome {
	words := strings.Fields(text)
	if r.mode == modeCertificate {
		if strings.EqualFold(text, "quit") {
			r.mode = modeTrustpoint
		}
		return skip("a certificate: certificates come with locktone cert")
	}
	if out, ok := r.in(r.mode, words); ok {
		return out
	}
	if r.mode == modeServiceSIP || r.mode == modeTrusted { // they are sections of voice service voip
		if out, ok := r.in(modeService, words); ok {
			return out
		}
	}
	if r.mode != modeTop {
		if out, ok := r.in(modeTop, words); ok {
			return out
		}
	}
	if r.mode == modeOther && r.indented {
		return skip("part of a section that is not for a border element")
	}
	if prose(text, words) {
		return skip("prose: no command")
	}
	return r.unknown(words)
}

func (r *reader) in(m mode, words []string) (outcome, bool) {
	for _, c := range commands[m] {
		if args, ok := c.match(words); ok {
			return c.do(r, args), true
		}
	}
	return outcome{}, false
}

func (r *reader) unknown(words []string) outcome {
	where := "in " + r.mode.String()
	if r.mode == modePeer || r.mode >= modeCodec && r.mode <= modeTranslation {
		where += " " + r.arg
	}
	if r.mode == modeTop {
		where = "at the top"
	}
	hint := ""
	if near := nearest(words, r.mode); near != "" {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	return outcome{Unknown, fmt.Sprintf("not known %s%s: correct it, or take it out when it does not matter", where, hint)}
}

// nearest is a command of the mode or the top whose first word is nearly the one that stands there.
func nearest(words []string, m mode) string {
	first := strings.ToLower(words[0])
	second := ""
	if first == "no" && len(words) > 1 {
		first = strings.ToLower(words[1])
	} else if len(words) > 1 {
		second = strings.ToLower(words[1])
	}
	best, score := "", 3
	for _, table := range [][]command{commands[m], commands[modeTop]} {
		for _, c := range table {
			d := distance(first, c.words[0])
			if len(c.words) > 1 && second != "" && isKeyword(c.words[1]) {
				d += min(distance(second, c.words[1]), 2)
			}
			if isKeyword(c.words[0]) && d < score {
				best, score = c.String(), d
			}
		}
	}
	return best
}

// distance counts the single changes between two short words.
func distance(a, b string) int {
	a, b = a[:min(len(a), 24)], b[:min(len(b), 24)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			last, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, last+cost)
		}
	}
	return row[len(b)]
}

var wordShape = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// prose tells a sentence from a command that we do not know.
func prose(text string, words []string) bool {
	last := text[len(text)-1]
	switch {
	case !wordShape.MatchString(words[0]), len(words) > 14, strings.ContainsAny(text[len(text)-1:], ".,;:!?)"):
		return true
	case strings.ContainsFunc(text, func(c rune) bool { return c > unicode.MaxASCII }):
		return true
	}
	return last == '.'
}

// A command is one line of the tables: words, the mode they stand in, and what they do. In a pattern "$" is any word, "..." any number
// of words at the end, a|b one of two.
type command struct {
	words []string
	do    func(r *reader, args []string) outcome
}

func (c command) String() string { return strings.Join(c.words, " ") }

func isKeyword(w string) bool { return w != "$" && w != "..." }

// cmd makes a command of its pattern.
func cmd(pattern string, do func(r *reader, args []string) outcome) command {
	return command{strings.Fields(pattern), do}
}

// note is a command that does nothing here, for a reason.
func note(pattern, why string) command {
	return cmd(pattern, func(*reader, []string) outcome { return skip("%s", why) })
}

// match compares words with the pattern and returns what stands for $ and for "...".
func (c command) match(words []string) (args []string, ok bool) {
	for i, p := range c.words {
		if p == "..." {
			return append(args, words[i:]...), true
		}
		if i >= len(words) {
			return nil, false
		}
		if p == "$" {
			args = append(args, words[i])
			continue
		}
		if !slices.ContainsFunc(strings.Split(p, "|"), func(k string) bool { return keyword(words[i], k) }) {
			return nil, false
		}
		if strings.Contains(p, "|") {
			args = append(args, full(words[i], p))
		}
	}
	return args, len(words) == len(c.words)
}

// keyword says whether a word is the keyword, or its first letters: three at least.
func keyword(word, k string) bool {
	word = strings.ToLower(word)
	return word == k || len(word) >= 3 && strings.HasPrefix(k, word)
}

// full is the keyword that a word is short for.
func full(word, alternatives string) string {
	for _, k := range strings.Split(alternatives, "|") {
		if keyword(word, k) {
			return k
		}
	}
	return word
}

// exit leaves the mode.
func exit(r *reader, _ []string) outcome {
	switch r.mode {
	case modeServiceSIP, modeTrusted:
		r.mode = modeService
	case modeTop:
		return skip("nothing is open that it could leave")
	default:
		r.mode = modeTop
	}
	return did("leaves the section")
}

func end(r *reader, _ []string) outcome {
	r.mode = modeTop
	return did("leaves configuration")
}
