package element_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/element/elementtest"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// told is the policy of an element whose program answers with a tone, and says what it was told of each call.
type told struct {
	calls chan applet.Info
	hertz float64
}

func (told) Arrival(in element.Incoming) (element.Arrival, *sipleg.Refusal) {
	return element.Arrival{Peer: in.Peer}, in.Refused
}

func (p told) Program(string) applet.Program {
	return func(ctx context.Context, s *applet.Session) error {
		p.calls <- s.Info()
		if err := s.Answer(ctx); err != nil {
			return err
		}
		return s.Play(ctx, tone.NewSine(p.hertz, -10))
	}
}

// chooses is the policy of an element that chooses by itself where calls go, as a border element does.
type chooses struct{ route []call.RouteMember }

func (p chooses) Arrival(in element.Incoming) (element.Arrival, *sipleg.Refusal) {
	return element.Arrival{Peer: in.Peer, Route: p.route}, in.Refused
}

func (chooses) Program(string) applet.Program { return nil }

// TestChosenRouteCarriesParametersAndSession: the first element chooses the way without a dial plan, with another number and the parameters of
// RFC 5552; the second one's program is told them, and the Session-ID of the caller (RFC 7989). A caller without one gets one on the way.
func TestChosenRouteCarriesParametersAndSession(t *testing.T) {
	ca := elementtest.NewAuthority(t)
	const params = ";voicexml=https:%2F%2Fcs.test%2F1%3Fa%3Db;aai=%22x%22;Mixed"
	front, frontAddr := start(t, ca, "front", func(c *element.Config) {
		c.Policy = chooses{[]call.RouteMember{{Trunk: "nobody"}, {Trunk: "back", Called: dialplan.Transform{Mask: "9000"}, Parameters: params + ";transport=udp"}}}
	})
	calls := make(chan applet.Info, 4)
	back, backAddr := start(t, ca, "back", func(c *element.Config) { c.Policy = told{calls, 1000} })
	must(t, back.Configure(call.Site{Plan: plan("9000", dialplan.ToApplet, "tone"), Applets: []call.Applet{{Name: "tone", Driver: element.DriverApplet}}},
		[]element.Peer{{Name: "front", Subjects: []string{"front.test"}, Trunk: call.Trunk{SearchSpace: "all"}}}))
	must(t, front.Configure(call.Site{}, []element.Peer{{Name: "outside", Subjects: []string{"caller.test"}}, {Name: "back", Subjects: []string{"back.test"},
		Destinations: []element.Destination{{Address: backAddr.String()}}}}))
	c, err := phone.Start(within(t), phone.Config{Number: "4711", Server: netip.AddrPortFrom(frontAddr, 5061).String(), ServerName: frontAddr.String(),
		Certificate: ca.Peer("caller.test"), Roots: ca.Roots(), NoRegister: true})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	rings := front.Host().Watch(16, call.LegRinging)
	defer rings.Close()
	const session = "ab30317f1a784dc48ff824d0d3715d86"
	for _, o := range []phone.DialOptions{{Headers: []dialog.Header{{Name: "Session-ID", Value: session + ";remote=00000000000000000000000000000000"}}}, {},
		{Headers: []dialog.Header{{Name: "Session-ID", Value: "not hexadecimal but 32 octets :-)"[:32] + ";remote=0"}}}} {
		made, err := c.DialWith(within(t), "0800555", o)
		must(t, err)
		must(t, made.WaitAnswered(within(t)))
		info, want := <-calls, session
		for n := range rings.Notes() {
			if n.Event.View != nil {
				if o.Headers == nil || o.Headers[0].Value[:4] == "not " {
					want = n.Event.View.GlobalID
				}
				break
			}
		}
		if info.Parameters != params || info.Called != "9000" || info.GlobalID != want || len(want) != 32 {
			t.Errorf("the program was told %+v, wanted the session %q", info, want)
		}
		must(t, made.Hangup(within(t)))
	}
}
