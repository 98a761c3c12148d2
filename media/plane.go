package media

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/relay"
	"github.com/locktone/locktone/media/rtpport"
	"github.com/locktone/locktone/media/sealed"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sdp"
)

// LegID names a leg to the plane. It is the call engine's own number for the leg, unique within the node and service.
type LegID uint64

// Ref stands for one received session description in the plane's table. The zero value is "no description".
type Ref uint64

// Kind is the part a description plays in an offer/answer exchange.
type Kind uint8

// The kinds.
const (
	None Kind = iota
	Offer
	Answer
)

// String is the word.
func (k Kind) String() string { return [...]string{"none", "offer", "answer"}[min(k, Answer)] }

// Treatment says how media goes between two legs. The numbers are those of the call engine's treatments.
type Treatment uint8

// The treatments.
const (
	Direct   Treatment = iota // endpoint to endpoint: the description is passed through, keys included
	Anchored                  // through ports of ours
	Sourced                   // the leg talks with a source of ours: music, tone, silence
	Auto                      // Direct where policies and security of both legs allow it, otherwise Anchored
)

// String is the word.
func (t Treatment) String() string {
	return [...]string{"direct", "anchored", "source", "auto"}[min(t, Auto)]
}

// Wish is what a description must be; the numbers are those of the call engine's securities.
type Wish uint8

// The wishes. A leg's Profile is in force whatever the wish.
const (
	AsIs     Wish = iota
	WantRTP       // keys taken out
	WantSRTP      // with keys, or refused
	WantAny       // SRTP where possible
)

// Order says which description Make is to make. The call engine's Media value has the same fields with the same numbers.
type Order struct {
	Kind      Kind // Offer or Answer; None takes what the leg's state asks for
	Treatment Treatment
	Ref       Ref           // the description passed on; zero with Anchored: an offer of our own (early offer)
	Peer      LegID         // the leg on the far side (Anchored; also where Ref is zero)
	Source    string        // with Sourced: "" (silence), "music", "music:NAME", "ringback", "busy", "tone:1000" (Hz), "mix:ID" (the conference), "mix:ID:warn"
	Dir       sdp.Direction // at most this, from our point of view; SendRecv leaves the direction as it is
	Security  Wish
}

// Profile is what the plane must know of a leg's device or trunk. The zero value: SRTP required, direct media, every
// codec.
type Profile struct {
	Security desc.Security  // of the device or trunk security profile
	Suites   []sdp.Suite    // allowed crypto suites, nil: all
	Codecs   []string       // allowed encodings by name, nil: all. telephone-event is always allowed
	Anchor   bool           // media of this leg always goes through us
	Latching relay.Latching // how the media source is found when anchored; the zero value is the strict one
}

// Summary is what the call engine and the trace may know of a description: no keys, no text.
type Summary struct {
	Kind      Kind           `json:"-"`
	Direction sdp.Direction  `json:"direction"`      // of the audio stream, as its sender wrote it
	Hold      bool           `json:"hold,omitempty"` // the sender wants to hear nothing: sendonly, inactive or 0.0.0.0
	Security  Protection     `json:"security"`       // what the description offers or agrees to
	Suites    []sdp.Suite    `json:"suites,omitempty"`
	Codecs    []string       `json:"codecs,omitempty"` // of the audio stream, in order
	Addr      netip.AddrPort `json:"addr"`             // where its sender wants audio; invalid for a name
	Media     []string       `json:"media"`            // types of the accepted m= lines
}

// Protection says how media is, or would be, protected.
type Protection uint8

// The protections.
const (
	Plain         Protection = iota // RTP
	Opportunistic                   // RTP/AVP with a=crypto: SRTP if the other side takes it
	Protected                       // SRTP
)

// String is the word.
func (p Protection) String() string {
	return [...]string{"rtp", "optional", "srtp"}[min(p, Protected)]
}

// MarshalText is String, for JSON.
func (p Protection) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// NeedsAnchor is the error of Make with Direct when the two legs cannot meet: the text says why.
type NeedsAnchor struct{ Why string }

// Error says why.
func (e *NeedsAnchor) Error() string { return "media: cannot go direct: " + e.Why }

// PlaneConfig is where the plane's own ports are. The zero value listens on loopback.
type PlaneConfig struct {
	Bind     netip.Addr     // address of our media sockets; zero: 127.0.0.1
	Announce netip.Addr     // address written into descriptions; zero: Bind
	Ports    *rtpport.Range // nil: rtpport.Default()
	Relay    *relay.Engine  // shared forwarding engine; nil: the plane starts its own when first needed
	Keys     desc.KeySource // nil: crypto/rand
	// Music gives the site's music by the name of its source ("music:NAME"; "" is the default one), from its beginning. It must
	// answer from memory. Nil, or a nil Source: the built-in melody.
	Music func(name string) Source
	// Digits is told of DTMF digits of legs whose media comes by here: those of a leg that hears a source or sits in a conference, and
	// those of an anchored leg whose far side takes no telephone events (RFC 4733). All others go past us. It must neither block nor
	// call the plane. Nil: nobody is told.
	Digits func(id LegID, key byte, duration time.Duration)
	// Agreed is told of a leg whose descriptions have just come into force, for who wants its Keys. It must neither block nor call the
	// plane. Nil: nobody is told.
	Agreed func(LegID)
	// Watch is told within two seconds, from a goroutine of the plane, what the packets of a leg show, whenever that changes: of
	// every leg whose media comes by here. It may call the plane. Nil watches nothing.
	Watch func(Report)
}

// Plane is a node's table of session descriptions and what hangs on them. It is safe for concurrent use. It owns every
// relay port and source it makes and releases them with the leg.
//
// Of each leg it keeps the offer/answer state of RFC 3264 as the leg's peer sees it: one o= line, whose version grows
// with every change, and a list of m= lines that only grows, whoever is at the other end of the call.
type Plane struct {
	cfg PlaneConfig

	mu      sync.Mutex
	engine  *relay.Engine // our own, or cfg.Relay
	own     bool          // the engine is ours to close
	legs    map[LegID]*leg
	refs    map[Ref]*entry
	next    Ref
	mixes   map[string]*conference
	closing []*Stream // to be closed once mu is released
	over    bool
	ended   chan struct{}  // closed by Close
	wg      sync.WaitGroup // of conferences and the watch
}

// entry is one description received.
type entry struct {
	ref     Ref
	leg     *leg
	text    string       // as received, to recognise it when it comes again
	s       *sdp.Session // as allowed by the leg's guard
	summary Summary
	offer   Ref   // of an answer: the offer passed on that it answers, 0 if that was made by us
	match   []int // of such an answer: its lines to those of the offer
}

// leg is what the plane knows of one leg. Everything is guarded by the plane's lock.
type leg struct {
	id     LegID
	prof   Profile
	origin sdp.Origin
	sent   *sdp.Session // last description sent, whatever became of it
	local  *sdp.Session // last description sent that is in force
	in     *entry       // last description received that is in force
	open   *entry       // the peer's offer that has no answer yet
	out    *outgoing    // our offer that has no answer yet
	was    *outgoing    // our last offer, answered: another branch of a forked INVITE may answer it again
	done   *entry       // the peer's last offer, answered: until another exchange begins the answer may be replaced
	refs   []Ref        // oldest first
	how    way          // how media goes now
	peer   LegID        // with whom it is, or will be, connected

	port   *relay.Port // when anchored
	portE  *desc.Endpoint
	source *Stream // when it hears us
	name   string  // of the source
	at     string  // the conference it sits in
	seat   *seat   // its place there, nil: in none

	watch   watch // of port
	told    Proof // what was reported last
	toldWhy string

	keyed  uint64      // counts the keys that were other than before, as Agreement saw them
	keysAt sealed.Keys // that it saw last

	past     Quality   // sum of ports and sources it had before
	agreedAt time.Time // when its first exchange was complete
}

// way is how a leg's media goes.
type way uint8

const (
	wayNone way = iota
	wayDirect
	wayAnchored
	waySourced
)

func (w way) String() string { return [...]string{"none", "direct", "anchored", "source"}[w] }

// outgoing is an offer of ours.
type outgoing struct {
	s     *sdp.Session
	match []int // its lines to those of the description it was made of
	lines int   // how many lines that description has
	from  Ref
	how   way
	peer  LegID
	name  string // of the source
}

// maxRefs is how many descriptions of one leg are remembered: those of exchanges under way, and some for good measure.
const maxRefs = 16

// NewPlane makes an empty table.
func NewPlane(cfg PlaneConfig) *Plane {
	if !cfg.Bind.IsValid() {
		cfg.Bind = loopback
	}
	if !cfg.Announce.IsValid() {
		cfg.Announce = cfg.Bind
	}
	if cfg.Ports == nil {
		cfg.Ports = rtpport.Default()
	}
	if cfg.Keys == nil {
		cfg.Keys = CryptoKeys{}
	}
	p := &Plane{cfg: cfg, engine: cfg.Relay, legs: map[LegID]*leg{}, refs: map[Ref]*entry{}, mixes: map[string]*conference{}, ended: make(chan struct{})}
	if cfg.Watch != nil {
		p.wg.Go(p.watching)
	}
	return p
}

// AddLeg makes a leg known. To call it again changes its profile from the next exchange on.
func (p *Plane) AddLeg(id LegID, prof Profile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.legs[id]; l != nil {
		l.prof = prof
		return
	}
	if p.over {
		return
	}
	n := sessionID()
	p.legs[id] = &leg{id: id, prof: prof, origin: sdp.Origin{Username: "-", ID: n, Version: n, Conn: sdp.ConnOf(p.cfg.Announce)}}
}

// RemoveLeg releases everything the leg holds: ports, sources, keys, descriptions. Refs of it become invalid.
func (p *Plane) RemoveLeg(id LegID) {
	defer p.closeStreams()
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.legs[id]; l != nil {
		p.release(l)
		delete(p.legs, id)
	}
}

func (p *Plane) release(l *leg) {
	p.releasePort(l)
	p.releaseSource(l)
	for _, r := range l.refs {
		delete(p.refs, r)
	}
	l.refs, l.in, l.open, l.out, l.was, l.done = nil, nil, nil, nil, nil, nil
}

func (p *Plane) releasePort(l *leg) {
	if l.port != nil {
		l.past.add(l.port.Counters())
		l.port.Close()
		l.port, l.portE, l.watch = nil, nil, watch{}
	}
}

func (p *Plane) releaseSource(l *leg) {
	if l.source != nil {
		p.leave(l)
		l.past.add(l.source.counters())
		p.closing = append(p.closing, l.source)
		l.source = nil
	}
}

// closeStreams closes what release has put aside; a stream waits for its goroutines, which nobody should do under a lock.
func (p *Plane) closeStreams() {
	p.mu.Lock()
	all := p.closing
	p.closing = nil
	p.mu.Unlock()
	for _, s := range all {
		_ = s.Close()
	}
}

// Close releases everything. Nothing can be added afterwards.
func (p *Plane) Close() {
	p.mu.Lock()
	for id, l := range p.legs {
		p.release(l)
		delete(p.legs, id)
	}
	if !p.over {
		close(p.ended)
	}
	p.over = true
	engine := p.engine
	if !p.own {
		engine = nil
	}
	p.engine = nil
	p.mu.Unlock()
	p.closeStreams()
	p.wg.Wait()
	if engine != nil {
		_ = engine.Close()
	}
}

func (p Profile) guard() desc.Guard {
	return desc.Guard{Security: p.Security, Suites: p.Suites, Codecs: p.Codecs}
}

// Evidence is what the plane's own ports and sources have seen of a leg; ok is false when its media goes direct.
func (p *Plane) Evidence(id LegID) (e Evidence, ok bool) {
	p.mu.Lock()
	l := p.legs[id]
	if l == nil {
		p.mu.Unlock()
		return e, false
	}
	how, port, source, told, toldWhy := l.how, l.port, l.source, l.told, l.toldWhy
	p.mu.Unlock()
	switch {
	case how == wayAnchored && port != nil:
		e = Evidence{Local: netip.AddrPortFrom(p.cfg.Announce, port.Number()).String(), Suite: port.Suite(), LevelDBm: tone.NoLevel}
		if to := port.Remote(); to.IsValid() {
			e.Remote = to.String()
		}
		e.Rx, e.Tx = port.Counters()
		e.Proof, e.Why = told, toldWhy
		return e, true
	case how == waySourced && source != nil:
		return source.Evidence(), true
	}
	return e, false
}

// LegMedia is how a leg's media goes now, for `show calls` and the trace.
type LegMedia struct {
	Treatment  string     `json:"treatment"` // "none", "direct", "anchored", "source"
	Protection Protection `json:"protection"`
	Suite      string     `json:"suite,omitempty"`
	Codec      string     `json:"codec,omitempty"`
	Peer       LegID      `json:"peer,omitempty"`   // the leg it is connected with
	Source     string     `json:"source,omitempty"` // what it hears from us
}

// Show says how the leg's media goes now.
func (p *Plane) Show(id LegID) (LegMedia, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.legs[id]
	if l == nil {
		return LegMedia{}, false
	}
	m := LegMedia{Treatment: l.how.String()}
	if l.local == nil || l.in == nil {
		return m, true
	}
	if l.how == waySourced {
		m.Source = l.name
	} else {
		m.Peer = l.peer
	}
	ours, theirs := desc.Audio(l.local), desc.Audio(l.in.s)
	if ours == nil || theirs == nil {
		return m, true
	}
	if len(ours.Crypto) > 0 && len(theirs.Crypto) > 0 {
		m.Protection, m.Suite = Protected, agreedSuite(ours, theirs).String()
	}
	m.Codec = l.codec()
	return m, true
}

// codec is the encoding the leg's two descriptions agree on, "" before.
func (l *leg) codec() string {
	if l.local == nil || l.in == nil {
		return ""
	}
	ours, theirs := desc.Audio(l.local), desc.Audio(l.in.s)
	if ours == nil || theirs == nil {
		return ""
	}
	return commonCodec(ours, theirs).Name
}

// commonCodec is the first encoding of speech that both lines have, zero where there is none.
func commonCodec(ours, theirs *sdp.Media) sdp.Codec {
	for _, c := range theirs.Codecs {
		if !c.IsEvent() && c.Name != desc.ComfortNoise && slices.ContainsFunc(ours.Codecs, c.SameAs) {
			return c
		}
	}
	return sdp.Codec{}
}

// agreedSuite is the suite both lines name; the answer names one only.
func agreedSuite(a, b *sdp.Media) sdp.Suite {
	for _, x := range a.Crypto {
		for _, y := range b.Crypto {
			if x.Suite == y.Suite && (len(a.Crypto) == 1 || len(b.Crypto) == 1) {
				return x.Suite
			}
		}
	}
	return sdp.NoSuite
}
