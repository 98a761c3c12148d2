package capf

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// A line of a golden dialogue: one or more writes that are one message.
type frame struct {
	server bool
	bytes  []byte
}

// dialogue reads a log: a server's head and body, written apart, become one frame.
func dialogue(t testing.TB, name string) []frame {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	var out []frame
	for line := range strings.Lines(string(text)) {
		side, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := len(out) - 1; n >= 0 && out[n].server == (side == "S>C") && !whole(out[n].bytes) {
			out[n].bytes = append(out[n].bytes, b...)
			continue
		}
		out = append(out, frame{side == "S>C", b})
	}
	return out
}

func whole(b []byte) bool {
	return len(b) >= headLen && len(b) == headLen+int(binary.BigEndian.Uint16(b[6:]))
}

func hexFile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

// vectors are all messages of testdata by name.
func vectors(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	logs, _ := filepath.Glob("testdata/golden/capf-*.log")
	for _, path := range logs {
		for i, f := range dialogue(t, filepath.Base(path)) {
			out[filepath.Base(path)+":"+string(rune('a'+i))] = f.bytes
		}
	}
	frames, _ := filepath.Glob("testdata/jtapi/capf-ok-0*.hex")
	for _, path := range frames {
		out[filepath.Base(path)] = hexFile(t, "jtapi/"+filepath.Base(path))
	}
	shapes, err := os.ReadFile("testdata/capf-cucm-shape.hex")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(shapes)) {
		if name, digits, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(line, "#") {
			if out["shape "+name], err = hex.DecodeString(digits); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(logs) != 9 || len(frames) != 7 || len(out) < 50 {
		t.Fatalf("%d logs, %d frames, %d messages: testdata is not whole", len(logs), len(frames), len(out))
	}
	return out
}

// typed decodes a message with the parser of its command.
func typed(m Message) (any, error) {
	switch m.Command {
	case CommandAuthRequest:
		return ParseAuthRequest(m)
	case CommandAuthResponse:
		return ParseAuthResponse(m)
	case CommandKeygenRequest:
		return ParseKeygenRequest(m)
	case CommandKeygenResponse:
		return ParseKeygenResponse(m)
	case CommandStoreRequest:
		return ParseStoreRequest(m)
	case CommandStoreResponse:
		return ParseStoreResponse(m)
	case CommandFetchResponse:
		return ParseFetchResponse(m)
	case CommandDeleteResponse:
		return ParseDeleteResponse(m)
	case CommandEndSession:
		return ParseEndSession(m)
	case CommandRetryLater:
		return ParseRetryLater(m)
	}
	return nil, nil
}

func TestVectorsRoundTrip(t *testing.T) {
	for name, b := range vectors(t) {
		m, err := Decode(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := m.Append(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: encodes to %x, %v", name, again, err)
		}
		if _, err := typed(m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		read, err := Read(iotest.OneByteReader(bytes.NewReader(b)), 0)
		if err != nil || read.String() != m.String() {
			t.Errorf("%s: Read: %v, %v", name, read, err)
		}
	}
}

// TestFlippedBit: any flipped bit of any vector is an error or another message, and every cut is an error.
func TestFlippedBit(t *testing.T) {
	for name, b := range vectors(t) {
		for bit := range len(b) * 8 {
			c := bytes.Clone(b)
			c[bit/8] ^= 1 << (bit % 8)
			m, err := Decode(c)
			if err != nil {
				var p *ParseError
				if !errors.As(err, &p) || p.Offset < 0 || p.Offset > len(c) {
					t.Fatalf("%s bit %d: %v names no place in the message", name, bit, err)
				}
				continue
			}
			if again, err := m.Append(nil); err != nil || bytes.Equal(again, b) || !bytes.Equal(again, c) {
				t.Fatalf("%s bit %d: decodes to the same message", name, bit)
			}
		}
		for cut := range len(b) {
			if _, err := Decode(b[:cut]); err == nil {
				t.Fatalf("%s cut to %d octets decodes", name, cut)
			}
		}
		if _, err := Decode(append(bytes.Clone(b), 0)); err == nil {
			t.Fatalf("%s with an octet behind it decodes", name)
		}
	}
}

func TestDecodeErrorsSayWhere(t *testing.T) {
	many := Message{Command: CommandStatusRequest, Elements: make([]Element, MaxElements)}
	full, err := many.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	over := append(bytes.Clone(full), 1, 0, 0)
	binary.BigEndian.PutUint16(over[6:], uint16(len(over)-headLen))
	for _, c := range []struct {
		name, hex string
		offset    int
		words     string
	}{
		{"empty", "", 0, "head"},
		{"short head", "5501000000", 5, "head of 8"},
		{"not CAPF", "1603010200010001", 0, "0x16"},
		{"body shorter than said", "5501000000010008070001", 11, "3 of 8"},
		{"octets behind", "5501000000010000ff", 8, "follow"},
		{"element head cut", "55010000000100020700", 8, "head of 3"},
		{"element past the end", "550100000001000407000203", 9, "VERSION claims 2"},
		{"second element past the end", "550100000001000807000103 08ffff00", 13, "AUTH_TYPE claims 65535"},
		{"too many elements", hex.EncodeToString(over), len(over) - 3, "more than 64"},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Decode(b)
		var p *ParseError
		if !errors.As(err, &p) || p.Offset != c.offset || !strings.Contains(p.What, c.words) {
			t.Errorf("%s: %v; want offset %d and %q", c.name, err, c.offset, c.words)
		}
	}
}

func TestReadIsBounded(t *testing.T) {
	big := Message{Command: CommandKeygenResponse, Elements: []Element{{TagPublicKey, make([]byte, 2000)}}}
	b, err := big.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(b)
	if _, err := Read(r, 1000); err == nil || r.Len() != len(b)-headLen {
		t.Errorf("a body over the limit: %v, %d octets left; want an error before the body is read", err, r.Len())
	}
	if _, err := Read(bytes.NewReader(nil), 0); err != io.EOF {
		t.Errorf("end between messages: %v, want io.EOF", err)
	}
	for _, cut := range []int{1, 7, 8, 100} {
		if _, err := Read(bytes.NewReader(b[:cut]), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("end after %d octets: %v, want io.ErrUnexpectedEOF", cut, err)
		}
	}
	two := bytes.NewReader(append(bytes.Clone(b), b...))
	if _, err := Read(two, 0); err != nil || two.Len() != len(b) {
		t.Errorf("read beyond the message: %v, %d left of %d", err, two.Len(), len(b))
	}
}

// countWrites counts the pieces.
type countWrites struct {
	n int
	b bytes.Buffer
}

func (w *countWrites) Write(p []byte) (int, error) { w.n++; return w.b.Write(p) }

func TestWriteIsOnePiece(t *testing.T) {
	var w countWrites
	m := EndSession{Reason: ReasonOK}.Message(7)
	if err := Write(&w, m); err != nil || w.n != 1 || !whole(w.b.Bytes()) {
		t.Errorf("%v, %d writes, % x", err, w.n, w.b.Bytes())
	}
	m.Elements[0].Value = make([]byte, 70000)
	if err := Write(&w, m); !errors.Is(err, ErrTooLong) || w.n != 1 {
		t.Errorf("70000 octets: %v after %d writes, want ErrTooLong and nothing written", err, w.n)
	}
	if _, err := (Message{Elements: []Element{{1, make([]byte, 40000)}, {2, make([]byte, 40000)}}}).Append(nil); !errors.Is(err, ErrTooLong) {
		t.Errorf("a body of 80 KB: %v", err)
	}
}

func TestTraceHidesThePassword(t *testing.T) {
	m := AuthResponse{Reason: ReasonOK, Version: 3, Device: "SEP001122334455", Password: NewSecret("1234567890")}.Message(1)
	b, _ := m.Redacted().Append(nil)
	if strings.Contains(m.String(), "1234567890") || bytes.Contains(b, []byte("1234567890")) {
		t.Error("the authorization string shows")
	}
	if !strings.Contains(m.String(), `DEVICE_NAME="SEP001122334455"`) {
		t.Errorf("%v does not say who", m)
	}
	if v, _ := m.Find(TagPassword); string(v) != "1234567890\x00" {
		t.Errorf("Redacted changed the message itself: %q", v)
	}
}

func FuzzDecode(f *testing.F) {
	for _, b := range vectors(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		again, err := m.Append(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes to %x, %v", b, again, err)
		}
		if v, err := typed(m); err == nil && v != nil {
			if e, ok := v.(interface{ Message(uint32) Message }); ok {
				if _, err := typed(e.Message(m.Session)); err != nil {
					t.Fatalf("%v decodes to %+v, which does not decode again: %v", m, v, err)
				}
			}
		}
		_ = m.String()
		_ = m.Redacted()
	})
}
