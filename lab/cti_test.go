package lab_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/ctimanager"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
)

const (
	ctiPassword = "correct horse battery"
	ctiHold     = 50 * time.Millisecond // in the place of a second
)

// ctiSite is a site with an application that controls alice and bob.
func ctiSite(t *testing.T, ctx context.Context, change func(*config.Site), tune ...func(*ctimanager.Config)) *lab.Site {
	t.Helper()
	c := config.Default("node1")
	c.Users = append(c.Users, config.User{Name: "app", Application: true, Password: config.NewVerifier(ctiPassword), Devices: []string{"alice", "bob"},
		Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection}})
	if change != nil {
		change(c)
	}
	s, err := lab.Start(ctx, lab.Options{Config: c, TuneCTI: func(c *ctimanager.Config) {
		c.Limits.Hold = ctiHold
		for _, f := range tune {
			f(c)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("the site did not stop cleanly: %v", err)
		}
	})
	return s
}

// reconfigure changes the site while it runs.
func reconfigure(t *testing.T, ctx context.Context, s *lab.Site, f func(*config.Site)) {
	t.Helper()
	now, err := s.Store.Site(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next := now.Site.Clone()
	f(next)
	if _, err := s.Store.Apply(ctx, store.ChangeSet{Base: now.Revision.Number, Author: "test", Changes: config.Diff(now.Site, next)}); err != nil {
		t.Fatal(err)
	}
}

func enrolled(t *testing.T, ctx context.Context, s *lab.Site, user, instance string) pki.Credential {
	t.Helper()
	c, err := s.Enrol(ctx, user, instance)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loggedIn is an application that has logged in.
func loggedIn(t *testing.T, ctx context.Context, s *lab.Site, c pki.Credential) *lab.CTI {
	t.Helper()
	a, err := s.DialCTI(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	if _, err := a.Login(ctx, "app", ctiPassword); err != nil {
		t.Fatal(err)
	}
	return a
}

// refusedWith logs in and says with which value that is refused.
func refusedWith(t *testing.T, ctx context.Context, s *lab.Site, c pki.Credential, user, password string) ctiqbe.Result {
	t.Helper()
	a, err := s.DialCTI(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	_, err = a.Login(ctx, user, password)
	var no *lab.Refused
	if err != nil && !errors.As(err, &no) {
		t.Fatal(err)
	}
	if no == nil {
		return ctiqbe.OK
	}
	return no.Result
}

// closedWith waits for the end of a provider and returns the reason it was told.
func closedWith(t *testing.T, ctx context.Context, a *lab.CTI) ctiqbe.ProviderCloseReason {
	t.Helper()
	m, err := a.Until(ctx, func(m ctiqbe.Message) bool { return m.PDU() == ctiqbe.PDUProviderClosedEvent })
	if err != nil {
		t.Fatal(err)
	}
	for err == nil { // what was said before, and then the end
		_, err = a.Next(ctx)
	}
	if ctx.Err() != nil {
		t.Error("the connection goes on after the provider was closed")
	}
	return m.(*ctiqbe.ProviderClosedEvent).Reason
}

// TestCTISession: an application logs in on the TLS port, opens a phone and hears of it and of its calls; the stages of the login are in the
// trace, the password is not.
func TestCTISession(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	s := ctiSite(t, ctx, nil)
	a := loggedIn(t, ctx, s, enrolled(t, ctx, s, "app", "1"))
	if _, err := a.Ask(ctx, &ctiqbe.DeviceOpenRequest{DeviceName: "alice"}); err != nil {
		t.Fatal(err)
	}
	alice, err := s.Registered(ctx, "alice", "1001")
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close(ctx)
	if _, err := a.Until(ctx, func(m ctiqbe.Message) bool { return m.PDU() == ctiqbe.PDUDeviceInServiceEvent }); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Until(ctx, func(m ctiqbe.Message) bool { return m.PDU() == ctiqbe.PDUDeviceRegisteredEventWithLineInfo }); err != nil {
		t.Fatal(err)
	}
	shown, err := bus.Ask[bus.Query, []bus.ProviderState](ctx, s.Bus, s.Bus.Subject("ctimanager", bus.VerbProviders), bus.Query{Name: "app"})
	if err != nil || len(shown) != 1 || shown[0].Instance != "1" || shown[0].State != "ready" || len(shown[0].Devices) != 1 || shown[0].Devices[0].Name != "alice" || !shown[0].Devices[0].InService {
		t.Errorf("%+v %v", shown, err)
	}
	if err := alice.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Until(ctx, func(m ctiqbe.Message) bool { return m.PDU() == ctiqbe.PDUDeviceOutOfServiceEvent }); err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, r := range s.Trace.Recent(trace.Filter{Service: "ctimanager"}, 1000) {
		said = append(said, r.Summary)
	}
	for _, want := range []string{"[CTI-APP] [CTIHandler::processIncomingMessage] CTI ProviderOpenRequest ( seq#=2 provider=UCProvider login=app heartbeat=60 timer=10",
		"Nonce validation success", "Decrypted Password Status success - [21]", "CtiUserSettingsRes |verifying|", "[CTI-APP] [CTIHandler::processIncomingMessage] CTI DeviceOpenRequest ( seq#=3 device name=alice"} {
		if !slices.ContainsFunc(said, func(s string) bool { return len(s) >= len(want) && s[:len(want)] == want }) {
			t.Errorf("not in the trace: %s", want)
		}
	}
}

// TestCTIRefused: logins are refused with the values of the field.
func TestCTIRefused(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	s := ctiSite(t, ctx, func(c *config.Site) {
		c.Users = append(c.Users, config.User{Name: "other", Password: config.NewVerifier(ctiPassword), Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection}},
			config.User{Name: "plain", Password: config.NewVerifier(ctiPassword), Groups: []config.Group{config.GroupCTIEnabled}},
			config.User{Name: "nobody", Password: config.NewVerifier(ctiPassword)})
	})
	c := enrolled(t, ctx, s, "app", "1")
	for _, x := range []struct {
		user, password string
		want           ctiqbe.Result
	}{
		{"app", "wrong", ctiqbe.ErrDirectoryLoginFailed}, {"who", ctiPassword, ctiqbe.ErrDirectoryLoginFailed}, {"other", ctiPassword, ctiqbe.ErrInvalidCertificateUsed},
		{"plain", ctiPassword, ctiqbe.ErrUserNotAuthForSecurity}, {"nobody", ctiPassword, ctiqbe.ErrDirectoryLoginNotAllowed}, {"app", ctiPassword, ctiqbe.OK},
	} {
		if got := refusedWith(t, ctx, s, c, x.user, x.password); got != x.want {
			t.Errorf("%s: %v, want %v", x.user, got, x.want)
		}
	}
	// A certificate of the right kind that is in no profile, and one of another kind.
	stray, err := s.Issue(ctx, pki.KindCTI, "1")
	if err != nil {
		t.Fatal(err)
	}
	if got := refusedWith(t, ctx, s, stray, "app", ctiPassword); got != ctiqbe.ErrInvalidCertificateUsed {
		t.Errorf("a stray certificate: %v", got)
	}
	device, err := s.Issue(ctx, pki.KindDevice, "alice")
	if err != nil {
		t.Fatal(err)
	}
	if a, err := s.DialCTI(ctx, device); err == nil {
		if _, err := a.Login(ctx, "app", ctiPassword); err == nil {
			t.Error("a phone's certificate was let in")
		}
		a.Close()
	}
	conn, err := tls.Dial("tcp", s.CTIAddress(), &tls.Config{RootCAs: s.Roots(), ServerName: s.CallManager().String()})
	if err == nil {
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("somebody without a certificate was let in")
		}
		conn.Close()
	}
	// A probe that says nothing is no failure.
	for ctiFailures(t, ctx, s) < 2 { // both are noted a moment after they were refused
		if ctx.Err() != nil {
			t.Fatal("the failed handshakes are not noted")
		}
		time.Sleep(10 * time.Millisecond)
	}
	before := ctiFailures(t, ctx, s)
	probe, err := net.Dial("tcp", s.CTIAddress())
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
	if got := refusedWith(t, ctx, s, c, "app", ctiPassword); got != ctiqbe.OK {
		t.Errorf("after a probe: %v", got)
	}
	if after := ctiFailures(t, ctx, s); after != before {
		t.Errorf("%d failed handshakes before a probe, %d after it", before, after)
	}
}

// ctiFailures is how many handshakes have failed.
func ctiFailures(t *testing.T, ctx context.Context, s *lab.Site) (n int64) {
	t.Helper()
	rows, err := s.CTI.Rows(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		n += r.Failures
	}
	return n
}

// TestCTIDuplicates: two with one certificate are both closed; each further time the answer takes longer; then the certificate is marked as
// compromised, which lasts until it is lifted.
func TestCTIDuplicates(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	s := ctiSite(t, ctx, nil)
	c, another := enrolled(t, ctx, s, "app", "1"), enrolled(t, ctx, s, "app", "2")
	bystander := loggedIn(t, ctx, s, another)
	for round, want := range []ctiqbe.Result{ctiqbe.ErrDuplicateCertificateUsed, ctiqbe.ErrDuplicateCertificateUsed, ctiqbe.ErrDuplicateCertificateUsed, ctiqbe.ErrCertificateCompromised} {
		first := loggedIn(t, ctx, s, c)
		began := time.Now()
		if got := refusedWith(t, ctx, s, c, "app", ctiPassword); got != want {
			t.Fatalf("round %d: the second got %v, want %v", round, got, want)
		}
		if took, least := time.Since(began), ctiHold<<round; took < least {
			t.Errorf("round %d: the answer came after %v, want at least %v", round, took, least)
		}
		reason := ctiqbe.ProviderCloseReasonDuplicateCertUsed
		if want == ctiqbe.ErrCertificateCompromised {
			reason = ctiqbe.ProviderCloseReasonCertCompromised
		}
		if got := closedWith(t, ctx, first); got != reason {
			t.Errorf("round %d: the first was closed for %v", round, got)
		}
	}
	marked, err := s.CTI.Compromised(ctx)
	if err != nil || len(marked) != 1 || marked[0].User != "app" || marked[0].Instance != "1" {
		t.Fatalf("%+v %v", marked, err)
	}
	if got := refusedWith(t, ctx, s, c, "app", ctiPassword); got != ctiqbe.ErrCertificateCompromised {
		t.Errorf("a compromised certificate: %v", got)
	}
	if err := s.CTI.Trust(ctx, "app", "1"); err != nil {
		t.Fatal(err)
	}
	if got := refusedWith(t, ctx, s, c, "app", ctiPassword); got != ctiqbe.OK {
		t.Errorf("after the mark was lifted: %v", got)
	}
	if _, err := bystander.Ask(ctx, &ctiqbe.ProviderGetCapabilitiesInfoRequest{}); err != nil {
		t.Errorf("another instance felt it: %v", err)
	}
}

// TestCTILive: what is changed while an application is logged in reaches it at once: its rights, its devices, its certificate.
func TestCTILive(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	s := ctiSite(t, ctx, nil)
	c := enrolled(t, ctx, s, "app", "1")
	a := loggedIn(t, ctx, s, c)
	app := func(f func(*config.User)) func(*config.Site) {
		return func(c *config.Site) {
			f(&c.Users[slices.IndexFunc(c.Users, func(u config.User) bool { return u.Name == "app" })])
		}
	}
	if _, err := a.Ask(ctx, &ctiqbe.DeviceOpenRequest{DeviceName: "bob"}); err != nil {
		t.Fatal(err)
	}
	reconfigure(t, ctx, s, app(func(u *config.User) { u.Devices = []string{"alice"} }))
	if _, err := a.Until(ctx, func(m ctiqbe.Message) bool {
		e, ok := m.(*ctiqbe.DeviceClosedEvent)
		return ok && e.Reason == ctiqbe.DeviceCloseReasonDeviceRemoved
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Until(ctx, func(m ctiqbe.Message) bool {
		e, ok := m.(*ctiqbe.ProviderUserChangedEvent)
		return ok && e.TypeOfNotification == ctiqbe.UserNotifyTypeDeviceRemove && e.DeviceInfo.Name == "bob"
	}); err != nil {
		t.Fatal(err)
	}
	reconfigure(t, ctx, s, app(func(u *config.User) { u.Groups = u.Groups[:1] }))
	if got := closedWith(t, ctx, a); got != ctiqbe.ProviderCloseReasonUnauthorizedForTLS {
		t.Errorf("out of the group of the secure port: %v", got)
	}
	reconfigure(t, ctx, s, app(func(u *config.User) {
		u.Groups = []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection}
	}))
	a = loggedIn(t, ctx, s, c)
	if err := s.CA.Revoke(ctx, pki.RefOf(c.Leaf()), "stolen"); err != nil {
		t.Fatal(err)
	}
	if got := closedWith(t, ctx, a); got != ctiqbe.ProviderCloseReasonUnauthorizedForTLS {
		t.Errorf("its certificate was revoked: %v", got)
	}
	if a, err := s.DialCTI(ctx, c); err == nil {
		if _, err := a.Login(ctx, "app", ctiPassword); err == nil {
			t.Error("a revoked certificate was let in")
		}
		a.Close()
	}
}

// TestCTIBounds: who does not read, sends what is no frame or one too long, or connects and says nothing, is cut off; nobody else feels it.
func TestCTIBounds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	s := ctiSite(t, ctx, nil, func(c *ctimanager.Config) {
		c.Limits.Queue, c.Limits.Write, c.Limits.Frame, c.Limits.HalfOpenOne, c.Limits.Handshake = 256<<10, 500*time.Millisecond, 64<<10, 8, 2*time.Second
	})
	good := loggedIn(t, ctx, s, enrolled(t, ctx, s, "app", "1"))
	answers := func(when string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if _, err := good.Ask(ctx, &ctiqbe.ProviderGetCapabilitiesInfoRequest{}); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
	}
	ended := func(a *lab.CTI, when string) {
		t.Helper()
		var err error
		for err == nil {
			_, err = a.Next(ctx)
		}
		if ctx.Err() != nil {
			t.Errorf("%s: not cut off", when)
		}
	}
	deaf := loggedIn(t, ctx, s, enrolled(t, ctx, s, "app", "2"))
	_ = deaf.Conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
	for err := error(nil); err == nil; { // it asks and does not read: in the end it is not read either, and is cut off
		err = deaf.Send(&ctiqbe.ProviderGetAllDevicesAndLinesRequest{})
		if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("a client that does not read is not cut off")
		}
	}
	answers("while one does not read")
	long := loggedIn(t, ctx, s, enrolled(t, ctx, s, "app", "3"))
	if err := long.Send(&ctiqbe.DeviceOpenRequest{DeviceName: strings.Repeat("x", 65<<10)}); err != nil {
		t.Fatal(err)
	}
	ended(long, "a frame that is too long")
	noise := loggedIn(t, ctx, s, enrolled(t, ctx, s, "app", "4"))
	if _, err := noise.Conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	ended(noise, "noise")
	lie := loggedIn(t, ctx, s, enrolled(t, ctx, s, "app", "5"))
	frame := ctiqbe.AppendClient(nil, ctiqbe.Newest, &ctiqbe.DeviceOpenRequest{SequenceNumber: 77, DeviceName: "alice"})
	frame[36] = 0xff // the name is somewhere else
	if _, err := lie.Conn.Write(frame); err != nil {
		t.Fatal(err)
	}
	if m, err := lie.Next(ctx); err != nil || m.PDU() != ctiqbe.PDUFailureResponse || m.(*ctiqbe.FailureResponse).SequenceNumber != 77 {
		t.Errorf("a frame that lies: %v %v", m, err)
	}
	var silent []net.Conn
	for range 20 {
		c, err := net.Dial("tcp", s.CTIAddress())
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	closed := 0
	for _, c := range silent {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			closed++
		}
		c.Close()
	}
	if closed != len(silent) {
		t.Errorf("%d of %d connections that say nothing were closed", closed, len(silent))
	}
	answers("after all that")
}
