package media

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/rtpstat"
)

// Proof says what the last packets of a leg showed. The numbers are those of the call engine's proofs.
type Proof uint8

// The proofs. The zero: media goes directly between the ends, or nothing was to be expected yet.
const (
	ProofNone          Proof = iota
	ProofAuthenticated       // SRTP whose tags verified
	ProofPlain               // plain RTP, as agreed
	ProofFailed              // packets arrive that are not what was agreed: wrong or missing keys, or no SRTP at all
	ProofSilent              // the far end should be sending, and nothing arrives that may be taken: one-way audio
)

// String is the word.
func (p Proof) String() string {
	return [...]string{"none", "authenticated", "plain", "failed", "silent"}[min(p, ProofSilent)]
}

// MarshalText is String, for JSON.
func (p Proof) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the word.
func (p *Proof) UnmarshalText(b []byte) error {
	for q := ProofNone; q <= ProofSilent; q++ {
		if q.String() == string(b) {
			*p = q
			return nil
		}
	}
	return fmt.Errorf("media: unknown proof %q", b)
}

// Report says that what the packets of a leg show has changed. Why is a sentence for a person when the proof is ProofFailed
// or ProofSilent, otherwise "".
type Report struct {
	Leg   LegID
	Proof Proof
	Why   string
}

// Times of a watch. Trouble is named within two seconds: the longer of the first two, and a look.
const (
	failedAfter = time.Second             // without a good packet, while bad ones come
	silentAfter = 1750 * time.Millisecond // without any packet
	lookEvery   = 200 * time.Millisecond
	failedLeast = 5 // bad packets that make a trouble; fewer are the echo of a change of keys
)

// watch follows one direction of one stream, the one that comes to us. The zero value has seen nothing.
type watch struct {
	now    verdict
	why    string
	began  time.Time // of the exchange in force, or of the expectation
	good   time.Time // the last look that found a good packet
	expect bool
	prior  rtpstat.Counters
	// since the last good packet:
	failed, plain, stray uint64
}

// verdict is a proof, finer: the same proof for another reason is a change too.
type verdict uint8

const (
	seenNothing verdict = iota
	seenSRTP
	seenRTP
	seenWrongKey
	seenPlain
	seenNobody
	seenStranger
)

var proofOf = [...]Proof{ProofNone, ProofAuthenticated, ProofPlain, ProofFailed, ProofFailed, ProofSilent, ProofSilent}

// view is what a look sees.
type view struct {
	n     desc.Stream // in force
	in    rtpstat.Counters
	stray netip.AddrPort // the last source that was not taken
}

// restart begins anew after an exchange: what came before says nothing of it.
func (w *watch) restart(now time.Time) {
	w.began, w.failed, w.plain, w.stray = now, 0, 0, 0
}

// proof is the result of the last look.
func (w *watch) proof() (Proof, string) { return proofOf[w.now], w.why }

// look is called every now and then.
func (w *watch) look(now time.Time, v view) {
	expect := expected(v.n)
	if expect && !w.expect {
		w.restart(now)
	}
	w.expect = expect
	good := v.in.Packets - w.prior.Packets
	w.failed += v.in.Failed - w.prior.Failed
	w.plain += v.in.PlainDropped - w.prior.PlainDropped
	w.stray += v.in.WrongSource - w.prior.WrongSource
	w.prior = v.in
	if good > 0 {
		w.good = now
		w.restart(now)
		w.set(map[bool]verdict{true: seenSRTP, false: seenRTP}[v.n.Secure()], "")
		return
	}
	quiet := now.Sub(w.began)
	switch bad := w.failed + w.plain; {
	case bad >= failedLeast && quiet >= failedAfter && w.plain > w.failed:
		w.set(seenPlain, fmt.Sprintf("packets arrive in plain RTP though SRTP was agreed: %d in %.1f s from %v", bad, quiet.Seconds(), v.stray))
	case bad >= failedLeast && quiet >= failedAfter:
		w.set(seenWrongKey, fmt.Sprintf("%d packets in %.1f s from %v, none with a valid tag: the key they are made with differs from the one in its description", bad, quiet.Seconds(), v.stray))
	case !expect:
		if proofOf[w.now] >= ProofFailed {
			w.set(seenNothing, "")
		}
	case quiet < silentAfter:
	case w.stray > 0:
		w.set(seenStranger, fmt.Sprintf("nothing arrives from %v, the address in its description, but %d packets from %v, which are not taken: "+
			"if that is its address translation, latching must be allowed for the device", remote(v.n), w.stray, v.stray))
	default:
		w.set(seenNobody, fmt.Sprintf("nothing arrives from %v though it sends by its description: a firewall or a route on the way, or a wrong address", remote(v.n)))
	}
}

func (w *watch) set(v verdict, why string) {
	if v != w.now {
		w.now, w.why = v, why
	}
}

// expected says whether the far end should be sending. Where comfort noise was agreed on silence may be silence (RFC 3389, 4).
func expected(n desc.Stream) bool {
	if !n.Direction.Receives() || n.RemotePort == 0 {
		return false
	}
	for _, c := range n.Recv {
		if c.Name == desc.ComfortNoise {
			return false
		}
	}
	return true
}

func remote(n desc.Stream) netip.AddrPort { return addrPort(n.Remote, n.RemotePort) }
