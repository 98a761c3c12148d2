package board

import (
	"cmp"
	"slices"
	"time"
)

// member is another node.
type member struct {
	name    string
	life    Life
	heard   time.Duration
	since   time.Duration // alive or lost
	alive   bool          // its facts are known, and hold
	lost    bool          // it was given up, and not heard since
	gone    bool          // it has ended this life
	applied uint64        // number of the last operation applied
	facts   table
	held    []Message // deltas that cannot be applied yet, by number
	heldOps int
	gap     bool // something before what is held is missing
	gapAt   time.Duration
	asking  *asking
	told    time.Duration // when it was last told that it is known in a newer life
	toldYet bool
}

// maxHeld bounds the operations held for one member. Beyond it they are dropped, and asked for.
const maxHeld = 1 << 16

// asking is a snapshot on its way here.
type asking struct {
	id       uint64
	again    time.Duration // when to ask again
	tries    int
	seq      uint64
	parts    [][]Op // nil: not come yet
	received uint32
	window   uint32 // parts asked for: up to here
	count    int    // operations
}

func (x *member) member() Member {
	return Member{Name: x.name, Alive: x.alive, Since: x.since, Incarnation: x.life.Number, Facts: x.facts.len()}
}

func (x *member) deadline(lease time.Duration) (at time.Duration, due bool) {
	if x.lost {
		return 0, false
	}
	at = x.heard + lease
	if x.asking != nil {
		at = min(at, x.asking.again)
	} else if x.gap {
		at = min(at, x.gapAt)
	}
	return at, true
}

// find returns the member; nil when the table is full of live ones.
func (m *Machine) find(name string) *member {
	i, there := slices.BinarySearchFunc(m.members, name, func(x *member, n string) int { return cmp.Compare(x.name, n) })
	if there {
		return m.members[i]
	}
	if len(m.members) >= m.cfg.MaxMembers {
		j := slices.IndexFunc(m.members, func(x *member) bool { return x.lost })
		if j < 0 {
			return nil
		}
		m.members = slices.Delete(m.members, j, j+1)
		return m.find(name)
	}
	x := &member{name: name}
	m.members = slices.Insert(m.members, i, x)
	return x
}

// LifeOf is the life in which another node is known, or this one's own; zero when it was never heard.
func (m *Machine) LifeOf(name string) Life {
	if name == m.cfg.Self {
		return m.life
	}
	for _, x := range m.members {
		if x.name == name {
			return x.life
		}
	}
	return Life{}
}

// Late reports whether a question was asked so long ago that it must not be done any more, without a clock that two nodes share. It
// carries the lives in which the asker knew itself and this node. It waited while this node was stopped, when the asker knew a life of it
// before it woke; and it waited on the way, when the asker is counted as lost in the very life it asked in: whatever it sends once the way
// is free again comes behind what waited there.
func (m *Machine) Late(asker string, its, mine Life) bool {
	if mine.Process == m.life.Process && mine.Number < m.waking {
		return true
	}
	for _, x := range m.members {
		if x.name == asker {
			return x.lost && !x.gone && x.life == its
		}
	}
	return false
}

// hear takes a message of another node.
func (m *Machine) hear(now time.Duration, in Message, out *Output) {
	if in.From == m.cfg.Self {
		if in.Life.Process != m.cfg.Process && in.Kind != Leave {
			m.twin, m.twins = now, true
		}
		return
	}
	x := m.find(in.From)
	if x == nil || !m.current(now, x, in, out) {
		return
	}
	x.heard, x.lost = now, false
	m.clock = max(m.clock, in.Clock)
	switch in.Kind {
	case Beat:
		if x.alive && in.Seq > x.applied {
			x.missing(now)
		}
	case Leave:
		x.gone = true
		m.lose(now, x, out)
		return
	case Delta:
		m.delta(now, x, in, out)
	case Ask:
		m.serve(now, in, out)
	case Part:
		m.part(now, x, in, out)
	case Stale:
		m.stale(now, in.To)
	}
	if !x.alive && x.asking == nil {
		m.ask(now, x, out)
	}
}

// current says whether the message is of the node's present life; a newer life begins here.
func (m *Machine) current(now time.Duration, x *member, in Message, out *Output) bool {
	switch {
	case in.Life == x.life:
		return !x.gone
	case in.Life.Number > x.life.Number:
		m.lose(now, x, out)
		*x = member{name: x.name, life: in.Life, since: now, told: x.told, toldYet: x.toldYet}
		m.beatNow = true // it may not know this node
		return true
	}
	m.stats.Old++
	if !x.toldYet || now-x.told >= m.cfg.Beat/2 {
		x.told, x.toldYet = now, true
		s := m.message(Stale)
		s.To = x.life
		out.send(x.name, s)
	}
	return false
}

// stale: somebody knows this node in another life, which was before this one. With a second process of this name alive the
// elder stays.
func (m *Machine) stale(now time.Duration, known Life) {
	if known.Process == m.life.Process || known.Number < m.life.Number || m.twins && now-m.twin < m.cfg.Lease {
		return
	}
	m.life.Number = known.Number + 1
	m.serving, m.beatNow = nil, true
}

// lose ends what a member has said.
func (m *Machine) lose(now time.Duration, x *member, out *Output) {
	was, facts := x.alive, x.facts
	x.alive, x.lost, x.applied, x.facts = false, true, 0, table{}
	x.held, x.heldOps, x.gap, x.asking = nil, 0, false, nil
	if !was {
		return
	}
	m.stats.Lost++
	x.since = now
	out.tell(x.member())
	for _, e := range facts.list {
		if e.holds {
			out.Changes = append(out.Changes, Change{Fact: e.fact, Gone: true})
		}
	}
}

// watch does what is due with a member.
func (m *Machine) watch(now time.Duration, x *member, out *Output) {
	switch {
	case x.lost:
	case now-x.heard >= m.leaseOf():
		m.lose(now, x, out)
	case x.asking != nil && now >= x.asking.again:
		m.askFurther(now, x, out)
	case x.asking == nil && x.gap && now >= x.gapAt:
		m.ask(now, x, out)
	}
}

// missing: there is a hole, which may yet be filled.
func (x *member) missing(now time.Duration) {
	if !x.gap {
		x.gap, x.gapAt = true, now+gapGrace
	}
}

// delta applies operations, or holds them until those before them are there.
func (m *Machine) delta(now time.Duration, x *member, in Message, out *Output) {
	if !x.alive || in.Seq > x.applied+1 {
		x.hold(in)
		if x.alive {
			x.missing(now)
		}
		return
	}
	m.apply(x, in, out)
	m.release(now, x, out)
}

// hold keeps a delta.
func (x *member) hold(in Message) {
	if x.heldOps += len(in.Ops); x.heldOps > maxHeld {
		x.held, x.heldOps = nil, 0 // the next beat shows the hole
		return
	}
	i, there := slices.BinarySearchFunc(x.held, in.Seq, func(h Message, seq uint64) int { return cmp.Compare(h.Seq, seq) })
	if there {
		x.heldOps -= len(in.Ops)
		return
	}
	x.held = slices.Insert(x.held, i, in)
}

// release applies what was held and is due.
func (m *Machine) release(now time.Duration, x *member, out *Output) {
	for len(x.held) > 0 && x.held[0].Seq <= x.applied+1 {
		x.heldOps -= len(x.held[0].Ops)
		m.apply(x, x.held[0], out)
		x.held = x.held[1:]
	}
	x.gap = false
	if len(x.held) > 0 {
		x.missing(now)
	}
}

// apply takes those operations of a delta that are new.
func (m *Machine) apply(x *member, in Message, out *Output) {
	for i, o := range in.Ops {
		if in.Seq+uint64(i) <= x.applied {
			continue
		}
		x.applied++
		m.stats.Applied++
		if o.Gone {
			if f, there := x.facts.drop(o.Fact.Kind, o.Fact.Key); there {
				out.Changes = append(out.Changes, Change{Fact: f, Gone: true})
			}
			continue
		}
		m.learn(x, o.Fact, out)
	}
}

// learn takes one fact.
func (m *Machine) learn(x *member, f Fact, out *Output) {
	m.clock = max(m.clock, f.Claim)
	x.facts.set(f)
	out.Changes = append(out.Changes, Change{Fact: f})
	m.yield(f, out)
}
