package lists

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/trustlist"
)

// outline is a list in short: role, name, address, common name.
func outline(l *trustlist.List) []string {
	var lines []string
	for i := range l.Records {
		r := &l.Records[i]
		what := "reduced"
		if r.Certificate != nil {
			what = r.CommonName()
		}
		lines = append(lines, fmt.Sprintf("%d %s %s %s", r.Role, r.Name, r.Address, what))
	}
	return lines
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestContents: who stands where, in both lists.
func TestContents(t *testing.T) {
	s := newSite(t)
	s.all(1)
	two := member(t, "callmanager", 2, map[int]pki.State{1: pki.StateActive})
	two.Addresses = append(two.Addresses, netip.MustParseAddr("127.0.2.11"))
	s.announce(two)
	if got := s.publish(); len(got) != 2 || got[0].Number != 1 || got[1].Kind != trustlist.ITL {
		t.Fatalf("published %+v", got)
	}
	l, _ := s.list("SEP1", trustlist.CTL)
	sast := []string{"0  0.0.0.0 sast-1-g1", "0  0.0.0.0 sast-2-g1", "0  0.0.0.0 itl-recovery-g1"}
	compare(t, "CTL", outline(l), append(slices.Clone(sast),
		"2 callmanager1.lab.test 127.0.1.10 callmanager1.lab.test-g1", "2 127.0.1.10 127.0.1.10 callmanager1.lab.test-g1",
		"2 callmanager1.lab.test 127.0.1.10 callmanager1.lab.test-EC-g1",
		"2 callmanager1.lab.test 127.0.1.10 callmanager1.lab.test-client-g1",
		"2 callmanager1.lab.test 127.0.1.10 callmanager1.lab.test-client-EC-g1",
		"1 callmanager2.lab.test 127.0.2.10 callmanager2.lab.test-g1", "1 127.0.2.10 127.0.2.10 callmanager2.lab.test-g1", "1 127.0.2.11 127.0.2.11 callmanager2.lab.test-g1",
		"1 callmanager2.lab.test 127.0.2.10 callmanager2.lab.test-EC-g1",
		"1 callmanager2.lab.test 127.0.2.10 callmanager2.lab.test-client-g1",
		"1 callmanager2.lab.test 127.0.2.10 callmanager2.lab.test-client-EC-g1",
		"3 provisioning1.lab.test 127.0.1.10 provisioning1.lab.test-g1", "3 127.0.1.10 127.0.1.10 provisioning1.lab.test-g1",
		"3 provisioning1.lab.test 127.0.1.10 provisioning1.lab.test-EC-g1",
		"4 capf1.lab.test 127.0.1.10 capf1.lab.test-g1", "4 127.0.1.10 127.0.1.10 capf1.lab.test-g1",
		"4 capf1.lab.test 127.0.1.10 capf1.lab.test-EC-g1"))
	if l.Header.SignerVersion != (trustlist.Version{}) || l.Header.DigestCode != 2 {
		t.Errorf("CTL signer version %s, digest code %d", l.Header.SignerVersion, l.Header.DigestCode)
	}
	l, _ = s.list("SEP1", trustlist.ITL)
	compare(t, "ITL", outline(l), append(slices.Clone(sast),
		"3 provisioning1.lab.test 127.0.1.10 provisioning1.lab.test-g1", "3 provisioning1.lab.test 127.0.1.10 provisioning1.lab.test-EC-g1",
		"21 tvs1.lab.test 127.0.1.10 tvs1.lab.test-g1", "21 tvs1.lab.test 127.0.1.10 tvs1.lab.test-EC-g1",
		"4 capf1.lab.test 127.0.1.10 capf1.lab.test-g1", "4 capf1.lab.test 127.0.1.10 capf1.lab.test-EC-g1"))
	if l.Header.SignerVersion != trustlist.SignerVersion11 {
		t.Errorf("ITL signer version %s", l.Header.SignerVersion)
	}
}

// TestReaders: each reader finds what it looks for, by its own rule.
func TestReaders(t *testing.T) {
	s := newSite(t)
	s.all(1)
	s.announce(member(t, "callmanager", 1, map[int]pki.State{1: pki.StateRetiring, 2: pki.StateActive, 3: pki.StateStaged}))
	s.publish()
	l, f := s.list("@127.0.0.9", trustlist.CTL)
	// Unity Connection: the call manager by the text it was configured with; what is in use comes first.
	for _, host := range []string{"callmanager1.lab.test", "127.0.1.10"} {
		of := l.Server(host, trustlist.RoleCCM, trustlist.RoleCCMTFTP)
		if len(of) == 0 || of[0].CommonName() != "callmanager1.lab.test-g2" {
			t.Fatalf("by %s: %v", host, of)
		}
		byName := slices.DeleteFunc(slices.Clone(of), func(r *trustlist.Record) bool { return r.Name != host })
		if len(byName) == 0 || byName[0].CommonName() != "callmanager1.lab.test-g2" {
			t.Errorf("no record is called %s", host)
		}
	}
	// JTAPI keeps one certificate per role and name, the last: nothing may get lost by that.
	alias, all := make(map[string]string), make(map[string]bool)
	for i := range l.Records {
		print, _ := l.Records[i].Fingerprint()
		alias[fmt.Sprint(l.Records[i].Role, strings.ToLower(l.Records[i].CommonName()))] = fmt.Sprintf("%x", print)
		all[fmt.Sprintf("%d %x", l.Records[i].Role, print)] = true
	}
	if len(alias) != len(all) {
		t.Errorf("a key store of %d aliases for %d certificates", len(alias), len(all))
	}
	for _, g := range []string{"-g1", "-g2", "-g3"} {
		for _, cn := range []string{"", "-EC", "-client", "-client-EC"} {
			if _, ok := alias["CCM+TFTP"+"callmanager1.lab.test"+strings.ToLower(cn)+g]; !ok {
				t.Errorf("callmanager1.lab.test%s%s is not listed", cn, g)
			}
		}
	}
	if _, err := trustlist.AcceptJTAPI(l, nil); err != nil {
		t.Error(err)
	}
	var pins [][32]byte
	for _, x := range must(s.reader.Signers(t.Context()))(t) {
		pins = append(pins, x.Fingerprint)
	}
	if _, err := trustlist.AcceptPinned(l, pins[:1]); err != nil || len(pins) != 3 || Fingerprint(pins[0]) != f.Signer {
		t.Errorf("pinned: %v, %d signers", err, len(pins))
	}
	known := must(s.reader.Known(t.Context()))(t)
	for _, k := range known {
		if k.Certificate.Subject.CommonName == "capf1.lab.test-g1" && !slices.Equal(k.Roles, []trustlist.Role{trustlist.RoleCAPF}) {
			t.Errorf("CAPF has the roles %v", k.Roles)
		}
	}
	if len(known) != 3+12+2+2+2 {
		t.Errorf("%d certificates known", len(known))
	}
}

// TestSameNameRefused: two nodes whose certificates have one name would hide each other from JTAPI.
func TestSameNameRefused(t *testing.T) {
	s := newSite(t)
	s.all(1)
	s.publish()
	a := member(t, "callmanager", 1, map[int]pki.State{1: pki.StateActive})
	a.Node, a.Host, a.Addresses = "node2", "other.lab.test", []netip.Addr{netip.MustParseAddr("127.0.2.10")}
	a.Certificates = []Certificate{{DER: another(t, "callmanager1.lab.test-g1").Raw, Generation: 1, State: pki.StateActive}}
	s.announce(a)
	s.announce(member(t, "provisioning", 2, map[int]pki.State{1: pki.StateActive}))
	_, err := s.pub.Publish(t.Context())
	var duplicate *trustlist.DuplicateNameError
	if !errors.As(err, &duplicate) {
		t.Fatalf("published: %v", err)
	}
	if v := must(s.reader.Current(t.Context(), trustlist.CTL))(t); v.Number != 1 {
		t.Error("the old version is not in use")
	}
	if v := must(s.reader.Current(t.Context(), trustlist.ITL))(t); v.Number != 2 {
		t.Error("the other list was held up")
	}
}

// TestDeterministic: what did not change is not published again, by this process, another or after a restart.
func TestDeterministic(t *testing.T) {
	s := newSite(t)
	s.all(1)
	s.publish()
	before := s.docs.count("")
	for range 3 {
		if s.announce(member(t, "capf", 1, map[int]pki.State{1: pki.StateActive})) {
			t.Error("announced anew")
		}
		if got := s.publish(); len(got) != 0 {
			t.Errorf("published again: %+v", got)
		}
		s.open()
	}
	if after := s.docs.count(""); after != before {
		t.Errorf("%d documents instead of %d", after, before)
	}
	preview, b, err := s.pub.Preview(t.Context(), trustlist.CTL)
	if _, f := s.list("x", trustlist.CTL); err != nil || preview.Number != 1 || preview.Default != f.Signer || len(b) != len(f.Bytes) {
		t.Errorf("a preview of nothing new: %+v, %v", preview, err)
	}
	s.announce(member(t, "capf", 1, map[int]pki.State{1: pki.StateActive, 2: pki.StateStaged}))
	if preview, _, err := s.pub.Preview(t.Context(), trustlist.CTL); err != nil || preview.Number != 2 {
		t.Errorf("a preview: %+v, %v", preview, err)
	}
	if v := must(s.reader.Current(t.Context(), trustlist.CTL))(t); v.Number != 1 {
		t.Error("a preview was published")
	}
	old, _ := s.list("x", trustlist.CTL)
	s.now = start // the clock was set back
	if got := s.publish(); len(got) != 2 || got[0].Number != 2 {
		t.Errorf("published %+v", got)
	}
	if fresh, _ := s.list("x", trustlist.CTL); !fresh.Header.Time.After(old.Header.Time) {
		t.Errorf("the new list is of %s, the old one of %s", fresh.Header.Time, old.Header.Time)
	}
}

// TestModes: a cluster that is not secure any more has a CTL all the same: signed, and without the call manager's
// certificates, so that phones that held the old one take it.
func TestModes(t *testing.T) {
	s := newSite(t)
	s.all(1)
	s.publish()
	held, _ := s.list("SEP1", trustlist.CTL)
	s.mode = config.NonSecureCluster
	if got := s.publish(); len(got) != 1 || got[0].Kind != trustlist.CTL {
		t.Fatalf("%d lists published, want the CTL alone: the ITL says the same", len(got))
	}
	l, f := s.list("SEP1", trustlist.CTL)
	if _, err := trustlist.AcceptPhone(l, held); err != nil {
		t.Error(err)
	}
	ccm := l.ByRole(trustlist.RoleCCMTFTP)
	if len(ccm) != 2 || ccm[0].Certificate != nil || ccm[1].Length != 5+3+len("127.0.1.10")+1+5+7 {
		t.Errorf("call manager records %+v", ccm)
	}
	if v := must(s.reader.Current(t.Context(), trustlist.CTL))(t); v.Mode != config.NonSecureCluster || f.Version != 2 {
		t.Errorf("version %+v", v)
	}
	itl, _ := s.list("SEP1", trustlist.ITL)
	if len(itl.ByRole(trustlist.RoleTVS)) != 2 || len(itl.ByRole(trustlist.RoleTFTP)) != 2 {
		t.Error("the ITL lost something")
	}
	if got := must(s.reader.Known(t.Context()))(t); len(got) != 3+2+2+2 {
		t.Errorf("%d certificates known", len(got))
	}
}

// TestTooLarge: a list that phones would not read is refused with numbers; the old one stays.
func TestTooLarge(t *testing.T) {
	s := newSite(t)
	s.all(1)
	s.publish()
	m := member(t, "callmanager", 1, map[int]pki.State{1: pki.StateRetiring, 2: pki.StateActive, 3: pki.StateStaged})
	for i := range 60 {
		m.Addresses = append(m.Addresses, netip.AddrFrom4([4]byte{127, 0, 9, byte(i + 1)}))
	}
	s.announce(m)
	_, err := s.pub.Publish(t.Context())
	var large *TooLargeError
	if !errors.As(err, &large) || large.Size <= MaxFile || large.Overlap < 5000 || large.Addresses < 50000 {
		t.Fatalf("%v", err)
	}
	if !strings.Contains(err.Error(), "fewer addresses") || !strings.Contains(err.Error(), "one service at a time") {
		t.Errorf("it does not say what to do: %v", err)
	}
	if _, f := s.list("x", trustlist.CTL); f.Version != 1 {
		t.Error("the old one is not in use")
	}
}

// TestLostSigner: the second signer takes over, then the recovery key, and everyone who held a list can verify the next.
func TestLostSigner(t *testing.T) {
	s := newSite(t)
	s.all(1)
	s.publish()
	held, _ := s.list("x", trustlist.CTL)
	accept := func(signer string) *trustlist.List {
		t.Helper()
		s.publish()
		l, f := s.list("x", trustlist.CTL)
		if _, err := trustlist.AcceptJTAPI(l, held); err != nil || f.Doubt != "" {
			t.Errorf("%v, %s", err, f.Doubt)
		}
		if !strings.Contains(l.Header.Signer.Subject, signer) {
			t.Errorf("signed by %s, want %s", l.Header.Signer.Subject, signer)
		}
		return l
	}
	accept("sast-1-g1")
	recovery := *s.signers.in(pki.Recovery, pki.StateActive)
	s.signers.lose(printOf(recovery))
	accept("sast-1-g1")
	s.signers.lose(printOf(*s.signers.in(pki.SAST1, pki.StateActive)))
	accept("sast-2-g1")
	s.signers.lose(printOf(*s.signers.in(pki.SAST2, pki.StateActive)))
	if _, err := s.pub.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "bring back the recovery key") {
		t.Errorf("published by nobody: %v", err)
	}
	s.signers.in(pki.Recovery, pki.StateActive).PrivateKey = recovery.PrivateKey
	accept("itl-recovery-g1")
}

// TestBroughtBack: a signer whose key comes back signs the version in force, which stays that version.
func TestBroughtBack(t *testing.T) {
	s := newSite(t)
	s.all(1)
	recovery := *s.signers.in(pki.Recovery, pki.StateActive)
	s.signers.lose(printOf(recovery))
	s.publish()
	v := must(s.reader.Current(t.Context(), trustlist.CTL))(t)
	if _, err := s.reader.File(t.Context(), trustlist.CTL, 1, printOf(recovery)); !errors.Is(err, fs.ErrNotExist) || len(v.Variants) != 2 {
		t.Fatalf("%d variants, %v", len(v.Variants), err)
	}
	s.signers.in(pki.Recovery, pki.StateActive).PrivateKey = recovery.PrivateKey
	got := s.publish()
	if v = must(s.reader.Current(t.Context(), trustlist.CTL))(t); len(got) != 2 || v.Number != 1 || len(v.Variants) != 3 || v.Variants[2].Signer != printOf(recovery) {
		t.Fatalf("%d changed, version %d with %d variants", len(got), v.Number, len(v.Variants))
	}
	l := must(trustlist.Parse(must(s.reader.File(t.Context(), trustlist.CTL, 1, printOf(recovery)))(t)))(t)
	if _, err := trustlist.AcceptJTAPI(l, nil); err != nil || l.Records[0].CommonName() != "itl-recovery-g1" {
		t.Errorf("%v, first %s", err, l.Records[0].CommonName())
	}
	if got := s.publish(); len(got) != 0 {
		t.Errorf("again: %+v", got)
	}
}

// TestSleeper: a device that slept through the rotation of both signers is served what it can verify, and keeps their
// keys from being retired until it has moved.
func TestSleeper(t *testing.T) {
	s := newSite(t)
	s.all(1)
	s.publish()
	old, f := s.list("SEP1", trustlist.CTL)
	s.holdings.Confirmed(Fetch{Device: "SEP1", Kind: trustlist.CTL, Version: f.Version, Signer: f.Signer})
	for _, name := range []string{pki.SAST1, pki.SAST2} {
		s.signers.add(name, 2, pki.StateStaged)
		s.publish()
		s.signers.activate(name)
		s.publish()
	}
	if l, _ := s.list("SEP2", trustlist.CTL); l.Header.Signer.Subject != "CN=sast-1-g2" || len(l.ByRole(trustlist.RoleSAST)) != 3 {
		t.Errorf("strangers get a list of %s with %d signers", l.Header.Signer.Subject, len(l.ByRole(trustlist.RoleSAST)))
	}
	var left []Fingerprint
	for _, x := range s.signers.All() {
		if x.State == pki.StateActive {
			left = append(left, printOf(x))
		}
	}
	if d := must(s.reader.Dependants(t.Context(), left))(t); len(d) != 1 || d[0].Holder != "SEP1" || d[0].Copies[0].Version != 1 {
		t.Fatalf("dependants %+v", d)
	}
	s.open()
	l, f := s.list("SEP1", trustlist.CTL)
	if _, err := trustlist.AcceptPhone(l, old); err != nil || f.Doubt != "" || f.Version != 5 {
		t.Fatalf("version %d: %v, %s", f.Version, err, f.Doubt)
	}
	s.holdings.Confirmed(Fetch{Device: "SEP1", Kind: trustlist.CTL, Version: f.Version, Signer: f.Signer})
	s.announce(member(t, "capf", 1, map[int]pki.State{2: pki.StateActive}))
	s.publish()
	next, f := s.list("SEP1", trustlist.CTL)
	if _, err := trustlist.AcceptPhone(next, l); err != nil || next.Header.Signer.Subject != "CN=sast-1-g2" {
		t.Fatalf("version %d by %s: %v", f.Version, next.Header.Signer.Subject, err)
	}
	s.holdings.Confirmed(Fetch{Device: "SEP1", Kind: trustlist.CTL, Version: f.Version, Signer: f.Signer})
	if d := must(s.reader.Dependants(t.Context(), left))(t); len(d) != 0 {
		t.Errorf("dependants %+v", d)
	}
	if trusts, ok, err := s.reader.Trusts(t.Context(), "SEP1"); err != nil || !ok || len(trusts) != len(left) || slices.ContainsFunc(left, func(f Fingerprint) bool { return !slices.Contains(trusts, f) }) {
		t.Errorf("it trusts %v, want %v", trusts, left)
	}
	// Without its keys the sleeper of a month ago would be in doubt, and is told so.
	s.holdings.Fetched(Fetch{Device: "SEP3", Kind: trustlist.CTL, Version: 1, Signer: must(s.reader.Version(t.Context(), trustlist.CTL, 1))(t).Default})
	for _, name := range []string{pki.SAST1, pki.SAST2} {
		s.signers.remove(printOf(*s.signers.in(name, pki.StateRetiring)))
	}
	s.signers.lose(printOf(*s.signers.in(pki.Recovery, pki.StateActive)))
	s.announce(member(t, "capf", 1, map[int]pki.State{3: pki.StateActive}))
	s.publish()
	if _, f := s.list("SEP3", trustlist.CTL); !strings.Contains(f.Doubt, "no signer of CTL version 7 is in every list that SEP3 may hold (CTL version 1)") {
		t.Errorf("doubt %q", f.Doubt)
	}
}

// TestOrder: who knows two signers of a list only, knows two that can sign.
func TestOrder(t *testing.T) {
	s := newSite(t)
	s.all(1)
	order := func(what string, want map[string][]string) {
		t.Helper()
		s.publish()
		v := must(s.reader.Current(t.Context(), trustlist.CTL))(t)
		names := make(map[Fingerprint]string)
		for _, r := range v.Signers {
			names[r.Fingerprint] = r.CommonName
		}
		for _, x := range v.Variants {
			var got []string
			for _, f := range x.SAST {
				got = append(got, names[f])
			}
			compare(t, what+", signed by "+names[x.Signer], got, want[names[x.Signer]])
			l := must(trustlist.Parse(must(s.reader.File(t.Context(), trustlist.CTL, v.Number, x.Signer))(t)))(t)
			if l.Records[0].CommonName() != got[0] {
				t.Errorf("%s: the file begins with %s", what, l.Records[0].CommonName())
			}
		}
		if len(v.Variants) != len(want) {
			t.Errorf("%s: %d variants, want %d", what, len(v.Variants), len(want))
		}
	}
	const one, one2, two, two2, rec = "sast-1-g1", "sast-1-g2", "sast-2-g1", "sast-2-g2", "itl-recovery-g1"
	order("new", map[string][]string{one: {one, two, rec}, two: {two, one, rec}, rec: {rec, one, two}})
	s.signers.add(pki.SAST1, 2, pki.StateStaged)
	order("staged", map[string][]string{one: {one, two, one2, rec}, two: {two, one, one2, rec}, rec: {rec, one, two, one2}})
	s.signers.activate(pki.SAST1)
	order("activated", map[string][]string{one2: {one2, two, rec}, two: {two, one2, rec}, rec: {rec, one2, two}, one: {one, one2, two, rec}})
	s.signers.lose(printOf(*s.signers.in(pki.SAST2, pki.StateActive)))
	s.signers.add(pki.SAST2, 2, pki.StateStaged)
	order("lost", map[string][]string{one2: {one2, two2, rec, two}, rec: {rec, one2, two2, two}, one: {one, one2, two2, rec, two}})
	if err := s.pub.SignWith(t.Context(), pki.Recovery); err != nil {
		t.Fatal(err)
	}
	order("the recovery signer preferred", map[string][]string{one2: {one2, rec, two2, two}, rec: {rec, one2, two2, two}, one: {one, rec, one2, two2, two}})
}

// TestKept: versions that anybody may hold are kept, others go.
func TestKept(t *testing.T) {
	s := newSite(t)
	s.all(1)
	s.publish()
	_, f := s.list("SEP1", trustlist.CTL)
	s.holdings.Fetched(Fetch{Device: "SEP1", Kind: trustlist.CTL, Version: f.Version, Signer: f.Signer})
	for g := range keepAlways + 3 {
		s.announce(member(t, "capf", 1, map[int]pki.State{g + 2: pki.StateActive}))
		s.publish()
	}
	var ctl, itl []int
	for _, v := range must(s.reader.Versions(t.Context(), trustlist.CTL))(t) {
		ctl = append(ctl, v.Number)
	}
	for _, v := range must(s.reader.Versions(t.Context(), trustlist.ITL))(t) {
		itl = append(itl, v.Number)
	}
	if fmt.Sprint(ctl) != "[1 5 6 7 8 9 10 11 12]" || fmt.Sprint(itl) != "[5 6 7 8 9 10 11 12]" {
		t.Errorf("kept CTL %v, ITL %v", ctl, itl)
	}
	if n := s.docs.count("file/"); n != 3*(len(ctl)+len(itl)) {
		t.Errorf("%d files for %d versions of three variants", n, len(ctl)+len(itl))
	}
	v := must(s.reader.Current(t.Context(), trustlist.ITL))(t)
	for _, digest := range []string{v.Variants[1].MD5, strings.ToUpper(v.Variants[1].SHA1), v.Variants[1].SHA256} {
		if c, ok, err := s.reader.Identify(t.Context(), trustlist.ITL, digest); err != nil || !ok || c.Version != 12 || c.Signer != v.Variants[1].Signer {
			t.Errorf("identified %+v, %v, %v", c, ok, err)
		}
	}
	if _, ok, _ := s.reader.Identify(t.Context(), trustlist.ITL, ""); ok {
		t.Error("nothing was identified")
	}
}

// TestConflict: another node publishes at the same moment; both end up with one version.
func TestConflict(t *testing.T) {
	s := newSite(t)
	s.all(1)
	second := must(NewPublisher(s.pub.cfg))(t)
	d := must(second.draft(t.Context(), trustlist.CTL))(t)
	s.publish()
	v := Version{Kind: trustlist.CTL, Number: 1, Time: s.now, Content: d.content(), Default: printOf(d.signers.preferred[0])}
	files := must(d.sign(&v, d.signers.preferred))(t)
	if err := second.store(t.Context(), v, files, 0, 0); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("written over: %v", err)
	}
	if got := must(second.Publish(t.Context()))(t); len(got) != 0 {
		t.Errorf("published twice: %+v", got)
	}
}

// TestDigest: another digest is another version, of the same records.
func TestDigest(t *testing.T) {
	s := newSite(t)
	s.all(1)
	s.publish()
	before := must(s.reader.Current(t.Context(), trustlist.CTL))(t)
	s.pub.cfg.Digest = func(context.Context) (trustlist.Digest, error) { return trustlist.SHA1, nil }
	s.publish()
	after := must(s.reader.For(t.Context(), "SEP001122334455", trustlist.CTL))(t)
	l := must(trustlist.Parse(after.Bytes))(t)
	if after.Version <= before.Number || l.Header.DigestCode != 1 {
		t.Errorf("version %d became %d, digest code %d", before.Number, after.Version, l.Header.DigestCode)
	}
	if _, err := trustlist.AcceptPhone(l); err != nil {
		t.Error(err)
	}
}

// TestRefusals: what cannot be announced or published says why.
func TestRefusals(t *testing.T) {
	s := newSite(t)
	if _, err := s.pub.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "no service has announced") {
		t.Errorf("an empty site: %v", err)
	}
	if _, err := s.reader.For(t.Context(), "SEP1", trustlist.CTL); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the first version: %v", err)
	}
	odd := s.pub.cfg
	odd.Digest = func(context.Context) (trustlist.Digest, error) { return trustlist.SHA512, nil }
	if _, err := must(NewPublisher(odd))(t).Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "SHA-512") {
		t.Errorf("a digest that JTAPI reads otherwise: %v", err)
	}
	if err := s.pub.SignWith(t.Context(), "callmanager"); err == nil {
		t.Error("signed by a service")
	}
	good := member(t, "tvs", 1, map[int]pki.State{1: pki.StateActive})
	for what, change := range map[string]func(*Member){
		"a path for a name": func(m *Member) { m.Node = "../node" },
		"no host":           func(m *Member) { m.Host, m.Addresses = "", nil },
		"no role":           func(m *Member) { m.Roles = nil },
		"a signer":          func(m *Member) { m.Roles = []trustlist.Role{trustlist.RoleSAST} },
		"no certificate":    func(m *Member) { m.Certificates = []Certificate{{DER: []byte{1}, State: pki.StateActive}} },
		"no state": func(m *Member) {
			m.Certificates = slices.Clone(m.Certificates)
			m.Certificates[0].State = pki.StateUnknown
		},
	} {
		m := good
		change(&m)
		if _, err := s.members.Announce(t.Context(), m); err == nil {
			t.Errorf("announced: %s", what)
		}
	}
	s.announce(good)
	if err := s.members.Withdraw(t.Context(), "tvs", "node1"); err != nil || s.docs.count(memberPrefix) != 0 {
		t.Errorf("withdrawn: %v", err)
	}
}

// TestWhole: the real authority, the real signers and the real store.
func TestWhole(t *testing.T) {
	db := must(store.Open(t.Context(), t.TempDir()+"/site.db", store.Options{}))(t)
	defer db.Close()
	custody := must(pki.OpenDir(t.TempDir() + "/pki"))(t)
	cfg := pki.Config{Cluster: "lab", Custody: custody, Register: db.Certificates(), Keys: readyKey}
	ca, source := must(pki.Open(t.Context(), cfg))(t), must(pki.OpenSigners(t.Context(), cfg))(t)
	holdings := OpenHoldings(db.Documents(HoldingsCollection), HoldingsConfig{Delay: time.Millisecond})
	docs := db.Documents(Collection)
	reader, members := NewReader(docs, holdings), NewMembers(docs)
	pub := must(NewPublisher(PublisherConfig{Lists: docs, Holdings: holdings, Signers: source,
		Mode: func(context.Context) (config.SecurityMode, error) { return config.Mixed, nil }}))(t)
	addr := netip.MustParseAddr("127.0.1.10")
	spec := pki.ServiceSpec{Name: "callmanager", Host: "cm.lab.test", IPs: []netip.Addr{addr}, Listed: true}
	announce := func() {
		t.Helper()
		cs := must(Certificates(t.Context(), ca, spec))(t)
		must(members.Announce(t.Context(), Member{Service: spec.Name, Node: "node1", Host: "cm.lab.test", Addresses: []netip.Addr{addr}, Roles: []trustlist.Role{trustlist.RoleCCMTFTP}, Certificates: cs}))(t)
	}
	watch := reader.Changed(t.Context())
	announce()
	must(pub.Publish(t.Context()))(t)
	<-watch
	f := must(reader.For(t.Context(), "SEP1", trustlist.CTL))(t)
	holdings.Fetched(Fetch{Device: "SEP1", Address: addr, Kind: trustlist.CTL, Version: f.Version, Signer: f.Signer})
	held := must(trustlist.Parse(f.Bytes))(t)
	must(ca.Stage(t.Context(), spec))(t)
	must(source.Stage(t.Context(), pki.SAST1))(t)
	announce()
	must(pub.Publish(t.Context()))(t)
	must(ca.Activate(t.Context(), spec))(t)
	must(source.Activate(t.Context(), pki.SAST1))(t)
	announce()
	if got := must(pub.Publish(t.Context()))(t); len(got) != 2 || got[0].Number != 3 {
		t.Fatalf("published %+v", got)
	}
	f = must(reader.For(t.Context(), "SEP1", trustlist.CTL))(t)
	l := must(trustlist.Parse(f.Bytes))(t)
	if _, err := trustlist.AcceptJTAPI(l, held); err != nil || f.Version != 3 {
		t.Errorf("version %d: %v", f.Version, err)
	}
	ccm := l.ByRole(trustlist.RoleCCMTFTP)
	if len(ccm) != 2+3+4 || ccm[0].CommonName() != "cm.lab.test-g2" {
		t.Errorf("call manager records: %d, first %s", len(ccm), ccm[0].CommonName())
	}
	if err := holdings.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := OpenHoldings(db.Documents(HoldingsCollection), HoldingsConfig{})
	defer again.Close(t.Context())
	if all := must(again.All(t.Context()))(t); len(all) != 1 || all[0].Address != addr || all[0].CTL.Fetched[0].Version != 1 {
		t.Errorf("after a restart: %+v", all)
	}
}
