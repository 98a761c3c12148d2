package backup

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/argon2"

	"github.com/locktone/locktone/wire/secret"
)

// Magic is how every backup begins.
const Magic = "locktone backup\n"

// sealVersion is the version of the outer layer.
const sealVersion = 1

// The ways to come to the key of a file.
const (
	byPassphrase = 1 // Argon2id: passes (1 byte), KiB of memory (4), lanes (1), salt (16)
	byRecipient  = 2 // HPKE: encapsulated key (2 bytes of length, and the key)
)

// RFC 9106, 4: the second recommended option, for where memory is not plenty: 3 passes, 64 MiB, 4 lanes.
const (
	passes    = 3
	memoryKiB = 64 << 10
	lanes     = 4
	saltSize  = 16
)

// A header may ask for this much at most: whoever writes one must not choose how much memory and time reading takes.
const (
	maxPasses    = 16
	maxMemoryKiB = 1 << 20
	maxLanes     = 16
	maxHeader    = 4096
)

const (
	chunkSize = 64 << 10
	tagSize   = 16
	keySize   = 32
)

// Errors that callers tell apart with errors.Is. The sentence for a wrong key is always the same.
var (
	ErrNotBackup = errors.New("this is no backup of Locktone")
	ErrKey       = errors.New("the passphrase or key is not the one this backup was made with, or the beginning of the file was changed")
	ErrDamaged   = errors.New("the backup is damaged")
)

// MinPassphrase is the least length of a passphrase in characters.
const MinPassphrase = 12

// A Lock closes a file: with a passphrase, or, where Recipient is set, for whoever has the recipient's private key.
type Lock struct {
	Passphrase secret.Text
	Recipient  *PublicKey
}

// A Key opens a file.
type Key struct {
	Passphrase secret.Text
	Private    *PrivateKey
}

// Seal begins a sealed file. Close ends it, and does not close w.
func Seal(w io.Writer, l Lock) (io.WriteCloser, error) {
	header := append([]byte(Magic), sealVersion)
	var key []byte
	switch {
	case l.Recipient != nil:
		enc, sender, err := hpke.NewSender(l.Recipient.key, hpke.HKDFSHA256(), hpke.ExportOnly(), []byte(Magic))
		if err != nil {
			return nil, fmt.Errorf("backup: %w", err)
		}
		header = append(header, byRecipient)
		header = binary.BigEndian.AppendUint16(header, uint16(len(enc)))
		header = append(header, enc...)
		if key, err = sender.Export(keyContext, keySize); err != nil {
			return nil, fmt.Errorf("backup: %w", err)
		}
	case len([]rune(l.Passphrase.Reveal())) < MinPassphrase:
		return nil, fmt.Errorf("the passphrase is too short: at least %d characters are needed", MinPassphrase)
	default:
		var salt [saltSize]byte
		_, _ = rand.Read(salt[:]) // never fails, crypto/rand says
		header = append(header, byPassphrase, passes)
		header = binary.BigEndian.AppendUint32(header, memoryKiB)
		header = append(append(header, lanes), salt[:]...)
		key = argon2.IDKey([]byte(l.Passphrase.Reveal()), salt[:], passes, memoryKiB, lanes, keySize)
	}
	s := &sealer{w: w, buf: make([]byte, 0, chunkSize+tagSize)}
	var err error
	if s.aead, err = chunkCipher(key, header); err == nil {
		_, err = w.Write(header)
	}
	return s, err
}

// keyContext tells the key of a file from anything else that is exported from the same agreement.
const keyContext = "locktone backup file key"

// chunkCipher is the cipher of a file's chunks: its key is bound to the header.
func chunkCipher(key, header []byte) (cipher.AEAD, error) {
	sum := sha256.Sum256(header)
	k, err := hkdf.Key(sha256.New, key, sum[:], "locktone backup chunks", keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonce is that of chunk n: 11 bytes of counter, and 1 for the last chunk.
func nonce(n uint64, last bool) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b[3:11], n)
	if last {
		b[11] = 1
	}
	return b
}

type sealer struct {
	w    io.Writer
	aead cipher.AEAD
	buf  []byte
	n    uint64
	err  error
}

// Write takes plain bytes. A full chunk is written when more comes, since the last one is marked.
func (s *sealer) Write(p []byte) (n int, err error) {
	for s.err == nil && len(p) > 0 {
		if len(s.buf) == chunkSize {
			s.flush(false)
			continue
		}
		k := min(len(p), chunkSize-len(s.buf))
		s.buf, p, n = append(s.buf, p[:k]...), p[k:], n+k
	}
	return n, s.err
}

func (s *sealer) flush(last bool) {
	_, s.err = s.w.Write(s.aead.Seal(s.buf[:0], nonce(s.n, last), s.buf, nil))
	s.buf, s.n = s.buf[:0], s.n+1
}

var errClosed = errors.New("backup: the file is complete")

// Close writes the last chunk.
func (s *sealer) Close() error {
	if s.err == nil {
		if s.flush(true); s.err == nil {
			s.err = errClosed
			return nil
		}
	}
	return s.err
}

// Unseal reads the header of a sealed file and returns its plain content. Reading fails with ErrDamaged at a chunk that is not what
// was written there. Errors: ErrNotBackup; ErrKey, also with the first read.
func Unseal(r io.Reader, k Key) (io.Reader, error) {
	in := bufio.NewReaderSize(r, chunkSize+tagSize+1)
	head := &headReader{r: in}
	magic := head.take(len(Magic))
	if head.err != nil || string(magic) != Magic {
		return nil, ErrNotBackup
	}
	switch version := head.byte(); {
	case head.err != nil:
		return nil, fmt.Errorf("%w: it ends within its header", ErrDamaged)
	case version != sealVersion:
		return nil, fmt.Errorf("this backup has format %d, this program knows %d: use the version that wrote it or a later one", version, sealVersion)
	}
	key, err := head.key(k)
	if head.err != nil {
		return nil, fmt.Errorf("%w: it ends within its header", ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	u := &unsealer{r: in}
	u.aead, err = chunkCipher(key, head.seen.Bytes())
	return u, err
}

// headReader reads the header and remembers it.
type headReader struct {
	r    io.Reader
	seen bytes.Buffer
	err  error
}

func (h *headReader) take(n int) []byte {
	b := make([]byte, n)
	if h.err == nil {
		_, h.err = io.ReadFull(h.r, b)
	}
	h.seen.Write(b)
	return b
}

func (h *headReader) byte() byte { return h.take(1)[0] }

func (h *headReader) key(k Key) ([]byte, error) {
	switch way := h.byte(); {
	case h.err != nil:
		return nil, h.err
	case way == byPassphrase:
		return h.passphrase(k)
	case way == byRecipient:
		return h.recipient(k)
	}
	return nil, fmt.Errorf("%w: its header names no way to the key that this program knows", ErrDamaged)
}

func (h *headReader) passphrase(k Key) ([]byte, error) {
	t, m, p, salt := h.byte(), binary.BigEndian.Uint32(h.take(4)), h.byte(), h.take(saltSize)
	if h.err != nil {
		return nil, h.err
	}
	if t == 0 || t > maxPasses || p == 0 || p > maxLanes || m > maxMemoryKiB || m < 8*uint32(p) {
		return nil, fmt.Errorf("%w: its header asks for %d passes over %d KiB with %d lanes to try a passphrase, at most %d, %d and %d are allowed", ErrDamaged, t, m, p,
			maxPasses, maxMemoryKiB, maxLanes)
	}
	if k.Passphrase.IsZero() {
		return nil, errors.New("this backup was closed with a passphrase: give it (from the terminal, standard input, or --passphrase-file), not a key file")
	}
	return argon2.IDKey([]byte(k.Passphrase.Reveal()), salt, uint32(t), m, p, keySize), nil
}

func (h *headReader) recipient(k Key) ([]byte, error) {
	n := int(binary.BigEndian.Uint16(h.take(2)))
	if n > maxHeader {
		return nil, fmt.Errorf("%w: its header has a key of %d bytes", ErrDamaged, n)
	}
	enc := h.take(n)
	if h.err != nil {
		return nil, h.err
	}
	if k.Private == nil {
		return nil, errors.New("this backup was closed for a recipient: give the private key file with --key")
	}
	r, err := hpke.NewRecipient(enc, k.Private.key, hpke.HKDFSHA256(), hpke.ExportOnly(), []byte(Magic))
	if err != nil {
		return nil, ErrKey
	}
	return r.Export(keyContext, keySize)
}

// unsealer opens one chunk after the other.
type unsealer struct {
	r     *bufio.Reader
	aead  cipher.AEAD
	n     uint64
	plain []byte // of the present chunk, what was not read yet
	last  bool
	err   error
}

// Read hands on what was authenticated.
func (u *unsealer) Read(p []byte) (int, error) {
	for len(u.plain) == 0 {
		if u.err == nil && u.last {
			u.err = io.EOF
		}
		if u.err == nil {
			u.err = u.next()
		}
		if u.err != nil {
			return 0, u.err
		}
	}
	n := copy(p, u.plain)
	u.plain = u.plain[n:]
	return n, nil
}

func (u *unsealer) next() error {
	chunk := make([]byte, chunkSize+tagSize)
	n, err := io.ReadFull(u.r, chunk)
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		u.last = true
	case err != nil:
		return err
	default:
		_, err := u.r.Peek(1)
		if u.last = err == io.EOF; err != nil && !u.last {
			return err
		}
	}
	plain, err := u.aead.Open(chunk[:0], nonce(u.n, u.last), chunk[:n], nil)
	switch {
	case err == nil && u.last && u.n > 0 && len(plain) == 0: // Seal never writes an empty last chunk behind another
	case err == nil:
		u.plain, u.n = plain, u.n+1
		return nil
	case u.n == 0:
		return ErrKey
	}
	if u.last {
		return fmt.Errorf("%w at byte %d: it ends early there, or was changed; take another copy of the file", ErrDamaged, u.n*(chunkSize+tagSize))
	}
	return fmt.Errorf("%w at byte %d: it was changed there; take another copy of the file", ErrDamaged, u.n*(chunkSize+tagSize))
}
