package resilience

import (
	"testing"
	"time"

	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// An observer is an application with one open line, and the phone that its calls go to.
type observer struct {
	*lab.CTI
	manager, line uint32
	own, called   *phone.Phone
}

func observe(t testing.TB, a *lab.CTI, device, number string) *observer {
	t.Helper()
	manager, line, err := a.OpenLine(within(t, step), device, number, "internal")
	ok(t, err)
	return &observer{CTI: a, manager: manager, line: line}
}

// worker is an application that has opened alice; it calls bob.
func worker(t testing.TB, s *lab.Site, a *lab.CTI) *observer {
	t.Helper()
	o := observe(t, a, "alice", "1001")
	o.own, o.called = telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil)
	return o
}

// state waits until a leg is said to be in a state.
func (o *observer) state(t testing.TB, leg uint32, s ctiqbe.CallState) *ctiqbe.CallStateChangedEventV2 {
	t.Helper()
	m, err := o.Until(within(t, step), func(m ctiqbe.Message) bool {
		e, is := m.(*ctiqbe.CallStateChangedEventV2)
		return is && e.State == s && (leg == 0 || e.CallLegID == leg)
	})
	if err != nil {
		t.Fatalf("leg %d is never said to be %v: %v", leg, s, err)
	}
	return m.(*ctiqbe.CallStateChangedEventV2)
}

// connected waits until a call of the line is connected.
func (o *observer) connected(t testing.TB) *ctiqbe.CallStateChangedEventV2 {
	t.Helper()
	return o.state(t, 0, ctiqbe.CallStateConnected)
}

// taken answers the next call of a phone.
func taken(t testing.TB, p *phone.Phone) *phone.Call {
	t.Helper()
	select {
	case c := <-p.Incoming():
		ok(t, c.Answer(within(t, step)))
		return c
	case <-time.After(step):
		t.Fatalf("%s does not ring", p.Name())
		return nil
	}
}

// said is everything up to the answer to a request that is sent now.
func (o *observer) said(t testing.TB) (out []ctiqbe.Message) {
	t.Helper()
	ok(t, o.Send(&ctiqbe.ProviderGetCapabilitiesInfoRequest{}))
	for {
		m := must(o.Next(within(t, step)))(t)
		if m.PDU() == ctiqbe.PDUProviderGetCapabilitiesInfoResponse {
			return out
		}
		out = append(out, m)
	}
}

// works is a call from beginning to end as an application makes and ends it, with both persons; it returns the longest time that the
// application has waited for the CTI manager.
func (o *observer) works(t testing.TB) (worst time.Duration) {
	t.Helper()
	for len(o.said(t)) > 0 { // what is left of earlier calls
	}
	since := time.Now()
	waited := func() { worst = max(worst, time.Since(since)); since = time.Now() }
	must(o.Ask(within(t, step), &ctiqbe.LineCallInitiateRequest{LineCallManagerID: o.manager, LineID: o.line, CallingAddress: "1001", DestAddress: "1002"}))(t)
	waited()
	taken(t, o.own)
	c := taken(t, o.called)
	since = time.Now()
	up := o.connected(t)
	waited()
	must(o.Ask(within(t, step), &ctiqbe.CallDisconnectRequest{LineCallManagerID: o.manager, LineID: o.line, CallLegCallManagerID: up.CallCallManagerID, CallLegID: up.CallLegID}))(t)
	waited()
	o.state(t, up.CallLegID, ctiqbe.CallStateIdle)
	waited()
	_, _, err := c.WaitEnded(within(t, step))
	ok(t, err)
	return worst
}
