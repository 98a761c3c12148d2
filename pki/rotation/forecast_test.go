package rotation

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
)

// maker makes certificates for forecasts.
type maker struct {
	t      testing.TB
	serial int64
}

// cert makes a certificate that is valid for the days from and until, counted from noon.
func (m *maker) cert(name string, issuer *identity, from, until int, isRSA bool, usages ...x509.ExtKeyUsage) *identity {
	m.serial++
	c := &x509.Certificate{SerialNumber: big.NewInt(m.serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: noon.AddDate(0, 0, from), NotAfter: noon.AddDate(0, 0, until),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: usages}
	if len(usages) == 0 {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	key := pool.signer(m.t, isRSA, 0)
	if !isRSA {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			m.t.Fatal(err)
		}
		key = own
	}
	x := &identity{cert: c, key: key}
	if issuer == nil {
		issuer = x
	}
	der, err := x509.CreateCertificate(rand.Reader, c, issuer.cert, key.Public(), issuer.key)
	if err != nil {
		m.t.Fatal(err)
	}
	if x.cert, err = x509.ParseCertificate(der); err != nil {
		m.t.Fatal(err)
	}
	return x
}

const (
	client = x509.ExtKeyUsageClientAuth
	server = x509.ExtKeyUsageServerAuth
)

// TestForecastText holds what a forecast says.
func TestForecastText(t *testing.T) {
	m := &maker{t: t}
	root := m.cert("Carrier Root", nil, -100, 400, false)
	late := m.cert("Carrier Issuing", root, -100, 60, false)
	trust, err := pki.NewTrust(pki.Anchor{Certificate: root.cert, Kinds: pki.KindsOf(pki.KindPeer)})
	if err != nil {
		t.Fatal(err)
	}
	chain := func(name string, side pki.Side, xs ...*identity) Chain {
		c := Chain{Name: name, Holder: "carrier", Side: side, Foreign: true, Policy: pki.PeerPolicy{Peer: "carrier", Kinds: pki.KindsOf(pki.KindPeer)}}
		for _, x := range xs {
			c.Chain = append(c.Chain, x.cert)
		}
		return c
	}
	in := Input{Now: noon, Until: noon.AddDate(5, 0, 0), Trust: trust,
		Chains: []Chain{
			chain("leaf ends", pki.PeerIsClient, m.cert("a.example", root, -10, 30, false, client)),
			chain("issuer ends first", pki.PeerIsClient, m.cert("b.example", late, -10, 300, false, client), late),
			chain("root ends first", pki.PeerIsServer, m.cert("c.example", root, -10, 900, false, server)),
			chain("no clientAuth", pki.PeerIsClient, m.cert("d.example", root, -10, 300, false, server)),
			chain("both ends", pki.PeerIsClient, m.cert("e.example", root, -10, 200, false, server, client)),
			chain("RSA-2048", pki.PeerIsServer, m.cert("f.example", root, -10, 1800, true, server)),
		},
		Alone: []Chain{{Name: "sast-1-g1", Holder: "this site", Chain: []*x509.Certificate{m.cert("SAST1", nil, -1, 3650, true).cert}}},
		Entries: []pki.Entry{{Kind: pki.KindDevice, Name: "SEP001122334455", Subject: "CN=SEP001122334455", NotAfter: noon.AddDate(0, 2, 0)}, {Kind: pki.KindDevice, Name: "SEP00", NotAfter: noon.AddDate(0, 0, -3)},
			{Kind: pki.KindCTI, Name: "5", Subject: "CN=5", NotAfter: noon.AddDate(0, 3, 0)}, {Kind: pki.KindPeer, Name: "vm-a", Subject: "CN=vm-a", NotAfter: noon.AddDate(0, 4, 0)},
			{Kind: pki.KindService, Name: "admin", Subject: "CN=admin", NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0)}},
	}
	var b bytes.Buffer
	if err := WriteForecast(&b, in.Until, len(in.Chains)+len(in.Alone)+len(in.Entries), Forecast(in)); err != nil {
		t.Fatal(err)
	}
	in.Until = noon.AddDate(0, 0, 29)
	in.Chains, in.Entries = in.Chains[:3], nil
	if err := WriteForecast(&b, in.Until, len(in.Chains)+len(in.Alone)+len(in.Entries), Forecast(in)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "forecast.txt")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Error(d)
	}
}

// TestForecastIsWhatHappens: for random PKIs, what the forecast says is what the verifier says when its clock is really
// advanced, six hours at a time.
func TestForecastIsWhatHappens(t *testing.T) {
	count := 60
	if os.Getenv("LOCKTONE_ALL") != "" {
		count = 1000
	}
	r := mrand.New(mrand.NewPCG(4, 4))
	m := &maker{t: t}
	outcomes := make(map[pki.Rule]int)
	for n := range count {
		until := func() int { return 1 + r.IntN(400) }
		root := m.cert("Root", nil, -500, until(), false)
		var foreign []pki.Anchor
		foreign = append(foreign, pki.Anchor{Certificate: root.cert, Kinds: pki.KindsOf(pki.KindPeer)})
		issuer := root
		chain := []*x509.Certificate{}
		if r.IntN(2) == 0 {
			issuer = m.cert("Issuing", root, -400+r.IntN(405), until(), false)
			chain = append(chain, issuer.cert)
			if r.IntN(4) == 0 {
				foreign = append(foreign, pki.Anchor{Certificate: issuer.cert, Kinds: pki.KindsOf(pki.KindPeer)})
			}
		}
		usage := []x509.ExtKeyUsage{client, server}[r.IntN(2):]
		leaf := m.cert("leaf.example", issuer, -300+r.IntN(310), until(), false, usage...)
		trust, err := pki.NewTrust(foreign...)
		if err != nil {
			t.Fatal(err)
		}
		side := []pki.Side{pki.PeerIsClient, pki.PeerIsServer}[r.IntN(2)]
		c := Chain{Name: "x", Chain: append([]*x509.Certificate{leaf.cert}, chain...), Side: side, Policy: pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindPeer)}}
		in := Input{Now: noon.Add(time.Second), Until: noon.AddDate(0, 0, 380), Trust: trust, Chains: []Chain{c}, Sunsets: []Sunset{}}
		var want time.Time
		var rule pki.Rule
		for at := in.Now; !at.After(in.Until); at = at.Add(6 * time.Hour) {
			if rep := trust.Verify(c.Chain, c.Side, c.Policy, at); !rep.OK() {
				f, _ := rep.Findings.First()
				want, rule = at, f.Rule
				break
			}
		}
		got := Forecast(in)
		switch {
		case want.IsZero() != (len(got) == 0), len(got) == 1 && (!got[0].At.Equal(want) || got[0].Rule != rule):
			t.Fatalf("PKI %d: it breaks at %s (%s), and the forecast is %+v", n, want, rule, got)
		}
		outcomes[rule]++
	}
	t.Logf("%d PKIs: %v", count, outcomes)
	if len(outcomes) < 3 {
		t.Error("too few outcomes")
	}
}

// TestSeen: chains of strangers are kept once, those of our own not, and come back as they were.
func TestSeen(t *testing.T) {
	m := &maker{t: t}
	root := m.cert("Root", nil, -1, 400, false)
	leaf := m.cert("vm-a.example", root, -1, 30, false, client, server)
	trust, err := pki.NewTrust(pki.Anchor{Certificate: root.cert, Kinds: pki.KindsOf(pki.KindPeer)})
	if err != nil {
		t.Fatal(err)
	}
	policy := pki.PeerPolicy{Peer: "vm-a", Kinds: pki.KindsOf(pki.KindPeer)}
	docs := newDocuments()
	s := NewSeen(t.Context(), docs, func() time.Time { return noon })
	report := trust.Verify([]*x509.Certificate{leaf.cert}, pki.PeerIsClient, policy, noon)
	own := *report
	own.Entry = &pki.Entry{}
	s.Observe(&own, pki.PeerIsClient, policy)
	s.Observe(report, pki.PeerIsClient, policy)
	s.Observe(report, pki.PeerIsClient, policy)
	s.Observe(report, pki.PeerIsServer, policy)
	var chains []Chain
	for deadline := time.Now().Add(5 * time.Second); len(chains) < 2 && time.Now().Before(deadline); {
		if chains, err = SeenChains(t.Context(), docs, noon); err != nil {
			t.Fatal(err)
		}
	}
	if len(chains) != 2 || chains[0].Name != "vm-a, as client: vm-a.example" || !chains[0].Chain[0].Equal(leaf.cert) {
		t.Fatalf("%+v", chains)
	}
	breaks := Forecast(Input{Now: noon, Until: noon.AddDate(0, 0, 31), Trust: trust, Chains: chains})
	if Breaking(breaks) != 2 || breaks[0].Rule != pki.RuleExpired {
		t.Fatalf("%+v", breaks)
	}
	if old, err := SeenChains(t.Context(), docs, noon.AddDate(1, 0, 0)); err != nil || len(old) != 0 {
		t.Fatalf("a chain of last year: %v, %v", old, err)
	}
}

// counted counts how often somebody looks through a whole collection.
type counted struct {
	SeenDocuments
	lists int
}

func (c *counted) List(ctx context.Context, prefix string) ([]store.Document, error) {
	c.lists++
	return c.SeenDocuments.List(ctx, prefix)
}

// TestSeenMany: thousands of strangers in a minute, as when a node's phones come to another one, cost one look through what is kept, and
// what is kept stays bounded. Later there is room again for those who come in the place of others who are not seen any more.
func TestSeenMany(t *testing.T) {
	docs, now := &counted{SeenDocuments: newDocuments()}, noon
	s := &Seen{docs: docs, now: func() time.Time { return now }, written: map[string]time.Time{}}
	chain := func(i int) Shown { return Shown{Peer: strconv.Itoa(i), Chain: [][]byte{{1}}, First: now, Last: now} }
	refused := 0
	for i := range 2 * maxSeen {
		if err := s.keep(t.Context(), chain(i)); errors.Is(err, errFull) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if refused != maxSeen || docs.lists != 1 {
		t.Errorf("%d of %d refused, %d looks", refused, 2*maxSeen, docs.lists)
	}
	if now = now.Add(forgetSeen + time.Hour); s.keep(t.Context(), chain(2*maxSeen)) != nil || docs.lists != 2 {
		t.Errorf("no room after %s, %d looks", forgetSeen, docs.lists)
	}
	if left, err := docs.List(t.Context(), ""); err != nil || len(left) != maxSeen {
		t.Errorf("%d are kept: %v", len(left), err)
	}
}
