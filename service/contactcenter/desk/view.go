package desk

import (
	"slices"
	"time"

	"github.com/locktone/locktone/service/contactcenter/phones"
)

// A View is the whole picture of the floor at one moment. It is a value that nobody changes.
type View struct {
	Agents   []Agent   `json:"agents"`
	Queues   []Queue   `json:"queues"`
	Contacts []Contact `json:"contacts"`

	byName     map[string]int      // agents
	byTeam     map[string][]int    // agents
	byAgent    map[string][]int    // contacts
	supervised map[string][]string // teams, by supervisor
}

// NewView is a picture; supervisors are those of each team.
func NewView(agents []Agent, queues []Queue, contacts []Contact, supervisors map[string][]string) *View {
	v := &View{Agents: agents, Queues: queues, Contacts: contacts,
		byName: make(map[string]int, len(agents)), byTeam: map[string][]int{}, byAgent: map[string][]int{}, supervised: map[string][]string{}}
	for i, a := range agents {
		v.byName[a.Name] = i
		v.byTeam[a.Team] = append(v.byTeam[a.Team], i)
	}
	for i, c := range contacts {
		if c.Agent != "" {
			v.byAgent[c.Agent] = append(v.byAgent[c.Agent], i)
		}
	}
	for team, list := range supervisors {
		for _, who := range list {
			v.supervised[who] = append(v.supervised[who], team)
		}
	}
	return v
}

// An Agent is somebody who takes contacts.
type Agent struct {
	// Rev is another number whenever anything else here is different.
	Rev    uint64    `json:"-"`
	Name   string    `json:"name"`
	Team   string    `json:"team,omitempty"`
	State  string    `json:"state" enum:"logged-out,not-ready,ready,reserved,talking,hold,work"`
	Reason string    `json:"reason,omitempty" doc:"why not ready"`
	Since  time.Time `json:"since"`
	// Until is when the state ends by itself: an offer, wrapping up.
	Until   time.Time     `json:"until,omitzero"`
	Device  string        `json:"device,omitempty"`
	Number  string        `json:"number,omitempty"`
	Contact string        `json:"contact,omitempty"`
	Phone   *phones.Phone `json:"phone,omitempty" doc:"the phone with its calls; of oneself and of agents one supervises"`
}

// A Queue is one queue with its live figures.
type Queue struct {
	// Rev is another number whenever anything else here is different.
	Rev            uint64    `json:"-"`
	Name           string    `json:"name"`
	Waiting        int       `json:"waiting"`
	Oldest         time.Time `json:"oldest,omitzero" doc:"since when the one has waited who has waited longest"`
	Estimate       float64   `json:"estimated_wait_seconds"`
	ServiceLevel   *float64  `json:"service_level_percent,omitempty" doc:"of today; absent while there was no contact"`
	ServiceTarget  float64   `json:"service_target_seconds"`
	Offered        int       `json:"offered"`
	Answered       int       `json:"answered"`
	Abandoned      int       `json:"abandoned"`
	Ready          int       `json:"agents_ready"`
	Talking        int       `json:"agents_talking"`
	NotReady       int       `json:"agents_not_ready"`
	AfterContact   int       `json:"agents_work"`
	LoggedIn       int       `json:"agents_logged_in"`
	AverageAnswer  float64   `json:"average_answer_seconds"`
	AverageHandle  float64   `json:"average_handle_seconds"`
	LongestWaiting float64   `json:"longest_wait_seconds"`
}

// A Contact is a caller.
type Contact struct {
	Rev       uint64            `json:"-"` // as of Agent
	ID        string            `json:"id"`
	State     string            `json:"state"`
	Queue     string            `json:"queue,omitempty"`
	Position  int               `json:"position,omitempty"`
	Priority  int               `json:"priority,omitempty"`
	Agent     string            `json:"agent,omitempty"`
	Calling   string            `json:"calling,omitempty"`
	Display   string            `json:"display,omitempty"`
	Called    string            `json:"called,omitempty"`
	Began     time.Time         `json:"began"`
	Queued    time.Time         `json:"queued,omitzero"`
	Variables map[string]string `json:"variables,omitempty"`
}

// agent finds an agent.
func (v *View) agent(name string) (Agent, bool) {
	i, ok := v.byName[name]
	if !ok {
		return Agent{}, false
	}
	return v.Agents[i], true
}

// knows says whether somebody is an agent or a supervisor.
func (v *View) knows(who string) bool {
	_, agent := v.byName[who]
	return agent || len(v.supervised[who]) > 0
}

// supervises says whether somebody supervises an agent's team.
func (v *View) supervises(who string, a Agent) bool {
	return slices.Contains(v.supervised[who], a.Team)
}

// seenBy is what somebody may see of the picture: of the own team, and of those that are supervised; contacts and phones of oneself and of
// those who are supervised.
func (v *View) seenBy(who string) View {
	out := View{Queues: v.Queues, Agents: []Agent{}, Contacts: []Contact{}}
	teams := v.supervised[who]
	own, ok := v.agent(who)
	if ok && !slices.Contains(teams, own.Team) {
		if teams = slices.Clone(teams); own.Team != "" {
			teams = append(teams, own.Team)
		} else {
			v.show(&out, own, true)
		}
	}
	for _, team := range teams {
		for _, i := range v.byTeam[team] {
			a := v.Agents[i]
			v.show(&out, a, a.Name == who || v.supervises(who, a))
		}
	}
	return out
}

// show adds an agent, and what only those who are near it may see.
func (v *View) show(out *View, a Agent, near bool) {
	if !near {
		a.Phone, a.Contact = nil, ""
	}
	out.Agents = append(out.Agents, a)
	if near {
		for _, i := range v.byAgent[a.Name] {
			out.Contacts = append(out.Contacts, v.Contacts[i])
		}
	}
}
