package dialpeer

import (
	"fmt"
	"regexp"
	"strings"
)

// A Rule rewrites what its expression matches in a number. \1 to \9 in Replace are what the groups matched, \0 and & are all of it.
type Rule struct {
	Match   *regexp.Regexp
	Replace string
}

// NewRule compiles a rule. The expression is RE2's; \1 in the replacement refers to its first group.
func NewRule(match, replace string) (Rule, error) {
	if len(match) > 512 || len(replace) > 512 {
		return Rule{}, fmt.Errorf("an expression or replacement is longer than 512 bytes")
	}
	re, err := regexp.Compile(match)
	if err != nil {
		return Rule{}, fmt.Errorf("%q is not an expression: %s", match, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	for i := 0; i+1 < len(replace); i++ {
		if d := replace[i+1]; replace[i] == '\\' && d >= '1' && d <= '9' && int(d-'0') > re.NumSubexp() {
			return Rule{}, fmt.Errorf(`\%c in %q has no group in %q`, d, replace, match)
		}
	}
	return Rule{re, replace}, nil
}

// Apply rewrites the first match; ok says whether there was one.
func (r Rule) Apply(text string) (string, bool) {
	if r.Match == nil {
		return text, false
	}
	at := r.Match.FindStringSubmatchIndex(text)
	if at == nil {
		return text, false
	}
	return text[:at[0]] + r.expand(text, at) + text[at[1]:], true
}

func (r Rule) expand(text string, at []int) string {
	var b strings.Builder
	group := func(n int) {
		if 2*n+1 < len(at) && at[2*n] >= 0 {
			b.WriteString(text[at[2*n]:at[2*n+1]])
		}
	}
	for i := 0; i < len(r.Replace); i++ {
		switch c := r.Replace[i]; {
		case c == '\\' && i+1 < len(r.Replace):
			i++
			if d := r.Replace[i]; d >= '0' && d <= '9' {
				group(int(d - '0'))
			} else {
				b.WriteByte(d)
			}
		case c == '&':
			group(0)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// A Translation rewrites a call's numbers: of each list the first rule that matches.
type Translation struct {
	Name            string
	Called, Calling []Rule
}

// apply rewrites both numbers and says what it did.
func (t Translation) apply(called, calling string, say func(string, ...any)) (string, string) {
	one := func(what string, rules []Rule, number string) string {
		for i, r := range rules {
			if next, ok := r.Apply(number); ok {
				next = clip(next)
				say("translation %s: %s number %s becomes %s by rule %d", t.Name, what, shown(number), shown(next), i+1)
				return next
			}
		}
		return number
	}
	return one("called", t.Called, called), one("calling", t.Calling, calling)
}

// clip keeps a number that a rule made within what is dialled.
func clip(s string) string { return s[:min(len(s), MaxNumber)] }

func shown(number string) string {
	if number == "" {
		return "(none)"
	}
	return number
}
