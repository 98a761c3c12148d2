package lab_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/g711"
	"github.com/locktone/locktone/media/sealed"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/srtp"
)

// rtpEnd is an application's own end of a call's media: a socket, and nothing of ours behind it.
type rtpEnd struct {
	conn *net.UDPConn
	at   netip.AddrPort
	stop chan struct{}
	wg   sync.WaitGroup
}

func newRTPEnd(t *testing.T) *rtpEnd {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	e := &rtpEnd{conn: c, at: c.LocalAddr().(*net.UDPAddr).AddrPort(), stop: make(chan struct{})}
	t.Cleanup(func() {
		close(e.stop)
		c.Close()
		e.wg.Wait()
	})
	return e
}

// speak sends a tone as PCMU every 20 ms, protected by a key unless that is zero.
func (e *rtpEnd) speak(t *testing.T, hz float64, to netip.AddrPort, k sdp.Crypto) {
	t.Helper()
	var s *srtp.Sender
	if !k.IsZero() {
		var err error
		if s, err = srtp.NewSender(k); err != nil {
			t.Fatal(err)
		}
	}
	src := tone.NewSine(hz, -10)
	e.wg.Go(func() {
		beat := time.NewTicker(20 * time.Millisecond)
		defer beat.Stop()
		pcm, buf := make([]int16, 160), make([]byte, 0, 512)
		for seq := uint16(1); ; seq++ {
			if _, err := src.ReadPCM(pcm); err != nil {
				return
			}
			p := append(buf[:0], 0x80, 0)
			p = binary.BigEndian.AppendUint16(p, seq)
			p = binary.BigEndian.AppendUint32(p, uint32(seq)*160)
			p = binary.BigEndian.AppendUint32(p, 0x10c0ffee)
			p = p[:12+len(pcm)]
			g711.ULaw.Encode(p[12:], pcm)
			if s != nil {
				var err error
				if p, err = s.RTP(nil, p); err != nil {
					return
				}
			}
			if _, err := e.conn.WriteToUDPAddrPort(p, to); err != nil {
				return
			}
			select {
			case <-beat.C:
			case <-e.stop:
				return
			}
		}
	})
}

// arrives waits for any RTP packet: what is in it others see to.
func (e *rtpEnd) arrives(ctx context.Context, t *testing.T) {
	t.Helper()
	for buf := make([]byte, 1500); ; {
		if err := e.conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		n, _, err := e.conn.ReadFromUDPAddrPort(buf)
		if err == nil && n >= 12 && (buf[1]&0x7f < 64 || buf[1]&0x7f >= 96) {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("no packet comes")
		}
	}
}

// hears waits for packets that a key opens (or that are plain RTP, where it is zero) and have speech in them.
func (e *rtpEnd) hears(ctx context.Context, t *testing.T, k sdp.Crypto) {
	t.Helper()
	var r *srtp.Receiver
	if !k.IsZero() {
		var err error
		if r, err = srtp.NewReceiver(k); err != nil {
			t.Fatal(err)
		}
	}
	buf, good, bad, loud := make([]byte, 1500), 0, 0, 0
	for good < 25 {
		if err := e.conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		n, _, err := e.conn.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil {
			t.Fatalf("%d packets were opened, %d not: %v", good, bad, err)
		}
		if err != nil || n < 12 || buf[1]&0x7f >= 64 && buf[1]&0x7f < 96 {
			continue
		}
		p := buf[:n]
		if r != nil {
			out, verdict := r.RTP(nil, p)
			if verdict != srtp.Accepted {
				bad++
				continue
			}
			p = out
		}
		good++
		pcm := make([]int16, len(p)-12)
		g711.ULaw.Decode(pcm, p[12:])
		if slices.ContainsFunc(pcm, func(x int16) bool { return x > 1000 || x < -1000 }) {
			loud++
		}
	}
	if loud < 10 {
		t.Errorf("of %d packets only %d had something in them", good, loud)
	}
}

// terminalSite is a site with an application's terminals: the port 5001, the route point 5002 whose calls go to Bob when its application
// fails, and an application that may have them and their keys.
func terminalSite() *config.Site {
	s := config.Default("node1")
	line := func(n string) config.Line {
		return config.Line{Number: n, Partition: "internal", CallingSearchSpace: "internal",
			Forwards: config.Forwards{Unregistered: config.Forward{To: "1002"}, NoAnswer: config.Forward{To: "9197"}}}
	}
	s.Lines = append(s.Lines, line("5001"), line("5002"))
	s.Devices = append(s.Devices,
		config.Device{Name: "ivr", Protocol: config.ProtocolCTIPort, DevicePool: "default", Lines: []config.Appearance{{Number: "5001", Partition: "internal"}}},
		config.Device{Name: "queue", Protocol: config.ProtocolCTIRoutePoint, DevicePool: "default", Lines: []config.Appearance{{Number: "5002", Partition: "internal"}}})
	s.Users = append(s.Users, config.User{Name: "app", Devices: []string{"ivr", "queue", "alice"},
		Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection, config.GroupCTISRTPKeys}})
	s.Cluster.CTINewCallAcceptTimer = config.Duration(time.Second)
	return s.Canonical()
}

// terminalWorld is a running site with an application on its bus, and Alice.
type terminalWorld struct {
	*lab.Site
	t      *testing.T
	ctx    context.Context
	remote *live.Remote
	engine live.RemoteEngine
	events *live.Follower
	media  *live.MediaFollower
	alice  *phone.Phone
}

func newTerminalWorld(t *testing.T) *terminalWorld {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	s, err := lab.Start(ctx, lab.Options{Config: terminalSite()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	w := &terminalWorld{Site: s, t: t, ctx: ctx, remote: live.NewRemote(s.Bus, callmanager.Name)}
	w.engine = w.remote.At(s.Bus.Node())
	w.events = w.remote.Follow(live.Filter{}, s.Bus.Node())
	w.media = w.engine.FollowMedia("")
	t.Cleanup(w.media.Close)
	t.Cleanup(w.events.Close)
	if w.alice, err = s.Registered(ctx, "alice", "1001"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.alice.Close(context.Background()) })
	return w
}

// terminalAs is how the application registers a terminal.
func terminalAs(device string, at netip.AddrPort, srtp ...uint32) live.TerminalRegistration {
	r := live.TerminalRegistration{Device: device, Application: "app", Media: live.TerminalStatic, Address: at, SRTP: srtp, Codecs: []live.TerminalCodec{{Payload: 4, Packet: 20}}}
	if !at.IsValid() {
		r.Media, r.Codecs = live.TerminalNoMedia, nil
	}
	return r
}

func (w *terminalWorld) register(session *live.Terminals, r live.TerminalRegistration) {
	w.t.Helper()
	if _, err := session.Register(w.ctx, []string{w.Bus.Node()}, r); err != nil {
		w.t.Fatal(err)
	}
}

// event waits for an event of a device's leg.
func (w *terminalWorld) event(device string, kind call.EventKind) call.Event {
	w.t.Helper()
	for {
		select {
		case n := <-w.events.Notes():
			if n.Event.View == nil || n.Event.Kind != kind {
				continue
			}
			for _, p := range append(n.Event.View.Parties, n.Event.View.Left...) {
				for _, l := range p.Legs {
					if l.ID == n.Event.Leg && l.Device == device || kind == call.CallEnded {
						return n.Event
					}
				}
			}
		case <-w.ctx.Done():
			w.t.Fatalf("no %s of %s", kind, device)
		}
	}
}

// told waits for what is told of a device's media.
func (w *terminalWorld) told(device string, want func(live.LegMedia) bool) live.LegMedia {
	w.t.Helper()
	for {
		select {
		case n := <-w.media.Notes():
			if n.Device == device && want(n.LegMedia) {
				return n.LegMedia
			}
		case <-w.ctx.Done():
			w.t.Fatal("nothing of that kind is told of the media of " + device)
		}
	}
}

func (w *terminalWorld) ask(r call.Request) call.Reply {
	w.t.Helper()
	reply, err := w.engine.Request(w.ctx, "app", r)
	if err != nil || reply.Cause != call.CauseNone {
		w.t.Fatalf("%+v: %+v, %v", r, reply, err)
	}
	return reply
}

func flows(m live.LegMedia) bool { return m.Receive != nil && m.Transmit != nil }

// TestTerminalAnswers: an application's port takes a call of an encrypted phone: it is offered, accepted, answered, and both hear each other
// over SRTP, the application by the keys that it alone was given. What it hears of digits comes from the relay.
func TestTerminalAnswers(t *testing.T) {
	w := newTerminalWorld(t)
	end := newRTPEnd(t)
	session := w.remote.Terminals("session-1")
	defer session.Close()
	w.register(session, terminalAs("ivr", end.at, 1, 2, 5, 6))
	if owner, err := w.remote.Owner("ivr"); err != nil || owner.Node() != w.Bus.Node() {
		t.Fatal(err)
	}
	receiver, err := sealed.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	keys := w.engine.FollowKeys("app", receiver.Public(), prover(w.ctx, t, w.Site, "ctimanager"))
	defer keys.Close()

	a, err := w.alice.Dial(w.ctx, "5001")
	if err != nil {
		t.Fatal(err)
	}
	leg := w.event("ivr", call.LegRinging).Leg
	if a.Talking() {
		t.Error("nobody has answered")
	}
	w.ask(call.AcceptCall{Leg: leg})
	if err := a.WaitRinging(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.ask(call.AnswerCall{Leg: leg})
	if err := a.WaitAnswered(w.ctx); err != nil {
		t.Fatal(err)
	}
	m := w.told("ivr", flows)
	k := keysOf(w.ctx, t, w.Site, keys, receiver, "ivr")
	if m.Leg != leg || m.Receive.Addr != end.at || m.Receive.Codec != "PCMU" || m.Receive.Packet != 20 || m.Keys == 0 || k.Receive.Suite != sdp.AEAD_AES_256_GCM {
		t.Errorf("%+v %+v, keys of %s", m, *m.Receive, k.Receive.Suite)
	}
	a.Tone(440)
	end.speak(t, 620, m.Transmit.Addr, k.Transmit)
	end.hears(w.ctx, t, k.Receive)
	if _, err := a.WaitTone(w.ctx, 620); err != nil {
		t.Error(err)
	}
	if e := a.Evidence(); e.Media.Rx.Authenticated == 0 || e.Media.Rx.Failed != 0 {
		t.Errorf("%+v", e)
	}
	if err := a.Hold(w.ctx); err != nil {
		t.Fatal(err)
	}
	held := w.told("ivr", func(m live.LegMedia) bool { return m.Receive != nil && m.Keys > 1 }) // music, of another source
	if err := a.Resume(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.told("ivr", func(m live.LegMedia) bool { return flows(m) && m.Keys > held.Keys })
	w.ask(call.Drop{Leg: leg})
	if _, byPeer, err := a.WaitEnded(w.ctx); err != nil || !byPeer {
		t.Error(err)
	}
	w.told("ivr", func(m live.LegMedia) bool { return m.Receive == nil && m.Transmit == nil })
}

// TestTerminalDynamic: a port with dynamic media and without SRTP asks for an address when it answers; it is a named exception, and an
// encrypted phone is not connected with it.
func TestTerminalDynamic(t *testing.T) {
	w := newTerminalWorld(t)
	end := newRTPEnd(t)
	session := w.remote.Terminals("session-1")
	defer session.Close()
	r := terminalAs("ivr", end.at, 2)
	r.Media, r.Address = live.TerminalDynamic, netip.AddrPort{}
	w.register(session, r)
	a, err := w.alice.Dial(w.ctx, "5001")
	if err != nil {
		t.Fatal(err)
	}
	leg := w.event("ivr", call.LegRinging).Leg
	w.ask(call.AnswerCall{Leg: leg})
	if m := w.told("ivr", func(m live.LegMedia) bool { return m.Want != nil }); m.Want.Payload != 4 || m.Want.Packet != 20 || m.Leg != leg {
		t.Errorf("%+v", m.Want)
	}
	if err := session.Address(w.ctx, "ivr", "", uint64(leg), end.at); err != nil {
		t.Fatal(err)
	}
	if err := a.WaitAnswered(w.ctx); err != nil {
		t.Fatal(err)
	}
	if m := w.told("ivr", flows); m.Receive.Addr != end.at || m.Want != nil {
		t.Errorf("%+v", m)
	}
	if err := a.Hangup(w.ctx); err != nil {
		t.Fatal(err)
	}
	r.SRTP = nil
	w.register(session, r)
	if weaker := askExceptions(w.ctx, t, w.Site, "ivr"); len(weaker) != 1 || weaker[0].Setting != "media" || !strings.Contains(weaker[0].From, "app") {
		t.Errorf("show exceptions says %+v", weaker)
	}
	a, err = w.alice.Dial(w.ctx, "5001")
	if err != nil {
		t.Fatal(err)
	}
	if status, _, err := a.WaitEnded(w.ctx); err != nil || status != 488 {
		t.Errorf("%d %v: an encrypted phone and plain RTP", status, err)
	}
}

// TestTerminalFails: a route point redirects; what it does not accept in time, and what waits when its application dies, goes where its line
// is unregistered; who calls later goes where nobody answers; after it has registered again, calls reach it again.
func TestTerminalFails(t *testing.T) {
	w := newTerminalWorld(t)
	bob, err := w.Registered(w.ctx, "bob", "1002")
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close(context.Background())
	session := w.remote.Terminals("session-1")
	defer session.Close()
	w.register(session, terminalAs("queue", netip.AddrPort{}))
	dial := func() *phone.Call {
		t.Helper()
		a, err := w.alice.Dial(w.ctx, "5002")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	rings := func() *phone.Call {
		t.Helper()
		select {
		case b := <-bob.Incoming():
			return b
		case <-w.ctx.Done():
			t.Fatal("Bob's phone does not ring")
			return nil
		}
	}
	ends := func(a *phone.Call) {
		t.Helper()
		if err := a.Hangup(w.ctx); err != nil {
			t.Fatal(err)
		}
		w.event("queue", call.CallEnded)
	}

	a := dial() // redirected
	leg := w.event("queue", call.LegRinging).Leg
	w.ask(call.Redirect{Leg: leg, To: "1002"})
	if err := rings().Answer(w.ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.WaitAnswered(w.ctx); err != nil {
		t.Fatal(err)
	}
	ends(a)

	a = dial() // not accepted
	rings()
	ends(a)

	a = dial() // accepted, when the application dies
	leg = w.event("queue", call.LegRinging).Leg
	w.ask(call.AcceptCall{Leg: leg})
	if err := a.WaitRinging(w.ctx); err != nil {
		t.Fatal(err)
	}
	if err := session.Unregister(w.ctx, "queue", ""); err != nil {
		t.Fatal(err)
	}
	rings()
	ends(a)
	if _, err := w.remote.Owner("queue"); err == nil {
		t.Error("it is registered still")
	}

	a = dial() // later: the tone of 9197
	if _, err := a.WaitTone(w.ctx, 1004); err != nil {
		t.Fatal(err)
	}
	ends(a)

	w.register(session, terminalAs("queue", netip.AddrPort{}))
	a = dial()
	w.event("queue", call.LegRinging)
	ends(a)
}

func askExceptions(ctx context.Context, t *testing.T, s *lab.Site, name string) []bus.Exception {
	t.Helper()
	rows, err := bus.Ask[bus.Query, []bus.Exception](ctx, s.Bus, s.Bus.Subject(callmanager.Name, bus.VerbExceptions), bus.Query{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestTerminalsInCluster: a terminal that is registered at one node is reached from the other; when its node dies, the session registers it
// at the next one, where calls reach it again.
func TestTerminalsInCluster(t *testing.T) {
	c := lab.StartCluster(t, lab.ClusterOptions{Site: func(s *config.Site) {
		x := terminalSite()
		s.Lines = append(s.Lines, slices.DeleteFunc(x.Lines, func(l config.Line) bool { return l.Number < "5000" })...)
		s.Devices = append(s.Devices, slices.DeleteFunc(x.Devices, func(d config.Device) bool { return !d.Protocol.Terminal() })...)
		s.Cluster.CTINewCallAcceptTimer = config.Duration(20 * time.Second)
	}})
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	alice := c.Registered("n2", "alice", "1001", nil)
	b := c.Node("n2").Bus
	remote := live.NewRemote(b, callmanager.Name)
	session := remote.Terminals("session-n2")
	defer session.Close()
	end := newRTPEnd(t)
	node, err := session.Register(ctx, []string{"n1", "n2"}, terminalAs("ivr", end.at, 2))
	if err != nil || node != "n1" {
		t.Fatal(node, err)
	}
	answers := func(node string) {
		t.Helper()
		events := remote.Follow(live.Filter{Devices: []string{"ivr"}}, node)
		defer events.Close()
		for n := range events.Notes() { // from here on nothing is missed
			if n.Snapshot {
				break
			}
		}
		a := dialled(t, ctx, alice, "5001")
		a.Tone(440)
		var leg call.LegID
		for leg == 0 {
			select {
			case n := <-events.Notes():
				if n.Event.Kind == call.LegRinging {
					leg = n.Event.Leg
				}
			case <-ctx.Done():
				t.Fatal("the terminal at " + node + " is not rung")
			}
		}
		if reply, err := remote.At(node).Request(ctx, "app", call.AnswerCall{Leg: leg}); err != nil || reply.Cause != call.CauseNone {
			t.Fatal(reply, err)
		}
		if err := a.WaitAnswered(ctx); err != nil {
			t.Fatal(err)
		}
		end.arrives(ctx, t)
		if err := a.Hangup(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for owner := ""; owner != "n1"; { // the fact crosses to this node
		if e, err := remote.Owner("ivr"); err == nil {
			owner = e.Node()
		}
		if ctx.Err() != nil {
			t.Fatal("the registration is not known here")
		}
		time.Sleep(10 * time.Millisecond)
	}
	answers("n1")
	c.Kill("n1")
	for moved := false; !moved; {
		select {
		case n := <-session.Notes():
			moved = n.Device == "ivr" && n.Node == "n2"
		case <-ctx.Done():
			t.Fatal("the terminal is registered nowhere")
		}
	}
	answers("n2")
}
