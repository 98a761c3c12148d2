package callmanager

import (
	"github.com/locktone/locktone/wire/sip"
)

// A refusal is an answer that says no, and why. The reason travels in a Warning (RFC 3261, 20.43), so that it is in the phone's log too.
type refusal struct {
	status int
	reason string // reason phrase; empty takes the standard one
	why    string // one sentence for people; empty where the status says it all
	header []sip.Field
}

// answer makes the response.
func (r *refusal) answer(req *sip.Message, agent string) *sip.Message {
	res := sip.NewResponse(req, r.status, r.reason)
	for _, f := range r.header {
		res.Add(f.Name, f.Value)
	}
	if r.why != "" {
		res.Add("Warning", sip.Warning{Code: 399, Agent: agent, Text: r.why}.String())
	}
	return res
}

func forbidden(why string) *refusal { return &refusal{status: 403, why: why} }
