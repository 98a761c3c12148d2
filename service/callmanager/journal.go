package callmanager

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
)

const (
	// JournalFolder is where, below Config.Folder, the journals of calls that live are. They are of no use in a backup: what lived then has
	// long ended.
	JournalFolder = "calls"

	journalSuffix  = ".jsonl"
	journalEvery   = time.Second     // how often it is written: what began since then, kill -9 takes with it
	journalAlive   = 5 * time.Second // how often the journal says that the calls in it still live
	journalRewrite = 1 << 20         // a file this large, and four times as large as what is in it needs, is written anew
)

// A journal keeps on the disk which calls live, so that those that were cut short by the end of the node (kill -9, a crash, a power cut)
// have a record too; lostcalls.go reads it in the next life. The trace will not do: it has the engine's events without their views, it can be
// turned down, and its oldest files make room.
//
// It is a file of JSON lines, one a change, of each life of the node; it is emptied whenever no call lives, and what began and ended between
// two flushes is never in it. It is not synced: what the program has written outlives the program, and a power cut takes what the
// disk did not have. The goroutine of the recorder owns it.
type journal struct {
	path   string   // "": none is kept
	file   *os.File // nil: not begun, or to be written anew because a write has failed
	size   int64    // of the file
	needed int64    // what was written when the file was begun
	said   time.Time

	calls   map[call.CallID]*journalled
	changed []call.CallID // in order, since the last flush
	ended   []call.CallID // not yet taken out of the file
}

// A journalled call is one that lives, or whose record is not written yet.
type journalled struct {
	line    journalLine
	changed bool
	inFile  bool
}

// A journalLine is a line of the file, for one of: a call as it is, a call that is over and has its record, nothing but the time.
type journalLine struct {
	At    time.Time   `json:"at"` // of the event; the calls in the file lived then
	Open  *call.View  `json:"open,omitempty"`
	Ended call.CallID `json:"ended,omitempty"`
}

// newJournal makes the journal of a life that begins.
func newJournal(folder, life string) *journal {
	j := &journal{calls: map[call.CallID]*journalled{}}
	if folder != "" {
		j.path = filepath.Join(folder, JournalFolder, life+journalSuffix)
	}
	return j
}

// take notes what an event or a snapshot of the engine says.
func (j *journal) take(n live.Note, now time.Time) {
	switch {
	case j.path == "":
	case n.Snapshot:
		j.replace(n.Calls, now)
	case n.Event.View == nil:
	case n.Event.Kind == call.CallEnded:
		j.end(n.Event.Call)
	default:
		j.open(n.Event.View, n.Event.At)
	}
}

// replace begins with what a snapshot shows: events were lost.
func (j *journal) replace(views []*call.View, now time.Time) {
	lives := map[call.CallID]bool{}
	for _, v := range views {
		lives[v.ID] = true
		j.open(v, now)
	}
	for id := range j.calls {
		if !lives[id] {
			j.end(id)
		}
	}
}

func (j *journal) open(v *call.View, at time.Time) {
	if v.Ended {
		return
	}
	c := j.calls[v.ID]
	if c == nil {
		c = &journalled{}
		j.calls[v.ID] = c
	}
	c.line = journalLine{At: at, Open: v}
	if !c.changed {
		c.changed = true
		j.changed = append(j.changed, v.ID)
	}
}

func (j *journal) end(id call.CallID) {
	if c := j.calls[id]; c != nil {
		delete(j.calls, id)
		if c.inFile {
			j.ended = append(j.ended, id)
		}
	}
}

// flush writes what has changed. A call that has ended stays in the file until its record is written: recorded says that all are.
func (j *journal) flush(now time.Time, recorded bool) error {
	var b []byte
	for _, id := range j.changed {
		if c := j.calls[id]; c != nil {
			b = c.write(b)
		}
	}
	j.changed = j.changed[:0]
	if recorded {
		if len(j.calls) == 0 {
			j.ended = nil
			return j.empty()
		}
		for _, id := range j.ended {
			b = journalLine{At: now, Ended: id}.append(b)
		}
		j.ended = nil
	}
	if len(b) == 0 && j.file != nil && now.Sub(j.said) >= journalAlive {
		b = journalLine{At: now}.append(b)
	}
	again := j.file == nil && len(j.calls) > 0
	if len(b) == 0 && !again {
		return nil
	}
	j.said = now
	if again || j.size > journalRewrite && j.size > 4*j.needed && len(j.ended) == 0 {
		return j.begin()
	}
	return j.add(b)
}

// write appends a call's line. What a record has no use for stays out.
func (c *journalled) write(b []byte) []byte {
	lean := *c.line.Open
	lean.Mix, lean.Protection = nil, call.Protection{}
	c.changed, c.inFile = false, true
	return journalLine{At: c.line.At, Open: &lean}.append(b)
}

func (l journalLine) append(b []byte) []byte {
	text, err := json.Marshal(l)
	if err != nil {
		return b // a time after the year 9999
	}
	return append(append(b, text...), '\n')
}

// begin writes the file anew, whole or not at all.
func (j *journal) begin() error {
	var b []byte
	for _, c := range j.calls {
		b = c.write(b)
	}
	if err := j.replaceFile(b); err != nil {
		return fmt.Errorf("the journal of calls, of which the record of a call is made that the end of this node cuts short: %w", err)
	}
	j.size, j.needed = int64(len(b)), int64(len(b))
	return nil
}

func (j *journal) replaceFile(b []byte) error {
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return err
	}
	fresh := j.path + ".new"
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = os.Rename(fresh, j.path)
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(fresh)
		return err
	}
	j.close()
	j.file = f
	return nil
}

// add appends to the file. After a failure, which may have left half a line, the file is written anew the next time.
func (j *journal) add(b []byte) error {
	n, err := j.file.Write(b)
	j.size += int64(n)
	if err != nil {
		j.close()
		return fmt.Errorf("the journal of calls: %w", err)
	}
	return nil
}

// empty takes everything out of the file: no call is left.
func (j *journal) empty() error {
	if j.file == nil || j.size == 0 {
		return nil
	}
	if err := j.file.Truncate(0); err != nil {
		j.close()
		return fmt.Errorf("the journal of calls: %w", err)
	}
	j.size, j.needed = 0, 0
	return nil
}

// finish ends the journal. The file of a node that stops while calls live stays.
func (j *journal) finish() {
	j.close()
	if j.path != "" && len(j.calls)+len(j.ended) == 0 {
		_ = os.Remove(j.path) // it may never have been begun; the next life removes what cannot be removed now
	}
}

func (j *journal) close() {
	if j.file != nil {
		_ = j.file.Close() // nothing is buffered
		j.file = nil
	}
}

// journals are the files of former lives, the oldest first: a name begins with a time.
func journals(folder, life string) []string {
	if folder == "" {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(folder, JournalFolder))
	if err != nil {
		return nil // there is none
	}
	var out []string
	for _, e := range entries {
		if name := e.Name(); strings.Contains(name, journalSuffix) && !strings.HasPrefix(name, life+journalSuffix) {
			out = append(out, filepath.Join(folder, JournalFolder, name))
		}
	}
	return out
}
