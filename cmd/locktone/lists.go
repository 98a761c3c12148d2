package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/wire/trustlist"
)

type (
	// ctlCmd is `locktone show ctl`.
	ctlCmd struct{ listFlags }
	// itlCmd is `locktone show itl`.
	itlCmd struct{ listFlags }
)

// listFlags say which list to show.
type listFlags struct {
	Device string `arg:"" optional:"" help:"As this device is served it; left out: as those of whom nothing is known."`
	File   string `help:"Show this file instead, from wherever it comes." type:"existingfile" placeholder:"FILE" short:"f"`
	Save   string `help:"Write the file here as well, as it is served." type:"path" placeholder:"FILE"`
}

// Run shows the CTL.
func (c *ctlCmd) Run(a *app) error { return c.show(a, "ctl") }

// Run shows the ITL.
func (c *itlCmd) Run(a *app) error { return c.show(a, "itl") }

func (c *listFlags) show(a *app, kind string) error {
	f := admin.TrustFile{Name: c.File}
	if c.File != "" {
		b, err := os.ReadFile(c.File)
		if err != nil {
			return err
		}
		f.Bytes = b
	} else if err := a.api.Do(a.ctx, http.MethodGet, "/v1/trust/lists/"+kind+"?device="+url.QueryEscape(c.Device), nil, &f); err != nil {
		return err
	}
	if c.Save != "" {
		if err := os.WriteFile(c.Save, f.Bytes, 0o644); err != nil {
			return err
		}
	}
	if f.Doubt != "" {
		fmt.Fprintln(a.err, "note:", f.Doubt)
	}
	list, err := trustlist.Parse(f.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	_, bad := list.Verify(trustlist.AnyReading)
	if a.json {
		if err := a.printJSON(struct {
			admin.TrustFile
			List     *trustlist.List `json:"list"`
			Verified bool            `json:"verified"`
		}{f, list, bad == nil}); err != nil {
			return err
		}
	} else if err := list.WriteText(a.out, trustlist.TextOptions{}); err != nil {
		return err
	}
	if bad != nil {
		if a.json {
			return errQuiet
		}
		return fmt.Errorf("%s: %w", f.Name, bad)
	}
	return nil
}

// modeCmd is `locktone trust mode`.
type modeCmd struct {
	Mode string `arg:"" optional:"" enum:"mixed,non-secure,1,0," default:"" help:"mixed (1) or non-secure (0); left out: say which it is."`
}

// Run shows or changes the mode.
func (c *modeCmd) Run(a *app) error {
	mode := map[string]string{"1": "mixed", "0": "non-secure"}[c.Mode]
	if mode == "" {
		mode = c.Mode
	}
	return a.mode(mode)
}

// mode shows the cluster's security mode, or changes it first.
func (a *app) mode(want string) error {
	var m admin.Mode
	method, in := http.MethodGet, any(nil)
	if want != "" {
		method, in = http.MethodPut, map[string]string{"mode": want}
	}
	if err := a.api.Do(a.ctx, method, "/v1/trust/mode", in, &m); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(m)
	}
	fmt.Fprintf(a.out, "cluster security mode: %d (%s), CTL version %d, ITL version %d\n", m.Code, m.Mode, m.CTL, m.ITL)
	if m.Changed {
		fmt.Fprintln(a.out, "No call and no connection was touched. Registered phones were told to fetch their lists and configuration; `locktone show registrations` shows how they come back.")
	}
	return nil
}

// utilsCmd is the field's spelling of a few commands: `locktone utils ctl set-cluster mixed-mode`.
type utilsCmd struct {
	CTL struct {
		SetCluster setClusterCmd `cmd:"" name:"set-cluster" help:"The same as locktone trust mode."`
		Update     updateCTLCmd  `cmd:"" name:"update" help:"Lists are published by themselves; this says which is in force."`
	} `cmd:"" name:"ctl" help:"Certificate trust list."`
}

type (
	setClusterCmd struct {
		Mode string `arg:"" enum:"mixed-mode,non-secure-mode" help:"mixed-mode or non-secure-mode."`
	}
	updateCTLCmd struct {
		File string `arg:"" enum:"CTLFile" help:"CTLFile."`
	}
)

// Run changes the mode.
func (c *setClusterCmd) Run(a *app) error {
	return a.mode(map[string]string{"mixed-mode": "mixed", "non-secure-mode": "non-secure"}[c.Mode])
}

// Run shows the mode and the lists in force.
func (c *updateCTLCmd) Run(a *app) error { return a.mode("") }
