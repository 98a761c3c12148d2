package board

import (
	"slices"
	"time"
)

// window is how many parts of a snapshot are sent before the asker asks for more, so that nothing on the way fills up.
const window = 16

// maxParts bounds the parts of one snapshot.
const maxParts = 1 << 16

// serving is a snapshot on its way to who asked: the facts as they were when the question came.
type serving struct {
	asker string
	life  Life
	id    uint64
	seq   uint64
	parts [][]Op
	until time.Duration
}

// serve answers a question for everything.
func (m *Machine) serve(now time.Duration, in Message, out *Output) {
	if in.To != m.life {
		m.stale(now, in.To)
		out.send(in.From, m.message(Beat)) // it learns of this life
		return
	}
	i := slices.IndexFunc(m.serving, func(s *serving) bool { return s.asker == in.From })
	if i < 0 || m.serving[i].id != in.Asking || m.serving[i].life.Process != in.Life.Process {
		if in.Part > 0 {
			return // of a snapshot that is forgotten; it will ask anew
		}
		if i >= 0 {
			m.serving = slices.Delete(m.serving, i, i+1)
		}
		m.flush(out) // what waits is part of it
		m.serving, i = append(m.serving, m.snapshot(in)), len(m.serving)
		m.stats.Served++
	}
	s := m.serving[i]
	s.until = now + m.cfg.Lease
	for p := in.Part; p < min(in.Part+window, uint32(len(s.parts))); p++ {
		x := m.message(Part)
		x.To, x.Asking, x.Seq, x.Part, x.Parts, x.Ops = s.life, s.id, s.seq, p, uint32(len(s.parts)), s.parts[p]
		out.send(s.asker, x)
	}
}

func (m *Machine) snapshot(in Message) *serving {
	s := &serving{asker: in.From, life: in.Life, id: in.Asking, seq: m.seq}
	for ops := m.own.ops(); len(ops) > 0; {
		n := piece(ops, m.cfg.PartBytes)
		s.parts, ops = append(s.parts, ops[:n:n]), ops[n:]
	}
	if len(s.parts) == 0 {
		s.parts = [][]Op{nil}
	}
	return s
}

// ask begins to ask a member for everything.
func (m *Machine) ask(now time.Duration, x *member, out *Output) {
	if x.alive {
		m.stats.Gaps++
	}
	m.asks++
	x.asking = &asking{id: m.asks}
	m.stats.Asked++
	m.question(now, x, out)
}

func (m *Machine) question(now time.Duration, x *member, out *Output) {
	a := x.asking
	a.again, a.window = now+askAgain, a.received+window
	q := m.message(Ask)
	q.To, q.Asking, q.Part = x.life, a.id, a.received
	out.send(x.name, q)
}

// askFurther: the answer, or some of it, did not come.
func (m *Machine) askFurther(now time.Duration, x *member, out *Output) {
	if x.asking.tries++; x.asking.tries > 3 {
		m.ask(now, x, out)
		return
	}
	m.question(now, x, out)
}

// part takes a part of the snapshot asked for. Only the owner's present life, only this process's present question.
func (m *Machine) part(now time.Duration, x *member, in Message, out *Output) {
	a := x.asking
	if a == nil || in.To.Process != m.cfg.Process || in.Asking != a.id || in.Parts == 0 || in.Parts > maxParts || in.Part >= in.Parts {
		return
	}
	if a.parts == nil {
		a.parts, a.seq = make([][]Op, in.Parts), in.Seq
	}
	if uint32(len(a.parts)) != in.Parts || a.seq != in.Seq || a.parts[in.Part] != nil || a.count+len(in.Ops) > m.cfg.MaxFacts {
		return
	}
	if a.parts[in.Part] = in.Ops; in.Ops == nil {
		a.parts[in.Part] = []Op{}
	}
	a.count += len(in.Ops)
	a.again, a.tries = now+askAgain, 0
	for a.received < in.Parts && a.parts[a.received] != nil { // those without a hole before them
		a.received++
	}
	switch {
	case a.received == in.Parts:
		m.complete(now, x, out)
	case a.received >= a.window:
		m.question(now, x, out)
	}
}

// complete takes the snapshot into use.
func (m *Machine) complete(now time.Duration, x *member, out *Output) {
	a := x.asking
	x.asking = nil
	if x.alive && x.applied >= a.seq { // what was missing has come meanwhile
		m.release(now, x, out)
		return
	}
	old := x.facts
	x.facts, x.applied = table{}, a.seq
	if !x.alive {
		x.alive, x.since = true, now
		out.tell(x.member())
		out.Changes[len(out.Changes)-1].Member.Facts = a.count
	}
	for _, ops := range a.parts {
		for _, o := range ops {
			m.clock = max(m.clock, o.Fact.Claim)
			x.facts.set(o.Fact)
		}
	}
	m.join(out)
	for _, e := range old.list {
		if _, there := x.facts.get(e.fact.Kind, e.fact.Key); e.holds && !there {
			out.Changes = append(out.Changes, Change{Fact: e.fact, Gone: true})
		}
	}
	for _, e := range x.facts.list {
		if before, there := old.get(e.fact.Kind, e.fact.Key); !there || before.Claim != e.fact.Claim {
			out.Changes = append(out.Changes, Change{Fact: e.fact})
			m.yield(e.fact, out)
		}
	}
	m.release(now, x, out)
}

// join makes the claims of this node stand when it hears of others for the first time: what it has said since it started,
// knowing of nobody, is newer than what they have kept.
func (m *Machine) join(out *Output) {
	if m.joined {
		return
	}
	m.joined = true
	for _, o := range m.own.ops() {
		m.clock++
		o.Fact.Claim = m.clock
		m.own.set(o.Fact)
		m.say(o)
		out.Changes = append(out.Changes, Change{Fact: o.Fact})
	}
}
