package dialplan

// A layer is a set of patterns that compete with each other: one trie for every partition that has any.
type layer struct {
	tries     []trie
	partition map[string]int   // name -> index into tries
	spaces    map[string][]int // name -> tries, without the nameless partition's
	nameless  int              // index of the nameless partition's trie, -1 if it has no pattern
	clocked   map[int]clocked  // tries that are not always searched
}

func newLayer() layer {
	return layer{partition: map[string]int{}, spaces: map[string][]int{}, nameless: -1, clocked: map[int]clocked{}}
}

// trieOf is the trie of a partition, made when first asked for.
func (l *layer) trieOf(partition string) *trie {
	n, ok := l.partition[partition]
	if !ok {
		n = len(l.tries)
		l.partition[partition] = n
		l.tries = append(l.tries, newTrie())
		if partition == "" {
			l.nameless = n
		}
	}
	return &l.tries[n]
}

// addSpace notes which tries a search space looks through. A partition without patterns is no fault: lines may come later.
func (l *layer) addSpace(s *SearchSpace) {
	tries := make([]int, 0, len(s.Partitions))
	for _, name := range s.Partitions {
		if n, ok := l.partition[name]; ok && name != "" {
			tries = append(tries, n)
		}
	}
	l.spaces[s.Name] = tries
}

// search goes through the partitions of the search spaces that are open, in their order, the nameless one last.
func (l *layer) search(f *finder, q *Query, spaces []string) {
	for _, name := range spaces {
		for _, n := range l.spaces[name] {
			if l.open(n, q) {
				f.search(&l.tries[n])
			}
		}
	}
	if l.nameless >= 0 {
		f.search(&l.tries[l.nameless])
	}
}

// searchAll goes through all partitions.
func (l *layer) searchAll(f *finder) {
	for n := range l.tries {
		f.search(&l.tries[n])
	}
}
