package main

import (
	"context"
	"io"
)

// Site is a running site as `locktone up` sees it: everything it must be able to say and do about one. The rest goes
// through the admin API.
type Site interface {
	// Banner is what `up` prints once the site is ready: where each service listens, how to attach a phone, where to look.
	Banner() string
	// Wait returns when a service ends for good, with the reason.
	Wait() error
	// Leave hands what the node serves over to the other nodes, for as long as the node's configuration says or ctx allows.
	Leave(ctx context.Context)
	// Close stops every service cleanly, in the reverse order of their start.
	Close(ctx context.Context) error
}

// UpOptions are the flags of `locktone up`.
type UpOptions struct {
	Home     string            // folder of the node's data
	SiteFile string            // YAML to apply when the store is empty; empty: the built-in secure site
	NodeFile string            // YAML of the node; empty: HOME/node.yaml when there is one
	Version  string            // of this program
	Progress func(text string) // hears what takes longer than a second; never nil
}

// JoinOptions are the flags of `locktone up --join`.
type JoinOptions struct {
	Home    string                 // folder of the node's data
	Member  string                 // https://host:port
	Token   func() (string, error) // reads the token, when it is needed
	Name    string                 // empty: what the token says
	Address string                 // empty: the one towards the member
	DSNFile string                 // empty: the member's way to the database
	Version string
}

// Demo is one scenario of `locktone demo`.
type Demo struct {
	Name    string
	Summary string // one line for --list
	// Run plays the scenario in a throw-away site, writes its report to out (JSON when asJSON) and reports whether
	// everything in it is proven. The error is for a demo that could not run.
	Run func(ctx context.Context, out io.Writer, asJSON bool, progress func(string)) (proven bool, err error)
	// Keep is Run that leaves everything running, after its report, until ctx ends; nil: the scenario cannot.
	Keep func(ctx context.Context, out io.Writer, asJSON bool, progress func(string)) (proven bool, err error)
}

// services is the one place that knows what this binary can do. The functions are nil in a build that has none of it;
// the commands then say so.
type services struct {
	// StartSite starts the site of a home folder: store, bus, CA, call manager, admin.
	StartSite func(ctx context.Context, o UpOptions) (Site, error)
	// Join makes a home folder that of a node of a cluster, and says so in a sentence. It may be repeated.
	Join func(ctx context.Context, o JoinOptions) (string, error)
	// Demos are the scenarios, the default one first.
	Demos []Demo
	// Load runs the load generator with its own arguments.
	Load func(ctx context.Context, args []string, out io.Writer, progress func(string)) error
}
