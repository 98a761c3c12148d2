package admin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/store"
)

// graphOnly is a site of which only the graph is asked for.
type graphOnly struct{ devices []rotation.Device }

func (g graphOnly) Graph(context.Context) (rotation.State, []rotation.Device, error) {
	one := func(name string, kind rotation.Kind) rotation.Member {
		return rotation.Member{Name: name, Kind: kind, Generations: []rotation.Generation{{ID: rotation.NewID(name, 1), Number: 1, Phase: rotation.Active}}}
	}
	s := rotation.State{Members: []rotation.Member{one("sast-1", rotation.Signer), one("sast-2", rotation.Signer), one("callmanager", rotation.Service), one("tvs", rotation.Service)},
		Published: rotation.List{Version: 1, Signers: []rotation.ID{"sast-1-g1", "sast-2-g1"}, Others: []rotation.ID{"callmanager-g1", "tvs-g1"}}}
	return s, g.devices, nil
}
func (graphOnly) Stage(context.Context, string, int) error    { return errors.New("not in this test") }
func (graphOnly) Activate(context.Context, string, int) error { return errors.New("not in this test") }
func (graphOnly) Retire(context.Context, string, int) error   { return errors.New("not in this test") }
func (graphOnly) Publish(context.Context) error               { return errors.New("not in this test") }

// startRotation is a kit whose node can plan, write down and forecast.
func startRotation(t *testing.T) *kit {
	t.Helper()
	site := graphOnly{devices: []rotation.Device{
		{Name: "SEP01", Held: rotation.Held{Knows: []rotation.ID{"callmanager-g1", "sast-1-g1", "sast-2-g1", "tvs-g1"}}},
		{Name: "trunk-a", Peer: true, Held: rotation.Held{Knows: []rotation.ID{"callmanager-g1"}}},
	}}
	var s *store.Store
	return start(t, func(c *Config) {
		s = c.Store.(*store.Store)
		r, err := rotation.NewRunner(rotation.Config{Site: site, Documents: s.Documents(rotation.Collection)})
		if err != nil {
			t.Fatal(err)
		}
		anchor := ending(t, time.Now().Add(48*time.Hour))
		c.Rotation = Rotation{Runner: r, Forecast: func(ctx context.Context, now, until time.Time) (rotation.Input, error) {
			trust, err := pki.NewTrust(pki.Anchor{Certificate: anchor, Kinds: pki.KindsOf(pki.KindPeer)})
			if err != nil {
				return rotation.Input{}, err
			}
			return rotation.Gather(ctx, rotation.Sources{Trust: trust, Register: s.Certificates(), Seen: s.Documents(rotation.SeenCollection)}, now, until)
		}}
	})
}

// ending is a CA's certificate that expires.
func ending(t *testing.T, at time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Carrier"}, NotBefore: at.AddDate(-1, 0, 0), NotAfter: at, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// TestRotationOperations: a plan, a refusal with its victims, a run, what is said of it, and the audit of it all.
func TestRotationOperations(t *testing.T) {
	k, ctx := startRotation(t), t.Context()
	var p rotation.Plan
	if err := k.client.Do(ctx, http.MethodPost, "/v1/trust/plan", RotationRequest{Target: rotation.CallManager}, &p); err != nil {
		t.Fatal(err)
	}
	if p.Refused != "" || len(p.Steps) != 6 || len(p.Others) != 1 || len(p.Others[0].Victims) != 1 || p.Others[0].Victims[0].Device != "trunk-a" {
		t.Fatalf("%+v", p)
	}
	var refusal *Problem
	err := k.client.Do(ctx, http.MethodPost, "/v1/trust/rotation", RotationRequest{Target: rotation.CallManager, Order: rotation.AtOnce}, nil)
	if !errors.As(err, &refusal) || refusal.Code != bus.CodeConflict || len(refusal.Details) != 1 || !strings.Contains(refusal.Details[0], "trunk-a (stranded)") || !strings.Contains(refusal.Advice, "--accept") {
		t.Fatalf("%#v", err)
	}
	for path, body := range map[string]any{
		"/v1/trust/plan":            RotationRequest{Target: rotation.TVS, Order: rotation.SignersTogether},
		"/v1/trust/rotation":        RotationRequest{Target: rotation.CA},
		"/v1/trust/rotation/accept": map[string][]string{"devices": {"SEP01"}},
	} {
		if err := k.client.Do(ctx, http.MethodPost, path, body, nil); !errors.As(err, &refusal) || refusal.Code != bus.CodeInvalid {
			t.Errorf("%s: %v", path, err)
		}
	}
	var st rotation.Status
	if err := k.client.Do(ctx, http.MethodPost, "/v1/trust/rotation", RotationRequest{Target: rotation.CallManager}, &st); err != nil || !st.Running() || st.By == "" {
		t.Fatal(st, err)
	}
	err = k.client.Do(ctx, http.MethodPost, "/v1/trust/rotation", RotationRequest{Target: rotation.TVS}, nil)
	if !errors.As(err, &refusal) || refusal.Code != bus.CodeConflict || !strings.Contains(refusal.Detail, "under way") {
		t.Fatal(err)
	}
	if err := k.client.Do(ctx, http.MethodPost, "/v1/trust/rotation/accept", map[string][]string{"devices": {"SEP01"}}, &st); err != nil || len(st.Accepted) != 1 {
		t.Fatal(st, err)
	}
	if err := k.client.Do(ctx, http.MethodPost, "/v1/trust/peers", PeerTold{Peer: "trunk-b", Certificates: []rotation.ID{"callmanager-g1"}}, nil); !errors.As(err, &refusal) || refusal.Code != bus.CodeNotFound {
		t.Fatal(err)
	}
	if err := k.client.Do(ctx, http.MethodPost, "/v1/trust/peers", PeerTold{Peer: "trunk-a", Certificates: []rotation.ID{"callmanager-g1"}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := k.client.Do(ctx, http.MethodGet, "/v1/trust/rotation", nil, &st); err != nil || st.Target != rotation.CallManager {
		t.Fatal(st, err)
	}
	audit, err := k.store.Audit(ctx, store.AuditQuery{Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"rotate-certificates callmanager ok": false, "rotate-certificates callmanager at-once conflict": false, "accept-stranded SEP01 ok": false, "peer-told trunk-a ok": false}
	for _, e := range audit {
		want[e.Action+" "+e.Object+" "+e.Result] = true
	}
	for line, found := range want {
		if !found {
			t.Errorf("the audit log has no %q", line)
		}
	}
}

// TestForecastOperation: a day to come, and what happens until then.
func TestForecastOperation(t *testing.T) {
	k, ctx := startRotation(t), t.Context()
	var f Forecast
	until := time.Now().AddDate(0, 0, 10).Format(time.DateOnly)
	if err := k.client.Do(ctx, http.MethodGet, "/v1/trust/forecast?until="+until, nil, &f); err != nil || f.Breaking != 1 || f.Looked != 1 || f.Breaks[0].Rule != pki.RuleExpired || f.Breaks[0].Holder != "Carrier" {
		t.Fatalf("%+v, %v", f, err)
	}
	var refusal *Problem
	for _, until := range []string{"2020-01-01", "soon", ""} {
		if err := k.client.Do(ctx, http.MethodGet, "/v1/trust/forecast?until="+until, nil, nil); !errors.As(err, &refusal) || refusal.Code != bus.CodeInvalid {
			t.Errorf("until %q: %v", until, err)
		}
	}
	k = start(t, nil)
	for _, path := range []string{"/v1/trust/forecast?until=" + until, "/v1/trust/rotation"} {
		if err := k.client.Do(ctx, http.MethodGet, path, nil, nil); !errors.As(err, &refusal) || refusal.Code != CodeNotSupported {
			t.Errorf("%s: %v", path, err)
		}
	}
}
