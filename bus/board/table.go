package board

// table is the facts of one owner, in the order in which they were first said.
type table struct {
	kinds map[string]map[string]int // place in list, by kind and key
	list  []entry
	empty int // places whose fact is gone
}

type entry struct {
	fact  Fact
	holds bool
}

func (t *table) len() int { return len(t.list) - t.empty }

func (t *table) get(kind, key string) (Fact, bool) {
	i, there := t.kinds[kind][key]
	if !there {
		return Fact{}, false
	}
	return t.list[i].fact, true
}

func (t *table) set(f Fact) {
	if i, there := t.kinds[f.Kind][f.Key]; there {
		t.list[i].fact = f
		return
	}
	if t.kinds == nil {
		t.kinds = map[string]map[string]int{}
	}
	if t.kinds[f.Kind] == nil {
		t.kinds[f.Kind] = map[string]int{}
	}
	t.kinds[f.Kind][f.Key] = len(t.list)
	t.list = append(t.list, entry{f, true})
}

func (t *table) drop(kind, key string) (Fact, bool) {
	i, there := t.kinds[kind][key]
	if !there {
		return Fact{}, false
	}
	f := t.list[i].fact
	t.list[i] = entry{}
	t.empty++
	delete(t.kinds[kind], key)
	if len(t.kinds[kind]) == 0 {
		delete(t.kinds, kind)
	}
	if t.empty > 64 && t.empty > len(t.list)/2 {
		t.compact()
	}
	return f, true
}

// compact gives back the places of what is gone.
func (t *table) compact() {
	kept := make([]entry, 0, t.len())
	for _, e := range t.list {
		if e.holds {
			t.kinds[e.fact.Kind][e.fact.Key] = len(kept)
			kept = append(kept, e)
		}
	}
	t.list, t.empty = kept, 0
}

// ops are all facts as operations.
func (t *table) ops() []Op {
	out := make([]Op, 0, t.len())
	for _, e := range t.list {
		if e.holds {
			out = append(out, Op{Fact: e.fact})
		}
	}
	return out
}

// of appends the facts of a kind, in any order.
func (t *table) of(kind string, out []Fact) []Fact {
	for _, i := range t.kinds[kind] {
		out = append(out, t.list[i].fact)
	}
	return out
}

// count adds the number of facts of each kind.
func (t *table) count(out map[string]int) {
	for kind, keys := range t.kinds {
		out[kind] += len(keys)
	}
}
