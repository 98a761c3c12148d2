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
	called        *phone.Phone
}

func observe(t testing.TB, a *lab.CTI, device, number string, called *phone.Phone) *observer {
	t.Helper()
	manager, line, err := a.OpenLine(within(t, step), device, number, "internal")
	ok(t, err)
	return &observer{a, manager, line, called}
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

// taken answers the next call of the phone.
func (o *observer) taken(t testing.TB) *phone.Call {
	t.Helper()
	select {
	case c := <-o.called.Incoming():
		ok(t, c.Answer(within(t, step)))
		return c
	case <-time.After(step):
		t.Fatalf("%s does not ring", o.called.Name())
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
