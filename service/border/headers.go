package border

import (
	"slices"
	"strings"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/border/dialpeer"
	"github.com/locktone/locktone/wire/sip"
)

// headerRules are config.HeaderRules, compiled. The configuration refuses rules for what transaction, dialog and body need.
type headerRules []headerRule

type headerRule struct {
	config.HeaderRule
	rule dialpeer.Rule
}

// Bounds of what rules can make of a message.
const (
	maxValue  = 2048
	maxFields = 200
)

func compileHeaders(e config.HeaderRules) headerRules {
	var out headerRules
	for _, r := range e.Rules {
		c := headerRule{HeaderRule: r}
		if r.Match != "" {
			rule, err := dialpeer.NewRule(r.Match, r.Value)
			if err != nil {
				continue // the configuration has been checked: a site that comes otherwise has one rule less
			}
			c.rule = rule
		}
		out = append(out, c)
	}
	return out
}

// apply does the rules that are for the message, one after the other.
func (h headerRules) apply(m *sip.Message) {
	for _, r := range h {
		if r.fits(m) {
			r.do(m)
		}
	}
}

func (r headerRule) fits(m *sip.Message) bool {
	if m.IsResponse() != (r.On == config.OnResponses) || r.Status != 0 && m.Status() != r.Status {
		return false
	}
	method := m.CSeq().Method // of a response, that of its request
	return r.Method == "" || strings.EqualFold(r.Method, string(method))
}

func (r headerRule) do(m *sip.Message) {
	values := m.Headers(r.Header)
	switch r.Action {
	case config.HeaderAdd:
		if len(m.Fields()) < maxFields {
			m.Add(r.Header, r.Value)
		}
		return
	case config.HeaderRemove:
		values = slices.DeleteFunc(values, func(v string) bool { return r.Match == "" || r.rule.Match.MatchString(v) })
	case config.HeaderModify:
		for i, v := range values {
			if next, ok := r.rule.Apply(v); ok && len(next) <= maxValue {
				values[i] = next
			}
		}
	}
	m.Del(r.Header)
	for _, v := range values {
		m.Add(r.Header, v)
	}
}
