package callmanager

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/directory"
)

// Call-manager groups. A device registers with the first node of its group that takes it; which that is the phone finds out, and at a
// backup it is served like at the primary. What the group is for here: nobody is served outside of it, and operators see who is where.

// belongs refuses a device at a node that is not in its group.
func (s *Service) belongs(st *site, d *directory.Device) *refusal {
	if !st.clustered() || len(d.Nodes) == 0 || slices.Contains(d.Nodes, s.cfg.Node) {
		return nil
	}
	return forbidden(fmt.Sprintf("device %s belongs to call-manager group %s (%s), and this is node %s: let the phone fetch its configuration again, or add the node to the group",
		d.Name, d.Pool.CallManagerGroup, strings.Join(d.Nodes, ", "), s.cfg.Node))
}

// alive are the nodes whose call managers say that they live, this one among them, since when by this node's clock.
func (s *Service) alive() map[string]time.Time {
	board, out := s.cfg.Bus.Board(), map[string]time.Time{}
	since := map[string]time.Time{}
	for _, m := range board.Nodes() {
		since[m.Name] = m.Since
	}
	for _, f := range board.All(factNode) {
		out[f.Owner] = since[f.Owner]
	}
	return out
}

// others are the nodes of a group, besides this one, that take devices and calls now; of all nodes where the group is empty.
func (s *Service) others(st *site, group []string) (out []string) {
	if len(group) == 0 {
		group = callManagers(st.config)
	}
	alive := s.alive()
	for _, f := range s.cfg.Bus.Board().All(bus.FactDrain) {
		delete(alive, f.Owner)
	}
	for _, node := range group {
		if _, lives := alive[node]; lives && node != s.cfg.Node && st.hasNode(node) {
			out = append(out, node)
		}
	}
	return out
}

// rank says what this node is for a device: "primary", "backup of n1", or nothing where its group has one node or none.
func (s *Service) rank(d *directory.Device) string {
	switch {
	case len(d.Nodes) < 2:
		return ""
	case d.Nodes[0] == s.cfg.Node:
		return "primary"
	}
	return "backup of " + d.Nodes[0]
}

// backupPatience is how long a device may stay at a backup while its primary takes devices, before the status says so: phones return
// when they are idle, within minutes.
const backupPatience = 10 * time.Minute

// groupTroubles are the sentences of the status about groups.
func (s *Service) groupTroubles(st *site) (out []string) {
	if !st.clustered() {
		return nil
	}
	alive := s.alive()
	return append(s.astray(st, alive), s.stranded(st, alive)...)
}

// astray are devices that have been at this node, a backup, for long although their primary lives.
func (s *Service) astray(st *site, alive map[string]time.Time) []string {
	by := map[string][]string{}
	for _, b := range s.bindings.all() {
		d := st.device(b.device)
		if d == nil || len(d.Nodes) == 0 || d.Nodes[0] == s.cfg.Node {
			continue
		}
		primary := d.Nodes[0]
		since, lives := alive[primary]
		if b.since.After(since) {
			since = b.since
		}
		if lives && s.now().Sub(since) > backupPatience && !s.drains(primary) && !slices.Contains(by[primary], b.device) {
			by[primary] = append(by[primary], b.device)
		}
	}
	var out []string
	for _, primary := range callManagers(st.config) {
		if names := by[primary]; len(names) > 0 {
			out = append(out, fmt.Sprintf("%s registered here, at a backup, for more than %s although the primary %s runs (%s): check that they reach its port, then `locktone reset device NAME`",
				are(len(names)), backupPatience, primary, few(names)))
		}
	}
	return out
}

// stranded are device pools whose groups have no node that lives. One node says so: the first that lives.
func (s *Service) stranded(st *site, alive map[string]time.Time) (out []string) {
	for _, node := range callManagers(st.config) {
		if _, lives := alive[node]; lives {
			if node != s.cfg.Node {
				return nil
			}
			break
		}
	}
	devices := map[string]int{}
	for _, d := range st.Devices() {
		devices[d.Pool.Name]++
	}
	for _, p := range st.config.DevicePools {
		for _, g := range st.config.CallManagerGroups {
			lives := func(node string) bool { _, up := alive[node]; return up }
			if g.Name == p.CallManagerGroup && devices[p.Name] > 0 && len(g.Nodes) > 0 && !slices.ContainsFunc(g.Nodes, lives) {
				out = append(out, fmt.Sprintf("device pool %s: no node of its call-manager group %s (%s) runs, so its devices (%d) cannot register: start one, or add another node to the group",
					p.Name, g.Name, strings.Join(g.Nodes, ", "), devices[p.Name]))
			}
		}
	}
	return out
}

// drains says whether a node is being drained.
func (s *Service) drains(node string) bool { return len(s.cfg.Bus.Board().Of(bus.FactDrain, node)) > 0 }

func are(n int) string {
	if n == 1 {
		return "1 device is"
	}
	return fmt.Sprintf("%d devices are", n)
}

// few are the first names of a list that may be long.
func few(names []string) string {
	if len(names) > 5 {
		return strings.Join(names[:5], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}
