package peers

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/ctimanager"
	"github.com/locktone/locktone/store"
)

// TestJTAPIWithoutKeys: who is not in the group for it opens ports with SRTP over mutual TLS, and is given no keys.
func TestJTAPIWithoutKeys(t *testing.T) {
	jtapiPlay(t, "12.5", jtapiMode{secure: true}, []jtapiScene{{"a port with media of its own", jtapiPort, nil}})
}

// jtapiFeatureScenes are what else there is than calls, and calls that few make.
func jtapiFeatureScenes() []jtapiScene {
	return []jtapiScene{
		{"pick up a call of a group by its number", jtapiGroupPickup, []string{"CallCtlTermConnTalkingEv terminal=bob"}},
		{"pick up a call that rings at a number", jtapiDirectedPickup, []string{"CallCtlTermConnTalkingEv terminal=alice"}},
		{"redirect with everything", jtapiRedirectAs, []string{"CallCtlTermConnRingingEv terminal=alice", "CallCtlTermConnDroppedEv terminal=alice", "CallCtlTermConnRingingEv terminal=bob"}},
		{"a port rejects what it is offered", jtapiPortRejects, []string{"CallCtlConnOfferedEv line=2006", "CallInvalidEv"}},
		{"a port calls, holds and retrieves", jtapiPortCalls, []string{"CiscoRTPInputStartedEv terminal=PORT1", "CallCtlTermConnHeldEv terminal=PORT1",
			"CallCtlTermConnTalkingEv terminal=PORT1", "CallInvalidEv"}},
		{"a route point ends its route", jtapiRouteEnds, []string{"RouteEvent line=2005", "RouteEndEvent", "CallInvalidEv"}},
		{"a route point selects a number that nobody has", jtapiRouteBad, []string{"RouteEvent line=2005", "ReRouteEvent", "CallInvalidEv"}},
		{"a line that two phones share", jtapiShared, []string{"CallCtlTermConnRingingEv terminal=gina", "CallCtlTermConnTalkingEv terminal=gina", "CallInvalidEv"}},
		{"hunting", jtapiHunt, nil},
		{"what phones do not take", jtapiNotTaken, nil},
		{"devices come and go", jtapiDevices, []string{"CiscoTermCreatedEv terminal=erin", "CiscoTermRemovedEv terminal=erin"}},
		{"the CTI manager is started again", jtapiReconnect, []string{"ProvOutOfServiceEv", "ProvInServiceEv", "CallActiveEv", "CallCtlTermConnTalkingEv terminal=alice", "CallInvalidEv"}},
		// The last: once it has registered for a group, the client does so again without end when it comes again after a loss.
		{"be told what rings in a group", jtapiPickupAlert, []string{"CiscoProvPickupCallAlertEv group=71"}},
	}
}

// rings has dave call a number, and waits until a phone rings for it.
func (st *jtapiStage) rings(t *testing.T, ctx context.Context, name, number string) {
	t.Helper()
	mark := st.phones[name].EventMark()
	must(t, st.phones["dave"].Dial(number))
	st.ringing(t, ctx, name, mark)
}

func jtapiGroupPickup(t *testing.T, ctx context.Context, st *jtapiStage) {
	mark := st.Mark()
	st.rings(t, ctx, "carol", "2003")
	st.lift(t, ctx, "bob", "pickup bob 2002 71")
	st.heard(t, ctx, mark, "CallCtlTermConnTalkingEv", "terminal=bob ")
	st.established(t, ctx, "2002", "2004")
	st.must(t, ctx, "drop bob")
}

func jtapiDirectedPickup(t *testing.T, ctx context.Context, st *jtapiStage) {
	mark := st.Mark()
	st.rings(t, ctx, "carol", "2003")
	st.lift(t, ctx, "alice", "directed alice 2001 2003")
	st.heard(t, ctx, mark, "CallCtlTermConnTalkingEv", "terminal=alice ")
	st.established(t, ctx, "2001", "2004")
	st.must(t, ctx, "drop alice")
}

func jtapiPickupAlert(t *testing.T, ctx context.Context, st *jtapiStage) {
	st.must(t, ctx, "pickupalert 71")
	mark := st.Mark()
	st.rings(t, ctx, "carol", "2003")
	st.heard(t, ctx, mark, "CiscoProvPickupCallAlertEv", "group=71 ")
	must(t, st.phones["dave"].Command("hangup", ""))
	st.heard(t, ctx, mark, "CallInvalidEv")
	st.must(t, ctx, "nopickupalert 71")
	if said := st.do(t, ctx, "pickupalert 99"); !strings.Contains(said, "CTIERR_INVALID_PICKUPGROUP") {
		t.Errorf("calls of a group that is not there: %s", said)
	}
}

func jtapiRedirectAs(t *testing.T, ctx context.Context, st *jtapiStage) {
	mark := st.Mark()
	st.rings(t, ctx, "alice", "2001")
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=alice ")
	bob := st.phones["bob"].EventMark()
	st.must(t, ctx, "redirectas alice 2002 8888 9999 123")
	st.ringing(t, ctx, "bob", bob)
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=bob ")
	st.answer(t, ctx, "bob")
	st.heard(t, ctx, mark, "CallCtlTermConnTalkingEv", "terminal=bob ")
	st.established(t, ctx, "2002", "2004")
	st.must(t, ctx, "drop bob")
}

// port registers PORT1 with media at a socket of the test.
func (st *jtapiStage) port(t *testing.T, ctx context.Context) *net.UDPConn {
	t.Helper()
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { socket.Close() })
	line := "register PORT1 127.0.0.1 " + strconv.Itoa(socket.LocalAddr().(*net.UDPAddr).Port)
	if st.secure {
		line += " 1 2"
	}
	mark := st.Mark()
	st.must(t, ctx, line)
	st.must(t, ctx, "observe PORT1")
	st.heard(t, ctx, mark, "CiscoTermInServiceEv", "terminal=PORT1 ")
	return socket
}

// hearsMedia waits for a packet.
func hearsMedia(t *testing.T, socket *net.UDPConn) {
	t.Helper()
	must(t, socket.SetReadDeadline(time.Now().Add(20*time.Second)))
	if n, err := socket.Read(make([]byte, 2048)); err != nil || n < 40 {
		t.Errorf("from dave came %d octets of media: %v", n, err)
	}
}

func jtapiPortRejects(t *testing.T, ctx context.Context, st *jtapiStage) {
	st.port(t, ctx)
	mark, dave := st.Mark(), st.phones["dave"].EventMark()
	must(t, st.phones["dave"].Dial("2006"))
	st.heard(t, ctx, mark, "CallCtlConnOfferedEv", "line=2006 ")
	st.must(t, ctx, "reject PORT1")
	st.ends(t, ctx, "dave", dave)
	st.must(t, ctx, "unregister PORT1")
}

func jtapiPortCalls(t *testing.T, ctx context.Context, st *jtapiStage) {
	socket := st.port(t, ctx)
	mark, dave := st.Mark(), st.phones["dave"].EventMark()
	st.must(t, ctx, "call PORT1 2006 2004")
	st.ringing(t, ctx, "dave", dave)
	must(t, st.phones["dave"].Command("accept", ""))
	st.heard(t, ctx, mark, "CallCtlConnEstablishedEv", "line=2004 ")
	st.heard(t, ctx, mark, "CiscoRTPOutputStartedEv", "terminal=PORT1 ")
	hearsMedia(t, socket)
	mark = st.Mark()
	st.must(t, ctx, "hold PORT1")
	st.heard(t, ctx, mark, "CiscoRTPInputStoppedEv", "terminal=PORT1 ")
	st.heard(t, ctx, mark, "CiscoRTPOutputStoppedEv", "terminal=PORT1 ")
	mark = st.Mark()
	st.must(t, ctx, "unhold PORT1")
	st.heard(t, ctx, mark, "CiscoRTPInputStartedEv", "terminal=PORT1 ")
	st.heard(t, ctx, mark, "CiscoRTPOutputStartedEv", "terminal=PORT1 ")
	st.must(t, ctx, "drop PORT1")
	st.ends(t, ctx, "dave", dave)
	st.must(t, ctx, "unregister PORT1")
}

// routes has dave call the route point, which does what is said.
func (st *jtapiStage) routes(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	st.must(t, ctx, "registerroute RP1")
	st.must(t, ctx, "route "+what)
	mark, dave := st.Mark(), st.phones["dave"].EventMark()
	must(t, st.phones["dave"].Dial("2005"))
	st.heard(t, ctx, mark, "RouteEndEvent")
	must(t, st.phones["dave"].Command("hangup", ""))
	st.ends(t, ctx, "dave", dave)
	st.heard(t, ctx, mark, "CallInvalidEv")
	st.must(t, ctx, "unregisterroute RP1")
}

func jtapiRouteEnds(t *testing.T, ctx context.Context, st *jtapiStage) { st.routes(t, ctx, "end") }

// jtapiRouteBad: the application may select again; as it does not, the call ends with the New Call Accept Timer. The client tells of that and of the
// end of the route on two threads.
func jtapiRouteBad(t *testing.T, ctx context.Context, st *jtapiStage) { st.routes(t, ctx, "9998") }

// States of the terminal of a line that has no call of its own (CallControlTerminalConnection): BRIDGED may come into the call, INUSE may not.
const (
	jtapiBridged = "/gina2=100"
	jtapiInUse   = "/gina2=101"
)

// jtapiShared: both phones ring; the one that does not answer sees the call, may come into it, and may not while its user wants privacy.
func jtapiShared(t *testing.T, ctx context.Context, st *jtapiStage) {
	for _, name := range []string{"gina", "gina2"} {
		st.phones[name] = st.baresip(t, ctx, name, st.tone, false)
	}
	mark := st.Mark()
	st.must(t, ctx, "observe gina gina2")
	st.heard(t, ctx, mark, "CiscoTermInServiceEv", "terminal=gina ")
	st.heard(t, ctx, mark, "CiscoTermInServiceEv", "terminal=gina2 ")
	sees := func(what, state string) {
		t.Helper()
		var said string
		eventually(t, ctx, what, func() bool {
			said = st.must(t, ctx, "state")
			return strings.Contains(said, "/gina=98") && strings.Contains(said, state)
		})
	}
	mark = st.Mark()
	st.rings(t, ctx, "gina", "2007")
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=gina ")
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=gina2 ")
	st.answer(t, ctx, "gina")
	sees("gina2 sees the call that gina has answered", jtapiBridged)
	st.must(t, ctx, "hold gina")
	st.heard(t, ctx, mark, "CallCtlTermConnHeldEv", "terminal=gina ")
	st.must(t, ctx, "unhold gina")
	sees("gina has it back", jtapiBridged)
	if said := st.do(t, ctx, "join gina2"); !strings.Contains(said, "Unimplemented") {
		t.Errorf("coming into the call, which the client did not have: %s", said)
	}
	must(t, st.phones["gina2"].Dial("*31"))
	st.heard(t, ctx, mark, "CallCtlTermConnTalkingEv", "terminal=gina2 ")
	must(t, st.phones["gina2"].Command("hangup", ""))
	st.heard(t, ctx, mark, "CallCtlTermConnBridgedEv", "terminal=gina2 ")
	st.must(t, ctx, "drop gina")
	st.idle(t, ctx)

	gina := st.phones["gina"].EventMark()
	must(t, st.phones["gina"].Dial("*34"))
	st.ends(t, ctx, "gina", gina)
	st.idle(t, ctx)
	mark = st.Mark()
	st.rings(t, ctx, "gina", "2007")
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=gina ")
	st.answer(t, ctx, "gina")
	sees("gina2 may not come into a private call", jtapiInUse)
	st.must(t, ctx, "drop gina")
}

func jtapiHunt(t *testing.T, ctx context.Context, st *jtapiStage) {
	mark := st.Mark()
	st.must(t, ctx, "huntlog alice 2")
	st.heard(t, ctx, mark, "CiscoTermHuntLogStatusChangedEv", "terminal=alice ")
	mark = st.Mark()
	st.must(t, ctx, "huntlog alice 1")
	st.heard(t, ctx, mark, "CiscoTermHuntLogStatusChangedEv", "terminal=alice ")
}

// jtapiNotTaken: SIP phones take neither of these from an application, and the client is told so by the protocol's error.
func jtapiNotTaken(t *testing.T, ctx context.Context, st *jtapiStage) {
	for _, line := range []string{"ringer 2001 1", "data alice <x/>"} {
		if said := st.do(t, ctx, line); !strings.HasPrefix(said, "failed") || !strings.Contains(said, "COMMAND_NOT_IMPLEMENTED_ON_DEVICE") {
			t.Errorf("%s: %s", line, said)
		}
	}
}

// reconfigure changes the configuration of the site while it runs.
func (s *testSite) reconfigure(t *testing.T, ctx context.Context, f func(*config.Site)) {
	t.Helper()
	now, err := s.Store.Site(ctx)
	must(t, err)
	next := now.Site.Clone()
	f(next)
	_, err = s.Store.Apply(ctx, store.ChangeSet{Base: now.Revision.Number, Author: "test", Changes: config.Diff(now.Site, next)})
	must(t, err)
}

func jtapiDevices(t *testing.T, ctx context.Context, st *jtapiStage) {
	user := func(f func(*config.User)) func(*config.Site) {
		return func(c *config.Site) {
			for i := range c.Users {
				if c.Users[i].Name == jtapiUser {
					f(&c.Users[i])
				}
			}
		}
	}
	mark := st.Mark()
	st.reconfigure(t, ctx, user(func(u *config.User) { u.Devices = append(u.Devices, "erin") }))
	st.heard(t, ctx, mark, "CiscoTermCreatedEv", "terminal=erin ")
	if said := st.must(t, ctx, "terminals"); !strings.Contains(said, "erin:2008@internal") {
		t.Errorf("its terminals: %s", said)
	}
	mark = st.Mark()
	st.reconfigure(t, ctx, user(func(u *config.User) { u.Devices = u.Devices[:len(u.Devices)-1] }))
	st.heard(t, ctx, mark, "CiscoTermRemovedEv", "terminal=erin ")
	if said := st.must(t, ctx, "terminals"); strings.Contains(said, "erin") {
		t.Errorf("its terminals: %s", said)
	}
}

// jtapiReconnect: a call goes on while the CTI manager is away. The client is told that everything is out of service, comes again by itself, and
// is told of the call by a snapshot.
func jtapiReconnect(t *testing.T, ctx context.Context, st *jtapiStage) {
	dave := st.phones["dave"].EventMark()
	st.connect(t, ctx, "alice", "dave")
	mark := st.Mark()
	must(t, st.CTI.Close(ctx))
	st.heard(t, ctx, mark, "ProvOutOfServiceEv")
	var err error
	st.CTI, err = ctimanager.Start(ctx, st.cti)
	must(t, err)
	st.heard(t, ctx, mark, "ProvInServiceEv")
	st.heard(t, ctx, mark, "CallCtlTermConnTalkingEv", "terminal=alice ")
	st.established(t, ctx, "2001", "2004")
	st.must(t, ctx, "drop alice")
	st.ends(t, ctx, "dave", dave)
}
