package callmanager

import (
	"sync"
	"time"

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

// A rejection is a registration that was refused, kept so that an operator need not read a trace to find out why.
type rejection struct {
	name, remote, network string
	at                    time.Time
	why                   string
}

// rejections are the newest refusals by name, guarded by a lock and bounded.
type rejections struct {
	mu     sync.Mutex
	byName map[string]rejection
}

const maxRejections = 1000

func (r *rejections) add(x rejection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = map[string]rejection{}
	}
	if _, known := r.byName[x.name]; !known && len(r.byName) >= maxRejections {
		r.dropOldest()
	}
	r.byName[x.name] = x
}

func (r *rejections) dropOldest() {
	var oldest string
	for name, x := range r.byName {
		if oldest == "" || x.at.Before(r.byName[oldest].at) {
			oldest = name
		}
	}
	delete(r.byName, oldest)
}

func (r *rejections) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byName, name)
}

func (r *rejections) all() (out []rejection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.byName {
		out = append(out, x)
	}
	return out
}
