package load

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// call is the caller's side of one call.
type call struct {
	r      *run
	phone  *phone
	invite *transaction
	number string
	body   []byte // our SDP
	leg    *Leg   // nil without media

	mu         sync.Mutex
	rang       bool
	cancelling bool // nobody answered in time
	ended      bool
	target     []byte // of the dialog: Request-URI and Route lines
	routes     []byte
	to         []byte // To with tag
	ack        []byte
	hangup     *time.Timer
	counted    bool
}

// place starts a call. It runs in the goroutine that keeps the rate.
func (r *run) place(n int) {
	p := r.callers[n%len(r.callers)]
	c := &call{r: r, phone: p, number: r.called(n)}
	r.attempted.Add(1)
	r.open.Add(1)
	id := "c" + strconv.Itoa(n) + "." + r.mark
	crypto, leg, err := r.side(p, r.cfg.SRTP == Both || r.cfg.SRTP == Caller, r.cfg.Suite, 1)
	if err != nil {
		c.fail(err.Error())
		return
	}
	c.leg, c.body = leg, describe(p, crypto, leg)
	b := make([]byte, 0, 1400)
	b = append(append(append(append(b, "INVITE sip:"...), c.number...), '@'), r.cfg.Domain...)
	b = append(b, " SIP/2.0\r\n"...)
	b = p.via(b, id, 1)
	b = append(b, "Max-Forwards: 70\r\nFrom: <sip:"...)
	b = append(append(append(p.aor(b), ">;tag=c"...), strconv.Itoa(n)...), "\r\nTo: <sip:"...)
	b = append(append(append(append(b, c.number...), '@'), r.cfg.Domain...), ">\r\nCall-ID: "...)
	b = append(append(b, id...), "\r\nCSeq: 1 INVITE\r\n"...)
	b = p.contact(b)
	b = append(b, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\nContent-Type: application/sdp\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(c.body)), 10), "\r\n\r\n"...)
	c.invite = &transaction{phone: p, callID: id, seq: 1, raw: append(b, c.body...), keep: true, event: c.answered}
	r.ours.put([]byte(id), c)
	r.send(c.invite)
}

func (r *run) called(n int) string {
	if r.cfg.Target != "" {
		return r.cfg.Target
	}
	return r.callees[n%len(r.callees)].user
}

// answered is every response to the INVITE.
func (c *call) answered(m *message, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
	case err == errTimeout && c.rang && !c.cancelling:
		c.cancel()
	case err != nil:
		c.failLocked(err.Error())
	case m.status == 180 || m.status == 183:
		if !c.rang {
			c.rang = true
			c.r.ringing.add(time.Since(c.invite.started))
		}
	case m.status < 200:
	case m.status >= 300:
		_ = c.phone.flow.send(ackRefused(c.invite.raw, m))
		if c.cancelling {
			c.failLocked(errTimeout.Error())
		} else {
			c.failLocked("INVITE " + reason(m))
		}
	case c.ack != nil: // the server did not see our ACK
		c.r.duplicates.Add(1)
		_ = c.phone.flow.send(c.ack)
	default:
		c.up(m)
	}
}

// cancel gives up a call that rings for too long, and waits once more for its end. RFC 3261, 9.1. The lock is held.
func (c *call) cancel() {
	c.cancelling = true
	b := ackRefused(c.invite.raw, &message{to: fmt.Appendf(nil, "<sip:%s@%s>", c.number, c.r.cfg.Domain), cseq: strconv.AppendUint(nil, uint64(c.invite.seq), 10)})
	b = bytes.Replace(bytes.Replace(b, []byte("ACK "), []byte("CANCEL "), 1), []byte(" ACK\r\n"), []byte(" CANCEL\r\n"), 1)
	_ = c.phone.flow.send(b)
	c.r.restart(c.invite)
}

// up takes the 200: acknowledges it and holds the call. The lock is held.
func (c *call) up(m *message) {
	c.r.answer.add(time.Since(c.invite.started))
	c.r.answered.Add(1)
	c.target, c.to = bytes.Clone(m.contact), bytes.Clone(m.to)
	for _, route := range slices.Backward(m.routes) {
		c.routes = append(append(append(c.routes, "Route: "...), route...), "\r\n"...)
	}
	if len(c.target) == 0 {
		c.failLocked("200 without Contact")
		return
	}
	c.ack = c.within("ACK", c.invite.seq)
	_ = c.phone.flow.send(c.ack)
	if c.leg != nil {
		if err := c.leg.Answer(m.body); err != nil {
			c.r.fail(err.Error())
		}
	}
	c.counted = true
	c.r.established.Add(1)
	switch {
	case c.r.cfg.Plateau != nil:
		c.r.parked(c)
	case c.r.cfg.Hold > 0:
		c.hangup = time.AfterFunc(c.r.cfg.Hold, c.end)
	default:
		c.bye()
	}
}

// within is a request inside the dialog. RFC 3261, 12.2.1.1.
func (c *call) within(method string, seq uint32) []byte {
	p := c.phone
	b := make([]byte, 0, 700)
	b = append(append(append(append(b, method...), ' '), c.target...), " SIP/2.0\r\n"...)
	id := c.invite.callID
	if method == "ACK" {
		id += "a" // a branch of its own
	}
	b = p.via(b, id, seq)
	b = append(append(b, "Max-Forwards: 70\r\n"...), c.routes...)
	b = append(p.aor(append(b, "From: <sip:"...)), '>')
	tag, _, _ := bytes.Cut([]byte(c.invite.callID[1:]), []byte("."))
	b = append(append(append(b, ";tag=c"...), tag...), "\r\nTo: "...)
	b = append(append(b, c.to...), "\r\nCall-ID: "...)
	b = append(append(b, c.invite.callID...), "\r\nCSeq: "...)
	b = append(strconv.AppendUint(b, uint64(seq), 10), ' ')
	return append(append(b, method...), "\r\nContent-Length: 0\r\n\r\n"...)
}

// end hangs up.
func (c *call) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended && c.ack != nil {
		c.bye()
	}
}

func (c *call) bye() {
	seq := c.invite.seq + 1
	t := &transaction{phone: c.phone, callID: c.invite.callID, seq: seq, raw: c.within("BYE", seq)}
	t.event = func(m *message, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case c.ended:
		case err != nil:
			c.failLocked("BYE: " + err.Error())
		case m.status >= 300:
			c.failLocked("BYE " + reason(m))
		case m.status >= 200:
			c.r.ending.add(time.Since(t.started))
			c.r.completed.Add(1)
			c.done()
		}
	}
	// Not under the lock: a write error calls event at once.
	c.mu.Unlock()
	c.r.send(t)
	c.mu.Lock()
}

// ended by the server: it sent BYE before we did.
func (c *call) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.failLocked("ended by the server")
	}
}

func (c *call) fail(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(why)
}

func (c *call) failLocked(why string) {
	if c.ended {
		return
	}
	c.r.fail(why)
	c.done()
}

// done forgets the call. The lock is held.
func (c *call) done() {
	c.ended = true
	if c.hangup != nil {
		c.hangup.Stop()
	}
	if c.leg != nil {
		c.leg.Close()
	}
	if c.counted {
		c.r.established.Add(-1)
	}
	if c.invite != nil {
		c.r.settle(c.invite)
		c.r.ours.drop([]byte(c.invite.callID))
	}
	c.r.closed()
}

// ackRefused acknowledges a final answer that is no 2xx: the INVITE's own Via and CSeq. RFC 3261, 17.1.1.3.
func ackRefused(invite []byte, m *message) []byte {
	head, _, _ := bytes.Cut(invite, []byte("\r\n\r\n"))
	lines := bytes.Split(head, []byte("\r\n"))
	b := append(bytes.Replace(lines[0], []byte("INVITE "), []byte("ACK "), 1), "\r\n"...)
	for _, l := range lines[1:] {
		for _, name := range []string{"Via:", "From:", "Call-ID:", "Max-Forwards:", "Route:"} {
			if bytes.HasPrefix(l, []byte(name)) {
				b = append(append(b, l...), "\r\n"...)
			}
		}
	}
	return fmt.Appendf(b, "To: %s\r\nCSeq: %s ACK\r\nContent-Length: 0\r\n\r\n", m.to, m.cseq)
}
