package load

import (
	"bytes"
	"strconv"
	"sync"
	"time"
)

// dialog is the callee's side of one call.
type dialog struct {
	r     *run
	phone *phone
	leg   *Leg

	mu       sync.Mutex
	last     []byte // the newest response to the INVITE, for retransmissions of either
	seq      string // of the INVITE
	invite   []byte // its echoed lines, for a late answer
	tag      string
	body     []byte
	answered bool
	acked    bool
	next     time.Time
	interval time.Duration
	ringing  *time.Timer
}

// request answers what the server asks of a phone. RFC 3261, 8.2 as far as a callee needs it.
func (r *run) request(p *phone, m *message) {
	switch string(m.method) {
	case "INVITE":
		r.invited(p, m)
	case "ACK":
		if d, ok := r.dialogs.get(m.callID); ok {
			d.mu.Lock()
			d.acked = true
			d.mu.Unlock()
		}
	case "BYE":
		r.hungUp(p, m)
	case "CANCEL":
		_ = p.flow.send(append(reply(nil, m.echo, m.to, "200 OK", "load"), noBody...))
		if d, ok := r.dialogs.get(m.callID); ok {
			d.cancelled()
		}
	default: // OPTIONS, NOTIFY, UPDATE, INFO: a phone that is there
		_ = p.flow.send(append(reply(nil, m.echo, m.to, "200 OK", "load"), noBody...))
	}
}

func (r *run) invited(p *phone, m *message) {
	if d, ok := r.dialogs.get(m.callID); ok {
		d.repeated(m)
		return
	}
	if c, ok := r.ours.get(m.callID); ok && bytes.Contains(m.to, []byte(";tag=")) { // a refresh towards the caller: what we have stays
		_ = p.flow.send(append(p.contact(reply(nil, m.echo, m.to, "200 OK", "")), withBody(c.body)...))
		return
	}
	d := &dialog{r: r, phone: p, tag: "d" + strconv.FormatUint(r.tags.Add(1), 36), invite: bytes.Clone(m.echo), seq: string(m.cseq)}
	crypto, leg, err := r.side(p, r.cfg.SRTP == Both || r.cfg.SRTP == Callee, suiteOffered(m.body, r.cfg.Suite), tagOffered(m.body))
	if err != nil {
		r.fail(err.Error())
		_ = p.flow.send(append(reply(nil, m.echo, m.to, "500 Server Internal Error", d.tag), noBody...))
		return
	}
	d.leg = leg
	d.body = describe(p, crypto, leg)
	if leg != nil {
		if err := leg.Answer(m.body); err != nil {
			r.fail(err.Error())
		}
	}
	r.dialogs.put(m.callID, d)
	to := bytes.Clone(m.to)
	d.mu.Lock()
	d.last = append(p.contact(reply(make([]byte, 0, 700), d.invite, to, "180 Ringing", d.tag)), noBody...)
	r.cfg.Says(p.user, 180)
	_ = p.flow.send(d.last)
	d.mu.Unlock()
	if r.cfg.Ring == 0 {
		d.answer(to)
		return
	}
	d.ringing = time.AfterFunc(r.cfg.Ring, func() { d.answer(to) })
}

// answer sends the 200.
func (d *dialog) answer(to []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.answered {
		return
	}
	d.answered = true
	d.next, d.interval = time.Now().Add(t1), t1
	b := d.phone.contact(reply(make([]byte, 0, 1200), d.invite, to, "200 OK", d.tag))
	d.last = append(b, withBody(d.body)...)
	d.r.cfg.Says(d.phone.user, 200)
	_ = d.phone.flow.send(d.last)
}

// cancelled ends a call that was not answered yet. RFC 3261, 9.2.
func (d *dialog) cancelled() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.answered {
		return
	}
	d.answered, d.acked = true, true
	to := []byte("<sip:load>")
	if m := (&message{raw: d.last}); m.field("To") != nil {
		to, _, _ = bytes.Cut(m.field("To"), []byte(";tag="))
	}
	d.last = append(reply(nil, d.invite, to, "487 Request Terminated", d.tag), noBody...)
	_ = d.phone.flow.send(d.last)
	if d.leg != nil {
		d.leg.Close()
	}
}

// repeated is an INVITE for a dialog that is there: again the same one, or a refresh.
func (d *dialog) repeated(m *message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if string(m.cseq) == d.seq {
		d.r.duplicates.Add(1)
		_ = d.phone.flow.send(d.last)
		return
	}
	d.seq, d.acked = string(m.cseq), false
	d.next, d.interval = time.Now().Add(t1), t1
	d.last = append(d.phone.contact(reply(nil, m.echo, m.to, "200 OK", d.tag)), withBody(d.body)...)
	_ = d.phone.flow.send(d.last)
}

// again sends the 200 once more until the ACK came. RFC 3261, 13.3.1.4.
func (d *dialog) again(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.answered || d.acked || now.Before(d.next) || d.interval > 32*t1 {
		return
	}
	d.interval = 2 * d.interval
	d.next = now.Add(min(d.interval, t2))
	d.r.resent.Add(1)
	_ = d.phone.flow.send(d.last)
}

// hungUp answers a BYE, for either end of a call.
func (r *run) hungUp(p *phone, m *message) {
	d, ok := r.dialogs.drop(m.callID)
	if ok {
		d.mu.Lock()
		if d.ringing != nil {
			d.ringing.Stop()
		}
		if d.leg != nil {
			d.leg.Close()
		}
		d.acked = true
		d.mu.Unlock()
		_ = p.flow.send(append(reply(nil, m.echo, m.to, "200 OK", ""), noBody...))
		return
	}
	c, ok := r.ours.get(m.callID)
	status := "200 OK"
	if !ok {
		status = "481 Call/Transaction Does Not Exist"
	}
	_ = p.flow.send(append(reply(nil, m.echo, m.to, status, "x"), noBody...))
	if ok {
		c.cut()
	}
}

// reply begins a response: status line and repeated lines. RFC 3261, 8.2.6.2. A tag is added to a To that has none.
func reply(b, echo, to []byte, status, tag string) []byte {
	b = append(append(append(b, "SIP/2.0 "...), status...), "\r\n"...)
	b = append(append(append(b, echo...), "To: "...), to...)
	if tag != "" && !bytes.Contains(to, []byte(";tag=")) {
		b = append(append(b, ";tag="...), tag...)
	}
	return append(b, "\r\n"...)
}

const noBody = "Content-Length: 0\r\n\r\n"

func withBody(body []byte) []byte {
	b := append(make([]byte, 0, len(body)+64), "Content-Type: application/sdp\r\nContent-Length: "...)
	return append(append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n\r\n"...), body...)
}
