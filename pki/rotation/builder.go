package rotation

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// builder walks through the steps of a plan with everything that devices may hold by then.
type builder struct {
	s       State
	classes []*class
	already []Victim
	steps   []Step
	victims []Victim
	count   int
	awakeN  int
}

// class is all devices that are alike in everything that decides: ten thousand phones are a handful of classes.
type class struct {
	names []string
	awake bool
	base  Fate // before anything is done
	// may are the conditions a device may be in by now, depending on when it slept: as it was, as after any list published
	// since. Each is whole, so that State.Stranded judges it.
	may []Device
}

func newBuilder(s State, ds []Device, o Options) *builder {
	b := &builder{s: s, count: len(ds)}
	quiet := o.Asleep
	if quiet == 0 {
		quiet = DefaultAsleep
	}
	byKey := make(map[string]*class)
	for _, d := range ds {
		awake := !d.LastSeen.IsZero() && s.Time.Sub(d.LastSeen) < quiet
		base, why := s.Fate(d)
		if base != Fine {
			b.already = append(b.already, Victim{d.Name, base, why})
		}
		key := classKey(s, d, awake)
		c := byKey[key]
		if c == nil {
			c = &class{awake: awake, base: base, may: d.each()}
			byKey[key] = c
			b.classes = append(b.classes, c)
		}
		c.names = append(c.names, d.Name)
		if awake {
			b.awakeN++
		}
	}
	b.already = sorted(b.already)
	return b
}

// DefaultAsleep is after how long without a sign of life a device counts as asleep.
const DefaultAsleep = time.Hour

// classKey is what decides about a device. Of the LSC's end only counts whether it has come.
func classKey(s State, d Device, awake bool) string {
	ended := !d.LSC.NotAfter.IsZero() && s.Time.After(d.LSC.NotAfter)
	b, err := json.Marshal([]any{awake, d.Peer, d.Held.Knows, d.Or, d.Uses, d.Uses == nil, d.NoTVS, d.SignerLimit, d.LSC.Issuer, ended, d.Reenrol})
	if err != nil {
		return d.Name // a class of its own
	}
	return string(b)
}

func (b *builder) asleep() int { return b.count - b.awakeN }

// add takes a step: the state moves on, whoever is stranded is a victim of it, and devices may fetch what it publishes.
func (b *builder) add(st Step) {
	st.Number = len(b.steps) + 1
	next := b.s.after(st)
	if st.IDs == nil {
		st.IDs = b.moved(st, next)
	}
	for _, c := range b.classes {
		if fate, why := c.worst(next); fate > c.base {
			for _, name := range c.names {
				st.Victims = append(st.Victims, Victim{name, fate, why})
			}
			c.may = nil
		}
	}
	b.classes = slices.DeleteFunc(b.classes, func(c *class) bool { return c.may == nil })
	st.Victims = sorted(st.Victims)
	b.victims = sorted(append(b.victims, st.Victims...))
	b.s = next
	b.steps = append(b.steps, st)
	for _, c := range b.classes {
		c.learn(next, st.Action)
	}
}

// moved are the generations a step is about.
func (b *builder) moved(st Step, next State) (ids []ID) {
	for _, name := range st.Members {
		was, _ := b.s.Member(name)
		is, _ := next.Member(name)
		switch st.Action {
		case Retire:
			for _, g := range was.Generations {
				if g.Phase == Retiring {
					ids = append(ids, g.ID)
				}
			}
		case Stage:
			if g, ok := is.in(Staged); ok {
				ids = append(ids, g.ID)
			}
		default:
			if g, ok := is.Active(); ok {
				ids = append(ids, g.ID)
			}
		}
	}
	return ids
}

// worst is the worst that can have become of a device of the class in a state.
func (c *class) worst(s State) (f Fate, why string) {
	for _, d := range c.may {
		if x, because := s.fate(d); x > f {
			f, why = x, because
		}
	}
	return f, why
}

// learn adds the conditions that are possible behind a step: a list was fetched, a peer was told, an LSC was renewed.
func (c *class) learn(s State, a Action) {
	if a != Publish && a != Replace && a != Activate {
		return
	}
	for _, d := range slices.Clone(c.may) {
		n := d
		if d.Peer {
			n.Held = s.told(d.Held)
		} else if h, ok := s.Refresh(d); ok {
			n.Held, n.Or = h, nil // an executed plan goes by what is confirmed
		}
		for _, x := range []Device{d, n} {
			c.meet(x)
			x.LSC = s.renewed(x)
			c.meet(x)
		}
	}
}

// meet adds a condition unless it is there.
func (c *class) meet(n Device) {
	if !slices.ContainsFunc(c.may, func(d Device) bool {
		return d.LSC.Issuer == n.LSC.Issuer && slices.Equal(d.Held.Knows, n.Held.Knows) && len(d.Or) == len(n.Or)
	}) {
		c.may = append(c.may, n)
	}
}

// told is what a peer knows whose operator was given the staged generation of everything he has a generation of.
func (s State) told(h Held) Held {
	knows := slices.Clone(h.Knows)
	for _, m := range s.Members {
		if !slices.ContainsFunc(h.Knows, func(id ID) bool { return strings.HasPrefix(string(id), m.Name+"-g") }) {
			continue
		}
		for _, g := range m.Generations {
			knows = append(knows, g.ID)
		}
	}
	h.Knows = normal(knows)
	return h
}

// renewed is the LSC of a device that renewed it: by the active root, when CAPF can be verified and the device's present
// certificate or something else is accepted there.
func (s State) renewed(d Device) LSC {
	if d.LSC.Issuer == "" || s.unknown(d, d.Held, "capf") != "" || s.lscRefused(d.LSC) != "" && !d.Reenrol {
		return d.LSC
	}
	for _, m := range s.Members {
		if g, ok := m.Active(); ok && m.Kind == Root && g.ID != d.LSC.Issuer {
			return LSC{Issuer: g.ID}
		}
	}
	return d.LSC
}

// guarded adds the wait that a step needs, then the step.
func (b *builder) guarded(st Step) {
	gate := &Gate{For: st.Action, LSCs: st.Action == Retire && b.isRoot(st.Members)}
	next := b.s.after(st)
	for _, c := range b.classes {
		fine := slices.DeleteFunc(slices.Clone(c.may), func(d Device) bool { f, _ := next.fate(d); return f > c.base })
		switch {
		case len(fine) == len(c.may):
			if c.behind(b.s, st) && c.awake {
				gate.Hoped += len(c.names)
			} else if c.behind(b.s, st) {
				gate.Asleep += len(c.names)
			}
		case len(fine) > 0:
			gate.Needed = append(gate.Needed, c.names...)
			if fine[0].Peer {
				gate.Peers = append(gate.Peers, c.names...)
			}
			c.may = fine
		}
	}
	slices.Sort(gate.Needed)
	slices.Sort(gate.Peers)
	if len(gate.Needed) > 0 || st.Action == Activate && gate.Hoped+gate.Asleep > 0 {
		b.add(Step{Action: Wait, Members: st.Members, IDs: b.toKnow(st), Gate: gate, Why: gate.why(b.kind(st.Members))})
	}
	b.add(st)
}

// needed are the devices that a wait before the step would have to wait for.
func (b *builder) needed(st Step) (names []string) {
	next := b.s.after(st)
	for _, c := range b.classes {
		if f, _ := c.worst(next); f > c.base {
			names = append(names, c.names...)
		}
	}
	return names
}

// toKnow are the generations a device should know before a step: those that will be in use behind it.
func (b *builder) toKnow(st Step) (ids []ID) {
	next := b.s.after(st)
	for _, name := range st.Members {
		m, _ := next.Member(name)
		if g, ok := m.Active(); ok {
			ids = append(ids, g.ID)
		}
	}
	return ids
}

// behind reports whether a device of the class may not know yet what a step will put in use.
func (c *class) behind(s State, st Step) bool {
	next := s.after(st)
	return slices.ContainsFunc(c.may, func(d Device) bool { return next.behind(d, d.Held, st.Members) })
}

// behind reports whether the device, holding h, knows less than what is in use of the members it has to do with. Roots concern only
// peers: devices know them by nothing but their LSCs.
func (s State) behind(d Device, h Held, members []string) bool {
	if len(h.Knows) == 0 && !d.Peer {
		return false
	}
	for _, m := range s.Members {
		g, ok := m.Active()
		if !ok || !slices.Contains(members, m.Name) || m.Kind == Root || d.Peer && m.Kind != Service {
			continue
		}
		if m.Kind == Service && m.service() != "capf" && m.service() != "tvs" && !slices.Contains(d.uses(), m.service()) {
			continue
		}
		if !h.Has(g.ID) && !(d.Peer && h.Has(g.Issuer)) {
			return true
		}
	}
	return false
}

// why says whom a wait waits for.
func (g *Gate) why(k Kind) string {
	switch {
	case len(g.Needed) > 0:
		return "not before the last of them: it would be stranded"
	case g.Hoped > 0 && k == Signer:
		return "they get time to fetch the list; whoever does not is served one by a signer it knows"
	case g.Hoped > 0:
		return "they get time: each would have one failed handshake before it fetches the list"
	}
	return "nobody has to be waited for"
}

// sorted sorts victims by device.
func sorted(vs []Victim) []Victim {
	slices.SortFunc(vs, func(a, b Victim) int { return cmp.Compare(a.Device, b.Device) })
	return vs
}
