package center

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/contact/expression"
)

// Variables that the centre keeps in a call itself, so that its next life knows where the call stood. Scripts cannot set them.
const (
	varPrefix   = "cc_"
	varScript   = "cc_script"
	varNode     = "cc_node"
	varQueue    = "cc_queue"
	varSince    = "cc_since" // milliseconds since 1970
	varPriority = "cc_priority"
	varChoice   = "cc_choice"
)

// maxTurns bounds the nodes a contact runs through without waiting for anything.
const maxTurns = 100

// keyTime is how long is waited for a key after an announcement.
const keyTime = 2 * time.Second

// lookupTime is how long an HTTP server may take where the node says nothing.
const lookupTime = 2 * time.Second

// maxOwn bounds the variables of scripts, so that those of the centre always fit in.
const maxOwn = contact.MaxVariables - 8

// begin starts the script of the number that was called.
func (c *Center) begin(w *caller) {
	n, ok := c.numbers[w.query.Called]
	w.script, w.language = c.scripts[n.Script], n.Language
	if !ok || w.script == nil {
		c.end(w, call.UnallocatedNumber)
		return
	}
	w.record.Script = w.script.Name
	c.run(w, w.script.Start)
}

// then is where a node goes on; nowhere without a node.
func (n *Node) then() string {
	if n == nil {
		return ""
	}
	return n.Next
}

// otherwise goes on where a node leads when it could not be done.
func (c *Center) otherwise(w *caller) {
	next := ""
	if w.node != nil {
		next = w.node.Else
	}
	c.run(w, next)
}

// run goes through a script from a node until something has to be waited for; from no node it ends the call.
func (c *Center) run(w *caller, name string) {
	for turns := 0; turns < maxTurns; turns++ {
		n := w.at(name)
		if n == nil {
			if !c.flush(w) {
				c.end(w, call.NormalClearing)
			}
			return
		}
		next, waits := c.visit(w, n)
		if waits {
			return
		}
		name = next
	}
	c.put(Repaired{"call " + string(w.id) + ": script " + w.record.Script + " goes in a circle"})
	c.end(w, call.TemporaryFailure)
}

// at makes a node the contact's own; nil where there is none.
func (w *caller) at(name string) *Node {
	w.node = nil
	if w.script == nil || name == "" {
		delete(w.vars, varNode)
		return nil
	}
	w.node = w.script.index[name]
	w.vars[varScript], w.vars[varNode] = w.script.Name, name
	return w.node
}

// visit does a node. What the caller is to hear is gathered, and said before anything that is more than hearing.
//
//house:flat
func (c *Center) visit(w *caller, n *Node) (next string, waits bool) {
	switch n.Kind {
	case NodeSay:
		w.says = append(w.says, contact.Play{Kind: contact.Say, Prompts: c.prompts(w, n.Prompts)})
		return n.Next, len(w.says) >= contact.MaxSteps/2 && c.flush(w)
	case NodeMenu:
		p := contact.Play{Kind: contact.Menu, Prompts: c.prompts(w, n.Prompts), Variable: varChoice, Tries: n.Tries, Timeout: n.Timeout, Barge: true}
		for _, x := range n.Choices {
			p.Choices = append(p.Choices, contact.Choice{Key: x.Key})
		}
		w.says = append(w.says, p)
	case NodeDigits:
		w.says = append(w.says, contact.Play{Kind: contact.Digits, Prompts: c.prompts(w, n.Prompts), Variable: n.Variable, Min: n.Min, Max: n.Max, End: n.EndKey,
			Tries: n.Tries, Timeout: n.Timeout, Barge: true})
	case NodeMusic:
		w.says = append(w.says, contact.Play{Kind: contact.Music, For: n.For, Source: n.Source})
	case NodeSet:
		for _, s := range n.Set {
			w.set(s.Name, s.Value.Value(env{c, w}).String())
		}
		return n.Next, false
	case NodeIf:
		if n.When.True(env{c, w}) {
			return n.Next, false
		}
		return n.Else, false
	case NodeHours:
		if h, ok := c.hours[n.Schedule]; ok && h.open(c.now) {
			return n.Next, false
		}
		return n.Else, false
	}
	if c.flush(w) {
		return "", true
	}
	switch n.Kind {
	case NodeQueue:
		return c.enqueue(w, n)
	case NodeLookup:
		return "", c.look(w, n)
	case NodeTransfer:
		return n.Else, c.transfer(w, n)
	case NodeCallback:
		return c.register(w, n), false
	}
	c.end(w, n.Cause)
	return "", true
}

// flush has the caller hear what was gathered; false when there is nothing.
func (c *Center) flush(w *caller) bool {
	if len(w.says) == 0 {
		return false
	}
	w.phase = Treated
	delete(w.vars, varChoice)
	c.say(w, contact.Label{Kind: contact.Treat, Steps: w.says})
	w.says = nil
	return true
}

// treated goes on when the caller has heard everything, or entered what was asked for.
func (c *Center) treated(w *caller) {
	w.treats = 0
	switch {
	case w.phase == Waiting:
		c.comforted(w)
		return
	case w.phase != Treated:
		return
	case w.node == nil:
		c.end(w, call.NormalClearing)
		return
	}
	switch n := w.node; n.Kind {
	case NodeMenu:
		next := n.Else
		for _, x := range n.Choices {
			if x.Key == w.vars[varChoice] {
				next = x.Next
			}
		}
		c.run(w, next)
	case NodeDigits:
		if w.vars[n.Variable] == "" {
			c.run(w, n.Else)
			return
		}
		c.run(w, n.Next)
	case NodeSay, NodeMusic:
		c.run(w, n.Next)
	default: // it was said before the node could be done
		c.run(w, n.Name)
	}
}

// end ends a call.
func (c *Center) end(w *caller, cause call.Cause) {
	w.phase, w.treats = Leaving, 0
	c.say(w, contact.Label{Kind: contact.End, Cause: cause})
	c.later(w, timerEnd, endTime)
	c.tell(w)
}

// transfer sends a caller to a number; false when there is none to call.
func (c *Center) transfer(w *caller, n *Node) bool {
	number := n.Number.Fill(env{c, w})
	l := contact.Label{Serial: 1, Kind: contact.Connect, Number: number, NoAnswer: n.RingTime}
	if l.Check() != nil {
		return false
	}
	w.phase = Away
	c.say(w, l)
	c.tell(w)
	return true
}

// look asks an HTTP server.
func (c *Center) look(w *caller, n *Node) bool {
	c.lastLookup++
	w.phase, w.lookup = LookingUp, c.lastLookup
	c.lookups[w.lookup] = w
	timeout := n.Timeout
	if timeout <= 0 {
		timeout = lookupTime
	}
	c.put(Lookup{ID: w.lookup, Call: w.id, Script: w.script.Name, Node: n.Name, URL: n.URL.Fill(escaped{env{c, w}}), Results: n.Results, Timeout: timeout})
	c.later(w, timerLookup, timeout)
	if len(w.open) > 0 {
		c.start(&w.answer, answerTime)
	}
	return true
}

// found goes on with what a lookup has brought.
func (c *Center) found(in Found) {
	w := c.lookups[in.Lookup]
	delete(c.lookups, in.Lookup)
	if w == nil || w.phase != LookingUp {
		return
	}
	c.stop(&w.busy)
	w.phase = Treated
	if in.Failed {
		c.otherwise(w)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(in.Variables)) {
		w.set(name, in.Variables[name])
	}
	c.run(w, w.node.then())
}

// patience answers a Query that a lookup keeps open: the caller hears music meanwhile.
func (c *Center) patience(w *caller) {
	c.say(w, contact.Label{Kind: contact.Treat, Steps: []contact.Play{{Kind: contact.Music}}})
}

// prompts fills in what is said.
func (c *Center) prompts(w *caller, all []Prompt) []contact.Prompt {
	out := make([]contact.Prompt, 0, len(all))
	for _, p := range all {
		switch text := p.Text.Fill(env{c, w}); {
		case p.Audio != "":
			out = append(out, contact.Prompt{Audio: p.Audio})
		case text != "":
			out = append(out, contact.Prompt{Text: text[:min(len(text), contact.MaxText)]})
		}
	}
	return out
}

// set gives a variable of a script its value.
func (w *caller) set(name, value string) {
	if !contact.IsName(name) || strings.HasPrefix(name, varPrefix) || w.vars[name] == "" && len(w.own()) >= maxOwn {
		return
	}
	w.vars[name] = value[:min(len(value), contact.MaxValue)]
}

// take takes over the variables that a call server has; those of the centre itself only where it knows nothing better.
func (w *caller) take(v map[string]string, everything bool) {
	for name, value := range v {
		w.told[name] = value
		if everything || name == varChoice || !strings.HasPrefix(name, varPrefix) {
			w.vars[name] = value
		}
	}
}

// news are the variables that its call server has otherwise, nil for none; a gone one is empty.
func (w *caller) news() map[string]string {
	var out map[string]string
	add := func(name, value string) {
		if out == nil {
			out = map[string]string{}
		}
		out[name], w.told[name] = value, value
	}
	for name, value := range w.vars {
		if w.told[name] != value {
			add(name, value)
		}
	}
	for name, value := range w.told {
		if _, still := w.vars[name]; !still && value != "" {
			add(name, "")
		}
	}
	return out
}

// own are the variables of scripts and callers, nil for none.
func (w *caller) own() map[string]string {
	var out map[string]string
	for name, value := range w.vars {
		if !strings.HasPrefix(name, varPrefix) && value != "" {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = value
		}
	}
	return out
}

var _ expression.Env = env{}
