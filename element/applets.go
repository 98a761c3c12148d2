package element

import (
	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/leg/appleg"
	"github.com/locktone/locktone/trace"
)

// startApplets attaches the driver of the service's programs.
func (e *Element) startApplets() error {
	engine, err := e.host.Attach(DriverApplet, 0)
	if err != nil {
		return err
	}
	e.apps = appleg.Start(appleg.Config{Engine: engine, Plane: e.plane, Program: e.program, Ended: e.appletEnded, MaxSessions: e.cfg.Sessions})
	return nil
}

func (e *Element) program(name string) applet.Program {
	if e.cfg.Hooks.Program != nil {
		return e.cfg.Hooks.Program(name)
	}
	if e.cfg.Policy == nil {
		return nil
	}
	return e.cfg.Policy.Program(name)
}

func (e *Element) appletEnded(i applet.Info, err error) {
	r := trace.Record{Service: e.cfg.Service, Kind: trace.KindNote, Level: trace.Detail, Leg: i.Leg.String(), Summary: "applet " + i.Applet + " ended"}
	if err != nil {
		r.Summary += ": " + err.Error()
	}
	e.cfg.Trace.Record(r)
}
