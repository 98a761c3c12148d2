package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/locktone/locktone/lab/phone"
)

// A state is one a call can be in when something happens to the node "lost", with phones of its own at the nodes it needs.
type state struct {
	name   string
	phones []string // the node each phone is registered at: lost, or other
	make   func(t *testing.T, p []*phone.Phone) *scene
}

// A scene is a call in its state.
type scene struct {
	talk []*phone.Call // that hear each other, or music, and whose media is looked at
	wait []*phone.Call // that ring or wait: what becomes of them is looked at
}

const (
	lost  = "lost"
	other = "other"
)

// states are those of the published table, in its order.
func states() []state {
	pair := func(a, b string) state {
		return state{phones: []string{a, b}, make: func(t *testing.T, p []*phone.Phone) *scene {
			caller, called := connect(t, p[0], p[1])
			return &scene{talk: []*phone.Call{caller, called}}
		}}
	}
	named := func(name string, s state) state { s.name = name; return s }
	ringing := func(a, b string) state {
		return state{phones: []string{a, b}, make: func(t *testing.T, p []*phone.Phone) *scene {
			caller := must(p[0].Dial(within(t), p[1].Number()))(t)
			called := ring(t, caller, p[1])
			ok(t, caller.WaitRinging(within(t)))
			return &scene{wait: []*phone.Call{caller, called}}
		}}
	}
	held := func(holder, held string) state {
		return state{phones: []string{holder, held}, make: func(t *testing.T, p []*phone.Phone) *scene {
			caller, called := connect(t, p[0], p[1])
			ok(t, caller.Hold(within(t)))
			music(t, called)
			return &scene{talk: []*phone.Call{called}, wait: []*phone.Call{caller}}
		}}
	}
	parked := func(parker, parkee string) state {
		return state{phones: []string{parkee, parker}, make: func(t *testing.T, p []*phone.Phone) *scene {
			caller, called := connect(t, p[0], p[1])
			if status, err := called.Transfer(within(t), "*35"); err != nil || status != 200 {
				t.Fatalf("parking: %d, %v", status, err)
			}
			music(t, caller)
			return &scene{talk: []*phone.Call{caller}}
		}}
	}
	conference := func(host, member string) state {
		return state{phones: []string{host, member, other}, make: func(t *testing.T, p []*phone.Phone) *scene {
			first, member := connect(t, p[0], p[1])
			ok(t, first.Hold(within(t)))
			second, third := connect(t, p[0], p[2])
			ok(t, second.Hold(within(t)))
			host := must(p[0].Dial(within(t), "*30"))(t)
			ok(t, host.WaitAnswered(within(t)))
			ok(t, host.WaitSound(within(t)))
			ok(t, member.WaitSound(within(t)))
			ok(t, third.WaitSound(within(t)))
			return &scene{talk: []*phone.Call{host, member, third}}
		}}
	}
	return []state{
		named("answered, both phones on other nodes", pair(other, other)),
		named("answered, both phones on the lost node", pair(lost, lost)),
		named("answered, called phone on the lost node", pair(other, lost)),
		named("answered, calling phone on the lost node", pair(lost, other)),
		named("ringing, called phone on the lost node", ringing(other, lost)),
		named("ringing, calling phone on the lost node", ringing(lost, other)),
		named("on hold by a phone elsewhere", held(other, lost)),
		named("on hold by a phone on the lost node", held(lost, other)),
		named("parked by a phone elsewhere", parked(other, other)),
		named("parked by a phone on the lost node", parked(lost, other)),
		named("conference made by a phone on the lost node", conference(lost, other)),
		named("conference made elsewhere, a member on the lost node", conference(other, lost)),
	}
}

// connect makes a call between two phones with a tone each way, heard.
func connect(t *testing.T, from, to *phone.Phone) (caller, called *phone.Call) {
	t.Helper()
	caller = must(from.Dial(within(t), to.Number()))(t)
	called = ring(t, caller, to)
	ok(t, called.Answer(within(t)))
	ok(t, caller.WaitAnswered(within(t)))
	caller.Tone(1000)
	called.Tone(500)
	must(called.WaitTone(within(t), 1000))(t)
	must(caller.WaitTone(within(t), 500))(t)
	return caller, called
}

// music waits until a call hears packets that are not the tone of its far end.
func music(t *testing.T, c *phone.Call) {
	t.Helper()
	must(c.WaitTone(within(t), 0))(t)
	ok(t, c.WaitSound(within(t)))
}

// ring waits until a phone rings, or says how the caller was refused instead.
func ring(t *testing.T, caller *phone.Call, p *phone.Phone) *phone.Call {
	t.Helper()
	ctx := within(t)
	refused := make(chan string, 1)
	go func() {
		if status, _, err := caller.WaitEnded(ctx); err == nil {
			refused <- fmt.Sprintf("%d %s %s", status, caller.Warning(), caller.Reason())
		}
	}()
	select {
	case c := <-p.Incoming():
		return c
	case why := <-refused:
		t.Fatalf("%s does not ring: %s", p.Name(), why)
	case <-ctx.Done():
		t.Fatalf("%s does not ring", p.Name())
	}
	return nil
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), step)
	t.Cleanup(cancel)
	return ctx
}

// A listener measures the longest pause in what a call hears, packet by packet.
type listener struct {
	call *phone.Call
	quit chan struct{}
	done chan struct{}

	longest time.Duration
	since   time.Time // of the pause that goes on
}

// listen begins to measure.
func listen(c *phone.Call) *listener {
	l := &listener{call: c, quit: make(chan struct{}), done: make(chan struct{}), since: time.Now()}
	go l.run()
	return l
}

func (l *listener) run() {
	defer close(l.done)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	last := l.call.Evidence().RxAuth
	for {
		select {
		case <-look.C:
		case <-l.quit:
			return
		}
		now := time.Now()
		if n := l.call.Evidence().RxAuth; n != last {
			last, l.since = n, now
		}
		l.longest = max(l.longest, now.Sub(l.since))
	}
}

// stop ends the measuring; over says that nothing was heard at the end.
func (l *listener) stop() (longest time.Duration, over bool) {
	close(l.quit)
	<-l.done
	return l.longest, time.Since(l.since) > silence
}

// silence is a pause after which nobody believes that the media still flows: packets come every 20 ms, on a busy machine late.
const silence = time.Second

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
