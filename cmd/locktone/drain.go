package main

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/service/admin"
)

type nodeDrainCmd struct {
	Name  string        `arg:"" help:"Name of the node."`
	Limit time.Duration `default:"10m" help:"After this time the node ends although there are calls."`
	Stay  bool          `help:"Keep the node running when nothing is left to serve."`
}

// Run drains a node.
func (c *nodeDrainCmd) Run(a *app) error {
	var out bus.DrainState
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/nodes/drain", admin.NodeDrain{Name: c.Name, Seconds: int(c.Limit / time.Second), Stay: c.Stay}, &out); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	fmt.Fprintf(a.out, "node %s is %s: %d calls and %d devices are left", c.Name, out.State, out.Calls, out.Devices)
	if out.Held > 0 {
		fmt.Fprintf(a.out, "; %d devices have no other node in their group and stay", out.Held)
	}
	end := "It ends by " + clock(out.Until)
	if c.Stay {
		end = "It goes on running when nothing is left to serve, or at " + clock(out.Until)
	}
	fmt.Fprintf(a.out, ".\n%s; locktone show nodes tells how far it is, locktone node resume %s lets it serve again.\n", end, c.Name)
	return nil
}

type nodeResumeCmd struct {
	Name string `arg:"" help:"Name of the node."`
}

// Run ends a drain.
func (c *nodeResumeCmd) Run(a *app) error {
	var out bus.DrainState
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/nodes/resume", admin.NodeResume{Name: c.Name}, &out); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	fmt.Fprintf(a.out, "node %s takes devices and calls\n", c.Name)
	return nil
}

// serversCmd is `locktone show servers`.
type serversCmd struct {
	Group string `arg:"" optional:"" help:"Only this call-manager group."`
	DNS   bool   `name:"dns" help:"As records for a zone file: NAPTR, SRV and addresses of one group."`
}

// Run lists the call managers of every group in order.
func (c *serversCmd) Run(a *app) error {
	if !c.DNS {
		return rows(a, "/v1/servers", c.Group, []string{"GROUP", "ORDER", "NODE", "HOST", "PORTS", "NAME", "ALIVE", "DRAIN", "DEVICE POOLS"}, "no call-manager group is configured",
			func(r admin.ServerRow) []string {
				return []string{r.Group, strconv.Itoa(r.Order), r.Node, r.Host, strings.Join(r.Ports, ", "), r.Name, yes(r.Alive), r.Drain, strings.Join(r.Pools, ",")}
			})
	}
	path := "/v1/servers"
	if c.Group != "" {
		path += "?name=" + c.Group
	}
	var list admin.Rows[admin.ServerRow]
	if err := a.api.Do(a.ctx, http.MethodGet, path, nil, &list); err != nil {
		return err
	}
	fmt.Fprint(a.out, zone(list.Rows))
	a.problems(list.Problems)
	return nil
}

// zone writes the servers of the first group for a zone file. RFC 3263, 4.1 and 4.2: NAPTR chooses the transport, SRV the order: of two
// records the lower priority is tried first.
func zone(servers []admin.ServerRow) string {
	var b strings.Builder
	if len(servers) == 0 {
		b.WriteString("; no call-manager group is configured\n")
	}
	for i, r := range servers {
		if r.Group != servers[0].Group {
			fmt.Fprintf(&b, "; further groups have other orders: locktone show servers GROUP --dns. Devices find theirs in their configuration files.\n")
			break
		}
		if i == 0 {
			fmt.Fprintf(&b, "; call-manager group %s: in the zone of the cluster's domain\n@ IN NAPTR 10 10 \"s\" \"SIPS+D2T\" \"\" _sips._tcp\n", r.Group)
		}
		fmt.Fprintf(&b, "_sips._tcp 300 IN SRV %d 0 5061 %s.\n", 10*r.Order, r.Name)
		if ip, err := netip.ParseAddr(r.Host); err == nil {
			kind := "A"
			if ip.Is6() {
				kind = "AAAA"
			}
			fmt.Fprintf(&b, "%s. 300 IN %s %s\n", r.Name, kind, ip)
		}
	}
	return b.String()
}
