package ctimanager

import (
	"context"
	"sync"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
)

// A mediaFeed follows where media goes on every node, while a connection wants to know, and hands it to those that have opened the device.
// Where none wants, no call manager is asked and none does anything for it. The hub's lock guards it.
type mediaFeed struct {
	listeners map[*connection]struct{}
	known     map[flowKey]live.LegMedia // what is open now
	cancel    context.CancelFunc        // of the followers; nil: there are none
}

// flowKey names a leg in the cluster.
type flowKey struct {
	node string
	leg  call.LegID
}

// listen has a connection told of media, or no more.
func (h *hub) listen(c *connection, on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := &h.media
	if !on {
		delete(f.listeners, c)
		if len(f.listeners) == 0 && f.cancel != nil {
			f.cancel()
			f.cancel, f.known = nil, nil
		}
		return
	}
	if f.listeners == nil {
		f.listeners = map[*connection]struct{}{}
	}
	f.listeners[c] = struct{}{}
	if f.cancel == nil {
		var ctx context.Context
		ctx, f.cancel = context.WithCancel(h.s.ctx)
		f.known = map[flowKey]live.LegMedia{}
		h.s.workers.Go(func() { h.followMedia(ctx) })
	}
	for key, m := range f.known { // the order does not matter: each is of another leg
		if _, watches := h.watches[m.Device][c]; watches {
			c.box.put(flowing{key.node, m})
		}
	}
}

// replay hands a connection what is open on a device that it has just opened. The lock is held.
func (h *hub) replay(c *connection, device string) {
	if _, listens := h.media.listeners[c]; !listens {
		return
	}
	for key, m := range h.media.known {
		if m.Device == device {
			c.box.put(flowing{key.node, m})
		}
	}
}

// followMedia follows the media of every node until ctx ends.
func (h *hub) followMedia(ctx context.Context) {
	h.s.eachNode(ctx, func(node string) {
		f := live.NewRemote(h.s.cfg.Bus, h.s.cfg.Engines).At(node).FollowMedia("")
		defer f.Close()
		for {
			select {
			case n, open := <-f.Notes():
				if !open {
					return
				}
				h.mediaNote(ctx, n)
			case <-ctx.Done():
				return
			}
		}
	})
}

// mediaNote takes what a node tells. Behind a loss the node tells everything anew.
func (h *hub) mediaNote(ctx context.Context, n live.MediaNote) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := &h.media
	if ctx.Err() != nil || f.known == nil {
		return
	}
	if n.Lost != "" {
		for key := range f.known {
			if key.node == n.Node {
				delete(f.known, key)
			}
		}
		return
	}
	key := flowKey{n.Node, n.Leg}
	if f.known[key] = n.LegMedia; n.Receive == nil && n.Transmit == nil && n.Want == nil {
		delete(f.known, key)
	}
	for c := range h.watches[n.Device] {
		if _, listens := f.listeners[c]; listens {
			c.box.put(flowing{n.Node, n.LegMedia})
		}
	}
}

// eachNode runs something for every node of the cluster, those that come included, until ctx ends and all of it has.
func (s *Service) eachNode(ctx context.Context, run func(node string)) {
	var running sync.WaitGroup
	defer running.Wait()
	w := s.cfg.Bus.Board().Watch(s.cfg.Engines) // members, and hardly anything else
	defer w.Close()
	started := map[string]bool{}
	start := func(m bus.Member) {
		if (m.Alive || m.Self) && !started[m.Name] {
			started[m.Name] = true
			running.Go(func() { run(m.Name) })
		}
	}
	members := func() {
		for _, m := range s.cfg.Bus.Board().Nodes() {
			start(m)
		}
	}
	for members(); ; {
		select {
		case c, open := <-w.C():
			switch {
			case !open:
				return
			case c.Lagged:
				members()
			case c.Member != nil:
				start(*c.Member)
			}
		case <-ctx.Done():
			return
		}
	}
}
