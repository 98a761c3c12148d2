package provisioning

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// static finds a file of the folder. os.Root keeps it inside, whatever links there are. For a .sgn name a file of exactly that name
// comes first (firmware is signed by its maker), then the file without the ending, signed now.
func (l *library) static(ctx context.Context, q question, f File) (*body, error) {
	if l.cfg.Folder == "" {
		return nil, errNotFound
	}
	if f.Form == Plain {
		return l.open(f.Path)
	}
	b, err := l.open(f.Path + ".sgn")
	if !errors.Is(err, errNotFound) {
		return b, err
	}
	if b, err = l.open(f.Path); err != nil || q.bare {
		return b, err
	}
	defer b.close()
	if b.size > l.cfg.Limits.SignedSize {
		return nil, fmt.Errorf("%w: %s has %d bytes, and files up to %d are signed when asked for; put a signed one beside it", errNotFound, f.Path, b.size, l.cfg.Limits.SignedSize)
	}
	content := make([]byte, b.size)
	if _, err := io.ReadFull(io.NewSectionReader(b, 0, b.size), content); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	signed, err := l.sign.sign(ctx, base(q.name), content, nil)
	if err != nil {
		return nil, err
	}
	return l.bytes(signed)
}

// open opens a regular file of the folder.
func (l *library) open(path string) (*body, error) {
	if !l.files.TryAcquire(1) {
		return nil, errBusy
	}
	file, size, err := l.openIn(path)
	if err != nil {
		l.files.Release(1)
		return nil, err
	}
	return &body{ReaderAt: file, size: size, release: sync.OnceFunc(func() {
		file.Close()
		l.files.Release(1)
	})}, nil
}

func (l *library) openIn(path string) (*os.File, int64, error) {
	root, err := os.OpenRoot(l.cfg.Folder)
	if err != nil {
		return nil, 0, absent(err)
	}
	defer root.Close()
	file, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not block
	if err != nil {
		return nil, 0, absent(err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errNotFound
	case info.Size() > l.cfg.Limits.StaticSize:
		err = fmt.Errorf("%w: %s has %d bytes, at most %d are served", errNotFound, path, info.Size(), l.cfg.Limits.StaticSize)
	default:
		return file, info.Size(), nil
	}
	file.Close()
	return nil, 0, err
}

// absent decides which failures mean that there is no such file: everything but a lack of descriptors or memory, or a bad disk.
func absent(err error) error {
	for _, temporary := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO, syscall.EINTR} {
		if errors.Is(err, temporary) {
			return err
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errNotFound
	}
	return fmt.Errorf("%w: %w", errNotFound, err) // a link out, a part of the path that is a file, no permission
}
