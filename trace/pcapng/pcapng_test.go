package pcapng

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
)

// blocks are the kinds and bodies of a file, whose lengths must fit.
func blocks(t *testing.T, b []byte) (kinds []uint32, bodies [][]byte) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 12 {
			t.Fatalf("%d octets behind the last block", len(b))
		}
		size := binary.LittleEndian.Uint32(b[4:])
		if size%4 != 0 || int(size) > len(b) || binary.LittleEndian.Uint32(b[size-4:]) != size {
			t.Fatalf("a block of %d octets, %d are left, its end says %d", size, len(b), binary.LittleEndian.Uint32(b[size-4:]))
		}
		kinds, bodies = append(kinds, binary.LittleEndian.Uint32(b)), append(bodies, b[8:size-4])
		b = b[size:]
	}
	return kinds, bodies
}

// TestConversation: a connection with a word each way is nine packets whose checksums are right and whose numbers follow.
func TestConversation(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, "test")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = w.Listener(l)
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		b := make([]byte, 5)
		if _, err = io.ReadFull(c, b); err == nil {
			_, err = c.Write([]byte("answer"))
		}
		if _, end := c.Read(b); !errors.Is(end, io.EOF) {
			err = errors.Join(err, end)
		}
		done <- errors.Join(err, c.Close())
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := w.KeyLog().Write([]byte("CLIENT_RANDOM 00 00\n")); err != nil {
		t.Fatal(err)
	}
	kinds, bodies := blocks(t, file.Bytes())
	if kinds[0] != blockSection || kinds[1] != blockInterface || kinds[len(kinds)-1] != blockSecrets {
		t.Errorf("blocks %x", kinds)
	}
	var said [2]string
	next := [2]uint32{}
	client := c.LocalAddr().(*net.TCPAddr).AddrPort()
	for i, body := range bodies[2 : len(bodies)-1] {
		p := body[20 : 20+binary.LittleEndian.Uint32(body[12:])]
		side := 1
		if binary.BigEndian.Uint16(p[20:]) == client.Port() {
			side = 0
		}
		if folded(sumOf(0, p[:20])) != 0 {
			t.Errorf("packet %d: IP checksum", i)
		}
		pseudo := sumOf(sumOf(0, p[12:20]), []byte{0, 6, byte(len(p[20:]) >> 8), byte(len(p[20:]))})
		if folded(sumOf(pseudo, p[20:])) != 0 {
			t.Errorf("packet %d: TCP checksum", i)
		}
		seq, flags, data := binary.BigEndian.Uint32(p[24:]), p[33], p[40:]
		if next[side] != 0 && seq != next[side] {
			t.Errorf("packet %d: sequence number %d, want %d", i, seq, next[side])
		}
		next[side] = seq + uint32(len(data))
		if flags&(flagSYN|flagFIN) != 0 {
			next[side]++
		}
		said[side] += string(data)
	}
	if said != [2]string{"hello", "answer"} || len(bodies) != 2+3+2+2+1 {
		t.Errorf("said %q in %d blocks", said, len(bodies))
	}
}

// TestLarge: what does not fit into one packet is in several, also over IPv6.
func TestLarge(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, "test")
	if err != nil {
		t.Fatal(err)
	}
	s := w.open(netip.MustParseAddrPort("[2001:db8::1]:4000"), netip.MustParseAddrPort("[2001:db8::2]:5061"))
	s.data(0, make([]byte, 2*largest+1))
	_, bodies := blocks(t, file.Bytes())
	var n int
	for _, body := range bodies[2:] {
		p := body[20 : 20+binary.LittleEndian.Uint32(body[12:])]
		if p[0]>>4 != 6 || int(binary.BigEndian.Uint16(p[4:])) != len(p)-40 {
			t.Fatalf("no IPv6 packet: %x", p[:40])
		}
		n += len(p) - 60
	}
	if n != 2*largest+1 || len(bodies) != 2+3+3 {
		t.Errorf("%d octets in %d blocks", n, len(bodies))
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestFull(t *testing.T) {
	if _, err := NewWriter(full{}, "test"); err == nil {
		t.Error("a file that could not be written is no error")
	}
}

// TestRead: what was written is read; what was not is refused, and so is half a file.
func TestRead(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, "test")
	if err != nil {
		t.Fatal(err)
	}
	a, b := netip.MustParseAddrPort("127.0.0.1:4000"), netip.MustParseAddrPort("127.0.0.2:5061")
	s := w.open(a, b)
	s.data(0, []byte{22, 3, 1, 0, 1, 1})
	s.data(1, []byte("SIP/2.0"))
	s6 := w.open(netip.MustParseAddrPort("[::1]:1"), netip.MustParseAddrPort("[::2]:2"))
	s6.end(0)
	var with, tls int
	for x, err := range Segments(bytes.NewReader(file.Bytes())) {
		if err != nil {
			t.Fatal(err)
		}
		if len(x.Data) > 0 {
			with++
		}
		if x.TLS() {
			tls++
			if x.From != a || x.To != b {
				t.Errorf("from %s to %s", x.From, x.To)
			}
		}
	}
	if with != 2 || tls != 1 {
		t.Errorf("%d segments with data, %d with TLS", with, tls)
	}
	for _, bad := range [][]byte{nil, []byte("not a capture, not at all"), file.Bytes()[:file.Len()-3], append([]byte{1, 0, 0, 0}, file.Bytes()[4:]...)} {
		var last error
		for _, err := range Segments(bytes.NewReader(bad)) {
			last = err
		}
		if last == nil {
			t.Errorf("%d octets are read as a capture", len(bad))
		}
	}
}

func FuzzSegments(f *testing.F) {
	var file bytes.Buffer
	w, err := NewWriter(&file, "test")
	if err != nil {
		f.Fatal(err)
	}
	w.open(netip.MustParseAddrPort("127.0.0.1:4000"), netip.MustParseAddrPort("127.0.0.2:5061")).data(0, []byte("x"))
	f.Add(file.Bytes())
	f.Fuzz(func(_ *testing.T, b []byte) {
		for range Segments(bytes.NewReader(b)) {
		}
	})
}
