package sip

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Diversion is one Diversion value, most recent diversion first in the message. RFC 5806, 5.
type Diversion struct {
	Address Address
	Reason  string // "unknown", "user-busy", "no-answer", "unconditional", "deflection", ...
	Counter int    // 1 when absent
	Limit   int    // 0 when absent
	Privacy string // "full", "name", "uri", "off" or ""
	Screen  string // "yes", "no" or ""
}

// Diversions are the message's Diversion values.
func (m *Message) Diversions() []Diversion {
	var all []Diversion
	for _, a := range m.Addresses("Diversion") {
		d := Diversion{Address: a, Counter: 1}
		d.Reason, _ = a.Params.Get("reason")
		d.Privacy, _ = a.Params.Get("privacy")
		d.Screen, _ = a.Params.Get("screen")
		if n, ok := a.Params.Get("counter"); ok {
			d.Counter = max(smallNumber(n), 1)
		}
		if n, ok := a.Params.Get("limit"); ok {
			d.Limit = smallNumber(n)
		}
		d.Address.Params = nil
		all = append(all, d)
	}
	return all
}

func smallNumber(s string) int {
	n, _ := parseDigits(s, math.MaxInt32)
	return int(n)
}

// String is the header field value.
func (d Diversion) String() string {
	a := d.Address
	for _, p := range []Param{{"reason", d.Reason}, {"privacy", d.Privacy}, {"screen", d.Screen}} {
		if p.Value != "" {
			a.Params = a.Params.With(p.Name, p.Value)
		}
	}
	if d.Counter > 1 {
		a.Params = a.Params.With("counter", strconv.Itoa(d.Counter))
	}
	if d.Limit > 0 {
		a.Params = a.Params.With("limit", strconv.Itoa(d.Limit))
	}
	return a.String()
}

// HistoryEntry is one History-Info value. RFC 7044, 5.
type HistoryEntry struct {
	Address Address
	Index   string // "1.1"
	Reason  Reason // from the Reason header inside the URI, zero when absent
	Privacy string // from the Privacy header inside the URI
	RC      string // index of the entry whose target was replaced, by "rc", "mp" or "np"
	Kind    string // "rc", "mp", "np" or ""
}

// HistoryInfo are the message's History-Info values in order.
func (m *Message) HistoryInfo() []HistoryEntry {
	var all []HistoryEntry
	for _, a := range m.Addresses("History-Info") {
		e := HistoryEntry{Address: a}
		e.Index, _ = a.Params.Get("index")
		for _, kind := range []string{"rc", "mp", "np"} {
			if index, ok := a.Params.Get(kind); ok {
				e.Kind, e.RC = kind, index
			}
		}
		if text, err := Unescape(uriHeader(a.URI, "Reason")); err == nil && text != "" {
			e.Reason, _ = parseReason(text)
		}
		e.Privacy, _ = Unescape(uriHeader(a.URI, "Privacy"))
		all = append(all, e)
	}
	return all
}

// String is the header field value.
func (e HistoryEntry) String() string {
	a := e.Address
	for _, h := range []Param{{"Reason", e.Reason.String()}, {"Privacy", e.Privacy}} {
		if h.Value != "" {
			a.URI.Headers = a.URI.Headers.With(h.Name, EscapeHeader(h.Value))
		}
	}
	if e.Index != "" {
		a.Params = a.Params.With("index", e.Index)
	}
	if e.Kind != "" {
		a.Params = a.Params.With(e.Kind, e.RC)
	}
	return a.String()
}

func uriHeader(u URI, name string) string {
	text, _ := u.Headers.Get(name)
	return text
}

// Binding is what a Contact of a registration says about itself.
type Binding struct {
	Expires  time.Duration // -1 when absent
	Q        int           // thousandths, 1000 when absent. RFC 3261, 20.10
	Instance string        // +sip.instance without angle brackets: "urn:uuid:..."; RFC 5626, 4.1
	RegID    int           // reg-id, 0 when absent. RFC 5626, 4.2
	Outbound bool          // the URI carries ob. RFC 5626, 4.3
}

// Binding reads the registration parameters of a Contact. RFC 3261, 10.2.1.1: an expires that cannot be read counts as 3600.
func (a Address) Binding() Binding {
	b := Binding{Expires: -1, Q: 1000, Outbound: a.URI.Params.Has("ob")}
	if text, ok := a.Params.Get("expires"); ok {
		if b.Expires, ok = seconds(text); !ok {
			b.Expires = 3600 * time.Second
		}
	}
	if text, ok := a.Params.Get("q"); ok {
		if q, ok := parseQ(text); ok {
			b.Q = q
		}
	}
	instance, _ := a.Params.Get("+sip.instance")
	b.Instance = strings.TrimSuffix(strings.TrimPrefix(instance, "<"), ">")
	if text, ok := a.Params.Get("reg-id"); ok {
		b.RegID = smallNumber(text)
	}
	return b
}

// parseQ reads qvalue in thousandths: 0 to 1 with up to three decimals. RFC 3261, 25.1.
func parseQ(s string) (int, bool) {
	whole, frac, dot := strings.Cut(s, ".")
	if whole != "0" && whole != "1" || len(frac) > 3 || dot && frac != "" && !allIn(frac, cdigit) {
		return 0, false
	}
	n, _ := strconv.Atoi(whole + (frac + "000")[:3])
	return n, n <= 1000
}

// Privacy are the priv-values of the Privacy header field: "id", "header", "session", "user", "none", "critical".
// RFC 3323, 4.2: separated by ";" (some senders write ",").
func (m *Message) Privacy() []string {
	var all []string
	for i := range m.fields {
		if m.fields[i].id != idPrivacy {
			continue
		}
		for _, s := range strings.FieldsFunc(m.fields[i].Value, func(r rune) bool { return r == ';' || r == ',' }) {
			if s = strings.TrimSpace(s); s != "" {
				all = append(all, strings.ToLower(s))
			}
		}
	}
	return all
}

// HidesIdentity says whether the Privacy header asks that the caller be withheld from the called user. RFC 3325, 9.3.
func (m *Message) HidesIdentity() bool {
	for _, p := range m.Privacy() {
		if p == "id" || p == "user" || p == "header" {
			return true
		}
	}
	return false
}

// AssertedIdentities are the P-Asserted-Identity values: at most one sip or sips URI and one tel URI. RFC 3325, 9.1.
// They mean something only from a peer that is trusted to assert; that is the caller's to know.
func (m *Message) AssertedIdentities() []Address { return m.Addresses("P-Asserted-Identity") }

// PreferredIdentities are the P-Preferred-Identity values. RFC 3325, 9.2.
func (m *Message) PreferredIdentities() []Address { return m.Addresses("P-Preferred-Identity") }

// ReferredBy is the message's Referred-By. RFC 3892, 3.
func (m *Message) ReferredBy() (Address, bool) { return m.Address("Referred-By") }

// Info is one value of Alert-Info, Call-Info or Error-Info. RFC 3261, 20.4, 20.9 and 20.18.
type Info struct {
	URI    URI
	Params Params // purpose=icon, info=alert-autoanswer, ...
}

// Infos reads Alert-Info, Call-Info or Error-Info.
func (m *Message) Infos(name string) []Info {
	var all []Info
	for _, a := range m.Addresses(name) {
		all = append(all, Info{a.URI, a.Params})
	}
	return all
}
