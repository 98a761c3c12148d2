package contactcenter

import (
	"errors"

	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/contactcenter/center"
	"github.com/locktone/locktone/service/contactcenter/phones"
)

var errNoPhones = errors.New("the contact centre has no agents' phones: it needs a CTI application")

// seat follows the phone an agent is logged in at.
func (l *leader) seat(r center.AgentRecord) {
	was := l.seats[r.Agent]
	if l.s.cfg.Phones == nil || was == r.Device {
		return
	}
	if was != "" {
		l.s.cfg.Phones.Leave(was)
		delete(l.seats, r.Agent)
	}
	if r.Device != "" {
		l.s.cfg.Phones.Follow(r.Device, r.Number)
		l.seats[r.Agent] = r.Device
	}
}

// followPhones tells the centre what agents' phones do.
func (l *leader) followPhones() {
	for {
		p, err := l.s.cfg.Phones.Next(l.term)
		if err != nil {
			return // the term is over, or the phones are closed
		}
		for _, in := range l.s.seen(p) {
			l.put(message{in: in})
		}
	}
}

// seen is what a picture of a phone means. Which of its calls are contacts is told by how many the agent has: a phone with more has
// another one.
func (s *Service) seen(p phones.Phone) []center.Input {
	out := []center.Input{center.Device{Device: p.Device, Up: p.InService}}
	var agent *center.AgentRecord
	all := s.Look().Agents
	for i := range all {
		if all[i].Device == p.Device {
			agent = &all[i]
		}
	}
	if agent == nil {
		return append(out, center.Phone{Device: p.Device, Busy: len(p.Calls) > 0})
	}
	held, talking := false, false
	for _, c := range p.Calls {
		held, talking = held || c.State == phones.Held, talking || c.State == phones.Talking
	}
	contacts := len(agent.Calls)
	out = append(out, center.Phone{Device: p.Device, Busy: contacts == 0 && len(p.Calls) > 0})
	if agent.State == center.Talking || agent.State == center.Hold {
		out = append(out, center.Held{Agent: agent.Agent, Held: held && !talking})
	}
	return append(out, s.callbackSeen(agent, p)...)
}

// callbackSeen is what the phone of an agent who calls somebody back says of that.
func (s *Service) callbackSeen(agent *center.AgentRecord, p phones.Phone) []center.Input {
	var id contact.CallID
	for _, v := range s.Look().Contacts {
		if v.Callback && v.Agent == agent.Agent {
			id = v.Call
		}
	}
	if id == "" {
		return nil
	}
	result, known := center.DialFailed, len(p.Calls) == 0
	for _, c := range p.Calls {
		if c.Outgoing && c.State == phones.Talking {
			result, known = center.DialConnected, true
		}
	}
	switch {
	case !known:
		return nil
	case result == center.DialFailed && (agent.State == center.Talking || agent.State == center.Hold):
		result = center.DialEnded
	}
	return []center.Input{center.Dialled{Callback: id, Result: result}}
}
