package main

import (
	"context"
	"fmt"
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
		Join: func(ctx context.Context, o JoinOptions) (string, error) {
			return site.Join(ctx, site.JoinOptions(o))
		},
		Load: load.Command,
		Demos: []Demo{
			{Name: "call", Summary: "two phones call each other over mutual TLS with SRTP, hold, resume, hang up", Run: demo.RunCall},
			{Name: "trust", Summary: "mixed mode by one command, phones that provision themselves, every certificate replaced under their call", Run: demo.RunTrust},
			{Name: "cti", Summary: "an application fetches its certificate, logs in through a directory, and makes, holds, transfers and ends calls of a desk phone", Run: demo.RunCTI},
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
		if opt.Home, err = homeOf(o, nodeFile, node.Home); err != nil {
			return nil, err
		}
	}
	if o.SiteFile != "" {
		var err error
		if opt.Site, err = config.Load(o.SiteFile, nil); err != nil {
			return nil, err
		}
	}
	site.PaceCollector() // for as long as the process lives
	return site.Start(ctx, opt)
}

// homeOf is the home folder: the one a node file given on the command line names, relative to that file, else the one of the
// command line.
func homeOf(o UpOptions, nodeFile, named string) (string, error) {
	if named == "" {
		return o.Home, nil
	}
	if !filepath.IsAbs(named) {
		named = filepath.Join(filepath.Dir(nodeFile), named)
	}
	if o.NodeFile != "" {
		return named, nil
	}
	a, err1 := filepath.Abs(named)
	b, err2 := filepath.Abs(o.Home)
	if err1 != nil || err2 != nil || a != b {
		return "", fmt.Errorf("%s: home names %s, and this file was found in %s: remove home, or start with --node %s", nodeFile, named, o.Home, nodeFile)
	}
	return o.Home, nil
}

// exists reports whether there is a file at path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
