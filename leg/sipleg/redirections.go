package sipleg

import (
	"slices"
	"strconv"
	"strings"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// Which way a call came (Diversion, RFC 5806; History-Info, RFC 7044), and how a phone is to ring (Alert-Info, Call-Info).

// A RedirectingParty says which of several diversions a peer is told.
type RedirectingParty uint8

// The parties.
const (
	AllRedirecting RedirectingParty = iota
	FirstRedirecting
	LastRedirecting
)

// Redirections say how a peer is told which way a call came. The zero value: by Diversion, all of them, and what the peer
// says itself is not believed.
type Redirections struct {
	NoDiversion bool
	History     bool // by History-Info
	Party       RedirectingParty
	Trusted     bool // what the peer says is believed
}

// chosen are the diversions the peer is told, oldest first.
func (r Redirections) chosen(list []call.Redirection) []call.Redirection {
	switch {
	case len(list) == 0 || r.Party == AllRedirecting:
		return list
	case r.Party == FirstRedirecting:
		return list[:1]
	}
	return list[len(list)-1:]
}

// redirected are the header fields that tell the peer which way the call came.
func (l *leg) redirected() []dialog.Header {
	var out []dialog.Header
	how := l.profile.Redirections
	list := how.chosen(known(l.ring.Redirecting))
	for i := len(list) - 1; i >= 0 && !how.NoDiversion; i-- { // RFC 5806, 5: the latest diversion is the topmost
		d := sip.Diversion{Address: l.diverter(list[i].From), Reason: list[i].Reason.String(), Counter: max(list[i].Count, 1)}
		if list[i].From.Restricted {
			d.Privacy = "full"
		}
		out = append(out, dialog.Header{Name: "Diversion", Value: d.String()})
	}
	if how.History && len(list) > 0 {
		out = append(out, l.historyOf(list)...)
	}
	return out
}

// known are the diversions that say who sent the call on. Those of a peer that was not believed only count.
func known(list []call.Redirection) []call.Redirection {
	nameless := func(r call.Redirection) bool { return r.From.Number == "" }
	if !slices.ContainsFunc(list, nameless) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), nameless)
}

// diverter is the address of who sent a call on; one that is withheld is named to peers that are trusted with it only (RFC 5806,
// 7; RFC 7044, 10.1.2).
func (l *leg) diverter(id call.Identity) sip.Address {
	if id.Restricted && !l.profile.TrustAsserts {
		return sip.Address{Display: "Anonymous", URI: sip.URI{Scheme: "sip", User: "anonymous", Host: "anonymous.invalid"}}
	}
	return l.address(id)
}

// historyOf are the entries of History-Info: who sent the call on, oldest first, each with the reason why it did not stay there, and
// last where the call goes now. RFC 7044, 10.3: each entry has an index below that of the one before, and mp says which
// one it was mapped from to another user.
func (l *leg) historyOf(list []call.Redirection) []dialog.Header {
	var out []dialog.Header
	index := ""
	entry := func(a sip.Address, status int, restricted bool) {
		e := sip.HistoryEntry{Address: a, Index: "1"}
		if index != "" {
			e.Index, e.Kind, e.RC = index+".1", "mp", index
		}
		if status > 0 {
			e.Reason = sip.Reason{Protocol: "SIP", Cause: status}
		}
		if restricted {
			e.Privacy = "history"
		}
		index = e.Index
		out = append(out, dialog.Header{Name: "History-Info", Value: e.String()})
	}
	for _, r := range list {
		entry(l.diverter(r.From), historyStatus(r.Reason), r.From.Restricted)
	}
	entry(l.address(call.Identity{Number: l.ring.Target.Called}), 0, false)
	return out
}

// historyStatuses: RFC 4458, 3.1, the status codes that stand for reasons to send a call on.
var historyStatuses = [...]struct {
	status int
	reason call.RedirectReason
}{{302, call.RedirectAlways}, {486, call.RedirectBusy}, {408, call.RedirectNoAnswer}, {480, call.RedirectNoAnswer}, {503, call.RedirectUnavailable},
	{487, call.RedirectDeflected}, {404, call.RedirectUnknown}}

func historyStatus(r call.RedirectReason) int {
	for _, h := range historyStatuses {
		if h.reason == r {
			return h.status
		}
	}
	return 0
}

func historyReason(status int) call.RedirectReason {
	for _, h := range historyStatuses {
		if h.status == status {
			return h.reason
		}
	}
	return call.RedirectUnknown
}

// redirections reads the diversions of an INVITE, oldest first (RFC 5806); History-Info where there is no Diversion
// (RFC 7044). From a peer that is not trusted with it they count for loops (how many there were) and name nobody: a mailbox
// system opens the mailbox that is named there.
func (l *leg) redirections(m *sip.Message) []call.Redirection {
	list := diversions(m)
	if list == nil {
		list = history(m)
	}
	if l.profile.Redirections.Trusted || len(list) == 0 {
		return list
	}
	count := 0
	for _, r := range list {
		count += max(r.Count, 1)
	}
	return []call.Redirection{{From: call.Identity{Restricted: true}, Count: count}}
}

func diversions(m *sip.Message) []call.Redirection {
	var out []call.Redirection
	list := m.Diversions()
	for i := len(list) - 1; i >= 0; i-- {
		d := list[i]
		r := call.Redirection{From: diverted(d.Address, d.Privacy == "full" || d.Privacy == "uri")}
		_ = r.Reason.UnmarshalText([]byte(d.Reason)) // an unknown word is an unknown reason
		if d.Counter > 1 {
			r.Count = d.Counter
		}
		out = append(out, r)
	}
	return out
}

func diverted(a sip.Address, restricted bool) call.Identity {
	return call.Identity{Number: cloneString(number(a.URI)), Display: cloneString(a.Display), Restricted: restricted}
}

func history(m *sip.Message) []call.Redirection {
	var out []call.Redirection
	entries := m.HistoryInfo()
	for i := range entries {
		if i == len(entries)-1 { // the last entry is where the call goes now
			break
		}
		e := entries[i]
		cause := e.Reason.Cause // RFC 7044, 5: why the call did not stay with this entry
		if cause == 0 {         // RFC 4458, 2: or the next target says so
			text, _ := entries[i+1].Address.URI.Params.Get("cause")
			cause, _ = strconv.Atoi(text)
		}
		out = append(out, call.Redirection{Reason: historyReason(cause), From: diverted(e.Address, strings.Contains(e.Privacy, "history"))})
	}
	return out
}

// alerting says how a phone is to ring. It answers by itself where one of these is understood: Call-Info with answer-after (baresip
// and many desk phones), Alert-Info with info=alert-autoanswer (the others). RFC 7462, 8.2: quiet is call waiting; and the word silent
// for phones that choose their ringer by info=; what a phone does with it is its own setting.
func (l *leg) alerting() []dialog.Header {
	r, at := l.ring, l.drv.cfg.Domain
	var out []dialog.Header
	if r.AutoAnswer {
		out = append(out, dialog.Header{Name: "Call-Info", Value: "<sip:" + at + ">;answer-after=0"},
			dialog.Header{Name: "Alert-Info", Value: "<http://" + at + ">;info=alert-autoanswer;delay=0"})
	}
	if r.Quiet {
		out = append(out, dialog.Header{Name: "Alert-Info", Value: "<urn:alert:service:call-waiting>"},
			dialog.Header{Name: "Alert-Info", Value: "<http://" + at + ">;info=silent"})
	}
	return out
}
