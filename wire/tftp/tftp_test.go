package tftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func request(name, mode string, options ...string) []byte {
	r := &Request{Op: OpRead, Name: name, Mode: mode}
	for i := 0; i+1 < len(options); i += 2 {
		r.Options = append(r.Options, Option{options[i], options[i+1]})
	}
	return r.Append(nil)
}

func TestParseRequest(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     *Request
		code     Code
		silent   bool
	}{
		{"as JTAPI asks", "\x00\x01CTLCAPF7F000001.tlv\x00octet\x00", &Request{Op: OpRead, Name: "CTLCAPF7F000001.tlv", Mode: "octet"}, 0, false},
		{"options", "\x00\x01f\x00OCTET\x00BlkSize\x001428\x00tsize\x000\x00", &Request{Op: OpRead, Name: "f", Mode: "octet", Options: []Option{{"blksize", "1428"}, {"tsize", "0"}}}, 0, false},
		{"an option twice", "\x00\x01f\x00octet\x00tsize\x000\x00tsize\x005\x00", &Request{Op: OpRead, Name: "f", Mode: "octet", Options: []Option{{"tsize", "0"}}}, 0, false},
		{"an option without a value", "\x00\x01f\x00octet\x00tsize\x00", &Request{Op: OpRead, Name: "f", Mode: "octet"}, 0, false},
		{"write", "\x00\x02f\x00octet\x00", &Request{Op: OpWrite, Name: "f", Mode: "octet"}, 0, false},
		{"empty", "", nil, 0, true},
		{"one byte", "\x00", nil, 0, true},
		{"an error", "\x00\x05\x00\x01no\x00", nil, 0, true},
		{"an acknowledgement", "\x00\x04\x00\x01", nil, CodeIllegal, false},
		{"no name", "\x00\x01\x00octet\x00", nil, CodeIllegal, false},
		{"no mode", "\x00\x01f\x00", nil, CodeIllegal, false},
		{"no zero", "\x00\x01f", nil, CodeIllegal, false},
		{"mode without zero", "\x00\x01f\x00octet", &Request{Op: OpRead, Name: "f", Mode: "octet"}, 0, false},
		{"too long", "\x00\x01" + strings.Repeat("x", 600) + "\x00octet\x00", nil, CodeIllegal, false},
	} {
		got, bad := ParseRequest([]byte(c.in))
		switch {
		case !reflect.DeepEqual(got, c.want):
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		case bad == nil && c.code != 0, bad != nil && bad.Code != c.code:
			t.Errorf("%s: answered %v, want code %d", c.name, bad, c.code)
		case c.silent && bad != nil:
			t.Errorf("%s: answered %v, want silence", c.name, bad)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add(request("f", "octet", "blksize", "8"))
	f.Add([]byte("\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, bad := ParseRequest(b)
		if r != nil && bad != nil {
			t.Fatal("a request and an error")
		}
		if r == nil {
			return
		}
		if again, bad := ParseRequest(r.Append(nil)); bad != nil && len(r.Append(nil)) <= MaxRequest || again != nil && !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v became %+v (%v)", r, again, bad)
		}
	})
}

// FuzzSender: whatever comes in, a transfer ends, and never sends more than a block.
func FuzzSender(f *testing.F) {
	f.Add("blksize", "512", []byte{0, 4, 0, 0})
	f.Add("timeout", "2", []byte{0, 4, 0, 1, 0, 5, 0, 8})
	f.Fuzz(func(t *testing.T, name, value string, in []byte) {
		now := time.Unix(0, 0)
		s := NewSender(&Request{Options: []Option{{name, value}}}, bytes.NewReader(make([]byte, 3000)), 3000, SenderConfig{})
		s.Start(now)
		for len(in) > 0 {
			n := min(int(in[0])+1, len(in))
			out := s.Step(now, in[:n:n])
			in = in[n:]
			if len(out) > 1428+4 && Opcode(binary.BigEndian.Uint16(out)) == OpData {
				t.Fatalf("%d bytes", len(out))
			}
		}
		for range 50 {
			if done, _ := s.Done(); done {
				return
			}
			now = s.Deadline()
			s.Step(now, nil)
		}
		t.Fatal("the transfer never ends")
	})
}

// script plays a transfer: "> hex-ish" expectations are written as opcode and number.
func packet(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	n := binary.BigEndian.Uint16(b[2:])
	switch Opcode(binary.BigEndian.Uint16(b)) {
	case OpData:
		return fmt.Sprintf("data %d %d", n, len(b)-4)
	case OpOACK:
		return "oack " + strings.ReplaceAll(strings.TrimRight(string(b[2:]), "\x00"), "\x00", " ")
	case OpError:
		return fmt.Sprintf("error %d", n)
	}
	return "?"
}

func ack(n int) []byte { return []byte{0, 4, byte(n >> 8), byte(n)} }

func TestSender(t *testing.T) {
	type step struct {
		after time.Duration
		in    []byte // nil: the deadline
		want  string
	}
	for _, c := range []struct {
		name    string
		size    int
		options []string
		start   string
		steps   []step
		err     string // "": delivered; "running"
	}{
		{"no options", 600, nil, "data 1 512", []step{{0, ack(1), "data 2 88"}, {0, ack(2), "-"}}, ""},
		{"a multiple of the block ends with an empty one", 512, nil, "data 1 512", []step{{0, ack(1), "data 2 0"}, {0, ack(2), "-"}}, ""},
		{"empty file", 0, nil, "data 1 0", []step{{0, ack(1), "-"}}, ""},
		{"all options", 100, []string{"tsize", "0", "blksize", "64", "timeout", "3"}, "oack tsize 100 blksize 64 timeout 3",
			[]step{{0, ack(0), "data 1 64"}, {0, ack(1), "data 2 36"}, {0, ack(2), "-"}}, ""},
		{"a block larger than the network", 2000, []string{"blksize", "65464"}, "oack blksize 1428", []step{{0, ack(0), "data 1 1428"}}, "running"},
		{"a block that is none", 600, []string{"blksize", "4"}, "data 1 512", nil, "running"},
		{"a block that is no number", 600, []string{"blksize", "-1"}, "data 1 512", nil, "running"},
		{"a lie about the size", 600, []string{"tsize", "999999"}, "oack tsize 600", nil, "running"},
		{"an option nobody knows", 600, []string{"windowsize", "64"}, "data 1 512", nil, "running"},
		{"a timeout of nothing", 600, []string{"timeout", "0"}, "data 1 512", nil, "running"},
		{"only the size was wanted", 600, []string{"tsize", "0"}, "oack tsize 600", []step{{0, []byte{0, 5, 0, 8, 'n', 'o', 0}, "-"}}, "TFTP error 8: no"},
		{"an old acknowledgement again", 2000, nil, "data 1 512", []step{{0, ack(1), "data 2 512"}, {0, ack(1), "-"}, {0, ack(2), "data 3 512"}}, "running"},
		{"an acknowledgement of what was not sent", 2000, nil, "data 1 512", []step{{0, ack(9), "-"}, {0, ack(1), "data 2 512"}}, "running"},
		{"repetition, doubled", 2000, nil, "data 1 512", []step{{time.Second, nil, "data 1 512"}, {time.Second, nil, "-"}, {time.Second, nil, "data 1 512"}}, "running"},
		{"repetition as agreed", 2000, []string{"timeout", "2"}, "oack timeout 2", []step{{time.Second, nil, "-"}, {time.Second, nil, "oack timeout 2"}, {2 * time.Second, nil, "oack timeout 2"}}, "running"},
		{"nobody there", 600, nil, "data 1 512", []step{{time.Minute / 2, nil, "data 1 512"}, {time.Minute / 2, nil, "data 1 512"}, {time.Minute / 2, nil, "-"}}, ErrNoAnswer.Error()},
		{"one block an age", 9000, nil, "data 1 512", []step{{time.Minute, ack(1), "data 2 512"}, {time.Minute, ack(2), "error 0"}}, ErrTooLong.Error()},
		{"data from a client", 600, nil, "data 1 512", []step{{0, []byte{0, 3, 0, 1}, "error 4"}}, "the client sent a packet that only senders send"},
		{"rubbish", 600, nil, "data 1 512", []step{{0, []byte{9}, "-"}, {0, []byte{0, 99, 0, 0}, "-"}, {0, ack(1), "data 2 88"}}, "running"},
	} {
		r := &Request{}
		for i := 0; i+1 < len(c.options); i += 2 {
			r.Options = append(r.Options, Option{c.options[i], c.options[i+1]})
		}
		now := time.Unix(1e9, 0)
		s := NewSender(r, bytes.NewReader(make([]byte, c.size)), int64(c.size), SenderConfig{})
		if got := packet(s.Start(now)); got != c.start {
			t.Errorf("%s: begins with %s, want %s", c.name, got, c.start)
			continue
		}
		for i, x := range c.steps {
			now = now.Add(x.after)
			if got := packet(s.Step(now, x.in)); got != x.want {
				t.Errorf("%s: step %d sent %s, want %s", c.name, i, got, x.want)
			}
		}
		done, err := s.Done()
		got := "running"
		if done {
			got = ""
			if err != nil {
				got = err.Error()
			}
		}
		if got != c.err {
			t.Errorf("%s: ended %q, want %q", c.name, got, c.err)
		}
	}
}

// TestBlockNumbersWrap: a file of more than 65535 blocks.
func TestBlockNumbersWrap(t *testing.T) {
	size := 70_000*8 + 3
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i * 7)
	}
	now := time.Unix(0, 0)
	s := NewSender(&Request{Options: []Option{{"blksize", "8"}}}, bytes.NewReader(content), int64(size), SenderConfig{})
	s.Start(now)
	var got []byte
	out := s.Step(now, ack(0))
	for out != nil {
		got = append(got, out[4:]...)
		out = s.Step(now, []byte{0, 4, out[2], out[3]})
	}
	if done, err := s.Done(); !done || err != nil || !bytes.Equal(got, content) {
		t.Fatalf("done %v, %v, %d bytes of %d", done, err, len(got), size)
	}
}

// shelf serves what it holds.
type shelf struct {
	files map[string][]byte
	ended chan Transfer
}

func (s *shelf) Open(_ context.Context, q Query) (*Content, error) {
	if q.Name == "busy" {
		return nil, ErrSilent
	}
	b, ok := s.files[q.Name]
	if !ok {
		return nil, &Error{CodeNotFound, "no such file"}
	}
	return &Content{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), Tag: "tag of " + q.Name}, nil
}

func (s *shelf) Ended(t Transfer) { s.ended <- t }

func serve(t *testing.T, cfg Config, files map[string][]byte) (*Server, *shelf, netip.AddrPort) {
	t.Helper()
	sh := &shelf{files: files, ended: make(chan Transfer, 10_000)}
	cfg.Files, cfg.Observer = sh, sh
	s := NewServer(cfg)
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 6, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(conn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, sh, conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func client(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 6, 2)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func receive(t *testing.T, c *net.UDPConn, wait time.Duration) ([]byte, netip.AddrPort) {
	t.Helper()
	buf := make([]byte, 2000)
	c.SetReadDeadline(time.Now().Add(wait))
	n, from, err := c.ReadFromUDPAddrPort(buf)
	if err != nil {
		return nil, from
	}
	return buf[:n], from
}

func TestServer(t *testing.T) {
	s, sh, at := serve(t, Config{}, map[string][]byte{"f": make([]byte, 700)})
	c := client(t)
	c.WriteToUDPAddrPort(request("f", "octet"), at)
	first, from := receive(t, c, 2*time.Second)
	if packet(first) != "data 1 512" || from.Addr() != at.Addr() || from.Port() == at.Port() {
		t.Fatalf("%s from %s; asked %s", packet(first), from, at)
	}
	c.WriteToUDPAddrPort(ack(1), from)
	second, _ := receive(t, c, 2*time.Second)
	if packet(second) != "data 2 188" {
		t.Fatal(packet(second))
	}
	c.WriteToUDPAddrPort(ack(2), from)
	if got := <-sh.ended; got.Err != nil || got.Bytes != 700 || got.Tag != "tag of f" || got.Remote.Addr() != netip.MustParseAddr("127.0.6.2") {
		t.Fatalf("%+v", got)
	}
	for _, x := range []struct {
		in   []byte
		want string
	}{
		{request("nothing", "octet"), "error 1"}, {request("f", "netascii"), "error 4"}, {request("f", "mail"), "error 4"},
		{(&Request{Op: OpWrite, Name: "f", Mode: "octet"}).Append(nil), "error 2"}, {[]byte{0, 9}, "error 4"}, {request(strings.Repeat("n", 600), "octet"), "error 4"},
	} {
		c.WriteToUDPAddrPort(x.in, at)
		if got, _ := receive(t, c, 2*time.Second); packet(got) != x.want {
			t.Errorf("%q: %s, want %s", x.in, packet(got), x.want)
		}
	}
	c.WriteToUDPAddrPort(request("busy", "octet"), at)
	<-sh.ended // not found
	<-sh.ended // busy
	if got, _ := receive(t, c, 50*time.Millisecond); got != nil {
		t.Errorf("a busy server said %s", packet(got))
	}
	if n := s.Counters(); n.Active != 0 || n.Invalid != 5 || n.Requests != 3 {
		t.Errorf("%+v", n)
	}
}

// TestPortAgain: a client that asks anew from the port of a transfer it has left is served at once.
func TestPortAgain(t *testing.T) {
	_, sh, at := serve(t, Config{}, map[string][]byte{"a": make([]byte, 900), "b": []byte("b")})
	c := client(t)
	c.WriteToUDPAddrPort(request("a", "octet"), at)
	receive(t, c, 2*time.Second)
	c.WriteToUDPAddrPort(request("b", "octet"), at)
	for {
		got, from := receive(t, c, 2*time.Second)
		if got == nil {
			t.Fatal("the second request was not answered")
		}
		if packet(got) == "data 1 1" {
			c.WriteToUDPAddrPort(ack(1), from)
			break
		}
	}
	if errs := [2]error{(<-sh.ended).Err, (<-sh.ended).Err}; !(errors.Is(errs[0], ErrCancelled) && errs[1] == nil || errors.Is(errs[1], ErrCancelled) && errs[0] == nil) {
		t.Fatalf("%v", errs)
	}
}

// TestHalfOpen: thousands of requests whose senders never answer neither fill the memory nor keep others out for good.
func TestHalfOpen(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	s, sh, at := serve(t, Config{Transfers: 50, PerAddress: 20, Now: clock}, map[string][]byte{"f": []byte("whole")})
	var flood []*net.UDPConn
	for host := range 4 {
		for range 50 {
			c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 6, byte(10+host))})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			flood = append(flood, c)
		}
	}
	for range 10 {
		for _, c := range flood {
			c.WriteToUDPAddrPort(request("f", "octet"), at)
		}
	}
	for s.Counters().Refused < 140 { // 200 senders, 50 places
		time.Sleep(time.Millisecond)
	}
	if n := s.Counters(); n.Active != 50 {
		t.Fatalf("%+v", n)
	}
	c := client(t)
	for try := 0; ; try++ { // what is left of the flood in the socket's buffer competes
		mu.Lock()
		now = now.Add(evictAfter)
		mu.Unlock()
		c.WriteToUDPAddrPort(request("f", "octet"), at)
		if got, from := receive(t, c, 100*time.Millisecond); packet(got) == "data 1 5" {
			c.WriteToUDPAddrPort(ack(1), from)
			break
		}
		if try == 200 {
			t.Fatalf("an honest client was kept out: %+v", s.Counters())
		}
	}
	for last := range sh.ended {
		if last.Remote.Addr() == netip.MustParseAddr("127.0.6.2") && last.Err == nil {
			break
		}
	}
	s.Close()
	if n := s.Counters(); n.Active != 0 {
		t.Fatalf("left behind: %+v", n)
	}
}
