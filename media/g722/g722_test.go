package g722

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// tone is a second of a sine.
func tone(hz, amp float64) []int16 {
	x := make([]int16, Rate)
	for i := range x {
		x[i] = int16(math.Round(amp * math.Sin(2*math.Pi*hz*float64(i)/Rate)))
	}
	return x
}

// through codes and decodes in frames of 20 ms.
func through(x []int16) []int16 {
	var e Encoder
	var d Decoder
	y := make([]int16, len(x))
	code := make([]byte, 160)
	for at := 0; at+320 <= len(x); at += 320 {
		e.Encode(code, x[at:at+320])
		d.Decode(y[at:at+320], code)
	}
	return y
}

// fit is the gain of a tone through the codec, and the ratio of tone to everything else, dB, once it has settled.
func fit(y []int16, hz, amp float64) (gain, snr float64) {
	y = y[Rate/4:]
	var re, im, energy float64
	for i, v := range y {
		w := 2 * math.Pi * hz * float64(i) / Rate
		re += float64(v) * math.Cos(w)
		im += float64(v) * math.Sin(w)
		energy += float64(v) * float64(v)
	}
	n := float64(len(y))
	power := 2 * (re*re + im*im) / (n * n)
	return 10 * math.Log10(power/(amp*amp/2)), 10 * math.Log10(power/(energy/n-power))
}

// TestTones: flat from 300 to 7,000 Hz within 1 dB but for the edge of the filters, and clear.
func TestTones(t *testing.T) {
	for _, x := range []struct{ hz, snr float64 }{
		{300, 30}, {1000, 30}, {2000, 30}, {3000, 28}, {3500, 20}, {4500, 12}, {5000, 12}, {6000, 12}, {7000, 12},
	} {
		gain, snr := fit(through(tone(x.hz, 8000)), x.hz, 8000)
		if math.Abs(gain) > 1 || snr < x.snr {
			t.Errorf("%v Hz: gain %.2f dB, signal to noise %.1f dB", x.hz, gain, snr)
		}
	}
}

// TestLevels: the quantizer adapts from whispering to shouting.
func TestLevels(t *testing.T) {
	for _, amp := range []float64{100, 1000, 10000, 30000} {
		if gain, snr := fit(through(tone(700, amp)), 700, amp); math.Abs(gain) > 1 || snr < 20 {
			t.Errorf("amplitude %v: gain %.2f dB, signal to noise %.1f dB", amp, gain, snr)
		}
	}
}

func TestSilenceStaysQuiet(t *testing.T) {
	for i, v := range through(make([]int16, Rate)) {
		if v > 20 || v < -20 {
			t.Fatalf("sample %d is %d", i, v)
		}
	}
}

// TestForgetsErrors: after 50 ms of lost packets decoder and encoder are together again within half a second.
func TestForgetsErrors(t *testing.T) {
	x := tone(700, 8000)
	var e Encoder
	var whole, broken Decoder
	code := make([]byte, len(x)/2)
	e.Encode(code, x)
	a, b := make([]int16, len(x)), make([]int16, len(x))
	whole.Decode(a, code)
	broken.Decode(b[:4000], code[:2000])
	broken.Decode(b[4800:], code[2400:])
	for i := 12800; i < len(a); i++ {
		if d := int(a[i]) - int(b[i]); d > 300 || d < -300 {
			t.Fatalf("sample %d still differs by %d", i, d)
		}
	}
}

// signal is what codecs are compared with: tones, noise, steps to full scale, silence.
func signal() []int16 {
	rnd := rand.New(rand.NewPCG(1, 2))
	x := make([]int16, 4*Rate)
	for i := range x {
		switch at := i % Rate; i / Rate {
		case 0:
			x[i] = int16(20000 * math.Sin(2*math.Pi*float64(at)*float64(at)*3900/Rate/Rate)) // a sweep to 7,800 Hz
		case 1:
			x[i] = int16(rnd.IntN(65536) - 32768)
		case 2:
			x[i] = int16(32767 * (1 - at/400%2*2)) // a square wave at full scale
		case 3:
			if at < Rate/2 {
				x[i] = int16(rnd.IntN(21) - 10)
			}
		}
	}
	return x
}

// reference runs spandsp, an independent implementation of the recommendation, through a few lines of Python.
const reference = `
import ctypes, sys
lib = ctypes.CDLL("libspandsp.so.2")
for f in ("g722_encode_init", "g722_decode_init"):
    getattr(lib, f).restype = ctypes.c_void_p
    getattr(lib, f).argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
for f in ("g722_encode", "g722_decode"):
    getattr(lib, f).argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int]
data = open(sys.argv[2], "rb").read()
if sys.argv[1] == "encode":
    out = ctypes.create_string_buffer(len(data) // 4)
    n = lib.g722_encode(lib.g722_encode_init(None, 64000, 0), out, data, len(data) // 2)
    sys.stdout.buffer.write(out.raw[:n])
else:
    out = ctypes.create_string_buffer(len(data) * 4)
    n = lib.g722_decode(lib.g722_decode_init(None, 64000, 0), out, data, len(data))
    sys.stdout.buffer.write(out.raw[:2 * n])
`

func run(t *testing.T, what string, in []byte) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, in, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", "-c", reference, what, file)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		if os.Getenv("LOCKTONE_REQUIRE_PEERS") != "" {
			t.Fatalf("spandsp by python3: %v: %s", err, complaint.String())
		}
		t.Skipf("no spandsp (libspandsp.so.2) by python3 to compare with: %v: %s", err, complaint.String())
	}
	return out
}

// TestAgainstSpandsp: octet for octet and sample for sample what the other implementation makes of the same input.
func TestAgainstSpandsp(t *testing.T) {
	x := signal()
	var raw []byte
	for _, v := range x {
		raw = binary.LittleEndian.AppendUint16(raw, uint16(v))
	}
	ours := make([]byte, len(x)/2)
	var e Encoder
	e.Encode(ours, x)
	if theirs := run(t, "encode", raw); !bytes.Equal(ours, theirs) {
		t.Error("encoded:", firstDifference(ours, theirs))
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 8000 {
		ours = append(ours, byte(rnd.Uint32())) // and what no encoder makes
	}
	pcm := make([]int16, 2*len(ours))
	var d Decoder
	d.Decode(pcm, ours)
	theirs := run(t, "decode", ours)
	if len(theirs) != 2*len(pcm) {
		t.Fatalf("decoded %d samples, they %d", len(pcm), len(theirs)/2)
	}
	limited := 0
	for i, v := range pcm {
		// Where the sum of the two bands leaves 16 bits we limit it, as blocks ACCUMC and ACCUMD say, and they let it wrap.
		if v == 32767 || v == -32768 {
			limited++
		} else if w := int16(binary.LittleEndian.Uint16(theirs[2*i:])); v != w {
			t.Fatalf("sample %d is %d, theirs is %d", i, v, w)
		}
	}
	if limited > len(pcm)/10 {
		t.Errorf("%d of %d samples were limited and not compared", limited, len(pcm))
	}
}

func firstDifference(a, b []byte) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("octet %d of %d is %d, theirs is %d", i, len(a), a[i], b[i])
		}
	}
	return fmt.Sprintf("%d octets, theirs are %d", len(a), len(b))
}

// FuzzDecode: any octets decode to some samples, and what comes out can be coded again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0xff, 0xfa, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Decoder
		var e Encoder
		pcm := make([]int16, 2*len(b))
		d.Decode(pcm, b)
		e.Encode(make([]byte, len(b)), pcm)
	})
}

func BenchmarkFrame(b *testing.B) {
	x := tone(700, 8000)[:320]
	code := make([]byte, 160)
	b.Run("encode", func(b *testing.B) {
		var e Encoder
		for b.Loop() {
			e.Encode(code, x)
		}
	})
	b.Run("decode", func(b *testing.B) {
		var d Decoder
		for b.Loop() {
			d.Decode(x, code)
		}
	})
}
