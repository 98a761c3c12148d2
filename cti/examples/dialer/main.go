// Command dialer calls a list of numbers one after the other from one telephone: the smallest useful application of CTI.
//
//	locktone tsp configure --user tapi --password ...; locktone tsp fetch-certificate
//	dialer -dir tsp -device SEP001122334455 1002 1003
//
// Each call is let ring for a while; when it is answered the program waits for its end before it makes the next one.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/wire/ctiqbe"
)

func main() {
	log.SetFlags(log.Ltime)
	dir := flag.String("dir", "tsp", "folder of locktone tsp")
	device := flag.String("device", "", "device to call from")
	line := flag.String("line", "", "number of the line")
	ring := flag.Duration("ring", 30*time.Second, "how long to let a call ring")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *dir, *device, *line, *ring, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir, device, line string, ring time.Duration, numbers []string) error {
	settings, err := cti.LoadSettings(dir)
	if err != nil {
		return err
	}
	provider, err := settings.Open(ctx, dir, nil)
	if err != nil {
		return err
	}
	defer provider.Close()
	id, err := provider.Find(device, line)
	if err != nil {
		return err
	}
	if err := provider.OpenLine(ctx, id); err != nil {
		return err
	}
	for _, number := range numbers {
		outcome, err := callOne(ctx, provider, id, number, ring)
		if err != nil {
			return err
		}
		log.Printf("%s: %s", number, outcome)
	}
	return nil
}

// callOne makes one call and says what became of it.
func callOne(ctx context.Context, p *cti.Provider, line cti.LineID, number string, ring time.Duration) (string, error) {
	id, err := p.Dial(ctx, line, number)
	if err != nil {
		return "", err
	}
	patience, cancel := context.WithTimeout(ctx, ring)
	defer cancel()
	answered := time.Time{}
	cause := ctiqbe.CauseNoError
	for {
		event, err := p.Next(patience)
		if err != nil && ctx.Err() == nil && patience.Err() != nil {
			if c, ok := p.Call(line, id); ok {
				_ = p.Drop(ctx, c)
			}
			return "nobody answered", nil
		}
		if err != nil {
			return "", err
		}
		switch e := event.(type) {
		case cti.CallChanged:
			if e.Call.Line != line || e.Call.ID != id {
				continue
			}
			if e.Call.State == ctiqbe.CallStateConnected && answered.IsZero() {
				answered, patience = time.Now(), ctx
			}
			if e.Call.Cause != ctiqbe.CauseNoError {
				cause = e.Call.Cause
			}
		case cti.CallEnded:
			if e.Call.Line == line && e.Call.ID == id {
				return outcome(answered, cause), nil
			}
		case cti.Closed:
			return "", fmt.Errorf("the provider ended: %w", e.Err)
		}
	}
}

func outcome(answered time.Time, cause ctiqbe.Cause) string {
	if answered.IsZero() {
		return "not answered: " + cause.String()
	}
	return fmt.Sprintf("talked for %v", time.Since(answered).Round(time.Second))
}
