package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/service/admin"
)

// nodeCmd is `locktone node`.
type nodeCmd struct {
	Token  nodeTokenCmd  `cmd:"" help:"Make a one-time token with which a new node joins: locktone up --join there."`
	Drain  nodeDrainCmd  `cmd:"" help:"Take a node out of service without dropping calls: its devices go to the other nodes of their groups, then it ends."`
	Resume nodeResumeCmd `cmd:"" help:"End the drain of a node."`
	Remove nodeRemoveCmd `cmd:"" help:"Take a node out of the site: its certificates are revoked, groups and trust lists name it no longer."`
}

// nodeTokenCmd is `locktone node token`.
type nodeTokenCmd struct {
	Name string        `help:"The only name the token is good for; a node that was there before comes back only by such a token."`
	TTL  time.Duration `help:"How long it is good for." name:"ttl" default:"1h"`
}

// nodeRemoveCmd is `locktone node remove NAME`.
type nodeRemoveCmd struct {
	Name  string `arg:"" help:"The node's name."`
	Force bool   `help:"Although it lives: its calls end."`
}

// nodesCmd is `locktone show nodes`.
type nodesCmd struct{}

// Run prints the token, alone on standard output, so that it can be written to a file.
func (c *nodeTokenCmd) Run(a *app) error {
	if c.TTL < time.Minute {
		return fmt.Errorf("--ttl %v: want a minute at least", c.TTL)
	}
	var made admin.NodeTokenMade
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/nodes/tokens", admin.NodeToken{Name: c.Name, Minutes: int(c.TTL / time.Minute)}, &made); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(made)
	}
	fmt.Fprintln(a.out, made.Token)
	whom := "one new node"
	if made.Name != "" {
		whom = made.Name
	}
	fmt.Fprintf(a.err, "good once, for %s, until %s; it is shown only now. Whoever has it gets everything a node has: carry it as a key is carried.\n"+
		"On the new machine: locktone up --join https://HOST:8443 --token-file FILE\n", whom, made.Expires.Local().Format(time.DateTime))
	return nil
}

// Run removes a node.
func (c *nodeRemoveCmd) Run(a *app) error {
	var done admin.NodeRemoved
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/nodes/removals", admin.NodeRemoval{Name: c.Name, Force: c.Force}, &done); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(done)
	}
	fmt.Fprintf(a.out, "node %s is out of the site (revision %d): %d certificates revoked", c.Name, done.Revision, done.Revoked)
	if len(done.Groups) > 0 {
		fmt.Fprintf(a.out, ", no longer in call-manager group %s", strings.Join(done.Groups, ", "))
	}
	fmt.Fprintln(a.out)
	for _, text := range done.Advice {
		fmt.Fprintf(a.out, "Left to do: %s.\n", text)
	}
	return nil
}

// Run lists the nodes.
func (c *nodesCmd) Run(a *app) error {
	return rows(a, "/v1/nodes", "", []string{"NODE", "ADDRESS", "STATE", "SINCE", "SERVICES", "GROUPS", "REVISION", "VERSION", "RECORD", "NOTE"}, "the site lists no nodes",
		func(r admin.NodeRow) []string {
			state, record, note := "lost", "", ""
			switch {
			case r.Alive && r.Drain != "":
				state = r.Drain
			case r.Alive:
				state = "alive"
			case r.Since.IsZero():
				state = "not heard"
			}
			if r.Alive && r.Revision > 0 {
				record = "in reach"
			}
			if !r.StaleAt.IsZero() {
				record = "its copy, since " + clock(r.StaleAt)
			}
			if !r.Configured {
				note = "not in the site"
			}
			if r.Drain != "" {
				note = strings.TrimPrefix(fmt.Sprintf("%s, %d calls and %d devices left, until %s", note, r.Calls, r.Devices, clock(r.DrainFor)), ", ")
			}
			if r.Self {
				note = strings.TrimPrefix(note+", asked", ", ")
			}
			revision := ""
			if r.Revision > 0 {
				revision = strconv.FormatInt(r.Revision, 10)
			}
			return []string{r.Name, r.Address, state, clock(r.Since), strings.Join(r.Services, ","), strings.Join(r.Groups, ","), revision, r.Version, record, note}
		})
}
