package media

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/sdp"
)

// Errors of the plane that are about its caller, not about a description.
var (
	ErrNoLeg  = errors.New("media: the plane does not know this leg")
	ErrNoRef  = errors.New("media: the plane does not know this description: its leg is gone, or it is too old")
	ErrGlare  = errors.New("media: an exchange is open in the other direction (RFC 3264, 4)")
	ErrNoOpen = errors.New("media: no offer is open that this could answer")
)

// Put takes a description received from the leg's peer and gives the Ref the call engine carries. A description that says
// the same as the one before (same o= line, RFC 3264, 8) gets the same Ref: a session refresh, or the answer of a 183
// repeated in the 200. The error is a *desc.Refusal when the leg's policy or the rules of RFC 3264 forbid it (answer
// 488 with its Warning), a *sdp.ParseError when it cannot be read (answer 400).
func (p *Plane) Put(id LegID, kind Kind, text []byte) (Ref, Summary, error) {
	s, err := sdp.Parse(text)
	if err != nil {
		return 0, Summary{}, err
	}
	defer p.closeStreams()
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.legs[id]
	if l == nil {
		return 0, Summary{}, fmt.Errorf("%w: %d", ErrNoLeg, id)
	}
	var e *entry
	switch kind {
	case Offer:
		e, err = p.putOffer(l, s)
	case Answer:
		e, err = p.putAnswer(l, s)
	default:
		err = fmt.Errorf("media: a description received is an offer or an answer, not %q", kind.String())
	}
	if err != nil {
		return 0, Summary{}, err
	}
	sum := e.summary
	sum.Kind = kind
	return e.ref, sum, nil
}

func (p *Plane) putOffer(l *leg, s *sdp.Session) (*entry, error) {
	if l.out != nil {
		return nil, ErrGlare
	}
	if l.sent != nil && len(s.Media) < len(l.sent.Media) {
		return nil, &desc.Refusal{Code: desc.Miscellaneous, Text: fmt.Sprintf("the offer has %d m= lines, the session has %d: lines are never removed (RFC 3264, 8)", len(s.Media), len(l.sent.Media))}
	}
	screened, err := l.prof.guard().Screen(s)
	if err != nil {
		return nil, err
	}
	e := p.same(l, s)
	if e == nil {
		e = p.enter(l, s, screened)
		e.summary = summarize(screened, false)
	}
	l.open = e // was and done stay until it is answered: it may be refused
	return e, nil
}

// same finds the description in force when this one repeats it.
func (p *Plane) same(l *leg, s *sdp.Session) *entry {
	if l.in != nil && p.refs[l.in.ref] == l.in && l.in.text == string(s.Bytes()) {
		return l.in
	}
	return nil
}

func (p *Plane) enter(l *leg, s, allowed *sdp.Session) *entry {
	p.next++
	e := &entry{ref: p.next, leg: l, text: string(s.Bytes()), s: allowed}
	p.refs[e.ref] = e
	l.refs = append(l.refs, e.ref)
	if len(l.refs) > maxRefs {
		delete(p.refs, l.refs[0])
		l.refs = slices.Delete(l.refs, 0, 1)
	}
	return e
}

func (p *Plane) putAnswer(l *leg, s *sdp.Session) (*entry, error) {
	if l.out == nil {
		if e := p.same(l, s); e != nil {
			return e, nil
		}
		if l.was == nil || l.open != nil {
			return nil, ErrNoOpen
		}
		l.reopen()
	}
	out := l.out
	l.out = nil
	if err := p.checkAnswer(l, out, s); err != nil {
		p.abandon(l, out)
		return nil, err
	}
	e := p.same(l, s)
	if e == nil {
		e = p.enter(l, s, s)
	}
	e.summary = summarize(s, desc.Audio(out.s) != nil && len(desc.Audio(out.s).Crypto) > 0)
	e.offer, e.match = out.from, out.match
	l.was, l.done = out, nil
	p.agreed(l, out.s, e, out.how, out.peer)
	if out.how == waySourced {
		p.begin(l, out.name)
	}
	return e, nil
}

// reopen lets the last offer be answered once more: by another branch of an INVITE that forked, or by a 200 that says
// something else than the 183 before.
func (l *leg) reopen() {
	l.out = l.was
	switch {
	case l.out.how == wayAnchored && l.portE != nil:
		l.portE.Reopen()
	case l.out.how == waySourced && l.source != nil:
		l.source.Reopen()
	}
}

// checkAnswer applies rules and policy, and gives the answer to the end of ours that made the offer.
func (p *Plane) checkAnswer(l *leg, out *outgoing, s *sdp.Session) error {
	if err := desc.ValidateAnswer(out.s, s, l.prof.Security); err != nil {
		return err
	}
	if a := desc.Audio(s); a != nil && a.Rejected() {
		return &desc.Refusal{Code: desc.MediaNotAvailable, Text: "the answer refuses the audio stream"}
	}
	switch out.how {
	case wayAnchored:
		if err := l.portE.Accept(align(s, out)); err != nil {
			return err
		}
		return p.setPort(l)
	case waySourced:
		return l.source.AcceptSession(align(s, out))
	}
	return nil
}

// align gives an answer the lines of the description our offer was made of, which is what our own end knows.
func align(answer *sdp.Session, out *outgoing) *sdp.Session {
	a := answer.Clone()
	a.Media = make([]sdp.Media, out.lines)
	for i := range a.Media {
		a.Media[i] = sdp.Media{Type: "audio", Proto: "RTP/AVP"}
	}
	for slot, i := range out.match {
		if i >= 0 && i < out.lines {
			a.Media[i] = answer.Media[slot].Clone()
		}
	}
	return a
}

// agreed puts an exchange in force and releases what it no longer needs.
func (p *Plane) agreed(l *leg, ours *sdp.Session, theirs *entry, how way, peer LegID) {
	l.local, l.in, l.how, l.peer = ours, theirs, how, peer
	if l.agreedAt.IsZero() {
		l.agreedAt = time.Now()
	}
	switch {
	case how == wayAnchored:
		p.connect(l)
	case l.portWaits():
		l.port.Disconnect()
	default:
		p.releasePort(l)
	}
	if how != waySourced {
		p.releaseSource(l)
	}
	if p.cfg.Agreed != nil {
		p.cfg.Agreed(l.id)
	}
}

// abandon takes back what an offer of ours that failed has prepared.
func (p *Plane) abandon(l *leg, out *outgoing) {
	if l.portE != nil && out.how == wayAnchored {
		l.portE.Rollback()
	}
	if l.source != nil && out.how == waySourced {
		l.source.Rollback()
	}
	if l.how != wayAnchored && !l.portWaits() {
		p.releasePort(l)
	}
	if l.how != waySourced {
		p.releaseSource(l)
	}
}

// portWaits says whether the leg's port is kept although the leg hears a source of ours: when the party is taken back it
// finds its address and keys as they were. Phones that do not take new keys in a re-INVITE would be deaf after every hold.
func (l *leg) portWaits() bool {
	if l.how != waySourced || l.portE == nil {
		return false
	}
	_, agreed := l.portE.Stream()
	return agreed
}

// Rollback forgets the exchange that is open with the leg: our offer was refused, or its offer is refused by us. What was
// agreed before stays in force.
func (p *Plane) Rollback(id LegID) {
	defer p.closeStreams()
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.legs[id]
	if l == nil {
		return
	}
	if out := l.out; out != nil {
		l.out = nil
		p.abandon(l, out)
	}
	l.open = nil
}

// Summary is what Put said of a Ref.
func (p *Plane) Summary(ref Ref) (Summary, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.refs[ref]
	if e == nil {
		return Summary{}, false
	}
	return e.summary, true
}

// summarize reads off a description what may be known of it. answered says that it answers an offer with keys.
func summarize(s *sdp.Session, answered bool) (sum Summary) {
	for i := range s.Media {
		if !s.Media[i].Rejected() {
			sum.Media = append(sum.Media, s.Media[i].Type)
		}
	}
	m := desc.Audio(s)
	if m == nil {
		return sum
	}
	sum.Direction = desc.Wanted(s, m)
	sum.Hold = !sum.Direction.Receives()
	sum.Addr, _ = s.AddrPort(m)
	for _, c := range m.Codecs {
		sum.Codecs = append(sum.Codecs, c.Name)
	}
	for _, c := range m.Crypto {
		sum.Suites = append(sum.Suites, c.Suite)
	}
	switch {
	case m.IsSecure(), answered && len(m.Crypto) > 0:
		sum.Security = Protected
	case len(m.Crypto) > 0:
		sum.Security = Opportunistic
	}
	return sum
}
