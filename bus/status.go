package bus

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is how the bus of this node is: the row of service bus in `locktone status`. nodes are those of the site. What is said under
// Problem begins with what still works. A bus that is alone by its configuration has no row.
func (b *Bus) Status(nodes ...string) (row ServiceStatus, has bool) {
	row = ServiceStatus{Node: b.node, Service: "bus", State: "ready", Since: b.board.start}
	routes := b.RouteAddress()
	if b.server != nil && routes == "" && len(nodes) <= 1 {
		return row, false
	}
	switch {
	case routes != "":
		row.Addresses = []string{routes}
	case b.server == nil && b.Connected():
		row.Addresses = []string{b.conn.ConnectedUrlRedacted()}
	}
	if row.Problem = b.problem(nodes); row.Problem != "" {
		row.State = "degraded"
	}
	return row, true
}

// stillWorks is what a node does without the others.
const stillWorks = "Calls and registrations on this node go on, and so does the media of every call"

func (b *Bus) problem(nodes []string) string {
	if !b.Connected() {
		why := "no server answers"
		if err := b.conn.LastError(); err != nil {
			why = err.Error()
		}
		return fmt.Sprintf("the bus is away (%s). %s; what other nodes said last is believed for a while, and calls to them are still made. "+
			"It is tried again all the time: check the NATS servers of bus.urls and the network to them", why, stillWorks)
	}
	if b.board.Stats().Twin {
		return fmt.Sprintf("another process on the bus says that it is node %s, and what either says is lost to the others now and then. %s; "+
			"end that process, or give it a name of its own", b.node, stillWorks)
	}
	var silent []string
	members := b.board.Nodes()
	for _, n := range nodes {
		i := slices.IndexFunc(members, func(m Member) bool { return m.Name == n })
		switch {
		case i < 0:
			silent = append(silent, n+" (never heard)")
		case !members[i].Alive:
			silent = append(silent, fmt.Sprintf("%s (for %s)", n, time.Since(members[i].Since).Round(time.Second)))
		}
	}
	if len(silent) == 0 {
		return ""
	}
	return fmt.Sprintf("not heard on the bus: %s. %s; devices that are registered there only are not reached from here. "+
		"See whether these nodes run, and whether the network lets their buses through", strings.Join(silent, ", "), stillWorks)
}
