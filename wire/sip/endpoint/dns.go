package endpoint

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/resolve"
	"github.com/locktone/locktone/wire/sip/transport"
)

// mostHops is how many targets of one name are tried for one request: each may cost a timeout.
const mostHops = 8

// HopReporter is a Resolver that wants to know which hops failed, so that it orders them last for a while (RFC 3263, 4.3).
// retryAfter is that of a 503, 0 without one. It is called on shards and must not block.
type HopReporter interface {
	HopFailed(h Hop, retryAfter time.Duration)
}

// DNS makes a Resolver of the RFC 3263 resolver.
func DNS(r *resolve.Resolver) Resolver { return dns{r} }

type dns struct{ r *resolve.Resolver }

// ResolveSIP lists the first targets in their order.
func (d dns) ResolveSIP(ctx context.Context, uri sip.URI) ([]Hop, error) {
	targets, err := d.r.Resolve(ctx, uri)
	if err != nil {
		return nil, err
	}
	var hops []Hop
	for len(hops) < mostHops {
		t, err := targets.Next(ctx)
		switch {
		case errors.Is(err, resolve.ErrExhausted), err != nil && len(hops) > 0:
			return hops, nil
		case err != nil:
			return nil, err
		}
		if n := transport.ParseNetwork(t.Network); n != transport.NoNetwork {
			hops = append(hops, Hop{n, t.Addr})
		}
	}
	return hops, nil
}

// HopFailed passes the news on.
func (d dns) HopFailed(h Hop, retryAfter time.Duration) {
	d.r.Failed(resolve.Target{Network: h.Network.String(), Addr: h.Addr}, retryAfter)
}

// reportHop tells the resolver that the hop in use failed, if it gave it.
func (tx *ClientTx) reportHop(m *sip.Message) {
	r, ok := tx.s.e.cfg.Resolver.(HopReporter)
	if !ok || !tx.asked || tx.internal {
		return
	}
	var retryAfter time.Duration
	if m != nil {
		if seconds, err := strconv.Atoi(m.Header("Retry-After")); err == nil && seconds > 0 {
			retryAfter = time.Duration(seconds) * time.Second
		}
	}
	r.HopFailed(tx.hop, retryAfter)
}
