package call

import (
	"strconv"
	"strings"
)

// A Via names the calls through which the word of a weak leg has come over ties, the one that said it last first, that of the leg itself
// last: "n2/LIFE/c7 n3/LIFE/c4". Empty is not said: the word is the other node's own.
//
// Ties can form rings: three people of three nodes who all have a conference with the other two make one. What a leg was said to be would go
// round in it for ever, though the leg is long better protected: every call would believe it of the next. A call passes over what has come
// through itself. So a word goes no further than through every call once, and of two that say the same the shorter way is told on:
// what all say of each other has one fixed point, the weakest leg of all, and comes to it in as many messages as there are calls in a row.
type Via string

// maxVia bounds the calls of a Via: those furthest away are left out. More in a row than this do not occur.
const maxVia = 16

// through is the way on through one more call.
func (v Via) through(home string, id CallID) Via {
	calls := append([]string{home + "/" + id.String()}, strings.Fields(string(v))...)
	return Via(strings.Join(calls[:min(len(calls), maxVia)], " "))
}

// has says whether the way leads through a call.
func (v Via) has(home string, id CallID) bool {
	for call := range strings.FieldsSeq(string(v)) {
		if rest, ok := strings.CutPrefix(call, home); ok && strings.HasPrefix(rest, "/c") && rest[2:] == strconv.FormatUint(uint64(id), 10) {
			return true
		}
	}
	return false
}

// hops is how many calls away the leg is; at least one.
func (v Via) hops() int { return max(1, strings.Count(string(v), " ")+1) }

// home is this node in its present life, as a Via names it.
func (e *Engine) home() string { return e.config.site.Node + "/" + e.config.site.Incarnation }

// behind is how well what lies behind a tie is protected as far as the other node has said. What it has heard from this very call is nothing
// new: LockUnknown, as for all that is no tie.
func (l *Leg) behind() Lock {
	if l.tie == nil || l.tie.via.has(l.tie.home, l.party.call.id) {
		return LockUnknown
	}
	return l.tie.behind
}

// weakBehind says whether what lies behind a tie is less well protected than the way to the other node.
func (l *Leg) weakBehind() bool {
	b := l.behind()
	return b != LockUnknown && b < LockEncrypted && (l.own() == LockUnknown || b < l.own())
}

// origin is the node of the leg behind a tie that makes it weak.
func (t *tie) origin() string {
	way := string(t.via)
	node, _, _ := strings.Cut(way[strings.LastIndexByte(way, ' ')+1:], "/")
	return orDefault(node, t.node)
}

// via is by which calls the word of a leg's weakness has come to its own; empty for one that is weak itself.
func (l *Leg) via() Via {
	if !l.weakBehind() {
		return ""
	}
	return orDefault(l.tie.via, Via(l.tie.node))
}

// nearer says whether of two equally weak legs this one is to be named: the nearer one, and of two that are equally near the one that can be
// nothing else.
func (l *Leg) nearer(than *Leg) bool {
	if a, b := l.distance(), than.distance(); a != b {
		return a < b
	}
	return l.policy.security() == RTP && than.policy.security() != RTP
}

// distance is over how many ties what is weak of a leg lies.
func (l *Leg) distance() int {
	if !l.weakBehind() {
		return 0
	}
	return l.tie.via.hops()
}
