package load

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"crypto/tls"

	"github.com/locktone/locktone/wire/sip"
)

// phone is one user agent: a caller, a callee, or only registered.
type phone struct {
	r      *run
	index  int
	user   string
	flow   *flow
	failed sync.Once

	mu     sync.Mutex
	cseq   uint32
	digest *sip.DigestClient
}

// start connects the phone and reads from then on.
func (p *phone) start(ctx context.Context, i int, device string) error {
	cfg := &p.r.cfg
	var t *tls.Config
	if cfg.Network == "tls" {
		var err error
		if t, err = p.r.tls(device, p.r.server(i)); err != nil {
			return err
		}
	}
	f, handshake, err := dial(ctx, cfg, p.r.server(i), i, t)
	if err != nil {
		return err
	}
	if cfg.Network == "tls" {
		p.r.handshake.add(handshake)
	}
	p.flow = f
	p.r.readers.Go(func() {
		if err := f.read(p.message); err != nil {
			p.lost(err)
		}
	})
	return nil
}

// lost counts a connection that the server ended, or sends the phone to the backup.
func (p *phone) lost(err error) {
	if m := p.r.moving.Load(); m != nil {
		p.move(m)
		return
	}
	p.failed.Do(func() { p.r.fail(fmt.Sprintf("connection lost: %v", err)) })
}

// message is everything that arrives for the phone, in order.
func (p *phone) message(m *message) {
	if m.status != 0 {
		p.r.response(p, m)
		return
	}
	p.r.request(p, m)
}

// registration sends a REGISTER and calls done with what came of it. RFC 3261, 10.2.
func (p *phone) registration(expires int, done func(error)) {
	p.mu.Lock()
	p.cseq++
	seq := p.cseq
	p.mu.Unlock()
	r := p.r
	id := "r" + p.user + "." + r.mark
	b := make([]byte, 0, 640)
	b = append(append(b, "REGISTER sip:"...), r.cfg.Domain...)
	b = append(b, " SIP/2.0\r\n"...)
	b = p.via(b, id, seq)
	b = append(b, "Max-Forwards: 70\r\nFrom: <sip:"...)
	b = p.aor(b)
	b = append(b, ">;tag=r"...)
	b = append(append(b, r.mark...), "\r\nTo: <sip:"...)
	b = p.aor(b)
	b = append(append(b, ">\r\nCall-ID: "...), id...)
	b = append(strconv.AppendUint(append(b, "\r\nCSeq: "...), uint64(seq), 10), " REGISTER\r\n"...)
	b = p.contact(b)
	b = append(strconv.AppendInt(append(b, "Expires: "...), int64(expires), 10), "\r\nContent-Length: 0\r\n\r\n"...)
	t := &transaction{phone: p, callID: id, seq: seq, raw: b}
	t.event = func(m *message, err error) {
		switch {
		case err != nil:
			done(err)
		case m.status == 200:
			if expires > 0 {
				r.registering.add(time.Since(t.started))
			}
			done(nil)
		default:
			done(refusal("REGISTER", m))
		}
	}
	r.send(t)
}

func (p *phone) aor(b []byte) []byte {
	return append(append(append(b, p.user...), '@'), p.r.cfg.Domain...)
}

// via is the topmost Via; its branch is made of the Call-ID and the sequence number, which are unique here.
func (p *phone) via(b []byte, id string, seq uint32) []byte {
	b = append(append(b, "Via: SIP/2.0/"...), p.r.upper...)
	b = append(append(append(b, ' '), p.flow.local...), ";branch=z9hG4bK"...)
	b = append(append(b, id...), '.')
	return append(strconv.AppendUint(b, uint64(seq), 10), ";rport\r\n"...)
}

func (p *phone) contact(b []byte) []byte {
	b = append(append(append(b, "Contact: <sip:"...), p.user...), '@')
	b = append(append(b, p.flow.local...), ";transport="...)
	return append(append(b, p.r.cfg.Network...), ">\r\n"...)
}

// authorized is the request again with an answer to the challenge, a new branch and the next sequence number.
// RFC 3261, 22.2.
func (p *phone) authorized(t *transaction, m *message) ([]byte, uint32, error) {
	req, err := sip.Parse(t.raw)
	if err != nil {
		return nil, 0, err
	}
	res, err := sip.Parse(m.raw)
	if err != nil {
		return nil, 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.digest == nil {
		p.digest = sip.NewDigestClient(sip.Credentials{User: p.user, Password: p.r.cfg.Password, AllowMD5: p.r.cfg.AllowMD5})
	}
	if err := p.digest.Challenged(req, res); err != nil {
		return nil, 0, err
	}
	next := req.CSeq()
	next.Seq++
	if strings.HasPrefix(t.callID, "r") {
		p.cseq = max(p.cseq, next.Seq)
	}
	req.SetCSeq(next)
	via := req.TopVia()
	via.Params = via.Params.With("branch", fmt.Sprintf("z9hG4bK%s.%d", t.callID, next.Seq))
	req.SetTopVia(via)
	p.digest.Authorize(req)
	return req.Append(nil), next.Seq, nil
}

// reason is a failure's status and text, with the Warning where there is one.
func reason(m *message) string {
	line, _, _ := strings.Cut(string(m.raw), "\r\n")
	line = strings.TrimPrefix(line, "SIP/2.0 ")
	if w := m.field("Warning"); w != nil {
		line += " (" + string(w) + ")"
	}
	return line
}
