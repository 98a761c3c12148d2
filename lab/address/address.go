// Package address gives sites of the lab loopback addresses that nobody else has: no other site of this process, and none of another test that
// runs beside it.
//
// That nobody listens on an address is not enough to have it. The nodes of a cluster need their addresses before the first of them starts,
// and keep them while they are down; a test beside it that looks meanwhile finds them free. So whoever takes an address listens on its
// guard port as long as the address is wanted. The end of the process gives it back in any case.
package address

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
)

// The addresses are 127.0.first.10 to 127.0.last.10. Those below are left to `locktone up`, which begins with 127.0.1.10.
const (
	first = 20
	last  = 250
)

// guard is the TCP port that says an address is taken. No service of a site has it.
const guard = 4999

// tried spreads the addresses of one process; the process's number those of several.
var tried atomic.Uint32

// Taken is an address in use.
type Taken struct {
	netip.Addr
	guard net.Listener
}

// Take takes an address on which nobody has port 5061 either.
func Take() (Taken, error) {
	for range last - first + 1 {
		n := first + (os.Getpid()+int(tried.Add(1)))%(last-first+1)
		a := netip.AddrFrom4([4]byte{127, 0, byte(n), 10})
		g, err := listen(a, guard)
		if err != nil {
			continue
		}
		sip, err := listen(a, 5061) // of somebody who takes addresses without asking here
		if err != nil {
			err = g.Close()
		} else if err = sip.Close(); err == nil {
			return Taken{a, g}, nil
		}
		if err != nil {
			return Taken{}, fmt.Errorf("taking %s: %w", a, err)
		}
	}
	return Taken{}, errors.New("every loopback address from 127.0." + strconv.Itoa(first) + ".10 to 127.0." + strconv.Itoa(last) + ".10 is taken: end other tests")
}

func listen(a netip.Addr, port uint16) (net.Listener, error) {
	return net.Listen("tcp", netip.AddrPortFrom(a, port).String())
}

// Release gives the address back. The zero value has none.
func (t Taken) Release() error {
	if t.guard == nil {
		return nil
	}
	return t.guard.Close()
}
