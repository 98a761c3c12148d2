package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/trace"
)

// debugCmd is `locktone debug`, in the field's spelling.
type debugCmd struct {
	SSL debugSSLCmd `cmd:"" name:"ssl" help:"TLS as it happens: debug ssl openssl errors, msg or states."`
}

type debugSSLCmd struct {
	Openssl debugOpensslCmd `cmd:"" help:"Errors: handshakes that failed, with the reason and what to do. Msg: also what was agreed and shown. States: also how connections begin and end."`
}

type debugOpensslCmd struct {
	What    string `arg:"" enum:"errors,msg,states" help:"errors, msg or states."`
	Service string `help:"Of this service." default:"border"`
}

// Run follows the trace until it is interrupted.
func (c *debugOpensslCmd) Run(a *app) error {
	if c.What != "errors" { // what goes well is recorded on request only
		restore, err := c.raise(a)
		if err != nil {
			return err
		}
		defer restore()
	}
	q := url.Values{"service": {c.Service}, "level": {"detail"}}
	err := a.api.Follow(a.ctx, "/v1/trace/stream?"+q.Encode(), func(r trace.Record, lost uint64) error {
		if lost > 0 {
			fmt.Fprintf(a.err, "%d records came faster than they could be read\n", lost)
		}
		if !c.wants(r) {
			return nil
		}
		if a.json {
			return a.printJSON(r)
		}
		a.printTLS(c.What, r)
		return nil
	})
	if a.ctx.Err() != nil {
		return nil // Ctrl-C is how it ends
	}
	return err
}

// raise has enough recorded of the service, and returns what puts back what was: the service's rule, or that it had none.
func (c *debugOpensslCmd) raise(a *app) (restore func(), err error) {
	var list admin.Rows[trace.LevelRule]
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/trace/levels", nil, &list); err != nil {
		return nil, err
	}
	before, base := trace.Inherit, trace.Info
	for _, r := range list.Rows {
		switch r.Scope {
		case trace.Scope{Service: c.Service}:
			before = r.Level
		case trace.Scope{}:
			base = r.Level
		}
	}
	if cmp.Or(before, base) >= trace.Detail {
		return func() {}, nil // enough is recorded
	}
	if err := c.level(a.ctx, a, trace.Detail.String()); err != nil {
		return nil, err
	}
	return func() {
		if err := c.level(context.WithoutCancel(a.ctx), a, before.String()); err != nil {
			fmt.Fprintf(a.err, "locktone: the trace level of %s stays detail, it was %s: %v\n", c.Service, before, err)
		}
	}, nil
}

// level says how much is recorded of the service.
func (c *debugOpensslCmd) level(ctx context.Context, a *app, level string) error {
	return a.api.Do(ctx, http.MethodPut, "/v1/trace/levels", map[string]string{"service": c.Service, "level": level}, nil)
}

// wants says whether a record is of the kind that was asked for.
func (c *debugOpensslCmd) wants(r trace.Record) bool {
	switch r.Kind {
	case trace.KindTLSFailed:
		return true
	case trace.KindTLSOK:
		return c.What != "errors"
	case trace.KindNote:
		return c.What == "states" && r.Net == "tls"
	}
	return false
}

func (a *app) printTLS(what string, r trace.Record) {
	word := "SSL_state"
	switch {
	case r.Kind == trace.KindTLSFailed:
		word = "SSL_error"
	case r.Kind == trace.KindTLSOK && what == "msg":
		word = "SSL_msg"
	}
	fmt.Fprintf(a.out, "%s %s %s %s: %s\n", r.Time.Local().Format("15:04:05.000"), word, r.Remote, orNone(r.Peer), r.Summary)
	if what == "states" && r.Kind == trace.KindTLSOK {
		return
	}
	for _, f := range r.Fields {
		if f.Value != "" {
			fmt.Fprintf(a.out, "             %s: %s\n", f.Name, f.Value)
		}
	}
}
