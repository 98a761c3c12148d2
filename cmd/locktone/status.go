package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/locktone/locktone/service/admin"
)

// statusCmd is `locktone status`.
type statusCmd struct {
	Wait time.Duration `help:"Wait up to so long until everything is ready." placeholder:"30s"`
}

// Run prints the state of the node; not ready is a failure.
func (c *statusCmd) Run(a *app) error {
	st, err := c.ask(a)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(st)
	} else {
		printStatus(a, st)
	}
	if err == nil && !st.Ready {
		err = errQuiet
	}
	return err
}

// ask asks once or, with --wait, until the node is ready; a node that is not there yet may still come.
func (c *statusCmd) ask(a *app) (admin.Status, error) {
	deadline := time.Now().Add(c.Wait)
	for {
		var st admin.Status
		err := a.api.Do(a.ctx, http.MethodGet, "/v1/status", nil, &st)
		if err == nil && st.Ready || err != nil && !errors.Is(err, admin.ErrNotRunning) || time.Now().After(deadline) {
			return st, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-a.ctx.Done():
			return st, a.ctx.Err()
		}
	}
}

func printStatus(a *app, st admin.Status) {
	ready := "ready"
	if !st.Ready {
		ready = "NOT READY"
	}
	fmt.Fprintf(a.out, "%s: node %s, version %s, configuration revision %d, home %s\n\n", ready, st.Node, st.Version, st.Revision, st.Home)
	var rows [][]string
	for _, s := range st.Services {
		for i, address := range append(s.Addresses, "")[:max(1, len(s.Addresses))] {
			row := []string{s.Service, s.Node, s.State, address}
			if i > 0 {
				row[0], row[1], row[2] = "", "", ""
			}
			rows = append(rows, row)
		}
	}
	a.table([]string{"SERVICE", "NODE", "STATE", "ADDRESS"}, rows, "no services")
	fmt.Fprintf(a.out, "\nstore %s; trace %d records, %d lost to the disk, %s on disk\n", storeText(st.Store), st.Trace.Records, st.Trace.Lagged, bytesText(st.Trace.DiskBytes))
	for _, p := range st.Problems {
		fmt.Fprintln(a.out, "problem:", p)
	}
}

// storeText is a store in a word or, while it is away, in a few.
func storeText(s admin.StoreStatus) string {
	text := strings.TrimSpace(s.Engine + " " + s.Location)
	if s.Stale {
		text += " (AWAY since " + s.Since.Local().Format(time.TimeOnly) + ")"
	}
	if s.Waiting > 0 {
		text += fmt.Sprintf(", outbox %d (%s)", s.Waiting, bytesText(s.WaitingBytes))
	}
	return text
}
