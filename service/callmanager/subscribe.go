package callmanager

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/wire/mwi"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// Bounds of what a SUBSCRIBE is granted. After a crash of ours a phone finds out by its next refresh that nobody tells it any more.
const (
	subscriptionLeast = time.Minute
	subscriptionMost  = 20 * time.Minute
)

// subscribe answers a SUBSCRIBE. RFC 6665, 4.2.1.
func (s *Service) subscribe(tx *endpoint.ServerTx, m *sip.Message) {
	if tag := m.ToTag(); tag != "" {
		s.resubscribe(tx, m, tag)
		return
	}
	w, refused := s.newSubscription(tx, m)
	if refused == nil {
		refused = s.subscriptions.add(w)
	}
	if refused != nil {
		s.answer(tx, m, refused)
		return
	}
	if w.pkg.name != mwi.Event && s.lamps.begin() {
		s.run(s.followCalls)
	}
	w.doc = s.describe(w)
	w.print = fingerprint(w.doc)
	w.act(w.not.Begin(time.Now(), dialog.Request{Tx: tx, Msg: m, Tag: w.key.tag, Contact: sip.Address{URI: s.contact(tx.Flow())}},
		dialog.Notify{State: dialog.SubActive}))
	if w.not.State() == dialog.SubInit || w.not.State() == dialog.SubTerminated {
		w.close() // refused: too brief, or without a Contact
		return
	}
	w.look() // what changed before it was in the table
}

// newSubscription checks who asks, for what, and whether that is allowed.
func (s *Service) newSubscription(tx *endpoint.ServerTx, m *sip.Message) (*subscription, *refusal) {
	event, _ := m.Event()
	all := packages()
	at := slices.IndexFunc(all, func(p eventPackage) bool { return p.name == event.Package })
	if at < 0 { // RFC 6665, 4.2.1.3
		return nil, &refusal{status: 489, why: "event package " + m.Header("Event") + " is not offered here", header: []sip.Field{{Name: "Allow-Events", Value: allowEvents}}}
	}
	w := &subscription{s: s, pkg: all[at], flow: tx.Flow(), key: subscriptionKey{m.CallID(), tx.LocalTag()}}
	w.key.callID = string([]byte(w.key.callID)) // a copy: not a piece of the message, which would keep all of it
	w.shown.since = s.now()
	d, user, refused := s.subscriber(tx, m)
	if refused != nil {
		return nil, refused
	}
	w.device = d.Name
	var ok bool
	if w.media, ok = acceptable(m, w.pkg.types); !ok {
		return nil, &refusal{status: 406, why: fmt.Sprintf("event package %s is told as %s", w.pkg.name, w.pkg.types[0]), header: []sip.Field{{Name: "Accept", Value: w.pkg.types[0]}}}
	}
	st := s.site.Load()
	if w.at, refused = s.placeOf(st, d, lineOf(d, user), m, w.pkg); refused != nil {
		return nil, refused
	}
	w.not = dialog.NewNotifier(&dialog.SubConfig{Agent: s.agent(), Expires: subscriptionMost, Min: subscriptionLeast, Random: randomWord})
	return w, nil
}

// subscriber is the device that asks: verified as for a call, and registered, since it is told over the connection of its registration.
func (s *Service) subscriber(tx *endpoint.ServerTx, m *sip.Message) (*directory.Device, string, *refusal) {
	d, user, refused := s.caller(tx.Flow(), m)
	if refused == nil {
		refused = s.digest(m, d)
	}
	if refused != nil {
		return nil, "", refused
	}
	if _, there := s.bindings.reach(s.now(), d.Name, user); !there {
		return nil, "", forbidden("device " + d.Name + " is not registered: who subscribes is told over the connection of its registration")
	}
	s.el.SetOwner(tx.Flow(), d.Name)
	return d, user, nil
}

// placeOf finds what the Request-URI asks for, and whether the device may watch it.
func (s *Service) placeOf(st *site, d *directory.Device, from call.LineID, m *sip.Message, pkg eventPackage) (spot, *refusal) {
	number := s.dialled(m)
	if own := lineOf(d, number); !own.IsZero() {
		return spot{line: own}, nil
	}
	if pkg.name == mwi.Event {
		return spot{}, forbidden(fmt.Sprintf("device %s does not show the line %q: only who shows a line is told of its messages", d.Name, number))
	}
	at, found := st.watchable(d, from, number)
	switch {
	case found:
		return at, nil
	case len(st.byNumber[number]) > 0:
		return spot{}, forbidden(fmt.Sprintf("device %s may not watch %q: %s does not reach it", d.Name, number, watchedWith(d)))
	}
	return spot{}, &refusal{status: 404, why: fmt.Sprintf("%q is no line that can be watched", number)}
}

// watchedWith names the search space that decides what a device may watch.
func watchedWith(d *directory.Device) string {
	if d.SubscribeCallingSearchSpace != "" {
		return "its subscribe calling search space " + d.SubscribeCallingSearchSpace
	}
	return "the calling search space of its line and its own"
}

// watchable finds the line or park number that a device reaches under a number, with its subscribe calling search space.
func (st *site) watchable(d *directory.Device, from call.LineID, number string) (spot, bool) {
	spaces := []string{d.SubscribeCallingSearchSpace}
	if d.SubscribeCallingSearchSpace == "" {
		if from.IsZero() && len(d.Appearances) > 0 {
			from = lineID(d.Appearances[0].Line)
		}
		spaces = st.compiled.SearchSpaces(d.Name, from, "")
	}
	res := st.compiled.Plan().Route(dialplan.Query{SearchSpaces: spaces, Called: number, Complete: true})
	if res.Outcome != dialplan.Match {
		return spot{}, false
	}
	switch res.Pattern.Kind {
	case dialplan.DirectoryNumber:
		return spot{line: lineOfPattern(res.Pattern)}, true
	case dialplan.ToPark:
		return spot{slot: res.Called}, true
	}
	return spot{}, false
}

// mayWatch says whether a device may still watch a place: what was allowed under one configuration may not be under the next.
func (s *Service) mayWatch(st *site, d *directory.Device, at spot, pkg eventPackage) *refusal {
	if at.slot == "" && shows(d, at.line) {
		return nil
	}
	if pkg.name != mwi.Event {
		for i := 0; i < max(1, len(d.Appearances)); i++ {
			var from call.LineID
			if i < len(d.Appearances) {
				from = lineID(d.Appearances[i].Line)
			}
			if got, found := st.watchable(d, from, at.number()); found && got == at {
				return nil
			}
		}
	}
	return forbidden("device " + d.Name + " may not watch " + at.number() + " any more")
}

// resubscribe is a SUBSCRIBE inside a subscription: it goes on, or ends.
func (s *Service) resubscribe(tx *endpoint.ServerTx, m *sip.Message, tag string) {
	w := s.subscriptions.get(subscriptionKey{m.CallID(), tag})
	if w == nil || w.over {
		s.answer(tx, m, &refusal{status: 481})
		return
	}
	d, _, refused := s.subscriber(tx, m)
	if refused == nil && d.Name != w.device {
		refused = forbidden("this subscription belongs to device " + w.device)
	}
	if refused != nil {
		s.answer(tx, m, refused)
		return
	}
	w.flow = tx.Flow()
	w.doc = s.describe(w)
	w.step(dialog.Request{Tx: tx, Msg: m})
}

// randomWord is 64 random bits.
func randomWord() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails: it ends the program where there is no randomness
	return binary.BigEndian.Uint64(b[:])
}

// lineOfPattern is the line that a directory number of the dial plan leads to.
func lineOfPattern(p *dialplan.Pattern) call.LineID {
	number, partition := p.Line()
	return call.LineID{Number: number, Partition: partition}
}
