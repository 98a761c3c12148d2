package rtpport

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func TestPairsAreEvenAndOdd(t *testing.T) {
	r, err := New(50001, 50019)
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Listen(loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	rtp, rtcp := p.RTP.(*net.UDPConn).LocalAddr().(*net.UDPAddr).Port, p.RTCP.(*net.UDPConn).LocalAddr().(*net.UDPAddr).Port
	if rtp%2 != 0 || rtcp != rtp+1 || rtp < 50002 || rtcp > 50019 || int(p.Port()) != rtp {
		t.Errorf("ports %d and %d", rtp, rtcp)
	}
}

func TestBoundedRestedAndReturned(t *testing.T) {
	r, err := New(50020, 50029)
	if err != nil || r.Size() != 5 {
		t.Fatal(err, r.Size())
	}
	free := func(uint16) error { return nil }
	seen := map[uint16]bool{}
	for range 5 {
		n, err := r.Take(free)
		if err != nil || seen[n] {
			t.Fatal(n, err)
		}
		seen[n] = true
	}
	if _, err := r.Take(free); !errors.Is(err, ErrExhausted) {
		t.Errorf("a sixth pair of five: %v", err)
	}
	r.Release(50024)
	r.Release(50024)
	r.Release(1)
	if r.InUse() != 4 {
		t.Errorf("%d in use", r.InUse())
	}
	if n, err := r.Take(free); n != 50024 || err != nil {
		t.Error(n, err)
	}
}

// TestSkipsPortsOfOthers: a pair whose RTCP port another program has is passed over, and its RTP port is not kept.
func TestSkipsPortsOfOthers(t *testing.T) {
	r, _ := New(50030, 50039)
	other, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50031})
	if err != nil {
		t.Skip("the port is in use by somebody else already")
	}
	defer other.Close()
	p, err := r.Listen(loopback)
	if err != nil || p.Port() == 50030 || r.InUse() != 1 {
		t.Fatal(err, r.InUse())
	}
	_ = p.Close()
	_ = p.Close()
	if r.InUse() != 0 {
		t.Error("the pair was not given back")
	}
	again, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50030})
	if err != nil {
		t.Error("the RTP port of the pair that failed is still bound")
	} else {
		_ = again.Close()
	}
	failing := errors.New("no")
	if _, err := r.Take(func(uint16) error { return failing }); !errors.Is(err, ErrExhausted) || !errors.Is(err, failing) || r.InUse() != 0 {
		t.Error(err, r.InUse())
	}
}

func TestConcurrent(t *testing.T) {
	r, _ := New(50040, 50239)
	var mu sync.Mutex
	held := map[uint16]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				n, err := r.Take(func(uint16) error { return nil })
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if held[n] {
					t.Errorf("%d was handed out twice", n)
				}
				held[n] = true
				mu.Unlock()
				mu.Lock()
				delete(held, n)
				mu.Unlock()
				r.Release(n)
			}
		})
	}
	wg.Wait()
	if r.InUse() != 0 {
		t.Error(r.InUse())
	}
}

func TestBadRanges(t *testing.T) {
	for _, x := range [][2]uint16{{0, 10}, {11, 11}, {20, 10}, {65535, 65535}} {
		if _, err := New(x[0], x[1]); err == nil {
			t.Errorf("%v is a range", x)
		}
	}
	if Default().Size() != 8192 {
		t.Error(Default().Size())
	}
}
