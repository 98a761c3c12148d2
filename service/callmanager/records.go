package callmanager

import (
	"context"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/store"
)

// recordCalls writes a record of every finished call to the store, many at once. A store that cannot be written loses records,
// never calls: they are kept, bounded, until it can, and the status says so.
func (s *Service) recordCalls() {
	w := s.host.Collect(recordLimit, call.CallEnded)
	defer w.Close()
	var waiting []store.CallRecord
	again := time.NewTicker(recordEvery)
	defer again.Stop()
	for open := true; open; {
		select {
		case <-w.Done():
			open = false
		case <-again.C:
		}
		for _, n := range w.Take() {
			if r, finished := s.callRecord(n); finished {
				waiting = append(waiting, r)
			}
		}
		waiting = s.writeRecords(waiting)
	}
}

const (
	recordEvery = time.Second // the longest a record waits for the store
	recordLimit = 100_000     // kept while the store is away
)

// writeRecords returns what could not be written.
func (s *Service) writeRecords(waiting []store.CallRecord) []store.CallRecord {
	if len(waiting) == 0 {
		return waiting
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 5*time.Second)
	defer cancel()
	if err := s.cfg.Store.AppendCalls(ctx, waiting...); err != nil {
		s.problem(aboutRecords, "call records are not being written, calls go on: "+err.Error())
		return waiting[max(0, len(waiting)-recordLimit):]
	}
	s.troubles.set(aboutRecords, "")
	return nil
}

// callRecord makes a record out of the last event of a call.
func (s *Service) callRecord(n live.Note) (store.CallRecord, bool) {
	v := n.Event.View
	if n.Event.Kind != call.CallEnded || v == nil {
		return store.CallRecord{}, false
	}
	r := store.CallRecord{Call: v.GlobalID, Node: s.cfg.Node, Start: v.Created, Answer: v.Answered, End: n.Event.At, Cause: int(n.Event.Cause), Detail: detail(v)}
	if r.Call == "" {
		r.Call = v.ID.String() + "@" + s.cfg.Node
	}
	weakest, active := call.SRTP, false
	for i, p := range v.Left {
		from, number := partyPlace(p), p.Identity.Number
		switch {
		case i == 0:
			r.Calling, r.FromDevice = number, from
		default:
			r.Called, r.ToDevice = number, from
			if p.Called != "" {
				r.Dialled = p.Called
			}
		}
		for _, l := range p.Legs {
			switch l.Security {
			case call.RTP:
				weakest, active = call.RTP, true
			case call.SRTP:
				active = true
			}
		}
	}
	switch {
	case !active: // nothing was ever said about media: nothing is claimed
	case weakest == call.RTP:
		r.Security = "non-secure"
	default:
		r.Security = "encrypted"
	}
	return r, true
}

// partyPlace is the device or trunk a party spoke through: its active leg, else its last one.
func partyPlace(p *call.PartyView) (place string) {
	for _, l := range p.Legs {
		name := l.Device + l.Trunk + l.Applet
		if l.State == call.LegIsActive {
			return name
		}
		place = name
	}
	return place
}
