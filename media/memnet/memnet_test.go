package memnet

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

func TestNetwork(t *testing.T) {
	var n Network
	here, there := netip.MustParseAddrPort("127.0.0.1:2"), netip.MustParseAddrPort("127.0.0.1:4")
	a, err := n.Listen(here)
	if err != nil || a.Addr() != here {
		t.Fatal(err)
	}
	if _, err := n.ListenUDP(here); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second socket there: %v", err)
	}
	if k, err := a.WriteToUDPAddrPort([]byte("lost"), there); k != 4 || err != nil {
		t.Error(k, err)
	}
	b, err := n.Listen(there)
	if err != nil {
		t.Fatal(err)
	}
	sent := []byte("text")
	for range queue + 10 {
		if _, err := a.WriteToUDPAddrPort(sent, there); err != nil {
			t.Fatal(err)
		}
	}
	sent[0] = 'n' // what is on its way is not the sender's memory
	var buf [3]byte
	for range queue {
		if k, from, err := b.ReadFromUDPAddrPort(buf[:]); string(buf[:k]) != "tex" || from != here || err != nil {
			t.Fatalf("%q from %v: %v", buf[:k], from, err)
		}
	}
	if len(b.in) != 0 {
		t.Errorf("%d packets more than the queue holds", len(b.in))
	}
	ended := make(chan error)
	go func() {
		_, _, err := b.ReadFromUDPAddrPort(buf[:])
		ended <- err
	}()
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the reader of a closed socket: %v", err)
	}
	if _, err := b.WriteToUDPAddrPort(sent, here); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the writer of a closed socket: %v", err)
	}
	if _, err := n.Listen(there); err != nil {
		t.Errorf("the address is not free again: %v", err)
	}
}
