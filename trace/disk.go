package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// disk writes segment files: one open file, a bound on its size and on the size of all. Its fields belong to the disk
// goroutine but for what mu guards, the figures an operator asks for.
type disk struct {
	cfg     Config
	create  func(name string) (io.WriteCloser, error)
	file    io.WriteCloser
	size    int64 // of the open file
	midline bool  // the file does not end at the end of a line

	mu       sync.Mutex
	segments []segment
	errors   uint64
	err      error
}

type segment struct {
	name string
	size int64
}

// openDisk makes the folder ready and finds the last sequence number that was used.
func openDisk(cfg Config) (*disk, uint64, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, 0, fmt.Errorf("trace: making the trace folder: %w", err)
	}
	names, err := Segments(cfg.Dir)
	if err != nil {
		return nil, 0, err
	}
	d := &disk{cfg: cfg, create: createSegment}
	var seq uint64
	for _, n := range names {
		info, err := os.Stat(n)
		if err != nil {
			return nil, 0, fmt.Errorf("trace: %w", err)
		}
		d.segments = append(d.segments, segment{n, info.Size()})
		seq = max(seq, lastSeq(n))
	}
	return d, seq, nil
}

func createSegment(name string) (io.WriteCloser, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// lastSeq returns the highest number in a segment file, looking at its end only; the number in its name is the least
// it can be.
func lastSeq(name string) uint64 {
	num := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), "trace-"), ".jsonl")
	seq, _ := strconv.ParseUint(num, 10, 64)
	f, err := os.Open(name)
	if err != nil {
		return seq
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return seq
	}
	from := max(0, info.Size()-2*blockSize)
	tail := make([]byte, info.Size()-from)
	n, _ := f.ReadAt(tail, from)
	for _, line := range bytes.Split(tail[:n], []byte("\n")) {
		var r Record
		if r.UnmarshalJSON(line) == nil {
			seq = max(seq, r.Seq)
		}
	}
	return seq
}

// writeLine writes a line of ours between records; it starts on a line of its own.
func (d *disk) writeLine(line []byte, seq uint64) error {
	if d.midline {
		line = append([]byte{'\n'}, line...)
	}
	_, err := d.writeSome(line, seq)
	return err
}

// writeSome writes bytes to the open segment, opening one named after seq when there is none. It returns how many were
// written; after an error the rest is tried again later.
func (d *disk) writeSome(b []byte, seq uint64) (int, error) {
	if d.file != nil && d.size >= d.cfg.SegmentBytes && !d.midline {
		d.close()
	}
	if d.file == nil {
		if err := d.open(seq); err != nil {
			return 0, d.failed(err)
		}
	}
	n, err := d.file.Write(b)
	if n > 0 {
		d.size += int64(n)
		d.midline = b[n-1] != '\n'
	}
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	d.mu.Lock()
	d.segments[len(d.segments)-1].size += int64(n)
	d.mu.Unlock()
	if err != nil {
		return n, d.failed(err)
	}
	d.mu.Lock()
	d.err = nil
	d.mu.Unlock()
	return n, nil
}

// open starts a segment and removes the oldest ones beyond the bound.
func (d *disk) open(seq uint64) error {
	d.prune(d.cfg.SegmentBytes)
	name := segmentName(d.cfg.Dir, seq)
	f, err := d.create(name)
	if err != nil {
		return err
	}
	d.file, d.size, d.midline = f, 0, false
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.segments); n == 0 || d.segments[n-1].name != name {
		d.segments = append(d.segments, segment{name, 0})
	} else {
		d.size = d.segments[n-1].size
		d.midline = d.size > 0 // the file may end in half a line of a run that was killed
	}
	return nil
}

// prune removes the oldest segments until there is room for more bytes under the bound.
func (d *disk) prune(room int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	total := room
	for _, s := range d.segments {
		total += s.size
	}
	for len(d.segments) > 0 && total > d.cfg.TotalBytes {
		if err := os.Remove(d.segments[0].name); err != nil && !errors.Is(err, os.ErrNotExist) {
			d.err = err
			return
		}
		total -= d.segments[0].size
		d.segments = d.segments[1:]
	}
}

func (d *disk) failed(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errors++
	d.err = err
	return err
}

func (d *disk) close() {
	if d.file == nil {
		return
	}
	if err := d.file.Close(); err != nil {
		d.failed(err)
	}
	d.file = nil
}

// trouble returns why the last write failed, or nil while the disk is well.
func (d *disk) trouble() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		return nil
	}
	return fmt.Errorf("trace: writing trace files in %s: %w", d.cfg.Dir, d.err)
}

func (d *disk) status(s *Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Segments, s.DiskErrors = len(d.segments), d.errors
	for _, g := range d.segments {
		s.DiskBytes += g.size
	}
	if d.err != nil {
		s.DiskError = d.err.Error()
	}
}
