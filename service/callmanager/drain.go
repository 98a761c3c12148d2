package callmanager

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Draining a node: it takes nobody new, hands its devices to the other nodes of their groups as they become idle, and ends when it
// serves nothing that another node could serve, or at a limit.
//
//	what comes                    answer while the node drains
//	REGISTER                      503 and Retry-After; the refresh of a device with a call, or that nobody else can take: 200
//	INVITE of a trunk             503 and Retry-After, unless no other node has the trunk
//	INVITE of a device            as ever while it is registered here, else 503
//	INVITE of another node        as ever: it is for a device or call that is here
//	OPTIONS                       503 and Retry-After, so that who asks the nodes of a list goes on to the next
//	anything inside a call        as ever
//
// An idle phone is handed over by closing its connection: it comes back at once, is refused, and takes the next node of its list. One
// without a connection (UDP) is told to register again.

// drainage is the drain of this node. Guarded by its lock.
type drainage struct {
	mu     sync.Mutex
	state  bus.DrainState
	stop   context.CancelFunc
	told   map[string]time.Time // devices that were told to go elsewhere
	ended  chan struct{}        // closed when the node shall end
	ending sync.Once
}

func (d *drainage) get() bus.DrainState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

// on says whether the node drains, or is drained.
func (d *drainage) on() bool { return d.get().State != "" }

// Limits of a drain.
const (
	drainLimit     = 10 * time.Minute // where none is given
	maxDrainLimit  = 24 * time.Hour
	drainBeat      = 100 * time.Millisecond // between two looks
	handedEachBeat = 10                     // devices: as many in a second as are told of news
	toldAgain      = 5 * time.Second        // after which a device that is still here is told again
)

var errDrained = errors.New("the node is being drained: register with the next call manager of the list")

// Ended is closed when a drain says that the node shall end.
func (s *Service) Ended() <-chan struct{} { return s.drain.ended }

// Draining is how far a drain is; the zero value where there is none.
func (s *Service) Draining() bus.DrainState { return s.drain.get() }

// Replaceable says whether another node can take over from this one.
func (s *Service) Replaceable() bool {
	st := s.site.Load()
	return st.clustered() && len(s.others(st, nil)) > 0
}

// Drain begins to drain the node, gives a drain another limit, or ends it.
func (s *Service) Drain(_ context.Context, r bus.DrainRequest) (bus.DrainState, error) {
	if r.Limit < 0 || r.Limit > maxDrainLimit {
		return bus.DrainState{}, &bus.Error{Code: bus.CodeInvalid, Message: fmt.Sprintf("limit %s: want up to %s", r.Limit, maxDrainLimit)}
	}
	s.drain.mu.Lock()
	if s.drain.stop != nil {
		s.drain.stop()
		s.drain.stop = nil
	}
	if !r.On {
		s.drain.state = bus.DrainState{}
		s.drain.mu.Unlock()
		s.cfg.Bus.Board().Drop(bus.FactDrain, s.cfg.Node)
		s.publishTrunks(s.site.Load())
		s.note("", "the drain was ended by "+r.Actor)
		return bus.DrainState{Node: s.cfg.Node}, nil
	}
	if r.Limit == 0 {
		r.Limit = drainLimit
	}
	ctx, stop := context.WithTimeout(s.ctx, r.Limit)
	now := s.now()
	s.drain.stop, s.drain.told = stop, map[string]time.Time{}
	s.drain.state = bus.DrainState{Node: s.cfg.Node, State: bus.StateDraining, Actor: r.Actor, Since: now.UTC(), Until: now.Add(r.Limit).UTC(), Stay: r.Stay}
	s.drain.mu.Unlock()
	s.note("", fmt.Sprintf("the node is drained by %s, until %s at the latest", r.Actor, now.Add(r.Limit).UTC().Format(time.RFC3339)))
	s.look() // who asks next hears what there is to do
	s.publishTrunks(s.site.Load())
	s.run(func() { defer stop(); s.drainUntil(ctx, r.Stay) })
	return s.drain.get(), nil
}

// drainUntil hands over until nothing is left, or ctx ends: at the limit, or because the drain has ended.
func (s *Service) drainUntil(ctx context.Context, stay bool) {
	beat := time.NewTicker(drainBeat)
	defer beat.Stop()
	for !s.look() {
		select {
		case <-beat.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) && !stay {
				s.warn(fmt.Sprintf("the limit of the drain is reached with %d calls: the node ends", s.drain.get().Calls))
				s.drain.ending.Do(func() { close(s.drain.ended) })
			}
			return
		}
	}
	s.note("", "the node is drained")
	if !stay {
		s.drain.ending.Do(func() { close(s.drain.ended) })
	}
}

// look hands over who is idle and says how far the drain is; true: nothing is left to wait for.
func (s *Service) look() (drained bool) {
	calls, busy, err := s.occupied()
	if err != nil {
		return true // the engine has stopped
	}
	st, left, held, budget := s.site.Load(), 0, 0, handedEachBeat
	seen := map[string]bool{}
	for _, b := range s.bindings.all() {
		d := st.device(b.device)
		if d == nil || seen[b.device] {
			continue
		}
		seen[b.device] = true
		if len(s.others(st, d.Nodes)) == 0 {
			held++
			continue
		}
		left++
		if !busy[b.device] && budget > 0 && s.drain.tells(b.device, s.now()) {
			budget--
			s.handOver(b)
		}
	}
	for _, name := range s.terminals.names() { // their CTI managers hear of it when they renew them
		if d := st.device(name); d != nil && len(s.others(st, d.Nodes)) == 0 {
			held++
		} else if d != nil {
			left++
		}
	}
	s.drain.mu.Lock()
	defer s.drain.mu.Unlock()
	if s.drain.state.State == "" {
		return true
	}
	before := s.drain.state
	s.drain.state.Calls, s.drain.state.Devices, s.drain.state.Held = calls, left, held
	if calls == 0 && left == 0 {
		s.drain.state.State = bus.StateDrained
	}
	if s.drain.state != before || len(s.cfg.Bus.Board().Of(bus.FactDrain, s.cfg.Node)) == 0 {
		bus.Put(s.cfg.Bus.Board(), bus.FactDrain, s.cfg.Node, s.drain.state)
	}
	return s.drain.state.State == bus.StateDrained
}

// tells says whether it is time to tell a device to go elsewhere, and notes that it was told.
func (d *drainage) tells(device string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.told == nil || now.Sub(d.told[device]) < toldAgain {
		return false
	}
	d.told[device] = now
	return true
}

// occupied counts the calls, and names the devices in them.
func (s *Service) occupied() (calls int, busy map[string]bool, err error) {
	views, err := s.host.Calls(s.ctx)
	busy = map[string]bool{}
	for _, v := range views {
		if v.Ended {
			continue
		}
		calls++
		for _, p := range v.Parties {
			for _, l := range p.Legs {
				busy[l.Device] = true
			}
		}
	}
	return calls, busy, err
}

// handOver sends an idle device elsewhere.
func (s *Service) handOver(b binding) {
	s.note(b.device, "handed over: the node is being drained")
	if b.flow.Network() == transport.UDP {
		s.tell(b, bus.ActionRestart)
		return
	}
	s.el.CloseConnections(b.device, errDrained)
}

// turnedAway refuses a registration at a node that drains. Who has a call here, or cannot go anywhere else, keeps the one it has.
func (s *Service) turnedAway(st *site, d *directory.Device) *refusal {
	if !s.drain.on() {
		return nil
	}
	others := s.others(st, d.Nodes)
	if len(others) == 0 {
		return nil
	}
	if _, here := s.bindings.reach(s.now(), d.Name, ""); here {
		if _, busy, err := s.occupied(); err == nil && busy[d.Name] {
			return nil
		}
	}
	return s.unavailable("register with " + others[0])
}

// callTurnedAway refuses a new call of a device that is not served here any more, and of a trunk whose peer has another node to call.
func (s *Service) callTurnedAway(st *site, who sender) *refusal {
	if !s.drain.on() {
		return nil
	}
	var others []string
	switch {
	case who.device != nil:
		if _, here := s.bindings.reach(s.now(), who.device.Name, ""); here {
			return nil
		}
		others = s.others(st, who.device.Nodes)
	case who.trunk != nil:
		others = s.others(st, who.trunk.Nodes)
	}
	if len(others) == 0 {
		return nil
	}
	return s.unavailable("call " + others[0])
}

// unavailable is 503 with the time after which the node may be back. RFC 3261, 21.5.4: a client may try another server.
func (s *Service) unavailable(instead string) *refusal {
	wait := max(5*time.Second, min(s.drain.get().Until.Sub(s.now()), time.Minute))
	return &refusal{status: 503, why: "node " + s.cfg.Node + " is being drained: " + instead,
		header: []sip.Field{{Name: "Retry-After", Value: strconv.Itoa(int(wait / time.Second))}}}
}

// drainText is the drain as the status tells it.
func drainText(d bus.DrainState) string {
	if d.State == bus.StateDrained {
		return "drained by " + d.Actor + ": `locktone node resume " + d.Node + "` lets it serve again"
	}
	text := fmt.Sprintf("is drained by %s until %s: %d calls and %d devices are left", d.Actor, d.Until.Format("15:04:05"), d.Calls, d.Devices)
	if d.Held > 0 {
		text += fmt.Sprintf("; %d devices have no other node in their group", d.Held)
	}
	return text
}
