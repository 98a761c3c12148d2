package ctimanager

import (
	"context"
	"sync"

	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/media/sealed"
	"github.com/locktone/locktone/trace"
)

// A keyFeed receives the SRTP keys of an entitled client's devices from the call managers of all nodes, sealed to a key that lives as long as
// the connection: it is nowhere else, and is not written anywhere. Who is entitled the call managers decide for themselves, by the site.
type keyFeed struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// listen follows what the provider wants to know of media.
func (x *stepper) listen(l listen) {
	x.s.hub.listen(x.c, l.media)
	switch {
	case l.keys && x.keys == nil:
		x.keys = x.s.feedKeys(x.ctx, x.c, x.p.user)
	case !l.keys && x.keys != nil:
		x.keys.close()
		x.keys = nil
	}
}

// close ends the feed and waits for it.
func (k *keyFeed) close() {
	if k != nil {
		k.cancel()
		k.wg.Wait()
	}
}

// feedKeys has the keys of a user's devices put into the connection's mailbox.
func (s *Service) feedKeys(ctx context.Context, c *connection, user string) *keyFeed {
	k := &keyFeed{}
	ctx, k.cancel = context.WithCancel(ctx)
	receiver, err := sealed.NewReceiver()
	if err != nil {
		s.record(c, trace.Error, "SRTP keys cannot be received: "+err.Error())
		return k
	}
	cluster := s.cfg.Bus.AllNodes("", "").Cluster
	k.wg.Go(func() {
		s.eachNode(ctx, func(node string) {
			f := live.NewRemote(s.cfg.Bus, s.cfg.Engines).At(node).FollowKeys(user, receiver.Public(), s.prove)
			defer f.Close()
			for {
				select {
				case n, open := <-f.Notes():
					if !open {
						return
					}
					s.keysCame(c, node, cluster, receiver, n)
				case <-ctx.Done():
					return
				}
			}
		})
	})
	return k
}

// prove signs in the name of this service: call/live.Prover.
func (s *Service) prove(text []byte) ([][]byte, []byte, error) {
	p, err := s.cfg.Identity.Prove(live.KeyProofPurpose, text)
	return p.Chain, p.Signature, err
}

// keysCame opens what came, for the connection alone.
func (s *Service) keysCame(c *connection, node, cluster string, receiver *sealed.Receiver, n live.KeyNote) {
	if n.Lost != "" {
		s.record(c, trace.Info, "the SRTP keys of node "+node+" do not come: "+n.Lost)
		return
	}
	keys, err := receiver.Open(sealed.Binding{Cluster: cluster, Node: node, Service: s.cfg.Engines, Call: uint64(n.Call), Leg: uint64(n.Leg),
		Receiver: n.Receiver, Session: n.Session, N: n.N}, n.Sealed)
	if err != nil {
		s.record(c, trace.Error, "SRTP keys of node "+node+" do not open: "+err.Error())
		return
	}
	c.box.put(keyed{node: node, leg: n.Leg, n: n.Keys, keys: keys})
}
