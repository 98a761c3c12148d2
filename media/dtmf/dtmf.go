// Package dtmf sends and receives DTMF digits as telephone events in RTP (RFC 4733).
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|     event     |E|R| volume    |          duration             |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// All packets of one event carry the RTP timestamp of its beginning; the duration grows; the last is sent three times
// with E set. A receiver therefore counts events by timestamp, never by packet.
package dtmf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Payload is the payload of one packet. RFC 4733, 2.3.
type Payload struct {
	Event    byte   // 0-9 digits, 10 *, 11 #, 12-15 A-D
	End      bool   // E
	Volume   byte   // 0 to 63, meaning 0 to -63 dBm0
	Duration uint16 // in timestamp units since the timestamp
}

// ErrShort says that a payload has fewer than the four octets of an event.
var ErrShort = errors.New("dtmf: a telephone-event payload has four octets")

// Parse reads the first event of a payload.
func Parse(b []byte) (Payload, error) {
	if len(b) < 4 {
		return Payload{}, ErrShort
	}
	return Payload{b[0], b[1]&0x80 != 0, b[1] & 0x3f, binary.BigEndian.Uint16(b[2:])}, nil
}

// Append writes the payload.
func (p Payload) Append(b []byte) []byte {
	flags := p.Volume & 0x3f
	if p.End {
		flags |= 0x80
	}
	return binary.BigEndian.AppendUint16(append(b, p.Event, flags), p.Duration)
}

const keys = "0123456789*#ABCD"

// Key is the key of an event; ok is false for events that are no digit.
func Key(event byte) (key byte, ok bool) {
	if int(event) >= len(keys) {
		return 0, false
	}
	return keys[event], true
}

// Event is the event of a key, a to d in either case.
func Event(key byte) (event byte, ok bool) {
	i := strings.IndexByte(keys, upper(key))
	return byte(max(i, 0)), i >= 0
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'd' {
		return c - 32
	}
	return c
}

// Frame, tone and gap lengths in timestamp units of 8,000 Hz.
const (
	frame   = 160
	toneLen = 800
	gapLen  = 800
	pause   = 4000
	volume  = 10
	repeats = 3 // of the last packet, RFC 4733, 2.5.1.4
)

// Sender makes the packets of queued digits, one per 20 ms frame. The zero value is ready.
type Sender struct {
	queue   []byte
	phase   phase
	event   byte
	elapsed uint16 // of this event
	wait    int    // timestamp units of gap or pause left
	ends    int    // end packets still to be sent
	start   uint32 // timestamp of this event
}

type phase uint8

const (
	idle phase = iota
	sounding
	ending
	waiting
)

// maxQueue bounds what may wait to be sent.
const maxQueue = 256

// Queue adds digits; ',' is a pause of half a second. Nothing is queued when a character is none of them.
func (s *Sender) Queue(digits string) error {
	for i := range len(digits) {
		if _, ok := Event(digits[i]); !ok && digits[i] != ',' {
			return fmt.Errorf("dtmf: %q at %d is no digit: use 0-9, *, #, A-D and the comma for a pause", digits[i], i)
		}
	}
	if len(s.queue)+len(digits) > maxQueue {
		return fmt.Errorf("dtmf: more than %d digits are waiting to be sent", maxQueue)
	}
	s.queue = append(s.queue, digits...)
	return nil
}

// Busy reports whether digits are being sent or waiting, gaps included.
func (s *Sender) Busy() bool { return s.phase != idle || len(s.queue) > 0 }

// Packet is one RTP packet of an event.
type Packet struct {
	Payload   Payload
	Timestamp uint32
	Marker    bool // first packet of the event
}

// Step is called once per frame with the timestamp of audio. ok says that p goes out in place of audio. During gaps ok
// is false and audio goes on.
func (s *Sender) Step(now uint32) (p Packet, ok bool) {
	switch s.phase {
	case sounding:
		return s.sound(), true
	case ending:
		return s.end(), true
	case waiting:
		if s.wait -= frame; s.wait > 0 {
			return Packet{}, false
		}
		s.phase = idle
	}
	return s.begin(now)
}

func (s *Sender) begin(now uint32) (p Packet, ok bool) {
	if len(s.queue) == 0 {
		return Packet{}, false
	}
	key := s.queue[0]
	s.queue = s.queue[1:]
	if key == ',' {
		s.phase, s.wait = waiting, pause
		return Packet{}, false
	}
	s.event, _ = Event(key)
	s.start, s.elapsed, s.phase = now, 0, sounding
	p = s.sound()
	p.Marker = true
	return p, true
}

func (s *Sender) sound() Packet {
	s.elapsed += frame
	if s.elapsed >= toneLen {
		s.phase, s.ends = ending, repeats
		return s.end()
	}
	return s.packet(false)
}

func (s *Sender) end() Packet {
	if s.ends--; s.ends == 0 {
		s.phase, s.wait = waiting, gapLen
	}
	return s.packet(true)
}

func (s *Sender) packet(end bool) Packet {
	return Packet{Payload: Payload{s.event, end, volume, s.elapsed}, Timestamp: s.start}
}

// Digit is one event received.
type Digit struct {
	Key      byte
	Duration uint16 // timestamp units
}

// Receiver turns packets into digits, each once. The zero value is ready.
type Receiver struct {
	any      bool
	started  bool
	stamp    uint32
	event    byte
	duration uint16
}

// Packet takes one packet of an event. A digit is reported at its first end packet, or when the next event begins and
// all end packets were lost, in which case there may be two to report: of the packet before and of this one.
func (r *Receiver) Packet(stamp uint32, p Payload) (digits [2]Digit, n int) {
	if r.any && int32(stamp-r.stamp) < 0 {
		return digits, 0 // late packet of an event that is over
	}
	if !r.any || stamp != r.stamp {
		if d, ok := r.Flush(); ok {
			digits[n], n = d, n+1
		}
		r.any, r.started, r.stamp, r.event, r.duration = true, true, stamp, p.Event, 0
	}
	if !r.started || p.Event != r.event {
		return digits, n
	}
	r.duration = max(r.duration, p.Duration)
	if p.End {
		if d, ok := r.Flush(); ok {
			digits[n], n = d, n+1
		}
	}
	return digits, n
}

// Flush ends the event that is sounding: called when audio or silence follows and the end packets were lost.
func (r *Receiver) Flush() (Digit, bool) {
	if !r.started {
		return Digit{}, false
	}
	r.started = false
	key, ok := Key(r.event)
	return Digit{key, r.duration}, ok
}

// Sounding reports whether an event has begun and not ended, and since which timestamp.
func (r *Receiver) Sounding() (stamp uint32, ok bool) { return r.stamp, r.started }
