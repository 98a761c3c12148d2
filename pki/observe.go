package pki

// Observation is what one full handshake showed.
type Observation struct {
	Identity string  // whose handshake: the identity's name
	Side     Side    // the end the peer is on
	Peer     string  // as the policy calls it: a trunk's name; may be empty
	Report   *Report // with the chain presented and its findings, also of a refused one. Not to be changed.
}

// Observe sends every full (not resumed) handshake's verification to the channel from now on; nil ends it. Sending
// never waits: what finds the channel full is dropped, and counted by Unobserved. One channel at a time.
func (id *Identity) Observe(to chan<- Observation) {
	if to == nil {
		id.observer.Store(nil)
		return
	}
	id.observer.Store(&to)
}

// Unobserved counts what was dropped because the observer's channel was full.
func (id *Identity) Unobserved() uint64 { return id.dropped.Load() }

func (id *Identity) observed(side Side, p PeerPolicy, r *Report, resumed bool) {
	to := id.observer.Load()
	if to == nil || resumed {
		return
	}
	select {
	case *to <- Observation{Identity: id.name, Side: side, Peer: p.Peer, Report: r}:
	default:
		id.dropped.Add(1)
	}
}
