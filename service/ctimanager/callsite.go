package ctimanager

import (
	"sync"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/ctimanager/projection"
)

// featureView is what call control looks up in the site.
type featureView struct {
	parks   []call.LineID     // numbers at which calls can be parked
	pickups map[string]string // names of pickup groups by their number
	groups  map[string]bool   // pickup groups by name
}

func featuresOf(site *config.Site) featureView {
	v := featureView{pickups: map[string]string{}, groups: map[string]bool{}}
	for i := range site.ParkNumbers {
		p := &site.ParkNumbers[i]
		for _, n := range p.Numbers() {
			v.parks = append(v.parks, call.LineID{Number: n, Partition: p.Partition})
		}
	}
	for _, g := range site.PickupGroups {
		v.groups[g.Name] = true
		if g.Number != "" {
			v.pickups[g.Number] = g.Name
		}
	}
	return v
}

// pickupGroup is the name of a group that a client calls by its number; groups without one go by their name.
func (v *siteView) pickupGroup(number string) (name string, ok bool) {
	if name, ok = v.pickups[number]; ok {
		return name, true
	}
	return number, v.groups[number]
}

// groupOf is the pickup group of a line, empty if it is in none.
func (v *siteView) groupOf(line call.LineID) string {
	if l, ok := v.Line(line.Number, line.Partition); ok {
		return l.PickupGroup
	}
	return ""
}

// forwardAll is where all calls of a line go by the configuration.
func (v *siteView) forwardAll(line call.LineID) string {
	if l, ok := v.Line(line.Number, line.Partition); ok {
		return l.Forwards.All.To
	}
	return ""
}

// parkPartition is the partition of a park number.
func (v *siteView) parkPartition(number string) (partition string, ok bool) {
	for _, n := range v.parks {
		if n.Number == number {
			return n.Partition, true
		}
	}
	return "", false
}

// mailboxLine is the line whose messages a client speaks of: the open one, one in its partition, or the only one with that number.
func (v *siteView) mailboxLine(open call.LineID, number string) (call.LineID, bool) {
	if number == "" || number == open.Number {
		return open, true
	}
	if _, ok := v.Line(number, open.Partition); ok {
		return call.LineID{Number: number, Partition: open.Partition}, true
	}
	id, ok := v.only[number]
	return id, ok
}

// userSettings are what users have set, as the engines tell it.
type userSettings struct {
	mu      sync.Mutex
	lines   map[call.LineID]call.Settings
	devices map[string]call.Settings
}

func (u *userSettings) note(in *projection.Input) {
	if len(in.Settings) == 0 && in.Event.Settings == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.lines == nil {
		u.lines, u.devices = map[call.LineID]call.Settings{}, map[string]call.Settings{}
	}
	for _, ev := range in.Settings {
		u.set(&ev)
	}
	if in.Event.Settings != nil {
		u.set(&in.Event)
	}
}

func (u *userSettings) set(ev *call.Event) {
	switch {
	case ev.Device != "":
		u.devices[ev.Device] = *ev.Settings
	default:
		u.lines[ev.Line] = *ev.Settings
	}
}

func (u *userSettings) of(line call.LineID, device string) call.Settings {
	u.mu.Lock()
	defer u.mu.Unlock()
	if device != "" {
		return u.devices[device]
	}
	return u.lines[line]
}

// settings implements world: what the user of a line, or of a device where one is named, has set.
func (s *Service) settings(line call.LineID, device string) call.Settings {
	return s.userSettings.of(line, device)
}

// mint implements world: a name for a call that nobody else in the cluster gives. The upper half says which CTI manager made it; the lower
// counts from the second in which the service started, so that names of calls it made before a restart do not come again.
func (s *Service) mint() uint64 {
	manager := uint64(mintedManager + s.site().nodes.of(s.cfg.Node))
	return manager<<32 | (uint64(s.started.Unix())+s.minted.Add(1))&0x7fffffff
}

// mintedManager is added to a node's number where a call is named by an application: no engine numbers its calls so.
const mintedManager = 0x100
