package transport

import (
	"context"
	"testing"
	"time"
)

// RFC 5626, 3.5.1: the answer to a ping is one CRLF. Two answers are no ping: whoever takes them for one answers, and neither
// side ever knows again what it has heard.
func TestPongIsNoHalfPing(t *testing.T) {
	server, l := serve(t, Config{}, newEcho(), listenOn(TCP))
	client, _ := serve(t, Config{}, newEcho(), listenOn(TCP))
	f, err := client.Flow(Dest{Network: TCP, Addr: l.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := f.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 4; n++ {
		if err := f.Ping(); err != nil {
			t.Fatal(err)
		}
		for f.Info().BytesIn < 2*n {
			select {
			case <-time.After(time.Millisecond): // a pong has no event of its own
			case <-ctx.Done():
				t.Fatalf("ping %d got no answer", n)
			}
		}
	}
	flows := server.Flows()
	if len(flows) != 1 || flows[0].BytesIn != 4*4 || f.Info().BytesOut != 4*4 {
		t.Errorf("after 4 pings the client has sent %d octets, the server heard %+v", f.Info().BytesOut, flows)
	}
}
