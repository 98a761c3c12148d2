package call

// answering: an application answers a call in the place of a phone, or takes one that a terminal of its own was offered. The engine only
// passes the wish on: whether the leg has answered, or rings, its driver says as for any other. Phones ring by
// themselves, so there is nothing to be done for those that are accepted.
type answering struct{ abstain }

func (answering) request(e *Engine, r Request, reply *Reply) bool {
	switch r := r.(type) {
	case AnswerCall:
		if l := e.ringingHere(r.Leg, reply); l != nil {
			e.holdOthers(l.device, l)
			e.tell(l, AnswerNow{l.id})
		}
	case AcceptCall:
		if l := e.ringingHere(r.Leg, reply); l != nil && l.state == LegOffering && e.terminal(l) {
			e.tell(l, AcceptNow{l.id})
		}
	default:
		return false
	}
	return true
}

// ringingHere is a leg that rings at a device of this node; nil, with the reply filled in, if that is none.
func (e *Engine) ringingHere(id LegID, reply *Reply) *Leg {
	l := e.legs[id]
	switch {
	case l == nil:
		reply.Cause, reply.Why = NoSuchCall, "there is no leg "+id.String()
	case l.tie != nil:
		reply.Cause, reply.Why = NoSuchCall, "leg "+id.String()+" leads to node "+l.node()+", which is to be asked"
	case l.device == "":
		reply.Cause, reply.Why = FacilityRejected, l.name()+" is no phone"
	case !l.ringing():
		reply.Cause, reply.Why = WrongCallState, "leg "+id.String()+" does not ring, it is "+l.state.String()
	default:
		reply.Call, reply.Leg = l.party.call.id, id
		return l
	}
	return nil
}

// activeHere is an active leg; nil, with the reply filled in, if that is none.
func (e *Engine) activeHere(id LegID, reply *Reply) *Leg {
	l := e.legs[id]
	switch {
	case l == nil:
		reply.Cause, reply.Why = NoSuchCall, "there is no leg "+id.String()
	case !l.active():
		reply.Cause, reply.Why = WrongCallState, "leg "+id.String()+" is not active, it is "+l.state.String()
	default:
		reply.Call, reply.Leg = l.party.call.id, id
		return l
	}
	return nil
}

// holdOthers puts the calls that a device is in on hold, but for one: nobody talks in two at once. A phone does that by itself when its user
// takes another call; when an application does, it is done here. A terminal is the application itself, and has as many calls as it likes.
func (e *Engine) holdOthers(device string, but *Leg) {
	if d := e.config.devices[device]; d == nil || d.Terminal {
		return
	}
	for _, o := range e.device(device).legs {
		if o != but && o.active() && o.tie == nil && !o.party.held && o.party.stay == nil {
			e.setHeld(o, true)
			e.touch(o.party.call)
		}
	}
}
