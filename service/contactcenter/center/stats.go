package center

import "time"

// Counts are what has happened in a queue since the Center was made. Reports take the difference of two.
type Counts struct {
	Offered   int `json:"offered"`            // came in
	Answered  int `json:"answered"`           // were connected to an agent
	Within    int `json:"answered_within"`    // of them within the target
	Abandoned int `json:"abandoned"`          // hung up while they waited or an agent's phone rang; short ones not included
	InTime    int `json:"abandoned_within"`   // of them within the target
	Short     int `json:"abandoned_short"`    // hung up before they count
	Left      int `json:"left"`               // went elsewhere: too long, by a key, the queue is gone
	Offers    int `json:"offers"`             // times an agent was reserved for one
	NoAnswer  int `json:"no_answer"`          // times an agent did not answer
	Callbacks int `json:"callbacks"`          // of Offered: those that are called back
	Done      int `json:"callbacks_answered"` // of Answered: callbacks
	// Times: waited by those answered and by those abandoned, the longest of both, with agents (talking and on hold), and at wrapping up.
	AnswerWait  time.Duration `json:"answer_wait"`
	AbandonWait time.Duration `json:"abandon_wait"`
	LongestWait time.Duration `json:"longest_wait"`
	Talk        time.Duration `json:"talk"`
	Work        time.Duration `json:"work"`
}

// Minus is what happened between an earlier count and this one; LongestWait is this one's.
func (n Counts) Minus(o Counts) Counts {
	n.Offered, n.Answered, n.Within, n.Abandoned = n.Offered-o.Offered, n.Answered-o.Answered, n.Within-o.Within, n.Abandoned-o.Abandoned
	n.InTime, n.Short, n.Left, n.NoAnswer = n.InTime-o.InTime, n.Short-o.Short, n.Left-o.Left, n.NoAnswer-o.NoAnswer
	n.Offers -= o.Offers
	n.Callbacks, n.Done = n.Callbacks-o.Callbacks, n.Done-o.Done
	n.AnswerWait, n.AbandonWait, n.Talk, n.Work = n.AnswerWait-o.AnswerWait, n.AbandonWait-o.AbandonWait, n.Talk-o.Talk, n.Work-o.Work
	return n
}

// Plus is what happened in both; LongestWait is the longer one.
func (n Counts) Plus(o Counts) Counts {
	longest := max(n.LongestWait, o.LongestWait)
	n = n.Minus(Counts{}.Minus(o))
	n.LongestWait = longest
	return n
}

// QueueCounts are what has happened in a queue.
type QueueCounts struct {
	Queue  string
	Counts Counts
	Rule   AbandonRule // of its service level
}

// Take is what has happened in each queue since it was called last, LongestWait included; by name of the queue. It changes nothing of
// what the Center does.
func (c *Center) Take() []QueueCounts {
	out := make([]QueueCounts, 0, len(c.line))
	for _, q := range c.line {
		n := q.counts.Minus(q.taken)
		n.LongestWait = q.longest
		q.taken, q.longest = q.counts, 0
		out = append(out, QueueCounts{q.Name, n, q.Abandoned})
	}
	return out
}

// ServiceLevel is the percentage of contacts that were answered within the target, by the rule for those that hung up; ok is false where
// there was none.
//
//	ignored: answered within / (answered + abandoned - abandoned within)
//	missed:  answered within / (answered + abandoned)
//	met:     (answered within + abandoned within) / (answered + abandoned)
func (n Counts) ServiceLevel(rule AbandonRule) (percent float64, ok bool) {
	met, all := n.Within, n.Answered+n.Abandoned
	switch rule {
	case AbandonIgnored:
		all -= n.InTime
	case AbandonMet:
		met += n.InTime
	}
	if all <= 0 {
		return 0, false
	}
	return 100 * float64(met) / float64(all), true
}

// answered counts a contact that got its agent.
func (q *queue) answered(wait time.Duration, callback bool) {
	q.counts.Answered++
	if callback {
		q.counts.Done++
	}
	if wait <= q.ServiceTarget {
		q.counts.Within++
	}
	q.counts.AnswerWait += wait
	q.counts.LongestWait, q.longest = max(q.counts.LongestWait, wait), max(q.longest, wait)
}

// abandoned counts a contact whose caller has hung up.
func (q *queue) abandoned(wait time.Duration) {
	if wait < q.ShortAbandon {
		q.counts.Short++
		return
	}
	q.counts.Abandoned++
	if wait <= q.ServiceTarget {
		q.counts.InTime++
	}
	q.counts.AbandonWait += wait
	q.counts.LongestWait, q.longest = max(q.counts.LongestWait, wait), max(q.longest, wait)
}
