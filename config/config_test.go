package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var exact = cmp.AllowUnexported(Verifier{}, DigestVerifier{}, Password{})

func TestDefaultSite(t *testing.T) {
	s := Default("node1")
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	again, err := Parse("default.yaml", Format(s, true), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, again, exact); d != "" {
		t.Error(d)
	}
	if p := s.PhoneSecurityProfiles[0].WithDefaults(); p.DeviceSecurityMode != Encrypted || p.Transport != TransportTLS || p.IncomingPort != 5061 {
		t.Errorf("the first phone's profile is %+v", p)
	}
}

// TestZeroValuesAreSecure: an entity of which only the name is known is protected.
func TestZeroValuesAreSecure(t *testing.T) {
	var c Cluster
	phone, trunk, sip := PhoneSecurityProfile{}.WithDefaults(), SIPTrunkSecurityProfile{}.WithDefaults(), SIPProfile{}.WithDefaults()
	if c.SecurityMode != Mixed || phone.DeviceSecurityMode != Encrypted || phone.Transport != TransportTLS || phone.CAPF.AuthenticationMode != CAPFAuthenticationString ||
		trunk.DeviceSecurityMode != Encrypted || trunk.IncomingTransport != TransportTLS || trunk.OutgoingTransport != TransportTLS || trunk.IncomingPort != 5061 ||
		sip.SessionTimer.Disabled || sip.OptionsPing.Disabled || sip.SessionTimer.Expires.D() != 30*time.Minute {
		t.Error("a zero value is not the secure one")
	}
	if (Verifier{}).Verify("") || (User{}).Roles != nil {
		t.Error("a user without a password can log in")
	}
}

// everything is a site with every field of every entity set to something.
func everything() *Site {
	s := &Site{}
	n := 0
	fill(reflect.ValueOf(s).Elem(), &n)
	return s.Canonical()
}

func fill(v reflect.Value, n *int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *Verifier:
		*x = Verifier{"$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
		return
	case *Password:
		*x = NewPassword("battery staple")
		return
	case *DigestVerifier:
		*x = NewDigestVerifier("u", "realm", "battery staple")
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("value %d: 'a' \"b\" # \\", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(uint64(len(v.Interface().(enumerated).Values()) - 1))
	default: // numbers, durations
		v.SetInt(int64(*n))
	}
}

// TestStoredRoundTrip: nothing is lost on the way to the store and back, and
// documents hold no secret.
func TestStoredRoundTrip(t *testing.T) {
	s := everything()
	var all []Stored
	for _, e := range s.Entities() {
		st, err := Store(e)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(st.Doc), "argon2id") || strings.Contains(string(st.Doc), "$digest") {
			t.Errorf("document with a hash: %s", st.Doc)
		}
		all = append(all, st)
	}
	got, err := FromStored(all)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, got, exact); d != "" {
		t.Error(d)
	}
	if len(Diff(s, got)) != 0 {
		t.Error("the two differ")
	}
	_, err = FromStored([]Stored{{Kind: "hologram", Key: "x", Doc: json.RawMessage("{}")}})
	if err == nil || !strings.Contains(err.Error(), "does not know") {
		t.Errorf("unknown kind: %v", err)
	}
}

// TestFormatRoundTrip: what Format writes, the decoder reads, for every field there is.
func TestFormatRoundTrip(t *testing.T) {
	s := everything()
	for i := range s.PhoneSecurityProfiles {
		s.PhoneSecurityProfiles[i].CopyOf = "" // exists in files only
	}
	for i := range s.Users { // the credential is bound to its user and realm
		s.Users[i].DigestCredential = NewDigestVerifier(s.Users[i].Name, s.Cluster.Domain, "battery staple")
	}
	for i := range s.SIPTrunks {
		t := &s.SIPTrunks[i]
		t.DigestPassword = NewDigestVerifier(t.DigestUser, t.DigestRealm, "battery staple")
	}
	d := newDecoder("x")
	got := &Site{}
	d.document(Format(s, true), reflect.ValueOf(got).Elem())
	d.passwords(got, nil)
	if len(d.errs) > 0 {
		t.Fatal(d.errs)
	}
	if diff := cmp.Diff(s, got, exact); diff != "" {
		t.Error(diff)
	}
	if text := string(Format(s, false)); strings.Contains(text, "argon2id") || !strings.Contains(text, Redacted) {
		t.Error("Format shows a hash unasked")
	}
}

func TestCloneIsDeep(t *testing.T) {
	s := everything()
	want := everything()
	c := s.Clone()
	c.Devices[0].Lines[0].Label = "changed"
	c.CallManagerGroups[0].Nodes[0] = "changed"
	c.SIPTrunks[0].Destinations[1].Port = 1
	if d := cmp.Diff(want, s, exact); d != "" {
		t.Errorf("the original changed: %s", d)
	}
}

func TestDiff(t *testing.T) {
	old := Default("node1")
	old.Users[0].Password = NewVerifier("correct horse")
	new := old.Clone()
	new.Cluster.Name = "lab"
	new.Devices[0].Lines[0].Label = "desk"
	new.Devices[0].Owner = ""
	new.Devices = new.Devices[:1]
	new.Lines = append(new.Lines, Line{Number: "1003", Partition: "internal", NoAnswerTimeout: Duration(20 * time.Second)})
	new.CallingSearchSpaces[0].Partitions = []string{"test", "internal"}
	new.Users[0].Password = NewVerifier("battery staple")
	new.PhoneSecurityProfiles[0].DeviceSecurityMode = Authenticated
	var b strings.Builder
	for _, c := range Diff(old, new) {
		fmt.Fprintln(&b, c)
		for _, f := range c.Fields {
			fmt.Fprintln(&b, "   ", f)
		}
		if (c.Before == nil) != (c.Op == OpAdd) || (c.After == nil) != (c.Op == OpRemove) {
			t.Errorf("%s has before %v and after %v", c, c.Before, c.After)
		}
	}
	want := strings.TrimLeft(`
~ cluster cluster
    name: (none) -> lab
~ phone-security-profile encrypted
    deviceSecurityMode: (none) -> authenticated
~ calling-search-space internal
    partitions: [internal, test, features] -> [test, internal]
+ line 1003/internal
    number: (none) -> 1003
    partition: (none) -> internal
    noAnswerTimeout: (none) -> 20s
~ device alice
    lines[0].label: 1001 -> desk
    owner: alice -> (none)
- device bob
    name: bob -> (none)
    devicePool: default -> (none)
    phoneSecurityProfile: encrypted -> (none)
    sipProfile: standard -> (none)
    owner: bob -> (none)
    lines[0].number: 1002 -> (none)
    lines[0].partition: internal -> (none)
    lines[0].label: 1002 -> (none)
~ user alice
    password: [redacted] -> [redacted]
`, "\n")
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
	if d := Diff(new, new.Clone()); len(d) != 0 {
		t.Errorf("equal sites differ: %v", d)
	}
	data, err := json.Marshal(Diff(old, new))
	if err != nil || bytes.Contains(data, []byte("argon2id")) || !bytes.Contains(data, []byte(`"op":"change","kind":"cluster"`)) {
		t.Errorf("%s, %v", data, err)
	}
}

// TestPasswords: the same file twice changes nothing, another password does.
func TestPasswords(t *testing.T) {
	const file = "users: [{name: ann, password: correct horse, digestCredential: battery staple}]\ncluster: {domain: lab.example}\n"
	first, err := Parse("s.yaml", []byte(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	u := first.Users[0]
	if !u.Password.Verify("correct horse") || u.Password.Verify("correct horsf") || u.Password.Verify("") {
		t.Error("the verifier is wrong")
	}
	// RFC 7616, 3.4.2: A1 = username ":" realm ":" passwd; sums computed with md5sum and sha256sum.
	user, realm, sha, md := u.DigestCredential.HA1()
	if user != "ann" || realm != "lab.example" || sha != "f3042f27fb4300e66f294a1daa77cba1a59b7910a7cae9348e7a48ade9b0a073" || md != "4a2ae38fd1c1c758a9976741e110c621" {
		t.Errorf("HA1 %s %s %s %s", user, realm, sha, md)
	}
	again, err := Parse("s.yaml", []byte(file), first)
	if err != nil || len(Diff(first, again)) != 0 {
		t.Errorf("the same file changes %v, %v", Diff(first, again), err)
	}
	kept, err := Parse("s.yaml", Format(first, false), first)
	if err != nil || len(Diff(first, kept)) != 0 {
		t.Errorf("a redacted file changes %v, %v", Diff(first, kept), err)
	}
	other, err := Parse("s.yaml", []byte(strings.Replace(file, "horse", "donkey", 1)), first)
	if err != nil || len(Diff(first, other)) != 1 || !other.Users[0].Password.Verify("correct donkey") {
		t.Errorf("another password changes %v, %v", Diff(first, other), err)
	}
	gone, err := Parse("s.yaml", []byte("users: [{name: ann}]\ncluster: {domain: lab.example}\n"), first)
	if err != nil || !gone.Users[0].Password.IsZero() {
		t.Errorf("a password left out stays: %v", err)
	}
}

// TestSecretsPrintNothing prints secrets in every way the standard library offers.
func TestSecretsPrintNothing(t *testing.T) {
	u := User{Name: "ann", Password: NewVerifier("correct horse"), DigestCredential: NewDigestVerifier("ann", "r", "battery staple")}
	st, err := Store(u)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "user", u, "password", u.Password, "digest", u.DigestCredential, "stored", st.Secret)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "user", u, "password", u.Password, "digest", u.DigestCredential, "stored", st.Secret)
	doc, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	_, _, sha, _ := u.DigestCredential.HA1()
	for _, text := range []string{fmt.Sprint(u), fmt.Sprintf("%+v %#v %s %q %x", u, u, u.Password, u.Password, u.Password), fmt.Sprintf("%v %#v %+v", st, st, st.Secret), string(doc), string(stored), log.String()} {
		if strings.Contains(text, "argon2id") || strings.Contains(text, sha) || strings.Contains(text, "61726f6e") {
			t.Errorf("a secret shows in %s", text)
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.yaml")
	if _, err := Load(path, nil); err == nil || !strings.Contains(err.Error(), "no such file or directory; give the path") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, Format(Default("node1"), true), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Load(path, nil); err != nil || len(Diff(s, Default("node1"))) != 0 {
		t.Errorf("%v", err)
	}
	if s, err := Parse("empty.yaml", nil, nil); err != nil || len(s.Entities()) != 1 {
		t.Errorf("an empty file: %v, %v", s, err)
	}
	n, err := ParseNode("node.yaml", []byte("# only a comment\n"))
	if err != nil || n.WithDefaults().Home != "var" {
		t.Errorf("an empty node file: %+v, %v", n, err)
	}
}

// TestCheckWithoutFile: a site made by a program gets the same answers, without a position.
func TestCheckWithoutFile(t *testing.T) {
	s := Default("node1")
	s.Devices[1].DevicePool = "defalt"
	err := s.Check()
	want := `devices[bob].devicePool: there is no device pool "defalt"; did you mean "default"?`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestLargeSite: thousands of phones are read, checked and compared; with -v it says how long that takes.
func TestLargeSite(t *testing.T) {
	s := Default("node1")
	for i := range 4000 {
		n := fmt.Sprintf("%06d", i)
		s.Lines = append(s.Lines, Line{Number: n, Partition: "internal", CallingSearchSpace: "internal"})
		s.Devices = append(s.Devices, Device{Name: "p" + n, DevicePool: "default", Lines: []Appearance{{Number: n, Partition: "internal"}}})
	}
	text := Format(s, true)
	start := time.Now()
	got, err := Parse("large.yaml", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := Diff(s, got); len(d) != 0 {
		t.Errorf("%d differences", len(d))
	}
	t.Logf("%d kB in %s", len(text)>>10, time.Since(start))
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		in, _, _ := bytes.Cut(data, []byte("----\n"))
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := Parse("fuzz.yaml", in, nil)
		if (s == nil) == (err == nil) {
			t.Fatalf("site %v with error %v", s, err)
		}
		if err != nil {
			if e, ok := err.(Errors); !ok || len(e) == 0 || e[0].Problem == "" {
				t.Fatalf("an error that tells nothing: %#v", err)
			}
			return
		}
		again, err := Parse("again.yaml", Format(s, true), nil)
		if err != nil {
			t.Fatalf("what Format wrote is refused: %v\n%s", err, Format(s, true))
		}
		if d := Diff(s, again); len(d) != 0 {
			t.Fatalf("what Format wrote differs: %v", d)
		}
	})
}
