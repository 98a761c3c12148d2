package element

import (
	"sync"

	"github.com/locktone/locktone/wire/sip/transport"
)

// owners remembers which device or trunk was let in over which connection, for tables and traces. Guarded by its lock.
type owners struct {
	mu     sync.RWMutex
	byFlow map[transport.FlowID]string
}

// maxOwners bounds the table against peers without connections (UDP), whose flows have no end.
const maxOwners = 100_000

func (o *owners) set(f *transport.Flow, name string) {
	o.mu.RLock()
	known := o.byFlow[f.ID()] == name
	o.mu.RUnlock()
	if known {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byFlow == nil || len(o.byFlow) >= maxOwners {
		o.byFlow = map[transport.FlowID]string{}
	}
	o.byFlow[f.ID()] = name
}

func (o *owners) get(f *transport.Flow) string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.byFlow[f.ID()]
}

func (o *owners) byID(id transport.FlowID) string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.byFlow[id]
}

func (o *owners) forget(id transport.FlowID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byFlow, id)
}

// flowsOf lists the connections of a device or trunk.
func (o *owners) flowsOf(name string) (ids []transport.FlowID) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for id, n := range o.byFlow {
		if n == name {
			ids = append(ids, id)
		}
	}
	return ids
}
