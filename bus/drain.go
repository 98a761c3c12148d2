package bus

import "time"

// VerbDrain drains a node, or ends that. The answer is a DrainState.
const VerbDrain = "drain"

// FactDrain is the kind of the fact by which a node says that it is being drained; its key is the node's name, its value a
// DrainState. Nobody sends devices or calls there while it holds.
const FactDrain = "drain"

// DrainRequest asks a node to hand over what it serves and to end, or to go on.
type DrainRequest struct {
	On bool `json:"on"`
	// Limit is after which time the node ends though there are calls; 0: 10 min.
	Limit time.Duration `json:"limit,omitempty"`
	// Stay keeps the node running when it has nothing to serve any more.
	Stay  bool   `json:"stay,omitempty"`
	Actor string `json:"actor,omitempty"` // for traces
}

// DrainState is how far a drain is. The zero value says that there is none.
type DrainState struct {
	Node    string    `json:"node"`
	State   string    `json:"state,omitempty"` // draining; drained: nothing is served that another node could serve
	Actor   string    `json:"actor,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	Stay    bool      `json:"stay,omitempty"`
	Calls   int       `json:"calls"`   // that the drain waits for
	Devices int       `json:"devices"` // that have still to be handed over: those with a call, and those whose turn comes
	// Held are devices that no other node of their group can take: they are served until the node ends.
	Held int `json:"held,omitempty"`
}

// The states of a drain.
const (
	StateDraining = "draining"
	StateDrained  = "drained"
)
