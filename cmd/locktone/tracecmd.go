package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/trace"
)

// traceCmd is `locktone trace`.
type traceCmd struct {
	Call    string `arg:"" optional:"" help:"Call (global id or SIP Call-ID, see locktone calls): draw its ladder."`
	SVG     string `help:"Write the ladder as a drawing into this file." name:"svg" type:"path" placeholder:"FILE"`
	SDL     bool   `help:"Print records in the line shape of SDL trace files." name:"sdl"`
	Records bool   `help:"Print the call's records instead of a ladder."`
	Engine  bool   `help:"Show in the ladder what goes into and out of the engine too."`
	Service string `help:"Records of this service."`
	Device  string `help:"Records of this device."`
	User    string `help:"Records of this user or line."`
	Level   string `help:"Change how much is recorded of these from now on: off, error, info, detail, debug, inherit." enum:",off,error,info,detail,debug,inherit" default:""`
	Levels  bool   `help:"Print how much is recorded."`
	Follow  bool   `short:"f" help:"Go on printing records of this node as they happen."`
	Limit   int    `short:"n" help:"Most records." default:"50"`
}

// Run chooses between a call and a stretch of records.
func (c *traceCmd) Run(a *app) error {
	switch {
	case c.Call != "" && (c.SDL || c.Records):
		return c.callRecords(a)
	case c.Call != "":
		return c.ladder(a)
	case c.SVG != "":
		return errors.New("--svg draws one call: name it (locktone calls lists them)")
	case c.Levels || c.Level != "" && !c.Follow:
		return c.levels(a)
	}
	if c.Level != "" {
		if err := c.setLevel(a, nil); err != nil {
			return err
		}
	}
	if c.Follow {
		return c.follow(a)
	}
	return c.recent(a)
}

// ladder draws a call as text, as a file, or as JSON.
func (c *traceCmd) ladder(a *app) error {
	path := "/v1/calls/" + url.PathEscape(c.Call) + "/ladder"
	query := "?engine=" + strconv.FormatBool(c.Engine)
	if c.SVG != "" {
		return c.writeFile(a, path+".svg"+query)
	}
	width := a.width
	if width == 0 {
		width = 120
	}
	var answer admin.LadderAnswer
	if err := a.api.Do(a.ctx, http.MethodGet, path+query+"&width="+strconv.Itoa(width), nil, &answer); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(answer.Ladder)
	}
	fmt.Fprint(a.out, answer.Text)
	return nil
}

func (c *traceCmd) writeFile(a *app, path string) error {
	n, err := a.download(http.MethodGet, path, c.SVG)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"file": c.SVG, "bytes": n})
	}
	fmt.Fprintf(a.out, "%s: %s; any browser shows it\n", c.SVG, bytesText(n))
	return nil
}

// download writes an answer into a file, in full or not at all.
func (a *app) download(method, path, file string) (int64, error) {
	f, err := os.OpenFile(file+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := a.api.Download(a.ctx, method, path, f)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(file+".part", file)
	}
	if err != nil {
		os.Remove(file + ".part")
	}
	return n, err
}

func (c *traceCmd) callRecords(a *app) error {
	var list admin.Rows[admin.Record]
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/calls/"+url.PathEscape(c.Call)+"/records", nil, &list); err != nil {
		return err
	}
	return c.print(a, list)
}

func (c *traceCmd) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"service": c.Service, "device": c.Device, "user": c.User} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

func (c *traceCmd) recent(a *app) error {
	q := c.query()
	q.Set("limit", strconv.Itoa(c.Limit))
	var list admin.Rows[admin.Record]
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/trace/records?"+q.Encode(), nil, &list); err != nil {
		return err
	}
	return c.print(a, list)
}

// print writes records as JSON, as SDL lines, or one line each.
func (c *traceCmd) print(a *app, list admin.Rows[admin.Record]) error {
	if a.json {
		return a.printJSON(list)
	}
	several := slices.ContainsFunc(list.Rows, func(r admin.Record) bool { return r.Node != list.Rows[0].Node })
	p := c.printer(a, several)
	for i := range list.Rows {
		if err := p(&list.Rows[i].Record, 0); err != nil {
			return err
		}
	}
	if len(list.Rows) == 0 {
		fmt.Fprintln(a.out, "no records")
	}
	a.problems(list.Problems)
	return nil
}

// printer returns what writes one record in the form asked for; of several nodes each line names its own.
func (c *traceCmd) printer(a *app, several bool) func(*trace.Record, uint64) error {
	sdl := trace.NewSDL(a.out)
	return func(r *trace.Record, lost uint64) error {
		if lost > 0 {
			fmt.Fprintf(a.err, "note: %d records were faster than this feed\n", lost)
		}
		switch {
		case a.json:
			b, err := r.MarshalJSON()
			if err == nil {
				_, err = a.out.Write(append(b, '\n'))
			}
			return err
		case c.SDL:
			sdl.Write(r)
			return sdl.Flush()
		}
		return recordLine(a.out, r, several)
	}
}

// recordLine writes a record on one line.
func recordLine(w io.Writer, r *trace.Record, node bool) error {
	service := r.Service
	if node {
		service += "@" + r.Node
	}
	text := r.Summary
	if r.Kind.SIP() {
		text = trace.Label(r.Body)
	}
	who := r.Device
	if who == "" {
		who = r.Peer
	}
	if who == "" && r.Remote.IsValid() {
		who = r.Remote.String()
	}
	var fields []string
	for _, f := range r.Fields {
		fields = append(fields, f.Name+"="+f.Value)
	}
	_, err := fmt.Fprintf(w, "%s %-12s %-10s %-16s %-10s %s\n", r.Time.Local().Format("15:04:05.000"), service, r.Kind, who, r.Call,
		strings.TrimSpace(text+" "+strings.Join(fields, " ")))
	return err
}

func (c *traceCmd) follow(a *app) error {
	p := c.printer(a, false)
	err := a.api.Follow(a.ctx, "/v1/trace/stream?"+c.query().Encode(), func(r trace.Record, lost uint64) error { return p(&r, lost) })
	if a.ctx.Err() != nil {
		return nil // Ctrl-C is how one leaves
	}
	return err
}

func (c *traceCmd) setLevel(a *app, out any) error {
	return a.api.Do(a.ctx, http.MethodPut, "/v1/trace/levels", map[string]string{
		"service": c.Service, "device": c.Device, "user": c.User, "level": c.Level,
	}, out)
}

func (c *traceCmd) levels(a *app) error {
	var list admin.Rows[trace.LevelRule]
	var err error
	if c.Level != "" {
		err = c.setLevel(a, &list)
	} else {
		err = a.api.Do(a.ctx, http.MethodGet, "/v1/trace/levels", nil, &list)
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	var cells [][]string
	for _, r := range list.Rows {
		cells = append(cells, []string{star(r.Scope.Service), star(r.Scope.Device), star(r.Scope.User), r.Level.String()})
	}
	a.table([]string{"SERVICE", "DEVICE", "USER", "LEVEL"}, cells, "")
	return nil
}

func star(s string) string {
	if s == "" {
		return "*"
	}
	return s
}
