package center

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/contact"
)

// Describe is one line about an Input or Output, for traces and tests.
//
//house:flat
func Describe(x any) string {
	switch x := x.(type) {
	case nil:
		return "tick"
	case Answer:
		return fmt.Sprintf("answer q%d %s %s", x.ID, x.Call, describeLabel(x.Label))
	case Send:
		return fmt.Sprintf("order %s %s", x.Order.Call, describeLabel(x.Order.Label))
	case Reply:
		if x.Refused != "" {
			return fmt.Sprintf("reply r%d refused: %s", x.ID, x.Refused)
		}
		return fmt.Sprintf("reply r%d done", x.ID)
	case Lookup:
		return fmt.Sprintf("lookup %d %s %s within %s", x.ID, x.Call, x.URL, x.Timeout)
	case Dial:
		if x.Stop {
			return fmt.Sprintf("dial o%d %s at %s: stop", x.Offer, x.Callback, x.Agent)
		}
		return fmt.Sprintf("dial o%d %s at %s: %s", x.Offer, x.Callback, x.Agent, x.Number)
	case AgentChanged:
		return describeAgent(x)
	case ContactChanged:
		return "contact " + strings.Join(fields(string(x.Contact.Call), x.Contact.Phase.String(), x.Contact.Queue, x.Contact.Agent), " ")
	case ContactEnded:
		r := x.Record
		return "ended " + strings.Join(fields(string(r.Call), r.Disposition.String(), named("queue", r.Queue), named("agent", r.Agent), span("wait", r.Wait), span("talk", r.Talk),
			named("reasons", strings.Join(r.Reasons(), ",")), named("note", strings.ReplaceAll(r.Note(), "\n", " / "))), " ")
	case CallbackChanged:
		if x.Done {
			return "callback " + string(x.Callback.ID) + " over"
		}
		return fmt.Sprintf("callback %s %s queue=%s tries=%d", x.Callback.ID, x.Callback.Number, x.Callback.Queue, x.Callback.Tries)
	case Repaired:
		return "repaired " + x.What
	}
	return strings.TrimPrefix(fmt.Sprintf("%T%+v", x, x), "center.")
}

func describeAgent(x AgentChanged) string {
	a := x.Agent
	next := ""
	if a.State == Reserved || a.State == Talking || a.State == Hold || a.State == Work {
		next = named("next", a.Next.String()) + named(":", a.NextReason)
	}
	calls := make([]string, len(a.Calls))
	for i, id := range a.Calls {
		calls[i] = string(id)
	}
	wraps := make([]string, len(a.Wraps))
	for i, r := range a.Wraps {
		wraps[i] = string(r.Call)
	}
	down, busy := "", ""
	if a.DeviceDown {
		down = "device-down"
	}
	if a.PhoneBusy {
		busy = "phone-busy"
	}
	return "agent " + strings.Join(fields(a.Agent, x.From.String()+"->"+a.State.String(), a.Reason, next, strings.Join(calls, ","), named("wraps", strings.Join(wraps, ",")), down, busy), " ")
}

func describeLabel(l contact.Label) string {
	out := []string{fmt.Sprintf("#%d", l.Serial), l.Kind.String(), l.Number, span("ring", l.NoAnswer)}
	if l.Cause != 0 {
		out = append(out, l.Cause.String())
	}
	for _, p := range l.Steps {
		out = append(out, describePlay(p))
	}
	for _, name := range slices.Sorted(maps.Keys(l.Variables)) {
		out = append(out, name+"="+l.Variables[name])
	}
	return strings.Join(fields(out...), " ")
}

func describePlay(p contact.Play) string {
	out := []string{p.Kind.String(), p.Variable, span("for", p.For), named("source", p.Source)}
	for _, m := range p.Prompts {
		out = append(out, named("audio", m.Audio))
		if m.Text != "" {
			out = append(out, fmt.Sprintf("%q", m.Text))
		}
	}
	for _, c := range p.Choices {
		out = append(out, "["+c.Key+"]")
	}
	return "{" + strings.Join(fields(out...), " ") + "}"
}

func fields(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func named(name, value string) string {
	switch {
	case value == "":
		return ""
	case name == ":":
		return ":" + value
	}
	return name + "=" + value
}

func span(name string, d time.Duration) string {
	if d == 0 {
		return ""
	}
	return name + "=" + d.String()
}
