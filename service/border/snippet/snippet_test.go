package snippet

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/locktone/locktone/config"
)

var update = flag.Bool("update", false, "write the golden files")

// TestRead reads testdata/*.txt: a text of the field, and behind "----" what was made of each line, and of the site.
func TestRead(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) < 2 {
		t.Fatalf("only %d golden files", len(files))
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		input, _, _ := strings.Cut(string(data), "----\n")
		var out bytes.Buffer
		out.WriteString(input + "----\n")
		print(&out, Read(input, nil))
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if !bytes.Equal(out.Bytes(), data) {
			t.Errorf("%s says otherwise:\n%s", file, out.String())
		}
	}
}

func print(out *bytes.Buffer, r Result) {
	for _, l := range r.Lines {
		fmt.Fprintf(out, "%3d %-10s %s\n", l.Number, l.Verdict, l.Says)
	}
	for _, p := range r.Problems {
		fmt.Fprintln(out, "problem:", p)
	}
	for _, h := range r.Hints {
		fmt.Fprintln(out, "hint:", h)
	}
	out.Write(config.Format(r.Site, false))
}

// TestSeed: what a guide of the field says to paste makes an existing peer secure, and the prose around it is told from commands.
func TestSeed(t *testing.T) {
	data, err := os.ReadFile("testdata/seed.txt")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(data), "----\n")
	was := &config.Site{DialPeers: []config.DialPeer{{Tag: 6000, DestinationPatterns: []string{"6..."}, Transport: config.TransportUDP, SessionTargets: []config.SessionTarget{{Address: "127.0.1.20"}}}}}
	r := Read(text, was)
	if !r.Clean() {
		t.Fatalf("%+v", r)
	}
	p := r.Site.DialPeers[0]
	if p.Transport != config.TransportTLS || p.SessionTargets[0] != (config.SessionTarget{Address: "127.0.1.20", Port: 5061}) || p.DestinationPatterns[0] != "6..." || p.WithDefaults().SRTP != config.PeerSRTPRequired {
		t.Errorf("%+v", p)
	}
	if tp := r.Site.Trustpoints[0]; tp.Name != "ms-ca-name" || fmt.Sprint(tp.RemoteAddresses) != "[127.0.1.10 127.0.1.20]" {
		t.Errorf("%+v", tp)
	}
	if was.DialPeers[0].Transport != config.TransportUDP {
		t.Error("the current site was changed")
	}
	again := Read(text, r.Site)
	if d := config.Diff(r.Site, again.Site); len(d) > 0 {
		t.Errorf("pasting it twice changes %v", d)
	}
}

// TestGuide reads the whole guide the seed comes from, where it is at hand.
func TestGuide(t *testing.T) {
	files, _ := filepath.Glob("../../../../shared/seeds/003_*.txt")
	if len(files) == 0 {
		t.Skip("the guide is not at hand: no ../shared/seeds")
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("198.18.133.3", "127.0.1.10", "198.18.133.13", "127.0.1.20").Replace(string(data))
	r := Read(text, nil)
	for _, l := range r.Lines {
		if l.Verdict == Unknown || l.Verdict == Wrong {
			t.Errorf("%d %s: %s (%s)", l.Number, l.Verdict, l.Says, l.Text)
		}
	}
	if r.Count(Understood) < 11 || len(r.Site.DialPeers) != 1 || len(r.Problems) != 0 {
		t.Errorf("%d understood, %+v, %v", r.Count(Understood), r.Site.DialPeers, r.Problems)
	}
}

// TestWords: commands may be cut short, have a prompt in front and any case.
func TestWords(t *testing.T) {
	r := Read("edge#configure terminal\nedge(config)# DIAL-PEER VOICE 5 VOIP\n dest 5...\nedge(config-dial-peer)#sess tar ipv4:192.0.2.1\nno shut\n", nil)
	if !r.Clean() || len(r.Site.DialPeers) != 1 || r.Site.DialPeers[0].SessionTargets[0].Address != "192.0.2.1" {
		for _, l := range r.Lines {
			t.Log(l)
		}
		t.Error(r.Problems)
	}
}

// FuzzRead: every line is answered, whatever the text, and what comes of it is a site that says what is wrong with it.
func FuzzRead(f *testing.F) {
	for _, file := range []string{"testdata/seed.txt", "testdata/whole.txt"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		text, _, _ := strings.Cut(string(data), "----\n")
		f.Add(text)
	}
	f.Add("voice class uri 1 sip\nhost x\nvoice class server-group 1\nipv6 ::1\ndial-peer voice 1 voip\ndestination-pattern 5\x00\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := Read(text, nil)
		if want := strings.Count(text, "\n"); len(r.Lines) != want && len(r.Lines) != want+1 {
			t.Fatalf("%d lines answered of %d", len(r.Lines), want)
		}
		for i, l := range r.Lines {
			if l.Number != i+1 || l.Verdict == "" || l.Says == "" || !utf8.ValidString(l.Says) || strings.ContainsAny(l.Says+l.Text, "\n\r\x1b") {
				t.Fatalf("line %+v", l)
			}
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
		if err := r.Site.Check(); (err == nil) != (len(r.Problems) == 0) {
			t.Fatalf("%v, and problems %v", err, r.Problems)
		}
		again := Read(text, r.Site)
		if len(r.Problems) == 0 && len(again.Problems) > 0 {
			t.Fatalf("pasting it twice: %v", again.Problems)
		}
	})
}
