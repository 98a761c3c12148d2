package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory/ldap"
	"github.com/locktone/locktone/wire/secret"
)

// LDAP is what administration needs of the LDAP directories; its zero value: this node asks none.
type LDAP struct {
	Set    *ldap.Set
	Syncer *ldap.Syncer
}

// LDAPRow is a directory in the list of directories.
type LDAPRow struct {
	Name      string    `json:"name"`
	Servers   []string  `json:"servers" doc:"in the order in which they are asked"`
	Transport string    `json:"transport"`
	Base      string    `json:"base"`
	BindDN    string    `json:"bindDN,omitempty"`
	Users     int       `json:"users" doc:"users of the site that came from it"`
	Every     string    `json:"every,omitempty" doc:"time between two synchronisations; empty: none by itself"`
	Synced    time.Time `json:"synced,omitzero" doc:"the last synchronisation"`
	Outcome   string    `json:"outcome,omitempty" doc:"how it ended"`
}

// LDAPCheck asks for a check of one directory, or of all.
type LDAPCheck struct {
	Name     string `json:"name,omitempty" maxLength:"128" doc:"of the directory; empty: all"`
	User     string `json:"user,omitempty" maxLength:"256" doc:"looked for as at a login"`
	Password string `json:"password,omitempty" maxLength:"1024" doc:"tried for the user; asked of this node only"`
	AllNodes bool   `json:"allNodes,omitempty" doc:"each node that is heard checks for itself"`
}

type ldapCheckInput struct{ Body LDAPCheck }

// LDAPChecked is the outcome of one node's check of one directory.
type LDAPChecked struct {
	Node string `json:"node"`
	ldap.Report
}

// LDAPSync asks for a synchronisation.
type LDAPSync struct {
	Name   string `json:"name,omitempty" maxLength:"128" doc:"of the directory; empty: the only one"`
	DryRun bool   `json:"dryRun,omitempty" doc:"say what would be done"`
	Force  bool   `json:"force,omitempty" doc:"although many users would be disabled or removed"`
}

type ldapSyncInput struct{ Body LDAPSync }

// object says what is done, for the audit log.
func (i *ldapSyncInput) object() string {
	return strings.TrimSpace(i.Body.Name + map[bool]string{true: " dry run"}[i.Body.DryRun] + map[bool]string{true: " force"}[i.Body.Force])
}

// verbLDAPCheck is the verb by which nodes ask each other for a check.
const verbLDAPCheck = "ldap-check"

func (s *Server) ldapOperations(api huma.API) {
	add(s, api, get("ldap", "/v1/ldap", RoleViewer, "The LDAP directories, and the last synchronisation of each"), s.listLDAP)
	add(s, api, operation{id: "ldap-check", method: http.MethodPost, path: "/v1/ldap/check", role: RoleOperator,
		summary: "Walk everything a login and a synchronisation need of a directory, and name what is wrong and what to do"}, s.checkLDAP)
	add(s, api, operation{id: "ldap-sync", method: http.MethodPost, path: "/v1/ldap/sync", role: RoleAdministrator, action: "ldap-sync",
		summary: "Bring the users of a directory into the site"}, s.syncLDAP)
}

func (s *Server) listLDAP(ctx context.Context, in *byName) (*body[Rows[LDAPRow]], error) {
	snap, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return nil, err
	}
	out := Rows[LDAPRow]{Rows: []LDAPRow{}}
	for _, e := range snap.Site.LDAPDirectories {
		if in.Name != "" && in.Name != e.Name {
			continue
		}
		e = e.WithDefaults()
		row := LDAPRow{Name: e.Name, Transport: e.Transport.String(), Base: e.Base, BindDN: e.BindDN}
		for _, x := range e.Servers {
			row.Servers = append(row.Servers, fmt.Sprintf("%s:%d", x.Host, x.Port))
		}
		for _, u := range snap.Site.Users {
			if u.LDAPID != "" && (u.LDAPDirectory == e.Name || u.LDAPDirectory == "") {
				row.Users++
			}
		}
		if e.Sync.Interval != 0 {
			row.Every = e.Sync.Interval.String()
		}
		if s.cfg.LDAP.Syncer != nil {
			last, err := s.cfg.LDAP.Syncer.Last(ctx, e.Name)
			if err != nil {
				out.Problems = append(out.Problems, err.Error())
			}
			row.Synced, row.Outcome = last.At, outcome(last)
		}
		out.Rows = append(out.Rows, row)
	}
	return &body[Rows[LDAPRow]]{out}, nil
}

// outcome is how a synchronisation ended, in a few words.
func outcome(l ldap.LastSync) string {
	r := l.Report
	switch {
	case l.At.IsZero():
		return ""
	case r.Problem != nil:
		return "failed: " + r.Problem.Error()
	case r.Refused != "":
		return "refused: " + r.Refused
	}
	return fmt.Sprintf("%d users, %d added, %d changed, %d disabled, %d removed, %d skipped", r.Seen, r.Count("add"), r.Count("change")+r.Count("rename")+r.Count("enable"), r.Count("disable"), r.Count("remove"), r.Count("skip"))
}

func (s *Server) checkLDAP(ctx context.Context, in *ldapCheckInput) (*body[Rows[LDAPChecked]], error) {
	own, err := s.ownLDAPCheck(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	out := Rows[LDAPChecked]{Rows: own}
	if in.Body.AllNodes {
		others, _ := s.others()
		asked := LDAPCheck{Name: in.Body.Name, User: in.Body.User}
		answers, err := bus.AskAll[LDAPCheck, []LDAPChecked](ctx, s.cfg.Bus, s.cfg.Bus.AllNodes(ServiceName, verbLDAPCheck), asked, others...)
		if err != nil {
			out.Problems = append(out.Problems, err.Error())
		}
		for _, a := range answers {
			if a.Err != nil {
				out.Problems = append(out.Problems, a.Node+": "+a.Err.Message)
				continue
			}
			out.Rows = append(out.Rows, a.Value...)
		}
	}
	slices.SortStableFunc(out.Rows, func(a, b LDAPChecked) int {
		return cmp.Or(cmp.Compare(a.Directory, b.Directory), cmp.Compare(a.Node, b.Node))
	})
	return &body[Rows[LDAPChecked]]{out}, nil
}

// ownLDAPCheck is this node's.
func (s *Server) ownLDAPCheck(ctx context.Context, q LDAPCheck) ([]LDAPChecked, error) {
	set := s.cfg.LDAP.Set
	if set == nil {
		return nil, problem(CodeNotSupported, "this node asks no LDAP directories")
	}
	names := set.Names()
	if q.Name != "" {
		names = []string{q.Name}
	}
	out := make([]LDAPChecked, len(names))
	for i, name := range names {
		d, ok := set.Get(name)
		if !ok {
			return nil, problem(bus.CodeNotFound, fmt.Sprintf("no LDAP directory is called %q", name))
		}
		out[i] = LDAPChecked{Node: s.cfg.Node, Report: *d.Check(ctx, ldap.CheckOptions{User: q.User, Password: secret.New(q.Password)})}
	}
	return out, nil
}

func (s *Server) syncLDAP(ctx context.Context, in *ldapSyncInput) (*body[ldap.SyncReport], error) {
	if s.cfg.LDAP.Syncer == nil {
		return nil, problem(CodeNotSupported, "this node asks no LDAP directories")
	}
	name := in.Body.Name
	if names := s.cfg.LDAP.Set.Names(); name == "" {
		if len(names) != 1 {
			return nil, problem(bus.CodeInvalid, fmt.Sprintf("there are %d LDAP directories (%s): name one", len(names), strings.Join(names, ", ")))
		}
		name = names[0]
	}
	r, err := s.cfg.LDAP.Syncer.Sync(ctx, name, ldap.SyncOptions{DryRun: in.Body.DryRun, Force: in.Body.Force, By: who(ctx).name})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem(bus.CodeNotFound, fmt.Sprintf("no LDAP directory is called %q", name))
	}
	if err != nil {
		return nil, err
	}
	return &body[ldap.SyncReport]{r}, nil
}

// ldapExceptions are the directories that are asked without TLS, and those whose password is kept in the record; name, when given,
// restricts them.
func ldapExceptions(node, name string, site *config.Site) (rows []bus.Exception) {
	for _, e := range site.LDAPDirectories {
		if name != "" && name != e.Name {
			continue
		}
		if e.Transport == config.LDAPClear {
			rows = append(rows, bus.Exception{Node: node, Kind: "ldap-directory", Name: e.Name, Setting: "ldap-clear", Value: e.Transport.String(), Default: config.LDAPS.String(),
				Risk: "passwords of users and of the service account travel readable to the directory: whoever is on the way has them"})
		}
		if !e.BindPassword.IsZero() {
			rows = append(rows, bus.Exception{Node: node, Kind: "ldap-directory", Name: e.Name, Setting: "ldap-bind-password", Value: "in the record", Default: "bindPasswordFile",
				Risk: "the password of " + e.BindDN + " is kept as it is: whoever reads the database or a backup of it has it; say bindPasswordFile in its place"})
		}
	}
	return rows
}
