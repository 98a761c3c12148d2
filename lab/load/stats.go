package load

import (
	"maps"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// histogram counts durations in buckets that are at most 1/32 wide, from 1 us to more than an hour. It may be written from
// many goroutines.
type histogram struct {
	bucket [32 * 33]atomic.Uint32
	sum    atomic.Int64 // us
	max    atomic.Int64 // us
}

func (h *histogram) add(d time.Duration) {
	us := max(0, d.Microseconds())
	h.bucket[bucketOf(uint64(us))].Add(1)
	h.sum.Add(us)
	for {
		was := h.max.Load()
		if us <= was || h.max.CompareAndSwap(was, us) {
			return
		}
	}
}

// bucketOf is exact below 32 us; above, 32 buckets for every doubling.
func bucketOf(us uint64) int {
	if us < 32 {
		return int(us)
	}
	shift := min(bits.Len64(us)-6, 30)
	return min(32*(shift+1)+int(us>>shift)-32, 32*33-1)
}

// lowest is the smallest value of a bucket.
func lowest(i int) int64 {
	if i < 32 {
		return int64(i)
	}
	shift := i/32 - 1
	return int64(i%32+32) << shift
}

// Latency is a distribution, in microseconds. A percentile is exact to 1/32.
type Latency struct {
	Count  uint64 `json:"count"`
	MeanUS int64  `json:"mean_us"`
	P50US  int64  `json:"p50_us"`
	P90US  int64  `json:"p90_us"`
	P99US  int64  `json:"p99_us"`
	MaxUS  int64  `json:"max_us"`
}

func (h *histogram) latency() Latency {
	var l Latency
	for i := range h.bucket {
		l.Count += uint64(h.bucket[i].Load())
	}
	if l.Count == 0 {
		return l
	}
	l.MeanUS, l.MaxUS = h.sum.Load()/int64(l.Count), h.max.Load()
	at := func(share float64) int64 {
		want, seen := uint64(share*float64(l.Count)+0.999999), uint64(0)
		for i := range h.bucket {
			if seen += uint64(h.bucket[i].Load()); seen >= want {
				return lowest(i)
			}
		}
		return l.MaxUS
	}
	l.P50US, l.P90US, l.P99US = at(0.5), at(0.9), at(0.99)
	return l
}

// MediaCounts are the packets of all streams of a run.
type MediaCounts struct {
	Sent          uint64 `json:"sent"`
	Received      uint64 `json:"received"`
	Authenticated uint64 `json:"authenticated"` // received, and the SRTP tag was right
	Rejected      uint64 `json:"rejected"`      // received, and it was not, or it was a replay
	Lost          uint64 `json:"lost"`          // sequence numbers that never came
	Early         uint64 `json:"early"`         // before the answer with the key: neither received nor rejected
}

// Result is what a run found.
type Result struct {
	Mode        Mode             `json:"mode"`
	Server      string           `json:"server"`
	Transport   string           `json:"transport"`
	Phones      int              `json:"phones"`
	Rate        float64          `json:"rate"`          // asked for
	RateDone    float64          `json:"rate_achieved"` // started a second
	Seconds     float64          `json:"seconds"`
	Attempted   uint64           `json:"attempted"`
	Answered    uint64           `json:"answered"`  // 200 to INVITE or REGISTER; handshakes done
	Completed   uint64           `json:"completed"` // and ended with 200 to BYE
	Failed      uint64           `json:"failed"`
	Failures    map[string]int64 `json:"failures,omitempty"` // by status, or what happened
	Resent      uint64           `json:"retransmissions_sent"`
	Duplicates  uint64           `json:"retransmissions_received"`
	Registered  int              `json:"registered"`
	Registering Latency          `json:"register"`
	Handshake   Latency          `json:"handshake"`
	Ringing     Latency          `json:"invite_180"`
	Answer      Latency          `json:"invite_200"`
	Ending      Latency          `json:"bye_200"`
	Moved       *Moved           `json:"moved,omitempty"`
	Media       *MediaCounts     `json:"media,omitempty"`
	MediaDelay  *Latency         `json:"media_delay,omitempty"`
	OwnCPU      float64          `json:"generator_cpu_seconds"`
}

// Clean says whether everything that was tried ended well and nothing had to be sent twice.
func (r *Result) Clean() bool {
	return r.Failed == 0 && r.Resent == 0 && r.Duplicates == 0 && r.Answered == r.Attempted
}

// stats are counted while a run goes on.
type stats struct {
	attempted, answered, completed, resent, duplicates          atomic.Uint64
	registered                                                  atomic.Int64
	registering, handshake, ringing, answer, ending             histogram
	sent, received, authenticated, rejected, lostPackets, early atomic.Uint64
	delay                                                       histogram

	mu       sync.Mutex
	failures map[string]int64
}

func (s *stats) fail(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures == nil {
		s.failures = map[string]int64{}
	}
	if _, known := s.failures[why]; !known && len(s.failures) >= 100 {
		why = "others"
	}
	s.failures[why]++
}

func (s *stats) media() MediaCounts {
	return MediaCounts{s.sent.Load(), s.received.Load(), s.authenticated.Load(), s.rejected.Load(), s.lostPackets.Load(), s.early.Load()}
}

func (s *stats) failed() (all uint64, by map[string]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(s.failures)) {
		all += uint64(s.failures[k])
	}
	return all, maps.Clone(s.failures)
}

// ownCPU is the time this process has spent on processors.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
