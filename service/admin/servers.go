package admin

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
)

// ServerRow is a call manager in the list of a group.
type ServerRow struct {
	Group string   `json:"group"`
	Order int      `json:"order" doc:"1 is the primary"`
	Node  string   `json:"node"`
	Host  string   `json:"host" doc:"address or name of the node's call manager; empty: none is configured"`
	Name  string   `json:"name" doc:"name for DNS, which its certificate carries"`
	Ports []string `json:"ports" doc:"transport and port, as the security profiles in use want them"`
	Pools []string `json:"pools,omitempty" doc:"device pools of the group"`
	Alive bool     `json:"alive" doc:"the node is heard"`
	Drain string   `json:"drain,omitempty" doc:"how far a drain is"`
}

func unknownNode(name string, names []string) error {
	return problem(bus.CodeNotFound, fmt.Sprintf("no node is called %q; there are %s", name, strings.Join(names, ", ")))
}

func (s *Server) listServers(ctx context.Context, in *byName) (*body[Rows[ServerRow]], error) {
	now, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return nil, err
	}
	names, err := s.callManagerNames(ctx, now.Site)
	if err != nil {
		return nil, err
	}
	out := Rows[ServerRow]{Rows: []ServerRow{}}
	for _, g := range now.Site.CallManagerGroups {
		if in.Name == "" || in.Name == g.Name {
			out.Rows = append(out.Rows, s.serversOf(now.Site, g, names)...)
		}
	}
	for _, r := range out.Rows {
		if r.Host == "" {
			out.Problems = append(out.Problems, fmt.Sprintf("node %s has no address: what is configured with it cannot be told; give it one under nodes", r.Node))
		}
	}
	return &body[Rows[ServerRow]]{out}, nil
}

// callManagerNames are the names of the nodes' call managers as their certificates have them. One that was alone when it got its
// certificates keeps the name without its node (cm.example.com) when others join.
func (s *Server) callManagerNames(ctx context.Context, site *config.Site) (map[string]string, error) {
	names, domain := map[string]string{}, site.Cluster.WithDefaults().Domain
	short := "cm." + domain
	for _, n := range site.Nodes {
		names[n.Name] = "cm." + strings.ToLower(n.Name) + "." + domain
		if len(site.Nodes) < 2 { // the certificates of a site with one node do not name it
			names[n.Name] = short
		}
	}
	if s.cfg.Issued == nil {
		return names, nil
	}
	list, err := s.cfg.Issued.Entries(ctx)
	for _, e := range list {
		if e.Kind == pki.KindService && e.Name == "callmanager" && names[e.Node] != "" && e.Revoked.IsZero() && strings.HasPrefix(e.Subject, "CN="+short+"-") {
			names[e.Node] = short
		}
	}
	return names, err
}

// serversOf are the rows of a group, in its order.
func (s *Server) serversOf(site *config.Site, g config.CallManagerGroup, names map[string]string) (out []ServerRow) {
	var pools []string
	for _, p := range site.DevicePools {
		if p.CallManagerGroup == g.Name {
			pools = append(pools, p.Name)
		}
	}
	alive, board := map[string]bool{}, s.cfg.Bus.Board()
	for _, m := range board.Nodes() {
		alive[m.Name] = m.Alive
	}
	for i, name := range g.Nodes {
		row := ServerRow{Group: g.Name, Order: i + 1, Node: name, Ports: portsOf(site, pools), Pools: pools, Alive: alive[name]}
		for _, f := range board.Of(bus.FactDrain, name) {
			if d, err := bus.Value[bus.DrainState](f); err == nil {
				row.Drain = d.State
			}
		}
		at := slices.IndexFunc(site.Nodes, func(n config.Node) bool { return n.Name == name })
		if at >= 0 {
			row.Host = callManagerHost(site.Nodes[at])
		}
		if row.Name = row.Host; !isName(row.Host) {
			row.Name = names[name]
		}
		out = append(out, row)
	}
	return out
}

// callManagerHost is where the site says that a node's call manager is.
func callManagerHost(n config.Node) string {
	for _, svc := range n.Services {
		if svc.Service == config.ServiceCallManager && svc.Address != "" {
			return svc.Address
		}
	}
	return n.Address
}

func isName(host string) bool {
	_, err := netip.ParseAddr(host)
	return host != "" && err != nil
}

// portsOf are the ports that the devices and trunks of device pools come to.
func portsOf(site *config.Site, pools []string) []string {
	out := []string{"tls 5061"}
	add := func(transport config.Transport, port int) {
		if text := fmt.Sprintf("%s %d", transport, port); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for _, d := range site.Devices {
		for _, p := range site.PhoneSecurityProfiles {
			if p.Name == d.PhoneSecurityProfile && slices.Contains(pools, d.DevicePool) {
				p = p.WithDefaults()
				add(p.Transport, p.IncomingPort)
			}
		}
	}
	for _, t := range site.SIPTrunks {
		for _, p := range site.SIPTrunkSecurityProfiles {
			if p.Name == t.SecurityProfile && slices.Contains(pools, t.DevicePool) {
				p = p.WithDefaults()
				add(p.IncomingTransport, p.IncomingPort)
			}
		}
	}
	slices.SortStableFunc(out[1:], func(a, b string) int { return cmp.Compare(a, b) })
	return out
}
