package contactcenter

import (
	"cmp"
	"fmt"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/contact/expression"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/service/contactcenter/center"
)

// Compile makes of a site what the brain is told of it. A site that config.Check has passed has no error.
func Compile(s *config.Site) (*center.Site, error) {
	c := &compiler{site: s, set: s.Contact()}
	out := &center.Site{SessionGrace: c.set.SessionGrace.D(), Settle: c.set.Settle.D(), RingTime: c.set.RingTime.D(), CallbackTries: c.set.CallbackTries, CallbackRetry: c.set.CallbackRetry.D()}
	for _, r := range s.ReasonCodes {
		out.Reasons = append(out.Reasons, r.Name)
	}
	for _, t := range s.Teams {
		out.Teams = append(out.Teams, center.Team{Name: t.Name, Supervisors: t.Supervisors, WrapUp: t.WrapUpTime.D(), WrapUpMode: center.WrapUpMode(t.WrapUp), NotReadyAfter: t.NotReadyAfterContact,
			RingTime: t.RingTime.D()})
	}
	for _, a := range s.Agents {
		out.Agents = append(out.Agents, c.agent(a))
	}
	for _, q := range s.Queues {
		out.Queues = append(out.Queues, c.queue(q))
	}
	for _, r := range s.RoutingScripts {
		out.Scripts = append(out.Scripts, c.script(r))
	}
	for _, n := range s.ContactNumbers {
		out.Numbers = append(out.Numbers, center.Number{Number: n.Number, Script: n.Script, Language: n.Language})
	}
	zone, err := time.LoadLocation(c.set.TimeZone)
	c.keep(err)
	for _, x := range s.Schedules {
		out.Schedules = append(out.Schedules, center.Schedule{Schedule: schedule(x), Zone: zone})
	}
	if c.err == nil {
		c.err = out.Check()
	}
	if c.err != nil {
		return nil, fmt.Errorf("contactcenter: the site: %w", c.err)
	}
	return out, nil
}

type compiler struct {
	site *config.Site
	set  config.ContactCenter
	err  error // the first one
}

func (c *compiler) keep(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *compiler) agent(a config.Agent) center.Agent {
	out := center.Agent{Name: a.Name, Number: c.site.AgentNumber(a), Device: a.Device, Team: a.Team}
	for _, s := range a.Skills {
		out.Attributes = append(out.Attributes, center.Attribute{Name: s.Skill, Value: expression.Number(float64(cmp.Or(s.Level, 5)))})
	}
	for _, v := range a.Attributes {
		out.Attributes = append(out.Attributes, center.Attribute{Name: v.Attribute, Value: expression.Read(v.Value)})
	}
	return out
}

func (c *compiler) queue(q config.Queue) center.Queue {
	out := center.Queue{Name: q.Name, Order: center.Order(q.Order), By: q.OrderBy, Priority: q.Priority, Ageing: q.Ageing.D(), ServiceTarget: q.ServiceTime.D(), ServicePercent: q.ServicePercent,
		Abandoned: center.AbandonRule(q.Abandoned), ShortAbandon: q.ShortAbandon.D(), MaxWaiting: q.MaxWaiting, HandleTime: q.HandleTime.D(), Music: q.Music,
		Announce: c.prompts(q.Announcement, c.site.QueueNames(q)), AnnounceFirst: q.AnnounceAfter.D(), AnnounceEvery: q.AnnounceEvery.D()}
	for _, s := range q.Steps {
		out.Steps = append(out.Steps, center.QueueStep{Where: c.expression(s.Where, c.site.AgentNames()), Wait: s.Wait.D()})
	}
	return out
}

// expression reads an expression; none stays none.
func (c *compiler) expression(source string, known expression.Known) *expression.Expression {
	if source == "" {
		return nil
	}
	e, err := expression.Parse(source, known)
	c.keep(err)
	return e
}

func (c *compiler) template(source string, known expression.Known) *expression.Template {
	if source == "" {
		return nil
	}
	t, err := expression.ParseTemplate(source, known)
	c.keep(err)
	return t
}

func (c *compiler) prompts(all []config.FlowPrompt, known expression.Known) (out []center.Prompt) {
	for _, p := range all {
		out = append(out, center.Prompt{Text: c.template(p.Text, known), Audio: p.Audio})
	}
	return out
}

func (c *compiler) script(r config.RoutingScript) center.Script {
	out := center.Script{Name: r.Name, Start: r.StartNode()}
	known := r.Known()
	for _, n := range r.Nodes {
		x := center.Node{Name: n.Name, Kind: nodeKind(n.Do), Next: n.Next, Else: n.Else, Prompts: c.prompts(n.Prompts, known), Variable: n.Variable, Min: n.Min, Max: n.Max, EndKey: n.End,
			Tries: n.Tries, Timeout: n.Timeout.D(), For: n.For.D(), Source: n.Source, When: c.expression(n.When, known), Schedule: n.Schedule, Queue: n.Queue,
			Priority: c.expression(n.Priority, known), Wait: n.Wait.D(), Full: n.Full, Nobody: n.Nobody, URL: c.template(n.URL, known), Number: c.template(n.Number, known),
			RingTime: n.RingTime.D(), Cause: call.Cause(n.Cause)}
		for _, k := range n.Choices {
			x.Choices = append(x.Choices, center.Choice{Key: k.Key, Next: k.Next})
		}
		for _, a := range n.Set {
			x.Set = append(x.Set, center.Assignment{Name: a.Variable, Value: c.expression(a.Value, known)})
		}
		for _, f := range n.Results {
			x.Results = append(x.Results, center.Result{Field: f.Field, Variable: f.Variable})
		}
		out.Nodes = append(out.Nodes, x)
	}
	return out
}

// nodeKind is what the brain does for an action: voicemail is a transfer to its number.
func nodeKind(a config.FlowAction) center.NodeKind {
	switch a {
	case config.FlowMenu:
		return center.NodeMenu
	case config.FlowDigits:
		return center.NodeDigits
	case config.FlowMusic:
		return center.NodeMusic
	case config.FlowSet:
		return center.NodeSet
	case config.FlowIf:
		return center.NodeIf
	case config.FlowHours:
		return center.NodeHours
	case config.FlowQueue:
		return center.NodeQueue
	case config.FlowLookup:
		return center.NodeLookup
	case config.FlowTransfer, config.FlowVoicemail:
		return center.NodeTransfer
	case config.FlowCallback:
		return center.NodeCallback
	case config.FlowEnd:
		return center.NodeEnd
	}
	return center.NodeSay
}

// schedule reads the spellings of a site, which was checked: none of them is at fault here.
func schedule(s config.Schedule) dialplan.Schedule {
	out := dialplan.Schedule{Name: s.Name}
	for _, p := range s.Periods {
		days, _ := p.WeekDays()
		first, last, _ := p.Range()
		from, to, _ := p.Minutes()
		out.Periods = append(out.Periods, dialplan.Period{Closed: p.Closed, Days: dialplan.Days(days), First: dialplan.Date(first), Last: dialplan.Date(last), From: from, To: to})
	}
	return out
}
