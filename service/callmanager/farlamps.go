package callmanager

import (
	"cmp"
	"slices"
	"sync"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/dialoginfo"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// Lamps across nodes: each node tells what lines and park numbers do in its calls, and who watches is told by the node it subscribed at.
// A call over several nodes is a call of each: of all the pictures of one line's part in it, that of the node with its phone counts.

// A farLamp is a lamp as nodes tell each other.
type farLamp struct {
	Line      call.LineID          `json:"line,omitzero"`
	Slot      string               `json:"slot,omitempty"`
	ID        string               `json:"id"`
	Global    string               `json:"global,omitempty"`
	State     dialoginfo.State     `json:"state"`
	Direction dialoginfo.Direction `json:"direction"`
	Held      bool                 `json:"held,omitempty"`
	Tie       bool                 `json:"tie,omitempty"`
	Leg       call.LegID           `json:"leg,omitempty"`
	Device    string               `json:"device,omitempty"`
	Remote    call.Identity        `json:"remote,omitzero"`
	External  bool                 `json:"external,omitempty"`
	// The dialog of Leg, as a Replaces header field must name it; empty while the phone has no tag.
	CallID    string `json:"callId,omitempty"`
	LocalTag  string `json:"localTag,omitempty"`
	RemoteTag string `json:"remoteTag,omitempty"`
}

func (f *farLamp) spot() spot { return spot{f.Line, f.Slot} }

// lamp is what it is to those who watch here. Ids of calls are a node's own.
func (f *farLamp) lamp(node string) lamp {
	return lamp{id: node + "-" + f.ID, state: f.State, direction: f.Direction, held: f.Held, leg: f.Leg, device: f.Device, remote: f.Remote, external: f.External,
		global: f.Global, tie: f.Tie, node: node, dialog: dialog.ID{CallID: f.CallID, Local: f.LocalTag, Remote: f.RemoteTag}}
}

// lampsOfCall are the lamps of a call of ours, for other nodes.
func (s *Service) lampsOfCall(v *call.View) (out []farLamp) {
	for _, p := range places(v) {
		for _, l := range lampsOf(p, v) {
			f := farLamp{Line: p.line, Slot: p.slot, ID: l.id, Global: l.global, State: l.state, Direction: l.direction, Held: l.held, Tie: l.tie, Leg: l.leg,
				Device: l.device, Remote: l.remote, External: l.external}
			if name, ok := s.sip.Dialog(l.leg); ok && !l.tie {
				f.CallID, f.LocalTag, f.RemoteTag = name.CallID, name.Local, name.Remote
			}
			out = append(out, f)
		}
	}
	return out
}

// farLamps is what the other nodes tell, guarded by its lock.
type farLamps struct {
	mu    sync.Mutex
	calls map[farCall][]farLamp
	at    map[spot][]farCall // in order
}

// farCall is a call of another node: the key of its fact.
type farCall struct{ node, call string }

func (a farCall) compare(b farCall) int {
	return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.call, b.call))
}

// take takes the lamps of a call of another node, none when it has ended, and lists the places where something may have changed.
func (t *farLamps) take(node, key string, list []farLamp) (changed []spot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.put(farCall{node, key}, list)
}

func (t *farLamps) put(id farCall, list []farLamp) (changed []spot) {
	if t.calls == nil {
		t.calls, t.at = map[farCall][]farLamp{}, map[spot][]farCall{}
	}
	for _, f := range t.calls[id] {
		p := f.spot()
		if at, there := slices.BinarySearchFunc(t.at[p], id, farCall.compare); there {
			t.at[p] = slices.Delete(t.at[p], at, at+1)
		}
		if len(t.at[p]) == 0 {
			delete(t.at, p)
		}
		changed = append(changed, p)
	}
	for _, f := range list {
		p := f.spot()
		if at, there := slices.BinarySearchFunc(t.at[p], id, farCall.compare); !there {
			t.at[p] = slices.Insert(t.at[p], at, id)
		}
		changed = append(changed, p)
	}
	if t.calls[id] = list; len(list) == 0 {
		delete(t.calls, id)
	}
	return changed
}

// lost forgets what a node told that is lost.
func (t *farLamps) lost(node string) (changed []spot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.calls {
		if id.node == node {
			changed = append(changed, t.put(id, nil)...)
		}
	}
	return changed
}

// lit lists what goes on at a place at other nodes.
func (t *farLamps) lit(p spot) (out []lamp) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range t.at[p] {
		for i := range t.calls[id] {
			if f := &t.calls[id][i]; f.spot() == p {
				out = append(out, f.lamp(id.node))
			}
		}
	}
	return out
}

// find is the leg of a dialog that another node has. RFC 3891, 3: Call-ID and both tags name it, and a confirmed one does not match early-only.
func (t *farLamps) find(r sip.Replaces) (node string, leg call.LegID, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, list := range t.calls {
		for _, f := range list {
			if f.CallID == r.CallID && f.LocalTag == r.ToTag && f.RemoteTag == r.FromTag && f.CallID != "" && !(r.EarlyOnly && f.State == dialoginfo.Confirmed) {
				return id.node, f.Leg, true
			}
		}
	}
	return "", 0, false
}

// lampsChanged has those who watch the places look at them.
func (s *Service) lampsChanged(changed []spot) {
	seen := map[spot]bool{}
	for _, p := range changed {
		if !seen[p] {
			seen[p] = true
			s.subscriptions.changed(s.ep, p)
		}
	}
}

// once leaves one picture of each line's part in a call. The same call is known to several nodes by its global id: a phone that talks is
// seen where it is registered, and until one does a call that rings at several nodes is one call.
func once(all []lamp) []lamp {
	same := func(a, b lamp) bool { return a.global != "" && a.global == b.global && a.node != b.node }
	talks := func(l lamp) bool { return l.state == dialoginfo.Confirmed && !l.tie }
	worth := func(l lamp) (n int) {
		if !l.tie {
			n = 10
		}
		switch l.state {
		case dialoginfo.Confirmed:
			n += 3
		case dialoginfo.Early:
			n += 2
		}
		return n
	}
	var out []lamp
	for i, l := range all {
		better := func(j int, o lamp) bool {
			if !same(l, o) || talks(l) {
				return false
			}
			return talks(o) || worth(o) > worth(l) || worth(o) == worth(l) && j < i
		}
		beaten := false
		for j, o := range all {
			beaten = beaten || better(j, o)
		}
		if !beaten {
			out = append(out, l)
		}
	}
	return out
}
