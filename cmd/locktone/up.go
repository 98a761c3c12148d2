package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// upCmd is `locktone up`.
type upCmd struct {
	Site string `help:"Site file (YAML) for a new home folder; without it the built-in secure site." type:"existingfile"`
	Node string `help:"Node file (YAML); default HOME/node.yaml when there is one." type:"existingfile"`

	Join      string `help:"Become a node of a cluster: https://HOST:8443, where administration of one of its nodes answers." placeholder:"URL"`
	TokenFile string `help:"With --join: the file with the token that locktone node token made there; - reads it from standard input." placeholder:"FILE"`
	Name      string `help:"With --join: the name of this node, where the token is good for any; default: what the machine is called."`
	Address   string `help:"With --join: the IP address at which phones and other nodes reach this one; default: the one it has towards the member."`
	DSNFile   string `help:"With --join: a file with the way to the database, where this machine needs another than the member." name:"dsn-file" placeholder:"FILE"`
}

// join makes the home folder that of a node of a cluster; without --join it does nothing.
func (c *upCmd) join(a *app) error {
	if c.Join == "" {
		if c.TokenFile != "" || c.Name != "" || c.Address != "" || c.DSNFile != "" {
			return errors.New("--token-file, --name, --address and --dsn-file go with --join")
		}
		return nil
	}
	if c.Site != "" || c.Node != "" {
		return errors.New("--join takes the site from the cluster, and writes the node file: leave --site and --node out")
	}
	if a.wired.Join == nil {
		return errors.New("this build cannot join a cluster")
	}
	o := JoinOptions{Home: a.home, Member: c.Join, Name: c.Name, Address: c.Address, DSNFile: c.DSNFile, Version: version}
	o.Token = func() (string, error) { return a.token(c.TokenFile) }
	text, err := a.wired.Join(a.ctx, o)
	if err == nil {
		fmt.Fprint(a.out, text)
	}
	return err
}

// token reads a token for a new node.
func (a *app) token(file string) (string, error) {
	var from io.Reader
	switch file {
	case "":
		return "", errors.New("--join needs a token: make one on a node of the cluster (locktone node token) and name its file with --token-file, or - for standard input")
	case "-":
		from = a.stdin()
	default:
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, 4096))
	return string(b), err
}

// stopWait is how long a clean stop may take.
const stopWait = 15 * time.Second

// Run starts the site, says how to use it, and stops it when the user or a service ends it.
func (c *upCmd) Run(a *app) error {
	if a.wired.StartSite == nil {
		return errors.New("this build cannot start a site")
	}
	if err := c.join(a); err != nil {
		return err
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
		again, stop := signal.NotifyContext(context.WithoutCancel(a.ctx), os.Interrupt, syscall.SIGTERM)
		site.Leave(again) // a second signal ends it at once
		stop()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), stopWait)
	defer cancel()
	return errors.Join(err, site.Close(ctx))
}
