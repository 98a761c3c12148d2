package trace

import "hash/maphash"

// ref is where one record is in the ring.
type ref struct {
	block  uint64
	off, n uint32
	seq    uint64
}

// The bounds of the index. A call that goes beyond them is found in the files.
const (
	maxGroups     = 50_000
	maxGroupRefs  = 8192
	maxGroupNames = 256
)

// group is what the index knows of one call: the names it is known by and its records in memory. Groups form a list
// by the time of their last record.
type group struct {
	names      []string // "c" + global id, "s" + SIP Call-ID
	refs       []ref
	last       uint64 // block of the newest record
	cut        bool   // some records are not in refs any more, or never were
	prev, next *group
}

// index finds the records of a call by its global id or by any of its SIP Call-IDs. A record that carries both ties
// their groups together.
type index struct {
	groups map[string]*group // by name; several names may mean one group
	head   group             // head.next is the newest group, head.prev the oldest
	count  int

	// A bit for each name whose group has gone: a group of such a name is not all there is. Names can share a bit; then
	// the files are looked at for nothing.
	gone [goneBits / 64]uint64
	seed maphash.Seed

	// The names of the record before, and its group while that stands: records come in bursts of one call.
	lastCall, lastSIP string
	lastGroup         *group
}

// goneBits bounds the memory for names that have gone, 128 KiB.
const goneBits = 1 << 20

func (x *index) goneBit(name []byte) (word *uint64, bit uint64) {
	h := maphash.Bytes(x.seed, name) % goneBits
	return &x.gone[h/64], 1 << (h % 64)
}

func (x *index) init() {
	x.seed = maphash.MakeSeed()
	x.groups = make(map[string]*group)
	x.head.next, x.head.prev = &x.head, &x.head
}

// add notes a record under its names.
func (x *index) add(r *Record, at ref) {
	if r.Call == "" && r.SIPCallID == "" {
		return
	}
	if g := x.lastGroup; g != nil && r.Call == x.lastCall && r.SIPCallID == x.lastSIP {
		x.note(g, at)
		return
	}
	var g *group
	if r.Call != "" {
		g = x.named(clip(r.Call), 'c', nil)
	}
	if r.SIPCallID != "" {
		g = x.named(clip(r.SIPCallID), 's', g)
	}
	x.lastCall, x.lastSIP, x.lastGroup = r.Call, r.SIPCallID, g
	x.note(g, at)
}

// note adds a place to a group.
func (x *index) note(g *group, at ref) {
	if len(g.refs) < maxGroupRefs {
		g.refs = append(g.refs, at)
	} else {
		g.cut = true
	}
	g.last = at.block
	x.touch(g)
}

// named returns the group of a name; with is the group it must be the same as, if not nil.
func (x *index) named(id string, sort byte, with *group) *group {
	var buf [128]byte
	name := append(append(buf[:0], sort), id...)
	g := x.groups[string(name)]
	switch {
	case g != nil && (with == nil || with == g):
		return g
	case g != nil:
		return x.merge(with, g)
	case with != nil && len(with.names) >= maxGroupNames:
		with.cut = true
		return with
	case with != nil:
		g = with
	default:
		g = &group{}
		x.insert(g)
	}
	if word, bit := x.goneBit(name); *word&bit != 0 {
		g.cut = true
	}
	key := string(name)
	g.names = append(g.names, key)
	x.groups[key] = g
	return g
}

// merge makes one group of two and returns it.
func (x *index) merge(a, b *group) *group {
	if len(a.refs) < len(b.refs) {
		a, b = b, a
	}
	a.refs = append(a.refs, b.refs...)
	a.names = append(a.names, b.names...)
	a.last, a.cut = max(a.last, b.last), a.cut || b.cut
	for _, n := range b.names {
		x.groups[n] = a
	}
	x.unlink(b)
	return a
}

func (x *index) insert(g *group) {
	for x.count >= maxGroups {
		x.remove(x.head.prev)
	}
	g.prev, g.next = &x.head, x.head.next
	g.prev.next, g.next.prev = g, g
	x.count++
}

func (x *index) unlink(g *group) {
	x.lastGroup = nil
	g.prev.next, g.next.prev = g.next, g.prev
	x.count--
}

func (x *index) remove(g *group) {
	x.unlink(g)
	for _, n := range g.names {
		delete(x.groups, n)
		word, bit := x.goneBit([]byte(n))
		*word |= bit
	}
}

// touch makes a group the newest.
func (x *index) touch(g *group) {
	if x.head.next == g {
		return
	}
	g.prev.next, g.next.prev = g.next, g.prev
	g.prev, g.next = &x.head, x.head.next
	g.prev.next, g.next.prev = g, g
}

// evict forgets the groups whose every record is in blocks before first.
func (x *index) evict(first uint64) {
	for g := x.head.prev; g != &x.head && g.last < first; g = x.head.prev {
		x.remove(g)
	}
}

// find returns the group of a global id or a SIP Call-ID.
func (x *index) find(id string) *group {
	if g := x.groups["c"+id]; g != nil {
		return g
	}
	return x.groups["s"+id]
}
