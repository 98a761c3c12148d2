package speech

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/media/wav"
)

func TestWords(t *testing.T) {
	for _, test := range []struct{ text, as, format, want string }{
		{"Please hold the line.", "", "", "please hold the line"},
		{"You are number 21, in the queue!", "", "", "you are number twenty one , in the queue"},
		{"1,234.05", "", "", "one thousand two hundred thirty four point zero five"},
		{"-7", "number", "", "minus seven"},
		{"4711", "digits", "", "four seven one one"},
		{"4711", "vxml:digits", "", "four seven one one"},
		{"A1*#", "characters", "", "letter a one star pound"},
		{"+49 30", "telephone", "", "plus four nine , three zero"},
		{"21", "number", "ordinal", "twenty first"},
		{"1000000", "number", "", "one million"},
		{"20261122", "vxml:date", "", "november twenty second twenty twenty six"},
		{"????0501", "vxml:date", "", "may first"},
		{"3/2/1905", "date", "mdy", "march second nineteen oh five"},
		{"1430h", "vxml:time", "", "fourteen thirty"},
		{"0205p", "vxml:time", "", "two oh five p m"},
		{"10:00", "time", "", "ten o clock"},
		{"USD12.50", "vxml:currency", "", "twelve dollars and fifty cents"},
		{"$1.01", "currency", "", "one dollar and one cent"},
		{"true", "vxml:boolean", "", "yes"},
	} {
		words := as(test.text, test.as, test.format)
		if test.as == "" {
			words = plain(test.text)
		}
		if got := strings.Join(words, " "); got != test.want {
			t.Errorf("%q as %q: %q, want %q", test.text, test.as, got, test.want)
		}
	}
	for _, bad := range [][3]string{{"hello", "date", ""}, {"99:99", "time", ""}, {"13/13/13", "date", "mdy"}, {"abc", "number", ""}, {"x", "unheard-of", ""}, {"", "currency", ""}} {
		if got := as(bad[0], bad[1], bad[2]); got != nil {
			t.Errorf("%q as %s is %q", bad[0], bad[1], got)
		}
	}
}

// TestReady: without any engine numbers and phrases are heard, and a text with a word that is not ready is refused, not mumbled.
func TestReady(t *testing.T) {
	s := open(t, Config{Engine: "none"})
	total := 0
	for words := range s.ready.pcm {
		pcm := s.ready.piece(words)
		if len(pcm) < wav.Rate/10 || len(pcm) > 4*wav.Rate || loudness(pcm) < 700 {
			t.Errorf("%q: %d samples, loudness %v", words, len(pcm), loudness(pcm))
		}
		total += len(pcm)
	}
	if total > 1500000 {
		t.Errorf("%d octets of prompts", total)
	}
	for _, text := range []Text{{Text: "Please hold the line."}, {Text: "You are number 3 in the queue"}, {Text: "pass"}, {Text: "90210", As: "digits"}, {Text: "fail", Language: "en-GB"}} {
		if pcm, err := s.Say(t.Context(), text); err != nil || loudness(pcm) < 500 {
			t.Errorf("%+v: %d samples, %v", text, len(pcm), err)
		}
	}
	for _, text := range []Text{{Text: "Willkommen", Language: "de"}, {Text: "one two", Language: "fr"}, {Text: "please hold the xylophone"}} {
		if pcm, err := s.Say(t.Context(), text); !errors.Is(err, ErrNobody) {
			t.Errorf("%+v: %d samples, %v", text, len(pcm), err)
		}
	}
	if pcm, err := s.Say(t.Context(), Text{Text: " \n "}); pcm != nil || err != nil {
		t.Errorf("nothing: %v, %v", pcm, err)
	}
	if st := s.Stats(); st.Ready != 5 || st.Failed != 3 || st.Engine != "none" {
		t.Errorf("stats %+v", st)
	}
}

func loudness(pcm []int16) float64 {
	sum := 0.0
	for _, v := range pcm {
		sum += max(float64(v), -float64(v))
	}
	return sum / float64(max(1, len(pcm)))
}

func open(t testing.TB, cfg Config) *Speaker {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// engine is a command that writes how often it ran into a file, and says what the script says.
func engine(t testing.TB, script string) (command []string, runs func() int) {
	folder := t.TempDir()
	sound, count := filepath.Join(folder, "sound.wav"), filepath.Join(folder, "count")
	pcm := make([]int16, 800)
	for i := range pcm {
		pcm[i] = 9000
	}
	if err := os.WriteFile(sound, wav.Append(nil, pcm), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"sh", "-c", "cat >>" + folder + "/texts; echo x >>" + count + "; " + strings.ReplaceAll(script, "SOUND", sound)},
		func() int {
			b, _ := os.ReadFile(count)
			return len(b) / 2
		}
}

// TestKept: what an engine has said is said again from memory, after a start from the disk, and once for all who want it at the same time.
func TestKept(t *testing.T) {
	command, runs := engine(t, "sleep 0.05; cat SOUND")
	folder := filepath.Join(t.TempDir(), "speech")
	cfg := Config{Engine: "command", Command: command, Folder: folder, Disk: 4 << 10}
	s := open(t, cfg)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if pcm, err := s.Say(t.Context(), Text{Text: "Guten Tag", Language: "de"}); err != nil || len(pcm) != 800 {
				t.Errorf("%d samples, %v", len(pcm), err)
			}
		})
	}
	all.Wait()
	s = open(t, cfg)
	if _, err := s.Say(t.Context(), Text{Text: "Guten Tag", Language: "de"}); err != nil || runs() != 1 {
		t.Errorf("the engine ran %d times, %v", runs(), err)
	}
	for _, text := range []string{"eins", "zwei", "drei", "vier"} {
		if _, err := s.Say(t.Context(), Text{Text: text, Language: "de"}); err != nil {
			t.Error(err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*.wav")); len(left) > 2 || len(left) == 0 {
		t.Errorf("%d files of 1.6 kB on the disk, which may hold 4 KiB", len(left))
	}
}

// TestEngineThatFails: its time is bounded, its sound is, and a text of ready-made words is heard all the same.
func TestEngineThatFails(t *testing.T) {
	for script, why := range map[string]string{"exit 3": "exit status 3", "sleep 60 & sleep 60": "said nothing for", "echo no": "wav", "yes | head -c 30000000": ""} {
		command, _ := engine(t, script)
		s := open(t, Config{Engine: "command", Command: command, Timeout: 200 * time.Millisecond})
		began := time.Now()
		if _, err := s.Say(t.Context(), Text{Text: "bonjour", Language: "fr"}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", script, err)
		}
		if time.Since(began) > 10*time.Second {
			t.Errorf("%s: took %v", script, time.Since(began))
		}
		if pcm, err := s.Say(t.Context(), Text{Text: "press one for sales"}); err != nil || len(pcm) == 0 {
			t.Errorf("%s: ready-made: %v", script, err)
		}
	}
	if _, err := Open(Config{Engine: "command", Command: []string{"no-such-engine-anywhere"}}); err == nil {
		t.Error("an engine that is not there is taken")
	}
	if _, err := Open(Config{Engine: "festival"}); err == nil {
		t.Error("an engine nobody knows is taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	command, _ := engine(t, "sleep 60")
	if _, err := open(t, Config{Engine: "command", Command: command}).Say(ctx, Text{Text: "bonjour", Language: "fr"}); err == nil {
		t.Error("a call that is over is spoken to")
	}
}

// TestEngines: the engines of this machine say something.
func TestEngines(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			if _, err := exec.LookPath(e.name); err != nil {
				t.Skipf("%s is not installed: scripts/peers installs it", e.name)
			}
			s := open(t, Config{Engine: e.name})
			pcm, err := s.Say(t.Context(), Text{Text: "The quick brown fox -h --help jumps over the lazy dog."})
			if err != nil || len(pcm) < wav.Rate || len(pcm) > 10*wav.Rate || loudness(pcm) < 100 {
				t.Errorf("%d samples, loudness %v, %v", len(pcm), loudness(pcm), err)
			}
			t.Logf("%d samples in %v", len(pcm), s.Stats().LastTime)
		})
	}
}
