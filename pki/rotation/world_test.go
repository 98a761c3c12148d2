package rotation

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"maps"
	"math/big"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/trustlist"
)

// The emulated site of these tests stands on real certificates, real signed lists and the real code that reads them. Nothing
// in this file looks at an ID to decide whether somebody is trusted: a device has bytes, and compares bytes.

// identity is a certificate with its key.
type identity struct {
	id   ID
	cert *x509.Certificate
	key  crypto.Signer
}

// keys are made once for all tests: RSA for whoever signs lists and configurations, ECDSA for the rest.
type keys struct {
	mu  sync.Mutex
	rsa []crypto.Signer
	ec  []crypto.Signer
}

var pool keys

// signer returns key n, made when it is first asked for.
func (k *keys) signer(t testing.TB, isRSA bool, n int) crypto.Signer {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := &k.ec
	if isRSA {
		list = &k.rsa
	}
	for len(*list) <= n {
		var key crypto.Signer
		var err error
		if isRSA {
			key, err = rsa.GenerateKey(rand.Reader, 2048)
		} else {
			key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		}
		if err != nil {
			t.Fatal(err)
		}
		*list = append(*list, key)
	}
	return (*list)[n]
}

// world is a site. Its maps are copied on change, so that a snapshot stays what it was.
type world struct {
	t        testing.TB
	state    State
	certs    map[ID]*identity // of every generation that ever was: whoever holds a key, see state
	ctl, itl map[ID]*trustlist.List
	trust    *pki.Trust
	config   []byte // signed by provisioning
	serial   int64
	rsaKeys  int
	phones   []*phone
	versions int // lists ever published
	peak     int // bytes of the longest list
}

// phone is an emulated device, JTAPI application or trunk peer.
type phone struct {
	name     string
	jtapi    bool // reads the CTL only, by JTAPI's rules, and asks no TVS
	oldPhone bool // asks no TVS
	limit    int
	mic      bool
	peer     bool
	roots    *x509.CertPool // of a peer
	knows    []*x509.Certificate
	ctl, itl *trustlist.List
	lsc      *x509.Certificate
	asleep   bool
	seen     time.Time
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, state: newSite(), certs: make(map[ID]*identity)}
	w.state.Published = List{}
	for _, m := range w.state.Members {
		w.issue(m, m.Generations[0])
	}
	w.refreshTrust()
	if err := w.Publish(context.Background()); err != nil {
		t.Fatal(err)
	}
	return w
}

// fork is a copy that can go another way. Phones are shared.
func (w *world) fork() *world {
	n := *w
	n.certs = maps.Clone(w.certs)
	return &n
}

func (w *world) template(name string, id ID) *x509.Certificate {
	w.serial++
	return &x509.Certificate{SerialNumber: big.NewInt(1000 + w.serial), Subject: pkix.Name{CommonName: string(id)}, DNSNames: []string{name + ".example"},
		NotBefore: noon.AddDate(0, -1, 0), NotAfter: noon.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
}

// issue makes the certificate of a generation.
func (w *world) issue(m Member, g Generation) {
	c := w.template(m.Name, g.ID)
	isRSA := m.Kind == Signer || m.Name == "provisioning"
	n := len(w.certs)
	if isRSA {
		n, w.rsaKeys = w.rsaKeys, w.rsaKeys+1
	}
	key := pool.signer(w.t, isRSA, n)
	issuer, issuerKey := c, key
	switch {
	case m.Kind == Root:
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	case m.Kind == Service:
		issuer, issuerKey = w.certs[g.Issuer].cert, w.certs[g.Issuer].key
	}
	w.certs[g.ID] = &identity{g.ID, w.sign(c, issuer, key.Public(), issuerKey), key}
}

func (w *world) sign(c, issuer *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, pub, key)
	if err != nil {
		w.t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return parsed
}

// newLSC issues a phone's certificate from the active root.
func (w *world) newLSC(name string, key crypto.Signer) *x509.Certificate {
	ca, _ := w.state.Member("ca")
	g, _ := ca.Active()
	c := w.template(name, ID(name))
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	root := w.certs[g.ID]
	return w.sign(c, root.cert, key.Public(), root.key)
}

// refreshTrust is what the site believes LSCs by: the roots that are not retired.
func (w *world) refreshTrust() {
	var anchors []pki.Anchor
	ca, _ := w.state.Member("ca")
	for _, g := range ca.Generations {
		anchors = append(anchors, pki.Anchor{Certificate: w.certs[g.ID].cert, Kinds: pki.KindsOf(pki.KindDevice)})
	}
	trust, err := pki.NewTrust(anchors...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.trust = trust
}

// active is what a service presents.
func (w *world) active(name string) *identity {
	m, _ := w.state.Member(name)
	g, ok := m.Active()
	if !ok {
		w.t.Fatalf("%s has nothing to present", name)
	}
	return w.certs[g.ID]
}

// Publish implements Site with signed files.
func (w *world) Publish(context.Context) error {
	w.versions++
	w.state = w.state.after(Step{Action: Publish})
	w.ctl, w.itl = make(map[ID]*trustlist.List), make(map[ID]*trustlist.List)
	for _, g := range w.state.signers() {
		w.ctl[g.ID] = w.file(trustlist.CTL, g.ID, map[string]trustlist.Role{"callmanager": trustlist.RoleCCM, "provisioning": trustlist.RoleTFTP, "capf": trustlist.RoleCAPF})
		w.itl[g.ID] = w.file(trustlist.ITL, g.ID, map[string]trustlist.Role{"tvs": trustlist.RoleTVS, "provisioning": trustlist.RoleTFTP, "capf": trustlist.RoleCAPF})
	}
	w.sign1()
	return nil
}

// sign1 signs the configuration that phones read.
func (w *world) sign1() {
	signer := w.active("provisioning")
	b, err := trustlist.SignFile([]byte("<device/>"), trustlist.FileOptions{Filename: "SEP.cnf.xml.sgn", Time: noon}, trustlist.Signer{Certificate: signer.cert, Key: signer.key})
	if err != nil {
		w.t.Fatal(err)
	}
	w.config = b
}

// file is a list as one signer signs it.
func (w *world) file(kind trustlist.Kind, signer ID, roles map[string]trustlist.Role) *trustlist.List {
	d := trustlist.Draft{Kind: kind, Time: noon}
	for _, id := range append([]ID{signer}, w.state.Published.Signers...) {
		if id != signer || len(d.Entries) == 0 {
			d.Entries = append(d.Entries, trustlist.Entry{Role: trustlist.RoleSAST, Name: string(id), Certificate: w.certs[id].cert})
		}
	}
	for _, m := range w.state.Members {
		role, known := roles[m.Name]
		for _, g := range m.Generations {
			if known {
				d.Entries = append(d.Entries, trustlist.Entry{Role: role, Name: m.Name + ".example", Address: netip.AddrFrom4([4]byte{127, 0, 1, 10}), Certificate: w.certs[g.ID].cert})
			}
		}
	}
	x := w.certs[signer]
	b, _, err := d.Sign(trustlist.Signer{Certificate: x.cert, Key: x.key})
	if err != nil {
		w.t.Fatalf("list signed by %s: %v", signer, err)
	}
	l, err := trustlist.Parse(b)
	if err != nil {
		w.t.Fatal(err)
	}
	w.peak = max(w.peak, len(b))
	return l
}

// Stage implements Site.
func (w *world) Stage(_ context.Context, member string, generation int) error {
	m, _ := w.state.Member(member)
	if m.next() > generation {
		return nil
	}
	w.state = w.state.after(Step{Action: Stage, Members: []string{member}})
	m, _ = w.state.Member(member)
	g, _ := m.in(Staged)
	w.issue(m, g)
	w.refreshTrust()
	return nil
}

// Activate implements Site.
func (w *world) Activate(_ context.Context, member string, generation int) error {
	m, _ := w.state.Member(member)
	if g, ok := m.Active(); ok && g.Number >= generation {
		return nil
	}
	w.state = w.state.after(Step{Action: Activate, Members: []string{member}})
	w.sign1()
	return nil
}

// Retire implements Site.
func (w *world) Retire(_ context.Context, member string, _ int) error {
	w.state = w.state.after(Step{Action: Retire, Members: []string{member}})
	w.refreshTrust()
	return nil
}

// do takes a step without asking anybody.
func (w *world) do(st Step) {
	r := Runner{Config{Site: w}}
	if err := r.do(context.Background(), st); err != nil {
		w.t.Fatal(err)
	}
}

// Graph implements Site: the devices by the bytes they hold.
func (w *world) Graph(context.Context) (State, []Device, error) {
	byDER := make(map[string]ID, len(w.certs))
	for id, x := range w.certs {
		byDER[string(x.cert.Raw)] = id
	}
	ds := make([]Device, len(w.phones))
	read := make(map[[2]*trustlist.List][]ID)
	for i, p := range w.phones {
		ds[i] = w.device(p, byDER, read)
	}
	return w.state, ds, nil
}

func (w *world) device(p *phone, byDER map[string]ID, read map[[2]*trustlist.List][]ID) Device {
	d := Device{Name: p.name, Peer: p.peer, NoTVS: p.jtapi || p.oldPhone, SignerLimit: p.limit, Reenrol: p.mic, LastSeen: p.seen}
	if p.jtapi {
		d.Uses = []string{"callmanager"}
	}
	if p.lsc != nil {
		d.LSC = LSC{Issuer: ID(p.lsc.Issuer.CommonName), NotAfter: p.lsc.NotAfter}
	}
	if p.peer {
		for _, c := range p.knows {
			d.Held.Knows = append(d.Held.Knows, byDER[string(c.Raw)])
		}
		d.Held.Knows = normal(d.Held.Knows)
		return d
	}
	key := [2]*trustlist.List{p.ctl, p.itl}
	ids, done := read[key]
	if !done {
		for _, l := range key {
			if l == nil {
				continue
			}
			for _, rec := range l.Records {
				ids = append(ids, byDER[string(rec.Certificate)])
			}
		}
		ids = normal(ids)
		read[key] = ids
	}
	d.Held.Knows = ids
	return d
}

// accepted remembers what the real verification said about the same bytes before.
type accepted struct {
	mu   sync.Mutex
	said map[acceptance]bool
}

type acceptance struct {
	fresh, ctl, itl *trustlist.List
	jtapi           bool
	vouch           *x509.Certificate
}

var verdicts = accepted{said: make(map[acceptance]bool)}

func (a *accepted) is(k acceptance, ask func() error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	ok, known := a.said[k]
	if !known {
		ok = ask() == nil
		a.said[k] = ok
	}
	return ok
}

// fetch is the lists a phone has after asking for new ones; ok is false when it refuses what it is served.
func (w *world) fetch(p *phone) (ctl, itl *trustlist.List, ok bool) {
	var first *identity // whose hand those are served of whom nothing is known
	for _, g := range w.state.signers() {
		ctl, itl := w.ctl[g.ID], w.itl[g.ID]
		if ctl == nil {
			continue // staged behind the last publication
		}
		if first == nil {
			first = w.certs[g.ID]
		}
		if p.takes(ctl, nil) && (p.jtapi || p.takes(itl, nil)) {
			return p.limited(ctl), p.limited(itl), true
		}
	}
	if first == nil || p.jtapi || p.oldPhone || !listed(p.itl, w.active("tvs").cert, trustlist.RoleTVS) {
		return nil, nil, false
	}
	ctl, itl = w.ctl[first.id], w.itl[first.id]
	return p.limited(ctl), p.limited(itl), p.takes(ctl, first.cert) && p.takes(itl, first.cert)
}

// takes asks the device's rule about a list, with what TVS said of the signer.
func (p *phone) takes(fresh *trustlist.List, vouch *x509.Certificate) bool {
	return verdicts.is(acceptance{fresh, p.ctl, p.itl, p.jtapi, vouch}, func() error {
		var err error
		switch {
		case p.jtapi:
			_, err = trustlist.AcceptJTAPI(fresh, p.ctl)
		case vouch != nil:
			_, err = trustlist.AcceptVouched(fresh, vouch, []trustlist.Role{trustlist.RoleSAST}, p.ctl, p.itl)
		default:
			_, err = trustlist.AcceptPhone(fresh, p.ctl, p.itl)
		}
		return err
	})
}

// views are lists as devices remember them that keep few signers.
var views sync.Map

// limited is the list as the device remembers it.
func (p *phone) limited(l *trustlist.List) *trustlist.List {
	if p.limit == 0 || l == nil {
		return l
	}
	type view struct {
		l *trustlist.List
		n int
	}
	n, cut := 0, *l
	cut.Records = slices.DeleteFunc(slices.Clone(l.Records), func(r trustlist.Record) bool {
		if r.Role == trustlist.RoleSAST {
			n++
		}
		return r.Role == trustlist.RoleSAST && n > p.limit
	})
	kept, _ := views.LoadOrStore(view{l, p.limit}, &cut)
	return kept.(*trustlist.List)
}

// listed reports whether a list holds the very certificate in a role.
func listed(l *trustlist.List, c *x509.Certificate, role trustlist.Role) bool {
	return l != nil && slices.ContainsFunc(l.ByRole(role), func(r *trustlist.Record) bool { return bytes.Equal(r.Certificate, c.Raw) })
}

// opened remembers which lists verified which configuration.
var opened sync.Map

type reading struct {
	ctl, itl *trustlist.List
	config   *byte
}

// works reports whether the device, with these lists, verifies what it meets: the call manager's handshake and, of a phone,
// the signature of its configuration.
func (w *world) works(p *phone, ctl, itl *trustlist.List) bool {
	cm := w.active("callmanager").cert
	if p.peer {
		_, err := cm.Verify(x509.VerifyOptions{Roots: p.roots, CurrentTime: noon})
		return err == nil || slices.ContainsFunc(p.knows, cm.Equal)
	}
	if ctl == nil || !listed(ctl, cm, trustlist.RoleCCM) {
		return false
	}
	if p.jtapi {
		return true
	}
	key := reading{ctl, itl, &w.config[0]}
	ok, known := opened.Load(key)
	if !known {
		_, _, err := trustlist.Open(w.config, ctl, itl)
		opened.Store(key, err == nil)
		return err == nil
	}
	return ok.(bool)
}

// letIn reports whether we accept the device's LSC.
func (w *world) letIn(p *phone) bool {
	if p.lsc == nil {
		return true
	}
	return w.trust.Verify([]*x509.Certificate{p.lsc}, pki.PeerIsClient, pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindDevice)}, w.state.Time).OK()
}

// enrols reports whether the device can get a new LSC with these lists: it verifies CAPF, and CAPF accepts its present LSC or
// something else.
func (w *world) enrols(p *phone, ctl *trustlist.List) bool {
	return listed(ctl, w.active("capf").cert, trustlist.RoleCAPF) && (w.letIn(p) || p.mic)
}

// fate is what really becomes of a device.
func (w *world) fate(p *phone) Fate {
	if p.peer {
		if w.works(p, nil, nil) {
			return Fine
		}
		return Stranded
	}
	ctl, itl, can := w.fetch(p)
	switch {
	case !w.works(p, p.ctl, p.itl) && !(can && w.works(p, ctl, itl)):
		return Stranded
	case !w.letIn(p) && !w.enrols(p, p.ctl) && !(can && w.enrols(p, ctl)):
		return Stranded
	case !can:
		return Deaf
	}
	return Fine
}
