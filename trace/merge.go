package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Merged are records of one or more nodes in one order: each node's own order holds (its sequence numbers), and nothing arrives before it
// was sent; beyond that the clocks decide, corrected where messages prove them wrong.
type Merged struct {
	Records []Record
	// At are the times of Records by the clock of the first node.
	At []time.Time
	// Other is, for a message of which both ends recorded, the index of the record of the other end; -1 otherwise.
	Other []int
	// Clocks say how the clocks of the other nodes stand.
	Clocks []Clock
}

// Clock says how the clock of a node stands against that of another, by messages that both recorded.
//
// What is sent at a and arrives at b says that b is ahead by at most the difference of the two times, since no message takes less than no
// time; what goes the other way says it is ahead by at least that. Where both bounds let the clocks be equal they are taken for equal,
// otherwise the middle is taken.
type Clock struct {
	Node    string        `json:"node"`
	Against string        `json:"against"`
	Ahead   time.Duration `json:"ahead_ns"`  // what its times were corrected by; negative: it is behind
	Within  time.Duration `json:"within_ns"` // how wrong Ahead can be; 0 where OneWay or Unknown
	Pairs   int           `json:"messages"`
	OneWay  bool          `json:"one_way,omitempty"` // messages went one way only
	Jumped  bool          `json:"jumped,omitempty"`  // no difference fits all messages: a clock was set meanwhile
	Unknown bool          `json:"unknown,omitempty"` // no message between the two: nothing is known, nothing was corrected
}

// String is a sentence for a person.
func (c Clock) String() string {
	state := "agrees with"
	if c.Ahead > 0 {
		state = fmt.Sprintf("is %s ahead of", rounded(c.Ahead))
	} else if c.Ahead < 0 {
		state = fmt.Sprintf("is %s behind", rounded(-c.Ahead))
	}
	switch {
	case c.Unknown:
		return fmt.Sprintf("the clock of %s cannot be compared with any other: no message between them was recorded at both ends", c.Node)
	case c.Jumped:
		return fmt.Sprintf("the clock of %s or of %s was set while this lasted: no difference fits all %d messages; about, it %s it", c.Node, c.Against, c.Pairs, state)
	case c.OneWay && c.Ahead == 0:
		return fmt.Sprintf("the clock of %s may agree with that of %s: messages went one way only (%d)", c.Node, c.Against, c.Pairs)
	case c.OneWay:
		return fmt.Sprintf("the clock of %s %s that of %s at least: messages went one way only (%d)", c.Node, state, c.Against, c.Pairs)
	}
	text := fmt.Sprintf("the clock of %s %s that of %s, within %s (%d messages)", c.Node, state, c.Against, rounded(c.Within), c.Pairs)
	if c.Ahead != 0 {
		text += "; its times are corrected"
	}
	return text
}

func rounded(d time.Duration) string {
	if d < time.Millisecond {
		return d.Round(time.Microsecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// Merge brings records of any number of nodes into one order.
func Merge(recs []Record) *Merged {
	g := merger{byNode: map[string][]int{}}
	g.recs = slices.Clone(recs)
	slices.SortStableFunc(g.recs, func(a, b Record) int { return cmp.Or(strings.Compare(a.Node, b.Node), cmp.Compare(a.Seq, b.Seq)) })
	g.recs = slices.CompactFunc(g.recs, func(a, b Record) bool { return a.Seq != 0 && a.Seq == b.Seq && a.Node == b.Node })
	for i := range g.recs {
		node := g.recs[i].Node
		if g.byNode[node] == nil {
			g.nodes = append(g.nodes, node)
		}
		g.byNode[node] = append(g.byNode[node], i)
	}
	g.pair()
	g.compareClocks()
	return g.order()
}

type merger struct {
	recs   []Record // by node, then by number
	nodes  []string
	byNode map[string][]int
	other  []int
	ahead  map[string]time.Duration // of the first node's clock
	clocks []Clock
}

// pair finds the two records of each message that went from one recorder to another: the same message, sent and received, the first
// with the first.
func (g *merger) pair() {
	g.other = make([]int, len(g.recs))
	sent := map[string][]int{}
	keys := make([]string, len(g.recs))
	for i := range g.recs {
		g.other[i] = -1
		if r := &g.recs[i]; r.Kind.SIP() {
			m := readMessage(r.Body)
			keys[i] = fmt.Sprint(m.first, "\n", m.cseq, "\n", m.branch, "\n", m.callID)
			if r.Kind == KindSIPOut {
				sent[keys[i]] = append(sent[keys[i]], i)
			}
		}
	}
	for i := range g.recs {
		if g.recs[i].Kind != KindSIPIn {
			continue
		}
		waiting := sent[keys[i]]
		at := slices.IndexFunc(waiting, func(j int) bool { return g.fits(&g.recs[j], &g.recs[i]) })
		if at >= 0 {
			j := waiting[at]
			g.other[i], g.other[j] = j, i
			sent[keys[i]] = slices.Delete(waiting, at, at+1)
		}
	}
}

// fits says whether a message sent can be the one received: on one node it comes over the same addresses, later. Between nodes
// addresses can be translated.
func (g *merger) fits(out, in *Record) bool {
	if out.Node != in.Node {
		return true
	}
	return out.Seq <= in.Seq && out.Remote == in.Local && (out.Service != in.Service || out.Local == in.Remote)
}

// bounds of how far b's clock is ahead of a's.
type bounds struct {
	least, most       time.Duration
	hasLeast, hasMost bool
	messages          int
}

func (b *bounds) atMost(d time.Duration) {
	if !b.hasMost || d < b.most {
		b.most, b.hasMost = d, true
	}
	b.messages++
}

func (b *bounds) atLeast(d time.Duration) {
	if !b.hasLeast || d > b.least {
		b.least, b.hasLeast = d, true
	}
	b.messages++
}

// clock is what follows from the bounds.
func (b bounds) clock() (c Clock) {
	c.Pairs = b.messages
	switch {
	case b.hasLeast && b.hasMost && b.least > b.most:
		c.Jumped, c.Ahead, c.Within = true, (b.least+b.most)/2, (b.least-b.most)/2
	case b.hasLeast && b.hasMost && b.least <= 0 && b.most >= 0:
		c.Within = max(-b.least, b.most)
	case b.hasLeast && b.hasMost:
		c.Ahead, c.Within = (b.least+b.most)/2, (b.most-b.least+1)/2
	case b.hasLeast:
		c.OneWay, c.Ahead = true, max(0, b.least)
	default:
		c.OneWay, c.Ahead = true, min(0, b.most)
	}
	return c
}

// compareClocks goes from the node that recorded first to all others, by the messages between them.
func (g *merger) compareClocks() {
	g.ahead = map[string]time.Duration{}
	if len(g.nodes) == 0 {
		return
	}
	first := slices.MinFunc(g.nodes, func(a, b string) int { return g.begin(a).Compare(g.begin(b)) })
	if i := g.cause(first); i != "" {
		first = i
	}
	g.ahead[first] = 0
	for todo := []string{first}; len(todo) > 0; todo = todo[1:] {
		a := todo[0]
		for _, b := range g.nodes {
			if _, done := g.ahead[b]; done {
				continue
			}
			x := g.between(a, b)
			if x.messages == 0 {
				continue
			}
			c := x.clock()
			c.Node, c.Against = b, a
			g.ahead[b] = g.ahead[a] + c.Ahead
			g.clocks = append(g.clocks, c)
			todo = append(todo, b)
		}
	}
	for _, n := range g.nodes {
		if _, known := g.ahead[n]; !known {
			g.clocks = append(g.clocks, Clock{Node: n, Unknown: true})
		}
	}
}

func (g *merger) begin(node string) time.Time { return g.recs[g.byNode[node][0]].Time }

// cause is the node where what the given one recorded first began: the one whose message came to it before it had recorded anything
// else. A clock that is behind would make it the first.
func (g *merger) cause(node string) string {
	for seen := map[string]bool{}; !seen[node]; {
		seen[node] = true
		for _, i := range g.byNode[node] {
			r := &g.recs[i]
			if j := g.other[i]; r.Kind == KindSIPIn && j >= 0 && g.recs[j].Node != node {
				node = g.recs[j].Node
				break
			}
			if r.Kind.SIP() {
				return node
			}
		}
	}
	return node
}

// between are the bounds of how far b is ahead of a.
func (g *merger) between(a, b string) (x bounds) {
	for _, i := range g.byNode[b] {
		j := g.other[i]
		if j < 0 || g.recs[j].Node != a {
			continue
		}
		if d := g.recs[i].Time.Sub(g.recs[j].Time); g.recs[i].Kind == KindSIPIn { // from a to b
			x.atMost(d)
		} else {
			x.atLeast(d)
		}
	}
	return x
}

// order picks, again and again, the earliest of the nodes' next records whose message has been sent.
func (g *merger) order() *Merged {
	m := &Merged{Clocks: g.clocks}
	next := make([]int, len(g.nodes))
	place := make([]int, len(g.recs)) // where a record went
	for i := range place {
		place[i] = -1
	}
	for range g.recs {
		best, free := -1, false
		for n, node := range g.nodes {
			if next[n] == len(g.byNode[node]) {
				continue
			}
			i := g.byNode[node][next[n]]
			ready := g.recs[i].Kind != KindSIPIn || g.other[i] < 0 || place[g.other[i]] >= 0
			if best < 0 || ready && !free || ready == free && g.when(i).Before(g.when(g.byNode[g.nodes[best]][next[best]])) {
				best, free = n, ready
			}
		}
		i := g.byNode[g.nodes[best]][next[best]]
		next[best]++
		place[i] = len(m.Records)
		m.Records, m.At = append(m.Records, g.recs[i]), append(m.At, g.when(i))
	}
	m.Other = make([]int, len(g.recs))
	for i, p := range place {
		if m.Other[p] = -1; g.other[i] >= 0 {
			m.Other[p] = place[g.other[i]]
		}
	}
	return m
}

// when is a record's time by the first node's clock.
func (g *merger) when(i int) time.Time { return g.recs[i].Time.Add(-g.ahead[g.recs[i].Node]) }

// MergeCalls makes one list of those of several nodes, the newest first: what shares a global id or a SIP Call-ID is one call. Times of
// different nodes are compared as they are.
func MergeCalls(lists ...[]CallInfo) []CallInfo {
	var out []*CallInfo
	names := map[string]*CallInfo{}
	for _, list := range lists {
		for _, info := range list {
			into := find(names, &info)
			if into == nil {
				x := info
				x.Nodes = slices.Clone(info.Nodes)
				into, out = &x, append(out, &x)
			} else {
				into.join(&info)
			}
			names["c"+info.Call] = into
			for _, id := range info.SIPCallIDs {
				names["s"+id] = into
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *CallInfo) int { return b.Start.Compare(a.Start) })
	all := make([]CallInfo, len(out))
	for i := range out {
		all[i] = *out[i]
	}
	return all
}

func find(names map[string]*CallInfo, info *CallInfo) *CallInfo {
	if x := names["c"+info.Call]; x != nil {
		return x
	}
	for _, id := range info.SIPCallIDs {
		if x := names["s"+id]; x != nil {
			return x
		}
	}
	return nil
}

// join adds what another node knows of the call.
func (info *CallInfo) join(o *CallInfo) {
	info.Records += o.Records
	for _, x := range []struct{ to, from *[]string }{{&info.SIPCallIDs, &o.SIPCallIDs}, {&info.Services, &o.Services}, {&info.Nodes, &o.Nodes}} {
		for _, s := range *x.from {
			if !slices.Contains(*x.to, s) {
				*x.to = append(*x.to, s)
			}
		}
	}
	if o.Start.Before(info.Start) {
		info.Start, info.From, info.To = o.Start, o.From, o.To
	}
	switch {
	case info.End.IsZero() || o.End.IsZero(): // it lives as long as it lives anywhere
		if info.End.IsZero() != o.End.IsZero() && info.End.After(o.End) {
			info.State = o.State
		}
		info.End = time.Time{}
	case o.End.After(info.End):
		info.End = o.End
	}
}
