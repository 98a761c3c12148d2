package call

import (
	"slices"
	"time"

	"github.com/locktone/locktone/dialplan"
)

// hunting looks for somebody in the groups of a hunt pilot, one group after the other, until a member answers. Members that are busy,
// cannot be reached, want no calls or have logged out are passed over, and nobody's own forwards act. While members ring, the caller is
// shown the pilot; when one answers, that member.
//
// Every member that rings is a party of its own (a shared line: with all its legs); what they have in common is the struct hunt.
type hunting struct{ abstain }

// A hunt is one call's way through a pilot's groups.
type hunt struct {
	dialling
	pilot    *Hunt
	identity Identity // the pilot's
	group    int      // the next group
	queue    []LineID // of the group before it: members that have not been tried
	noAnswer time.Duration
	cause    Cause
	ends     time.Time // when the search is given up; zero is never
}

// defaultHuntRing is how long a member rings where the group does not say.
const defaultHuntRing = 10 * time.Second

// reachHunt begins to hunt.
func (e *Engine) reachHunt(c *Call, d dialling, res dialplan.Result) Cause {
	pilot := e.config.hunts[res.Pattern.To]
	d.called = res.Called
	d.through = append(d.through[:len(d.through):len(d.through)], lineIn(res))
	h := &hunt{dialling: d, pilot: pilot, identity: Identity{Number: res.Called, Display: orDefault(pilot.Display, pilot.Name)}}
	if pilot.Longest > 0 {
		h.ends = e.now.Add(pilot.Longest)
	}
	return e.huntOn(c, h, SubscriberAbsent)
}

// huntOn rings the next member, or all of a group that is asked at once. When nobody is left the call goes to the final forward. The
// cause is CauseNone when somebody is being reached; else it is the last member's.
func (e *Engine) huntOn(c *Call, h *hunt, last Cause) Cause {
	for h.ends.IsZero() || e.now.Before(h.ends) {
		if len(h.queue) == 0 && !e.nextGroup(h) {
			break
		}
		if e.huntGroup(c, h) {
			return CauseNone
		}
		if last == SubscriberAbsent {
			last = orDefault(h.cause, last) // nobody has rung so far: busy says more than absent
		}
	}
	final := h.pilot.Final
	if final.To == "" {
		return last
	}
	if cause := e.route(c, e.huntFinal(h, final, last)); cause != CauseNone {
		return last
	}
	return CauseNone
}

// nextGroup takes up the next group that has members.
func (e *Engine) nextGroup(h *hunt) bool {
	for h.group < len(h.pilot.Groups) && len(h.queue) == 0 {
		g := &h.pilot.Groups[h.group]
		h.group++
		h.queue, h.noAnswer = e.huntOrder(g), orDefault(g.NoAnswer, defaultHuntRing)
	}
	return len(h.queue) > 0
}

// huntOrder is the order in which the members of a group would be asked now.
func (e *Engine) huntOrder(g *HuntGroup) []LineID {
	order := slices.Clone(g.Lines)
	switch g.Order {
	case HuntCircular:
		if last := slices.Index(order, e.hunted[g.Name]); last >= 0 {
			order = append(order[last+1:len(order):len(order)], order[:last+1]...)
		}
	case HuntLongestIdle:
		slices.SortStableFunc(order, func(a, b LineID) int {
			if x, y := e.inCall(a), e.inCall(b); x != y {
				return x - y
			}
			return e.idleSince(a).Compare(e.idleSince(b))
		})
	}
	return order
}

// inCall is 1 for a line that has a call, else 0.
func (e *Engine) inCall(id LineID) int {
	if l := e.config.lines[id]; l != nil {
		for _, a := range l.Appearances {
			if slices.ContainsFunc(e.device(a.Device).legs, func(l *Leg) bool { return l.party.line == id && !l.left() }) {
				return 1
			}
		}
	}
	return min(len(e.afar.lines[id]), 1)
}

// idleSince is when the line's last call ended; the zero time for one that had none.
func (e *Engine) idleSince(id LineID) time.Time {
	if s := e.lines[id]; s != nil {
		return s.idle
	}
	return time.Time{}
}

// noteIdle notes when a member of a hunt group had its last call.
func (e *Engine) noteIdle(l *Leg) {
	if id := l.party.line; l.active() && e.config.members[id] {
		e.line(id).idle = e.now
	}
}

// huntGroup rings the next members of the queue: one that can be rung, or all of a broadcast. It says whether any rings.
func (e *Engine) huntGroup(c *Call, h *hunt) (rings bool) {
	g := &h.pilot.Groups[h.group-1]
	for len(h.queue) > 0 && (!rings || g.Order == HuntBroadcast) {
		id := h.queue[0]
		h.queue = h.queue[1:]
		cause := e.huntMember(c, h, id)
		e.explainMember(h, g, id, cause)
		if cause != CauseNone {
			h.cause = telling(h.cause, cause)
			continue
		}
		rings = true
		e.hunted[g.Name] = id
	}
	return rings
}

// huntMember rings a member of a group, if it may be rung.
func (e *Engine) huntMember(c *Call, h *hunt, id LineID) Cause {
	line := e.config.lines[id]
	if line == nil {
		return SubscriberAbsent // it was there when the search began
	}
	ready, cause := e.readyToHunt(h.caller, line)
	if cause != CauseNone {
		return cause
	}
	longest := h.noAnswer
	if !h.ends.IsZero() {
		longest = min(longest, h.ends.Sub(e.now))
	}
	return e.ringAt(c, &Party{called: h.called, offering: &offering{dialling: h.dialling, hunt: h}}, line, ready, longest)
}

// readyToHunt are the phones of a member that may be rung for its group.
func (e *Engine) readyToHunt(caller *Party, line *Line) ([]readiness, Cause) {
	ready, cause := e.readyFor(caller, line)
	if cause != CauseNone {
		return nil, cause
	}
	ready = slices.DeleteFunc(ready, func(r readiness) bool {
		d := e.device(r.device.Name)
		return r.node == "" && (d.huntOut || d.dnd)
	})
	if len(ready) == 0 {
		return nil, UserBusy
	}
	return ready, CauseNone
}

// huntFinal is the dialling for a call that nobody of the groups took.
func (e *Engine) huntFinal(h *hunt, f Forward, cause Cause) dialling {
	d := h.dialling
	d.called = f.To
	if f.SearchSpace != "" {
		d.spaces = []string{f.SearchSpace}
	}
	reason := RedirectUnavailable
	switch cause {
	case UserBusy:
		reason = RedirectBusy
	case NoAnswer, NoUserResponding:
		reason = RedirectNoAnswer
	}
	d.mailbox = d.mailbox || f.Voicemail
	d.divert(Redirection{From: h.identity, Reason: reason})
	return d
}

// display is the name under which a called party is rung.
func (o *offering) display(p *Party) string {
	return orDefault(o.pilot(), p.identity.Display)
}

// pilot is the name of the hunt pilot for whose group a party is rung, empty for none.
func (o *offering) pilot() string {
	if o.hunt != nil {
		return o.hunt.identity.Display
	}
	return o.hunter
}

// hunters are the parties of a hunt that are being reached, without but.
func (e *Engine) hunters(h *hunt, c *Call, but *Party) (out []*Party) {
	for _, p := range c.parties {
		if p != but && p.offering != nil && p.offering.hunt == h {
			out = append(out, p)
		}
	}
	return out
}

// endHunt releases the other members that ring where p does: the call was answered, or goes elsewhere.
func (e *Engine) endHunt(p *Party) {
	if p.offering == nil || p.offering.hunt == nil {
		return
	}
	for _, o := range e.hunters(p.offering.hunt, p.call, p) {
		e.dropParty(o, PickedUpElsewhere)
	}
}

func (hunting) signal(e *Engine, l *Leg, s Signal) bool {
	if l.party.offering == nil || l.party.offering.hunt == nil || !l.ringing() {
		return false
	}
	switch s := s.(type) {
	case Answered:
		if s.Desc.Kind != KindNone || l.oa == stable {
			e.endHunt(l.party)
		}
	case Released:
		if s.ToNumber != "" { // its phone would send the call elsewhere: that is a forward of the member's own
			basic{}.released(e, l, UserBusy)
			return true
		}
	}
	return false
}

func (hunting) failed(e *Engine, p *Party, cause Cause) bool {
	h := p.offering.hunt
	if h == nil {
		return false
	}
	if len(e.hunters(h, p.call, p)) == 0 && e.huntOn(p.call, h, cause) != CauseNone {
		return false
	}
	e.dropParty(p, cause)
	return true
}
