package peers

import (
	"context"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/service/ctimanager"
)

// TestJTAPICalls: Cisco's client opens a provider over mutual TLS with the certificate it has enrolled for, and does every call operation of
// its public interface that a phone can take, with real phones (baresip) at the other ends. What it does is said in scenes; after
// each the client must know of no call and nobody in any.
func TestJTAPICalls(t *testing.T) { jtapiCalls(t, "12.5", true) }

// TestJTAPICallsInClear is the same on port 2748, with the newest client, whose TLS needs a provider of cryptography of its own.
func TestJTAPICallsInClear(t *testing.T) { jtapiCalls(t, "15", false) }

// TestJTAPIOlder is the same with the other versions.
func TestJTAPIOlder(t *testing.T) {
	if os.Getenv("LOCKTONE_ALL") != "1" {
		t.Skip("LOCKTONE_ALL=1 tries 11.5 and 14 too; they speak as 12.5 and 15 do")
	}
	t.Run("11.5", func(t *testing.T) { jtapiCalls(t, "11.5", false) })
	t.Run("14", func(t *testing.T) { jtapiCalls(t, "14", false) })
}

// A jtapiStage is a site with a client that controls alice (2001), bob (2002) and carol (2003), each a baresip, and with dave (2004), a baresip it
// knows nothing of.
type jtapiStage struct {
	*testSite
	*jtapi
	jtapiMode
	phones map[string]*Baresip
	tone   string
	cti    ctimanager.Config // what its CTI manager runs with
}

// A jtapiMode is how the client comes: over mutual TLS or in clear, and in the group that is given the keys of media or not.
type jtapiMode struct{ secure, keys bool }

var jtapiCast = []string{"alice", "bob", "carol", "dave"}

func jtapiNumber(name string) string { return "200" + string(rune('1'+slices.Index(jtapiCast, name))) }

func jtapiCalls(t *testing.T, version string, secure bool) {
	jtapiPlay(t, version, jtapiMode{secure: secure, keys: secure}, append(jtapiScenes(), jtapiFeatureScenes()...))
}

// jtapiPlay plays scenes one after another on one stage.
func jtapiPlay(t *testing.T, version string, mode jtapiMode, scenes []jtapiScene) {
	needJTAPI(t, version)
	Need(t, baresip, sox)
	t.Parallel()
	st := startJTAPIStage(t, version, mode)
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			ctx := within(t, 60*time.Second)
			mark := st.Mark()
			sc.play(t, ctx, st)
			st.idle(t, ctx)
			ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
			defer cancel()
			st.inOrder(t, ctx, mark, sc.hears...)
			st.noGhosts(t, mark)
		})
	}
}

func startJTAPIStage(t *testing.T, version string, mode jtapiMode) *jtapiStage {
	t.Helper()
	ctx := within(t, 120*time.Second)
	st := &jtapiStage{jtapiMode: mode, phones: map[string]*Baresip{}, tone: makeTone(t, callerTone, 120)}
	st.testSite = startSite(t, func(c *config.Site) { jtapiSite(c, mode) }, lab.Options{TuneCTI: func(c *ctimanager.Config) { st.cti = *c }})
	for _, name := range jtapiCast {
		st.phones[name] = st.baresip(t, ctx, name, st.tone, false)
	}
	st.jtapi = startJTAPI(t, ctx, st.testSite, version)
	how := st.CallManager().String() + ";login=" + jtapiUser + ";passwd=" + jtapiPassword
	if mode.secure {
		if said := st.must(t, ctx, "enrol "+st.order(t, ctx, st.testSite)+" "+st.at); !strings.Contains(said, "updated=true") {
			t.Fatalf("%s\n%s", said, st.Tail(40))
		}
		how += ";InstanceID=" + jtapiInstance + ";CertStorePassphrase=" + jtapiPassphrase
	}
	if said := st.must(t, ctx, "open "+how); said != "state=in-service" {
		t.Fatalf("the provider: %s\n%s", said, st.Tail(60))
	}
	if said, want := st.must(t, ctx, "terminals"), "PORT1:2006@internal RP1:2005@internal alice:2001@internal bob:2002@internal carol:2003@internal gina2:2007@internal gina:2007@internal"; sorted(said) != want {
		t.Fatalf("its terminals: %s, expected %s", said, want)
	}
	mark := st.Mark()
	st.must(t, ctx, "observe alice bob carol")
	for _, name := range []string{"alice", "bob", "carol"} {
		st.heard(t, ctx, mark, "CiscoTermInServiceEv", "terminal="+name+" ")
		st.heard(t, ctx, mark, "CiscoAddrInServiceEv", "line="+jtapiNumber(name)+" ")
	}
	return st
}

const jtapiPassword = "secret12"

// jtapiSite is the configuration of a stage. Beside the cast there are gina and gina2, who share a line, a route point, a port, and erin, whom the
// client may not control at first.
func jtapiSite(c *config.Site, mode jtapiMode) {
	withCAPF(c, config.NodeService{LegacyRSA: true}) // it knows no ECDHE
	c.Nodes[0].Services = append(c.Nodes[0].Services, config.NodeService{Service: config.ServiceCTIManager, Clear: !mode.secure})
	for _, name := range jtapiCast {
		addPhone(c, name, jtapiNumber(name), "encrypted")
	}
	for i, d := range []config.Device{{Name: "RP1", Protocol: config.ProtocolCTIRoutePoint}, {Name: "PORT1", Protocol: config.ProtocolCTIPort}} {
		number := "200" + string(rune('5'+i))
		d.DevicePool, d.Lines = "default", []config.Appearance{{Number: number, Partition: "internal"}}
		c.Devices = append(c.Devices, d)
		c.Lines = append(c.Lines, config.Line{Number: number, Partition: "internal", CallingSearchSpace: "internal"})
	}
	addPhone(c, "gina", "2007", "encrypted")
	addPhone(c, "erin", "2008", "encrypted")
	c.Devices = append(c.Devices, config.Device{Name: "gina2", DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard",
		Lines: []config.Appearance{{Number: "2007", Partition: "internal"}}})
	c.PickupGroups = append(c.PickupGroups, config.PickupGroup{Name: "team", Number: "71"})
	for i := range c.Lines {
		if n := c.Lines[i].Number; n == "2001" || n == "2003" {
			c.Lines[i].PickupGroup = "team"
		}
	}
	u := config.User{Name: jtapiUser, Password: config.NewVerifier(jtapiPassword), Devices: append([]string{"RP1", "PORT1", "gina", "gina2"}, jtapiCast[:3]...),
		Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTICallPark}}
	if !mode.secure { // a port in clear has plain RTP
		c.Cluster.MixedCalls = config.MixedAnchor
	} else {
		u.Groups = append(u.Groups, config.GroupCTISecureConnection)
	}
	if mode.keys {
		u.Groups = append(u.Groups, config.GroupCTISRTPKeys)
	}
	c.Users = append(c.Users, u)
}

func sorted(words string) string {
	w := strings.Fields(words)
	slices.Sort(w)
	return strings.Join(w, " ")
}

// idle waits until the client knows of no call, and the phones of none.
func (st *jtapiStage) idle(t *testing.T, ctx context.Context) {
	t.Helper()
	var said string
	eventually(t, ctx, "no call is left", func() bool {
		said = st.must(t, ctx, "state")
		return said == ""
	})
}

// inOrder waits until, from a mark on, events have been heard in this order, others between them. Words of one pattern all stand in one line.
func (st *jtapiStage) inOrder(t *testing.T, ctx context.Context, mark int, patterns ...string) {
	t.Helper()
	at := mark
	for _, p := range patterns {
		for {
			said, err := st.Wait(ctx, at, "event ")
			if err != nil {
				t.Errorf("the event %q was not heard, or not behind those before it: %v\n%s", p, err, strings.Join(st.eventsSince(mark), "\n"))
				return
			}
			at += 1 + slices.Index(st.Output()[at:], said)
			if says(strings.TrimPrefix(said, "event "), p) {
				break
			}
		}
	}
}

// noGhosts: every connection the client made is of somebody who was there, and every operation it was given came to the end it waits for.
func (st *jtapiStage) noGhosts(t *testing.T, mark int) {
	t.Helper()
	for _, line := range st.Output()[mark:] {
		if strings.Contains(line, "post condition") {
			t.Errorf("an operation did not end as the client expects: %s", line)
		}
		if !strings.HasPrefix(line, "event ConnCreatedEv") {
			continue
		}
		if !slices.ContainsFunc(strings.Fields(line), func(w string) bool {
			number, ok := strings.CutPrefix(w, "line=")
			return ok && (len(number) == 4 && number >= "2001" && number <= "2008" || strings.HasPrefix(number, "7") || number == "Unknown")
		}) {
			t.Errorf("nobody has that number: %s", line)
		}
	}
}

// says is whether all words of a pattern stand in a line.
func says(line, pattern string) bool {
	have := strings.Fields(line)
	return !slices.ContainsFunc(strings.Fields(pattern), func(w string) bool { return !slices.Contains(have, w) })
}

// ringing waits until a phone rings.
func (st *jtapiStage) ringing(t *testing.T, ctx context.Context, name string, mark int) {
	t.Helper()
	if _, err := st.phones[name].Event(ctx, mark, "CALL_INCOMING"); err != nil {
		t.Fatalf("%s does not ring: %v\n%s", name, err, strings.Join(st.eventsSince(0), "\n"))
	}
}

// ends waits until the calls of a phone are over.
func (st *jtapiStage) ends(t *testing.T, ctx context.Context, name string, mark int) {
	t.Helper()
	if _, err := st.phones[name].Event(ctx, mark, "CALL_CLOSED"); err != nil {
		t.Fatalf("the call of %s does not end: %v", name, err)
	}
}

// A jtapiScene is an operation of the client: what it and the phones do, and which events are heard, in this order.
type jtapiScene struct {
	name  string
	play  func(*testing.T, context.Context, *jtapiStage)
	hears []string
}

func jtapiScenes() []jtapiScene {
	return []jtapiScene{
		{"make and drop", jtapiMake, []string{
			"CallActiveEv", "ConnCreatedEv line=2001", "CallCtlConnInitiatedEv line=2001", "CallCtlConnDialingEv line=2001", "CallCtlConnEstablishedEv line=2001",
			"ConnCreatedEv line=2002", "CallCtlConnAlertingEv line=2002", "CallCtlTermConnRingingEv terminal=bob", "CallCtlConnEstablishedEv line=2002",
			"CallCtlTermConnTalkingEv terminal=bob", "CallInvalidEv"}},
		{"answer a stranger", jtapiAnswer, []string{
			"CallActiveEv", "CallCtlConnOfferedEv line=2001", "CallCtlConnAlertingEv line=2001", "CallCtlTermConnRingingEv terminal=alice", "CallCtlConnEstablishedEv line=2001",
			"CallCtlTermConnTalkingEv terminal=alice", "CallCtlConnDisconnectedEv line=2001", "CallInvalidEv"}},
		{"hold and retrieve", jtapiHold, []string{"CallCtlTermConnHeldEv terminal=alice", "CallCtlTermConnTalkingEv terminal=alice"}},
		{"reject", jtapiReject, []string{"CallCtlTermConnRingingEv terminal=alice", "CallCtlTermConnDroppedEv terminal=alice", "CallInvalidEv"}},
		{"redirect a ringing call", jtapiRedirect, []string{"CallCtlTermConnRingingEv terminal=alice", "CallCtlTermConnDroppedEv terminal=alice", "CallCtlTermConnRingingEv terminal=bob"}},
		{"single-step transfer", jtapiBlind, []string{"CallCtlTermConnTalkingEv terminal=alice", "CallCtlTermConnDroppedEv terminal=alice"}},
		{"consult and transfer", jtapiConsultTransfer, []string{"CallCtlTermConnHeldEv terminal=alice", "CiscoConsultCallActiveEv", "CiscoTransferStartEv", "CallCtlTermConnDroppedEv terminal=alice", "CiscoTransferEndEv"}},
		{"consult and conference", jtapiConsultConference, []string{"CallCtlTermConnHeldEv terminal=alice", "CiscoConsultCallActiveEv", "CiscoConferenceStartEv", "CiscoConferenceEndEv"}},
		{"park and retrieve", jtapiPark, []string{"CallCtlTermConnTalkingEv terminal=alice", "CallCtlTermConnDroppedEv terminal=alice", "CallCtlTermConnTalkingEv terminal=bob"}},
		{"digits", jtapiDigits, nil},
		{"forward", jtapiForward, []string{"CallCtlAddrFwdEv line=2001", "CallCtlTermConnRingingEv terminal=bob"}},
		{"do not disturb", jtapiDND, []string{"CiscoTermDNDStatusChangedEv terminal=alice", "CiscoTermDNDStatusChangedEv terminal=alice"}},
		{"message waiting", jtapiWaiting, nil},
		{"two calls joined by a transfer", jtapiDirectTransfer, []string{"CiscoTransferStartEv", "CallCtlTermConnDroppedEv terminal=alice", "CiscoTransferEndEv"}},
		{"pick up a call of the group", jtapiPickup, []string{"CallCtlTermConnRingingEv terminal=carol", "CallCtlTermConnTalkingEv terminal=alice"}},
		{"a route point selects a route", jtapiRoute, []string{"RouteEvent line=2005", "CallCtlTermConnRingingEv terminal=bob", "CallCtlTermConnTalkingEv terminal=bob"}},
		{"a port with media of its own", jtapiPort, []string{"CallCtlTermConnRingingEv terminal=PORT1", "CallCtlTermConnTalkingEv terminal=PORT1", "CiscoRTPInputStartedEv terminal=PORT1", "CiscoRTPInputStoppedEv terminal=PORT1"}},
		{"monitoring and recording are refused", jtapiRefused, nil},
		{"a snapshot; park to an address is not in the client", jtapiSnapshot, []string{"CiscoTermSnapshotEv terminal=alice"}},
	}
}

// lift gives the client a line by which a phone is to be made to answer. Debian's baresip does not know how it is asked for that (it is rung with
// answer-after=0, which later versions obey), so somebody lifts its handset when it rings.
func (st *jtapiStage) lift(t *testing.T, ctx context.Context, name, line string) string {
	t.Helper()
	phone, mark := st.phones[name], st.phones[name].EventMark()
	lifted := make(chan error, 1)
	go func() {
		_, err := phone.Event(ctx, mark, "CALL_INCOMING")
		if err == nil {
			err = phone.Command("accept", "")
		}
		lifted <- err
	}()
	said := st.must(t, ctx, line)
	if err := <-lifted; err != nil {
		t.Fatalf("%s: the phone of %s did not ring for it: %v", line, name, err)
	}
	return said
}

// answer has the client answer a phone that rings.
func (st *jtapiStage) answer(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	st.lift(t, ctx, name, "answer "+name)
}

// connect calls from one controlled phone to another and answers there, by the client.
func (st *jtapiStage) connect(t *testing.T, ctx context.Context, from, to string) {
	t.Helper()
	rings, mark := st.phones[to].EventMark(), st.Mark()
	st.lift(t, ctx, from, "call "+from+" "+jtapiNumber(from)+" "+jtapiNumber(to))
	st.ringing(t, ctx, to, rings)
	if to == "dave" {
		must(t, st.phones[to].Command("accept", ""))
	} else {
		st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal="+to+" ")
		st.answer(t, ctx, to)
		st.heard(t, ctx, mark, "CallCtlTermConnTalkingEv", "terminal="+to+" ")
	}
	st.heard(t, ctx, mark, "CallCtlConnEstablishedEv", "line="+jtapiNumber(to)+" ")
}

func jtapiMake(t *testing.T, ctx context.Context, st *jtapiStage) {
	mark := st.phones["bob"].EventMark()
	st.connect(t, ctx, "alice", "bob")
	st.must(t, ctx, "drop alice")
	st.ends(t, ctx, "bob", mark)
}

func jtapiAnswer(t *testing.T, ctx context.Context, st *jtapiStage) {
	mark, dave := st.Mark(), st.phones["dave"].EventMark()
	must(t, st.phones["dave"].Dial("2001"))
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=alice ")
	st.answer(t, ctx, "alice")
	if _, err := st.phones["dave"].Event(ctx, dave, "CALL_ESTABLISHED"); err != nil {
		t.Fatal(err)
	}
	must(t, st.phones["dave"].Command("hangup", ""))
	st.heard(t, ctx, mark, "CallInvalidEv")
}

func jtapiHold(t *testing.T, ctx context.Context, st *jtapiStage) {
	st.connect(t, ctx, "alice", "dave")
	mark := st.Mark()
	st.must(t, ctx, "hold alice")
	st.heard(t, ctx, mark, "CallCtlTermConnHeldEv", "terminal=alice ")
	st.must(t, ctx, "unhold alice")
	st.heard(t, ctx, mark, "CallCtlTermConnTalkingEv", "terminal=alice ")
	st.must(t, ctx, "drop alice")
}

func jtapiReject(t *testing.T, ctx context.Context, st *jtapiStage) {
	mark, dave := st.Mark(), st.phones["dave"].EventMark()
	must(t, st.phones["dave"].Dial("2001"))
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=alice ")
	st.must(t, ctx, "drop alice")
	st.ends(t, ctx, "dave", dave)
}

func jtapiRedirect(t *testing.T, ctx context.Context, st *jtapiStage) {
	mark, bob := st.Mark(), st.phones["bob"].EventMark()
	must(t, st.phones["dave"].Dial("2001"))
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=alice ")
	st.must(t, ctx, "redirect alice 2002")
	st.ringing(t, ctx, "bob", bob)
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=bob ")
	st.answer(t, ctx, "bob")
	st.heard(t, ctx, mark, "CallCtlTermConnTalkingEv", "terminal=bob ")
	carol := st.phones["carol"].EventMark()
	st.must(t, ctx, "redirect bob 2003")
	st.ringing(t, ctx, "carol", carol)
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=carol ")
	st.answer(t, ctx, "carol")
	st.heard(t, ctx, mark, "CallCtlTermConnTalkingEv", "terminal=carol ")
	st.must(t, ctx, "drop carol")
}

func jtapiBlind(t *testing.T, ctx context.Context, st *jtapiStage) {
	st.connect(t, ctx, "alice", "bob")
	dave := st.phones["dave"].EventMark()
	st.must(t, ctx, "blind alice 2004")
	st.ringing(t, ctx, "dave", dave)
	must(t, st.phones["dave"].Command("accept", ""))
	if _, err := st.phones["dave"].Event(ctx, dave, "CALL_ESTABLISHED"); err != nil {
		t.Fatal(err)
	}
	st.established(t, ctx, "2002", "2004")
	st.must(t, ctx, "drop bob")
	st.ends(t, ctx, "dave", dave)
}

// consult has alice, in a call with bob, call dave beside it.
func (st *jtapiStage) consult(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	st.connect(t, ctx, "alice", "bob")
	mark, dave := st.Mark(), st.phones["dave"].EventMark()
	st.lift(t, ctx, "alice", "consult alice 2004 "+what)
	st.ringing(t, ctx, "dave", dave)
	must(t, st.phones["dave"].Command("accept", ""))
	st.heard(t, ctx, mark, "CallCtlConnEstablishedEv", "line=2004 ")
}

// jtapiEstablished is how the client numbers the state of a connection that stands (CallControlConnection.ESTABLISHED).
const jtapiEstablished = "=88"

// established waits until the client knows of one call, in which these numbers and nobody else are established.
func (st *jtapiStage) established(t *testing.T, ctx context.Context, numbers ...string) {
	t.Helper()
	var said string
	eventually(t, ctx, strings.Join(numbers, " and ")+" are established in one call", func() bool {
		said = st.must(t, ctx, "state")
		if strings.Count(said, "[") != 1 || len(strings.Fields(said)) != len(numbers)+1 {
			return false
		}
		return !slices.ContainsFunc(numbers, func(n string) bool { return !strings.Contains(said, " "+n+jtapiEstablished) })
	})
}

func jtapiConsultTransfer(t *testing.T, ctx context.Context, st *jtapiStage) {
	st.consult(t, ctx, "transfer")
	mark := st.Mark()
	st.must(t, ctx, "transfer alice")
	st.heard(t, ctx, mark, "CiscoTransferEndEv")
	st.established(t, ctx, "2002", "2004")
	st.must(t, ctx, "drop bob")
}

func jtapiConsultConference(t *testing.T, ctx context.Context, st *jtapiStage) {
	st.consult(t, ctx, "conference")
	mark, dave := st.Mark(), st.phones["dave"].EventMark()
	st.must(t, ctx, "conference alice")
	st.heard(t, ctx, mark, "CiscoConferenceEndEv")
	eventually(t, ctx, "all three are in one call", func() bool {
		said := st.must(t, ctx, "state")
		return strings.Count(said, "[") == 1 && strings.Contains(said, "2001=") && strings.Contains(said, "2002=") && strings.Contains(said, "2004=")
	})
	st.must(t, ctx, "dropparty alice 2004")
	st.heard(t, ctx, mark, "ConnDisconnectedEv", "line=2004 ")
	st.ends(t, ctx, "dave", dave)
	st.established(t, ctx, "2001", "2002")
	st.must(t, ctx, "drop alice")
}

func jtapiPark(t *testing.T, ctx context.Context, st *jtapiStage) {
	must(t, st.phones["dave"].Dial("2001"))
	mark := st.Mark()
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=alice ")
	st.answer(t, ctx, "alice")
	st.heard(t, ctx, mark, "CallCtlTermConnTalkingEv", "terminal=alice ")
	slot := st.must(t, ctx, "park alice")
	if slot != "7000" {
		t.Fatalf("parked at %q", slot)
	}
	fetched := st.lift(t, ctx, "bob", "unpark bob 2002 "+slot)
	st.heard(t, ctx, mark, "CallCtlTermConnTalkingEv", "terminal=bob ")
	st.established(t, ctx, "2002", "2004")
	if said := st.must(t, ctx, "state"); !strings.HasPrefix(said, "["+fetched+" ") {
		t.Errorf("the client fetched call %s, and has %s", fetched, said)
	}
	st.must(t, ctx, "drop bob")
}

func jtapiDigits(t *testing.T, ctx context.Context, st *jtapiStage) {
	st.connect(t, ctx, "alice", "dave")
	dave := st.phones["dave"].EventMark()
	st.must(t, ctx, "dtmf alice 1#")
	eventually(t, ctx, "dave hears both keys", func() bool { return st.phones["dave"].keys(dave) == "1#" })
	st.must(t, ctx, "drop alice")
}

func jtapiForward(t *testing.T, ctx context.Context, st *jtapiStage) {
	st.must(t, ctx, "forward 2001 2002")
	if said := st.must(t, ctx, "forwarding 2001"); said != "2002" {
		t.Errorf("forwarded to %q", said)
	}
	mark := st.Mark()
	must(t, st.phones["dave"].Dial("2001"))
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=bob ")
	must(t, st.phones["dave"].Command("hangup", ""))
	st.must(t, ctx, "unforward 2001")
	if said := st.must(t, ctx, "forwarding 2001"); said != "none" {
		t.Errorf("still forwarded to %q", said)
	}
}

func jtapiDND(t *testing.T, ctx context.Context, st *jtapiStage) {
	mark := st.Mark()
	st.must(t, ctx, "dnd alice on")
	st.heard(t, ctx, mark, "CiscoTermDNDStatusChangedEv")
	mark = st.Mark()
	if said := st.must(t, ctx, "dndoption alice"); said != "2" { // calls are rejected
		t.Errorf("do not disturb does %s", said)
	}
	st.must(t, ctx, "dnd alice off")
	st.heard(t, ctx, mark, "CiscoTermDNDStatusChangedEv")
}

func jtapiWaiting(t *testing.T, ctx context.Context, st *jtapiStage) {
	st.must(t, ctx, "waiting 2001 on")
	st.must(t, ctx, "summary 2001 3")
	st.must(t, ctx, "waiting 2001 off")
}

func jtapiDirectTransfer(t *testing.T, ctx context.Context, st *jtapiStage) {
	st.connect(t, ctx, "alice", "bob")
	st.must(t, ctx, "hold alice")
	st.connect(t, ctx, "alice", "dave")
	mark := st.Mark()
	st.must(t, ctx, "transfer alice")
	st.heard(t, ctx, mark, "CiscoTransferEndEv")
	st.established(t, ctx, "2002", "2004")
	st.must(t, ctx, "drop bob")
}

func jtapiPickup(t *testing.T, ctx context.Context, st *jtapiStage) {
	mark, carol := st.Mark(), st.phones["carol"].EventMark()
	must(t, st.phones["dave"].Dial("2003"))
	st.ringing(t, ctx, "carol", carol)
	st.lift(t, ctx, "alice", "pickup alice 2001")
	st.heard(t, ctx, mark, "CallCtlTermConnTalkingEv", "terminal=alice ")
	st.must(t, ctx, "drop alice")
}

func jtapiRoute(t *testing.T, ctx context.Context, st *jtapiStage) {
	st.must(t, ctx, "registerroute RP1")
	st.must(t, ctx, "observe RP1")
	st.must(t, ctx, "route 2002")
	mark := st.Mark()
	must(t, st.phones["dave"].Dial("2005"))
	st.heard(t, ctx, mark, "RouteUsedEvent")
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=bob ")
	st.answer(t, ctx, "bob")
	st.must(t, ctx, "drop bob")
	st.must(t, ctx, "unregisterroute RP1")
}

// jtapiPort: with SRTP over TLS. In clear an application is given no keys, so that its port has plain RTP, which no protected phone is joined with.
func jtapiPort(t *testing.T, ctx context.Context, st *jtapiStage) {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	defer socket.Close()
	line := "register PORT1 127.0.0.1 " + strconv.Itoa(socket.LocalAddr().(*net.UDPAddr).Port)
	if st.secure {
		line += " 1 2"
	}
	st.must(t, ctx, line)
	mark := st.Mark()
	st.must(t, ctx, "observe PORT1")
	st.heard(t, ctx, mark, "CiscoTermInServiceEv", "terminal=PORT1 ")
	must(t, st.phones["dave"].Dial("2006"))
	st.heard(t, ctx, mark, "CallCtlConnOfferedEv", "line=2006 ")
	st.must(t, ctx, "accept PORT1")
	st.heard(t, ctx, mark, "CallCtlTermConnRingingEv", "terminal=PORT1 ")
	st.must(t, ctx, "answer PORT1")
	st.heard(t, ctx, mark, "CiscoRTPOutputStartedEv", "terminal=PORT1 ")
	if st.secure { // who is not entitled is told that there are keys, and not which
		st.heard(t, ctx, mark, "CiscoRTPInputKeyEv", "terminal=PORT1 ", "key="+strconv.FormatBool(st.keys))
		st.heard(t, ctx, mark, "CiscoRTPOutputKeyEv", "terminal=PORT1 ", "key="+strconv.FormatBool(st.keys))
	}
	must(t, socket.SetReadDeadline(time.Now().Add(20*time.Second)))
	if n, err := socket.Read(make([]byte, 2048)); err != nil || n < 40 {
		t.Errorf("from dave came %d octets of media: %v", n, err)
	}
	st.must(t, ctx, "drop PORT1")
	st.must(t, ctx, "unregister PORT1")
}

// jtapiSnapshot: the client is told how well the call is protected, and takes that as the end of what it asked for.
func jtapiSnapshot(t *testing.T, ctx context.Context, st *jtapiStage) {
	st.connect(t, ctx, "alice", "dave")
	mark := st.Mark()
	st.must(t, ctx, "snapshot alice")
	st.heard(t, ctx, mark, "CiscoTermSnapshotEv", "terminal=alice ")
	if said := st.do(t, ctx, "parkat alice 7001"); !strings.Contains(said, "Unimplemented") {
		t.Errorf("park at a number of one's choice, which the client did not have: %s", said)
	}
	st.must(t, ctx, "drop alice")
}

// jtapiRefused: what is not there yet is answered at once, with the protocol's error.
func jtapiRefused(t *testing.T, ctx context.Context, st *jtapiStage) {
	st.connect(t, ctx, "alice", "dave")
	for line, want := range map[string]string{"monitor carol 2003 alice": "Start monitoring failed", "record alice": "Start Recording request failed"} {
		begun := time.Now()
		if said := st.do(t, ctx, line); !strings.Contains(said, want) || time.Since(begun) > 10*time.Second {
			t.Errorf("%s: %s, after %v", line, said, time.Since(begun))
		}
	}
	st.must(t, ctx, "drop alice")
}
