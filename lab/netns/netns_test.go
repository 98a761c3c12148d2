package netns

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if at := os.Getenv("NETNS_TEST_ECHO"); at != "" {
		echo(at)
		return
	}
	os.Exit(Main(m))
}

// echo is the program of a place: it sends back what it gets.
func echo(at string) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("listening\n")
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() { _, _ = io.Copy(c, c) }()
	}
}

// TestCut: what is cut is silent in both directions, nobody else notices, and what was on its way arrives when it is healed.
func TestCut(t *testing.T) {
	n := Here(t)
	conns := map[string]net.Conn{}
	for _, place := range []string{"a", "b"} {
		at := netip.AddrPortFrom(n.Place(t, place), 7000).String()
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := n.Command(place, exe)
		c.Env = append(os.Environ(), "NETNS_TEST_ECHO="+at)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "listening\n" {
			t.Fatalf("%q, %v", line, err)
		}
		if conns[place], err = net.DialTimeout("tcp", at, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		defer conns[place].Close()
		exchange(t, conns[place], 5*time.Second, true)
	}
	n.Cut(t, "test", "a")
	exchange(t, conns["a"], 700*time.Millisecond, false)
	exchange(t, conns["b"], 5*time.Second, true)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if c, err := (&net.Dialer{}).DialContext(ctx, "tcp", netip.AddrPortFrom(n.Address("a"), 7000).String()); err == nil {
		c.Close()
		t.Error("a new connection crosses the cut")
	} else if silent, ok := errors.AsType[net.Error](err); !ok || !silent.Timeout() { // the context's own word may come a moment later
		t.Errorf("the cut refuses instead of being silent: %v", err)
	}
	n.Heal(t, "test", "a")
	if err := conns["a"].SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conns["a"], make([]byte, 1)); err != nil {
		t.Errorf("what was sent during the cut did not arrive: %v", err)
	}
}

// exchange sends a byte and waits for it to come back.
func exchange(t *testing.T, c net.Conn, wait time.Duration, want bool) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); (err == nil) != want {
		t.Fatalf("an answer: %v, want %v (%v)", err == nil, want, err)
	}
}
