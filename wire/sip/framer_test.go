package sip

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// frames runs a stream through a Framer, read by read, and writes down what came out.
func frames(t *testing.T, limits Limits, r io.Reader) string {
	t.Helper()
	f := Framer{Limits: limits}
	var out []string
	for {
		_, err := f.Fill(r)
		for frame, ok := f.Next(); ok; frame, ok = f.Next() {
			switch {
			case frame.Message != nil:
				out = append(out, fmt.Sprintf("%s+%d", frame.Message.Method(), len(frame.Message.Body())))
			case frame.Ping:
				out = append(out, "ping")
			case frame.Pong:
				out = append(out, "pong")
			case frame.Err.Fatal:
				out = append(out, fmt.Sprintf("fatal%d", frame.Err.Status))
			default:
				out = append(out, fmt.Sprintf("bad%d", frame.Err.Status))
			}
		}
		if err != nil {
			break
		}
	}
	if f.Buffered() > 0 {
		out = append(out, "rest")
	}
	return strings.Join(out, " ")
}

func TestFramer(t *testing.T) {
	bad := strings.Replace(invite, "X-Custom:", "X Custom:", 1)
	for _, test := range []struct {
		name, in, want string
	}{
		{"two messages", goodOptions + invite, "OPTIONS+0 INVITE+31"},
		{"one malformed message costs no connection", goodOptions + bad + goodOptions, "OPTIONS+0 bad400 OPTIONS+0"},
		{"a malformed response is passed over", strings.Replace(NewResponse(mustParse(t, invite), 200, "").String(), "SIP/2.0 200", "SIP/2.0 2000", 1) + goodOptions, "bad0 OPTIONS+0"},
		{"ping, pong and CRLF before a message", "\r\n\r\n" + goodOptions + "\r\n\r\n\r\n\r\n" + goodOptions, "ping OPTIONS+0 ping ping OPTIONS+0"},
		{"no Content-Length", strings.Replace(goodOptions, "Content-Length: 0\r\n", "", 1) + goodOptions, "fatal400"},
		{"two Content-Lengths", strings.Replace(goodOptions, "Content-Length: 0", "Content-Length: 0\r\nl: 5", 1) + goodOptions, "fatal400"},
		{"two equal Content-Lengths", strings.Replace(goodOptions, "Content-Length: 0", "Content-Length: 0\r\nl: 0", 1) + goodOptions, "fatal400"},
		{"Content-Length nobody can read", strings.Replace(goodOptions, "Content-Length: 0", "Content-Length: zero", 1) + goodOptions, "fatal400"},
		{"Content-Length beyond the limit", strings.Replace(goodOptions, "Content-Length: 0", "Content-Length: 70000", 1), "fatal513"},
		{"header fields beyond the limit", strings.Replace(goodOptions, "Max-Forwards: 70", "Y: "+strings.Repeat("x", 17000), 1) + goodOptions, "fatal513"},
		{"header fields without end", "OPTIONS sip:a SIP/2.0\r\n" + strings.Repeat("Y: y\r\n", 4000), "fatal0"},
		{"HTTP", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "fatal0"},
		{"HTTP, first line only", "GET / HTTP/1.1\r\n", "fatal0"},
		{"TLS on a clear port", "\x16\x03\x01\x02\x00\x01", "fatal0"},
		{"half a message", goodOptions[:50], "rest"},
		{"half a body", invite[:len(invite)-1], "rest"},
	} {
		whole := frames(t, Limits{}, strings.NewReader(test.in))
		single := frames(t, Limits{}, iotest.OneByteReader(strings.NewReader(test.in)))
		single = strings.ReplaceAll(single, "pong ping", "ping") // in pieces, the first half of a ping looks like a pong
		if whole != test.want || single != test.want {
			t.Errorf("%s: got %q and byte by byte %q, want %q", test.name, whole, single, test.want)
		}
	}
	equal(t, "pong", frames(t, Limits{}, strings.NewReader("\r\n")), "pong")
	equal(t, "small limit", frames(t, Limits{Message: 200}, strings.NewReader(invite)), "fatal513")
}

// TestFramerMemory: an idle connection keeps a small buffer, whatever came over it before.
func TestFramerMemory(t *testing.T) {
	var f Framer
	big := strings.Replace(invite, "Content-Length: 31", "Content-Length: 60000", 1)
	big += strings.Repeat("x", 60000-31)
	f.Write([]byte(big))
	if frame, ok := f.Next(); !ok || len(frame.Message.Body()) != 60000 {
		t.Fatal("the big message did not come through")
	}
	if _, err := f.Fill(strings.NewReader(goodOptions)); err != nil {
		t.Fatal(err)
	}
	if frame, ok := f.Next(); !ok || frame.Message == nil || cap(f.buf) > framerRetain {
		t.Errorf("the buffer keeps %d bytes when idle, want at most %d", cap(f.buf), framerRetain)
	}
}

func TestFramerAfterFatal(t *testing.T) {
	var f Framer
	f.Write([]byte("junk\x00\r\n\r\n"))
	if frame, ok := f.Next(); !ok || frame.Err == nil || !frame.Err.Fatal {
		t.Fatal("junk was not fatal")
	}
	f.Write([]byte(goodOptions))
	if frame, ok := f.Next(); ok || f.Buffered() != 0 {
		t.Errorf("after a fatal error: got %+v and %d bytes kept, want nothing", frame, f.Buffered())
	}
}

// TestRawIsTheFrame: what a trace stores is what was on the wire.
func TestRawIsTheFrame(t *testing.T) {
	var f Framer
	f.Write([]byte(goodOptions + invite))
	for _, want := range []string{goodOptions, invite} {
		frame, ok := f.Next()
		if !ok || string(frame.Raw) != want {
			t.Errorf("got %q, want %q", frame.Raw, want)
		}
	}
}
