package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/locktone/locktone/directory/ldap"
	"github.com/locktone/locktone/service/admin"
)

// ldapCmd is `locktone ldap`.
type ldapCmd struct {
	Check ldapCheckCmd `cmd:"" help:"Walk everything a login and a synchronisation need of a directory; say what is wrong and what to do."`
	Sync  ldapSyncCmd  `cmd:"" help:"Bring the users of a directory into the site."`
	List  ldapListCmd  `cmd:"" help:"The directories, and the last synchronisation of each."`
}

type ldapCheckCmd struct {
	Name     string `arg:"" optional:"" help:"Name of the directory. Left out: all."`
	User     string `help:"Look for this user too, as a login does."`
	Password bool   `help:"Ask for the user's password, or read it from standard input, and try it."`
	AllNodes bool   `help:"Have each node that is heard check for itself."`
}

// Run checks, and fails when a step has failed.
func (c *ldapCheckCmd) Run(a *app) error {
	q := admin.LDAPCheck{Name: c.Name, User: c.User, AllNodes: c.AllNodes}
	if c.Password {
		if c.User == "" {
			return fmt.Errorf("--password needs --user: whose password it is")
		}
		var err error
		if q.Password, err = a.password("Password of " + c.User + ": "); err != nil {
			return err
		}
	}
	var out admin.Rows[admin.LDAPChecked]
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/ldap/check", q, &out); err != nil {
		return err
	}
	if a.json {
		if err := a.printJSON(out); err != nil {
			return err
		}
	} else {
		a.printLDAPChecks(out.Rows)
		a.problems(out.Problems)
	}
	for _, r := range out.Rows {
		if !r.OK {
			return errQuiet
		}
	}
	return nil
}

func (a *app) printLDAPChecks(rows []admin.LDAPChecked) {
	if len(rows) == 0 {
		fmt.Fprintln(a.out, "no LDAP directory is configured")
	}
	for _, r := range rows {
		fmt.Fprintf(a.out, "%s, asked by %s\n", r.Directory, r.Node)
		server := ""
		for _, s := range r.Steps {
			if s.Server != server {
				server = s.Server
				fmt.Fprintf(a.out, "  %s\n", server)
			}
			fmt.Fprintf(a.out, "    %-8s %-12s %s\n", s.State, s.Name, s.Text)
			if s.Problem != nil && s.Problem.Fix != "" {
				fmt.Fprintf(a.out, "%26s%s\n", "", "What to do: "+s.Problem.Fix+".")
			}
			if s.Problem != nil && len(s.Problem.Findings) > 0 {
				for _, line := range strings.Split(strings.TrimRight(s.Problem.Findings.Text(s.Server), "\n"), "\n") {
					fmt.Fprintf(a.out, "%26s%s\n", "", line)
				}
			}
		}
	}
}

type ldapSyncCmd struct {
	Name   string `arg:"" optional:"" help:"Name of the directory. Left out: the only one."`
	DryRun bool   `help:"Say what would be done, and do nothing."`
	Force  bool   `help:"Do it although many users would be disabled or removed."`
}

// Run synchronises.
func (c *ldapSyncCmd) Run(a *app) error {
	var r ldap.SyncReport
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/ldap/sync", admin.LDAPSync{Name: c.Name, DryRun: c.DryRun, Force: c.Force}, &r); err != nil {
		return err
	}
	if a.json {
		if err := a.printJSON(r); err != nil {
			return err
		}
	} else {
		a.printSync(r)
	}
	if r.Problem != nil || r.Refused != "" {
		return errQuiet
	}
	return nil
}

func (a *app) printSync(r ldap.SyncReport) {
	if r.Problem != nil {
		fmt.Fprintf(a.err, "locktone: %s\nWhat to do: %s.\n", r.Problem.What, r.Problem.Fix)
		return
	}
	rows := make([][]string, len(r.Changes))
	for i, c := range r.Changes {
		rows[i] = []string{c.Op, c.User, c.Why}
	}
	a.table([]string{"WHAT", "USER", "WHY"}, rows, "nothing to change")
	word := "done"
	switch {
	case r.Refused != "":
		fmt.Fprintln(a.err, "locktone: nothing was changed:", r.Refused)
		return
	case r.DryRun:
		word = "a dry run: nothing was changed"
	case r.Revision > 0:
		word = "revision " + strconv.FormatInt(r.Revision, 10)
	}
	fmt.Fprintf(a.out, "%s: %d users there, %d came from it before; %s\n", r.Directory, r.Seen, r.Known, word)
}

type ldapListCmd struct{ byName }

// Run lists directories.
func (c *ldapListCmd) Run(a *app) error {
	return rows(a, "/v1/ldap", c.Name, []string{"NAME", "SERVERS", "TRANSPORT", "BASE", "BIND DN", "USERS", "EVERY", "SYNCED", "OUTCOME"}, "no LDAP directory is configured",
		func(r admin.LDAPRow) []string {
			return []string{r.Name, strings.Join(r.Servers, ", "), r.Transport, r.Base, r.BindDN, strconv.Itoa(r.Users), r.Every, clock(r.Synced), r.Outcome}
		})
}
