package callmanager

import (
	"slices"
	"strings"
	"sync"
)

// troubles are the sentences the status shows while something is wrong, one for each thing that can be: what is mended
// takes its own away and leaves the others. Guarded by its lock.
type troubles struct {
	mu   sync.Mutex
	list []trouble
}

type trouble struct{ about, text string }

// What can be in trouble.
const (
	aboutConfiguration = "configuration"
	aboutRecords       = "call records"
	aboutSettings      = "user settings"
	aboutJournal       = "journal of calls"
	aboutLostCalls     = "lost calls"
)

// set says what is wrong; an empty text, that it is well again. It tells whether that is news.
func (t *troubles) set(about, text string) (news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.Contains(t.list, trouble{about, text}) {
		return false
	}
	t.list = slices.DeleteFunc(t.list, func(x trouble) bool { return x.about == about })
	if text != "" {
		t.list = append(t.list, trouble{about, text})
	}
	return true
}

// text is all of it in one line; empty while all is well.
func (t *troubles) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for _, x := range t.list {
		out = append(out, x.text)
	}
	return strings.Join(out, "; ")
}
