package phone

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/g711"
	"github.com/locktone/locktone/wire/sdp"
)

// Evidence is what this phone can prove about a call: from its own handshake and its own counters.
type Evidence struct {
	Phone    string   `json:"phone"`    // this phone's number
	Far      string   `json:"far"`      // the other one's, as signalled
	Protocol string   `json:"protocol"` // "SIP"
	TLS      string   `json:"tls"`      // "TLS 1.3"; "" without TLS
	Cipher   string   `json:"cipher"`
	Peer     string   `json:"peer"`     // subject of the server's certificate
	Chain    []string `json:"chain"`    // subjects, leaf to root
	Verified bool     `json:"verified"` // this phone verified the chain and the name
	Suite    string   `json:"srtp"`     // suite in force; "" = plain RTP
	RxAuth   uint64   `json:"rx_authenticated"`
	TxAuth   uint64   `json:"tx_authenticated"`
	Failed   uint64   `json:"rx_failed"` // packets dropped: not authentic, replayed, plain where SRTP was agreed
	ToneHz   float64  `json:"tone_hz"`

	Media media.Evidence `json:"media"`
}

// Evidence is a snapshot of what the phone can prove now.
func (c *Call) Evidence() Evidence {
	m := c.stream.Evidence()
	c.mu.Lock()
	flow, far := c.flow, c.to
	if c.incoming {
		far = c.from.URI.User
	}
	c.mu.Unlock()
	e := Evidence{
		Phone: c.p.cfg.Number, Far: far, Protocol: "SIP", Suite: suite(m.Suite), Media: m, ToneHz: m.ToneHz,
		RxAuth: m.Rx.Authenticated, TxAuth: m.Tx.Authenticated, Failed: m.Rx.Failed + m.Rx.Replayed + m.Rx.PlainDropped,
	}
	if c.p.cfg.Misbehave.PlainMedia {
		e.TxAuth = 0
	}
	if flow == nil {
		return e
	}
	if s := flow.TLS(); s != nil {
		e.TLS, e.Cipher = tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite)
	}
	if peer := flow.Peer(); peer != nil {
		e.Peer, e.Chain, e.Verified = peer.Subject, subjects(peer.Detail), peer.Verified()
	}
	return e
}

// suite is the name of a suite, "" for plain RTP.
func suite(s sdp.Suite) string {
	if s == sdp.NoSuite {
		return ""
	}
	return s.String()
}

// WaitTone waits until a tone of that frequency, within 2 %, is heard, and returns what is heard. Zero waits for silence.
func (c *Call) WaitTone(ctx context.Context, hz float64) (float64, error) {
	return c.watch(ctx, func(e media.Evidence) bool {
		if hz == 0 {
			return e.ToneHz == 0
		}
		return e.ToneHz > hz*0.98 && e.ToneHz < hz*1.02
	})
}

// WaitSound waits until something is heard, a tone or not: music on hold.
func (c *Call) WaitSound(ctx context.Context) error {
	_, err := c.watch(ctx, func(e media.Evidence) bool { return e.LevelDBm > -50 })
	return err
}

// WaitEvidence waits until the evidence is as wanted.
func (c *Call) WaitEvidence(ctx context.Context, want func(Evidence) bool) (Evidence, error) {
	var e Evidence
	_, err := c.watch(ctx, func(media.Evidence) bool { e = c.Evidence(); return want(e) })
	return e, err
}

// watch looks at the evidence once per frame: what is heard has no event of its own.
func (c *Call) watch(ctx context.Context, done func(media.Evidence) bool) (float64, error) {
	t := time.NewTicker(media.FrameTime)
	defer t.Stop()
	for {
		e := c.stream.Evidence()
		if done(e) {
			return e.ToneHz, nil
		}
		select {
		case <-t.C:
		case <-c.stream.Done():
			return e.ToneHz, errEnded
		case <-ctx.Done():
			return e.ToneHz, ctx.Err()
		}
	}
}

// send starts what the phone says.
func (c *Call) send() {
	c.mu.Lock()
	src := c.source
	c.mu.Unlock()
	bad := c.p.cfg.Misbehave
	switch {
	case src == nil || bad.Silent:
		c.stream.Start(nil)
	case bad.PlainMedia:
		c.stream.Start(nil)
		c.sendPlain(src)
	default:
		c.stream.Start(src)
	}
}

// plainSender sends plain RTP where SRTP was agreed: what a bad phone does.
type plainSender struct {
	conn net.Conn
	once sync.Once
	stop chan struct{}
}

func (s *plainSender) close() {
	s.once.Do(func() { close(s.stop); _ = s.conn.Close() })
}

func (c *Call) sendPlain(src media.Source) {
	n, ok := c.stream.Negotiated()
	if !ok || c.plain != nil {
		return
	}
	conn, err := net.Dial("udp", net.JoinHostPort(n.Remote.Addr, itoa(int(n.RemotePort))))
	if err != nil {
		return
	}
	c.plain = &plainSender{conn: conn, stop: make(chan struct{})}
	go c.plain.run(src, n.Send.PT)
}

// run sends one packet of G.711 u-law each 20 ms.
func (s *plainSender) run(src media.Source, pt uint8) {
	t := time.NewTicker(media.FrameTime)
	defer t.Stop()
	pcm := make([]int16, media.FrameSize)
	packet := make([]byte, 12+media.FrameSize)
	packet[0], packet[1], packet[11] = 0x80, pt, 7
	for seq := uint16(1); ; seq++ {
		select {
		case <-t.C:
		case <-s.stop:
			return
		}
		if _, err := src.ReadPCM(pcm); err != nil {
			return
		}
		packet[2], packet[3] = byte(seq>>8), byte(seq)
		ts := uint32(seq) * media.FrameSize
		packet[4], packet[5], packet[6], packet[7] = byte(ts>>24), byte(ts>>16), byte(ts>>8), byte(ts)
		g711.ULaw.Encode(packet[12:], pcm)
		if _, err := s.conn.Write(packet); err != nil {
			return
		}
	}
}

// WaitNoTone waits until a tone of that frequency is not heard any more, whatever else is.
func (c *Call) WaitNoTone(ctx context.Context, hz float64) error {
	_, err := c.watch(ctx, func(e media.Evidence) bool { return e.ToneHz < hz*0.98 || e.ToneHz > hz*1.02 })
	return err
}

// WaitPackets waits until at least n packets were received and authenticated since the call began.
func (c *Call) WaitPackets(ctx context.Context, n uint64) error {
	_, err := c.watch(ctx, func(e media.Evidence) bool { return e.Rx.Authenticated >= n })
	return err
}
