package callmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/media"
)

const (
	mediaLease       = 15 * time.Second // a session that nobody keeps alive for so long is over
	maxMediaSessions = 64
)

// mediaSessions are those who are told where the media of devices goes, guarded by a lock.
type mediaSessions struct {
	mu     sync.Mutex
	all    map[string]*mediaSession
	closed bool
	wg     sync.WaitGroup
}

func (m *mediaSessions) close() {
	m.mu.Lock()
	m.closed = true
	for _, x := range m.all {
		x.end("the call manager is stopping")
	}
	m.mu.Unlock()
	m.wg.Wait()
}

// serveMedia begins, keeps alive and ends sessions.
func (s *Service) serveMedia(_ context.Context, r live.MediaRequest) (live.MediaAnswer, error) {
	m := &s.ears
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.all[r.Session]
	switch {
	case m.closed:
		return live.MediaAnswer{}, &bus.Error{Code: bus.CodeUnavailable, Message: "the call manager is stopping"}
	case r.Begin && x == nil:
		return s.beginMedia(r)
	case x == nil && r.End:
		return live.MediaAnswer{}, nil
	case x == nil:
		return live.MediaAnswer{}, &bus.Error{Code: bus.CodeNotFound, Message: "there is no such session: it was not kept alive, or the call manager has started anew"}
	case r.End:
		x.end("")
	default:
		x.keep()
	}
	return live.MediaAnswer{Lease: mediaLease, N: x.sent.Load()}, nil
}

// beginMedia begins a session. The lock of the sessions is held.
func (s *Service) beginMedia(r live.MediaRequest) (live.MediaAnswer, error) {
	m := &s.ears
	if len(r.Session) < 16 || len(r.Session) > 64 || bus.Token(r.Session) != r.Session {
		return live.MediaAnswer{}, &bus.Error{Code: bus.CodeInvalid, Message: "expected a session's name of 16 to 64 letters and digits"}
	}
	if _, known := s.site.Load().User(r.Application); r.Application != "" && !known {
		return live.MediaAnswer{}, &bus.Error{Code: bus.CodeNotFound, Message: fmt.Sprintf("there is no user %q", r.Application)}
	}
	if len(m.all) >= maxMediaSessions {
		return live.MediaAnswer{}, &bus.Error{Code: bus.CodeUnavailable, Message: fmt.Sprintf("%d are told of media already", len(m.all))}
	}
	x := &mediaSession{s: s, name: r.Session, application: r.Application, legWatch: newLegWatch(), told: map[call.LegID]live.LegMedia{}}
	if m.all == nil {
		m.all = map[string]*mediaSession{}
	}
	m.all[x.name] = x
	s.watches.add(&x.legWatch)
	m.wg.Go(func() {
		if why := x.run(s, mediaLease, x.turn); why != "" {
			x.publish(live.LegMedia{Over: why})
		}
		s.watches.remove(&x.legWatch)
		m.mu.Lock()
		delete(m.all, x.name)
		m.mu.Unlock()
	})
	return live.MediaAnswer{Lease: mediaLease}, nil
}

// A mediaSession tells one follower where the media of devices goes: what is open, then what changes. Its goroutine owns what has no lock.
type mediaSession struct {
	s                 *Service
	name, application string
	sent              atomic.Uint64

	legWatch
	going bool // the first turn is over: then who has no media was told to have none
	told  map[call.LegID]live.LegMedia
}

// turn looks at calls and tells what is other than told.
func (x *mediaSession) turn(calls []call.CallID) (over string) {
	for _, id := range calls {
		if v := x.picture.Call(id); v != nil {
			x.review(v)
		}
	}
	x.going = true
	for _, leg := range x.left {
		if t, told := x.told[leg]; told {
			x.publish(live.LegMedia{Call: t.Call, Leg: leg, Device: t.Device})
			delete(x.told, leg)
		}
	}
	return ""
}

// review tells of the legs of a call that devices of the application have.
func (x *mediaSession) review(v *call.View) {
	for _, p := range v.Parties {
		for i := range p.Legs {
			if l := &p.Legs[i]; l.Device != "" && x.concerns(l.Device) {
				x.tellOf(v, l)
			}
		}
	}
}

// concerns says whether the session is about a device.
func (x *mediaSession) concerns(device string) bool {
	if x.application == "" {
		return true
	}
	u, known := x.s.site.Load().User(x.application)
	return known && u.Associated(device)
}

// tellOf tells of a leg what is other than told.
func (x *mediaSession) tellOf(v *call.View, l *call.LegView) {
	now := live.LegMedia{Call: v.ID, Leg: l.ID, Device: l.Device}
	if a, _, known := x.s.plane.Agreement(media.LegID(l.ID)); known {
		now.Receive, now.Transmit, now.Keys = mediaWay(a.Receive), mediaWay(a.Transmit), a.Keys
	}
	if w, wanted := x.s.cti.Wanted(l.ID); wanted {
		now.Want = &live.MediaWant{Payload: uint32(w.Payload), Packet: w.Packet}
	}
	before, told := x.told[l.ID]
	switch {
	case told && reflect.DeepEqual(before, now):
		return
	case !told && x.going && now.Receive == nil && now.Transmit == nil && now.Want == nil:
		return
	}
	x.told[l.ID] = now
	x.publish(now)
}

func mediaWay(w media.Way) *live.MediaWay {
	if w.IsZero() {
		return nil
	}
	return &live.MediaWay{Addr: w.Addr, Codec: w.Codec, Rate: w.Rate, Packet: w.Packet}
}

// publish sends a message of the session; what is lost is a gap, which the receiver sees.
func (x *mediaSession) publish(m live.LegMedia) {
	m.N = x.sent.Add(1)
	if text, err := json.Marshal(m); err == nil {
		_ = bus.PublishJSON(x.s.cfg.Bus, x.s.cfg.Bus.Subject(Name, live.VerbMedia+"."+x.name), text)
	}
}
