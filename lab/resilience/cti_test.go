package resilience

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/ctimanager"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// The CTI manager under hostile applications. The good ones beside them have their certificates, passwords and phones.

const ctiPassword = "correct horse battery"

// ctiConfig has alice, bob and carol; application app may control alice and bob, application other carol.
func ctiConfig(s *config.Site) {
	groups := []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection}
	s.Users = append(s.Users,
		config.User{Name: "app", Application: true, Password: config.NewVerifier(ctiPassword), Devices: []string{"alice", "bob"}, Groups: groups},
		config.User{Name: "other", Application: true, Password: config.NewVerifier(ctiPassword), Devices: []string{"carol"}, Groups: groups})
}

// ctiSite is a site with both applications; it listens in the clear, too. login is the time for a login, 0 the usual one.
func ctiSite(t testing.TB, login time.Duration, tune func(*ctimanager.Config)) *lab.Site {
	t.Helper()
	c := withCarol()
	c.Cluster.CTILoginTimeLimit = config.Duration(login)
	ctiConfig(c)
	c.Nodes[0].Services = []config.NodeService{{Service: config.ServiceCallManager}, {Service: config.ServiceCTIManager, Clear: true}}
	return start(t, lab.Options{Config: c, TuneCTI: tune})
}

// application is one that has logged in.
func application(t testing.TB, s *lab.Site, c pki.Credential, user string) *lab.CTI {
	t.Helper()
	a := must(s.DialCTI(within(t, step), c))(t)
	t.Cleanup(func() { a.Close() })
	must(a.Login(within(t, step), user, ctiPassword))(t)
	return a
}

func enrolled(t testing.TB, s *lab.Site, user, instance string) pki.Credential {
	t.Helper()
	return must(s.Enrol(within(t, step), user, instance))(t)
}

// ctiFigure reads one of the CTI manager's metrics.
func ctiFigure(t testing.TB, s *lab.Site, name string) float64 {
	t.Helper()
	return scraped(t, s, "locktone_cti_"+name)
}

// providers waits until so many applications are logged in: a connection's end has no event of its own.
func providers(t testing.TB, s *lab.Site, n int) {
	t.Helper()
	eventually(t, step, func() error {
		rows, err := bus.Ask[bus.Query, []bus.ProviderState](within(t, step), s.Bus, s.Bus.Subject(ctimanager.Name, bus.VerbProviders), bus.Query{})
		if err != nil || len(rows) != n {
			return fmt.Errorf("%d applications are logged in, want %d: %w", len(rows), n, err)
		}
		return nil
	})
}

// mutants are the frame with one word of it changed to numbers that lie: bounds, offsets, sizes, counts. The length of the whole frame and the
// mark are not among them: with these nobody knows where the next frame begins.
func mutants(frame []byte) (out [][]byte) {
	for at := 4; at+4 <= len(frame); at += 4 {
		if at == 8 {
			continue
		}
		for _, v := range []uint32{0, 1, uint32(len(frame)) - 1, uint32(len(frame)) + 1, 1 << 20, 0x7fffffff, 0x80000000, 0xffffffff} {
			m := bytes.Clone(frame)
			binary.LittleEndian.PutUint32(m[at:], v)
			out = append(out, m)
		}
	}
	return out
}

// lies are frames whose every word is changed in turn.
func lies(seq uint32, more ...ctiqbe.Message) (out [][]byte) {
	for _, m := range more {
		ctiqbe.SetSequence(m, seq)
		out = append(out, mutants(ctiqbe.AppendClient(nil, ctiqbe.Newest, m))...)
	}
	return out
}

// endless are beginnings of a stream behind which no frame can be found. Each must end its connection.
func endless() map[string][]byte {
	good := ctiqbe.AppendClient(nil, ctiqbe.Newest, &ctiqbe.ProviderInitRequest{SequenceNumber: 1, Provider: "lab"})
	word := func(at int, v uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	return map[string][]byte{"length 0": word(0, 0), "length 23": word(0, 23), "length over the cap": word(0, 1<<20), "length 2 GiB": word(0, 0x7fffffff),
		"length of all ones": word(0, 0xffffffff), "no mark": word(8, 0xddddffff), "noise": rubbish()["noise"], "zeros": make([]byte, 64)}
}

// closes waits until a connection is closed by the other end and fails when it is not.
func closes(t testing.TB, conn net.Conn, what string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(step))
	if _, err := io.Copy(io.Discard, conn); err != nil && isTimeout(err) {
		t.Errorf("%s: the connection stays open", what)
	}
	conn.Close()
}

// TestCTILyingFrames proves that whatever word of a frame lies, the client is answered or cut off, before and after the login, that the
// connection of one that was answered goes on, and that nothing is left of any of them.
func TestCTILyingFrames(t *testing.T) {
	s := ctiSite(t, 4*time.Second, func(c *ctimanager.Config) { c.Limits.HalfOpenOne = 256 })
	credential := enrolled(t, s, "app", "1")
	good := application(t, s, enrolled(t, s, "other", "1"), "other")
	round := func() {
		beforeLogin(t, s, credential)
		for name, b := range endless() {
			if !all() && name != "length over the cap" && name != "no mark" { // each costs a login
				continue
			}
			a := application(t, s, credential, "app")
			_, _ = a.Conn.Write(b) // it may be cut off before it has said all
			closes(t, a.Conn, name)
			providers(t, s, 1)
		}
		afterLogin(t, s, credential)
		providers(t, s, 1)
	}
	afterLogin(t, s, credential) // once, for what is allocated once
	providers(t, s, 1)
	malformed := ctiFigure(t, s, "malformed_total")
	before := measure()
	round()
	if now := ctiFigure(t, s, "malformed_total"); now < malformed+50 {
		t.Errorf("%v frames were counted as malformed, before %v", now, malformed)
	}
	must(good.Ask(within(t, step), &ctiqbe.ProviderGetCapabilitiesInfoRequest{}))(t)
	before.returned(t, usual)
}

// beforeLogin sends what lies on connections that have said who they are by their certificate, and no more.
func beforeLogin(t *testing.T, s *lab.Site, credential pki.Credential) {
	t.Helper()
	for name, b := range endless() {
		a := must(s.DialCTI(within(t, step), credential))(t)
		_, _ = a.Conn.Write(b) // it may be cut off before it has said all
		closes(t, a.Conn, name)
	}
	half := ctiqbe.AppendClient(nil, ctiqbe.Newest, &ctiqbe.ProviderInitRequest{SequenceNumber: 1, Provider: "lab"})
	for _, n := range []int{1, 11, 12, 31, 32, len(half) - 1} { // the end of the login is the end of waiting for the rest
		a := must(s.DialCTI(within(t, step), credential))(t)
		must(a.Conn.Write(half[:n]))(t)
		defer closes(t, a.Conn, fmt.Sprintf("%d bytes of a frame", n))
	}
	// One connection stays as long as it is answered: those are refused, but they are not cut off.
	open := func() *lab.CTI {
		a := must(s.DialCTI(within(t, step), credential))(t)
		must(a.Ask(within(t, step), &ctiqbe.ProviderInitRequest{Provider: "lab", QBEClientVersion: "lab"}))(t)
		return a
	}
	survives(t, open, lies(7, &ctiqbe.LineOpenRequest{DeviceName: "alice", LineName: "1001", Partition: "internal"}))
	survives(t, func() *lab.CTI { return must(s.DialCTI(within(t, step), credential))(t) }, lies(7, &ctiqbe.ProviderOpenRequest{Login: "nobody-there", Password: []byte("x"), EncryptedKeyData: []byte("y")}))
}

// afterLogin sends what lies as an application that has logged in.
func afterLogin(t *testing.T, s *lab.Site, credential pki.Credential) {
	t.Helper()
	survives(t, func() *lab.CTI {
		a := application(t, s, credential, "app")
		must(a.Ask(within(t, step), &ctiqbe.DeviceOpenRequest{DeviceName: "alice"}))(t)
		return a
	}, lies(7, &ctiqbe.LineOpenRequest{DeviceName: "alice", LineName: "1001", Partition: "internal", Filter: lab.AllLineEvents()},
		&ctiqbe.DeviceRegisterDeviceRequest{DeviceName: "nothing", MediaCaps: make([]ctiqbe.MediaCapability, 3), AlgorithmIDs: make([]ctiqbe.MediaEncryption, 2)},
		&ctiqbe.LineSetForwardRequest{LineCallManagerID: 1, LineID: 0x7fff, ForwardInfo: []ctiqbe.CallForwardInfo{{Destination: "1002"}, {Destination: "1003"}}},
		&ctiqbe.LineCallInitiateRequest{LineCallManagerID: 1, LineID: 0x7fff, DestAddress: "1002", UserData: []byte("data")}))
}

// survives sends frames one after the other, each with a request that is right behind it. Either both are answered, or the connection ends.
func survives(t *testing.T, open func() *lab.CTI, frames [][]byte) {
	t.Helper()
	const right = 0x77777777
	a, ends, stride := open(), 0, 5 // a prime to the lies about one word: every word, and every lie
	if all() {
		stride = 1
	}
	for i := 0; i < len(frames); i += stride {
		f := frames[i]
		b := ctiqbe.AppendClient(bytes.Clone(f), ctiqbe.Newest, &ctiqbe.ProviderGetCapabilitiesInfoRequest{SequenceNumber: right})
		if _, err := a.Conn.Write(b); err != nil { // the time for its login was over: the frame is for the next one
			a.Close()
			a, ends = open(), ends+1
			must(a.Conn.Write(b))(t)
		}
		answers := 0
		for {
			m, err := a.Next(within(t, step))
			if err != nil {
				if isTimeout(err) {
					t.Fatalf("not answered: % x", f)
				}
				a.Close()
				a, ends = open(), ends+1
				break
			}
			if _, response := ctiqbe.ResultOf(m); !response {
				continue
			}
			if n, _ := ctiqbe.Sequence(m); n != right {
				answers++
				continue
			}
			if answers == 0 && ctiqbe.PDU(binary.LittleEndian.Uint32(f[16:])) != ctiqbe.PDUHeartbeat {
				t.Errorf("only the frame behind it was answered: % x", f)
			}
			break
		}
	}
	a.Close()
	t.Logf("%d frames, %d of them ended their connection", (len(frames)+stride-1)/stride, ends)
}

// TestCTIForeignHandles proves that no request of the protocol reaches a device, line or call of another application, nor one of an earlier
// connection of the same: each is sent once with their numbers and none of them is done.
func TestCTIForeignHandles(t *testing.T) {
	s := ctiSite(t, 0, nil)
	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil)
	telephone(t, s, "carol", "1003", nil)
	mine := enrolled(t, s, "app", "1")
	earlier := observe(t, application(t, s, mine, "app"), "alice", "1001")
	p := connect(t, alice, bob)
	up := earlier.connected(t)
	earlier.Close()
	providers(t, s, 0)

	owner := observe(t, application(t, s, mine, "app"), "alice", "1001")
	stranger := application(t, s, enrolled(t, s, "other", "1"), "other")
	manager, line, err := stranger.OpenLine(within(t, step), "carol", "1003", "internal")
	ok(t, err)
	for line <= owner.line+1 { // numbers are those of a connection: the owner's must not be the stranger's as well
		must(stranger.Ask(within(t, step), &ctiqbe.DeviceCloseRequest{CallManagerID: manager, DeviceID: line - 1}))(t)
		manager, line, err = stranger.OpenLine(within(t, step), "carol", "1003", "internal")
		ok(t, err)
	}
	refusesAll(t, "another application's call on a line of its own", stranger, handles{"LineCallManagerID": manager, "LineID": line, "CallLegID": up.CallLegID}, "alice", namesCall)
	theirs := handles{"LineCallManagerID": owner.manager, "LineID": owner.line, "CallManagerID": owner.manager, "DeviceID": owner.line - 1, "CallLegID": up.CallLegID}
	everything := func(reflect.Type) bool { return true }
	refusesAll(t, "another application's line", stranger, theirs, "alice", everything)

	again := application(t, s, enrolled(t, s, "app", "2"), "app") // it has the right, but has opened nothing
	theirs = handles{"LineCallManagerID": earlier.manager, "LineID": earlier.line, "CallManagerID": earlier.manager, "DeviceID": earlier.line - 1, "CallLegID": up.CallLegID}
	refusesAll(t, "handles of an earlier connection", again, theirs, "", everything)
	p.hear(t)
	for _, m := range owner.said(t) {
		if e, is := m.(*ctiqbe.CallStateChangedEventV2); is {
			t.Errorf("the call has changed: %+v", e)
		}
	}
	p.end(t)
}

// handles are the numbers of devices, lines and calls, by the names of the fields they come in. Where a field is of none of these names, a
// call manager is the first, and a call is CallLegID.
type handles map[string]uint32

// namesCall says whether a request is about a call.
func namesCall(t reflect.Type) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type.Kind() == reflect.Struct && namesCall(f.Type) || strings.HasSuffix(f.Name, "LegID") {
			return true
		}
	}
	return false
}

// refusesAll sends every request that names a device, line or call, of those that are chosen, with the numbers given. A response that says OK
// is one too many.
func refusesAll(t *testing.T, what string, a *lab.CTI, h handles, device string, chosen func(reflect.Type) bool) {
	t.Helper()
	sent := 0
	for _, n := range ctiqbe.All() {
		m, _ := ctiqbe.New(n)
		if _, request := n.Answer(); !request || n.Direction() == ctiqbe.FromServer || !chosen(reflect.TypeOf(m).Elem()) || !h.fill(reflect.ValueOf(m).Elem(), device) {
			continue
		}
		sent++
		var result ctiqbe.Result
		if _, err := a.Ask(within(t, step), m); err == nil {
			t.Errorf("%s: %v is done: %+v", what, n, m)
		} else if !errors.As(err, &result) {
			t.Fatalf("%s: %v: %v", what, n, err)
		}
	}
	t.Logf("%s: %d requests", what, sent)
	if sent < 30 {
		t.Errorf("%s: only %d requests were sent", what, sent)
	}
}

// fill writes the handles into a request, wherever it has a place for one. false: it names nothing, or a device alone and that is not to be named.
func (h handles) fill(v reflect.Value, device string) (names bool) {
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		switch {
		case f.Kind() == reflect.Struct:
			names = h.fill(f, device) || names
		case f.Kind() == reflect.String:
			text := map[string]string{"LineName": "1001", "Partition": "internal"}[name]
			switch {
			case strings.Contains(name, "DeviceName"):
				text = device
				names = names || device != ""
			case strings.Contains(name, "Dest") || strings.Contains(name, "Address"):
				text = "1003"
			}
			f.SetString(text)
		case f.Kind() != reflect.Uint32 || name == "SequenceNumber":
		case h[name] != 0:
			f.SetUint(uint64(h[name]))
			names = true
		case strings.Contains(name, "CallManagerID"):
			f.SetUint(1)
		case strings.HasSuffix(name, "LegID") || strings.HasSuffix(name, "CallID"):
			f.SetUint(uint64(h["CallLegID"]))
			names = true
		}
	}
	return names
}

// recorder keeps what is written through it.
type recorder struct {
	net.Conn
	sent bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) {
	r.sent.Write(b)
	return r.Conn.Write(b)
}

// TestCTIReplayedLogin proves that a login which somebody has recorded is good for nothing on another connection: the nonce is another. On the
// clear port anybody on the way can record one, with TLS only the application itself.
func TestCTIReplayedLogin(t *testing.T) {
	s := ctiSite(t, 0, nil)
	credential := enrolled(t, s, "app", "1")
	clear := func() net.Conn {
		return must(dialFrom(within(t, step), "", netip.AddrPortFrom(s.CallManager(), 2748).String()))(t)
	}
	secure := func() net.Conn {
		return must(secured(within(t, step), s, must(dialFrom(within(t, step), "", s.CTIAddress()))(t), credential))(t)
	}
	apply(t, s, func(c *config.Site) { // the clear port lets in only those who are not bound to the other
		for i := range c.Users {
			if c.Users[i].Name == "other" {
				c.Users[i].Groups = []config.Group{config.GroupCTIEnabled}
			}
		}
	})
	for _, x := range []struct {
		user string
		dial func() net.Conn
	}{{"other", clear}, {"app", secure}} {
		tape := &recorder{Conn: x.dial()}
		a := lab.NewCTI(tape)
		must(a.Login(within(t, step), x.user, ctiPassword))(t)
		nonce := a.Init.Nonce
		a.Close()
		providers(t, s, 0)
		again := lab.NewCTI(x.dial())
		defer again.Close()
		r := ctiqbe.NewReader(&tape.sent, 0)
		var got ctiqbe.Message
		for range 2 { // PROVIDER_INIT, PROVIDER_OPEN
			must(again.Conn.Write(must(r.Next())(t)))(t)
		}
		got = must(again.Until(within(t, step), func(m ctiqbe.Message) bool { return m.PDU() == ctiqbe.PDUProviderInitResponse }))(t)
		if got.(*ctiqbe.ProviderInitResponse).Nonce == nonce {
			t.Errorf("%s: a nonce is used twice", x.user)
		}
		got = must(again.Until(within(t, step), func(m ctiqbe.Message) bool { return m.PDU() == ctiqbe.PDUProviderOpenCompletedEvent }))(t)
		if e := got.(*ctiqbe.ProviderOpenCompletedEvent); e.Reason != ctiqbe.ErrDirectoryLoginFailed {
			t.Errorf("%s: a login that was sent again: %v %s", x.user, e.Reason, e.FailureDescription)
		}
		closes(t, again.Conn, x.user)
		a = lab.NewCTI(x.dial()) // one replay locks nobody out
		must(a.Login(within(t, step), x.user, ctiPassword))(t)
		a.Close()
		providers(t, s, 0)
	}
}
