package admin

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/store"
)

// none is the input of an operation without parameters.
type none struct{}

// byName selects rows of one device or trunk.
type byName struct {
	Name string `query:"name" maxLength:"128" doc:"only this device, trunk or peer"`
}

func (s *Server) showOperations(api huma.API) {
	add(s, api, get("status", "/v1/status", RoleViewer, "How the node and its services are; ready once everything runs"), s.status)
	add(s, api, get("registrations", "/v1/registrations", RoleViewer, "Devices that are registered"), s.registrations)
	add(s, api, get("trunks", "/v1/trunks", RoleViewer, "State of every trunk destination"), rowsOf[bus.TrunkState](s, bus.VerbTrunks))
	add(s, api, get("server-groups", "/v1/server-groups", RoleViewer, "State of every member of the SIP server groups, as call servers see it; name is a group's"), rowsOf[bus.ServerGroupState](s, bus.VerbServerGroups))
	add(s, api, get("callers", "/v1/callers", RoleViewer, "Callers that the call servers have, the oldest first; name is the number called"), rowsOf[bus.CallerState](s, bus.VerbCallers))
	add(s, api, get("voice-browsers", "/v1/voice-browsers", RoleViewer, "How the voice browsers are and who listens; name is a node's"), rowsOf[bus.VoiceBrowserState](s, bus.VerbVoiceBrowsers))
	add(s, api, get("connections", "/v1/connections", RoleViewer, "Connections and peers whose handshakes failed: TLS version, cipher, subject, failures, bytes"), rowsOf[bus.Connection](s, bus.VerbConnections))
	add(s, api, get("message-waiting", "/v1/message-waiting", RoleViewer, "Messages of lines, who said so, and which devices have heard; name is a line's number"), s.messages)
	add(s, api, get("subscriptions", "/v1/subscriptions", RoleViewer, "What devices watch: busy lamps, presence, messages"), rowsOf[bus.WatchState](s, bus.VerbSubscriptions))
	add(s, api, get("cti", "/v1/cti/providers", RoleViewer, "Applications that are logged in at the CTI managers, and what they have open; name is a user's"), rowsOf[bus.ProviderState](s, bus.VerbProviders))
	add(s, api, get("exceptions", "/v1/exceptions", RoleViewer, "Everything that is weaker than the defaults"), s.exceptions)
	add(s, api, get("dial", "/v1/dial", RoleViewer, "What would happen, and why, if somebody dialled a number now or at a time"), s.dial)
	add(s, api, get("border-explain", "/v1/border/explain", RoleViewer, "By which dial-peers of the border elements a call would come in and go out, and why"), s.borderExplain)
	add(s, api, get("audit", "/v1/audit", RoleAdministrator, "Who changed what, newest first"), s.auditLog)
}

// rowsOf answers with the rows of one verb, gathered from every service of every node.
func rowsOf[T any](s *Server, verb string) func(context.Context, *byName) (*body[Rows[T]], error) {
	return func(ctx context.Context, in *byName) (*body[Rows[T]], error) {
		return &body[Rows[T]]{gather[T](ctx, s, verb, in.Name)}, nil
	}
}

// messages are the mailboxes as the call managers know them, each line once.
func (s *Server) messages(ctx context.Context, in *byName) (*body[Rows[bus.MessageState]], error) {
	out := gather[bus.MessageState](ctx, s, bus.VerbMessages, in.Name)
	out.Rows = oneMailbox(out.Rows)
	return &body[Rows[bus.MessageState]]{out}, nil
}

// oneMailbox makes one row of what several nodes say of a line: the newest state, with the phones that have acknowledged it at any node. Each
// node tells the phones that are registered there, and has the others wait.
func oneMailbox(rows []bus.MessageState) []bus.MessageState {
	var out []bus.MessageState
	for _, r := range rows {
		i := slices.IndexFunc(out, func(o bus.MessageState) bool { return o.Line == r.Line && o.Partition == r.Partition })
		switch {
		case i < 0:
			out = append(out, r)
		case r.Version > out[i].Version:
			out[i] = r
		case r.Version == out[i].Version:
			out[i] = heardAnywhere(out[i], r)
		}
	}
	return out
}

func heardAnywhere(a, b bus.MessageState) bus.MessageState {
	yes := append(slices.Clone(a.Acknowledged), b.Acknowledged...)
	slices.Sort(yes)
	a.Acknowledged = slices.Compact(yes)
	waits := map[string]string{} // by device: what says the most, the status it answered
	for _, w := range append(slices.Clone(a.Waits), b.Waits...) {
		device, _, _ := strings.Cut(w, " ")
		if !slices.Contains(a.Acknowledged, device) {
			waits[device] = max(waits[device], w)
		}
	}
	a.Waits = slices.Sorted(maps.Values(waits))
	return a
}

// registrations are the call managers' rows, with the trust lists each device fetched last.
func (s *Server) registrations(ctx context.Context, in *byName) (*body[Rows[bus.Registration]], error) {
	out := gather[bus.Registration](ctx, s, bus.VerbRegistrations, in.Name)
	if s.cfg.Holdings == nil {
		return &body[Rows[bus.Registration]]{out}, nil
	}
	held, err := s.cfg.Holdings.All(ctx)
	if err != nil {
		out.Problems = append(out.Problems, err.Error())
	}
	by := make(map[string]lists.Holding, len(held))
	for _, h := range held {
		by[h.Holder] = h
	}
	for i := range out.Rows {
		r := &out.Rows[i]
		h, known := by[r.Device]
		if !known {
			continue
		}
		r.CTL, r.ITL, r.FetchedAt = newest(h.CTL), newest(h.ITL), h.Seen.UTC()
	}
	return &body[Rows[bus.Registration]]{out}, nil
}

// newest is the number of the version a device fetched last.
func newest(h lists.Held) (version int64) {
	if may := h.May(); len(may) > 0 {
		version = int64(may[len(may)-1].Version)
	}
	return version
}

// busWait is how long a service may take to answer for a list.
const busWait = 3 * time.Second

func gather[T any](ctx context.Context, s *Server, verb, name string) Rows[T] {
	ctx, cancel := context.WithTimeout(ctx, busWait)
	defer cancel()
	out := Rows[T]{Rows: []T{}}
	services, on := s.services()
	for _, service := range services {
		answers, err := bus.AskAll[bus.Query, []T](ctx, s.cfg.Bus, s.cfg.Bus.AllNodes(service, verb), bus.Query{Name: name}, on[service]...)
		if err != nil {
			out.Problems = append(out.Problems, err.Error())
			continue
		}
		for _, a := range answers {
			if a.Err != nil && a.Err.Code == bus.CodeNoResponder && s.runs(ctx, service, a.Node) {
				continue // it has nothing of the kind
			}
			if a.Err != nil {
				out.Problems = append(out.Problems, fmt.Sprintf("%s on %s: %s", service, a.Node, a.Err.Message))
				continue
			}
			out.Rows = append(out.Rows, a.Value...)
		}
	}
	return out
}

// runs says whether a service is there: it answers for its status.
func (s *Server) runs(ctx context.Context, service, node string) bool {
	at := s.cfg.Bus.AllNodes(service, bus.VerbStatus)
	at.Node = node
	_, err := bus.Ask[bus.StatusRequest, bus.ServiceStatus](ctx, s.cfg.Bus, at, bus.StatusRequest{})
	return err == nil
}

func (s *Server) status(ctx context.Context, _ *none) (*body[Status], error) {
	st := Status{
		Node: s.cfg.Node, Version: s.cfg.Version, PID: os.Getpid(), Home: s.cfg.Home, Trace: s.cfg.Trace.Status(), Ready: true,
		Services: []bus.ServiceStatus{{
			Node: s.cfg.Node, Service: ServiceName, State: "ready", Addresses: s.addresses, Since: s.since, PID: os.Getpid(), Version: s.cfg.Version,
		}},
	}
	s.storeStatus(ctx, &st)
	st.Services[0].Revision = st.Revision
	ctx, cancel := context.WithTimeout(ctx, busWait)
	defer cancel()
	for _, service := range s.cfg.Services { // of this node: others are a matter of the list of nodes
		answers, err := bus.AskAll[bus.StatusRequest, bus.ServiceStatus](ctx, s.cfg.Bus, s.cfg.Bus.AllNodes(service, bus.VerbStatus), bus.StatusRequest{}, s.ownNodes()...)
		if err != nil {
			return nil, err
		}
		for _, a := range answers {
			row := a.Value
			if a.Err != nil {
				row = bus.ServiceStatus{Node: a.Node, Service: service, State: "failed", Problem: a.Err.Message}
			}
			st.Services = append(st.Services, row)
		}
	}
	if row, has := s.cfg.Bus.Status(s.siteNodes(ctx)...); has {
		st.Services = append(st.Services, row)
	}
	for _, row := range st.Services {
		st.Ready = st.Ready && (row.State == "ready" || row.State == "degraded")
		if row.Problem != "" {
			st.Problems = append(st.Problems, fmt.Sprintf("%s on %s: %s", row.Service, row.Node, row.Problem))
		}
	}
	st.Problems = append(st.Problems, st.Trace.Exceptions()...)
	return &body[Status]{st}, nil
}

// siteNodes are the nodes of the site.
func (s *Server) siteNodes(ctx context.Context) (names []string) {
	snap, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return nil // the status says so elsewhere
	}
	for _, n := range snap.Site.Nodes {
		names = append(names, n.Name)
	}
	return names
}

// ownNodes are those whose services a status tells of.
func (s *Server) ownNodes() []string {
	if s.cfg.Live != nil {
		return []string{s.cfg.Node}
	}
	return s.cfg.Nodes
}

func (s *Server) storeStatus(ctx context.Context, st *Status) {
	if snap, err := s.cfg.Store.Site(ctx); err == nil {
		st.Revision = snap.Revision.Number
	} else {
		st.Problems = append(st.Problems, err.Error())
	}
	st.Store.OK = true
	if s.cfg.Health == nil {
		return
	}
	h := s.cfg.Health(ctx)
	st.Store = StoreStatus{Engine: h.Engine, Location: h.Location, OK: h.OK, Problem: h.Problem, Stale: h.Stale, Since: h.Since, Waiting: h.Waiting, WaitingBytes: h.WaitingBytes}
	if h.Problem != "" {
		st.Problems = append(st.Problems, h.Problem)
	}
}

func (s *Server) exceptions(ctx context.Context, in *byName) (*body[Rows[bus.Exception]], error) {
	out := gather[bus.Exception](ctx, s, bus.VerbExceptions, in.Name)
	out.Rows = append(out.Rows, s.ownExceptions(in.Name)...)
	if snap, err := s.cfg.Store.Site(ctx); err == nil {
		out.Rows = append(out.Rows, ldapExceptions(s.cfg.Node, in.Name, snap.Site)...)
	}
	live, _ := s.others()
	ctx, cancel := context.WithTimeout(ctx, busWait)
	defer cancel()
	answers, err := bus.AskAll[bus.Query, []bus.Exception](ctx, s.cfg.Bus, s.cfg.Bus.AllNodes(ServiceName, bus.VerbExceptions), bus.Query{Name: in.Name}, live...)
	if err != nil {
		out.Problems = append(out.Problems, err.Error())
	}
	for _, a := range answers {
		switch {
		case a.Err == nil:
			out.Rows = append(out.Rows, a.Value...)
		case a.Err.Code != bus.CodeNoResponder: // of an earlier version, in the middle of an upgrade
			out.Problems = append(out.Problems, fmt.Sprintf("%s on %s: %s", ServiceName, a.Node, a.Err.Message))
		}
	}
	return &body[Rows[bus.Exception]]{out}, nil
}

// ownExceptions are those of this node itself.
func (s *Server) ownExceptions(name string) (rows []bus.Exception) {
	if name != "" && name != s.cfg.Node {
		return nil
	}
	for _, text := range s.cfg.Trace.Status().Exceptions() {
		rows = append(rows, bus.Exception{Node: s.cfg.Node, Kind: "node", Name: s.cfg.Node, Setting: "trace", Risk: text})
	}
	if s.cfg.Exceptions != nil {
		rows = append(rows, s.cfg.Exceptions()...)
	}
	return rows
}

// auditQuery selects audit entries.
type auditQuery struct {
	Actor  string    `query:"actor" maxLength:"128"`
	Action string    `query:"action" maxLength:"64"`
	Since  time.Time `query:"since"`
	Limit  int       `query:"limit" minimum:"1" maximum:"10000" default:"100"`
}

func (s *Server) auditLog(ctx context.Context, in *auditQuery) (*body[Rows[AuditRow]], error) {
	entries, err := s.cfg.Store.Audit(ctx, store.AuditQuery{Actor: in.Actor, Action: in.Action, Since: in.Since, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := Rows[AuditRow]{Rows: make([]AuditRow, 0, len(entries))}
	for _, e := range entries {
		out.Rows = append(out.Rows, AuditRow(e))
	}
	return &body[Rows[AuditRow]]{out}, nil
}

// fan sends a request to a service on every node and gives back the answers that came; without any the first refusal.
func fan[Req, Res any](ctx context.Context, s *Server, service, verb string, req Req) ([]Res, error) {
	_, on := s.services()
	answers, err := bus.AskAll[Req, Res](ctx, s.cfg.Bus, s.cfg.Bus.AllNodes(service, verb), req, on[service]...)
	if err != nil {
		return nil, err
	}
	var out []Res
	var first error
	for _, a := range answers {
		if a.Err == nil {
			out = append(out, a.Value)
		} else if first == nil {
			first = a.Err
		}
	}
	if len(out) == 0 && first != nil {
		return nil, first
	}
	return slices.Clip(out), nil
}
