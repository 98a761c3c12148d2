package trace

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// File is a segment file of a recorder.
type File struct {
	Name string `json:"name"` // without the folder
	Size int64  `json:"size"`
}

// Files lists the segment files, the oldest first; none where only memory is recorded to.
func (r *Recorder) Files() ([]File, error) {
	if r == nil || r.cfg.Dir == "" {
		return nil, nil
	}
	names, err := Segments(r.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var out []File
	for _, name := range names {
		if info, err := os.Stat(name); err == nil { // else it was removed meanwhile
			out = append(out, File{filepath.Base(name), info.Size()})
		}
	}
	return out, nil
}

// ReadFile reads up to n bytes of a file that Files lists, from an offset on; none are left at its end.
func (r *Recorder) ReadFile(name string, offset int64, n int) ([]byte, error) {
	if r == nil || r.cfg.Dir == "" || filepath.Base(name) != name || !isSegment(name) || offset < 0 {
		return nil, fmt.Errorf("trace: there is no segment file %q", name)
	}
	f, err := os.Open(filepath.Join(r.cfg.Dir, name))
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	defer f.Close()
	b := make([]byte, n)
	got, err := f.ReadAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("trace: reading %s: %w", name, err)
	}
	return b[:got], nil
}

// isSegment says whether a file's name is that of a segment.
func isSegment(name string) bool {
	return strings.HasPrefix(name, "trace-") && strings.HasSuffix(name, ".jsonl")
}
