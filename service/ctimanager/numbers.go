package ctimanager

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/store"
)

// nodeNumbers is the callManagerID of each node: its place in this list, from 1. A node that joins is appended and keeps its number; that of
// one that left is not given to another, since applications remember numbers.
type nodeNumbers []string

// of is a node's number, 0 for one that has none.
func (n nodeNumbers) of(node string) uint32 { return uint32(slices.Index(n, node) + 1) }

// Collection is the collection of documents in which the CTI managers of a site keep what they have in common: the numbers of the nodes, and
// which certificates are compromised.
const Collection = "ctimanager"

// numbersKey is the document with the numbers of the nodes.
const numbersKey = "nodes"

// maxConflicts bounds how often a document is written again because another node was faster.
const maxConflicts = 8

// numberNodes reads the numbers of the nodes and appends those that have none. Without the record the known ones are used, and nodes that
// are not among them go by the site's order.
func numberNodes(ctx context.Context, docs *store.Documents, site *config.Site, known nodeNumbers) (nodeNumbers, error) {
	for try := 0; ; try++ {
		var table nodeNumbers
		d, err := docs.Get(ctx, numbersKey)
		switch {
		case err == nil:
			if err := json.Unmarshal(d.Value, &table); err != nil {
				return appended(known, site), err
			}
		case !errors.Is(err, fs.ErrNotExist):
			return appended(known, site), err
		}
		next := appended(table, site)
		if len(next) == len(table) {
			return table, nil
		}
		_, err = docs.PutAll(ctx, []store.Write{{Key: numbersKey, Value: next, IfRevision: d.Revision}})
		if err == nil {
			return next, nil
		}
		if !errors.Is(err, store.ErrConflict) || try == maxConflicts {
			return next, err
		}
	}
}

func appended(table nodeNumbers, site *config.Site) nodeNumbers {
	out := slices.Clone(table)
	for _, n := range site.Nodes {
		if !slices.Contains(out, n.Name) {
			out = append(out, n.Name)
		}
	}
	return out
}

// parameters are the service parameters, by the names the field has for them.
type parameters struct {
	MinHeartbeat, MaxHeartbeat time.Duration // Application Heartbeat Minimum and Maximum Interval
	Devices                    int           // Maximum Devices Per Provider: beyond it an alarm is raised
	Connections                int           // Maximum CTI Connections, of this node
	Retries                    int           // CTI InstanceId Retry Count
	Login                      time.Duration // from the connection to the end of the login, checks of a directory included
	Request                    time.Duration // that a call engine has for an answer
}

// clamp is how often a client and we say something, by what it asked for in seconds.
func (p parameters) clamp(asked uint32) time.Duration {
	d := time.Duration(asked) * time.Second
	if asked == 0 {
		d = 30 * time.Second
	}
	return min(max(d, p.MinHeartbeat), p.MaxHeartbeat)
}

func parametersOf(site *config.Site) parameters {
	c := site.Cluster.WithDefaults()
	return parameters{MinHeartbeat: c.CTIHeartbeatMinimumInterval.D(), MaxHeartbeat: c.CTIHeartbeatMaximumInterval.D(), Devices: c.CTIMaximumDevicesPerProvider,
		Connections: c.CTIMaximumConnections, Retries: c.CTIInstanceIDRetryCount, Login: c.CTILoginTimeLimit.D(), Request: c.CTIRequestTimeLimit.D()}
}

// viewOf makes what providers see of a revision.
func viewOf(d *directory.Directory, site *config.Site, nodes nodeNumbers) *siteView {
	v := &siteView{Directory: d, nodes: nodes, params: parametersOf(site), only: map[string]call.LineID{}, featureView: featuresOf(site)}
	twice := map[string]bool{}
	for _, l := range d.Lines() {
		if _, ok := v.only[l.Number]; ok {
			twice[l.Number] = true
		}
		v.only[l.Number] = call.LineID{Number: l.Number, Partition: l.Partition}
	}
	for n := range twice {
		delete(v.only, n)
	}
	return v
}
