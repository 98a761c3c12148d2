// Package clock is a machine's wall clock that a test can set, as an operator or NTP does it with a real one.
//
// What makes the difference is the monotonic reading. A time of time.Now carries both; when the machine's clock is set the wall jumps
// and the monotonic reading goes on. A test clock that just adds an hour moves both, so that everything jumps that is right, and nothing
// is found that is wrong. Clock moves the wall alone:
//
//	var c clock.Clock
//	cfg.Now = c.Now
//	c.Set(10 * 365 * 24 * time.Hour)
package clock

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Clock tells the time of the machine, moved by what was set. The zero value is right. It is safe for concurrent use.
type Clock struct{ off atomic.Int64 }

// Set moves the wall clock by d from the right time, in whole seconds; not by what it was moved before.
func (c *Clock) Set(d time.Duration) { c.off.Store(int64(d / time.Second)) }

// Now is time.Now after the clock was set.
func (c *Clock) Now() time.Time { return Jumped(time.Now(), time.Duration(c.off.Load())*time.Second) }

// Layout of a time.Time with a monotonic reading: one bit that says so, 33 bits of seconds since 1885, 30 bits of nanoseconds; see the
// comment of the type. The test of this package fails when it changes.
const (
	hasMonotonic = 1 << 63
	secondShift  = 30
)

// Jumped is t with another wall clock and the same monotonic reading. Of a time without one it is t.Add(by).
func Jumped(t time.Time, by time.Duration) time.Time {
	wall := (*uint64)(unsafe.Pointer(&t)) // the first field
	if *wall&hasMonotonic == 0 {
		return t.Add(by)
	}
	seconds := (*wall&^hasMonotonic)>>secondShift + uint64(int64(by/time.Second))
	*wall = hasMonotonic | seconds<<secondShift | *wall&(1<<secondShift-1)
	return t
}
