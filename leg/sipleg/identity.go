package sipleg

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// Who is calling, who is connected, which way the call came, and the id that follows it.

// calling is the caller of an INVITE: the asserted identity where the peer is trusted (RFC 3325), else From.
func (l *leg) calling(m *sip.Message) call.Identity {
	a := m.From()
	if l.profile.TrustAsserts {
		if pai, ok := m.Address("P-Asserted-Identity"); ok {
			a = pai
		}
	}
	id := l.identity(a)
	id.Restricted = withheld(m)
	return id
}

// connected is the identity a response brings, zero where the peer is not trusted to say.
func (l *leg) connected(m *sip.Message) call.Identity {
	if !l.profile.TrustAsserts {
		return call.Identity{}
	}
	a, ok := m.Address("P-Asserted-Identity")
	if !ok {
		return call.Identity{}
	}
	id := l.identity(a)
	id.Restricted = l.node != "" && withheld(m) // between our own call managers it is what the engine says
	return id
}

// withheld says whether the sender of a message asks that it is not shown who it is (RFC 3323, 4.2; RFC 3325, 9.3).
func withheld(m *sip.Message) bool {
	return slices.ContainsFunc(m.Privacy(), func(p string) bool { return p == "id" || p == "user" || p == "header" })
}

func (l *leg) identity(a sip.Address) call.Identity {
	id := call.Identity{Number: cloneString(number(a.URI)), Display: cloneString(a.Display)}
	if !strings.EqualFold(a.URI.Host, l.drv.cfg.Domain) {
		id.Domain = cloneString(a.URI.Host)
	}
	return id
}

// address is the SIP address of an identity of ours or of somebody else's.
func (l *leg) address(id call.Identity) sip.Address {
	host := id.Domain
	if host == "" {
		host = l.domain
	}
	if host == "" {
		host = l.drv.cfg.Domain
	}
	return sip.Address{Display: id.Display, URI: sip.URI{Scheme: "sip", User: sip.EscapeUser(id.Number), Host: host}}
}

// from is the From of our INVITE. RFC 3323, 4.1.1.3: a restricted caller is anonymous.
func (l *leg) from(w Way) sip.Address {
	id := l.ring.Calling
	if id.Restricted {
		return sip.Address{Display: "Anonymous", URI: sip.URI{Scheme: "sip", User: "anonymous", Host: "anonymous.invalid"}}
	}
	id.Domain = "" // RFC 3261, 8.1.1.3: From is the address the peer can call back, and that is ours
	a := l.address(id)
	if w.URI.IsSecure() {
		a.URI.Scheme = "sips"
	}
	return a
}

// toAddress is the To of our INVITE.
func (l *leg) toAddress(w Way) sip.Address {
	user := l.ring.Target.Called
	if user == "" {
		user = l.ring.Target.Line.Number
	}
	u := sip.URI{Scheme: w.URI.Scheme, User: sip.EscapeUser(user), Host: w.URI.Host}
	if l.ring.Target.Device != "" && l.drv.cfg.Domain != "" {
		u.Host = l.drv.cfg.Domain
	}
	return sip.Address{URI: u}
}

// inviteHeaders are what our INVITE says beside the dialog.
func (l *leg) inviteHeaders() []dialog.Header {
	r := l.ring
	headers := append(l.asserts(r.Calling), l.redirected()...)
	if l.profile.Dialect != nil && l.node != "" {
		headers = append(headers, l.profile.Dialect.Ring(*r))
	}
	return append(headers, l.alerting()...)
}

// asserts is the asserted identity for a peer (RFC 3325, 9.1), nil where its profile wants none.
func (l *leg) asserts(id call.Identity) []dialog.Header {
	if !l.profile.SendAsserts || id.Number == "" && id.Display == "" || id.Restricted && !l.profile.TrustAsserts {
		return nil
	}
	h := []dialog.Header{{Name: "P-Asserted-Identity", Value: l.address(id).String()}}
	if id.Restricted {
		h = append(h, dialog.Header{Name: "Privacy", Value: "id"})
	}
	return h
}

// noSession is the null UUID of RFC 7989, 6.
const noSession = "00000000000000000000000000000000"

// noteSession takes the peer's UUID of RFC 7989, and makes the call's when the peer has none.
func (l *leg) noteSession(m *sip.Message) {
	id, _, _ := strings.Cut(m.Header("Session-ID"), ";")
	if id = strings.TrimSpace(id); isSession(id) && id != noSession && id != l.session {
		l.session = cloneString(id)
	}
	if l.globalID != "" {
		return
	}
	if l.globalID = l.session; l.globalID == "" || l.profile != nil && l.profile.OwnSession {
		l.globalID = l.drv.newSession()
	}
}

// isSession says whether a text is a UUID as RFC 7989, 5 writes them: 32 hexadecimal digits in lower case. What a peer sends is what records of
// a call are found by, so nothing else is taken.
func isSession(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

func (d *Driver) newSession() string {
	var b [16]byte
	for i := range 2 {
		r := d.cfg.Random()
		for j := range 8 {
			b[8*i+j] = byte(r >> (8 * j))
		}
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // RFC 7989, 4.1: a UUID of version 4 or 5
	return hex.EncodeToString(b[:])
}

// stamp puts the Session-ID on a message of ours (RFC 7989, 6 and 7).
func (l *leg) stamp(m *sip.Message) {
	if l.globalID == "" {
		return
	}
	remote := l.session
	if remote == "" {
		remote = noSession
	}
	m.Set("Session-ID", l.globalID+";remote="+remote)
}

// number is the user part of a URI as it was dialled; a user part with broken escapes stays as it is.
func number(u sip.URI) string {
	user, err := sip.Unescape(u.User)
	if err != nil {
		return u.User
	}
	return user
}

func cloneString(s string) string { return strings.Clone(s) }

func itoa(n int) string { return strconv.Itoa(n) }
