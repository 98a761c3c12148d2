package contactcenter

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/contactcenter/center"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

const (
	recordEvery = 200 * time.Millisecond // the longest a record waits for the store: what kill -9 can take with it
	recordLimit = 100_000                // rows of each kind that are kept while the store is away
	recordBatch = 1000                   // rows of a kind written at a time
)

// A recorder writes records of contacts and intervals, many at once, from a goroutine of its own: the centre never waits for the store. What
// the store does not take is kept, bounded, until it does.
type recorder struct {
	s    *Service
	stop chan struct{} // closed when nothing comes any more
	done chan struct{} // closed when everything is written, or cannot be
	once sync.Once     // closes stop

	mu       sync.Mutex
	contacts []store.ContactRecord
	queues   []store.QueueInterval
	agents   []store.AgentInterval
	fails    bool // the last write did
}

func startRecorder(s *Service) *recorder {
	r := &recorder{s: s, stop: make(chan struct{}), done: make(chan struct{})}
	go r.run()
	return r
}

// ended takes the record of a contact.
func (r *recorder) ended(c center.ContactRecord) {
	row := contactRow(c, r.s.cfg.Node)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.contacts = keep(r, r.contacts, row)
}

// interval takes what happened in an interval.
func (r *recorder) interval(queues []store.QueueInterval, agents []store.AgentInterval) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queues, r.agents = keep(r, r.queues, queues...), keep(r, r.agents, agents...)
}

// keep adds rows as far as there is room.
func keep[T any](r *recorder, have []T, rows ...T) []T {
	n := min(len(rows), recordLimit-len(have))
	r.s.counts.recordsLost.Add(int64(len(rows) - n))
	return append(have, rows[:n]...)
}

// waiting is how many rows are not written yet.
func (r *recorder) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.contacts) + len(r.queues) + len(r.agents)
}

// failing says that the store did not take the last rows.
func (r *recorder) failing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fails
}

// run writes until there is nothing to come and all is written, or the store refuses the last of it.
func (r *recorder) run() {
	defer close(r.done)
	again := time.NewTicker(recordEvery)
	defer again.Stop()
	for open := true; open; {
		select {
		case <-r.stop:
			open = false
		case <-again.C:
		}
		for r.waiting() > 0 {
			if !r.write() {
				break
			}
		}
	}
	if n := r.waiting(); n > 0 {
		r.s.counts.recordsLost.Add(int64(n))
		r.s.note(trace.Error, fmt.Sprintf("%d records of contacts and intervals are lost: the store did not take them before the end", n))
	}
}

// write writes a batch of each kind and says whether the store took them.
func (r *recorder) write() bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.s.ctx), 5*time.Second)
	defer cancel()
	st := r.s.cfg.Store
	err := cmp.Or(
		written(r, &r.contacts, func(rows []store.ContactRecord) error { return st.AppendContacts(ctx, rows...) }),
		written(r, &r.queues, func(rows []store.QueueInterval) error { return st.AppendIntervals(ctx, rows, nil) }),
		written(r, &r.agents, func(rows []store.AgentInterval) error { return st.AppendIntervals(ctx, nil, rows) }))
	r.mu.Lock()
	was := r.fails
	r.fails = err != nil
	r.mu.Unlock()
	if err != nil && !was {
		r.s.note(trace.Error, "records of contacts are not being written, contacts go on: "+err.Error())
	}
	return err == nil
}

// written writes the oldest rows of a kind, and forgets them then.
func written[T any](r *recorder, from *[]T, write func([]T) error) error {
	r.mu.Lock()
	rows := (*from)[:min(len(*from), recordBatch)]
	r.mu.Unlock()
	if len(rows) == 0 {
		return nil
	}
	if err := write(rows); err != nil {
		return err
	}
	r.s.counts.recordsWritten.Add(int64(len(rows)))
	r.mu.Lock()
	defer r.mu.Unlock()
	*from = append([]T(nil), (*from)[len(rows):]...)
	return nil
}

// finish writes what is left; nothing may come after it.
func (r *recorder) finish() {
	r.once.Do(func() { close(r.stop) })
	<-r.done
}

// contactRow is the record of a contact as a row.
func contactRow(c center.ContactRecord, node string) store.ContactRecord {
	row := store.ContactRecord{Contact: string(c.Call), GlobalID: c.GlobalID, Node: node, Begin: c.Began, Queued: c.Queued, Answered: c.Answered, End: c.Ended, Called: c.Called,
		Calling: c.Calling, Script: c.Script, Queue: c.Queue, Agent: c.Agent, Team: c.Team, Offers: c.Offers, WaitMS: c.Wait.Milliseconds(), TalkMS: c.Talk.Milliseconds(),
		Outcome: c.Disposition.String(), By: "system", Cause: c.Cause.Q850(), Reasons: strings.Join(c.Reasons(), ","), Note: c.Note()}
	if c.Callback {
		row.Callback = 1
	}
	switch c.By {
	case contact.ByCaller:
		row.By = "caller"
	case contact.ByFar:
		row.By = "agent"
	}
	if len(c.Variables) > 0 {
		b, err := json.Marshal(c.Variables)
		if err == nil { // texts always can be
			row.Variables = string(b)
		}
	}
	return row
}

const (
	pruneEvery = time.Hour
	pruneFirst = time.Minute // a node that begins to lead has other things to do
	pruneBatch = 1000
	prunePause = 200 * time.Millisecond // between batches, for the writers
)

// prune removes records that are older than the cluster wants records of calls kept, as long as this node leads.
func (l *leader) prune() {
	wait := time.NewTimer(pruneFirst)
	defer wait.Stop()
	for {
		select {
		case <-l.term.Done():
			return
		case <-wait.C:
		}
		wait.Reset(l.s.pruneBatch(l.term))
	}
}

// pruneBatch removes one batch and says when to come again.
func (s *Service) pruneBatch(term context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(term, 30*time.Second)
	defer cancel()
	now, err := s.cfg.Store.Site(ctx)
	n := int64(0)
	if err == nil {
		n, err = s.cfg.Store.PruneContacts(ctx, s.cfg.Now().AddDate(0, 0, -now.Site.Cluster.WithDefaults().CallRecordRetention), pruneBatch)
	}
	switch {
	case err != nil && term.Err() == nil:
		s.note(trace.Error, "old records of contacts were not removed, it is tried again in an hour: "+err.Error())
	case err == nil && n >= pruneBatch:
		return prunePause
	}
	return pruneEvery
}
