package callmanager

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/mwi"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// Message waiting is state, not news: what the voicemail system said last of a line is kept in the store, and a phone is told what is
// kept, until it has said that it heard: when it changes, and whenever the phone registers anew.
//
//	voicemail --NOTIFY--> [ store: one document a line ] --NOTIFY--> phones that show the line
//	applications --bus-->                                     ^
//	                                                   REGISTER on a new connection, or after a NOTIFY without 200

// mailboxCollection is where the state of the mailboxes is kept.
const mailboxCollection = "message-waiting"

// mailbox is what is known of a line's messages: one document of the store.
type mailbox struct {
	Number    string      `json:"number"`
	Partition string      `json:"partition,omitempty"`
	Version   int64       `json:"version"` // rises with every change of what is told
	Waiting   bool        `json:"waiting"`
	Counts    []mwi.Count `json:"counts,omitempty"`
	Since     time.Time   `json:"since"` // of Waiting
	Changed   time.Time   `json:"changed"`
	// Source is who said it: "trunk vm", or what an application calls itself, with the version it gave (0: none).
	Source        string `json:"source"`
	SourceVersion uint64 `json:"sourceVersion,omitempty"`

	revision int64 // of the document
}

func (b *mailbox) line() call.LineID { return call.LineID{Number: b.Number, Partition: b.Partition} }

// mailboxKey is the document of a line.
func mailboxKey(l call.LineID) string { return l.Number + "/" + l.Partition }

// mailboxes is the state of all mailboxes, as the store has it, and which phone has heard of it. Guarded by its lock.
type mailboxes struct {
	docs   *store.Documents
	queue  chan mailboxNews
	mu     sync.Mutex
	byLine map[call.LineID]mailbox
	heard  map[hearer]hearing
}

// hearer is a phone that shows a line.
type hearer struct {
	device string
	line   call.LineID
}

// hearing is what a phone has said to what it was told.
type hearing struct {
	version  int64 // it has acknowledged
	underway int64 // version of the NOTIFY without an answer yet, 0 = none
	refused  int   // status of the last answer, where it was a refusal
}

// mailboxNews is what somebody says of a mailbox, on its way to the store.
type mailboxNews struct {
	line          call.LineID
	waiting       bool
	counts        []mwi.Count
	source        string
	sourceVersion uint64
	done          func(applied bool, err error)
}

// mailboxQueue bounds the news that wait for the store.
const mailboxQueue = 1024

// load reads the mailboxes.
func (t *mailboxes) load(ctx context.Context, docs *store.Documents) error {
	t.docs, t.queue = docs, make(chan mailboxNews, mailboxQueue)
	t.byLine, t.heard = map[call.LineID]mailbox{}, map[hearer]hearing{}
	_, err := t.refresh(ctx)
	return err
}

// refresh reads what others have written and lists the lines it concerns.
func (t *mailboxes) refresh(ctx context.Context) (changed []call.LineID, err error) {
	all, err := t.docs.List(ctx, "")
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	known := make(map[string]int64, len(t.byLine))
	for id, b := range t.byLine {
		known[mailboxKey(id)] = b.revision
	}
	for _, doc := range all {
		if known[doc.Key] >= doc.Revision {
			continue
		}
		var b mailbox
		if err := json.Unmarshal(doc.Value, &b); err != nil {
			return changed, fmt.Errorf("message waiting of %s cannot be read: %w", doc.Key, err)
		}
		b.revision = doc.Revision
		t.byLine[b.line()] = b
		changed = append(changed, b.line())
	}
	return changed, nil
}

// get is the mailbox of a line; known is false for a line of which nothing was ever said.
func (t *mailboxes) get(l call.LineID) (b mailbox, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, known = t.byLine[l]
	return b, known
}

// version is that of a line's mailbox, 0 when nothing was ever said of it.
func (t *mailboxes) version(l call.LineID) int64 {
	b, _ := t.get(l)
	return b.Version
}

// summary is what phones are told of a line.
func (t *mailboxes) summary(st *site, l call.LineID) mwi.Summary {
	b, known := t.get(l)
	out := mwi.Summary{Account: st.addressOf(l.Number)}
	line := st.byLine[l]
	if !known || line == nil || line.MessageLamp == config.MessageLampNone {
		return out
	}
	out.Waiting, out.Counts = b.Waiting, b.Counts
	return out
}

// write brings news into the store; applied is false when they say nothing new, or are older than what is there.
func (t *mailboxes) write(ctx context.Context, now time.Time, n mailboxNews) (applied bool, err error) {
	for range 5 {
		b, _ := t.get(n.line)
		next := b
		next.Number, next.Partition, next.Waiting, next.Counts = n.line.Number, n.line.Partition, n.waiting, n.counts
		next.Source, next.SourceVersion = n.source, n.sourceVersion
		if n.sourceVersion != 0 && n.source == b.Source && n.sourceVersion <= b.SourceVersion {
			return false, nil // said before, or overtaken
		}
		same := b.Version != 0 && b.Waiting == n.waiting && slices.Equal(b.Counts, n.counts)
		if same && n.sourceVersion == 0 && n.source == b.Source {
			return false, nil
		}
		if !same {
			next.Version, next.Changed = b.Version+1, now
			if b.Version == 0 || b.Waiting != n.waiting {
				next.Since = now
			}
		}
		next.revision, err = t.docs.Put(ctx, mailboxKey(n.line), next, b.revision)
		if errors.Is(err, store.ErrConflict) {
			if err = t.reread(ctx, n.line); err != nil {
				return false, err
			}
			continue
		}
		if errors.Is(err, store.ErrUnavailable) { // it waits; if another node writes it meanwhile, the newer of the two stays
			next.revision, err = t.docs.Keep(ctx, mailboxKey(n.line), next)
		}
		if err != nil {
			return false, err
		}
		t.mu.Lock()
		t.byLine[n.line] = next
		t.mu.Unlock()
		return !same, nil
	}
	return false, fmt.Errorf("message waiting of %s: others write it all the time", mailboxKey(n.line))
}

// reread takes what another node wrote.
func (t *mailboxes) reread(ctx context.Context, l call.LineID) error {
	doc, err := t.docs.Get(ctx, mailboxKey(l))
	var b mailbox
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(doc.Value, &b); err != nil {
			return err
		}
		b.revision = doc.Revision
	}
	t.mu.Lock()
	t.byLine[l] = b
	t.mu.Unlock()
	return nil
}

// begin says whether a phone has to be told the state of a line, and notes that it is being told. force tells it whatever it has said.
func (t *mailboxes) begin(h hearer, force bool) (version int64, tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, known := t.byLine[h.line]
	x := t.heard[h]
	if !known || !force && (x.underway == b.Version || x.version == b.Version) {
		return 0, false
	}
	x.underway = b.Version
	t.heard[h] = x
	return b.Version, true
}

// ended notes the answer to a NOTIFY; 0 is none. again says that there is something newer to tell.
func (t *mailboxes) ended(h hearer, version int64, status int) (again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.heard[h]
	if x.underway == version {
		x.underway = 0
	}
	x.refused = 0
	if status >= 200 && status < 300 {
		x.version = max(x.version, version)
	} else {
		x.refused = status
	}
	t.heard[h] = x
	return x.refused == 0 && x.underway == 0 && t.byLine[h.line].Version > version
}

// acknowledged notes that a phone has heard a version by its subscription.
func (t *mailboxes) acknowledged(device string, l call.LineID, version int64) {
	t.ended(hearer{device, l}, version, 200)
}

// forget drops what is known of phones that show a line no more.
func (t *mailboxes) forget(st *site) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for h := range t.heard {
		if d := st.device(h.device); d == nil || !shows(d, h.line) {
			delete(t.heard, h)
		}
	}
}

// keepMailboxes brings news into the store, one after the other, and takes over what other nodes write, until the service ends.
func (s *Service) keepMailboxes() {
	changes := s.mailboxes.docs.Watch(s.ctx)
	for {
		select {
		case n := <-s.mailboxes.queue:
			applied, err := s.mailboxes.write(s.ctx, s.now(), n)
			if n.done(applied, err); applied {
				s.tellLine(n.line)
			}
		case _, open := <-changes:
			if !open {
				return
			}
			changed, err := s.mailboxes.refresh(s.ctx)
			if err != nil && s.ctx.Err() == nil {
				s.warn(err.Error())
			}
			for _, l := range changed {
				s.tellLine(l)
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// mailboxMail is the tag of a NOTIFY without a subscription that tells of messages.
type mailboxMail struct {
	to      hearer
	version int64
}

// tellLine tells every phone that shows a line of its messages.
func (s *Service) tellLine(l call.LineID) {
	line := s.site.Load().byLine[l]
	if line == nil {
		return
	}
	s.subscriptions.changed(s.ep, spot{line: l})
	for _, a := range line.Appearances {
		s.tellMailbox(a.Device.Name, l, false)
	}
}

// tellMailbox tells a phone of a line's messages without a subscription, unless it has one, wants none, is away, or has heard it.
func (s *Service) tellMailbox(device string, l call.LineID, force bool) {
	st := s.site.Load()
	d := st.device(device)
	if d == nil || d.SIP.MessageWaiting == config.MessageWaitingSubscribed || s.subscriptions.mailbox(device, spot{line: l}) != nil {
		return
	}
	b, there := s.bindings.reach(s.now(), device, l.Number)
	if !there {
		return
	}
	h := hearer{device, l}
	version, tell := s.mailboxes.begin(h, force)
	if !tell {
		return
	}
	text := s.mailboxes.summary(st, l)
	b.aor = l.Number
	if err := s.notifyTag(b, notice{mwi.Event, mwi.ContentType, text.Append(nil)}, mailboxMail{h, version}); err != nil {
		s.mailboxes.ended(h, version, 0)
	}
}

// heard is the answer of a phone; 0 when none came.
func (s *Service) heardMailbox(m mailboxMail, status int) {
	if s.mailboxes.ended(m.to, m.version, status) {
		s.tellMailbox(m.to.device, m.to.line, false)
	}
}

// reconcile tells a phone that has registered the state of its lines: anew is set when the registration is another one, or is reached
// elsewhere, so that the phone may have forgotten; else it is told what it has not acknowledged.
func (s *Service) reconcile(device, aor string, anew bool) {
	d := s.site.Load().device(device)
	if d == nil {
		return
	}
	for _, a := range d.Appearances {
		if id := lineID(a.Line); aor == device || aor == id.Number {
			s.tellMailbox(device, id, anew)
		}
	}
}

// relampLines tells the phones of lines whose lamp is used otherwise under the next configuration.
func (s *Service) relampLines(before, next *site) {
	for id, l := range next.byLine {
		if was := before.byLine[id]; was != nil && was.MessageLamp != l.MessageLamp {
			for _, a := range l.Appearances {
				s.tellMailbox(a.Device.Name, id, true)
			}
		}
	}
}

// messageNotify takes what a trunk's peer says of a mailbox.
func (s *Service) messageNotify(tx *endpoint.ServerTx, m *sip.Message, t *directory.Trunk) {
	user, err := sip.Unescape(m.RequestURI().User)
	lines := s.site.Load().mailboxLines(t, user)
	if err != nil || len(lines) == 0 {
		s.answer(tx, m, &refusal{status: 404, why: "no line has the number \"" + user + "\""})
		return
	}
	text, err := mwi.Parse(m.Body())
	if err != nil {
		s.answer(tx, m, &refusal{status: 400, why: err.Error()})
		return
	}
	left := len(lines) // of the worker, which takes one after the other
	for _, l := range lines {
		n := mailboxNews{line: l, waiting: text.Waiting, counts: text.Counts, source: "trunk " + t.Name, done: func(_ bool, err error) {
			if left--; err != nil {
				left = -1
				s.answer(tx, m, &refusal{status: 500, why: "the state of the mailbox could not be kept: " + err.Error()})
			} else if left == 0 {
				s.respond(tx, sip.NewResponse(m, 200, ""))
			}
		}}
		if !s.offerMailbox(n) {
			s.answer(tx, m, &refusal{status: 503, why: "more is said of mailboxes than can be kept", header: []sip.Field{{Name: "Retry-After", Value: "5"}}})
			return
		}
	}
}

// offerMailbox hands news to the worker; false when it has enough to do.
func (s *Service) offerMailbox(n mailboxNews) bool {
	select {
	case s.mailboxes.queue <- n:
		return true
	default:
		return false
	}
}

// mailboxLines are the lines that a trunk's peer means by a number: those whose mailbox has it, the one its calling search space leads
// to, else all that have it.
func (st *site) mailboxLines(t *directory.Trunk, number string) (out []call.LineID) {
	if lines := st.accounts[number]; len(lines) > 0 {
		return lines
	}
	if t.CallingSearchSpace != "" {
		res := st.compiled.Plan().Route(dialplan.Query{SearchSpaces: []string{t.CallingSearchSpace}, Called: number, Complete: true})
		if res.Outcome == dialplan.Match && res.Pattern.Kind == dialplan.DirectoryNumber {
			return []call.LineID{lineOfPattern(res.Pattern)}
		}
	}
	for _, l := range st.Lines() {
		if id := lineID(l); id.Number == number {
			out = append(out, id)
		}
	}
	return out
}

// countsOf are the counts that phones are told: those of voice messages always, unless nobody says how many wait.
func countsOf(r bus.MessagesRequest) (out []mwi.Count) {
	voice := mwi.Count{Class: mwi.Voice, New: r.New, Old: r.Old, Urgent: true, UrgentNew: r.UrgentNew, UrgentOld: r.UrgentOld}
	fax := mwi.Count{Class: mwi.Fax, New: r.FaxNew, Old: r.FaxOld, Urgent: true, UrgentNew: r.FaxUrgentNew, UrgentOld: r.FaxUrgentOld}
	if fax != (mwi.Count{Class: mwi.Fax, Urgent: true}) {
		out = append(out, fax)
	}
	if r.Waiting && voice == (mwi.Count{Class: mwi.Voice, Urgent: true}) {
		return out
	}
	return append([]mwi.Count{voice}, out...)
}

// setMessages takes what an application says of a mailbox.
func (s *Service) setMessages(ctx context.Context, r bus.MessagesRequest) (bus.MessagesResult, error) {
	id := call.LineID{Number: r.Number, Partition: r.Partition}
	if s.site.Load().byLine[id] == nil {
		return bus.MessagesResult{}, &bus.Error{Code: bus.CodeNotFound, Message: fmt.Sprintf("no line %s in partition %q", r.Number, r.Partition)}
	}
	if r.Source == "" {
		return bus.MessagesResult{}, &bus.Error{Code: bus.CodeInvalid, Message: "source is missing: who says so"}
	}
	type outcome struct {
		applied bool
		err     error
	}
	done := make(chan outcome, 1)
	n := mailboxNews{line: id, waiting: r.New > 0 || r.FaxNew > 0 || r.Waiting, source: r.Source, sourceVersion: r.Version, counts: countsOf(r),
		done: func(applied bool, err error) { done <- outcome{applied, err} }}
	if !s.offerMailbox(n) {
		return bus.MessagesResult{}, &bus.Error{Code: bus.CodeUnavailable, Message: "more is said of mailboxes than can be kept; try again"}
	}
	select {
	case o := <-done:
		if o.err != nil {
			return bus.MessagesResult{}, &bus.Error{Code: bus.CodeUnavailable, Message: o.err.Error()}
		}
		return bus.MessagesResult{Applied: o.applied}, nil
	case <-ctx.Done():
		return bus.MessagesResult{}, ctx.Err()
	case <-s.ctx.Done():
		return bus.MessagesResult{}, &bus.Error{Code: bus.CodeUnavailable, Message: "the call manager is stopping"}
	}
}

// showMessages lists the mailboxes and who has heard of them.
func (s *Service) showMessages(context.Context) ([]bus.MessageState, error) {
	st, rows := s.site.Load(), []bus.MessageState{}
	t := &s.mailboxes
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, b := range t.byLine {
		line := st.byLine[id]
		if b.Version == 0 || line == nil {
			continue
		}
		text := mwi.Summary{Counts: b.Counts}
		voice := text.Voice()
		row := bus.MessageState{Node: s.cfg.Node, Line: id.Number, Partition: id.Partition, Waiting: b.Waiting, New: voice.New, Old: voice.Old,
			UrgentNew: voice.UrgentNew, UrgentOld: voice.UrgentOld, Since: b.Since.UTC(), Changed: b.Changed.UTC(), Source: b.Source, Version: b.Version, Lamp: line.MessageLamp.String()}
		for _, a := range line.Appearances {
			switch x := t.heard[hearer{a.Device.Name, id}]; {
			case x.version == b.Version:
				row.Acknowledged = append(row.Acknowledged, a.Device.Name)
			case x.refused != 0:
				row.Waits = append(row.Waits, fmt.Sprintf("%s (%d)", a.Device.Name, x.refused))
			default:
				row.Waits = append(row.Waits, a.Device.Name)
			}
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b bus.MessageState) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Partition, b.Partition))
	})
	return rows, nil
}

// showSubscriptions lists what is watched by whom.
func (s *Service) showSubscriptions(context.Context) ([]bus.WatchState, error) {
	rows := []bus.WatchState{}
	for _, w := range s.subscriptions.of("") {
		w.mu.Lock()
		x := w.shown
		w.mu.Unlock()
		rows = append(rows, bus.WatchState{Node: s.cfg.Node, Device: w.device, Event: w.pkg.name, Number: w.at.number(), Partition: w.at.line.Partition,
			Since: x.since.UTC(), Expires: x.expires.UTC(), Notifies: x.count, LastNotify: x.notified.UTC(), LastStatus: x.status})
	}
	slices.SortFunc(rows, func(a, b bus.WatchState) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Event, b.Event), cmp.Compare(a.Number, b.Number), a.Since.Compare(b.Since))
	})
	return rows, nil
}
