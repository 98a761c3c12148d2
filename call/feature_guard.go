package call

// guarding keeps a caller whom all others have left.
type guarding struct{ abstain }

func (guarding) request(_ *Engine, r Request, reply *Reply) bool {
	if _, ok := r.(SetGuard); !ok {
		return false
	}
	reply.Cause, reply.Why = ServiceNotImplemented, "this engine does not guard yet"
	return true
}
