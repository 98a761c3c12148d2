package tvs

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// vector reads the hex of a file's lines that begin with a word ("" for lines without one), put together.
func vector(t testing.TB, file, word string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" || (len(f) == 1) != (word == "") || len(f) > 1 && f[0] != word {
			continue
		}
		part, err := hex.DecodeString(f[len(f)-1])
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, part...)
	}
	if len(out) == 0 {
		t.Fatalf("%s has nothing under %q", file, word)
	}
	return out
}

// queryResponse is the answer of the trace; the certificate's bytes beyond what was printed are zero.
func queryResponse(t testing.TB) []byte {
	const certificate = 1451
	head, tail := vector(t, "tvs-query-res.hex", "head"), vector(t, "tvs-query-res.hex", "tail")
	at := bytes.Index(head, []byte{byte(TagCertificate), certificate >> 8, certificate & 0xff})
	if at < 0 {
		t.Fatal("the vector has no certificate")
	}
	missing := at + elementHead + certificate - len(head)
	return append(append(head, make([]byte, missing)...), tail...)
}

func vectors(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"query request":       vector(t, "tvs-query-req.hex", ""),
		"query response":      queryResponse(t),
		"verify request CCM":  vector(t, "tvs-verify-CCM.log", "C>S"),
		"verify request CAPF": vector(t, "tvs-verify-CAPF.log", "C>S"),
		"verify found":        vector(t, "tvs-verify-CCM.log", "S>C"),
		"verify not found":    vector(t, "tvs-verify-CAPF.log", "S>C"),
	}
}

// TestVectorsRoundTrip: what others wrote is read and written again, byte for byte.
func TestVectorsRoundTrip(t *testing.T) {
	for name, b := range vectors(t) {
		m, err := Parse(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := m.Append(nil)
		if err != nil || !bytes.Equal(b, again) {
			t.Errorf("%s: %v\n%x\n%x", name, err, b, again)
		}
		for _, r := range []io.Reader{bytes.NewReader(b), iotest.OneByteReader(bytes.NewReader(b))} {
			if read, err := Read(r, 0); err != nil || !cmp.Equal(m, read) {
				t.Errorf("%s from a stream: %v %s", name, err, cmp.Diff(m, read))
			}
		}
	}
}

// TestVectorsMeaning: the values that the trace and the peer's own output show, and our encoder makes the same bytes.
func TestVectorsMeaning(t *testing.T) {
	v := vectors(t)
	serial, _ := hex.DecodeString("24000000179479b8f124ac3f3b000000000017")
	query := Request{Session: 0x3e9, Device: "CP-8861-SEPB000B4BA0AEE", DeviceType: DeviceType, Issuer: "CN=stormin-WIN2012-CA", Serial: serial,
		Subject: "CN=ucm11pub.stormin.local;OU=IST;O=Stormin;L=Brisbane;ST=QLD;C=AU"}
	checkRequest(t, v["query request"], query)
	for _, name := range []string{"CCM", "CAPF"} {
		b := v["verify request "+name]
		r := checkRequest(t, b, Request{Session: 1, Device: "CP-8861-SEPB000B4BA0AEE", DeviceType: DeviceType, Certificate: b[headerSize+elementHead+24+elementHead:]})
		c, err := x509.ParseCertificate(r.Certificate)
		if err != nil || c.Subject.CommonName != name {
			t.Errorf("%s: %v %v", name, c, err)
		}
	}
	checkResponse(t, v["verify found"], Response{Session: 1, Roles: []byte{1, 3}, TTL: 3600})
	checkResponse(t, v["verify not found"], Response{Session: 1, Status: NotFound})
	found := queryResponse(t)
	found[3] = 0 // our encoder leaves the reserved byte alone
	const certificate = headerSize + 4 + elementHead
	checkResponse(t, found, Response{Query: true, Session: 0x3e9, Certificate: found[certificate : certificate+1451], Roles: []byte{0, 3}, TTL: 86400})
}

func checkRequest(t *testing.T, b []byte, want Request) Request {
	t.Helper()
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Request()
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v %s", err, cmp.Diff(want, got))
	}
	if made, err := want.Message().Append(nil); err != nil || !bytes.Equal(made, b) {
		t.Errorf("made otherwise: %v\n%x\n%x", err, made, b)
	}
	if _, err := m.Response(); err == nil {
		t.Error("a request was read as a response")
	}
	return got
}

func checkResponse(t *testing.T, b []byte, want Response) {
	t.Helper()
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Response()
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v %s", err, cmp.Diff(want, got))
	}
	if made, err := want.Message().Append(nil); err != nil || !bytes.Equal(made, b) {
		t.Errorf("made otherwise: %v\n%x\n%x", err, made, b)
	}
	if _, err := m.Request(); err == nil {
		t.Error("a response was read as a request")
	}
}

// TestAnyOrderAndEitherTag: elements in any order mean the same, and so do 4 and 5 when they are exchanged.
func TestAnyOrderAndEitherTag(t *testing.T) {
	m, err := Parse(vector(t, "tvs-query-req.hex", ""))
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.Request()
	if err != nil {
		t.Fatal(err)
	}
	permutations(m.Elements, func(elements []Element) {
		for _, exchange := range []bool{false, true} {
			x := Message{Command: m.Command, Session: m.Session, Reserved: 0xf7}
			for _, e := range elements {
				if exchange && (e.Tag == TagIssuer || e.Tag == TagSerial) {
					e.Tag = TagIssuer + TagSerial - e.Tag
				}
				x.Elements = append(x.Elements, e)
			}
			x.Elements = append(x.Elements, Element{99, []byte("of a later version")})
			b, err := x.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			read, err := Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := read.Request(); err != nil || !cmp.Equal(got, want) {
				t.Errorf("%v: %v %s", read, err, cmp.Diff(want, got))
			}
			if again, _ := read.Append(nil); !bytes.Equal(again, b) {
				t.Errorf("written otherwise: %x, %x", again, b)
			}
		}
	})
}

// permutations calls f with every order of the list.
func permutations(list []Element, f func([]Element)) {
	var walk func(done, rest []Element)
	walk = func(done, rest []Element) {
		if len(rest) == 0 {
			f(done)
		}
		for i := range rest {
			others := append(append([]Element{}, rest[:i]...), rest[i+1:]...)
			walk(append(append([]Element{}, done...), rest[i]), others)
		}
	}
	walk(nil, list)
}

// TestRefused: what is wrong, and where.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, hex string
		offset    int
		word      string
	}{
		{"nothing", "", 0, "a header has 10 bytes"},
		{"half a header", "5701030000", 5, "there are 5"},
		{"another protocol", "16030100fa0000000000", 0, "0x16"},
		{"a later version", "57020300000003e90000", 1, "version 2"},
		{"longer than said", "57010300000003e90000ff", 8, "there are 1"},
		{"shorter than said", "57010300000003e9000400", 8, "there are 1"},
		{"an element's head cut", "57010300000003e900020100", 10, "begins with 3 bytes"},
		{"an element past the end", "57010300000003e900040100ff41", 11, "says 255 bytes"},
		{"no request", "57010900000003e90000", 2, "command 9 is no request"},
		{"verify without certificate", "57010100000003e90000", 10, "without a certificate"},
		{"verify with an empty one", "57010100000003e90003020000", 10, "without a certificate"},
		{"two certificates", "57010100000003e9000802000130" + "02000131", 14, "a second certificate"},
		{"query without names", "57010300000003e90000", 10, "without issuer and serial"},
		{"query with two serials", "57010300000003e90008" + "04000131" + "05000132", 10, "neither element 4 nor 5 is a distinguished name"},
		{"query with a hidden NUL", "57010300000003e9000d" + "040006434e00 3d7800" + "05000132", 10, "neither"},
		{"an empty serial", "57010300000003e9000b" + "040005434e3d7800" + "050000", 18, "a serial number has 1 to 64 bytes"},
		{"a device name with a path", "57010100000003e90008" + "010005012e2e2f20", 17, "printable ASCII"},
		{"a device name without a name", "57010100000003e90004" + "01000101", 10, "one byte of type"},
		{"a subject that is none", "57010300000003e90006" + "0300036e6f00", 10, "no distinguished name"},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		m, err := Parse(b)
		if err == nil {
			_, err = m.Request()
		}
		var p *ParseError
		if !errors.As(err, &p) || p.Offset != c.offset || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v, want an error at %d with %q", c.name, err, c.offset, c.word)
		}
	}
}

// TestAmbiguousNames: when both elements could be names, the tags decide as the trace is read.
func TestAmbiguousNames(t *testing.T) {
	m := Message{Command: QueryRequest, Elements: []Element{{TagSerial, []byte("B=serial")}, {TagIssuer, []byte("CN=a\x00")}}}
	r, err := m.Request()
	if err != nil || r.Issuer != "CN=a" || string(r.Serial) != "B=serial" {
		t.Errorf("%+v %v", r, err)
	}
}

// TestBounds: neither side of the codec goes beyond its limits.
func TestBounds(t *testing.T) {
	many := make([]Element, MaxElements+1)
	if _, err := (Message{Elements: many}).Append(nil); err == nil {
		t.Error("too many elements were written")
	}
	if _, err := (Message{Elements: []Element{{2, make([]byte, MaxBody)}}}).Append(nil); err == nil {
		t.Error("a message longer than its length can say was written")
	}
	if _, err := (Message{Elements: []Element{{2, make([]byte, 1<<20)}}}).Append(nil); err == nil {
		t.Error("an element longer than its length can say was written")
	}
	full := Message{Elements: []Element{{2, make([]byte, MaxBody-elementHead)}}}
	b, err := full.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(b); err != nil {
		t.Error(err)
	}
	var p *ParseError
	if _, err := Read(bytes.NewReader(b), 1000); !errors.As(err, &p) || p.Offset != 8 {
		t.Errorf("a long message: %v", err)
	}
	if _, err := Read(bytes.NewReader(b[:100]), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a message cut short: %v", err)
	}
	if _, err := Read(bytes.NewReader(b[:headerSize]), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a message without its body: %v", err)
	}
	if _, err := Read(bytes.NewReader(nil), 0); err != io.EOF {
		t.Errorf("the end of a stream: %v", err)
	}
	crowd := append([]byte{Magic, Version, 1, 0, 0, 0, 0, 0, 0, 195}, make([]byte, 195)...)
	if _, err := Parse(crowd); !errors.As(err, &p) || p.Offset != headerSize+3*MaxElements {
		t.Errorf("65 elements: %v", err)
	}
}

// TestResponsesRefused: the other side's mistakes.
func TestResponsesRefused(t *testing.T) {
	for _, elements := range [][]Element{
		nil, {{TagStatus, nil}}, {{TagStatus, []byte{0, 0}}}, {{TagStatus, []byte{0}}, {TagStatus, []byte{1}}},
		{{TagStatus, []byte{0}}, {TagTTL, []byte{1}}}, {{TagStatus, []byte{0}}, {TagRoles, nil}, {TagRoles, nil}},
	} {
		if r, err := (Message{Command: VerifyResponse, Elements: elements}).Response(); err == nil {
			t.Errorf("%v was read as %+v", elements, r)
		}
	}
}

// FuzzParse: any input gives a message that is written back as it was, or an error inside the input.
func FuzzParse(f *testing.F) {
	for _, b := range vectors(f) {
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			var p *ParseError
			if !errors.As(err, &p) || p.Offset < 0 || p.Offset > len(b) {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := m.Append(nil)
		if err != nil || !bytes.Equal(b, again) {
			t.Fatalf("%v\n%x\n%x", err, b, again)
		}
		if r, err := m.Request(); err == nil {
			sent, err := r.Message().Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			x, err := Parse(sent)
			if err != nil {
				t.Fatal(err)
			}
			if y, err := x.Request(); err != nil || !cmp.Equal(r, y) {
				t.Fatalf("%v %s", err, cmp.Diff(r, y))
			}
		}
		_, _ = m.Response()
	})
}
