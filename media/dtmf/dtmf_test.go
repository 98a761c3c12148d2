package dtmf

import (
	"testing"

	"pgregory.net/rapid"
)

// frames runs the sender until it is idle and returns what it sent, audio frames as zero packets.
func frames(t testing.TB, s *Sender) (out []Packet, audio int) {
	stamp := uint32(0xffffff00) // timestamps wrap
	for s.Busy() {
		if p, ok := s.Step(stamp); ok {
			out = append(out, p)
		} else {
			audio++
		}
		if stamp += frame; len(out)+audio > 100000 {
			t.Fatal("the sender does not come to an end")
		}
	}
	return out, audio
}

func TestOneDigit(t *testing.T) {
	var s Sender
	if err := s.Queue("5"); err != nil {
		t.Fatal(err)
	}
	out, _ := frames(t, &s)
	want := []Payload{{5, false, 10, 160}, {5, false, 10, 320}, {5, false, 10, 480}, {5, false, 10, 640}, {5, true, 10, 800}, {5, true, 10, 800}, {5, true, 10, 800}}
	if len(out) != len(want) {
		t.Fatalf("%d packets: %+v", len(out), out)
	}
	for i, p := range out {
		if p.Payload != want[i] || p.Marker != (i == 0) || p.Timestamp != out[0].Timestamp {
			t.Errorf("packet %d: %+v", i, p)
		}
	}
}

func receive(r *Receiver, out []Packet) (got string) {
	for _, p := range out {
		ds, n := r.Packet(p.Timestamp, p.Payload)
		for _, d := range ds[:n] {
			got += string(d.Key)
		}
	}
	if d, ok := r.Flush(); ok {
		got += string(d.Key)
	}
	return got
}

// TestEveryDigitOnce: any digits arrive, each once, in order, though packets are lost and doubled, as long as one packet of
// each digit survives.
func TestEveryDigitOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.StringOfN(rapid.SampledFrom([]rune(keys)), 1, 20, -1).Draw(t, "digits")
		var s Sender
		if err := s.Queue(digits); err != nil {
			t.Fatal(err)
		}
		var line []Packet
		survivors := map[uint32]bool{}
		var all []Packet
		stamp := rapid.Uint32().Draw(t, "stamp")
		for s.Busy() {
			if p, ok := s.Step(stamp); ok {
				all = append(all, p)
			}
			stamp += frame
		}
		for i, p := range all {
			last := i+1 == len(all) || all[i+1].Timestamp != p.Timestamp
			copies := rapid.IntRange(0, 2).Draw(t, "copies")
			if copies == 0 && last && !survivors[p.Timestamp] {
				copies = 1
			}
			for range copies {
				survivors[p.Timestamp] = true
				line = append(line, p)
			}
		}
		var r Receiver
		if got := receive(&r, line); got != digits {
			t.Fatalf("sent %q, received %q", digits, got)
		}
	})
}

func TestBadDigitsAndPause(t *testing.T) {
	var s Sender
	if err := s.Queue("12x"); err == nil || s.Busy() {
		t.Errorf("err %v, busy %v", err, s.Busy())
	}
	if err := s.Queue("1,d"); err != nil {
		t.Fatal(err)
	}
	out, audio := frames(t, &s)
	if len(out) != 14 || audio < 25+4 {
		t.Errorf("%d packets and %d frames of audio", len(out), audio)
	}
	for range 10 {
		_ = s.Queue("11111111111111111111111111111111")
	}
	if len(s.queue) > maxQueue {
		t.Error("the queue has no bound")
	}
}

func TestEventsThatAreNoDigits(t *testing.T) {
	var r Receiver
	if _, n := r.Packet(1, Payload{Event: 36, End: true}); n != 0 { // a fax tone
		t.Error("a fax tone was taken for a digit")
	}
	if _, err := Parse([]byte{1, 2, 3}); err == nil {
		t.Error("three octets are an event")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Payload{5, true, 10, 800}.Append(nil), uint32(1))
	f.Add([]byte{0, 0, 0}, uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, stamp uint32) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		if q, err := Parse(p.Append(nil)); err != nil || q != p {
			t.Errorf("%+v comes back as %+v, %v", p, q, err)
		}
		var r Receiver
		if _, n := r.Packet(stamp, p); n > 1 {
			t.Errorf("one packet is %d digits", n)
		}
	})
}
