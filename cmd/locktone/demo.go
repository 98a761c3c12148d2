package main

import (
	"fmt"
	"strings"
)

// demoCmd is `locktone demo`.
type demoCmd struct {
	Name string `arg:"" optional:"" help:"Scenario; without it the first of --list."`
	List bool   `help:"List the scenarios."`
	Keep bool   `help:"Leave everything running after the report, until Ctrl-C (contact-centre)."`
}

// Run plays a scenario; it fails when anything in its table is not proven.
func (c *demoCmd) Run(a *app) error {
	if c.List {
		return c.list(a)
	}
	d, err := c.find(a.wired.Demos)
	if err != nil {
		return err
	}
	run := d.Run
	if c.Keep {
		if run = d.Keep; run == nil {
			return fmt.Errorf("scenario %s cannot be left running: --keep is for contact-centre", d.Name)
		}
	}
	p := a.progress()
	p.say("demo " + d.Name)
	proven, err := run(a.ctx, a.out, a.json, p.say)
	p.end()
	if err != nil {
		return fmt.Errorf("the demo could not run: %w", err)
	}
	if !proven {
		if !a.json {
			fmt.Fprintln(a.err, "locktone: not everything in the table is proven")
		}
		return errQuiet
	}
	return nil
}

func (c *demoCmd) find(all []Demo) (Demo, error) {
	var names []string
	for _, d := range all {
		if d.Name == c.Name || c.Name == "" {
			return d, nil
		}
		names = append(names, d.Name)
	}
	return Demo{}, fmt.Errorf("there is no scenario %q; there are: %s", c.Name, strings.Join(names, ", "))
}

func (c *demoCmd) list(a *app) error {
	type row struct {
		Name    string `json:"name"`
		Summary string `json:"summary"`
	}
	rows, cells := []row{}, [][]string{}
	for _, d := range a.wired.Demos {
		rows, cells = append(rows, row{d.Name, d.Summary}), append(cells, []string{d.Name, d.Summary})
	}
	if a.json {
		return a.printJSON(rows)
	}
	a.table([]string{"SCENARIO", "WHAT HAPPENS"}, cells, "this build has no scenarios")
	return nil
}
