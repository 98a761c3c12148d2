package admin

import (
	"reflect"
	"testing"

	"github.com/locktone/locktone/bus"
)

func TestOneMailbox(t *testing.T) {
	row := func(node, line string, version int64, yes, no []string) bus.MessageState {
		return bus.MessageState{Node: node, Line: line, Version: version, Acknowledged: yes, Waits: no}
	}
	for _, c := range []struct {
		name      string
		rows, out []bus.MessageState
	}{
		{"one node", []bus.MessageState{row("n1", "1", 1, nil, []string{"a"}), row("n1", "2", 1, nil, nil)},
			[]bus.MessageState{row("n1", "1", 1, nil, []string{"a"}), row("n1", "2", 1, nil, nil)}},
		{"each tells its own phones", []bus.MessageState{row("n1", "1", 3, []string{"b"}, []string{"a", "c", "d (480)"}), row("n2", "1", 3, []string{"a"}, []string{"b", "c", "d"})},
			[]bus.MessageState{row("n1", "1", 3, []string{"a", "b"}, []string{"c", "d (480)"})}},
		{"one has not heard yet", []bus.MessageState{row("n1", "1", 3, []string{"a"}, nil), row("n2", "1", 4, nil, []string{"a"}), row("n3", "1", 3, []string{"a"}, nil)},
			[]bus.MessageState{row("n2", "1", 4, nil, []string{"a"})}},
	} {
		if got := oneMailbox(c.rows); len(got) != len(c.out) {
			t.Errorf("%s: %+v", c.name, got)
		} else {
			for i := range got {
				if g, w := got[i], c.out[i]; g.Node != w.Node || g.Line != w.Line || g.Version != w.Version || !same(g.Acknowledged, w.Acknowledged) || !same(g.Waits, w.Waits) {
					t.Errorf("%s: %+v, want %+v", c.name, g, w)
				}
			}
		}
	}
}

func same(a, b []string) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }
