package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/locktone/locktone/service/admin"
)

// ctiCmd is `locktone cti`.
type ctiCmd struct {
	Why   ctiWhyCmd   `cmd:"" help:"Whether a user may control a device: every condition in order, the first that is not met, and what to do; exits 1 when one is not."`
	Trust ctiTrustCmd `cmd:"" help:"Lift the mark that the certificate of an instance is compromised."`
}

type ctiWhyCmd struct {
	User     string `arg:"" help:"User the application logs in as."`
	Device   string `arg:"" help:"Device it wants to control."`
	Line     string `help:"Only this line of the device." placeholder:"NUMBER"`
	Port     int    `help:"Where the application comes to: 2749 (TLS) or 2748 (clear)." default:"2749" enum:"2748,2749"`
	Instance string `help:"Only this instance of the application." placeholder:"ID"`
	Keys     bool   `help:"Also what it takes to be given SRTP keys."`
}

// Run walks the conditions.
func (c *ctiWhyCmd) Run(a *app) error {
	q := url.Values{"user": {c.User}, "device": {c.Device}, "port": {strconv.Itoa(c.Port)}}
	for name, v := range map[string]string{"line": c.Line, "instance": c.Instance} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if c.Keys {
		q.Set("keys", "true")
	}
	var x admin.CTIWhy
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/cti/why?"+q.Encode(), nil, &x); err != nil {
		return err
	}
	if a.json {
		if err := a.printJSON(x); err != nil {
			return err
		}
	} else {
		a.printWhy(x)
	}
	if !x.OK {
		return errQuiet
	}
	return nil
}

func (a *app) printWhy(x admin.CTIWhy) {
	rows := make([][]string, len(x.Verdicts))
	for i, v := range x.Verdicts {
		rows[i] = []string{v.Step, v.Condition, v.Finding, v.Found}
	}
	a.table([]string{"STEP", "CONDITION", "", ""}, rows, "")
	a.problems(x.Problems)
	if x.First == nil {
		fmt.Fprintf(a.out, "\n%s may control %s over port %d.\n", x.User, x.Device, x.Port)
		return
	}
	fmt.Fprintf(a.out, "\nFirst: %s: %s.\nWhat to do: %s.\n", x.First.Condition, x.First.Found, x.First.Fix)
	if x.First.Value != "" {
		fmt.Fprintf(a.out, "The CTI manager answers %s.\n", x.First.Value)
	}
}

type ctiTrustCmd struct {
	Owner string `arg:"" help:"User and instance id: USER/ID."`
}

// Run lifts the mark.
func (c *ctiTrustCmd) Run(a *app) error {
	var out admin.CTIPardon
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/cti/pardon", admin.CTIPardon{Owner: c.Owner}, &out); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	fmt.Fprintf(a.out, "%s: its certificate is no longer marked as compromised\n", out.Owner)
	return nil
}
