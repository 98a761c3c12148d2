package speech

import (
	"embed"
	"strings"
	"sync"

	"github.com/locktone/locktone/media/wav"
)

//go:embed prompts/*.wav prompts/vocabulary.txt
var files embed.FS

// A Piece is one entry of the vocabulary.
type Piece struct {
	Words  string // as texts have it
	Spoken string // as the voice is told
}

// File is the name of a piece's file.
func (p Piece) File() string { return strings.ReplaceAll(p.Words, " ", "-") + ".wav" }

// Vocabulary reads prompts/vocabulary.txt.
func Vocabulary(text string) (all []Piece) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		words, spoken, differs := strings.Cut(line, " = ")
		if !differs {
			spoken = words
		}
		all = append(all, Piece{Words: words, Spoken: spoken})
	}
	return all
}

// ready are the ready-made prompts by their words; they are decoded when they are first said.
type ready struct {
	longest int // words of a piece
	mu      sync.Mutex
	pcm     map[string][]int16 // nil: not decoded yet
}

func newReady() *ready {
	r := &ready{pcm: map[string][]int16{}}
	text, err := files.ReadFile("prompts/vocabulary.txt")
	if err != nil {
		return r // cannot be: it is embedded
	}
	for _, p := range Vocabulary(string(text)) {
		r.pcm[p.Words] = nil
		r.longest = max(r.longest, strings.Count(p.Words, " ")+1)
	}
	return r
}

// has says whether there is a prompt of exactly these words.
func (r *ready) has(words string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.pcm[words]
	return ok
}

// piece is the sound of one entry; nil where there is none.
func (r *ready) piece(words string) []int16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	pcm, known := r.pcm[words]
	if !known || pcm != nil {
		return pcm
	}
	b, err := files.ReadFile("prompts/" + Piece{Words: words}.File())
	if err == nil {
		pcm, err = wav.Read(b)
	}
	if err != nil {
		return nil
	}
	r.pcm[words] = pcm
	return pcm
}

// gap is the silence between two pieces, samples: 60 ms; pause that of a comma: 300 ms.
const (
	gap   = 480
	pause = 2400
)

// say joins the longest pieces that the words begin with; nil where one word is missing.
func (r *ready) say(words []string) []int16 {
	var out []int16
	for at := 0; at < len(words); {
		if words[at] == "," {
			out = append(out, make([]int16, pause)...)
			at++
			continue
		}
		n := r.match(words[at:])
		if n == 0 {
			return nil
		}
		out = append(out, r.piece(strings.Join(words[at:at+n], " "))...)
		out = append(out, make([]int16, gap)...)
		at += n
	}
	return out
}

// match is how many words the longest piece has that stands here.
func (r *ready) match(words []string) int {
	for n := min(len(words), r.longest); n > 0; n-- {
		if r.has(strings.Join(words[:n], " ")) {
			return n
		}
	}
	return 0
}
