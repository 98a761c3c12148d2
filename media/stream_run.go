package media

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/flow"
	"github.com/locktone/locktone/media/rtpport"
	"github.com/locktone/locktone/media/rtpstat"
	"github.com/locktone/locktone/wire/sdp"
)

// Stream is an RTP endpoint of ours: the media of an applet's leg, of a source of the plane, or of a laboratory phone. It
// negotiates (Offer, Answer, Accept), sends what its source gives every 20 ms, receives into its sink, and counts. All
// methods are safe for concurrent use. It owns two sockets and three goroutines; Close ends them.
type Stream struct {
	addr   netip.AddrPort
	pair   *rtpport.Pair
	done   chan struct{}
	turn   chan struct{} // seat has changed
	digits chan Digit
	watch  func(Report)
	wg     sync.WaitGroup

	mu   sync.Mutex // everything below
	e    *desc.Endpoint
	core *core
	sink Sink
	told Report // what Watch was told last
	seat bool   // a mixer ticks in place of pace
	over bool
}

// ErrClosed says that the stream is closed.
var ErrClosed = errors.New("media: the stream is closed")

// loopback is where streams and relays listen unless told otherwise.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// OpenStream binds the ports and starts the stream; it sends nothing until an exchange is complete.
func OpenStream(cfg StreamConfig) (*Stream, error) {
	if !cfg.Bind.IsValid() {
		cfg.Bind = loopback
	}
	if !cfg.Announce.IsValid() {
		cfg.Announce = cfg.Bind
	}
	if cfg.Announce.IsUnspecified() {
		return nil, fmt.Errorf("media: a stream bound to %v must announce an address of its host: set Announce", cfg.Bind)
	}
	if cfg.Ports == nil {
		cfg.Ports = rtpport.Default()
	}
	if cfg.Keys == nil {
		cfg.Keys = CryptoKeys{}
	}
	core, err := newCore(cfg.Latching)
	if err != nil {
		return nil, fmt.Errorf("media: no randomness for a stream: %w", err)
	}
	pair, err := cfg.Ports.Listen(cfg.Bind)
	if err != nil {
		return nil, fmt.Errorf("media: no ports for a stream on %v: %w", cfg.Bind, err)
	}
	return startStream(cfg, core, pair), nil
}

func startStream(cfg StreamConfig, core *core, pair *rtpport.Pair) *Stream {
	cfg.Caps.Conn, cfg.Caps.Port, cfg.Caps.RTCPPort = sdp.ConnOf(cfg.Announce), pair.Port(), 0
	s := &Stream{addr: netip.AddrPortFrom(cfg.Announce, pair.Port()), pair: pair, core: core,
		watch: cfg.Watch, done: make(chan struct{}), turn: make(chan struct{}, 1), digits: make(chan Digit, 64), e: desc.NewEndpoint(cfg.Caps, sessionID(), cfg.Keys)}
	core.onDigit = func(d Digit) {
		select {
		case s.digits <- d:
		default: // nobody has read the last 64
		}
	}
	s.wg.Add(3)
	go s.read(pair.RTP, core.receive)
	go s.read(pair.RTCP, core.receiveRTCP)
	go s.pace()
	return s
}

// sessionID is the id of an o= line. RFC 4566, 5.2 suggests a timestamp; a random number tells nothing. 62 bits leave
// room for versions to grow in signed 64 bit counters.
func sessionID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return binary.BigEndian.Uint64(b[:]) >> 2
}

// read takes packets off one socket until it is closed.
func (s *Stream) read(conn rtpport.Conn, receive func(time.Time, []byte, netip.AddrPort)) {
	defer s.wg.Done()
	buf := make([]byte, flow.MaxPacket)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier packet
		}
		now := time.Now()
		s.mu.Lock()
		receive(now, buf[:n], from)
		s.mu.Unlock()
	}
}

// maxBehind is how many frames are made up for after the process has been stopped; beyond, they are skipped.
const maxBehind = 10

// pace ticks every 20 ms of real time: a ticker that was late is made up for, so that the pace holds on average.
func (s *Stream) pace() {
	defer s.wg.Done()
	ticker := time.NewTicker(FrameTime)
	defer ticker.Stop()
	next := time.Now()
	for {
		select {
		case <-s.done:
			return
		case <-s.turn:
			if s.seated() {
				ticker.Stop()
				continue
			}
			ticker.Reset(FrameTime)
			next = time.Now()
		case now := <-ticker.C:
			if now.Sub(next) > maxBehind*FrameTime {
				next = now
			}
			for ; !next.After(now); next = next.Add(FrameTime) {
				s.frame(now)
			}
		}
	}
}

// frame is one tick: the sink is written outside the lock, because it is somebody else's code.
func (s *Stream) frame(now time.Time) {
	s.mu.Lock()
	if s.seat {
		s.mu.Unlock()
		return
	}
	heard := s.core.listen()
	sink := s.sink
	if sink != nil {
		heard = s.core.ears.as(isWide(sink), heard)
	}
	s.speak(now)
	news, report := s.news()
	s.mu.Unlock()
	if news {
		s.watch(report)
	}
	// heard is written again by the next tick only, which this goroutine makes.
	if sink != nil && sink.WritePCM(heard) != nil {
		s.stopSink(sink)
	}
}

// speak sends what is due. The lock is held.
func (s *Stream) speak(now time.Time) {
	packet, to := s.core.speak(now)
	if packet != nil {
		_, _ = s.pair.RTP.WriteToUDPAddrPort(packet, to) // what the network loses, the peer's report says
	}
	if report, to := s.core.report(now); report != nil {
		_, _ = s.pair.RTCP.WriteToUDPAddrPort(report, to)
	}
}

// news is what Watch has not been told yet. The lock is held.
func (s *Stream) news() (bool, Report) {
	if s.watch == nil {
		return false, Report{}
	}
	proof, why := s.core.watch.proof()
	r := Report{Proof: proof, Why: why}
	if r == s.told {
		return false, r
	}
	s.told = r
	return true, r
}

func (s *Stream) stopSink(sink Sink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sink == sink {
		s.sink = nil
	}
}

// Offer is the description to send as an offer: the first, or a new one over what SetDirection and Rekey changed.
func (s *Stream) Offer() ([]byte, error) {
	d, err := s.OfferSession()
	if err != nil {
		return nil, err
	}
	return d.Bytes(), nil
}

// OfferSession is Offer before it is written as text.
func (s *Stream) OfferSession() (*sdp.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil, ErrClosed
	}
	s.core.in.Expect(time.Now().Add(offerTime))
	return s.e.Offer()
}

// offerTime is how long the answer to an offer may take: Timer B of SIP (RFC 3261, 17.1.1.2).
const offerTime = 32 * time.Second

// Answer takes a received offer and gives the answer; the error is a *desc.Refusal when it cannot be accepted.
func (s *Stream) Answer(offer []byte) ([]byte, error) {
	o, err := sdp.Parse(offer)
	if err != nil {
		return nil, err
	}
	a, err := s.AnswerSession(o)
	if err != nil {
		return nil, err
	}
	return a.Bytes(), nil
}

// AnswerSession is Answer for parsed descriptions.
func (s *Stream) AnswerSession(offer *sdp.Session) (*sdp.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil, ErrClosed
	}
	answer, err := s.e.Answer(offer)
	if err != nil {
		return nil, err
	}
	return answer, s.apply()
}

// Accept takes the answer to the last Offer; the error is a *desc.Refusal when it breaks a rule or the policy.
func (s *Stream) Accept(answer []byte) error {
	a, err := sdp.Parse(answer)
	if err != nil {
		return err
	}
	return s.AcceptSession(a)
}

// AcceptSession is Accept for a parsed description.
func (s *Stream) AcceptSession(answer *sdp.Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return ErrClosed
	}
	if err := s.e.Accept(answer); err != nil {
		return err
	}
	return s.apply()
}

func (s *Stream) apply() error {
	n, ok := s.e.Stream()
	if !ok {
		return nil
	}
	return s.core.apply(time.Now(), n)
}

// Rollback forgets an Offer that was refused: what was agreed before stays in force.
func (s *Stream) Rollback() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.e.Rollback()
}

// Reopen lets the last offer be answered once more.
func (s *Stream) Reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.e.Reopen()
}

// SetDirection is what the next Offer or Answer asks for: SendOnly or Inactive to hold, SendRecv to resume.
func (s *Stream) SetDirection(d sdp.Direction) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.e.SetDirection(d)
}

// setCodecs changes what the next Offer or Answer speaks.
func (s *Stream) setCodecs(cs []sdp.Codec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.e.SetCodecs(cs, 0)
}

// Rekey makes the next Offer or Answer bring new keys.
func (s *Stream) Rekey() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.e.Rekey()
}

// Negotiated is what flows now; ok is false before the first exchange is complete.
func (s *Stream) Negotiated() (n desc.Stream, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.e.Stream()
}

// Start plays src from the next frame on, in place of what was playing, and returns at once. done is closed when src has
// ended or was replaced, or the stream is closed. A nil src is silence. While the peer or we hold, src waits.
func (s *Stream) Start(src Source) (done <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := make(chan struct{})
	if s.over {
		close(end)
		return end
	}
	s.core.play(src, end)
	if src == nil {
		s.core.play(nil, nil)
	}
	return end
}

// Play plays src to its end, or until ctx is done, whose error it returns.
func (s *Stream) Play(ctx context.Context, src Source) error {
	done := s.Start(src)
	select {
	case <-done:
		if s.closed() {
			return ErrClosed
		}
		return nil
	case <-ctx.Done():
		s.Start(nil)
		return ctx.Err()
	}
}

func (s *Stream) closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// Record writes what is received into sink from the next frame on; nil stops. The sink is not closed. A frame that is
// being written while Record is called may still reach the sink before.
func (s *Stream) Record(sink Sink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink = sink
}

// SendDigits queues DTMF: '0'-'9', '*', '#', 'A'-'D', and ',' for a pause of half a second; 100 ms each with 100 ms
// between. done is closed when all are sent or the stream is closed.
func (s *Stream) SendDigits(digits string) (done <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil, ErrClosed
	}
	sent := make(chan struct{})
	if err := s.core.queue(digits, sent); err != nil {
		return nil, err
	}
	return sent, nil
}

// Digits delivers what was received; it is closed with the stream. A reader that falls behind by 64 loses digits.
func (s *Stream) Digits() <-chan Digit { return s.digits }

// Evidence is a snapshot of the counters and of what is heard.
func (s *Stream) Evidence() Evidence {
	s.mu.Lock()
	e, heard := s.core.evidence(), s.core.detector
	s.mu.Unlock()
	e.Local = s.addr.String()
	e.ToneHz, e.LevelDBm = heard.Result() // outside the lock: packets do not wait for it
	return e
}

// hearDigits has digits told to somebody instead of Digits; it is called with the stream's lock held.
func (s *Stream) hearDigits(tell func(Digit)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.core.onDigit = tell
}

func (s *Stream) counters() (in, out rtpstat.Counters) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.in.Counters(), s.core.out.Counters()
}

// proof is what the last packets show now. It looks anew: after the stream's own look the plane would come up to
// another look later.
func (s *Stream) proof(now time.Time) (Proof, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.core.active {
		s.core.look(now)
	}
	return s.core.watch.proof()
}

// Addr is our RTP address and port as announced.
func (s *Stream) Addr() netip.AddrPort { return s.addr }

// Done is closed when the stream is closed.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Close says goodbye to the peer, ends the goroutines and gives the ports back. It returns when all are gone; a sink
// must not call it.
func (s *Stream) Close() error {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		s.wg.Wait()
		return nil
	}
	s.over = true
	if bye, to := s.core.bye(time.Now()); bye != nil {
		_, _ = s.pair.RTCP.WriteToUDPAddrPort(bye, to)
	}
	s.core.end()
	close(s.done)
	close(s.digits)
	s.core.onDigit = nil
	s.mu.Unlock()
	err := s.pair.Close()
	s.wg.Wait()
	return err
}
