package phone

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/locktone/locktone/wire/dialoginfo"
	"github.com/locktone/locktone/wire/mwi"
	"github.com/locktone/locktone/wire/pidf"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// Lamp is what a busy lamp shows.
type Lamp uint8

// What a lamp shows. Of several calls the most urgent counts: one that rings, one that talks, one that is held.
const (
	LampDark    Lamp = iota // nothing was heard yet
	LampIdle                // no call
	LampTrying              // the line dials
	LampHeld                // every call of the line is on hold
	LampBusy                // the line talks
	LampRinging             // a call comes in
)

// String names what the lamp shows.
func (l Lamp) String() string {
	return [...]string{"dark", "idle", "trying", "held", "busy", "ringing", "?", "?"}[l&7]
}

// Subscription is one event subscription of a phone (RFC 6665). Its methods may be called from any goroutine.
type Subscription struct {
	p      *Phone
	event  string
	number string
	key    dialogKey
	sub    *dialog.Subscriber // endpoint goroutine
	timer  *endpoint.Timer
	armed  time.Time

	// Guarded by the phone's lock; its change channel announces what follows.
	state    dialog.SubState
	lamp     Lamp
	lamps    []Lamp // all it has shown
	dialogs  []dialoginfo.Dialog
	presence pidf.Presence
	version  int64 // of the last dialog-info document
	skipped  int   // versions that were missed
	notifies int
	ended    *Refused
	over     bool
	reason   string
	bad      error // a document that could not be read
}

// subscriptionStep is an input for a subscription.
type subscriptionStep struct {
	w  *Subscription
	in dialog.Input
}

// mailbox is what the phone was told of messages. Guarded by the phone's lock.
type mailbox struct {
	last     mwi.Summary
	told     int // how often
	refusing int // status it answers to what comes without a subscription, 0 = 200
}

// documents are the types of the packages a phone can subscribe to.
func documents(event string) string {
	switch event {
	case mwi.Event:
		return mwi.ContentType
	case pidf.Event:
		return pidf.ContentTypeCPIM
	}
	return dialoginfo.ContentType
}

// Subscribe subscribes to an event package ("dialog", "presence", "message-summary") of a number, and waits for the first state. A
// *Refused says that the network does not want it.
func (p *Phone) Subscribe(ctx context.Context, event, number string) (*Subscription, error) {
	return p.SubscribeFor(ctx, event, number, 0)
}

// SubscribeFor is Subscribe for a time of the caller's.
func (p *Phone) SubscribeFor(ctx context.Context, event, number string, d time.Duration) (*Subscription, error) {
	w := &Subscription{p: p, event: event, number: number, version: -1,
		sub: dialog.NewSubscriber(&dialog.SubConfig{Agent: userAgent, Accept: documents(event), Expires: d, Random: random})}
	callID := newCallID()
	p.ep.Post(callID, subscriptionStep{w, dialog.Subscribe{URI: p.uri(number), From: p.address(), To: sip.Address{URI: p.uri(number)}, CallID: callID,
		Contact: p.contact(), Event: event}})
	err := p.wait(ctx, "waiting for the state of "+number, func() (bool, error) {
		if w.ended != nil && w.notifies == 0 {
			return false, w.ended
		}
		return w.notifies > 0, w.bad
	})
	return w, err
}

// watch finds the subscription a NOTIFY belongs to.
func (p *Phone) watch(callID, tag string) *Subscription {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.watches[dialogKey{callID, tag}]
}

// step moves the subscription; it runs on the endpoint's goroutine.
func (w *Subscription) step(in dialog.Input) {
	if _, tick := in.(dialog.Tick); tick {
		w.armed, w.timer = time.Time{}, nil
	}
	var failed []uint32
	for _, o := range w.sub.Step(time.Now(), in) {
		switch o.Kind {
		case dialog.OutRequest:
			if w.key == (dialogKey{}) {
				w.index(o.Msg)
			}
			if _, err := w.p.ep.RequestTag(o.Msg, w.target(), w); err != nil {
				failed = append(failed, o.Seq)
			}
		case dialog.OutResponse:
			if tx, ok := o.Tx.(*endpoint.ServerTx); ok {
				_ = tx.Respond(o.Msg)
			}
		case dialog.EvRequest:
			w.told(o.Msg)
		case dialog.EvEnded:
			w.finish(o)
		}
	}
	for _, seq := range failed {
		w.step(dialog.Failed{Method: sip.SUBSCRIBE, Seq: seq, Status: 503})
	}
	w.p.mu.Lock()
	w.state = w.sub.State()
	w.p.mu.Unlock()
	w.arm()
}

// index makes the subscription findable for the NOTIFY, which may come before the answer to SUBSCRIBE.
func (w *Subscription) index(m *sip.Message) {
	w.key = dialogKey{m.CallID(), m.FromTag()}
	w.p.mu.Lock()
	w.p.watches[w.key] = w
	w.p.mu.Unlock()
}

// target is the connection of the registration, or the server.
func (w *Subscription) target() endpoint.Target {
	if f := w.p.lastFlow(); f != nil && f.Alive() {
		return endpoint.Target{Flow: f}
	}
	return w.p.target()
}

func (w *Subscription) arm() {
	at := w.sub.Deadline()
	if at.IsZero() || at.Equal(w.armed) {
		return
	}
	if w.timer != nil {
		w.timer.Stop()
	}
	w.armed = at
	w.timer = w.p.ep.After(w.key.callID, max(0, time.Until(at)), subscriptionStep{w, dialog.Tick{}})
}

// told is a NOTIFY, which has been answered.
func (w *Subscription) told(m *sip.Message) {
	st, _ := m.SubscriptionState()
	w.p.mu.Lock()
	w.notifies++
	w.reason = st.Reason
	if len(m.Body()) > 0 {
		if err := w.read(m); err != nil {
			w.bad = err
		}
	}
	if n := len(w.lamps); n == 0 || w.lamps[n-1] != w.lamp {
		w.lamps = append(w.lamps, w.lamp)
	}
	w.p.mu.Unlock()
	w.p.notify()
}

// read takes the document of a NOTIFY. The phone is locked.
func (w *Subscription) read(m *sip.Message) error {
	switch w.event {
	case mwi.Event:
		s, err := mwi.Parse(m.Body())
		if err != nil {
			return err
		}
		w.p.mails.last = *s
		w.p.mails.told++
	case pidf.Event:
		x, err := pidf.Parse(m.Body())
		if err != nil {
			return err
		}
		w.presence, w.lamp = *x, LampIdle
		if slices.Contains(x.Activities, pidf.OnThePhone) {
			w.lamp = LampBusy
		}
		if slices.Contains(x.Activities, pidf.Alerting) {
			w.lamp = LampRinging
		}
	default:
		d, err := dialoginfo.Parse(m.Body())
		if err != nil {
			return err
		}
		if int64(d.Version) != w.version+1 {
			w.skipped++
		}
		w.version, w.dialogs, w.lamp = int64(d.Version), d.Dialogs, lampOf(d.Dialogs)
	}
	return nil
}

// lampOf is what a lamp shows for the dialogs of a line.
func lampOf(all []dialoginfo.Dialog) (out Lamp) {
	out = LampIdle
	for _, d := range all {
		one := LampIdle
		switch {
		case d.State == dialoginfo.Terminated:
		case d.State == dialoginfo.Confirmed && d.Local.Held():
			one = LampHeld
		case d.State == dialoginfo.Confirmed:
			one = LampBusy
		case d.Direction == dialoginfo.Recipient:
			one = LampRinging
		default:
			one = LampTrying
		}
		out = max(out, one)
	}
	return out
}

func (w *Subscription) finish(o dialog.Output) {
	r := &Refused{Status: o.Status}
	if o.Msg != nil && o.Msg.IsResponse() {
		r.Warning = o.Msg.Header("Warning")
	}
	w.p.mu.Lock()
	w.over, w.ended = true, r
	delete(w.p.watches, w.key)
	w.p.mu.Unlock()
	w.p.notify()
}

// wait waits for a condition of the subscription; its end is an error unless the condition holds then.
func (w *Subscription) wait(ctx context.Context, what string, done func() bool) error {
	return w.p.wait(ctx, what, func() (bool, error) {
		switch {
		case w.bad != nil:
			return false, w.bad
		case done():
			return true, nil
		case w.over:
			return false, fmt.Errorf("the subscription has ended (%s): %w", w.reason, w.ended)
		}
		return false, nil
	})
}

// WaitLamp waits until the lamp shows something.
func (w *Subscription) WaitLamp(ctx context.Context, l Lamp) error {
	err := w.wait(ctx, "waiting for the lamp of "+w.number+" to show "+l.String(), func() bool { return w.lamp == l })
	if err != nil {
		return fmt.Errorf("%w; it has shown %v", err, w.Lamps())
	}
	return nil
}

// WaitDialogs waits until the dialogs of the line are as wanted.
func (w *Subscription) WaitDialogs(ctx context.Context, what string, want func([]dialoginfo.Dialog) bool) error {
	return w.wait(ctx, "waiting until "+what, func() bool { return want(w.dialogs) })
}

// WaitNotifies waits until n NOTIFYs have come.
func (w *Subscription) WaitNotifies(ctx context.Context, n int) error {
	return w.wait(ctx, fmt.Sprintf("waiting for %d NOTIFYs", n), func() bool { return w.notifies >= n })
}

// WaitOver waits until the network has ended the subscription, and returns its reason.
func (w *Subscription) WaitOver(ctx context.Context) (reason string, err error) {
	err = w.p.wait(ctx, "waiting for the end of the subscription", func() (bool, error) { return w.over, nil })
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.reason, err
}

// Lamps are the states the lamp has shown, one after the other.
func (w *Subscription) Lamps() []Lamp {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return slices.Clone(w.lamps)
}

// Dialogs are those of the last document.
func (w *Subscription) Dialogs() []dialoginfo.Dialog {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return slices.Clone(w.dialogs)
}

// Presence is the last presence document.
func (w *Subscription) Presence() pidf.Presence {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.presence
}

// Notifies is how many NOTIFYs came.
func (w *Subscription) Notifies() int {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.notifies
}

// Skipped is how often the version of a dialog-info document was not the next one.
func (w *Subscription) Skipped() int {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.skipped
}

// Replaces names a dialog of the line for an INVITE that takes its place (RFC 3891; RFC 4235, 3.6); false when the document does not
// say enough.
func Replaces(d dialoginfo.Dialog) (sip.Replaces, bool) {
	return sip.Replaces{CallID: d.CallID, ToTag: d.LocalTag, FromTag: d.RemoteTag}, d.CallID != "" && d.LocalTag != "" && d.RemoteTag != ""
}

// Refresh subscribes again before it is time.
func (w *Subscription) Refresh() {
	w.p.ep.Post(w.key.callID, subscriptionStep{w, dialog.Refresh{}})
}

// Unsubscribe ends the subscription and waits for the last NOTIFY.
func (w *Subscription) Unsubscribe(ctx context.Context) error {
	w.p.ep.Post(w.key.callID, subscriptionStep{w, dialog.Unsubscribe{}})
	_, err := w.WaitOver(ctx)
	return err
}

// mail takes a NOTIFY about messages that comes without a subscription; false is another event.
func (p *Phone) mail(tx *endpoint.ServerTx, m *sip.Message) bool {
	event, _ := m.Event()
	if event.Package != mwi.Event {
		return false
	}
	p.mu.Lock()
	status := p.mails.refusing
	s, err := mwi.Parse(m.Body())
	if status == 0 && err == nil {
		p.mails.last = *s
		p.mails.told++
	}
	p.mu.Unlock()
	switch {
	case status != 0:
	case err != nil:
		status = 400
	default:
		status = 200
	}
	_ = tx.Reply(status, "")
	p.notify()
	return true
}

// RefuseMessages has the phone answer NOTIFYs about messages without a subscription with a status; 0 takes them.
func (p *Phone) RefuseMessages(status int) {
	p.mu.Lock()
	p.mails.refusing = status
	p.mu.Unlock()
}

// Messages is what the phone was told last of its messages, and how often it was told, by a subscription or without one.
func (p *Phone) Messages() (last mwi.Summary, told int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mails.last, p.mails.told
}

// WaitMessages waits until the phone knows that it has so many new and old voice messages; waiting is the lamp.
func (p *Phone) WaitMessages(ctx context.Context, waiting bool, fresh, old uint32) error {
	return p.wait(ctx, fmt.Sprintf("waiting for messages: %v %d/%d", waiting, fresh, old), func() (bool, error) {
		v := p.mails.last.Voice()
		return p.mails.told > 0 && p.mails.last.Waiting == waiting && v.New == fresh && v.Old == old, nil
	})
}
