package live

import (
	"math"
	"slices"
	"time"

	"github.com/locktone/locktone/call"
)

// run is the host's goroutine: it runs the engine for those who do not do it themselves, and for the engine's timer.
func (h *Host) run() {
	defer close(h.done)
	defer h.timer.Stop()
	for {
		select {
		case <-h.box.ready:
		case <-h.timer.C:
			h.armed.Store(0)
			_ = h.box.push(entry{at: h.opts.Now(), tick: true}) // a box that is closed needs no timer
		}
		if h.box.enter(true) {
			h.work(math.MaxInt)
		}
		for _, c := range h.listCarriers() {
			c.Wake()
		}
		if h.box.ended() {
			h.shutDown()
			return
		}
	}
}

// Carry runs the engine on the goroutine of the caller for what was left in its mailbox, unless somebody is at it already. What
// comes of it is with the carriers when it returns; what is left after many inputs is for the host's goroutine.
func (h *Host) Carry() {
	if h.box.enter(false) {
		h.work(carryMost)
	}
}

// carryMost is how many inputs a caller of Carry sees to.
const carryMost = 64

// work takes inputs until there are no more. The caller has entered, and has left when it returns.
func (h *Host) work(most int) {
	for {
		for ; most > 0; most-- {
			e, ok := h.box.take()
			if !ok {
				break
			}
			h.handle(e)
		}
		h.arm()
		if h.box.quit(most <= 0) {
			return
		}
	}
}

// arm has the timer ring at or before the engine's deadline. Whoever runs the engine calls it.
func (h *Host) arm() {
	d := h.engine.Deadline()
	if d.IsZero() {
		return
	}
	due := max(1, int64(d.Sub(h.begun)))
	if at := h.armed.Load(); at == 0 || due < at {
		h.armed.Store(due)
		h.timer.Reset(max(0, d.Sub(h.opts.Now())))
	}
}

// tick steps the engine if its deadline has come.
func (h *Host) tick() {
	now := h.opts.Now()
	if d := h.engine.Deadline(); !d.IsZero() && !d.After(now) {
		h.step(now, "", call.Input{})
	}
}

// handle does what one entry asks for.
func (h *Host) handle(e entry) {
	now := h.opts.Now()
	h.mu.Lock()
	h.stats.Wait = now.Sub(e.at)
	h.mu.Unlock()
	switch {
	case e.tick:
		h.tick()
	case e.attach != nil:
		e.err <- h.attach(e.attach)
	case e.detach != nil:
		h.disconnect(now, e.detach)
	case e.watch != nil:
		h.watchers = append(h.watchers, e.watch)
		e.watch.snapshot(h.engine)
	case e.refresh != nil:
		e.refresh.snapshot(h.engine)
	case e.unwatch != nil:
		h.watchers = slices.DeleteFunc(h.watchers, func(w *Watcher) bool { return w == e.unwatch })
	case e.settings != nil:
		e.settings <- h.engine.Settings()
	case e.calls != nil:
		e.calls <- h.engine.Calls()
	case e.clone != nil:
		e.clone <- h.engine.Clone()
	case e.driver != nil && h.drivers[e.driver.name] != e.driver:
		// The driver was disconnected after it had sent this; its legs are gone.
	default:
		h.input(now, e)
	}
}

// input steps the engine with the entry's input.
func (h *Host) input(now time.Time, e entry) {
	out := h.step(now, e.in.Driver, e.in)
	if e.reply != nil && out.Reply != nil {
		e.reply <- *out.Reply
	}
}

// step runs the engine once and hands out what came of it: the record first, then commands, then events.
func (h *Host) step(now time.Time, driver string, in call.Input) call.Output {
	begin := time.Now()
	out := h.engine.Step(now, in)
	h.seq++
	h.count(time.Since(begin))
	if h.opts.Recorder != nil {
		h.opts.Recorder.Record(Record{Seq: h.seq, At: now, Driver: driver, Input: in, Output: out})
	}
	var lost []*Driver
	for _, o := range out.Commands {
		if d := h.deliver(o); d != nil && !slices.Contains(lost, d) {
			lost = append(lost, d)
		}
	}
	for _, w := range h.watchers {
		w.tell(out.Events)
	}
	for _, d := range lost {
		h.disconnect(now, d)
	}
	return out
}

func (h *Host) count(busy time.Duration) {
	calls, legs := h.engine.Load()
	h.mu.Lock()
	h.stats.Inputs++
	h.stats.Busy += busy
	h.stats.Calls, h.stats.Legs = calls, legs
	h.mu.Unlock()
}

// deliver puts a command into its driver's queue. It returns the driver if the queue is full. A leg that is to ring on a driver that
// is not there fails at once.
func (h *Host) deliver(o call.Order) *Driver {
	d := h.drivers[o.Driver]
	if d == nil {
		if r, ok := o.Command.(call.Ring); ok {
			_ = h.post(entry{in: call.Input{Driver: o.Driver, Signal: call.Released{Leg: r.Leg, Cause: call.DriverGone}}})
		}
		return nil
	}
	if d.carrier != nil {
		d.carrier.Command(o.Command)
		return nil
	}
	select {
	case d.commands <- o.Command:
		return nil
	default:
		return d
	}
}

func (h *Host) attach(d *Driver) error {
	if h.drivers[d.name] != nil {
		return ErrNameTaken
	}
	h.drivers[d.name] = d
	if d.carrier != nil {
		h.mu.Lock()
		h.carriers = append(h.carriers, d.carrier)
		h.mu.Unlock()
	}
	return nil
}

func (h *Host) listCarriers() []Carrier {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.carriers
}

// disconnect ends a driver: its queue is closed and its legs end.
func (h *Host) disconnect(now time.Time, d *Driver) {
	if h.drivers[d.name] != d {
		return
	}
	d.gone.Store(true)
	delete(h.drivers, d.name)
	close(d.commands)
	h.mu.Lock()
	h.carriers = slices.DeleteFunc(slices.Clone(h.carriers), func(c Carrier) bool { return c == d.carrier })
	h.stats.Disconnected++
	h.mu.Unlock()
	h.step(now, d.name, call.Input{Driver: d.name, Signal: call.DriverLost{Driver: d.name}})
}

// shutDown closes all queues.
func (h *Host) shutDown() {
	for _, d := range h.drivers {
		d.gone.Store(true)
		close(d.commands)
	}
	clear(h.drivers)
	for _, w := range h.watchers {
		w.stop()
	}
}
