package callmanager

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/store"
)

// ledger keeps what is missing; it can be away for some attempts.
type ledger struct {
	Store
	away  int
	calls []store.CallRecord
	legs  []store.LegRecord
}

func (l *ledger) AppendMissing(_ context.Context, calls []store.CallRecord, legs []store.LegRecord) error {
	if l.away > 0 {
		l.away--
		return errors.New("away")
	}
	l.calls, l.legs = append(l.calls, calls...), append(l.legs, legs...)
	return nil
}

var journalStart = time.Date(2026, 11, 22, 12, 0, 0, 123000, time.UTC)

// talking is a call of alice and bob, answered after 3 s.
func talking(id call.CallID) *call.View {
	party := func(id call.PartyID, number, called, device string, incoming bool) *call.PartyView {
		return &call.PartyView{ID: id, Line: call.LineID{Number: number, Partition: "phones"}, Identity: call.Identity{Number: number}, Called: called,
			Legs: []call.LegView{{ID: call.LegID(id), Device: device, State: call.LegIsActive, Incoming: incoming, Lock: call.LockEncrypted}}}
	}
	return &call.View{ID: id, GlobalID: "g" + id.String(), Created: journalStart, Answered: journalStart.Add(3 * time.Second), Mix: []call.Edge{{}},
		Parties: []*call.PartyView{party(1, "1001", "", "alice", true), party(2, "1002", "1002", "bob", false)}}
}

func seen(kind call.EventKind, v *call.View, after time.Duration) live.Note {
	return live.Note{Event: call.Event{Kind: kind, Call: v.ID, At: journalStart.Add(after), View: v}}
}

// TestJournal: what lives is in the file, what has ended is not, a call whose record is not written counts as living.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(dir, "1-a")
	lives := func(want ...call.CallID) {
		t.Helper()
		l, err := readJournal(t.Context(), j.path)
		if err != nil && len(want) > 0 {
			t.Fatal(err)
		}
		if len(l.calls) != len(want) {
			t.Errorf("%d calls live, want %v", len(l.calls), want)
		}
		for _, id := range want {
			if l.calls[id] == nil {
				t.Errorf("call %d is not there", id)
			}
		}
	}
	at := journalStart
	flush := func(recorded bool) {
		t.Helper()
		at = at.Add(recordEvery)
		if err := j.flush(at, recorded); err != nil {
			t.Fatal(err)
		}
	}
	over := func(id call.CallID) { j.take(seen(call.CallEnded, &call.View{ID: id, Ended: true}, 0), at) }
	j.take(seen(call.LegActive, talking(1), 0), at)
	over(1) // within a tick
	flush(true)
	if _, err := os.Stat(j.path); !os.IsNotExist(err) {
		t.Errorf("a call that began and ended between two flushes is written: %v", err)
	}
	j.take(seen(call.LegRinging, talking(2), 0), at)
	j.take(seen(call.LegActive, talking(3), 0), at)
	flush(true)
	lives(2, 3)
	over(2)
	flush(false)
	lives(2, 3)
	flush(true)
	lives(3)
	size := j.size
	at = at.Add(journalAlive)
	flush(true)
	if l, _ := readJournal(t.Context(), j.path); j.size == size || !l.last.Equal(at) {
		t.Errorf("nothing says that the call still lives: %v", l.last)
	}
	j.file.Close() // the disk is full
	j.take(seen(call.LegActive, talking(4), 0), at)
	if err := j.flush(at, true); err == nil {
		t.Error("a write that failed is no error")
	}
	flush(true)
	lives(3, 4)
	j.take(live.Note{Snapshot: true, Lagged: true, Calls: []*call.View{talking(4), talking(5)}}, at)
	flush(true)
	lives(4, 5)
	for i := range 4000 { // of a call in which much happens
		j.take(seen(call.PartyMoved, talking(4), time.Duration(i)), at)
		flush(true)
	}
	lives(4, 5)
	if j.size > journalRewrite+8<<10 {
		t.Errorf("the file has %d bytes", j.size)
	}
	over(4)
	over(5)
	flush(true)
	lives()
	j.finish()
	if left, _ := os.ReadDir(filepath.Dir(j.path)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestLostCalls reads what two lives have left behind: one was killed in the middle of a line, of the other's calls all had ended.
func TestLostCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		first, second := newJournal(dir, "1-a"), newJournal(dir, "2-b")
		for id := range call.CallID(3) {
			first.take(seen(call.LegActive, talking(id+1), 3*time.Second), journalStart)
		}
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		ok(first.flush(journalStart.Add(4*time.Second), true))
		first.take(seen(call.CallEnded, &call.View{ID: 2, Ended: true}, 5*time.Second), journalStart)
		ok(first.flush(journalStart.Add(5*time.Second), true))
		ok(first.flush(journalStart.Add(60*time.Second), true))
		line := string(journalLine{At: journalStart.Add(time.Hour), Ended: 1}.append(nil))
		_, err := first.file.WriteString("\x00\x00\x00\n{\"at\":7}\n[]\n" + line[:len(line)-3])
		ok(err)
		second.take(seen(call.LegActive, talking(9), 0), journalStart)
		ok(second.flush(journalStart.Add(time.Second), true))
		second.end(9)
		ok(second.flush(journalStart.Add(2*time.Second), true))

		db := &ledger{away: 2}
		s := &Service{cfg: Config{Node: "n1", Folder: dir, Store: db}, ctx: t.Context(), started: journalStart.Add(time.Minute - time.Second), life: "c", meters: newMeters()}
		s.site.Store(siteOf(t, "cluster: {}"))
		s.recordLost()
		s.recordLost()
		if len(db.calls) != 2 || len(db.legs) != 4 || s.troubles.text() != "" {
			t.Fatalf("%d calls, %d legs; %s", len(db.calls), len(db.legs), s.troubles.text())
		}
		got := db.calls[1]
		if !strings.HasPrefix(got.Detail, `{"note":"`+lostNote+`","id":3,`) {
			t.Errorf("detail %s", got.Detail)
		}
		got.Detail = ""
		want := store.CallRecord{Call: "gc3", Node: "n1", Start: journalStart, Answer: journalStart.Add(3 * time.Second), End: s.started, Calling: "1001", Called: "1002",
			Dialled: "1002", FromDevice: "alice", ToDevice: "bob", Cause: 41, ReleasedBy: "system", Security: "encrypted"}
		if db.calls[0].Call != "gc1" || got != want {
			t.Errorf("%s and\n%+v, want\n%+v", db.calls[0].Call, got, want)
		}
		leg := db.legs[3]
		if leg.Call != "gc3" || leg.Device != "bob" || leg.Outcome != "answered" || leg.Cause != 41 || leg.Direction != "out" || leg.Lock != "encrypted" ||
			leg.Called != "1002" || leg.Calling != "1001" || !leg.End.Equal(s.started) || leg.LockReason != "" {
			t.Errorf("leg %+v", leg)
		}
		if left := journals(dir, s.lifeName()); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// TestLostCallsWhileTheClockIsSetBack: no call ends before it began.
func TestLostCallsWhileTheClockIsSetBack(t *testing.T) {
	l := lostCalls{calls: map[call.CallID]*call.View{1: talking(1)}, last: journalStart.Add(time.Hour)}
	if v := l.ended(journalStart.Add(-time.Hour)); len(v) != 1 || !v[0].end.Equal(journalStart) {
		t.Errorf("%+v", v)
	}
}

// BenchmarkJournal is a call that rings for more than a second, is answered and ends, with a hundred others: what journalling costs it.
func BenchmarkJournal(b *testing.B) {
	j := newJournal(b.TempDir(), "1-a")
	j.take(seen(call.LegActive, talking(1<<40), 0), journalStart)
	ids := make([]call.CallID, 100)
	for n := 0; n < b.N; n += len(ids) {
		for i := range ids {
			ids[i] = call.CallID(n + i + 1)
		}
		for _, kind := range []call.EventKind{call.LegRinging, call.LegActive, call.CallEnded} {
			for _, id := range ids {
				v := *benchView
				v.ID = id
				j.take(seen(kind, &v, 0), journalStart)
			}
			if err := j.flush(journalStart, true); err != nil {
				b.Fatal(err)
			}
		}
	}
}

var benchView = talking(1)
