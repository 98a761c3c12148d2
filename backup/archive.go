package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/locktone/locktone/store"
)

// Format is the version of the inner layer. A file with a higher one is refused.
const Format = 1

// Manifest is the first frame: what the file is of.
type Manifest struct {
	Format  int       `json:"format"`
	Program string    `json:"program"` // version that wrote it
	Schema  int64     `json:"schema"`  // of the record
	Engine  string    `json:"engine"`  // the record was in
	Cluster string    `json:"cluster"`
	Node    string    `json:"node"` // whose home folder it is
	Time    time.Time `json:"time"` // of the moment it shows
	// Outside are files that the configuration names and that are not in the home folder, hence not in the backup.
	Outside []string `json:"outside,omitempty"`
}

// Rows is what the summary says of a table.
type Rows struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	// Digest is the SHA-256 of its rows as they are in the file.
	Digest string `json:"digest"`
}

// Summary is the last frame: what came before it.
type Summary struct {
	Tables []Rows `json:"tables"`
	Files  int64  `json:"files"`
	Bytes  int64  `json:"bytes"`  // of the files
	Digest string `json:"digest"` // SHA-256 of their paths and contents
}

// Contents is what a whole backup says of itself.
type Contents struct {
	Manifest
	Summary
}

// The letters of frames.
const (
	frameManifest = 'M' // JSON of Manifest; the first
	frameFile     = 'F' // JSON of file; followed by its data
	frameData     = 'D' // a part of the file
	frameTable    = 'T' // JSON of store.Table; followed by its rows
	frameRow      = 'R' // the values, in the order of the columns
	frameSummary  = 'E' // JSON of Summary; the last
	frameFailed   = 'X' // text: why whoever wrote it could not go on; never in a file that locktone backup has finished
)

// Bounds of what a file may hold, far above what a site has.
const (
	maxFrame    = 16 << 20
	maxFiles    = 200_000
	maxFileSize = 8 << 30
	maxPath     = 1024
	dataSize    = 32 << 10
)

// file is the head of one.
type file struct {
	Path string `json:"path"` // below the home folder, with slashes
	Size int64  `json:"size"`
}

// sums adds up what goes by, on both sides alike.
type sums struct {
	total Summary
	files hash.Hash
	rows  hash.Hash // of the present table
}

func newSums() sums { return sums{files: sha256.New()} }

func (s *sums) file(f file) {
	s.total.Files++
	s.total.Bytes += f.Size
	fmt.Fprintf(s.files, "%q %d\n", f.Path, f.Size)
}

func (s *sums) table(name string) {
	s.endTable()
	s.total.Tables = append(s.total.Tables, Rows{Table: name})
	s.rows = sha256.New()
}

func (s *sums) row(b []byte) {
	s.total.Tables[len(s.total.Tables)-1].Rows++
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(b)))
	s.rows.Write(n[:])
	s.rows.Write(b)
}

func (s *sums) endTable() {
	if s.rows != nil {
		s.total.Tables[len(s.total.Tables)-1].Digest = hex.EncodeToString(s.rows.Sum(nil))
		s.rows = nil
	}
}

func (s *sums) summary() Summary {
	s.endTable()
	s.total.Digest = hex.EncodeToString(s.files.Sum(nil))
	return s.total
}

// A Writer writes the inner layer. It keeps the order: manifest, files, tables, summary.
type Writer struct {
	w     *bufio.Writer
	sums  sums
	table store.Table
	row   []byte
}

// NewWriter begins with the manifest.
func NewWriter(w io.Writer, m Manifest) (*Writer, error) {
	out := &Writer{w: bufio.NewWriterSize(w, chunkSize), sums: newSums()}
	m.Format = Format
	return out, out.json(frameManifest, m)
}

func (w *Writer) frame(kind byte, b []byte) error {
	if len(b) > maxFrame {
		return fmt.Errorf("backup: one value is %d bytes long, at most %d are kept", len(b), maxFrame)
	}
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(b)))
	if _, err := w.w.Write(head); err != nil {
		return err
	}
	_, err := w.w.Write(b)
	return err
}

func (w *Writer) json(kind byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return w.frame(kind, b)
}

// File adds a file of the home folder: exactly size bytes of r.
func (w *Writer) File(path string, size int64, r io.Reader) error {
	if err := checkPath(path); err != nil {
		return err
	}
	f := file{path, size}
	w.sums.file(f)
	if err := w.json(frameFile, f); err != nil {
		return err
	}
	b := make([]byte, dataSize)
	for left := size; left > 0; {
		n, err := io.ReadFull(r, b[:min(left, dataSize)])
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return fmt.Errorf("backup: %s became shorter while it was read: try again", path)
		} else if err != nil {
			return fmt.Errorf("backup: %s: %w", path, err)
		}
		w.sums.files.Write(b[:n])
		if err := w.frame(frameData, b[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

// Table begins a table; Row adds its rows.
func (w *Writer) Table(t store.Table) error {
	w.table = t
	w.sums.table(t.Name)
	return w.json(frameTable, t)
}

// Row adds a row with values as of store.Dump.Rows.
func (w *Writer) Row(values []any) (err error) {
	if w.row, err = appendRow(w.row[:0], w.table, values); err != nil {
		return err
	}
	w.sums.row(w.row)
	return w.frame(frameRow, w.row)
}

// Close writes the summary, and returns it.
func (w *Writer) Close() (Summary, error) {
	s := w.sums.summary()
	return s, errors.Join(w.json(frameSummary, s), w.w.Flush())
}

// fail ends what cannot be completed, so that the reader can say why.
func (w *Writer) fail(why error) error {
	_ = w.frame(frameFailed, []byte(why.Error()))
	_ = w.w.Flush()
	return why
}

// A Sink takes what a Reader finds. What it is handed is valid until it returns.
type Sink struct {
	Manifest func(Manifest) error
	// File opens a file to write; the reader closes it after the last byte. nil: content is dropped.
	File  func(path string, size int64) (io.WriteCloser, error)
	Table func(store.Table) error
	Row   func(store.Table, []any) error
}

// Read reads a whole backup, as strictly as Restore needs it: what it hands to the sink has the right form, but only when it
// returns without an error is it known that it was complete.
func Read(r io.Reader, sink Sink) (Contents, error) {
	in := &reader{r: bufio.NewReaderSize(r, chunkSize), sink: sink, sums: newSums(), paths: map[string]bool{}}
	c, err := in.all()
	if err != nil && errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: it ends before its summary", ErrDamaged)
	}
	return c, err
}

type reader struct {
	r     *bufio.Reader
	sink  Sink
	sums  sums
	frame bytes.Buffer
	paths map[string]bool
	table store.Table
	row   []any
}

// next reads a frame. The buffer grows with what comes, not with what the length claims.
func (r *reader) next() (kind byte, b []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return 0, nil, shortened(err)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, r.wrong("a value claims to be %d bytes long, at most %d are allowed", n, maxFrame)
	}
	r.frame.Reset()
	if _, err := io.CopyN(&r.frame, r.r, int64(n)); err != nil {
		return 0, nil, shortened(err)
	}
	return head[0], r.frame.Bytes(), nil
}

func shortened(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *reader) wrong(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
}

// strictly decodes JSON that must have the members of v and nothing else.
func (r *reader) strictly(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return r.wrong("%v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return r.wrong("something follows a value")
	}
	return nil
}

// all reads manifest, files, tables and the summary, in this order.
func (r *reader) all() (c Contents, err error) {
	kind, b, err := r.next()
	if err != nil {
		return c, err
	}
	if kind != frameManifest {
		return c, r.wrong("it does not begin with a manifest")
	}
	if err := r.manifest(b, &c.Manifest); err != nil {
		return c, err
	}
	for {
		if kind, b, err = r.next(); err != nil {
			return c, err
		}
		switch {
		case kind == frameFile && len(r.sums.total.Tables) == 0:
			err = r.file(b)
		case kind == frameTable:
			err = r.beginTable(b)
		case kind == frameRow && r.table.Name != "":
			err = r.oneRow(b)
		case kind == frameFailed:
			err = fmt.Errorf("the node could not finish the backup: %s", b)
		case kind == frameSummary:
			return c, r.end(b, &c.Summary)
		default:
			err = r.wrong("an entry of the kind %q does not belong where it is", kind)
		}
		if err != nil {
			return c, err
		}
	}
}

func (r *reader) manifest(b []byte, m *Manifest) error {
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &version); err == nil && version.Format > Format {
		return fmt.Errorf("this backup has content of format %d, this program knows %d: use the version that wrote it or a later one", version.Format, Format)
	}
	if err := r.strictly(b, m); err != nil {
		return err
	}
	if m.Format != Format || m.Schema < 1 {
		return r.wrong("its manifest has format %d and schema %d", m.Format, m.Schema)
	}
	if newest := store.NewestSchema(); m.Schema > newest {
		return fmt.Errorf("this backup has schema %d (written by version %s), this program knows up to %d: use that version or a later one", m.Schema, m.Program, newest)
	}
	if r.sink.Manifest == nil {
		return nil
	}
	return r.sink.Manifest(*m)
}

func (r *reader) file(b []byte) error {
	var f file
	if err := r.strictly(b, &f); err != nil {
		return err
	}
	if err := checkPath(f.Path); err != nil {
		return r.wrong("%v", err)
	}
	switch {
	case r.paths[f.Path]:
		return r.wrong("%s is in it twice", f.Path)
	case len(r.paths) >= maxFiles:
		return r.wrong("it has more than %d files", maxFiles)
	case f.Size < 0 || f.Size > maxFileSize:
		return r.wrong("%s claims to be %d bytes long", f.Path, f.Size)
	}
	r.paths[f.Path] = true
	r.sums.file(f)
	var out io.WriteCloser
	if r.sink.File != nil {
		var err error
		if out, err = r.sink.File(f.Path, f.Size); err != nil {
			return err
		}
	}
	err := r.data(f, out)
	if out != nil {
		err = errors.Join(err, out.Close())
	}
	return err
}

func (r *reader) data(f file, out io.Writer) error {
	for left := f.Size; left > 0; {
		kind, b, err := r.next()
		if err != nil {
			return err
		}
		if kind != frameData || len(b) == 0 || int64(len(b)) > left {
			return r.wrong("%s has other data than it says", f.Path)
		}
		left -= int64(len(b))
		r.sums.files.Write(b)
		if out != nil {
			if _, err := out.Write(b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) beginTable(b []byte) error {
	var t store.Table
	if err := r.strictly(b, &t); err != nil {
		return err
	}
	for _, x := range r.sums.total.Tables {
		if x.Table == t.Name {
			return r.wrong("the table %s is in it twice", t.Name)
		}
	}
	if t.Name == "" || len(t.Columns) == 0 || len(t.Columns) > 1000 || len(r.sums.total.Tables) >= 1000 {
		return r.wrong("a table %q of %d columns", t.Name, len(t.Columns))
	}
	r.table, r.row = t, make([]any, len(t.Columns))
	r.sums.table(t.Name)
	if r.sink.Table == nil {
		return nil
	}
	return r.sink.Table(t)
}

func (r *reader) oneRow(b []byte) error {
	if err := parseRow(b, r.table, r.row); err != nil {
		return r.wrong("table %s: %v", r.table.Name, err)
	}
	r.sums.row(b)
	if r.sink.Row == nil {
		return nil
	}
	return r.sink.Row(r.table, r.row)
}

func (r *reader) end(b []byte, s *Summary) error {
	if err := r.strictly(b, s); err != nil {
		return err
	}
	got := r.sums.summary()
	same := len(s.Tables) == len(got.Tables) && s.Files == got.Files && s.Bytes == got.Bytes && s.Digest == got.Digest
	for i := range got.Tables {
		same = same && s.Tables[i] == got.Tables[i]
	}
	if !same {
		return r.wrong("its summary does not agree with what is in it")
	}
	if _, err := r.r.ReadByte(); err != io.EOF {
		if err != nil {
			return err
		}
		return r.wrong("something follows its summary")
	}
	return nil
}
