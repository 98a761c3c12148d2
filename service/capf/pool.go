package capf

import (
	"context"
	"crypto/rsa"
	"math/big"
	"sync"
	"time"
)

func divides(k *rsa.PublicKey, p int64) bool {
	return new(big.Int).Mod(k.N, big.NewInt(p)).Sign() == 0
}

// stage orders work: what brings a session to its end goes first, so that a burst is worked off session by session and
// not all sessions at once.
type stage int

const (
	stageEnd stage = iota
	stageIssue
	stageAuthenticate
	stages
)

// pool does work that costs CPU with few workers that rest in between. Each session has at most one job, so that the
// queues are bounded by the number of connections.
type pool struct {
	ctx    context.Context
	queues [stages]chan func()
	share  float64
	wg     sync.WaitGroup
}

func newPool(ctx context.Context, p Pace, jobs int) *pool {
	w := &pool{ctx: ctx, share: p.Share}
	for i := range w.queues {
		w.queues[i] = make(chan func(), jobs)
	}
	for range p.Workers {
		w.wg.Go(func() { w.work(ctx) })
	}
	return w
}

// do queues a job. It does not block as long as there are no more sessions than newPool was told.
func (w *pool) do(s stage, job func()) {
	select {
	case w.queues[s] <- job:
	case <-w.ctx.Done():
	}
}

func (w *pool) length() (n int) {
	for _, q := range w.queues {
		n += len(q)
	}
	return n
}

// longestRest bounds the rest after a job that took long because it waited for somebody.
const longestRest = time.Second

func (w *pool) work(ctx context.Context) {
	for {
		job := w.next(ctx)
		if job == nil {
			return
		}
		begun := time.Now()
		job()
		rest := time.Duration(float64(time.Since(begun)) * (1 - w.share) / w.share)
		select {
		case <-time.After(min(rest, longestRest)):
		case <-ctx.Done():
		}
	}
}

// next is the most urgent job; nil when the pool ends.
func (w *pool) next(ctx context.Context) func() {
	for _, q := range w.queues {
		select {
		case job := <-q:
			return job
		default:
		}
	}
	select {
	case job := <-w.queues[stageEnd]:
		return job
	case job := <-w.queues[stageIssue]:
		return job
	case job := <-w.queues[stageAuthenticate]:
		return job
	case <-ctx.Done():
		return nil
	}
}
