package provisioning

import (
	"path"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		name string
		want File
	}{
		{"CTLFile.tlv", File{Class: ClassCTL}},
		{"/CTLFile.tlv", File{Class: ClassCTL}},
		{"ITLFile.tlv", File{Class: ClassITL}},
		{"CTLSEP001122334455.tlv", File{Class: ClassCTL, Device: "SEP001122334455"}},
		{"ITLSEP001122334455.tlv", File{Class: ClassITL, Device: "SEP001122334455"}},
		{"CTLalice.tlv", File{Class: ClassCTL, Device: "alice"}},
		{"CTLCSFjdoe.tlv", File{Class: ClassCTL, Device: "CSFjdoe"}},
		{"CTLCAPF7F000001.tlv", File{Class: ClassCTLCAPF, CAPF: 0x7f000001, Device: "CAPF7F000001"}},
		{"CTLCAPF0A6A63C5.tlv", File{Class: ClassCTLCAPF, CAPF: 0x0a6a63c5, Device: "CAPF0A6A63C5"}},
		{"CTLCAPFA6A63C5.tlv", File{Class: ClassCTLCAPF, CAPF: 0x0a6a63c5, Device: "CAPFA6A63C5"}},
		{"CTLCAPF0A6A63C.tlv", File{Class: ClassCTL, Device: "CAPF0A6A63C"}},
		{"CTLCAPF7f000001.tlv", File{Class: ClassCTL, Device: "CAPF7f000001"}},
		{"CTLCAPF.tlv", File{Class: ClassCTL, Device: "CAPF"}},
		{"CTL.tlv", File{}},
		{"ctlfile.tlv", File{}},
		{"x.tlv", File{}},
		{"sub/CTLFile.tlv", File{}},
		{"CTLFile.tlv.sgn", File{}},
		{"SEP001122334455.cnf.xml", File{Class: ClassConfig, Device: "SEP001122334455"}},
		{"SEP001122334455.cnf.xml.sgn", File{Class: ClassConfig, Form: Signed, Device: "SEP001122334455"}},
		{"SEP001122334455.cnf.xml.enc.sgn", File{Class: ClassConfig, Form: Encrypted, Device: "SEP001122334455"}},
		{"CSFjdoe.cnf.xml", File{Class: ClassConfig, Device: "CSFjdoe"}},
		{"XMLDefault.cnf.xml", File{Class: ClassDefault}},
		{"XMLDefault.cnf.xml.sgn", File{Class: ClassDefault, Form: Signed}},
		{"XMLDefault.cnf.xml.enc.sgn", File{}},
		{"a/SEP001122334455.cnf.xml", File{}},
		{"RingList.xml", File{Class: ClassStatic, Path: "RingList.xml"}},
		{"RingList.xml.sgn", File{Class: ClassStatic, Form: Signed, Path: "RingList.xml"}},
		{"New_Zealand/g3-tones.xml.sgn", File{Class: ClassStatic, Form: Signed, Path: "New_Zealand/g3-tones.xml"}},
		{"x.enc.sgn", File{Class: ClassStatic, Form: Signed, Path: "x.enc"}},
		{"jabber-config.xml", File{Class: ClassStatic, Path: "jabber-config.xml"}},
		{"", File{}}, {"/", File{}}, {"//a", File{}}, {"a//b", File{}}, {"a/", File{}},
		{"../etc/passwd", File{}}, {"a/../../etc/passwd", File{}}, {"./a", File{}}, {"..", File{}}, {".ssh/id", File{}},
		{`..\..\boot.ini`, File{}}, {`C:\boot.ini`, File{}}, {"a%2e%2e/b", File{}}, {"a\x00b", File{}}, {"a\nb", File{}}, {"caf\xc3\xa9", File{}},
		{"ConfigFileCacheList.txt", File{}}, {"configfilecachelist.TXT.sgn", File{}}, {"x/ConfigFileCacheList.txt", File{}},
		{strings.Repeat("n", 256), File{}}, {"a/b/c/d/e/f/g/h/i", File{}},
	} {
		if got := Resolve(c.name); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func FuzzResolve(f *testing.F) {
	for _, s := range []string{"CTLCAPF7F000001.tlv", "a/../b", "SEP001122334455.cnf.xml.enc.sgn", "/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := Resolve(name)
		if p := got.Path; p != "" && (path.Clean(p) != p || path.IsAbs(p) || strings.HasPrefix(p, "..")) {
			t.Fatalf("%q leads to %q", name, p)
		}
		if (got.Class == ClassStatic) != (got.Path != "") {
			t.Fatalf("%q: %+v", name, got)
		}
	})
}
