package voicebrowser

import (
	"context"
	"fmt"
	"os"

	"github.com/locktone/locktone/bus"
)

// answer answers what administration asks on the bus.
func (s *Service) answer() error {
	a := s.el.Answers()
	a.Status = func(context.Context) bus.ServiceStatus { return s.status() }
	a.Exceptions = func(context.Context) ([]bus.Exception, error) { return s.exceptions(), nil }
	a.VoiceBrowsers = func(context.Context) ([]bus.VoiceBrowserState, error) { return []bus.VoiceBrowserState{s.state()}, nil }
	var err error
	s.responders, err = s.cfg.Bus.Answer(Name, a)
	return err
}

func (s *Service) status() bus.ServiceStatus {
	st := s.el.Status()
	x := s.site.Load()
	st.Revision, st.PID = x.revision, os.Getpid()
	pool := s.pool.Stats()
	switch p := s.problem.Load(); {
	case p != nil:
		st.State, st.Problem = "degraded", *p
	case pool.Started == 0 || pool.Spares == 0 && pool.Sessions == 0:
		st.State, st.Problem = "degraded", "no process for VoiceXML sessions has come up: look at `locktone logs voicebrowser`"
	case len(x.Peers) == 0:
		st.State, st.Problem = "degraded", "nobody may call: add voiceBrowsers with peers"
	case len(x.Origins) == 0:
		st.State, st.Problem = "degraded", "there is nowhere to fetch documents from: add voiceBrowsers with origins"
	}
	return st
}

// exceptions are what is weaker than the default.
func (s *Service) exceptions() []bus.Exception {
	out := s.el.Exceptions()
	for _, o := range s.site.Load().Origins {
		if len(o.URL) > 5 && o.URL[:5] == "http:" {
			out = append(out, bus.Exception{Node: s.cfg.Node, Kind: "voice-browser", Name: o.URL, Setting: "origins", Value: "http", Default: "https",
				Risk: "documents and what callers type are readable and can be changed on the way"})
		}
	}
	return out
}

// Picture is the whole of `locktone show voicebrowser`.
type Picture struct {
	Node     string
	Sessions []Session
	Rows     []Row
}

// Row is one fact about the service.
type Row struct{ Name, Value string }

// Picture is how the service is now.
func (s *Service) Picture() Picture {
	pool, said, kept := s.pool.Stats(), s.speaker.Stats(), s.site.Load().client.Stats()
	p := Picture{Node: s.cfg.Node, Sessions: s.live.list()}
	row := func(name, format string, args ...any) {
		p.Rows = append(p.Rows, Row{name, fmt.Sprintf(format, args...)})
	}
	row("sessions", "%d", pool.Sessions)
	row("spare processes", "%d", pool.Spares)
	row("processes started", "%d, the last was ready after %v", pool.Started, pool.StartTime.Round(1e5))
	row("sessions that waited for a process", "%d", pool.Waited)
	for _, k := range kinds {
		row("processes that "+string(k), "%d", pool.Failures[k])
	}
	row("documents that failed", "%d", s.counts.documents.Load())
	row("speech engine", "%s", said.Engine)
	row("texts", "%d ready-made, %d kept, %d spoken, %d nobody could say", said.Ready, said.Kept, said.Said, said.Failed)
	row("sound kept", "%d KiB", said.Octets>>10)
	row("fetches", "%d, %d failed", s.counts.fetches.Load(), s.counts.fetchesFailed.Load())
	row("cache", "%d documents and files, %d KiB, %d hits, %d misses", kept.Entries, kept.Octets>>10, kept.Hits, kept.Misses)
	return p
}

// state is the picture as the bus carries it.
func (s *Service) state() bus.VoiceBrowserState {
	p := s.Picture()
	out := bus.VoiceBrowserState{Node: p.Node}
	for _, r := range p.Rows {
		out.Facts = append(out.Facts, bus.NamedValue{Name: r.Name, Value: r.Value})
	}
	for _, x := range p.Sessions {
		out.Sessions = append(out.Sessions, bus.VoiceSession{GlobalID: x.GlobalID, Calling: x.Calling, Called: x.Called, Document: x.URL, Since: x.Since.UTC()})
	}
	return out
}
