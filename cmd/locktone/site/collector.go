package site

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// heapFloor is the size below which the heap is not collected. A node's live heap is a few dozen MB; with the runtime's
// default it would be collected whenever it has doubled, several times a second under load, which costs a tenth of the CPU of a call.
const heapFloor = 128 << 20

// PaceCollector makes the garbage collector wait until the heap has reached heapFloor, and leaves it as it is above: twice what is
// alive. It is for a process that is a node and nothing else. GOGC in the environment is respected: then it does nothing.
// The returned function ends it.
func PaceCollector() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	stopped := new(atomic.Bool)
	follow(stopped)
	return func() { stopped.Store(true) }
}

// follow adjusts the goal now and after every collection: the cleanup of an object that nothing refers to runs then.
func follow(stopped *atomic.Bool) {
	if stopped.Load() {
		return
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	debug.SetGCPercent(goal(sample[0].Value.Uint64()))
	sentinel := new([16]byte)
	runtime.AddCleanup(sentinel, follow, stopped)
}

// goal is the percentage of what is alive that may be added before the next collection.
func goal(live uint64) int {
	live = max(live, 4<<20)
	if live >= heapFloor/2 {
		return 100
	}
	return int((heapFloor - live) * 100 / live)
}
