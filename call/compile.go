package call

import (
	"errors"
	"fmt"
	"time"

	"github.com/locktone/locktone/dialplan"
)

// A Config is a compiled Site. It is immutable and safe for concurrent use.
type Config struct {
	site    Site
	plan    *dialplan.Plan
	lines   map[LineID]*Line
	devices map[string]*Device
	trunks  map[string]*Trunk
	lists   map[string]*RouteList
	applets map[string]*Applet
	parks   map[string]*ParkRange
	pickups map[string]*PickupGroup
	hunts   map[string]*Hunt
	members map[LineID]bool // lines that are in a hunt group
	meets   map[string]*MeetMe
	first   map[string]*Line // device -> the line of its first appearance
}

// Compile checks the site and makes the tables the engine works with. The error joins every fault found.
func (s Site) Compile() (*Config, error) {
	plan, err := dialplan.Compile(s.Plan)
	errs := []error{err}
	c := &Config{
		site: s, plan: plan,
		lines: make(map[LineID]*Line, len(s.Lines)), devices: make(map[string]*Device, len(s.Devices)),
		trunks: make(map[string]*Trunk, len(s.Trunks)), lists: make(map[string]*RouteList, len(s.RouteLists)),
		parks: make(map[string]*ParkRange, len(s.Parks)), pickups: make(map[string]*PickupGroup, len(s.PickupGroups)),
		applets: make(map[string]*Applet, len(s.Applets)), first: make(map[string]*Line, len(s.Devices)), hunts: make(map[string]*Hunt, len(s.Hunts)), members: map[LineID]bool{},
		meets: make(map[string]*MeetMe, len(s.MeetMes)),
	}
	errs = append(errs, index("device", c.devices, s.Devices, func(d *Device) string { return d.Name })...)
	errs = append(errs, index("trunk", c.trunks, s.Trunks, func(t *Trunk) string { return t.Name })...)
	errs = append(errs, index("route list", c.lists, s.RouteLists, func(r *RouteList) string { return r.Name })...)
	errs = append(errs, index("applet", c.applets, s.Applets, func(a *Applet) string { return a.Name })...)
	errs = append(errs, index("park range", c.parks, s.Parks, func(p *ParkRange) string { return p.Name })...)
	errs = append(errs, index("pickup group", c.pickups, s.PickupGroups, func(g *PickupGroup) string { return g.Name })...)
	errs = append(errs, index("meet-me conference", c.meets, s.MeetMes, func(m *MeetMe) string { return m.Name })...)
	errs = append(errs, index("line", c.lines, s.Lines, func(l *Line) LineID { return l.ID })...)
	errs = append(errs, index("hunt pilot", c.hunts, s.Hunts, func(h *Hunt) string { return h.Name })...)
	errs = append(errs, c.checkLines()...)
	errs = append(errs, c.checkHunts()...)
	errs = append(errs, c.checkTrunks()...)
	if plan != nil {
		errs = append(errs, c.checkPlan()...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// index enters items under their keys; a key used twice is a fault.
func index[K comparable, T any](kind string, into map[K]*T, items []T, key func(*T) K) (errs []error) {
	var zero K
	for i := range items {
		k := key(&items[i])
		if _, twice := into[k]; twice || k == zero {
			errs = append(errs, fmt.Errorf("call: %s %d: the name %v is empty or used twice", kind, i+1, k))
		}
		into[k] = &items[i]
	}
	return errs
}

func (c *Config) checkLines() (errs []error) {
	firstIndex := map[string]int{}
	for i := range c.site.Lines {
		l := &c.site.Lines[i]
		errs = append(errs, c.checkSpace("line "+l.ID.String(), l.SearchSpace))
		for kind, f := range l.Forwards {
			errs = append(errs, c.checkForward("line "+l.ID.String()+", forward "+ForwardKind(kind).String(), f, l.Voicemail))
		}
		for _, a := range l.Appearances {
			if c.devices[a.Device] == nil {
				errs = append(errs, fmt.Errorf("call: line %s appears on device %q, which does not exist", l.ID, a.Device))
			}
			if n, ok := firstIndex[a.Device]; !ok || a.Index < n {
				firstIndex[a.Device], c.first[a.Device] = a.Index, l
			}
		}
	}
	for i := range c.site.Devices {
		d := &c.site.Devices[i]
		errs = append(errs, c.checkSpace("device "+d.Name, d.SearchSpace), c.checkSpace("device "+d.Name, d.CallingSpace))
	}
	return errs
}

// checkHunts sees that every member of a hunt group is there, and notes them.
func (c *Config) checkHunts() (errs []error) {
	for i := range c.site.Hunts {
		h := &c.site.Hunts[i]
		errs = append(errs, c.checkForward("hunt pilot "+h.Name, h.Final, h.Final.To))
		for _, g := range h.Groups {
			for _, id := range g.Lines {
				if c.lines[id] == nil {
					errs = append(errs, fmt.Errorf("call: hunt pilot %s, group %s: there is no line %s", h.Name, g.Name, id))
				}
				c.members[id] = true
			}
		}
	}
	return errs
}

// checkForward sees that a forward has what it needs.
func (c *Config) checkForward(what string, f Forward, mailbox string) error {
	if f.Voicemail && mailbox == "" {
		return fmt.Errorf("call: %s leads to voicemail, whose number is not known", what)
	}
	return c.checkSpace(what, f.SearchSpace)
}

func (c *Config) checkTrunks() (errs []error) {
	for i := range c.site.Trunks {
		t := &c.site.Trunks[i]
		errs = append(errs, c.checkSpace("trunk "+t.Name, t.SearchSpace))
		errs = append(errs, checkTransforms("trunk "+t.Name, t.Called, t.Calling, t.Incoming.Called, t.Incoming.Calling))
		for _, space := range []string{t.CalledSpace, t.CallingSpace, t.Incoming.CalledSpace, t.Incoming.CallingSpace} {
			errs = append(errs, c.checkSpace("trunk "+t.Name, space))
		}
	}
	for i := range c.site.RouteLists {
		r := &c.site.RouteLists[i]
		for _, m := range r.Members {
			if m.Originator && m.Trunk != "" {
				errs = append(errs, fmt.Errorf("call: route list %s has a member that names trunk %q and the trunk of the caller", r.Name, m.Trunk))
			}
			if c.trunks[m.Trunk] == nil && !m.Originator {
				errs = append(errs, fmt.Errorf("call: route list %s names trunk %q, which does not exist", r.Name, m.Trunk))
			}
			errs = append(errs, checkTransforms("route list "+r.Name, m.Called, m.Calling))
		}
	}
	return errs
}

func checkTransforms(what string, ts ...dialplan.Transform) error {
	for _, t := range ts {
		if err := t.Validate(false); err != nil {
			return fmt.Errorf("call: %s: %w", what, err)
		}
	}
	return nil
}

func (c *Config) checkSpace(what, space string) error {
	if space == "" || c.plan == nil || c.plan.HasSpace(space) {
		return nil
	}
	return fmt.Errorf("call: %s: there is no search space %q", what, space)
}

// checkPlan sees that every pattern leads somewhere.
func (c *Config) checkPlan() (errs []error) {
	for i := range c.site.Plan.Patterns {
		p := &c.site.Plan.Patterns[i]
		ok := true
		switch p.Kind {
		case dialplan.DirectoryNumber:
			ok = c.lines[lineID(p)] != nil
		case dialplan.ToTrunk:
			ok = c.trunks[p.To] != nil
		case dialplan.ToRouteList:
			ok = c.lists[p.To] != nil
		case dialplan.ToApplet:
			ok = c.applets[p.To] != nil
		case dialplan.ToPark:
			ok = c.parks[p.To] != nil
		case dialplan.ToMeetMe:
			ok = c.meets[p.To] != nil
		case dialplan.ToFeature:
			ok = isFeature(p.To)
		case dialplan.ToHunt:
			ok = c.hunts[p.To] != nil
		}
		if !ok {
			errs = append(errs, fmt.Errorf("call: pattern %q in partition %q leads to %s %q, which does not exist", p.Digits, p.Partition, p.Kind, p.To))
		}
	}
	return errs
}

// lineID is the line that a directory number of the plan leads to.
func lineID(p *dialplan.Pattern) LineID {
	number, partition := p.Line()
	return LineID{number, partition}
}

// Site is the plain data the configuration was compiled from; it must not be changed.
func (c *Config) Site() Site { return c.site }

// Plan is the compiled dial plan.
func (c *Config) Plan() *dialplan.Plan { return c.plan }

// SearchSpaces are those of a call from a device's line (line first, then device) or from a trunk.
func (c *Config) SearchSpaces(device string, line LineID, trunk string) []string {
	var out []string
	add := func(space string) {
		if space != "" {
			out = append(out, space)
		}
	}
	if t := c.trunks[trunk]; t != nil {
		add(t.SearchSpace)
	}
	if l := c.lines[line]; l != nil {
		add(l.SearchSpace)
	}
	if d := c.devices[device]; d != nil {
		add(d.SearchSpace)
	}
	return out
}

// lineOf is the line a device calls from: the one named if it appears there, else the device's first. Nil if it has none.
func (c *Config) lineOf(device string, id LineID) *Line {
	if l := c.lines[id]; l != nil {
		for _, a := range l.Appearances {
			if a.Device == device {
				return l
			}
		}
		return nil
	}
	if id.IsZero() {
		return c.first[device]
	}
	return nil
}

// maxCalls is how many calls a line may have on a device; zero is no limit.
func (c *Config) maxCalls(device string, id LineID) int {
	if l := c.lines[id]; l != nil {
		for _, a := range l.Appearances {
			if a.Device == device {
				return a.MaxCalls
			}
		}
	}
	return 0
}

// Limits of a policy, with their defaults in place.

func (p Policy) noAnswer() time.Duration     { return orDefault(p.NoAnswer, 180*time.Second) }
func (p Policy) routeTimeout() time.Duration { return orDefault(p.RouteTimeout, 6*time.Second) }
func (p Policy) maxHops() int                { return orDefault(p.MaxHops, 70) }
func (p Policy) maxRedirections() int        { return orDefault(p.MaxRedirections, 12) }
func (p Policy) maxReminders() int           { return orDefault(p.MaxReminders, 10) }
func (p Policy) maxParties() int             { return orDefault(p.MaxParties, 64) }
func (p Policy) music() string               { return orDefault(p.Music, SourceMusic) }

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
