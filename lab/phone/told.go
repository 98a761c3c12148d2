package phone

import (
	"context"
	"strings"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// What the network tells a phone about a call, beside the call itself.

// Lock is the state of the lock icon: how the whole call is protected, as the call manager tells its phones.
type Lock uint8

// The states of the lock icon.
const (
	LockUntold Lock = iota // the network said nothing
	LockUnknown
	LockNotAuthenticated
	LockAuthenticated // signalling is proved, media is not encrypted
	LockEncrypted
)

var lockNames = [...]string{"untold", "Unknown", "NotAuthenticated", "Authenticated", "Encrypted"}

// String is the word that travels.
func (l Lock) String() string { return lockNames[min(int(l), len(lockNames)-1)] }

// callInfo is the Call-Info URI whose parameter security is the lock icon.
const callInfo = "urn:x-cisco-remotecc:callinfo"

// lockOf reads `Call-Info: <urn:x-cisco-remotecc:callinfo>; security=Encrypted`.
func lockOf(m *sip.Message) (Lock, bool) {
	for _, line := range m.Headers("Call-Info") {
		uri, params, _ := strings.Cut(line, ">")
		if !strings.EqualFold(strings.TrimPrefix(strings.TrimSpace(uri), "<"), callInfo) {
			continue
		}
		for p := range strings.SplitSeq(params, ";") {
			name, value, _ := strings.Cut(p, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "security") {
				continue
			}
			for i, n := range lockNames {
				if i > 0 && strings.EqualFold(strings.TrimSpace(value), n) {
					return Lock(i), true
				}
			}
			return LockUnknown, true
		}
	}
	return LockUntold, false
}

// asksForAnswer tells whether an INVITE wants to be answered at once: Call-Info with answer-after, or Alert-Info with
// info=alert-autoanswer, as phones in the field take it.
func asksForAnswer(m *sip.Message) bool {
	for _, line := range m.Headers("Call-Info") {
		if strings.Contains(strings.ToLower(line), "answer-after=") {
			return true
		}
	}
	for _, line := range m.Headers("Alert-Info") {
		if strings.Contains(strings.ToLower(line), "info=alert-autoanswer") {
			return true
		}
	}
	return false
}

// told notes what a message of the far end says of the call: who asserts to be there (RFC 3325), and the lock icon.
func (c *Call) told(m *sip.Message) {
	name := c.ses.ReplacesFor()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.name = name
	if m == nil {
		return
	}
	if a, ok := m.Address("P-Asserted-Identity"); ok {
		c.asserted = a
	}
	if a, ok := m.Contact(); ok {
		_, c.focus = a.Params.Get("isfocus")
	}
	if l, ok := lockOf(m); ok && l != c.lock {
		c.lock = l
		c.locks = append(c.locks, l)
	}
}

// Invite is the INVITE of an incoming call, nil for an outgoing one. It is not to be changed.
func (c *Call) Invite() *sip.Message { return c.invite }

// Diversions are the redirections of an incoming call, the latest first (RFC 5806).
func (c *Call) Diversions() []sip.Diversion {
	if c.invite == nil {
		return nil
	}
	return c.invite.Diversions()
}

// History is the way of an incoming call, the first target first (RFC 7044).
func (c *Call) History() []sip.HistoryEntry {
	if c.invite == nil {
		return nil
	}
	return c.invite.HistoryInfo()
}

// AnswerAsked tells whether the incoming call wants to be answered without a person.
func (c *Call) AnswerAsked() bool { return c.invite != nil && asksForAnswer(c.invite) }

// Lock is the lock icon as it is now.
func (c *Call) Lock() Lock {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lock
}

// Focus tells whether the far end says that it is a conference (RFC 4579, 4).
func (c *Call) Focus() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.focus
}

// Locks are the states the lock icon has had, oldest first.
func (c *Call) Locks() []Lock {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Lock(nil), c.locks...)
}

// WaitLock waits until the lock icon shows a state.
func (c *Call) WaitLock(ctx context.Context, l Lock) error {
	return c.wait(ctx, "waiting for the lock icon "+l.String(), func() (bool, error) { return c.lock == l, nil })
}

// Dialog names the call's dialog as the call manager knows it: what another phone writes into Replaces (RFC 3891).
func (c *Call) Dialog() sip.Replaces {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.name
}

// DialOptions are what a call asks for beside a number.
type DialOptions struct {
	Headers  []dialog.Header // added to the INVITE
	Replaces *sip.Replaces   // RFC 3891: the dialog whose place the call takes: one that rings (pickup) or one that is up
}

func (o DialOptions) headers() []dialog.Header {
	h := o.Headers
	if o.Replaces != nil {
		h = append([]dialog.Header{{Name: "Replaces", Value: o.Replaces.String()}, {Name: "Require", Value: "replaces"}}, h...)
	}
	return h
}

// DialWith is Dial with more than a number in the INVITE.
func (p *Phone) DialWith(ctx context.Context, number string, o DialOptions) (*Call, error) {
	c, err := p.newCall(newCallID())
	if err != nil {
		return nil, err
	}
	c.to, c.headers = number, o.headers()
	p.ep.Post(c.callID, order{call: c, what: verbDial, text: number})
	return c, ctx.Err()
}

// Redirect sends an incoming call elsewhere with 302 (RFC 3261, 8.3).
func (c *Call) Redirect(number string) { c.do(order{what: verbReject, num: 302, text: number}) }

// redirection is the Contact of a 302.
func (c *Call) redirection(number string) []dialog.Header {
	if number == "" {
		return nil
	}
	return []dialog.Header{{Name: "Contact", Value: sip.Address{URI: c.p.uri(number)}.String()}}
}
