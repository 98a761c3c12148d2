package border

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/border/dialpeer"
)

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBucket(10, 5)
	for i := range 5 {
		if ok, _ := b.allow(now); !ok {
			t.Fatalf("call %d of the burst is refused", i)
		}
	}
	if ok, wait := b.allow(now); ok || wait <= 0 || wait > 100*time.Millisecond {
		t.Errorf("beyond the burst: %v, wait %v", ok, wait)
	}
	if ok, _ := b.allow(now.Add(100 * time.Millisecond)); !ok {
		t.Error("a tenth of a second later there is no token")
	}
	if ok, _ := b.allow(now.Add(50 * time.Millisecond)); ok {
		t.Error("a clock that goes back makes tokens")
	}
	if ok, _ := (*bucket)(nil).allow(now); !ok {
		t.Error("no limit refuses")
	}
}

// TestSources: an address that calls too often stops nobody else, and the table is bounded.
func TestSources(t *testing.T) {
	var s sources
	s.limit(2)
	now := time.Unix(1000, 0)
	try := func(a netip.Addr) bool {
		ok, _ := s.of(a, now).allow(now)
		return ok
	}
	loud, quiet := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	if first, second, third := try(loud), try(loud), try(loud); !first || !second || third || !try(quiet) {
		t.Error("the limit is not one of each address")
	}
	if a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"); !try(a) || !try(b) || try(a) {
		t.Error("a host has a /64, not an address")
	}
	for i := range maxSources + 100 {
		s.of(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now).allow(now)
	}
	if len(s.byAddr) > maxSources {
		t.Errorf("%d addresses are remembered", len(s.byAddr))
	}
	now = now.Add(time.Minute)
	if !try(netip.MustParseAddr("198.51.100.1")) || len(s.byAddr) > 100 {
		t.Errorf("%d addresses are remembered after a quiet minute", len(s.byAddr))
	}
}

// TestCheckedPatternsCompile: what a site file may say as a pattern, package dialpeer compiles.
func TestCheckedPatternsCompile(t *testing.T) {
	rnd := rand.New(rand.NewPCG(34, 7))
	pieces := []string{"5", "0", "*", "#", "A", ".", "[2-9]", "[^1-3]", "[2,5]", "[A-D]", "[9-#]", "[5-1]", "[]", "[^0-9A-D*#]", "[-5]", "(12)", "(1.)", "((1))", "()", "%", "?", "+", "T", "$", "^", ",", `\+`, `\5`, `\`}
	accepted := 0
	for range 20000 {
		text := ""
		for range 1 + rnd.IntN(6) {
			text += pieces[rnd.IntN(len(pieces))]
		}
		site := &config.Site{DialPeers: []config.DialPeer{{Tag: 1, DestinationPatterns: []string{text}}}}
		if site.Check() != nil {
			continue
		}
		accepted++
		if _, err := dialpeer.ParsePattern(text); err != nil {
			t.Fatalf("%q is accepted in a site file: %v", text, err)
		}
	}
	if accepted < 200 {
		t.Errorf("only %d patterns were accepted", accepted)
	}
}

// TestPlanDigits: what a transfer reaches is what the patterns say, where a dial plan can say it.
func TestPlanDigits(t *testing.T) {
	for text, want := range map[string][]string{"6...": {"6XXX", "6XXX!"}, "6...$": {"6XXX"}, "+49T": {`\+49`, `\+49!`}, "T": {"!"}, "[2-5]1$": {"[2-5]1"}, "1(2)?3": nil, "9%": nil} {
		if got := planDigits(text); len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
