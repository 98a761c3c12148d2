package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/service/admin"
)

// trustCmd is `locktone trust`.
type trustCmd struct {
	Mode     modeCmd          `cmd:"" help:"The security mode of the cluster: mixed (1) or non-secure (0)."`
	Plan     trustPlanCmd     `cmd:"" help:"Replace certificates and list signers: the steps, whom each order would strand, and with --apply do it."`
	Status   trustStatusCmd   `cmd:"" help:"How far the present or last rotation is, and for whom it waits."`
	Accept   trustAcceptCmd   `cmd:"" help:"Give up devices that the present rotation waits for."`
	Told     trustToldCmd     `cmd:"" help:"Note that the operator of a trunk's far end has installed our certificates."`
	Forecast trustForecastCmd `cmd:"" help:"What breaks until a day, by the verifier itself on a later clock; exits 1 when something does."`
}

// trustPlanCmd is `locktone trust plan`.
type trustPlanCmd struct {
	Rotate string   `required:"" enum:"callmanager,ctimanager,provisioning,tvs,itl,recovery,capf,ca,all" help:"What to replace: callmanager, ctimanager, provisioning, tvs, itl (both list signers), recovery, capf, ca, all." placeholder:"WHAT"`
	Order  string   `enum:",at-once,one-by-one,signers-together,signers-with-tvs" default:"" help:"Another order than the safe one: at-once, one-by-one, signers-together, signers-with-tvs." placeholder:"ORDER"`
	Accept []string `help:"Devices to give up, each by its name." placeholder:"DEVICE"`
	Apply  bool     `help:"Do it, and follow it."`
	// Wait is how long nothing may move until --apply leaves the rest to the node.
	Wait time.Duration `help:"With --apply: stop following when nothing moved for so long; the node goes on." default:"1m"`
}

type (
	trustStatusCmd struct{}
	// trustAcceptCmd is `locktone trust accept DEVICE...`.
	trustAcceptCmd struct {
		Devices []string `arg:"" help:"Names of devices, as locktone trust status shows them."`
	}
	// trustToldCmd is `locktone trust told PEER CERTIFICATE...`.
	trustToldCmd struct {
		Peer         string   `arg:"" help:"The trunk's name."`
		Certificates []string `arg:"" help:"What its operator installed, as the plan names it: ca-g2."`
	}
	// trustForecastCmd is `locktone trust forecast --until DATE`.
	trustForecastCmd struct {
		Until string `required:"" help:"A day to come." placeholder:"YYYY-MM-DD"`
	}
)

// Run prints the plan; a refused one is a failure. With --apply it runs it.
func (c *trustPlanCmd) Run(a *app) error {
	req := admin.RotationRequest{Target: rotation.Target(c.Rotate), Order: rotation.Order(c.Order), Accept: c.Accept}
	var p rotation.Plan
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/trust/plan", req, &p); err != nil {
		return err
	}
	if !a.json || !c.Apply {
		if err := a.printPlan(p); err != nil {
			return err
		}
	}
	if p.Refused != "" && (!c.Apply || !a.json) { // otherwise the answer to --apply says so
		return errQuiet
	}
	if !c.Apply {
		return nil
	}
	var st rotation.Status
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/trust/rotation", req, &st); err != nil {
		return err
	}
	return a.followRotation(st, c.Wait)
}

func (a *app) printPlan(p rotation.Plan) error {
	if a.json {
		return a.printJSON(p)
	}
	return p.WriteText(a.out)
}

// followRotation prints steps as they are done, until the run ends or nothing moved for a while: it may wait for a device that
// sleeps for a month.
func (a *app) followRotation(st rotation.Status, patience time.Duration) error {
	show := a.progress()
	defer show.end()
	done, waiting, moved := 0, 0, time.Now()
	for {
		var now rotation.Status
		if err := a.api.Do(a.ctx, http.MethodGet, "/v1/trust/rotation", nil, &now); err != nil {
			return err
		}
		if !now.Started.Equal(st.Started) {
			return fmt.Errorf("the rotation of %s ended, and another one began", st.Target)
		}
		if now.Done != done || now.Waiting != waiting {
			moved = time.Now()
		}
		for waiting = now.Waiting; done < now.Done; done++ {
			if !a.json {
				fmt.Fprint(a.out, "done ", now.Steps[done].Line())
			}
		}
		if !now.Running() || time.Since(moved) > patience {
			return a.leaveRotation(now)
		}
		show.say(rotationNow(now))
		select {
		case <-time.After(300 * time.Millisecond):
		case <-a.ctx.Done():
			return a.leaveRotation(now)
		}
	}
}

// rotationNow is what a run is doing.
func rotationNow(st rotation.Status) string {
	at := fmt.Sprintf("step %d of %d", st.Done+1, len(st.Steps))
	if st.Problem != "" {
		return at + " failed and is tried again: " + st.Problem
	}
	if s := st.Sentence(); s != "" {
		return at + ": " + strings.TrimSuffix(s, ":")
	}
	return at
}

// leaveRotation says how the run stands when nobody follows it any longer.
func (a *app) leaveRotation(st rotation.Status) error {
	if a.json {
		return a.printJSON(st)
	}
	if !st.Running() {
		fmt.Fprintf(a.out, "\nRotated %s: %d steps in %s.\n", st.Target, st.Done, st.Ended.Sub(st.Started).Round(time.Second))
		return nil
	}
	if s := st.Sentence(); s != "" {
		fmt.Fprintln(a.out, "\n"+s)
	}
	for _, v := range st.Waits {
		fmt.Fprintf(a.out, "  %s: %s\n", v.Device, v.Why)
	}
	fmt.Fprintln(a.out, "The node goes on by itself: locktone trust status shows how far it is.")
	return nil
}

// Run prints the run.
func (c *trustStatusCmd) Run(a *app) error {
	var st rotation.Status
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/trust/rotation", nil, &st); err != nil {
		return err
	}
	return a.printRotation(st)
}

func (a *app) printRotation(st rotation.Status) error {
	if a.json {
		return a.printJSON(st)
	}
	return st.WriteText(a.out)
}

// Run gives devices up.
func (c *trustAcceptCmd) Run(a *app) error {
	var st rotation.Status
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/trust/rotation/accept", map[string][]string{"devices": c.Devices}, &st); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(st)
	}
	fmt.Fprintf(a.out, "given up: %s; the rotation does not wait for them\n", strings.Join(c.Devices, ", "))
	return nil
}

// Run notes what a peer's operator did.
func (c *trustToldCmd) Run(a *app) error {
	told := admin.PeerTold{Peer: c.Peer}
	for _, id := range c.Certificates {
		told.Certificates = append(told.Certificates, rotation.ID(id))
	}
	err := a.api.Do(a.ctx, http.MethodPost, "/v1/trust/peers", told, nil)
	if err == nil && !a.json {
		fmt.Fprintf(a.out, "%s has %s\n", c.Peer, strings.Join(c.Certificates, ", "))
	}
	return err
}

// Run prints the forecast; something that breaks is a failure.
func (c *trustForecastCmd) Run(a *app) error {
	var f admin.Forecast
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/trust/forecast?until="+url.QueryEscape(c.Until), nil, &f); err != nil {
		return err
	}
	var err error
	if a.json {
		err = a.printJSON(f)
	} else {
		err = rotation.WriteForecast(a.out, f.Until, f.Looked, f.Breaks)
	}
	if err == nil && f.Breaking > 0 {
		err = errQuiet
	}
	return err
}
