package wav

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/locktone/locktone/media/g711"
)

func TestThereAndBack(t *testing.T) {
	pcm := []int16{0, 1, -1, 32767, -32768, 1234}
	got, err := Read(Append(nil, pcm))
	if err != nil || !slices.Equal(got, pcm) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRecorder(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "r.wav"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := NewRecorder(f, 20000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 130 {
		err := r.WritePCM(slices.Repeat([]int16{int16(i)}, 160))
		if want := i >= 125; errors.Is(err, ErrFull) != want {
			t.Fatalf("frame %d: %v", i, err)
		}
	}
	interrupted, _ := os.ReadFile(f.Name())
	if got, err := Read(interrupted); err != nil || len(got) != 0 && len(got) < Rate {
		t.Errorf("interrupted: %d samples, %v", len(got), err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(f.Name())
	if got, err := Read(b); err != nil || len(got) != 20000 || got[19999] != 124 {
		t.Errorf("%d samples, %v", len(got), err)
	}
}

func TestLaws(t *testing.T) {
	b := Append(nil, []int16{1000, -1000})
	b[20], b[34] = formatALaw, 8
	b[40] = 2
	code := make([]byte, 2)
	g711.ALaw.Encode(code, []int16{1000, -1000})
	got, err := Read(append(b[:44], code...))
	if err != nil || len(got) != 2 || got[0] < 950 || got[0] > 1050 || got[1] != -got[0] {
		t.Errorf("%v, %v", got, err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	stereo := Append(nil, []int16{1})
	stereo[22] = 2
	for want, b := range map[string][]byte{"not a RIFF": []byte("RIFX"), "convert it": stereo, "no data": Append(nil, nil)[:36]} {
		var p *ParseError
		if _, err := Read(b); !errors.As(err, &p) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(Append(nil, []int16{1, 2, 3}))
	f.Add([]byte("RIFF\xff\xff\xff\xffWAVEdata\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		pcm, err := Read(b)
		if err != nil {
			return
		}
		if again, err := Read(Append(nil, pcm)); err != nil || !slices.Equal(again, pcm) {
			t.Errorf("does not come back: %v", err)
		}
	})
}

// TestReadUnfinished reads what a recorder that is still at work, or was killed, left: a header that says zero.
func TestReadUnfinished(t *testing.T) {
	whole := Append(nil, []int16{1, -2, 3})
	for _, size := range []byte{0, 200} {
		b := append([]byte{}, whole...)
		b[4], b[40] = 36, size // the lengths as written before the first sample
		got, err := Read(b)
		if err != nil || len(got) != 3 || got[1] != -2 {
			t.Errorf("data length %d in the header: got %v, %v, want the three samples", size, got, err)
		}
	}
	empty := Append(nil, nil)
	listed := append(append([]byte{}, empty...), "LIST\x04\x00\x00\x00INFO"...)
	listed[4] = byte(len(listed) - 8)
	if got, err := Read(listed); err != nil || len(got) != 0 {
		t.Errorf("an empty recording with a LIST behind it: got %v, %v", got, err)
	}
}
