package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/pki"
)

// fresh makes an empty store and returns a way to open it again.
type fresh func(t *testing.T) (dsn string)

// contract is what both engines must do alike.
var contract = []struct {
	name string
	run  func(t *testing.T, dsn string)
}{
	{"ApplyAndReadBack", testApply},
	{"ChangeAndRemove", testChange},
	{"Conflict", testConflict},
	{"EmptyChangeSet", testEmpty},
	{"SecretsStayOutOfDocuments", testSecrets},
	{"HistoryAndEarlierSites", testHistory},
	{"Watch", testWatch},
	{"Audit", testAudit},
	{"Calls", testCalls},
	{"Legs", testLegs},
	{"Missing", testMissing},
	{"PagesOfCalls", testPages},
	{"PruneCalls", testPrune},
	{"Contacts", testContacts},
	{"State", testState},
	{"Certificates", testCertificates},
	{"Documents", testDocuments},
	{"DocumentsOfTwoWriters", testDocumentsOfTwo},
	{"DocumentsWatched", testDocumentsWatched},
	{"ConcurrentWriters", testConcurrent},
	{"Health", testHealth},
	{"FailedApplyChangesNothing", testFailedApply},
	{"Lead", testLead},
}

func TestSQLite(t *testing.T) {
	runContract(t, func(t *testing.T) string { return filepath.Join(t.TempDir(), "a folder", "100%?.db") })
}

func TestPostgreSQL(t *testing.T) {
	pg := postgres.Need(t)
	runContract(t, func(t *testing.T) string { return pg.Database(t) })
}

func runContract(t *testing.T, f fresh) {
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) { c.run(t, f(t)) })
	}
}

func open(t *testing.T, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// apply brings the store to a site.
func apply(t *testing.T, s *Store, site *config.Site) Revision {
	t.Helper()
	snap := read(t, s)
	r, err := s.Apply(t.Context(), ChangeSet{Base: snap.Revision.Number, Author: "tester", Comment: "test", Changes: config.Diff(snap.Site, site)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, s *Store) Snapshot {
	t.Helper()
	snap, err := s.Site(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if snap.Stale {
		t.Fatalf("stale: %v", snap.Reason)
	}
	return snap
}

func wantSite(t *testing.T, got, want *config.Site) {
	t.Helper()
	if d := config.Diff(want, got); len(d) != 0 {
		t.Errorf("site differs: %v", d)
	}
}

func testApply(t *testing.T, dsn string) {
	s := open(t, dsn)
	if snap := read(t, s); snap.Revision.Number != 0 || len(snap.Site.Devices) != 0 {
		t.Fatalf("a new store holds %+v", snap)
	}
	want := config.Default("node1")
	r := apply(t, s, want)
	if r.Number != 1 || r.Author != "tester" || r.Changes != len(want.Entities())-1 || time.Since(r.Time) > time.Minute {
		t.Errorf("revision %+v", r) // the cluster entity has no field set and is no change
	}
	wantSite(t, read(t, s).Site, want)
	again := open(t, dsn)
	wantSite(t, read(t, again).Site, want)
	if got := read(t, again).Revision; got != r {
		t.Errorf("read again: %+v, want %+v", got, r)
	}
}

func testChange(t *testing.T, dsn string) {
	s := open(t, dsn)
	site := config.Default("node1")
	apply(t, s, site)
	next := site.Clone()
	next.Devices[0].Description = "first\n\"desk\" \u00e4"
	next.Devices = append(next.Devices[:1:1], config.Device{Name: "SEP001122334455", DevicePool: "default"})
	next.Cluster.SecurityMode = config.NonSecureCluster
	apply(t, s, next)
	wantSite(t, read(t, s).Site, next.Canonical())
	wantSite(t, read(t, open(t, dsn)).Site, next)
}

func testConflict(t *testing.T, dsn string) {
	a, b := open(t, dsn), open(t, dsn)
	apply(t, a, config.Default("node1"))
	_, err := b.Apply(t.Context(), ChangeSet{Base: 0, Author: "late", Changes: config.Diff(nil, config.Default("node2"))})
	if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "tester applied 1") {
		t.Errorf("got %v", err)
	}
	wantSite(t, read(t, b).Site, config.Default("node1"))
}

func testEmpty(t *testing.T, dsn string) {
	s := open(t, dsn)
	first := apply(t, s, config.Default("node1"))
	if r := apply(t, s, config.Default("node1")); r != first {
		t.Errorf("an empty change set made %+v", r)
	}
}

func testSecrets(t *testing.T, dsn string) {
	s := open(t, dsn)
	site := config.Default("node1")
	site.Users[0].Password = config.NewVerifier("correct horse")
	site.Users[0].DigestCredential = config.NewDigestVerifier("alice", "locktone.test", "battery staple")
	apply(t, s, site)
	u := read(t, open(t, dsn)).Site.Users[0]
	if !u.Password.Verify("correct horse") || u.Password.Verify("wrong horse") || u.DigestCredential != site.Users[0].DigestCredential {
		t.Error("the secrets did not survive")
	}
	for _, q := range []string{"SELECT " + s.e.fromJSON + " FROM entity", "SELECT doc FROM history", "SELECT before_doc FROM history"} {
		rows, err := s.e.read.QueryContext(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var doc string
			if err := rows.Scan(&doc); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(doc, "argon2id") || strings.Contains(doc, "$digest") {
				t.Errorf("%s shows a hash: %s", q, doc)
			}
		}
		rows.Close()
	}
}

func testHistory(t *testing.T, dsn string) {
	s := open(t, dsn)
	one := config.Default("node1")
	two := one.Clone()
	two.Users[0].Password = config.NewVerifier("correct horse")
	two.Devices = two.Devices[:1]
	apply(t, s, one)
	apply(t, s, two)
	apply(t, s, one)
	for n, want := range []*config.Site{{}, one, two, one} {
		got, err := s.SiteAt(t.Context(), int64(n))
		if err != nil {
			t.Fatal(err)
		}
		wantSite(t, got, want)
	}
	if _, err := s.SiteAt(t.Context(), 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("revision 4: %v", err)
	}
	revs, err := s.Revisions(t.Context(), 2)
	if err != nil || len(revs) != 2 || revs[0].Number != 3 || revs[1].Number != 2 {
		t.Errorf("revisions %+v, %v", revs, err)
	}
	h, err := s.History(t.Context(), 2)
	if err != nil || len(h) != 2 || h[0].Op != config.OpRemove || h[0].Key != "bob" || h[0].Before == "" || h[0].After != "" || h[1].Key != "alice" || h[1].Kind != config.KindUser {
		t.Errorf("history %+v, %v", h, err)
	}
}

func testWatch(t *testing.T, dsn string) {
	s := open(t, dsn)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w, slow := s.Watch(ctx), s.Watch(ctx)
	site := config.Default("node1")
	apply(t, s, site)
	if got := <-w; got.Revision.Number != 1 {
		t.Errorf("notice of revision %d", got.Revision.Number)
	}
	for i := range 3 {
		site = site.Clone()
		site.Devices[0].Description = fmt.Sprint(i)
		apply(t, s, site)
	}
	if got := <-slow; got.Revision.Number != 4 {
		t.Errorf("a slow reader got revision %d, want only the last", got.Revision.Number)
	}
	cancel()
	for range w { // ends when it is closed
	}
}

func testAudit(t *testing.T, dsn string) {
	s := open(t, dsn)
	at := time.Date(2026, 11, 21, 12, 0, 0, 123456000, time.UTC)
	var want []AuditEntry
	for i := range 5 {
		a := AuditEntry{Time: at.Add(time.Duration(i) * time.Minute), Actor: []string{"ann", "bea"}[i%2], Source: "admin.sock", Action: "reset", Object: "device alice", Result: "ok", Detail: "d"}
		if err := s.AppendAudit(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		want = append([]AuditEntry{a}, want...)
	}
	got, err := s.Audit(t.Context(), AuditQuery{})
	if err != nil || len(got) != 5 || got[0].ID <= got[1].ID {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range got {
		got[i].ID = 0
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	got, err = s.Audit(t.Context(), AuditQuery{Actor: "bea", Since: at.Add(2 * time.Minute), Until: at.Add(4 * time.Minute), Action: "reset"})
	if err != nil || len(got) != 1 || !got[0].Time.Equal(at.Add(3*time.Minute)) {
		t.Errorf("%+v, %v", got, err)
	}
}

func testCalls(t *testing.T, dsn string) {
	s := open(t, dsn)
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	c := CallRecord{Call: "n1-1", Node: "node1", Start: at, Answer: at.Add(time.Second), End: at.Add(time.Minute), Calling: "1001", Called: "1002", Dialled: "91002",
		FromDevice: "alice", ToDevice: "bob", Cause: 16, ReleasedBy: "called", Security: "encrypted", Detail: "{}"}
	missed := CallRecord{Call: "n1-2", Node: "node1", Start: at.Add(time.Hour), End: at.Add(time.Hour + time.Second), Calling: "1002", Called: "1003", FromDevice: "bob", Cause: 19}
	if err := s.AppendCalls(t.Context(), c, missed); err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		q    CallQuery
		want []CallRecord
	}{
		{CallQuery{}, []CallRecord{missed, c}},
		{CallQuery{Party: "bob"}, []CallRecord{missed, c}},
		{CallQuery{Party: "91002"}, []CallRecord{c}},
		{CallQuery{Party: "1003"}, []CallRecord{missed}},
		{CallQuery{Call: "n1-1"}, []CallRecord{c}},
		{CallQuery{Since: at.Add(time.Minute)}, []CallRecord{missed}},
		{CallQuery{Until: at.Add(time.Minute)}, []CallRecord{c}},
		{CallQuery{Limit: 1}, []CallRecord{missed}},
		{CallQuery{Party: "nobody' OR '1'='1"}, nil},
	} {
		got, err := s.Calls(t.Context(), q.q)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i].ID = 0
		}
		if d := cmp.Diff(q.want, got); d != "" {
			t.Errorf("%+v: %s", q.q, d)
		}
	}
}

func testLegs(t *testing.T, dsn string) {
	s := open(t, dsn)
	at := time.Date(2026, 11, 21, 12, 0, 0, 123456000, time.UTC)
	full := LegRecord{Call: "n1-1", Node: "node1", Party: 2, Leg: 4, Device: "bob", Feature: "hold,transfer", Line: "1002", Partition: "phones", Direction: "out", Joined: "n1-7",
		Calling: "+4930\"'=1", Called: "1002", Dialled: "0-1002", Redirecting: "1003", RedirectReason: "user-busy", Connected: "1001",
		Setup: at, Alert: at.Add(time.Second), Answer: at.Add(2 * time.Second), End: at.Add(time.Minute), Outcome: "answered", Cause: 16, CauseName: "normal clearing",
		ReleasedBy: "leg", Signalling: "mutual", Cipher: "TLS 1.3 TLS_AES_128_GCM_SHA256", Media: "srtp", Suite: "AEAD_AES_256_GCM", Lock: "encrypted", Proof: "authenticated",
		Path: "direct", Codec: "G722", MeasuredBy: "phone", Sent: 3000, Received: 1 << 40, Lost: 2, Jitter: 1.25, MOS: 4.4}
	plain := LegRecord{Call: "n1-2", Node: "node1", Party: 3, Leg: 6, Trunk: "north", Direction: "in", Setup: at.Add(time.Hour), End: at.Add(time.Hour), Outcome: "failed", Cause: 17,
		CauseName: "user busy", Lock: "non-secure", LockReason: "north: signalling is not protected"}
	if err := s.AppendLegs(t.Context(), full, plain); err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		q    CallQuery
		want []LegRecord
	}{
		{CallQuery{}, []LegRecord{plain, full}},
		{CallQuery{Oldest: true}, []LegRecord{full, plain}},
		{CallQuery{Party: "1003"}, []LegRecord{full}},
		{CallQuery{Party: "north"}, []LegRecord{plain}},
		{CallQuery{Call: "n1-1"}, []LegRecord{full}},
		{CallQuery{Since: at.Add(time.Minute)}, []LegRecord{plain}},
	} {
		got, err := s.Legs(t.Context(), q.q)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i].ID = 0
		}
		if d := cmp.Diff(q.want, got); d != "" {
			t.Errorf("%+v: %s", q.q, d)
		}
	}
}

// testPages reads more records than one statement writes, page by page, while more are written.
func testPages(t *testing.T, dsn string) {
	s := open(t, dsn)
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	leg := func(i int) LegRecord {
		return LegRecord{Call: fmt.Sprint("c", i), Node: "node1", Leg: int64(i), Setup: at.Add(time.Duration(i) * time.Second), End: at.Add(time.Hour)}
	}
	var all []LegRecord
	for i := range 197 { // more than one INSERT takes, and no multiple of it
		all = append(all, leg(i))
	}
	if err := s.AppendLegs(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	next := 0
	for after, more := int64(0), true; more; {
		page, err := s.Legs(t.Context(), CallQuery{Oldest: true, After: after, Limit: 50, Until: at.Add(24 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			if r.Leg != int64(next) || r.ID <= after {
				t.Fatalf("leg %d with id %d after %d, want leg %d", r.Leg, r.ID, after, next)
			}
			next, after = next+1, r.ID
		}
		more = len(page) == 50
		if next == 100 {
			if err := s.AppendLegs(t.Context(), leg(len(all))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if next != len(all)+1 {
		t.Errorf("%d records in the pages, want %d", next, len(all)+1)
	}
}

func testPrune(t *testing.T, dsn string) {
	s := open(t, dsn)
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for i := range 10 {
		start := at.Add(time.Duration(i) * time.Hour)
		if err := s.AppendLegs(t.Context(), LegRecord{Call: "c", Setup: start, End: start}, LegRecord{Call: "c", Setup: start, End: start}); err != nil {
			t.Fatal(err)
		}
		if err := s.AppendCalls(t.Context(), CallRecord{Call: "c", Start: start, End: start}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int64{4 + 4, 4 + 2, 4, 0} { // twelve legs and six calls are older than six hours
		if n, err := s.PruneCalls(t.Context(), at.Add(6*time.Hour), 4); err != nil || n != want {
			t.Errorf("%d removed, %v; want %d", n, err, want)
		}
	}
	legs, err := s.Legs(t.Context(), CallQuery{Oldest: true})
	calls, err2 := s.Calls(t.Context(), CallQuery{Oldest: true})
	if err != nil || err2 != nil || len(legs) != 8 || len(calls) != 4 || !legs[0].Setup.Equal(at.Add(6*time.Hour)) || !calls[0].Start.Equal(at.Add(6*time.Hour)) {
		t.Errorf("%d legs, %d calls are left, %v %v", len(legs), len(calls), err, err2)
	}
}

func testState(t *testing.T, dsn string) {
	s := open(t, dsn)
	if _, err := s.State(t.Context(), "node1", "k"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing kept: %v", err)
	}
	for _, v := range [][]byte{{0, 1, 255}, nil, []byte("x")} {
		if err := s.PutState(t.Context(), "node1", "k", v); err != nil {
			t.Fatal(err)
		}
		if got, err := s.State(t.Context(), "node1", "k"); err != nil || string(got) != string(v) {
			t.Errorf("%v, %v; want %v", got, err, v)
		}
	}
	if _, err := s.State(t.Context(), "node2", "k"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another node sees it: %v", err)
	}
	for range 2 {
		if err := s.DeleteState(t.Context(), "node1", "k"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.State(t.Context(), "node1", "k"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
	if err := s.PutState(t.Context(), "node1", "k", make([]byte, maxState+1)); err == nil {
		t.Error("a large value was kept")
	}
}

func testCertificates(t *testing.T, dsn string) {
	s, other := open(t, dsn), open(t, dsn)
	var reg pki.Register = s.Certificates()
	ctx := t.Context()
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	e := pki.Entry{Ref: pki.Ref{Issuer: "CN=CA", Serial: "1f"}, Kind: pki.KindDevice, Name: "alice", Subject: "CN=alice", Algorithm: "ECDSA-P256",
		Usage: pki.UsageClient, Fingerprint: "ab", NotBefore: at, NotAfter: at.AddDate(1, 0, 0)}
	second := e
	second.Serial, second.Name = "20", "bob"
	for _, x := range []pki.Entry{e, second} {
		if err := reg.Add(ctx, x); err != nil {
			t.Fatal(err)
		}
	}
	if err := reg.Add(ctx, e); !errors.Is(err, fs.ErrExist) {
		t.Errorf("added twice: %v", err)
	}
	if _, err := reg.Lookup(ctx, pki.Ref{Issuer: "CN=other", Serial: "1f"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("foreign certificate: %v", err)
	}
	// Thousands of phones with their maker's certificates cost one look, until the issuer has something here.
	if _, err, known := s.Certificates().remembered(pki.Ref{Issuer: "CN=other", Serial: "77"}); !known || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another of a foreign issuer: %v, known %v", err, known)
	}
	if _, _, known := s.Certificates().remembered(pki.Ref{Issuer: "CN=CA", Serial: "77"}); known {
		t.Error("one of our issuer is not looked up: another node may have issued it a moment ago")
	}
	defer func() {
		if _, _, known := s.Certificates().remembered(pki.Ref{Issuer: "CN=other", Serial: "77"}); known {
			t.Error("the issuer has a certificate here now, and another of it is not looked up")
		}
	}()
	late := pki.Entry{Ref: pki.Ref{Issuer: "CN=other", Serial: "1f"}, Kind: pki.KindDevice, Name: "late"}
	if err := reg.Add(ctx, late); err != nil { // a miss is forgotten when the certificate comes
		t.Fatal(err)
	}
	if got, err := reg.Lookup(ctx, late.Ref); err != nil || got != late {
		t.Errorf("after a miss: %+v, %v", got, err)
	}
	if got, err := other.Certificates().Lookup(ctx, e.Ref); err != nil || got != e {
		t.Errorf("another node: %+v, %v", got, err)
	}
	for range 2 { // the second time keeps the first date
		if err := reg.Revoke(ctx, e.Ref, at, "stolen"); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Hour)
	}
	want := e
	want.Revoked, want.Reason = at.Add(-2*time.Hour), "stolen"
	if got, err := reg.Lookup(ctx, e.Ref); err != nil || got != want {
		t.Errorf("revoked: %+v, %v", got, err)
	}
	for _, node := range []string{"n1", "n2"} { // the second time keeps the first node
		if err := reg.Place(ctx, e.Ref, node); err != nil {
			t.Fatal(err)
		}
	}
	want.Node = "n1"
	if got, err := open(t, dsn).Certificates().Lookup(ctx, e.Ref); err != nil || got != want {
		t.Errorf("placed: %+v, %v", got, err)
	}
	if err := reg.Place(ctx, pki.Ref{Issuer: "CN=CA", Serial: "ff"}, "n1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("placed nothing: %v", err)
	}
	if err := reg.Revoke(ctx, pki.Ref{Issuer: "CN=CA", Serial: "ff"}, at, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("revoked nothing: %v", err)
	}
	got, err := open(t, dsn).Certificates().Entries(ctx)
	if d := cmp.Diff([]pki.Entry{want, second, late}, got); err != nil || d != "" {
		t.Error(err, d)
	}
}

// testConcurrent: writers that read, change and retry on conflict lose nothing.
func testConcurrent(t *testing.T, dsn string) {
	const writers, each = 4, 5
	stores := []*Store{open(t, dsn), open(t, dsn)}
	apply(t, stores[0], config.Default("node1"))
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			done <- func() error {
				s := stores[w%2]
				for i := 0; i < each; {
					snap, err := s.Site(t.Context())
					if err != nil || snap.Stale {
						return fmt.Errorf("site: %v %v", err, snap.Reason)
					}
					next := snap.Site.Clone()
					next.Partitions = append(next.Partitions, config.Partition{Name: fmt.Sprintf("p%d-%d", w, i)})
					_, err = s.Apply(t.Context(), ChangeSet{Base: snap.Revision.Number, Author: fmt.Sprint(w), Changes: config.Diff(snap.Site, next)})
					if errors.Is(err, ErrConflict) {
						continue
					}
					if err != nil {
						return err
					}
					i++
				}
				return nil
			}()
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for _, s := range stores {
		if snap := read(t, s); len(snap.Site.Partitions) != len(config.Default("node1").Partitions)+writers*each || snap.Revision.Number != 1+writers*each {
			t.Errorf("%d partitions at revision %d", len(snap.Site.Partitions), snap.Revision.Number)
		}
	}
}

func testHealth(t *testing.T, dsn string) {
	s := open(t, dsn)
	apply(t, s, config.Default("node1"))
	h := s.Health(t.Context())
	if !h.OK || h.Revision != 1 || h.Bytes == 0 || h.Problem != "" || strings.Contains(h.Location, "secret") {
		t.Errorf("%+v", h)
	}
}

// testFailedApply: a change set that fails half-way leaves nothing behind.
func testFailedApply(t *testing.T, dsn string) {
	s := open(t, dsn)
	site := config.Default("node1")
	apply(t, s, site)
	next := site.Clone()
	next.Devices[0].Description = "new"
	changes := append(config.Diff(site, next), config.Change{Op: config.OpAdd, Kind: config.KindDevice, Key: "x"}) // carries no value
	if _, err := s.Apply(t.Context(), ChangeSet{Base: 1, Changes: changes}); err == nil {
		t.Fatal("it was accepted")
	}
	wantSite(t, read(t, open(t, dsn)).Site, site)
	wantSite(t, read(t, s).Site, site)
}
