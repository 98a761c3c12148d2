package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// A meter takes the time from what a called phone says, 180 or 200, to the CTI event that tells an application of it: ringing, or
// connected. Phones and applications are in one process, on one clock.
type meter struct {
	mu    sync.Mutex
	said  map[spoken][]time.Time // what no event has told yet, oldest first
	took  map[int][]time.Duration
	early int           // events of what no phone had said
	news  chan struct{} // capacity 1: something was told
}

// spoken is what a phone says on a line.
type spoken struct {
	number string
	status int // 180 or 200
}

func newMeter() *meter {
	return &meter{said: map[spoken][]time.Time{}, took: map[int][]time.Duration{}, news: make(chan struct{}, 1)}
}

// says is told just before a phone sends.
func (m *meter) says(number string, status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := spoken{number, status}
	m.said[k] = append(m.said[k], time.Now())
}

// hear reads a provider's events until it ends.
func (m *meter) hear(p *cti.Provider) {
	for {
		e, err := p.Next(context.Background()) // ends with the provider
		if err != nil {
			return
		}
		m.told(e, time.Now())
	}
}

// told takes an event that an application has in its hands.
func (m *meter) told(e cti.Event, at time.Time) {
	c, ok := e.(cti.CallChanged)
	if !ok || c.Snapshot || c.Call.Outgoing() || c.Before == c.Call.State {
		return
	}
	k := spoken{number: c.Call.Line.Number}
	switch c.Call.State {
	case ctiqbe.CallStateAccepted:
		k.status = 180
	case ctiqbe.CallStateConnected:
		k.status = 200
	default:
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	waits := m.said[k]
	if len(waits) == 0 {
		m.early++
		return
	}
	m.took[k.status] = append(m.took[k.status], at.Sub(waits[0]))
	m.said[k] = waits[1:]
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// untold is how much of what phones said no event has told.
func (m *meter) untold() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, waits := range m.said {
		n += len(waits)
	}
	return n
}

// wait gives the last events ten seconds.
func (m *meter) wait(ctx context.Context) {
	late := time.NewTimer(10 * time.Second)
	defer late.Stop()
	for m.untold() > 0 {
		select {
		case <-m.news:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// eventRows puts the latencies into the table. An event too few or too many makes the sample worthless: it would be of another call.
func (b *bench) eventRows(a applications, m *meter, c *cost) error {
	untold := m.untold()
	m.mu.Lock()
	defer m.mu.Unlock()
	if untold > 0 || m.early > 0 || len(m.took[180]) == 0 || len(m.took[200]) == 0 {
		return fmt.Errorf("%d of %d answers and ringings were told by no event, and %d events told of none: %v", untold, untold+len(m.took[180])+len(m.took[200]), m.early, c.Failures)
	}
	name := fmt.Sprintf("events of calls at %.0f/s, with %d devices open: ", a.rate, a.providers*a.devices)
	for _, x := range []struct {
		status int
		what   string
	}{{180, "a phone's 180 to the ringing event"}, {200, "a phone's 200 to the connected event"}} {
		slices.Sort(m.took[x.status])
		b.table.row(name+x.what+", p50", "ms", "").add("locktone", percentile(m.took[x.status], 0.5))
		b.table.row(name+x.what+", p99", "ms", "<= 5").add("locktone", percentile(m.took[x.status], 0.99))
	}
	b.table.row(name+"calls reached", "1/s", "").add("locktone", c.RateDone)
	b.table.row(name+"CPU of a call with its events", "us", "").add("locktone", c.each())
	b.table.row(name+"allocations of a call with its events", "objects", "").add("locktone", c.allocs/float64(max(1, c.Answered)))
	b.say("cti: %.0f of %.0f calls/s, %d failed %v; ringing p50 %.2f p99 %.2f, connected p50 %.2f p99 %.2f ms; %.0f us and %.0f allocations a call; INVITE to 180 p99 %.2f ms", c.RateDone, a.rate, c.Failed, c.Failures,
		percentile(m.took[180], 0.5), percentile(m.took[180], 0.99), percentile(m.took[200], 0.5), percentile(m.took[200], 0.99), c.each(), c.allocs/float64(max(1, c.Answered)),
		float64(c.Ringing.P99US)/1000)
	return nil
}
