package sipleg_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/lab/phone/phonetest"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// peer is a SIP element that does exactly what a test tells it, message by message, over its own TLS connection.
type peer struct {
	t      testing.TB
	name   string
	number string
	ep     *endpoint.Endpoint
	to     endpoint.Target
	calls  atomic.Int64

	onRequest   func(*endpoint.ServerTx, *sip.Message)
	onResponse  func(*endpoint.ClientTx, *sip.Message)
	onCancelled func(*endpoint.ServerTx)
}

func (p *peer) Request(tx *endpoint.ServerTx, m *sip.Message) {
	if p.onRequest != nil {
		p.onRequest(tx, m)
	}
}
func (p *peer) Response(tx *endpoint.ClientTx, m *sip.Message) {
	if p.onResponse != nil {
		p.onResponse(tx, m)
	}
}
func (p *peer) Cancelled(tx *endpoint.ServerTx) {
	if p.onCancelled != nil {
		p.onCancelled(tx)
	}
}
func (p *peer) Failed(tx *endpoint.ClientTx, err error) {
	p.t.Errorf("%s: %s: %v", p.name, tx.Request().Method(), err)
}
func (p *peer) Posted(string, any) {}

// connect makes the peer of device n and registers it.
func connect(t testing.TB, x *phonetest.Exchange, n int, number string) *peer {
	t.Helper()
	cert := x.CA.Issue(t, phonetest.Device(n))
	p := &peer{t: t, name: phonetest.Device(n), number: number}
	var err error
	p.ep, err = endpoint.New(endpoint.Config{User: p, Shards: 1, Limits: phonetest.Patient(), Transport: transport.Config{
		Verify: func(c transport.Check) (transport.PeerIdentity, error) {
			return transport.PeerIdentity{Key: "cm", Names: []string{c.ServerName}}, nil // phones verify; this one measures
		},
		DialTLS: func(transport.Dest) (*tls.Config, error) {
			return &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true}, nil
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = p.ep.Close(ctx)
	})
	p.to = endpoint.Target{Hops: []endpoint.Hop{{Network: transport.TLS, Addr: netip.MustParseAddrPort(x.Addr)}}, LocalIdentity: p.name, ServerName: "localhost"}
	done := make(chan struct{})
	p.onResponse = func(_ *endpoint.ClientTx, m *sip.Message) {
		if m.Status() == 200 {
			close(done)
		}
	}
	reg := p.request(sip.REGISTER, "reg-"+p.name, 1)
	reg.Set("Expires", "3600")
	p.send(reg)
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("not registered")
	}
	p.onResponse = nil
	return p
}

// request builds a request to this peer's own number; Call sets another To.
func (p *peer) request(method sip.Method, callID string, seq uint32) *sip.Message {
	u := sip.URI{Scheme: "sip", User: p.number, Host: "locktone.test"}
	m := sip.NewRequest(method, u)
	m.SetMaxForwards(70)
	m.SetFrom(sip.Address{URI: u, Params: sip.Params{{Name: "tag", Value: "f" + callID}}})
	m.SetTo(sip.Address{URI: u})
	m.SetCallID(callID)
	m.SetCSeq(sip.CSeq{Seq: seq, Method: method})
	m.SetContact(p.contact())
	return m
}

func (p *peer) contact() sip.Address {
	return sip.Address{URI: sip.URI{Scheme: "sip", User: p.number, Host: "192.0.2.9", Port: 5061, Params: sip.Params{{Name: "transport", Value: "tls"}}}}
}

// invite builds an INVITE for a number, with an offer.
func (p *peer) invite(number, sdp string) *sip.Message {
	m := p.request(sip.INVITE, fmt.Sprintf("call%d-%s", p.calls.Add(1), p.name), 1)
	u := sip.URI{Scheme: "sip", User: number, Host: "locktone.test"}
	m.SetRequestURI(u)
	m.SetTo(sip.Address{URI: u})
	m.Set("Supported", "timer, 100rel")
	m.Set("Allow", "INVITE, ACK, BYE, CANCEL, UPDATE, PRACK")
	if sdp != "" {
		m.SetBody("application/sdp", []byte(sdp))
	}
	return m
}

func (p *peer) send(m *sip.Message) *endpoint.ClientTx {
	tx, err := p.ep.Request(m, p.to)
	if err != nil {
		p.t.Error(err)
	}
	return tx
}

// offer and answer are descriptions of an encrypted phone.
func offer(port int) string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio %d RTP/SAVP 0 8 101\r\n"+
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"+
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\na=sendrecv\r\n", port)
}

func answer(port int) string {
	return fmt.Sprintf("v=0\r\no=- 2 2 IN IP4 192.0.2.8\r\ns=-\r\nc=IN IP4 192.0.2.8\r\nt=0 0\r\nm=audio %d RTP/SAVP 0 101\r\n"+
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"+
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj\r\na=sendrecv\r\n", port)
}

// bridge is an exchange with the real engine, and two peers.
func bridge(t testing.TB, edit func(*call.Site, *phonetest.Exchange)) (x *phonetest.Exchange, host *live.Host, a, b *peer) {
	t.Helper()
	return recorded(t, nil, edit)
}

// recorded is bridge with somebody who sees the engine's inputs.
func recorded(t testing.TB, by live.Recorder, edit func(*call.Site, *phonetest.Exchange)) (x *phonetest.Exchange, host *live.Host, a, b *peer) {
	t.Helper()
	host = live.Start(live.Options{RefuseAfter: 5 * time.Second, AcceptUnder: time.Second, Recorder: by}) // overload is not what is tested
	drv, err := host.Attach("sip", 1<<15)
	if err != nil {
		t.Fatal(err)
	}
	plane := media.NewPlane(media.PlaneConfig{})
	t.Cleanup(func() { host.Close(); plane.Close() })
	x = phonetest.Open(t, drv, plane)
	cs := call.Site{Plan: dialplan.Rules{SearchSpaces: []dialplan.SearchSpace{{Name: "all", Partitions: []string{"p"}}}}}
	for i, number := range []string{"1001", "1002"} {
		id, name := call.LineID{Number: number, Partition: "p"}, phonetest.Device(i+1)
		cs.Lines = append(cs.Lines, call.Line{ID: id, SearchSpace: "all", Appearances: []call.Appearance{{Device: name, Index: 1, BusyTrigger: 100_000}}})
		cs.Devices = append(cs.Devices, call.Device{Name: name, Driver: "sip"})
		cs.Plan.Patterns = append(cs.Plan.Patterns, dialplan.Pattern{Digits: number, Partition: "p", Kind: dialplan.DirectoryNumber})
		x.AddDevice(name, id)
	}
	if edit != nil {
		edit(&cs, x)
	}
	cfg, err := cs.Compile()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	return x, host, connect(t, x, 1, "1001"), connect(t, x, 2, "1002")
}
