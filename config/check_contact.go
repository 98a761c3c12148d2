package config

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/contact/expression"
)

// contactCenter checks everything of the contact centre.
func (c *checker) contactCenter() {
	eachOf(c, "contactCenters", c.site.ContactCenters, ContactCenter.Key, c.contactSettings)
	if n := len(c.site.ContactCenters); n > 1 {
		c.at("contactCenters[1]", fmt.Sprintf("%d entries", n), "expected one: the contact centre of the cluster goes by it")
	}
	c.skills()
	eachOf(c, "reasonCodes", c.site.ReasonCodes, ReasonCode.Key, func(path string, r ReasonCode) { c.within(path+".code", r.Code, 1, 65535) })
	eachOf(c, "teams", c.site.Teams, Team.Key, func(path string, t Team) {
		c.refs(path+".supervisors", KindUser, t.Supervisors, false)
		c.between(path+".wrapUpTime", t.WrapUpTime, time.Second, 2*time.Hour)
		c.between(path+".ringTime", t.RingTime, 3*time.Second, 2*time.Minute)
		if t.WrapUp != WrapUpTimed && t.WrapUpTime != 0 {
			c.at(path+".wrapUpTime", "has no effect with wrapUp: "+t.WrapUp.String(), "expected wrapUp: timed, or no time")
		}
	})
	eachOf(c, "agents", c.site.Agents, Agent.Key, c.agent)
	eachOf(c, "queues", c.site.Queues, Queue.Key, c.queue)
	eachOf(c, "routingScripts", c.site.RoutingScripts, RoutingScript.Key, func(path string, s RoutingScript) {
		(&flowChecker{checker: c, path: path, script: s}).check()
	})
	first := map[string]string{}
	for i, n := range c.site.ContactNumbers {
		path := fmt.Sprintf("contactNumbers[%d]", i)
		c.number(path+".number", n.Number)
		c.unique(first, path, n)
		c.ref(path+".script", KindRoutingScript, n.Script, true)
	}
}

func (c *checker) contactSettings(path string, e ContactCenter) {
	c.between(path+".ringTime", e.RingTime, 3*time.Second, 2*time.Minute)
	c.between(path+".sessionGrace", e.SessionGrace, time.Second, 10*time.Minute)
	c.between(path+".settle", e.Settle, time.Second, time.Minute)
	c.within(path+".callbackTries", e.CallbackTries, 1, 20)
	c.between(path+".callbackRetry", e.CallbackRetry, time.Minute, 24*time.Hour)
	c.between(path+".interval", e.Interval, time.Minute, 24*time.Hour)
	if e.Interval > 0 && 24*time.Hour%e.Interval.D() != 0 {
		c.at(path+".interval", fmt.Sprintf("a day is no whole number of intervals of %s", e.Interval), "expected for instance 15m, 30m or 1h")
	}
	if e.TimeZone != "" {
		c.zone(path+".timeZone", e.TimeZone)
	}
	for i, o := range e.LookupOrigins {
		if why := badOrigin(o); why != "" {
			c.at(fmt.Sprintf("%s.lookupOrigins[%d]", path, i), why, "expected for instance https://crm.example or http://127.0.0.1:8080")
		}
	}
}

// badOrigin says why something is not the origin of a server (RFC 6454) that lookups may ask.
func badOrigin(o string) string {
	u, err := url.Parse(o)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "":
		return fmt.Sprintf("%q is not the origin of a server", o)
	case u.Scheme == "https":
	case u.Scheme != "http":
		return fmt.Sprintf("%q is neither https nor http", u.Scheme)
	case u.Hostname() != "localhost" && !strings.HasPrefix(u.Hostname(), "127.") && u.Hostname() != "::1":
		return "http carries callers' numbers readable to others"
	}
	return ""
}

// skills checks the names that conditions use: skills and attributes share one set of names.
func (c *checker) skills() {
	first := map[string]string{}
	name := func(path, kind, name string) {
		if !expression.IsName(name) {
			c.at(path+".name", fmt.Sprintf("%q cannot be named in conditions", name), "expected a letter, then letters, digits and underscores; not and, or, not, in")
		}
		if was, dup := first[name]; dup {
			c.at(path, fmt.Sprintf("the name %q is that of %s as well", name, was), "conditions need names that mean one thing; rename one")
		}
		first[name] = kind
	}
	for i, s := range c.site.Skills {
		name(fmt.Sprintf("skills[%d]", i), "a skill", s.Name)
	}
	for i, a := range c.site.AgentAttributes {
		name(fmt.Sprintf("agentAttributes[%d]", i), "an attribute", a.Name)
	}
}

// AgentNames are the names that conditions on agents know.
func (s *Site) AgentNames() expression.Known {
	var k expression.Known
	for _, x := range s.Skills {
		k.Names = append(k.Names, x.Name)
	}
	for _, x := range s.AgentAttributes {
		k.Names = append(k.Names, x.Name)
	}
	return k
}

func (c *checker) agent(path string, a Agent) {
	c.ref(path+".team", KindTeam, a.Team, false)
	c.ref(path+".device", KindDevice, a.Device, false)
	if a.User != "" || !c.has[KindUser][a.Name] {
		user := path + ".user"
		if a.User == "" {
			c.at(path, fmt.Sprintf("there is no user %q to log in as", a.Name), "expected an agent named like a user, or user")
		} else {
			c.ref(user, KindUser, a.User, true)
		}
	}
	if a.Number != "" {
		c.number(path+".number", a.Number)
	} else if a.Device != "" && c.has[KindDevice][a.Device] && c.site.AgentNumber(a) == "" {
		c.at(path+".device", fmt.Sprintf("%s has no line", a.Device), "expected number, or a device with a line")
	}
	for i, s := range a.Skills {
		sub := fmt.Sprintf("%s.skills[%d]", path, i)
		c.ref(sub+".skill", KindSkill, s.Skill, true)
		c.within(sub+".level", s.Level, 1, 10)
		if slices.ContainsFunc(a.Skills[:i], func(o AgentSkill) bool { return o.Skill == s.Skill }) {
			c.at(sub, fmt.Sprintf("%q stands twice in the list", s.Skill), "remove one")
		}
	}
	for i, v := range a.Attributes {
		c.agentValue(fmt.Sprintf("%s.attributes[%d]", path, i), v)
		if slices.ContainsFunc(a.Attributes[:i], func(o AgentValue) bool { return o.Attribute == v.Attribute }) {
			c.at(fmt.Sprintf("%s.attributes[%d]", path, i), fmt.Sprintf("%q stands twice in the list", v.Attribute), "remove one")
		}
	}
}

func (c *checker) agentValue(path string, v AgentValue) {
	c.ref(path+".attribute", KindAgentAttribute, v.Attribute, true)
	i := slices.IndexFunc(c.site.AgentAttributes, func(a AgentAttribute) bool { return a.Name == v.Attribute })
	if i >= 0 && len(c.site.AgentAttributes[i].Values) > 0 && !slices.Contains(c.site.AgentAttributes[i].Values, v.Value) {
		values := c.site.AgentAttributes[i].Values
		c.at(path+".value", fmt.Sprintf("%q is no value of %s", v.Value, v.Attribute), suggest(v.Value, values, "expected one of"))
	}
}

func (c *checker) queue(path string, q Queue) {
	if n := len(q.Steps); n == 0 || n > 10 {
		c.at(path+".steps", fmt.Sprintf("%d steps", n), "expected 1 to 10")
	}
	for i, s := range q.Steps {
		sub := fmt.Sprintf("%s.steps[%d]", path, i)
		if s.Where == "" {
			c.at(sub+".where", "is missing", "expected a condition on skills and attributes: sales >= 5")
		} else {
			c.condition(sub+".where", s.Where, c.site.AgentNames(), "skills and attributes are")
		}
		switch last := i == len(q.Steps)-1; {
		case last && s.Wait != 0:
			c.at(sub+".wait", "the last step leads to no other", "remove it, or add a step")
		case !last && s.Wait == 0:
			c.at(sub+".wait", "is missing", "expected how long before the next step counts as well: 30s")
		default:
			c.between(sub+".wait", s.Wait, time.Second, time.Hour)
		}
	}
	c.ref(path+".orderBy", KindSkill, q.OrderBy, q.Order == MostSkilled)
	if q.Order != MostSkilled && q.OrderBy != "" {
		c.at(path+".orderBy", "has no effect with order: "+q.Order.String(), "expected order: most-skilled")
	}
	c.within(path+".priority", q.Priority, 1, 10)
	c.between(path+".ageing", q.Ageing, time.Second, time.Hour)
	c.between(path+".serviceTime", q.ServiceTime, time.Second, time.Hour)
	c.within(path+".servicePercent", q.ServicePercent, 1, 100)
	c.between(path+".shortAbandon", q.ShortAbandon, time.Second, time.Minute)
	c.within(path+".maxWaiting", q.MaxWaiting, 1, 10000)
	c.between(path+".handleTime", q.HandleTime, 5*time.Second, 4*time.Hour)
	c.between(path+".announceAfter", q.AnnounceAfter, time.Second, time.Hour)
	c.between(path+".announceEvery", q.AnnounceEvery, 10*time.Second, time.Hour)
	c.prompts(path+".announcement", q.Announcement, c.site.QueueNames(q))
}

// QueueNames are the names that announcements of a queue know: those of all scripts that lead to it.
func (s *Site) QueueNames(q Queue) expression.Known {
	k := expression.Known{Names: expression.CallNames(), Functions: expression.QueueFunctions()}
	for _, r := range s.RoutingScripts {
		if slices.ContainsFunc(r.Nodes, func(n FlowNode) bool { return n.Do == FlowQueue && n.Queue == q.Name }) {
			k.Names = append(k.Names, r.Known().Names...)
		}
	}
	return k
}

// Known are the names that conditions and texts of a script know: what all calls have, and every variable that a node of it sets.
func (e RoutingScript) Known() expression.Known {
	k := expression.Known{Names: append(expression.CallNames(), e.Variables...), Functions: expression.QueueFunctions()}
	for _, n := range e.Nodes {
		if n.Variable != "" {
			k.Names = append(k.Names, n.Variable)
		}
		for _, s := range n.Set {
			k.Names = append(k.Names, s.Variable)
		}
		for _, r := range n.Results {
			k.Names = append(k.Names, r.Variable)
		}
	}
	return k
}

// condition checks a condition or value.
func (c *checker) condition(path, source string, known expression.Known, lead string) {
	e, err := expression.Parse(source, known)
	c.mistake(path, err, known, lead)
	if err == nil {
		c.calls(path, e)
	}
}

// template checks a text with expressions.
func (c *checker) template(path, source string, known expression.Known, lead string) {
	t, err := expression.ParseTemplate(source, known)
	c.mistake(path, err, known, lead)
	if err == nil {
		for _, e := range t.Expressions() {
			c.calls(path, e)
		}
	}
}

func (c *checker) mistake(path string, err error, known expression.Known, lead string) {
	var x *expression.Error
	if !errors.As(err, &x) {
		return
	}
	hint := "see docs/routing-scripts.md for what can be written here"
	if x.Word != "" {
		hint = suggest(x.Word, append(slices.Clone(known.Names), known.Functions...), lead)
	}
	c.at(path, fmt.Sprintf("at character %d: %s", x.Offset+1, x.Problem), hint)
}

// calls checks that functions are asked about queues that are there.
func (c *checker) calls(path string, e *expression.Expression) {
	for _, f := range e.Calls() {
		if !c.has[KindQueue][f.Argument] {
			c.at(path, fmt.Sprintf("%s(%q): there is no such queue", f.Function, f.Argument), suggest(f.Argument, c.names[KindQueue], "known are"))
		}
	}
}

func (c *checker) prompts(path string, all []FlowPrompt, known expression.Known) {
	for i, p := range all {
		sub := fmt.Sprintf("%s[%d]", path, i)
		if (p.Text == "") == (p.Audio == "") {
			c.at(sub, "has both text and audio, or neither", "expected exactly one")
		}
		c.template(sub+".text", p.Text, known, "known are")
	}
}

// flowFields are the fields that nodes have besides name and do, by what they do.
func flowFields(do FlowAction) []string {
	switch do {
	case FlowSay:
		return []string{"next", "prompts"}
	case FlowMenu:
		return []string{"else", "prompts", "choices", "tries", "timeout"}
	case FlowDigits:
		return []string{"next", "else", "prompts", "variable", "min", "max", "end", "tries", "timeout"}
	case FlowMusic:
		return []string{"next", "for", "source"}
	case FlowSet:
		return []string{"next", "set"}
	case FlowIf:
		return []string{"next", "else", "when"}
	case FlowHours:
		return []string{"next", "else", "schedule"}
	case FlowQueue:
		return []string{"next", "else", "queue", "priority", "wait", "full", "nobody", "choices"}
	case FlowLookup:
		return []string{"next", "else", "url", "results", "timeout"}
	case FlowTransfer, FlowVoicemail:
		return []string{"next", "else", "number", "ringTime"}
	case FlowCallback:
		return []string{"next", "else", "queue", "priority", "number"}
	}
	return []string{"cause"}
}

// flowChecker checks one routing script.
type flowChecker struct {
	*checker
	path   string
	script RoutingScript
	names  []string
	known  expression.Known
}

func (f *flowChecker) check() {
	f.known = f.script.Known()
	if n := len(f.script.Nodes); n == 0 || n > 200 {
		f.at(f.path+".nodes", fmt.Sprintf("%d nodes", n), "expected 1 to 200")
	}
	for i, v := range f.script.Variables {
		f.variable(fmt.Sprintf("%s.variables[%d]", f.path, i), v)
	}
	for i, n := range f.script.Nodes {
		path := f.nodePath(i)
		f.name(path+".name", n.Name)
		if slices.Contains(f.names, n.Name) {
			f.at(path+".name", fmt.Sprintf("a second node %q", n.Name), "expected each only once; rename one")
		}
		f.names = append(f.names, n.Name)
	}
	f.leads(f.path+".start", f.script.Start)
	for i, n := range f.script.Nodes {
		f.node(f.nodePath(i), n)
	}
	if slices.Contains(f.names, f.script.StartNode()) {
		f.reach()
	}
	f.circles()
}

func (f *flowChecker) nodePath(i int) string { return f.path + ".nodes[" + strconv.Itoa(i) + "]" }

func (f *flowChecker) variable(path, name string) {
	switch {
	case !expression.IsVariable(name):
		f.at(path, fmt.Sprintf("%q cannot be a variable", name), "expected a letter, then letters, digits and underscores, not beginning with cc_")
	case slices.Contains(expression.CallNames(), name):
		f.at(path, fmt.Sprintf("%q is a name that every call has", name), "expected another one")
	}
}

// leads checks that a name is that of a node.
func (f *flowChecker) leads(path, to string) {
	if to != "" && !slices.Contains(f.names, to) {
		f.at(path, fmt.Sprintf("there is no node %q in this script", to), suggest(to, f.names, "known are"))
	}
}

func (f *flowChecker) node(path string, n FlowNode) {
	f.fields(path, n)
	for _, to := range []struct{ field, name string }{{"next", n.Next}, {"else", n.Else}, {"full", n.Full}, {"nobody", n.Nobody}} {
		f.leads(path+"."+to.field, to.name)
	}
	f.prompts(path+".prompts", n.Prompts, f.known)
	f.choices(path+".choices", n)
	f.within(path+".min", n.Min, 1, 64)
	f.within(path+".max", n.Max, 1, 64)
	f.within(path+".tries", n.Tries, 1, 10)
	f.between(path+".for", n.For, time.Second, 24*time.Hour)
	f.between(path+".wait", n.Wait, time.Second, 24*time.Hour)
	f.between(path+".ringTime", n.RingTime, 3*time.Second, 10*time.Minute)
	f.within(path+".cause", n.Cause, 1, 127)
	f.text(path+".when", n.When, n.Do == FlowIf, "a condition: vip or waiting(\"sales\") > 20", f.condition)
	f.text(path+".priority", n.Priority, false, "", f.condition)
	f.text(path+".number", n.Number, n.Do == FlowTransfer || n.Do == FlowVoicemail, "the number to call", f.template)
	switch n.Do {
	case FlowSay, FlowMenu, FlowDigits:
		if len(n.Prompts) == 0 {
			f.at(path+".prompts", "is empty", "expected what is said: [{text: Hello.}]")
		}
		f.between(path+".timeout", n.Timeout, time.Second, time.Minute)
	case FlowLookup:
		f.lookup(path, n)
	case FlowHours:
		f.ref(path+".schedule", KindSchedule, n.Schedule, true)
	case FlowQueue, FlowCallback:
		f.ref(path+".queue", KindQueue, n.Queue, true)
	case FlowMusic:
		if n.For == 0 {
			f.at(path+".for", "is missing", "expected how long it plays: 10s")
		}
	}
	f.sets(path, n)
}

// text checks an expression or a template of a node.
func (f *flowChecker) text(path, source string, required bool, what string, parse func(path, source string, known expression.Known, lead string)) {
	switch {
	case source != "":
		parse(path, source, f.known, "known are")
	case required:
		f.at(path, "is missing", "expected "+what)
	}
}

// fields checks that a node has only what its kind has.
func (f *flowChecker) fields(path string, n FlowNode) {
	allowed := flowFields(n.Do)
	v := reflect.ValueOf(n)
	for i := range v.NumField() {
		name, _ := yamlName(v.Type().Field(i))
		if name == "name" || name == "do" || v.Field(i).IsZero() || slices.Contains(allowed, name) {
			continue
		}
		f.at(path+"."+name, fmt.Sprintf("%s has no field %s", n.Do, name), "its fields are "+strings.Join(allowed, ", "))
	}
}

func (f *flowChecker) choices(path string, n FlowNode) {
	if n.Do == FlowMenu && len(n.Choices) == 0 {
		f.at(path, "is empty", "expected at least one key: [{key: 1, next: sales}]")
	}
	for i, x := range n.Choices {
		sub := fmt.Sprintf("%s[%d]", path, i)
		if x.Key == "" || len(x.Key) > 8 || strings.Trim(x.Key, "0123456789*#") != "" {
			f.at(sub+".key", fmt.Sprintf("%q cannot be pressed", x.Key), "expected 1 to 8 of 0-9, * and #")
		}
		if slices.ContainsFunc(n.Choices[:i], func(o FlowChoice) bool { return o.Key == x.Key }) {
			f.at(sub+".key", fmt.Sprintf("a second choice with the key %s", x.Key), "remove one")
		}
		f.leads(sub+".next", x.Next)
	}
}

func (f *flowChecker) sets(path string, n FlowNode) {
	if n.Do == FlowDigits {
		f.variable(path+".variable", n.Variable)
		if n.Max != 0 && n.Max < n.Min {
			f.at(path+".max", fmt.Sprintf("%d is fewer than min", n.Max), fmt.Sprintf("expected %d or more", n.Min))
		}
		if n.End != "" && n.End != "none" && (len(n.End) != 1 || strings.Trim(n.End, "0123456789*#") != "") {
			f.at(path+".end", fmt.Sprintf("%q is no key", n.End), "expected one of 0-9, * and #, or none")
		}
	}
	if n.Do == FlowSet && len(n.Set) == 0 {
		f.at(path+".set", "is empty", "expected what is set: [{variable: vip, value: 'true'}]")
	}
	for i, s := range n.Set {
		sub := fmt.Sprintf("%s.set[%d]", path, i)
		f.variable(sub+".variable", s.Variable)
		f.text(sub+".value", s.Value, true, "an expression; a text stands in quotes of its own: '\"gold\"'", f.condition)
	}
}

func (f *flowChecker) lookup(path string, n FlowNode) {
	f.text(path+".url", n.URL, true, "the address to ask", f.template)
	f.between(path+".timeout", n.Timeout, 100*time.Millisecond, 30*time.Second)
	fixed, _, _ := strings.Cut(n.URL, "{")
	origins := f.site.Contact().LookupOrigins
	if n.URL != "" && !slices.ContainsFunc(origins, func(o string) bool {
		return fixed == o || strings.HasPrefix(fixed, o+"/") || strings.HasPrefix(fixed, o+"?")
	}) {
		expected := "expected one that begins with " + listOf(origins)
		if len(origins) == 0 {
			expected = "expected lookupOrigins of contactCenters to have its server"
		}
		f.at(path+".url", fmt.Sprintf("%q is not at a server that lookups may ask", n.URL), expected)
	}
	if len(n.Results) == 0 {
		f.at(path+".results", "is empty", "expected what of the answer is wanted: [{field: tier, variable: tier}]")
	}
	for i, r := range n.Results {
		sub := fmt.Sprintf("%s.results[%d]", path, i)
		f.variable(sub+".variable", r.Variable)
		if r.Field == "" || strings.HasPrefix(r.Field, ".") || strings.HasSuffix(r.Field, ".") || strings.Contains(r.Field, "..") {
			f.at(sub+".field", fmt.Sprintf("%q is no field", r.Field), "expected its name, with dots for those inside: customer.tier")
		}
	}
}

// leadsTo are the nodes a node can lead to; at once: without waiting for the caller, an agent, or the end of something that is heard.
func (n FlowNode) leadsTo(atOnce bool) []string {
	var out []string
	all := func(names ...string) { out = append(out, names...) }
	quick := slices.Contains([]FlowAction{FlowSet, FlowIf, FlowHours, FlowLookup, FlowCallback}, n.Do)
	switch {
	case !atOnce:
		all(n.Next, n.Else, n.Full, n.Nobody)
		for _, c := range n.Choices {
			all(c.Next)
		}
	case quick:
		all(n.Next, n.Else)
	case n.Do == FlowQueue && n.Full == "" && n.Wait == 0:
		all(n.Nobody, n.Else)
	case n.Do == FlowQueue:
		all(n.Nobody, n.Full)
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

func (f *flowChecker) atNode(i int, problem, expected string) {
	f.at(f.nodePath(i), problem, expected)
}

// reach finds nodes that nothing leads to.
func (f *flowChecker) reach() {
	seen := map[string]bool{}
	front := []string{f.script.StartNode()}
	for len(front) > 0 {
		name := front[0]
		front = front[1:]
		i := slices.Index(f.names, name)
		if i < 0 || seen[name] {
			continue
		}
		seen[name] = true
		front = append(front, f.script.Nodes[i].leadsTo(false)...)
	}
	for i, n := range f.script.Nodes {
		if n.Name != "" && !seen[n.Name] {
			f.atNode(i, fmt.Sprintf("nothing leads to node %q", n.Name), fmt.Sprintf("remove it, or let a node lead to it; the script begins with %q", f.script.StartNode()))
		}
	}
}

// circles finds nodes that lead back to themselves without anything to wait for: a call would go round for ever.
func (f *flowChecker) circles() {
	told := map[string]bool{}
	for i, n := range f.script.Nodes {
		way := f.circle(n.Name)
		if way == nil || told[n.Name] {
			continue
		}
		for _, name := range way {
			told[name] = true
		}
		f.atNode(i, fmt.Sprintf("a call would go round for ever: %s", strings.Join(append(way, n.Name), " -> ")), "let one of them lead elsewhere, or ask the caller on the way")
	}
}

// circle is the shortest way from a node back to it that waits for nothing.
func (f *flowChecker) circle(from string) []string {
	ways, seen := [][]string{{from}}, map[string]bool{}
	for len(ways) > 0 {
		way := ways[0]
		ways = ways[1:]
		i := slices.Index(f.names, way[len(way)-1])
		if i < 0 {
			continue
		}
		for _, to := range f.script.Nodes[i].leadsTo(true) {
			switch {
			case to == from:
				return way
			case !seen[to]:
				seen[to] = true
				ways = append(ways, append(slices.Clone(way), to))
			}
		}
	}
	return nil
}
