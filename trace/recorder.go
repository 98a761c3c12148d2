package trace

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Config says where and how much a recorder stores. The zero value records to memory only, at level info.
type Config struct {
	Dir          string           // folder of the segment files, made with mode 0700 when missing; empty: memory only
	Node         string           // name of this node, put into records that carry none; default "n1"
	Level        Level            // the default level; Inherit means Info
	Memory       int              // bytes of records kept in memory; default 16 MiB, at least two blocks of 256 KiB
	SegmentBytes int64            // a segment is closed at this size; default 16 MiB
	TotalBytes   int64            // the oldest segments are removed beyond this; default 256 MiB
	FlushEvery   time.Duration    // the longest a record waits in memory for the file; default 100 ms
	ShowDigits   bool             // store DTMF digits (they may be PINs); an exception the operator sees
	Now          func() time.Time // the clock; nil means time.Now
}

func (c Config) withDefaults() Config {
	if c.Node == "" {
		c.Node = "n1"
	}
	if c.Memory <= 0 {
		c.Memory = 16 << 20
	}
	c.Memory = max(c.Memory, 2*blockSize)
	if c.SegmentBytes <= 0 {
		c.SegmentBytes = 16 << 20
	}
	if c.TotalBytes <= 0 {
		c.TotalBytes = 256 << 20
	}
	c.TotalBytes = max(c.TotalBytes, 2*c.SegmentBytes)
	if c.FlushEvery <= 0 {
		c.FlushEvery = 100 * time.Millisecond
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Recorder takes records from every service of a node. All methods may be called from any goroutine; none waits for a
// disk but Flush and Close. A nil *Recorder records nothing, so that a service needs no test before it records.
//
// What is recorded lies on the desk first, and becomes a line in the ring some moments later (see drafts). The mutex guards the ring,
// its index and the subscribers; what it protects is memory copies of bounded length. The disk goroutine takes ranges of
// blocks out under the mutex and writes them without it.
type Recorder struct {
	cfg    Config
	policy policy
	levels atomic.Pointer[Levels]

	mu    sync.Mutex
	ring  ring
	index index
	tails []*Tail
	stamp stamp
	lost  uint64 // records that left the ring before the disk had them, since the last mark

	desk     desk
	settling sync.Mutex  // held by who makes lines of drafts, before mu
	watched  atomic.Bool // there are subscribers
	dirty    atomic.Bool // the disk goroutine has been woken

	disk  *disk
	wake  chan struct{}      // capacity 1: there is something to write
	full  chan struct{}      // capacity 1: a block is full
	asked chan chan struct{} // Flush
	stop  chan struct{}
	done  chan struct{}

	total, lagged atomic.Uint64
	closed        atomic.Bool
}

// Open starts a recorder. It fails only when the folder cannot be made or read; a full disk later does not stop it.
func Open(cfg Config) (*Recorder, error) {
	cfg = cfg.withDefaults()
	r := &Recorder{
		cfg: cfg, policy: policy{digits: cfg.ShowDigits},
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), asked: make(chan chan struct{}), stop: make(chan struct{}), done: make(chan struct{}),
	}
	r.levels.Store(NewLevels(cfg.Level))
	r.ring.limit = cfg.Memory
	r.index.init()
	if cfg.Dir != "" {
		d, seq, err := openDisk(cfg)
		if err != nil {
			return nil, err
		}
		r.disk, r.desk.seq = d, seq
	}
	go r.run()
	return r, nil
}

// Enabled reports whether a record of that level would be stored. Callers on a hot path ask before they build one.
func (r *Recorder) Enabled(service, device, user string, l Level) bool {
	return r != nil && r.levels.Load().Enabled(service, device, user, l)
}

// Levels returns the level table in force.
func (r *Recorder) Levels() *Levels {
	if r == nil {
		return NewLevels(Off)
	}
	return r.levels.Load()
}

// SetLevel changes one rule while the recorder runs; level Inherit removes it, the zero scope is the default.
func (r *Recorder) SetLevel(s Scope, l Level) error {
	if r == nil {
		return nil
	}
	for {
		old := r.levels.Load()
		next, err := old.With(s, l)
		if err != nil {
			return err
		}
		if r.levels.CompareAndSwap(old, next) {
			return nil
		}
	}
}

// ChangeLevel is SetLevel for one service, device or user, with the level spelt out; it returns the level that was in force.
func (r *Recorder) ChangeLevel(service, device, user, level string) (previous string, err error) {
	l, err := ParseLevel(level)
	if err != nil {
		return "", err
	}
	previous = r.Levels().Level(service, device, user).String()
	return previous, r.SetLevel(Scope{Service: service, Device: device, User: user}, l)
}

// Record stores a record unless its level excludes it. It copies everything it keeps, never waits, and returns the
// record's sequence number (0 when it was not stored).
func (r *Recorder) Record(rec Record) uint64 {
	if r == nil || r.closed.Load() || !r.levels.Load().Enabled(rec.Service, rec.Device, rec.User, rec.Level) {
		return 0
	}
	if rec.Node == "" {
		rec.Node = r.cfg.Node
	}
	if rec.Time.IsZero() {
		rec.Time = r.cfg.Now()
	}
	seq, size := r.desk.put(&rec)
	switch {
	case size > draftsMost || r.watched.Load():
		r.settle()
	case size > draftsSoon:
		nudge(r.full)
	}
	if !r.dirty.Swap(true) {
		nudge(r.wake)
	}
	return seq
}

// Link ties a SIP Call-ID to a global call id: every record that carries either belongs to the call from now on, and
// those recorded before it too.
func (r *Recorder) Link(service, call, sipCallID string) {
	r.Record(Record{
		Service: service, Kind: KindLink, Level: Error, Call: call, SIPCallID: sipCallID,
		Summary: "leg belongs to call",
	})
}

// store puts an encoded record into the ring and tells the feeds. The mutex is held.
func (r *Recorder) store(rec *Record, tail []byte) {
	seq := rec.Seq
	line := r.ring.begin(headRoom+len(tail), r.evicted)
	line = append(line, `{"seq":`...)
	line = strconv.AppendUint(line, seq, 10)
	line = r.stamp.append(line, rec.Time)
	line = append(line, tail...)
	at := r.ring.commit(line, seq)
	ref := ref{at.block, at.off, at.n, seq}
	r.index.add(rec, ref)
	r.total.Add(1)
	for _, t := range r.tails {
		t.offer(rec, r.ring.line(ref))
	}
	if at.off == 0 && at.block > 0 && r.disk != nil {
		nudge(r.full)
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// headRoom is more than the longest head of a line.
const headRoom = 96

// evicted is told by the ring that a block goes; records the disk has not seen are lost to it.
func (r *Recorder) evicted(b *block) {
	if b.gone = true; !b.busy { // what is being written is counted when that has ended
		r.lose(b.unwritten())
	}
	r.index.evict(r.ring.first + 1)
}

// lose counts records that the disk will never have. The mutex is held.
func (r *Recorder) lose(n uint64) {
	if r.disk != nil {
		r.lost += n
		r.lagged.Add(n)
	}
}

// stamp writes times; the part down to the second is kept, since most records share it with the one before.
type stamp struct {
	second int64
	prefix []byte // `,"time":"2006-01-02T15:04:05.`
}

func (s *stamp) append(dst []byte, t time.Time) []byte {
	if sec := t.Unix(); sec != s.second || s.prefix == nil {
		s.second = sec
		s.prefix = t.UTC().AppendFormat(append(s.prefix[:0], `,"time":"`...), "2006-01-02T15:04:05.")
	}
	dst = append(dst, s.prefix...)
	us := t.Nanosecond() / 1000
	for div := 100000; div > 0; div /= 10 {
		dst = append(dst, byte('0'+us/div%10))
	}
	return append(dst, 'Z', '"')
}

// run is the disk goroutine: it writes what is new after a wake-up, at most every FlushEvery, and at once on Flush.
func (r *Recorder) run() {
	defer close(r.done)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-r.wake:
			timer.Reset(r.cfg.FlushEvery)
		case <-r.full:
			if retry := r.writePending(); retry > 0 {
				timer.Reset(retry)
			}
		case <-timer.C:
			if retry := r.writePending(); retry > 0 {
				timer.Reset(retry)
			}
		case reply := <-r.asked:
			if retry := r.writePending(); retry > 0 {
				timer.Reset(retry)
			}
			close(reply)
		case <-r.stop:
			r.writePending()
			if r.disk != nil {
				r.disk.close()
			}
			return
		}
	}
}

// writePending writes every range that the disk has not seen. After a failure it returns the time until the next try.
func (r *Recorder) writePending() (retry time.Duration) {
	r.dirty.Store(false)
	r.settle()
	if r.disk == nil {
		return 0
	}
	for {
		r.mu.Lock()
		lost := r.lost
		span, ok := r.ring.nextUnwritten()
		r.mu.Unlock()
		if !ok {
			return 0
		}
		if lost > 0 {
			err := r.disk.writeLine(r.lagLine(lost), span.firstSeq)
			r.mu.Lock()
			if err != nil {
				r.lose(r.ring.written(span, 0))
				r.mu.Unlock()
				return diskRetry
			}
			r.lost -= lost
			r.mu.Unlock()
		}
		n, err := r.disk.writeSome(span.bytes, span.firstSeq)
		r.mu.Lock()
		r.lose(r.ring.written(span, n))
		r.mu.Unlock()
		if err != nil {
			return diskRetry
		}
	}
}

// diskRetry is how long the disk goroutine waits after a failed write.
const diskRetry = time.Second

// lagLine is the record that marks a gap in a file; it has no number of its own.
func (r *Recorder) lagLine(lost uint64) []byte {
	rec := Record{
		Time: r.cfg.Now(), Node: r.cfg.Node, Kind: KindLagged, Level: Error,
		Summary: fmt.Sprintf("%d records are missing here: the disk was full or too slow", lost),
		Fields:  []Field{{"lost", strconv.FormatUint(lost, 10)}},
	}
	return append(appendRecord(nil, &rec, r.policy), '\n')
}

// Flush returns when everything recorded before it has been written to the files, or has failed to be.
func (r *Recorder) Flush(ctx context.Context) error {
	if r == nil || r.disk == nil {
		return nil
	}
	reply := make(chan struct{})
	select {
	case r.asked <- reply:
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	<-reply
	return r.disk.trouble()
}

// Close writes what is left and ends the recorder. Records after it are ignored.
func (r *Recorder) Close() error {
	if r == nil || !r.shut() {
		return nil
	}
	close(r.stop)
	<-r.done
	if r.disk == nil {
		return nil
	}
	return r.disk.trouble()
}

// shut refuses further records and ends the feeds; it reports whether this call was the first.
func (r *Recorder) shut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed.Swap(true) {
		return false
	}
	for _, t := range r.tails {
		t.end()
	}
	r.tails = nil
	r.watched.Store(false)
	return true
}

// Status is what an operator sees of a recorder.
type Status struct {
	Dir        string `json:"dir,omitempty"`
	Records    uint64 `json:"records"`              // stored since the start
	Lagged     uint64 `json:"lagged"`               // of these, lost to the disk (they were in memory)
	Memory     int    `json:"memory_bytes"`         // bytes of memory the ring holds
	Calls      int    `json:"calls"`                // calls that can be found in memory
	Segments   int    `json:"segments"`             // segment files
	DiskBytes  int64  `json:"disk_bytes"`           // their size
	DiskErrors uint64 `json:"disk_errors"`          // writes that failed since the start
	DiskError  string `json:"disk_error,omitempty"` // why the last write failed; empty while the disk is well
	ShowDigits bool   `json:"show_digits,omitempty"`
}

// Status returns the recorder's counters.
func (r *Recorder) Status() Status {
	if r == nil {
		return Status{}
	}
	r.settle()
	s := Status{
		Dir: r.cfg.Dir, Records: r.total.Load(), Lagged: r.lagged.Load(), ShowDigits: r.cfg.ShowDigits,
	}
	r.mu.Lock()
	s.Memory, s.Calls = r.ring.bytes, r.index.count
	r.mu.Unlock()
	if r.disk != nil {
		r.disk.status(&s)
	}
	return s
}

// Exceptions lists, one sentence each, what an operator must know about the recorder: a disk that does not take
// records, digits that are stored.
func (s Status) Exceptions() []string {
	var out []string
	if s.DiskError != "" {
		out = append(out, fmt.Sprintf("trace files are not being written (%s): calls go on and the last records are kept in memory; free space in %s", s.DiskError, s.Dir))
	}
	if s.ShowDigits {
		out = append(out, "DTMF digits are stored in traces: they may be PINs; turn trace ShowDigits off when you have seen what you need")
	}
	return out
}

// segmentName is the file name of the segment whose first record has that number.
func segmentName(dir string, seq uint64) string {
	return filepath.Join(dir, fmt.Sprintf("trace-%012d.jsonl", seq))
}

// Segments lists the segment files of a folder, the oldest first.
func Segments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("trace: reading folder %s: %w", dir, err)
	}
	var out []string
	for _, e := range entries { // ReadDir sorts by name, and the number has a fixed width
		if isSegment(e.Name()) {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out, nil
}
