package endpoint

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/resolve"
	"github.com/locktone/locktone/wire/sip/transport"
)

// zone is a DNS with two servers for one domain.
type zone struct{ first, second uint16 }

func (z zone) Exchange(_ context.Context, name string, t resolve.Type) (resolve.Answer, error) {
	a := resolve.Answer{TTL: time.Minute}
	switch {
	case t == resolve.TypeSRV && name == "_sip._tcp.pbx.test":
		a.SRV = []resolve.SRV{{Priority: 1, Port: z.first, Target: "a.pbx.test"}, {Priority: 2, Port: z.second, Target: "b.pbx.test"}}
	case t == resolve.TypeA && (name == "a.pbx.test" || name == "b.pbx.test"):
		a.Addrs = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	}
	return a, nil
}

// TestServersByName: a name is resolved, a dead server is passed over, and the next request does not begin with it.
func TestServersByName(t *testing.T) {
	server, client := newRecorder(answerCalls), newRecorder(nil)
	_, ls := start(t, Config{User: server}, listenOn(transport.TCP))
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	deadPort := dead.Addr().(*net.TCPAddr).AddrPort().Port()
	_ = dead.Close()
	resolver := resolve.New(resolve.Config{DNS: zone{deadPort, ls[0].Addr().Port()}})
	e, _ := start(t, Config{User: client, Resolver: DNS(resolver)})
	for _, id := range []string{"first", "second"} {
		m := request(t, sip.OPTIONS, id, 1)
		m.SetRequestURI(sip.URI{Scheme: "sip", Host: "pbx.test", Params: sip.Params{{Name: "transport", Value: "tcp"}}})
		tx, err := e.Request(m, Target{})
		if err != nil {
			t.Fatal(err)
		}
		if got := client.next(t, "200", "failed"); got.what != "200" {
			t.Fatalf("failed: %v", got.err)
		}
		_ = tx
	}
	hops, err := DNS(resolver).ResolveSIP(context.Background(), sip.URI{Scheme: "sip", Host: "pbx.test", Params: sip.Params{{Name: "transport", Value: "tcp"}}})
	if err != nil || len(hops) != 2 || hops[0].Addr.Port() != ls[0].Addr().Port() {
		t.Errorf("hops %v, %v: want the living server first", hops, err)
	}
	m := request(t, sip.OPTIONS, "nowhere", 1)
	m.SetRequestURI(sip.URI{Scheme: "sip", Host: "nowhere.test"})
	if _, err := e.Request(m, Target{}); err != nil {
		t.Fatal(err)
	}
	client.next(t, "failed")
}
