package store

import (
	"slices"
	"sync"
)

// feeds are the channels of those who watch something, each with room for one
// value: the newest that its reader has not taken. So a slow reader holds up
// nobody, and misses what came in between, never the last.
type feeds[T any] struct {
	mu     sync.Mutex
	all    []feed[T]
	closed bool
}

type feed[T any] struct {
	notice string // what its reader waits for
	c      chan T
}

func (f *feeds[T]) add(notice string) chan T {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := make(chan T, 1)
	if f.closed {
		close(c)
		return c
	}
	f.all = append(f.all, feed[T]{notice, c})
	return c
}

// tell gives v to those who wait for the notice; noticeAll is for everybody.
func (f *feeds[T]) tell(notice string, v T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.all {
		if notice != noticeAll && x.notice != notice {
			continue
		}
		select {
		case <-x.c: // the one not read yet is no longer the newest
		default:
		}
		x.c <- v
	}
}

func (f *feeds[T]) drop(c chan T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.IndexFunc(f.all, func(x feed[T]) bool { return x.c == c }); i >= 0 {
		f.all = slices.Delete(f.all, i, i+1)
		close(c)
	}
}

func (f *feeds[T]) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.all {
		close(x.c)
	}
	f.all, f.closed = nil, true
}
