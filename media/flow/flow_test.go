package flow

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/locktone/locktone/media/latch"
	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/srtp"
)

// speaker sends RTP under one key.
type speaker struct {
	t    *testing.T
	key  sdp.Crypto
	tx   *srtp.Sender
	seq  uint16
	ssrc uint32
}

func newSpeaker(t *testing.T, fill byte, seq uint16) *speaker {
	t.Helper()
	suite := sdp.Suites()[len(sdp.Suites())-1]
	raw := make([]byte, suite.KeyLen()+suite.SaltLen())
	for i := range raw {
		raw[i] = fill
	}
	key, err := sdp.NewKey(suite, raw)
	if err != nil {
		t.Fatal(err)
	}
	s := &speaker{t: t, key: sdp.Crypto{Tag: 1, Suite: suite, Key: key}, seq: seq, ssrc: uint32(fill)}
	if s.tx, err = srtp.NewSender(s.key); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *speaker) packet() []byte {
	b := make([]byte, 12+160, MaxPacket+srtp.Overhead)
	b[0] = 0x80
	binary.BigEndian.PutUint16(b[2:], s.seq)
	binary.BigEndian.PutUint32(b[4:], uint32(s.seq)*160)
	binary.BigEndian.PutUint32(b[8:], s.ssrc)
	s.seq++
	wire, err := s.tx.RTP(b[:0], b)
	if err != nil {
		s.t.Fatal(err)
	}
	return append([]byte(nil), wire...)
}

var (
	start = time.Unix(1000, 0)
	from  = netip.MustParseAddrPort("192.0.2.1:4000")
)

func take(i *Inbound, now time.Time, b []byte) bool {
	_, _, _, ok, _ := i.Packet(now, append(make([]byte, 0, 2*MaxPacket), b...), from)
	return ok
}

func agree(t *testing.T, i *Inbound, now time.Time, s *speaker) {
	t.Helper()
	if err := i.SetKey(now, s.key); err != nil {
		t.Fatal(err)
	}
}

// A party that held and takes the other one back hears it under the key it had before: the roll-over counter has gone on, and
// what was received before is still a replay.
func TestKeyThatComesBackKeepsItsContext(t *testing.T) {
	i := NewInbound(latch.Signalled)
	party, music := newSpeaker(t, 1, 65534), newSpeaker(t, 2, 7)
	agree(t, &i, start, party)
	var last []byte
	for range 4 { // over the roll-over
		if last = party.packet(); !take(&i, start, last) {
			t.Fatal("refused before the hold")
		}
	}
	agree(t, &i, start, music)
	if !take(&i, start, party.packet()) || !take(&i, start, music.packet()) {
		t.Error("after the rekey one of both keys is refused")
	}
	if take(&i, start.Add(3*time.Second), party.packet()) {
		t.Error("the old key is taken after its two seconds")
	}
	agree(t, &i, start.Add(time.Hour), party)
	if !take(&i, start.Add(time.Hour), party.packet()) {
		t.Error("the key that came back has lost its roll-over counter")
	}
	if take(&i, start.Add(time.Hour), last) || i.Counters().Replayed != 1 {
		t.Errorf("a packet of before the hold is taken again: %+v", i.Counters())
	}
	if c := i.Counters(); c.Failed != 1 {
		t.Errorf("%+v", c)
	}
}

// RFC 3264, 6.1: who answers sends at once; its packets may be here before its answer.
func TestPacketsAheadOfTheAnswer(t *testing.T) {
	i := NewInbound(latch.Signalled)
	party, music, stranger := newSpeaker(t, 1, 1), newSpeaker(t, 2, 7), newSpeaker(t, 3, 7)
	agree(t, &i, start, party)
	agree(t, &i, start, music)
	now := start.Add(time.Minute)
	if take(&i, now, party.packet()) {
		t.Error("an old key is taken although nothing is offered")
	}
	i.Expect(now.Add(32 * time.Second))
	if !take(&i, now.Add(time.Second), party.packet()) || !take(&i, now.Add(time.Second), music.packet()) {
		t.Error("a packet ahead of the answer is refused")
	}
	if take(&i, now.Add(time.Second), stranger.packet()) {
		t.Error("a key nobody named is taken")
	}
	if take(&i, now.Add(33*time.Second), party.packet()) {
		t.Error("an offer that was never answered keeps an old key alive")
	}
	i.Expect(now.Add(time.Hour))
	agree(t, &i, now, party)
	if take(&i, now.Add(3*time.Second), music.packet()) {
		t.Error("after the answer the other keys are not done with")
	}
}

// A peer that changes its key with every offer costs no more than the last few.
func TestFormerKeysAreBounded(t *testing.T) {
	i := NewInbound(latch.Signalled)
	for n := range 20 {
		agree(t, &i, start, newSpeaker(t, byte(n+1), 1))
	}
	if len(i.former) != maxFormer {
		t.Errorf("%d former keys are kept", len(i.former))
	}
}

// TestPartyBeforeIsNotFollowed: for two seconds packets under the old key are taken, but they move nothing: what is for the new
// party goes to it, wherever the one before still sends from. Once the new one is heard, the one before is not.
func TestPartyBeforeIsNotFollowed(t *testing.T) {
	i := NewInbound(latch.Signalled)
	old, next := newSpeaker(t, 1, 10), newSpeaker(t, 2, 7)
	there := netip.MustParseAddrPort("192.0.2.9:5000")
	i.RTP.Signal(from)
	agree(t, &i, start, old)
	if !take(&i, start, old.packet()) || i.RTP.To() != from {
		t.Fatal("the first party is not heard at its address")
	}
	i.RTP.Signal(there)
	agree(t, &i, start, next)
	if !take(&i, start, old.packet()) || i.RTP.To() != there {
		t.Errorf("a packet of the party before on its way: to %v", i.RTP.To())
	}
	if _, _, _, ok, _ := i.Packet(start, next.packet(), there); !ok || i.RTP.To() != there {
		t.Errorf("the new party: %v, to %v", ok, i.RTP.To())
	}
	if take(&i, start, old.packet()) || i.RTP.To() != there {
		t.Error("both parties are heard at once")
	}
	if c := i.Counters(); c.WrongSource != 1 || c.Packets != 3 || c.Failed != 0 {
		t.Errorf("%+v", c)
	}
	// The same party with a new key goes on with its SSRC; what was overtaken is still taken.
	again := newSpeaker(t, 3, 100)
	again.ssrc, next.seq = next.ssrc, 99
	late := next.packet()
	agree(t, &i, start, again)
	if _, _, _, ok, _ := i.Packet(start, again.packet(), there); !ok {
		t.Error("the new key is not taken")
	}
	if _, _, _, ok, _ := i.Packet(start, late, there); !ok {
		t.Error("what was overtaken at a change of keys is lost")
	}
}
