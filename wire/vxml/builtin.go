package vxml

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseBuiltin gives the built-in DTMF grammar for a type of <field> or the path of a builtin: URI: "digits?minlength=3;maxlength=5"
// (VoiceXML 2.0, appendix P). Types are boolean, date, digits, currency, number, phone and time.
func ParseBuiltin(spec string) (*Grammar, error) {
	name, query, _ := strings.Cut(spec, "?")
	parameters, err := builtinParameters(query)
	if err != nil {
		return nil, fmt.Errorf("built-in grammar %q: %w", spec, err)
	}
	text, err := builtinRules(name, parameters)
	if err != nil {
		return nil, fmt.Errorf("built-in grammar %q: %w", spec, err)
	}
	for key := range parameters {
		return nil, fmt.Errorf("built-in grammar %q: %s has no parameter %q", spec, name, key)
	}
	g, err := ParseABNF("#ABNF 1.0; mode dtmf; root $builtin; $d = 0|1|2|3|4|5|6|7|8|9; $builtin = " + text + ";")
	if err != nil {
		return nil, fmt.Errorf("built-in grammar %q: %w", spec, err)
	}
	g.Builtin = name
	if name == "boolean" {
		g.Builtin = "boolean?" + text[:1] // the key for yes
	}
	return g, nil
}

// ErrNoBuiltin says that there is no such built-in grammar: documents are told error.unsupported.builtin.
type ErrNoBuiltin struct{ Name string }

func (e ErrNoBuiltin) Error() string {
	return fmt.Sprintf("%q is no built-in type: boolean, currency, date, digits, number, phone and time are", e.Name)
}

func builtinParameters(query string) (map[string]string, error) {
	out := map[string]string{}
	for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == ';' || r == '&' }) {
		key, value, ok := strings.Cut(pair, "=")
		if key = strings.TrimSpace(key); !ok || key == "" || out[key] != "" {
			return nil, fmt.Errorf("parameter %q: name=value is expected, each name once", pair)
		}
		out[key] = strings.TrimSpace(value)
	}
	return out, nil
}

// builtinRules gives the expansion in ABNF, and takes the parameters it knows out of the map.
func builtinRules(name string, parameters map[string]string) (string, error) {
	switch name {
	case "boolean":
		return booleanRule(parameters)
	case "digits":
		return digitsRule(parameters)
	case "date": // year, month, day
		return "$d $d $d $d (0 (1|2|3|4|5|6|7|8|9) | 1 (0|1|2)) (0 (1|2|3|4|5|6|7|8|9) | (1|2) $d | 3 (0|1))", nil
	case "time": // hour and minute
		return "((0|1) $d | 2 (0|1|2|3)) (0|1|2|3|4|5) $d", nil
	case "number":
		return "$d<1-> [ * $d<1-> ] | * $d<1->", nil
	case "currency":
		return "$d<1-> [ * $d<1-2> ] | * $d<1-2>", nil
	case "phone": // star: the extension
		return "$d<1-> [ * $d<1-> ]", nil
	}
	return "", ErrNoBuiltin{name}
}

func booleanRule(parameters map[string]string) (string, error) {
	yes, no := "1", "2"
	if v, ok := parameters["y"]; ok {
		yes = v
	}
	if v, ok := parameters["n"]; ok {
		no = v
	}
	delete(parameters, "y")
	delete(parameters, "n")
	for _, key := range []string{yes, no} {
		if _, ok := digits(key); !ok || len(key) != 1 {
			return "", fmt.Errorf("%q is no key", key)
		}
	}
	if yes == no {
		return "", fmt.Errorf("yes and no are the same key %s", yes)
	}
	return yes + "|" + no, nil
}

func digitsRule(parameters map[string]string) (string, error) {
	number := func(key string) (int, bool, error) {
		text, ok := parameters[key]
		delete(parameters, key)
		if !ok {
			return 0, false, nil
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxRepeat {
			return 0, false, fmt.Errorf("%s=%s: a number up to %d is expected", key, text, maxRepeat)
		}
		return n, true, nil
	}
	length, exact, err := number("length")
	if err != nil {
		return "", err
	}
	lowest, hasLowest, err := number("minlength")
	if err != nil {
		return "", err
	}
	highest, hasHighest, err := number("maxlength")
	if err != nil {
		return "", err
	}
	lowest = max(lowest, 1)
	switch {
	case exact && (hasLowest || hasHighest):
		return "", fmt.Errorf("length excludes minlength and maxlength")
	case exact && length > 0:
		return fmt.Sprintf("$d<%d>", length), nil
	case exact || hasHighest && highest < lowest:
		return "", fmt.Errorf("no input can be this long")
	case hasHighest:
		return fmt.Sprintf("$d<%d-%d>", lowest, highest), nil
	}
	return fmt.Sprintf("$d<%d->", lowest), nil
}

// BuiltinValue gives the value a built-in grammar returns for the keys that were typed (VoiceXML 2.0, appendix P, table 68): of boolean
// "true" or "false"; of date yyyymmdd; of time hhmm and h (24 hours) or ? (it may be before or after noon); of currency and number with a
// point where the star was typed; of phone with x before the extension.
func (g *Grammar) BuiltinValue(keys string) string {
	name, yes, _ := strings.Cut(g.Builtin, "?")
	switch name {
	case "boolean":
		return strconv.FormatBool(keys == yes)
	case "time":
		if hour := keys[:min(2, len(keys))]; hour >= "13" || hour == "00" {
			return keys + "h"
		}
		return keys + "?"
	case "number":
		return strings.TrimSuffix(pointed(keys), ".")
	case "currency":
		whole, cents, _ := strings.Cut(pointed(keys), ".")
		return whole + "." + (cents + "00")[:2]
	case "phone":
		return strings.Replace(keys, "*", "x", 1)
	}
	return keys
}

func pointed(keys string) string {
	if strings.HasPrefix(keys, "*") {
		keys = "0" + keys
	}
	return strings.Replace(keys, "*", ".", 1)
}
