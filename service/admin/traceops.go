package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/trace"
)

// Record is a trace record in the API's description; its JSON is [trace.Record]'s.
type Record struct{ trace.Record }

// Schema implements huma.SchemaProvider: the form is written by hand, in package trace.
func (Record) Schema(huma.Registry) *huma.Schema {
	text := &huma.Schema{Type: huma.TypeString}
	properties := map[string]*huma.Schema{
		"seq": {Type: huma.TypeInteger}, "time": {Type: huma.TypeString, Format: "date-time"},
		"fields": {Type: huma.TypeObject, AdditionalProperties: text}, "body64": {Type: huma.TypeString, ContentEncoding: "base64"},
	}
	for _, name := range []string{"node", "service", "kind", "level", "call", "sip", "leg", "device", "user", "peer", "flow", "net", "local", "remote", "summary", "body"} {
		properties[name] = text
	}
	return &huma.Schema{Type: huma.TypeObject, Properties: properties, Required: []string{"seq", "time", "kind"}, Description: "one thing that happened; members that are empty are left out"}
}

// CallPath names a call by its global id or a SIP Call-ID.
type CallPath struct {
	Call string `path:"call" minLength:"1" maxLength:"512" doc:"global call id, or a SIP Call-ID"`
}

type ladderInput struct {
	Call   string `path:"call" minLength:"1" maxLength:"512" doc:"global call id, or a SIP Call-ID"`
	Width  int    `query:"width" minimum:"0" maximum:"1000" default:"120" doc:"characters; 0: as wide as needed"`
	Engine bool   `query:"engine" doc:"also the engine's inputs and outputs"`
}

func (s *Server) traceOperations(api huma.API) {
	add(s, api, get("calls", "/v1/calls", RoleViewer, "Calls of all nodes that live or ended lately, the newest first"), s.calls)
	add(s, api, get("call-ladder", "/v1/calls/{call}/ladder", RoleViewer, "A call as a ladder over all nodes: columns, rows, and as text"), s.ladder)
	add(s, api, get("call-records", "/v1/calls/{call}/records", RoleOperator, "Every record of a call, in order, of all services and nodes it went through"), s.callRecords)
	add(s, api, get("records", "/v1/trace/records", RoleOperator, "The newest records of all nodes that match, oldest first"), s.records)
	add(s, api, get("levels", "/v1/trace/levels", RoleViewer, "How much is recorded"), s.levels)
	add(s, api, operation{
		id: "set-level", method: http.MethodPut, path: "/v1/trace/levels", role: RoleOperator, action: "trace-level",
		summary: "Change how much is recorded of a service, device or user",
	}, s.setLevel)
	s.streamOperations(api)
}

func (s *Server) calls(ctx context.Context, in *struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"50"`
}) (*body[Rows[trace.CallInfo]], error) {
	lists := [][]trace.CallInfo{s.cfg.Trace.Calls(in.Limit)}
	gone := fromOthers(ctx, s, verbTraceCalls, callsQuestion{in.Limit}, busWait, func(_ string, list []trace.CallInfo) { lists = append(lists, list) })
	list := lists[0]
	if len(lists) > 1 {
		list = trace.MergeCalls(lists...)
	}
	if list == nil {
		list = []trace.CallInfo{}
	}
	return &body[Rows[trace.CallInfo]]{Rows[trace.CallInfo]{Rows: list[:min(len(list), in.Limit)], Problems: gone}}, nil
}

// LadderAnswer is a ladder as data and as text.
type LadderAnswer struct {
	Ladder *trace.Ladder `json:"ladder"`
	Text   string        `json:"text"`
}

func (s *Server) ladder(ctx context.Context, in *ladderInput) (*body[LadderAnswer], error) {
	l, err := s.drawn(ctx, in)
	if err != nil {
		return nil, err
	}
	return &body[LadderAnswer]{LadderAnswer{l, l.Text(in.Width)}}, nil
}

// drawn is the ladder of a call, of all nodes it went through.
func (s *Server) drawn(ctx context.Context, in *ladderInput) (*trace.Ladder, error) {
	recs, gone, err := s.callOf(ctx, in.Call)
	if err != nil {
		return nil, err
	}
	l := trace.NewLadder(recs, trace.LadderOptions{Engine: in.Engine})
	l.Notes = append(l.Notes, gone...)
	return l, nil
}

func (s *Server) callRecords(ctx context.Context, in *CallPath) (*body[Rows[Record]], error) {
	recs, gone, err := s.callOf(ctx, in.Call)
	return &body[Rows[Record]]{Rows[Record]{Rows: wrap(recs), Problems: gone}}, err
}

func wrap(recs []trace.Record) []Record {
	out := make([]Record, len(recs))
	for i := range recs {
		out[i].Record = recs[i]
	}
	return out
}

// FilterInput selects records.
type FilterInput struct {
	Service string    `query:"service" maxLength:"64"`
	Device  string    `query:"device" maxLength:"128"`
	User    string    `query:"user" maxLength:"128"`
	Call    string    `query:"call" maxLength:"512"`
	Level   string    `query:"level" enum:"error,info,detail,debug" doc:"the most verbose level wanted"`
	Since   time.Time `query:"since"`
	After   uint64    `query:"after" doc:"only sequence numbers above this, of this node alone"`
}

func (f *FilterInput) filter() trace.Filter {
	level, _ := trace.ParseLevel(f.Level) // the enumeration was checked; "" wants all
	return trace.Filter{Service: f.Service, Device: f.Device, User: f.User, Call: f.Call, Level: level, Since: f.Since, After: f.After}
}

// recordsInput selects records of the past. Embedded structs must be exported for the framework to see their fields.
type recordsInput struct {
	FilterInput
	Limit int `query:"limit" minimum:"1" maximum:"10000" default:"200"`
}

func (s *Server) records(ctx context.Context, in *recordsInput) (*body[Rows[Record]], error) {
	recs, gone := s.recent(ctx, in.filter(), in.Limit)
	return &body[Rows[Record]]{Rows[Record]{Rows: wrap(recs), Problems: gone}}, nil
}

func (s *Server) levels(context.Context, *none) (*body[Rows[trace.LevelRule]], error) {
	return &body[Rows[trace.LevelRule]]{Rows[trace.LevelRule]{Rows: s.cfg.Trace.Levels().Rules()}}, nil
}

// levelInput changes one rule.
type levelInput struct {
	Body struct {
		Service string `json:"service,omitempty" maxLength:"64"`
		Device  string `json:"device,omitempty" maxLength:"128"`
		User    string `json:"user,omitempty" maxLength:"128"`
		Level   string `json:"level" enum:"inherit,off,error,info,detail,debug" doc:"inherit removes the rule"`
	}
}

func (l *levelInput) object() string {
	return fmt.Sprintf("service=%s device=%s user=%s level=%s", l.Body.Service, l.Body.Device, l.Body.User, l.Body.Level)
}

func (s *Server) setLevel(_ context.Context, in *levelInput) (*body[Rows[trace.LevelRule]], error) {
	level, err := trace.ParseLevel(in.Body.Level)
	if err == nil {
		err = s.cfg.Trace.SetLevel(trace.Scope{Service: in.Body.Service, Device: in.Body.Device, User: in.Body.User}, level)
	}
	if err != nil {
		return nil, problem(bus.CodeInvalid, err.Error())
	}
	return s.levels(context.Background(), nil)
}

func notFoundIfMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return problem(bus.CodeNotFound, err.Error())
	}
	return err
}
