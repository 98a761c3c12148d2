// Command genprompts speaks the ready-made prompts of package speech with flite and writes them as mu-law WAV files: run by
// `go generate ./service/voicebrowser/speech` whenever the vocabulary changes. Debian package: flite.
package main

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/locktone/locktone/media/g711"
	"github.com/locktone/locktone/media/resample"
	"github.com/locktone/locktone/service/voicebrowser/speech"
)

func main() {
	folder := flag.String("folder", "prompts", "where the vocabulary is and the files go")
	voice := flag.String("voice", "slt", "voice of flite")
	flag.Parse()
	if err := run(*folder, *voice); err != nil {
		fmt.Fprintln(os.Stderr, "genprompts:", err)
		os.Exit(1)
	}
}

func run(folder, voice string) error {
	text, err := os.ReadFile(filepath.Join(folder, "vocabulary.txt"))
	if err != nil {
		return err
	}
	old, _ := filepath.Glob(filepath.Join(folder, "*.wav"))
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	for _, p := range speech.Vocabulary(string(text)) {
		pcm, err := speak(voice, p.Spoken)
		if err != nil {
			return fmt.Errorf("%q: %w", p.Spoken, err)
		}
		if err := os.WriteFile(filepath.Join(folder, p.File()), muLaw(pcm), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// speak is what flite says, 8,000 samples a second, cut to where it sounds and brought to one level.
func speak(voice, text string) ([]int16, error) {
	f, err := os.CreateTemp("", "genprompts")
	if err != nil {
		return nil, err
	}
	_ = f.Close()
	defer os.Remove(f.Name())
	if out, err := exec.Command("flite", "-voice", voice, "-t", text, "-o", f.Name()).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		return nil, err
	}
	const header = 44
	if len(b) < header || binary.LittleEndian.Uint32(b[24:]) != 16000 {
		return nil, fmt.Errorf("flite wrote no file of 16,000 samples a second")
	}
	wide := make([]int16, (len(b)-header)/4*2)
	for i := range wide {
		wide[i] = int16(binary.LittleEndian.Uint16(b[header+2*i:]))
	}
	pcm := make([]int16, len(wide)/2)
	new(resample.Down).Int16(pcm, wide)
	return level(trim(pcm)), nil
}

// trim cuts the silence before and behind, but for 30 ms.
func trim(pcm []int16) []int16 {
	const quiet, keep = 250, 240
	from, to := 0, len(pcm)
	for from < to && abs(pcm[from]) < quiet {
		from++
	}
	for to > from && abs(pcm[to-1]) < quiet {
		to--
	}
	return pcm[max(0, from-keep):min(len(pcm), to+keep)]
}

func abs(v int16) int { return max(int(v), -int(v)) }

// level brings all to the same loudness: 3,000 of 32,768 (about -18 dBm0) on average over what sounds.
func level(pcm []int16) []int16 {
	sum, n, peak := 0.0, 1.0, 1.0
	for _, v := range pcm {
		if x := float64(v); math.Abs(x) > 250 {
			sum, n, peak = sum+x*x, n+1, math.Max(peak, math.Abs(x))
		}
	}
	gain := math.Min(3000/math.Sqrt(math.Max(1, sum/n)), 30000/peak)
	for i, v := range pcm {
		pcm[i] = int16(float64(v) * gain)
	}
	return pcm
}

// muLaw is the file.
func muLaw(pcm []int16) []byte {
	data := make([]byte, len(pcm))
	g711.ULaw.Encode(data, pcm)
	le := binary.LittleEndian
	b := append([]byte("RIFF"), le.AppendUint32(nil, uint32(36+len(data)+len(data)&1))...)
	b = le.AppendUint32(append(b, "WAVEfmt "...), 16)
	b = le.AppendUint16(le.AppendUint16(b, 7), 1)
	b = le.AppendUint32(le.AppendUint32(b, 8000), 8000)
	b = le.AppendUint16(le.AppendUint16(b, 1), 8)
	b = append(le.AppendUint32(append(b, "data"...), uint32(len(data))), data...)
	return append(b, make([]byte, len(data)&1)...)
}
