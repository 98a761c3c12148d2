package peers

import (
	"context"
	"fmt"
	"net"
	"time"
)

// waitListening returns when something accepts TCP connections at addr; the program has no message that says so.
func waitListening(ctx context.Context, p *Process, addr string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return fmt.Errorf("%s ended before it listened on %s:\n%s", p.Name, addr, p.Tail(20))
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w\n%s", p.Name, addr, context.Cause(ctx), p.Tail(20))
		}
	}
}
