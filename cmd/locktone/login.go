package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/service/admin"
)

// loginCmd is `locktone login`.
type loginCmd struct {
	Explain  loginExplainCmd  `cmd:"" help:"What is known of a user's logins: policy, lock, groups, the stages of the last login, and what the next would come to."`
	Unlock   loginUnlockCmd   `cmd:"" help:"Lift the lock of a user's account and forget its failed logins."`
	Password loginPasswordCmd `cmd:"" help:"Change a user's password: the present and the new one are read from the terminal or standard input."`
}

type (
	loginExplainCmd  struct{ loginUser }
	loginUnlockCmd   struct{ loginUser }
	loginPasswordCmd struct{ loginUser }
)

type loginUser struct {
	User string `arg:"" help:"Login name."`
}

// Run explains.
func (c *loginExplainCmd) Run(a *app) error {
	var x admin.LoginExplained
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/logins/explain?user="+url.QueryEscape(c.User), nil, &x); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(x)
	}
	kind := "end user"
	if x.Application {
		kind = "application user"
	}
	groups := make([]string, len(x.Groups))
	for i, g := range x.Groups {
		groups[i] = g.String()
	}
	a.form([][2]string{{"User", x.User + ", " + kind}, {"Name", x.DisplayName}, {"Password known to", x.Source}, {"Groups", strings.Join(groups, ", ")}, {"Settings", x.Settings}})
	a.form(policyForm(x.Policy))
	a.lastLogin(x)
	fmt.Fprintln(a.out)
	fmt.Fprintf(a.out, "%-30s %s\n", "The next login comes to", x.Next.Result)
	a.form([][2]string{{"Because", x.Next.Why}, {"What to do", x.Next.Fix}, {"A CTI manager answers", x.Next.Value}, {"The directory says", x.Next.Directory}})
	if x.Next.Result != login.Success.String() {
		return errQuiet
	}
	return nil
}

// policyForm is what the policy counts.
func policyForm(p login.Policy) [][2]string {
	left, days := "any number", "never"
	if p.Left >= 0 {
		left = strconv.Itoa(p.Left)
	}
	if p.Days != login.Never {
		days = fmt.Sprintf("in %d days", p.Days)
	}
	return [][2]string{{"Credential policy", p.Name}, {"Account", p.Lock}, {"Failed logins", fmt.Sprintf("%d, %s more until it is locked", p.Failures, left)}, {"Password expires", days},
		{"Password since", day(p.Changed)}}
}

func (a *app) lastLogin(x admin.LoginExplained) {
	if x.Last == nil {
		fmt.Fprintf(a.out, "%-30s %s\n", "Last login", "none is known")
		return
	}
	l := x.Last
	result := l.Reason.String()
	if l.Grace {
		result += ", while the directory was away"
	}
	a.form([][2]string{{"Last login", fmt.Sprintf("%s, %s, from %s, by %s on %s", clock(l.At), result, l.From, l.Service, l.Node)}, {"Because", l.Why}})
	for _, s := range l.Stages {
		fmt.Fprintf(a.out, "  %s  %s\n", s.At.Local().Format("15:04:05.000"), s.Text)
	}
}

// Run unlocks.
func (c *loginUnlockCmd) Run(a *app) error {
	var out admin.LoginChanged
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/logins/unlock", admin.LoginUser{User: c.User}, &out); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	fmt.Fprintf(a.out, "%s: %s, no failed logins\n", c.User, out.Policy.Lock)
	return nil
}

// Run changes the password.
func (c *loginPasswordCmd) Run(a *app) error {
	old, next, err := a.passwordChange(c.User)
	if err != nil {
		return err
	}
	var out admin.LoginChanged
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/logins/password", admin.PasswordChange{User: c.User, Password: old, New: next}, &out); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	fmt.Fprintf(a.out, "%s: the password was changed\n", c.User)
	return nil
}
