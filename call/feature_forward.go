package call

import (
	"slices"

	"github.com/locktone/locktone/dialplan"
)

// forwarding sends the calls of a line elsewhere: all at once, or those it cannot take because it is busy, does not answer, or has no phone
// that can be reached. It comes before the transfer and the failover: who is transferred to a busy line is forwarded like every caller, and
// only a line has forwards. The members of a hunt group are asked for a group, so their own forwards do not act.
//
// A forward that would bring the call back to a line it has been through, to the caller's own line, or to an emergency number is not followed:
// the line rings, or the caller hears why it cannot, as if there were none.
type forwarding struct{ abstain }

// forwardOf is the forward of a line: what was set, else what is configured. Its To is the mailbox's number where it leads there.
func (e *Engine) forwardOf(line *Line, kind ForwardKind) Forward {
	f := line.Forwards[kind]
	if s := e.lines[line.ID]; s != nil && s.set[kind] {
		f = s.forwards[kind]
	}
	switch {
	case f.Voicemail:
		f.To = line.Voicemail
	case f.To != "" && f.To == line.Voicemail:
		f.Voicemail = true
	}
	return f
}

// forwardSpaces are the search spaces in which a forward's number is looked up.
func (e *Engine) forwardSpaces(line *Line, f Forward) []string {
	if f.Voicemail {
		f.SearchSpace = orDefault(f.SearchSpace, line.VoicemailSpace)
	}
	if f.SearchSpace != "" {
		return []string{f.SearchSpace}
	}
	return e.config.SearchSpaces("", line.ID, "")
}

// mayForward says whether a user may set the forward, and if not, why.
func (e *Engine) mayForward(line *Line, f Forward) (Cause, string) {
	switch {
	case f.SearchSpace != "" && !e.config.plan.HasSpace(f.SearchSpace):
		return InvalidNumberFormat, "there is no search space " + f.SearchSpace
	case f.Voicemail && line.Voicemail == "":
		return FacilityRejected, "line " + line.ID.Number + " has no mailbox"
	case f.Voicemail:
		f.To = line.Voicemail
	case f.To == "":
		return CauseNone, ""
	}
	res := e.config.plan.Route(dialplan.Query{SearchSpaces: e.forwardSpaces(line, f), Called: f.To, Calling: line.ID.Number, Complete: true, Emergency: true, At: e.clock()})
	switch {
	case res.Outcome != dialplan.Match:
		return routeCause(res), "line " + line.ID.Number + " cannot reach " + f.To
	case lineIn(res) == line.ID:
		return LoopDetected, "a line cannot be forwarded to itself"
	case !forwardable(res):
		return FacilityRejected, "calls cannot be forwarded to " + f.To
	}
	return CauseNone, ""
}

// forwardable says whether a forward may lead to what was found: a feature code would act for a line whose user is not there, and the
// emergency service would hear people who never asked for it.
func forwardable(res dialplan.Result) bool {
	return res.Pattern.Kind != dialplan.ToFeature && res.Pattern.Kind != dialplan.ToPark && !res.Pattern.Emergency
}

// lineIn is the line, or the hunt pilot as if it were one, that a number leads to; zero for anything else.
func lineIn(res dialplan.Result) LineID {
	if res.Outcome == dialplan.Match && (res.Pattern.Kind == dialplan.DirectoryNumber || res.Pattern.Kind == dialplan.ToHunt) {
		return lineID(res.Pattern)
	}
	return LineID{}
}

// diverted is the dialling that a forward of a line makes out of one that came there.
func (e *Engine) diverted(d dialling, line *Line, kind ForwardKind, f Forward) dialling {
	from := line.identity()
	d.called, d.spaces = f.To, e.forwardSpaces(line, f)
	d.through = append(d.through[:len(d.through):len(d.through)], line.ID)
	d.divert(Redirection{From: from, Reason: kind.reason(), Line: line.ID})
	if f.Voicemail {
		d.mailbox = true
		e.asMailboxes(d)
	}
	return d
}

// asMailboxes lets the diversions show the numbers by which the mailbox system knows the lines. The list is the dialling's own.
func (e *Engine) asMailboxes(d dialling) {
	for _, id := range d.through {
		line := e.config.lines[id]
		if line == nil || line.Mailbox == "" {
			continue
		}
		for i := range d.redirecting {
			if from := &d.redirecting[i].From; from.Number == id.Number && from.Domain == "" {
				from.Number = line.Mailbox
			}
		}
	}
}

// reason is what a diversion says about a kind of forward (RFC 5806, 4).
func (k ForwardKind) reason() RedirectReason {
	return [...]RedirectReason{RedirectAlways, RedirectBusy, RedirectNoAnswer, RedirectUnavailable}[k]
}

// follows says whether a call that came to a line is sent where its forward says.
func (e *Engine) follows(d dialling, line *Line, kind ForwardKind, f Forward) bool {
	if f.To == "" || d.purpose != PurposeNone {
		return false
	}
	if e.been(d, line) {
		e.explainForward(line, kind, f, "is not followed: the call has come through this line before")
		return false
	}
	next := e.diverted(d, line, kind, f)
	if redirections(next.redirecting) > e.config.site.Policy.maxRedirections() {
		e.explainForward(line, kind, f, "is not followed: the call was forwarded too often")
		return false
	}
	res := e.config.plan.Route(e.query(&next))
	if res.Outcome != dialplan.Match {
		e.explainForward(line, kind, f, "leads nowhere: "+routeCause(res).String())
		return kind == ForwardAll // the caller hears why; a line that cannot take the call has a better word for it
	}
	to := lineIn(res)
	switch {
	case !forwardable(res):
		e.explainForward(line, kind, f, "is not followed: no forward leads to an emergency number or a feature")
	case !to.IsZero() && (to == d.caller.line || slices.Contains(next.through, to)):
		e.explainForward(line, kind, f, "is not followed: the call would go in a circle")
	default:
		return true
	}
	return false
}

// been says whether the call has been forwarded by the line before: here, or, when it comes back over a trunk, by what its diversions say.
func (e *Engine) been(d dialling, line *Line) bool {
	if slices.Contains(d.through, line.ID) {
		return true
	}
	if d.caller.trunk == "" {
		return false
	}
	outside := dialplan.Transform{Mask: line.ExternalMask}.Apply(line.ID.Number)
	told := outside // as the peer was told it, if it sends the number back unchanged
	if t := e.config.trunks[d.caller.trunk]; t != nil {
		told = e.config.outgoing(t, RouteMember{}, Identity{Number: outside}).Number
	}
	return slices.ContainsFunc(d.redirecting, func(r Redirection) bool {
		return r.From.Number == line.ID.Number || r.From.Number == outside || r.From.Number == told
	})
}

// redirections is how many diversions a list stands for.
func redirections(list []Redirection) int {
	n := len(list)
	for _, r := range list {
		n += max(r.Count-1, 0)
	}
	return n
}

// forward calls where the forward of p's line says, in its place. CauseNone means that somebody else is being reached.
func (e *Engine) forward(c *Call, p *Party, line *Line, kind ForwardKind, f Forward) Cause {
	e.explainForward(line, kind, f, "is followed")
	d := e.diverted(p.offering.dialling, line, kind, f)
	var party *Party
	if p.call != nil {
		party = p
	}
	ev := e.emit(Forwarded, c, party, nil, CauseNone)
	ev.To, ev.Reason = f.To, kind.reason()
	if ev.Line, ev.Why = line.ID, kind.String()+" to "+f.To; f.Voicemail {
		ev.Why += " (voicemail)"
	}
	if from := d.caller.wire(); from != nil && from.state == LegWaiting {
		from.alerted = false // it is told who rings now
	}
	return e.route(c, d)
}

func (forwarding) signal(_ *Engine, l *Leg, s Signal) bool {
	if _, ok := s.(Alerting); ok && l.party.offering != nil {
		l.party.offering.rang = true
	}
	return false
}

func (forwarding) failed(e *Engine, p *Party, cause Cause) bool {
	o, line := p.offering, e.config.lines[p.line]
	if line == nil || o.hunt != nil || p.dial() != "" || o.reminder || o.exact || p.guest() {
		return false
	}
	kind, acts := o.forwards(cause, e.applications(line))
	if !acts {
		return false
	}
	f := e.forwardOf(line, kind)
	if !e.follows(o.dialling, line, kind, f) || e.forward(p.call, p, line, kind, f) != CauseNone {
		return false
	}
	e.dropParty(p, cause)
	return true
}

// applications says whether a line is on terminals of applications alone. Its calls go by other rules of the field while nobody has
// registered those: who comes then goes where nobody answers (CFNA), and who was ringing when the application failed goes where the line
// is unregistered (forward on failure, CFOF), accepted or not.
func (e *Engine) applications(line *Line) bool {
	for i := range line.Appearances {
		if d := e.config.devices[line.Appearances[i].Device]; d == nil || !d.Terminal {
			return false
		}
	}
	return len(line.Appearances) > 0
}

// forwards says which kind of forward acts when a line that was offered a call fails with the cause; terminal says that it is one of an
// application.
func (o *offering) forwards(cause Cause, terminal bool) (ForwardKind, bool) {
	switch cause {
	case UserBusy:
		if o.timedOut {
			return ForwardNoAnswer, true // one phone was busy, another rang to the end
		}
		return ForwardBusy, true
	case NoAnswer, NoUserResponding:
		return ForwardNoAnswer, true
	case SubscriberAbsent, RecoveryOnTimerExpiry, TemporaryFailure, DestinationOutOfOrder, NetworkOutOfOrder, DriverGone:
		if o.rang && !terminal {
			return ForwardNoAnswer, true // it was there, and is lost
		}
		return ForwardUnregistered, true
	}
	return 0, false
}
