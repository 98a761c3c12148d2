package trace

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"
)

// Archive is one tar.gz that a person sends to whoever helps. It remembers its first error; check Close.
type Archive struct {
	gz   *gzip.Writer
	tar  *tar.Writer
	name string
	at   time.Time
	err  error
}

// NewArchive starts an archive whose files are under a folder called name.
func NewArchive(w io.Writer, name string, at time.Time) *Archive {
	gz := gzip.NewWriter(w)
	return &Archive{gz: gz, tar: tar.NewWriter(gz), name: name, at: at}
}

// Add adds a file. The content must be free of secrets.
func (a *Archive) Add(file string, content []byte) {
	if a.header(file, int64(len(content))) {
		_, a.err = a.tar.Write(content)
	}
}

func (a *Archive) header(file string, size int64) bool {
	if a.err == nil {
		a.err = a.tar.WriteHeader(&tar.Header{Name: path.Join(a.name, file), Mode: 0o600, Size: size, ModTime: a.at, Format: tar.FormatPAX})
	}
	return a.err == nil
}

// AddJSON adds a value as indented JSON.
func (a *Archive) AddJSON(file string, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		b = fmt.Appendf(nil, "%q\n", err.Error())
	}
	a.Add(file, append(b, '\n'))
}

// AddTraces adds the recorder's segment files, or what is in memory when there are none.
func (a *Archive) AddTraces(ctx context.Context, r *Recorder) {
	if r == nil {
		return
	}
	names, err := Segments(r.cfg.Dir)
	if r.cfg.Dir == "" || err != nil {
		a.addMemory(r)
		return
	}
	for _, name := range names {
		if ctx.Err() != nil {
			a.err = ctx.Err()
			return
		}
		a.addSegment(name)
	}
}

func (a *Archive) addMemory(r *Recorder) {
	var lines []byte
	for _, rec := range r.Recent(Filter{}, maxGather) {
		lines = append(appendRecord(lines, &rec, policy{digits: true}), '\n')
	}
	a.Add("trace/memory.jsonl", lines)
}

// addSegment copies a file that may be growing, or gone by now.
func (a *Archive) addSegment(name string) {
	f, err := os.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !a.header("trace/"+filepath.Base(name), info.Size()) {
		return
	}
	_, a.err = io.CopyN(a.tar, f, info.Size())
}

// Close ends the archive and returns the first error of all.
func (a *Archive) Close() error {
	for _, c := range []func() error{a.tar.Close, a.gz.Close} {
		if err := c(); a.err == nil {
			a.err = err
		}
	}
	return a.err
}
