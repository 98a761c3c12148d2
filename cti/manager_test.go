package cti

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/secret"
)

// manager is a CTI manager that does what a script says, over the wire.
type manager struct {
	name      string
	key       *rsa.PrivateKey
	cert      []byte
	heartbeat uint32
	password  string // what it asks for
	open      ctiqbe.Result
	phones    []phone
	existing  []ctiqbe.LineExistingCallEvent
	refuse    map[ctiqbe.PDU]ctiqbe.Result
	mute      map[ctiqbe.PDU]bool
	// before is sent between the answer to a line open and its list of calls; after behind that.
	before, after []ctiqbe.Message

	mu     sync.Mutex
	down   bool
	silent bool
	conn   net.Conn
	heard  []ctiqbe.Message
	logins int
	next   uint32
}

type phone struct {
	name  string
	lines []string
}

var testKey = sync.OnceValues(func() (*rsa.PrivateKey, []byte) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cti"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return key, cert
})

func newManager(name string) *manager {
	key, cert := testKey()
	return &manager{name: name, key: key, cert: cert, heartbeat: 30, password: "secret12", refuse: map[ctiqbe.PDU]ctiqbe.Result{}, mute: map[ctiqbe.PDU]bool{},
		phones: []phone{{"SEP001122334455", []string{"1001", "1002"}}, {"SEP001122334466", []string{"1003"}}}, next: 100}
}

// site dials managers by their address.
func site(managers ...*manager) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, _, address string) (net.Conn, error) {
		for _, m := range managers {
			if address == net.JoinHostPort(m.name, fmt.Sprint(PortClear)) {
				return m.accept()
			}
		}
		return nil, fmt.Errorf("no route to %s", address)
	}
}

func (m *manager) accept() (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, fmt.Errorf("connection refused by %s", m.name)
	}
	ours, theirs := net.Pipe()
	m.conn = ours
	over := make(chan struct{})
	go m.serve(ours, over)
	go m.beat(ours, over)
	return theirs, nil
}

func (m *manager) send(all ...ctiqbe.Message) {
	m.mu.Lock()
	conn, silent := m.conn, m.silent
	m.mu.Unlock()
	for _, e := range all {
		if !silent {
			_, _ = conn.Write(ctiqbe.Append(nil, ctiqbe.Newest, e))
		}
	}
}

// crash is a machine that loses its power: down and the connection gone.
func (m *manager) crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = true
	_ = m.conn.Close()
}

// mutter stops answering without a word.
func (m *manager) mutter() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down, m.silent = true, true
}

// set changes the script while it is played.
func (m *manager) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// revive is a manager that is back.
func (m *manager) revive() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down, m.silent = false, false
}

func (m *manager) received(p ctiqbe.PDU) (all []ctiqbe.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.heard {
		if h.PDU() == p {
			all = append(all, h)
		}
	}
	return all
}

// beat sends heartbeats until the connection ends.
func (m *manager) beat(conn net.Conn, over chan struct{}) {
	ticks := time.NewTicker(time.Duration(m.heartbeat) * time.Second)
	defer ticks.Stop()
	for {
		select {
		case <-over:
			return
		case <-ticks.C:
		}
		m.mu.Lock()
		silent := m.silent
		m.mu.Unlock()
		if silent {
			continue
		}
		if _, err := conn.Write(ctiqbe.Append(nil, ctiqbe.Newest, &ctiqbe.Heartbeat{})); err != nil {
			return
		}
	}
}

func (m *manager) serve(conn net.Conn, over chan struct{}) {
	defer close(over)
	r := ctiqbe.NewReader(conn, 0)
	for {
		frame, err := r.Next()
		if err != nil {
			_ = conn.Close()
			return
		}
		q, _, err := ctiqbe.Parse(frame)
		if err != nil {
			panic(err)
		}
		m.mu.Lock()
		m.heard = append(m.heard, q)
		refused, bad := m.refuse[q.PDU()]
		mute := m.mute[q.PDU()]
		m.mu.Unlock()
		seq, _ := ctiqbe.Sequence(q)
		switch {
		case mute:
		case bad:
			m.send(&ctiqbe.FailureResponse{SequenceNumber: seq, Result: refused, Description: "by the script"})
		default:
			m.answer(q)
		}
		if q.PDU() == ctiqbe.PDUProviderCloseRequest {
			_ = conn.Close()
		}
	}
}

const testNonce = "cc63df13-d4e5-43bc-808f-f051f7c945d0"

func (m *manager) answer(q ctiqbe.Message) {
	switch q := q.(type) {
	case *ctiqbe.ProviderInitRequest:
		m.send(&ctiqbe.ProviderInitResponse{SequenceNumber: q.SequenceNumber, Nonce: testNonce, Certificate: m.cert})
	case *ctiqbe.ProviderOpenRequest:
		m.login(q)
	case *ctiqbe.ProviderGetCapabilitiesInfoRequest:
		m.send(&ctiqbe.ProviderGetCapabilitiesInfoResponse{SequenceNumber: q.SequenceNumber, ProviderCapabilitiesInfo: Capabilities{AllowCallMonitoring: true}})
	case *ctiqbe.ProviderGetAllDevicesAndLinesRequest:
		m.devices(q.SequenceNumber)
	case *ctiqbe.DeviceOpenRequest:
		at := slices.IndexFunc(m.phones, func(p phone) bool { return p.name == q.DeviceName })
		m.send(&ctiqbe.DeviceOpenResponse{SequenceNumber: q.SequenceNumber, CallManagerID: 1, DeviceID: uint32(38 + at)},
			&ctiqbe.DeviceInServiceEvent{DeviceCallManagerID: 1, DeviceID: uint32(38 + at)})
	case *ctiqbe.DeviceRegisterDeviceRequest:
		at := slices.IndexFunc(m.phones, func(p phone) bool { return p.name == q.DeviceName })
		m.send(&ctiqbe.DeviceRegisterDeviceResponse{SequenceNumber: q.SequenceNumber, CallManagerID: 1, DeviceID: uint32(38 + at)},
			&ctiqbe.DeviceInServiceEvent{DeviceCallManagerID: 1, DeviceID: uint32(38 + at)})
	case *ctiqbe.LineOpenRequest:
		m.line(q)
	case *ctiqbe.ProviderAllocateGlobalCallHandleRequest:
		m.next++
		m.send(&ctiqbe.ProviderAllocateGlobalCallHandleResponse{SequenceNumber: q.SequenceNumber, CallManagerID: 1, CallID: m.next})
	case *ctiqbe.LineCallInitiateRequest:
		m.send(&ctiqbe.LineCallInitiateResponse{SequenceNumber: q.SequenceNumber, CallManagerID: 1, CallLegID: 701},
			&ctiqbe.LineNewCallEvent{LineCallManagerID: q.LineCallManagerID, LineID: q.LineID, CallCallManagerID: 1, CallLegID: 701,
				GlobalCallManagerID: q.GlobalCallManagerID, CallID: q.GlobalCallID, State: ctiqbe.CallStateDialTone, Origin: ctiqbe.CallOriginOutbound,
				CallingParty: q.CallingAddress, CalledParty: q.DestAddress})
	case *ctiqbe.CallSetupTransferRequest:
		m.send(&ctiqbe.CallSetupTransferResponse{SequenceNumber: q.SequenceNumber, ConsultCallManagerID: 1, ConsultCallID: 702})
	case *ctiqbe.CallParkRequest:
		m.send(&ctiqbe.CallParkResponse{SequenceNumber: q.SequenceNumber, ParkedAt: "7777"})
	default:
		if a, ok := ctiqbe.Respond(q, ctiqbe.OK); ok {
			m.send(a)
		}
	}
}

func (m *manager) login(q *ctiqbe.ProviderOpenRequest) {
	m.mu.Lock()
	m.logins++
	open := m.open
	m.mu.Unlock()
	m.send(&ctiqbe.ProviderOpenResponse{SequenceNumber: q.SequenceNumber, ClientHeartbeat: m.heartbeat, ServerHeartbeat: m.heartbeat})
	if open == ctiqbe.OK && m.decrypt(q) != m.password {
		open = ctiqbe.ErrDirectoryLoginFailed
	}
	if open != ctiqbe.OK {
		m.send(&ctiqbe.ProviderOpenCompletedEvent{Reason: open, FailureDescription: "by the script"},
			&ctiqbe.ProviderClosedEvent{Reason: ctiqbe.ProviderCloseReasonProviderOpenFailure})
		return
	}
	m.send(&ctiqbe.ProviderOpenCompletedEvent{SequenceNumber: q.SequenceNumber, ClientHeartbeat: m.heartbeat, ServerHeartbeat: m.heartbeat,
		ProviderID: 16777223, LoginUserName: q.Login, ClusterID: "lab"})
}

// decrypt reads the password by the rule of the field's server: the last bytes are the nonce, the first 16 the key.
func (m *manager) decrypt(q *ctiqbe.ProviderOpenRequest) string {
	//lint:ignore SA1019 the padding of the protocol
	plain, err := rsa.DecryptPKCS1v15(nil, m.key, q.EncryptedKeyData)
	if err != nil || !bytes.HasSuffix(plain, []byte(testNonce)) || len(q.Password) < 32 || len(q.Password)%16 != 0 {
		return fmt.Sprintf("%v %q", err, plain)
	}
	block, _ := aes.NewCipher(plain[:16])
	text := slices.Clone(q.Password[16:])
	cipher.NewCBCDecrypter(block, q.Password[:16]).CryptBlocks(text, text)
	return string(text[:len(text)-int(text[len(text)-1])])
}

func (m *manager) devices(seq uint32) {
	m.send(&ctiqbe.ProviderGetAllDevicesAndLinesResponse{SequenceNumber: seq})
	for _, p := range m.phones {
		e := &ctiqbe.DeviceLineInfoEvent{RequestID: seq, DeviceName: p.name, DeviceRegistrationStatus: ctiqbe.RegistrationStatusRegistered,
			DeviceInfoStatic:       ctiqbe.DeviceInfoStatic{DeviceType: ctiqbe.DeviceType7965, DeviceTypeName: "a phone", Protocol: ctiqbe.DeviceProtocolSIP},
			DeviceRegistrationInfo: ctiqbe.DeviceRegistrationInfo{IPv4Addr: 0x0100007f}, TotalLines: uint32(len(p.lines))}
		for i, l := range p.lines {
			e.LineInfo = []ctiqbe.LineInfo{{Name: l, Partition: "PT", LineInstance: uint32(i + 1), UnicodeLabel: "Line " + l}}
			e.MoreLines = i+1 < len(p.lines)
			m.send(e)
		}
	}
	m.send(&ctiqbe.ProviderGetAllDevicesAndLinesCompletedEvent{RequestID: seq})
}

// lineHandle numbers the lines of the site.
func lineHandle(number string) uint32 {
	n := uint32(0)
	_, _ = fmt.Sscan(number, &n)
	return n
}

func (m *manager) line(q *ctiqbe.LineOpenRequest) {
	h := lineHandle(q.LineName)
	m.send(&ctiqbe.LineOpenResponse{SequenceNumber: q.SequenceNumber, LineCallManagerID: 1, LineID: h}, &ctiqbe.LineInServiceEvent{LineCallManagerID: 1, LineID: h})
	m.send(m.before...)
	for _, e := range m.existing {
		if e.LineID == h {
			m.send(&e)
		}
	}
	m.send(&ctiqbe.LineExistingCallCompletedEvent{LineCallManagerID: 1, LineID: h})
	m.send(m.after...)
}

// incoming is a call that is offered to a line.
func incoming(line string, leg uint32, from string) *ctiqbe.LineNewCallEvent {
	return &ctiqbe.LineNewCallEvent{LineCallManagerID: 1, LineID: lineHandle(line), LineHandleSpecified: true, CallCallManagerID: 1, CallLegID: leg, GlobalCallManagerID: 1,
		CallID: 9000 + leg, CallingParty: from, UnicodeCallingPartyName: "Zoë", CalledParty: line, State: ctiqbe.CallStateOffering,
		Origin: ctiqbe.CallOriginInboundInternal, Reason: ctiqbe.CallReasonDirectCall, CallingPartyDNInfo: ctiqbe.PartyDNInfo{Partition: "PT"}}
}

func existing(line string, leg uint32, from string, state ctiqbe.CallState) ctiqbe.LineExistingCallEvent {
	return ctiqbe.LineExistingCallEvent{LineCallManagerID: 1, LineID: lineHandle(line), CallCallManagerID: 1, CallLegID: leg, GlobalCallManagerID: 1,
		CallID: 9000 + leg, CallingParty: from, UnicodeCallingPartyName: "Zoë", CalledParty: line, State: state,
		Origin: ctiqbe.CallOriginInboundInternal, Reason: ctiqbe.CallReasonDirectCall, CallingPartyDNInfo: ctiqbe.PartyDNInfo{Partition: "PT"}}
}

func state(line string, leg uint32, s ctiqbe.CallState, cause ctiqbe.Cause) *ctiqbe.CallStateChangedEventV2 {
	return &ctiqbe.CallStateChangedEventV2{LineCallManagerID: 1, LineID: lineHandle(line), CallCallManagerID: 1, CallLegID: leg, State: s, Cause: cause,
		Reason: ctiqbe.CallReasonDirectCall}
}

// config is a login at one or two scripted managers.
func config(managers ...*manager) Config {
	c := Config{User: "alice", Password: secret.New("secret12"), Primary: Manager{IPv4: managers[0].name}, Clear: true, Dial: site(managers...)}
	if len(managers) > 1 {
		c.Backup = Manager{IPv4: managers[1].name}
	}
	return c
}

func opened(t *testing.T, c Config) *Provider {
	t.Helper()
	p, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

var line1001 = LineID{"SEP001122334455", "1001", "PT"}

// next is the next event, of type T.
func next[T Event](t *testing.T, p *Provider) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	e, err := p.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := e.(T)
	if !ok {
		t.Fatalf("%T %+v, want %T", e, e, got)
	}
	return got
}

// skip reads the events of opening a line.
func openedLine(t *testing.T, p *Provider, id LineID) {
	t.Helper()
	if err := p.OpenLine(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if e := next[ServiceChanged](t, p); !e.InService {
			t.Fatalf("%+v", e)
		}
	}
}
