package ctiqbe

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// frame is a row of frames.tsv: seen between the field's own client and a throw-away server on one machine.
type frame struct {
	run, n     string
	fromClient bool
	name       string
	bytes      []byte
}

func frames(t testing.TB) []frame {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "frames.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []frame
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p := strings.Split(lines.Text(), "\t")
		if len(p) != 6 || p[0] == "run" {
			continue
		}
		b, err := hex.DecodeString(p[5])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, frame{p[0], p[1], p[2] == "C", p[4], b})
	}
	return all
}

// withoutSlack clears what the client's own encoder leaves behind the numbers of an array: it reserves 16 bytes an
// element, fills 4, and sends what its buffer held before. Nothing reads those bytes and nobody should write them.
func (f frame) withoutSlack(h Header) []byte {
	refs := map[PDU]int{PDUDeviceRegisterDeviceRequest: 32 + 60, PDUCallPlayDTMFRequest: 32 + 20}
	at, ok := refs[h.PDU]
	if !ok {
		return f.bytes
	}
	b := bytes.Clone(f.bytes)
	start, size, count := le.Uint32(b[at:]), le.Uint32(b[at+4:]), le.Uint32(b[at+8:])
	clear(b[start+4*count : start+size])
	return b
}

// TestFrames: every frame that was seen is understood, and what a client sent is written again byte for byte.
func TestFrames(t *testing.T) {
	for _, f := range frames(t) {
		m, h, err := Parse(f.bytes)
		if err != nil {
			t.Errorf("%s %s %s: %v", f.run, f.n, f.name, err)
			continue
		}
		if !f.fromClient {
			continue
		}
		got := AppendClient(nil, h.Version, m)
		if !bytes.Equal(got, f.withoutSlack(h)) {
			t.Errorf("%s %s %s:\n%x\n%x\n%+v", f.run, f.n, f.name, got, f.bytes, m)
		}
	}
}
