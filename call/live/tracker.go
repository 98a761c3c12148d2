package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
)

// A RemoteNote is what a Follower tells of one node's engine. Exactly one of three things: a loss (Lost), a snapshot, or an event. After a
// loss the next thing told of the node is a snapshot; events come only behind a snapshot, each right after the one before.
type RemoteNote struct {
	// Node is where the engine is. Ids are those of its engine: together with Engine they name a call in the cluster.
	Node   string
	Engine string

	// Lost says that what is known of the engine holds no longer, or cannot be known; Why says in a sentence what happened.
	Lost Loss
	Why  string

	// Snapshot says that Calls and Settings are all there is, with every event up to AsOf in it.
	Snapshot bool
	AsOf     uint64
	Calls    []*call.View
	Settings []call.Event

	// Event is what happened. Left says that with it the call is none of the filter's any more; Event.View shows it for the last time.
	Event call.Event
	Left  bool
}

// A Loss says why what was known of an engine holds no longer.
type Loss uint8

// The losses.
const (
	LossNone    Loss = iota
	LossGap          // messages were lost on the way
	LossLagged       // the engine was faster than what publishes its events
	LossReader       // the reader of the Follower was too slow
	LossBus          // this node has no connection to the bus
	LossNode         // the node is lost: it was not heard for as long as its lease
	LossService      // nobody serves the engine there: it has not started, or has stopped
	LossSilent       // nothing was heard of the session, though the node is there
	LossRefused      // the engine's node refused the session
)

var lossNames = [...]string{"none", "gap", "lagged", "reader", "bus", "node", "service", "silent", "refused"}

func (l Loss) String() string { return lossNames[min(int(l), len(lossNames)-1)] }

const (
	keepEvery   = 2 * time.Second // between signs of life
	silentAfter = 3 * keepEvery   // a session that shows none is lost
	retryFirst  = 250 * time.Millisecond
	retryMost   = 4 * time.Second
	mostParts   = 64 << 20 // bytes of one note
)

// A tracker follows one engine: it decides when to begin a session, what to make of its frames, and when a session is lost. It is pure:
// time and what happens are arguments, what is to be told and done is collected in notes and acts.
//
//	       begin                 whole snapshot
//	idle ---------> beginning ------------------> following
//	  ^                 |                             |
//	  +---- failed -----+--- gap, silence, loss ------+
//
// Every attempt is a session of a new name, so nothing of an old one can be taken for something of the new.
type tracker struct {
	node   string
	filter Filter
	name   func() string // makes names of sessions

	phase   trackPhase
	session string
	engine  string
	n       uint64      // last frame
	part    []byte      // of a note in pieces
	snap    *RemoteNote // snapshot that is not whole yet
	seq     uint64      // last event, or AsOf
	heard   time.Time
	kept    time.Time
	retry   time.Time // idle: when to begin again
	failed  int       // attempts in a row
	held    bool      // idle until release: there is no sense in an attempt
	silent  bool      // a loss was told and no snapshot since
	gone    bool      // that the node is lost was told and no snapshot since

	notes []RemoteNote
	acts  []trackAct
}

type trackPhase uint8

const (
	trackIdle trackPhase = iota
	trackBeginning
	trackFollowing
)

// A trackAct is what the runner is to do about a session.
type trackAct struct {
	verb    trackVerb
	session string
}

type trackVerb uint8

const (
	actBegin trackVerb = iota // subscribe, then ask to begin
	actKeep                   // ask to keep alive
	actEnd                    // ask to end, and unsubscribe
)

// take returns what came of the calls before.
func (t *tracker) take() (notes []RemoteNote, acts []trackAct) {
	notes, acts, t.notes, t.acts = t.notes, t.acts, nil, nil
	return notes, acts
}

func (t *tracker) act(v trackVerb) { t.acts = append(t.acts, trackAct{v, t.session}) }

// tick is time going by.
func (t *tracker) tick(now time.Time) {
	switch {
	case t.phase == trackIdle:
		if !t.held && !now.Before(t.retry) {
			t.begin(now)
		}
	case now.Sub(t.heard) >= silentAfter:
		t.lose(now, LossSilent, fmt.Sprintf("nothing was heard of the call engine of %s for %s", t.node, silentAfter))
	case now.Sub(t.kept) >= keepEvery:
		t.kept = now
		t.act(actKeep)
	}
}

func (t *tracker) begin(now time.Time) {
	t.phase, t.session, t.heard, t.kept = trackBeginning, t.name(), now, now
	t.n, t.part, t.snap, t.engine = 0, nil, nil, ""
	t.act(actBegin)
}

// lose ends the session and tells, once until there is a snapshot again. That the node is lost is told also after another loss, once: most often
// a killed node's engine does not answer before the node's lease is over, and only the end of the lease says that its calls are gone.
func (t *tracker) lose(now time.Time, l Loss, why string) {
	if t.phase != trackIdle {
		t.act(actEnd)
	}
	if t.phase == trackFollowing {
		t.failed = 0
	}
	t.phase, t.part, t.snap = trackIdle, nil, nil
	t.retry = now.Add(min(retryMost, retryFirst<<min(t.failed, 8)))
	t.failed++
	if !t.silent || l == LossNode && !t.gone {
		t.silent, t.gone = true, t.gone || l == LossNode
		t.notes = append(t.notes, RemoteNote{Node: t.node, Engine: t.engine, Lost: l, Why: why})
	}
}

// hold is lose, and no attempt until release.
func (t *tracker) hold(now time.Time, l Loss, why string) {
	t.lose(now, l, why)
	t.held = true
}

// release has the tracker try at once.
func (t *tracker) release(now time.Time) {
	t.held = false
	if t.phase == trackIdle {
		t.failed = 0
		t.begin(now)
	}
}

// answered is the answer to an act.
func (t *tracker) answered(now time.Time, v trackVerb, session string, err error) {
	if session != t.session || t.phase == trackIdle || err == nil || v == actEnd {
		return
	}
	var e *bus.Error
	switch {
	case !errors.As(err, &e):
		t.lose(now, LossBus, "the call engine of "+t.node+" cannot be asked: "+err.Error())
	case e.Code == bus.CodeNoResponder:
		t.lose(now, LossService, "there is no call engine on "+t.node+" now")
	case e.Code == bus.CodeNotFound:
		t.lose(now, LossService, "the call engine of "+t.node+" has started anew, or has given this session up")
	case e.Code == bus.CodeTimeout && v == actKeep: // silence will tell
	case e.Code == bus.CodeTimeout:
		t.lose(now, LossSilent, "the call engine of "+t.node+" did not answer in time")
	default:
		t.lose(now, LossRefused, "the call engine of "+t.node+" cannot be followed: "+e.Message)
	}
}

// frame is a message of a session.
func (t *tracker) frame(now time.Time, session string, f Frame) {
	if session != t.session || t.phase == trackIdle || f.N <= t.n {
		return
	}
	if f.N != t.n+1 {
		t.lose(now, LossGap, fmt.Sprintf("messages %d to %d of the call engine of %s were lost", t.n+1, f.N-1, t.node))
		return
	}
	t.n, t.heard = f.N, now
	if t.part = append(t.part, f.Part...); len(t.part) > mostParts {
		t.lose(now, LossGap, "the call engine of "+t.node+" has sent a note that does not end")
		return
	}
	if f.Last {
		f.Notes, t.part = append(f.Notes, t.part), nil
	}
	for _, text := range f.Notes {
		if t.phase == trackIdle {
			return
		}
		t.note(now, text)
	}
	if f.Over && t.phase != trackIdle {
		t.lose(now, LossService, "the call engine of "+t.node+" has stopped")
	}
}

// note is one note of a frame.
func (t *tracker) note(now time.Time, text []byte) {
	var n BusNote
	if err := json.Unmarshal(text, &n); err != nil {
		t.lose(now, LossGap, "a note of the call engine of "+t.node+" cannot be read (is its program newer?): "+err.Error())
		return
	}
	switch {
	case n.Snapshot:
		t.snapshot(now, &n)
	case n.Event == nil || t.phase != trackFollowing || t.snap != nil:
		t.lose(now, LossGap, "the call engine of "+t.node+" told something out of turn")
	case t.filter.All() && n.Event.Seq != t.seq+1:
		t.lose(now, LossGap, fmt.Sprintf("events %d to %d of the call engine of %s were lost", t.seq+1, n.Event.Seq-1, t.node))
	default:
		t.seq = n.Event.Seq
		t.notes = append(t.notes, RemoteNote{Node: t.node, Engine: t.engine, Event: *n.Event, Left: n.Left})
	}
}

// snapshot is a piece of a snapshot.
func (t *tracker) snapshot(now time.Time, n *BusNote) {
	if t.snap == nil {
		if n.Lagged && t.phase == trackFollowing && !t.silent {
			t.silent = true
			t.notes = append(t.notes, RemoteNote{Node: t.node, Engine: t.engine, Lost: LossLagged, Why: "the call engine of " + t.node + " was faster than its events could be told"})
		}
		t.snap = &RemoteNote{Node: t.node, Engine: n.Engine, Snapshot: true, AsOf: n.AsOf}
	}
	if slices.Contains(n.Calls, nil) {
		t.lose(now, LossGap, "a snapshot of the call engine of "+t.node+" has a call that is none")
		return
	}
	if t.snap.AsOf != n.AsOf {
		t.lose(now, LossGap, "the call engine of "+t.node+" mixed two snapshots")
		return
	}
	t.snap.Calls = append(t.snap.Calls, n.Calls...)
	t.snap.Settings = append(t.snap.Settings, n.Settings...)
	if n.More {
		return
	}
	t.notes = append(t.notes, *t.snap)
	t.engine, t.seq, t.snap = n.Engine, n.AsOf, nil
	t.phase, t.failed, t.silent, t.gone = trackFollowing, 0, false, false
}
