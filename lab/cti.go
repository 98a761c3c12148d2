package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/locktone/locktone/lab/qbe"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// Enrol gives an instance of an application a certificate, as CAPF does it, and notes it in its profile.
func (s *Site) Enrol(ctx context.Context, user, instance string) (pki.Credential, error) {
	made, err := s.Profiles.Create(ctx, capfprofile.Order{Owner: capfprofile.Owner{User: user, Instance: instance}, Operation: capfprofile.InstallUpgrade,
		Mode: capfprofile.ByAuthenticationString, Order: capfprofile.RSAOnly, Replace: true})
	if err != nil {
		return pki.Credential{}, err
	}
	g, err := s.Profiles.Begin(ctx, capfprofile.Knock{Name: capfprofile.ApplicationPrefix + instance, String: made.String})
	if err != nil {
		return pki.Credential{}, err
	}
	credential, err := s.Issue(ctx, pki.KindCTI, instance)
	if err != nil {
		return credential, err
	}
	if _, err = s.Profiles.Issued(ctx, g, credential.Leaf(), time.Time{}); err == nil {
		_, err = s.Profiles.Stored(ctx, g)
	}
	return credential, err
}

// A CTI is the end of an application's connection to a CTI manager, with nothing of an application in it: for tests that say exactly what
// they want to, in whatever order. It is for one goroutine.
type CTI struct {
	Conn    net.Conn
	Init    *ctiqbe.ProviderInitResponse
	Version ctiqbe.Version
	r       *ctiqbe.Reader
	seq     uint32
	waiting []ctiqbe.Message // read and not taken
}

// DialCTI connects to the CTI manager's TLS port with a certificate.
func (s *Site) DialCTI(ctx context.Context, c pki.Credential) (*CTI, error) {
	at := netip.AddrPortFrom(s.CallManager(), 2749).String()
	d := tls.Dialer{Config: &tls.Config{Certificates: []tls.Certificate{c.TLS()}, RootCAs: s.Roots(), ServerName: s.CallManager().String(), MaxVersion: tls.VersionTLS12}}
	conn, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	return NewCTI(conn), nil
}

// NewCTI speaks over a connection.
func NewCTI(conn net.Conn) *CTI {
	return &CTI{Conn: conn, Version: ctiqbe.Newest, r: ctiqbe.NewReader(conn, 0)}
}

// Close ends the connection without a word.
func (c *CTI) Close() error { return c.Conn.Close() }

// Send sends a message; a request without a number gets the next.
func (c *CTI) Send(m ctiqbe.Message) error {
	if n, ok := ctiqbe.Sequence(m); ok && n == 0 {
		c.seq++
		ctiqbe.SetSequence(m, c.seq)
	}
	_, err := c.Conn.Write(ctiqbe.AppendClient(nil, c.Version, m))
	return err
}

// Next is the next message that was not taken yet.
func (c *CTI) Next(ctx context.Context) (ctiqbe.Message, error) {
	if len(c.waiting) > 0 {
		m := c.waiting[0]
		c.waiting = c.waiting[1:]
		return m, nil
	}
	return c.read(ctx)
}

func (c *CTI) read(ctx context.Context) (ctiqbe.Message, error) {
	until, _ := ctx.Deadline()
	if err := c.Conn.SetReadDeadline(until); err != nil {
		return nil, err
	}
	frame, err := c.r.Next()
	if err != nil {
		return nil, err
	}
	m, _, err := ctiqbe.Parse(frame)
	return m, err
}

// Until takes messages until one is right, keeping the others for later.
func (c *CTI) Until(ctx context.Context, right func(ctiqbe.Message) bool) (ctiqbe.Message, error) {
	for i, m := range c.waiting {
		if right(m) {
			c.waiting = append(c.waiting[:i:i], c.waiting[i+1:]...)
			return m, nil
		}
	}
	for {
		m, err := c.read(ctx)
		if err != nil {
			return nil, err
		}
		if right(m) {
			return m, nil
		}
		c.waiting = append(c.waiting, m)
	}
}

// Ask sends a request and returns the response. One with a result that is not OK comes with that as the error.
func (c *CTI) Ask(ctx context.Context, m ctiqbe.Message) (ctiqbe.Message, error) {
	if err := c.Send(m); err != nil {
		return nil, err
	}
	want, _ := ctiqbe.Sequence(m)
	got, err := c.Until(ctx, func(m ctiqbe.Message) bool {
		n, ok := ctiqbe.Sequence(m)
		_, response := ctiqbe.ResultOf(m)
		return ok && response && n == want && m.PDU() != ctiqbe.PDUCallPlayDTMFCompleteEvent
	})
	if err != nil {
		return nil, fmt.Errorf("%v: %w", m.PDU(), err)
	}
	if r, _ := ctiqbe.ResultOf(got); r != ctiqbe.OK {
		return got, r
	}
	return got, nil
}

// A Refused says that a login failed.
type Refused struct {
	Result ctiqbe.Result
	Text   string
}

func (r *Refused) Error() string { return r.Result.Error() + ": " + r.Text }

// Login logs in by name and password; a *Refused is the CTI manager's no.
func (c *CTI) Login(ctx context.Context, user, password string) (*ctiqbe.ProviderOpenCompletedEvent, error) {
	m, err := c.Ask(ctx, &ctiqbe.ProviderInitRequest{Provider: "lab", QBEClientVersion: "lab", ApplicationID: "lab", PluginName: "lab"})
	if err != nil {
		return nil, err
	}
	c.Init = m.(*ctiqbe.ProviderInitResponse)
	key, sealed, err := qbe.Seal(c.Init.Certificate, c.Init.Nonce, password)
	if err != nil {
		return nil, err
	}
	if _, err := c.Ask(ctx, &ctiqbe.ProviderOpenRequest{Provider: "UCProvider", QBEClientVersion: "UCProvider", Login: user, Password: sealed, EncryptedKeyData: key, ApplicationID: "Shibui",
		DesiredServerHeartbeatTime: 60, RequestTimer: 10, PluginName: "Cisco JTAPI", Filter: ctiqbe.ProviderEventFilter{DeviceRegistered: true, DeviceUnregistered: true}}); err != nil {
		return nil, err
	}
	m, err = c.Until(ctx, func(m ctiqbe.Message) bool { return m.PDU() == ctiqbe.PDUProviderOpenCompletedEvent })
	if err != nil {
		return nil, err
	}
	e := m.(*ctiqbe.ProviderOpenCompletedEvent)
	if e.Reason != ctiqbe.OK {
		return e, &Refused{e.Reason, e.FailureDescription}
	}
	return e, nil
}

// OpenLine opens a device and a line of it, and returns the line's handle when all calls it has were told.
func (c *CTI) OpenLine(ctx context.Context, device, number, partition string) (callManager, line uint32, err error) {
	if _, err := c.Ask(ctx, &ctiqbe.DeviceOpenRequest{DeviceName: device}); err != nil {
		return 0, 0, err
	}
	m, err := c.Ask(ctx, &ctiqbe.LineOpenRequest{DeviceName: device, LineName: number, Partition: partition, Filter: AllLineEvents()})
	if err != nil {
		return 0, 0, err
	}
	r := m.(*ctiqbe.LineOpenResponse)
	_, err = c.Until(ctx, func(m ctiqbe.Message) bool {
		e, ok := m.(*ctiqbe.LineExistingCallCompletedEvent)
		return ok && e.LineID == r.LineID
	})
	return r.LineCallManagerID, r.LineID, err
}

// AllLineEvents is the filter that lets everything through.
func AllLineEvents() ctiqbe.LineEventFilter {
	return ctiqbe.LineEventFilter{CallStateChanged: true, DTMF: true, Ring: true, GlobalCallHandleChanged: true, PartyInfoChanged: true, ExistingCallEvent: true, NewCallEvent: true,
		LineCfwdAllStatus: true, TransferStarted: true, TransferEnded: true, ConferenceStarted: true, ConferenceEnded: true, ExistingCallCompleted: true}
}

// CTIAddress is where the CTI manager listens.
func (s *Site) CTIAddress() string {
	return net.JoinHostPort(s.CallManager().String(), strconv.Itoa(2749))
}
