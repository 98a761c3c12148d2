package live

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
)

// VerbMedia is asked with a MediaRequest and answered with a MediaAnswer; VerbMedia, a dot and the name of a session is the subject on which
// that session's LegMedia are published: where the media of devices goes. Keys are not in it.
const VerbMedia = "call.media"

// A MediaRequest is about a session in which somebody is told where the media of devices goes.
type MediaRequest struct {
	Session string `json:"session"` // as in FollowRequest
	Begin   bool   `json:"begin,omitempty"`
	// Application, with Begin, narrows it down to the devices that a user may control; empty: all.
	Application string `json:"application,omitempty"`
	// End ends the session. With neither it is kept alive.
	End bool `json:"end,omitempty"`
}

// A MediaAnswer says that the session lives, how long without being kept alive, and the number of its newest message.
type MediaAnswer struct {
	Lease time.Duration `json:"lease_ns,omitempty"`
	N     uint64        `json:"n,omitempty"`
}

// LegMedia says where the audio of a device's leg goes now, from the device's point of view. What it says takes the place of what was said of
// the leg before.
type LegMedia struct {
	N      uint64      `json:"n"` // of the message in its session, from 1
	Call   call.CallID `json:"call,omitempty"`
	Leg    call.LegID  `json:"leg,omitempty"`
	Device string      `json:"device,omitempty"`
	// Receive and Transmit are the directions that are open.
	Receive  *MediaWay `json:"receive,omitempty"`
	Transmit *MediaWay `json:"transmit,omitempty"`
	// Keys is the number of the SRTP keys in force among the leg's, zero for plain RTP: SealedKeys of the same number are these.
	Keys uint64 `json:"keys,omitempty"`
	// Want says that the application of a terminal with dynamic media is to name an address for this leg (Terminals.Address).
	Want *MediaWant `json:"want,omitempty"`
	// Over says that the session is, and why.
	Over string `json:"over,omitempty"`
}

// A MediaWay is one direction.
type MediaWay struct {
	// Addr is the device's own address where it receives, and where it sends to.
	Addr   netip.AddrPort `json:"addr"`
	Codec  string         `json:"codec"` // encoding name
	Rate   int            `json:"rate"`
	Packet int            `json:"packet"` // milliseconds
}

// A MediaWant is what is to be spoken at the address that is wanted.
type MediaWant struct {
	Payload uint32 `json:"payload"` // of CTIQBE
	Packet  int    `json:"packet"`  // milliseconds
}

// A MediaNote is what a MediaFollower tells: the media of a leg, or a loss, behind which all that is open then is told again.
type MediaNote struct {
	LegMedia
	Node string
	Lost string // why what was told of this node before may not hold
}

// A MediaFollower is told by one node's call manager where the media of devices goes.
type MediaFollower struct {
	engine RemoteEngine
	app    string
	notes  chan MediaNote
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// FollowMedia asks the call manager of the engine's node where the media of the devices of an application goes, of all devices where it is
// empty: what is open, and what changes. Where nobody asks, nobody pays. Close ends it.
func (e RemoteEngine) FollowMedia(application string) *MediaFollower {
	f := &MediaFollower{engine: e, app: application, notes: make(chan MediaNote)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.wg.Go(f.run)
	return f
}

// Notes delivers what comes; it is closed by Close.
func (f *MediaFollower) Notes() <-chan MediaNote { return f.notes }

// Close ends the session and waits.
func (f *MediaFollower) Close() {
	f.cancel()
	f.wg.Wait()
}

func (f *MediaFollower) run() {
	defer close(f.notes)
	s := stream[LegMedia]{engine: f.engine, verb: VerbMedia, ctx: f.ctx,
		begin: func(session string) error {
			_, err := f.ask(f.ctx, MediaRequest{Session: session, Begin: true, Application: f.app})
			return err
		},
		keep: func(ctx context.Context, session string, end bool) (uint64, error) {
			a, err := f.ask(ctx, MediaRequest{Session: session, End: end})
			return a.N, err
		},
		number: func(m *LegMedia) (uint64, string) { return m.N, m.Over },
		tell:   func(_ string, m LegMedia) bool { return f.tell(MediaNote{LegMedia: m, Node: f.engine.node}) },
		lost:   func(why string) { f.tell(MediaNote{Node: f.engine.node, Lost: why}) },
	}
	for f.ctx.Err() == nil {
		s.once()
	}
}

func (f *MediaFollower) tell(n MediaNote) bool {
	select {
	case f.notes <- n:
		return true
	case <-f.ctx.Done():
		return false
	}
}

func (f *MediaFollower) ask(ctx context.Context, q MediaRequest) (MediaAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, tryWait)
	defer cancel()
	b := f.engine.remote.bus
	return bus.Ask[MediaRequest, MediaAnswer](ctx, b, b.Subject(f.engine.remote.service, VerbMedia).To(f.engine.node), q)
}
