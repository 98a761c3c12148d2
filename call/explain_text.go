package call

import (
	"fmt"
	"strings"
)

// String is the explanation as people read it.
func (x Explanation) String() string {
	var b strings.Builder
	at := x.Question.At
	if at.IsZero() {
		at = x.Question.Now
	}
	fmt.Fprintf(&b, "%s dials %s, %s\n", orDefault(x.Caller, "nobody known"), x.Question.Called, at.Format("Monday 2006-01-02 15:04:05 MST"))
	if x.Emergency {
		fmt.Fprintln(&b, "This is an emergency call.")
	}
	for i := range x.Stages {
		x.Stages[i].write(&b)
	}
	if len(x.Notes) > 0 {
		fmt.Fprintln(&b)
	}
	for _, r := range x.Notes {
		fmt.Fprintf(&b, "%s: %s\n", r.Topic, r.Text)
	}
	return b.String()
}

func (s *Stage) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s:\n", s.When)
	for _, r := range s.Reasons {
		fmt.Fprintf(b, "  %-10s %s\n", r.Topic, r.Text)
	}
	for i := range s.Rings {
		s.Rings[i].write(b)
	}
	if s.Answered != "" {
		fmt.Fprintf(b, "  => answered, the display shows: %s\n", s.Answered)
	}
	if s.Ends != CauseNone {
		fmt.Fprintf(b, "  => the call ends: %s (%d)", s.Ends, s.Ends.SIP())
		if s.Why != "" {
			fmt.Fprintf(b, ", %s", s.Why)
		}
		fmt.Fprintln(b)
	}
}

func (r *Ringing) write(b *strings.Builder) {
	fmt.Fprintf(b, "  => rings %s as %s, showing %s\n", r.Target.name(), r.Target.Called, r.Calling.shown())
	fmt.Fprintf(b, "  %-10s offered %s, media %s\n", "media", orDefault(r.Offer.String(), "nothing"), r.Treatment)
	if r.Fails != CauseNone {
		fmt.Fprintf(b, "  %-10s when it answers the call fails: %s\n", "media", r.Fails)
		return
	}
	if len(r.Legs) == 0 {
		return
	}
	var legs []string
	plain := ""
	for _, l := range r.Legs {
		name := l.Device + l.Trunk + l.Applet
		legs = append(legs, name+" "+orDefault(l.Security.String(), "unknown"))
		if l.Security != SRTP && plain == "" {
			plain = name
		}
	}
	verdict := "encrypted from end to end"
	switch {
	case plain != "":
		verdict = "not encrypted: media of " + plain + " is plain"
	case r.Treatment != Direct:
		verdict = "encrypted on every leg, and decrypted here in between"
	}
	fmt.Fprintf(b, "  %-10s when it answers: %s; %s\n", "media", strings.Join(legs, ", "), verdict)
	if r.Protection.Lock != LockUnknown {
		fmt.Fprintf(b, "  %-10s lock icon: %s", "media", r.Protection.Lock)
		if r.Protection.Why != "" {
			fmt.Fprintf(b, " (%s)", r.Protection.Why)
		}
		fmt.Fprintln(b)
	}
}

// name is a target as people say it.
func (t Target) name() string {
	switch {
	case t.Trunk != "":
		return "trunk " + t.Trunk
	case t.Applet != "":
		return "applet " + t.Applet
	}
	return fmt.Sprintf("device %s, line %s", t.Device, t.Line)
}

// shown is an identity as the other side sees it.
func (i Identity) shown() string {
	text := strings.TrimSpace(i.Display + " " + i.Number)
	switch {
	case i.Restricted:
		return "nothing (withheld)"
	case text == "":
		return "nothing"
	}
	return text
}
