package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
)

// callManagerService decides when a drained node ends. elementServices carry calls too: they are drained with it, or alone where a node has no
// call manager. The other services keep nothing that somebody would miss.
const callManagerService = "callmanager"

var elementServices = [...]string{"border", "callserver", "voicebrowser"}

// NodeDrain drains a node.
type NodeDrain struct {
	Name    string `json:"name" minLength:"1" maxLength:"63" doc:"the node"`
	Seconds int    `json:"seconds,omitempty" minimum:"0" maximum:"86400" doc:"after which the node ends although there are calls; default 600"`
	Stay    bool   `json:"stay,omitempty" doc:"keep running when nothing is left to serve"`
}

type nodeDrainInput struct{ Body NodeDrain }

func (i *nodeDrainInput) object() string { return i.Body.Name }

// NodeResume ends a drain.
type NodeResume struct {
	Name string `json:"name" minLength:"1" maxLength:"63"`
}

type nodeResumeInput struct{ Body NodeResume }

func (i *nodeResumeInput) object() string { return i.Body.Name }

func (s *Server) drainOperations(api huma.API) {
	add(s, api, operation{id: "node-drain", method: http.MethodPost, path: "/v1/nodes/drain", role: RoleAdministrator, action: "node-drain",
		summary: "Drain a node: it takes nobody new, hands its devices to the other nodes of their groups as they become idle, and ends"},
		func(ctx context.Context, in *nodeDrainInput) (*body[bus.DrainState], error) {
			return s.drainNode(ctx, in.Body.Name, bus.DrainRequest{On: true, Limit: time.Duration(in.Body.Seconds) * time.Second, Stay: in.Body.Stay, Actor: who(ctx).name})
		})
	add(s, api, operation{id: "node-resume", method: http.MethodPost, path: "/v1/nodes/resume", role: RoleAdministrator, action: "node-resume",
		summary: "End the drain of a node: it takes devices and calls again"},
		func(ctx context.Context, in *nodeResumeInput) (*body[bus.DrainState], error) {
			return s.drainNode(ctx, in.Body.Name, bus.DrainRequest{Actor: who(ctx).name})
		})
	add(s, api, get("servers", "/v1/servers", RoleViewer, "The call managers of every group in order, as phones, trunks and applications are configured with them"), s.listServers)
}

// drainOf completes a node's row with what it says of its drain.
func (s *Server) drainOf(r *NodeRow) {
	for _, f := range s.cfg.Bus.Board().Of(bus.FactDrain, r.Name) {
		if d, err := bus.Value[bus.DrainState](f); err == nil {
			r.Drain, r.DrainBy, r.DrainFor, r.Calls, r.Devices = d.State, d.Actor, d.Until, d.Calls, d.Devices
		}
	}
}

func (s *Server) drainNode(ctx context.Context, node string, r bus.DrainRequest) (*body[bus.DrainState], error) {
	now, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range now.Site.Nodes {
		names = append(names, n.Name)
	}
	if !slices.Contains(names, node) {
		return nil, unknownNode(node, names)
	}
	ask := func(service string) (bus.DrainState, error) {
		to := s.cfg.Bus.AllNodes(service, bus.VerbDrain)
		to.Node = node
		return bus.Ask[bus.DrainRequest, bus.DrainState](ctx, s.cfg.Bus, to, r)
	}
	out, first := ask(callManagerService)
	if first != nil && !absent(first) {
		return nil, first
	}
	for _, service := range elementServices {
		st, err := ask(service)
		switch {
		case absent(err):
			continue
		case err != nil:
			return nil, err
		}
		if first == nil {
			st.Calls += out.Calls
			st.Devices, st.Held, st.Until = out.Devices, out.Held, out.Until
		}
		if st.Calls+st.Devices > 0 && st.State == bus.StateDrained {
			st.State = bus.StateDraining
		}
		out, first = st, nil
	}
	if first != nil {
		return nil, first
	}
	return &body[bus.DrainState]{out}, nil
}

// absent says that no such service runs there.
func absent(err error) bool {
	var e *bus.Error
	return errors.As(err, &e) && e.Code == bus.CodeNoResponder
}
