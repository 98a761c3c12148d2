package admin

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/store"
)

// contactOperations show the contact centre: live, as the node that leads it has it, and what is over. Viewers see queues, which name nobody.
func (s *Server) contactOperations(api huma.API) {
	add(s, api, get("cc-agents", "/v1/cc/agents", RoleOperator, "Agents of the contact centre now; name is an agent's"), liveContact[bus.AgentState](s, bus.VerbAgents))
	add(s, api, get("cc-queues", "/v1/cc/queues", RoleViewer, "Queues of the contact centre now; name is a queue's"), liveContact[bus.ContactQueueState](s, bus.VerbContactQueues))
	add(s, api, get("cc-contacts", "/v1/cc/contacts", RoleOperator, "Contacts now; name is a contact's"), liveContact[bus.ContactState](s, bus.VerbContacts))
	add(s, api, get("contact-history", "/v1/history/contacts", RoleOperator, "Records of contacts that are over, oldest first, page by page; party is a number, an agent or a queue"),
		pageOf(s, CallRecords.Contacts, func(r *store.ContactRecord) int64 { return r.ID }))
	add(s, api, get("queue-history", "/v1/history/queues", RoleViewer, "What happened in queues, interval by interval, oldest first, page by page; party is a queue"),
		pageOf(s, CallRecords.QueueIntervals, func(r *store.QueueInterval) int64 { return r.ID }))
	add(s, api, get("agent-history", "/v1/history/agents", RoleOperator, "What agents did with their time, interval by interval, oldest first, page by page; party is an agent or a team"),
		pageOf(s, CallRecords.AgentIntervals, func(r *store.AgentInterval) int64 { return r.ID }))
}

// liveContact answers with what the node that leads the contact centre shows. Where none does, it says so.
func liveContact[T any](s *Server, verb string) func(context.Context, *byName) (*body[Rows[T]], error) {
	return func(ctx context.Context, in *byName) (*body[Rows[T]], error) {
		out := gather[T](ctx, s, verb, in.Name)
		if len(s.cfg.Bus.Board().Of(contact.FactRouter, contact.RouterKey)) == 0 {
			out.Problems = append(out.Problems, "no contact centre leads: a node needs "+config.ServiceContactCenter.String()+" among its services, and a moment after its start")
		}
		return &body[Rows[T]]{out}, nil
	}
}
