// Command screenpop shows who calls while the telephone still rings, and can open a page for it: what a help desk wants.
//
//	screenpop -dir tsp -url 'https://crm.example/customers?phone=%s' -open xdg-open
//
// It watches every line that the user controls. A gap in what is known is told as such: a call that rang meanwhile shows up
// when there is a CTI manager again.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"github.com/locktone/locktone/cti"
)

func main() {
	log.SetFlags(log.Ltime)
	dir := flag.String("dir", "tsp", "folder of locktone tsp")
	page := flag.String("url", "", "page for a caller; %s is the number")
	open := flag.String("open", "", "program that opens the page")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *dir, func(c cti.Call) { pop(c, *page, *open) }); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir string, pop func(cti.Call)) error {
	settings, err := cti.LoadSettings(dir)
	if err != nil {
		return err
	}
	provider, err := settings.Open(ctx, dir, nil)
	if err != nil {
		return err
	}
	defer provider.Close()
	watched := 0
	for _, l := range provider.Lines() {
		if err := provider.OpenLine(ctx, l.ID); err != nil {
			log.Print(err) // a line that may not be controlled is no reason to leave the others
			continue
		}
		watched++
	}
	log.Printf("watching %d lines", watched)
	for {
		event, err := provider.Next(ctx)
		if err != nil {
			return err
		}
		switch e := event.(type) {
		case cti.NewCall:
			if !e.Call.Outgoing() && !e.Call.Remote {
				pop(e.Call)
			}
		case cti.LinkLost:
			log.Printf("CTI manager %s is gone: %v", e.Manager, e.Err)
		case cti.Gap:
			log.Printf("nothing was heard for %v; now connected to %s", e.To.Sub(e.From).Round(time.Millisecond), e.Manager)
		case cti.Closed:
			return fmt.Errorf("the provider ended: %w", e.Err)
		}
	}
}

// pop shows a caller.
func pop(c cti.Call, page, open string) {
	text := fmt.Sprintf("%s calls %s", c.Calling, c.Line)
	if c.LastRedirected.Number != "" {
		text += " by way of " + c.LastRedirected.String()
	}
	log.Print(text)
	if page == "" || open == "" {
		return
	}
	address := strings.ReplaceAll(page, "%s", url.QueryEscape(c.Calling.Number))
	if err := exec.Command(open, address).Start(); err != nil {
		log.Print(err)
	}
}
