package ctimanager

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// silent says that a provider neither said anything to a request nor asked anybody.
func (k *kit) silent(m ctiqbe.Message) bool {
	pending := len(k.p.pendings)
	for _, o := range k.p.Step(k.now, received{message: m, header: ctiqbe.Header{PDU: m.PDU(), Version: ctiqbe.Newest}}) {
		if f, ok := o.(frame); ok {
			if n, is := ctiqbe.Sequence(f.message); is {
				asked, _ := ctiqbe.Sequence(m)
				return n != asked
			}
		}
	}
	return len(k.p.pendings) == pending
}

// TestEveryPDU: whatever number a client sends, known or not, for us or not, before the login and after: it is answered. Heartbeats alone are
// not, and events that the server sends have no number to be answered by.
func TestEveryPDU(t *testing.T) {
	for number := range ctiqbe.PDU(400) {
		m, known := ctiqbe.New(number)
		if !known {
			m = &ctiqbe.Unknown{Number: number}
		}
		if _, ok := m.(*ctiqbe.Heartbeat); ok {
			continue
		}
		ctiqbe.SetSequence(m, 99)
		for _, k := range []*kit{newKit(true), ready(), withLine()} {
			if k.silent(m) {
				t.Errorf("%v (%d) is not answered in state %v", number, uint32(number), k.p.state)
			}
		}
	}
}

// withLine is a provider with an open line and a call on it.
func withLine() *kit {
	k := ready()
	k.say(&ctiqbe.DeviceOpenRequest{DeviceName: "alice"})
	k.say(&ctiqbe.LineOpenRequest{DeviceName: "alice", LineName: "1001", Partition: "internal"})
	line := call.LineID{Number: "1001", Partition: "internal"}
	k.step(existing{device: "alice", line: line})
	k.step(happened{projection.Event{Kind: projection.NewCall, Device: "alice", Line: line, Node: "node1", Leg: 5, Call: 6, Handle: projection.Handle{CallManager: 1, Leg: 5},
		GCH: projection.GCH{CallManager: 1, Call: 6}, State: ctiqbe.CallStateOffering}})
	return k
}

// FuzzProvider: random messages in a random order never break a provider and are all answered.
func FuzzProvider(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07"), uint64(1))
	for seed := range uint64(30) { // so that a plain test goes some way, too
		r := rand.New(rand.NewPCG(seed, 2))
		order := make([]byte, 600)
		for i := range order {
			order[i] = byte(r.IntN(256))
		}
		f.Add(order, seed)
	}
	f.Fuzz(func(t *testing.T, order []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		k := withLine()
		for len(order) >= 2 {
			number := ctiqbe.PDU(binary.LittleEndian.Uint16(order) % 330)
			order = order[2:]
			m, known := ctiqbe.New(number)
			if !known {
				m = &ctiqbe.Unknown{Number: number}
			}
			if _, ok := m.(*ctiqbe.Heartbeat); ok {
				continue
			}
			scribble(r, reflect.ValueOf(m).Elem())
			if u, ok := m.(*ctiqbe.Unknown); ok {
				u.Number = number
			}
			ctiqbe.SetSequence(m, 77)
			closed := k.p.state == stateClosed
			if k.silent(m) && !closed {
				t.Fatalf("%v is not answered: %s", number, text(m))
			}
			if r.IntN(4) == 0 {
				k.answer(nil, errBroken)
			}
			if r.IntN(9) == 0 {
				k.step(registered{})
			}
			if closed {
				k = withLine()
			}
		}
	})
}

// scribble fills a message with numbers and words that may mean something.
func scribble(r *rand.Rand, v reflect.Value) {
	words := []string{"", "alice", "bob", "1001", "internal", "7000", "1*#", "\x00\xff"}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				scribble(r, v.Field(i))
			}
		}
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Uint32:
		v.SetUint([]uint64{0, 1, 2, 3, 4, 5, 6, 0xffffffff, uint64(r.Uint32())}[r.IntN(9)])
	case reflect.String:
		v.SetString(words[r.IntN(len(words))])
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(4), 4))
		for i := range v.Len() {
			if v.Index(i).Kind() == reflect.Uint8 {
				v.Index(i).SetUint(uint64(r.IntN(256)))
			} else {
				scribble(r, v.Index(i))
			}
		}
	}
}
