package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/store"
)

// A Source is a node to take a backup of, running or not.
type Source struct {
	Home    string            // its folder
	Node    config.NodeConfig // what it runs with
	Program string            // version of this program
	// Skip are files and folders below the home folder that are not taken, beside the record and the traces; relative to it.
	Skip []string
	// Dump begins a dump of its record.
	Dump func(context.Context) (*store.Dump, error)
	Now  func() time.Time // nil: time.Now
}

// Write writes the plain content of a backup: files and record as they were at one moment. Whoever lets it out of the machine
// seals it.
func (s Source) Write(ctx context.Context, w io.Writer) (Contents, error) {
	h, err := s.home()
	if err != nil {
		return Contents{}, err
	}
	var d *store.Dump
	keys, err := h.around(ctx, func() (err error) { d, err = s.Dump(ctx); return err }, func() { d.Close() })
	if err != nil {
		return Contents{}, err
	}
	defer d.Close()
	site, err := d.Site(ctx)
	if err != nil {
		return Contents{}, err
	}
	m := Manifest{Format: Format, Program: s.Program, Schema: d.Schema(), Engine: d.Engine(), Cluster: site.Cluster.WithDefaults().Name, Node: s.Node.WithDefaults().Node,
		Time: s.now().UTC().Truncate(time.Second), Outside: s.outside(site)}
	out, err := NewWriter(w, m)
	if err != nil {
		return Contents{}, err
	}
	if err := s.content(ctx, out, h, keys, d); err != nil {
		return Contents{}, out.fail(err)
	}
	sum, err := out.Close()
	return Contents{m, sum}, err
}

func (s Source) content(ctx context.Context, out *Writer, h home, keys []kept, d *store.Dump) error {
	if err := s.files(out, h, keys); err != nil {
		return err
	}
	for _, t := range d.Tables() {
		if err := out.Table(t); err != nil {
			return err
		}
		if err := d.Rows(ctx, t, out.Row); err != nil {
			return err
		}
	}
	return nil
}

func (s Source) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// files writes the keys, which belong to the moment of the dump, and everything else.
func (s Source) files(out *Writer, h home, keys []kept) error {
	for _, k := range keys {
		if err := out.File(k.path, int64(len(k.data)), bytes.NewReader(k.data)); err != nil {
			return err
		}
	}
	list, err := h.files("")
	if err != nil {
		return err
	}
	for _, f := range list {
		if strings.HasPrefix(f.path, "pki/") {
			continue
		}
		if err := h.write(out, f); err != nil {
			return err
		}
	}
	return nil
}

// home is the folder without what is in the record, in the traces, or of no use elsewhere.
func (s Source) home() (home, error) {
	dir, err := filepath.Abs(s.Home)
	if err != nil {
		return home{}, fmt.Errorf("backup: %w", err)
	}
	h := home{dir: dir}
	n := s.Node.WithDefaults()
	skip := append([]string{n.Trace.Folder, "locktone.db"}, s.Skip...)
	if dsn := n.Store.DSN; dsn != "" && !strings.Contains(dsn, "://") {
		skip = append(skip, dsn)
	}
	for _, p := range skip {
		if !filepath.IsAbs(p) {
			p = filepath.Join(dir, p)
		}
		for _, suffix := range []string{"", "-wal", "-shm", "-journal", ".restoring", ".restoring-wal", ".restoring-shm"} {
			h.skip = append(h.skip, filepath.Clean(p)+suffix)
		}
	}
	return h, nil
}

// outside are the files that the configuration names by a path that leads out of the home folder.
func (s Source) outside(site *config.Site) (out []string) {
	n := s.Node
	named := []string{n.Store.DSNFile, n.Bus.CAFile, n.Bus.CertFile, n.Bus.KeyFile, n.Bus.CredentialsFile}
	for _, m := range site.MusicOnHold {
		named = append(named, m.File)
	}
	for _, x := range site.Nodes {
		if x.Name != s.Node.WithDefaults().Node {
			continue
		}
		for _, svc := range x.Services {
			named = append(named, svc.IssuerCertificates)
		}
	}
	for _, p := range named {
		if p != "" && (filepath.IsAbs(p) && !below(s.Home, p) || !filepath.IsAbs(p) && !filepath.IsLocal(p)) {
			out = append(out, p)
		}
	}
	return out
}

func below(dir, p string) bool {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	rel, err := filepath.Rel(abs, p)
	return err == nil && filepath.IsLocal(rel)
}

// Copy seals the plain content of a backup that comes from a node, and reads all of it on the way: the copy is whole and in order,
// or there is an error. Close of the sealed side is the caller's.
func Copy(w io.Writer, plain io.Reader, seen func(table string, rows, bytes int64)) (Contents, error) {
	var rows, size int64
	t := io.TeeReader(plain, countWriter{w, &size})
	return Read(t, Sink{
		Table: func(x store.Table) error { rows = 0; seen(x.Name, 0, size); return nil },
		Row:   func(x store.Table, _ []any) error { rows++; seen(x.Name, rows, size); return nil },
	})
}

type countWriter struct {
	w io.Writer
	n *int64
}

// Write writes and counts.
func (c countWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	*c.n += int64(n)
	if err == nil && n < len(p) {
		err = errors.New("backup: short write")
	}
	return n, err
}
