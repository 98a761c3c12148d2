package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Filter says which records are wanted. The zero value wants all.
type Filter struct {
	Service string
	Device  string
	User    string
	Call    string    // a global id or a SIP Call-ID, as it stands in the record
	Kinds   []Kind    // any of these; empty wants all
	Level   Level     // the most verbose level wanted; Inherit wants all
	Since   time.Time // not before
	After   uint64    // only sequence numbers above this
}

// Match reports whether the record is wanted.
func (f Filter) Match(r *Record) bool {
	level := r.Level
	if level == Inherit {
		level = Info
	}
	return (f.Service == "" || f.Service == r.Service) &&
		(f.Device == "" || f.Device == r.Device || f.Device == r.Peer) &&
		(f.User == "" || f.User == r.User) &&
		(f.Call == "" || f.Call == r.Call || f.Call == r.SIPCallID) &&
		(len(f.Kinds) == 0 || slices.Contains(f.Kinds, r.Kind)) &&
		(f.Level == Inherit || level <= f.Level) &&
		(f.Since.IsZero() || !r.Time.Before(f.Since)) &&
		r.Seq >= f.After+min(1, f.After)
}

// Reader reads records from JSON lines. It survives any input: a line it cannot read is skipped and counted.
type Reader struct {
	r       *bufio.Reader
	Skipped int // lines that were no records
	line    []byte
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 64<<10)} }

// maxLine is the longest line a reader accepts; longer ones are skipped.
const maxLine = 3 * MaxEngineBody

// nextLine returns the next line without its end; long lines are skipped and counted.
func (d *Reader) nextLine() ([]byte, error) {
	for {
		d.line = d.line[:0]
		long := false
		for {
			part, err := d.r.ReadSlice('\n')
			if len(d.line)+len(part) <= maxLine {
				d.line = append(d.line, part...)
			} else {
				long = true
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if err != nil && (len(d.line) == 0 && !long || !errors.Is(err, io.EOF)) {
				return nil, err
			}
			break
		}
		if line := bytes.TrimRight(d.line, "\r\n"); !long && len(line) > 0 {
			return line, nil
		} else if long {
			d.Skipped++
		}
	}
}

// Next returns the next record, or io.EOF.
func (d *Reader) Next() (Record, error) {
	for {
		line, err := d.nextLine()
		if err != nil {
			return Record{}, err
		}
		var r Record
		if r.UnmarshalJSON(line) == nil {
			return r, nil
		}
		d.Skipped++
	}
}

// ReadAll reads every record of r.
func ReadAll(r io.Reader) ([]Record, error) {
	d := NewReader(r)
	var out []Record
	for {
		rec, err := d.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, rec)
	}
}

// ReadFile reads the records of one segment file, or of any file of JSON lines.
func ReadFile(name string) ([]Record, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	defer f.Close()
	out, err := ReadAll(f)
	if err != nil {
		return out, fmt.Errorf("trace: reading %s: %w", name, err)
	}
	return out, nil
}

// scanDir calls each for every line of every segment of a folder that contains one of the words (any line when there
// are none), oldest first, until it returns false.
func scanDir(dir string, words [][]byte, each func(line []byte) bool) error {
	names, err := Segments(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		more, err := scanFile(name, words, each)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a segment may have been rotated away meanwhile
			return err
		}
		if !more && err == nil {
			return nil
		}
	}
	return nil
}

func scanFile(name string, words [][]byte, each func([]byte) bool) (more bool, err error) {
	f, err := os.Open(name)
	if err != nil {
		return true, err
	}
	defer f.Close()
	d := NewReader(f)
	for {
		line, err := d.nextLine()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return true, fmt.Errorf("trace: reading %s: %w", name, err)
		}
		if (len(words) == 0 || containsAny(line, words)) && !each(line) {
			return false, nil
		}
	}
}

func containsAny(line []byte, words [][]byte) bool {
	return slices.ContainsFunc(words, func(w []byte) bool { return bytes.Contains(line, w) })
}
