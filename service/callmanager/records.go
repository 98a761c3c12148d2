package callmanager

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/store"
)

const (
	recordEvery = 200 * time.Millisecond // the longest a record waits for the store: what kill -9 can take with it
	recordLimit = 100_000                // records kept while the store is away, of calls and of legs
	reportWait  = 3 * time.Second        // how long the record of a leg waits for a report about its media: a phone's comes with the answer to our BYE
)

// A recorder turns the ends of calls and legs into records. Its goroutine owns it.
type recorder struct {
	s       *Service
	calls   []store.CallRecord // not in the store yet
	legs    []store.LegRecord
	pending []*call.LegRecord       // legs that ended a moment ago
	ends    map[call.CallID]callEnd // of calls that have lost a leg and have not ended
	journal *journal                // of calls that have not
	kept    time.Time               // when the journal was written last
}

// A callEnd is what the legs of a call that are over say about the call.
type callEnd struct {
	at   time.Time // when the last of them ended
	by   string
	lock call.Lock // the weakest that was settled
}

// recordCalls writes records of every finished call and leg to the store, many at once. A store that cannot be written loses records,
// never calls: they are kept, bounded, until it can, and the status says so.
func (s *Service) recordCalls() {
	w := s.host.Collect(recordLimit, call.LegRinging, call.LegActive, call.PartyMoved, call.LegDropped, call.CallEnded)
	defer w.Close()
	r := &recorder{s: s, ends: map[call.CallID]callEnd{}, journal: newJournal(s.cfg.Folder, s.lifeName())}
	defer r.journal.finish()
	again := time.NewTicker(recordEvery)
	defer again.Stop()
	for open := true; open; {
		select {
		case <-w.Done():
			open = false
		case <-again.C:
		}
		for _, n := range w.Take() {
			r.take(n)
			r.journal.take(n, s.now())
		}
		r.ripen(s.now(), !open)
		r.write()
		r.keepJournal(!open)
	}
}

// keepJournal writes what is new in the journal. Without it calls go on, and those that a crash cuts short have no record.
func (r *recorder) keepJournal(last bool) {
	now := r.s.now()
	if since := now.Sub(r.kept); !last && since >= 0 && since < journalEvery {
		return
	}
	r.kept = now
	if err := r.journal.flush(now, len(r.calls) == 0); err != nil {
		r.s.problem(aboutJournal, err.Error())
	} else {
		r.s.troubles.set(aboutJournal, "")
	}
}

// take notes an end.
func (r *recorder) take(n live.Note) {
	switch {
	case n.Lagged:
		r.s.meters.lost.Inc()
		r.s.warn("records of calls were lost: more of them ended at once than the recorder can follow")
		r.ends = map[call.CallID]callEnd{}
	case n.Event.Kind == call.LegDropped && n.Event.Record != nil:
		leg := n.Event.Record
		r.pending = append(r.pending, leg)
		r.ends[leg.Call] = r.ends[leg.Call].without(leg)
	case n.Event.Kind == call.CallEnded && n.Event.View != nil:
		r.calls = append(r.calls, r.s.callRecord(&n.Event, r.ends[n.Event.Call]))
		delete(r.ends, n.Event.Call)
		r.s.meters.callEnded(n.Event.View, &n.Event)
	}
}

// without is what is known when one more leg is over. Who ends a call is who lets go of the leg that ends with it.
func (c callEnd) without(l *call.LegRecord) callEnd {
	if !l.End.Equal(c.at) {
		c.at, c.by = l.End, ""
	}
	switch {
	case (l.By == call.ReleasedByLeg || l.By == call.ReleasedByDriver) && l.Incoming:
		c.by = "calling"
	case l.By == call.ReleasedByLeg || l.By == call.ReleasedByDriver:
		c.by = "called"
	case l.By == call.ReleasedByApplication:
		c.by = "application"
	}
	if l.Lock != call.LockUnknown && (c.lock == call.LockUnknown || l.Lock < c.lock) {
		c.lock = l.Lock
	}
	return c
}

// ripen makes records of the legs about which everything is known that will be.
func (r *recorder) ripen(now time.Time, all bool) {
	kept := r.pending[:0]
	for _, leg := range r.pending {
		end, known := r.s.ends.look(leg.Leg)
		waits := leg.Outcome == call.OutcomeAnswered && leg.Applet == "" && (!known || end.quality == nil && leg.Quality == nil)
		if waits && !all && now.Sub(leg.End) < reportWait {
			kept = append(kept, leg)
			continue
		}
		r.s.ends.forget(leg.Leg)
		done := *leg // the event's own is everybody's
		done.Quality = cmp.Or(end.quality, leg.Quality)
		r.s.meters.legEnded(&done)
		r.legs = append(r.legs, r.s.legRecord(&done, end))
	}
	clear(r.pending[len(kept):])
	r.pending = kept
	r.s.ends.expire(now)
}

// write writes what it can and keeps the rest.
func (r *recorder) write() {
	calls, legs := len(r.calls), len(r.legs)
	if calls+legs > 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.s.ctx), 5*time.Second)
		defer cancel()
		var err error
		if r.calls, err = kept(r.s.meters, recordsOfCalls, r.calls, r.s.cfg.Store.AppendCalls(ctx, r.calls...)); err == nil {
			r.legs, err = kept(r.s.meters, recordsOfLegs, r.legs, r.s.cfg.Store.AppendLegs(ctx, r.legs...))
		}
		if err != nil {
			r.s.problem(aboutRecords, "call records are not being written, calls go on: "+err.Error())
		} else {
			r.s.troubles.set(aboutRecords, "")
		}
	}
	r.s.meters.waiting.WithLabelValues(recordsOfCalls).Set(float64(len(r.calls)))
	r.s.meters.waiting.WithLabelValues(recordsOfLegs).Set(float64(len(r.legs) + len(r.pending)))
}

// kept is what is left of records after they were written, or could not be.
func kept[T any](m *meters, kind string, records []T, err error) ([]T, error) {
	if err == nil {
		m.written.WithLabelValues(kind).Add(float64(len(records)))
		return nil, nil
	}
	over := max(0, len(records)-recordLimit)
	m.lost.Add(float64(over))
	return records[over:], err
}

// callRecord makes a record out of the last event of a call.
func (s *Service) callRecord(ev *call.Event, end callEnd) store.CallRecord {
	v := ev.View
	r := store.CallRecord{Call: s.globalID(v.GlobalID, v.ID), Node: s.cfg.Node, Start: v.Created, Answer: v.Answered, End: ev.At, Cause: ev.Cause.Q850(),
		ReleasedBy: cmp.Or(end.by, "system"), Detail: detail(v)}
	for i, p := range v.Left {
		from, number := partyPlace(p), p.Identity.Number
		switch {
		case i == 0:
			r.Calling, r.FromDevice = number, from
		default:
			r.Called, r.ToDevice = number, from
			if p.Called != "" {
				r.Dialled = p.Called
			}
		}
	}
	if end.lock != call.LockUnknown { // where nothing was settled, nothing is claimed
		r.Security = end.lock.String()
	}
	return r
}

// globalID names a call across nodes and restarts as well as is known.
func (s *Service) globalID(global string, id call.CallID) string {
	return cmp.Or(global, id.String()+"@"+s.cfg.Node)
}

// partyPlace is the device or trunk a party spoke through: its active leg, else its last one.
func partyPlace(p *call.PartyView) (place string) {
	for _, l := range p.Legs {
		name := l.Device + l.Trunk + l.Applet
		if l.State == call.LegIsActive {
			return name
		}
		place = name
	}
	return place
}

// legRecord is a leg's record as a row.
func (s *Service) legRecord(l *call.LegRecord, end legEnd) store.LegRecord {
	r := store.LegRecord{Call: s.globalID(l.GlobalID, l.Call), Node: s.cfg.Node, Party: int64(l.Party), Leg: int64(l.Leg), Device: l.Device, Trunk: l.Trunk,
		Applet: l.Applet, Feature: l.Features.String(), Line: l.Line.Number, Partition: l.Line.Partition, Direction: "out",
		Calling: l.Calling, Called: l.Called, Dialled: l.Dialled, Redirecting: l.Redirecting.From.Number, Connected: l.Connected,
		Setup: l.Setup, Alert: l.Alerted, Answer: l.Answered, End: l.End,
		Outcome: l.Outcome.String(), Cause: l.Cause.Q850(), CauseName: l.Cause.String(), ReleasedBy: l.By.String(),
		Signalling: l.Trust.String(), Cipher: end.cipher, Media: l.Security.String(), Suite: end.suite, Lock: l.Lock.String(), LockReason: l.Why, Proof: l.Proof.String(),
		Path: l.Path.String(), Codec: end.codec}
	if l.Incoming {
		r.Direction = "in"
	}
	if r.Redirecting != "" {
		r.RedirectReason = l.Redirecting.Reason.String()
	}
	var joined []string
	for _, c := range l.Joined {
		joined = append(joined, s.globalID(c.GlobalID, c.ID))
	}
	r.Joined = strings.Join(joined, ",")
	if q := l.Quality; q != nil {
		r.MeasuredBy, r.Codec = q.By, cmp.Or(q.Codec, r.Codec)
		r.Sent, r.Received, r.Lost, r.Jitter, r.MOS = int64(q.Sent), int64(q.Received), int64(q.Lost), q.Jitter, q.MOS
	}
	return r
}

// legEnds is what drivers say of legs that end, until their records take it: the engine has let go of a leg it releases before its
// driver can tell. Guarded by its lock and bounded.
type legEnds struct {
	mu    sync.Mutex
	by    map[call.LegID]*legEnd
	swept time.Time
}

// A legEnd is what only the driver and the media plane know of a leg.
type legEnd struct {
	at                   time.Time
	cipher, suite, codec string
	quality              *call.Quality
}

// of is the entry of a leg; the caller holds the lock.
func (t *legEnds) of(at time.Time, id call.LegID) *legEnd {
	if t.by == nil || len(t.by) >= recordLimit {
		t.by = map[call.LegID]*legEnd{}
	}
	e := t.by[id]
	if e == nil {
		e = &legEnd{at: at}
		t.by[id] = e
	}
	return e
}

func (t *legEnds) add(at time.Time, id call.LegID, cipher string, m media.LegMedia) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.of(at, id)
	e.cipher, e.suite, e.codec = cipher, m.Suite, m.Codec
}

func (t *legEnds) measured(at time.Time, m call.Measured) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := m.Quality
	t.of(at, m.Leg).quality = &q
}

func (t *legEnds) look(id call.LegID) (legEnd, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.by[id]; e != nil {
		return *e, true
	}
	return legEnd{}, false
}

func (t *legEnds) forget(id call.LegID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.by, id)
}

// expire forgets, now and then, what came for legs whose records are written, or that never had one. A report of a call that goes on
// for hours stays in the engine too.
func (t *legEnds) expire(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.swept) < time.Minute {
		return
	}
	t.swept = now
	for id, e := range t.by {
		if now.Sub(e.at) > time.Minute {
			delete(t.by, id)
		}
	}
}

const (
	pruneEvery = time.Hour
	pruneBatch = 1000                   // records of a kind that are removed at once: writers wait that long
	prunePause = 200 * time.Millisecond // between batches, for the writers
)

// pruneRecords removes records that are older than the cluster wants them kept, on one node at a time.
func (s *Service) pruneRecords() {
	for term := range s.cfg.Store.Lead(s.ctx, "prune-call-records") {
		s.pruneDuring(term)
	}
}

func (s *Service) pruneDuring(term context.Context) {
	wait := time.NewTimer(time.Minute) // a node that starts has other things to do
	defer wait.Stop()
	for {
		select {
		case <-term.Done():
			return
		case <-wait.C:
		}
		wait.Reset(s.prune(term))
	}
}

// prune removes one batch and says when to come again.
func (s *Service) prune(term context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(term, 30*time.Second)
	defer cancel()
	days := s.site.Load().Cluster().CallRecordRetention
	n, err := s.cfg.Store.PruneCalls(ctx, s.now().AddDate(0, 0, -days), pruneBatch)
	s.meters.removed.Add(float64(n))
	switch {
	case err != nil && term.Err() == nil:
		s.warn("old call records were not removed, it is tried again in an hour: " + err.Error())
	case err == nil && n >= pruneBatch:
		return prunePause
	}
	return pruneEvery
}
