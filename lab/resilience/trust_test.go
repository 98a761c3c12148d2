package resilience

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/desk"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/pki/truststore"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/callmanager"
)

// Trust replaced under load.

// deskName and deskNumber are those of desk phones that provision themselves.
func deskName(i int) string   { return fmt.Sprintf("SEP0A1B2C3D4E%02d", i) }
func deskNumber(i int) string { return fmt.Sprint(1050 + i) }

// addDesks adds desk phones to a configuration.
func addDesks(c *config.Site, n int) {
	for i := range n {
		addPhone(c, deskName(i), deskNumber(i), "encrypted")
		c.Devices[len(c.Devices)-1].Model = "8845"
	}
}

// api asks the administration of a node over its socket.
func api(t testing.TB, home, method, path string, in, out any) {
	t.Helper()
	c := admin.NewClient(home)
	defer c.Close()
	if err := c.Do(within(t, step), method, path, in, out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// orderDesk orders an enrolment with a join token.
func orderDesk(t testing.TB, home, name string) enroll.PhoneConfig {
	t.Helper()
	var created admin.CAPFCreated
	api(t, home, http.MethodPost, "/v1/capf/profiles", admin.CAPFOrder{Device: name, JoinToken: true}, &created)
	return enroll.PhoneConfig{Name: name, Authorization: must(enroll.ParseAuthorization(created.JoinToken))(t)}
}

// startDesk starts a desk phone that fetches, enrols and registers.
func startDesk(t testing.TB, home, tftp, domain string, i int, change func(*phone.Config)) *desk.Phone {
	t.Helper()
	p := must(desk.Start(within(t, 2*step), desk.Config{Name: deskName(i), Dir: t.TempDir(), Source: enroll.TFTP{Server: tftp, BlockSize: 1400}, Domain: domain,
		Authorization: orderDesk(t, home, deskName(i)).Authorization, Change: change}))(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = p.Close(ctx)
	})
	return p
}

// shownAt is one handshake: when it began, and which certificate of the site the other side saw.
type shownAt struct {
	way    string
	at     time.Time
	serial string
}

// watch notes what new handshakes show, in both directions, and when which certificates came into use.
type watch struct {
	mu    sync.Mutex
	shown []shownAt
	uses  []use
}

type use struct {
	at      time.Time
	serials []string
}

func (w *watch) saw(way string, at time.Time, serial string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown = append(w.shown, shownAt{way, at, serial})
}

// inbound dials 5061, once as a client that takes ECDSA and once as one that knows RSA only.
func (w *watch) inbound(ctx context.Context, addr string) {
	for i := 0; ctx.Err() == nil; i++ {
		var serial string
		cfg := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(cs tls.ConnectionState) error { //nolint:gosec // only read
			serial = cs.PeerCertificates[0].SerialNumber.Text(16)
			return nil
		}}
		way := "inbound"
		if i%2 == 1 {
			way, cfg.MaxVersion, cfg.CipherSuites = "inbound, RSA", tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		}
		begin := time.Now()
		conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", addr)
		if err == nil {
			conn.Close()
		}
		if serial != "" {
			w.saw(way, begin, serial)
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// trunk makes the trunk dial anew again and again, and notes what the neighbour is shown by the connections that arrive, and by
// those it opens itself.
func (w *watch) trunk(ctx context.Context, t *testing.T, a, b *lab.Site) {
	seen := map[string]bool{}
	ask := func(s *lab.Site, req bus.ResetRequest) (n int) {
		r, err := bus.Ask[bus.ResetRequest, bus.ResetResult](ctx, s.Bus, s.Bus.Subject(callmanager.Name, bus.VerbReset), req)
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		return r.Connections
	}
	reset := bus.ResetRequest{Object: bus.ObjectTrunk, Name: "neighbour", Action: bus.ActionReset, Actor: "test"}
	closed, began := 0, time.Now()
	defer func() {
		if closed == 0 {
			t.Error("no reset of the trunk closed a connection")
		}
	}()
	for i := 0; ctx.Err() == nil; i++ {
		if i%8 == 0 {
			closed += ask(a, reset) + ask(b, reset)
		}
		rows, err := bus.Ask[bus.Query, []bus.Connection](ctx, b.Bus, b.Bus.Subject(callmanager.Name, bus.VerbConnections), bus.Query{})
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		for _, r := range rows {
			if r.State == "established" && r.Since.After(began) && strings.Contains(r.Subject, "a.test") && !seen[r.ID] {
				seen[r.ID] = true
				w.saw(map[string]string{"inbound": "outbound", "outbound": "inbound from the trunk"}[r.Direction], r.Since, r.Serial)
			}
		}
		pause(ctx, 50*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// certificates notes every change of the certificates in use.
func (w *watch) certificates(ctx context.Context, s *lab.Site) {
	last := -1
	for ctx.Err() == nil {
		if c := s.Identity(callmanager.Name).Snapshot().Certificates; c.Generation != last {
			last = c.Generation
			w.mu.Lock()
			w.uses = append(w.uses, use{time.Now(), serials(c)})
			w.mu.Unlock()
		}
		pause(ctx, 2*time.Millisecond)
	}
}

// judge holds every handshake against what was in use: whoever begins a second after a change is shown the new certificate.
func (w *watch) judge(t *testing.T, changes int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.uses) != changes+1 {
		t.Errorf("the call manager's certificates changed %d times, want %d", len(w.uses)-1, changes)
	}
	after := map[string]int{}
	for _, x := range w.shown {
		var allowed []string
		for i, u := range w.uses {
			if over := i+1 < len(w.uses) && x.at.After(w.uses[i+1].at.Add(time.Second)); !over && !u.at.After(x.at.Add(time.Second)) {
				allowed = append(allowed, u.serials...)
			}
		}
		if !slices.Contains(allowed, x.serial) {
			t.Errorf("%s: a handshake %v after the last change showed %s", x.way, x.at.Sub(w.uses[len(w.uses)-1].at), x.serial)
		}
		if x.at.After(w.uses[len(w.uses)-1].at.Add(time.Second)) {
			after[x.way]++
		}
	}
	t.Logf("%d handshakes watched over %d changes; after the last: %v", len(w.shown), len(w.uses)-1, after)
	for _, way := range []string{"inbound", "inbound, RSA", "inbound from the trunk", "outbound"} {
		if after[way] == 0 {
			t.Errorf("no handshake of the kind %q after the last change", way)
		}
	}
}

// rotate runs a rotation to its end; meanwhile is called between two looks.
func rotate(t testing.TB, home string, target rotation.Target, accept []string, patience time.Duration, meanwhile func(rotation.Status)) rotation.Status {
	t.Helper()
	var st rotation.Status
	api(t, home, http.MethodPost, "/v1/trust/rotation", admin.RotationRequest{Target: target, Accept: accept}, &st)
	return goesOn(t, home, patience, meanwhile)
}

// goesOn waits until the rotation under way has ended.
func goesOn(t testing.TB, home string, patience time.Duration, meanwhile func(rotation.Status)) (st rotation.Status) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		api(t, home, http.MethodGet, "/v1/trust/rotation", nil, &st)
		if !st.Running() {
			return st
		}
		if time.Now().After(end) {
			t.Fatalf("the rotation of %s is at step %d of %d (%s) after %v, waiting for %v; %s", st.Target, st.Done+1, len(st.Steps), st.Steps[st.Done].Action, patience, st.Waits, st.Problem)
		}
		if meanwhile != nil {
			meanwhile(st)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// rootPEM is a root generation of the site.
func rootPEM(s *lab.Site, generation int) []byte {
	for _, g := range s.CA.Generations() {
		if g.Number == generation {
			return slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.RSA.Raw}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.ECDSA.Raw}))
		}
	}
	return nil
}

// noise uploads an authority and removes it, again and again: the trust of every identity is replaced while certificates are.
func noise(ctx context.Context, t *testing.T, s *lab.Site, other *lab.Site) {
	root := other.CA.Roots()[0]
	for ctx.Err() == nil {
		_, err := s.Anchors.Upload(ctx, truststore.Upload{Purpose: truststore.CAPFTrust, Certificate: root, By: "test"})
		pause(ctx, 10*time.Millisecond)
		if err == nil {
			_, err = s.Anchors.Remove(ctx, truststore.CAPFTrust, fmt.Sprintf("%x", sha(root.Raw)), "test", "test")
		}
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// TestRotationUnderLoad: the call manager's certificates are rotated, then everything, while desk phones talk to each other and
// across a trunk, authorities are uploaded and the trunk is reset. No call drops, and within a second every new handshake in
// both directions shows the new certificate.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	n := startNeighbours(t)
	apply(t, n.a, func(c *config.Site) { addDesks(c, 4) })
	trunkState(t, n.a, "in-service", "")
	trunkState(t, n.b, "in-service", "")
	var desks []*desk.Phone
	for i := range 4 {
		desks = append(desks, startDesk(t, n.a.Home(), tftpAddr(n.a), n.domainA, i, nil))
	}
	calls := []pair{connect(t, desks[0].Phone, desks[1].Phone), connect(t, desks[2].Phone, n.anna), connect(t, n.bert, desks[3].Phone)}
	for _, p := range calls {
		p.hear(t)
	}

	ctx, stop := context.WithCancel(t.Context())
	var w watch
	var workers sync.WaitGroup
	for _, work := range []func(){func() { w.inbound(ctx, addrOf(n.a, 5061)) }, func() { w.trunk(ctx, t, n.a, n.b) }, func() { w.certificates(ctx, n.a) }, func() { noise(ctx, t, n.a, n.b) }} {
		workers.Go(work)
	}
	defer func() { stop(); workers.Wait() }()
	first := rotate(t, n.a.Home(), rotation.CallManager, nil, time.Minute, nil)
	told := false
	second := rotate(t, n.a.Home(), rotation.All, []string{"alice", "bob"}, time.Minute, func(rotation.Status) {
		fresh := rootPEM(n.a, 2)
		if told || fresh == nil {
			return
		}
		told = true // what the operators of both sites do, once
		api(t, n.b.Home(), http.MethodPost, "/v1/trust/stores/callmanager-trust", admin.TrustUpload{Data: fresh, File: "north.pem", For: []string{"peer"}}, nil)
		api(t, n.a.Home(), http.MethodPost, "/v1/trust/peers", admin.PeerTold{Peer: "neighbour", Certificates: []rotation.ID{rotation.NewID("ca", 2)}}, nil)
	})
	time.Sleep(2500 * time.Millisecond) // handshakes after the last change are what is looked for
	stop()
	workers.Wait()
	t.Logf("callmanager: %d steps in %v; all: %d steps in %v", len(first.Steps), first.Ended.Sub(first.Started), len(second.Steps), second.Ended.Sub(second.Started))
	w.judge(t, 2)
	for i, p := range calls {
		if !p.caller.Talking() || !p.called.Talking() {
			t.Errorf("call %d was dropped: %s %s", i, p.caller.Reason(), p.called.Reason())
			continue
		}
		p.hear(t)
		p.end(t)
	}
	for i, d := range desks {
		if rounds, err := d.Rounds(); err != nil || rounds == 0 {
			t.Errorf("%s has looked %d times: %v", deskName(i), rounds, err)
		}
		row, there := registration(t, n.a, deskName(i), "registered")
		if !there || !strings.EqualFold(row.Serial, d.LSC()) {
			t.Errorf("%s after everything was rotated: %+v, its LSC is %s", deskName(i), row, d.LSC())
		}
	}
	trunkState(t, n.a, "in-service", "")
	trunkState(t, n.b, "in-service", "")
	goodCall(t, desks[0].Phone, desks[3].Phone)
	goodCall(t, n.anna, desks[1].Phone)
}

func sha(b []byte) [32]byte { return sha256.Sum256(b) }
