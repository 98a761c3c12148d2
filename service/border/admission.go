package border

import (
	"net/netip"
	"sync"
	"time"
)

// bucket is a token bucket on the clock of whoever asks it: rate tokens a second, burst at most. Its zero value lets everything through.
type bucket struct {
	mu          sync.Mutex
	rate, burst float64
	level       float64
	at          time.Time
}

func newBucket(rate, burst int) *bucket {
	return &bucket{rate: float64(rate), burst: float64(max(burst, 1)), level: float64(max(burst, 1))}
}

// allow takes a token, or says how long until there is one.
func (b *bucket) allow(now time.Time) (ok bool, wait time.Duration) {
	if b == nil || b.rate <= 0 {
		return true, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.at.IsZero() && now.After(b.at) {
		b.level = min(b.burst, b.level+now.Sub(b.at).Seconds()*b.rate)
	}
	if b.at.IsZero() || now.After(b.at) {
		b.at = now
	}
	if b.level < 1 {
		return false, time.Duration((1 - b.level) / b.rate * float64(time.Second))
	}
	b.level--
	return true, 0
}

// full says whether the bucket has been left alone long enough to be forgotten.
func (b *bucket) full(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.level+now.Sub(b.at).Seconds()*b.rate >= b.burst
}

// maxSources bounds the addresses remembered; beyond, newcomers share one bucket.
const maxSources = 16384

// sources limits the INVITEs of each address, guarded by its lock.
type sources struct {
	mu     sync.Mutex
	rate   int
	byAddr map[netip.Addr]*bucket
	others *bucket
}

// limit sets the rate; the addresses known begin anew when it is another.
func (s *sources) limit(rate int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rate != rate {
		s.rate, s.byAddr, s.others = rate, map[netip.Addr]*bucket{}, newBucket(rate, rate)
	}
}

// of is the bucket of an address. An IPv6 host has a /64 of its own.
func (s *sources) of(addr netip.Addr, now time.Time) *bucket {
	if addr = addr.Unmap(); addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			addr = p.Addr()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.byAddr[addr]; b != nil {
		return b
	}
	if len(s.byAddr) >= maxSources {
		for a, b := range s.byAddr {
			if b.full(now) {
				delete(s.byAddr, a)
			}
		}
	}
	if len(s.byAddr) >= maxSources || s.byAddr == nil {
		return s.others
	}
	b := newBucket(s.rate, s.rate)
	s.byAddr[addr] = b
	return b
}

// admission is what the border as a whole lets in.
type admission struct {
	calls  int // at the same time; zero is no limit
	second *bucket
}
