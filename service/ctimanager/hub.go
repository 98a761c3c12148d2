package ctimanager

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// A hub takes what happens in the engines of all nodes, makes CTI events of it and hands them to those who opened the device. It waits
// for nobody: what it hands on goes into mailboxes. Snapshots are taken under the same lock, so that a provider gets what a line has and
// then every event, without a gap and without one twice.
type hub struct {
	s *Service

	mu      sync.Mutex
	machine *projection.Machine
	media   mediaFeed
	watches map[string]map[*connection]struct{} // by device
	groups  map[string]map[*connection]int      // by pickup group: how often somebody wants to be told of it
	log     *streamLog
}

func newHub(s *Service) *hub {
	h := &hub{s: s, watches: map[string]map[*connection]struct{}{}, groups: map[string]map[*connection]int{}, log: newStreamLog()}
	h.machine = projection.New(numbering{s})
	return h
}

// watch has the events of a device delivered to a connection.
func (h *hub) watch(c *connection, device string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watches[device] == nil {
		h.watches[device] = map[*connection]struct{}{}
	}
	h.watches[device][c] = struct{}{}
	h.replay(c, device)
}

func (h *hub) unwatch(c *connection, device string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(c, device)
}

func (h *hub) forget(c *connection, device string) {
	delete(h.watches[device], c)
	if len(h.watches[device]) == 0 {
		delete(h.watches, device)
	}
}

// watchGroup has the calls that ring in a pickup group told to a connection.
func (h *hub) watchGroup(c *connection, group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.groups[group] == nil {
		h.groups[group] = map[*connection]int{}
	}
	h.groups[group][c]++
}

func (h *hub) unwatchGroup(c *connection, group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.groups[group][c]--; h.groups[group][c] <= 0 {
		delete(h.groups[group], c)
	}
}

// ring tells of a call that begins to ring at a line to who wants to know it of the line's pickup group.
func (h *hub) ring(e projection.Event) {
	if len(h.groups) == 0 || e.Kind != projection.NewCall || e.State != ctiqbe.CallStateOffering || e.Reason == ctiqbe.CallReasonCallPickup {
		return
	}
	if g := h.s.site().groupOf(e.Line); g != "" {
		for c := range h.groups[g] {
			c.box.put(rings{g, e})
		}
	}
}

// drop forgets a connection.
func (h *hub) drop(c *connection, devices []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range devices {
		h.forget(c, d)
	}
	for _, set := range h.groups {
		delete(set, c)
	}
}

// snapshot hands a connection what a line has now.
func (h *hub) snapshot(c *connection, device string, line call.LineID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.box.put(existing{device: device, line: line, events: h.machine.Existing(device, line)})
}

// note takes a note of an engine in.
func (h *hub) note(n live.RemoteNote) {
	in := projection.Input{Node: n.Node, Engine: n.Engine, Lost: n.Lost != live.LossNone, Gone: n.Lost == live.LossNode, Why: n.Why, Snapshot: n.Snapshot, AsOf: n.AsOf,
		Calls: n.Calls, Settings: n.Settings, Event: n.Event, Left: n.Left}
	h.s.userSettings.note(&in)
	h.mu.Lock()
	defer h.mu.Unlock()
	if in.Lost {
		h.s.counts.gaps.Add(1)
	}
	for _, e := range h.machine.Note(in) {
		h.hand(e)
	}
}

// hand hands an event to who opened its device; one of a line alone to who opened any device that has the line.
func (h *hub) hand(e projection.Event) {
	h.s.counts.events.Add(1)
	h.log.put(e)
	h.ring(e)
	switch {
	case e.Device != "":
		h.handTo(e.Device, e)
	case !e.Line.IsZero():
		for _, device := range (numbering{h.s}).Appearances(e.Line) {
			of := e
			of.Device = device
			h.handTo(device, of)
		}
	}
}

func (h *hub) handTo(device string, e projection.Event) {
	watching := h.watches[device]
	if len(watching) == 0 {
		return
	}
	in := input(happened{e}) // one for all: nobody changes it
	for c := range watching {
		c.box.put(in)
	}
}

// tell hands an input to every connection.
func (h *hub) tell(in input) {
	for _, c := range h.s.table.all() {
		c.box.put(in)
	}
}

// follow follows the engines until the service ends.
func (h *hub) follow() {
	w := live.NewRemote(h.s.cfg.Bus, h.s.cfg.Engines).Follow(live.Filter{})
	defer w.Close()
	for {
		select {
		case n, open := <-w.Notes():
			if !open {
				return
			}
			h.note(n)
		case <-h.s.ctx.Done():
			return
		}
	}
}

// followBoard tells providers when devices register and unregister.
func (h *hub) followBoard() {
	w := h.s.cfg.Bus.Board().Watch(live.FactRegistration)
	defer w.Close()
	for {
		select {
		case c, open := <-w.C():
			switch {
			case !open:
				return
			case c.Lagged, c.Member != nil:
				h.tell(registered{})
			default:
				h.tell(registered{device: c.Fact.Key})
			}
		case <-h.s.ctx.Done():
			return
		}
	}
}

// followTerminals tells providers when the registration of a terminal has ended without their doing.
func (h *hub) followTerminals() {
	for {
		select {
		case n, open := <-h.s.terminals.Notes():
			if !open {
				return
			}
			if n.Why != "" {
				h.s.note(trace.Info, n.Device+": "+n.Why)
			}
			h.tell(registered{device: n.Device})
		case <-h.s.ctx.Done():
			return
		}
	}
}

// release gives back the terminals that a provider had registered when its connection ended.
func (s *Service) release(p *provider) {
	for _, o := range p.open {
		if !o.registered {
			continue
		}
		s.workers.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), s.site().params.Request)
			defer cancel()
			if err := s.terminals.Unregister(ctx, o.name, p.who.holder()); err != nil {
				s.note(trace.Error, fmt.Sprintf("the registration of %s could not be ended, and ends with its lease: %v", o.name, err))
			}
		})
	}
}

// registration is where a device is registered.
func (s *Service) registration(device string) (place, bool) {
	facts := s.cfg.Bus.Board().Of(live.FactRegistration, device)
	if len(facts) == 0 {
		return place{}, false
	}
	return placeOf(facts[0]), true
}

// placeOf reads the fact of a registration: as the call manager writes it.
func placeOf(f bus.Fact) place {
	var v struct {
		Remote string    `json:"remote"`
		Since  time.Time `json:"since"`
	}
	_ = json.Unmarshal(f.Value, &v) // a fact of another version still says where the device is
	at := place{Node: f.Owner, Since: v.Since}
	if ap, err := netip.ParseAddrPort(v.Remote); err == nil {
		at.Remote = ap.Addr()
	}
	return at
}

// numbering is what the projection asks about the site.
type numbering struct{ s *Service }

// CallManager implements projection.Numbering.
func (n numbering) CallManager(node string) uint32 { return n.s.site().nodes.of(node) }

// Appearances implements projection.Numbering.
func (n numbering) Appearances(line call.LineID) []string {
	l, ok := n.s.site().Line(line.Number, line.Partition)
	if !ok {
		return nil
	}
	out := make([]string, 0, len(l.Appearances))
	for _, a := range l.Appearances {
		out = append(out, a.Device.Name)
	}
	return out
}

// Line implements projection.Numbering.
func (n numbering) Line(number string) (call.LineID, bool) {
	v := n.s.site()
	if id, ok := v.only[number]; ok {
		return id, true
	}
	if partition, ok := v.parkPartition(number); ok {
		return call.LineID{Number: number, Partition: partition}, true
	}
	return call.LineID{}, false
}

// sortedNames are the names of a set, in order.
func sortedNames(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
