package call

// A Desc stands for a session description that a driver got from the wire. The engine never sees the SDP: Ref is the key
// under which the media plane of this node keeps it (and the keys in it); the rest is the summary the engine decides on.
type Desc struct {
	// Ref is the media plane's number for the description. The plane gives an unchanged description (same origin line
	// and version, RFC 3264, 8) of one leg the same Ref: that is how the engine tells a session refresh from a new offer.
	Ref  uint64   `json:"ref,omitempty"`
	Kind DescKind `json:"kind,omitempty"`
	// Dir is the direction as the sender of the description wrote it, from its own point of view.
	Dir      Direction `json:"dir,omitempty"`
	Security Security  `json:"security,omitempty"`
	// NoEvents says that its audio comes without telephone events (RFC 4733): digits cannot travel in it but as tones.
	NoEvents bool `json:"no_events,omitempty"`
}

// A DescKind says what a description is in the offer/answer exchange of RFC 3264.
type DescKind uint8

// The zero kind is no description at all: an INVITE or re-INVITE without SDP, a 180 without SDP.
const (
	KindNone DescKind = iota
	KindOffer
	KindAnswer
)

var descKindNames = [...]string{"none", "offer", "answer"}

func (k DescKind) String() string { return enumName(descKindNames[:], int(k)) }

// MarshalText writes the name.
func (k DescKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name.
func (k *DescKind) UnmarshalText(b []byte) error {
	n, err := enumValue("description kind", descKindNames[:], b)
	*k = DescKind(n)
	return err
}

// A Direction is the direction of a stream, from the point of view of whoever writes it (RFC 3264, 5.1). The two bits
// are send (1) and receive (2); the zero is inactive.
type Direction uint8

// The four directions of SDP.
const (
	Inactive Direction = iota
	SendOnly
	RecvOnly
	SendRecv
)

var directionNames = [...]string{"inactive", "sendonly", "recvonly", "sendrecv"}

func (d Direction) String() string { return enumName(directionNames[:], int(d)) }

// Sends says whether the writer sends.
func (d Direction) Sends() bool { return d&SendOnly != 0 }

// Receives says whether the writer receives.
func (d Direction) Receives() bool { return d&RecvOnly != 0 }

// MarshalText writes the SDP attribute's name.
func (d Direction) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the SDP attribute's name.
func (d *Direction) UnmarshalText(b []byte) error {
	n, err := enumValue("direction", directionNames[:], b)
	*d = Direction(n)
	return err
}

// A Security summarises how a description wants its media protected.
type Security uint8

// SecurityUnknown is the zero: nothing said (no description, or no media in it).
const (
	SecurityUnknown Security = iota
	RTP                      // plain RTP only (RTP/AVP without keys)
	SRTP                     // SRTP only (RTP/SAVP with a=crypto)
	SRTPOrRTP                // either: RTP/AVP with a=crypto, or one line of each (best effort)
)

var securityNames = [...]string{"", "rtp", "srtp", "srtp-or-rtp"}

func (s Security) String() string { return enumName(securityNames[:], int(s)) }

// MarshalText writes the name.
func (s Security) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name.
func (s *Security) UnmarshalText(b []byte) error {
	n, err := enumValue("media security", securityNames[:], b)
	*s = Security(n)
	return err
}

// A Treatment says how the description that goes with a command is made.
type Treatment uint8

// Direct is the zero: media flows between the endpoints, keys travel inside the signalling.
const (
	// Direct passes description Ref on; the plane rewrites origin and session ids for this leg, and takes out keys when
	// Security is RTP.
	Direct Treatment = iota
	// Anchored passes description Ref on with addresses and keys of a relay of ours between Leg and Peer.
	Anchored
	// Source makes the description for a stream of ours: Media.Source says which. For an answer, Ref is the offer that is
	// answered; for an offer, Ref is zero.
	Source
)

var treatmentNames = [...]string{"direct", "anchored", "source"}

func (t Treatment) String() string { return enumName(treatmentNames[:], int(t)) }

// MarshalText writes the name.
func (t Treatment) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads the name.
func (t *Treatment) UnmarshalText(b []byte) error {
	n, err := enumValue("treatment", treatmentNames[:], b)
	*t = Treatment(n)
	return err
}

// Names of sources. SourceSilence answers an offer without sending anything (inactive, or recvonly where the offer is
// sendonly); SourceMusic is followed by ":" and the name of a music source where there are several.
const (
	SourceSilence  = ""
	SourceMusic    = "music"
	SourceRingback = "ringback"
	// SourceConfirmation says that a feature has done what was dialled.
	SourceConfirmation = "tone:480"
	// SourceMix is followed by ":" and a call's id: the leg hears everybody else whose source has that id, and they hear it.
	// Another ":warn" behind adds a warning tone for this leg alone; ":listen" has the leg hear everybody, and heard by nobody.
	SourceMix = "mix"
)

// Media says which description goes with a command and how it is made. The zero value is "none": an INVITE or re-INVITE
// without SDP, a 200 whose description has gone out before, an ACK without a body.
type Media struct {
	Kind      DescKind  `json:"kind,omitempty"`
	Treatment Treatment `json:"treatment,omitempty"`
	// Dir is what the description must say at most, from our point of view: passed-on descriptions keep their own
	// direction where Dir is SendRecv.
	Dir Direction `json:"dir,omitempty"`
	// Security is what the description must be: RTP (keys taken out), SRTP, SRTPOrRTP; SecurityUnknown leaves it as is.
	Security Security `json:"security,omitempty"`
	// Focus says that the far end takes part in a conference of ours (RFC 4579, 4: isfocus in the Contact).
	Focus bool `json:"focus,omitempty"`
	// Ref is the description passed on (Direct, Anchored) or the offer answered (Source with KindAnswer).
	Ref uint64 `json:"ref,omitempty"`
	// Peer is the leg on the far side of the stream (Direct, Anchored).
	Peer   LegID  `json:"peer,omitempty"`
	Source string `json:"source,omitempty"`
}

// A MixMode says what an edge of the mix carries.
type MixMode uint8

// The modes of an edge.
const (
	MixNone    MixMode = iota
	MixTalk            // From is heard by To
	MixListen          // silent monitoring: To hears From and is not heard
	MixWhisper         // only To hears From, nobody else
	MixRecord          // To is a recorder
)

var mixNames = [...]string{"none", "talk", "listen", "whisper", "record"}

func (m MixMode) String() string { return enumName(mixNames[:], int(m)) }

// MarshalText writes the name.
func (m MixMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the name.
func (m *MixMode) UnmarshalText(b []byte) error {
	n, err := enumValue("mix mode", mixNames[:], b)
	*m = MixMode(n)
	return err
}

// An Edge is one directed line of the mix: To hears From, or To hears the Source where From is zero.
type Edge struct {
	From   LegID   `json:"from,omitempty"`
	Source string  `json:"source,omitempty"`
	To     LegID   `json:"to"`
	Mode   MixMode `json:"mode"`
}
