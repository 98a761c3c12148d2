package phone_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/dialoginfo"
	"github.com/locktone/locktone/wire/pidf"
)

// lampSite is a whole site where carol and dave are as secure as the others, edited.
func lampSite(t *testing.T, edit func(*config.Site)) *lab.Site {
	t.Helper()
	return whole(t, func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "special"})
		if edit != nil {
			edit(c)
		}
	})
}

// deviceOf finds a device of a configuration.
func deviceOf(c *config.Site, name string) *config.Device {
	at := slices.IndexFunc(c.Devices, func(d config.Device) bool { return d.Name == name })
	return &c.Devices[at]
}

func watching(ctx context.Context, t *testing.T, p *phone.Phone, event, number string) *phone.Subscription {
	t.Helper()
	w, err := p.Subscribe(ctx, event, number)
	must(t, err)
	return w
}

// RFC 4235: a busy lamp follows a line through a call with hold and transfer, and so does the presence that desk phones take for it.
func TestBusyLamp(t *testing.T) {
	t.Parallel()
	s := lampSite(t, nil)
	alice, bob, carol, dave := at(t, s, "alice", "1001", nil), at(t, s, "bob", "1002", nil), at(t, s, "carol", "1003", nil), at(t, s, "dave", "1004", nil)
	ctx := wait(t)
	one, two, three := watching(ctx, t, dave, "dialog", "1001"), watching(ctx, t, dave, "dialog", "1002"), watching(ctx, t, dave, "dialog", "1003")
	desk := watching(ctx, t, dave, "presence", "1002")
	for _, w := range []*phone.Subscription{one, two, three, desk} {
		must(t, w.WaitLamp(ctx, phone.LampIdle))
	}
	ca, err := alice.Dial(ctx, "1002")
	must(t, err)
	cb := <-bob.Incoming()
	must(t, one.WaitLamp(ctx, phone.LampTrying))
	must(t, two.WaitLamp(ctx, phone.LampRinging))
	must(t, desk.WaitLamp(ctx, phone.LampRinging))
	must(t, cb.Answer(ctx))
	must(t, ca.WaitAnswered(ctx))
	for _, w := range []*phone.Subscription{one, two, desk} {
		must(t, w.WaitLamp(ctx, phone.LampBusy))
	}
	must(t, cb.Hold(ctx))
	must(t, two.WaitLamp(ctx, phone.LampHeld))
	must(t, cb.Resume(ctx))
	must(t, two.WaitLamp(ctx, phone.LampBusy))
	go func() { _, _ = cb.Transfer(ctx, "1003") }()
	cc := <-carol.Incoming()
	must(t, three.WaitLamp(ctx, phone.LampRinging))
	must(t, cc.Answer(ctx))
	must(t, three.WaitLamp(ctx, phone.LampBusy))
	must(t, two.WaitLamp(ctx, phone.LampIdle))
	must(t, desk.WaitLamp(ctx, phone.LampIdle))
	must(t, one.WaitLamp(ctx, phone.LampBusy))
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cc, 200)
	for _, w := range []*phone.Subscription{one, two, three} {
		must(t, w.WaitLamp(ctx, phone.LampIdle))
		if n := w.Skipped(); n != 0 {
			t.Errorf("%d documents did not have the next version", n)
		}
		for _, d := range w.Dialogs() { // the end is told once, and nothing else is known of it
			if d.State != dialoginfo.Terminated {
				t.Errorf("left over: %+v", d)
			}
		}
	}
	if !desk.Presence().Open {
		t.Error("a registered phone is shown as closed")
	}
	must(t, bob.Unregister(ctx))
	for desk.Presence().Open { // no lamp changes
		must(t, desk.WaitNotifies(ctx, desk.Notifies()+1))
	}
	must(t, one.Unsubscribe(ctx))
}

// Who may watch is a class of service of its own.
func TestWhoMayWatch(t *testing.T) {
	t.Parallel()
	s := lampSite(t, func(c *config.Site) {
		c.Partitions = append(c.Partitions, config.Partition{Name: "board"})
		c.CallingSearchSpaces = append(c.CallingSearchSpaces, config.CallingSearchSpace{Name: "board only", Partitions: []string{"board"}})
		c.Lines = append(c.Lines, config.Line{Number: "1900", Partition: "board"})
		deviceOf(c, "bob").Lines = append(deviceOf(c, "bob").Lines, config.Appearance{Number: "1900", Partition: "board"})
		deviceOf(c, "carol").SubscribeCallingSearchSpace = "board only"
	})
	carol, dave := at(t, s, "carol", "1003", nil), at(t, s, "dave", "1004", nil)
	ctx := wait(t)
	for _, x := range []struct {
		p             *phone.Phone
		event, number string
		status        int
		warning       string
	}{
		{dave, "dialog", "1001", 0, ""},
		{dave, "dialog", "1004", 0, ""}, // its own
		{dave, "dialog", "1900", 403, "the calling search space of its line"},
		{carol, "dialog", "1900", 0, ""},
		{carol, "dialog", "1001", 403, "board only"},
		{carol, "presence", "1001", 403, "board only"},
		{dave, "dialog", "4711", 404, "no line"},
		{dave, "dialog", "9196", 404, "no line"}, // an applet
		{dave, "message-summary", "1004", 0, ""},
		{dave, "message-summary", "1001", 403, "does not show"},
		{dave, "winfo", "1001", 489, "not offered"},
	} {
		_, err := x.p.Subscribe(ctx, x.event, x.number)
		var r *phone.Refused
		switch {
		case x.status == 0:
			must(t, err)
		case !errors.As(err, &r) || r.Status != x.status || !strings.Contains(r.Warning, x.warning):
			t.Errorf("%s watches %s of %s: %v, want %d %s", x.p.Name(), x.event, x.number, err, x.status, x.warning)
		}
	}
	// Somebody who is not registered is not told either.
	stranger, err := s.Phone(ctx, "alice", "1001", func(c *phone.Config) { c.NoRegister = true })
	must(t, err)
	defer stranger.Close(ctx)
	var r *phone.Refused
	if _, err := stranger.Subscribe(ctx, "dialog", "1002"); !errors.As(err, &r) || r.Status != 403 {
		t.Errorf("an unregistered phone watches: %v", err)
	}
	// Too brief is told what is long enough, and takes it.
	if w, err := dave.SubscribeFor(ctx, "dialog", "1002", 5*time.Second); err != nil {
		t.Errorf("5 s: %v after %d NOTIFYs", err, w.Notifies())
	}
	// A change of the configuration ends what is no longer allowed.
	w := watching(ctx, t, dave, "dialog", "1001")
	apply(ctx, t, s, func(c *config.Site) { deviceOf(c, "dave").SubscribeCallingSearchSpace = "board only" })
	if reason, err := w.WaitOver(ctx); err != nil || reason != "rejected" {
		t.Errorf("the subscription ended with %q, %v", reason, err)
	}
}

// apply brings a changed configuration into force.
func apply(ctx context.Context, t *testing.T, s *lab.Site, change func(*config.Site)) {
	t.Helper()
	now, err := s.Store.Site(ctx)
	must(t, err)
	next := now.Site.Clone()
	change(next)
	must(t, next.Check())
	_, err = s.Store.Apply(ctx, store.ChangeSet{Base: now.Revision.Number, Author: "test", Changes: config.Diff(now.Site, next)})
	must(t, err)
}

// What a watcher learns: who shares the line, or may pick up, learns whom it talks to and how to take the call; the others that there
// is a call.
func TestWhatAWatcherLearns(t *testing.T) {
	t.Parallel()
	s := lampSite(t, func(c *config.Site) {
		deviceOf(c, "carol").Buttons = []config.Button{{Type: config.BusyLamp, Number: "1002", Pickup: true}}
	})
	alice, bob, carol, dave := at(t, s, "alice", "1001", nil), at(t, s, "bob", "1002", nil), at(t, s, "carol", "1003", nil), at(t, s, "dave", "1004", nil)
	ctx := wait(t)
	near, far := watching(ctx, t, carol, "dialog", "1002"), watching(ctx, t, dave, "dialog", "1002")
	ca, err := alice.Dial(ctx, "1002")
	must(t, err)
	cb := <-bob.Incoming()
	var d dialoginfo.Dialog
	must(t, near.WaitDialogs(ctx, "the ringing dialog is named", func(all []dialoginfo.Dialog) bool {
		if len(all) == 1 {
			d = all[0]
		}
		return d.State == dialoginfo.Early && d.RemoteTag != ""
	}))
	if d.Remote.Identity != "sip:1001@locktone.test" || d.Remote.Display != "Alice" {
		t.Errorf("the caller is shown as %+v", d.Remote)
	}
	must(t, far.WaitLamp(ctx, phone.LampRinging))
	for _, d := range far.Dialogs() {
		if d.CallID != "" || d.LocalTag != "" || d.Remote.Identity != "" {
			t.Errorf("a watcher without pickup learns %+v", d)
		}
	}
	// What the lamp says is enough to take the call (RFC 3891).
	must(t, cb.Answer(ctx))
	must(t, near.WaitLamp(ctx, phone.LampBusy))
	name, ok := phone.Replaces(near.Dialogs()[0])
	if !ok || near.Dialogs()[0].ID != d.ID {
		t.Fatalf("no dialog is named: %+v", near.Dialogs())
	}
	cc, err := carol.DialWith(ctx, "1002", phone.DialOptions{Replaces: &name})
	must(t, err)
	must(t, cc.WaitAnswered(ctx))
	must(t, ca.WaitAnswered(ctx))
	if _, _, err := cb.WaitEnded(ctx); err != nil {
		t.Error(err)
	}
	both(ctx, t, ca, cc)
	must(t, cc.Hangup(ctx))
	ended(ctx, t, ca, 200)
	apply(ctx, t, s, func(c *config.Site) { c.Cluster.LampIdentities = config.LampIdentitiesNone })
	ca, err = alice.Dial(ctx, "1002")
	must(t, err)
	<-bob.Incoming()
	must(t, near.WaitLamp(ctx, phone.LampRinging))
	for _, d := range near.Dialogs() {
		if d.State != dialoginfo.Terminated && d.Remote.Identity != "" {
			t.Errorf("the cluster shows nobody, and the watcher sees %+v", d.Remote)
		}
	}
	must(t, ca.Hangup(ctx))
}

// A call held on one appearance of a shared line is seen and resumed on the other.
func TestSharedLineResumes(t *testing.T) {
	t.Parallel()
	s := lampSite(t, func(c *config.Site) {
		deviceOf(c, "dave").Lines = append(deviceOf(c, "dave").Lines, config.Appearance{Number: "1003", Partition: "internal"})
	})
	alice, carol, dave := at(t, s, "alice", "1001", nil), at(t, s, "carol", "1003", nil), at(t, s, "dave", "1003", nil)
	ctx := wait(t)
	w := watching(ctx, t, dave, "dialog", "1003")
	ca, err := alice.Dial(ctx, "1003")
	must(t, err)
	cc := <-carol.Incoming()
	<-dave.Incoming()
	must(t, cc.Answer(ctx))
	must(t, w.WaitLamp(ctx, phone.LampBusy))
	must(t, cc.Hold(ctx))
	must(t, w.WaitLamp(ctx, phone.LampHeld))
	name, ok := phone.Replaces(w.Dialogs()[0])
	if !ok {
		t.Fatalf("the held dialog is not named: %+v", w.Dialogs())
	}
	cd, err := dave.DialWith(ctx, "1003", phone.DialOptions{Replaces: &name})
	must(t, err)
	must(t, cd.WaitAnswered(ctx))
	ended(ctx, t, cc, 200)
	must(t, w.WaitLamp(ctx, phone.LampBusy))
	both(ctx, t, ca, cd)
	must(t, cd.Hangup(ctx))
	must(t, w.WaitLamp(ctx, phone.LampIdle))
}

// RFC 5626: after its connection was cut a phone is told by the new one, what happened meanwhile first. Unregistering ends what it watches.
func TestLampFollowsTheConnection(t *testing.T) {
	t.Parallel()
	s := lampSite(t, nil)
	alice, bob, dave := at(t, s, "alice", "1001", nil), at(t, s, "bob", "1002", nil), at(t, s, "dave", "1004", nil)
	ctx := wait(t)
	w := watching(ctx, t, dave, "dialog", "1001")
	n := dave.Registrations()
	dave.Cut()
	ca, _ := connect(ctx, t, alice, bob)
	must(t, dave.WaitRegistrations(ctx, n+1))
	must(t, w.WaitLamp(ctx, phone.LampBusy))
	must(t, ca.Hangup(ctx))
	must(t, w.WaitLamp(ctx, phone.LampIdle))
	must(t, dave.Unregister(ctx))
	until(ctx, t, "the subscription to be gone", func() bool { return len(subscribed(ctx, t, s)) == 0 })
	// A call manager that stops says so: RFC 6665, 4.1.3, deactivated: the phone should subscribe again.
	w = watching(ctx, t, bob, "dialog", "1001")
	must(t, s.Calls.Close(ctx))
	if reason, err := w.WaitOver(ctx); err != nil || reason != "deactivated" {
		t.Errorf("the subscription ended with %q, %v", reason, err)
	}
}

// A phone cannot ask for more than its share.
func TestSubscriptionsAreBounded(t *testing.T) {
	t.Parallel()
	s := lampSite(t, nil)
	dave := at(t, s, "dave", "1004", nil)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	results := make(chan error, 1000)
	slots := make(chan struct{}, 50)
	for range cap(results) {
		go func() {
			slots <- struct{}{}
			_, err := dave.Subscribe(ctx, "dialog", "1001")
			<-slots
			results <- err
		}()
	}
	let, refused := 0, 0
	for range cap(results) {
		err := <-results
		var r *phone.Refused
		switch {
		case err == nil:
			let++
		case errors.As(err, &r) && r.Status == 503:
			refused++
		default:
			t.Fatal(err)
		}
	}
	if let != 256 || refused != 744 {
		t.Errorf("%d of 1000 subscriptions were let in, %d refused with 503", let, refused)
	}
	if rows := subscribed(ctx, t, s); len(rows) != 256 || rows[0].Device != "dave" || rows[0].Number != "1001" || rows[0].LastStatus != 200 {
		t.Errorf("show subscriptions: %d rows, the first %+v", len(rows), rows[0])
	}
}

// A desk phone asks for its busy lamps in the words of presence, and with the old name of the format.
func TestPresenceDocument(t *testing.T) {
	t.Parallel()
	s := lampSite(t, nil)
	alice, dave := at(t, s, "alice", "1001", nil), at(t, s, "dave", "1004", nil)
	ctx := wait(t)
	w := watching(ctx, t, dave, "presence", "1001")
	if p := w.Presence(); p.Entity != "sip:1001@locktone.test" || !p.Open || len(p.Activities) != 0 {
		t.Errorf("at rest: %+v", p)
	}
	c, err := alice.Dial(ctx, "9196")
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	must(t, w.WaitLamp(ctx, phone.LampBusy))
	if p := w.Presence(); !slices.Equal(p.Activities, []pidf.Activity{pidf.OnThePhone}) {
		t.Errorf("in a call: %+v", p)
	}
	must(t, c.Hangup(ctx))
	must(t, w.WaitLamp(ctx, phone.LampIdle))
}

// subscribed is `show subscriptions`.
func subscribed(ctx context.Context, t *testing.T, s *lab.Site) []bus.WatchState {
	t.Helper()
	rows, err := bus.Ask[bus.Query, []bus.WatchState](ctx, s.Bus, s.Bus.Subject(callmanager.Name, bus.VerbSubscriptions), bus.Query{})
	must(t, err)
	return rows
}

// until waits for something that has no event of its own.
func until(ctx context.Context, t *testing.T, what string, done func() bool) {
	t.Helper()
	for !done() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, ctx.Err())
		}
	}
}
