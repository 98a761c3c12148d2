package call

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRecords plays scripts and shows the record of every leg, in the order in which they ended; testdata/records.golden says what
// they must be.
func TestRecords(t *testing.T) {
	const golden = "testdata/records.golden"
	var b strings.Builder
	for _, name := range []string{"basic_call", "busy_and_refused", "caller_cancel", "no_answer", "shared_line", "hold_music", "transfer_attended",
		"transfer_blind", "redirected_by_phone", "route_list", "driver_lost", "make_call", "anchored", "conversion",
		"conference", "barge", "park", "pickup", "hunt_top_down", "forward_busy", "mixed_warn"} {
		text, err := os.ReadFile("testdata/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "# %s\n", name)
		s := &script{t: t, k: newChecker(true), now: start}
		s.k.told = func(r *LegRecord) { b.WriteString(recordLine(t, r)) }
		s.run(string(text))
		s.now = s.now.Add(time.Minute)
		for _, v := range s.k.e.Calls() { // who hung up is told by the request: what the script has left behind
			s.step(Input{Request: Drop{Call: v.ID}})
		}
		for _, f := range s.k.faults {
			t.Error(name, f)
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the records are others now (go test -update writes them):\n%s", difference(string(want), b.String()))
	}
}

// recordLine is a record as one line of JSON, its times as seconds since the script began.
func recordLine(t *testing.T, r *LegRecord) string {
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back LegRecord
	if err := json.Unmarshal(line, &back); err != nil {
		t.Errorf("%s cannot be read back: %v", line, err)
	}
	out := string(line)
	for _, at := range []time.Time{r.Setup, r.Alerted, r.Answered, r.End} {
		text, _ := at.MarshalText()
		out = strings.ReplaceAll(out, `"`+string(text)+`"`, fmt.Sprintf("+%gs", at.Sub(start).Seconds()))
	}
	return out + "\n"
}

// TestRecordKeepsEveryLeg: people join and leave a call all day, and every one of them has a record.
func TestRecordKeepsEveryLeg(t *testing.T) {
	k := newChecker(true)
	n := 0
	k.told = func(*LegRecord) { n++ }
	k.step(start, Input{Config: office().must(t)})
	for _, d := range phones {
		k.step(start, Input{Driver: "sip", Signal: DeviceState{Device: d, Up: true}})
	}
	offer := Desc{Ref: 1, Kind: KindOffer, Dir: SendRecv, Security: SRTP}
	k.step(start, Input{Driver: "sip", Signal: Setup{Leg: 1, Device: "alice", Called: "2100", Desc: offer}})
	const rounds = 3 * maxLeft
	for i := range rounds { // bob and carol take the call over from one another, by Replaces
		in, device := LegID(2*i+3), []string{"bob", "carol"}[i%2]
		now := start.Add(time.Duration(i+1) * time.Second)
		if i == 0 {
			k.step(now, Input{Driver: "sip", Signal: Answered{Leg: 2, Desc: Desc{Ref: 2, Kind: KindAnswer, Dir: SendRecv, Security: SRTP}}})
			continue
		}
		old := in - 2
		if i == 1 {
			old = 2
		}
		k.step(now, Input{Driver: "sip", Signal: Setup{Leg: in, Device: device, Called: "2100", Replaces: old, Desc: Desc{Ref: uint64(10 * i), Kind: KindOffer, Dir: SendRecv, Security: SRTP}}})
		k.step(now, Input{Driver: "sip", Signal: ReofferAnswered{Leg: 1, Desc: Desc{Ref: uint64(10*i + 1), Kind: KindAnswer, Dir: SendRecv, Security: SRTP}}})
	}
	k.step(start.Add(time.Hour), Input{Driver: "sip", Signal: Released{Leg: 1, Cause: NormalClearing}})
	if want := 1 + 3 + rounds - 1; n != want || len(k.open) != 0 || len(k.faults) != 0 { // alice, three desks, and those who took over
		t.Errorf("%d records, want %d; without one: %v; %v", n, want, k.open, k.faults)
	}
}

// TestRecordOfMeasuredMedia: what was measured before the end is in the record; who hung up, and what it was called by, too.
func TestRecordOfMeasuredMedia(t *testing.T) {
	e := townEngine(t, 2)
	talk(e, 1, 0, 1)
	q := Quality{By: "here", Codec: "G722", Sent: 100, Received: 98, Lost: 2, Jitter: 1.5, MOS: 4.1}
	e.Step(start.Add(time.Second), Input{Driver: "sip", Signal: Measured{Leg: 2, Quality: q}})
	if v := e.Calls()[0].Parties[1].Legs[0]; v.Quality == nil || *v.Quality != q {
		t.Errorf("the picture shows %+v", v.Quality)
	}
	out := e.Step(start.Add(2*time.Second), Input{Driver: "sip", Signal: Released{Leg: 2, Cause: NormalClearing}})
	by := map[LegID]Releaser{}
	for _, ev := range out.Events {
		if r := ev.Record; r != nil {
			by[r.Leg] = r.By
			if (r.Leg == 2) != (r.Quality != nil && *r.Quality == q) {
				t.Errorf("leg %s: %+v", r.Leg, r.Quality)
			}
		}
	}
	if by[2] != ReleasedByLeg || by[1] != ReleasedByOther || len(by) != 2 {
		t.Errorf("released by %v", by)
	}
}

// TestMarksAreNamed keeps the list of names and the set in step.
func TestMarksAreNamed(t *testing.T) {
	all := Mark(1<<len(markNames) - 1)
	var back Mark
	if err := back.UnmarshalText([]byte(all.String())); err != nil || back != all || len(all.Names()) != len(markNames) || MarkJoin != 1<<(len(markNames)-1) {
		t.Errorf("%s, %v, %v", all, back, err)
	}
	if err := back.UnmarshalText([]byte("hold,juggling")); err == nil {
		t.Error("a feature that does not exist was read")
	}
}
