package dialog

import (
	"strconv"
	"strings"

	"github.com/locktone/locktone/wire/sip"
)

// Transfer inside a dialog (RFC 3515), with the implicit subscription to its result.
//
//	transferor                 transferee
//	    |  REFER Refer-To: C       |
//	    |------------------------->|
//	    |  202 Accepted            |
//	    |<-------------------------|
//	    |  NOTIFY 100 (active)     |  INVITE --> C
//	    |<-------------------------|
//	    |  NOTIFY 200 (terminated) |  <-- 200
//	    |<-------------------------|

// ContentSipfrag is the body type of a NOTIFY for the refer event (RFC 3515, 2.4.5).
const ContentSipfrag = "message/sipfrag;version=2.0"

// Sipfrag is the status line that tells how a referred request goes (RFC 3515, 2.4.5), with a reason phrase of its own where why is given.
func Sipfrag(status int, why string) []byte {
	if why == "" {
		why = sip.ReasonPhrase(status)
	}
	return []byte("SIP/2.0 " + strconv.Itoa(status) + " " + strings.NewReplacer("\r", " ", "\n", " ").Replace(why) + "\r\n")
}

// ParseSipfrag reads the status of a message/sipfrag body, false when there is none.
func ParseSipfrag(body []byte) (status int, ok bool) {
	rest, found := strings.CutPrefix(string(body), "SIP/2.0 ")
	if !found || len(rest) < 3 {
		return 0, false
	}
	status, err := strconv.Atoi(rest[:3])
	return status, err == nil && status >= 100 && status < 700
}

// Refer asks the peer to call to. quiet adds "Refer-Sub: false" (RFC 4488, 4): no notifications are wanted.
func Refer(to sip.Address, referredBy sip.Address, quiet bool) Do {
	d := Do{Method: sip.REFER, Headers: []Header{{"Refer-To", to.String()}, {"Referred-By", referredBy.String()}}}
	if quiet {
		d.Headers = append(d.Headers, Header{"Refer-Sub", "false"}, Header{"Supported", "norefersub"})
	}
	return d
}

// Quiet tells whether a REFER wants no notifications (RFC 4488, 4): the 2xx then says "Refer-Sub: false" too.
func Quiet(refer *sip.Message) bool {
	v, _, _ := strings.Cut(refer.Header("Refer-Sub"), ";")
	return strings.EqualFold(strings.TrimSpace(v), "false")
}

// ReferNotify reports on a REFER. seq is the CSeq number of the REFER, which tells several ones in a dialog apart
// (RFC 3515, 2.4.6); why is the reason phrase, empty for that of the status; final ends the subscription.
func ReferNotify(seq uint32, status int, why string, final bool) Do {
	state := "active;expires=60"
	if final {
		state = "terminated;reason=noresource"
	}
	return Do{Method: sip.NOTIFY, ContentType: ContentSipfrag, Body: Sipfrag(status, why), Headers: []Header{
		{"Event", "refer;id=" + strconv.FormatUint(uint64(seq), 10)},
		{"Subscription-State", state},
	}}
}

// MatchesReplaces tells whether a Replaces header names this dialog (RFC 3891, 3): its to-tag is our tag.
func (d *Dialog) MatchesReplaces(r sip.Replaces) bool {
	return r.CallID == d.CallID && r.ToTag == d.Local.Tag() && sameTag(r.FromTag, d.Remote.Tag())
}

// sameTag: RFC 3891, 3: a tag of "0" also matches a dialog without one (RFC 2543 peers).
func sameTag(asked, have string) bool { return asked == have || asked == "0" && have == "" }

// ReplacesFor is the Replaces value with which somebody else takes this dialog's place at the peer: the peer's tag is
// the to-tag there.
func (d *Dialog) ReplacesFor() sip.Replaces {
	return sip.Replaces{CallID: d.CallID, ToTag: d.Remote.Tag(), FromTag: d.Local.Tag()}
}
