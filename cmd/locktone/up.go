package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// upCmd is `locktone up`.
type upCmd struct {
	Site string `help:"Site file (YAML) for a new home folder; without it the built-in secure site." type:"existingfile"`
	Node string `help:"Node file (YAML); default HOME/node.yaml when there is one." type:"existingfile"`
}

// stopWait is how long a clean stop may take.
const stopWait = 15 * time.Second

// Run starts the site, says how to use it, and stops it when the user or a service ends it.
func (c *upCmd) Run(a *app) error {
	if a.wired.StartSite == nil {
		return errors.New("this build cannot start a site")
	}
	p := a.progress()
	site, err := a.wired.StartSite(a.ctx, UpOptions{Home: a.home, SiteFile: c.Site, NodeFile: c.Node, Version: version, Progress: p.say})
	p.end()
	if err != nil {
		return err
	}
	fmt.Fprint(a.out, site.Banner())
	ended := make(chan error, 1)
	go func() { ended <- site.Wait() }()
	select {
	case err = <-ended:
	case <-a.ctx.Done():
		fmt.Fprintln(a.err, "stopping")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), stopWait)
	defer cancel()
	return errors.Join(err, site.Close(ctx))
}
