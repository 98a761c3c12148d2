package callmanager

import (
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/dialplan"
)

// TestNumbersCompiled: what a site file says of schedules, emergency numbers, masks, alternate numbers and transformations, in the
// engine's words; and that the words do what they are for.
func TestNumbersCompiled(t *testing.T) {
	st := siteOf(t, `
nodes: [{name: n}]
callManagerGroups: [{name: g, nodes: [n]}]
devicePools: [{name: d, callManagerGroup: g, timeZone: Europe/Berlin, emergencyCallerNumber: '+493055599', callingTransformationSearchSpace: shown}]
sipTrunkSecurityProfiles: [{name: s, acceptedSubjects: [a.example]}]
sipTrunks:
  - name: a
    securityProfile: s
    devicePool: d
    destinations: [{address: 192.0.2.1}]
    incoming: {calledMask: XXXX, callingPrefix: '+', calledTransformationSearchSpace: in}
    outgoing: {calledStrip: 1, calledPrefix: '00', callingStrip: 3, callingMask: 0XXXXX, callingTransformationSearchSpace: out}
  - {name: b, securityProfile: s, devicePool: d, destinations: [{address: 192.0.2.2}]}
routeGroups: [{name: one, trunks: [a]}, {name: two, trunks: [b]}]
routeLists: [{name: l, groups: [one, two], details: [{group: two, calledPrefix: '5', callingPrefix: '6'}]}]
schedules: [{name: night, periods: [{days: fri, hours: '22:00-06:00', dates: 2026-01-01..2026-12-31}, {dates: 12-24..12-26, closed: true}]}]
partitions: [{name: p}, {name: q, schedule: night, timeZone: Asia/Tokyo}, {name: did}, {name: t}]
callingSearchSpaces: [{name: all, partitions: [p, q]}, {name: shown, partitions: [t]}, {name: in, partitions: [t]}, {name: out, partitions: [t]}]
lines: [{number: 2001, partition: p, externalMask: +49305552XXX, alternateNumbers: [+4930555XXXX], alternatePartition: did}]
devices:
  - {name: x, devicePool: d, lines: [{number: 2001, partition: p}]}
  - {name: y, devicePool: d, callingTransformationSearchSpace: out}
routePatterns:
  - {pattern: '112', partition: did, routeList: l, emergency: true}
  - {pattern: '\+!', partition: p, trunk: a}
  - {pattern: '*31.\+!', partition: p, trunk: a, discard: pre-dot, ignoreExternalMask: true}
callingTransformations: [{pattern: '\+49.!', partition: t, discard: pre-dot, prefix: '0', presentation: restricted}]
calledTransformations: [{pattern: 'XXXX', partition: t, mask: 9XXX}]
`)
	out := compile(st)
	if l := out.Lines[0]; l.ExternalMask != "+49305552XXX" {
		t.Errorf("line %+v", l)
	}
	for i, want := range []string{"shown", "out"} {
		if d := out.Devices[i]; d.CallingSpace != want || d.Place.EmergencyNumber != "+493055599" || d.Place.Zone.String() != "Europe/Berlin" {
			t.Errorf("device %+v", d)
		}
	}
	a := out.Trunks[0]
	if a.Incoming != (call.IncomingNumbers{Called: dialplan.Transform{Mask: "XXXX"}, Calling: dialplan.Transform{Prefix: "+"}, CalledSpace: "in"}) {
		t.Errorf("incoming %+v", a.Incoming)
	}
	if a.Called != (dialplan.Transform{Discard: "1", Prefix: "00"}) || a.Calling != (dialplan.Transform{Discard: "3", Mask: "0XXXXX"}) || a.CallingSpace != "out" || a.CalledSpace != "" {
		t.Errorf("outgoing %+v", a)
	}
	if m := out.RouteLists[0].Members; m[0].Called.Prefix != "" || m[1].Called.Prefix != "5" || m[1].Calling.Prefix != "6" {
		t.Errorf("members %+v", m)
	}
	compiled, err := out.Compile()
	if err != nil {
		t.Fatal(err)
	}
	plan := compiled.Plan()
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	ask := func(q dialplan.Query) dialplan.Result {
		q.Complete, q.At, q.ExternalMask, q.Calling = true, at, "+49305552XXX", "2001"
		return plan.Route(q)
	}
	if r := ask(dialplan.Query{Called: "112", Emergency: true}); r.Outcome != dialplan.Match || !r.Pattern.Emergency || r.Pattern.To != "l" {
		t.Errorf("112: %+v", r)
	}
	if r := ask(dialplan.Query{Called: "+33155", SearchSpaces: []string{"all"}}); r.Calling != "+49305552001" {
		t.Errorf("mask: %s", r.Calling)
	}
	if r := ask(dialplan.Query{Called: "*31+33155", SearchSpaces: []string{"all"}}); r.Calling != "2001" {
		t.Errorf("ignored mask: %s", r.Calling)
	}
	if number, by := plan.CallingNumber("out", "+4989123"); number != "089123" || by.Presentation != dialplan.PresentationRestricted {
		t.Errorf("calling transformation: %s %+v", number, by)
	}
	if number, _ := plan.CalledNumber("in", "2001"); number != "9001" {
		t.Errorf("called transformation: %s", number)
	}
	s := plan.Rules().Schedules[0]
	if tokyo := plan.Rules().Partitions[0].Zone; len(s.Periods) != 2 || !s.Open(time.Date(2026, 11, 20, 22, 0, 0, 0, tokyo.Location)) || s.Open(time.Date(2026, 12, 25, 22, 0, 0, 0, tokyo.Location)) ||
		s.Open(time.Date(2026, 11, 19, 22, 0, 0, 0, tokyo.Location)) || !s.Open(time.Date(2026, 11, 21, 5, 59, 0, 0, tokyo.Location)) {
		t.Errorf("schedule %+v in %v", s, tokyo)
	}
	if !compiled.Emergency(at, call.Setup{Device: "x", Called: "112"}) || compiled.Emergency(at, call.Setup{Device: "x", Called: "113"}) ||
		compiled.Emergency(at, call.Setup{Trunk: "a", Called: "112"}) || compiled.Emergency(at, call.Setup{Device: "nobody", Called: "112"}) {
		t.Error("who may call 112: a device of the site alone, as the trunk has no search space")
	}
}
