package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress is one line on a terminal that says what is being done and for how long. Without a terminal, and with
// --json, it is silent.
type progress struct {
	w    io.Writer // nil: silent
	mu   sync.Mutex
	text string
	from time.Time
	stop chan struct{}
	done sync.WaitGroup
}

// progress starts a line; nothing shows within the first second.
func (a *app) progress() *progress {
	p := &progress{stop: make(chan struct{}), from: time.Now()}
	if a.width == 0 || a.json {
		return p
	}
	p.w = a.err
	p.done.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.draw()
			case <-p.stop:
				fmt.Fprint(p.w, "\r\x1b[K")
				return
			}
		}
	})
	return p
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if took := time.Since(p.from); took > time.Second && p.text != "" {
		fmt.Fprintf(p.w, "\r\x1b[K%s ... %d s", p.text, int(took.Seconds()))
	}
}

// say changes what is being done.
func (p *progress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = text
}

// end wipes the line.
func (p *progress) end() {
	close(p.stop)
	p.done.Wait()
}
