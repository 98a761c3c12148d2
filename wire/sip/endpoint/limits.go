package endpoint

import (
	"hash/maphash"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// existing says whether a message belongs to something that exists, so that a limit on new work does not touch it:
// responses, ACK, CANCEL, BYE and everything inside a dialog.
func existing(m *sip.Message) bool {
	if !m.IsRequest() || m.ToTag() != "" {
		return true
	}
	switch m.Method() {
	case sip.ACK, sip.CANCEL, sip.BYE, sip.PRACK:
		return true
	}
	return false
}

// bucketShards spreads the sources over locks.
const bucketShards = 16

// buckets are token buckets by source address, bounded in number.
type buckets struct {
	limits *Limits
	parts  [bucketShards]bucketPart
}

type bucketPart struct {
	mu       sync.Mutex
	sources  map[netip.Addr]*bucket
	overflow bucket // shared by sources that found no place
}

type bucket struct {
	at                transaction.Instant
	register, request float64 // tokens spent, shrinking with time
}

// allow takes one token of the source for this method.
func (b *buckets) allow(from netip.Addr, m *sip.Message, now transaction.Instant) bool {
	rate, burst := b.limits.RequestRate, b.limits.RequestBurst
	register := m.Method() == sip.REGISTER
	if register {
		rate, burst = b.limits.RegisterRate, b.limits.RegisterBurst
	}
	if rate < 0 {
		return true
	}
	raw := from.As16()
	part := &b.parts[(raw[15]^raw[14]^raw[7])%bucketShards]
	part.mu.Lock()
	defer part.mu.Unlock()
	bk := part.find(from, now, b.limits)
	bk.refill(now, b.limits)
	spent := &bk.request
	if register {
		spent = &bk.register
	}
	if *spent+1 > float64(burst) {
		return false
	}
	*spent++
	return true
}

func (bk *bucket) refill(now transaction.Instant, l *Limits) {
	passed := time.Duration(now - bk.at).Seconds()
	bk.at = now
	bk.register = max(0, bk.register-passed*l.RegisterRate)
	bk.request = max(0, bk.request-passed*l.RequestRate)
}

// find is the source's bucket. A full table loses the buckets that are full again, of a few looked at.
func (p *bucketPart) find(from netip.Addr, now transaction.Instant, l *Limits) *bucket {
	if bk := p.sources[from]; bk != nil {
		return bk
	}
	if len(p.sources) >= max(1, l.Sources/bucketShards) && !p.evict(now, l) {
		return &p.overflow
	}
	if p.sources == nil {
		p.sources = map[netip.Addr]*bucket{}
	}
	bk := &bucket{at: now}
	p.sources[from] = bk
	return bk
}

func (p *bucketPart) evict(now transaction.Instant, l *Limits) bool {
	looked := 0
	for addr, bk := range p.sources {
		bk.refill(now, l)
		if bk.register == 0 && bk.request == 0 {
			delete(p.sources, addr)
			return true
		}
		if looked++; looked == 8 {
			break
		}
	}
	return false
}

// refuse is the stateless 503 with Retry-After. RFC 3261, 21.5.4: the seconds are spread, so that those who were refused
// together do not come back together.
func (e *Endpoint) refuse(f *transport.Flow, m *sip.Message) {
	base := int(e.cfg.Limits.RetryAfter / time.Second)
	spread := int(maphash.String(e.seed, m.CallID()) % uint64(base/2+1))
	e.answer(f, m, 503, strconv.Itoa(base+spread))
}

// answer responds without a transaction. RFC 3261, 8.2.7: the To tag is the same for the same request, and the ACK for it
// is known by its tag.
func (e *Endpoint) answer(f *transport.Flow, m *sip.Message, status int, retryAfter string) {
	res := sip.NewResponse(m, status, "")
	res.SetToTag(e.statelessTag(m))
	if retryAfter != "" {
		res.Set("Retry-After", retryAfter)
	}
	if e.cfg.Server != "" {
		res.Set("Server", e.cfg.Server)
	}
	_ = f.ForReply(m.TopVia()).Send(res)
}

// statelessTag is the tag of our stateless responses to m, and to the INVITE m acknowledges.
func (e *Endpoint) statelessTag(m *sip.Message) string {
	var h maphash.Hash
	h.SetSeed(e.seed)
	_, _ = h.WriteString(m.CallID())
	_ = h.WriteByte(0)
	_, _ = h.WriteString(m.FromTag())
	_ = h.WriteByte(0)
	_, _ = h.WriteString(m.TopVia().Branch())
	var b [20]byte
	return string(strconv.AppendUint(append(b[:0], "sl"...), h.Sum64(), 36))
}
