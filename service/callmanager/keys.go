package callmanager

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/sealed"
	"github.com/locktone/locktone/pki"
)

const (
	keyLease       = 15 * time.Second // a session that nobody keeps alive for so long is over
	challengeLease = 10 * time.Second // how long a challenge can be answered
	// maxKeySessions bounds the sessions of a node: a CTI manager has one for each connection of an entitled application, at every node. 500
	// sessions were measured at 91 KiB each with one call (both ends, lab.TestKeysForMany); each also notes every call of the node.
	maxKeySessions = 1024
	maxChallenges  = maxKeySessions // they all begin anew at once when the node has
)

// keyReceivers are the services that may ask for keys in the name of an application: those that authenticate applications.
func keyReceivers() []string { return []string{"ctimanager"} }

// keySessions are those who are given SRTP keys, each for the devices of one application, guarded by a lock.
type keySessions struct {
	some atomic.Int32 // how many there are

	mu         sync.Mutex
	all        map[string]*keySession
	challenges map[string]*challenge // by session
	closed     bool
	wg         sync.WaitGroup
}

// A challenge is a session that has not proved yet who it is for.
type challenge struct {
	request live.KeyRequest
	text    []byte
	until   time.Time
}

func (k *keySessions) close() {
	k.mu.Lock()
	k.closed = true
	for _, x := range k.all {
		x.end("the call manager is stopping")
	}
	k.mu.Unlock()
	k.wg.Wait()
}

// serveKeys begins, keeps alive and ends sessions.
func (s *Service) serveKeys(_ context.Context, r live.KeyRequest) (live.KeyAnswer, error) {
	k := &s.keys
	k.mu.Lock()
	x, closed := k.all[r.Session], k.closed
	k.mu.Unlock()
	switch {
	case closed:
		return live.KeyAnswer{}, &bus.Error{Code: bus.CodeUnavailable, Message: "the call manager is stopping"}
	case r.Begin && len(r.Chain) == 0:
		return s.challenge(r)
	case r.Begin:
		return s.beginKeys(r)
	case x == nil && !r.End:
		return live.KeyAnswer{}, &bus.Error{Code: bus.CodeNotFound, Message: "there is no such session: it was not kept alive, or the call manager has started anew"}
	case x == nil:
		return live.KeyAnswer{}, nil
	case r.End:
		x.end("")
	default:
		x.keep()
	}
	return live.KeyAnswer{Receiver: x.receiver, Lease: keyLease, N: x.sent.Load()}, nil
}

// challenge answers the first step: whether the application is entitled at all, and something to sign.
func (s *Service) challenge(r live.KeyRequest) (live.KeyAnswer, error) {
	if _, err := s.entitled(r.Application); err != nil {
		return live.KeyAnswer{}, err
	}
	if len(r.Public) != sealed.KeySize || len(r.Session) < 16 || len(r.Session) > 64 || bus.Token(r.Session) != r.Session {
		return live.KeyAnswer{}, &bus.Error{Code: bus.CodeInvalid, Message: "expected a session's name of 16 to 64 letters and digits, and a public key of X25519"}
	}
	k := &s.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	now := s.now()
	for name, c := range k.challenges {
		if now.After(c.until) {
			delete(k.challenges, name)
		}
	}
	if len(k.challenges) >= maxChallenges || k.challenges[r.Session] != nil || k.all[r.Session] != nil {
		return live.KeyAnswer{}, &bus.Error{Code: bus.CodeUnavailable, Message: "too many ask for keys at the same time, or by the same name; ask again"}
	}
	if k.challenges == nil {
		k.challenges = map[string]*challenge{}
	}
	c := &challenge{request: r, text: make([]byte, 32), until: now.Add(challengeLease)}
	rand.Read(c.text)
	k.challenges[r.Session] = c
	return live.KeyAnswer{Challenge: c.text}, nil
}

// entitled is the application, if the configuration gives it keys.
func (s *Service) entitled(application string) (*directory.User, error) {
	u, known := s.site.Load().User(application)
	if !known || !u.ReceivesKeys() {
		return nil, &bus.Error{Code: bus.CodeForbidden, Message: fmt.Sprintf("%q is not given SRTP keys: it needs the groups %s, %s and %s, if it should be", application,
			config.GroupCTIEnabled, config.GroupCTISecureConnection, config.GroupCTISRTPKeys)}
	}
	return u, nil
}

// beginKeys answers the second step.
func (s *Service) beginKeys(r live.KeyRequest) (live.KeyAnswer, error) {
	k := &s.keys
	k.mu.Lock()
	c := k.challenges[r.Session]
	delete(k.challenges, r.Session) // it is answered once, well or not
	k.mu.Unlock()
	if c == nil || s.now().After(c.until) {
		return live.KeyAnswer{}, &bus.Error{Code: bus.CodeForbidden, Message: "there is no challenge, or it is too old: begin anew"}
	}
	who, err := s.proved(c, pki.Proof{Chain: r.Chain, Signature: r.Signature})
	if err != nil {
		s.warn(fmt.Sprintf("somebody asked for the SRTP keys of %s and was refused: %v", c.request.Application, err))
		return live.KeyAnswer{}, &bus.Error{Code: bus.CodeForbidden, Message: err.Error()}
	}
	if _, err := s.entitled(c.request.Application); err != nil {
		return live.KeyAnswer{}, err
	}
	x := &keySession{s: s, name: c.request.Session, application: c.request.Application, public: c.request.Public, receiver: who + " for " + c.request.Application,
		legWatch: newLegWatch(), given: map[call.LegID]givenKeys{}}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || len(k.all) >= maxKeySessions {
		return live.KeyAnswer{}, &bus.Error{Code: bus.CodeUnavailable, Message: fmt.Sprintf("%d receive keys already, or the call manager is stopping", len(k.all))}
	}
	if k.all == nil {
		k.all = map[string]*keySession{}
	}
	k.all[x.name] = x
	k.some.Add(1)
	s.watches.add(&x.legWatch)
	s.note("", fmt.Sprintf("%s is given the SRTP keys of its devices", x.receiver))
	k.wg.Go(func() {
		why := x.run(s, keyLease, x.turn)
		if why != "" {
			x.publish(live.SealedKeys{Over: why})
		}
		s.watches.remove(&x.legWatch)
		k.mu.Lock()
		delete(k.all, x.name)
		k.some.Add(-1)
		k.mu.Unlock()
		s.note("", fmt.Sprintf("%s is given no more SRTP keys: %s", x.receiver, why))
	})
	return live.KeyAnswer{Receiver: x.receiver, Lease: keyLease}, nil
}

// proved is the service, and its node where the certificate says it, that has answered a challenge.
func (s *Service) proved(c *challenge, p pki.Proof) (string, error) {
	text := live.KeyProofText(s.cfg.Bus.Subject(Name, live.VerbKeys).Cluster, s.cfg.Node, Name, c.request, c.text)
	r, err := s.identity.Check(p, pki.PeerPolicy{Peer: "the receiver of keys", Kinds: pki.KindsOf(pki.KindService)}, live.KeyProofPurpose, text)
	if err != nil {
		return "", err
	}
	if r.Entry == nil || !r.Registered() || !slices.Contains(keyReceivers(), r.Entry.Name) {
		return "", fmt.Errorf("%s is none of the services that receive keys (%v)", r.Subject(), keyReceivers())
	}
	if r.Entry.Node != "" {
		return r.Entry.Name + "@" + r.Entry.Node, nil
	}
	return r.Entry.Name, nil
}

// A keySession gives one receiver the keys of an application's devices: those in force, then those that come into force. Its goroutine
// owns what has no lock.
type keySession struct {
	s                           *Service
	name, application, receiver string
	public                      []byte
	sent                        atomic.Uint64

	legWatch
	given map[call.LegID]givenKeys
}

// givenKeys are the keys that the receiver has of a leg.
type givenKeys struct {
	keys sealed.Keys
	call call.CallID
}

// turn takes events in and gives keys that are other than those given.
func (x *keySession) turn(calls []call.CallID) (over string) {
	u, err := x.s.entitled(x.application)
	if err != nil {
		return err.Error()
	}
	for _, id := range calls {
		if v := x.picture.Call(id); v != nil {
			x.review(u, v)
		}
	}
	for _, leg := range x.left {
		delete(x.given, leg)
	}
	return ""
}

// review gives the keys of a call's legs to the application's devices that it does not have.
func (x *keySession) review(u *directory.User, v *call.View) {
	for _, p := range v.Parties {
		for i := range p.Legs {
			l := &p.Legs[i]
			if !u.Associated(l.Device) {
				continue
			}
			a, k, known := x.s.plane.Agreement(media.LegID(l.ID))
			had, before := x.given[l.ID]
			if !known || before && had.keys.Same(k) && had.call == v.ID || !before && k.IsZero() {
				continue
			}
			x.given[l.ID] = givenKeys{k, v.ID}
			x.give(v, l, k, a.Keys)
		}
	}
}

// give seals the keys of a leg and sends them.
func (x *keySession) give(v *call.View, l *call.LegView, k sealed.Keys, keys uint64) {
	subject := x.s.cfg.Bus.Subject(Name, live.VerbKeys)
	n := x.sent.Load() + 1
	text, err := sealed.Seal(x.public, sealed.Binding{Cluster: subject.Cluster, Node: x.s.cfg.Node, Service: Name, Call: uint64(v.ID), Leg: uint64(l.ID),
		Receiver: x.receiver, Session: x.name, N: n}, k)
	if err != nil {
		x.end("keys cannot be sealed to this receiver: " + err.Error())
		return
	}
	x.publish(live.SealedKeys{Call: v.ID, Global: x.s.globalID(v.GlobalID, v.ID), Leg: l.ID, Device: l.Device, Keys: keys, Sealed: text})
}

// publish sends a message of the session; what is lost is a gap, which the receiver sees.
func (x *keySession) publish(m live.SealedKeys) {
	m.N = x.sent.Add(1)
	if text, err := json.Marshal(m); err == nil {
		_ = bus.PublishJSON(x.s.cfg.Bus, x.s.cfg.Bus.Subject(Name, live.VerbKeys+"."+x.name), text)
	}
}
