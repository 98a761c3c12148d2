package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/locktone/locktone/cmd/locktone/site"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/demo"
	"github.com/locktone/locktone/lab/load"
)

// wiring connects the commands to the packages that do the work.
func wiring() services {
	return services{
		StartSite: startSite,
		Load:      load.Command,
		Demos: []Demo{
			{Name: "call", Summary: "two phones call each other over mutual TLS with SRTP, hold, resume, hang up", Run: demo.RunCall},
		},
	}
}

// startSite starts the site of a home folder for `locktone up`.
func startSite(ctx context.Context, o UpOptions) (Site, error) {
	opt := site.Options{Home: o.Home, Version: o.Version, Progress: o.Progress, Localhost: true}
	nodeFile := o.NodeFile
	if nodeFile == "" {
		nodeFile = filepath.Join(o.Home, "node.yaml")
	}
	if o.NodeFile != "" || exists(nodeFile) {
		node, err := config.LoadNode(nodeFile)
		if err != nil {
			return nil, err
		}
		opt.Node = *node
	}
	if o.SiteFile != "" {
		var err error
		if opt.Site, err = config.Load(o.SiteFile, nil); err != nil {
			return nil, err
		}
	}
	return site.Start(ctx, opt)
}

// exists reports whether there is a file at path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
