package config

import (
	"cmp"
	"strconv"
	"time"
)

// A DialPeer is a neighbour of the border element, and which calls come in by it and go out by it. Which peer is chosen and in which
// order peers are hunted: docs/border.md.
//
// In a pattern 0-9, A to D, * and # stand for themselves, a dot for any one digit, [2-9] and [^2-9] for one of a set, parentheses make a
// group; %, ? and + repeat the last one (zero times or more, zero times or once, once or more); + in front is the plus sign of E.164; T at
// the end is any further digits; $ is the end. Without $ a pattern matches numbers that go on after it, as in the field.
type DialPeer struct {
	// Tag of the peer, 1 to 2147483647.
	Tag int `yaml:"tag" json:"tag"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Take no calls and send none.
	Shutdown bool `yaml:"shutdown" json:"shutdown,omitempty"`

	// Calls that come in by this peer, by a URI of the request: of the topmost Via, the Request-URI, To, From. First in this order.
	IncomingURI IncomingURI `yaml:"incomingURI" json:"incomingURI,omitzero"`
	// Calls that come in by this peer, by the called number: patterns. "." is every number.
	IncomingCalledNumbers []string `yaml:"incomingCalledNumbers" json:"incomingCalledNumbers,omitempty"`
	// Calls that come in by this peer, by the calling number: patterns.
	AnswerAddresses []string `yaml:"answerAddresses" json:"answerAddresses,omitempty"`
	// Tags of the peers that calls go out by which came in by this one, in the order of their preference (a dial-peer group). They alone
	// decide then.
	DestinationPeers []DialPeerChoice `yaml:"destinationPeers" json:"destinationPeers,omitempty"`

	// Calls that go out by this peer, by the called number: patterns. Inbound they are compared with the calling number, last of all.
	DestinationPatterns []string `yaml:"destinationPatterns" json:"destinationPatterns,omitempty"`
	// Calls that go out by this peer, by the Request-URI. They come before patterns.
	DestinationURIs []URIMatch `yaml:"destinationURIs" json:"destinationURIs,omitempty"`
	// Where calls are sent. A peer with targets is the inbound peer only of calls from them; one without is for every sender that the
	// border knows.
	SessionTargets []SessionTarget `yaml:"sessionTargets" json:"sessionTargets,omitempty"`
	// Order among peers that match equally well, 0 (first) to 10.
	Preference int `yaml:"preference" json:"preference,omitempty"`
	// End the hunt with this peer.
	Huntstop bool `yaml:"huntstop" json:"huntstop,omitempty"`
	// Let calls leave to where they came from. Without it a carrier's call never goes back to it at this site's cost.
	Hairpin bool `yaml:"hairpin" json:"hairpin,omitempty"`

	// How the peer is reached and comes. Default: tls. Anything else is listed by `show exceptions`.
	Transport Transport `yaml:"transport" json:"transport,omitempty"`
	// Trustpoint of the peer. Left out: the one with the closest remote address, else the default one.
	Trustpoint string `yaml:"trustpoint" json:"trustpoint,omitempty"`
	// X.509 subject common names or subject alternative names, one of which the peer's certificate must carry. Left out: those of the
	// trustpoint, else the addresses and host names of the targets.
	AcceptedSubjects []string `yaml:"acceptedSubjects" json:"acceptedSubjects,omitempty"`
	// Media of the peer. Default: SRTP required with TLS, never without. Fallback: SRTP where both can, else RTP. Fallback and never are
	// listed by `show exceptions`. The border converts between peers: media goes through it always.
	SRTP PeerSRTP `yaml:"srtp" json:"srtp,omitempty"`
	// Codec list of the peer, in the order of preference. Left out: all.
	CodecList string `yaml:"codecList" json:"codecList,omitempty"`
	// How the peer is told digits where it has no telephone events (RFC 4733), which come first always. SIP-info: by INFO. In-band:
	// as tones alone, for a peer that does not know INFO.
	DTMFRelay DTMFRelay `yaml:"dtmfRelay" json:"dtmfRelay,omitempty"`
	// OPTIONS to the peer's targets. While none answers the peer is busied out: calls go to the next one.
	OptionsKeepalive OptionsPing `yaml:"optionsKeepalive" json:"optionsKeepalive,omitzero"`
	// What becomes of REFER from the peer. Refuse: 403. Consume: the border makes the new call by its dial-peers and keeps both.
	Refer ReferHandling `yaml:"refer" json:"refer,omitempty"`
	// Send an SDP offer in every INVITE to the peer, also when the caller sent none.
	EarlyOffer bool `yaml:"earlyOffer" json:"earlyOffer,omitempty"`
	// Reliable provisional responses (RFC 3262) to the peer.
	Rel1xx Rel1xx `yaml:"rel1xx" json:"rel1xx,omitempty"`
	// Believe the peer's P-Asserted-Identity, and send it ours (RFC 3325).
	AssertedIdentity bool `yaml:"assertedIdentity" json:"assertedIdentity,omitempty"`
	// Session timer with the peer. Left out: that of the border's SIP user agent.
	SessionTimer SessionTimer `yaml:"sessionTimer" json:"sessionTimer,omitzero"`

	// Most calls of the peer at the same time, in both directions together. Default: no limit.
	MaxConnections int `yaml:"maxConnections" json:"maxConnections,omitempty"`
	// Most new calls from the peer in a second, 1 to 10000. Default: no limit.
	CallsPerSecond int `yaml:"callsPerSecond" json:"callsPerSecond,omitempty"`
	// Number translation of calls that come in by this peer.
	IncomingTranslation string `yaml:"incomingTranslation" json:"incomingTranslation,omitempty"`
	// Number translation of calls that go out by this peer.
	OutgoingTranslation string `yaml:"outgoingTranslation" json:"outgoingTranslation,omitempty"`
	// Header rules of messages from the peer, before anything else looks at them.
	IncomingHeaders string `yaml:"incomingHeaders" json:"incomingHeaders,omitempty"`
	// Header rules of messages to the peer, last of all.
	OutgoingHeaders string `yaml:"outgoingHeaders" json:"outgoingHeaders,omitempty"`
}

// IncomingURI finds a dial-peer by the URIs of a request.
type IncomingURI struct {
	// Sent-by of the topmost Via.
	Via []URIMatch `yaml:"via" json:"via,omitempty"`
	// Request-URI.
	Request []URIMatch `yaml:"request" json:"request,omitempty"`
	// URI of To.
	To []URIMatch `yaml:"to" json:"to,omitempty"`
	// URI of From.
	From []URIMatch `yaml:"from" json:"from,omitempty"`
}

// URIMatch says what a URI looks like. Everything given must fit.
type URIMatch struct {
	// Hosts, one of which it has: addresses or names, compared whole.
	Hosts []string `yaml:"hosts" json:"hosts,omitempty"`
	// Regular expression (RE2) that the user part matches.
	User string `yaml:"user" json:"user,omitempty"`
	// Regular expression (RE2) that the whole URI matches.
	Pattern string `yaml:"pattern" json:"pattern,omitempty"`
}

// DialPeerChoice is one peer of a group.
type DialPeerChoice struct {
	// Tag of the peer.
	Tag int `yaml:"tag" json:"tag"`
	// Order, 0 (first) to 10.
	Preference int `yaml:"preference" json:"preference,omitempty"`
}

// SessionTarget is an address of a dial-peer.
type SessionTarget struct {
	// IP address or host name.
	Address string `yaml:"address" json:"address"`
	// Port. Default: 5061 with TLS, 5060 without; a host name without one is looked up by RFC 3263.
	Port int `yaml:"port" json:"port,omitempty"`
	// Order, 0 (first) to 10.
	Preference int `yaml:"preference" json:"preference,omitempty"`
	// Share of the calls among targets of one preference, 1 to 1000. Without any, they are tried in the order of the list.
	Weight int `yaml:"weight" json:"weight,omitempty"`
}

// A Trustpoint says whom the border believes at which addresses.
type Trustpoint struct {
	// Name of the trustpoint.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Common names of the authorities under which a peer's certificate must be, of those that are trusted for trunks. Left out: any of
	// them, and the cluster's own.
	Authorities []string `yaml:"authorities" json:"authorities,omitempty"`
	// X.509 names, one of which a peer's certificate must carry. Left out: the addresses and host names of the dial-peer's targets.
	AcceptedSubjects []string `yaml:"acceptedSubjects" json:"acceptedSubjects,omitempty"`
	// Addresses of the peers it is for, as 198.51.100.0/24. The longest prefix decides.
	RemoteAddresses []string `yaml:"remoteAddresses" json:"remoteAddresses,omitempty"`
	// It is for every other peer too; at most one is.
	Default bool `yaml:"default" json:"default,omitempty"`
}

// Border holds what is the same for all dial-peers of a border element. The one named like the node counts there, else the one
// named default, else the defaults.
type Border struct {
	// Name: that of a node, or default.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// The SIP user agent.
	SIPUA SIPUA `yaml:"sipUA" json:"sipUA,omitzero"`
	// Which calls are let in.
	Admission Admission `yaml:"admission" json:"admission,omitzero"`
	// Addresses or networks, 192.0.2.0/24, that may send calls without TLS to dial-peers that have no targets, besides the targets
	// of all dial-peers. Listed by `show exceptions`.
	TrustedAddresses []string `yaml:"trustedAddresses" json:"trustedAddresses,omitempty"`
	// End a call when no media has been heard on any of its legs for so long, 10s to 24h. Left out: never.
	MediaInactivity Duration `yaml:"mediaInactivity" json:"mediaInactivity,omitempty"`
}

// SIPUA is a border's SIP user agent.
type SIPUA struct {
	// Versions of TLS that are spoken; a change takes effect when the service starts again.
	TLS TLSVersions `yaml:"tls" json:"tls,omitempty"`
	// Name that peers see as the host of our addresses. Default: the border's own address.
	LocalDomain string `yaml:"localDomain" json:"localDomain,omitempty"`
	// Transaction timers.
	Timers SIPTimers `yaml:"timers" json:"timers,omitzero"`
	// Session timer of calls.
	SessionTimer SessionTimer `yaml:"sessionTimer" json:"sessionTimer,omitzero"`
}

// Admission bounds what a border lets in. What is over is refused with 503 and when to try again.
type Admission struct {
	// Most calls at the same time, 1 to 100000. Default: no limit.
	MaxCalls int `yaml:"maxCalls" json:"maxCalls,omitempty"`
	// Most new calls in a second, 1 to 10000, on the average. Default: no limit.
	CallsPerSecond int `yaml:"callsPerSecond" json:"callsPerSecond,omitempty"`
	// New calls that may come at once after a quiet time, 1 to 10000. Default: as many as in a second.
	Burst int `yaml:"burst" json:"burst,omitempty"`
	// Most INVITEs in a second from one address, let in or not, 1 to 10000. Default: 100.
	CallsPerSecondPerSource int `yaml:"callsPerSecondPerSource" json:"callsPerSecondPerSource,omitempty"`
}

// CodecList is an ordered list of codecs.
type CodecList struct {
	// Name of the list.
	Name string `yaml:"name" json:"name"`
	// Names of codecs as in SDP, best first: opus, G722, PCMA, PCMU, G729. Offers and answers to a peer have these alone, in this order.
	Codecs []string `yaml:"codecs" json:"codecs"`
}

// NumberTranslation rewrites numbers by regular expressions.
type NumberTranslation struct {
	// Name of the translation.
	Name string `yaml:"name" json:"name"`
	// Rules for the called number: the first that matches.
	Called []TranslationRule `yaml:"called" json:"called,omitempty"`
	// Rules for the calling number: the first that matches.
	Calling []TranslationRule `yaml:"calling" json:"calling,omitempty"`
}

// TranslationRule rewrites what its expression matches.
type TranslationRule struct {
	// Regular expression (RE2).
	Match string `yaml:"match" json:"match"`
	// What stands in its place: \1 to \9 are what its groups matched, & all of it.
	Replace string `yaml:"replace" json:"replace,omitempty"`
}

// HeaderRules change header fields of SIP messages.
type HeaderRules struct {
	// Name of the rules.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// The rules, done one after the other.
	Rules []HeaderRule `yaml:"rules" json:"rules"`
}

// HeaderRule changes one header field. Those that transaction, dialog and body need are refused: Via, From, To, Call-ID, CSeq, Contact,
// Route, Record-Route, Max-Forwards, Content-Type, Content-Length, Require, Supported, RSeq, RAck, Session-Expires, Min-SE, Replaces,
// Refer-To, authentication.
type HeaderRule struct {
	// Requests or responses.
	On HeaderRuleOn `yaml:"on" json:"on,omitempty"`
	// Method of the request, or of the request a response is to: INVITE. Left out: any.
	Method string `yaml:"method" json:"method,omitempty"`
	// Status of responses, 100 to 699. Left out: any.
	Status int `yaml:"status" json:"status,omitempty"`
	// Name of the header field.
	Header string `yaml:"header" json:"header"`
	// Remove: every field of the name, or those whose value matches. Add: one field with the value. Modify: what matches in each value.
	Action HeaderAction `yaml:"action" json:"action,omitempty"`
	// Regular expression (RE2). Needed to modify.
	Match string `yaml:"match" json:"match,omitempty"`
	// What is added, or stands in place of what matches: \1 to \9 are what its groups matched, & all of it.
	Value string `yaml:"value" json:"value,omitempty"`
}

// Kind implements Entity.
func (DialPeer) Kind() Kind { return KindDialPeer }

// Key is the tag.
func (e DialPeer) Key() string {
	if e.Tag == 0 {
		return ""
	}
	return strconv.Itoa(e.Tag)
}

// Kind implements Entity.
func (Trustpoint) Kind() Kind { return KindTrustpoint }

// Key is the name.
func (e Trustpoint) Key() string { return e.Name }

// Kind implements Entity.
func (Border) Kind() Kind { return KindBorder }

// Key is the name.
func (e Border) Key() string { return e.Name }

// Kind implements Entity.
func (CodecList) Kind() Kind { return KindCodecList }

// Key is the name.
func (e CodecList) Key() string { return e.Name }

// Kind implements Entity.
func (NumberTranslation) Kind() Kind { return KindNumberTranslation }

// Key is the name.
func (e NumberTranslation) Key() string { return e.Name }

// Kind implements Entity.
func (HeaderRules) Kind() Kind { return KindHeaderRules }

// Key is the name.
func (e HeaderRules) Key() string { return e.Name }

// WithDefaults returns the peer with every default filled in.
func (e DialPeer) WithDefaults() DialPeer {
	e.Transport = defaultTransport(e.Transport, Encrypted, TransportUDP)
	if e.SRTP == PeerSRTPDefault {
		e.SRTP = PeerSRTPRequired
		if e.Transport != TransportTLS {
			e.SRTP = PeerSRTPNever
		}
	}
	return e
}

// WithDefaults returns the border with every default filled in.
func (e Border) WithDefaults() Border {
	e.Name = cmp.Or(e.Name, "default")
	p := SIPProfile{Timers: e.SIPUA.Timers, SessionTimer: e.SIPUA.SessionTimer}.WithDefaults()
	e.SIPUA.Timers, e.SIPUA.SessionTimer = p.Timers, p.SessionTimer
	e.Admission.Burst = cmp.Or(e.Admission.Burst, e.Admission.CallsPerSecond)
	e.Admission.CallsPerSecondPerSource = cmp.Or(e.Admission.CallsPerSecondPerSource, 100)
	return e
}

// BorderOf is the border of a node, with every default filled in.
func (s *Site) BorderOf(node string) Border {
	var b Border
	for _, e := range s.Borders {
		if e.Name == node || e.Name == "default" && b.Name != node {
			b = e
		}
	}
	return b.WithDefaults()
}

// mediaInactivity are the bounds of Border.MediaInactivity.
const (
	minMediaInactivity = 10 * time.Second
	maxMediaInactivity = 24 * time.Hour
)

// PeerSRTP says how media of a dial-peer is protected.
type PeerSRTP uint8

// Values of PeerSRTP; the first is the default.
const (
	PeerSRTPDefault PeerSRTP = iota
	PeerSRTPRequired
	PeerSRTPFallback
	PeerSRTPNever
)

// Values lists the spellings of PeerSRTP.
func (PeerSRTP) Values() []string { return []string{"default", "required", "fallback", "never"} }

func (p PeerSRTP) String() string { return enumString(p, p.Values()) }

// MarshalText writes the value as a site file spells it.
func (p PeerSRTP) MarshalText() ([]byte, error) { return enumText(p, p.Values()) }

// UnmarshalText reads one of Values.
func (p *PeerSRTP) UnmarshalText(b []byte) error { return enumParse(p, p.Values(), b) }

// DTMFRelay says how a peer without telephone events is told digits.
type DTMFRelay uint8

// Values of DTMFRelay; the first is the default.
const (
	DTMFInfo DTMFRelay = iota
	DTMFInBand
)

// Values lists the spellings of DTMFRelay.
func (DTMFRelay) Values() []string { return []string{"sip-info", "in-band"} }

func (d DTMFRelay) String() string { return enumString(d, d.Values()) }

// MarshalText writes the value as a site file spells it.
func (d DTMFRelay) MarshalText() ([]byte, error) { return enumText(d, d.Values()) }

// UnmarshalText reads one of Values.
func (d *DTMFRelay) UnmarshalText(b []byte) error { return enumParse(d, d.Values(), b) }

// ReferHandling says what becomes of REFER.
type ReferHandling uint8

// Values of ReferHandling; the first is the default.
const (
	ReferRefuse ReferHandling = iota
	ReferConsume
)

// Values lists the spellings of ReferHandling.
func (ReferHandling) Values() []string { return []string{"refuse", "consume"} }

func (r ReferHandling) String() string { return enumString(r, r.Values()) }

// MarshalText writes the value as a site file spells it.
func (r ReferHandling) MarshalText() ([]byte, error) { return enumText(r, r.Values()) }

// UnmarshalText reads one of Values.
func (r *ReferHandling) UnmarshalText(b []byte) error { return enumParse(r, r.Values(), b) }

// TLSVersions says which versions of TLS are spoken.
type TLSVersions uint8

// Values of TLSVersions; the first is the default.
const (
	TLSFrom12 TLSVersions = iota
	TLSOnly12
)

// Values lists the spellings of TLSVersions.
func (TLSVersions) Values() []string { return []string{"1.2-and-later", "1.2"} }

func (t TLSVersions) String() string { return enumString(t, t.Values()) }

// MarshalText writes the value as a site file spells it.
func (t TLSVersions) MarshalText() ([]byte, error) { return enumText(t, t.Values()) }

// UnmarshalText reads one of Values.
func (t *TLSVersions) UnmarshalText(b []byte) error { return enumParse(t, t.Values(), b) }

// HeaderRuleOn says which messages a header rule is for.
type HeaderRuleOn uint8

// Values of HeaderRuleOn; the first is the default.
const (
	OnRequests HeaderRuleOn = iota
	OnResponses
)

// Values lists the spellings of HeaderRuleOn.
func (HeaderRuleOn) Values() []string { return []string{"requests", "responses"} }

func (h HeaderRuleOn) String() string { return enumString(h, h.Values()) }

// MarshalText writes the value as a site file spells it.
func (h HeaderRuleOn) MarshalText() ([]byte, error) { return enumText(h, h.Values()) }

// UnmarshalText reads one of Values.
func (h *HeaderRuleOn) UnmarshalText(b []byte) error { return enumParse(h, h.Values(), b) }

// HeaderAction is what a header rule does.
type HeaderAction uint8

// Values of HeaderAction; the first is the default.
const (
	HeaderRemove HeaderAction = iota
	HeaderAdd
	HeaderModify
)

// Values lists the spellings of HeaderAction.
func (HeaderAction) Values() []string { return []string{"remove", "add", "modify"} }

func (h HeaderAction) String() string { return enumString(h, h.Values()) }

// MarshalText writes the value as a site file spells it.
func (h HeaderAction) MarshalText() ([]byte, error) { return enumText(h, h.Values()) }

// UnmarshalText reads one of Values.
func (h *HeaderAction) UnmarshalText(b []byte) error { return enumParse(h, h.Values(), b) }
