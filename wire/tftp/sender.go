package tftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// SenderConfig bounds a transfer. The zero value is good.
type SenderConfig struct {
	MaxBlock int           // largest blksize agreed to. Default: 1428, which fits one Ethernet frame over IPv4 and IPv6
	Timeout  time.Duration // until the first repetition; doubled each time. Default: 1 s
	Retries  int           // repetitions of one packet. Default: 5
	// HalfOpen is how often the first packet is repeated, before anybody proved to be at the address. Default: 2
	HalfOpen int
	Total    time.Duration // longest whole transfer. Default: 2 min
}

func (c SenderConfig) withDefaults() SenderConfig {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.MaxBlock, 1428)
	def(&c.Retries, 5)
	def(&c.HalfOpen, 2)
	if c.Timeout == 0 {
		c.Timeout = time.Second
	}
	if c.Total == 0 {
		c.Total = 2 * time.Minute
	}
	return c
}

// Block sizes. RFC 1350, 2: 512 bytes; RFC 2348: from 8 to 65464 by agreement.
const (
	defaultBlock = 512
	minBlock     = 8
	maxBlock     = 65464
	maxBackoff   = 8 * time.Second
)

// How a transfer can end early.
var (
	ErrNoAnswer  = errors.New("the client does not answer")
	ErrTooLong   = errors.New("the transfer took too long")
	ErrCancelled = errors.New("the client began another transfer")
)

// Sender is one transfer, as a machine without sockets or clocks:
//
//	        options agreed                 ACK 0
//	start ------------------> OACK sent ------------+
//	  |     none                                    v     ACK n, file not at its end
//	  +------------------------------------------> DATA n sent <--+--+
//	                                                |  +----------+  | deadline: repeated
//	                                                |  +-------------+
//	                          ACK of the last block +--> done
//
// A repeated ACK is not answered with a repeated block: only the deadline repeats, or two repetitions would feed each other (RFC
// 1123, 4.2.3.1, the Sorcerer's Apprentice). Block numbers go on with 0 after 65535.
type Sender struct {
	cfg     SenderConfig
	content io.ReaderAt
	size    int64

	agreed   []Option
	block    int           // bytes
	timeout  time.Duration // until a repetition
	fixed    bool          // the client asked for this timeout
	sent     int64         // block number sent, from 1; 0: the OACK
	packet   []byte        // the last one sent
	final    bool          // it is the last of the file
	tries    int           // repetitions of it
	answered bool          // the client answered once
	deadline time.Time
	end      time.Time
	done     bool
	err      error
}

// NewSender makes a transfer of size bytes for a read request.
func NewSender(r *Request, content io.ReaderAt, size int64, cfg SenderConfig) *Sender {
	s := &Sender{cfg: cfg.withDefaults(), content: content, size: size, block: defaultBlock}
	s.timeout = s.cfg.Timeout
	for _, o := range r.Options {
		if v, ok := s.agree(o); ok {
			s.agreed = append(s.agreed, Option{o.Name, v})
		}
	}
	return s
}

// agree decides on an option. RFC 2347: options that are not agreed to are left out of the OACK.
func (s *Sender) agree(o Option) (string, bool) {
	n, err := strconv.ParseUint(o.Value, 10, 63)
	if err != nil {
		return "", false
	}
	switch o.Name {
	case "blksize":
		if n < minBlock || n > maxBlock {
			return "", false
		}
		s.block = min(int(n), s.cfg.MaxBlock)
		return strconv.Itoa(s.block), true
	case "tsize": // RFC 2349: in a read request 0, and the answer is the size
		return strconv.FormatInt(s.size, 10), true
	case "timeout": // RFC 2349: from 1 to 255 seconds; longer than a minute only keeps sockets
		if n < 1 || n > 60 {
			return "", false
		}
		s.timeout, s.fixed = time.Duration(n)*time.Second, true
		return o.Value, true
	}
	return "", false
}

// Start returns the first packet.
func (s *Sender) Start(now time.Time) []byte {
	s.end = now.Add(s.cfg.Total)
	if len(s.agreed) > 0 {
		s.packet = appendOptions(binary.BigEndian.AppendUint16(s.packet[:0], uint16(OpOACK)), s.agreed)
		s.arm(now)
		return s.packet
	}
	return s.next(now)
}

// Step takes a packet of the client, or nil when the deadline has passed, and returns what to send, nil for nothing.
func (s *Sender) Step(now time.Time, in []byte) []byte {
	switch {
	case s.done:
		return nil
	case !now.Before(s.end):
		return s.fail(ErrTooLong, &Error{CodeUndefined, ErrTooLong.Error()})
	case in == nil:
		return s.repeat(now)
	case len(in) < 4:
		return nil
	}
	switch Opcode(binary.BigEndian.Uint16(in)) {
	case OpACK:
		return s.acknowledged(now, binary.BigEndian.Uint16(in[2:]))
	case OpError: // RFC 1350, 7: an error ends the transfer and is not answered
		return s.fail(parseError(in), nil)
	case OpData, OpOACK, OpWrite:
		return s.fail(errors.New("the client sent a packet that only senders send"), &Error{CodeIllegal, "expected an acknowledgement"})
	}
	return nil
}

func (s *Sender) acknowledged(now time.Time, number uint16) []byte {
	if number != uint16(s.sent) {
		return nil
	}
	s.answered = true
	if s.final {
		s.done = true
		return nil
	}
	return s.next(now)
}

// next sends the block after the last.
func (s *Sender) next(now time.Time) []byte {
	at := s.sent * int64(s.block)
	n := int(min(int64(s.block), s.size-at))
	if cap(s.packet) < 4+s.block {
		s.packet = make([]byte, 0, 4+min(int64(s.block), s.size))
	}
	s.sent++
	s.packet = binary.BigEndian.AppendUint16(s.packet[:0], uint16(OpData))
	s.packet = binary.BigEndian.AppendUint16(s.packet, uint16(s.sent))
	s.packet = append(s.packet, make([]byte, n)...)
	if got, err := s.content.ReadAt(s.packet[4:], at); got < n {
		return s.fail(fmt.Errorf("the file became shorter while it was sent, or cannot be read: %w", err), &Error{CodeUndefined, "the file changed while it was sent: ask again"})
	}
	s.final = n < s.block
	s.arm(now)
	return s.packet
}

func (s *Sender) arm(now time.Time) {
	s.tries = 0
	s.deadline = now.Add(s.timeout)
}

func (s *Sender) repeat(now time.Time) []byte {
	if now.Before(s.deadline) {
		return nil
	}
	limit := s.cfg.Retries
	if !s.answered {
		limit = s.cfg.HalfOpen
	}
	if s.tries >= limit {
		return s.fail(ErrNoAnswer, nil)
	}
	s.tries++
	wait := s.timeout
	if !s.fixed {
		wait = min(s.timeout<<s.tries, max(maxBackoff, s.timeout))
	}
	s.deadline = now.Add(wait)
	return s.packet
}

func (s *Sender) fail(why error, tell *Error) []byte {
	s.done, s.err = true, why
	if tell == nil {
		return nil
	}
	return AppendError(nil, tell)
}

// Deadline is when Step must be called without a packet.
func (s *Sender) Deadline() time.Time {
	if s.end.Before(s.deadline) {
		return s.end
	}
	return s.deadline
}

// Done says whether the transfer is over; err is nil when the client acknowledged all of the file.
func (s *Sender) Done() (done bool, err error) { return s.done, s.err }

// HalfOpen says that the client has not answered yet.
func (s *Sender) HalfOpen() bool { return !s.answered }

// Sent is how many bytes of the file went out, without repetitions.
func (s *Sender) Sent() int64 { return min(s.sent*int64(s.block), s.size) }
