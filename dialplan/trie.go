package dialplan

import "math/bits"

// trie holds the patterns of one partition. Nodes are numbers; node 0 is the root.
type trie struct {
	nodes []node
}

// node is one place reached by the digits so far. Single symbols, by far the most frequent edges, are a table; sets are a
// list. stay holds the symbols that lead from the node to itself (the "or more" of "!").
type node struct {
	single [len(alphabet)]int32
	sets   []setEdge
	stay   set
	end    int32 // the pattern that ends here, -1 for none
}

type setEdge struct {
	set  set
	loop bool
	to   int32
}

func newTrie() trie { return trie{nodes: []node{{end: -1}}} }

// insert adds a pattern; when one with the same elements is there already, ok is false and dup is that one.
func (t *trie) insert(elements []element, pattern int32) (dup int32, ok bool) {
	at := int32(0)
	for _, el := range elements {
		at = t.child(at, el)
	}
	if t.nodes[at].end >= 0 {
		return t.nodes[at].end, false
	}
	t.nodes[at].end = pattern
	return pattern, true
}

// child is the node behind el, made if it is not there.
func (t *trie) child(at int32, el element) int32 {
	n := &t.nodes[at]
	one := bits.OnesCount32(uint32(el.set)) == 1 && !el.loop
	if one {
		if to := n.single[bits.TrailingZeros32(uint32(el.set))]; to != 0 {
			return to
		}
	}
	for _, e := range n.sets {
		if e.set == el.set && e.loop == el.loop {
			return e.to
		}
	}
	to := int32(len(t.nodes))
	if one {
		n.single[bits.TrailingZeros32(uint32(el.set))] = to
	} else {
		n.sets = append(n.sets, setEdge{el.set, el.loop, to})
	}
	fresh := node{end: -1}
	if el.loop {
		fresh.stay = el.set
	}
	t.nodes = append(t.nodes, fresh)
	return to
}

// weight is how many strings of the dialled length a pattern matches, saturating; fewer is closer.
type weight struct{ hi, lo uint64 }

func (w weight) times(n int) weight {
	hi, lo := bits.Mul64(w.lo, uint64(n))
	over, rest := bits.Mul64(w.hi, uint64(n))
	sum, carry := bits.Add64(rest, hi, 0)
	if over != 0 || carry != 0 {
		return weight{^uint64(0), ^uint64(0)}
	}
	return weight{sum, lo}
}

func (w weight) less(o weight) bool { return w.hi < o.hi || w.hi == o.hi && w.lo < o.lo }

// finder walks tries for one number and keeps the best match. Tries are searched in the order of the search space, so an
// equal match of a later trie never wins.
type finder struct {
	number string
	best   int32
	weight weight
	loop   bool
	more   bool
	trie   *trie
	why    *explainer
}

func (f *finder) search(t *trie) {
	f.trie = t
	f.walk(0, 0, weight{0, 1}, false, int(f.best))
}

// walk follows the number from place i on at a node. first is the best pattern found in tries before this one.
func (f *finder) walk(at int32, i int, w weight, loop bool, first int) {
	n := &f.trie.nodes[at]
	if i == len(f.number) {
		f.arrive(n, w, loop, first)
		return
	}
	s := symbol(f.number[i])
	if s < 0 {
		return
	}
	if to := n.single[s]; to != 0 {
		f.walk(to, i+1, w, loop, first)
	}
	if n.stay&(1<<s) != 0 {
		f.walk(at, i+1, w.times(bits.OnesCount32(uint32(n.stay))), loop, first)
	}
	for _, e := range n.sets {
		if e.set&(1<<s) != 0 {
			f.walk(e.to, i+1, w.times(bits.OnesCount32(uint32(e.set))), loop || e.loop, first)
		}
	}
}

// arrive takes note of where the number ended.
func (f *finder) arrive(n *node, w weight, loop bool, first int) {
	f.more = f.more || n.stay != 0 || len(n.sets) > 0 || n.hasSingle()
	if n.end < 0 {
		return
	}
	f.why.candidate(n.end, w, loop)
	better := f.best < 0 || w.less(f.weight) || w == f.weight && (f.loop && !loop || f.loop == loop && int(f.best) != first && n.end < f.best)
	if better {
		f.best, f.weight, f.loop = n.end, w, loop
	}
}

func (n *node) hasSingle() bool {
	for _, to := range n.single {
		if to != 0 {
			return true
		}
	}
	return false
}
