package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/locktone/locktone/call"
)

// Verbs of the bus subjects of a service's engine: locktone.<cluster>.<node>.<service>.<verb>.
const (
	// VerbRequests is asked with a BusRequest and answered with a call.Reply.
	VerbRequests = "call.requests"
	// VerbFollow is asked with a FollowRequest and answered with a FollowAnswer: it starts, keeps alive or ends a session.
	VerbFollow = "call.follow"
	// VerbEvents, a dot and the name of a session is the subject on which that session's Frames are published.
	VerbEvents = "call.events"
)

// A BusRequest is a call.Request on its way over the bus.
type BusRequest struct {
	// ID names the asking, so that it can be asked again when no answer came: within replyKept it is done once and answered twice.
	// Empty: done as often as it comes.
	ID string `json:"id,omitempty"`
	// By is the user or application that asks; the sender vouches for it.
	By string `json:"by"`
	// Request is the name of the request's type ("MakeCall"), Body the request.
	Request string          `json:"request"`
	Body    json.RawMessage `json:"body"`
}

// NewBusRequest packs a request.
func NewBusRequest(by string, r call.Request) (BusRequest, error) {
	line, err := call.MarshalInput(time.Time{}, call.Input{Request: r, By: by})
	if err != nil {
		return BusRequest{}, err
	}
	var b BusRequest
	return b, json.Unmarshal(line, &b)
}

// unpack is the request inside.
func (b BusRequest) unpack() (call.Request, error) {
	b.ID = ""
	line, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	_, in, err := call.UnmarshalInput(fmt.Appendf(nil, `{"at":"0001-01-01T00:00:00Z",%s`, line[1:]))
	if err == nil && in.Request == nil {
		err = errors.New("live: the message holds no request")
	}
	return in.Request, err
}

// A Filter says which calls somebody wants to hear of. The zero value wants all.
type Filter struct {
	// Devices and Lines: calls in which one of these takes part. Settings of others are not told either.
	Devices []string      `json:"devices,omitempty"`
	Lines   []call.LineID `json:"lines,omitempty"`
}

// All says whether nothing is left out.
func (f Filter) All() bool { return len(f.Devices)+len(f.Lines) == 0 }

// Wants says whether the call is one of those.
func (f Filter) Wants(v *call.View) bool {
	if f.All() {
		return true
	}
	for _, p := range v.Parties {
		if !p.Line.IsZero() && slices.Contains(f.Lines, p.Line) {
			return true
		}
		for i := range p.Legs {
			if d := p.Legs[i].Device; d != "" && slices.Contains(f.Devices, d) {
				return true
			}
		}
	}
	return false
}

// wantsSetting says whether an event about a line or device, not about a call, is one of those.
func (f Filter) wantsSetting(ev *call.Event) bool {
	return f.All() || ev.Device != "" && slices.Contains(f.Devices, ev.Device) || !ev.Line.IsZero() && slices.Contains(f.Lines, ev.Line)
}

// The bounds of a filter. Who follows more than that follows all.
const maxFiltered = 10_000

// A FollowRequest is about a session: a stream of events to one follower.
type FollowRequest struct {
	// Session is a name that the follower has made up, never used before: 1 to 64 letters, digits and hyphens.
	Session string `json:"session"`
	// Begin starts it; otherwise it is kept alive for another Lease, and one Frame is published at once. A session that is not there
	// is answered with bus.CodeNotFound.
	Begin  bool   `json:"begin,omitempty"`
	Filter Filter `json:"filter,omitzero"` // with Begin
	// End ends it.
	End bool `json:"end,omitempty"`
}

// A FollowAnswer says that the session lives.
type FollowAnswer struct {
	// Engine names the engine's life: ids of calls, parties and legs, and numbers of events, mean something within it only.
	Engine string `json:"engine"`
	// Lease is how long the session lives without being kept alive.
	Lease time.Duration `json:"lease_ns"`
}

// A Frame is one message of a session. Frames are numbered from 1; a number that is missing means that what was in it is lost.
type Frame struct {
	N uint64 `json:"n"`
	// Notes are BusNotes. A frame without any says that the session lives.
	Notes []json.RawMessage `json:"notes,omitempty"`
	// Part is a piece of a note that is too large for one message; the note is whole with the frame that has Last.
	Part []byte `json:"part,omitempty"`
	Last bool   `json:"last,omitempty"`
	// Over says that the engine has stopped: the last frame.
	Over bool `json:"over,omitempty"`
}

// A BusNote is a Note on its way over the bus.
type BusNote struct {
	Event *call.Event `json:"event,omitempty"`
	// Left says that the call is none of the filter's any more, with this event.
	Left bool `json:"left,omitempty"`

	// A snapshot comes as several notes in a row: all but the last have More. Engine is FollowAnswer's.
	Snapshot bool         `json:"snapshot,omitempty"`
	Engine   string       `json:"engine,omitempty"`
	More     bool         `json:"more,omitempty"`
	Lagged   bool         `json:"lagged,omitempty"`
	AsOf     uint64       `json:"as_of,omitempty"`
	Calls    []*call.View `json:"calls,omitempty"`
	Settings []call.Event `json:"settings,omitempty"`
}

// validSession says whether a session's name can be the last token of a subject.
func validSession(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return true
}
