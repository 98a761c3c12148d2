package backup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/store"
)

// Target is where a backup becomes a site again. The caller holds the lock of the home folder.
type Target struct {
	Home string
	// DSN of the record, as in node.yaml; empty: the one the node's configuration names.
	DSN string
	// Node is a node.yaml that takes the place of the one in the backup; nil: that one.
	Node []byte
	// Name of the backup and who restores it, for the audit log.
	Name, Actor string
	Progress    func(text string) // nil: silent
}

// Restored is what came of it.
type Restored struct {
	Contents
	Home   string `json:"home"`
	Record string `json:"record"` // without credentials
	// Notes are for whoever starts the node.
	Notes []string `json:"notes,omitempty"`
}

// Check reads a whole backup and says what is in it.
func Check(plain io.Reader) (Contents, error) {
	c, err := Read(plain, Sink{})
	if err != nil {
		return c, err
	}
	return c, c.agrees()
}

// agrees checks the tables against those of the schema.
func (c Contents) agrees() error {
	tables, err := store.TablesAt(context.Background(), c.Schema)
	if err != nil {
		return err
	}
	var want, got []string
	for _, t := range tables {
		want = append(want, t.Name)
	}
	for _, t := range c.Tables {
		got = append(got, t.Table)
	}
	if !slices.Equal(want, got) {
		return fmt.Errorf("%w: it has the tables %s, schema %d has %s", ErrDamaged, strings.Join(got, ", "), c.Schema, strings.Join(want, ", "))
	}
	return nil
}

// Unfinished says whether a home folder is one that a restore did not finish.
func Unfinished(home string) bool {
	_, err := os.Lstat(filepath.Join(home, markerName))
	return err == nil
}

// ErrHomeNotEmpty: the home folder has something in it.
var ErrHomeNotEmpty = errors.New("the home folder is not empty")

// Restore makes a site of a backup, all or nothing, in an empty home folder and an empty record. open begins reading the plain
// content; it is read twice, first to the end without touching anything. What a failed restore has written it removes; after a
// crash the folder stays marked as unfinished, and Restore begins anew.
func Restore(ctx context.Context, open func() (io.Reader, error), t Target) (Restored, error) {
	if t.Progress == nil {
		t.Progress = func(string) {}
	}
	plain, err := open()
	if err != nil {
		return Restored{}, err
	}
	t.Progress("reading the backup")
	contents, err := Check(plain)
	if err != nil {
		return Restored{}, err
	}
	if plain, err = open(); err != nil {
		return Restored{}, err
	}
	r := &restorer{ctx: ctx, t: t, contents: contents}
	if err := r.begin(); err != nil {
		return Restored{}, err
	}
	defer r.root.Close()
	out, err := r.run(plain)
	if err != nil {
		err = errors.Join(err, r.undo())
	}
	return out, err
}

type restorer struct {
	ctx      context.Context
	t        Target
	contents Contents
	root     *os.Root // the home folder: nothing it opens is outside, whatever links there are
	mark     string
	dsn      string // of the record
	loader   *store.Loader
	rows     [][]any // of the present table, not inserted yet
	table    store.Table
	count    int64
	notes    []string
}

// begin marks an empty home folder, or takes up one that was marked.
func (r *restorer) begin() (err error) {
	if err := os.MkdirAll(r.t.Home, 0o700); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if r.root, err = os.OpenRoot(r.t.Home); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err = r.marked(); err != nil {
		r.root.Close()
	}
	return err
}

func (r *restorer) marked() error {
	b, err := r.root.ReadFile(markerName)
	if err == nil && len(b) == 32 {
		r.mark = string(b)
		return r.wipe()
	}
	if err == nil && len(b) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("restore: %s in %s is not one of ours: remove it", markerName, r.t.Home)
	}
	entries, err := os.ReadDir(r.t.Home)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	for _, e := range entries {
		if e.Name() != lockName && e.Name() != markerName {
			return fmt.Errorf("restore: %w: %s has %s in it; name another folder with --home, or move this one away", ErrHomeNotEmpty, r.t.Home, e.Name())
		}
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails, crypto/rand says
	r.mark = hex.EncodeToString(random[:])
	return r.write(markerName, strings.NewReader(r.mark))
}

// wipe removes what an earlier attempt has written.
func (r *restorer) wipe() error {
	entries, err := os.ReadDir(r.t.Home)
	for _, e := range entries {
		if e.Name() != lockName && e.Name() != markerName {
			err = errors.Join(err, r.root.RemoveAll(e.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// undo leaves the folder as it was: empty. Once the record is there with its mark, both stay, for the next attempt to begin anew.
func (r *restorer) undo() error {
	if r.loader != nil {
		_ = r.loader.Close() // what went wrong is known already
	}
	if r.loader != nil && r.loader.Committed() {
		return nil
	}
	if err := r.wipe(); err != nil {
		return err
	}
	return r.root.Remove(markerName)
}

// write makes a file of mode 0600 in folders of mode 0700. It is on the disk when write returns.
func (r *restorer) write(name string, from io.Reader) error {
	f, err := r.create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// create makes a file that must not be there yet.
func (r *restorer) create(name string) (io.WriteCloser, error) {
	if dir := path.Dir(name); dir != "." {
		if err := r.root.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("restore: %w", err)
		}
	}
	f, err := r.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	return syncedFile{f}, nil
}

type syncedFile struct{ *os.File }

// Close syncs and closes.
func (f syncedFile) Close() error { return errors.Join(f.Sync(), f.File.Close()) }

func (r *restorer) run(plain io.Reader) (Restored, error) {
	var node config.NodeConfig
	_, err := Read(plain, Sink{
		Manifest: func(m Manifest) error {
			r.t.Progress("writing the files")
			if m.Time != r.contents.Time || m.Schema != r.contents.Schema {
				return fmt.Errorf("%w: it changed while it was read", ErrDamaged)
			}
			return nil
		},
		File: func(name string, _ int64) (io.WriteCloser, error) {
			if name == nodeFile && r.t.Node != nil {
				return nil, nil
			}
			return r.create(name)
		},
		Table: func(t store.Table) (err error) {
			if r.loader == nil {
				if node, err = r.place(); err != nil {
					return err
				}
			}
			return r.begun(t)
		},
		Row: r.row,
	})
	if err == nil {
		err = r.flush()
	}
	if err != nil {
		return Restored{}, err
	}
	return r.finish(node)
}

// nodeFile is the node's own configuration in its home folder.
const nodeFile = "node.yaml"

// place finds out where the record goes, and opens it. All files are there by now, also the one that may hold the DSN.
func (r *restorer) place() (config.NodeConfig, error) {
	var node config.NodeConfig
	if r.t.Node != nil {
		if err := r.write(nodeFile, strings.NewReader(string(r.t.Node))); err != nil {
			return node, err
		}
	}
	b, err := r.root.ReadFile(nodeFile)
	if err == nil {
		n, err := config.ParseNode(nodeFile, b)
		if err != nil {
			return node, fmt.Errorf("restore: the node's configuration: %w", err)
		}
		node = *n
	} else if !errors.Is(err, fs.ErrNotExist) {
		return node, fmt.Errorf("restore: %w", err)
	}
	if err := r.rewrite(&node); err != nil {
		return node, err
	}
	dsn, err := node.DSN(r.t.Home)
	if err != nil {
		return node, fmt.Errorf("restore: where the record goes: %w; name it with --dsn", err)
	}
	if !strings.Contains(dsn, "://") {
		if _, err := os.Lstat(dsn); err == nil && below(r.t.Home, dsn) {
			return node, fmt.Errorf("restore: %w: the file of the record, %s, is in the backup as something else", ErrDamaged, dsn)
		}
	}
	r.dsn = dsn
	r.loader, err = store.OpenLoader(r.ctx, dsn, r.contents.Schema, r.mark)
	return node, err
}

// rewrite makes the node's configuration name this folder and this record.
func (r *restorer) rewrite(node *config.NodeConfig) error {
	if node.Home == "" && r.t.DSN == "" {
		return nil
	}
	if _, err := r.root.Stat(nodeFile); err == nil {
		if err := r.root.Rename(nodeFile, nodeFile+".before"); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		r.notes = append(r.notes, nodeFile+" was written anew with the place of the record; "+nodeFile+".before is how it was")
	}
	node.Home = ""
	if r.t.DSN != "" {
		node.Store.DSN, node.Store.DSNFile = r.t.DSN, ""
	}
	if strings.Contains(r.t.DSN, "://") { // it may hold a password: a file of its own
		const name = "record.dsn"
		_ = r.root.Remove(name)
		if err := r.write(name, strings.NewReader(r.t.DSN+"\n")); err != nil {
			return err
		}
		node.Store.DSN, node.Store.DSNFile = "", name
	}
	return r.write(nodeFile, strings.NewReader(string(config.FormatNode(node))))
}

func (r *restorer) begun(t store.Table) error {
	if err := r.flush(); err != nil {
		return err
	}
	i := slices.IndexFunc(r.loader.Tables(), func(x store.Table) bool { return x.Name == t.Name && slices.Equal(x.Columns, t.Columns) })
	if i < 0 {
		return fmt.Errorf("%w: the table %s has other columns than schema %d", ErrDamaged, t.Name, r.contents.Schema)
	}
	r.t.Progress("writing the record: " + t.Name)
	r.table, r.count = t, 0
	return nil
}

func (r *restorer) row(_ store.Table, values []any) error {
	r.rows = append(r.rows, slices.Clone(values))
	if len(r.rows) < r.loader.Rows() {
		return nil
	}
	return r.flush()
}

func (r *restorer) flush() error {
	if r.loader == nil || len(r.rows) == 0 {
		return nil
	}
	err := r.loader.Insert(r.ctx, r.table, r.rows)
	if r.count += int64(len(r.rows)); r.count%10_000 < int64(len(r.rows)) {
		r.t.Progress(fmt.Sprintf("writing the record: %s, %d rows", r.table.Name, r.count))
	}
	r.rows = r.rows[:0]
	return err
}

// finish makes it be there, in this order: the record, whose rows carry the mark; the folder, which loses its mark; the record's
// mark. Whatever is left after a crash in between is either marked in the folder, or complete.
func (r *restorer) finish(node config.NodeConfig) (Restored, error) {
	r.t.Progress("finishing the record")
	if err := r.syncFolders(); err != nil {
		return Restored{}, err
	}
	c := r.contents
	detail := fmt.Sprintf("of node %s of %s at %s, schema %d, written by version %s", c.Node, c.Cluster, c.Time.Format("2006-01-02 15:04:05 MST"), c.Schema, c.Program)
	audit := store.AuditEntry{Actor: r.t.Actor, Source: "command", Action: "restore", Object: r.t.Name, Result: "ok", Detail: detail}
	if err := r.loader.Commit(r.ctx, audit); err != nil {
		return Restored{}, err
	}
	r.t.Progress("finishing the home folder")
	if err := errors.Join(r.root.Remove(markerName), r.syncFolder(".")); err != nil {
		return Restored{}, fmt.Errorf("restore: %w", err)
	}
	r.t.Progress("finishing the record")
	if err := r.loader.Finish(r.ctx); err != nil {
		r.notes = append(r.notes, "the record is complete, but still marked as being restored, which its first start clears: "+err.Error())
	}
	if c.Schema < store.NewestSchema() {
		r.notes = append(r.notes, fmt.Sprintf("the record was brought from schema %d to %d", c.Schema, store.NewestSchema()))
	}
	for _, p := range c.Outside {
		r.notes = append(r.notes, p+" is named by the configuration and lies outside the home folder: it was not in the backup, put it there yourself")
	}
	if _, err := r.root.Stat("outbox.db"); err == nil && !strings.Contains(r.dsn, "://") {
		r.notes = append(r.notes, "outbox.db may hold records that waited for PostgreSQL when the node stopped: nothing writes them into the file that is the record now")
	}
	if _, err := r.root.Stat(nodeFile); err != nil && c.Node != node.WithDefaults().Node {
		r.notes = append(r.notes, fmt.Sprintf("the backup is of node %s, whose configuration file lay outside its home folder: start with --node FILE", c.Node))
	}
	return Restored{Contents: c, Home: r.t.Home, Record: r.loader.Location(), Notes: r.notes}, r.loader.Close()
}

// syncFolders makes the names of the files durable, as their contents are.
func (r *restorer) syncFolders() error {
	return fs.WalkDir(r.root.FS(), ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return r.syncFolder(p)
	})
}

func (r *restorer) syncFolder(p string) error {
	d, err := r.root.Open(p)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
