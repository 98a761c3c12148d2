package callmanager

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/store"
)

const (
	lostBytes = 256 << 20 // of a journal that are read
	lostLine  = 1 << 20
	lostBatch = 200 // calls that are recorded at once
	lostRetry = 2 * time.Second
)

// lostNote is in the detail of the record of a call that was cut short.
const lostNote = "the node ended without saying so; this is what its journal knows of the call"

// lifeName names the journal of this life.
func (s *Service) lifeName() string { return fmt.Sprintf("%d-%s", s.started.UnixMicro(), s.life) }

// recordLost makes records of the calls that former lives of this node have left behind: they were begun, and whatever ended the node
// (kill -9, a crash, a power cut) ended them. It is done once: a journal is removed when the store has taken its records, and what it takes a
// second time, because the node was killed between the two, it leaves out.
func (s *Service) recordLost() {
	for _, path := range journals(s.cfg.Folder, s.lifeName()) {
		l, err := readJournal(s.ctx, path)
		if s.ctx.Err() != nil {
			return
		}
		if err != nil { // what could be read is good
			s.warn("the journal of the calls of an earlier life could not be read to its end: " + err.Error())
		}
		if !s.appendLost(l.ended(s.started)) {
			return
		}
		if err := os.Remove(path); err != nil {
			s.warn("the journal of the calls of an earlier life could not be removed, it will be read again at the next start: " + err.Error())
		}
		if n := len(l.calls); n > 0 {
			s.note("", fmt.Sprintf("%d calls that an earlier life of this node left behind have records now", n))
		}
	}
}

// appendLost writes records of calls, however long that takes; false when the service ends.
func (s *Service) appendLost(views []lostView) bool {
	for batch := range slices.Chunk(views, lostBatch) {
		var calls []store.CallRecord
		var legs []store.LegRecord
		for _, v := range batch {
			calls = append(calls, s.lostCall(v))
			legs = append(legs, s.lostLegs(v)...)
		}
		for {
			ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
			err := s.cfg.Store.AppendMissing(ctx, calls, legs)
			cancel()
			if err == nil {
				break
			}
			s.problem(aboutLostCalls, "calls that an earlier life of this node left behind are not recorded yet: "+err.Error())
			select {
			case <-s.ctx.Done():
				return false
			case <-time.After(lostRetry):
			}
		}
		s.troubles.set(aboutLostCalls, "")
	}
	return true
}

// lostCalls are the calls of a journal that have no end in it.
type lostCalls struct {
	calls map[call.CallID]*call.View
	last  time.Time // the last time they are known to have lived
}

// A lostView is a call as it was known last.
type lostView struct {
	*call.View
	end time.Time
}

// readJournal reads a journal. Lines that are cut or damaged are left out: the write that was under way when the node was killed, or the disk
// was full, is the last of them.
func readJournal(ctx context.Context, path string) (lostCalls, error) {
	l := lostCalls{calls: map[call.CallID]*call.View{}}
	f, err := os.Open(path)
	if err != nil {
		return l, err
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, lostBytes))
	lines.Buffer(make([]byte, 0, 64<<10), lostLine)
	for lines.Scan() && ctx.Err() == nil {
		l.line(lines.Bytes())
	}
	return l, lines.Err()
}

// line takes one line.
func (l *lostCalls) line(text []byte) {
	var line journalLine
	if json.Unmarshal(bytes.Trim(text, "\x00"), &line) != nil { // after a power cut the disk may have the length of a file and not the content
		return
	}
	if line.At.After(l.last) {
		l.last = line.At
	}
	delete(l.calls, line.Ended)
	if v := line.Open; v != nil {
		v.Parties = slices.DeleteFunc(v.Parties, func(p *call.PartyView) bool { return p == nil })
		l.calls[v.ID] = v
	}
}

// ended are the calls in the order of their numbers, over when they were known last to live: not after the next life began, nor, should the
// clock have been set back, before the call did.
func (l *lostCalls) ended(next time.Time) []lostView {
	var out []lostView
	for _, v := range l.calls {
		end := l.last
		if end.After(next) {
			end = next
		}
		if end.Before(v.Created) {
			end = v.Created
		}
		v.Ended, v.Left, v.Parties = true, v.Parties, nil
		out = append(out, lostView{v, end})
	}
	slices.SortFunc(out, func(a, b lostView) int { return int(a.ID) - int(b.ID) })
	return out
}

// lostCall is the record of a call that was cut short.
func (s *Service) lostCall(v lostView) store.CallRecord {
	var end callEnd
	for _, p := range v.Left {
		for _, l := range p.Legs {
			end = end.without(&call.LegRecord{End: v.end, Lock: l.Lock})
		}
	}
	r := s.callRecord(&call.Event{Kind: call.CallEnded, At: v.end, Call: v.ID, Cause: call.TemporaryFailure, View: v.View}, end)
	r.Detail = detail(struct {
		Note string `json:"note"`
		*call.View
	}{lostNote, v.View})
	return r
}

// lostLegs are the records of the legs the call had when it was known last. When each was set up and answered is not known: the times are the
// call's own, which for the first two legs is right.
func (s *Service) lostLegs(v lostView) (out []store.LegRecord) {
	for i, p := range v.Left {
		for _, l := range p.Legs {
			r := &call.LegRecord{Call: v.ID, GlobalID: v.GlobalID, Party: p.ID, Leg: l.ID, Line: p.Line, Device: l.Device, Trunk: l.Trunk, Applet: l.Applet,
				Incoming: l.Incoming, Calling: v.Left[0].Identity.Number, Called: p.Identity.Number, Dialled: p.Called, Setup: v.Created, End: v.end,
				Cause: call.TemporaryFailure, Security: l.Security, Trust: l.Trust, Proof: l.Proof, Lock: l.Lock, Quality: l.Quality,
				Why: "the node ended without saying so"}
			if i == 0 && len(v.Left) > 1 {
				r.Called = v.Left[1].Called
			}
			switch l.State {
			case call.LegIsActive:
				r.Outcome, r.Answered = call.OutcomeAnswered, v.Answered
			case call.LegIsPassive:
				r.Outcome = call.OutcomeElsewhere
			case call.LegIsDropped:
				continue
			}
			if l.Anchored {
				r.Path = call.PathAnchored
			}
			if l.Lock == call.LockEncrypted {
				r.Why = "" // nothing was missing
			}
			out = append(out, s.legRecord(r, legEnd{}))
		}
	}
	return out
}
