package desk

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// An Event is a message of the WebSocket. The first is the picture; each after it has what is different: agents, queues and contacts as
// they are now, and the ids of contacts that are no longer seen.
type Event struct {
	Kind     string    `json:"kind" enum:"view,changed,heartbeat"`
	At       time.Time `json:"at"`
	Agents   []Agent   `json:"agents,omitempty"`
	Queues   []Queue   `json:"queues,omitempty"`
	Contacts []Contact `json:"contacts,omitempty"`
	Gone     []string  `json:"gone,omitempty" doc:"contacts that are no longer there"`
}

const (
	beat     = 15 * time.Second // between signs of life
	slowest  = 10 * time.Second // for a desktop to take a message
	gathered = 50 * time.Millisecond
)

// serveEvents tells a desktop what happens. A desktop that does not read is cut off: when it is back it gets the picture anew.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	agent, session, ok := s.sessions.of(tokenOf(r), s.now())
	if !ok {
		http.Error(w, "nobody is logged in with this token", http.StatusUnauthorized)
		return
	}
	select {
	case s.events <- struct{}{}:
		defer func() { <-s.events }()
	default:
		http.Error(w, "too many desktops are connected", http.StatusServiceUnavailable)
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}})
	if err != nil {
		return // it has been answered
	}
	defer c.CloseNow()
	s.cfg.Floor.Attached(agent, session, true)
	defer s.cfg.Floor.Attached(agent, session, false)
	ctx := c.CloseRead(r.Context()) // desktops say nothing here
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(s.ctx, cancel)
	s.tell(ctx, c, agent)
	if s.ctx.Err() != nil {
		c.Close(websocket.StatusGoingAway, "the contact centre is being stopped")
	}
}

// tell sends the picture, and then what is different, until the desktop has gone.
func (s *Server) tell(ctx context.Context, c *websocket.Conn, agent string) {
	quiet := time.NewTicker(beat)
	defer quiet.Stop()
	all, changed := s.cfg.Floor.Look()
	seen := all.seenBy(agent)
	if s.send(ctx, c, Event{Kind: "view", Agents: seen.Agents, Queues: seen.Queues, Contacts: seen.Contacts}) != nil {
		return
	}
	told := remember(seen)
	for {
		select {
		case <-ctx.Done():
			return
		case <-quiet.C:
			if s.send(ctx, c, Event{Kind: "heartbeat"}) != nil {
				return
			}
			continue
		case <-changed:
		}
		select { // many things happen at the same time
		case <-time.After(gathered):
		case <-ctx.Done():
			return
		}
		all, changed = s.cfg.Floor.Look()
		e := told.different(all.seenBy(agent))
		if len(e.Agents)+len(e.Queues)+len(e.Contacts)+len(e.Gone) == 0 {
			continue
		}
		if s.send(ctx, c, e) != nil {
			return
		}
		quiet.Reset(beat)
	}
}

func (s *Server) send(ctx context.Context, c *websocket.Conn, e Event) error {
	e.At = s.now().UTC()
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, slowest)
	defer cancel()
	return c.Write(ctx, websocket.MessageText, b)
}

// memory is what a desktop was told: the Rev of each, by name.
type memory struct{ agents, queues, contacts map[string]uint64 }

func remember(v View) *memory {
	m := &memory{map[string]uint64{}, map[string]uint64{}, map[string]uint64{}}
	m.different(v)
	return m
}

// different is what of a picture was not told yet; it counts as told.
func (m *memory) different(v View) Event {
	e := Event{Kind: "changed"}
	for _, a := range v.Agents {
		if isNews(m.agents, a.Name, a.Rev) {
			e.Agents = append(e.Agents, a)
		}
	}
	for _, q := range v.Queues {
		if isNews(m.queues, q.Name, q.Rev) {
			e.Queues = append(e.Queues, q)
		}
	}
	there := map[string]bool{}
	for _, c := range v.Contacts {
		there[c.ID] = true
		if isNews(m.contacts, c.ID, c.Rev) {
			e.Contacts = append(e.Contacts, c)
		}
	}
	for id := range m.contacts {
		if !there[id] {
			e.Gone = append(e.Gone, id)
			delete(m.contacts, id)
		}
	}
	return e
}

// isNews says whether something is not what was told, and notes it.
func isNews(told map[string]uint64, name string, rev uint64) bool {
	was, known := told[name]
	told[name] = rev
	return !known || was != rev
}
