package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/store"
)

// siteFile is a site file sent for a plan or an apply.
type siteFile struct {
	Body struct {
		Name    string `json:"name,omitempty" maxLength:"1024" doc:"file name, for the messages"`
		YAML    string `json:"yaml" doc:"the site"`
		Base    int64  `json:"base,omitempty" minimum:"0" doc:"apply only if this is still the newest revision; 0: whatever it is"`
		Comment string `json:"comment,omitempty" maxLength:"1024"`
	}
}

func (f *siteFile) object() string { return f.Body.Name }

func (s *Server) configOperations(api huma.API) {
	add(s, api, get("config", "/v1/config", RoleViewer, "The configuration in force, as a file that can be applied; without secrets"), s.configGet)
	add(s, api, get("revisions", "/v1/config/revisions", RoleViewer, "The last revisions, newest first"), s.revisions)
	add(s, api, operation{id: "plan", method: http.MethodPost, path: "/v1/config/plan", role: RoleOperator, summary: "What a site file would change"}, s.plan)
	add(s, api, operation{
		id: "apply", method: http.MethodPost, path: "/v1/config/apply", role: RoleAdministrator, action: "apply",
		summary: "Make a site file the configuration, in one piece or not at all",
	}, s.apply)
}

// ConfigText is the configuration in force.
type ConfigText struct {
	Revision int64  `json:"revision"`
	YAML     string `json:"yaml"`
	Stale    bool   `json:"stale,omitempty" doc:"the store cannot be asked now; this is the last known state"`
}

func (s *Server) configGet(ctx context.Context, _ *none) (*body[ConfigText], error) {
	snap, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return nil, err
	}
	return &body[ConfigText]{ConfigText{snap.Revision.Number, string(config.Format(snap.Site, false)), snap.Stale}}, nil
}

func (s *Server) revisions(ctx context.Context, _ *none) (*body[Rows[store.Revision]], error) {
	list, err := s.cfg.Store.Revisions(ctx, 100)
	if err != nil {
		return nil, err
	}
	if list == nil {
		list = []store.Revision{}
	}
	return &body[Rows[store.Revision]]{Rows[store.Revision]{Rows: list}}, nil
}

// changes reads the file against the configuration in force.
func (s *Server) changes(ctx context.Context, f *siteFile) (store.ChangeSet, error) {
	snap, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return store.ChangeSet{}, err
	}
	base := snap.Revision.Number
	if f.Body.Base != 0 && f.Body.Base != base {
		return store.ChangeSet{}, store.ErrConflict
	}
	name := f.Body.Name
	if name == "" {
		name = "site.yaml"
	}
	site, err := config.Parse(name, []byte(f.Body.YAML), snap.Site)
	if err != nil {
		return store.ChangeSet{}, err
	}
	return store.ChangeSet{Base: base, Author: who(ctx).name, Comment: f.Body.Comment, Changes: config.Diff(snap.Site, site)}, nil
}

func (s *Server) plan(ctx context.Context, f *siteFile) (*body[Plan], error) {
	cs, err := s.changes(ctx, f)
	if err != nil {
		return nil, err
	}
	return &body[Plan]{planOf(cs)}, nil
}

func (s *Server) apply(ctx context.Context, f *siteFile) (*body[Plan], error) {
	cs, err := s.changes(ctx, f)
	if err != nil {
		return nil, err
	}
	out := planOf(cs)
	if len(cs.Changes) == 0 {
		out.Revision = cs.Base
		return &body[Plan]{out}, nil
	}
	rev, err := s.cfg.Store.Apply(ctx, cs)
	if err != nil {
		return nil, err
	}
	out.Revision = rev.Number
	return &body[Plan]{out}, nil
}

func planOf(cs store.ChangeSet) Plan {
	p := Plan{Base: cs.Base, Changes: []Change{}}
	for _, c := range cs.Changes {
		x := Change{Op: c.Op.String(), Kind: string(c.Kind), Key: c.Key}
		for _, f := range c.Fields {
			x.Fields = append(x.Fields, FieldChange{Field: f.Field, Old: f.Old, New: f.New})
		}
		p.Changes = append(p.Changes, x)
	}
	return p
}

// control is a button on a device or trunk.
type control struct {
	Name   string `path:"name" minLength:"1" maxLength:"128"`
	Action string `path:"action" enum:"apply,restart,reset"`
}

func (c *control) object() string { return c.Name + " " + c.Action }

func (s *Server) controlOperations(api huma.API) {
	for _, kind := range []bus.Object{bus.ObjectDevice, bus.ObjectTrunk} {
		add(s, api, operation{
			id: "control-" + string(kind), method: http.MethodPost, path: "/v1/" + string(kind) + "s/{name}/{action}", role: RoleOperator,
			action: "control-" + string(kind), summary: "Apply configuration to a " + string(kind) + ", let it register again, or reset it",
		}, func(ctx context.Context, in *control) (*body[Rows[bus.ResetResult]], error) {
			req := bus.ResetRequest{Object: kind, Name: in.Name, Action: bus.Action(in.Action), Actor: who(ctx).name}
			results, err := s.controlAll(ctx, req)
			if err != nil {
				return nil, err
			}
			return &body[Rows[bus.ResetResult]]{Rows[bus.ResetResult]{Rows: results}}, nil
		})
	}
}

// controlAll asks every service that has such objects; a service that does not know the name does not count.
func (s *Server) controlAll(ctx context.Context, req bus.ResetRequest) ([]bus.ResetResult, error) {
	out := []bus.ResetResult{}
	var first error
	services, _ := s.services()
	for _, service := range services {
		results, err := fan[bus.ResetRequest, bus.ResetResult](ctx, s, service, bus.VerbReset, req)
		if err != nil && first == nil {
			first = err
		}
		out = append(out, results...)
	}
	if len(out) == 0 && first != nil {
		return nil, first
	}
	return out, nil
}
