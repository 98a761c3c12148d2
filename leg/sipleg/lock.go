package sipleg

import (
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/transport"
)

// What the signalling of a leg proves, and what its phone is told about the protection of its call.

// trust says how a flow proved who is at its other end. That its certificate belongs to the device or trunk the leg is for was settled
// when the directory let the request in, or when the connection to the trunk was made.
func trust(f *transport.Flow) call.Trust {
	switch {
	case f == nil || f.Network() != transport.TLS:
		return call.TrustNone
	case f.Peer().Verified():
		return call.TrustMutual
	}
	return call.TrustServer
}

// lockWords are what phones read, by lock state.
var lockWords = [...]string{"Unknown", "NotAuthenticated", "Authenticated", "Encrypted"}

// lockInfo is the header field that sets the phone's lock icon; nil where there is nothing (new) to tell.
//
//	Call-Info: <urn:x-cisco-remotecc:callinfo>; security=Encrypted; orientation=from
//
// The orientation is that of the call as the phone sees it: "to" somebody, or "from" somebody.
func (l *leg) lockInfo(k call.Lock) []dialog.Header {
	if l.node != "" || l.target.Device == "" || k == call.LockUnknown || k == l.lock {
		return nil
	}
	l.lock = k
	way := "to"
	if l.outgoing {
		way = "from"
	}
	return []dialog.Header{{Name: "Call-Info", Value: "<urn:x-cisco-remotecc:callinfo>; security=" + lockWords[k] + "; orientation=" + way}}
}

// promised is the lock state to show a phone that is rung: no better than the way to it.
func promised(k call.Lock, t call.Trust) call.Lock {
	if k != call.LockUnknown && t < call.TrustMutual {
		return call.LockNonSecure
	}
	return k
}

// showLock tells the phone that its call is protected in another way now: with what is about to go anyway, or by UPDATE, never by a
// re-INVITE of its own.
func (l *leg) showLock(c call.ShowLock) {
	if l.node != "" {
		l.said.Lock, l.said.Why, l.said.Via = c.Protection.Lock, c.Protection.Why, c.Via
		l.step(dialog.Refresh{Headers: l.beside(), Gentle: true})
		return
	}
	if h := l.lockInfo(c.Protection.Lock); h != nil {
		l.step(dialog.Refresh{Headers: h, Gentle: true})
	}
}

// focus has our Contact say whether the peer takes part in a conference of ours. RFC 4579, 4: a focus shows itself by isfocus.
func (l *leg) focus(on bool) {
	if on != l.focused {
		l.focused = on
		l.step(dialog.Focus{On: on})
	}
}
