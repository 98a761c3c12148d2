package callmanager

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// bindings is the registrar's table: which device can be reached where. It is the only owner of registrations, guarded by
// its lock; everything it returns is a copy. Times are arguments.
type bindings struct {
	mu       sync.Mutex
	byDevice map[string][]*binding // in the order they were made
	// byFlow are the devices that have had a binding on a connection, so that the end of one does not look through all. What has
	// moved on meanwhile is harmless.
	byFlow map[transport.FlowID]map[string]struct{}
	// soon is not later than when the earliest binding runs out; zero: there was none.
	soon time.Time
}

// A binding is one address of record of a device bound to one contact. RFC 3261, 10.3.
type binding struct {
	device  string
	aor     string // user part of the address of record: a line's number or the device's name
	contact sip.Address
	flow    *transport.Flow
	remote  netip.AddrPort
	callID  string
	cseq    uint32
	since   time.Time
	expires time.Time
	agent   string
}

// maxContacts bounds the contacts of one address of record: a phone has one, a phone that changed its port leaves one behind.
const maxContacts = 4

// lifetimes are the registrar's bounds for one device.
type lifetimes struct{ least, most time.Duration }

// grant is the lifetime given to a contact that asked for one (below zero: for none in particular). RFC 3261, 10.3 step 7.
func (l lifetimes) grant(asked time.Duration) (time.Duration, *refusal) {
	switch {
	case asked < 0:
		return l.most, nil
	case asked == 0:
		return 0, nil
	case asked < l.least:
		return 0, &refusal{status: 423, header: []sip.Field{{Name: "Min-Expires", Value: strconv.Itoa(int(l.least / time.Second))}}}
	default:
		return min(asked, l.most), nil
	}
}

// registered tells what a REGISTER did: whether the device became reachable or unreachable by it.
type registered struct {
	bindings []binding         // all of this address of record, for the 200
	left     []*transport.Flow // connections on which the same phone was reached before, and nobody is any more
	was, is  bool
	anew     bool // a contact is new here, or is reached by another connection: the phone may have started over
}

// register applies a REGISTER from the device for one address of record, all contacts or none. RFC 3261, 10.3 steps 6 to 8.
func (t *bindings) register(now time.Time, device, aor string, m *sip.Message, flow *transport.Flow, limits lifetimes) (registered, *refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, old := t.live(now, device), t.byDevice[device]
	next, refused := t.applied(now, device, aor, m, flow, limits)
	if refused != nil {
		return registered{}, refused
	}
	t.set(device, next)
	t.note(device, flow.ID(), next)
	out := registered{was: before > 0, is: t.live(now, device) > 0, left: left(old, next, flow)}
	for _, b := range next {
		if b.aor == aor {
			out.bindings = append(out.bindings, *b)
			out.anew = out.anew || !slices.ContainsFunc(old, b.renews)
		}
	}
	return out, nil
}

// renews says whether a binding is an older one refreshed: same phone, same connection, no restart between (RFC 3261, 10.2: a user
// agent uses one Call-ID for all its registrations during a boot cycle).
func (b *binding) renews(o *binding) bool {
	return b == o || o.aor == b.aor && o.flow == b.flow && o.callID == b.callID && sameContact(o.contact, b.contact)
}

// left lists the connections that a phone has replaced by this one. RFC 5626, 6: the same instance and reg-id on another flow
// is the same phone, which has lost the first: it may look open from here for long.
func left(old, next []*binding, flow *transport.Flow) (out []*transport.Flow) {
	for _, o := range old {
		f := o.flow
		replaced := slices.ContainsFunc(next, func(n *binding) bool {
			return n.flow == flow && n.aor == o.aor && n.contact.Binding().Instance != "" && sameContact(n.contact, o.contact)
		})
		used := slices.ContainsFunc(next, func(n *binding) bool { return n.flow == f })
		if replaced && !used && f != flow && f.Network() != transport.UDP && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

// applied is the device's table after the request, without changing the present one.
func (t *bindings) applied(now time.Time, device, aor string, m *sip.Message, flow *transport.Flow, limits lifetimes) ([]*binding, *refusal) {
	next := slices.DeleteFunc(slices.Clone(t.byDevice[device]), func(b *binding) bool { return !b.expires.After(now) })
	contacts := m.Contacts()
	if len(contacts) == 0 { // a query
		return next, nil
	}
	expires := time.Duration(-1)
	if seconds, given := m.Expires(); given {
		expires = time.Duration(seconds) * time.Second
	}
	if contacts[0].IsWildcard() {
		if len(contacts) > 1 || expires != 0 {
			return nil, &refusal{status: 400, why: "Contact: * removes every binding and needs Expires: 0 and no other contact"}
		}
		for _, b := range next {
			if b.aor == aor && !newer(b, m) {
				return nil, outOfOrder()
			}
		}
		return slices.DeleteFunc(next, func(b *binding) bool { return b.aor == aor }), nil
	}
	for _, c := range contacts {
		var refused *refusal
		if next, refused = bind(next, now, device, aor, c, expires, m, flow, limits); refused != nil {
			return nil, refused
		}
	}
	return next, nil
}

// bind adds, refreshes or removes one contact. The entries of next are shared with the table in force: a change makes a new one.
func bind(next []*binding, now time.Time, device, aor string, c sip.Address, expires time.Duration, m *sip.Message, flow *transport.Flow, limits lifetimes) ([]*binding, *refusal) {
	if !c.URI.IsSIP() || c.URI.Host == "" {
		return nil, &refusal{status: 400, why: fmt.Sprintf("Contact %s is no SIP address", c.URI)}
	}
	asked := expires
	if own := c.Binding().Expires; own >= 0 {
		asked = own
	}
	lifetime, refused := limits.grant(asked)
	if refused != nil {
		return nil, refused
	}
	at := slices.IndexFunc(next, func(b *binding) bool { return b.aor == aor && sameContact(b.contact, c) })
	since := now
	if at >= 0 {
		if !newer(next[at], m) {
			return nil, outOfOrder()
		}
		since = next[at].since
		next = slices.Delete(next, at, at+1)
	}
	if lifetime == 0 {
		return next, nil
	}
	next = append(next, &binding{device: device, aor: aor, contact: c, flow: flow, remote: flow.Remote(), callID: m.CallID(), cseq: m.CSeq().Seq,
		since: since, expires: now.Add(lifetime), agent: m.Header("User-Agent")})
	for count(next, aor) > maxContacts { // the oldest is the one the phone has forgotten
		at := slices.IndexFunc(next, func(b *binding) bool { return b.aor == aor })
		next = slices.Delete(next, at, at+1)
	}
	return next, nil
}

func count(list []*binding, aor string) (n int) {
	for _, b := range list {
		if b.aor == aor {
			n++
		}
	}
	return n
}

// sameContact says whether two contacts are the same place: the same instance (RFC 5626, 6), else the same URI.
func sameContact(a, b sip.Address) bool {
	ab, bb := a.Binding(), b.Binding()
	if ab.Instance != "" && ab.Instance == bb.Instance {
		return ab.RegID == bb.RegID
	}
	return a.URI.Equal(b.URI)
}

// newer says whether the request comes after the one that made the binding. RFC 3261, 10.3 step 7: another Call-ID, or a higher CSeq.
func newer(b *binding, m *sip.Message) bool {
	return b.callID != m.CallID() || m.CSeq().Seq > b.cseq
}

func outOfOrder() *refusal {
	return &refusal{status: 500, why: "this REGISTER is older than the one that made the binding (same Call-ID, lower CSeq)"}
}

func (t *bindings) set(device string, list []*binding) {
	if t.byDevice == nil {
		t.byDevice = map[string][]*binding{}
	}
	if len(list) == 0 {
		delete(t.byDevice, device)
		return
	}
	t.byDevice[device] = list
}

// note keeps what is found by connection and by time up with a device's table. The lock is held.
func (t *bindings) note(device string, flow transport.FlowID, list []*binding) {
	for _, b := range list {
		if t.soon.IsZero() || b.expires.Before(t.soon) {
			t.soon = b.expires
		}
	}
	if t.byFlow == nil {
		t.byFlow = map[transport.FlowID]map[string]struct{}{}
	}
	if t.byFlow[flow] == nil {
		t.byFlow[flow] = map[string]struct{}{}
	}
	t.byFlow[flow][device] = struct{}{}
}

// live counts what is in force. The lock is held.
func (t *bindings) live(now time.Time, device string) (n int) {
	for _, b := range t.byDevice[device] {
		if b.expires.After(now) && b.reachable() {
			n++
		}
	}
	return n
}

// reachable says whether requests can be sent to the binding: a connection that the phone opened must still be there.
func (b *binding) reachable() bool {
	return b.flow.Network() == transport.UDP || b.flow.Alive()
}

// drop forgets bindings that match, and returns the devices that became unreachable by it.
func (t *bindings) drop(now time.Time, match func(*binding) bool) (gone []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for device := range t.byDevice {
		if t.dropOf(now, device, match) {
			gone = append(gone, device)
		}
	}
	slices.Sort(gone)
	return gone
}

// dropOf is drop for one device. The lock is held.
func (t *bindings) dropOf(now time.Time, device string, match func(*binding) bool) (gone bool) {
	list := t.byDevice[device]
	kept := slices.DeleteFunc(slices.Clone(list), match)
	if len(kept) == len(list) {
		return false
	}
	t.set(device, kept)
	return t.live(now, device) == 0
}

// flowClosed forgets what was reachable over a connection that is gone.
func (t *bindings) flowClosed(now time.Time, id transport.FlowID) (gone []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for device := range t.byFlow[id] {
		if t.dropOf(now, device, func(b *binding) bool { return b.flow.ID() == id }) {
			gone = append(gone, device)
		}
	}
	delete(t.byFlow, id)
	slices.Sort(gone)
	return gone
}

// expire forgets what has run out.
func (t *bindings) expire(now time.Time) []string {
	return t.drop(now, func(b *binding) bool { return !b.expires.After(now) })
}

// reach returns where to send a call for the line number on the device: the newest binding of that line, else of the
// device's name, else any.
func (t *bindings) reach(now time.Time, device, number string) (binding, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var best *binding
	rank := func(b *binding) int {
		switch b.aor {
		case number:
			return 2
		case device:
			return 1
		}
		return 0
	}
	for _, b := range t.byDevice[device] {
		if b.expires.After(now) && b.reachable() && (best == nil || rank(b) >= rank(best)) {
			best = b
		}
	}
	if best == nil {
		return binding{}, false
	}
	return *best, true
}

// all returns every binding, by device.
func (t *bindings) all() []binding {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []binding
	for _, list := range t.byDevice {
		for _, b := range list {
			out = append(out, *b)
		}
	}
	slices.SortStableFunc(out, func(a, b binding) int { return cmp.Or(cmp.Compare(a.device, b.device), cmp.Compare(a.aor, b.aor)) })
	return out
}

// soonest is not later than when the earliest binding runs out, without looking through all; zero when there was none.
func (t *bindings) soonest() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.soon
}

// next is when the earliest binding runs out; zero when there is none.
func (t *bindings) next() (first time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() { t.soon = first }()
	for _, list := range t.byDevice {
		for _, b := range list {
			if first.IsZero() || b.expires.Before(first) {
				first = b.expires
			}
		}
	}
	return first
}

// from says whether the device is registered from that address.
func (t *bindings) from(device string, addr netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.byDevice[device], func(b *binding) bool { return b.remote.Addr() == addr })
}
