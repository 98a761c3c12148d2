package endpoint

import (
	"testing"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// answerCalls is a UAS: it rings and answers every INVITE and confirms everything else.
func answerCalls(e event) {
	switch {
	case e.stx == nil || e.stx.Stateless():
	case e.what == "INVITE":
		_ = e.stx.Reply(180, "")
		ok := sip.NewResponse(e.m, 200, "")
		ok.SetContact(sip.Address{URI: sip.URI{Scheme: "sip", User: "bob", Host: "127.0.0.1"}})
		_ = e.stx.Respond(ok)
	case e.what == "cancelled":
		_ = e.stx.Reply(487, "")
	default:
		_ = e.stx.Reply(200, "")
	}
}

// TestCallOverEveryTransport makes a whole call between two endpoints.
func TestCallOverEveryTransport(t *testing.T) {
	for _, network := range []transport.Network{transport.UDP, transport.TCP, transport.TLS} {
		t.Run(network.String(), func(t *testing.T) {
			ca := newAuthority(t)
			server, client := newRecorder(answerCalls), newRecorder(nil)
			lc := func(name string) transport.ListenConfig {
				if network == transport.TLS {
					return ca.listenTLS(ca.issue(t, name))
				}
				return listenOn(network)
			}
			_, ls := start(t, Config{User: server, Transport: ca.transportConfig(ca.issue(t, "bob.test"))}, lc("bob.test"))
			caller, _ := start(t, Config{User: client, Transport: ca.transportConfig(ca.issue(t, "alice.test"))}, lc("alice.test"))
			to := Target{Hops: []Hop{{network, ls[0].Addr()}}, ServerName: "bob.test"}

			if _, err := caller.Request(request(t, sip.INVITE, "call-1", 1), to); err != nil {
				t.Fatal(err)
			}
			client.next(t, "180")
			ok := client.next(t, "200")
			ack := request(t, sip.ACK, "call-1", 1)
			ack.SetTo(ok.m.To())
			if err := caller.Send(ack, to); err != nil {
				t.Fatal(err)
			}
			got := server.next(t, "ACK")
			if !got.stx.Stateless() || got.stx.Invite() == nil {
				t.Errorf("ACK came with %+v, want a stateless transaction that knows its INVITE", got.stx)
			}
			bye := request(t, sip.BYE, "call-1", 2)
			bye.SetTo(ok.m.To())
			if _, err := caller.Request(bye, to); err != nil {
				t.Fatal(err)
			}
			server.next(t, "BYE")
			client.next(t, "200")
			if network == transport.TLS {
				checkTLS(t, caller.Flows(), "bob.test")
			}
		})
	}
}

func checkTLS(t *testing.T, flows []transport.FlowInfo, name string) {
	t.Helper()
	if len(flows) != 1 {
		t.Fatalf("%d flows, want 1 for the whole call: %+v", len(flows), flows)
	}
	f := flows[0]
	if f.TLSVersion != "TLS 1.3" || f.Cipher == "" || !f.Peer.Covers(name) || f.MessagesOut != 3 || f.MessagesIn != 3 {
		t.Errorf("flow %+v: want TLS 1.3, a peer that covers %s and 3 messages each way", f, name)
	}
}
