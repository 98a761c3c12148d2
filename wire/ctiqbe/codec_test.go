package ctiqbe

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// fill puts a value of its own into every field, so that two fields changing places would show.
func fill(v reflect.Value, n *int) {
	switch v.Kind() {
	case reflect.Uint32:
		*n++
		v.SetUint(uint64(0x01000000 + *n))
	case reflect.Bool:
		*n++
		v.SetBool(true)
	case reflect.String:
		*n++
		v.SetString(fmt.Sprintf("text %d äß😀", *n))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range 3 {
			if v.Type().Elem().Kind() == reflect.Uint8 {
				*n++
				v.Index(i).SetUint(uint64(byte(*n)))
				continue
			}
			fill(v.Index(i), n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("no filling for " + v.Kind().String())
	}
}

func filled(p PDU) Message {
	m, ok := New(p)
	if !ok {
		panic(p)
	}
	n := int(p)
	fill(reflect.ValueOf(m).Elem(), &n)
	return m
}

// TestEveryMessage: all 300, full and empty, as server and as client write them.
func TestEveryMessage(t *testing.T) {
	if len(All()) != 300 {
		t.Errorf("%d PDUs, the field has 300", len(All()))
	}
	if len(Results()) != 282 {
		t.Errorf("%d error values, the field has 282 (and 284 names)", len(Results()))
	}
	for _, p := range All() {
		empty, _ := New(p)
		for _, m := range []Message{empty, filled(p)} {
			for name, write := range map[string]func([]byte, Version, Message) []byte{"server": Append, "client": AppendClient} {
				b := write([]byte("before"), Newest, m)
				if string(b[:6]) != "before" {
					t.Fatalf("%s %s: Append wrote over what was there", p, name)
				}
				got, h, err := Parse(b[6:])
				if err != nil {
					t.Errorf("%s as %s: %v", p, name, err)
					continue
				}
				if diff := cmp.Diff(m, got); diff != "" || h.PDU != p || h.Version != Newest {
					t.Errorf("%s as %s: %+v\n%s", p, name, h, diff)
				}
			}
		}
	}
}

// TestGolden: the frames that docs/wire/ctiqbe.md prints.
func TestGolden(t *testing.T) {
	for _, tt := range []struct {
		m      Message
		client bool
		want   string
	}{
		{&Heartbeat{}, false, "1800000000000000ddddffff0000110078000000200000000000000000000000"},
		{&FailureResponse{SequenceNumber: 0x1001, Result: 0x1002, Description: "S1"}, false,
			"2b00000000000000ddddffff0000110000000000200000001000000003000000011000000210000030000000" + "03000000533100"},
		{&CallDirectTransferRequest{SequenceNumber: 14, LineCallManagerID: 1, LineID: 0x90, CallLegCallManagerID: 1, CallLegID: 701,
			OtherCallHandle: ClientCallHandle{1, 702}}, true,
			"3400000000000000ddddffff00001100ac000000200000001c000000000000000e000000010000009000000001000000bd02000001000000be020000"},
	} {
		write := Append
		if tt.client {
			write = AppendClient
		}
		if got := hex.EncodeToString(write(nil, Newest, tt.m)); got != tt.want {
			t.Errorf("%s:\n%s\n%s", tt.m.PDU(), got, tt.want)
		}
	}
}

// TestTracedLength: the vendor's published trace of a device's answer says 0xa0 bytes.
func TestTracedLength(t *testing.T) {
	m := &DeviceRegisterDeviceResponse{DeviceInfo: DeviceInfo{Name: "SEP001794625DE5", Type: 7, DevTypeName: "Cisco 7960"}}
	if n := len(Append(nil, Newest, m)); n != 0xa0 {
		t.Errorf("0x%x bytes", n)
	}
}

func TestVersions(t *testing.T) {
	m := filled(PDUCallAttributeInfoEvent).(*CallAttributeInfoEvent)
	b := Append(nil, Version11, m)
	got, h, err := Parse(b)
	if err != nil || h.Version != Version11 {
		t.Fatal(h, err)
	}
	want := *m
	want.MultiForkingRecorderInfo = nil // came with 12.5
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
	if !Version11.Known() || !Version12.Known() || Version(0x00150000).Known() || Version(0).Known() {
		t.Error("known versions")
	}
}

// TestOtherLengths: a fixed area may end after any field, or go on behind the last one.
func TestOtherLengths(t *testing.T) {
	full := filled(PDUProviderOpenRequest).(*ProviderOpenRequest)
	b := AppendClient(nil, Newest, full)
	fixed := int(le.Uint32(b[24:]))
	for n := 0; n <= fixed; n++ {
		cut := bytes.Clone(b)
		le.PutUint32(cut[24:], uint32(n))
		m, _, err := Parse(cut)
		if err != nil {
			t.Fatalf("fixed area of %d bytes: %v", n, err)
		}
		got := m.(*ProviderOpenRequest)
		if n >= 4 && got.SequenceNumber != full.SequenceNumber || n >= 12 && got.Provider != full.Provider || n < 12 && got.Provider != "" {
			t.Fatalf("fixed area of %d bytes: %+v", n, got)
		}
	}
	long := Append(nil, Newest, &ProviderCloseResponse{SequenceNumber: 7, Result: ErrTimeout})
	long = append(long, 1, 2, 3, 4, 5, 6, 7)
	le.PutUint32(long, uint32(len(long)-8))
	le.PutUint32(long[24:], 15)
	m, _, err := Parse(long)
	if err != nil || !cmp.Equal(m, Message(&ProviderCloseResponse{SequenceNumber: 7, Result: ErrTimeout})) {
		t.Errorf("a longer fixed area: %+v, %v", m, err)
	}
}

func TestUnknown(t *testing.T) {
	b := Append(nil, Newest, &ProviderCloseRequest{SequenceNumber: 77})
	le.PutUint32(b[16:], 9999)
	m, h, err := Parse(b)
	u, ok := m.(*Unknown)
	if err != nil || !ok || u.Number != 9999 || u.SequenceNumber != 77 || h.PDU != 9999 || PDU(9999).String() != "PDU(9999)" {
		t.Fatalf("%+v %v", m, err)
	}
	if seq, ok := Sequence(m); !ok || seq != 77 {
		t.Error("no sequence number to answer it by")
	}
	if got := Append(nil, Newest, u); !bytes.Equal(got, b) {
		t.Errorf("%x\n%x", got, b)
	}
}

// change is a frame with one word written over.
func change(b []byte, at int, v uint32) []byte {
	b = bytes.Clone(b)
	le.PutUint32(b[at:], v)
	return b
}

func TestLies(t *testing.T) {
	failure := Append(nil, Newest, &FailureResponse{Description: "text"}) // reference of description at 40
	open := Append(nil, Newest, &ProviderOpenRequest{Login: "alice"})     // unicode at 52, filter at 76
	join := Append(nil, Newest, &CallJoinRequest{OtherCalls: []ClientCallHandle{{1, 2}}})
	digits := Append(nil, Newest, &CallPlayDTMFRequest{DTMFDigits: []KeypadButton{1, 2}})
	for _, tt := range []struct {
		what   string
		frame  []byte
		offset int
	}{
		{"nothing", nil, 0},
		{"half a head", failure[:20], 20},
		{"a head of something else", change(failure, 8, 0x11223344), 8},
		{"a length too great", change(failure, 0, 1000), 0},
		{"a length too small", change(failure, 0, 24), 0},
		{"a length that wraps", change(failure, 0, 0xFFFFFFFF), 0},
		{"a fixed area before its place", change(failure, 20, 8), 20},
		{"a fixed area behind the end", change(failure, 20, 0x7FFFFFFF), 20},
		{"a fixed area that wraps", change(failure, 24, 0xFFFFFFFF), 20},
		{"a variable area behind the end", change(failure, 28, 0xFFFFFFF0), 28},
		{"a string in the head", change(failure, 40, 4), 40},
		{"a string behind the end", change(failure, 40, uint32(len(failure))), 40},
		{"a string that wraps", change(failure, 40, 0xFFFFFFFE), 40},
		{"a string too long", change(failure, 44, 100), 40},
		{"a string of 4 GB", change(failure, 44, 0xFFFFFFFF), 40},
		{"unicode of 4 GB", change(open, 60, 0xFFFFFFFF), 52},
		{"unicode of wide elements", change(open, 64, 4), 64},
		{"a structure behind the end", change(open, 76, 0xFFFF), 76},
		{"a structure with more fixed than all", change(open, 84, 500), 84},
		{"an array of 4 milliard elements", change(join, 60, 0xFFFFFFFF), 60},
		{"an array of elements of no size", change(join, 64, 0), 64},
		{"an array of elements of 4 GB", change(join, 64, 0xFFFFFFFF), 60},
		{"an array behind the end", change(join, 52, 0xFFFF), 52},
		{"numbers of a byte", change(digits, 64, 1), 64},
	} {
		m, _, err := Parse(tt.frame)
		var e *Error
		if !errors.As(err, &e) || m != nil {
			t.Errorf("%s: %+v, %v", tt.what, m, err)
		} else if e.Offset != tt.offset || e.Reason == "" {
			t.Errorf("%s: %v, not at %d", tt.what, err, tt.offset)
		}
	}
}

// inflating is a frame of about n bytes whose references all mean the same bytes.
func inflating(n int) []byte {
	b := Append(nil, Newest, &DeviceLineInfoEvent{LineInfo: make([]LineInfo, n/132)})
	start := int(le.Uint32(b[32+fixedOf(PDUDeviceLineInfoEvent)-40:]))
	for at := start; at+132 <= len(b); at += 132 {
		le.PutUint32(b[at:], 32)
		le.PutUint32(b[at+4:], uint32(len(b)-32))
	}
	return b
}

func fixedOf(p PDU) int { return int(p.shape().fixed) }

// TestNoInflation: what Parse allocates is bounded by the length of the frame, even where every string refers to all of it
// and where the elements of an array are told to be a byte long.
func TestNoInflation(t *testing.T) {
	short := Append(nil, Newest, &DeviceLineInfoEvent{LineInfo: make([]LineInfo, 1)})
	at := 32 + fixedOf(PDUDeviceLineInfoEvent) - 40
	short = append(short, make([]byte, 200_000)...)
	le.PutUint32(short, uint32(len(short)-8))
	le.PutUint32(short[at+8:], 200_000)
	le.PutUint32(short[at+12:], 1)
	for name, b := range map[string][]byte{"strings": inflating(200_000), "elements": short} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := Parse(b)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: taken", name)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 16*uint64(len(b))+1<<16 {
			t.Errorf("%s: %d bytes allocated for a frame of %d (%v)", name, got, len(b), err)
		}
	}
}

func TestReader(t *testing.T) {
	var stream []byte
	for _, p := range All() {
		stream = Append(stream, Newest, filled(p))
	}
	for name, in := range map[string]io.Reader{"whole": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream))} {
		r := NewReader(in, 0)
		for _, p := range All() {
			b, err := r.Next()
			if err != nil {
				t.Fatal(name, err)
			}
			if m, _, err := Parse(b); err != nil || m.PDU() != p {
				t.Fatal(name, p, err)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Error(name, err)
		}
	}
	beat := Append(nil, Newest, &Heartbeat{})
	for _, n := range []int{1, 11, 12, 20, 31} {
		if _, err := NewReader(bytes.NewReader(beat[:n]), 0).Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("ended after %d bytes: %v", n, err)
		}
	}
	big := Append(nil, Newest, &FailureResponse{Description: strings.Repeat("x", 1000)})
	if _, err := NewReader(bytes.NewReader(big), 500).Next(); !errors.Is(err, ErrTooBig) || !strings.Contains(err.Error(), fmt.Sprint(len(big))) {
		t.Errorf("a frame over the limit: %v", err)
	}
	if _, err := NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0).Next(); err == nil {
		t.Error("HTTP was taken")
	}
	if _, err := NewReader(bytes.NewReader(change(beat, 0, 3)), 0).Next(); err == nil {
		t.Error("a frame shorter than its head was taken")
	}
}

func TestAnswers(t *testing.T) {
	for _, p := range All() {
		a, ok := p.Answer()
		if request := strings.HasSuffix(p.String(), "Request"); ok != request || request && p.Direction() != FromClient {
			t.Errorf("%s: answer %v %v", p, a, ok)
		}
		if !ok {
			continue
		}
		if a.Direction() != FromServer || a.String() != strings.TrimSuffix(p.String(), "Request")+"Response" {
			t.Errorf("%s is answered by %s", p, a)
		}
		q, _ := New(p)
		SetSequence(q, 42)
		m, ok := Respond(q, ErrTimeout)
		if n, has := Sequence(m); !ok || !has || n != 42 {
			t.Errorf("%s: the answer's number is %d", p, n)
		}
		if r, has := ResultOf(m); !has || r != ErrTimeout {
			t.Errorf("%s: the answer's result is %v", p, r)
		}
	}
	if _, ok := Respond(&Heartbeat{}, OK); ok {
		t.Error("a heartbeat has an answer")
	}
	if _, ok := Sequence(&LineNewCallEvent{}); ok {
		t.Error("an event has a sequence number")
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{ErrConnectionOnInvalidPort.Error(), "CTIERR_CONNECTION_ON_INVALID_PORT (0x8CCC00D1)"},
		{Result(7).String(), "Result(7)"},
		{OK.String(), "OK"},
		{CallStateConnected.String(), "CONNECTED"},
		{CallState(99).String(), "CallState(99)"},
		{CauseNormalCallClearing.String(), "NORMALCALLCLEARING"},
		{CauseSIP600BusyEverywhere.String(), "CTICCMSIP600BUSYEVERYWHERE"},
		{ProviderCloseReasonDuplicateCertUsed.String(), "DUPLICATECERTUSED"},
		{DeviceTypeCTIPort.String(), "MODEL_CTI_PORT"},
		{PDULineOpenRequest.String(), "LineOpenRequest"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s, want %s", tt.got, tt.want)
		}
	}
}

// TestGenerated: the generated files and the table in the specification are what the generator makes of schema.txt.
func TestGenerated(t *testing.T) {
	dir := t.TempDir()
	spec := filepath.Join(dir, "spec.md")
	const page = "../../docs/wire/ctiqbe.md"
	was, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(spec, was, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "run", "./gen", dir, spec).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	made, _ := filepath.Glob(filepath.Join(dir, "*_gen.go"))
	here, _ := filepath.Glob("*_gen.go")
	if len(made) != len(here) || len(made) < 5 {
		t.Errorf("the generator makes %d files, here are %d", len(made), len(here))
	}
	for _, f := range append(made, spec) {
		name := filepath.Base(f)
		if f == spec {
			name = page
		}
		want, _ := os.ReadFile(f)
		if got, _ := os.ReadFile(name); !bytes.Equal(got, want) {
			t.Errorf("%s is not what schema.txt says: go generate ./wire/ctiqbe", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for i, fr := range frames(f) {
		if i%7 == 0 {
			f.Add(fr.bytes)
		}
	}
	for _, p := range All() {
		f.Add(Append(nil, Newest, filled(p)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, h, err := Parse(b)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(b) {
				t.Fatalf("%v", err)
			}
			return
		}
		for _, write := range []func([]byte, Version, Message) []byte{Append, AppendClient} {
			once := write(nil, h.Version, m)
			again, _, err := Parse(once)
			if err != nil {
				t.Fatalf("%T: what was written is not read: %v", m, err)
			}
			if twice := write(nil, h.Version, again); !bytes.Equal(once, twice) {
				t.Fatalf("%T: not stable:\n%x\n%x", m, once, twice)
			}
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add(Append(Append(nil, Newest, &Heartbeat{}), Newest, filled(PDULineNewCallEvent)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b), 1<<12)
		total := 0
		for {
			frame, err := r.Next()
			if err != nil {
				return
			}
			if total += len(frame); total > len(b) || len(frame) > 1<<12 {
				t.Fatal("more than there is")
			}
		}
	})
}

func BenchmarkAppendNewCall(b *testing.B) {
	m := filled(PDULineNewCallEvent)
	buf := Append(nil, Newest, m)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = Append(buf[:0], Newest, m)
	}
}

func BenchmarkParseNewCall(b *testing.B) {
	buf := Append(nil, Newest, filled(PDULineNewCallEvent))
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Parse(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendState(b *testing.B) {
	m := &CallStateChangedEventV2{LineCallManagerID: 1, LineID: 2, CallCallManagerID: 1, CallLegID: 9, State: CallStateConnected}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = Append(buf[:0], Newest, m)
	}
}

func BenchmarkParseState(b *testing.B) {
	buf := Append(nil, Newest, &CallStateChangedEventV2{LineCallManagerID: 1, LineID: 2, CallCallManagerID: 1, CallLegID: 9, State: CallStateConnected})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Parse(buf); err != nil {
			b.Fatal(err)
		}
	}
}
