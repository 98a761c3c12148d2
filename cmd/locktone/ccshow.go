package main

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/store"
)

type (
	ccAgentsCmd struct {
		Name string `arg:"" optional:"" help:"Only this agent."`
	}
	ccQueuesCmd struct {
		Name string `arg:"" optional:"" help:"Only this queue."`
	}
	ccContactsCmd struct {
		Name string `arg:"" optional:"" help:"Only this contact."`
	}
)

// Run lists agents.
func (c *ccAgentsCmd) Run(a *app) error {
	return rows(a, "/v1/cc/agents", c.Name, []string{"AGENT", "TEAM", "STATE", "REASON", "SINCE", "NEXT", "PHONE", "NUMBER", "DESKTOP", "CONTACTS"}, "the contact centre has no agents",
		func(r bus.AgentState) []string {
			phone := r.Device
			if r.Down {
				phone += " (not registered)"
			}
			return []string{r.Agent, r.Team, r.State, r.Reason, clock(r.Since), r.Next, phone, r.Number, yes(r.Desktop), strings.Join(r.Contacts, ",")}
		})
}

// Run lists queues.
func (c *ccQueuesCmd) Run(a *app) error {
	return rows(a, "/v1/cc/queues", c.Name, []string{"QUEUE", "WAITING", "OLDEST", "ESTIMATE", "READY", "SERVING", "LOGGED IN", "OFFERED", "ANSWERED", "ABANDONED", "NO ANSWER", "SERVICE LEVEL"},
		"the contact centre has no queues", func(r bus.ContactQueueState) []string {
			return []string{r.Queue, strconv.Itoa(r.Waiting), wholeSeconds(r.Oldest), wholeSeconds(r.Estimate), strconv.Itoa(r.Ready), strconv.Itoa(r.Serving), strconv.Itoa(r.LoggedIn),
				strconv.Itoa(r.Offered), strconv.Itoa(r.Answered), strconv.Itoa(r.Abandoned), strconv.Itoa(r.NoAnswer), levelText(r.Level) + " of " + strconv.Itoa(r.Target)}
		})
}

// Run lists contacts.
func (c *ccContactsCmd) Run(a *app) error {
	return rows(a, "/v1/cc/contacts", c.Name, []string{"CONTACT", "PHASE", "CALLING", "CALLED", "BEGAN", "QUEUE", "SINCE", "PRIORITY", "AGENT", "CALL SERVER", "CALL"}, "no contacts",
		func(r bus.ContactState) []string {
			phase := r.Phase
			if r.Callback {
				phase += " (callback)"
			}
			return []string{r.Contact, phase, r.Calling, r.Called, clock(r.Began), r.Queue, clock(r.Queued), number(int64(r.Priority)), r.Agent, r.Server, r.GlobalID}
		})
}

// ccReportCmd is `locktone cc report`.
type ccReportCmd struct {
	Queues   ccReportQueuesCmd   `cmd:"" help:"What happened in queues, interval by interval."`
	Agents   ccReportAgentsCmd   `cmd:"" help:"What agents did with their time, interval by interval."`
	Contacts ccReportContactsCmd `cmd:"" help:"Contacts that are over."`
}

// ccSpan selects what is reported.
type ccSpan struct {
	Since moment `help:"Only what began then or later: a date, a time (RFC 3339), or how long ago (36h, 7d)." default:"1d"`
	Until moment `help:"Only what began before."`
	Name  string `help:"Only this queue, agent or team; of contacts also a number."`
	CSV   bool   `name:"csv" help:"All columns as CSV (RFC 4180); with --json: JSON lines."`
}

type (
	ccReportQueuesCmd   struct{ ccSpan }
	ccReportAgentsCmd   struct{ ccSpan }
	ccReportContactsCmd struct{ ccSpan }
)

// Run reports on queues.
func (c *ccReportQueuesCmd) Run(a *app) error {
	return report(a, c.ccSpan, "/v1/history/queues", []string{"FROM", "TO", "QUEUE", "OFFERED", "ANSWERED", "ABANDONED", "SHORT", "LEFT", "NO ANSWER", "AVERAGE ANSWER", "LONGEST", "HANDLE", "SERVICE LEVEL"},
		func(r store.QueueInterval) []string {
			return []string{clock(r.Begin), clock(r.End), r.Queue, strconv.Itoa(r.Offered), strconv.Itoa(r.Answered), strconv.Itoa(r.Abandoned), strconv.Itoa(r.Short), strconv.Itoa(r.Left),
				strconv.Itoa(r.NoAnswer), average(r.AnswerWaitMS, r.Answered), millis(r.LongestWaitMS), average(r.TalkMS+r.WorkMS, r.Answered), levelText(r.ServiceLevel)}
		})
}

// Run reports on agents.
func (c *ccReportAgentsCmd) Run(a *app) error {
	return report(a, c.ccSpan, "/v1/history/agents", []string{"FROM", "TO", "AGENT", "TEAM", "HANDLED", "NO ANSWER", "LOGGED IN", "NOT READY", "READY", "RESERVED", "TALKING", "HOLD", "WORK"},
		func(r store.AgentInterval) []string {
			return []string{clock(r.Begin), clock(r.End), r.Agent, r.Team, strconv.Itoa(r.Handled), strconv.Itoa(r.NoAnswer), millis(r.LoggedInMS), millis(r.NotReadyMS), millis(r.ReadyMS),
				millis(r.ReservedMS), millis(r.TalkingMS), millis(r.HoldMS), millis(r.WorkMS)}
		})
}

// Run reports on contacts.
func (c *ccReportContactsCmd) Run(a *app) error {
	return report(a, c.ccSpan, "/v1/history/contacts", []string{"BEGAN", "CONTACT", "CALLING", "CALLED", "QUEUE", "AGENT", "WAITED", "TALKED", "OFFERS", "OUTCOME", "ENDED BY", "REASONS", "NOTE"},
		func(r store.ContactRecord) []string {
			return []string{clock(r.Begin), r.Contact, r.Calling, r.Called, r.Queue, r.Agent, millis(r.WaitMS), millis(r.TalkMS), strconv.Itoa(r.Offers), r.Outcome, r.By, r.Reasons,
				strings.ReplaceAll(r.Note, "\n", " / ")}
		})
}

// report prints records: as a table, as CSV, or as JSON lines.
func report[T any](a *app, c ccSpan, path string, head []string, cells func(T) []string) error {
	q := url.Values{}
	for name, at := range map[string]moment{"since": c.Since, "until": c.Until} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if c.Name != "" {
		q.Set("party", c.Name)
	}
	if c.CSV || a.json {
		format := "csv"
		if a.json {
			format = "jsonl"
		}
		out := bufio.NewWriterSize(a.out, 64<<10)
		if _, err := export[T](a, path, q, format, out); err != nil {
			return err
		}
		return out.Flush()
	}
	var lines [][]string
	for next := int64(0); ; {
		q.Set("after", strconv.FormatInt(next, 10))
		var page admin.Page[T]
		if err := a.api.Do(a.ctx, http.MethodGet, path+"?"+q.Encode(), nil, &page); err != nil {
			return err
		}
		for _, r := range page.Rows {
			lines = append(lines, cells(r))
		}
		if page.Next <= next || len(lines) >= reportLines {
			break
		}
		next = page.Next
	}
	a.table(head, lines, "nothing is recorded of that time")
	if len(lines) >= reportLines {
		fmt.Fprintf(a.err, "only the first %d lines; --csv or --json gives all\n", len(lines))
	}
	return nil
}

// reportLines bounds a table for people.
const reportLines = 10_000

func wholeSeconds(d time.Duration) string { return d.Round(time.Second).String() }

func millis(ms int64) string { return wholeSeconds(time.Duration(ms) * time.Millisecond) }

func average(ms int64, n int) string {
	if n == 0 {
		return "-"
	}
	return millis(ms / int64(n))
}

func levelText(percent float64) string {
	if percent < 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", percent)
}
