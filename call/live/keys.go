package live

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
)

// VerbKeys is asked with a KeyRequest and answered with a KeyAnswer; VerbKeys, a dot and the name of a session is the subject on which that
// session's SealedKeys are published. SRTP keys are in no Event, View, trace or record: this is the only way they leave the call manager,
// sealed to one receiver (package media/sealed).
const VerbKeys = "call.keys"

// A KeyRequest is about a session in which a service of ours is given the SRTP keys of the devices of one application. It is begun in two
// steps: the first is answered with a Challenge, the second proves by it who asks.
type KeyRequest struct {
	Session string `json:"session"` // as in FollowRequest
	// Begin: the application in whose name keys are received, and the receiver's public key.
	Begin       bool   `json:"begin,omitempty"`
	Application string `json:"application,omitempty"`
	Public      []byte `json:"public,omitempty"`
	// Chain and Signature prove which service asks: a signature over KeyProofText.
	Chain     [][]byte `json:"chain,omitempty"`
	Signature []byte   `json:"signature,omitempty"`
	// End ends the session. With neither it is kept alive.
	End bool `json:"end,omitempty"`
}

// A KeyAnswer is a challenge, or says that the session lives, for whom its messages are bound (sealed.Binding.Receiver), and how long it
// lives without being kept alive.
type KeyAnswer struct {
	Challenge []byte        `json:"challenge,omitempty"`
	Receiver  string        `json:"receiver,omitempty"`
	Lease     time.Duration `json:"lease_ns,omitempty"`
	// N is the number of the newest message of the session.
	N uint64 `json:"n,omitempty"`
}

// KeyProofPurpose says what the signature of a KeyRequest is for.
const KeyProofPurpose = "receives SRTP keys"

// KeyProofText is what the signature of a KeyRequest is over: who asks whom for what, with which key, and the challenge.
func KeyProofText(cluster, node, service string, r KeyRequest, challenge []byte) []byte {
	var b []byte
	for _, s := range [...]string{cluster, node, service, r.Session, r.Application, string(r.Public), string(challenge)} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	return b
}

// SealedKeys are the SRTP keys of a leg, as they came into force, for the receiver of a session.
type SealedKeys struct {
	N      uint64      `json:"n"` // of the message in its session, from 1
	Call   call.CallID `json:"call,omitempty"`
	Global string      `json:"global,omitempty"`
	Leg    call.LegID  `json:"leg,omitempty"`
	Device string      `json:"device,omitempty"`
	// Keys is the number of these keys among the leg's, as LegMedia has it; zero where the media is plain RTP now.
	Keys   uint64 `json:"keys,omitempty"`
	Sealed []byte `json:"sealed,omitempty"`
	// Over says that the session is, and Why.
	Over string `json:"over,omitempty"`
}

// A KeyNote is what a KeyFollower tells: keys, or a loss, behind which the keys in force then are told again.
type KeyNote struct {
	SealedKeys
	Session  string // with Receiver and N it is part of what the keys are bound to
	Receiver string
	Lost     string // why what was told before may not hold
}

// Prover makes the chain and the signature of a KeyRequest.
type Prover func(text []byte) (chain [][]byte, signature []byte, err error)

// A KeyFollower receives the sealed keys of an application's devices from one node's call manager.
type KeyFollower struct {
	engine  RemoteEngine
	app     string
	public  []byte
	prove   Prover
	notes   chan KeyNote
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	cluster string
}

// FollowKeys asks the call manager of the engine's node for the keys of an application's devices, sealed to public: those in force, and
// those that come into force. prove signs in the name of the service that asks. Close ends it.
func (e RemoteEngine) FollowKeys(application string, public []byte, prove Prover) *KeyFollower {
	f := &KeyFollower{engine: e, app: application, public: public, prove: prove, notes: make(chan KeyNote), cluster: e.remote.bus.AllNodes("", "").Cluster}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.wg.Go(f.run)
	return f
}

// Notes delivers what comes; it is closed by Close.
func (f *KeyFollower) Notes() <-chan KeyNote { return f.notes }

// Close ends the session and waits.
func (f *KeyFollower) Close() {
	f.cancel()
	f.wg.Wait()
}

func (f *KeyFollower) run() {
	defer close(f.notes)
	s := stream[SealedKeys]{engine: f.engine, verb: VerbKeys, ctx: f.ctx,
		number: func(m *SealedKeys) (uint64, string) { return m.N, m.Over },
		lost:   func(why string) { f.tell(KeyNote{Lost: why}) },
	}
	for f.ctx.Err() == nil {
		receiver := ""
		s.begin = func(session string) error {
			a, err := f.begin(session)
			receiver = a.Receiver
			return err
		}
		s.keep = func(ctx context.Context, session string, end bool) (uint64, error) {
			a, err := f.ask(ctx, KeyRequest{Session: session, End: end})
			return a.N, err
		}
		s.tell = func(session string, m SealedKeys) bool {
			return f.tell(KeyNote{SealedKeys: m, Session: session, Receiver: receiver})
		}
		s.once()
	}
}

func (f *KeyFollower) tell(n KeyNote) bool {
	select {
	case f.notes <- n:
		return true
	case <-f.ctx.Done():
		return false
	}
}

// begin begins a session by proving who asks.
func (f *KeyFollower) begin(session string) (KeyAnswer, error) {
	q := KeyRequest{Session: session, Begin: true, Application: f.app, Public: f.public}
	a, err := f.ask(f.ctx, q)
	if err != nil {
		return a, err
	}
	if q.Chain, q.Signature, err = f.prove(KeyProofText(f.cluster, f.engine.node, f.engine.remote.service, q, a.Challenge)); err != nil {
		return a, err
	}
	return f.ask(f.ctx, q)
}

func (f *KeyFollower) ask(ctx context.Context, q KeyRequest) (KeyAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, tryWait)
	defer cancel()
	b := f.engine.remote.bus
	return bus.Ask[KeyRequest, KeyAnswer](ctx, b, b.Subject(f.engine.remote.service, VerbKeys).To(f.engine.node), q)
}
