package speech

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/locktone/locktone/media/wav"
)

// ErrNobody says that neither an engine nor the ready-made prompts can say a text.
var ErrNobody = errors.New("nobody can say it: no speech engine is there (Debian: espeak-ng or flite), and the ready-made prompts have not all of its words")

// Text is something to be said.
type Text struct {
	Text             string
	Language         string // BCP 47; empty: Config.Language
	As, Format, Role string // of say-as: interpret-as, format; Role is for the voice's name
}

// Config configures a Speaker. The zero value looks for espeak-ng, then flite.
type Config struct {
	// Engine is "auto" (also when empty), "none", "espeak-ng", "flite", or "command" for Command.
	Engine string
	// Command is an engine of the operator's: it reads the text from standard input and writes a WAV file to standard output; {language} and
	// {voice} in its arguments are replaced.
	Command  []string
	Voice    string        // name of a voice, as the engine knows it
	Language string        // of texts that say none; empty: en-US
	Timeout  time.Duration // of one text; zero: 10s
	Folder   string        // where sound is kept on the disk; empty: in memory alone
	Memory   int64         // octets of sound kept in memory; zero: 32 MiB
	Disk     int64         // octets kept on the disk; zero: 256 MiB
	AtOnce   int           // engines that run at the same time; zero: 2
}

// maxText bounds what is said in one piece, maxSound what comes of it: ten minutes.
const (
	maxText  = 8 << 10
	maxSound = 600 * wav.Rate
)

// Speaker says texts. Its methods are safe for concurrent use.
type Speaker struct {
	cfg    Config
	ready  *ready
	engine []string // nil: none
	name   string
	places chan struct{}

	mu    sync.Mutex
	kept  map[string]*list.Element
	order *list.List // of *sound, the last used in front
	size  int64
	under map[string]chan struct{} // texts an engine is saying now
	stats Stats
}

type sound struct {
	key string
	pcm []int16
}

// Stats are counters of a Speaker.
type Stats struct {
	Engine                    string // "none" without one
	Ready, Kept, Said, Failed uint64 // texts: by ready-made prompts, from what is kept, by the engine, not at all
	Octets                    int64  // kept in memory
	LastTime                  time.Duration
	LastError                 string
}

// Open makes a speaker. An engine that is named and not there is an error.
func Open(cfg Config) (*Speaker, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Memory == 0 {
		cfg.Memory = 32 << 20
	}
	if cfg.Disk == 0 {
		cfg.Disk = 256 << 20
	}
	if cfg.AtOnce <= 0 {
		cfg.AtOnce = 2
	}
	if cfg.Language == "" {
		cfg.Language = "en-US"
	}
	s := &Speaker{cfg: cfg, ready: newReady(), places: make(chan struct{}, cfg.AtOnce), kept: map[string]*list.Element{}, order: list.New(), under: map[string]chan struct{}{}}
	if err := s.choose(); err != nil {
		return nil, fmt.Errorf("speech: %w", err)
	}
	s.stats.Engine = s.name
	if cfg.Folder != "" {
		if err := os.MkdirAll(cfg.Folder, 0o700); err != nil {
			return nil, fmt.Errorf("speech: %w", err)
		}
	}
	return s, nil
}

// engines are those known, in the order they are looked for. {out} is a file for the sound of those that write none to standard output.
var engines = []struct {
	name    string
	command []string
	voice   string
}{
	{"espeak-ng", []string{"espeak-ng", "--stdin", "--stdout", "-v", "{voice}"}, "{language}"},
	{"flite", []string{"flite", "-voice", "{voice}", "-f", "/dev/stdin", "-o", "{out}"}, "slt"},
}

func (s *Speaker) choose() error {
	s.name = "none"
	switch s.cfg.Engine {
	case "none":
		return nil
	case "command":
		if len(s.cfg.Command) == 0 {
			return errors.New("the engine is a command, and none is given")
		}
		path, err := exec.LookPath(s.cfg.Command[0])
		if err != nil {
			return err
		}
		s.engine, s.name = append([]string{path}, s.cfg.Command[1:]...), "command"
		return nil
	}
	for _, e := range engines {
		if s.cfg.Engine != "" && s.cfg.Engine != "auto" && s.cfg.Engine != e.name {
			continue
		}
		path, err := exec.LookPath(e.name)
		if err != nil {
			if s.cfg.Engine == e.name {
				return err
			}
			continue
		}
		s.engine, s.name = append([]string{path}, e.command[1:]...), e.name
		if s.cfg.Voice == "" {
			s.cfg.Voice = e.voice
		}
		return nil
	}
	if s.cfg.Engine != "" && s.cfg.Engine != "auto" {
		return fmt.Errorf("%q is no engine: expected auto, none, espeak-ng, flite or command", s.cfg.Engine)
	}
	return nil
}

// Stats is a snapshot.
func (s *Speaker) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Octets = s.size
	return st
}

// Say is the sound of a text, 8,000 samples a second; it is shared and must not be changed. It blocks while an engine speaks.
func (s *Speaker) Say(ctx context.Context, t Text) ([]int16, error) {
	if t.Language == "" {
		t.Language = s.cfg.Language
	}
	if strings.TrimSpace(t.Text) == "" {
		return nil, nil
	}
	english := strings.HasPrefix(strings.ToLower(t.Language), "en")
	words, form := as(t.Text, t.As, t.Format), true
	if words == nil {
		words, form = plain(t.Text), false
	}
	if english && (form || s.ready.has(strings.Join(words, " "))) {
		if pcm := s.ready.say(words); pcm != nil {
			s.count(&s.stats.Ready)
			return pcm, nil
		}
	}
	err := error(nil)
	if s.engine != nil {
		if form {
			t.Text = strings.Join(words, " ") // an engine knows no say-as; it is told the words
			t.Text = strings.ReplaceAll(t.Text, "letter ", "")
		}
		var pcm []int16
		if pcm, err = s.spoken(ctx, t); err == nil || ctx.Err() != nil {
			return pcm, err
		}
	}
	if english {
		if pcm := s.ready.say(words); pcm != nil {
			s.count(&s.stats.Ready)
			return pcm, nil
		}
	}
	s.count(&s.stats.Failed)
	if err == nil {
		err = ErrNobody
	}
	return nil, err
}

func (s *Speaker) count(n *uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

// spoken is what the engine makes of a text, from what is kept where it was said before. A text that is being said is waited for.
func (s *Speaker) spoken(ctx context.Context, t Text) ([]int16, error) {
	if len(t.Text) > maxText {
		return nil, fmt.Errorf("a text of %d octets: at most %d are said in one piece", len(t.Text), maxText)
	}
	sum := sha256.Sum256([]byte(strings.Join(append([]string{t.Language, s.cfg.Voice, t.Role, t.Text}, s.engine...), "\x00")))
	key := hex.EncodeToString(sum[:])
	for {
		s.mu.Lock()
		if pcm, ok := s.get(key); ok {
			s.stats.Kept++
			s.mu.Unlock()
			return pcm, nil
		}
		wait := s.under[key]
		if wait == nil {
			s.under[key] = make(chan struct{})
			s.mu.Unlock()
			break
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	pcm, err := s.make(ctx, t, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.under[key])
	delete(s.under, key)
	if err != nil {
		s.stats.LastError = err.Error()
		return nil, err
	}
	s.keep(key, pcm)
	return pcm, nil
}

func (s *Speaker) get(key string) ([]int16, bool) {
	x := s.kept[key]
	if x == nil {
		return nil, false
	}
	s.order.MoveToFront(x)
	return x.Value.(*sound).pcm, true
}

// keep keeps a sound in memory; the longest unused go. The lock is held.
func (s *Speaker) keep(key string, pcm []int16) {
	if cost := int64(2 * len(pcm)); cost > s.cfg.Memory/4 {
		return
	}
	s.kept[key] = s.order.PushFront(&sound{key, pcm})
	s.size += int64(2 * len(pcm))
	for s.size > s.cfg.Memory {
		x := s.order.Remove(s.order.Back()).(*sound)
		delete(s.kept, x.key)
		s.size -= int64(2 * len(x.pcm))
	}
}

// make reads the sound from the disk, or has the engine say it.
func (s *Speaker) make(ctx context.Context, t Text, key string) ([]int16, error) {
	file := filepath.Join(s.cfg.Folder, key+".wav")
	if s.cfg.Folder != "" {
		if b, err := os.ReadFile(file); err == nil {
			if pcm, err := wav.Read(b); err == nil {
				now := time.Now()
				_ = os.Chtimes(file, now, now) // the age by which prune chooses; without it the file goes sooner
				s.count(&s.stats.Kept)
				return pcm, nil
			}
		}
	}
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	began := time.Now()
	pcm, err := s.run(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("speech engine %s: %w", s.name, err)
	}
	s.mu.Lock()
	s.stats.Said++
	s.stats.LastTime = time.Since(began)
	s.mu.Unlock()
	if s.cfg.Folder != "" {
		if err := store(file, wav.Append(nil, pcm)); err == nil {
			prune(s.cfg.Folder, s.cfg.Disk)
		}
	}
	return pcm, nil
}

// store writes a file whole or not at all.
func store(file string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), "new")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}

// prune removes the longest unused files over the limit.
func prune(folder string, limit int64) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	var all []os.FileInfo
	total := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".wav") {
			all, total = append(all, info), total+info.Size()
		}
	}
	slices.SortFunc(all, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range all {
		if total <= limit {
			return
		}
		if os.Remove(filepath.Join(folder, info.Name())) == nil {
			total -= info.Size()
		}
	}
}

// run has the engine say a text, in a process group of its own, without our environment.
func (s *Speaker) run(ctx context.Context, t Text) ([]int16, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	folder, err := os.MkdirTemp("", "speech")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	out, toFile := filepath.Join(folder, "out.wav"), slices.Contains(s.engine, "{out}")
	voice := strings.ReplaceAll(s.cfg.Voice, "{language}", strings.ToLower(t.Language))
	fill := strings.NewReplacer("{voice}", voice, "{language}", t.Language, "{out}", out)
	command := make([]string, len(s.engine))
	for i, a := range s.engine {
		command[i] = fill.Replace(a)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Dir = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}, folder
	cmd.Stdin = strings.NewReader(t.Text + "\n")
	sound, words := &bounded{left: 4 * maxSound}, &bounded{left: 1 << 10}
	cmd.Stdout, cmd.Stderr = sound, words
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	switch err := cmd.Run(); {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("it has said nothing for %v", s.cfg.Timeout)
	case err != nil:
		return nil, fmt.Errorf("%w %s", err, bytes.TrimSpace(words.Bytes()))
	case sound.left < 0:
		return nil, errors.New("its sound is longer than ten minutes")
	}
	b := sound.Bytes()
	if toFile {
		if b, err = readFile(out, 4*maxSound); err != nil {
			return nil, err
		}
	}
	pcm, err := wav.Read(b)
	if err == nil && len(pcm) == 0 {
		err = errors.New("it has made no sound")
	}
	return pcm, err
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// bounded keeps what is written, up to a limit.
type bounded struct {
	bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("too much")
	}
	return b.Buffer.Write(p)
}
