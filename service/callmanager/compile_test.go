package callmanager

import (
	"reflect"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/dialplan"
)

// TestCompiled: lines, buttons, route lists and patterns of a site file in the engine's words, and the numbers that come of them.
func TestCompiled(t *testing.T) {
	st := siteOf(t, `
nodes: [{name: n}]
callManagerGroups: [{name: g, nodes: [n]}]
musicOnHold: [{name: sea}]
devicePools: [{name: d, callManagerGroup: g, musicOnHold: sea}]
sipTrunkSecurityProfiles: [{name: s, acceptedSubjects: [a.example]}]
sipTrunks:
  - {name: a, securityProfile: s, devicePool: d, destinations: [{address: 192.0.2.1}]}
  - {name: b, securityProfile: s, devicePool: d, destinations: [{address: 192.0.2.2}]}
routeGroups: [{name: turns, distribution: circular, trunks: [a, b]}, {name: order, trunks: [b]}]
routeLists: [{name: l, groups: [turns, order], failoverCauses: [34, 17]}, {name: m, groups: [order]}]
partitions: [{name: p}, {name: q}]
callingSearchSpaces: [{name: all, partitions: [p]}, {name: second, partitions: [q]}]
lines: [{number: 2001, partition: p, callingSearchSpace: all, display: A, alertingName: B, noAnswerTimeout: 25s}]
devices: [{name: x, devicePool: d, callingSearchSpace: second, lines: [{number: 2001, partition: p, index: 3, maxCalls: 6, busyTrigger: 5}]}]
routePatterns:
  - {pattern: '9.XXXX#', partition: p, routeList: l, discard: pre-dot-trailing-pound, calledMask: 77XXXX, prefix: '00', callingMask: 55XXXX, callingPrefix: '+49'}
  - {pattern: '8.XXXX#', partition: p, trunk: a, discard: trailing-pound}
  - {pattern: '7.XXXX', partition: p, trunk: a, discard: pre-dot, callingPresentation: allowed}
  - {pattern: '6.XXXX', partition: p, trunk: a, block: false}
translationPatterns: [{pattern: '5.XXXX', partition: p, callingSearchSpace: second, discard: pre-dot}]
`)
	out := compile(st)
	wantLine := call.Line{ID: call.LineID{Number: "2001", Partition: "p"}, Display: "A", Alerting: "B", SearchSpace: "all", NoAnswer: 25 * time.Second,
		Appearances: []call.Appearance{{Device: "x", Index: 3, BusyTrigger: 5, MaxCalls: 6}}}
	if !reflect.DeepEqual(out.Lines, []call.Line{wantLine}) {
		t.Errorf("lines %+v", out.Lines)
	}
	if d := out.Devices[0]; d.Music != "music:sea" || d.SearchSpace != "second" {
		t.Errorf("device %+v", d)
	}
	wantLists := []call.RouteList{
		{Name: "l", Causes: []call.Cause{call.NoCircuit, call.UserBusy}, Members: []call.RouteMember{{Trunk: "a", Turns: "turns"}, {Trunk: "b", Turns: "turns"}, {Trunk: "b"}}},
		{Name: "m", Members: []call.RouteMember{{Trunk: "b"}}},
	}
	for _, q := range []int{3, 27, 34, 38, 41, 42, 44, 47, 58} {
		wantLists[1].Causes = append(wantLists[1].Causes, call.CauseFromQ850(q))
	}
	if !reflect.DeepEqual(out.RouteLists, wantLists) {
		t.Errorf("route lists %+v", out.RouteLists)
	}
	compiled, err := out.Compile()
	if err != nil {
		t.Fatal(err)
	}
	for dialled, want := range map[string][2]string{
		"91234#": {"00771234", "+49552001"}, "81234#": {"81234", "2001"}, "71234": {"1234", "2001"}, "61234": {"61234", "2001"},
	} {
		r := compiled.Plan().Route(dialplan.Query{SearchSpaces: []string{"all"}, Called: dialled, Calling: "2001", Complete: true})
		if r.Outcome != dialplan.Match || r.Called != want[0] || r.Calling != want[1] || dialled == "71234" != (r.Presentation == dialplan.PresentationAllowed) {
			t.Errorf("%s: %s, called %s, calling %s, presentation %d", dialled, r.Outcome, r.Called, r.Calling, r.Presentation)
		}
	}
	if r := compiled.Plan().Route(dialplan.Query{SearchSpaces: []string{"all"}, Called: "57123", Complete: true}); r.Outcome != dialplan.NoMatch || r.Called != "7123" {
		t.Errorf("a translation goes on in its own search space: %s, %s", r.Outcome, r.Called)
	}
}
