package call

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Describe says a signal, request, command, reply or event in one line, for traces, ladders and the golden scripts: its name,
// then its fields as name=value, leaving out what is zero. It is called for every input of a busy engine, so it is
// written out and does not look at types by reflection.
func Describe(v any) string { return string(AppendText(nil, v)) }

// AppendText appends what Describe says.
func AppendText(b []byte, v any) []byte {
	l := line(append(b, kindName(v)...))
	switch v := v.(type) {
	case Signal:
		return l.signal(v)
	case Command:
		return l.command(v)
	case Request:
		return l.request(v)
	case Reply:
		return l.reply(v)
	case *Reply:
		return l.reply(*v)
	case Event:
		return v.appendText(b)
	}
	return fmt.Appendf(l, " %+v", v)
}

// AppendOutput appends an output as lines of text, in the shape of the golden scripts: "* " and an event, "DRIVER <- " and a
// command, "= " and the reply; no views, they follow from the events. Equal outputs give equal bytes, at a tenth of what
// MarshalOutput costs: this is what a trace keeps.
func AppendOutput(b []byte, out Output) []byte {
	for _, ev := range out.Events {
		b = append(ev.appendText(append(b, "* "...)), '\n')
	}
	for _, o := range out.Commands {
		b = append(AppendText(append(append(b, o.Driver...), " <- "...), o.Command), '\n')
	}
	if out.Reply != nil {
		b = append(AppendText(append(b, "= "...), out.Reply), '\n')
	}
	return b
}

// kindName is the name of a signal, request or command: its type's.
func kindName(v any) string {
	switch v.(type) {
	case Setup:
		return "Setup"
	case Alerting:
		return "Alerting"
	case Answered:
		return "Answered"
	case Released:
		return "Released"
	case Ring:
		return "Ring"
	case Alert:
		return "Alert"
	case Answer:
		return "Answer"
	case Release:
		return "Release"
	case *Reply:
		return "Reply"
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", v), "call.") // the rare ones
}

// line is a line of text that grows by fields.
type line []byte

func (l line) key(name string) line { return append(append(append(l, ' '), name...), '=') }

// str adds a string, quoted where a reader could mistake it.
func (l line) str(name, v string) line {
	switch {
	case v == "":
		return l
	case strings.ContainsAny(v, " \"="):
		return strconv.AppendQuote(l.key(name), v)
	}
	return append(l.key(name), v...)
}

func (l line) num(name string, v int) line {
	if v == 0 {
		return l
	}
	return strconv.AppendInt(l.key(name), int64(v), 10)
}

func (l line) span(name string, v time.Duration) line {
	if v == 0 {
		return l
	}
	return append(l.key(name), v.String()...)
}

func (l line) id(name string, prefix byte, v uint64) line {
	if v == 0 {
		return l
	}
	return strconv.AppendUint(append(l.key(name), prefix), v, 10)
}

func (l line) leg(v LegID) line { return l.id("leg", 'l', uint64(v)) }

func (l line) flag(name string, v bool) line {
	if !v {
		return l
	}
	return append(l.key(name), "true"...)
}

func (l line) desc(d Desc) line {
	if d == (Desc{}) {
		return l
	}
	return append(l.key("desc"), d.String()...)
}

func (l line) media(m Media) line {
	if m.Kind == KindNone {
		return l
	}
	return append(l.key("media"), m.String()...)
}

func (l line) cause(c Cause) line {
	if c == CauseNone {
		return l
	}
	return append(l.key("cause"), dashed(c.String())...)
}

func (l line) identity(name string, i Identity) line {
	if i == (Identity{}) {
		return l
	}
	return append(l.key(name), i.String()...)
}

func (l line) appearance(id LineID) line {
	if id.IsZero() {
		return l
	}
	return l.str("line", id.String())
}

func (l line) redirecting(list []Redirection) line {
	for i, r := range list {
		if i == 0 {
			l = l.key("redirecting")
		} else {
			l = append(l, ',')
		}
		l = append(append(append(l, r.From.String()...), '/'), r.Reason.String()...)
		if r.Count > 1 {
			l = strconv.AppendInt(append(l, 'x'), int64(r.Count), 10)
		}
		if r.Reset {
			l = append(l, "/reset"...)
		}
	}
	return l
}

// route writes the choices of a driver: trunks, in order.
func (l line) route(members []RouteMember) line {
	for i, m := range members {
		if i == 0 {
			l = l.key("route")
		} else {
			l = append(l, ',')
		}
		if m.Originator {
			l = append(l, "originator"...)
		}
		l = append(l, m.Trunk...)
	}
	return l
}

func (l line) trust(t Trust) line {
	if t == TrustNone {
		return l
	}
	return append(l.key("trust"), t.String()...)
}

func (l line) lock(k Lock) line {
	if k == LockUnknown {
		return l
	}
	return append(l.key("lock"), k.String()...)
}

func (l line) protection(p Protection) line {
	return l.str("lock", p.Lock.String()).id("weakest", 'l', uint64(p.Leg)).str("why", p.Why)
}

func dashed(s string) string { return strings.ReplaceAll(s, " ", "-") }

func (l line) signal(s Signal) line {
	l = l.leg(s.SignalLeg())
	switch s := s.(type) {
	case Setup:
		l = l.str("device", s.Device).appearance(s.Line).str("trunk", s.Trunk).str("called", s.Called).identity("calling", s.Calling)
		l = l.redirecting(s.Redirecting).desc(s.Desc).id("replaces", 'l', uint64(s.Replaces)).num("hops", s.Hops).flag("no_hops", s.NoHops)
		l = l.str("global_id", s.GlobalID).id("join", 'l', uint64(s.Join)).trust(s.Trust).str("node", s.Node)
		if s.At != nil {
			l = l.target("at", *s.At)
		}
		return l.flag("inside", s.Inside).lock(s.Lock).str("owner", s.Owner).route(s.Route).str("parameters", s.Parameters)
	case Alerting:
		return l.identity("connected", s.Connected)
	case Progressing:
		return l.desc(s.Desc)
	case Answered:
		return l.desc(s.Desc).identity("connected", s.Connected).trust(s.Trust).lock(s.Lock).str("global_id", s.GlobalID)
	case Heard:
		return l.str("proof", s.Proof.String()).str("why", s.Why)
	case Measured:
		return l.str("quality", s.Quality.String())
	case Confirmed:
		return l.desc(s.Desc)
	case Reoffered:
		return l.desc(s.Desc)
	case ReofferAnswered:
		return l.desc(s.Desc)
	case ReofferRejected:
		return l.cause(s.Cause)
	case Digit:
		return l.str("digit", s.Digit).num("millis", s.Millis)
	case TransferAsked:
		return l.str("to", s.To).id("replaces", 'l', uint64(s.Replaces)).flag("unresolved", s.Unresolved)
	case Released:
		return l.cause(s.Cause).str("to_number", s.ToNumber).str("why", s.Why)
	case DeviceState:
		return l.str("device", s.Device).flag("up", s.Up).str("node", s.Node).flag("plain", s.Plain)
	case TrunkState:
		return l.str("trunk", s.Trunk).flag("up", s.Up).str("node", s.Node)
	case NodeState:
		return l.str("node", s.Node).flag("up", s.Up)
	case Elsewhere:
		l = l.str("node", s.Node).str("thing", s.Thing.String()).str("range", s.Range).str("number", s.Number).appearance(s.Line)
		return l.str("device", s.Device).leg(s.Leg).flag("gone", s.Gone)
	case Identified:
		return l.identity("connected", s.Connected).flag("inside", s.Inside).str("global_id", s.GlobalID)
	case LockShown:
		return l.lock(s.Lock).str("why", s.Why).str("via", string(s.Via))
	case DriverLost:
		return l.str("driver", s.Driver)
	}
	return l
}

func (l line) command(c Command) line {
	l = l.leg(c.CommandLeg())
	switch c := c.(type) {
	case Ring:
		l = l.id("call", 'c', uint64(c.Call)).target("target", c.Target).identity("calling", c.Calling)
		l = l.identity("called", c.Called).redirecting(c.Redirecting).num("hops", c.Hops).media(c.Media).lock(c.Lock)
		return l.str("global_id", c.GlobalID).flag("auto_answer", c.AutoAnswer).flag("quiet", c.Quiet).flag("inside", c.Inside).str("parameters", c.Parameters)
	case Alert:
		return l.identity("connected", c.Connected)
	case Progress:
		return l.media(c.Media)
	case Answer:
		return l.identity("connected", c.Connected).media(c.Media).lock(c.Lock).str("global_id", c.GlobalID)
	case Confirm:
		return l.media(c.Media)
	case Reoffer:
		return l.media(c.Media)
	case AnswerReoffer:
		return l.media(c.Media)
	case RejectReoffer:
		return l.cause(c.Cause)
	case Identify:
		return l.identity("connected", c.Connected).lock(c.Lock).flag("inside", c.Inside).str("global_id", c.GlobalID)
	case SendDigit:
		return l.str("digit", c.Digit).num("millis", c.Millis)
	case TransferResult:
		return l.num("status", c.Status).flag("final", c.Final).str("why", c.Why)
	case ShowLock:
		return l.protection(c.Protection).str("via", string(c.Via))
	case Release:
		return l.cause(c.Cause).str("why", c.Why).str("to_number", c.ToNumber)
	}
	return l
}

func (l line) target(name string, t Target) line {
	l = l.str(name, strings.ReplaceAll(t.String(), " ", "/")).str("hunt", t.Hunt)
	return l.flag("emergency", t.Emergency)
}

func (l line) request(r Request) line {
	switch r := r.(type) {
	case MakeCall:
		l = l.str("device", r.Device).appearance(r.Line).str("called", r.Called).flag("auto", r.Auto)
		return l.id("from", 'l', uint64(r.From)).flag("confer", r.Confer).id("tag", 't', r.Tag).str("user_data", hex.EncodeToString(r.UserData))
	case AnswerCall:
		return l.leg(r.Leg)
	case AcceptCall:
		return l.leg(r.Leg)
	case SendDigits:
		return l.leg(r.Leg).str("digits", r.Digits).num("millis", r.Millis)
	case Drop:
		return l.id("call", 'c', uint64(r.Call)).id("party", 'p', uint64(r.Party)).leg(r.Leg).cause(r.Cause)
	case Hold:
		return l.leg(r.Leg)
	case Resume:
		return l.leg(r.Leg)
	case Redirect:
		l = l.leg(r.Leg).str("to", r.To).str("calling", r.Calling)
		if r.Original != OriginalKept {
			l = l.str("original", r.Original.String()).str("preferred", r.Preferred)
		}
		return l.flag("caller_space", r.CallerSpace).flag("transfer", r.Transfer).flag("unsaid", r.Unsaid).str("parameters", r.Parameters)
	case Transfer:
		return l.leg(r.Leg).str("to", r.To).id("with", 'l', uint64(r.With))
	case Conference:
		l = l.leg(r.Leg)
		for _, w := range r.With {
			l = l.id("with", 'l', uint64(w))
		}
		return l
	}
	return l.service(r)
}

// service writes the requests of supplementary services.
func (l line) service(r Request) line {
	switch r := r.(type) {
	case Deliver:
		l = l.id("call", 'c', uint64(r.Call)).id("instead", 'l', uint64(r.Instead)).str("to", r.To).str("calling", r.Calling)
		return l.span("no_answer", r.NoAnswer).str("parameters", r.Parameters)
	case Join:
		l = l.id("call", 'c', uint64(r.Call)).str("to", r.To).str("calling", r.Calling).str("mode", r.Mode.String())
		return l.span("no_answer", r.NoAnswer).str("parameters", r.Parameters)
	case CancelDeliver:
		return l.id("call", 'c', uint64(r.Call))
	case SetGuard:
		return l.id("call", 'c', uint64(r.Call)).leg(r.Leg).str("to", r.To)
	case Barge:
		return l.str("device", r.Device).appearance(r.Line)
	case TakeOver:
		return l.str("device", r.Device).appearance(r.Line)
	case Park:
		return l.leg(r.Leg).str("slot", r.Slot)
	case Retrieve:
		return l.str("device", r.Device).appearance(r.Line).str("slot", r.Slot).id("tag", 't', r.Tag)
	case Pickup:
		return l.str("device", r.Device).appearance(r.Line).str("group", r.Group).str("ringing", r.Ringing)
	case SetForward:
		return l.appearance(r.Line).str("kind", r.Kind.String()).str("to", r.To).flag("voicemail", r.Voicemail).str("search_space", r.SearchSpace).flag("kept", r.Kept)
	case SetDoNotDisturb:
		return l.str("device", r.Device).flag("on", r.On)
	case SetPrivacy:
		return l.str("device", r.Device).flag("on", r.On)
	case SetHuntLogin:
		return l.str("device", r.Device).flag("on", r.On)
	}
	return l
}

func (l line) reply(r Reply) line {
	return l.str("id", r.ID).id("call", 'c', uint64(r.Call)).leg(r.Leg).id("party", 'p', uint64(r.Party)).cause(r.Cause).str("slot", r.Slot).str("why", r.Why)
}

// String is kind:ref:direction:security, as the golden scripts write it.
func (d Desc) String() string {
	s := d.Kind.String() + ":" + strconv.FormatUint(d.Ref, 10) + ":" + d.Dir.String() + ":" + orDefault(d.Security.String(), "unknown")
	if d.NoEvents {
		s += ":no-events"
	}
	return s
}

// String says the media in the same shape: kind:treatment:what:direction:security.
func (m Media) String() string {
	if m.Kind == KindNone {
		return "none"
	}
	what := strconv.FormatUint(m.Ref, 10) + "/" + m.Peer.String()
	if m.Treatment == Source {
		what = orDefault(m.Source, "silence")
		if m.Ref != 0 {
			what += "/" + strconv.FormatUint(m.Ref, 10)
		}
	}
	s := m.Kind.String() + ":" + m.Treatment.String() + ":" + what + ":" + m.Dir.String() + ":" + orDefault(m.Security.String(), "unknown")
	if m.Focus {
		s += ":focus"
	}
	return s
}

// String is the number with the name behind it.
func (i Identity) String() string {
	s := i.Number
	if i.Display != "" {
		s += "(" + dashed(i.Display) + ")"
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
func (ev Event) String() string { return string(ev.appendText(nil)) }

func (ev *Event) appendText(b []byte) []byte {
	l := line(append(append(b, ev.Kind.String()...), ' '))
	if l = append(l, 'c'); ev.Call == 0 {
		l = l[:len(l)-2]
	} else {
		l = strconv.AppendUint(l, uint64(ev.Call), 10)
	}
	if ev.Party != 0 {
		l = strconv.AppendUint(append(l, " p"...), uint64(ev.Party), 10)
	}
	if ev.Leg != 0 {
		l = strconv.AppendUint(append(l, " l"...), uint64(ev.Leg), 10)
	}
	l = l.cause(ev.Cause).id("other", 'c', uint64(ev.Other)).id("other_leg", 'l', uint64(ev.OtherLeg)).str("to", ev.To).str("digit", ev.Digit).str("slot", ev.Slot)
	l = l.str("device", ev.Device).appearance(ev.Line).str("why", ev.Why).settings(ev.Settings)
	if ev.Kind == ProtectionChanged && ev.View != nil {
		l = l.str("lock", ev.View.Protection.Lock.String()).id("weakest", 'l', uint64(ev.View.Protection.Leg))
	}
	if ev.Kind == MixChanged && ev.View != nil {
		l = append(append(l, ' '), mixText(ev.View.Mix)...)
	}
	return l
}

func (l line) settings(s *Settings) line {
	if s == nil {
		return l
	}
	for _, f := range s.Forwards {
		to := orDefault(f.To, "off")
		if f.Voicemail {
			to = "voicemail"
		}
		l = l.str("forward-"+f.Kind.String(), to).str("search_space", f.SearchSpace)
	}
	return l.flag("do_not_disturb", s.DoNotDisturb).flag("privacy", s.Privacy).flag("hunt_out", s.HuntOut)
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
		parts = append(parts, from+"->"+m.To.String())
	}
	return strings.Join(parts, " ")
}
