package callmanager

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/directory"
)

// What this node says of itself on the board of the cluster, and what it takes from what the others say.
//
//	fact          key             says
//	callmanager   node            where it is, and which life of it this is
//	registration  device          the device is registered here; one node has it at a time, the one that registered it last
//	trunk         trunk           the trunk runs here and is in service
//	call          Elsewhere.Key   what calls here have that others may ask for
//	lamps         call            what lines and park numbers do in a call here, for those who watch them elsewhere

// Kinds of facts.
const (
	factNode         = "callmanager"
	factRegistration = "registration"
	factTrunk        = "trunk"
	factCall         = "call"
	factLamps        = "lamps"
)

// registrationFact is a registration as other nodes need it, and as it was when the node got the device.
type registrationFact struct {
	Mode    string    `json:"mode"`
	Lines   []string  `json:"lines,omitempty"`
	Contact string    `json:"contact"`
	Remote  string    `json:"remote"`
	Agent   string    `json:"agent,omitempty"`
	Since   time.Time `json:"since"`
}

// trunkFact is a trunk that is in service.
type trunkFact struct {
	Since time.Time `json:"since"`
}

// published is what this node says of its calls, so that the difference can be told. The worker publishCalls owns it.
type published struct {
	board  *bus.Board
	offers call.Offers
	lamps  map[call.CallID][]farLamp
	newest []*call.View        // of the calls that the notes at hand are about
	at     map[call.CallID]int // where in newest
}

// publishRegistration says that a device is here, or here no more.
func (s *Service) publishRegistration(device string, here bool) {
	d := s.site.Load().device(device)
	if !here || d == nil {
		s.cfg.Bus.Board().Drop(factRegistration, device)
		return
	}
	if f, ok := s.registrationOf(d); ok {
		bus.Take(s.cfg.Bus.Board(), factRegistration, device, f)
	}
}

// registeredAt is the node that has a device, "" for this one and for none.
func (s *Service) registeredAt(device string) string {
	all := s.cfg.Bus.Board().Of(factRegistration, device) // the newest claim first: that one counts
	if len(all) == 0 || all[0].Owner == s.cfg.Node {
		return ""
	}
	return all[0].Owner
}

// runs says whether a trunk runs on this node: on those of its device pool's group, and on every one where it has none.
func (s *Service) runs(st *site, t *directory.Trunk) bool {
	for _, g := range st.config.CallManagerGroups {
		if g.Name == t.Pool.CallManagerGroup {
			return len(g.Nodes) == 0 || slices.Contains(g.Nodes, s.cfg.Node) || !st.clustered()
		}
	}
	return true
}

// publishTrunks says which trunks are in service here, and tells the engine which do not run here at all.
func (s *Service) publishTrunks(st *site) {
	for _, t := range st.Trunks() {
		s.publishTrunk(t.Name, s.runs(st, t) && s.el.InService(t.Name))
	}
	for _, f := range s.cfg.Bus.Board().All(factTrunk) {
		if f.Owner == s.cfg.Node && st.trunk(f.Key) == nil {
			s.cfg.Bus.Board().Drop(factTrunk, f.Key)
		}
	}
}

func (s *Service) publishTrunk(name string, up bool) {
	if up && s.drain.on() { // calls go out at another node that has it, if there is one
		up = !slices.ContainsFunc(s.cfg.Bus.Board().Of(factTrunk, name), func(f bus.Fact) bool { return f.Owner != s.cfg.Node })
	}
	if up {
		bus.Put(s.cfg.Bus.Board(), factTrunk, name, trunkFact{Since: s.now().UTC()})
	} else {
		s.cfg.Bus.Board().Drop(factTrunk, name)
	}
	if err := s.driver.Signal(call.TrunkState{Trunk: name, Up: up}); err != nil {
		s.note(name, "the engine did not hear of the trunk's state: "+err.Error())
	}
}

// publishCalls says what calls here have, until the service ends. It is not started before the site has another node.
func (s *Service) publishCalls() {
	w := s.host.Collect(lampBacklog)
	defer w.Close()
	p := published{board: s.cfg.Bus.Board(), lamps: map[call.CallID][]farLamp{}, at: map[call.CallID]int{}}
	for {
		select {
		case <-w.Ready():
			s.publish(&p, w.Take())
		case <-w.Done():
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// publish takes the notes of the engine that have come by now. Of each call only the newest picture counts: a busy engine's are many.
func (s *Service) publish(p *published, notes []live.Note) {
	for i := range notes {
		n := &notes[i]
		switch v := n.Event.View; {
		case n.Snapshot:
			p.newest, p.at = p.newest[:0], map[call.CallID]int{} // the snapshot is newer than what came before it
			s.publishAll(p, n.Calls)
		case v != nil:
			at, known := p.at[v.ID]
			if !known {
				at = len(p.newest)
				p.newest, p.at[v.ID] = append(p.newest, nil), at
			}
			p.newest[at] = v
		}
	}
	p.tell(p.offers.Take(p.newest...))
	for _, v := range p.newest {
		s.publishLamps(p, v)
	}
	clear(p.newest)
	clear(p.at)
	p.newest = p.newest[:0]
}

// publishAll takes pictures of all calls there are.
func (s *Service) publishAll(p *published, views []*call.View) {
	p.tell(p.offers.Only(views))
	now := map[call.CallID]bool{}
	for _, v := range views {
		now[v.ID] = true
		s.publishLamps(p, v)
	}
	for id := range p.lamps {
		if !now[id] {
			s.publishLamps(p, &call.View{ID: id, Ended: true})
		}
	}
}

// tell tells the other nodes what calls here have, and have no more.
func (p *published) tell(changes []call.Elsewhere) {
	for _, x := range changes {
		if x.Gone {
			p.board.Drop(factCall, x.Key())
		} else {
			bus.Put(p.board, factCall, x.Key(), x)
		}
	}
}

// publishLamps tells what has become different of the lamps of one call.
func (s *Service) publishLamps(p *published, v *call.View) {
	list := s.lampsOfCall(v)
	if slices.Equal(list, p.lamps[v.ID]) {
		return
	}
	if len(list) > 0 {
		p.lamps[v.ID] = list
		bus.Put(p.board, factLamps, v.ID.String(), list)
		return
	}
	delete(p.lamps, v.ID)
	p.board.Drop(factLamps, v.ID.String())
}

// followBoard takes what other nodes say, until the service ends.
func (s *Service) followBoard() {
	w := s.cfg.Bus.Board().Watch(factKinds()...)
	defer w.Close()
	taken := map[factID]bus.Fact{}
	s.takeBoard(taken)
	for {
		select {
		case c, open := <-w.C():
			switch {
			case !open:
				return
			case c.Lagged:
				s.takeBoard(taken)
			case c.Member != nil:
				s.takeMember(*c.Member)
			default:
				id := factID{c.Fact.Owner, c.Fact.Kind, c.Fact.Key}
				if taken[id] = c.Fact; c.Gone {
					delete(taken, id)
				}
				s.takeFact(c)
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// factID names a fact.
type factID struct{ owner, kind, key string }

// takeBoard takes all there is, and that what was taken before and is not there any more is gone.
func (s *Service) takeBoard(taken map[factID]bus.Fact) {
	board, now := s.cfg.Bus.Board(), map[factID]bus.Fact{}
	for _, m := range board.Nodes() {
		s.takeMember(m)
	}
	for _, kind := range factKinds() {
		for _, f := range slices.Backward(board.All(kind)) { // the newest claim last: it counts
			now[factID{f.Owner, f.Kind, f.Key}] = f
			s.takeFact(bus.Change{Fact: f})
		}
	}
	for id, f := range taken {
		if _, still := now[id]; !still {
			s.takeFact(bus.Change{Fact: f, Gone: true})
		}
	}
	clear(taken)
	maps.Copy(taken, now)
}

func factKinds() []string {
	return []string{factNode, factRegistration, factTrunk, factCall, factLamps}
}

// takeMember takes that a node has come to life, or is lost. What it had is gone with it.
func (s *Service) takeMember(m bus.Member) {
	if m.Self {
		return
	}
	if !m.Alive {
		s.peers.lost(m.Name)
		s.endTerminals("node "+m.Name+", whose CTI manager had registered it, is lost", func(_ string, h *terminalHolder) bool { return h.reg.Node == m.Name })
		s.lampsChanged(s.lamps.elsewhere.lost(m.Name))
	}
	s.tellEngine(m.Name, call.NodeState{Node: m.Name, Up: m.Alive})
	word := "is lost: calls with it go on as they are"
	if m.Alive {
		word = "lives"
	}
	s.note("", "node "+m.Name+" "+word)
}

// takeFact takes one fact of another node, or that it holds no more; and that a device of ours was taken by another node.
func (s *Service) takeFact(c bus.Change) {
	f := c.Fact
	if f.Owner == s.cfg.Node {
		if c.Gone && c.TakenBy != "" && f.Kind == factRegistration {
			s.deviceTaken(f.Key, c.TakenBy)
		}
		return
	}
	var err error
	switch f.Kind {
	case factNode:
		var v nodeFact
		if v, err = bus.Value[nodeFact](f); err == nil && !c.Gone && len(v.Addresses) > 0 {
			s.peers.said(f.Owner, v, s.tieProfile(f.Owner, v.Life))
			s.tellEngine(f.Owner, call.NodeState{Node: f.Owner, Up: true})
		}
	case factRegistration:
		s.tellEngine(f.Key, call.DeviceState{Device: f.Key, Up: !c.Gone, Node: f.Owner})
		s.stillHere(f.Key)
		s.deviceChanged(f.Key)
	case factTrunk:
		s.tellEngine(f.Key, call.TrunkState{Trunk: f.Key, Up: !c.Gone, Node: f.Owner})
	case factCall:
		var x call.Elsewhere
		if x, err = bus.Value[call.Elsewhere](f); err == nil {
			x.Node, x.Gone = f.Owner, c.Gone
			s.tellEngine(f.Owner, x)
		}
	case factLamps:
		var list []farLamp
		if !c.Gone {
			list, err = bus.Value[[]farLamp](f)
		}
		s.lampsChanged(s.lamps.elsewhere.take(f.Owner, f.Key, list))
	}
	if err != nil {
		s.warn(err.Error())
	}
}

// stillHere tells the engine that a device is registered here and nowhere since, where that is so: what another node says of it may be
// older than its coming here.
func (s *Service) stillHere(device string) {
	if s.here(device) && s.registeredAt(device) == "" {
		s.tellEngine(device, s.deviceState(device, true))
	}
}

func (s *Service) tellEngine(about string, sig call.Signal) {
	if err := s.driver.Signal(sig); err != nil {
		s.note(about, fmt.Sprintf("the engine did not hear what another node says of %s: %v", about, err))
	}
}

// deviceTaken: the device has registered at another node since. What is bound here is where it was.
func (s *Service) deviceTaken(device, node string) {
	s.endTerminals("registered at node "+node, func(name string, _ *terminalHolder) bool { return name == device })
	s.unreachable(s.bindings.drop(s.now(), func(b *binding) bool { return b.device == device }))
	s.deviceGone([]string{device})
	s.note(device, "registered at node "+node+" now; the registration here has ended")
	s.Rehandshake(device, "the device has registered at node "+node)
}
