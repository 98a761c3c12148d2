package load

import (
	"errors"
	"strconv"
	"sync"
	"time"
)

// transaction is a request that waits for its final answer. It is as much of RFC 3261, 17.1 as a generator needs: over
// UDP it is sent again after 0.5, 1, 2 and 4 s, and it fails after Config.Timeout.
type transaction struct {
	phone   *phone
	callID  string
	seq     uint32
	raw     []byte
	started time.Time
	// event is called by the phone's reader for every response, or by the sweep with an error. It is called with one final
	// response, except an INVITE's, whose 2xx may come again.
	event func(*message, error)
	keep  bool // an INVITE stays known until its call ends, for retransmitted answers

	mu       sync.Mutex
	next     time.Time // when to send again
	interval time.Duration
	settled  bool // a final answer came, or a provisional one to an INVITE: do not send again
	final    bool
}

// errTimeout: no answer within Config.Timeout.
var errTimeout = errors.New("timeout")

const (
	t1 = 500 * time.Millisecond // RFC 3261, 17.1.1.1
	t2 = 4 * time.Second
	// sweepEvery is how often waiting transactions are looked at.
	sweepEvery = 100 * time.Millisecond
)

// table finds transactions and dialogs without one lock for all.
type table[V any] struct {
	shard [64]struct {
		mu  sync.Mutex
		all map[string]V
		_   [40]byte // a cache line each
	}
}

func (t *table[V]) at(key []byte) int {
	h := uint32(2166136261) // FNV-1a
	for _, c := range key {
		h = (h ^ uint32(c)) * 16777619
	}
	return int(h % uint32(len(t.shard)))
}

func (t *table[V]) get(key []byte) (V, bool) {
	s := &t.shard[t.at(key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.all[string(key)]
	return v, ok
}

func (t *table[V]) put(key []byte, v V) {
	s := &t.shard[t.at(key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]V{}
	}
	s.all[string(key)] = v
}

func (t *table[V]) drop(key []byte) (V, bool) {
	s := &t.shard[t.at(key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.all[string(key)]
	delete(s.all, string(key))
	return v, ok
}

// each calls f for a copy of every entry.
func (t *table[V]) each(f func(V)) {
	var list []V
	for i := range t.shard {
		s := &t.shard[i]
		list = list[:0]
		s.mu.Lock()
		for _, v := range s.all {
			list = append(list, v)
		}
		s.mu.Unlock()
		for _, v := range list {
			f(v)
		}
	}
}

func (t *transaction) key(b []byte) []byte {
	return strconv.AppendUint(append(append(b, t.callID...), '/'), uint64(t.seq), 10)
}

// send starts a transaction.
func (r *run) send(t *transaction) {
	now := time.Now()
	if t.started.IsZero() {
		t.started = now
	}
	t.next, t.interval = now.Add(t1), t1
	var key [128]byte
	r.waiting.put(t.key(key[:0]), t)
	if err := t.phone.flow.send(t.raw); err != nil {
		r.settle(t)
		t.event(nil, err)
	}
}

// restart gives a transaction its time once more.
func (r *run) restart(t *transaction) {
	t.mu.Lock()
	t.started, t.final = time.Now(), false
	t.mu.Unlock()
	var key [128]byte
	r.waiting.put(t.key(key[:0]), t)
}

// settle forgets a transaction.
func (r *run) settle(t *transaction) {
	t.mu.Lock()
	t.settled, t.final = true, true
	t.mu.Unlock()
	var key [128]byte
	r.waiting.drop(t.key(key[:0]))
}

// response finds what a response answers.
func (r *run) response(p *phone, m *message) {
	var key [128]byte
	k := append(append(append(key[:0], m.callID...), '/'), m.cseq...)
	t, ok := r.waiting.get(k)
	if string(m.method) == "CANCEL" {
		return // it is the INVITE's answer that counts
	}
	if !ok {
		if m.status >= 200 {
			r.duplicates.Add(1)
		}
		return
	}
	t.mu.Lock()
	was := t.final
	t.final = t.final || m.status >= 200
	t.settled = t.settled || t.final || t.keep
	t.mu.Unlock()
	if was && m.status < 200 {
		return // overtaken on the way
	}
	if was && !t.keep {
		r.duplicates.Add(1)
		return
	}
	if m.status >= 200 && !t.keep {
		r.settle(t)
	}
	if (m.status == 401 || m.status == 407) && !was && !r.cfg.Password.IsZero() {
		r.again(t, m)
		return
	}
	t.event(m, nil)
}

// again answers a challenge with the request's next attempt.
func (r *run) again(t *transaction, m *message) {
	if t.keep {
		_ = t.phone.flow.send(ackRefused(t.raw, m))
		r.settle(t)
	}
	raw, seq, err := t.phone.authorized(t, m)
	if err != nil {
		t.event(nil, err)
		return
	}
	t.mu.Lock()
	t.raw, t.seq, t.settled, t.final = raw, seq, false, false
	t.mu.Unlock()
	r.send(t)
}

// sweep resends over UDP and ends what waits for too long.
func (r *run) sweep(now time.Time) {
	udp := r.cfg.Network == "udp"
	r.waiting.each(func(t *transaction) {
		t.mu.Lock()
		late := !t.final && now.Sub(t.started) > r.cfg.Timeout
		resend := udp && !t.settled && now.After(t.next)
		if resend {
			t.interval *= 2
			if !t.keep { // RFC 3261, 17.1.2.2: timer E stops growing at T2
				t.interval = min(t.interval, t2)
			}
			t.next = now.Add(t.interval)
		}
		raw := t.raw
		t.mu.Unlock()
		switch {
		case late:
			r.settle(t)
			t.event(nil, errTimeout)
		case resend:
			r.resent.Add(1)
			_ = t.phone.flow.send(raw)
		}
	})
	if udp {
		r.dialogs.each(func(d *dialog) { d.again(now) })
	}
}
