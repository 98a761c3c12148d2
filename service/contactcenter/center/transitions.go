package center

// A stimulus is what can happen to an agent. Requests may be refused; facts never are.
type stimulus uint8

const (
	// Requests of the agent.
	onLogIn stimulus = iota
	onLogOut
	onReady
	onNotReady
	// Requests of a supervisor.
	onForceReady
	onForceNotReady
	onForceLogOut
	// What becomes of offers and contacts.
	onReserve
	onConnect
	onNoAnswer
	onRefuse
	onWithdraw
	onAdopt
	onHold
	onRetrieve
	onCallEnd
	// Time.
	onWrapUpOver
	onSettle
	// The phone and the desktop.
	onDeviceLost
	onDeviceFound
	onPhoneBusy
	onPhoneIdle
	onSessionLost
	stimuli // how many there are
)

// stimulusTexts say what each is, for docs/agent-states.md.
var stimulusTexts = [...][2]string{
	{"log in", "the agent logs in at a phone"},
	{"log out", "the agent logs out"},
	{"ready", "the agent wants contacts"},
	{"not ready", "the agent wants none, with a reason"},
	{"force ready", "a supervisor makes the agent ready"},
	{"force not ready", "a supervisor makes the agent not ready"},
	{"force log out", "a supervisor, or the agent's removal from the site, logs the agent out"},
	{"reserve", "a contact is offered"},
	{"connect", "the offered contact and the agent are connected"},
	{"no answer", "the agent's phone rang in vain"},
	{"refuse", "the agent's phone was busy or could not be rung"},
	{"withdraw", "the offer ends otherwise: the caller has hung up, or nobody said what became of it"},
	{"adopt", "a contact is found connected to the agent without an offer: it was transferred, or told again"},
	{"hold", "the agent puts the contact on hold"},
	{"retrieve", "the agent takes it back"},
	{"call end", "the last contact has left the agent"},
	{"wrap-up over", "the time for wrapping up is over"},
	{"settle", "after a new life of the contact centre all calls have been told again"},
	{"device lost", "the agent's phone is no longer registered"},
	{"device found", "it is registered again"},
	{"phone busy", "the agent's phone has a call that is no contact"},
	{"phone idle", "it has none any more"},
	{"session lost", "the agent's desktop has been away for longer than the grace time"},
}

func (s stimulus) String() string { return stimulusTexts[s][0] }

// A target is the state a transition leads to, or a choice that what is known of the agent decides.
type target uint8

const (
	toSame target = iota
	toLoggedOut
	toNotReady
	toReady
	toReserved
	toTalking
	toHold
	toWork
	toRest      // see rest
	toAfterCall // work where the team wraps up and the agent does not log out, else toRest
	toUnheard   // logged out when the agent wants that, else not ready
	toResume    // ready when the agent is not ready for no other reason than a busy phone, else the same
	toRestored  // after a new life: what the agent was in before, as far as that still is
)

// targetTexts say what each is, for docs/agent-states.md; states say it themselves.
var targetTexts = map[target]string{
	toSame:      "same",
	toRest:      "rest",
	toAfterCall: "after call",
	toUnheard:   "unheard",
	toResume:    "resume",
	toRestored:  "restored",
}

// An action is done on the way, before the new state is entered.
type action uint8

const (
	doNothing      action = iota
	doRefuse              // the request is refused
	doWantReady           // the agent will be ready when it is free
	doWantNotReady        // the agent will be not ready when it is free
	doWantLogOut          // the agent will be logged out when it is free
	doGiveBack            // the offered contact goes back to its place in its queue
	doAttach              // the agent's new desktop takes the place of the old one
)

var actionTexts = [...]string{"", "refused", "ready afterwards", "not ready afterwards", "logged out afterwards", "the contact goes back to its place", "the desktop is attached again"}

// A transition is one cell of the table.
type transition struct {
	to target
	do action
}

// transitions is the table: what happens to an agent in a state by a stimulus. Every cell is meant; the zero cell is "nothing happens".
//
// A request that is refused changes nothing and says why. A fact that changes nothing is remembered (whether the device is
// there, the phone is busy, the desktop is there), and counts when the agent is free: see rest.
//
//house:flat
func transitions() [states][stimuli]transition {
	no := transition{do: doRefuse}
	return [states][stimuli]transition{
		LoggedOut: {
			onLogIn: {to: toNotReady}, onLogOut: no, onReady: no, onNotReady: no, onForceReady: no, onForceNotReady: no, onForceLogOut: no,
		},
		NotReady: {
			onLogIn: {do: doAttach}, onLogOut: {to: toLoggedOut}, onReady: {to: toRest, do: doWantReady}, onNotReady: {to: toNotReady, do: doWantNotReady},
			onForceReady: {to: toRest, do: doWantReady}, onForceNotReady: {to: toNotReady, do: doWantNotReady}, onForceLogOut: {to: toLoggedOut},
			onAdopt: {to: toTalking}, onSettle: {to: toRestored}, onPhoneIdle: {to: toResume},
		},
		Ready: {
			onLogIn: {do: doAttach}, onLogOut: {to: toLoggedOut}, onReady: {}, onNotReady: {to: toNotReady, do: doWantNotReady},
			onForceReady: {}, onForceNotReady: {to: toNotReady, do: doWantNotReady}, onForceLogOut: {to: toLoggedOut},
			onReserve: {to: toReserved}, onAdopt: {to: toTalking},
			onDeviceLost: {to: toNotReady, do: doWantNotReady}, onPhoneBusy: {to: toRest}, onSessionLost: {to: toNotReady, do: doWantNotReady},
		},
		Reserved: {
			onLogIn: {do: doAttach}, onLogOut: {do: doWantLogOut}, onReady: {do: doWantReady}, onNotReady: {do: doWantNotReady},
			onForceReady: {do: doWantReady}, onForceNotReady: {to: toNotReady, do: doGiveBack}, onForceLogOut: {to: toLoggedOut, do: doGiveBack},
			onConnect: {to: toTalking}, onNoAnswer: {to: toUnheard}, onRefuse: {to: toUnheard}, onWithdraw: {to: toRest}, onAdopt: {to: toTalking, do: doGiveBack},
			onDeviceLost: {to: toNotReady, do: doGiveBack},
		},
		Talking: {
			onLogIn: {do: doAttach}, onLogOut: {do: doWantLogOut}, onReady: {do: doWantReady}, onNotReady: {do: doWantNotReady},
			onForceReady: {do: doWantReady}, onForceNotReady: {do: doWantNotReady}, onForceLogOut: {do: doWantLogOut},
			onHold: {to: toHold}, onCallEnd: {to: toAfterCall},
		},
		Hold: {
			onLogIn: {do: doAttach}, onLogOut: {do: doWantLogOut}, onReady: {do: doWantReady}, onNotReady: {do: doWantNotReady},
			onForceReady: {do: doWantReady}, onForceNotReady: {do: doWantNotReady}, onForceLogOut: {do: doWantLogOut},
			onAdopt: {to: toTalking}, onRetrieve: {to: toTalking}, onCallEnd: {to: toAfterCall},
		},
		Work: {
			onLogIn: {do: doAttach}, onLogOut: {to: toLoggedOut}, onReady: {to: toRest, do: doWantReady}, onNotReady: {to: toNotReady, do: doWantNotReady},
			onForceReady: {to: toRest, do: doWantReady}, onForceNotReady: {to: toNotReady, do: doWantNotReady}, onForceLogOut: {to: toLoggedOut},
			onAdopt: {to: toTalking}, onWrapUpOver: {to: toRest},
		},
	}
}
