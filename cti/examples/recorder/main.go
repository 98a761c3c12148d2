// Command recorder writes down every call of the lines that the user controls: who with whom, when it rang, was answered,
// held and ended, and how well it was secured. One JSON object a line, as it happens, so that nothing is lost when the
// program or the CTI manager ends.
//
//	recorder -dir tsp -out calls.jsonl
//
// With a user of the group Standard CTI Allow Reception of SRTP Key Material, on the secure port, it also notes that keys
// and media addresses came: with them a program that sees the packets can record the speech. The keys themselves are
// never written.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/locktone/locktone/cti"
)

func main() {
	log.SetFlags(log.Ltime)
	dir := flag.String("dir", "tsp", "folder of locktone tsp")
	out := flag.String("out", "-", "file to append to; - is standard output")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	w := io.Writer(os.Stdout)
	if *out != "-" {
		f, err := os.OpenFile(*out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		w = f
	}
	if err := run(ctx, *dir, w); err != nil && ctx.Err() == nil {
		log.Print(err)
		os.Exit(1)
	}
}

// record is one line of the file.
type record struct {
	At       time.Time `json:"at"`
	What     string    `json:"what"`
	Line     string    `json:"line,omitempty"`
	Call     string    `json:"call,omitempty"`
	Global   string    `json:"global,omitempty"`
	State    string    `json:"state,omitempty"`
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
	Cause    string    `json:"cause,omitempty"`
	Security string    `json:"security,omitempty"`
	Text     string    `json:"text,omitempty"`
}

func run(ctx context.Context, dir string, w io.Writer) error {
	settings, err := cti.LoadSettings(dir)
	if err != nil {
		return err
	}
	cfg, err := settings.Config(dir, nil)
	if err != nil {
		return err
	}
	provider, err := cti.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer provider.Close()
	for _, l := range provider.Lines() {
		if err := provider.OpenLine(ctx, l.ID); err != nil {
			log.Print(err)
		}
	}
	enc := json.NewEncoder(w)
	for {
		event, err := provider.Next(ctx)
		if err != nil {
			return err
		}
		if r, ok := recordOf(event); ok {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		if e, ok := event.(cti.Closed); ok {
			return fmt.Errorf("the provider ended: %w", e.Err)
		}
	}
}

func recordOf(event cti.Event) (record, bool) {
	switch e := event.(type) {
	case cti.NewCall:
		return ofCall("new", e.Call), true
	case cti.CallChanged:
		return ofCall("changed", e.Call), true
	case cti.PartiesChanged:
		return ofCall("parties", e.Call), true
	case cti.GlobalChanged:
		return ofCall("merged", e.Call), true
	case cti.CallEnded:
		return ofCall("ended", e.Call), true
	case cti.Media:
		return record{At: time.Now().UTC(), What: "media", Call: id(e.Call), Text: fmt.Sprintf("%s start=%t receive=%t %s %s", e.Device, e.Start, e.Receive, e.Address, e.Payload)}, true
	case cti.Key:
		return record{At: time.Now().UTC(), What: "key", Call: id(e.Call), Text: fmt.Sprintf("%s receive=%t %s", e.Device, e.Receive, e.Indicator)}, true
	case cti.Gap:
		return record{At: time.Now().UTC(), What: "gap", Text: fmt.Sprintf("from %s to %s", e.From.UTC().Format(time.RFC3339Nano), e.To.UTC().Format(time.RFC3339Nano))}, true
	case cti.LinkLost:
		return record{At: time.Now().UTC(), What: "lost", Text: fmt.Sprintf("%s: %v", e.Manager, e.Err)}, true
	}
	return record{}, false
}

func id(c cti.CallID) string { return fmt.Sprintf("%d|%d", c.Node, c.Leg) }

func ofCall(what string, c cti.Call) record {
	r := record{At: time.Now().UTC(), What: what, Line: c.Line.String(), Call: id(c.ID), Global: fmt.Sprintf("%d|%d", c.Global.Node, c.Global.Call),
		State: c.State.String(), From: c.Calling.String(), To: c.Called.String(), Security: c.Security.String()}
	if c.Cause != 0 {
		r.Cause = c.Cause.String()
	}
	return r
}
