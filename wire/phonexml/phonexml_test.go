package phonexml

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func TestGolden(t *testing.T) {
	for _, protocol := range []string{SIPProtocol, SCCPProtocol} {
		d := sample(protocol)
		for name, x := range map[string]*Device{protocol: d, protocol + "-short": Short(d, []byte("der"))} {
			b, err := Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", strings.ToLower(name)+".xml")
			if *update {
				if err := os.WriteFile(file, b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(b)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
			again, err := Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(x, again); diff != "" {
				t.Errorf("%s read again (-written +read):\n%s", file, diff)
			}
		}
	}
}

// TestParse reads what others wrote.
func TestParse(t *testing.T) {
	d, err := Parse([]byte(`<?xml version="1.0" encoding="iso-8859-1"?>
<device  xsi:type="axl:XIPPhone" ctiid="24" uuid="{0-1}">
 <unknown><deep>1</deep></unknown>
 <capfList><capf><processNodeName> 10.0.0.9 </processNodeName><phonePort>3804</phonePort></capf></capfList>
 <devicePool><callManagerGroup><members>
  <member  priority="1"><callManager><processNodeName>second</processNodeName></callManager></member>
  <member  priority="0"><callManager><ports><sipPort>5060</sipPort><securedSipPort>abc</securedSipPort></ports><processNodeName>first</processNodeName></callManager></member>
 </members></callManagerGroup></devicePool>
 <TVS><members><member priority="0"><port>2445</port><address>tvs</address></member></members></TVS>
 <vendorConfig><webAccess>1</webAccess><x y="1"/></vendorConfig>
 <encrConfig>1</encrConfig><deviceSecurityMode>9</deviceSecurityMode><capfAuthMode>2</capfAuthMode>
 <sipProfile><sipLines><line button="1" lineIndex="1"><featureLabel>B` + "\xfc" + `ro</featureLabel></line></sipLines></sipProfile>
 <idleTimeout>0</idleTimeout>
</device>`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Device{FullConfig: true, CAPF: []Server{{"10.0.0.9", 3804}}, TVS: []Server{{"tvs", 2445}}, EncryptedConfig: true, CAPFAuthMode: CAPFNullString,
		Pool:   Pool{Members: []Member{{Host: "first", SIPPort: 5060}, {Host: "second"}}},
		Vendor: Settings{{"webAccess", "1"}, {"x", ""}}, More: Settings{{"idleTimeout", "0"}},
		SIP: &SIP{Lines: []Line{{Button: 1, Index: 1, Label: "Büro"}}}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRefused(t *testing.T) {
	laughs := `<!DOCTYPE device [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><device><ownerId>&b;</ownerId></device>`
	for name, c := range map[string]struct{ in, what string }{
		"document type": {laughs, "document type"},
		"too deep":      {strings.Repeat("<device>", 100), "nested deeper"},
		"too many":      {"<device>" + strings.Repeat("<a/>", maxElements) + "</device>", "more than"},
		"too large":     {strings.Repeat(" ", MaxFile+1), "at most"},
		"attributes":    {"<device " + strings.Repeat(`a="1" `, 20) + "/>", "attributes"},
		"two roots":     {"<device/><device/>", "second element"},
		"other root":    {"<Default/>", "want <device>"},
		"ends early":    {"<device><TVS>", "ends inside <TVS>"},
		"crossed":       {"<device><a><b></a></b></device>", "must stand"},
		"closing only":  {"</device>", "without its beginning"},
		"nothing":       {"", "no element"},
		"encoding":      {`<?xml version="1.0" encoding="utf-16"?><device/>`, "utf-16"},
	} {
		if _, err := Parse([]byte(c.in)); err == nil || !strings.Contains(err.Error(), c.what) {
			t.Errorf("%s: %v, want something with %q", name, err, c.what)
		}
	}
	d, err := Parse([]byte("<device><ownerId>&b; &#x41; &amp;</ownerId></device>"))
	if err != nil || d.OwnerID != "&b; A &" {
		t.Errorf("an entity nobody declared: %q, %v", d.OwnerID, err)
	}
	long := strings.Repeat("x", 51)
	for name, d := range map[string]*Device{
		"host":    {CAPF: []Server{{long, 1}}},
		"member":  {Pool: Pool{Members: []Member{{Host: long}}}},
		"servers": {TVS: make([]Server, 6)},
		"name":    {More: Settings{{"a b", "1"}}},
	} {
		if b, err := Marshal(d); err == nil {
			t.Errorf("%s was written: %s", name, b)
		}
	}
}

// TestVectors: the certificate hash and the short companion as the public tools make them.
func TestVectors(t *testing.T) {
	root := os.Getenv("LOCKTONE_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	golden := filepath.Join(root, "vectors", "golden")
	b, err := os.ReadFile(filepath.Join(golden, "orig.xml"))
	if err != nil {
		t.Skipf("needs the golden files (set LOCKTONE_SHARED): %v", err)
	}
	d, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	want := &Device{FullConfig: true, DeviceProtocol: SIPProtocol, Load: "SIP45.9-4-2SR4-3S", SecurityMode: Encrypted, CAPF: []Server{{"10.0.0.1", 3804}}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("orig.xml (-want +got):\n%s", diff)
	}
	text, err := os.ReadFile(filepath.Join(golden, "dev.crt"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	sum := md5.Sum(block.Bytes)
	if s := Short(d, block.Bytes); s.CertHash != hex.EncodeToString(sum[:]) || s.FullConfig || !s.EncryptedConfig || s.SecurityMode != 0 || len(s.CAPF) != 1 {
		t.Errorf("short companion: %+v", s)
	}
}

func TestStamp(t *testing.T) {
	d := sample(SIPProtocol)
	one, err := Stamp(d)
	if err != nil {
		t.Fatal(err)
	}
	d.Version = one
	if again, _ := Stamp(d); again != one {
		t.Errorf("the same content has the stamps %s and %s", one, again)
	}
	if len(one) != 36 || one[14] != '8' {
		t.Errorf("%s is no UUID of version 8", one)
	}
	d.SIP.Lines[0].Label = "other"
	if other, _ := Stamp(d); other == one {
		t.Error("another label has the same stamp")
	}
}

func TestDefault(t *testing.T) {
	d := &Default{GroupName: "default", Members: []Member{{Host: "10.0.0.1", SIPPort: 5060, SecureSIPPort: 5061, SCCPPort: 2000, SecureSCCPPort: 2443}},
		Loads: []ModelLoad{{30018, `Cisco "7961"`, "SIP41.9-4-2SR4-3S"}}}
	b, err := MarshalDefault(d)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseDefault(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, again); diff != "" {
		t.Errorf("(-written +read):\n%s\n%s", diff, b)
	}
	if _, err := ParseDefault([]byte("<device/>")); err == nil {
		t.Error("another root was accepted")
	}
}

func TestTimeZone(t *testing.T) {
	seen := map[string]bool{}
	for _, z := range zones {
		for _, name := range strings.Fields(z.iana) {
			if seen[name] {
				t.Errorf("%s stands twice", name)
			}
			seen[name] = true
		}
	}
	for _, c := range []struct {
		iana, want string
		exact, ok  bool
	}{
		{"Europe/Berlin", "W. Europe Standard/Daylight Time", true, true},
		{"UTC", "Greenwich Standard Time", true, true},
		{"Europe/Madrid", "Romance Standard/Daylight Time", true, true},
		{"America/Sao_Paulo", "SA Eastern Standard Time", false, true},
		{"Australia/Lord_Howe", "Greenwich Standard Time", false, false},
		{"Asia/Kathmandu", "Greenwich Standard Time", false, false},
		{"Europe/Luxembourg", "W. Europe Standard/Daylight Time", false, true},
		{"Pacific/Auckland", "New Zealand Standard/Daylight Time", true, true},
		{"Mars/Olympus", "Greenwich Standard Time", false, false},
	} {
		if name, exact, ok := TimeZone(c.iana, 2026); name != c.want || exact != c.exact || ok != c.ok {
			t.Errorf("%s: %s %v %v, want %s %v %v", c.iana, name, exact, ok, c.want, c.exact, c.ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, p := range []string{SIPProtocol, SCCPProtocol} {
		b, err := Marshal(sample(p))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`<device xsi:type="x"><TVS><members><member/></members></TVS><a>&b;</a></device>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ParseDefault(b)
		d, err := Parse(b)
		if err != nil {
			return
		}
		one, err := Marshal(d)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		d, err = Parse(one)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, one)
		}
		two, err := Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(two)
		if err != nil || !reflect.DeepEqual(d, again) {
			t.Fatalf("not stable: %v\n%s\n%s", err, one, two)
		}
	})
}
