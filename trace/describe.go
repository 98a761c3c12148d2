package trace

import (
	"slices"
	"strconv"
	"time"
)

// describeCall makes one line of a call list from a call's records. ok is false when there is no INVITE among them.
func describeCall(recs []Record) (info CallInfo, ok bool) {
	info.Records = len(recs)
	dialogs := map[string]*dialogState{}
	for i := range recs {
		r := &recs[i]
		if info.Call == "" {
			info.Call = r.Call
		}
		if r.SIPCallID != "" && !slices.Contains(info.SIPCallIDs, r.SIPCallID) {
			info.SIPCallIDs = append(info.SIPCallIDs, r.SIPCallID)
		}
		if r.Service != "" && !slices.Contains(info.Services, r.Service) {
			info.Services = append(info.Services, r.Service)
		}
		if r.Node != "" && !slices.Contains(info.Nodes, r.Node) {
			info.Nodes = append(info.Nodes, r.Node)
		}
		if r.Kind.SIP() {
			m := readMessage(r.Body)
			ok = info.see(r, &m, dialogs) || ok
		}
	}
	if info.Call == "" && len(info.SIPCallIDs) > 0 {
		info.Call = info.SIPCallIDs[0]
	}
	info.settle(dialogs)
	return info, ok
}

// dialogState is how far one SIP Call-ID of a call has come.
type dialogState struct {
	order int
	final int // status of the INVITE's final response
	ring  bool
	over  bool
}

// see takes one message into account and reports whether it is an INVITE.
func (info *CallInfo) see(r *Record, m *message, dialogs map[string]*dialogState) bool {
	id := r.SIPCallID
	if id == "" {
		id = m.callID
	}
	d := dialogs[id]
	if d == nil {
		d = &dialogState{order: len(dialogs)}
		dialogs[id] = d
	}
	invite := m.request && m.method == "INVITE"
	switch {
	case invite && info.Start.IsZero():
		info.Start, info.From, info.To = r.Time, m.from, m.to
	case m.method == "INVITE" && m.status >= 200 && (d.final < 200 || d.final >= 300):
		d.final = m.status
		d.over = m.status >= 300
	case m.method == "INVITE" && m.status > 100 && m.status < 200:
		d.ring = true
	case m.request && m.method == "BYE":
		d.over = true
	}
	if d.over && r.Time.After(info.End) {
		info.End = r.Time
	}
	return invite
}

// settle decides the call's state: it ended when all its dialogs did, it was answered when its first one was.
func (info *CallInfo) settle(dialogs map[string]*dialogState) {
	over, answered, ringing := true, false, false
	first := &dialogState{}
	for _, d := range dialogs {
		over = over && d.over
		answered = answered || d.final >= 200 && d.final < 300
		ringing = ringing || d.ring
		if d.order == 0 {
			first = d
		}
	}
	switch {
	case over && first.final >= 300:
		info.State = "failed " + strconv.Itoa(first.final)
	case over:
		info.State = "ended"
	case first.final >= 200 && first.final < 300 || answered && first.final == 0:
		info.State = "answered"
	case ringing:
		info.State = "ringing"
	default:
		info.State = "setup"
	}
	if !over {
		info.End = time.Time{}
	}
}
