package callmanager

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/wire/mwi"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Bounds of subscriptions. A phone has at most 200 keys, and a few sidecars show the same.
const (
	maxDeviceSubscriptions = 256
	maxSubscriptions       = 100_000
)

// subscription is one device's subscription to one place. The fields up to mu belong to the shard of its Call-ID.
type subscription struct {
	s      *Service
	device string
	pkg    eventPackage
	media  string // type of its documents
	at     spot
	key    subscriptionKey

	not     *dialog.Notifier
	timer   *endpoint.Timer
	armed   time.Time
	flow    *transport.Flow // of its last SUBSCRIBE
	doc     document        // what the subscriber should know
	print   string          // doc, to see whether another one says something new
	told    []string        // dialogs that the last NOTIFY named
	n       uint32          // NOTIFYs with a document so far
	over    bool
	pending bool // a NOTIFY could not be sent, or has no answer

	mu     sync.Mutex
	posted bool // a changed is on its way to the shard
	shown  shownSubscription
}

// shownSubscription is what operators see of a subscription.
type shownSubscription struct {
	since, expires, notified time.Time
	count                    int
	status                   int // of the last answer to a NOTIFY; 0 = none yet
}

// subscriptionKey finds a subscription by what a request inside its dialog carries.
type subscriptionKey struct{ callID, tag string }

// What is posted to the shard of a subscription.
type (
	subscriptionTick    struct{ w *subscription }
	subscriptionChanged struct{ w *subscription } // its place may have another state
	subscriptionBack    struct {                  // its device has registered on a connection
		w      *subscription
		repeat bool
	}
	subscriptionEnd struct { // it may not go on; without a reason the subscriber is not told
		w      *subscription
		reason string
		done   chan struct{} // closed when that has been done; nil where nobody waits
	}
	subscriptionReview struct{ w *subscription } // the configuration is another
)

// notified is the tag of a NOTIFY inside a subscription.
type notified struct {
	w    *subscription
	seq  uint32
	mail int64 // version of the mailbox it tells, 0 for other packages
}

// subscriptions is the table of all of them, guarded by its lock.
type subscriptions struct {
	mu       sync.Mutex
	byKey    map[subscriptionKey]*subscription
	byPlace  map[spot][]*subscription
	byDevice map[string][]*subscription
}

// add takes a subscription in, unless there are too many.
func (t *subscriptions) add(w *subscription) *refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey == nil {
		t.byKey, t.byPlace, t.byDevice = map[subscriptionKey]*subscription{}, map[spot][]*subscription{}, map[string][]*subscription{}
	}
	if len(t.byDevice[w.device]) >= maxDeviceSubscriptions {
		return &refusal{status: 503, why: "device " + w.device + " has all the subscriptions it may have", header: []sip.Field{{Name: "Retry-After", Value: "300"}}}
	}
	if len(t.byKey) >= maxSubscriptions {
		return &refusal{status: 503, why: "there are too many subscriptions", header: []sip.Field{{Name: "Retry-After", Value: "300"}}}
	}
	t.byKey[w.key] = w
	t.byPlace[w.at] = append(t.byPlace[w.at], w)
	t.byDevice[w.device] = append(t.byDevice[w.device], w)
	return nil
}

func (t *subscriptions) remove(w *subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[w.key] != w {
		return
	}
	delete(t.byKey, w.key)
	if t.byPlace[w.at] = without(t.byPlace[w.at], w); len(t.byPlace[w.at]) == 0 {
		delete(t.byPlace, w.at)
	}
	if t.byDevice[w.device] = without(t.byDevice[w.device], w); len(t.byDevice[w.device]) == 0 {
		delete(t.byDevice, w.device)
	}
}

func without(list []*subscription, w *subscription) []*subscription {
	return slices.DeleteFunc(list, func(x *subscription) bool { return x == w })
}

func (t *subscriptions) get(k subscriptionKey) *subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byKey[k]
}

// of lists the subscriptions of a device; those of everybody without a name.
func (t *subscriptions) of(device string) (out []*subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if device != "" {
		return slices.Clone(t.byDevice[device])
	}
	for _, list := range t.byDevice {
		out = append(out, list...)
	}
	return out
}

// mailbox is a device's subscription to the messages of a line; nil when it has none.
func (t *subscriptions) mailbox(device string, at spot) *subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.byPlace[at] {
		if w.device == device && w.pkg.name == mwi.Event {
			return w
		}
	}
	return nil
}

// changed has everybody who watches a place look at it, each once however often that is asked before it does.
func (t *subscriptions) changed(ep *endpoint.Endpoint, at spot) {
	t.mu.Lock()
	all := slices.Clone(t.byPlace[at])
	t.mu.Unlock()
	for _, w := range all {
		w.mu.Lock()
		first := !w.posted
		w.posted = true
		w.mu.Unlock()
		if first {
			ep.Post(w.key.callID, subscriptionChanged{w})
		}
	}
}

// posted acts on what came to the shard of a subscription; false is for somebody else.
func (s *Service) subscriptionPosted(v any) bool {
	switch v := v.(type) {
	case subscriptionTick:
		v.w.armed, v.w.timer = time.Time{}, nil
		v.w.step(dialog.Tick{})
	case subscriptionChanged:
		v.w.mu.Lock()
		v.w.posted = false
		v.w.mu.Unlock()
		v.w.look()
	case subscriptionBack:
		if v.repeat || v.w.pending {
			v.w.doc = s.describe(v.w)
			v.w.step(dialog.Repeat{})
		}
	case subscriptionEnd:
		if v.w.end(v.reason); v.done != nil {
			close(v.done)
		}
	case subscriptionReview:
		v.w.review()
	default:
		return false
	}
	return true
}

// look tells the subscriber what has changed, if something has.
func (w *subscription) look() {
	if w.over {
		return
	}
	doc := w.s.describe(w)
	if print := fingerprint(doc); print != w.print {
		w.doc, w.print = doc, print
		w.step(dialog.Notify{State: dialog.SubActive})
	}
}

// fingerprint is a document without what differs from NOTIFY to NOTIFY.
func fingerprint(d document) string { return string(d.write(nil, 0, nil)) }

// review sees whether the device may still watch what it watches, under another configuration.
func (w *subscription) review() {
	st := w.s.site.Load()
	d := st.device(w.device)
	switch {
	case w.over:
	case d == nil:
		w.end("noresource")
	case w.s.mayWatch(st, d, w.at, w.pkg) != nil:
		w.end("rejected")
	default:
		w.look()
	}
}

// end ends the subscription. With a reason of RFC 6665, 4.1.3 the subscriber is told.
func (w *subscription) end(reason string) {
	if w.over {
		return
	}
	if reason == "" {
		w.close()
		return
	}
	w.doc = nil // it may not know any more
	w.step(dialog.Notify{State: dialog.SubTerminated, Reason: reason})
}

// close forgets it.
func (w *subscription) close() {
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	w.s.subscriptions.remove(w)
}

// step moves the machine and does what it says. The machine reuses its outputs, so what could not be sent is told to it afterwards.
func (w *subscription) step(in dialog.Input) {
	if !w.over {
		w.act(w.not.Step(time.Now(), in))
	}
}

func (w *subscription) act(outs []dialog.Output) {
	var unsent []uint32
	ended := false
	for _, o := range outs {
		switch o.Kind {
		case dialog.OutResponse:
			if tx, ok := o.Tx.(*endpoint.ServerTx); ok {
				w.s.respond(tx, o.Msg)
			}
		case dialog.OutRequest:
			if !w.notify(o) {
				unsent = append(unsent, o.Seq)
			}
		case dialog.EvEnded:
			ended = true
		}
	}
	if ended {
		w.close()
		return
	}
	for _, seq := range unsent {
		w.pending = true
		w.step(dialog.Failed{Method: sip.NOTIFY, Seq: seq, Status: 500}) // it stays: the device will be back
	}
	w.arm()
}

// arm keeps one timer at the end of the subscription.
func (w *subscription) arm() {
	at := w.not.Deadline()
	w.mu.Lock()
	w.shown.expires = at
	w.mu.Unlock()
	if at.IsZero() || at.Equal(w.armed) {
		return
	}
	if w.timer != nil {
		w.timer.Stop()
	}
	w.armed = at
	w.timer = w.s.ep.After(w.key.callID, max(0, time.Until(at)), subscriptionTick{w})
}

// notify sends a NOTIFY with the newest document, over the connection by which the device is reached now. RFC 5626, 5.3.
func (w *subscription) notify(o dialog.Output) bool {
	flow := w.route()
	if flow == nil {
		return false
	}
	tag := notified{w: w, seq: o.Seq}
	if w.doc != nil {
		o.Msg.SetBody(w.media, w.doc.write(nil, w.n, w.told))
		w.told, w.print = w.doc.names(), fingerprint(w.doc)
		w.n++
		if w.pkg.name == mwi.Event {
			tag.mail = w.s.mailboxes.version(w.at.line)
		}
	}
	o.Msg.SetContact(sip.Address{URI: w.s.contact(flow)})
	if _, err := w.s.ep.RequestTag(o.Msg, endpoint.Target{Flow: flow}, tag); err != nil {
		return false
	}
	w.pending = true // until it is answered
	w.mu.Lock()
	w.shown.count++
	w.shown.notified = w.s.now()
	w.mu.Unlock()
	return true
}

// route is the connection the device is reached by: that of its registration, else that of its last SUBSCRIBE. Nil when there is none.
func (w *subscription) route() *transport.Flow {
	if b, ok := w.s.bindings.reach(w.s.now(), w.device, w.at.number()); ok {
		return b.flow
	}
	if w.flow != nil && w.flow.Network() != transport.UDP && w.flow.Alive() {
		return w.flow
	}
	return nil
}

// answered is the answer to a NOTIFY.
func (n notified) answered(m *sip.Message) {
	w := n.w
	w.mu.Lock()
	w.shown.status = m.Status()
	w.mu.Unlock()
	if m.IsSuccess() {
		w.pending = false
		if n.mail != 0 {
			w.s.mailboxes.acknowledged(w.device, w.at.line, n.mail)
		}
	}
	w.step(dialog.Response{Msg: m})
	if w.over && w.pkg.name == mwi.Event { // the phone has forgotten its subscription: it is told without one
		w.s.tellMailbox(w.device, w.at.line, false)
	}
}

// failed is a NOTIFY without an answer. A connection that is gone says nothing about the device: it will be back on another one.
func (n notified) failed(err error) {
	status := 500
	if errors.Is(err, endpoint.ErrTimeout) {
		status = 408
	}
	n.w.pending = true
	n.w.step(dialog.Failed{Method: sip.NOTIFY, Seq: n.seq, Status: status})
}

// deviceBack tells the subscriptions of a device that it can be reached again, or elsewhere.
func (s *Service) deviceBack(device string) {
	for _, w := range s.subscriptions.of(device) {
		s.ep.Post(w.key.callID, subscriptionBack{w, w.pkg.name == mwi.Event})
	}
}

// deviceGone ends the subscriptions of devices that have unregistered, or whose registration ran out.
func (s *Service) deviceGone(devices []string) {
	for _, d := range devices {
		for _, w := range s.subscriptions.of(d) {
			s.ep.Post(w.key.callID, subscriptionEnd{w: w})
		}
	}
}

// deactivate ends all subscriptions so that the phones subscribe again when they are back (RFC 6665, 4.1.3), and waits until they have
// been told.
func (s *Service) deactivate(ctx context.Context) {
	for _, w := range s.subscriptions.of("") {
		done := make(chan struct{})
		s.ep.Post(w.key.callID, subscriptionEnd{w, "deactivated", done})
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}

// reviewSubscriptions looks at all of them under a new configuration.
func (s *Service) reviewSubscriptions() {
	for _, w := range s.subscriptions.of("") {
		s.ep.Post(w.key.callID, subscriptionReview{w})
	}
}

// acceptable is the type of document that a SUBSCRIBE takes, of those a package has. RFC 3261, 20.1: no Accept takes the usual one.
func acceptable(m *sip.Message, types []string) (string, bool) {
	fields := m.Headers("Accept")
	if len(fields) == 0 {
		return types[0], true
	}
	any := false
	for _, f := range fields {
		for one := range strings.SplitSeq(f, ",") {
			kind, _, _ := strings.Cut(one, ";")
			kind = strings.ToLower(strings.TrimSpace(kind))
			if slices.Contains(types, kind) {
				return kind, true
			}
			any = any || kind == "*/*" || kind == "application/*"
		}
	}
	return types[0], any
}
