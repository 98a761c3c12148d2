package config

import (
	"cmp"
	"slices"
	"time"
)

// ContactCenter is how the contact centre of the cluster works.
type ContactCenter struct {
	// Name of the settings. There is one entry at most.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// How long an agent's phone rings before the contact goes back to its queue and the agent is not ready, 3s to 2m; teams may have their own. Default: 12s.
	RingTime Duration `yaml:"ringTime" json:"ringTime,omitempty"`
	// How long an agent stays ready while the desktop is away, 1s to 10m. Default: 30s.
	SessionGrace Duration `yaml:"sessionGrace" json:"sessionGrace,omitempty"`
	// How long another node that takes over waits for the calls to be told again before it reserves anybody, 1s to 1m. Default: 5s.
	Settle Duration `yaml:"settle" json:"settle,omitempty"`
	// How often a customer who could not be reached is called back again, 1 to 20. Default: 2.
	CallbackTries int `yaml:"callbackTries" json:"callbackTries,omitempty"`
	// How long after the last time, 1m to 24h. Default: 15m.
	CallbackRetry Duration `yaml:"callbackRetry" json:"callbackRetry,omitempty"`
	// How long the intervals of the reports on queues and agents are: 1m to 24h, a whole number of them a day. Default: 15m.
	Interval Duration `yaml:"interval" json:"interval,omitempty"`
	// Servers that lookups of routing scripts may ask: https://crm.example, http://127.0.0.1:8080. Left out: none. Http is for loopback.
	LookupOrigins []string `yaml:"lookupOrigins" json:"lookupOrigins,omitempty"`
	// Time zone of business hours, a name of the IANA list: Europe/Berlin. Default: UTC.
	TimeZone string `yaml:"timeZone" json:"timeZone,omitempty"`
}

// Skill is something agents can do, each on a level from 1 to 10. Conditions of queues use its name.
type Skill struct {
	// Name of the skill: a letter, then letters, digits and underscores.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
}

// AgentAttribute is something that agents are or have: a language, a site, a licence. Conditions of queues use its name.
type AgentAttribute struct {
	// Name of the attribute: a letter, then letters, digits and underscores.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Values it can have. Left out: any.
	Values []string `yaml:"values" json:"values,omitempty"`
}

// ReasonCode is why an agent is not ready.
type ReasonCode struct {
	// Name of the reason, as agents choose it.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Number of the reason in reports, 1 to 65535. Left out: none.
	Code int `yaml:"code" json:"code,omitempty"`
}

// Team is agents with their supervisors.
type Team struct {
	// Name of the team.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Users who see the team's agents, make them ready or not ready, and listen to their calls.
	Supervisors []string `yaml:"supervisors" json:"supervisors,omitempty"`
	// Timed: agents wrap up for wrapUpTime, or until they say otherwise. Open: until they say otherwise. None: not at all.
	WrapUp WrapUp `yaml:"wrapUp" json:"wrapUp,omitempty"`
	// How long wrapping up takes, 1s to 2h. Default: 30s.
	WrapUpTime Duration `yaml:"wrapUpTime" json:"wrapUpTime,omitempty"`
	// After a contact, agents are not ready until they say otherwise. Left out: ready.
	NotReadyAfterContact bool `yaml:"notReadyAfterContact" json:"notReadyAfterContact,omitempty"`
	// How long the phones of the team ring, 3s to 2m. Default: that of the contact centre.
	RingTime Duration `yaml:"ringTime" json:"ringTime,omitempty"`
}

// Agent is a user who takes contacts.
type Agent struct {
	// Name of the agent: the name of the user, unless user says another.
	Name string `yaml:"name" json:"name"`
	// User whose name and password the agent logs in with. Default: the one of the agent's name.
	User string `yaml:"user" json:"user,omitempty"`
	// Team. Left out: none, and no supervisor.
	Team string `yaml:"team" json:"team,omitempty"`
	// Phone the agent works at. Left out: the agent says so when logging in.
	Device string `yaml:"device" json:"device,omitempty"`
	// Number of the line on it that contacts ring at, as the call routes have it. Left out with device: that of its first line.
	Number string `yaml:"number" json:"number,omitempty"`
	// Skills with their levels.
	Skills []AgentSkill `yaml:"skills" json:"skills,omitempty"`
	// Attributes with their values.
	Attributes []AgentValue `yaml:"attributes" json:"attributes,omitempty"`
}

// AgentSkill is one skill of an agent.
type AgentSkill struct {
	// Name of the skill.
	Skill string `yaml:"skill" json:"skill"`
	// Level, 1 to 10. Default: 5.
	Level int `yaml:"level" json:"level,omitempty"`
}

// AgentValue is one attribute of an agent.
type AgentValue struct {
	// Name of the attribute.
	Attribute string `yaml:"attribute" json:"attribute"`
	// Its value: a number, true or false, or a text.
	Value string `yaml:"value" json:"value"`
}

// Queue is where contacts wait for agents.
type Queue struct {
	// Name of the queue.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Whom a contact may have: agents of the first step at once, those of the next as well after a while, and so on. Up to 10.
	Steps []QueueStep `yaml:"steps" json:"steps"`
	// Longest-available: of several agents the one who has been ready for longest. Most-skilled: the one with most of orderBy.
	Order QueueOrder `yaml:"order" json:"order,omitempty"`
	// Skill that order most-skilled goes by.
	OrderBy string `yaml:"orderBy" json:"orderBy,omitempty"`
	// Priority of contacts for which the script says none, 1 to 10; higher is sooner. Default: 5.
	Priority int `yaml:"priority" json:"priority,omitempty"`
	// Waiting time that is worth one step of priority, 1s to 1h, so that nobody waits for ever behind more important ones. Left out: priority goes first.
	Ageing Duration `yaml:"ageing" json:"ageing,omitempty"`
	// Within which time a contact should be answered, 1s to 1h. Default: 20s.
	ServiceTime Duration `yaml:"serviceTime" json:"serviceTime,omitempty"`
	// How many percent should be, 1 to 100. Default: 80.
	ServicePercent int `yaml:"servicePercent" json:"servicePercent,omitempty"`
	// What contacts do to the service level that hang up within serviceTime. Ignored: nothing. Missed: they count as not answered in
	// time. Met: as answered in time.
	Abandoned AbandonRule `yaml:"abandoned" json:"abandoned,omitempty"`
	// Contacts that hang up before this are counted apart and touch no service level, 1s to 1m. Left out: all count.
	ShortAbandon Duration `yaml:"shortAbandon" json:"shortAbandon,omitempty"`
	// Most contacts that wait, 1 to 10000; further ones go where the script says. Default: 1000.
	MaxWaiting int `yaml:"maxWaiting" json:"maxWaiting,omitempty"`
	// What a contact takes its agent, until it has been measured, for estimates of the wait: 5s to 4h. Default: 3m.
	HandleTime Duration `yaml:"handleTime" json:"handleTime,omitempty"`
	// What waiting callers hear: an audio file of the voice browsers. Left out: their music on hold.
	Music string `yaml:"music" json:"music,omitempty"`
	// What they are told now and then. Names: position, waited and estimate (seconds), minutes (the estimate, at least 1), and those of the script.
	Announcement []FlowPrompt `yaml:"announcement" json:"announcement,omitempty"`
	// When first, 1s to 1h. Left out: at once.
	AnnounceAfter Duration `yaml:"announceAfter" json:"announceAfter,omitempty"`
	// How often then, 10s to 1h. Default: 30s.
	AnnounceEvery Duration `yaml:"announceEvery" json:"announceEvery,omitempty"`
}

// QueueStep is whom a contact may have after so much waiting.
type QueueStep struct {
	// Condition on skills and attributes of agents: 'sales >= 5 and language == de'. Its language: docs/routing-scripts.md.
	Where string `yaml:"where" json:"where"`
	// How long before the next step counts as well, 1s to 1h. The last step has none.
	Wait Duration `yaml:"wait" json:"wait,omitempty"`
}

// ContactNumber is a number that callers call, as the call server gets it.
type ContactNumber struct {
	// The number.
	Number string `yaml:"number" json:"number"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Routing script that treats its callers.
	Script string `yaml:"script" json:"script"`
	// Language of what is said (RFC 5646): en-GB. Left out: the voice browser's.
	Language string `yaml:"language" json:"language,omitempty"`
}

// RoutingScript is how callers are treated: nodes that lead to each other.
type RoutingScript struct {
	// Name of the script.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Node it begins with. Default: the first of the list.
	Start string `yaml:"start" json:"start,omitempty"`
	// Variables that calls may bring along or other scripts set, so that conditions may name them.
	Variables []string `yaml:"variables" json:"variables,omitempty"`
	// Its nodes, up to 200. Their order does not matter, but for the first.
	Nodes []FlowNode `yaml:"nodes" json:"nodes"`
}

// FlowNode is one thing that a script does. Which fields each kind has: docs/routing-scripts.md.
type FlowNode struct {
	// Name of the node.
	Name string `yaml:"name" json:"name"`
	// What it does.
	Do FlowAction `yaml:"do" json:"do"`
	// Node to go on with: it was said, entered, set, found, registered; it is open; the condition holds; whom the caller talked to has hung up. Left out: the call ends.
	Next string `yaml:"next" json:"next,omitempty"`
	// Node to go on with otherwise: nothing was entered, the time is over, it failed; it is closed; the condition does not hold. Left out: the call ends.
	Else string `yaml:"else" json:"else,omitempty"`
	// What is heard by say, menu, digits.
	Prompts []FlowPrompt `yaml:"prompts" json:"prompts,omitempty"`
	// Keys of menu; of queue those that leave it, taken with its announcement.
	Choices []FlowChoice `yaml:"choices" json:"choices,omitempty"`
	// Variable that digits sets.
	Variable string `yaml:"variable" json:"variable,omitempty"`
	// Fewest digits, 1 to 64. Default: 1.
	Min int `yaml:"min" json:"min,omitempty"`
	// Most digits, 1 to 64. Default: min.
	Max int `yaml:"max" json:"max,omitempty"`
	// Key that ends digits before max: 0 to 9, * or #, or none. Default: #.
	End string `yaml:"end" json:"end,omitempty"`
	// How often menu and digits ask, 1 to 10. Default: 3.
	Tries int `yaml:"tries" json:"tries,omitempty"`
	// How long menu and digits wait for a key, 1s to 1m; how long lookup waits for its server, 100ms to 30s. Default: 5s; 2s.
	Timeout Duration `yaml:"timeout" json:"timeout,omitempty"`
	// How long music plays, 1s to 24h.
	For Duration `yaml:"for" json:"for,omitempty"`
	// What music plays: an audio file of the voice browsers. Left out: their music on hold.
	Source string `yaml:"source" json:"source,omitempty"`
	// What set sets, in order.
	Set []FlowAssignment `yaml:"set" json:"set,omitempty"`
	// Condition of if: 'vip or waiting("sales") > 20'.
	When string `yaml:"when" json:"when,omitempty"`
	// Schedule of hours.
	Schedule string `yaml:"schedule" json:"schedule,omitempty"`
	// Queue of queue and callback.
	Queue string `yaml:"queue" json:"queue,omitempty"`
	// Priority in it, 1 to 10, may be an expression. Left out: the queue's.
	Priority string `yaml:"priority" json:"priority,omitempty"`
	// How long a caller waits in the queue before else, 1s to 24h. Left out: as long as it takes.
	Wait Duration `yaml:"wait" json:"wait,omitempty"`
	// Node to go on with when as many wait as may. Left out: else.
	Full string `yaml:"full" json:"full,omitempty"`
	// Node to go on with when no agent of the queue is logged in. Left out: callers wait all the same.
	Nobody string `yaml:"nobody" json:"nobody,omitempty"`
	// Address that lookup asks, with expressions in braces, which are escaped: 'https://crm.example/customer?number={calling}'. Its server is one of lookupOrigins.
	URL string `yaml:"url" json:"url,omitempty"`
	// What of its answer, a JSON object, becomes which variable.
	Results []FlowResult `yaml:"results" json:"results,omitempty"`
	// Number of transfer, voicemail and callback, may have expressions in braces. Left out with callback: the caller's.
	Number string `yaml:"number" json:"number,omitempty"`
	// How long transfer and voicemail ring, 3s to 10m. Left out: as the call server has it.
	RingTime Duration `yaml:"ringTime" json:"ringTime,omitempty"`
	// Cause of end, by Q.850: 17 user busy, 21 rejected. Default: 16, normal.
	Cause int `yaml:"cause" json:"cause,omitempty"`
}

// FlowPrompt is something to hear: exactly one of text and audio.
type FlowPrompt struct {
	// Text that is spoken, with expressions in braces: 'You are number {position}.' A brace itself is doubled.
	Text string `yaml:"text" json:"text,omitempty"`
	// Audio file of the voice browsers, or an http or https URI of one.
	Audio string `yaml:"audio" json:"audio,omitempty"`
}

// FlowChoice is a key and where it leads.
type FlowChoice struct {
	// What is pressed: one or more of 0 to 9, * and #.
	Key string `yaml:"key" json:"key"`
	// Node it leads to. Left out: the call ends.
	Next string `yaml:"next" json:"next,omitempty"`
}

// FlowAssignment sets a variable.
type FlowAssignment struct {
	// Name of the variable: a letter, then letters, digits and underscores, not beginning with cc_.
	Variable string `yaml:"variable" json:"variable"`
	// Expression whose value it gets; a text stands in quotes of its own: '"gold"'.
	Value string `yaml:"value" json:"value"`
}

// FlowResult takes a field of an answer into a variable.
type FlowResult struct {
	// Field of the JSON object, with dots for those inside: customer.tier.
	Field string `yaml:"field" json:"field"`
	// Variable it becomes.
	Variable string `yaml:"variable" json:"variable"`
}

// WrapUp says what comes after a contact.
type WrapUp uint8

// Values of WrapUp; the first is the default.
const (
	WrapUpTimed WrapUp = iota
	WrapUpOpen
	WrapUpNone
)

// Values lists the spellings of WrapUp.
func (WrapUp) Values() []string { return []string{"timed", "open", "none"} }

func (w WrapUp) String() string { return enumString(w, w.Values()) }

// MarshalText writes the value as a site file spells it.
func (w WrapUp) MarshalText() ([]byte, error) { return enumText(w, w.Values()) }

// UnmarshalText reads one of Values.
func (w *WrapUp) UnmarshalText(b []byte) error { return enumParse(w, w.Values(), b) }

// QueueOrder says who of several agents gets a contact.
type QueueOrder uint8

// Values of QueueOrder; the first is the default.
const (
	LongestAvailable QueueOrder = iota
	MostSkilled
)

// Values lists the spellings of QueueOrder.
func (QueueOrder) Values() []string { return []string{"longest-available", "most-skilled"} }

func (o QueueOrder) String() string { return enumString(o, o.Values()) }

// MarshalText writes the value as a site file spells it.
func (o QueueOrder) MarshalText() ([]byte, error) { return enumText(o, o.Values()) }

// UnmarshalText reads one of Values.
func (o *QueueOrder) UnmarshalText(b []byte) error { return enumParse(o, o.Values(), b) }

// AbandonRule says what abandoned contacts do to the service level.
type AbandonRule uint8

// Values of AbandonRule; the first is the default.
const (
	AbandonIgnored AbandonRule = iota
	AbandonMissed
	AbandonMet
)

// Values lists the spellings of AbandonRule.
func (AbandonRule) Values() []string { return []string{"ignored", "missed", "met"} }

func (a AbandonRule) String() string { return enumString(a, a.Values()) }

// MarshalText writes the value as a site file spells it.
func (a AbandonRule) MarshalText() ([]byte, error) { return enumText(a, a.Values()) }

// UnmarshalText reads one of Values.
func (a *AbandonRule) UnmarshalText(b []byte) error { return enumParse(a, a.Values(), b) }

// FlowAction is what a node of a routing script does.
type FlowAction uint8

// Values of FlowAction; the first is the default.
const (
	FlowSay FlowAction = iota
	FlowMenu
	FlowDigits
	FlowMusic
	FlowSet
	FlowIf
	FlowHours
	FlowQueue
	FlowLookup
	FlowTransfer
	FlowVoicemail
	FlowCallback
	FlowEnd
)

// Values lists the spellings of FlowAction.
func (FlowAction) Values() []string {
	return []string{"say", "menu", "digits", "music", "set", "if", "hours", "queue", "lookup", "transfer", "voicemail", "callback", "end"}
}

func (a FlowAction) String() string { return enumString(a, a.Values()) }

// MarshalText writes the value as a site file spells it.
func (a FlowAction) MarshalText() ([]byte, error) { return enumText(a, a.Values()) }

// UnmarshalText reads one of Values.
func (a *FlowAction) UnmarshalText(b []byte) error { return enumParse(a, a.Values(), b) }

// Kind implements Entity.
func (ContactCenter) Kind() Kind { return KindContactCenter }

// Key is the name.
func (e ContactCenter) Key() string { return e.Name }

// Kind implements Entity.
func (Skill) Kind() Kind { return KindSkill }

// Key is the name.
func (e Skill) Key() string { return e.Name }

// Kind implements Entity.
func (AgentAttribute) Kind() Kind { return KindAgentAttribute }

// Key is the name.
func (e AgentAttribute) Key() string { return e.Name }

// Kind implements Entity.
func (ReasonCode) Kind() Kind { return KindReasonCode }

// Key is the name.
func (e ReasonCode) Key() string { return e.Name }

// Kind implements Entity.
func (Team) Kind() Kind { return KindTeam }

// Key is the name.
func (e Team) Key() string { return e.Name }

// Kind implements Entity.
func (Agent) Kind() Kind { return KindAgent }

// Key is the name.
func (e Agent) Key() string { return e.Name }

// Kind implements Entity.
func (Queue) Kind() Kind { return KindQueue }

// Key is the name.
func (e Queue) Key() string { return e.Name }

// Kind implements Entity.
func (ContactNumber) Kind() Kind { return KindContactNumber }

// Key is the number.
func (e ContactNumber) Key() string { return e.Number }

// Kind implements Entity.
func (RoutingScript) Kind() Kind { return KindRoutingScript }

// Key is the name.
func (e RoutingScript) Key() string { return e.Name }

// WithDefaults returns the settings with every default filled in.
func (e ContactCenter) WithDefaults() ContactCenter {
	e.RingTime, e.SessionGrace = cmp.Or(e.RingTime, Duration(12*time.Second)), cmp.Or(e.SessionGrace, Duration(30*time.Second))
	e.Settle, e.CallbackTries = cmp.Or(e.Settle, Duration(5*time.Second)), cmp.Or(e.CallbackTries, 2)
	e.CallbackRetry, e.TimeZone = cmp.Or(e.CallbackRetry, Duration(15*time.Minute)), cmp.Or(e.TimeZone, "UTC")
	e.Interval = cmp.Or(e.Interval, Duration(15*time.Minute))
	return e
}

// Contact are the settings of the contact centre, with every default filled in.
func (s *Site) Contact() ContactCenter {
	if len(s.ContactCenters) > 0 {
		return s.ContactCenters[0].WithDefaults()
	}
	return ContactCenter{}.WithDefaults()
}

// Login is the user an agent logs in as.
func (e Agent) Login() string { return cmp.Or(e.User, e.Name) }

// AgentNumber is the number that contacts of an agent ring at; empty when the agent says so when logging in.
func (s *Site) AgentNumber(e Agent) string {
	if e.Number != "" || e.Device == "" {
		return e.Number
	}
	i := slices.IndexFunc(s.Devices, func(d Device) bool { return d.Name == e.Device })
	if i < 0 || len(s.Devices[i].Lines) == 0 {
		return ""
	}
	return s.Devices[i].Lines[0].Number
}

// StartNode is the node a script begins with.
func (e RoutingScript) StartNode() string {
	if e.Start == "" && len(e.Nodes) > 0 {
		return e.Nodes[0].Name
	}
	return e.Start
}
