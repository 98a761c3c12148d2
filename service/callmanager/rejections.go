package callmanager

import (
	"sync"
	"time"
)

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
