package endpoint

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// orderUser notes what came before what, by Call-ID.
type orderUser struct {
	mu   sync.Mutex
	seen map[string]string
	done chan struct{}
	want int
	n    int
}

func (u *orderUser) note(callID, what string, last bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen[callID] += what + " "
	if last {
		if u.n++; u.n == u.want {
			close(u.done)
		}
	}
}

func (u *orderUser) Request(tx *ServerTx, m *sip.Message) {
	switch m.Method() {
	case sip.INVITE:
		u.note(m.CallID(), "INVITE", false)
		_ = tx.Reply(180, "")
	case sip.ACK:
		u.note(m.CallID(), "ACK", false)
	case sip.BYE:
		u.note(m.CallID(), "BYE", true)
		_ = tx.Reply(200, "")
	}
}

func (u *orderUser) Cancelled(tx *ServerTx) {
	u.note(tx.Request().CallID(), "CANCEL", true)
	_ = tx.Reply(487, "")
}
func (u *orderUser) Response(tx *ClientTx, m *sip.Message) {
	u.note(m.CallID(), fmt.Sprint(m.Status()), m.IsFinal())
}
func (u *orderUser) Failed(*ClientTx, error) {}
func (u *orderUser) Posted(string, any)      {}

// waitAll waits until all have ended. A busy machine may take its time; 30 s in which none ends is a failure, and is not taken
// for a wrong order.
func (u *orderUser) waitAll() (ended int, all bool) {
	for {
		u.mu.Lock()
		before := u.n
		u.mu.Unlock()
		select {
		case <-u.done:
			return u.want, true
		case <-time.After(30 * time.Second):
		}
		u.mu.Lock()
		now := u.n
		u.mu.Unlock()
		if now == before {
			return now, false
		}
	}
}

// misordered writes n segments to a new endpoint and counts the Call-IDs that saw something else than want. One that has seen the
// beginning of want and no more has not ended, which waitAll reports; it is not out of order.
func misordered(t *testing.T, n int, want string, segment func(i int) string) int {
	t.Helper()
	u := &orderUser{seen: map[string]string{}, done: make(chan struct{}), want: n}
	e, ls := start(t, Config{User: u, Shards: 4, Limits: Limits{RequestRate: -1, ShedAbove: time.Hour}}, listenOn(transport.TCP))
	conn, err := net.Dial("tcp", ls[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	for i := range n {
		if _, err := io.WriteString(conn, segment(i)); err != nil {
			t.Fatal(err)
		}
	}
	if ended, all := u.waitAll(); !all {
		t.Errorf("%d of %d ended, and no more for 30 s; flows %+v, listener %+v, stats %+v", ended, n, e.Flows(), ls[0].Info(), e.Stats())
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	wrong := 0
	for id, seen := range u.seen {
		if !strings.HasPrefix(want+" ", seen) {
			wrong++
			t.Logf("%s saw %q, want %q", id, seen, want)
		}
	}
	return wrong
}

// TestInviteCancelInOneSegment: CANCEL never overtakes its INVITE.
func TestInviteCancelInOneSegment(t *testing.T) {
	wrong := misordered(t, 10_000, "INVITE CANCEL", func(i int) string {
		id, branch := fmt.Sprintf("pair-%d", i), fmt.Sprintf("z9hG4bKp%d", i)
		return invite(id, branch, "TCP 127.0.0.1:5070") + follow("CANCEL", id, branch, "TCP 127.0.0.1:5070", "", 1)
	})
	if wrong != 0 {
		t.Errorf("%d of 10,000 pairs misordered, want 0", wrong)
	}
}

// TestAckByeInOneSegment: BYE never overtakes the ACK of its call.
func TestAckByeInOneSegment(t *testing.T) {
	wrong := misordered(t, 3_000, "ACK BYE", func(i int) string {
		id := fmt.Sprintf("end-%d", i)
		via := "TCP 127.0.0.1:5070"
		return follow("ACK", id, fmt.Sprintf("z9hG4bKa%d", i), via, "x", 1) + follow("BYE", id, fmt.Sprintf("z9hG4bKb%d", i), via, "x", 2)
	})
	if wrong != 0 {
		t.Errorf("%d of 3,000 pairs misordered, want 0", wrong)
	}
}

// TestRingAnswerBackToBack: 180 and 200 in one segment reach the caller in order, for every call.
func TestRingAnswerBackToBack(t *testing.T) {
	const calls = 3_000
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go answerRaw(ln)
	u := &orderUser{seen: map[string]string{}, done: make(chan struct{}), want: calls}
	e, _ := start(t, Config{User: u, Shards: 4})
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	for i := range calls {
		_, err := e.Request(request(t, sip.INVITE, fmt.Sprintf("ring-%d", i), 1), Target{Hops: []Hop{{transport.TCP, addr}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-u.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%d of %d answered", u.n, calls)
	}
	for id, seen := range u.seen {
		if seen != "180 200 " {
			t.Fatalf("%s saw %q, want 180 and then 200", id, seen)
		}
	}
}

// answerRaw answers every INVITE on a connection with 180 and 200 in one write.
func answerRaw(ln net.Listener) {
	conn, err := ln.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	var head []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			head = append(head, line)
			continue
		}
		var common []string
		for _, l := range head {
			for _, name := range []string{"Via:", "From:", "To:", "Call-ID:", "CSeq:"} {
				if strings.HasPrefix(l, name) {
					if name == "To:" {
						l += ";tag=b"
					}
					common = append(common, l)
				}
			}
		}
		head = nil
		ringing := raw(append([]string{"SIP/2.0 180 Ringing"}, common...)...)
		ok := raw(append([]string{"SIP/2.0 200 OK", "Contact: <sip:b@127.0.0.1>"}, common...)...)
		if _, err := io.WriteString(conn, ringing+ok); err != nil {
			return
		}
	}
}
