package store

import (
	"context"
	"time"
)

// ContactRecord is a contact of the contact centre that is over: a caller, or somebody who was called back. Names as for CallRecord; the table
// is contact_record.
type ContactRecord struct {
	ID       int64     `json:"id"`                  // given by the store, rising
	Contact  string    `json:"contact"`             // as the call server named it
	GlobalID string    `json:"global_id,omitempty"` // of its calls
	Node     string    `json:"node"`                // that led the contact centre when it ended
	Begin    time.Time `json:"begin_at"`
	Queued   time.Time `json:"queued_at,omitzero"` // zero: it never waited
	Answered time.Time `json:"answer_at,omitzero"` // zero: no agent had it
	End      time.Time `json:"end_at"`
	Called   string    `json:"called"`
	Calling  string    `json:"calling,omitempty"`
	Script   string    `json:"script,omitempty"`
	Queue    string    `json:"queue,omitempty"` // the first
	Agent    string    `json:"agent,omitempty"` // the first
	Team     string    `json:"team,omitempty"`
	Callback int       `json:"callback"`          // 1: somebody who was called back
	Offers   int       `json:"offers"`            // to agents
	WaitMS   int64     `json:"wait_ms"`           // in the last queue
	TalkMS   int64     `json:"talk_ms"`           // with agents, on hold included
	Outcome  string    `json:"outcome"`           // answered, abandoned, and so on
	By       string    `json:"ended_by"`          // caller, agent, system
	Cause    int       `json:"cause"`             // Q.850
	Reasons  string    `json:"reasons,omitempty"` // of wrapping up, comma separated
	Note     string    `json:"note,omitempty"`
	// Variables are a JSON object.
	Variables string `json:"variables,omitempty"`
}

// QueueInterval is what happened in a queue in an interval. The table is queue_interval.
type QueueInterval struct {
	ID            int64     `json:"id"`
	Begin         time.Time `json:"begin_at"`
	End           time.Time `json:"end_at"`
	Node          string    `json:"node"`
	Queue         string    `json:"queue"`
	Offered       int       `json:"offered"`
	Answered      int       `json:"answered"`
	Within        int       `json:"answered_within"` // the target
	Abandoned     int       `json:"abandoned"`
	InTime        int       `json:"abandoned_within"`
	Short         int       `json:"abandoned_short"`
	Left          int       `json:"left_queue"` // went elsewhere
	NoAnswer      int       `json:"no_answer"`
	Callbacks     int       `json:"callbacks"`
	Done          int       `json:"callbacks_answered"`
	AnswerWaitMS  int64     `json:"answer_wait_ms"` // of all that were answered
	AbandonWaitMS int64     `json:"abandon_wait_ms"`
	LongestWaitMS int64     `json:"longest_wait_ms"`
	TalkMS        int64     `json:"talk_ms"`
	WorkMS        int64     `json:"work_ms"`
	// ServiceLevel is in percent, -1 where there was nothing to count.
	ServiceLevel float64 `json:"service_level"`
}

// AgentInterval is how an agent spent an interval. The table is agent_interval.
type AgentInterval struct {
	ID         int64     `json:"id"`
	Begin      time.Time `json:"begin_at"`
	End        time.Time `json:"end_at"`
	Node       string    `json:"node"`
	Agent      string    `json:"agent"`
	Team       string    `json:"team,omitempty"`
	Handled    int       `json:"handled"`   // contacts that the agent had
	NoAnswer   int       `json:"no_answer"` // offers that rang in vain
	LoggedInMS int64     `json:"logged_in_ms"`
	NotReadyMS int64     `json:"not_ready_ms"`
	ReadyMS    int64     `json:"ready_ms"`
	ReservedMS int64     `json:"reserved_ms"`
	TalkingMS  int64     `json:"talking_ms"`
	HoldMS     int64     `json:"hold_ms"`
	WorkMS     int64     `json:"work_ms"`
}

var (
	contactTable = newTable[ContactRecord]("contact_record", "begin_at", "calling", "called", "agent", "queue")
	queueTable   = newTable[QueueInterval]("queue_interval", "begin_at", "queue")
	agentTable   = newTable[AgentInterval]("agent_interval", "begin_at", "agent", "team")
)

// AppendContacts adds records of contacts, all or none, as AppendCalls does.
func (s *Store) AppendContacts(ctx context.Context, records ...ContactRecord) error {
	return insert(ctx, s, contactTable, "write records of contacts", records)
}

// AppendIntervals adds what happened in an interval, as AppendCalls does.
func (s *Store) AppendIntervals(ctx context.Context, queues []QueueInterval, agents []AgentInterval) error {
	if err := insert(ctx, s, queueTable, "write intervals of queues", queues); err != nil {
		return err
	}
	return insert(ctx, s, agentTable, "write intervals of agents", agents)
}

// Contacts lists records of contacts; Party is a number, an agent or a queue.
func (s *Store) Contacts(ctx context.Context, q CallQuery) ([]ContactRecord, error) {
	q.Call = ""
	return query[ContactRecord](ctx, s.e, contactTable, "read records of contacts", q)
}

// QueueIntervals lists intervals; Party is a queue.
func (s *Store) QueueIntervals(ctx context.Context, q CallQuery) ([]QueueInterval, error) {
	q.Call = ""
	return query[QueueInterval](ctx, s.e, queueTable, "read intervals of queues", q)
}

// AgentIntervals lists intervals; Party is an agent or a team.
func (s *Store) AgentIntervals(ctx context.Context, q CallQuery) ([]AgentInterval, error) {
	q.Call = ""
	return query[AgentInterval](ctx, s.e, agentTable, "read intervals of agents", q)
}

// PruneContacts removes old records of contacts and intervals as PruneCalls does those of calls.
func (s *Store) PruneContacts(ctx context.Context, before time.Time, limit int) (removed int64, err error) {
	return s.prune(ctx, before, limit, contactTable, queueTable, agentTable)
}
