package capfprofile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
)

var (
	phone = Owner{Device: "SEP001122334455"}
	app   = Owner{User: "tapi", Instance: "5"}
)

func TestLife(t *testing.T) {
	k := newKit(t, Config{})
	c := k.create(Order{Owner: app, Operation: InstallUpgrade})
	if len(c.String) != GeneratedString || c.Status != StatusPending || FormatCompletesBy(c.CompletesBy) != "2026:12:01:13" {
		t.Fatalf("%d digits, %s, %s", len(c.String), c.Status, FormatCompletesBy(c.CompletesBy))
	}
	first := k.enrol("CTI-5", c.String.Reveal())
	p := k.get(app)
	if p.Status != "Upgrade Success" || p.Operation != NoPendingOperation || p.HasString || p.LSC.Ref != pki.RefOf(first) || !p.Unpinned || !p.CompletesBy.IsZero() {
		t.Fatalf("%+v", p)
	}
	if _, err := k.begin("CTI-5", c.String.Reveal()); why(err) != RefusedNothing { // one use
		t.Fatal(err)
	}
	c = k.create(Order{Owner: app, Operation: InstallUpgrade, Pins: true})
	g := k.mustBegin("CTI-5", c.String.Reveal())
	second := k.certificate("5")
	k.must(k.Issued(t.Context(), g, second, time.Time{}))
	if p = k.get(app); p.LSC.Ref != pki.RefOf(first) || p.Unconfirmed.Ref != pki.RefOf(second) {
		t.Fatalf("the former LSC stays until the new one is stored: %+v", p)
	}
	k.must(k.Stored(t.Context(), g))
	if p = k.get(app); p.LSC.Ref != pki.RefOf(second) || p.Unpinned || len(p.Superseded) != 1 {
		t.Fatalf("%+v", p)
	}
	for ref, want := range map[pki.Ref]bool{pki.RefOf(first): true, pki.RefOf(second): true, {Issuer: "CN=x", Serial: "1"}: false} {
		o, err := k.Holder(t.Context(), pki.KindCTI, "5", ref)
		if (err == nil) != want || want && o != app {
			t.Errorf("%v: %v %v", ref, o, err)
		}
	}
}

func why(err error) Refusal {
	var r *Refused
	if !errors.As(err, &r) {
		return 99
	}
	return r.Why
}

// TestNothingInClear: the documents hold no string, and printing a string or a profile shows none.
func TestNothingInClear(t *testing.T) {
	k := newKit(t, Config{})
	c := k.create(Order{Owner: app, Operation: InstallUpgrade, String: "8675309"})
	k.create(Order{Owner: phone, Operation: InstallUpgrade, String: "8675309"})
	if strings.Contains(k.docs.text(), "8675309") {
		t.Error("in the documents")
	}
	j, _ := json.Marshal(c)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", c, c, c, c.String), string(j)} {
		if strings.Contains(text, "8675309") || strings.Contains(text, hashName) {
			t.Error(text)
		}
	}
	a, b := k.get(app), k.get(phone)
	ra, _ := k.load(t.Context(), a.key())
	rb, _ := k.load(t.Context(), b.key())
	if ra.Hash == rb.Hash {
		t.Error("one string has one hash twice: the salt is missing")
	}
}

func TestRefusedOrders(t *testing.T) {
	k := newKit(t, Config{})
	past := k.now.Add(-time.Hour)
	for name, o := range map[string]Order{
		"nobody": {}, "both": {Owner: Owner{Device: "SEP1", User: "a", Instance: "1"}}, "no instance": {Owner: Owner{User: "a"}},
		"a path":           {Owner: Owner{Device: "../SEP1"}},
		"CTI- as a device": {Owner: Owner{Device: "CTI-5"}},
		"long instance":    {Owner: Owner{User: "a", Instance: strings.Repeat("1", 129)}},
		"odd instance":     {Owner: Owner{User: "a", Instance: "1/2"}},
		"delete of an app": {Owner: app, Operation: Delete}, "troubleshoot of an app": {Owner: app, Operation: Troubleshoot},
		"null string of an app": {Owner: app, Operation: InstallUpgrade, Mode: ByNullString},
		"EC only of an app":     {Owner: app, Operation: InstallUpgrade, Order: ECOnly},
		"3 digits":              {Owner: phone, Operation: InstallUpgrade, String: "123"},
		"17 digits":             {Owner: phone, Operation: InstallUpgrade, String: "12345678901234567"},
		"spaces":                {Owner: phone, Operation: InstallUpgrade, String: "12 45"},
		"a useless string":      {Owner: phone, Operation: InstallUpgrade, Mode: ByNullString, String: "1234"},
		"a useless token":       {Owner: phone, Operation: InstallUpgrade, Mode: ByNullString, Pins: true},
		"1024 bits":             {Owner: phone, RSAKeySize: 1024}, "EC 255": {Owner: phone, ECKeySize: 255},
		"past": {Owner: phone, CompletesBy: past},
	} {
		if _, err := k.Create(t.Context(), o); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all, _ := k.List(t.Context()); len(all) != 0 {
		t.Errorf("%v", all)
	}
}

// TestUniquePairs: the protocol carries no user, so a pending pair of instance id and string is one user's.
func TestUniquePairs(t *testing.T) {
	k := newKit(t, Config{})
	other, elsewhere := Owner{User: "jtapi", Instance: "5"}, Owner{User: "jtapi", Instance: "6"}
	k.create(Order{Owner: app, Operation: InstallUpgrade, String: "112233"})
	if _, err := k.Create(t.Context(), Order{Owner: other, Operation: InstallUpgrade, String: "112233"}); !errors.Is(err, ErrTaken) {
		t.Fatal(err)
	}
	if _, err := k.Create(t.Context(), Order{Owner: app, Operation: InstallUpgrade, String: "112233"}); !errors.Is(err, ErrPending) {
		t.Fatal(err)
	}
	k.create(Order{Owner: app, Operation: InstallUpgrade, String: "112233", Replace: true}) // its own is no obstacle
	k.create(Order{Owner: elsewhere, Operation: InstallUpgrade, String: "112233"})
	k.create(Order{Owner: other, Operation: InstallUpgrade, String: "445566"})
	if g := k.mustBegin("CTI-5", "445566"); g.Owner != other {
		t.Errorf("%v", g.Owner)
	}
	k.enrol("CTI-5", "112233")
	k.must(k.Reset(t.Context(), other, true))
	k.create(Order{Owner: other, Operation: InstallUpgrade, String: "112233"}) // used up, so it is free
}

// TestUniquePairsOfTwoNodes: the other node creates the same pair between our look and our write.
func TestUniquePairsOfTwoNodes(t *testing.T) {
	k := newKit(t, Config{})
	node2 := New(k.docs, k.cfg)
	var second error
	k.docs.before = func() {
		_, second = node2.Create(context.Background(), Order{Owner: Owner{User: "jtapi", Instance: "5"}, Operation: InstallUpgrade, String: "112233"})
	}
	_, err := k.Create(t.Context(), Order{Owner: app, Operation: InstallUpgrade, String: "112233"})
	if second != nil || !errors.Is(err, ErrTaken) {
		t.Errorf("%v %v", second, err)
	}
}

func TestLockOut(t *testing.T) {
	k := newKit(t, Config{})
	c := k.create(Order{Owner: phone, Operation: InstallUpgrade, String: "4711"})
	right := c.String.Reveal()
	for lock := range 3 {
		for i := 1; i <= 5; i++ {
			_, err := k.begin(phone.Device, fmt.Sprintf("99%02d", i))
			want := RefusedCredentials
			if i == 5 {
				want = RefusedLocked
			}
			var r *Refused
			if !errors.As(err, &r) || r.Why != want || r.Locked != (i == 5) {
				t.Fatalf("lock %d, guess %d: %v", lock, i, err)
			}
		}
		p := k.get(phone)
		if d := p.LockedUntil.Sub(k.now); d != 15*time.Minute<<lock || p.Status != "Upgrade Failed: Invalid Authentication String" || p.Operation != InstallUpgrade {
			t.Fatalf("locked for %v: %+v", d, p)
		}
		if _, err := k.begin(phone.Device, right); why(err) != RefusedLocked { // even the right one
			t.Fatal(err)
		}
		k.now = p.LockedUntil
	}
	if _, err := k.begin(phone.Device, "9999"); why(err) != RefusedCredentials {
		t.Fatal(err)
	}
	k.enrol(phone.Device, right)

	k.create(Order{Owner: phone, Operation: InstallUpgrade, String: "4711"})
	for range 5 {
		_, _ = k.begin(phone.Device, "0000")
	}
	k.must(k.Reset(t.Context(), phone, false))
	k.enrol(phone.Device, right)
}

// TestGuessesAtTheSameTime: many sessions that guess at once get no more guesses than one after the other.
func TestGuessesAtTheSameTime(t *testing.T) {
	k := newKit(t, Config{})
	k.create(Order{Owner: app, Operation: InstallUpgrade, String: "4711"})
	var wg sync.WaitGroup
	var mu sync.Mutex
	tried := 0
	for i := range 30 {
		wg.Go(func() {
			name := "CTI-5"
			if i%2 == 0 {
				name = "5" // the same profile by its other name
			}
			if _, err := k.begin(name, fmt.Sprint(1000+i)); why(err) == RefusedCredentials {
				mu.Lock()
				tried++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if tried != 4 || !ptr(k.get(app)).Locked(k.now) {
		t.Errorf("%d wrong strings were told to be wrong before the lock-out", tried)
	}
}

func ptr[T any](v T) *T { return &v }

func TestModes(t *testing.T) {
	for _, c := range []struct {
		mode  AuthMode
		knock Knock
		want  Refusal
		cause Cause
	}{
		{ByNullString, Knock{}, 99, ""},
		{ByNullString, Knock{String: "1"}, RefusedCredentials, CauseCredentials},
		{ByExistingLSC, Knock{Proof: ProofLSC}, 99, ""},
		{ByExistingLSC, Knock{Proof: ProofMIC}, 99, ""},
		{ByExistingLSC, Knock{String: "1234"}, RefusedCredentials, CauseInvalidLSC},
		{ByExistingMIC, Knock{Proof: ProofMIC}, 99, ""},
		{ByExistingMIC, Knock{}, RefusedCredentials, CauseInvalidMIC},
		{ByAuthenticationString, Knock{}, RefusedCredentials, CauseInvalidString},
		{ByAuthenticationString, Knock{Proof: ProofLSC}, RefusedCredentials, CauseInvalidString},
	} {
		k := newKit(t, Config{})
		k.create(Order{Owner: phone, Operation: Delete, Mode: c.mode})
		c.knock.Name = phone.Device
		_, err := k.Begin(t.Context(), c.knock)
		if why(err) != c.want {
			t.Errorf("%v %+v: %v", c.mode, c.knock, err)
		}
		if p := k.get(phone); c.cause != "" && p.Status != Failure(Delete, c.cause) {
			t.Errorf("%v: %s", c.mode, p.Status)
		}
	}
}

func TestLate(t *testing.T) {
	k := newKit(t, Config{})
	by, err := ParseCompletesBy("2026:11:21:14")
	if err != nil {
		t.Fatal(err)
	}
	k.create(Order{Owner: phone, Operation: InstallUpgrade, String: "4711", CompletesBy: by})
	k.create(Order{Owner: app, Operation: InstallUpgrade, String: "4711", CompletesBy: by})
	k.now = by.Add(time.Second)
	if _, err := k.begin(phone.Device, "4711"); why(err) != RefusedLate {
		t.Fatal(err)
	}
	if _, err := k.begin(phone.Device, "4711"); why(err) != RefusedNothing {
		t.Fatal(err)
	}
	swept, err := k.Sweep(t.Context(), nil)
	if err != nil || len(swept.Late) != 1 || swept.Late[0].Owner != app {
		t.Fatalf("%+v %v", swept, err)
	}
	for _, o := range []Owner{phone, app} {
		if p := k.get(o); p.Status != "Upgrade Failed: User Initiated Request Late/Timedout" || p.HasString || p.Operation != NoPendingOperation {
			t.Errorf("%+v", p)
		}
	}
}

// TestTwoSessions: the later one takes over; what the earlier one brings is refused.
func TestTwoSessions(t *testing.T) {
	k := newKit(t, Config{})
	k.create(Order{Owner: phone, Operation: InstallUpgrade, String: "4711"})
	a, b := k.mustBegin(phone.Device, "4711"), k.mustBegin(phone.Device, "4711")
	if _, err := k.Issued(t.Context(), a, k.certificate("x"), time.Time{}); !errors.Is(err, ErrSuperseded) {
		t.Error(err)
	}
	if _, err := k.Failed(t.Context(), a, CauseCommunication); !errors.Is(err, ErrSuperseded) {
		t.Error(err)
	}
	k.must(k.Issued(t.Context(), b, k.certificate("x"), time.Time{}))
	k.must(k.Stored(t.Context(), b))
	if _, err := k.Stored(t.Context(), b); !errors.Is(err, ErrSuperseded) {
		t.Error(err)
	}
}

func TestBrokenSessions(t *testing.T) {
	k := newKit(t, Config{})
	k.create(Order{Owner: phone, Operation: InstallUpgrade, String: "4711"})
	for i := 1; i <= 3; i++ {
		g := k.mustBegin(phone.Device, "4711")
		k.must(k.Failed(t.Context(), g, CauseCommunication))
		p := k.get(phone)
		if p.Status != "Upgrade Failed: Phone Communication Failure" || p.HasString != (i < 3) || (p.Operation == NoPendingOperation) != (i == 3) {
			t.Fatalf("%d: %+v", i, p)
		}
	}
	k.create(Order{Owner: phone, Operation: InstallUpgrade, String: "4711"})
	g := k.mustBegin(phone.Device, "4711")
	k.must(k.Failed(t.Context(), g, CauseCARejected))
	if p := k.get(phone); p.Operation != NoPendingOperation || p.Status != "Upgrade Failed: CA Rejected Connection" {
		t.Errorf("%+v", p)
	}
}

func TestStatusWords(t *testing.T) {
	for got, want := range map[Status]string{
		Success(InstallUpgrade): "Upgrade Success", Success(Delete): "Delete Success", Success(Troubleshoot): "Troubleshoot Success",
		Failure(Delete, CauseInvalidMIC): "Delete Failed: Invalid MIC", Failure(Troubleshoot, CauseCA): "Troubleshoot Failed",
		Failure(InstallUpgrade, ""): "Upgrade Failed", Failure(InstallUpgrade, CauseECUnsupported): "Upgrade Failed: No Support for EC only in CAPF version 3",
	} {
		if string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for m := ByAuthenticationString; m <= ByExistingMIC; m++ {
		var back AuthMode
		if err := back.UnmarshalText([]byte(m.String())); err != nil || back != m || m.Code() != int(m)+1 {
			t.Errorf("%v %v", m, err)
		}
	}
	mode, order, rsa, ec := Settings(config.CAPFSettings{AuthenticationMode: config.CAPFNullString, KeyOrder: config.RSAOnly, RSAKeySize: 3072, ECKeySize: 384})
	if mode != ByNullString || order != RSAOnly || rsa != 3072 || ec != 384 {
		t.Error(mode, order, rsa, ec)
	}
}

func TestCommonName(t *testing.T) {
	long := Owner{User: "a", Instance: strings.Repeat("x", 128)}
	other := Owner{User: "a", Instance: strings.Repeat("x", 127) + "y"}
	if n := long.CommonName(); len(n) != 64 || n == other.CommonName() {
		t.Error(n)
	}
	k := newKit(t, Config{})
	c := k.create(Order{Owner: long, Operation: InstallUpgrade})
	cert := k.enrol(ApplicationPrefix+long.Instance, c.String.Reveal())
	if o, err := k.Holder(t.Context(), pki.KindCTI, long.CommonName(), pki.RefOf(cert)); err != nil || o != long {
		t.Error(o, err)
	}
}
