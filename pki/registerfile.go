package pki

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// FileRegister is a Register in one file, one JSON line per event, all of it held in memory. One process at a time
// owns the file. A line is synced before Add or Revoke returns; a torn last line (a crash while writing) is cut off
// when the file is opened again, since nobody was told that it had been written.
type FileRegister struct {
	mu      sync.RWMutex
	f       *os.File // nil: memory only
	entries map[Ref]*Entry
	order   []Ref
}

// registerLine is one event of the file.
type registerLine struct {
	Issued  *Entry       `json:"issued,omitempty"`
	Revoked *revokedLine `json:"revoked,omitempty"`
	Placed  *placedLine  `json:"placed,omitempty"`
}

type placedLine struct {
	Ref
	Node string `json:"node"`
}

type revokedLine struct {
	Ref
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// OpenRegister opens or makes the file; an empty path keeps the register in memory only. Close it when done.
func OpenRegister(path string) (*FileRegister, error) {
	r := &FileRegister{entries: make(map[Ref]*Entry)}
	if path == "" {
		return r, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("pki: certificate register: %w", err)
	}
	if err := r.load(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("pki: certificate register %s: %w", path, err)
	}
	r.f = f
	return r, syncFolder(filepath.Dir(path))
}

// load replays the file and leaves its offset behind the last whole line.
func (r *FileRegister) load(f *os.File) error {
	br := bufio.NewReader(f)
	var end int64
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break // what is left of a torn line is overwritten by the next event
		}
		if err != nil {
			return err
		}
		if err := r.replay(bytes.TrimSpace(line)); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		end += int64(len(line))
	}
	if err := f.Truncate(end); err != nil {
		return err
	}
	_, err := f.Seek(end, io.SeekStart)
	return err
}

func (r *FileRegister) replay(line []byte) error {
	var l registerLine
	if err := json.Unmarshal(line, &l); err != nil {
		return err
	}
	switch {
	case l.Issued != nil:
		r.put(*l.Issued)
	case l.Revoked != nil:
		e := r.entries[l.Revoked.Ref]
		if e == nil {
			return fmt.Errorf("revokes serial %s of %s, which was never issued", l.Revoked.Serial, l.Revoked.Issuer)
		}
		e.Revoked, e.Reason = l.Revoked.At, l.Revoked.Reason
	case l.Placed != nil:
		e := r.entries[l.Placed.Ref]
		if e == nil {
			return fmt.Errorf("places serial %s of %s, which was never issued", l.Placed.Serial, l.Placed.Issuer)
		}
		e.Node = l.Placed.Node
	}
	return nil
}

func (r *FileRegister) put(e Entry) {
	r.entries[e.Ref] = &e
	r.order = append(r.order, e.Ref)
}

// append writes one event durably. A partial write is taken back, so that the file stays readable.
func (r *FileRegister) append(l registerLine) error {
	if r.f == nil {
		return nil
	}
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	at, err := r.f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	_, err = r.f.Write(append(b, '\n'))
	if err == nil {
		err = r.f.Sync()
	}
	if err != nil {
		_, seekErr := r.f.Seek(at, io.SeekStart)
		return fmt.Errorf("pki: writing the certificate register: %w", errors.Join(err, r.f.Truncate(at), seekErr))
	}
	return nil
}

// Add implements Register.
func (r *FileRegister) Add(_ context.Context, e Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries[e.Ref] != nil {
		return fmt.Errorf("pki: serial %s of %s is in the register already: %w", e.Serial, e.Issuer, fs.ErrExist)
	}
	if err := r.append(registerLine{Issued: &e}); err != nil {
		return err
	}
	r.put(e)
	return nil
}

// Lookup implements Register.
func (r *FileRegister) Lookup(_ context.Context, ref Ref) (Entry, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if e := r.entries[ref]; e != nil {
		return *e, nil
	}
	return Entry{}, fmt.Errorf("pki: serial %s of %s is not in the register: %w", ref.Serial, ref.Issuer, fs.ErrNotExist)
}

// Revoke implements Register.
func (r *FileRegister) Revoke(_ context.Context, ref Ref, at time.Time, reason string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[ref]
	if e == nil {
		return fmt.Errorf("pki: serial %s of %s is not in the register: %w", ref.Serial, ref.Issuer, fs.ErrNotExist)
	}
	if !e.Revoked.IsZero() {
		return nil
	}
	if err := r.append(registerLine{Revoked: &revokedLine{Ref: ref, At: at, Reason: reason}}); err != nil {
		return err
	}
	e.Revoked, e.Reason = at, reason
	return nil
}

// Place implements Register.
func (r *FileRegister) Place(_ context.Context, ref Ref, node string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[ref]
	if e == nil {
		return fmt.Errorf("pki: serial %s of %s is not in the register: %w", ref.Serial, ref.Issuer, fs.ErrNotExist)
	}
	if e.Node != "" {
		return nil
	}
	if err := r.append(registerLine{Placed: &placedLine{Ref: ref, Node: node}}); err != nil {
		return err
	}
	e.Node = node
	return nil
}

// Entries implements Register.
func (r *FileRegister) Entries(context.Context) ([]Entry, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	es := make([]Entry, 0, len(r.order))
	for _, ref := range r.order {
		es = append(es, *r.entries[ref])
	}
	return es, nil
}

// Close closes the file; what was added is on disk already.
func (r *FileRegister) Close() error {
	if r.f == nil {
		return nil
	}
	return r.f.Close()
}
