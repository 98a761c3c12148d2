package callmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/config"
)

// dial says what would happen if somebody dialled a number, by making the call in a copy of the engine.
func (s *Service) dial(ctx context.Context, r bus.DialRequest) (bus.DialAnswer, error) {
	st := s.site.Load()
	q := call.Question{Called: r.Number, Calling: r.Calling, Now: s.now(), At: r.At, Trust: st.trust}
	if err := s.whoDials(st, r.From, &q); err != nil {
		return bus.DialAnswer{}, err
	}
	if !q.At.IsZero() {
		q.At = q.At.In(q.Now.Location())
	}
	engine, err := s.host.Copy(ctx)
	if err != nil {
		code := bus.CodeInternal
		if errors.Is(err, live.ErrTooMany) {
			code = bus.CodeUnavailable
		}
		return bus.DialAnswer{}, &bus.Error{Code: code, Message: err.Error()}
	}
	x := engine.Explain(q)
	x.Notes = st.securityOf(&x)
	doc, err := json.Marshal(x)
	if err != nil {
		return bus.DialAnswer{}, fmt.Errorf("callmanager: the explanation of %s: %w", r.Number, err)
	}
	return bus.DialAnswer{Node: s.cfg.Node, Text: x.String(), Explanation: doc}, nil
}

// whoDials finds who is meant: a trunk, a device, or a line on the device that is registered.
func (s *Service) whoDials(st *site, from string, q *call.Question) error {
	if name, isTrunk := strings.CutPrefix(from, "trunk:"); isTrunk {
		if st.trunk(name) == nil {
			return &bus.Error{Code: bus.CodeNotFound, Message: fmt.Sprintf("no trunk is called %s", name)}
		}
		q.Trunk = name
		return nil
	}
	if st.device(from) != nil {
		q.Device = from
		return nil
	}
	number, partition, exact := strings.Cut(from, "@")
	there := map[string]bool{}
	for _, b := range s.bindings.all() {
		there[b.device] = true
	}
	var found []call.LineID
	for _, l := range st.Lines() {
		if plainNumber(l.Number) != number || exact && l.Partition != partition || len(l.Appearances) == 0 {
			continue
		}
		found = append(found, lineID(l))
		q.Line, q.Device = lineID(l), l.Appearances[0].Device.Name
		for _, a := range l.Appearances {
			if there[a.Device.Name] {
				q.Device = a.Device.Name
				break
			}
		}
	}
	switch len(found) {
	case 1:
		return nil
	case 0:
		return &bus.Error{Code: bus.CodeNotFound, Message: fmt.Sprintf("%s is no device, and no line that a device has; a trunk is given as trunk:NAME", from)}
	}
	return &bus.Error{Code: bus.CodeInvalid, Message: fmt.Sprintf("%s is a line in several partitions: %s; say which", from, joined(found))}
}

func joined(lines []call.LineID) string {
	var out []string
	for _, l := range lines {
		out = append(out, l.String())
	}
	return strings.Join(out, ", ")
}

// trust is how a device's or trunk's signalling proves its peer, as far as the profile says: over TLS both sides show a certificate.
func (st *site) trust(device, trunk string) call.Trust {
	mode := config.NonSecure
	if d := st.device(device); d != nil {
		mode = d.Security.DeviceSecurityMode
	}
	if t := st.trunk(trunk); t != nil {
		mode = t.Security.DeviceSecurityMode
	}
	if mode == config.NonSecure {
		return call.TrustNone
	}
	return call.TrustMutual
}

// securityOf names the profiles that the media security of an explanation comes from.
func (st *site) securityOf(x *call.Explanation) (out []call.Reason) {
	seen := map[string]bool{}
	note := func(device, trunk string) {
		name := device + trunk
		if seen[name] {
			return
		}
		seen[name] = true
		if d := st.device(device); d != nil {
			out = append(out, call.Reason{Topic: "device " + name, Text: fmt.Sprintf("phone security profile %s is %s", orDefault(d.PhoneSecurityProfile), d.Security.DeviceSecurityMode)})
		}
		if t := st.trunk(trunk); t != nil {
			srtp := "not allowed"
			if t.SRTPAllowed {
				srtp = "allowed"
			}
			out = append(out, call.Reason{Topic: "trunk " + name, Text: fmt.Sprintf("trunk security profile %s is %s, SRTP is %s on the trunk", orDefault(t.SecurityProfile), t.Security.DeviceSecurityMode, srtp)})
		}
	}
	note(x.Question.Device, x.Question.Trunk)
	for _, s := range x.Stages {
		for _, r := range s.Rings {
			note(r.Target.Device, r.Target.Trunk)
		}
		for _, name := range s.Unsuited {
			note(name, "")
			note("", name)
		}
	}
	return out
}
