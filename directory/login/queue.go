package login

import (
	"context"
	"errors"
	"sync"
)

// budget is an amount of something that those at work share. Who comes first is served first: somebody who needs much is not overtaken
// for ever by those who need little.
type budget struct {
	mu      sync.Mutex
	size    int
	free    int
	waiting []*claim
}

type claim struct {
	need  int
	given chan struct{}
}

func newBudget(size int) *budget { return &budget{size: size, free: size} }

// take waits for an amount and returns what gives it back. More than there is at all counts as all there is.
func (b *budget) take(ctx context.Context, need int) (give func(), err error) {
	need = min(need, b.size)
	b.mu.Lock()
	if len(b.waiting) == 0 && b.free >= need {
		b.free -= need
		b.mu.Unlock()
		return func() { b.give(need) }, nil
	}
	c := &claim{need: need, given: make(chan struct{})}
	b.waiting = append(b.waiting, c)
	b.mu.Unlock()
	select {
	case <-c.given:
		if ctx.Err() != nil { // both at once
			b.give(need)
			return nil, ctx.Err()
		}
		return func() { b.give(need) }, nil
	case <-ctx.Done():
		if !b.leave(c) { // it was given in the same moment
			b.give(need)
		}
		return nil, ctx.Err()
	}
}

// leave removes a claim; false: it was met already.
func (b *budget) leave(c *claim) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, x := range b.waiting {
		if x == c {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			b.serve() // those behind may need less
			return true
		}
	}
	return false
}

func (b *budget) give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	b.serve()
}

func (b *budget) serve() {
	for len(b.waiting) > 0 && b.waiting[0].need <= b.free {
		b.free -= b.waiting[0].need
		close(b.waiting[0].given)
		b.waiting = b.waiting[1:]
	}
}

// errTooMany is the answer to who would be one too many to wait.
var errTooMany = errors.New("too many logins wait")

// turns lets the logins of one user follow each other.
type turns struct {
	mu     sync.Mutex
	all    map[string]*turn
	inside int // of all users, waiting or at work
	most   int
	ofOne  int
}

// turn is the place of one user. It exists while somebody is at work or waits.
type turn struct {
	place  chan struct{}
	inside int
	begun  uint64 // logins that have begun
	answer answer
}

// answer is what the newest login of a turn found.
type answer struct {
	begun  uint64
	mac    [32]byte
	result Result
}

// ticket is somebody in a turn.
type ticket struct {
	t    *turns
	name string
	turn *turn
	came uint64 // logins that had begun when it came
}

// enter takes the user's turn, waiting for those who came before.
func (t *turns) enter(ctx context.Context, name string) (*ticket, error) {
	t.mu.Lock()
	x := t.all[name]
	if x == nil {
		x = &turn{place: make(chan struct{}, 1)}
	}
	if t.inside >= t.most || x.inside >= t.ofOne {
		t.mu.Unlock()
		return nil, errTooMany
	}
	t.all[name] = x
	t.inside++
	x.inside++
	k := &ticket{t: t, name: name, turn: x, came: x.begun}
	t.mu.Unlock()
	select {
	case x.place <- struct{}{}: // who waits longest comes first
		return k, nil
	case <-ctx.Done():
		k.drop()
		return nil, ctx.Err()
	}
}

// drop forgets a ticket, and the turn with the last one.
func (k *ticket) drop() {
	k.t.mu.Lock()
	defer k.t.mu.Unlock()
	k.t.inside--
	if k.turn.inside--; k.turn.inside == 0 {
		delete(k.t.all, k.name)
	}
}

// shared is the answer of a login that began after this one came, with the same password.
func (k *ticket) shared(mac [32]byte) (Result, bool) {
	k.t.mu.Lock()
	defer k.t.mu.Unlock()
	if a := k.turn.answer; a.begun > k.came && a.mac == mac {
		return a.result, true
	}
	k.turn.begun++
	return Result{}, false
}

// done gives the turn to the next one; with a mac the result is there for those who came before it began.
func (k *ticket) done(mac [32]byte, r Result, share bool) {
	if share {
		k.t.mu.Lock()
		k.turn.answer = answer{begun: k.turn.begun, mac: mac, result: r}
		k.t.mu.Unlock()
	}
	<-k.turn.place
	k.drop()
}
