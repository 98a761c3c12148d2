package login

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/locktone/locktone/store"
)

// history writes the last login of each user, behind the logins: whoever logs in does not wait for it. When more come than can be
// written, of one user the newest is written and of too many users some are left out.
type history struct {
	mu      sync.Mutex
	waiting map[string]Last
	closed  bool
	woken   chan struct{}
	over    chan struct{}
}

const (
	maxHistory   = 2000
	historyBatch = 64
)

func (h *history) start(docs Documents, warn func(string)) {
	h.waiting, h.woken, h.over = map[string]Last{}, make(chan struct{}, 1), make(chan struct{})
	go h.run(docs, warn)
}

func (h *history) put(x Last) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, there := h.waiting[x.User]; h.closed || !there && len(h.waiting) >= maxHistory {
		return
	}
	h.waiting[x.User] = x
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

func (h *history) run(docs Documents, warn func(string)) {
	defer close(h.over)
	for range h.woken {
		for {
			writes := h.take()
			if len(writes) == 0 {
				break
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			_, err := docs.PutAll(ctx, writes)
			cancel()
			if err != nil {
				warn(fmt.Sprintf("the last logins of %d users cannot be remembered: %v", len(writes), err))
			}
		}
	}
}

func (h *history) take() (out []store.Write) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for user, x := range h.waiting {
		if len(out) == historyBatch {
			break
		}
		out = append(out, store.Write{Key: lastKey(user), Value: x, IfRevision: store.AnyRevision})
		delete(h.waiting, user)
	}
	return out
}

// close writes what waits and ends the goroutine.
func (h *history) close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.woken)
	}
	h.mu.Unlock()
	<-h.over
}
