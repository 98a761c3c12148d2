package transport

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// TestOutlet: nobody waits for a peer that reads late, and it gets all of it in order: what the kernel took at once and what a writer
// goroutine had to wait with.
func TestOutlet(t *testing.T) {
	h := newEcho()
	_, l := serve(t, Config{Limits: Limits{QueueBytes: 32 << 20}}, h, listenOn(TCP))
	conn := dial(t, l)
	if _, err := io.WriteString(conn, options("first")); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	skip(t, r, "SIP/2.0 200 OK")
	h.mu.Lock()
	f := h.last
	h.mu.Unlock()

	const messages, size = 800, 20 << 10 // more than two socket buffers hold
	body := bytes.Repeat([]byte("x"), size)
	begun := time.Now()
	for i := range messages {
		m := sip.NewRequest(sip.MESSAGE, sip.URI{Scheme: "sip", Host: "127.0.0.1"})
		m.SetCallID(fmt.Sprint("m", i))
		m.SetBody("text/plain", body)
		if err := f.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("sending took %v", took)
	}
	if !f.outlet.behind() && f.Info().Queued == 0 {
		t.Error("the kernel took everything: this test shows nothing")
	}
	for i := range messages {
		skip(t, r, fmt.Sprint("Call-ID: m", i))
		skip(t, r, "")
		if _, err := io.CopyN(io.Discard, r, size); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); f.Info().Queued != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are still counted as queued", f.Info().Queued)
		}
	}
}

// skip reads to a line.
func skip(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("waiting for %q: %v", want, err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == want {
			return
		} else if strings.HasPrefix(line, "Call-ID: m") {
			t.Fatalf("%q, want %q", line, want)
		}
	}
}
