package pki

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// Dir is a Custody in a folder: one file of mode 0600 per secret, in folders of mode 0700. The files belong to the
// process that opened it; a value is written beside, synced and renamed, so a crash leaves the old value or the new.
type Dir struct{ root string }

const secretSuffix = ".pem"

// OpenDir opens or makes the folder. One that others may enter is closed to them while it is empty, and refused when it
// is not: its keys may have been read.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("pki: key folder: %w", err)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("pki: key folder: %w", err)
	}
	if st.Mode().Perm()&0o077 == 0 {
		return &Dir{root: path}, nil
	}
	entries, err := os.ReadDir(path)
	if err == nil && len(entries) == 0 {
		err = os.Chmod(path, 0o700)
	} else if err == nil {
		err = fmt.Errorf("pki: key folder %s has mode %v: private keys are kept there, chmod 700 it", path, st.Mode().Perm())
	}
	if err != nil {
		return nil, err
	}
	return &Dir{root: path}, nil
}

var secretName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$`)

// file maps a name to its path; only plain words are names, so no name leaves the folder.
func (d *Dir) file(name string) (string, error) {
	if !secretName.MatchString(name) || len(name) > 200 {
		return "", fmt.Errorf("pki: secret name %q: want words of letters, digits, '.', '_', '-', separated by '/'", name)
	}
	return filepath.Join(d.root, filepath.FromSlash(name)+secretSuffix), nil
}

// Load implements Custody.
func (d *Dir) Load(_ context.Context, name string) (Secret, error) {
	path, err := d.file(name)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("pki: loading %s: %w", name, err)
	}
	return b, nil
}

// Create implements Custody: the link fails when the name is taken, also by another process.
func (d *Dir) Create(_ context.Context, name string, s Secret) error {
	return d.write(name, s, func(tmp, path string) error {
		defer os.Remove(tmp)
		return os.Link(tmp, path)
	})
}

// Replace implements Custody.
func (d *Dir) Replace(_ context.Context, name string, s Secret) error {
	return d.write(name, s, os.Rename)
}

func (d *Dir) write(name string, s Secret, commit func(tmp, path string) error) error {
	path, err := d.file(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("pki: storing %s: %w", name, err)
	}
	if err := writeSynced(path, s, commit); err != nil {
		return fmt.Errorf("pki: storing %s: %w", name, err)
	}
	return nil
}

// WriteFile puts a file with mode 0600 in place, whole or not at all, so that it is there after a power failure.
func WriteFile(path string, b []byte) error { return writeSynced(path, b, os.Rename) }

// writeSynced writes beside path, syncs, lets commit put the file in place, and syncs the folder, since a rename is
// durable only when the folder is.
func writeSynced(path string, b []byte, commit func(tmp, path string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = commit(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Delete implements Custody.
func (d *Dir) Delete(_ context.Context, name string) error {
	path, err := d.file(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("pki: deleting %s: %w", name, err)
	}
	return nil
}

// List implements Custody.
func (d *Dir) List(_ context.Context, prefix string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			return err
		}
		rel, err := filepath.Rel(d.root, path)
		name, isSecret := strings.CutSuffix(filepath.ToSlash(rel), secretSuffix)
		if isSecret && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
		return err
	})
	sort.Strings(names)
	return names, err
}
