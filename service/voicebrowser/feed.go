package voicebrowser

import (
	"io"
	"sync"
	"time"

	"github.com/locktone/locktone/service/voicebrowser/interpreter"
)

// feed is a source that plays what is added to it, one piece after the other without a gap, until it was said that there is no more. It
// knows which prompt is heard and which mark was passed last.
type feed struct {
	mu     sync.Mutex
	pieces []piece
	at     int // piece
	pos    int // sample within it
	closed bool
	mark   string
	passed time.Time // when mark was
}

// piece is sound of a prompt, or a mark.
type piece struct {
	prompt interpreter.Prompt // without its pieces: what a key does to it
	pcm    []int16
	mark   string
}

func (f *feed) add(p piece) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pieces = append(f.pieces, p)
}

func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
}

// ReadPCM implements media.Source: while what comes next is not there yet it is silent.
func (f *feed) ReadPCM(dst []int16) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for f.at < len(f.pieces) {
		p := &f.pieces[f.at]
		if p.mark != "" && f.pos == 0 {
			f.mark, f.passed = p.mark, time.Now()
		}
		if n == len(dst) && f.pos < len(p.pcm) {
			return n, nil
		}
		c := copy(dst[n:], p.pcm[f.pos:])
		n, f.pos = n+c, f.pos+c
		if f.pos < len(p.pcm) {
			return n, nil
		}
		p.pcm = nil
		f.at, f.pos = f.at+1, 0
	}
	if f.closed {
		if n == 0 {
			return 0, io.EOF
		}
		clear(dst[n:])
		return len(dst), nil
	}
	clear(dst[n:])
	return len(dst), nil
}

// heard is the prompt that plays now, or comes next; the last one where all have played.
func (f *feed) heard() (p interpreter.Prompt, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pieces) == 0 {
		return p, false
	}
	return f.pieces[min(f.at, len(f.pieces)-1)].prompt, true
}

// marked is the last mark that was passed.
func (f *feed) marked(now time.Time) *interpreter.Mark {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mark == "" {
		return nil
	}
	return &interpreter.Mark{Name: f.mark, Time: now.Sub(f.passed)}
}
