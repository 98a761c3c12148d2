package center

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact/expression"
	"github.com/locktone/locktone/dialplan"
)

// A Site is what a Center is told of the site: who its agents are, what they can, which queues want what, and which script treats
// whom. It is a value; nothing changes it after Configure.
type Site struct {
	Agents    []Agent
	Teams     []Team
	Queues    []Queue
	Scripts   []Script
	Numbers   []Number
	Schedules []Schedule
	// Reasons are those an agent may give for being not ready. None: any.
	Reasons []string
	// SessionGrace is how long an agent stays ready without a desktop. Default: 30 s.
	SessionGrace time.Duration
	// Settle is how long after a new life nobody is reserved, until call servers have told their calls again. Default: 5 s.
	Settle time.Duration
	// RingTime is how long an agent's phone rings where the team says nothing. Default: 12 s.
	RingTime time.Duration
	// Callbacks that fail are tried again so often, so long after. Default: 2, 15 minutes.
	CallbackTries int
	CallbackRetry time.Duration
}

// An Agent takes contacts.
type Agent struct {
	Name   string
	Number string // the agent's line, which is rung
	Device string // the agent's phone
	Team   string
	// Skills are levels from 1 to 10 and Attributes values, both by names that conditions of queues use.
	Attributes []Attribute
}

// An Attribute is one value of an agent.
type Attribute struct {
	Name  string
	Value expression.Value
}

// WrapUpMode says what comes after a contact.
type WrapUpMode uint8

// The modes.
const (
	WrapUpTimed WrapUpMode = iota // work for WrapUp, or until the agent says otherwise
	WrapUpOpen                    // work until the agent says otherwise
	WrapUpNone                    // free at once
)

// A Team is agents with a supervisor.
type Team struct {
	Name        string
	Supervisors []string
	// WrapUp is how long work after a contact lasts. Default: 30 s.
	WrapUp     time.Duration
	WrapUpMode WrapUpMode
	// NotReadyAfter makes agents not ready after a contact.
	NotReadyAfter bool
	RingTime      time.Duration
}

// Order is who of several agents gets a contact.
type Order uint8

// The orders.
const (
	LongestAvailable Order = iota // who has been ready for longest
	MostSkilled                   // who has most of Queue.By, of those who has been ready for longest
)

// AbandonRule is what an abandoned contact does to the service level.
type AbandonRule uint8

// The rules, as reports of the field number them: 1, 2, 3.
const (
	AbandonIgnored AbandonRule = iota // one abandoned within the target does not count
	AbandonMissed                     // it counts as not answered in time
	AbandonMet                        // it counts as answered in time
)

// A Queue is where contacts wait for agents.
type Queue struct {
	Name string
	// Steps say whom a contact may have: the first ones at once, those of the next step as well after Wait, and so on.
	Steps []QueueStep
	Order Order
	By    string
	// Priority of contacts whose script gives none, 1 to 10; higher is sooner. Default: 5.
	Priority int
	// Ageing is the waiting time that is worth one step of priority; zero: priority counts whatever the time.
	Ageing time.Duration
	// ServiceTarget is within what a contact should be answered, ServicePercent how many should. Default: 20 s, 80.
	ServiceTarget  time.Duration
	ServicePercent int
	Abandoned      AbandonRule
	// ShortAbandon: contacts that give up before it are counted apart and touch no service level.
	ShortAbandon time.Duration
	// MaxWaiting is how many may wait; more do not get in. Zero: 1000.
	MaxWaiting int
	// HandleTime is what a contact is thought to take before any has been handled. Default: 3 min.
	HandleTime time.Duration
	// Music is what waiting callers hear; empty is the voice browser's music on hold.
	Music string
	// Announce is said after First and then every Every; First zero says it at once. No prompts: music alone.
	Announce      []Prompt
	AnnounceFirst time.Duration
	AnnounceEvery time.Duration // default 30 s
}

// A QueueStep is whom a contact may have after so much waiting.
type QueueStep struct {
	// Where is the condition on agents' attributes.
	Where *expression.Expression
	// Wait is how long before the next step counts as well. The last step's does not matter.
	Wait time.Duration
}

// A Prompt is something to hear: a text with expressions in it, or an audio file.
type Prompt struct {
	Text  *expression.Template
	Audio string
}

// A Number is one that callers call.
type Number struct {
	Number, Script string
	// Language of what is said, as in xml:lang; empty is the voice browser's.
	Language string
}

// A Schedule is business hours with where their clock hangs.
type Schedule struct {
	dialplan.Schedule
	Zone *time.Location // nil: UTC
}

// NodeKind is what a node of a script does.
type NodeKind uint8

// The kinds.
const (
	NodeSay NodeKind = iota
	NodeMenu
	NodeDigits
	NodeMusic
	NodeSet
	NodeIf
	NodeHours
	NodeQueue
	NodeLookup
	NodeTransfer
	NodeCallback
	NodeEnd
)

var nodeNames = [...]string{"say", "menu", "digits", "music", "set", "if", "hours", "queue", "lookup", "transfer", "callback", "end"}

func (k NodeKind) String() string { return enumName(nodeNames[:], int(k)) }

// A Script is how callers are treated: nodes that lead to each other.
type Script struct {
	Name  string
	Start string
	Nodes []Node
	index map[string]*Node
}

// A Node is one thing that a script does. Next is where it goes on: what was done, chosen, found; open; the condition holds; whoever the
// caller talked to has hung up. Else is where it goes otherwise: nothing was chosen, the time is over, it failed, closed. An empty
// name ends the call.
type Node struct {
	Name string
	Kind NodeKind
	Next string
	Else string
	// Prompts of say, menu, digits.
	Prompts []Prompt
	// Choices of menu, and keys that leave a queue.
	Choices []Choice
	// Variable of digits, with their number, the key that ends them, how often and how long is waited for them.
	Variable string
	Min, Max int
	EndKey   string
	Tries    int
	Timeout  time.Duration
	// For and Source of music.
	For    time.Duration
	Source string
	// Set are assignments, in order.
	Set []Assignment
	// When of if.
	When *expression.Expression
	// Schedule of hours.
	Schedule string
	// Queue of queue and callback; Priority nil is the queue's. Wait is how long, zero for ever. Full is where a queue with as many
	// waiting as may leads, Nobody where one without an agent logged in does; empty is Else.
	Queue    string
	Priority *expression.Expression
	Wait     time.Duration
	Full     string
	Nobody   string
	// URL of lookup, with what of its answer becomes which variable.
	URL     *expression.Template
	Results []Result
	// Number of transfer and callback. RingTime of transfer.
	Number   *expression.Template
	RingTime time.Duration
	// Cause of end.
	Cause call.Cause
}

// A Choice is a key and the node it leads to.
type Choice struct{ Key, Next string }

// An Assignment sets a variable.
type Assignment struct {
	Name  string
	Value *expression.Expression
}

// A Result is a field of a lookup's answer, by its path (customer.tier), and the variable it becomes.
type Result struct{ Field, Variable string }

// check says what of the site cannot work, and makes the indexes of its scripts.
func (s *Site) check() error {
	var errs []error
	for i := range s.Scripts {
		p := &s.Scripts[i]
		p.index = map[string]*Node{}
		for j := range p.Nodes {
			n := &p.Nodes[j]
			if p.index[n.Name] != nil || n.Name == "" {
				errs = append(errs, fmt.Errorf("center: script %s: the name %q of a node is empty or used twice", p.Name, n.Name))
			}
			p.index[n.Name] = n
		}
		errs = append(errs, p.check(s)...)
	}
	for _, n := range s.Numbers {
		if !slices.ContainsFunc(s.Scripts, func(p Script) bool { return p.Name == n.Script }) {
			errs = append(errs, fmt.Errorf("center: number %s: there is no script %q", n.Number, n.Script))
		}
	}
	for _, q := range s.Queues {
		if len(q.Steps) == 0 {
			errs = append(errs, fmt.Errorf("center: queue %s has no step", q.Name))
		}
	}
	return errors.Join(errs...)
}

func (p *Script) check(s *Site) (errs []error) {
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("center: script %s: "+format, append([]any{p.Name}, args...)...))
	}
	if p.index[p.Start] == nil {
		fault("there is no node %q to start with", p.Start)
	}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		for _, to := range n.Targets() {
			if p.index[to] == nil {
				fault("node %s leads to %q, which is no node", n.Name, to)
			}
		}
		if (n.Kind == NodeQueue || n.Kind == NodeCallback) && !slices.ContainsFunc(s.Queues, func(q Queue) bool { return q.Name == n.Queue }) {
			fault("node %s: there is no queue %q", n.Name, n.Queue)
		}
		if n.Kind == NodeHours && !slices.ContainsFunc(s.Schedules, func(x Schedule) bool { return x.Name == n.Schedule }) {
			fault("node %s: there is no schedule %q", n.Name, n.Schedule)
		}
	}
	return errs
}

// Targets are the nodes that a node can lead to, each once.
func (n *Node) Targets() []string {
	var out []string
	add := func(names ...string) {
		for _, name := range names {
			if name != "" && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	add(n.Next, n.Else, n.Full, n.Nobody)
	for _, c := range n.Choices {
		add(c.Next)
	}
	return out
}
