package live

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
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
	Sealed []byte      `json:"sealed,omitempty"`
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
	last := ""
	for f.ctx.Err() == nil {
		err := f.session(&last)
		if f.ctx.Err() != nil {
			return
		}
		if why := err.Error(); why != last { // once, however often it is tried
			last = why
			f.tell(KeyNote{Lost: why})
		}
		select {
		case <-f.ctx.Done():
		case <-time.After(retryFirst * 4):
		}
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

// session is one session, until it is lost: the error says why.
func (f *KeyFollower) session(last *string) error {
	b := f.engine.remote.bus
	name := rand.Text()
	service := f.engine.remote.service
	sub, err := bus.Subscribe[SealedKeys](b, b.Subject(service, VerbKeys+"."+name).To(f.engine.node), framesRoom)
	if err != nil {
		return err
	}
	defer sub.Close()
	q := KeyRequest{Session: name, Begin: true, Application: f.app, Public: f.public}
	a, err := f.ask(f.ctx, q)
	if err != nil {
		return err
	}
	if q.Chain, q.Signature, err = f.prove(KeyProofText(f.cluster, f.engine.node, service, q, a.Challenge)); err != nil {
		return err
	}
	if a, err = f.ask(f.ctx, q); err != nil {
		return err
	}
	*last = ""
	defer func() { // though the follower may have ended
		ctx, cancel := context.WithTimeout(context.Background(), tryWait)
		defer cancel()
		_, _ = f.ask(ctx, KeyRequest{Session: name, End: true})
	}()
	keep := time.NewTicker(followLease / 3)
	defer keep.Stop()
	for n, sent := uint64(1), uint64(0); ; {
		select {
		case <-f.ctx.Done():
			return f.ctx.Err()
		case <-keep.C:
			if n <= sent { // what was the newest the last time has not come by now
				return fmt.Errorf("live: sealed keys %d to %d of %s were lost", n, sent, f.engine.node)
			}
			a, err := f.ask(f.ctx, KeyRequest{Session: name})
			if err != nil {
				return err
			}
			sent = a.N
		case m := <-sub.C():
			switch {
			case m.Value.Over != "":
				return errors.New(m.Value.Over)
			case m.Value.N != n:
				return fmt.Errorf("live: sealed keys %d to %d of %s were lost", n, m.Value.N-1, f.engine.node)
			}
			n++
			if !f.tell(KeyNote{SealedKeys: m.Value, Session: name, Receiver: a.Receiver}) {
				return f.ctx.Err()
			}
		}
	}
}

func (f *KeyFollower) ask(ctx context.Context, q KeyRequest) (KeyAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, tryWait)
	defer cancel()
	b := f.engine.remote.bus
	return bus.Ask[KeyRequest, KeyAnswer](ctx, b, b.Subject(f.engine.remote.service, VerbKeys).To(f.engine.node), q)
}
