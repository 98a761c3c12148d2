package dialpeer

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// TestChoose plays testdata/*.txt: "peer TAG word=value ..." lines, "status TAG down=... calls=n", then "call word=value ...", and what
// is said of each call behind "----".
func TestChoose(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) < 4 {
		t.Fatalf("only %d golden files", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, _, _ := strings.Cut(string(data), "----\n")
			var out bytes.Buffer
			out.WriteString(input + "----\n")
			play(t, input, &out)
			if *update {
				if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(out.Bytes(), data) {
				t.Errorf("%s says otherwise:\n%s", file, out.String())
			}
		})
	}
}

func play(t *testing.T, input string, out *bytes.Buffer) {
	var peers []Peer
	status := map[int]Status{}
	for line := range strings.Lines(input) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		switch words[0] {
		case "peer":
			peers = append(peers, peerOf(t, words[1:]))
		case "status":
			tag, _ := strconv.Atoi(words[1])
			s := status[tag]
			for _, w := range words[2:] {
				k, v, _ := strings.Cut(w, "=")
				if k == "down" {
					s.Down = strings.ReplaceAll(v, "_", " ")
				} else {
					s.Calls, _ = strconv.Atoi(v)
				}
			}
			status[tag] = s
		case "call":
			a := NewTable(peers).Choose(queryOf(t, words[1:]), func(tag int) Status { return status[tag] })
			fmt.Fprint(out, a.Text())
			for _, l := range a.Out {
				fmt.Fprintf(out, "  -> %d called %s calling %s\n", l.Tag, l.Called, l.Calling)
			}
			fmt.Fprintln(out)
		default:
			t.Fatalf("what is %q?", line)
		}
	}
}

func peerOf(t *testing.T, words []string) Peer {
	tag, err := strconv.Atoi(words[0])
	if err != nil {
		t.Fatal(err)
	}
	p := Peer{Tag: tag}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "own":
			p.Own, p.Outbound = true, true
		case "shutdown":
			p.Shutdown = true
		case "huntstop":
			p.Huntstop = true
		case "hairpin":
			p.Hairpin = true
		case "dest":
			p.Destination = append(p.Destination, must(ParsePattern(v)))
		case "called":
			p.IncomingCalled = append(p.IncomingCalled, must(ParsePattern(v)))
		case "answer":
			p.Answer = append(p.Answer, must(ParsePattern(v)))
		case "via":
			p.Via = append(p.Via, URI{Name: v, Hosts: []string{v}})
		case "request":
			p.Request = append(p.Request, URI{Name: v, Hosts: []string{v}})
		case "to":
			p.To = append(p.To, URI{Name: v, User: regexp.MustCompile(v)})
		case "from":
			p.From = append(p.From, URI{Name: v, Text: regexp.MustCompile(v)})
		case "desturi":
			p.DestinationURI = append(p.DestinationURI, URI{Name: v, Hosts: []string{v}})
		case "pref":
			p.Preference = must(strconv.Atoi(v))
		case "max":
			p.MaxCalls = must(strconv.Atoi(v))
		case "group":
			for i, g := range strings.Split(v, ",") {
				p.Group = append(p.Group, Choice{must(strconv.Atoi(g)), i})
			}
		case "in":
			m, r, _ := strings.Cut(v, "/")
			p.Incoming = Translation{Name: "in", Called: []Rule{must(NewRule(m, r))}}
		case "out":
			m, r, _ := strings.Cut(v, "/")
			p.Outgoing = Translation{Name: "out", Called: []Rule{must(NewRule(m, r))}}
		case "outcalling":
			m, r, _ := strings.Cut(v, "/")
			p.Outgoing.Name, p.Outgoing.Calling = "out", []Rule{must(NewRule(m, r))}
		default:
			t.Fatalf("what is %q?", w)
		}
	}
	return p
}

func queryOf(t *testing.T, words []string) (q Query) {
	address := func(v string) Address {
		user, host, ok := strings.Cut(v, "@")
		if !ok {
			user, host = "", v
		}
		return Address{User: user, Host: host, Text: "sip:" + v}
	}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "from":
			q.Calling = v
		case "to":
			q.Called = v
		case "sender":
			for _, s := range strings.Split(v, ",") {
				q.Sender = append(q.Sender, must(strconv.Atoi(s)))
			}
			q.Subject = "the peer of " + v
		case "via":
			q.Via = address(v)
		case "request":
			q.Request = address(v)
		case "touri":
			q.To = address(v)
		case "fromuri":
			q.From = address(v)
		default:
			t.Fatalf("what is %q?", w)
		}
	}
	return q
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestChooseWalk: whatever the peers, an answer keeps the rules that the doc comment promises.
func TestChooseWalk(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 34))
	patterns := []string{"6...", "60..", "6000$", "T", "[5-7]T", "+49T", "5", "."}
	for range 20000 {
		var peers []Peer
		for tag := 1; tag <= 2+rnd.IntN(6); tag++ {
			p := Peer{Tag: tag, Own: rnd.IntN(2) == 0, Outbound: rnd.IntN(4) > 0, Shutdown: rnd.IntN(8) == 0, Huntstop: rnd.IntN(5) == 0, Hairpin: rnd.IntN(8) == 0,
				Preference: rnd.IntN(3), MaxCalls: rnd.IntN(3), Destination: []Pattern{must(ParsePattern(patterns[rnd.IntN(len(patterns))]))}}
			if rnd.IntN(2) == 0 {
				p.IncomingCalled = []Pattern{must(ParsePattern(patterns[rnd.IntN(len(patterns))]))}
			}
			if rnd.IntN(6) == 0 {
				p.Group = []Choice{{1 + rnd.IntN(8), 1}, {1 + rnd.IntN(8), 0}}
			}
			peers = append(peers, p)
		}
		q := Query{Called: []string{"6000", "5551", "+4930", "1"}[rnd.IntN(4)], Calling: "6001", Sender: []int{1 + rnd.IntN(3)}}
		if rnd.IntN(6) == 0 {
			q.Sender = nil
		}
		status := func(tag int) Status { return Status{Calls: tag % 3} }
		a := NewTable(peers).Choose(q, status)
		checkAnswer(t, NewTable(peers), q, status, a)
		if t.Failed() {
			t.Fatalf("%+v\n%s", q, a.Text())
		}
	}
}

func checkAnswer(t *testing.T, table *Table, q Query, status func(int) Status, a Answer) {
	if (a.Why == Accepted) != (len(a.Out) > 0) {
		t.Errorf("why %d with %d choices", a.Why, len(a.Out))
	}
	if len(q.Sender) == 0 && a.Why != Untrusted {
		t.Errorf("a stranger gets why %d", a.Why)
	}
	in, _ := table.Peer(a.In)
	if a.In != 0 && (in.Shutdown || in.Own && !slices.Contains(q.Sender, in.Tag)) {
		t.Errorf("the inbound peer is shut down, or another's: %+v", in)
	}
	for i, l := range a.Out {
		p, ok := table.Peer(l.Tag)
		switch {
		case !ok || p.Shutdown || !p.Outbound:
			t.Errorf("goes out by %+v", p)
		case (p.Tag == a.In || slices.Contains(q.Sender, p.Tag)) && !p.Hairpin:
			t.Error("goes back where it came from")
		case p.MaxCalls > 0 && status(p.Tag).Calls >= p.MaxCalls:
			t.Error("goes to a full peer")
		case i+1 < len(a.Out) && p.Huntstop:
			t.Error("hunts beyond a huntstop")
		case i+1 < len(a.Out) && l.Spelt < a.Out[i+1].Spelt:
			t.Error("a shorter match comes first")
		}
	}
}

// TestClearPeers: a peer without TLS that is for every sender takes no call that came over TLS from the sender whose own peer it would go before.
func TestClearPeers(t *testing.T) {
	all, err := ParsePattern(".")
	if err != nil {
		t.Fatal(err)
	}
	table := NewTable([]Peer{{Tag: 2, Clear: true, IncomingCalled: []Pattern{all}}, {Tag: 60, Own: true, Outbound: true, Destination: []Pattern{all}}, {Tag: 71, Own: true}})
	for tls, want := range map[bool]int{true: 71, false: 2} {
		a := table.Choose(Query{Called: "6", Calling: "7", Sender: []int{71}, TLS: tls}, func(int) Status { return Status{} })
		if a.Why != Accepted || a.In != want {
			t.Errorf("TLS %v: %v by dial-peer %d, want %d:\n%s", tls, a.Why, a.In, want, a.Text())
		}
	}
}
