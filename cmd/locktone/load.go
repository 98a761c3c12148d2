package main

import "errors"

// loadCmd is `locktone load`; its flags are the load generator's own.
type loadCmd struct {
	Args []string `arg:"" optional:"" help:"Flags of the load generator."`
}

// Run hands over to the load generator.
func (c *loadCmd) Run(a *app) error {
	if a.wired.Load == nil {
		return errors.New("this build has no load generator")
	}
	p := a.progress()
	defer p.end()
	return a.wired.Load(a.ctx, c.Args, a.out, p.say)
}
