package lab_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/secret"
)

const tspPassword = "correct horse battery"

// tspUser is a user who controls both phones from port 2749.
func tspUser(s *config.Site) {
	s.Users = append(s.Users, config.User{Name: "tapi", Application: true, Password: config.NewVerifier(tspPassword), Devices: []string{"alice", "bob"},
		Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection}})
}

// tspConfig fetches a certificate for the instance from a node, and is the login that uses it.
func tspConfig(t *testing.T, ctx context.Context, s *lab.Site, instance string) cti.Config {
	t.Helper()
	made, err := s.Profiles.Create(ctx, capfprofile.Order{Owner: capfprofile.Owner{User: "tapi", Instance: instance}, Operation: capfprofile.InstallUpgrade,
		Mode: capfprofile.ByAuthenticationString, Order: capfprofile.RSAOnly})
	if err != nil {
		t.Fatal(err)
	}
	e, err := cti.NewEnrolment(t.TempDir(), cti.Security{Instance: instance, CAPF: s.CallManager().String(), TFTP: s.Provisioning.TFTP().String(),
		Retries: 2, Interval: 100 * time.Millisecond}, made.String.Reveal(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := e.Fetch(ctx); err != nil || !e.Status().Available {
		t.Fatalf("%+v %v", r, err)
	}
	return cti.Config{User: "tapi", Password: secret.New(tspPassword), Primary: cti.Manager{IPv4: s.CallManager().String()}, TLS: e.TLS}
}

// tspHeard waits for an event of a type that a condition holds for. Other events are passed over.
func tspHeard[T cti.Event](t *testing.T, ctx context.Context, p *cti.Provider, what string, fits func(T) bool) T {
	t.Helper()
	var seen []string
	for {
		e, err := p.Next(ctx)
		if err != nil {
			t.Fatalf("no %s: %v\n%s", what, err, strings.Join(seen, "\n"))
		}
		if got, ok := e.(T); ok && fits(got) {
			return got
		}
		seen = append(seen, tellTSP(e))
	}
}

func tellTSP(e cti.Event) string {
	switch e := e.(type) {
	case cti.NewCall:
		return "new call " + e.Call.Line.String() + " " + e.Call.State.String()
	case cti.CallChanged:
		return "call " + e.Call.Line.String() + " " + e.Call.State.String() + " " + e.Call.Cause.String() + " to " + e.Call.Called.String()
	case cti.CallEnded:
		return "ended " + e.Call.Line.String()
	case cti.Other:
		return e.Message.PDU().String()
	}
	return fmt.Sprintf("%T", e)
}

func reaches(line cti.LineID, s ctiqbe.CallState) func(cti.CallChanged) bool {
	return func(e cti.CallChanged) bool { return e.Call.Line == line && e.Call.State == s }
}

// TestCTIClient: the whole way of the field's TSP against our own CTI Manager: certificate by TFTP and CAPF, login on 2749, lines, and a
// call made, answered, held, retrieved and ended from the application, at phones that talk.
func TestCTIClient(t *testing.T) {
	t.Parallel()
	ctx := within(t, 30*time.Second)
	c := config.Default("n1")
	tspUser(c)
	s, err := lab.Start(ctx, lab.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	answers := func(cfg *phone.Config) { cfg.Intercom = true } // as desk phones do: where the INVITE asks for it
	alice, bob := must(s.Phone(ctx, "alice", "1001", answers))(t), must(s.Phone(ctx, "bob", "1002", answers))(t)
	for _, p := range []*phone.Phone{alice, bob} {
		defer p.Close(ctx)
		if err := p.WaitRegistered(ctx); err != nil {
			t.Fatal(err)
		}
	}
	cfg := tspConfig(t, ctx, s, "tsp1")
	wrong := cfg
	wrong.Password = secret.New("wrong")
	if _, err := cti.Open(ctx, wrong); !errors.Is(err, ctiqbe.ErrDirectoryLoginFailed) {
		t.Errorf("a wrong password: %v", err)
	}
	p := must(cti.Open(ctx, cfg))(t)
	defer p.Close()
	a, b := must(p.Find("alice", "1001"))(t), must(p.Find("bob", "1002"))(t)
	for _, l := range []cti.LineID{a, b} {
		if err := p.OpenLine(ctx, l); err != nil {
			t.Fatal(err)
		}
	}
	id := must(p.Dial(ctx, a, "1002"))(t)
	offered := tspHeard(t, ctx, p, "call at bob", func(e cti.NewCall) bool { return e.Call.Line == b })
	if offered.Call.Calling.Number != "1001" {
		t.Errorf("%+v", offered)
	}
	rings := tspHeard(t, ctx, p, "ringing at bob", reaches(b, ctiqbe.CallStateAccepted)).Call
	if err := p.Answer(ctx, rings); err != nil {
		t.Fatal(err)
	}
	made := tspHeard(t, ctx, p, "talking at alice", reaches(a, ctiqbe.CallStateConnected)).Call
	if made.ID != id || made.Peer().Number != "1002" {
		t.Errorf("%+v, made was %+v", made, id)
	}
	if err := p.Hold(ctx, made); err != nil {
		t.Fatal(err)
	}
	tspHeard(t, ctx, p, "hold", reaches(a, ctiqbe.CallStateOnHold))
	if err := p.Retrieve(ctx, made); err != nil {
		t.Fatal(err)
	}
	tspHeard(t, ctx, p, "talking again", reaches(a, ctiqbe.CallStateConnected))
	if err := p.Drop(ctx, made); err != nil {
		t.Fatal(err)
	}
	tspHeard(t, ctx, p, "end", func(e cti.CallEnded) bool { return e.Call.Line == a })
}

// TestCTIFailover: the node whose CTI Manager an application uses is killed during a call between phones of another node. The application
// is at the other node's manager within two windows, sees one Gap, and then everything that it missed and that is.
func TestCTIFailover(t *testing.T) {
	t.Parallel()
	cl := lab.StartCluster(t, lab.ClusterOptions{Site: tspUser})
	ctx := within(t, 150*time.Second)
	soon := func(cfg *phone.Config) { cfg.KeepAlive, cfg.PongWait = 100*time.Millisecond, 200*time.Millisecond }
	alice, bob := cl.Registered("n2", "alice", "1001", soon), cl.Registered("n2", "bob", "1002", soon)
	cfg := tspConfig(t, ctx, cl.Node("n1").Site, "tsp1")
	cfg.Backup = cti.Manager{IPv4: cl.Node("n2").Address.String()}
	cfg.Heartbeat = 5 * time.Second
	p := must(cti.Open(ctx, cfg))(t)
	defer p.Close()
	a, b := must(p.Find("alice", "1001"))(t), must(p.Find("bob", "1002"))(t)
	for _, l := range []cti.LineID{a, b} {
		if err := p.OpenLine(ctx, l); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := alice.Dial(ctx, "1002"); err != nil {
		t.Fatal(err)
	}
	if err := (<-bob.Incoming()).Answer(ctx); err != nil {
		t.Fatal(err)
	}
	before := tspHeard(t, ctx, p, "talking at alice", reaches(a, ctiqbe.CallStateConnected)).Call
	tspHeard(t, ctx, p, "talking at bob", reaches(b, ctiqbe.CallStateConnected))
	window := p.Status().Window
	killed := time.Now()
	cl.Kill("n1")
	gap := tspHeard(t, ctx, p, "gap", func(cti.Gap) bool { return true })
	if gap.Manager != cfg.Backup.String() || gap.To.Sub(killed) >= 2*window || len(gap.Lost) != 0 {
		t.Errorf("after %v of %v: %+v", gap.To.Sub(killed), 2*window, gap)
	}
	after, ok := p.Call(a, before.ID)
	if !ok || after.State != ctiqbe.CallStateConnected || after.Global != before.Global {
		t.Fatalf("the call was %+v and is %+v (%v); %+v", before, after, ok, p.Calls())
	}
	if err := p.Hold(ctx, after); err != nil {
		t.Fatal(err)
	}
	tspHeard(t, ctx, p, "hold", reaches(a, ctiqbe.CallStateOnHold))
	if err := p.Drop(ctx, after); err != nil {
		t.Fatal(err)
	}
	tspHeard(t, ctx, p, "end", func(e cti.CallEnded) bool { return e.Call.Line == b })
}
