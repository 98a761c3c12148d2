package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/locktone/locktone/pki"
)

// copyRetry is how long the follower waits before it tries again to write a copy that could not be written.
const copyRetry = 5 * time.Second

// A follower brings to this node what others changed, and to its copy what anybody changed. Its goroutine (run) does it; notices come
// from the link.
type follower struct {
	s    *Store
	mu   sync.Mutex
	news news          // guarded by mu
	wake chan struct{} // capacity 1
}

// told takes a notice; it never waits.
func (f *follower) told(payload string) {
	f.mu.Lock()
	f.news.add(payload)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *follower) take() news {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.news
	f.news = news{}
	return n
}

// run works until ctx ends.
func (f *follower) run(ctx context.Context) {
	var owed news // to the copy
	again := time.NewTimer(copyRetry)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-again.C:
		}
		n := f.take()
		f.see(ctx, n)
		owed.merge(n)
		if f.s.copy != nil && len(owed.about) > 0 {
			if err := f.s.copy.sync(ctx, f.s.e, owed); err == nil {
				owed = news{}
				f.s.signals.tell(noticeCopy, struct{}{})
			}
		}
		again.Reset(copyRetry)
	}
}

// see brings what is in memory up to date, and tells those who watch. What cannot be read now is read with the beginning of the next era.
func (f *follower) see(ctx context.Context, n news) {
	s := f.s
	if _, told := n.about[noticeRevision]; told || n.everything() {
		_, _ = s.refresh(ctx)
	}
	if rows, told := n.about[noticeCertificate]; told && rows != nil && !n.everything() {
		s.certs.reread(ctx, n.certs)
	} else if told || n.everything() {
		_ = s.certs.load(ctx)
	}
	for what := range n.about {
		s.signals.tell(what, struct{}{})
	}
}

// reread takes entries that somebody wrote.
func (c *Certificates) reread(ctx context.Context, refs map[[2]string]bool) {
	c.change.Lock()
	defer c.change.Unlock()
	for r := range refs {
		e, err := c.read(ctx, c.s.e.read, pki.Ref{Issuer: r[0], Serial: r[1]})
		switch {
		case err == nil:
			c.keep(e)
		case !errors.Is(err, notIssued):
			return
		}
	}
}
