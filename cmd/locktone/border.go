package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/border/snippet"
)

// borderCmd is `locktone border`.
type borderCmd struct {
	Import  borderImportCmd  `cmd:"" help:"Read configuration snippets of the field (sip-ua, crypto signaling, dial-peer voice ...) and say what each line was understood as."`
	Explain borderExplainCmd `cmd:"" help:"By which dial-peers a call would come in and go out, rule by rule."`
}

type borderImportCmd struct {
	File    string `arg:"" help:"Text to read; - is standard input." type:"path"`
	Apply   bool   `help:"Make it the configuration. Refused while a line is unknown or wrong."`
	Despite bool   `help:"With --apply: do it although lines are unknown or wrong; what they say is left out."`
	Comment string `help:"With --apply: why, for the history."`
}

// borderImported is the answer in JSON.
type borderImported struct {
	snippet.Result
	YAML string      `json:"yaml"`
	Plan *admin.Plan `json:"plan,omitempty"`
}

// borderSections are the lists of a site file that snippets are about; nodes are read because borders may be named after one.
var borderSections = []string{"borders", "dialPeers", "trustpoints", "codecLists", "numberTranslations", "headerRules"}

// Run reads the text on top of the configuration in force.
func (c *borderImportCmd) Run(a *app) error {
	text, err := readText(a, c.File)
	if err != nil {
		return err
	}
	var now admin.ConfigText
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/config", nil, &now); err != nil {
		return err
	}
	current, rest, err := borderPart(now.YAML)
	if err != nil {
		return err
	}
	out := borderImported{Result: snippet.Read(text, current)}
	mine := *out.Site
	mine.Nodes = nil
	out.YAML = string(config.Format(&mine, false))
	if !a.json {
		a.printImport(out.Result)
	}
	refused := c.Apply && (len(out.Problems) > 0 || !out.Clean() && !c.Despite)
	if !refused {
		var p admin.Plan
		path := "/v1/config/plan"
		if c.Apply {
			path = "/v1/config/apply"
		}
		if err := a.api.Do(a.ctx, http.MethodPost, path, siteRequest{Name: c.File, YAML: rest + out.YAML, Base: now.Revision, Comment: c.Comment}, &p); err != nil {
			return err
		}
		out.Plan = &p
	}
	switch {
	case a.json:
		err = a.printJSON(out)
	case out.Plan != nil:
		err = printPlan(a, *out.Plan)
	default:
		fmt.Fprintf(a.err, "locktone: nothing was applied: %d lines are unknown, %d are wrong, the configuration would have %d mistakes. Correct them, or leave the lines out with --despite.\n",
			out.Count(snippet.Unknown), out.Count(snippet.Wrong), len(out.Problems))
	}
	if err == nil && refused {
		return errQuiet
	}
	return err
}

func readText(a *app, file string) (string, error) {
	if file == "-" || strings.HasSuffix(file, "/-") {
		var b bytes.Buffer
		in := a.in
		if in == nil {
			in = os.Stdin
		}
		_, err := b.ReadFrom(in)
		return b.String(), err
	}
	b, err := os.ReadFile(file)
	return string(b), err
}

var sectionShape = regexp.MustCompile(`(?m)^[A-Za-z][A-Za-z0-9]*:`)

// borderPart takes a site file as it is printed apart: what snippets are about, and the text of the rest. The rest has secrets that stand
// there as "[redacted]", which only the server can read as "as it is now".
func borderPart(text string) (current *config.Site, rest string, err error) {
	starts := sectionShape.FindAllStringIndex(text, -1)
	var mine, nodes, others strings.Builder
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		name, section := text[at[0]:at[1]-1], text[at[0]:end]
		if slices.Contains(borderSections, name) {
			mine.WriteString(section)
			continue
		}
		if name == "nodes" {
			nodes.WriteString(section)
		}
		others.WriteString(section)
	}
	current, err = config.Parse("the configuration in force", []byte(nodes.String()+mine.String()), nil)
	return current, others.String(), err
}

func (a *app) printImport(r snippet.Result) {
	for _, l := range r.Lines {
		fmt.Fprintf(a.out, "%4d  %-10s  %s\n", l.Number, l.Verdict, l.Says)
		if l.Verdict == snippet.Unknown || l.Verdict == snippet.Wrong {
			fmt.Fprintf(a.out, "%18s%s\n", "", l.Text)
		}
	}
	fmt.Fprintf(a.out, "%d lines: %d understood, %d ignored, %d unknown, %d wrong\n", len(r.Lines), r.Count(snippet.Understood), r.Count(snippet.Ignored), r.Count(snippet.Unknown), r.Count(snippet.Wrong))
	for _, p := range r.Problems {
		fmt.Fprintln(a.out, "mistake:", p)
	}
	for _, h := range r.Hints {
		fmt.Fprintln(a.out, "note:", h)
	}
}

type borderExplainCmd struct {
	From    string `arg:"" help:"Who sends the call: the tag of a dial-peer, an address, or a name on the peer's certificate."`
	Called  string `arg:"" help:"The number that is called."`
	Calling string `help:"The number that calls."`
}

// Run asks the border of every node.
func (c *borderExplainCmd) Run(a *app) error {
	q := url.Values{"from": {c.From}, "number": {c.Called}, "calling": {c.Calling}}
	var list admin.Rows[bus.DialAnswer]
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/border/explain?"+q.Encode(), nil, &list); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	for _, r := range list.Rows {
		if len(list.Rows) > 1 {
			fmt.Fprintf(a.out, "node %s:\n", r.Node)
		}
		fmt.Fprint(a.out, r.Text)
	}
	a.problems(list.Problems)
	return nil
}

// sipUACmd is `locktone show sip-ua`, in the field's spelling.
type sipUACmd struct {
	Connections sipUAConnectionsCmd `cmd:"" help:"Connections of border elements: show sip-ua connections tcp tls detail, tcp brief, udp brief."`
}

type sipUAConnectionsCmd struct {
	Words   []string `arg:"" help:"tcp tls detail, tcp tls brief, tcp brief or udp brief."`
	Service string   `help:"Connections of this service." default:"border"`
}

// Run prints what the field's command of the name prints, and what it does not: who is at the other end and why others are not.
func (c *sipUAConnectionsCmd) Run(a *app) error {
	words := strings.ToLower(strings.Join(c.Words, " "))
	network, detail := "", strings.HasSuffix(words, " detail")
	switch strings.TrimSuffix(strings.TrimSuffix(words, " detail"), " brief") {
	case "tcp tls":
		network = "tls"
	case "tcp":
		network = "tcp"
	case "udp":
		network = "udp"
	default:
		return fmt.Errorf("%q is not known: locktone show sip-ua connections tcp tls detail, or tcp tls brief, tcp brief, udp brief", words)
	}
	var list admin.Rows[bus.Connection]
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/connections", nil, &list); err != nil {
		return err
	}
	list.Rows = slices.DeleteFunc(list.Rows, func(r bus.Connection) bool { return r.Service != c.Service || r.Transport != network })
	if a.json {
		return a.printJSON(list)
	}
	a.printSIPUA(list.Rows, network, detail)
	a.problems(list.Problems)
	return nil
}

func (a *app) printSIPUA(rows []bus.Connection, network string, detail bool) {
	active, failures := 0, int64(0)
	for _, r := range rows {
		if r.State == "established" || network == "udp" {
			active++
		}
		failures += r.Failures
	}
	fmt.Fprintf(a.out, "Total active connections : %d\nHandshakes that failed   : %d\n", active, failures)
	if !detail {
		var out [][]string
		for _, r := range rows {
			out = append(out, []string{r.Remote, r.Peer, r.State, r.Direction, r.TLSVersion, r.LastFailure})
		}
		a.table([]string{"REMOTE", "DIAL-PEER", "STATE", "WAY", "TLS", "LAST FAILURE"}, out, "no connections")
		return
	}
	for _, r := range rows {
		fmt.Fprintf(a.out, "\nRemote-Agent %s, dial-peer %s, %s, %s since %s\n", r.Remote, orNone(r.Peer), r.Direction, r.State, clock(r.Since))
		line := func(name, value string) {
			if value != "" {
				fmt.Fprintf(a.out, "  %-14s %s\n", name, value)
			}
		}
		line("local", r.Local)
		line("version", r.TLSVersion)
		line("cipher", strings.TrimSpace(r.Cipher+" "+r.Curve))
		line("certificate", r.Subject)
		line("names", strings.Join(r.SANs, ", "))
		line("issuer", r.Issuer)
		line("serial", r.Serial)
		if !r.NotAfter.IsZero() {
			line("ends", day(r.NotAfter))
		}
		if r.State == "established" && network == "tls" {
			line("verified", yes(r.Verified))
		}
		line("messages", fmt.Sprintf("%d in, %d out", r.MessagesIn, r.MessagesOut))
		if r.Failures > 0 {
			line("failed", fmt.Sprintf("%d handshakes, last %s: %s", r.Failures, clock(r.LastFailureAt), r.LastFailure))
		}
	}
}
