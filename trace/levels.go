package trace

import (
	"fmt"
	"maps"
	"slices"
)

// Scope says what a level rule applies to. The zero value is the whole node.
type Scope struct {
	Service string `json:"service,omitempty"`
	Device  string `json:"device,omitempty"`
	User    string `json:"user,omitempty"`
}

// LevelRule is one line of the level table.
type LevelRule struct {
	Scope Scope `json:"scope"`
	Level Level `json:"level"`
}

// Levels is an immutable table of levels. The most telling rule wins: a rule that names a device before one that names
// a user, before one that names a service, before the default. Of two rules for the same device the one that also
// names the service wins.
type Levels struct {
	base  Level
	rules map[Scope]Level
	least Level // the most verbose level any rule allows: what is above it is refused by one comparison
	plain bool  // no rules
}

// NewLevels returns a table with one default level; Inherit means Info.
func NewLevels(base Level) *Levels {
	if base == Inherit {
		base = Info
	}
	return &Levels{base: base, least: base, plain: true}
}

// With returns a table with the rule added, changed or, with level Inherit, removed. The zero scope sets the default.
func (t *Levels) With(s Scope, l Level) (*Levels, error) {
	if l >= levelEnd {
		return nil, fmt.Errorf("trace: level %d does not exist", l)
	}
	n := &Levels{base: t.base, rules: maps.Clone(t.rules)}
	switch {
	case s == Scope{}:
		n.base = NewLevels(l).base
	case l == Inherit:
		delete(n.rules, s)
	default:
		if n.rules == nil {
			n.rules = map[Scope]Level{}
		}
		if len(n.rules) >= maxRules {
			return nil, fmt.Errorf("trace: %d level rules are the most there can be; remove some with level inherit", maxRules)
		}
		n.rules[s] = l
	}
	n.plain = len(n.rules) == 0
	n.least = n.base
	for _, r := range n.rules {
		n.least = max(n.least, r)
	}
	return n, nil
}

// maxRules bounds the level table; a table this long was written by a loop, not by an operator.
const maxRules = 1000

// Level returns the level that holds for a service, device and user.
func (t *Levels) Level(service, device, user string) Level {
	if t.plain {
		return t.base
	}
	for _, s := range [...]Scope{
		{service, device, user}, {"", device, user}, {service, device, ""}, {"", device, ""},
		{service, "", user}, {"", "", user}, {service, "", ""},
	} {
		if (s == Scope{}) {
			continue
		}
		if l, ok := t.rules[s]; ok {
			return l
		}
	}
	return t.base
}

// Enabled reports whether a record of level l is wanted.
func (t *Levels) Enabled(service, device, user string, l Level) bool {
	if l == Inherit {
		l = Info
	}
	if l > t.least {
		return false
	}
	return l <= t.Level(service, device, user)
}

// Rules lists the table, the default first, the others by scope.
func (t *Levels) Rules() []LevelRule {
	out := []LevelRule{{Level: t.base}}
	scopes := slices.SortedFunc(maps.Keys(t.rules), compareScopes)
	for _, s := range scopes {
		out = append(out, LevelRule{s, t.rules[s]})
	}
	return out
}

func compareScopes(a, b Scope) int {
	return slices.Compare([]string{a.Service, a.Device, a.User}, []string{b.Service, b.Device, b.User})
}
