package call

// accepting has a call ring at a terminal that it was offered to: its application has looked at it and neither answers nor redirects it yet.
// Phones ring by themselves, there is nothing to be done for those.
type accepting struct{ abstain }

func (accepting) request(e *Engine, r Request, reply *Reply) bool {
	a, ok := r.(AcceptCall)
	if !ok {
		return false
	}
	l := e.legs[a.Leg]
	switch {
	case l == nil:
		reply.Cause, reply.Why = NoSuchCall, "there is no leg with that id to be accepted"
		return true
	case !l.ringing():
		reply.Cause, reply.Why = FacilityRejected, "the leg is not one that rings"
		return true
	case l.state == LegOffering && e.terminal(l):
		e.tell(l, AcceptNow{l.id})
	}
	reply.Call, reply.Leg = l.party.call.id, l.id
	return true
}
