package ctimanager

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// handlePickup has a phone answer a call that rings elsewhere (257): in its own group or an associated one (normal, other), in the group
// that is named, or at the number that is named (directed).
func (p *provider) handlePickup(m *ctiqbe.LineCallPickupRequest) {
	l := p.openLineOf(m.SequenceNumber, m.LineCallManagerID, m.LineID)
	if l == nil {
		return
	}
	r := call.Pickup{Device: l.device.name, Line: l.line}
	named := m.PickupType == ctiqbe.PickupTypeGroup || m.PickupType == ctiqbe.PickupTypeDirected
	switch {
	case m.PickupType > ctiqbe.PickupTypeDirected:
		p.fail(m.SequenceNumber, ctiqbe.ErrInvalidParameter, fmt.Sprintf("there is no pickup of type %d", m.PickupType))
		return
	case named && m.PickupGroupNumber == "":
		p.fail(m.SequenceNumber, ctiqbe.ErrInvalidPickupGroup, "the number of the group, or of the phone that rings, is missing")
		return
	case m.PickupType == ctiqbe.PickupTypeGroup:
		r.Group = m.PickupGroupNumber
	case m.PickupType == ctiqbe.PickupTypeDirected:
		r.Ringing = m.PickupGroupNumber
	}
	if node, ok := p.nodeOf(m.SequenceNumber, l.device.name); ok {
		p.ask(pickedUp{m.SequenceNumber, l.handle, node}, l.device.name, node, r)
	}
}

type pickedUp struct {
	seq  uint32
	line lineHandle
	node string
}

func (x pickedUp) finish(p *provider, a asked) {
	if p.refuseUnlessDone(x.seq, opPickup, a) {
		p.send(&ctiqbe.LineCallPickupResponse{SequenceNumber: x.seq, LineCallManagerID: x.line.CallManagerID, LineID: x.line.LineID,
			GlobalCallHandleCallManager: p.world.site().nodes.of(x.node), GlobalCallHandleCallID: uint32(a.Reply.Call & 0x7fffffff)})
	}
}

// A pickupGroup is one whose ringing calls an application is told of.
type pickupGroup struct{ number, partition string }

// maxPickupGroups bounds the groups that one application is told of.
const maxPickupGroups = 256

// handlePickupRegister has the client told when a call rings in a pickup group (259).
func (p *provider) handlePickupRegister(m *ctiqbe.ProviderPickupNotificationRegisterRequest) {
	g := pickupGroup{m.PickupGroupNumber, m.PickupGroupPartition}
	name, ok := p.world.site().pickupGroup(g.number)
	switch {
	case !ok:
		p.fail(m.SequenceNumber, ctiqbe.ErrInvalidPickupGroup, fmt.Sprintf("there is no pickup group %s in partition %q", g.number, g.partition))
	case p.pickups[g] != "":
		p.fail(m.SequenceNumber, ctiqbe.ErrAlreadyRegistered, fmt.Sprintf("the application is told of pickup group %s already", g.number))
	case len(p.pickups) >= maxPickupGroups:
		p.fail(m.SequenceNumber, ctiqbe.ErrTemporaryFailure, fmt.Sprintf("an application is told of %d pickup groups at most", maxPickupGroups))
	case !p.mayWatchGroup(name):
		p.fail(m.SequenceNumber, ctiqbe.ErrOperationNotAllowed, fmt.Sprintf("no device that %s may control has a line in pickup group %s", p.user, g.number))
	default:
		p.pickups[g] = name
		p.do(watchGroup{name})
		p.send(&ctiqbe.ProviderPickupNotificationRegisterResponse{SequenceNumber: m.SequenceNumber})
	}
}

// mayWatchGroup says whether a user is told of a group's calls: who controls all devices, or one with a line of the group.
func (p *provider) mayWatchGroup(name string) bool {
	if p.rights.AllDevices {
		return true
	}
	for _, d := range p.controlled() {
		for _, a := range d.Appearances {
			if a.Line.PickupGroup == name {
				return true
			}
		}
	}
	return false
}

// handlePickupUnregister ends that (261).
func (p *provider) handlePickupUnregister(m *ctiqbe.ProviderPickupNotificationUnregisterRequest) {
	g := pickupGroup{m.PickupGroupNumber, m.PickupGroupPartition}
	name := p.pickups[g]
	if name == "" {
		p.fail(m.SequenceNumber, ctiqbe.ErrRegistrationNotFound, fmt.Sprintf("the application is not told of pickup group %s", g.number))
		return
	}
	delete(p.pickups, g)
	p.do(unwatchGroup{name})
	p.send(&ctiqbe.ProviderPickupNotificationUnregisterResponse{SequenceNumber: m.SequenceNumber})
}

// watchGroup has the calls that ring in a pickup group told, unwatchGroup no more.
type (
	watchGroup   struct{ group string }
	unwatchGroup struct{ group string }
)

func (watchGroup) output()   {}
func (unwatchGroup) output() {}

// rings says that a call rings in a pickup group.
type rings struct {
	group string
	event projection.Event
}

func (rings) input() {}

// alertsKept is how many calls are remembered as told: every phone that rings with a call tells of it.
const alertsKept = 64

// alert tells once of a call that rings in a pickup group (264).
func (p *provider) alert(group string, ev *projection.Event) {
	if slices.Contains(p.rang, ev.GCH) {
		return
	}
	if p.rang = append(p.rang, ev.GCH); len(p.rang) > alertsKept {
		p.rang = p.rang[1:]
	}
	for _, g := range p.groupsNamed(group) {
		p.send(&ctiqbe.ProviderCallPickupAlertEvent{TransactionID: ev.GCH.Call, PickupGroupNumber: g.number, PickupGroupPartition: g.partition,
			GlobalCallManagerID: ev.GCH.CallManager, GlobalCallID: ev.GCH.Call, FarEndpointType: destination(ev.Calling),
			CallingParty: ev.Calling.Number, UnmodifiedCallingParty: ev.Calling.Number, CallingPartyName: ascii(ev.Calling.Name), CallingPartyUnicodeDisplayName: ev.Calling.Name,
			CallingPartyPI: !ev.Calling.Restricted, CallingPartyNamePI: !ev.Calling.Restricted, CallingPartyDNInfo: partyDN(ev.Calling),
			CalledParty: ev.Called.Number, UnmodifiedCalledParty: ev.Called.Number, CalledPartyName: ascii(ev.Called.Name), CalledPartyUnicodeDisplayName: ev.Called.Name,
			CalledPartyPI: !ev.Called.Restricted, CalledPartyNamePI: !ev.Called.Restricted, CalledPartyDNInfo: partyDN(ev.Called)})
	}
}

// groupsNamed are the registrations for a group, in order.
func (p *provider) groupsNamed(name string) (out []pickupGroup) {
	for g, n := range p.pickups {
		if n == name {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b pickupGroup) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.partition, b.partition))
	})
	return out
}

// pickupsChanged tells of groups that are gone, or that the user is not told of any more, with another revision of the site (263).
func (p *provider) pickupsChanged() {
	for _, name := range slices.Sorted(maps.Values(p.pickups)) {
		for _, g := range p.groupsNamed(name) {
			reason := uint32(ctiqbe.ErrPickupGroupDeleted)
			switch now, ok := p.world.site().pickupGroup(g.number); {
			case ok && now == name && p.mayWatchGroup(name):
				continue
			case ok:
				reason = uint32(ctiqbe.ErrPickupGroupChanged)
			}
			delete(p.pickups, g)
			p.do(unwatchGroup{name})
			p.send(&ctiqbe.ProviderPickupNotificationRegistrationClosedEvent{Reason: reason, PickupGroupNumber: g.number, PickupGroupPartition: g.partition})
		}
	}
}
