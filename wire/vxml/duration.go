package vxml

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxDuration is the longest time a document may name; longer ones become this.
const MaxDuration = 24 * time.Hour

// ParseDuration reads a time designation of VoiceXML 2.0, section 6.5: an unsigned number followed by ms or s ("850ms", "0.7s", "+1.5s").
func ParseDuration(s string) (time.Duration, error) {
	text := strings.TrimPrefix(strings.TrimSpace(s), "+")
	unit := time.Second
	number, found := strings.CutSuffix(text, "ms")
	if found {
		unit = time.Millisecond
	} else if number, found = strings.CutSuffix(text, "s"); !found {
		return 0, fmt.Errorf("%q is no time: a number followed by ms or s is", s)
	}
	for _, r := range number {
		if (r < '0' || r > '9') && r != '.' {
			return 0, fmt.Errorf("%q is no time: a number followed by ms or s is", s)
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no time: a number followed by ms or s is", s)
	}
	if f > float64(MaxDuration/unit) {
		return MaxDuration, nil
	}
	return time.Duration(f * float64(unit)), nil
}
