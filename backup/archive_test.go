package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/locktone/locktone/store"
)

var people = store.Table{Name: "people", Columns: []store.Column{{Name: "id", Type: store.Integer}, {Name: "name", Type: store.Text}, {Name: "face", Type: store.Blob}, {Name: "mood", Type: store.Real}}}

var folk = [][]any{{int64(1), "Ada", []byte{0, 255}, 1.5}, {int64(-1 << 63), "\xff\x00", []byte{}, math.Copysign(0, -1)}, {nil, "", nil, nil}}

// small is an archive with two files and a table.
func small(t testing.TB) []byte { return archive(t, 2*dataSize+1) }

// archive is one whose second file has n bytes.
func archive(t testing.TB, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, Manifest{Schema: 1, Node: "n", Program: "test"})
	for _, step := range []func() error{
		func() error { return err },
		func() error { return w.File("node.yaml", 5, strings.NewReader("node:")) },
		func() error { return w.File("pki/ca.pem", int64(n), bytes.NewReader(pattern(n))) },
		func() error { return w.Table(people) },
		func() error { return w.Row(folk[0]) }, func() error { return w.Row(folk[1]) }, func() error { return w.Row(folk[2]) },
		func() error { _, err := w.Close(); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

type discard struct{ io.Writer }

func (discard) Close() error { return nil }

func TestArchive(t *testing.T) {
	var files, rows []string
	c, err := Read(bytes.NewReader(small(t)), Sink{
		File: func(p string, size int64) (io.WriteCloser, error) {
			files = append(files, fmt.Sprint(p, " ", size))
			return discard{io.Discard}, nil
		},
		Row: func(t store.Table, row []any) error {
			rows = append(rows, fmt.Sprintf("%s %#v", t.Name, row))
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(files, []string{"node.yaml 5", "pki/ca.pem 65537"}) || c.Files != 2 || c.Bytes != 65542 || c.Tables[0].Rows != 3 || c.Program != "test" {
		t.Errorf("%v, %+v", files, c)
	}
	for i, want := range folk {
		if want := fmt.Sprintf("people %#v", want); rows[i] != want {
			t.Errorf("%s, want %s", rows[i], want)
		}
	}
	if _, err := Read(bytes.NewReader(small(t)), Sink{Row: func(store.Table, []any) error { return io.ErrClosedPipe }}); err != io.ErrClosedPipe {
		t.Errorf("what the sink says: %v", err)
	}
}

// frames takes an archive apart.
func frames(b []byte) (out [][]byte) {
	for len(b) > 0 {
		n := 5 + int(binary.BigEndian.Uint32(b[1:]))
		out, b = append(out, b[:n]), b[n:]
	}
	return out
}

func frame(kind byte, content string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(content))), content...)
}

// TestArchiveStrict: what is not as it should be is an error, wherever it stands; also what was never written by us.
func TestArchiveStrict(t *testing.T) {
	whole := frames(small(t)) // M F D F D D D T R R R E
	replaced := func(i int, by ...[]byte) []byte {
		return bytes.Join(slices.Replace(slices.Clone(whole), i, i+1, by...), nil)
	}
	last := len(whole) - 1
	for what, b := range map[string][]byte{
		"nothing":                        {},
		"no manifest":                    bytes.Join(whole[1:], nil),
		"two manifests":                  replaced(0, whole[0], whole[0]),
		"an unknown member":              replaced(0, frame(frameManifest, `{"format":1,"schema":1,"run":"rm"}`)),
		"no JSON":                        replaced(0, frame(frameManifest, `{"format":1`)),
		"two values":                     replaced(0, frame(frameManifest, `{"format":1,"schema":1}{}`)),
		"no schema":                      replaced(0, frame(frameManifest, `{"format":1}`)),
		"an unknown entry":               replaced(1, frame('Z', "x")),
		"a file twice":                   replaced(1, whole[1], whole[2], whole[1], whole[2]),
		"a file without its data":        replaced(2),
		"too much data":                  replaced(2, whole[2], whole[2]),
		"a negative size":                replaced(1, frame(frameFile, `{"path":"a","size":-5}`)),
		"a size beyond all":              replaced(1, frame(frameFile, `{"path":"a","size":10000000000}`)),
		"a file behind a table":          replaced(last, whole[1], whole[2], whole[last]),
		"a row before its table":         replaced(7, whole[8]),
		"a table twice":                  replaced(last, whole[7], whole[last]),
		"a table without columns":        replaced(7, frame(frameTable, `{"name":"people","columns":[]}`)),
		"an unknown type of a column":    replaced(7, frame(frameTable, `{"name":"people","columns":[{"name":"id","type":"GOB"}]}`)),
		"a row that is missing":          replaced(8),
		"rows in another order":          replaced(8, whole[9], whole[8]),
		"a changed name":                 replaced(1, frame(frameFile, `{"path":"node.yml","size":5}`)),
		"a row that is cut off":          replaced(8, frame(frameRow, string(whole[8][5:len(whole[8])-1]))),
		"a row that goes on":             replaced(8, frame(frameRow, string(whole[8][5:])+"x")),
		"a value of another type":        replaced(8, frame(frameRow, "\x03"+string(whole[8][6:]))),
		"a text that claims 4 GiB":       replaced(8, frame(frameRow, string(whole[8][5:14])+"\x03\xff\xff\xff\xffAda")),
		"no summary":                     replaced(last),
		"another summary":                replaced(last, frame(frameSummary, strings.Replace(string(whole[last][5:]), `"rows":3`, `"rows":4`, 1))),
		"something behind the summary":   append(small(t), 0),
		"a value that claims 16 MiB":     replaced(last, append([]byte{frameRow}, 0, 0xff, 0xff, 0xff)),
		"a value that claims 4 GiB":      replaced(1, append([]byte{frameFile}, 0xff, 0xff, 0xff, 0xff)),
		"a summary that says too little": replaced(last, frame(frameSummary, `{}`)),
	} {
		if _, err := Read(bytes.NewReader(b), Sink{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	complete := small(t)
	for n := range complete[:2000] { // cut anywhere
		if _, err := Read(bytes.NewReader(complete[:n]), Sink{}); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for text, b := range map[string][]byte{
		"content of format 2":                replaced(0, frame(frameManifest, `{"format":2,"schema":1,"new":true}`)),
		"this backup has schema":             replaced(0, frame(frameManifest, `{"format":1,"schema":999,"program":"9.9"}`)),
		"could not finish the backup: broke": replaced(3, frame(frameFailed, "broke")),
	} {
		if _, err := Read(bytes.NewReader(b), Sink{}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("want %q: %v", text, err)
		}
	}
}

// TestBigClaims: a file of a kilobyte that claims gigabytes takes no more memory than it brings.
func TestBigClaims(t *testing.T) {
	b := append(slices.Clone(frames(small(t))[0]), frame(frameFile, `{"path":"a","size":8000000000}`)...)
	b = append(append(b, frameData, 0, 0xff, 0xff, 0xff), pattern(500)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Read(bytes.NewReader(b), Sink{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("%d bytes were taken for a file of %d", took, len(b))
	}
}

// TestPaths: no path in a backup leads out of the home folder, or means something else on another system.
func TestPaths(t *testing.T) {
	bad := []string{"", ".", "..", "../x", "a/../../x", "/etc/passwd", "a//b", "a/", "./a", "a/./b", `a\..\b`, `C:\x`, "c:x", "a\x00b", "a\nb", "\xff", "lock", "restore.unfinished", strings.Repeat("a", 2000)}
	whole := frames(small(t))
	for _, p := range bad {
		b := bytes.Join(slices.Replace(slices.Clone(whole), 1, 2, frame(frameFile, fmt.Sprintf(`{"path":%q,"size":5}`, p))), nil)
		if _, err := Read(bytes.NewReader(b), Sink{File: func(p string, _ int64) (io.WriteCloser, error) {
			if p != "node.yaml" {
				t.Errorf("%q was opened", p)
			}
			return discard{io.Discard}, nil
		}}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %v", p, err)
		}
		if err := (&Writer{}).File(p, 0, nil); err == nil {
			t.Errorf("%q was written", p)
		}
	}
	for _, p := range []string{"a", "pki/service/cm.pem", "trust/peers/Ä ö.pem", "a/..b", "...", "restore.unfinished/x"} {
		if err := checkPath(p); err != nil {
			t.Error(err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(archive(f, 10)) // small seeds: the fuzzer makes smaller what it finds, byte by byte
	f.Add(archive(f, 10)[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := Read(bytes.NewReader(b), Sink{})
		if err == nil && !bytes.HasPrefix(b, []byte{frameManifest}) {
			t.Error("something that is no archive was read")
		}
	})
}

func FuzzRow(f *testing.F) {
	for _, row := range folk {
		b, _ := appendRow(nil, people, row)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		row := make([]any, len(people.Columns))
		if parseRow(b, people, row) != nil {
			return
		}
		again, err := appendRow(nil, people, row)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x became %x, %v", b, again, err)
		}
	})
}
