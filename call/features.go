package call

// A feature is one row of the interaction policy. Each input is shown to the features in their order until one takes it;
// a feature that has something to add but leaves the rest to others does so and returns false.
type feature interface {
	// signal: something happened to a leg.
	signal(e *Engine, l *Leg, s Signal) (taken bool)
	// request: an application wants something; the reply is filled in.
	request(e *Engine, r Request, reply *Reply) (taken bool)
	// expired: a timer went off.
	expired(e *Engine, t *timer) (taken bool)
	// failed: a called party could not be reached; none of its legs is left ringing.
	failed(e *Engine, p *Party, cause Cause) (taken bool)
}

// features is the order: who comes first wins where two features could act.
//
//   - loops and limits first, so that nothing else is done for a call that must not be made;
//   - duration before all others that own timers: it ends everything;
//   - who joins a call by barge or conference code is no called party: neither hunts nor forwards see it;
//   - the hunt before the forwards: members of a group are asked for the group, their own forwards do not act;
//   - forwards before the transfer: who is transferred to a line that cannot take the call is forwarded like every caller;
//   - what a tie says of its far end comes before whoever acts on it;
//   - guests before whoever could send them, or a call by them, elsewhere: a guest can be held and dropped, and nothing else;
//   - the lock state sees every leg that comes or answers before anybody acts on it;
//   - deliver before transfer, hold and basic: who makes room for the one who answers leaves first, and nobody is mixed;
//   - the guard before whatever would release the caller it is for;
//   - transfer before hold and basic: a transferor that leaves is not the end of a call;
//   - failover before redirection: a trunk that fails is no answer of the called line;
//   - the shared line before basic: the other devices are set aside before the answer goes to the caller.
var features = [...]feature{
	hopLimit{}, callLimit{}, durationLimit{}, lockState{}, settings{}, ties{}, guests{}, parks{}, pickups{}, takeOvers{}, codes{}, conference{}, barge{}, hunting{}, forwarding{},
	deliver{}, guarding{}, transfer{}, replacing{}, digits{}, hold{}, sharedLine{}, failover{}, noAnswer{}, redirection{}, retries{}, makeCall{}, answering{}, dropping{}, measuring{}, reminders{}, basic{},
}

// abstain takes nothing; a feature embeds it for the inputs it has no say in.
type abstain struct{}

func (abstain) signal(*Engine, *Leg, Signal) bool     { return false }
func (abstain) request(*Engine, Request, *Reply) bool { return false }
func (abstain) expired(*Engine, *timer) bool          { return false }
func (abstain) failed(*Engine, *Party, Cause) bool    { return false }

// retries makes offers of ours again that collided: the settling that follows every input does it.
type retries struct{ abstain }

func (retries) expired(_ *Engine, t *timer) bool { return t.kind == timerRetry }
