package callmanager

import (
	"errors"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// TestPingDrivesTrunk walks a trunk with two destinations through answers and silence.
func TestPingDrivesTrunk(t *testing.T) {
	probe := config.SIPProfile{}.WithDefaults().OptionsPing
	probe.Retries = 2
	a := &destination{trunk: "t", address: "a:5061", ping: probe}
	b := &destination{trunk: "t", address: "b:5061", ping: probe}
	var tr trunks
	now := time.Unix(1000, 0)
	epoch := tr.configure(now, []*destination{a, b})
	steps := []struct {
		at          *destination
		status      int
		err         error
		next        time.Duration
		changed, up bool
		state       trunkState
	}{
		{a, 200, nil, probe.IntervalInService.D(), false, true, stateInService},
		{b, 404, nil, probe.IntervalInService.D(), false, true, stateInService}, // somebody is there, whatever it thinks of the request
		{a, 0, endpoint.ErrTimeout, probe.RetryInterval.D(), false, true, stateInService},
		{a, 503, nil, probe.IntervalOutOfService.D(), false, true, stateOutOfService}, // b still carries the trunk
		{b, 408, nil, probe.RetryInterval.D(), false, true, stateInService},
		{b, 0, errors.New("refused"), probe.IntervalOutOfService.D(), true, false, stateOutOfService},
		{b, 0, errors.New("refused"), probe.IntervalOutOfService.D(), false, false, stateOutOfService},
		{b, 200, nil, probe.IntervalInService.D(), true, true, stateInService},
	}
	for i, s := range steps {
		now = now.Add(time.Second)
		next, changed, up := tr.heard(now, &ping{epoch: epoch, at: s.at, sent: now}, s.status, s.err)
		if next != s.next || changed != s.changed || up != s.up || s.at.state != s.state {
			t.Errorf("step %d: next %v changed %v up %v state %v, want %+v", i, next, changed, up, s.at.state, s)
		}
	}
	first, last := tr.hops("t")
	if len(first) != 1 || first[0] != b || len(last) != 1 || last[0] != a {
		t.Errorf("hops: %v then %v, want b then a", first, last)
	}
	// A change of configuration keeps what is known of a destination that stays.
	b2 := &destination{trunk: "t", address: "b:5061", ping: probe}
	if tr.configure(now, []*destination{b2}); b2.state != stateInService {
		t.Errorf("after a change b is %v", b2.state)
	}
	if tr.current(epoch) {
		t.Error("timers of the old configuration still count")
	}
}
