package speech

import (
	"strconv"
	"strings"
	"unicode"
)

var (
	small = strings.Fields("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
	tens  = strings.Fields("zero ten twenty thirty forty fifty sixty seventy eighty ninety")
	first = strings.Fields("zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth")
	month = strings.Fields("month january february march april may june july august september october november december")
)

// signs are characters that have a word.
var signs = map[rune]string{'*': "star", '#': "pound", '+': "plus", '-': "dash", '.': "dot", '@': "at", '/': "slash", '_': "underscore", '%': "percent"}

// number is a number of up to twelve digits in English words.
func number(n int64) (out []string) {
	if n < 0 {
		return append([]string{"minus"}, number(-n)...)
	}
	for _, unit := range []struct {
		size int64
		name string
	}{{1e9, "billion"}, {1e6, "million"}, {1000, "thousand"}, {100, "hundred"}} {
		if n >= unit.size {
			out = append(append(out, number(n/unit.size)...), unit.name)
			if n %= unit.size; n == 0 {
				return out
			}
		}
	}
	switch {
	case n < 20:
		return append(out, small[n])
	case n%10 == 0:
		return append(out, tens[n/10])
	}
	return append(out, tens[n/10], small[n%10])
}

// ordinal is the n-th, 1 to 99.
func ordinal(n int64) []string {
	switch {
	case n < 20:
		return []string{first[n]}
	case n == 20:
		return []string{"twentieth"}
	case n == 30:
		return []string{"thirtieth"}
	case n%10 == 0:
		return number(n)
	}
	return []string{tens[n/10], first[n%10]}
}

// decimal is a number as it is written; nil where it is none.
func decimal(s string) []string {
	whole, part, point := strings.Cut(strings.ReplaceAll(s, ",", ""), ".")
	if len(whole) > 12 || len(part) > 12 || whole == "" || point && part == "" {
		return nil
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n >= 1e12 || n <= -1e12 {
		return nil
	}
	out := number(n)
	if n == 0 && whole[0] == '-' {
		out = append([]string{"minus"}, out...)
	}
	if point {
		out = append(append(out, "point"), spelled(part)...)
	}
	return out
}

// spelled is a text letter by letter, digit by digit.
func spelled(s string) (out []string) {
	for _, c := range strings.ToLower(s) {
		switch {
		case c >= '0' && c <= '9':
			out = append(out, small[c-'0'])
		case c >= 'a' && c <= 'z':
			out = append(out, "letter", string(c))
		case signs[c] != "":
			out = append(out, signs[c])
		case c == ',' || unicode.IsSpace(c):
			out = append(out, ",")
		default:
			return nil
		}
	}
	return out
}

// digitsOf are the digits of a text; false where something else stands in it.
func digitsOf(s string) (int64, bool) {
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// year is a year as it is said: nineteen eighty four, two thousand, twenty twenty six.
func year(n int64) []string {
	if n < 1100 || n >= 2000 && n < 2010 || n > 9999 || n%100 == 0 && n%1000 == 0 {
		return number(n)
	}
	out := number(n / 100)
	switch rest := n % 100; {
	case rest == 0:
		return append(out, "hundred")
	case rest < 10:
		return append(append(out, "oh"), number(rest)...)
	default:
		return append(out, number(rest)...)
	}
}

// date is a date as the builtin type of VoiceXML writes it (2.0, appendix P: yyyymmdd, ? for what is not known), or as format names its
// parts: ymd, mdy, dmy, ym, my, md, dm, y, m, d.
func date(s, format string) []string {
	parts := strings.FieldsFunc(s, func(c rune) bool { return c == '-' || c == '/' || c == '.' || c == ' ' })
	if len(parts) == 1 && len(s) == 8 && (format == "" || format == "ymd") {
		parts, format = []string{s[:4], s[4:6], s[6:]}, "ymd"
	}
	if format == "" {
		format = map[bool]string{true: "ymd", false: "mdy"}[len(parts) > 0 && len(parts[0]) == 4]
	}
	if len(parts) != len(format) {
		return nil
	}
	said := map[byte][]string{}
	for i, p := range parts {
		if strings.Trim(p, "?") == "" {
			continue
		}
		n, ok := digitsOf(p)
		switch {
		case !ok:
			return nil
		case format[i] == 'y':
			said['y'] = year(n)
		case format[i] == 'm' && n >= 1 && n <= 12:
			said['m'] = []string{month[n]}
		case format[i] == 'd' && n >= 1 && n <= 31:
			said['d'] = ordinal(n)
		default:
			return nil
		}
	}
	return append(append(said['m'], said['d']...), said['y']...)
}

// clock is a time: hhmm with a, p, h or ? behind (VoiceXML 2.0, appendix P), hh:mm, hh:mm:ss.
func clock(s string) []string {
	s = strings.ToLower(strings.TrimSpace(s))
	suffix := byte(0)
	if n := len(s); n > 0 && strings.IndexByte("aph?", s[n-1]) >= 0 {
		suffix, s = s[n-1], s[:n-1]
	}
	s = strings.ReplaceAll(s, ":", "")
	if len(s) == 3 {
		s = "0" + s
	}
	if len(s) != 4 && len(s) != 6 {
		return nil
	}
	hour, ok := digitsOf(s[:2])
	minute, ok2 := digitsOf(s[2:4])
	if !ok || !ok2 || hour > 24 || minute > 59 {
		return nil
	}
	out := number(hour)
	switch {
	case minute == 0:
		out = append(out, "o", "clock")
	case minute < 10:
		out = append(append(out, "oh"), number(minute)...)
	default:
		out = append(out, number(minute)...)
	}
	switch suffix {
	case 'a':
		out = append(out, "a", "m")
	case 'p':
		out = append(out, "p", "m")
	}
	return out
}

// money is an amount: UUUmmm.nn (VoiceXML 2.0, appendix P), $, the euro sign.
func money(s string) []string {
	unit, part := "", ""
	for prefix, names := range map[string][2]string{"USD": {"dollars", "cents"}, "$": {"dollars", "cents"}, "EUR": {"euros", "cents"}, "\u20ac": {"euros", "cents"}} {
		if rest, ok := strings.CutPrefix(strings.ToUpper(s), prefix); ok {
			s, unit, part = rest, names[0], names[1]
			break
		}
	}
	whole, fraction, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(s), ",", ""), ".")
	n, ok := digitsOf(whole)
	if whole == "" || !ok || n >= 1e12 {
		return nil
	}
	if unit == "" {
		return decimal(s)
	}
	if n == 1 {
		unit = strings.TrimSuffix(unit, "s")
	}
	out := append(number(n), unit)
	if f, ok := digitsOf(fraction); ok && f > 0 && len(fraction) == 2 {
		if f == 1 {
			part = "cent"
		}
		out = append(append(append(out, "and"), number(f)...), part)
	}
	return out
}

// as are the words of a text under say-as; nil where it is not of that form, or the form is none of ours: then it is plain text.
func as(text, kind, format string) []string {
	text = strings.TrimSpace(text)
	switch strings.TrimPrefix(strings.ToLower(kind), "vxml:") {
	case "digits", "telephone", "phone", "characters", "spell-out", "acronym":
		if strings.EqualFold(format, "characters") || len(text) <= 64 {
			return spelled(text)
		}
	case "number", "cardinal":
		switch strings.ToLower(format) {
		case "ordinal":
			if n, ok := digitsOf(text); ok && n > 0 && n < 100 {
				return ordinal(n)
			}
		case "digits":
			return spelled(text)
		default:
			return decimal(text)
		}
	case "ordinal":
		if n, ok := digitsOf(text); ok && n > 0 && n < 100 {
			return ordinal(n)
		}
	case "date":
		return date(text, strings.ToLower(format))
	case "time":
		return clock(text)
	case "currency":
		return money(text)
	case "boolean":
		return map[string][]string{"true": {"yes"}, "false": {"no"}}[strings.ToLower(text)]
	}
	return nil
}

// plain are the words of a plain text: lower case, numbers in words, commas for what separates.
func plain(text string) (out []string) {
	for _, token := range strings.Fields(strings.ToLower(strings.ReplaceAll(text, "'", ""))) {
		word := strings.TrimRight(token, ".,;:!?")
		stop := len(word) < len(token)
		word = strings.Trim(word, `"()`)
		switch n := decimal(word); {
		case word == "":
		case n != nil:
			out = append(out, n...)
		case strings.Contains(word, "-"):
			out = append(out, strings.FieldsFunc(word, func(c rune) bool { return c == '-' })...)
		default:
			out = append(out, word)
		}
		if stop && len(out) > 0 {
			out = append(out, ",")
		}
	}
	for len(out) > 0 && out[len(out)-1] == "," {
		out = out[:len(out)-1]
	}
	return out
}
