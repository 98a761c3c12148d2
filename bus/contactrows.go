package bus

import "time"

// Verbs of what a contact centre shows; only the node that leads it has rows.
const (
	VerbAgents        = "agents"
	VerbContactQueues = "contact-queues"
	VerbContacts      = "contacts"
)

// AgentState is an agent of the contact centre now: a row of `cc agents`.
type AgentState struct {
	Node   string    `json:"node"` // that leads
	Agent  string    `json:"agent"`
	Team   string    `json:"team,omitempty"`
	State  string    `json:"state"` // docs/agent-states.md
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	Device string    `json:"device,omitempty"`
	Number string    `json:"number,omitempty"`
	// Next is where the agent goes after the contact.
	Next     string   `json:"next,omitempty"`
	Contacts []string `json:"contacts,omitempty"`
	Desktop  bool     `json:"desktop,omitempty"`    // is there
	Down     bool     `json:"deviceDown,omitempty"` // the phone is not registered
}

// ContactQueueState is a queue of the contact centre now: a row of `cc queues`.
type ContactQueueState struct {
	Node     string        `json:"node"`
	Queue    string        `json:"queue"`
	Waiting  int           `json:"waiting"`
	Oldest   time.Duration `json:"oldest"`   // nanoseconds that the one has waited who has for longest
	Estimate time.Duration `json:"estimate"` // nanoseconds, for one who comes now
	LoggedIn int           `json:"loggedIn"`
	Serving  int           `json:"serving"` // ready or at work
	Ready    int           `json:"ready"`
	// What has happened since the node began to lead.
	Offered   int     `json:"offered"`
	Answered  int     `json:"answered"`
	Abandoned int     `json:"abandoned"`
	NoAnswer  int     `json:"noAnswer"`
	Level     float64 `json:"serviceLevel"` // percent; -1: there was nothing to count
	Target    int     `json:"target"`       // percent
}

// ContactState is a contact now: a row of `cc contacts`.
type ContactState struct {
	Node     string    `json:"node"`
	Contact  string    `json:"contact"`
	GlobalID string    `json:"globalId,omitempty"`
	Phase    string    `json:"phase"`
	Called   string    `json:"called"`
	Calling  string    `json:"calling,omitempty"`
	Callback bool      `json:"callback,omitempty"`
	Began    time.Time `json:"began"`
	Queue    string    `json:"queue,omitempty"`
	Queued   time.Time `json:"queued,omitzero"`
	Priority int       `json:"priority,omitempty"`
	Agent    string    `json:"agent,omitempty"`
	Server   string    `json:"server,omitempty"` // the node whose call server has it
}
