package call

// deliver rings somebody for a caller who meanwhile goes on hearing whom it hears, and connects them when there is an answer.
type deliver struct{ abstain }

func (deliver) request(_ *Engine, r Request, reply *Reply) bool {
	switch r.(type) {
	case Deliver, CancelDeliver:
		reply.Cause, reply.Why = ServiceNotImplemented, "this engine does not deliver yet"
		return true
	}
	return false
}
