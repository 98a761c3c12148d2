package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/contactcenter"
	"github.com/locktone/locktone/service/contactcenter/simulate"
)

// ccCmd is `locktone cc`.
type ccCmd struct {
	Agents   ccAgentsCmd   `cmd:"" help:"Agents now: state, since when, phone, contact."`
	Queues   ccQueuesCmd   `cmd:"" help:"Queues now: who waits, for how long, who is there for them, the service level."`
	Contacts ccContactsCmd `cmd:"" help:"Contacts now: where each one is."`
	Report   ccReportCmd   `cmd:"" help:"What is over: intervals of queues and agents, and contacts, from the record."`
	Simulate ccSimulateCmd `cmd:"" help:"Play a day of the contact centre of a site file: arrivals and handle times at random, the routing that runs in production; nothing has to run."`
}

type ccSimulateCmd struct {
	File     string        `arg:"" type:"existingfile" help:"Site file."`
	Arrivals []string      `short:"a" required:"" help:"Calls per hour to a contact number: 800=120. May be repeated."`
	Pattern  []float64     `help:"Factors of the arrivals, one for each equal part of the day: 0.5,1,1.5,1."`
	Talk     time.Duration `help:"Mean time with an agent; wrapping up is the team's." default:"3m"`
	Patience time.Duration `help:"Mean time a caller waits before hanging up; 0: for ever." default:"3m"`
	Answer   time.Duration `help:"How long an agent's phone rings." default:"3s"`
	NoAnswer float64       `help:"Share of offers that nobody answers." default:"0"`
	Shrink   float64       `help:"Share of agents who are not there." default:"0"`
	Hours    float64       `help:"Length of the day." default:"8"`
	Begin    time.Time     `help:"When it begins, for business hours." default:"2026-01-05T08:00:00Z"`
	Interval time.Duration `help:"Interval of the report." default:"30m"`
	Seed     uint64        `help:"The same seed gives the same day." default:"1"`
	SVG      string        `name:"svg" help:"Draw the day into this file." type:"path"`
}

// Run simulates and prints.
func (c *ccSimulateCmd) Run(a *app) error {
	site, err := config.Load(c.File, nil)
	if err != nil {
		return err
	}
	compiled, err := contactcenter.Compile(site)
	if err != nil {
		return err
	}
	load := simulate.Load{Seed: c.Seed, Begin: c.Begin, Length: time.Duration(c.Hours * float64(time.Hour)), Interval: c.Interval, Pattern: c.Pattern, Talk: c.Talk, Patience: c.Patience,
		Answer: c.Answer, NoAnswer: c.NoAnswer, Shrink: c.Shrink}
	for _, text := range c.Arrivals {
		number, rate, ok := strings.Cut(text, "=")
		perHour, err := strconv.ParseFloat(rate, 64)
		if !ok || err != nil || perHour < 0 || perHour > 1e6 {
			return fmt.Errorf("--arrivals %q: expected NUMBER=CALLS-PER-HOUR, for instance 800=120", text)
		}
		load.Arrivals = append(load.Arrivals, simulate.Arrivals{Number: number, PerHour: perHour})
	}
	r, err := simulate.Run(compiled, load)
	if err != nil {
		return err
	}
	if c.SVG != "" {
		if err := os.WriteFile(c.SVG, []byte(simulate.Plot(r)), 0o644); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(r)
	}
	a.printSimulation(r)
	return nil
}

func (a *app) printSimulation(r *simulate.Result) {
	fmt.Fprintf(a.out, "%d calls, %d agents, occupancy %.1f %%, seed %d\n\n", r.Calls, r.Agents, r.Occupancy, r.Seed)
	rows := make([][]string, 0, len(r.Queues))
	for _, q := range r.Queues {
		rows = append(rows, append([]string{q.Queue}, figureCells(q.Figures, q.Target)...))
	}
	a.table(append([]string{"QUEUE"}, figureHeads()...), rows, "the site has no queues")
	fmt.Fprintln(a.out)
	rows = rows[:0]
	for _, x := range r.Intervals {
		rows = append(rows, append([]string{x.Begin.Format("15:04"), x.Queue}, figureCells(x.Figures, 0)...))
	}
	a.table(append([]string{"FROM", "QUEUE"}, figureHeads()...), rows, "the day is shorter than an interval")
	for _, what := range r.Repaired {
		fmt.Fprintln(a.out, "put right:", what)
	}
}

func figureHeads() []string {
	return []string{"OFFERED", "ANSWERED", "ABANDONED", "LEFT", "SERVICE LEVEL", "AVERAGE", "P50", "P90", "P99"}
}

func figureCells(f simulate.Figures, target int) []string {
	level := "-"
	if f.ServiceLevel >= 0 {
		level = fmt.Sprintf("%.1f %%", f.ServiceLevel)
		if target > 0 {
			level += fmt.Sprintf(" of %d", target)
		}
	}
	s := func(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
	return []string{strconv.Itoa(f.Offered), strconv.Itoa(f.Answered), fmt.Sprintf("%d (%.1f %%)", f.Abandoned, f.AbandonRate), strconv.Itoa(f.Left), level, s(f.Average), s(f.P50), s(f.P90), s(f.P99)}
}
