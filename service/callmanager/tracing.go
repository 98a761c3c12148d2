package callmanager

import (
	"encoding/json"

	"github.com/locktone/locktone/trace"
)

// note records a remark about a device, a trunk or the service.
func (s *Service) note(about, text string) {
	r := trace.Record{Service: Name, Kind: trace.KindNote, Level: trace.Info, Peer: about, Summary: text}
	if s.site.Load().device(about) != nil {
		r.Device = about
	}
	s.cfg.Trace.Record(r)
}

// problem tells the operator: in the trace, where it is news, and in the status until it is mended.
func (s *Service) problem(about, text string) {
	if s.troubles.set(about, text) {
		s.cfg.Trace.Record(trace.Record{Service: Name, Kind: trace.KindNote, Level: trace.Error, Summary: text})
	}
}

// warn leaves a note that asks for an operator.
func (s *Service) warn(text string) {
	s.cfg.Trace.Record(trace.Record{Service: Name, Kind: trace.KindNote, Level: trace.Error, Summary: text})
}

// detail is a value as JSON, for the record of a finished call.
func detail(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
