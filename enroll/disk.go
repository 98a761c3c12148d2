package enroll

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// disk writes files so that a reader, and a process that starts after a crash, finds the old content or the new one.
type disk struct {
	dir string
	// before is called in front of every change; a test fails there what a crash would leave undone. Nil: nothing.
	before func(op, name string) error
}

func (d disk) path(name string) string { return filepath.Join(d.dir, name) }

func (d disk) hook(op, name string) error {
	if d.before == nil {
		return nil
	}
	return d.before(op, name)
}

// replace writes a file beside the one to be replaced, and renames it.
func (d disk) replace(name string, content []byte, mode fs.FileMode) error {
	if err := d.hook("write", name); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(d.dir, "."+name+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err != nil {
		return fmt.Errorf("writing %s: %w", d.path(name), err)
	}
	if err := d.hook("rename", name); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), d.path(name)); err != nil {
		return err
	}
	d.sync()
	return nil
}

// rename gives a file its final name.
func (d disk) rename(from, to string) error {
	if err := d.hook("rename", to); err != nil {
		return err
	}
	if err := os.Rename(d.path(from), d.path(to)); err != nil {
		return err
	}
	d.sync()
	return nil
}

// remove removes files; those that are not there do not count.
func (d disk) remove(names ...string) error {
	for _, name := range names {
		if err := d.hook("remove", name); err != nil {
			return err
		}
		if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	d.sync()
	return nil
}

// read is nil for a file that is not there.
func (d disk) read(name string) ([]byte, error) {
	b, err := os.ReadFile(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// sync makes the renames last; not every system can, and then it does so by itself.
func (d disk) sync() {
	if f, err := os.Open(d.dir); err == nil {
		_ = f.Sync()
		_ = f.Close()
	}
}
