package call

import "strconv"

// A Lock is how well a leg, or a whole call, is protected: what the lock icon of a phone shows. Each level stands for what was
// verified, never for what was hoped: see Protection.
type Lock uint8

// The levels, the weakest claim first; a call is as good as its weakest leg.
const (
	LockUnknown       Lock = iota // not settled yet
	LockNonSecure                 // signalling or media can be read on its way
	LockAuthenticated             // signalling is protected and its peer proven; media is plain
	LockEncrypted                 // signalling as above, and media is SRTP with keys that travelled in it
)

var lockNames = [...]string{"unknown", "non-secure", "authenticated", "encrypted"}

func (k Lock) String() string { return enumName(lockNames[:], int(k)) }

// MarshalText writes the name.
func (k Lock) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name.
func (k *Lock) UnmarshalText(b []byte) error {
	n, err := enumValue("lock state", lockNames[:], b)
	*k = Lock(n)
	return err
}

// A Protection is a lock state with its evidence: when it is not LockEncrypted, Leg is the weakest leg and Why says in a
// sentence what is missing there.
type Protection struct {
	Lock Lock   `json:"lock,omitempty"`
	Leg  LegID  `json:"leg,omitempty"`
	Why  string `json:"why,omitempty"`
}

// A Trust says how the signalling of a leg proved who is at its other end.
type Trust uint8

// The zero is no proof at all.
const (
	TrustNone   Trust = iota // UDP or TCP
	TrustServer              // TLS, where only one side showed a certificate
	TrustMutual              // TLS, both sides verified and the certificate belongs to the device or trunk
	TrustLocal               // the leg ends in this program (applets)
)

var trustNames = [...]string{"none", "server", "mutual", "local"}

func (t Trust) String() string { return enumName(trustNames[:], int(t)) }

// MarshalText writes the name.
func (t Trust) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads the name.
func (t *Trust) UnmarshalText(b []byte) error {
	n, err := enumValue("trust", trustNames[:], b)
	*t = Trust(n)
	return err
}

// A Proof says what the last packets of a leg's media showed, where they come by here (anchored, mixed, our own streams).
type Proof uint8

// The zero: media goes directly between the ends, or nothing was to be expected yet.
const (
	ProofNone          Proof = iota
	ProofAuthenticated       // SRTP, and the tags of the last packets verified
	ProofPlain               // plain RTP
	ProofFailed              // packets arrive that cannot be authenticated: wrong or missing keys
	ProofSilent              // the far end should be sending, and nothing arrives: one-way audio
)

var proofNames = [...]string{"none", "authenticated", "plain", "failed", "silent"}

func (p Proof) String() string { return enumName(proofNames[:], int(p)) }

// MarshalText writes the name.
func (p Proof) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the name.
func (p *Proof) UnmarshalText(b []byte) error {
	n, err := enumValue("proof", proofNames[:], b)
	*p = Proof(n)
	return err
}

// A Quality is what a leg's media was like over its life, from the point of view of whoever measured it.
type Quality struct {
	// By says who measured: "here" (a stream or relay of ours) or "phone" (the far end reported it in its BYE).
	By       string  `json:"by,omitempty"`
	Codec    string  `json:"codec,omitempty"`
	Sent     uint64  `json:"sent,omitempty"`     // packets
	Received uint64  `json:"received,omitempty"` // packets
	Lost     uint64  `json:"lost,omitempty"`     // packets that did not arrive
	Jitter   float64 `json:"jitter,omitempty"`   // milliseconds, mean (RFC 3550, 6.4.1)
	MOS      float64 `json:"mos,omitempty"`      // 1 to 4.5, estimated; zero is unknown
}

func (q Quality) String() string {
	return q.By + ":" + q.Codec + ":" + strconv.FormatUint(q.Sent, 10) + "/" + strconv.FormatUint(q.Received, 10) + ":lost=" + strconv.FormatUint(q.Lost, 10)
}
