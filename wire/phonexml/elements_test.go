package phonexml

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryElementHasAnAnswer compares the table with the public list of elements, read as what it is: a sample file between
// explanations, with two closing tags spelt as opening ones.
func TestEveryElementHasAnAnswer(t *testing.T) {
	root := os.Getenv("LOCKTONE_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	b, err := os.ReadFile(filepath.Join(root, "spec", "sep-cnf-xml-elements.txt"))
	if err != nil {
		t.Skipf("needs the list of elements (set LOCKTONE_SHARED): %v", err)
	}
	listed := map[string]bool{}
	var stack []string
	for _, m := range regexp.MustCompile(`<(/?)([A-Za-z][A-Za-z0-9]*)((?: [a-zA-Z]+="[^"]*")*)>`).FindAllStringSubmatch(string(b), -1) {
		name := m[2]
		if m[1] == "/" || len(stack) > 0 && stack[len(stack)-1] == name {
			if at := slices.Index(stack, name); at >= 0 {
				stack = stack[:at]
			}
			continue
		}
		stack = append(stack, name)
		path := strings.Join(stack, "/")
		listed[path] = true
		for _, a := range regexp.MustCompile(` ([a-zA-Z]+)=`).FindAllStringSubmatch(m[3], -1) {
			listed[path+"@"+a[1]] = true
		}
	}
	if len(listed) < 300 {
		t.Fatalf("the list has %d elements only: it was not read right", len(listed))
	}
	for path := range listed {
		if !slices.ContainsFunc(elements, func(e Element) bool { return e.Path == path && !e.Own }) {
			t.Errorf("%s is in the list and not in the table", path)
		}
	}
	for _, e := range elements {
		if !e.Own && !listed[e.Path] {
			t.Errorf("%s is in the table and not in the list", e.Path)
		}
	}
}

// TestTable holds what the table promises of itself.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range elements {
		if seen[e.Path] {
			t.Errorf("%s stands twice", e.Path)
		}
		seen[e.Path] = true
		if parent, _ := leaf(e.Path); parent != "" && !seen[parent] {
			t.Errorf("%s comes before its parent", e.Path)
		}
		if e.Note == "" && e.Source != Fixed {
			t.Errorf("%s is %s, and nobody says why", e.Path, e.Source)
		}
		if e.Value != "" && e.Source != Fixed {
			t.Errorf("%s is %s and has a value", e.Path, e.Source)
		}
		if as, ok := strings.CutPrefix(e.Note, "as "); ok {
			word := strings.FieldsFunc(as, func(r rune) bool { return r == ' ' || r == ';' || r == ':' })[0]
			if !slices.ContainsFunc(elements, func(x Element) bool { _, n := leaf(x.Path); return n == word && !strings.HasPrefix(x.Note, "as ") }) {
				t.Errorf("%s: %q leads nowhere", e.Path, e.Note)
			}
		}
	}
	for _, secret := range []string{"authPassword", "phonePassword", "adminPassword", "sshPassword"} {
		for _, e := range elements {
			if strings.HasSuffix(e.Path, "/"+secret) && e.Source != NotOffered {
				t.Errorf("%s is written", e.Path)
			}
		}
	}
}

// paths lists every element and attribute of a file with its text.
func paths(n *node, at string, into map[string]string) {
	path := strings.TrimPrefix(at+"/"+n.name, "/")
	into[path] = n.text
	for _, a := range n.attrs {
		into[path+"@"+a.Name.Local] = a.Value
	}
	for _, k := range n.kids {
		paths(k, path, into)
	}
}

// sample has a value in every field.
func sample(protocol string) *Device {
	d := New(protocol)
	d.Family, d.MissedCalls, d.Version, d.OwnerID = Both, "11", "00000000-0000-8000-8000-000000000000", "alice"
	d.SecurityMode, d.Transport, d.CAPFAuthMode = Encrypted, TLS, CAPFString
	d.TVS, d.CAPF = []Server{{"10.0.0.1", 2445}, {"10.0.0.2", 2445}}, []Server{{"10.0.0.1", 3804}}
	d.CertHash, d.EncryptedConfig = CertHash([]byte("der")), true
	d.Pool.TimeZone, d.Pool.GroupName = "GMT Standard/Daylight Time", "default"
	if protocol == SCCPProtocol {
		d.Pool.Members = []Member{{Host: "10.0.0.1", SCCPPort: SCCPPort, SecureSCCPPort: SecureSCCPPort}}
		d.Lines = []Line{{Button: 1, Feature: FeatureLine, Label: "1001", Name: "1001", DisplayName: "Alice"}}
		return d
	}
	d.Pool.Members = []Member{{Host: "10.0.0.1", SIPPort: 5060, SecureSIPPort: 5061}}
	d.SIP.Stack = d.SIP.Stack.With("timerInviteExpires", "180").With("timerRegisterExpires", "3600").With("timerT1", "500").With("timerT2", "4000")
	d.SIP.PhoneLabel, d.SIP.VoIPControlPort = "Alice", 5061
	l := NewLine(1)
	l.Label, l.Port, l.Name, l.DisplayName, l.CallWaiting, l.AuthName, l.Contact, l.Shared, l.MaxCalls, l.BusyTrigger = "1001", 5061, "1001", "Alice <&> \"A\"", "1", "alice", "1001", true, 4, 2
	l.Settings = l.Settings.With("messageWaitingLampPolicy", "3")
	d.SIP.Lines = []Line{l, NewButton(2, FeatureBusyLamp, "Bob", "1002", true)}
	return d
}

// TestTableIsWhatIsWritten: what a full file holds is what the table marks as configured or fixed, neither more nor less, and the
// fixed values are those of the table.
func TestTableIsWhatIsWritten(t *testing.T) {
	written := map[string]string{}
	for _, protocol := range []string{SIPProtocol, SCCPProtocol} {
		b, err := Marshal(sample(protocol))
		if err != nil {
			t.Fatal(err)
		}
		n, err := tree(b)
		if err != nil {
			t.Fatal(err)
		}
		paths(n, "", written)
	}
	for _, e := range elements {
		text, is := written[e.Path]
		switch {
		case is && e.Source == NotOffered:
			t.Errorf("%s is written, and the table says it is not offered", e.Path)
		case !is && e.Source != NotOffered:
			t.Errorf("%s is not written, and the table says it is %s", e.Path, e.Source)
		case e.Source == Fixed && text != e.Value:
			t.Errorf("%s is %q, and the table says %q", e.Path, text, e.Value)
		}
		delete(written, e.Path)
	}
	for path := range written {
		t.Errorf("%s is written and not in the table", path)
	}
}

func TestDocumentHasTheTable(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "wire", "phonexml.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := InsertTable(string(b))
	if err != nil {
		t.Fatal(err)
	}
	if want != string(b) {
		t.Error("docs/wire/phonexml.md has another table than the package: go generate ./wire/phonexml")
	}
	if _, err := InsertTable("no place"); err == nil {
		t.Error("a document without a place for the table was accepted")
	}
}
