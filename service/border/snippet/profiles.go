package snippet

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/locktone/locktone/config"
)

func (r *reader) openProfiles(args []string) outcome {
	out := r.class(modeProfiles, args[0])
	if out.verdict == Understood {
		set(&r.site.HeaderRules, config.HeaderRules{Name: args[0]})
		out.says = "the header rules " + args[0] + ", from their beginning"
	}
	return out
}

func (r *reader) numberedProfile(args []string) outcome {
	if _, err := number(args[0], 1, 1073741823); err != nil {
		return bad("%v", err)
	}
	return r.profile(args[1:])
}

// profile is request METHOD sip-header NAME ACTION ["match"] ["value"], or response STATUS [method METHOD] sip-header ...
func (r *reader) profile(args []string) outcome {
	rule, err := headerRule(args)
	if err != nil {
		return bad("%v", err)
	}
	probe := &config.Site{HeaderRules: []config.HeaderRules{{Name: "x", Rules: []config.HeaderRule{rule}}}}
	if err := probe.Check(); err != nil {
		return bad("%s", sentence(err))
	}
	h, _ := get(r.site.HeaderRules, r.arg)
	h.Rules = append(h.Rules[:len(h.Rules):len(h.Rules)], rule)
	set(&r.site.HeaderRules, h)
	return did("%s", says(rule))
}

func says(rule config.HeaderRule) string {
	on := rule.On.String()
	if rule.Status != 0 {
		on = fmt.Sprintf("%d %s", rule.Status, on)
	}
	if rule.Method != "" {
		on += " of " + rule.Method
	}
	switch rule.Action {
	case config.HeaderAdd:
		return fmt.Sprintf("adds %s: %s to %s", rule.Header, rule.Value, on)
	case config.HeaderModify:
		return fmt.Sprintf("changes %s in %s: what matches %s becomes %s", rule.Header, on, rule.Match, orNothing(rule.Value))
	}
	return fmt.Sprintf("removes %s from %s", rule.Header, on)
}

func headerRule(args []string) (rule config.HeaderRule, err error) {
	kind, rest := args[0], args[1:]
	if len(rest) == 0 {
		return rule, fmt.Errorf("expected which %ss, as ANY or INVITE", kind)
	}
	which := strings.ToUpper(rest[0])
	rest = rest[1:]
	if kind == "response" {
		rule.On = config.OnResponses
		if which != "ANY" {
			if rule.Status, err = number(which, 100, 699); err != nil {
				return rule, err
			}
		}
		if len(rest) > 1 && keyword(rest[0], "method") {
			rule.Method, rest = strings.ToUpper(rest[1]), rest[2:]
		}
	} else if which != "ANY" && which != "REINVITE" {
		rule.Method = which
	} else if which == "REINVITE" {
		return rule, fmt.Errorf("rules for re-INVITE alone are not offered: say INVITE")
	}
	if len(rest) < 3 {
		return rule, fmt.Errorf("expected sip-header NAME and add, modify or remove")
	}
	switch {
	case keyword(rest[0], "sdp-header"):
		return rule, fmt.Errorf("SDP is written anew by the border: there is nothing of the peer's in it to change")
	case !keyword(rest[0], "sip-header"):
		return rule, fmt.Errorf("%q is not known: expected sip-header", rest[0])
	}
	rule.Header = rest[1]
	return rule, action(&rule, rest[2], strings.Join(rest[3:], " "))
}

// action reads what is done, and its quoted values.
func action(rule *config.HeaderRule, word, text string) error {
	values, err := quoted(text)
	if err != nil {
		return err
	}
	need := func(n int, what string) error {
		if len(values) != n {
			return fmt.Errorf("expected %s", what)
		}
		return nil
	}
	switch {
	case keyword(word, "remove"):
		rule.Action = config.HeaderRemove
		return need(0, "nothing behind remove")
	case keyword(word, "add"):
		rule.Action = config.HeaderAdd
		if err := need(1, `add "Name: value"`); err != nil {
			return err
		}
		rule.Value = values[0]
		if n, v, ok := strings.Cut(values[0], ":"); ok && strings.EqualFold(strings.TrimSpace(n), rule.Header) {
			rule.Value = strings.TrimSpace(v) // the field repeats the name
		}
		return nil
	case keyword(word, "modify"):
		rule.Action = config.HeaderModify
		if err := need(2, `modify "what matches" "what replaces it"`); err != nil {
			return err
		}
		rule.Match, rule.Value = strings.TrimPrefix(values[0], rule.Header+": "), strings.TrimPrefix(values[1], rule.Header+": ")
		return nil
	case keyword(word, "copy"):
		return fmt.Errorf("copying between messages is not offered")
	}
	return fmt.Errorf("%q is not known: expected add, modify or remove", word)
}

// quoted reads values in double quotes.
func quoted(text string) (out []string, err error) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		prefix, err := strconv.QuotedPrefix(text)
		if text[0] != '"' || err != nil {
			if i := strings.IndexByte(text[min(1, len(text)):], '"'); text[0] == '"' && i >= 0 { // \( and the like are no escapes of Go's
				out, text = append(out, text[1:i+1]), text[i+2:]
				continue
			}
			return nil, fmt.Errorf("expected values in double quotes, not %s", text)
		}
		out, text = append(out, prefix[1:len(prefix)-1]), text[len(prefix):]
	}
	return out, nil
}
