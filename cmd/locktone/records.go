package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/store"
)

// exportCallsCmd is `locktone calls export`.
type exportCallsCmd struct {
	Format string `help:"csv (RFC 4180, with a header) or jsonl (one JSON object a line)." enum:"csv,jsonl" default:"csv"`
	Legs   bool   `help:"One record a leg instead of one a call."`
	Since  moment `help:"Only what began then or later: a date, a time (RFC 3339), or how long ago (36h, 7d)."`
	Until  moment `help:"Only what began before."`
	Party  string `help:"Only calls with this number, device or trunk."`
	Output string `help:"Write this file, whole or not at all, for your eyes only; otherwise standard output." short:"o" type:"path"`
}

// A moment is a time on the command line.
type moment struct{ time.Time }

// UnmarshalText reads a date, a time, or how long ago.
func (m *moment) UnmarshalText(b []byte) (err error) {
	s := string(b)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			m.Time = time.Now().AddDate(0, 0, -n)
			return nil
		}
	}
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		m.Time = time.Now().Add(-ago)
		return nil
	}
	if m.Time, err = time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return nil
	}
	if m.Time, err = time.Parse(time.RFC3339, s); err != nil {
		return fmt.Errorf("%q is no time; expected a date (2026-11-22), a time (2026-11-22T08:00:00+01:00), or how long ago (36h, 7d)", s)
	}
	return nil
}

// Run writes the records.
func (c *exportCallsCmd) Run(a *app) error {
	if c.Output == "" {
		_, err := c.export(a, a.out)
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(c.Output), "."+filepath.Base(c.Output)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // without effect once it has its name
	n, err := c.export(a, f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), c.Output)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.err, "%d records in %s\n", n, c.Output)
	return nil
}

func (c *exportCallsCmd) export(a *app, w io.Writer) (records int, err error) {
	q := url.Values{}
	for name, at := range map[string]moment{"since": c.Since, "until": c.Until} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if c.Party != "" {
		q.Set("party", c.Party)
	}
	out := bufio.NewWriterSize(w, 64<<10)
	if c.Legs {
		records, err = export[store.LegRecord](a, "/v1/history/legs", q, c.Format, out)
	} else {
		records, err = export[store.CallRecord](a, "/v1/history/calls", q, c.Format, out)
	}
	if err != nil {
		return records, err
	}
	return records, out.Flush()
}

// export writes records page by page: no more than a page is held at a time, however many there are.
func export[T any](a *app, path string, q url.Values, format string, w io.Writer) (n int, err error) {
	write, finish := writerOf[T](format, w)
	for next := int64(0); ; {
		q.Set("after", strconv.FormatInt(next, 10))
		var page admin.Page[T]
		if err := a.api.Do(a.ctx, http.MethodGet, path+"?"+q.Encode(), nil, &page); err != nil {
			return n, err
		}
		for i := range page.Rows {
			if err := write(reflect.ValueOf(&page.Rows[i]).Elem()); err != nil {
				return n, err
			}
			n++
		}
		if page.Next <= next { // zero at the end; a page that does not go on would never end
			return n, finish()
		}
		next = page.Next
	}
}

// writerOf writes records in a format; finish ends it, and reports what could not be written.
func writerOf[T any](format string, w io.Writer) (write func(reflect.Value) error, finish func() error) {
	var names []string
	for name := range store.Columns[T]() {
		names = append(names, name)
	}
	if format == "jsonl" {
		return func(v reflect.Value) error { return writeJSONLine(w, names, v) }, func() error { return nil }
	}
	c := csv.NewWriter(w)
	c.UseCRLF = true // RFC 4180, 2: each record ends with CRLF
	err := c.Write(names)
	cells := make([]string, len(names))
	return func(v reflect.Value) error {
			if err != nil {
				return err
			}
			for i := range cells {
				cells[i] = cell(v.Field(i).Interface())
			}
			return c.Write(cells)
		}, func() error {
			c.Flush()
			return c.Error()
		}
}

// exportTime is how exports write times: RFC 3339 in UTC, milliseconds.
const exportTime = "2006-01-02T15:04:05.000Z"

// cell is a value in CSV. What came from outside and would be a formula to a spreadsheet gets an apostrophe in front, which makes it a
// text. A plus with nothing but digits behind it stays: an E.164 number is a number to a spreadsheet, at worst.
func cell(v any) string {
	switch v := v.(type) {
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(exportTime)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		if formula(v) {
			return "'" + v
		}
		return v
	}
	return fmt.Sprint(v)
}

func formula(s string) bool {
	if s == "" || !strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return false
	}
	return s[0] != '+' || len(s) == 1 || strings.Trim(s[1:], "0123456789") != ""
}

// writeJSONLine writes a record as one line: every column in order, null for a time that never was.
func writeJSONLine(w io.Writer, names []string, v reflect.Value) error {
	line := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(strconv.AppendQuote(line, name), ':')
		x := v.Field(i).Interface()
		if at, ok := x.(time.Time); ok {
			if x = nil; !at.IsZero() {
				x = at.UTC().Format(exportTime)
			}
		}
		text, err := json.Marshal(x)
		if err != nil {
			return err
		}
		line = append(line, text...)
	}
	_, err := w.Write(append(line, '}', '\n'))
	return err
}

// showCallCmd is `locktone calls show`.
type showCallCmd struct {
	Call string `arg:"" help:"Global call id, as locktone calls and exports show it."`
}

// callHistory is a call with its legs, for --json.
type callHistory struct {
	Calls []store.CallRecord `json:"calls"`
	Legs  []store.LegRecord  `json:"legs"`
}

// Run shows a call that is over, leg by leg.
func (c *showCallCmd) Run(a *app) error {
	var calls admin.Page[store.CallRecord]
	var legs admin.Page[store.LegRecord]
	q := "?call=" + url.QueryEscape(c.Call)
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/history/calls"+q, nil, &calls); err != nil {
		return err
	}
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/history/legs"+q, nil, &legs); err != nil {
		return err
	}
	if len(calls.Rows)+len(legs.Rows) == 0 {
		return fmt.Errorf("no call %q is in the records: a call has one when it is over, and until callRecordRetention removes it; locktone calls lists those that live", c.Call)
	}
	if a.json {
		return a.printJSON(callHistory{calls.Rows, legs.Rows})
	}
	for _, r := range calls.Rows {
		a.form([][2]string{{"Call", r.Call}, {"Node", r.Node}, {"From", join(r.Calling, r.FromDevice)}, {"To", join(r.Called, r.ToDevice)}, {"Dialled", r.Dialled},
			{"Began", clock(r.Start)}, {"Answered", clock(r.Answer)}, {"Lasted", lasted(r.Answer, r.End)}, {"Ended by", r.ReleasedBy + ", cause " + strconv.Itoa(r.Cause)}, {"Lock", r.Security}})
	}
	var out [][]string
	for _, l := range legs.Rows {
		out = append(out, legRow(&l))
	}
	fmt.Fprintln(a.out)
	a.table([]string{"LEG", "PLACE", "LINE", "DIR", "NUMBERS", "OUTCOME", "ENDED BY", "CAUSE", "SETUP", "RINGING", "TALKED", "LOCK", "SIGNALLING", "MEDIA", "PATH", "CODEC", "LOSS", "JITTER", "MOS", "BY", "FEATURES"},
		out, "its legs are not in the records yet")
	for _, l := range legs.Rows {
		if l.LockReason != "" {
			fmt.Fprintf(a.out, "\nleg %d is %s: %s\n", l.Leg, l.Lock, l.LockReason)
		}
		if l.Joined != "" {
			fmt.Fprintf(a.out, "\nleg %d was in another call before: %s\n", l.Leg, l.Joined)
		}
	}
	return nil
}

// legRow is a leg in the table.
func legRow(l *store.LegRecord) []string {
	ringing, numbers := "", l.Calling+" > "+l.Called
	if !l.Alert.IsZero() {
		end := l.End
		if !l.Answer.IsZero() {
			end = l.Answer
		}
		ringing = lasted(l.Alert, end)
	}
	if l.Redirecting != "" {
		numbers += " (" + l.RedirectReason + " " + l.Redirecting + ")"
	}
	loss, jitter, mos := "", "", ""
	if l.MeasuredBy != "" {
		if all := l.Received + l.Lost; all > 0 {
			loss = fmt.Sprintf("%.1f%%", 100*float64(l.Lost)/float64(all))
		}
		jitter = fmt.Sprintf("%.1f ms", l.Jitter)
		if l.MOS > 0 {
			mos = fmt.Sprintf("%.1f", l.MOS)
		}
	}
	media := l.Media
	if l.Suite != "" {
		media += " " + l.Suite
	}
	if l.Proof != "none" {
		media += " (" + l.Proof + ")"
	}
	return []string{strconv.FormatInt(l.Leg, 10), l.Device + l.Trunk + l.Applet, l.Line, l.Direction, numbers, l.Outcome, l.ReleasedBy, l.CauseName,
		clock(l.Setup), ringing, lasted(l.Answer, l.End), l.Lock, join(l.Signalling, l.Cipher), media, l.Path, l.Codec, loss, jitter, mos, l.MeasuredBy, l.Feature}
}

// lasted is how long something took, empty when it never began.
func lasted(from, to time.Time) string {
	if from.IsZero() {
		return ""
	}
	return to.Sub(from).Round(100 * time.Millisecond).String()
}

// join is a word with another one behind it in brackets.
func join(a, b string) string {
	switch {
	case b == "":
		return a
	case a == "":
		return b
	}
	return a + " (" + b + ")"
}
