package center

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/locktone/locktone/contact"
)

// Bounds of what agents note of a contact.
const (
	maxReasons  = 10
	maxReason   = 64   // octets
	maxNote     = 2000 // characters
	maxWrapping = 32   // contacts of one agent whose records wait for it
)

// A WrapUpRecord is what an agent has noted of a contact.
type WrapUpRecord struct {
	Agent   string   `json:"agent"`
	Reasons []string `json:"reasons,omitempty"`
	Note    string   `json:"note,omitempty"`
}

// keep has the record of a contact that leaves an agent wait until the agent has wrapped up.
func (c *Center) keep(a *agent, w *caller) {
	if len(a.done) >= maxWrapping { // one who never comes to an end
		c.letGo(a, a.done[0])
	}
	a.done, w.wrapping = append(a.done, w), append(w.wrapping, a)
}

// letGo ends the waiting for one agent; a record that waits for nobody is the contact's last word.
func (c *Center) letGo(a *agent, w *caller) {
	a.done = slices.DeleteFunc(a.done, func(x *caller) bool { return x == w })
	w.wrapping = slices.DeleteFunc(w.wrapping, func(x *agent) bool { return x == a })
	if w.over && len(w.wrapping) == 0 {
		c.put(ContactEnded{w.record})
	}
}

// wrappedUp ends an agent's wrapping up.
func (c *Center) wrappedUp(a *agent) {
	for len(a.done) > 0 {
		c.letGo(a, a.done[0])
	}
}

// recorded gives out the record of a contact that has ended: at once, or when its agents have wrapped up.
func (c *Center) recorded(w *caller) {
	w.over = true
	if len(w.wrapping) == 0 {
		c.put(ContactEnded{w.record})
		return
	}
	c.tellWrapping(w)
}

// tellWrapping keeps a record that waits in the states of its agents, where the next life finds it.
func (c *Center) tellWrapping(w *caller) {
	for _, a := range w.wrapping {
		c.tellAgent(a, a.state, 0)
	}
}

// had finds a contact that an agent talks to or wraps up.
func (c *Center) had(name string, id contact.CallID) (a *agent, w *caller, refused string) {
	if a = c.agents[name]; a == nil {
		return nil, nil, fmt.Sprintf("there is no agent %q", name)
	}
	its := func(w *caller) bool { return w.id == id }
	if i := slices.IndexFunc(a.with, its); i >= 0 {
		return a, a.with[i], ""
	}
	if i := slices.IndexFunc(a.done, its); i >= 0 {
		return a, a.done[i], ""
	}
	return nil, nil, fmt.Sprintf("%q is no contact that agent %s talks to or wraps up", id, name)
}

// setVariables notes what an agent knows of a caller: for the next one who has it, and for the record.
func (c *Center) setVariables(in SetVariables) (refused string) {
	_, w, refused := c.had(in.Agent, in.Call)
	if refused != "" {
		return refused
	}
	if err := contact.CheckVariables(in.Variables); err != nil {
		return strings.TrimPrefix(err.Error(), "contact: ")
	}
	all := maps.Clone(w.record.Variables)
	if !w.over {
		all = w.own()
	}
	if all == nil {
		all = map[string]string{}
	}
	for name, value := range in.Variables {
		if strings.HasPrefix(name, varPrefix) {
			return fmt.Sprintf("variables that begin with %s are the contact centre's own", varPrefix)
		}
		if all[name] = value; value == "" {
			delete(all, name)
		}
	}
	if len(all) > maxOwn {
		return fmt.Sprintf("the contact would have %d variables; there may be %d", len(all), maxOwn)
	}
	if w.over {
		w.record.Variables = all
		c.tellWrapping(w)
		return ""
	}
	for name, value := range in.Variables {
		if w.vars[name] = value; value == "" {
			delete(w.vars, name)
		}
	}
	if w.phase == Connected { // its call server keeps them beyond this life; elsewhere the next label brings them
		c.say(w, contact.Label{})
	}
	c.tell(w)
	return ""
}

// wrapUp notes why a contact was there. What the same agent noted before is replaced.
func (c *Center) wrapUp(in WrapUp) (refused string) {
	_, w, refused := c.had(in.Agent, in.Call)
	switch {
	case refused != "":
		return refused
	case len(in.Reasons) > maxReasons:
		return fmt.Sprintf("%d reasons; a contact has up to %d", len(in.Reasons), maxReasons)
	case utf8.RuneCountInString(in.Note) > maxNote:
		return fmt.Sprintf("a note of %d characters; it may have %d", utf8.RuneCountInString(in.Note), maxNote)
	}
	for _, r := range in.Reasons {
		if r == "" || len(r) > maxReason || strings.ContainsFunc(r, func(x rune) bool { return x < ' ' || x == ',' || x == utf8.RuneError }) {
			return fmt.Sprintf("%q is no reason; expected 1 to %d octets without commas", r, maxReason)
		}
	}
	all := slices.DeleteFunc(slices.Clone(w.record.WrapUps), func(x WrapUpRecord) bool { return x.Agent == in.Agent })
	w.record.WrapUps = append(all, WrapUpRecord{in.Agent, slices.Clone(in.Reasons), in.Note})
	if w.over {
		c.tellWrapping(w)
	}
	return ""
}

// restoreWraps has records of an earlier life wait for an agent; known are those that others have brought, as one may wait for several.
func (c *Center) restoreWraps(a *agent, records []ContactRecord, known map[contact.CallID]*caller) {
	for _, r := range records {
		w := known[r.Call]
		if w == nil {
			w = &caller{id: r.Call, record: r, over: true}
			known[r.Call] = w
		}
		c.keep(a, w)
	}
}

// restoreRecords gives out the records of an earlier life that wait for nobody any more.
func (c *Center) restoreRecords(in Restore, waiting map[contact.CallID]*caller) {
	given := map[contact.CallID]bool{}
	for _, r := range in.Agents {
		for _, x := range r.Wraps {
			if waiting[x.Call] == nil && !given[x.Call] {
				given[x.Call] = true
				c.put(ContactEnded{x})
			}
		}
	}
}

// Reasons are those of all agents' wrap-ups, each once, in the order in which they were given.
func (r *ContactRecord) Reasons() (out []string) {
	for _, x := range r.WrapUps {
		for _, reason := range x.Reasons {
			if !slices.Contains(out, reason) {
				out = append(out, reason)
			}
		}
	}
	return out
}

// Note is the agents' notes, each on lines of its own.
func (r *ContactRecord) Note() string {
	var out []string
	for _, x := range r.WrapUps {
		if x.Note != "" {
			out = append(out, x.Note)
		}
	}
	return strings.Join(out, "\n")
}
