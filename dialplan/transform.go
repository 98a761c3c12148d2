package dialplan

import (
	"fmt"
	"strconv"
	"strings"
)

// IsZero says whether the transform leaves every number as it is.
func (t Transform) IsZero() bool { return t == Transform{} }

// Apply rewrites a number outside of any pattern, so that "predot" cuts nothing.
func (t Transform) Apply(number string) string { return t.apply(number, -1) }

// apply rewrites a number; dot is how many digits the pattern matched before its dot, -1 without one.
func (t Transform) apply(number string, dot int) string {
	if t.IsZero() {
		return number
	}
	discard, pound := strings.CutSuffix(t.Discard, "pound")
	if pound {
		number = strings.TrimSuffix(number, "#")
	}
	number = number[cut(strings.TrimSpace(discard), len(number), dot):]
	if t.Mask != "" {
		number = overlay(t.Mask, number)
	}
	return t.Prefix + number
}

// cut is how many digits go off the front.
func cut(discard string, length, dot int) int {
	switch discard {
	case "":
		return 0
	case "all":
		return length
	case "predot":
		return min(max(dot, 0), length)
	}
	n, err := strconv.Atoi(discard)
	if err != nil {
		return 0 // Validate refuses it
	}
	return min(max(n, 0), length)
}

// overlay lays a mask over a number from the right. Where the mask has X and the number has run out, nothing comes.
func overlay(mask, number string) string {
	out := make([]byte, 0, len(mask))
	gap := len(mask) - len(number)
	for i := 0; i < len(mask); i++ {
		switch c := mask[i]; {
		case c != 'X':
			out = append(out, c)
		case i >= gap:
			out = append(out, number[i-gap])
		}
	}
	return string(out)
}

// Validate checks the transform; hasDot says whether it belongs to a pattern with a dot.
func (t Transform) Validate(hasDot bool) error {
	switch n, err := strconv.Atoi(t.Discard); {
	case t.Discard == "" || t.Discard == "all" || t.Discard == "pound":
	case strings.HasPrefix(t.Discard, "predot") && !hasDot:
		return fmt.Errorf(`discard %q needs a dot in the pattern`, t.Discard)
	case t.Discard == "predot" || t.Discard == "predot pound":
	case err != nil || n < 0:
		return fmt.Errorf(`%q is no discard; expected "predot", "pound", "predot pound", "all" or a number of digits`, t.Discard)
	}
	if bad := strings.Trim(t.Mask, alphabet+"X"); bad != "" {
		return fmt.Errorf("mask %q has %q in it; expected digits, *, #, + and X", t.Mask, bad)
	}
	if bad := strings.Trim(t.Prefix, alphabet); bad != "" {
		return fmt.Errorf("prefix %q has %q in it; expected digits, *, # and +", t.Prefix, bad)
	}
	return nil
}
