package cti

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/wire/ctiqbe"
)

// TraceLevel is how much is written.
type TraceLevel uint8

// The levels.
const (
	TraceOff TraceLevel = iota
	TraceError
	TraceDetailed
)

// TraceConfig is the page Trace of the form.
type TraceConfig struct {
	Level TraceLevel `json:"level"` // of the provider itself (TSP): nothing, errors, or everything
	CTI   bool       `json:"cti"`   // each message of the protocol, by name
	TSPI  bool       `json:"tspi"`  // each function of the telephony interface
	Dir   string     `json:"directory"`
	Size  int        `json:"fileSize"` // megabytes of a file; 10 when 0
	Files int        `json:"files"`    // how many are kept of each kind; 10 when 0
}

// Tracer writes the trace, one series of files for each of TSP, CTI and TSPI. A line is
//
//	16:31:04.075 | CSSLHelper::GetCTLFromTFTP CTLFileName = CTLCAPFA6A63C5.tlv
//
// which is how the field's own TSP writes it; |--> and |<-- are the begin and the end of a function. Secrets never appear:
// of a message only its name, number and size. A nil Tracer writes nothing.
type Tracer struct {
	cfg   TraceConfig
	clock func() time.Time
	mu    sync.Mutex
	files map[string]*series
}

// NewTracer opens the folder. clock is nil for the system's.
func NewTracer(cfg TraceConfig, clock func() time.Time) (*Tracer, error) {
	if cfg.Level == TraceOff && !cfg.CTI && !cfg.TSPI {
		return nil, nil
	}
	if cfg.Size == 0 {
		cfg.Size = 10
	}
	if cfg.Files == 0 {
		cfg.Files = 10
	}
	if clock == nil {
		clock = time.Now
	}
	if cfg.Dir == "" {
		return nil, fmt.Errorf("trace: the folder is missing")
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	return &Tracer{cfg: cfg, clock: clock, files: map[string]*series{}}, nil
}

// Close closes the files.
func (t *Tracer) Close() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var first error
	for _, s := range t.files {
		if err := s.close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// line writes one line of a kind. Trouble with the disk is nobody's reason to stop telephoning: it is dropped.
func (t *Tracer) line(kind, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.files[kind]
	if s == nil {
		s = &series{stem: filepath.Join(t.cfg.Dir, kind), limit: int64(t.cfg.Size) << 20, keep: t.cfg.Files}
		t.files[kind] = s
	}
	text := strings.NewReplacer("\n", " ", "\r", " ").Replace(fmt.Sprintf(format, args...))
	_, _ = io.WriteString(s, t.clock().Format("15:04:05.000")+" |"+text+"\n")
}

// Detail writes a line of the detailed level.
func (t *Tracer) Detail(format string, args ...any) {
	if t != nil && t.cfg.Level >= TraceDetailed {
		t.line("TSP", " "+format, args...)
	}
}

// Fault writes a line of the error level.
func (t *Tracer) Fault(format string, args ...any) {
	if t != nil && t.cfg.Level >= TraceError {
		t.line("TSP", " *ERROR* "+format, args...)
	}
}

// enter writes the begin of a function of the provider, and what is returned its end.
func (t *Tracer) enter(name string) (leave func()) {
	if t == nil || t.cfg.Level < TraceDetailed {
		return func() {}
	}
	t.line("TSP", "-->%s()", name)
	return func() { t.line("TSP", "<--%s()", name) }
}

// tspi writes the begin of a function of the telephony interface, and what is returned its end.
func (t *Tracer) tspi(name, format string, args ...any) (leave func(error)) {
	if t == nil || !t.cfg.TSPI {
		return func(error) {}
	}
	t.line("TSPI", "-->%s() %s", name, fmt.Sprintf(format, args...))
	return func(err error) {
		if err != nil {
			t.line("TSPI", " *ERROR* %s() %v", name, err)
		}
		t.line("TSPI", "<--%s()", name)
	}
}

// message writes a message of the protocol: its name, number, size, sequence number and result, and nothing of what is in it.
func (t *Tracer) message(sent bool, m ctiqbe.Message, size int) {
	if t == nil || !t.cfg.CTI {
		return
	}
	way := "received"
	if sent {
		way = "sent"
	}
	text := fmt.Sprintf(" CQBE::%s PDU#=%d %s qbeMsgSize=0x%x", way, uint32(m.PDU()), m.PDU(), size)
	if n, ok := ctiqbe.Sequence(m); ok {
		text += fmt.Sprintf(" seq#=%d", n)
	}
	if r, ok := ctiqbe.ResultOf(m); ok {
		text += fmt.Sprintf(" result=%s", r.Error())
	}
	t.line("CTI", "%s", text)
}

func (t *Tracer) ctiError(p ctiqbe.PDU, err error) {
	if t != nil && t.cfg.CTI {
		t.line("CTI", " *ERROR* CQBE::received %s: %v", p, err)
	}
}

// connected writes the outcome of a handshake.
func (t *Tracer) connected(cs tls.ConnectionState) {
	t.Detail("CSSLHelper::SSLConnectThreadEntry() Handshake: Finished")
	t.Detail("CSSLHelper::SSLConnectThreadEntry() SSL connection using %s", opensslName(cs.CipherSuite))
}

// opensslName is a cipher suite as OpenSSL and the field's traces name it.
func opensslName(suite uint16) string {
	name := tls.CipherSuiteName(suite)
	if n, ok := opensslNames[suite]; ok {
		return n
	}
	return name // TLS 1.3: the same in both
}

var opensslNames = map[uint16]string{
	tls.TLS_RSA_WITH_AES_128_CBC_SHA:                  "AES128-SHA",
	tls.TLS_RSA_WITH_AES_256_CBC_SHA:                  "AES256-SHA",
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256:               "AES128-GCM-SHA256",
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384:               "AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:            "ECDHE-RSA-AES128-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:            "ECDHE-RSA-AES256-SHA",
}

// series is files of a bounded size, STEM000001.txt and so on, of which the last ones are kept.
type series struct {
	stem  string
	limit int64
	keep  int

	number  int
	file    *os.File
	written int64
}

func (s *series) name(n int) string { return fmt.Sprintf("%s%06d.txt", s.stem, n) }

// Write writes one line.
func (s *series) Write(b []byte) (int, error) {
	if s.file == nil || s.written+int64(len(b)) > s.limit {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n, err := s.file.Write(b)
	s.written += int64(n)
	return n, err
}

// next opens the file to go on in: at first the last one that is there, where it has room, then always a new one. It removes
// those that are too many.
func (s *series) next() error {
	_ = s.close()
	if s.number == 0 {
		s.number = s.last()
		if st, err := os.Stat(s.name(s.number)); err != nil || st.Size() >= s.limit {
			s.number++
		}
	} else {
		s.number++
	}
	f, err := os.OpenFile(s.name(s.number), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.file, s.written = f, st.Size()
	old := s.there()
	for len(old) > s.keep {
		_ = os.Remove(old[0])
		old = old[1:]
	}
	return nil
}

// there are the files of the series, oldest first.
func (s *series) there() []string {
	all, _ := filepath.Glob(s.stem + "[0-9][0-9][0-9][0-9][0-9][0-9].txt") // sorted
	return all
}

// last is the number of the newest file, 0 where there is none.
func (s *series) last() int {
	all := s.there()
	if len(all) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(all[len(all)-1], s.stem), ".txt"))
	return n
}

func (s *series) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
