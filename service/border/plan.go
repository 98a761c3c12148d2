package border

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/locktone/locktone/dialplan"
)

// transferSpace is the search space of calls that a peer's REFER makes.
const transferSpace = "dial-peers"

// plan is what a REFER that the border consumes can reach: the dial-peers' patterns, as far as a dial plan can say them. The calls that
// come in ask package dialpeer; those that a transfer makes are the engine's own, and it knows dial plans.
func (out *site) plan() dialplan.Rules {
	var rules dialplan.Rules
	rules.SearchSpaces = []dialplan.SearchSpace{{Name: transferSpace, Partitions: []string{transferSpace}}}
	best := map[string]*peer{}
	for _, p := range out.peers {
		if p.Shutdown || len(p.SessionTargets) == 0 {
			continue
		}
		for _, text := range p.DestinationPatterns {
			for _, digits := range planDigits(text) {
				if b := best[digits]; b == nil || p.Preference < b.Preference {
					best[digits] = p
				}
			}
		}
	}
	for digits, p := range best {
		rules.Patterns = append(rules.Patterns, dialplan.Pattern{Digits: digits, Partition: transferSpace, Kind: dialplan.ToTrunk, To: strconv.Itoa(p.Tag)})
	}
	slices.SortFunc(rules.Patterns, func(a, b dialplan.Pattern) int { return cmp.Compare(a.Digits, b.Digits) })
	return rules
}

// planDigits writes a destination-pattern as patterns of a dial plan; none where those cannot say it (groups, repetitions).
func planDigits(text string) []string {
	body, exact := strings.CutSuffix(strings.TrimPrefix(text, "^"), "$")
	body = strings.ReplaceAll(body, ",", "")
	global := strings.HasPrefix(body, "+") || strings.HasPrefix(body, `\+`)
	body = strings.TrimPrefix(strings.TrimPrefix(body, `\`), "+")
	body, open := strings.CutSuffix(body, "T")
	if strings.ContainsAny(body, `%?+()\`) {
		return nil
	}
	var b strings.Builder
	if global {
		b.WriteString(`\+`)
	}
	for i := 0; i < len(body); i++ {
		switch c := body[i]; c {
		case '.':
			b.WriteByte('X')
		case '[':
			end := i + strings.IndexByte(body[i:], ']')
			set := body[i : end+1]
			if strings.ContainsAny(set, "ABCD") {
				return nil
			}
			b.WriteString(set)
			i = end
		default:
			b.WriteByte(c)
		}
	}
	digits := b.String()
	switch {
	case exact && !open:
		return []string{digits}
	case digits == "":
		return []string{"!"}
	}
	return []string{digits, digits + "!"}
}
