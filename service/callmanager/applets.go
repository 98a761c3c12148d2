package callmanager

import (
	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/leg/appleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/trace"
)

// startApplets attaches the driver of the built-in test numbers.
func (s *Service) startApplets() error {
	engine, err := s.host.Attach(driverApplet, 0)
	if err != nil {
		return err
	}
	s.apps = appleg.Start(appleg.Config{Engine: engine, Plane: s.plane, Program: s.program, Ended: s.appletEnded})
	return nil
}

// program is what the configuration in force has under an applet's name; nil where it has none.
func (s *Service) program(name string) applet.Program {
	for _, a := range s.site.Load().config.Applets {
		if a.Name != name {
			continue
		}
		switch a.Type {
		case config.AppletTone:
			return applet.ToneAt(float64(a.WithDefaults().ToneHz))
		case config.AppletMusic:
			return applet.Playing(func() media.Source {
				if src := s.music(a.MusicOnHold); src != nil {
					return src
				}
				return tone.NewMusic()
			})
		}
		return applet.Echo
	}
	return nil
}

func (s *Service) appletEnded(i applet.Info, err error) {
	r := trace.Record{Service: Name, Kind: trace.KindNote, Level: trace.Detail, Leg: i.Leg.String(), Summary: "applet " + i.Applet + " ended"}
	if err != nil {
		r.Summary += ": " + err.Error()
	}
	s.cfg.Trace.Record(r)
}
