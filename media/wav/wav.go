// Package wav reads and writes RIFF/WAVE files with one channel of 16 bit linear PCM, A-law or mu-law at 8,000 Hz:
// announcements and recordings. Files of up to 48,000 Hz are read too, and brought to 8,000. The chunk layout is that of Microsoft's and IBM's "Multimedia Programming Interface and
// Data Specifications 1.0" (1991).
//
//	RIFF size WAVE
//	  fmt  size  format channels rate bytes/s align bits
//	  data size  samples ...
package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/locktone/locktone/media/g711"
	"github.com/locktone/locktone/media/resample"
)

// Rate is the sampling rate of what is given and written, Hz; files of up to fastest are converted.
const (
	Rate    = 8000
	fastest = 48000
)

// Formats of the fmt chunk.
const (
	formatPCM  = 1
	formatALaw = 6
	formatULaw = 7
)

// MaxSamples bounds what Read takes: an hour.
const MaxSamples = 3600 * Rate

// ParseError says where a file cannot be understood.
type ParseError struct {
	Offset int
	What   string
}

// Error names place and reason.
func (e *ParseError) Error() string { return fmt.Sprintf("wav: at octet %d: %s", e.Offset, e.What) }

// Read decodes a whole file. Chunks other than fmt and data are skipped; a data chunk whose length is wrong because the
// recorder was interrupted is read to the end of the file.
func Read(b []byte) ([]int16, error) {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return nil, &ParseError{0, "not a RIFF/WAVE file"}
	}
	format, rate := -1, 0
	for at := 12; at+8 <= len(b); {
		id, size := string(b[at:at+4]), int(binary.LittleEndian.Uint32(b[at+4:]))
		body := b[at+8:]
		switch id {
		case "fmt ":
			var err error
			if format, rate, err = readFormat(body, at, size); err != nil {
				return nil, err
			}
		case "data":
			if format < 0 {
				return nil, &ParseError{at, "the data chunk comes before the fmt chunk"}
			}
			if size > len(body) || size == 0 && !complete(b) {
				size = len(body)
			}
			return decode(body[:size], format, rate, at)
		}
		if size > len(body) {
			break
		}
		at += 8 + size + size&1
	}
	return nil, &ParseError{len(b), "no data chunk"}
}

// complete says whether the recorder came back to write the length of the file into its header.
func complete(b []byte) bool { return int(binary.LittleEndian.Uint32(b[4:]))+8 == len(b) }

func readFormat(body []byte, at, size int) (law, hz int, err error) {
	if size < 16 || len(body) < 16 {
		return 0, 0, &ParseError{at, "the fmt chunk is too short"}
	}
	le := binary.LittleEndian
	format, channels, rate, bits := le.Uint16(body), le.Uint16(body[2:]), le.Uint32(body[4:]), le.Uint16(body[14:])
	want := uint16(8)
	switch format {
	case formatPCM:
		want = 16
	case formatALaw, formatULaw:
	default:
		return 0, 0, &ParseError{at + 8, fmt.Sprintf("format %d is not PCM (1), A-law (6) or mu-law (7)", format)}
	}
	if channels != 1 || rate < Rate || rate > fastest || bits != want {
		return 0, 0, &ParseError{at + 8, fmt.Sprintf("%d channels of %d bit at %d Hz; convert it to one channel of %d bit at %d Hz", channels, bits, rate, want, Rate)}
	}
	return int(format), int(rate), nil
}

func decode(data []byte, format, rate, at int) ([]int16, error) {
	n := len(data)
	if format == formatPCM {
		n /= 2
	}
	if n/rate > MaxSamples/Rate {
		return nil, &ParseError{at, fmt.Sprintf("longer than %d s", MaxSamples/Rate)}
	}
	pcm := make([]int16, n)
	switch format {
	case formatALaw:
		g711.ALaw.Decode(pcm, data)
	case formatULaw:
		g711.ULaw.Decode(pcm, data)
	default:
		for i := range pcm {
			pcm[i] = int16(binary.LittleEndian.Uint16(data[2*i:]))
		}
	}
	if rate == 2*Rate {
		slow := make([]int16, n/2)
		new(resample.Down).Int16(slow, pcm[:n/2*2])
		return slow, nil
	}
	return resample.Rate(pcm, rate, Rate), nil
}

const headerLen = 44

func header(dataLen uint32) []byte {
	le := binary.LittleEndian
	b := append(make([]byte, 0, headerLen), "RIFF"...)
	b = le.AppendUint32(b, headerLen-8+dataLen)
	b = append(b, "WAVEfmt "...)
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, formatPCM)
	b = le.AppendUint16(b, 1)
	b = le.AppendUint32(b, Rate)
	b = le.AppendUint32(b, 2*Rate)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, 16)
	b = append(b, "data"...)
	return le.AppendUint32(b, dataLen)
}

// Append writes a whole file.
func Append(b []byte, pcm []int16) []byte {
	b = append(b, header(uint32(2*len(pcm)))...)
	for _, v := range pcm {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return b
}

// ErrFull says that a recording has reached its limit.
var ErrFull = errors.New("wav: the recording has reached its limit")

// Recorder writes a recording as it comes. Without Close its header says that it is empty; Read takes it all the same.
type Recorder struct {
	w       io.WriteSeeker
	buf     []byte
	written uint32 // octets of data
	limit   uint32
}

// NewRecorder begins a recording of at most maxSamples; 0 means MaxSamples.
func NewRecorder(w io.WriteSeeker, maxSamples int) (*Recorder, error) {
	if maxSamples <= 0 || maxSamples > MaxSamples {
		maxSamples = MaxSamples
	}
	if _, err := w.Write(header(0)); err != nil {
		return nil, fmt.Errorf("wav: cannot begin the recording: %w", err)
	}
	return &Recorder{w: w, limit: uint32(2 * maxSamples)}, nil
}

// flushAt is how much is gathered before it is written: a second.
const flushAt = 2 * Rate

// WritePCM appends samples; ErrFull when the limit is reached, with what fits written.
func (r *Recorder) WritePCM(src []int16) error {
	for _, v := range src {
		if r.written+uint32(len(r.buf)) >= r.limit {
			return ErrFull
		}
		r.buf = binary.LittleEndian.AppendUint16(r.buf, uint16(v))
	}
	if len(r.buf) < flushAt {
		return nil
	}
	return r.flush()
}

func (r *Recorder) flush() error {
	n, err := r.w.Write(r.buf)
	r.written += uint32(n)
	r.buf = r.buf[:0]
	if err != nil {
		return fmt.Errorf("wav: cannot write the recording: %w", err)
	}
	return nil
}

// Close writes what is left and completes the header. It does not close the file.
func (r *Recorder) Close() error {
	if err := r.flush(); err != nil {
		return err
	}
	if _, err := r.w.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("wav: cannot complete the header: %w", err)
	}
	if _, err := r.w.Write(header(r.written)); err != nil {
		return fmt.Errorf("wav: cannot complete the header: %w", err)
	}
	_, err := r.w.Seek(0, io.SeekEnd)
	return err
}
