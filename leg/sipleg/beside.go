package sipleg

import (
	"strings"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// What two call managers of one cluster tell each other beside SIP, in the words of their Dialect: to nobody else, and from nobody else.

// beside is what goes with a message to the peer; nil for everybody but a call manager of this cluster.
func (l *leg) beside() []dialog.Header {
	if l.node == "" || l.profile.Dialect == nil {
		return nil
	}
	return []dialog.Header{l.profile.Dialect.Tell(l.said)}
}

// hearFirst takes what the answer to our INVITE says of the other side.
func (l *leg) hearFirst(m *sip.Message) Said {
	if l.node != "" && l.profile.Dialect != nil {
		l.beyond, _ = l.profile.Dialect.Heard(m)
		l.named = l.connected(m)
	}
	return l.beyond
}

// hearBeside tells the engine what has changed at the other side of a tie: who is there, and how well that is protected.
func (l *leg) hearBeside(m *sip.Message) {
	if m == nil || l.node == "" || l.profile.Dialect == nil || l.state != legUp {
		return
	}
	said, ok := l.profile.Dialect.Heard(m)
	if !ok {
		return
	}
	if id := l.connected(m); id != (call.Identity{}) && (id != l.named || said.Inside != l.beyond.Inside || said.Call != l.beyond.Call) {
		l.named = id
		_ = l.signal(call.Identified{Leg: l.id, Connected: id, Inside: said.Inside, GlobalID: said.Call})
	}
	if said.Lock != call.LockUnknown && (said.Lock != l.beyond.Lock || said.Why != l.beyond.Why || said.Via != l.beyond.Via) {
		_ = l.signal(call.LockShown{Leg: l.id, Lock: said.Lock, Why: said.Why, Via: said.Via})
	}
	l.beyond = said
}

// ownReason is the protocol of Reason header fields that carry the engine's causes whole: Q.850 has no number for all of them, and who was
// answered elsewhere must not be shown a missed call. RFC 3326, 2: protocol is a token, and unknown ones are passed over.
const ownReason = "locktone"

// reasoned is why the peer of a tie ended it.
type reasoned struct {
	cause call.Cause
	text  string
}

// reasons says to the peer of a tie why it ends.
func (l *leg) reasons(c call.Release) []dialog.Header {
	if l.node == "" {
		return nil
	}
	return []dialog.Header{{Name: "Reason", Value: sip.Reason{Protocol: ownReason, Cause: int(c.Cause), Text: c.Why}.String()}}
}

// reasonOf reads that; nothing for everybody else.
func (l *leg) reasonOf(m *sip.Message) (out reasoned) {
	if l.node == "" || m == nil {
		return reasoned{}
	}
	for _, r := range m.Reasons() {
		if strings.EqualFold(r.Protocol, ownReason) && call.Cause(r.Cause).Named() {
			out = reasoned{call.Cause(r.Cause), strings.Clone(r.Text)}
		}
	}
	return out
}
