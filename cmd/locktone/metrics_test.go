package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/border"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/service/callserver"
	"github.com/locktone/locktone/service/contactcenter"
	"github.com/locktone/locktone/service/ctimanager"
	"github.com/locktone/locktone/service/voicebrowser"
	"github.com/locktone/locktone/store"
	"github.com/prometheus/client_golang/prometheus"
)

// A metric is what the program registers under a name.
type metric struct {
	help   string
	labels []string
}

var descText = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "((?:[^"\\]|\\.)*)"(?:, unit: "[^"]*")?, constLabels: \{\}, variableLabels: \{([^}]*)\}\}$`)

// registered are the program's own metrics, as their collectors describe them.
func registered(t *testing.T) map[string]metric {
	t.Helper()
	out := map[string]metric{}
	for _, c := range []prometheus.Collector{callmanager.NoMetrics(), element.NoMetrics(), ctimanager.NoMetrics(), border.NoMetrics(), callserver.NoMetrics(), contactcenter.NoMetrics(), voicebrowser.NoMetrics(), &admin.Server{}, &store.Store{}} {
		ch := make(chan *prometheus.Desc)
		go func() { c.Describe(ch); close(ch) }()
		described := map[string]bool{} // a collector that describes by collecting says the same of each of its labels
		for d := range ch {
			if described[d.String()] {
				continue
			}
			described[d.String()] = true
			m := descText.FindStringSubmatch(d.String())
			if m == nil {
				t.Fatalf("the client library describes metrics in another way now: %s", d)
			}
			if _, twice := out[m[1]]; twice {
				t.Errorf("%s is registered twice", m[1])
			}
			out[m[1]] = metric{m[2], strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' || r == ' ' })}
		}
	}
	if len(out) < 20 {
		t.Fatalf("%d metrics", len(out))
	}
	return out
}

// TestMetricsAreDocumented holds docs/metrics.md against what is registered: every metric has its row, every row its metric.
func TestMetricsAreDocumented(t *testing.T) {
	rows := tableOf(t, "../../docs/metrics.md", "locktone_")
	have := registered(t)
	for name, m := range have {
		row, found := rows[name]
		if !found {
			t.Errorf("docs/metrics.md has no row for %s: | `%s` | TYPE | %s | %s |", name, name, labelText(m.labels), m.help)
			continue
		}
		kind := row[1]
		if row[2] != labelText(m.labels) || row[3] != m.help {
			t.Errorf("docs/metrics.md on %s:\n%q, %q; registered are\n%q, %q", name, row[2], row[3], labelText(m.labels), m.help)
		}
		// Prometheus, naming: counters end in _total, and nothing else does.
		if (kind == "counter") != strings.HasSuffix(name, "_total") || !slices.Contains([]string{"counter", "gauge", "histogram"}, kind) {
			t.Errorf("%s is said to be a %s", name, kind)
		}
	}
	for name := range rows {
		if _, found := have[name]; !found {
			t.Errorf("docs/metrics.md has %s, which is not registered", name)
		}
	}
}

func labelText(labels []string) string {
	var out []string
	for _, l := range labels {
		out = append(out, "`"+l+"`")
	}
	return strings.Join(out, ", ")
}

// tableOf reads the rows of a document's tables whose first cell is a name in backquotes that begins with prefix.
func tableOf(t *testing.T, file, prefix string) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		name, found := strings.CutPrefix(line, "| `"+prefix)
		if !found {
			continue
		}
		name, _, _ = strings.Cut(prefix+name, "`")
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if rows[name] != nil {
			t.Errorf("%s has two rows for %s", file, name)
		}
		rows[name] = cells
	}
	return rows
}

// TestRecordsAreDocumented: docs/records.md has every column, in order, and no other.
func TestRecordsAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/records.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "## Calls")
	var parts []string
	for _, title := range []string{"## Legs", "## Contacts", "## Intervals of queues", "## Intervals of agents"} {
		part, behind, found := strings.Cut(rest, title)
		if !found {
			t.Fatalf("docs/records.md has no part %s", title)
		}
		parts, rest = append(parts, part), behind
	}
	parts = append(parts, rest)
	check := func(part string, want []string) {
		var got []string
		for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(part, -1) {
			got = append(got, m[1])
		}
		if !slices.Equal(got, want) {
			t.Errorf("docs/records.md has the columns\n%v, records have\n%v", got, want)
		}
	}
	check(parts[0], columns[store.CallRecord]())
	check(parts[1], columns[store.LegRecord]())
	check(parts[2], columns[store.ContactRecord]())
	check(parts[3], columns[store.QueueInterval]())
	check(parts[4], columns[store.AgentInterval]())
}

func columns[T any]() (of []string) {
	for name := range store.Columns[T]() {
		of = append(of, name)
	}
	return of
}

// A dashboard is as much of Grafana's JSON as the test looks at.
type dashboard struct {
	Title  string  `json:"title"`
	UID    string  `json:"uid"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	Targets []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
	GridPos struct{ X, Y, W, H int } `json:"gridPos"`
}

// TestDashboard: the dashboard is JSON that Grafana takes, and asks for nothing but metrics and labels there are.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("../../docs/grafana/locktone.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	have, used, ids, rows := registered(t), map[string]bool{}, map[int]bool{}, ""
	for _, p := range d.Panels {
		if ids[p.ID] || p.GridPos.W < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q: id %d is taken, or it does not fit the grid: %+v", p.Title, p.ID, p.GridPos)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			rows += p.Title + "\n"
		} else if len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, x := range p.Targets {
			names, err := metricsOf(x.Expr, have)
			if err != nil {
				t.Errorf("panel %q: %v", p.Title, err)
			}
			for _, n := range names {
				used[n] = true
			}
		}
	}
	for _, part := range []string{"Security", "Calls", "Media quality", "Registrations and trunks", "Handshakes", "Engine and records"} {
		if !strings.Contains(rows, part) {
			t.Errorf("the dashboard has no row called %s", part)
		}
	}
	if len(used) < 20 || d.UID == "" || d.Title == "" {
		t.Errorf("%q shows %d metrics", d.Title, len(used))
	}
}

// TestPromQL: the check of the dashboard finds what is wrong.
func TestPromQL(t *testing.T) {
	have := map[string]metric{"m_total": {labels: []string{"cause"}}, "q": {labels: []string{"by"}}}
	for expr, wrong := range map[string]bool{
		`sum by (cause) (rate(m_total{cause="x"}[5m]))`:                                   false,
		`histogram_quantile(0.95, sum by (le, by) (rate(q_bucket[$__rate_interval])))`:    false,
		`sum(rate(q_sum[5m])) / clamp_min(sum(rate(q_count[5m])), 1) or vector(0) > 1e-3`: false,
		`sum(rate(n_total[5m]))`:              true,
		`sum by (colour) (rate(m_total[5m]))`: true,
		`rate(m_total{colour="red"}[5m])`:     true,
		`frobnicate(m_total)`:                 true,
		`sum(rate(m_total[5m])`:               true,
	} {
		if _, err := metricsOf(expr, have); (err != nil) != wrong {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

var (
	promToken     = regexp.MustCompile(`"[^"]*"|\[[^\]]*\]|[a-zA-Z_:][a-zA-Z0-9_:]*|[0-9][0-9a-zA-Z.\-+]*|\S`)
	promName      = regexp.MustCompile(`^[a-zA-Z_:]`)
	promFunctions = strings.Fields("abs avg ceil clamp_max clamp_min count histogram_quantile increase irate max min rate round sum topk vector")
	promWords     = strings.Fields("and or unless bool offset")
	everyLabel    = strings.Fields("le instance job")
)

// metricsOf are the metrics a PromQL expression asks for. It is no parser: it knows names, functions, label lists and brackets, which is
// what goes wrong when a metric is renamed.
func metricsOf(expr string, have map[string]metric) (names []string, err error) {
	var labels []string
	depth, selector, list := 0, false, -1 // list: the depth of brackets inside by (...)
	tokens := promToken.FindAllString(expr, -1)
	next := func(i int) string {
		if i+1 < len(tokens) {
			return tokens[i+1]
		}
		return ""
	}
	for i, x := range tokens {
		switch {
		case x == "(":
			depth++
		case x == ")":
			if depth--; depth < list {
				list = -1
			}
		case x == "{", x == "}":
			selector = x == "{"
		case !promName.MatchString(x) || slices.Contains(promWords, x):
		case selector, list >= 0:
			labels = append(labels, x)
		case (x == "by" || x == "without") && next(i) == "(":
			list = depth + 1
		case next(i) == "(" || next(i) == "by" || next(i) == "without":
			if !slices.Contains(promFunctions, x) {
				return nil, fmt.Errorf("%s: %s is no function that is known here", expr, x)
			}
		default:
			name := x
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base, cut := strings.CutSuffix(x, suffix)
				if _, whole := have[x]; cut && !whole {
					name = base
				}
			}
			if _, known := have[name]; !known && x != "up" {
				return nil, fmt.Errorf("%s: there is no metric %s", expr, x)
			}
			names = append(names, name)
		}
	}
	if depth != 0 || selector {
		return nil, fmt.Errorf("%s: brackets do not match", expr)
	}
	for _, l := range labels {
		if !slices.Contains(everyLabel, l) && !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(have[n].labels, l) }) {
			return nil, fmt.Errorf("%s: no metric in it has the label %s", expr, l)
		}
	}
	return names, nil
}
