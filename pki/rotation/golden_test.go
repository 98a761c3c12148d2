package rotation

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden runs a file of input, ----, output, blank-line separated by ====.
func golden(t *testing.T, file string, run func(input string) string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(string(b), "\n====\n")
	var out []string
	for _, c := range cases {
		input, want, _ := strings.Cut(c+"\n", "\n----\n")
		got := strings.TrimRight(run(strings.TrimSpace(input)), "\n")
		if want = strings.TrimRight(want, "\n"); got != want && !*update {
			t.Errorf("%s\n%s", input, cmp.Diff(want, got))
		}
		out = append(out, strings.TrimSpace(input)+"\n----\n"+got)
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(out, "\n====\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// newSite is a site of one node, everything in its first generation and published.
func newSite() State {
	one := func(name string, kind Kind, issuer ID) Member {
		return Member{Name: name, Kind: kind, Generations: []Generation{{ID: NewID(name, 1), Number: 1, Phase: Active, Issuer: issuer, NotBefore: noon.AddDate(0, -1, 0), NotAfter: noon.AddDate(1, 0, 0)}}}
	}
	s := State{Time: noon, Members: []Member{
		one("ca", Root, ""), one("sast-1", Signer, ""), one("sast-2", Signer, ""), one(RecoveryName, Signer, ""),
		one("callmanager", Service, "ca-g1"), one("provisioning", Service, "ca-g1"), one("capf", Service, "ca-g1"), one("tvs", Service, "ca-g1"),
	}}
	s.Published = s.listing()
	return s
}

// newPhone is a phone with today's list and LSC.
func newPhone(s State, name string) Device {
	d := Device{Name: name, LSC: LSC{Issuer: "ca-g1", NotAfter: noon.AddDate(3, 0, 0)}, LastSeen: noon.Add(-time.Minute)}
	d.Held, _ = s.Refresh(d)
	return d
}

// siteOf reads a scenario: one device a line, "name words..."; the words are no-tvs, two-signers, asleep, peer, no-lsc, mic,
// knows=ID,ID, or=ID,ID, nothing.
func siteOf(lines []string) (State, []Device) {
	s := newSite()
	var ds []Device
	for _, line := range lines {
		words := strings.Fields(line)
		d := newPhone(s, words[0])
		for _, w := range words[1:] {
			d = d.with(s, w)
		}
		ds = append(ds, d)
	}
	return s, ds
}

func (d Device) with(s State, word string) Device {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "no-tvs":
		d.NoTVS = true
	case "two-signers":
		d.SignerLimit = 2
		d.Held = s.Published.variant("sast-1-g1", 2)
	case "asleep":
		d.LastSeen = noon.AddDate(0, -1, 0)
	case "no-lsc":
		d.LSC = LSC{}
	case "mic":
		d.Reenrol = true
	case "peer":
		d.Peer, d.LSC, d.Held = true, LSC{}, Held{Knows: []ID{"ca-g1"}}
	case "nothing":
		d.Held = Held{}
	case "knows":
		d.Held = heldOf(value)
	case "or":
		d.Or = append(d.Or, heldOf(value))
	default:
		panic("no such word: " + word)
	}
	return d
}

// heldOf is what somebody holds that knows these.
func heldOf(ids string) Held {
	h := Held{Version: 1}
	for _, id := range strings.Split(ids, ",") {
		h.Knows = normal(append(h.Knows, ID(id)))
	}
	return h
}

// TestPlans holds the text of plans, their gates and their victims.
func TestPlans(t *testing.T) {
	golden(t, "plans.txt", func(input string) string {
		lines := strings.Split(input, "\n")
		command := strings.Fields(lines[0])
		s, ds := siteOf(lines[1:])
		var o Options
		for _, w := range command[1:] {
			if name, ok := strings.CutPrefix(w, "accept="); ok {
				o.Accept = append(o.Accept, strings.Split(name, ",")...)
			} else {
				o.Order = Order(w)
			}
		}
		p, err := New(s, ds, Target(command[0]), o)
		if err != nil {
			return fmt.Sprintln("error:", err)
		}
		var b strings.Builder
		if err := p.WriteText(&b); err != nil {
			t.Error(err)
		}
		return b.String()
	})
}
