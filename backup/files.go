package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names in a home folder that are the running node's and in no backup.
const (
	lockName   = "lock"
	markerName = "restore.unfinished"
	tmpPrefix  = ".new-" // files that are being written beside their place
)

// checkPath accepts a path below the home folder that means the same everywhere: plain words with slashes between them.
func checkPath(p string) error {
	bad := p == "" || len(p) > maxPath || !utf8.ValidString(p) || path.Clean(p) != p || !fs.ValidPath(p) || p == "." || strings.ContainsAny(p, `\:`) ||
		strings.ContainsFunc(p, unicode.IsControl)
	if bad || !filepath.IsLocal(filepath.FromSlash(p)) {
		return fmt.Errorf("the path %q is none below the home folder", p)
	}
	if p == lockName || p == markerName {
		return fmt.Errorf("the path %q is not for files of a backup", p)
	}
	return nil
}

// A home is a node's folder to read.
type home struct {
	dir  string
	skip []string // absolute paths of what is not taken, each with what is below it
}

// maxDepth bounds folders within folders, also against symbolic links that lead in a circle.
const maxDepth = 12

// found is a file of the home folder.
type found struct {
	path string // with slashes, below the home folder
	size int64
}

// files lists what is taken: every regular file, also behind a symbolic link, but those skipped, those of a running node, and
// backups.
func (h home) files(sub string) (out []found, err error) {
	err = h.walk(sub, 0, &out)
	return out, err
}

func (h home) walk(dir string, depth int, out *[]found) error {
	if depth > maxDepth {
		return fmt.Errorf("backup: %s: folders are too deep, or a symbolic link leads in a circle", filepath.Join(h.dir, dir))
	}
	entries, err := os.ReadDir(filepath.Join(h.dir, filepath.FromSlash(dir)))
	if err != nil {
		if depth == 0 && errors.Is(err, fs.ErrNotExist) && dir != "" {
			return nil
		}
		return fmt.Errorf("backup: %w", err)
	}
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		full := filepath.Join(h.dir, filepath.FromSlash(p))
		if p == lockName || p == markerName || strings.HasPrefix(e.Name(), tmpPrefix) || h.skipped(full) {
			continue
		}
		st, err := os.Stat(full)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // it went meanwhile
		case err != nil:
			return fmt.Errorf("backup: %w", err)
		case st.IsDir():
			err = h.walk(p, depth+1, out)
		case st.Mode().IsRegular() && !isBackup(full):
			if err = checkPath(p); err == nil {
				*out = append(*out, found{p, st.Size()})
			}
		}
		if err != nil {
			return err
		}
		if len(*out) > maxFiles {
			return fmt.Errorf("backup: %s has more than %d files: move away what is not the node's", h.dir, maxFiles)
		}
	}
	return nil
}

func (h home) skipped(full string) bool {
	return slices.ContainsFunc(h.skip, func(s string) bool {
		rest, below := strings.CutPrefix(full, s)
		return below && (rest == "" || rest[0] == filepath.Separator)
	})
}

func isBackup(p string) bool {
	f, err := os.Open(p)
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, len(Magic))
	_, err = io.ReadFull(f, b)
	return err == nil && string(b) == Magic
}

// maxKeys bounds the files of keys that are held in memory, in bytes.
const maxKeys = 64 << 20

// kept is a file held in memory.
type kept struct {
	path string
	data []byte
}

// keys reads the folder of private keys.
func (h home) keys() (out []kept, sum [sha256.Size]byte, err error) {
	list, err := h.files("pki")
	if err != nil {
		return nil, sum, err
	}
	digest, total := sha256.New(), 0
	for _, f := range list {
		b, err := os.ReadFile(filepath.Join(h.dir, filepath.FromSlash(f.path)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the digest of the next reading will tell
		}
		if err != nil {
			return nil, sum, fmt.Errorf("backup: %w", err)
		}
		if total += len(b); total > maxKeys {
			return nil, sum, fmt.Errorf("backup: the folder of keys has more than %d MiB", maxKeys>>20)
		}
		out = append(out, kept{f.path, b})
		fmt.Fprintf(digest, "%q %d\n", f.path, len(b))
		digest.Write(b)
	}
	return out, [sha256.Size]byte(digest.Sum(nil)), nil
}

// around runs read between two readings of the keys that are the same, so that they are those of the moment of read.
func (h home) around(ctx context.Context, read func() error, undo func()) ([]kept, error) {
	const tries = 10
	for range tries {
		_, before, err := h.keys()
		if err != nil {
			return nil, err
		}
		if err := read(); err != nil {
			return nil, err
		}
		keys, after, err := h.keys()
		if err == nil && before == after {
			return keys, nil
		}
		undo()
		if err := errors.Join(err, ctx.Err()); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("backup: the keys in %s changed %d times while they were read: try again when the rotation is done", filepath.Join(h.dir, "pki"), tries)
}

// write adds a file as it is now. A small one is read as a whole first, so that it is one state of it.
func (h home) write(w *Writer, f found) error {
	in, err := os.Open(filepath.Join(h.dir, filepath.FromSlash(f.path)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it went since the folder was listed
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer in.Close()
	const small = 1 << 20
	if f.size > small {
		return w.File(f.path, f.size, in)
	}
	b, err := io.ReadAll(io.LimitReader(in, 2*small))
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return w.File(f.path, int64(len(b)), bytes.NewReader(b))
}
