package call

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// explain is the script's "explain key=value": what would happen, every line behind a bar.
func (s *script) explain(f []string) {
	q := Question{Now: s.now, Trust: func(device, trunk string) Trust {
		if device == "plain" || trunk == "copper" {
			return TrustNone
		}
		return TrustMutual
	}}
	for _, kv := range f {
		switch key, value, _ := strings.Cut(kv, "="); key {
		case "device":
			q.Device = value
		case "trunk":
			q.Trunk = value
		case "calling":
			q.Calling = value
		case "called":
			q.Called = value
		case "at":
			at, err := time.Parse(time.RFC3339, value)
			if err != nil {
				s.t.Fatal(err)
			}
			q.At = at
		default:
			s.t.Fatalf("explain: no key %q", key)
		}
	}
	for line := range strings.Lines(s.k.e.Explain(q).String()) {
		s.pending = append(s.pending, strings.TrimRight("| "+strings.TrimSuffix(line, "\n"), " "))
	}
}

// TestExplanationIsTheCall: in random states of a site, what an explanation says would ring is what then rings, and to explain changes nothing
// (the walk replays).
func TestExplanationIsTheCall(t *testing.T) {
	asked, rang := 0, 0
	for seed := int64(1); seed <= int64(walkCount(20)); seed++ {
		w := newWalker(t, seed, true)
		for range 150 {
			m := w.choose()
			if setup, ok := m.in.Signal.(Setup); ok && setup.Replaces == 0 && setup.Join == 0 && !setup.NoHops {
				asked++
				rang += w.foretold(t, seed, m, setup)
			} else if w.k.allows(m) {
				w.apply(m)
			}
			if len(w.k.faults) > 0 {
				t.Fatalf("seed %d: %s", seed, w.k.faults[0])
			}
		}
		if _, err := Replay(w.records); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	if asked < 150 || rang < 60 {
		t.Errorf("%d questions, %d calls that rang: the test proves little", asked, rang)
	}
}

// foretold asks what a call would do, makes it, and compares.
func (w *walker) foretold(t *testing.T, seed int64, m move, setup Setup) (rang int) {
	policy := MediaPolicy{SRTP: SRTP}
	if d := w.k.e.config.devices[setup.Device]; d != nil {
		policy = w.k.e.mediaOf(d)
	}
	if tr := w.k.e.config.trunks[setup.Trunk]; tr != nil {
		policy = tr.Media
	}
	setup.Desc = Desc{Ref: setup.Desc.Ref + 100000, Kind: KindOffer, Dir: SendRecv, Security: offers(policy.security())}
	setup.Calling, setup.Trust, setup.Join, setup.Route = Identity{}, TrustNone, 0, nil
	m.in.Signal = setup
	x := w.k.e.Explain(Question{Device: setup.Device, Trunk: setup.Trunk, Called: setup.Called, Now: w.now})
	var want, got []string
	for _, r := range x.Stages[0].Rings {
		want = append(want, fmt.Sprint(r.Target))
	}
	before := w.k.e.lastLeg
	w.apply(m)
	if l := w.k.e.legs[setup.Leg]; l != nil {
		for _, p := range l.party.call.parties {
			for _, o := range p.legs {
				if o.ringing() && !o.incoming && o.id > before {
					got = append(got, fmt.Sprint(w.k.wire[o.id].target))
				}
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Fatalf("seed %d: %s:\nthe explanation rings %v\nthe call rings       %v\n%s", seed, m, want, got, x)
	}
	if _, still := w.k.e.legs[setup.Leg]; still == (x.Stages[0].Ends != CauseNone) {
		t.Fatalf("seed %d: %s: the caller is still there: %v; the explanation:\n%s", seed, m, still, x)
	}
	return len(got)
}
