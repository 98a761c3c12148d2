package tieleg

import (
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// interval is how often a tie is refreshed, twice: the least RFC 4028, 5 allows. What a node has forgotten, because it started anew, ends at
// its peers within half of it.
const interval = 90 * time.Second

// Profile is how a driver speaks with the call manager of another node. What the peer says of who calls is believed and what we say is all
// we know; media is what the two phones agree on; features are the engines' business (no REFER, no Replaces). A session lasts until
// somebody ends it: that the peer cannot be asked for a while is no reason.
func Profile(d Dialect) *sipleg.Profile {
	return &sipleg.Profile{Name: "node " + d.Peer, Dialect: d, TrustAsserts: true, SendAsserts: true, Redirections: sipleg.Redirections{Trusted: true},
		Media: media.Profile{Security: desc.Optional}, Timer: dialog.TimerConfig{Interval: interval, Patient: true}}
}

// Dialect implements sipleg.Dialect between this node and a peer.
type Dialect struct {
	Node, Peer string
	// Life is which life of this node it is: only leg ids of this one mean anything.
	Life string
	// PeerLife is the life of the peer whose leg ids we know.
	PeerLife string
	// Now is the life it lives now, "" while that is not known. Nil: the same.
	Now func() string
}

var _ sipleg.Dialect = Dialect{}

// Ring implements sipleg.Dialect.
func (d Dialect) Ring(r call.Ring) dialog.Header {
	h := Header{From: d.Node, To: d.Peer, Inside: r.Inside, Lock: r.Lock, Leg: r.Leg, Number: r.Call, Tag: r.Tag}
	if IsGlobalID(r.GlobalID) {
		h.Call = r.GlobalID
	}
	h.order(r.Target)
	if h.Replaces != 0 || h.Join != 0 {
		h.Life = d.PeerLife
	}
	return dialog.Header{Name: Name, Value: h.String()}
}

// Tell implements sipleg.Dialect.
func (d Dialect) Tell(s sipleg.Said) dialog.Header {
	h := Header{Inside: s.Inside, Lock: s.Lock, Why: s.Why, Via: s.Via}
	if IsGlobalID(s.Call) {
		h.Call = s.Call
	}
	return dialog.Header{Name: Name, Value: h.String()}
}

// Heard implements sipleg.Dialect.
func (d Dialect) Heard(m *sip.Message) (sipleg.Said, bool) {
	h, err := Parse(m.Header(Name))
	return h.said(), err == nil
}

// Reborn implements sipleg.Dialect.
func (d Dialect) Reborn() bool {
	if d.Now == nil || d.PeerLife == "" {
		return false
	}
	now := d.Now()
	return now != "" && now != d.PeerLife
}

// Setup implements sipleg.Dialect.
func (d Dialect) Setup(m *sip.Message, s *call.Setup) *sipleg.Refusal {
	fields := m.Headers(Name)
	if len(fields) != 1 {
		return refuse(400, "a call manager of this cluster says what it wants in one "+Name)
	}
	h, err := Parse(fields[0])
	switch {
	case err != nil:
		return refuse(400, err.Error())
	case h.Form == FormNone:
		return refuse(400, Name+": an INVITE has a form")
	case h.From != d.Peer:
		return refuse(403, Name+": node "+h.From+" speaks, and the certificate is of node "+d.Peer)
	case h.To != d.Node:
		return refuse(404, Name+": this is node "+d.Node+", and not "+h.To)
	case (h.Replaces != 0 || h.Join != 0) && h.Life != d.Life:
		return refuse(481, "that leg was of another life of node "+d.Node)
	}
	at := h.target(s.Called)
	s.Node, s.At, s.Inside, s.Lock = d.Peer, &at, h.Inside, h.Lock
	s.Far, s.FarCall, s.Tag = h.Leg, h.Number, h.Tag
	if h.Call != "" {
		s.GlobalID = h.Call
	}
	return nil
}

func refuse(status int, why string) *sipleg.Refusal {
	return &sipleg.Refusal{Status: status, Warning: why}
}
