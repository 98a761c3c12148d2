package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

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
			{Name: "contact-centre", Summary: "a caller comes in by the border, is greeted, hears music and talks to an agent; every hop TLS with both ends verified",
				Run: func(ctx context.Context, out io.Writer, asJSON bool, progress func(string)) (bool, error) {
					return demo.RunContactCenter(ctx, out, asJSON, progress, demo.ContactCenterOptions{Show: said})
				},
				Keep: func(ctx context.Context, out io.Writer, asJSON bool, progress func(string)) (bool, error) {
					return demo.RunContactCenter(ctx, out, asJSON, progress, demo.ContactCenterOptions{Show: said, Keep: true})
				}},
			{Name: "call", Summary: "two phones call each other over mutual TLS with SRTP, hold, resume, hang up", Run: demo.RunCall},
			{Name: "trust", Summary: "mixed mode by one command, phones that provision themselves, every certificate replaced under their call", Run: demo.RunTrust},
			{Name: "cti", Summary: "an application fetches its certificate, logs in through a directory, and makes, holds, transfers and ends calls of a desk phone", Run: demo.RunCTI},
		},
	}
}

// said is what a command says of the site in a home folder.
func said(ctx context.Context, home string, words ...string) (string, error) {
	var out, diag bytes.Buffer
	a := &app{ctx: ctx, out: &out, err: &diag, wired: services{}}
	if code := a.run(append([]string{"--home", home}, words...)); code != exitOK {
		return out.String(), fmt.Errorf("locktone %s: %s", strings.Join(words, " "), strings.TrimSpace(diag.String()))
	}
	return out.String(), nil
}

// startSite starts the site of a home folder for `locktone up`.
func startSite(ctx context.Context, o UpOptions) (Site, error) {
	opt := site.Options{Home: o.Home, Version: o.Version, Progress: o.Progress, Localhost: true, First: firstSite}
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

// firstSite is the site of a new home: two phones, and a contact centre with everything on its way.
func firstSite(node string) (*config.Site, error) {
	at, err := site.FreeAddress(1)
	if err != nil {
		return nil, err
	}
	return config.Default(node).WithContactCenter(at), nil
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
