package call

import (
	"fmt"
	"reflect"
	"strings"
)

// Describe says a signal, request, command or reply in one line, for traces, ladders and the golden scripts: its name, then its
// fields as name=value, leaving out what is zero.
func Describe(v any) string {
	if r, ok := v.(*Reply); ok {
		v = *r
	}
	b := &strings.Builder{}
	b.WriteString(kindName(v))
	rv := reflect.ValueOf(v)
	for i := 0; i < rv.NumField(); i++ {
		if f := rv.Field(i); !f.IsZero() {
			fmt.Fprintf(b, " %s=%s", strings.ToLower(rv.Type().Field(i).Name), describeField(f.Interface()))
		}
	}
	return b.String()
}

func describeField(v any) string {
	switch v := v.(type) {
	case Desc:
		return v.String()
	case Media:
		return v.String()
	case Identity:
		return v.String()
	case []Redirection:
		var parts []string
		for _, r := range v {
			parts = append(parts, r.From.String()+"/"+r.Reason.String())
		}
		return strings.Join(parts, ",")
	case Target:
		return strings.ReplaceAll(v.String(), " ", "/")
	case string:
		if v == "" || strings.ContainsAny(v, " \"=") {
			return fmt.Sprintf("%q", v)
		}
		return v
	case Cause:
		return strings.ReplaceAll(v.String(), " ", "-")
	}
	return fmt.Sprint(v)
}

// String is kind:ref:direction:security, as the golden scripts write it.
func (d Desc) String() string {
	return fmt.Sprintf("%s:%d:%s:%s", d.Kind, d.Ref, d.Dir, orDefault(d.Security.String(), "unknown"))
}

// String says the media in the same shape: kind:treatment:what:direction:security.
func (m Media) String() string {
	if m.Kind == KindNone {
		return "none"
	}
	what := fmt.Sprintf("%d/%s", m.Ref, m.Peer)
	if m.Treatment == Source {
		what = orDefault(m.Source, "silence")
		if m.Ref != 0 {
			what += fmt.Sprintf("/%d", m.Ref)
		}
	}
	return fmt.Sprintf("%s:%s:%s:%s:%s", m.Kind, m.Treatment, what, m.Dir, orDefault(m.Security.String(), "unknown"))
}

// String is the number with the name behind it.
func (i Identity) String() string {
	s := i.Number
	if i.Display != "" {
		s += "(" + strings.ReplaceAll(i.Display, " ", "-") + ")"
	}
	if i.Domain != "" {
		s += "@" + i.Domain
	}
	if i.Restricted {
		s += "(restricted)"
	}
	return s
}

// String is a line of a golden script: the event and what it is about.
func (ev Event) String() string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "%s %s", ev.Kind, ev.Call)
	if ev.Party != 0 {
		fmt.Fprintf(b, " %s", ev.Party)
	}
	if ev.Leg != 0 {
		fmt.Fprintf(b, " %s", ev.Leg)
	}
	if ev.Cause != CauseNone {
		fmt.Fprintf(b, " cause=%s", describeField(ev.Cause))
	}
	if ev.Other != 0 {
		fmt.Fprintf(b, " other=%s", ev.Other)
	}
	if ev.Digit != "" {
		fmt.Fprintf(b, " digit=%s", ev.Digit)
	}
	if ev.Kind == MixChanged && ev.View != nil {
		b.WriteString(" " + mixText(ev.View.Mix))
	}
	return b.String()
}

func mixText(mix []Edge) string {
	if len(mix) == 0 {
		return "nobody hears anybody"
	}
	var parts []string
	for _, m := range mix {
		from := m.Source
		if m.From != 0 {
			from = m.From.String()
		}
		parts = append(parts, fmt.Sprintf("%s->%s", from, m.To))
	}
	return strings.Join(parts, " ")
}
