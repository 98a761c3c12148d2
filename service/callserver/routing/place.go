package routing

import (
	"cmp"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact"
)

// returned: the engine offers the call to the call server's leg again.
func (m *Machine) returned(leg call.LegID) {
	was := m.at
	if was == returning {
		was = m.was
	}
	cause := m.cause
	gone, pulled := m.gone, m.pulled
	m.at, m.was, m.router, m.cause, m.pulled, m.doomed, m.gone = atRouter, was, leg, call.CauseNone, false, false, nothing
	with := m.with
	m.far, m.trunk, m.with = 0, "", ""
	m.dismiss()
	switch {
	case was == atBrowser || was == underWay && gone == toTreat && !pulled:
		m.browserFailed(was == underWay, cause)
	case was == underWay && gone == toNumber && m.connect.open && m.want == nothing:
		m.connectFailed(cause)
	case was == withFar && m.want == nothing && m.ringing.what == nothing:
		m.inquire(contact.Left, cause, with)
	}
	m.start()
	m.stay()
	m.keep()
}

// browserFailed: a browser was lost over the page, or none took the call. One that is lost is given another try, at another browser.
func (m *Machine) browserFailed(refused bool, cause call.Cause) {
	if m.want != nothing || m.ringing.what != nothing {
		return // it was to be left anyway
	}
	if m.page.tries++; !refused && m.page.tries < maxTries && len(m.page.steps) > 0 {
		m.page.fetched = false
		m.page.doc++ // what the lost one still asks for is not the same
		m.want = toTreat
		return
	}
	m.treatmentFailed(cause)
}

// maxTries is how often browsers may be lost over one page.
const maxTries = 2

// treatmentFailed: no browser does the page. Of a page of ours, a question that is open already tries another one when it is due.
func (m *Machine) treatmentFailed(cause call.Cause) {
	serial := m.page.serial
	m.page.steps, m.page.serial = nil, 0
	if serial != 0 && m.treat == serial {
		m.treat = 0
		m.note(contact.Note{Kind: contact.NoteFailed, Serial: serial, Cause: cause})
	}
	if serial != 0 || !m.ask.open {
		m.inquire(contact.TreatmentFailed, cause, "")
	}
}

// connectFailed: the number could not be reached.
func (m *Machine) connectFailed(cause call.Cause) {
	c := m.connect
	m.connect = connect{}
	if c.label.Serial == 0 {
		return // the survival number; it is tried again
	}
	m.note(contact.Note{Kind: contact.NoteFailed, Serial: c.label.Serial, Number: c.label.Number, Cause: cause})
	reason := contact.Failed
	switch cause {
	case call.UserBusy:
		reason = contact.Busy
	case call.NoAnswer, call.NoUserResponding, call.RecoveryOnTimerExpiry:
		reason = contact.NoAnswer
	}
	m.inquire(reason, cause, c.label.Number)
}

// start begins what is wanted, as far as the place allows.
func (m *Machine) start() {
	if m.want == nothing || m.dead {
		return
	}
	switch m.at {
	case atRouter:
		m.startRouter()
	case underWay:
		if m.want == toTreat || m.gone == toNumber { // a browser is waited for: somebody can be rung when it has answered
			m.pull()
		}
	case atBrowser:
		if m.want == toTreat && len(m.tokens) > 0 {
			m.want = nothing
			m.serve()
			return
		}
		m.deliver()
	case withFar:
		m.deliver()
	}
}

// startRouter sends the caller on from the call server's own leg.
func (m *Machine) startRouter() {
	if m.router == 0 {
		return // the engine has taken the leg away: it tells why
	}
	what := m.want
	m.want = nothing
	m.cancel()
	r := call.Redirect{Leg: m.router, To: ToBrowser, CallerSpace: true, Unsaid: true}
	if what == toNumber {
		r.To, r.Calling = m.number(), m.connect.label.Calling
		m.connect.due = m.now.Add(m.noAnswer())
	} else {
		r.Parameters = m.document()
	}
	m.at, m.gone, m.serial, m.far, m.trunk, m.pulled = underWay, what, m.connect.label.Serial, 0, "", false
	m.put(Do{r})
}

// pull fetches a caller back who is under way: who rings is left as soon as it is known.
func (m *Machine) pull() {
	if m.far == 0 || m.pulled {
		return
	}
	m.pulled = true
	m.put(Do{call.Redirect{Leg: m.far, To: ToRouter, CallerSpace: true, Unsaid: true}})
}

// cancel stops ringing whoever is rung beside.
func (m *Machine) cancel() {
	if m.ringing.what != nothing {
		m.ringing = delivery{}
		m.dismissEarly()
		m.put(Do{call.CancelDeliver{Call: m.id}})
	}
}

// deliver rings somebody, or another browser, for a caller who stays where it is.
func (m *Machine) deliver() {
	what := m.want
	m.want = nothing
	m.cancel()
	d := call.Deliver{Call: m.id, Instead: m.far, To: ToBrowser}
	if what == toNumber {
		d.To, d.Calling, d.NoAnswer = m.number(), m.connect.label.Calling, m.noAnswer()
		m.connect.due = m.now.Add(d.NoAnswer + late)
	} else {
		d.Parameters = m.document()
	}
	m.ringing, m.serial = delivery{what: what}, m.connect.label.Serial
	m.put(Do{d})
}

// late is how much later than the engine the machine gives up who does not answer.
const late = 5 * time.Second

// replied: the engine has taken a request, or not.
func (m *Machine) replied(r Replied) {
	switch x := r.Request.(type) {
	case call.Deliver:
		if m.ringing.what == nothing {
			return
		}
		if r.Reply.Cause == call.CauseNone {
			m.ringing.party = r.Reply.Party
			return
		}
		what := m.ringing.what
		m.ringing = delivery{}
		if r.Reply.Cause == call.NoSuchCall || r.Reply.Cause == call.WrongCallState {
			m.want = what // whom it was to take the place of has just left: that is told, and then it is begun anew
			return
		}
		m.deliveryFailed(what, r.Reply.Cause)
	case call.Redirect:
		m.redirected(x, r.Reply.Cause)
	}
}

// redirected: a Redirect that was refused leaves the call as it was.
func (m *Machine) redirected(x call.Redirect, cause call.Cause) {
	if cause == call.CauseNone {
		if x.Leg == m.router {
			m.router = 0
		}
		if x.To == ToRouter && m.at != atRouter {
			m.was, m.at = m.at, returning
		}
		return
	}
	if x.To == ToRouter { // it has answered, or is gone: that is told
		m.pulled = false
		return
	}
	if m.at != underWay || x.Leg != m.router {
		return
	}
	gone := m.gone
	m.at, m.gone = atRouter, nothing
	if m.want != nothing {
		m.start()
	} else if gone == toNumber {
		m.connectFailed(cause)
	} else {
		m.page.tries = maxTries
		m.treatmentFailed(cause)
	}
}

// deliveryFailed: who was rung beside cannot be had. The caller is where it was.
func (m *Machine) deliveryFailed(what work, cause call.Cause) {
	m.dismissEarly()
	if m.doomed && m.at == atBrowser {
		m.lost(call.DestinationOutOfOrder)
	}
	if what == toNumber {
		m.connectFailed(cause)
		return
	}
	m.treatmentFailed(cause)
}

// seen takes what the engine tells.
func (m *Machine) seen(s Seen) {
	if s.View == nil || s.View.Ended || s.Kind == call.CallEnded {
		m.ended(s.Cause)
		return
	}
	if m.caller == 0 {
		m.caller = callerOf(s.View)
		m.guard()
	}
	switch s.Kind {
	case call.EventNone:
		m.picture(s.View)
	case call.LegRinging:
		m.rings(s)
	case call.LegAlerted:
		m.alerted(s)
	case call.LegActive:
		m.active(s.View, s.Leg)
	case call.LegDropped:
		if m.at == underWay && s.Leg == m.far {
			m.far, m.trunk, m.pulled = 0, "", false // the engine tries the next member
			m.cause = s.Cause
		}
		if s.Leg == m.router {
			m.router = 0
		}
	case call.Delivered:
		if m.ringing.what != nothing && s.Party == m.ringing.party {
			m.arrive(m.ringing.what, s.View, s.Leg)
		} else {
			m.surprised(s)
		}
	case call.DeliverFailed:
		if m.ringing.what != nothing && s.Party == m.ringing.party {
			what := m.ringing.what
			m.ringing = delivery{}
			m.deliveryFailed(what, s.Cause)
		}
	case call.Guarded:
		m.guarded(s.Cause)
	}
}

// rings: a leg is being offered to somebody. To ourselves: the caller is back.
func (m *Machine) rings(s Seen) {
	l := legOf(s.View, s.Leg)
	switch {
	case l == nil:
	case l.Applet == Applet:
		if l.ID != m.router {
			m.returned(l.ID)
		}
	case m.at == underWay && m.far == 0 && l.Trunk != "" && s.Leg != m.caller:
		m.far, m.trunk = s.Leg, l.Trunk
		m.start()
	}
}

// guarded: all others have left; the engine brings the caller back.
func (m *Machine) guarded(cause call.Cause) {
	m.cause = cmp.Or(cause, m.cause)
	if m.at != returning && m.at != atRouter {
		m.was, m.at = m.at, returning
	}
}

// alerted: somebody says that it rings.
func (m *Machine) alerted(s Seen) {
	if m.at == underWay && m.gone == toNumber || m.ringing.what == toNumber && s.Party == m.ringing.party {
		if c := &m.connect; c.open && !c.alerts {
			c.alerts = true
			if c.label.Serial != 0 {
				m.note(contact.Note{Kind: contact.NoteRinging, Serial: c.label.Serial, Number: c.label.Number})
			}
		}
	}
}

// active: a leg is connected.
func (m *Machine) active(v *call.View, leg call.LegID) {
	l := legOf(v, leg)
	if m.at != underWay || l == nil || l.Trunk == "" || leg == m.caller {
		return
	}
	m.arrive(m.gone, v, leg)
}

// arrive: the caller is connected to whom it was sent to.
func (m *Machine) arrive(what work, v *call.View, leg call.LegID) {
	early := m.early
	if what == toTreat {
		m.early = nil
	}
	m.dismiss()
	if m.router != 0 && m.at == atRouter { // the caller came back to us while somebody was rung
		m.put(Free{m.router})
		m.router = 0
	}
	m.far, m.trunk, m.ringing, m.pulled, m.doomed, m.gone = leg, "", delivery{}, false, false, nothing
	if l := legOf(v, leg); l != nil {
		m.trunk = l.Trunk
	}
	if what == toTreat {
		m.at, m.with = atBrowser, ""
		if !m.page.fetched {
			m.page.fetchBy = m.now.Add(m.set.FetchTimeout)
		}
		if early != nil {
			m.submitted(*early)
		}
	} else {
		m.connected()
	}
	m.start()
	m.keep()
}

// surprised: somebody has answered who was to be rung no more, a moment before that was said. What is wanted now goes on from there.
func (m *Machine) surprised(s Seen) {
	m.dismiss()
	m.far, m.trunk, m.with, m.at = s.Leg, "", "", withFar
	if l := legOf(s.View, s.Leg); l != nil {
		m.trunk = l.Trunk
	}
	if m.ringing.what == nothing && m.want == nothing && len(m.page.steps) > 0 {
		m.want = toTreat // it was given to the browser that has just been left
	}
	m.start()
	m.keep()
}

// connected: the number of the Connect has answered. One that another Label has given up meanwhile is left as soon as that can be done.
func (m *Machine) connected() {
	c := m.connect
	m.at, m.with = withFar, ""
	if !c.open || c.label.Serial != m.serial {
		return
	}
	m.with, m.connect = c.label.Number, connect{}
	m.supersede()
	m.page.steps, m.page.fetchBy = nil, time.Time{}
	m.dismiss()
	if c.label.Serial != 0 {
		m.note(contact.Note{Kind: contact.NoteConnected, Serial: c.label.Serial, Number: c.label.Number})
	}
}

// supersede ends the treatment that was under way.
func (m *Machine) supersede() {
	if m.treat != 0 {
		m.note(contact.Note{Kind: contact.NoteSuperseded, Serial: m.treat})
		m.treat = 0
	}
}

// peerDown: whoever is behind the trunk is lost. A caller at a browser there is fetched back; somebody's talk goes on as long as its media does.
func (m *Machine) peerDown(trunk string) {
	if m.at == atBrowser && m.trunk == trunk {
		m.lost(call.DestinationOutOfOrder)
	}
}

// lost fetches a caller back from a browser that does not do what it should.
// While somebody is rung for it, it is left there until that has an end.
func (m *Machine) lost(cause call.Cause) {
	m.page.fetchBy = time.Time{}
	if m.doomed = m.ringing.what != nothing; m.doomed {
		return
	}
	m.cause = cause
	m.put(Do{call.Redirect{Leg: m.far, To: ToRouter, CallerSpace: true, Unsaid: true}})
}

// picture puts the machine right after events were lost: first who has answered, then who has gone.
func (m *Machine) picture(v *call.View) {
	var active, rings, back call.LegID
	var party call.PartyID
	before := m.ringing.party // one that is begun here is not in the picture yet
	for _, p := range v.Parties {
		if isGuest(p) {
			continue
		}
		for i := range p.Legs {
			switch l := &p.Legs[i]; {
			case l.ID == m.caller || l.State == call.LegIsDropped:
			case l.Applet == Applet:
				back = l.ID
			case l.Trunk != "" && l.State == call.LegIsActive:
				active, party = l.ID, p.ID
			case l.Trunk != "" && (m.ringing.what == nothing || p.ID != m.ringing.party):
				rings = l.ID
			}
		}
	}
	switch {
	case active != 0 && active != m.far && m.ringing.what != nothing && party == m.ringing.party:
		m.arrive(m.ringing.what, v, active)
	case active != 0 && m.at == underWay:
		m.arrive(m.gone, v, active)
	case active != 0 && active != m.far:
		m.surprised(Seen{Leg: active, View: v})
	case back != 0 && back != m.router:
		m.returned(back)
	case active == 0 && (m.at == atBrowser || m.at == withFar):
		m.was, m.at = m.at, returning
	case m.at == underWay && m.far != rings:
		m.far, m.trunk, m.pulled = rings, "", false
	}
	if r := m.ringing; before != 0 && r.what != nothing && r.party == before && partyOf(v, r.party) == nil {
		m.ringing = delivery{}
		m.deliveryFailed(r.what, call.TemporaryFailure)
	}
	m.start()
}

// callerOf is the leg that came in; zero where it is not there.
func callerOf(v *call.View) call.LegID {
	for _, p := range v.Parties {
		for i := range p.Legs {
			if p.Legs[i].Incoming {
				return p.Legs[i].ID
			}
		}
	}
	return 0
}

// isGuest says whether somebody is, or will be, a supervisor: the caller is never with one, and nothing is done for the caller because of one.
func isGuest(p *call.PartyView) bool {
	return p.Purpose == call.PurposeListen || p.Purpose == call.PurposeJoin
}

// legOf is a leg of the call, unless it is a guest's.
func legOf(v *call.View, id call.LegID) *call.LegView {
	for _, p := range v.Parties {
		if isGuest(p) {
			continue
		}
		for i := range p.Legs {
			if p.Legs[i].ID == id {
				return &p.Legs[i]
			}
		}
	}
	return nil
}

func partyOf(v *call.View, id call.PartyID) *call.PartyView {
	for _, p := range v.Parties {
		if p.ID == id {
			return p
		}
	}
	return nil
}
