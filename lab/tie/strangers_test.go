package tie

import (
	"context"
	"net/netip"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/leg/tieleg"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// TestStrangers: what nodes tell each other is an order to nobody when somebody else says it. A phone and a trunk's peer get what they would get
// without it; a certificate of the cluster that is no call manager's, and one of another cluster, get nothing.
func TestStrangers(t *testing.T) {
	s := start(t, lab.ClusterOptions{Site: func(c *config.Site) {
		c.SIPTrunkSecurityProfiles = append(c.SIPTrunkSecurityProfiles, config.SIPTrunkSecurityProfile{Name: "peer", AcceptedSubjects: []string{"peer.example"}})
		c.SIPTrunks = append(c.SIPTrunks, config.SIPTrunk{Name: "peer", SecurityProfile: "peer", DevicePool: "default", CallingSearchSpace: "internal", SRTPAllowed: true,
			Destinations: []config.Destination{{Address: "192.0.2.1"}}})
	}})
	// What says: ring bob at once, whoever is dialled; the caller is of this site.
	order := phone.DialOptions{Headers: []dialog.Header{{Name: tieleg.Name, Value: tieleg.Header{Form: tieleg.FormDevice, From: "n2", To: "n1", Device: "bob",
		Line: call.LineID{Number: "1002", Partition: "internal"}, Inside: true}.String()}}}
	t.Run("phone", func(t *testing.T) {
		ctx := within(t)
		s.rings(ctx, t, s.alice, order)
	})
	t.Run("trunk", func(t *testing.T) {
		ctx := within(t)
		s.rings(ctx, t, s.stranger(ctx, t, s.Node("n1").Site, pki.KindPeer, "peer.example"), order)
	})
	for name, kind := range map[string]pki.Kind{"voicemail": pki.KindService, "other.example": pki.KindPeer, "callmanager": pki.KindPeer} {
		t.Run(kind.String()+" "+name, func(t *testing.T) {
			ctx := within(t)
			p := s.stranger(ctx, t, s.Node("n1").Site, kind, name)
			c, err := p.DialWith(ctx, "1003", order)
			must(t, err)
			ended(ctx, t, c, 403)
		})
	}
	t.Run("another cluster", func(t *testing.T) {
		ctx := within(t)
		foreign, err := lab.Start(ctx, lab.Options{})
		must(t, err)
		t.Cleanup(func() { _ = foreign.Close(context.Background()) })
		const refused = "locktone_callmanager_handshakes_refused_total"
		before := figure(t, s.Node("n1"), refused)
		c, err := s.stranger(ctx, t, foreign, pki.KindService, "callmanager").DialWith(ctx, "1003", order)
		must(t, err)
		if status, _, err := c.WaitEnded(ctx); err != nil || status < 400 {
			t.Errorf("the call of another cluster's call manager ended with %d, %v", status, err)
		}
		until(ctx, t, "the handshake to be refused", func() bool { return figure(t, s.Node("n1"), refused) > before })
		for _, p := range []*phone.Phone{s.bob, s.carol} {
			if len(p.Incoming()) > 0 {
				t.Errorf("%s rings", p.Name())
			}
		}
	})
	s.idle(t)
}

// rings sees that 1003, which was dialled, rings, and nobody else.
func (s *stage) rings(ctx context.Context, t *testing.T, p *phone.Phone, o phone.DialOptions) {
	t.Helper()
	c, err := p.DialWith(ctx, "1003", o)
	must(t, err)
	at := incoming(ctx, t, s.carol)
	must(t, at.Answer(ctx))
	must(t, c.WaitAnswered(ctx))
	if at.Invite().Has(tieleg.Name) {
		t.Error("what the stranger said is passed on")
	}
	must(t, c.Hangup(ctx))
	ended(ctx, t, at, 200)
	select {
	case <-s.bob.Incoming():
		t.Error("the order was obeyed")
	default:
	}
}

// stranger is somebody who calls the first node with a certificate that an authority issued.
func (s *stage) stranger(ctx context.Context, t *testing.T, of *lab.Site, kind pki.Kind, name string) *phone.Phone {
	t.Helper()
	order := pki.Request{Kind: kind, Name: name}
	if kind == pki.KindService {
		order.Usage = pki.UsageClient
	}
	issued, err := of.CA.Issue(ctx, order)
	must(t, err)
	credential := issued.Credential
	p, err := phone.Start(ctx, phone.Config{Name: name, Number: "4711", Domain: "example.test", Server: netip.AddrPortFrom(s.Node("n1").Address, 5061).String(),
		Certificate: credential.TLS(), Roots: s.Node("n1").Roots(), NoRegister: true})
	must(t, err)
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}
