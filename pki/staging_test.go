package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a clock that a test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// place is a custody and a register that outlive the CAs opened on them.
type place struct {
	custody Custody
	reg     *FileRegister
	clock   *clock
}

func newPlace(t testing.TB) *place {
	return &place{newMemory(), must(OpenRegister(""))(t), &clock{at()}}
}

func (p *place) config() Config {
	return Config{Cluster: "lab", Custody: p.custody, Register: p.reg, Now: p.clock.now, Keys: readyKey}
}

// readyKeys are RSA keys made once, of each size: these tests are not about keys.
var readyKeys = sync.OnceValues(func() (map[Algorithm][]PrivateKey, error) {
	keys := make(map[Algorithm][]PrivateKey)
	for _, a := range []Algorithm{RSA2048, RSA2048, RSA2048, RSA3072} {
		k, err := GenerateKey(a)
		if err != nil {
			return nil, err
		}
		keys[a] = append(keys[a], k)
	}
	return keys, nil
})

var keysTaken atomic.Int64

func readyKey(a Algorithm) (PrivateKey, error) {
	keys, err := readyKeys()
	if err != nil || len(keys[a]) == 0 {
		return GenerateKey(a)
	}
	return keys[a][int(keysTaken.Add(1))%len(keys[a])], nil
}

func (p *place) open(t testing.TB) *CA { return must(Open(t.Context(), p.config()))(t) }

func listed(name string) ServiceSpec {
	s := spec(name)
	s.Listed = true
	return s
}

// generations is what a CA says of a service: active, staged (0: none), and the retiring ones.
func generations(t testing.TB, ca *CA, s ServiceSpec) (active, staged int, retiring []int) {
	t.Helper()
	active = must(ca.Service(t.Context(), s))(t).Generation
	c, ok, err := ca.Staged(t.Context(), s)
	if err != nil || ok != (c.Generation > 0) {
		t.Fatalf("staged: %v, %v", ok, err)
	}
	for _, r := range must(ca.Retiring(t.Context(), s))(t) {
		retiring = append(retiring, r.Generation)
	}
	return active, c.Generation, retiring
}

// TestStage: a staged generation is not used before it is activated, its names are its own, and a restart anywhere gives
// the same answer.
func TestStage(t *testing.T) {
	p := newPlace(t)
	s := listed("callmanager")
	expect := func(what string, ca *CA, active, staged int, retiring ...int) {
		t.Helper()
		for _, x := range []*CA{ca, p.open(t)} {
			a, st, r := generations(t, x, s)
			if a != active || st != staged || len(r) != len(retiring) || len(r) > 0 && r[0] != retiring[0] {
				t.Fatalf("%s: active %d, staged %d, retiring %v; want %d, %d, %v", what, a, st, r, active, staged, retiring)
			}
		}
	}
	ca := p.open(t)
	expect("new", ca, 1, 0)
	id := must(NewIdentity(s.Name, Snapshot{must(ca.Service(t.Context(), s))(t), must(ca.Trust())(t)}, p.clock.now))(t)
	staged := must(ca.Stage(t.Context(), s))(t)
	if again := must(ca.Stage(t.Context(), s))(t); !again.Server[0].Leaf().Equal(staged.Server[0].Leaf()) {
		t.Error("staging twice made two")
	}
	expect("staged", ca, 1, 2)
	if cn := staged.Server[1].Leaf().Subject.CommonName; cn != "callmanager.lab.test-g2" {
		t.Errorf("common name %s", cn)
	}
	if changed := must(ca.Refresh(t.Context(), id, s))(t); changed {
		t.Error("what is staged was put in use")
	}
	must(ca.Activate(t.Context(), s))(t)
	must(ca.Activate(t.Context(), s))(t)
	expect("activated", ca, 2, 0, 1)
	if changed := must(ca.Refresh(t.Context(), id, s))(t); !changed || id.Snapshot().Certificates.Generation != 2 {
		t.Error("what was activated was not put in use")
	}
	for _, c := range must(ca.Retiring(t.Context(), s))(t) {
		if !c.Server[0].Key.IsZero() || c.Client[1].Leaf() == nil {
			t.Error("a retiring generation keeps its keys, or lost a certificate")
		}
	}
	must(ca.Stage(t.Context(), s))(t)
	if err := ca.Discard(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	expect("discarded", ca, 2, 0, 1)
	if c := must(ca.Stage(t.Context(), s))(t); c.Generation != 4 {
		t.Errorf("generation %d after a discarded 3", c.Generation)
	}
	if err := ca.Retire(t.Context(), s, 1); err != nil {
		t.Fatal(err)
	}
	expect("retired", ca, 2, 4)
	must(ca.Renew(t.Context(), s))(t)
	expect("renewed over a staged one", ca, 5, 0, 2)
}

// failing is a custody whose writes fail after some.
type failing struct {
	Custody
	left int
}

func (f *failing) Replace(ctx context.Context, name string, s Secret) error {
	if f.left--; f.left < 0 {
		return errors.New("the disk is full")
	}
	return f.Custody.Replace(ctx, name, s)
}

// TestStageInterrupted: a crash at any write leaves the state before or the state after.
func TestStageInterrupted(t *testing.T) {
	p := newPlace(t)
	s := listed("capf")
	p.open(t)
	must(p.open(t).Service(t.Context(), s))(t)
	broken := p.config()
	broken.Custody = &failing{p.custody, 0}
	ca := must(Open(t.Context(), broken))(t)
	if _, err := ca.Stage(t.Context(), s); err == nil {
		t.Fatal("staged on a full disk")
	}
	if a, st, r := generations(t, p.open(t), s); a != 1 || st != 0 || r != nil {
		t.Errorf("after a failed stage: %d, %d, %v", a, st, r)
	}
	must(p.open(t).Stage(t.Context(), s))(t)
	if _, err := ca.Activate(t.Context(), s); err == nil {
		t.Fatal("activated on a full disk")
	}
	if a, st, r := generations(t, p.open(t), s); a != 1 || st != 2 || r != nil {
		t.Errorf("after a failed activation: %d, %d, %v", a, st, r)
	}
}

// TestDue: what is in lists is reported and left alone when it gets old; what cannot be used is issued anew.
func TestDue(t *testing.T) {
	p := newPlace(t)
	ca := p.open(t)
	s, plain := listed("tvs"), spec("admin")
	first := must(ca.Service(t.Context(), s))(t)
	must(ca.Service(t.Context(), plain))(t)
	due := func(want string) Renewal {
		t.Helper()
		r := must(ca.Due(t.Context(), s))(t)
		if r.Reason != want && (want == "" || !strings.Contains(r.Reason, want)) {
			t.Errorf("%+v, want %q", r, want)
		}
		return r
	}
	if r := due(""); r.Due || r.Urgent || r.At.Sub(p.clock.t) < 200*24*time.Hour {
		t.Errorf("new: %+v", r)
	}
	p.clock.t = at().AddDate(0, 9, 0)
	if r := due("past two thirds of its life"); !r.Due || r.Urgent {
		t.Errorf("old: %+v", r)
	}
	if c := must(ca.Service(t.Context(), s))(t); c.Generation != 1 {
		t.Error("listed certificates were renewed without overlap")
	}
	if c := must(ca.Service(t.Context(), plain))(t); c.Generation != 2 {
		t.Error("others were not")
	}
	if r := must(ca.Retiring(t.Context(), plain))(t); r != nil {
		t.Errorf("nobody lists these: %v", r)
	}
	p.clock.t = at().AddDate(0, 14, 0)
	if r := due("expired on"); !r.Urgent {
		t.Errorf("expired: %+v", r)
	}
	if c := must(ca.Service(t.Context(), s))(t); c.Generation != 2 {
		t.Error("expired certificates stay in use")
	}
	if err := ca.Revoke(t.Context(), RefOf(must(ca.Service(t.Context(), s))(t).Client[1].Leaf()), "stolen"); err != nil {
		t.Fatal(err)
	}
	due("the client-rsa certificate was revoked")
	must(ca.Service(t.Context(), s))(t)
	s.DNSNames = nil
	due("has other names than the service now")
	if _, err := ca.Activate(t.Context(), listed("nobody")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("activating what is not there: %v", err)
	}
	if first.Generation != 1 {
		t.Error("the first generation is not 1")
	}
}

// TestRootGenerations: new roots are trusted before they issue, old ones until they are retired, over restarts.
func TestRootGenerations(t *testing.T) {
	p := newPlace(t)
	ca := p.open(t)
	issue := func() []*x509.Certificate {
		t.Helper()
		return must(p.open(t).Issue(t.Context(), Request{Kind: KindDevice, Name: "SEP001122334455"}))(t).Credential.Chain
	}
	ok := func(chain []*x509.Certificate) bool {
		t.Helper()
		trust := must(p.open(t).Trust())(t)
		return trust.Verify(chain, PeerIsClient, PeerPolicy{Kinds: KindsOf(KindDevice)}, p.clock.t).OK()
	}
	service := listed("callmanager")
	must(ca.Service(t.Context(), service))(t)
	old := issue()
	staged := must(ca.StageRoots(t.Context()))(t)
	if again := must(p.open(t).StageRoots(t.Context()))(t); !again.ECDSA.Equal(staged.ECDSA) || staged.State != StateStaged {
		t.Errorf("staged %+v, again %+v", staged, again)
	}
	names := make(map[string]bool)
	for _, c := range must(ParseCertificates(p.open(t).RootsPEM()))(t) {
		names[c.Subject.CommonName] = true
	}
	if len(names) != 4 {
		t.Errorf("names of four roots: %v", names)
	}
	if c := issue(); c[0].CheckSignatureFrom(staged.ECDSA) == nil {
		t.Error("staged roots issue")
	}
	must(ca.ActivateRoots(t.Context()))(t)
	must(ca.ActivateRoots(t.Context()))(t)
	fresh := issue()
	if fresh[0].CheckSignatureFrom(staged.ECDSA) != nil || !ok(old) || !ok(fresh) {
		t.Errorf("after activation: old %v, new %v", ok(old), ok(fresh))
	}
	if got := p.open(t).Roots(); !got[0].Equal(staged.ECDSA) || !got[1].Equal(staged.RSA) || len(got) != 4 {
		t.Error("the active roots are not the first")
	}
	if r := must(ca.Due(t.Context(), service))(t); !r.Due || r.Urgent || !strings.Contains(r.Reason, "roots that are being replaced") {
		t.Errorf("a service under old roots: %+v", r)
	}
	if crls := must(ca.CRLs(t.Context()))(t); len(crls) != 4 {
		t.Errorf("%d revocation lists", len(crls))
	}
	if out := must(ca.Outstanding(t.Context(), 1))(t); len(out) != 6 {
		t.Errorf("%d certificates outstanding, want a service's four and two devices'", len(out))
	}
	if err := ca.RetireRoots(t.Context(), 2); err == nil {
		t.Error("the active roots were retired")
	}
	if err := ca.RetireRoots(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if ok(old) || !ok(fresh) {
		t.Error("after retirement the old roots are trusted, or the new ones are not")
	}
	if r := must(ca.Due(t.Context(), service))(t); !r.Urgent || !strings.Contains(r.Reason, "not trusted") {
		t.Errorf("a service under retired roots: %+v", r)
	}
	if c := must(ca.Service(t.Context(), service))(t); c.Generation != 2 {
		t.Error("it was not issued anew")
	}
	if g := p.open(t).Generations(); len(g) != 1 || g[0].Number != 2 || g[0].State != StateActive {
		t.Errorf("generations %+v", g)
	}
}

// TestReload: a second process sees what the first did.
func TestReload(t *testing.T) {
	p := newPlace(t)
	a, b := p.open(t), p.open(t)
	if changed := must(b.Reload(t.Context()))(t); changed {
		t.Error("changed before anything happened")
	}
	must(a.StageRoots(t.Context()))(t)
	if changed := must(b.Reload(t.Context()))(t); !changed || len(b.Generations()) != 2 {
		t.Error("the second process does not see staged roots")
	}
	if err := a.DiscardRoots(t.Context()); err != nil || len(a.Generations()) != 1 {
		t.Errorf("discarded: %v, %v", err, a.Generations())
	}
}

// TestOldHome opens what the first release wrote: everything is loaded as it was.
func TestOldHome(t *testing.T) {
	home := t.TempDir()
	if err := os.CopyFS(home, os.DirFS("testdata/home-v1")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"pki", "pki/service"} {
		if err := os.Chmod(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	open := func() (*CA, *FileRegister) {
		reg := must(OpenRegister(filepath.Join(home, "register.jsonl")))(t)
		t.Cleanup(func() { reg.Close() })
		return must(Open(t.Context(), Config{Cluster: "lab", Custody: must(OpenDir(filepath.Join(home, "pki")))(t), Register: reg, Now: at, Keys: readyKey}))(t), reg
	}
	ca, reg := open()
	before, old := len(must(reg.Entries(t.Context()))(t)), must(os.ReadFile("testdata/home-v1/pki/ca.pem"))(t)
	s := ServiceSpec{Name: "callmanager", Host: "cm.lab.test", DNSNames: []string{"localhost"}, IPs: spec("x").IPs, SIPDomain: "lab.test"}
	c := must(ca.Service(t.Context(), s))(t)
	if after := len(must(reg.Entries(t.Context()))(t)); c.Generation != 2 || after != before {
		t.Fatalf("generation %d, %d entries instead of %d: it was issued anew", c.Generation, after, before)
	}
	for _, root := range ca.Roots() {
		if !strings.Contains(string(old), strings.TrimSpace(string(encodeCertificates([]*x509.Certificate{root})))) {
			t.Error("another root")
		}
	}
	s.Listed = true
	must(ca.Stage(t.Context(), s))(t)
	again, _ := open()
	if a, st, _ := generations(t, again, s); a != 2 || st != 3 {
		t.Errorf("after staging: %d, %d", a, st)
	}
}

// TestObserve: full handshakes are seen on both ends, refused ones too; resumed ones are not, and a full channel never
// holds a handshake up.
func TestObserve(t *testing.T) {
	ca := testCA(t)
	trust := must(ca.Trust())(t)
	certs := must(ca.Service(t.Context(), spec("alpha")))(t)
	server := must(NewIdentity("alpha", Snapshot{certs, trust}, nil))(t)
	seen := make(chan Observation, 2)
	server.Observe(seen)
	addr, outcomes := serve(t, server.ServerConfig(ServerPolicy{Peers: PeerPolicy{Peer: "phones", Kinds: KindsOf(KindDevice)}}))
	device := issue(t, ca, Request{Kind: KindDevice, Name: "SEP001122334455"})
	stranger := issue(t, ca, Request{Kind: KindCTI, Name: "CTI-1"})
	cfg := clientWith(device.Credential)
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	cfg.ServerName = "localhost"
	for range 2 {
		if _, err := exchange(addr, cfg); err != nil {
			t.Fatal(err)
		}
		<-outcomes
	}
	o := <-seen
	if o.Identity != "alpha" || o.Side != PeerIsClient || o.Peer != "phones" || !o.Report.OK() || !o.Report.Leaf().Equal(device.Credential.Leaf()) {
		t.Errorf("seen %+v", o)
	}
	if len(seen) != 0 {
		t.Errorf("a resumed handshake was seen too: %+v", <-seen)
	}
	for range 4 {
		exchange(addr, clientWith(stranger.Credential))
		<-outcomes
	}
	if o := <-seen; o.Report.OK() || server.Unobserved() != 2 {
		t.Errorf("a refused one: %+v; %d dropped", o, server.Unobserved())
	}
	<-seen
	server.Observe(nil)
	exchange(addr, cfg)
	<-outcomes
	if len(seen) != 0 {
		t.Error("seen after the end")
	}
}
