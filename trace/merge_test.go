package trace

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"
)

// clusterCall is a call from a phone at n1 to a phone at n2, as the recorders of both nodes have it. n2's clock is ahead by skew.
func clusterCall(skew time.Duration) []Record {
	const (
		in, out      = KindSIPIn, KindSIPOut
		cm1, cm2     = "10.1.0.1:5061", "10.2.0.1:5061"
		tie          = "10.1.0.1:43210" // n1 dialled
		phone1       = "10.0.0.7:40112"
		phone2       = "10.0.0.8:40113"
		sep1, sep2   = "SEP001122334455", "SEP00AABBCCDDEE"
		a, t, b      = "aaa@10.0.0.7", "ttt@10.1.0.1", "bbb@10.2.0.1"
		invite       = "INVITE sips:2002@locktone.test SIP/2.0"
		ringing, ok  = "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"
		ack, bye     = "ACK sips:2002@locktone.test SIP/2.0", "BYE sips:2001@locktone.test SIP/2.0"
		call         = "g1"
		wire, inside = 2 * time.Millisecond, 300 * time.Microsecond
	)
	now := sampleStart
	seq := map[string]uint64{}
	var recs []Record
	rec := func(node string, kind Kind, local, remote, device, peer, id, text string) {
		at := now
		if node == "n2" {
			at = at.Add(skew)
		}
		seq[node]++
		recs = append(recs, Record{Seq: seq[node], Time: at, Node: node, Service: "callmanager", Kind: kind, Call: call, SIPCallID: id, Net: "tls", Device: device,
			Peer: peer, Local: ap(local), Remote: ap(remote), Body: []byte(text)})
		now = now.Add(inside)
	}
	phoneTo1 := func(text string) { rec("n1", in, cm1, phone1, sep1, "", a, text) }
	oneToPhone := func(text string) { rec("n1", out, cm1, phone1, sep1, "", a, text) }
	oneTo2 := func(text string) {
		rec("n1", out, tie, cm2, "", "n2", t, text)
		now = now.Add(wire)
		rec("n2", in, cm2, tie, "", "n1", t, text)
	}
	twoTo1 := func(text string) {
		rec("n2", out, cm2, tie, "", "n1", t, text)
		now = now.Add(wire)
		rec("n1", in, tie, cm2, "", "n2", t, text)
	}
	twoToPhone := func(text string) { rec("n2", out, cm2, phone2, sep2, "", b, text) }
	phoneTo2 := func(text string) { rec("n2", in, cm2, phone2, sep2, "", b, text) }

	phoneTo1(msg(invite, a, "1 INVITE", "", credentials, sdpBody))
	oneTo2(msg(invite, t, "1 INVITE", "", "", sdpBody))
	twoToPhone(msg(invite, b, "1 INVITE", "", "", sdpBody))
	now = now.Add(40 * time.Millisecond)
	for _, line := range []string{ringing, ok} {
		body := ""
		if line == ok {
			now, body = now.Add(1800*time.Millisecond), sdpBody
		}
		phoneTo2(msg(line, b, "1 INVITE", "b", "", body))
		twoTo1(msg(line, t, "1 INVITE", "t", "", body))
		oneToPhone(msg(line, a, "1 INVITE", "a", "", body))
	}
	phoneTo1(msg(ack, a, "1 ACK", "a", "", ""))
	oneTo2(msg(ack, t, "1 ACK", "t", "", ""))
	twoToPhone(msg(ack, b, "1 ACK", "b", "", ""))
	now = now.Add(9 * time.Second)
	phoneTo2(msg(bye, b, "1 BYE", "b", "", ""))
	twoToPhone(msg(ok, b, "1 BYE", "b", "", ""))
	twoTo1(msg(bye, t, "1 BYE", "t", "", ""))
	oneTo2(msg(ok, t, "1 BYE", "t", "", ""))
	oneToPhone(msg(bye, a, "1 BYE", "a", "", ""))
	phoneTo1(msg(ok, a, "1 BYE", "a", "", ""))
	for i := range recs { // as a recorder hands them back: without secrets
		var back Record
		if err := back.UnmarshalJSON(appendRecord(nil, &recs[i], policy{})); err != nil {
			panic(err)
		}
		recs[i] = back
	}
	return recs
}

// TestLadderOfTwoNodes: one ladder shows both nodes, a message between them is one arrow, and a clock that is wrong is corrected and told of.
func TestLadderOfTwoNodes(t *testing.T) {
	for _, skew := range []time.Duration{0, -1500 * time.Millisecond, 3 * time.Hour} {
		l := NewLadder(clusterCall(skew), LadderOptions{})
		text := l.Text(0)
		if skew == -1500*time.Millisecond {
			golden(t, "cluster.txt", []byte(text))
			golden(t, "cluster.svg", l.SVG())
			wellFormed(t, l.SVG())
		}
		if n := strings.Count(text, "INVITE sdp"); n != 3 {
			t.Errorf("skew %v: %d INVITE arrows, want 3:\n%s", skew, n, text)
		}
		for _, s := range seeded {
			if strings.Contains(text, s) || strings.Contains(string(l.SVG()), s) {
				t.Errorf("skew %v: the ladder shows %q", skew, s)
			}
		}
		if len(l.Columns) != 4 || l.Columns[1].Name != "callmanager@n1" || l.Columns[2].Name != "callmanager@n2" {
			t.Errorf("columns %+v", l.Columns)
		}
		if len(l.Clocks) != 1 || l.Clocks[0].Node != "n2" {
			t.Fatalf("clocks %+v", l.Clocks)
		}
		c := l.Clocks[0]
		if off := (c.Ahead - skew).Abs(); off > c.Within || c.Within > 5*time.Millisecond || c.Pairs != 6 || c.Jumped || c.OneWay {
			t.Errorf("skew %v: %+v, %s", skew, c, c)
		}
		for i, r := range l.Rows {
			if r.Early {
				t.Errorf("skew %v: row %d is early: %+v", skew, i, r)
			}
		}
		if d := l.End.Sub(l.Start); d > 12*time.Second || d < 10*time.Second {
			t.Errorf("skew %v: it lasted %v", skew, d)
		}
	}
}

// TestClocks: what can be known of clocks, and what cannot, is said as it is.
func TestClocks(t *testing.T) {
	recs := clusterCall(-1500 * time.Millisecond)
	oneWay := slices.DeleteFunc(slices.Clone(recs), func(r Record) bool { return r.Node == "n2" && r.Kind == KindSIPOut && r.SIPCallID == "ttt@10.1.0.1" })
	jumped := slices.Clone(recs)
	for i := range jumped {
		if jumped[i].Node == "n2" && jumped[i].Seq > 6 {
			jumped[i].Time = jumped[i].Time.Add(time.Hour)
		}
	}
	apart := slices.DeleteFunc(slices.Clone(recs), func(r Record) bool { return r.Node == "n2" && r.SIPCallID == "ttt@10.1.0.1" })
	for name, c := range map[string]struct {
		recs []Record
		want string
	}{
		"one way": {oneWay, "at least: messages went one way only"},
		"jumped":  {jumped, "was set while this lasted"},
		"apart":   {apart, "cannot be compared"},
		"both":    {recs, "is 1.5 s behind that of n1"},
	} {
		l := NewLadder(c.recs, LadderOptions{})
		if text := strings.ReplaceAll(l.Text(0), "1.5s", "1.5 s"); !strings.Contains(text, c.want) {
			t.Errorf("%s: want %q in\n%s", name, c.want, text)
		}
		m := Merge(c.recs)
		checkCausality(t, name, m)
	}
	jumpedLadder := NewLadder(jumped, LadderOptions{}).Text(0)
	if !strings.Contains(jumpedLadder, "~") {
		t.Errorf("a row against the clocks is not marked:\n%s", jumpedLadder)
	}
}

func checkCausality(t *testing.T, what string, m *Merged) {
	t.Helper()
	last := map[string]uint64{}
	for i := range m.Records {
		r := &m.Records[i]
		if r.Seq <= last[r.Node] {
			t.Fatalf("%s: record %d of %s comes behind %d", what, r.Seq, r.Node, last[r.Node])
		}
		last[r.Node] = r.Seq
		if o := m.Other[i]; o >= 0 && (m.Other[o] != i || (r.Kind == KindSIPIn) != (o < i)) {
			t.Fatalf("%s: record %d arrived before it was sent (%d)", what, i, o)
		}
	}
}

// TestMergeWalk: nodes with clocks that are anyhow, messages that take their time, records in any order: nothing arrives before it was
// sent, every node's own order holds, every message is one, and the difference of two clocks is found within what is said.
func TestMergeWalk(t *testing.T) {
	for seed := range int64(300) {
		rnd := rand.New(rand.NewSource(seed))
		nodes := 2 + rnd.Intn(3)
		skew := make([]time.Duration, nodes)
		seq := make([]uint64, nodes)
		for i := range skew {
			skew[i] = time.Duration(rnd.Int63n(int64(20*time.Second))) - 10*time.Second
		}
		now := sampleStart
		var recs []Record
		type flight struct {
			to   int
			text string
			id   string
		}
		var flying []flight
		rec := func(node int, kind Kind, id, text string) {
			seq[node]++
			recs = append(recs, Record{Seq: seq[node], Time: now.Add(skew[node]).Truncate(time.Microsecond), Node: fmt.Sprint("n", node), Service: "callmanager", Kind: kind, SIPCallID: id, Body: []byte(text),
				Local: ap(fmt.Sprintf("10.%d.0.1:5061", node)), Remote: ap("10.9.0.1:1")})
		}
		sent := 0
		for i := range 60 {
			now = now.Add(time.Duration(rnd.Intn(5000)) * time.Microsecond)
			if len(flying) > 0 && rnd.Intn(2) == 0 {
				f := flying[0]
				flying = flying[1:]
				rec(f.to, KindSIPIn, f.id, f.text)
				continue
			}
			from, to := rnd.Intn(nodes), rnd.Intn(nodes)
			id := fmt.Sprint("c", from, to)
			text := msg("OPTIONS sip:x SIP/2.0", id, fmt.Sprint(i/3, " OPTIONS"), "", "", "") // now and then the same twice
			rec(from, KindSIPOut, id, text)
			if from != to {
				flying = append(flying, flight{to, text, id})
				sent++
			}
		}
		sent -= len(flying)
		rnd.Shuffle(len(recs), func(i, j int) { recs[i], recs[j] = recs[j], recs[i] })
		m := Merge(append(recs, recs[:5]...)) // what two nodes both hand over counts once
		if len(m.Records) != len(recs) {
			t.Fatalf("seed %d: %d records of %d", seed, len(m.Records), len(recs))
		}
		checkCausality(t, fmt.Sprint("seed ", seed), m)
		pairs := 0
		for i := range m.Other {
			if m.Other[i] > i {
				pairs++
			}
		}
		if pairs != sent {
			t.Fatalf("seed %d: %d messages at both ends, want %d", seed, pairs, sent)
		}
		for _, c := range m.Clocks {
			if c.Unknown || c.OneWay {
				continue
			}
			var a, b int
			fmt.Sscanf(c.Against+" "+c.Node, "n%d n%d", &a, &b)
			if off := (skew[b] - skew[a] - c.Ahead).Abs(); c.Jumped || off > c.Within+2*time.Microsecond {
				t.Fatalf("seed %d: %s: in truth it is %v ahead", seed, c, skew[b]-skew[a])
			}
		}
	}
}

// TestMergeCalls: a call that several nodes recorded is one line of the list.
func TestMergeCalls(t *testing.T) {
	at := sampleStart
	n1 := []CallInfo{{Call: "g1", SIPCallIDs: []string{"a", "t"}, Nodes: []string{"n1"}, Services: []string{"callmanager"}, From: "2001", To: "2002", State: "answered", Start: at, Records: 5},
		{Call: "g2", Nodes: []string{"n1"}, State: "ended", Start: at.Add(time.Minute), End: at.Add(2 * time.Minute), Records: 3}}
	n2 := []CallInfo{{Call: "t", SIPCallIDs: []string{"t", "b"}, Nodes: []string{"n2"}, Services: []string{"callmanager"}, State: "ended", Start: at.Add(time.Second), End: at.Add(3 * time.Second), Records: 7},
		{Call: "g2", Nodes: []string{"n2"}, State: "ended", Start: at.Add(time.Minute), End: at.Add(4 * time.Minute), Records: 1}}
	got := MergeCalls(n1, n2)
	if len(got) != 2 || got[0].Call != "g2" || !got[0].End.Equal(at.Add(4*time.Minute)) || got[1].Records != 12 || got[1].State != "answered" || !got[1].End.IsZero() ||
		strings.Join(got[1].Nodes, ",") != "n1,n2" || strings.Join(got[1].SIPCallIDs, ",") != "a,t,b" {
		t.Errorf("%+v", got)
	}
	if n1[0].Records != 5 || len(n1[0].Nodes) != 1 {
		t.Error("what was handed in was changed")
	}
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte("INVITE"), []byte("INVITE"), uint64(1), uint64(2), int64(3))
	f.Fuzz(func(t *testing.T, a, b []byte, x, y uint64, at int64) {
		recs := []Record{{Seq: x, Node: "a", Kind: KindSIPOut, Body: a, Time: time.Unix(at, 0)}, {Seq: y, Node: "b", Kind: KindSIPIn, Body: a}, {Seq: x, Node: "b", Kind: KindSIPOut, Body: b},
			{Seq: y, Node: "a", Kind: KindSIPIn, Body: b, Time: time.Unix(-at, 0)}, {Seq: x, Node: "c"}}
		m := Merge(recs)
		if len(m.Records) == 0 || len(m.At) != len(m.Records) || len(m.Other) != len(m.Records) {
			t.Errorf("%+v", m)
		}
		NewLadder(recs, LadderOptions{Engine: true}).Text(100)
	})
}
