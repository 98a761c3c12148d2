// Package describe stands between the call engine's words for session descriptions and the media plane's: every driver needs
// both. The engine says call.Media and call.Desc, opaque numbers with a summary; the plane has the SDP under them.
package describe

import (
	"slices"
	"strings"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/sdp"
)

// A Plane is the part of *media.Plane that drivers use.
type Plane interface {
	Put(id media.LegID, kind media.Kind, text []byte) (media.Ref, media.Summary, error)
	Make(to media.LegID, o media.Order) (text []byte, kind media.Kind, err error)
}

// Put hands a description received from the leg's far end to the plane and gives what the engine is told of it. Errors
// are those of media.Plane.Put: a *desc.Refusal or a *sdp.ParseError.
func Put(p Plane, leg call.LegID, kind call.DescKind, text []byte) (call.Desc, error) {
	if len(text) == 0 || kind == call.KindNone {
		return call.Desc{}, nil
	}
	ref, sum, err := p.Put(media.LegID(leg), media.Kind(kind), text)
	if err != nil {
		return call.Desc{}, err
	}
	d := call.Desc{Ref: uint64(ref), Kind: kind, Dir: call.Direction(sum.Direction), Security: security(sum.Security), NoEvents: noEvents(sum)}
	if sum.Hold {
		d.Dir &^= call.RecvOnly // RFC 2543's way to hold (c=0.0.0.0) says the same as sendonly
	}
	return d, nil
}

// Make has the plane make the description that goes with a command; nil for KindNone. The plane anchors by itself where a
// leg's profile says so; where the two sides cannot meet directly for another reason (SRTP against RTP) the error is a
// *media.NeedsAnchor: whether a relay may convert is the engine's policy, and nobody's convenience.
func Make(p Plane, leg call.LegID, m call.Media) ([]byte, error) {
	if m.Kind == call.KindNone {
		return nil, nil
	}
	o := media.Order{Kind: media.Kind(m.Kind), Treatment: media.Treatment(m.Treatment), Ref: media.Ref(m.Ref),
		Peer: media.LegID(m.Peer), Source: m.Source, Dir: sdp.Direction(m.Dir), Security: media.Wish(m.Security)}
	text, _, err := p.Make(media.LegID(leg), o)
	return text, err
}

// noEvents says whether digits cannot be events in what was described: one stream of audio and nothing else, since a relay carries no more.
func noEvents(s media.Summary) bool {
	return len(s.Media) == 1 && len(s.Codecs) > 0 && !slices.ContainsFunc(s.Codecs, func(c string) bool { return strings.EqualFold(c, sdp.TelephoneEvent) })
}

func security(p media.Protection) call.Security {
	switch p {
	case media.Protected:
		return call.SRTP
	case media.Opportunistic:
		return call.SRTPOrRTP
	}
	return call.RTP
}

// The numbers of directions are the same on both sides (bit 0 sends, bit 1 receives): this does not compile otherwise.
var _ = [1]struct{}{}[(call.SendRecv^call.Direction(sdp.SendRecv))|(call.SendOnly^call.Direction(sdp.SendOnly))|(call.RecvOnly^call.Direction(sdp.RecvOnly))]
