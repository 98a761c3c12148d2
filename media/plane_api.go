package media

// NewPlane makes an empty table.
func NewPlane(cfg PlaneConfig) *Plane { panic("not yet") }

// AddLeg makes a leg known. To call it again changes its profile from the next exchange on.
func (p *Plane) AddLeg(id LegID, prof Profile) { panic("not yet") }

// RemoveLeg releases everything the leg holds: ports, sources, keys, descriptions. Refs of it become invalid.
func (p *Plane) RemoveLeg(id LegID) { panic("not yet") }

// Put takes a description received from the leg's peer and gives the Ref the call engine carries. A description that says
// the same as the one before (same o= line, RFC 3264, 8) gets the same Ref: a session refresh, or the answer of a 183
// repeated in the 200. The error is a *desc.Refusal when the leg's policy or the rules of RFC 3264 forbid it (answer
// 488 with its Warning), a *sdp.ParseError when it cannot be read (answer 400).
func (p *Plane) Put(id LegID, kind Kind, text []byte) (Ref, Summary, error) { panic("not yet") }

// Summary is what Put said of a Ref.
func (p *Plane) Summary(ref Ref) (Summary, bool) { panic("not yet") }

// Make makes the description to send to the peer of leg `to`. Every description for one leg has the same session id, and
// a version that grows exactly when something changed. Errors are *NeedsAnchor (only with Direct) and *desc.Refusal; then nothing changed.
func (p *Plane) Make(to LegID, o Order) (text []byte, kind Kind, err error) { panic("not yet") }

// AnswerLocal answers the leg's open offer without asking anybody: with what the leg was sent last, the direction turned
// to suit the offer. hold makes it inactive: right when the party at the other end is given music meanwhile. For session
// refreshes (RFC 4028) and for holding.
func (p *Plane) AnswerLocal(to LegID, hold bool) ([]byte, error) { panic("not yet") }

// OfferAgain is the description last sent to the leg as a new offer: for a re-INVITE that came without one, and for
// session refreshes we send. The version stays when the text is the same.
func (p *Plane) OfferAgain(to LegID) ([]byte, error) { panic("not yet") }

// Rollback forgets the exchange that is open with the leg: our offer was refused, or its offer is refused by us.
func (p *Plane) Rollback(id LegID) { panic("not yet") }

// Evidence is what the plane's own ports and sources have seen of a leg; ok is false when its media goes direct.
func (p *Plane) Evidence(id LegID) (e Evidence, ok bool) { panic("not yet") }

// LegMedia is how a leg's media goes now, for `show calls` and the trace.
type LegMedia struct {
	Treatment  string     `json:"treatment"` // "none", "direct", "anchored", "source"
	Protection Protection `json:"protection"`
	Suite      string     `json:"suite,omitempty"`
	Codec      string     `json:"codec,omitempty"`
	Peer       LegID      `json:"peer,omitempty"` // the leg it was last connected with
}

// Show says how the leg's media goes now.
func (p *Plane) Show(id LegID) (LegMedia, bool) { panic("not yet") }

// Close releases everything.
func (p *Plane) Close() { panic("not yet") }

type leg struct{}
type entry struct{}
