package main

import (
	"fmt"
	"net/http"
	"os"

	"github.com/locktone/locktone/service/admin"
)

// planCmd is `locktone plan FILE`.
type planCmd struct {
	File string `arg:"" help:"Site file (YAML)." type:"path"`
}

// applyCmd is `locktone apply FILE`.
type applyCmd struct {
	File    string `arg:"" help:"Site file (YAML)." type:"path"`
	Comment string `help:"Why, for the history."`
	Base    int64  `help:"Apply only if this is still the newest revision (as plan printed it)."`
}

// configCmd is `locktone config`.
type configCmd struct{}

type siteRequest struct {
	Name    string `json:"name"`
	YAML    string `json:"yaml"`
	Base    int64  `json:"base,omitempty"`
	Comment string `json:"comment,omitempty"`
}

func readSite(path string) (siteRequest, error) {
	b, err := os.ReadFile(path)
	return siteRequest{Name: path, YAML: string(b)}, err
}

// Run prints the plan.
func (c *planCmd) Run(a *app) error {
	req, err := readSite(c.File)
	if err != nil {
		return err
	}
	var p admin.Plan
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/config/plan", req, &p); err != nil {
		return err
	}
	return printPlan(a, p)
}

// Run applies the file.
func (c *applyCmd) Run(a *app) error {
	req, err := readSite(c.File)
	if err != nil {
		return err
	}
	req.Comment, req.Base = c.Comment, c.Base
	progress := a.progress()
	progress.say("applying " + c.File)
	var p admin.Plan
	err = a.api.Do(a.ctx, http.MethodPost, "/v1/config/apply", req, &p)
	progress.end()
	if err != nil {
		return err
	}
	return printPlan(a, p)
}

// Run prints the configuration.
func (c *configCmd) Run(a *app) error {
	var t admin.ConfigText
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/config", nil, &t); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(t)
	}
	fmt.Fprint(a.out, t.YAML)
	return nil
}

var opMarks = map[string]string{"add": "+", "change": "~", "remove": "-"}

func printPlan(a *app, p admin.Plan) error {
	if a.json {
		return a.printJSON(p)
	}
	count := map[string]int{}
	for _, c := range p.Changes {
		count[c.Op]++
		fmt.Fprintf(a.out, "%s %s %s\n", opMarks[c.Op], c.Kind, c.Key)
		for _, f := range c.Fields {
			switch c.Op {
			case "change":
				fmt.Fprintf(a.out, "    %s: %s -> %s\n", f.Field, orNone(f.Old), orNone(f.New))
			case "add":
				fmt.Fprintf(a.out, "    %s: %s\n", f.Field, orNone(f.New))
			}
		}
	}
	summary := fmt.Sprintf("%d to add, %d to change, %d to remove", count["add"], count["change"], count["remove"])
	switch {
	case len(p.Changes) == 0:
		fmt.Fprintf(a.out, "nothing changes; revision %d is in force\n", p.Base)
	case p.Revision > 0:
		fmt.Fprintf(a.out, "revision %d is in force: %d added, %d changed, %d removed\n", p.Revision, count["add"], count["change"], count["remove"])
	default:
		fmt.Fprintf(a.out, "%s, on revision %d (locktone apply --base %d makes it so)\n", summary, p.Base, p.Base)
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}
