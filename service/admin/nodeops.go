package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki/join"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// Cluster is the cluster as a node's administration works on it. Where it is nil, this node is alone for good.
type Cluster interface {
	// Welcome is what a new node may know before it has proved anything.
	Welcome() join.Welcome
	// NewToken makes a token for one node, of that name when it is given.
	NewToken(ctx context.Context, by, node string, life time.Duration) (join.Token, join.Info, error)
	// Redeem takes a token, adds the node to the configuration and returns what it needs. Errors of package join say what is wrong with
	// the token.
	Redeem(ctx context.Context, r join.Request) (join.Grant, error)
	// Nodes are the nodes of the site, and those that are heard without being configured.
	Nodes(ctx context.Context) ([]NodeRow, error)
	// Remove takes a node out of the site.
	Remove(ctx context.Context, by string, r NodeRemoval) (NodeRemoved, error)
}

// NodeFactKind is the kind of the fact that each node says of itself on the board; its key is the node's name.
const NodeFactKind = "node"

// NodeFact is what a node says of itself.
type NodeFact struct {
	Address  string    `json:"address,omitempty"`
	Services []string  `json:"services"` // that run there, beside administration
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Revision int64     `json:"revision"`           // of the configuration in force there
	StaleAt  time.Time `json:"stale_at,omitzero"`  // the record cannot be reached since then: the node goes on from its copy
	Problem  string    `json:"problem,omitempty"`  // why not
	Admin    []string  `json:"admin,omitempty"`    // where its HTTPS API is
	Drain    string    `json:"drain,omitempty"`    // how far a drain is; empty: none
	DrainBy  string    `json:"drain_by,omitempty"` // who ordered it
	DrainFor time.Time `json:"drain_for,omitzero"` // until when it ends at the latest
	Calls    int       `json:"calls,omitempty"`    // that a drain waits for
	Devices  int       `json:"devices,omitempty"`  // registered there
}

// NodeRow is a node in the list of nodes.
type NodeRow struct {
	Name       string    `json:"name"`
	Alive      bool      `json:"alive"`
	Self       bool      `json:"self,omitempty" doc:"the node that was asked"`
	Since      time.Time `json:"since,omitzero" doc:"alive, or not, since then, as the node that was asked sees it"`
	Configured bool      `json:"configured" doc:"the site lists it"`
	Groups     []string  `json:"groups,omitempty" doc:"call-manager groups it is in"`
	NodeFact
}

// NodeToken asks for a token.
type NodeToken struct {
	Name    string `json:"name,omitempty" maxLength:"63" doc:"the only name the token is good for; empty: any that is new"`
	Minutes int    `json:"minutes,omitempty" minimum:"0" maximum:"10080" doc:"how long it is good for; default 60"`
}

type nodeTokenInput struct{ Body NodeToken }

func (i *nodeTokenInput) object() string { return i.Body.Name }

// NodeTokenMade is a token: the only answer that shows it.
type NodeTokenMade struct {
	ID      string    `json:"id"`
	Token   string    `json:"token" doc:"whoever has it gets everything a node has: carry it as a key is carried"`
	Name    string    `json:"name,omitempty"`
	Expires time.Time `json:"expires"`
}

// NodeRemoval takes a node out.
type NodeRemoval struct {
	Name  string `json:"name" minLength:"1" maxLength:"63"`
	Force bool   `json:"force,omitempty" doc:"although it lives"`
}

type nodeRemovalInput struct{ Body NodeRemoval }

func (i *nodeRemovalInput) object() string { return i.Body.Name }

// NodeRemoved is what became of it.
type NodeRemoved struct {
	Revision int64    `json:"revision" doc:"of the configuration without it"`
	Revoked  int      `json:"revoked" doc:"certificates of its services"`
	Groups   []string `json:"groups,omitempty" doc:"call-manager groups it was in"`
	Advice   []string `json:"advice" doc:"what is left to do where the machine is not in good hands"`
}

func (s *Server) nodeOperations(api huma.API) {
	add(s, api, get("nodes", "/v1/nodes", RoleViewer, "The nodes of the cluster: whether they live, what runs there, the revision in force"), s.listNodes)
	add(s, api, operation{
		id: "node-token", method: http.MethodPost, path: "/v1/nodes/tokens", role: RoleAdministrator, action: "node-token",
		summary: "Make a one-time token with which a new node joins the cluster",
	}, s.nodeToken)
	add(s, api, operation{
		id: "node-remove", method: http.MethodPost, path: "/v1/nodes/removals", role: RoleAdministrator, action: "node-remove",
		summary: "Take a node out of the site: its certificates are revoked, groups and trust lists name it no longer",
	}, s.nodeRemove)
}

// cluster is the cluster this node is in.
func (s *Server) cluster() (Cluster, error) {
	if s.cfg.Cluster == nil {
		return nil, problem(CodeNotSupported, "this node is no member of a cluster and takes none")
	}
	return s.cfg.Cluster, nil
}

func (s *Server) listNodes(ctx context.Context, _ *none) (*body[Rows[NodeRow]], error) {
	c, err := s.cluster()
	if err != nil {
		return nil, err
	}
	list, err := c.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		s.drainOf(&list[i])
	}
	out := Rows[NodeRow]{Rows: list}
	for _, n := range list {
		if n.Problem != "" {
			out.Problems = append(out.Problems, fmt.Sprintf("%s goes on without the record: %s", n.Name, n.Problem))
		}
	}
	return &body[Rows[NodeRow]]{out}, nil
}

func (s *Server) nodeToken(ctx context.Context, in *nodeTokenInput) (*body[NodeTokenMade], error) {
	c, err := s.cluster()
	if err != nil {
		return nil, err
	}
	made, info, err := c.NewToken(ctx, who(ctx).name, in.Body.Name, time.Duration(in.Body.Minutes)*time.Minute)
	if err != nil {
		return nil, err
	}
	return &body[NodeTokenMade]{NodeTokenMade{ID: info.ID, Token: made.Text(), Name: info.Node, Expires: info.Expires}}, nil
}

func (s *Server) nodeRemove(ctx context.Context, in *nodeRemovalInput) (*body[NodeRemoved], error) {
	c, err := s.cluster()
	if err != nil {
		return nil, err
	}
	out, err := c.Remove(ctx, who(ctx).name, in.Body)
	if err != nil {
		return nil, err
	}
	return &body[NodeRemoved]{out}, nil
}

// joining serves those who are nobody yet: a token is all they have. It stands before the guard, with bounds of its own: what an address
// may get wrong in a minute, the size of a request, the time.
func (s *Server) joining(mux *http.ServeMux) {
	mux.HandleFunc("GET "+join.Path, func(w http.ResponseWriter, r *http.Request) {
		s.bound(w, r)
		c, err := s.cluster()
		if err != nil {
			writeProblem(w, asProblem(err))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(c.Welcome())
	})
	mux.HandleFunc("POST "+join.Path, s.redeem)
}

// bound notes that the connection brought a request, and how long it may take.
func (s *Server) bound(w http.ResponseWriter, r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*boundedConn); ok {
		c.asked.Store(true)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	control := http.NewResponseController(w)
	end := time.Now().Add(s.cfg.Timeout)
	_ = control.SetReadDeadline(end)
	_ = control.SetWriteDeadline(end)
	r.Body = http.MaxBytesReader(w, r.Body, join.MaxBody)
}

var joinOperation = operation{id: "node-join", action: "node-join"}

type joinObject join.Request

func (j joinObject) object() string { return j.Node + " by token " + j.ID }

// redeem hands a new node what it needs, for a token.
func (s *Server) redeem(w http.ResponseWriter, r *http.Request) {
	s.bound(w, r)
	host := hostOf(r.RemoteAddr)
	if s.attempts.blocked(host) {
		w.Header().Set("Retry-After", "60")
		writeProblem(w, problem(CodeTooMany, ""))
		return
	}
	grant, err := s.redeemed(r)
	if err == nil {
		var b []byte
		if b, err = grant.Encode(); err == nil {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(b)
			return
		}
	}
	p := joinProblem(err)
	if p.Code == CodeUnauthorized {
		s.attempts.fail(host)
	}
	writeProblem(w, p)
}

func (s *Server) redeemed(r *http.Request) (join.Grant, error) {
	c, err := s.cluster()
	if err != nil {
		return join.Grant{}, err
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return join.Grant{}, problem(bus.CodeInvalid, "the request cannot be read: "+err.Error())
	}
	req, err := join.DecodeRequest(b)
	if err != nil {
		return join.Grant{}, problem(bus.CodeInvalid, err.Error())
	}
	if !join.IsID(req.ID) {
		return join.Grant{}, join.ErrUnknown
	}
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), principalKey{}, principal{name: "new node", source: r.RemoteAddr}), s.cfg.Timeout)
	defer cancel()
	grant, err := c.Redeem(ctx, req)
	result, detail := "ok", "version "+req.Version
	req.Node = cmp.Or(grant.Node, req.Node, req.Host)
	if err != nil {
		result, detail = string(joinProblem(err).Code), err.Error()
	}
	if wrong := s.audit(context.WithoutCancel(ctx), joinOperation, joinObject(req), result, detail); wrong != nil && err == nil {
		s.cfg.Trace.Record(trace.Record{Service: ServiceName, Kind: trace.KindNote, Level: trace.Error, Summary: "the audit log does not say that " + req.Node + " joined: " + wrong.Error()})
	}
	return grant, err
}

// joinProblem gives what is wrong with a token its code.
func joinProblem(err error) *Problem {
	switch {
	case errors.Is(err, join.ErrUnknown):
		return problem(CodeUnauthorized, err.Error())
	case errors.Is(err, join.ErrExpired), errors.Is(err, join.ErrUsed), errors.Is(err, join.ErrName):
		return problem(bus.CodeForbidden, err.Error())
	case errors.Is(err, store.ErrConflict):
		return problem(bus.CodeConflict, err.Error())
	}
	return asProblem(err)
}

// services are those of the whole cluster, beside administration, and the nodes that run each.
func (s *Server) services() (names []string, on map[string][]string) {
	if s.cfg.Live == nil {
		on = make(map[string][]string)
		for _, name := range s.cfg.Services {
			on[name] = s.cfg.Nodes
		}
		return s.cfg.Services, on
	}
	on = s.cfg.Live()
	names = slices.Clone(s.cfg.Services)
	for name := range on {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names[len(s.cfg.Services):])
	return names, on
}
