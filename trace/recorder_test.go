package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, c Config) *Recorder {
	t.Helper()
	r, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func flush(t *testing.T, r *Recorder) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return r.Flush(ctx)
}

// TestRecordRoundTrip: what is stored is what was said, but for the secrets.
func TestRecordRoundTrip(t *testing.T) {
	rec := Record{
		Seq: 7, Time: sampleStart, Node: "n", Service: "s", Kind: KindTLSFailed, Level: Detail, Call: "c\"1", SIPCallID: "x@y\\", Leg: "l", Device: "d",
		User: "ü€😀", Peer: "p\x01\x7f", Flow: "f", Net: "tls", Local: ap("[::1]:5061"), Remote: ap("10.0.0.1:1"), Summary: "tab\there",
		Body: []byte("line\r\n\"quoted\"\\ \x00 ü€😀 end"), Fields: []Field{{"b", "2"}, {"a", "1"}, {"b", ""}},
	}
	for _, body := range [][]byte{rec.Body, {0xff, 0xfe, 'x'}, nil, bytes.Repeat([]byte("12345678\""), 100)} {
		rec.Body = body
		b, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		var back Record
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		if d := cmp.Diff(rec, back, cmpopts.EquateEmpty(), cmpopts.EquateComparable(rec.Local)); d != "" {
			t.Error(d)
		}
	}
}

// TestLongRecord: one line fits a block whatever a caller hands over.
func TestLongRecord(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir()})
	long := strings.Repeat("\x01", 1<<20)
	rec := Record{Kind: KindSIPIn, Call: "c", Summary: long, Body: []byte(long), Service: long, Device: long, User: long, Peer: long}
	for range 100 {
		rec.Fields = append(rec.Fields, Field{long, long})
	}
	for range 5 {
		r.Record(rec)
	}
	if err := flush(t, r); err != nil {
		t.Fatal(err)
	}
	got, err := CallFromDir(r.cfg.Dir, "c")
	if err != nil || len(got) != 5 {
		t.Fatalf("%d records, %v", len(got), err)
	}
	if !bytes.HasSuffix(got[0].Body, []byte("bytes more]")) || len(got[0].Body) > MaxBody+64 {
		t.Errorf("the body was not cut as promised: %d bytes", len(got[0].Body))
	}
}

// TestCallAcrossServices: one id of a call brings everything, from memory and from the files.
func TestCallAcrossServices(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Config{Dir: dir})
	noise := Record{Service: "callmanager", Kind: KindSIPIn, SIPCallID: "other@x", Body: []byte(msg("OPTIONS sip:x SIP/2.0", "other@x", "1 OPTIONS", "", "", ""))}
	r.Record(noise)
	want := sampleCall()
	for _, rec := range want {
		rec.Level = Info
		r.Record(rec)
		r.Record(noise)
	}
	for _, id := range []string{"c7", "g9", "aaa@10.0.0.7", "bbb@127.0.1.10", "ccc@127.0.1.20"} {
		got, err := r.Call(context.Background(), id)
		if err != nil || len(got) != len(want) {
			t.Errorf("%s: %d records of %d, %v", id, len(got), len(want), err)
		}
	}
	if err := flush(t, r); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"c7", "ccc@127.0.1.20"} {
		got, err := CallFromDir(dir, id)
		if err != nil || len(got) != len(want) {
			t.Errorf("%s from the files: %d records of %d, %v", id, len(got), len(want), err)
		}
	}
	calls := r.Calls(10)
	if len(calls) != 1 {
		t.Fatalf("calls: %+v", calls)
	}
	c := calls[0]
	if c.Call != "c7" || c.From != "2001" || c.To != "2002" || c.State != "ended" || c.End.IsZero() || len(c.SIPCallIDs) != 3 {
		t.Errorf("the call's line: %+v", c)
	}
	all, _ := ReadFile(firstSegment(t, dir))
	if got := Gather(all, "g9"); len(got) != len(want) {
		t.Errorf("Gather: %d of %d", len(got), len(want))
	}
}

func firstSegment(t *testing.T, dir string) string {
	t.Helper()
	names, err := Segments(dir)
	if err != nil || len(names) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	return names[0]
}

// TestCallThatLeftMemory: when the ring has gone on, the call comes from the files, and the two are joined.
func TestCallThatLeftMemory(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir(), Memory: 1})
	put := func(call string, n int) {
		for i := range n {
			r.Record(Record{Service: "s", Kind: KindNote, Call: call, Summary: fmt.Sprint(i), Body: bytes.Repeat([]byte("x"), 2000)})
		}
		if err := flush(t, r); err != nil {
			t.Fatal(err)
		}
	}
	put("old", 10)
	put("half", 10)
	for range 4 {
		put("noise", 60)
	}
	put("half", 10)
	put("noise", 60)
	for call, want := range map[string]int{"old": 10, "half": 20, "none": 0} {
		got, err := r.Call(context.Background(), call)
		if err != nil || len(got) != want {
			t.Errorf("%s: %d records, want %d, %v", call, len(got), want, err)
		}
	}
	if s := r.Status(); s.Memory > 2*blockSize || s.Lagged != 0 {
		t.Errorf("status: %+v", s)
	}
}

// TestRestart: numbers go on, and a file that ends in half a line loses only that line.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Config{Dir: dir})
	for range 10 {
		r.Record(Record{Kind: KindNote, Call: "a"})
	}
	r.Close()
	f, err := os.OpenFile(firstSegment(t, dir), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, `{"seq":99,"ti`)
	f.Close()
	r = open(t, Config{Dir: dir})
	if seq := r.Record(Record{Kind: KindNote, Call: "a"}); seq != 11 {
		t.Errorf("the first number after a restart is %d, want 11", seq)
	}
	r.Close()
	got, err := CallFromDir(dir, "a")
	if err != nil || len(got) != 11 {
		t.Errorf("%d records, %v", len(got), err)
	}
	if r.Record(Record{}) != 0 {
		t.Error("a closed recorder took a record")
	}
	if info, _ := os.Stat(firstSegment(t, dir)); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// TestRotation: segments end at their size and the folder stays under its bound.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Config{Dir: dir, SegmentBytes: 50_000, TotalBytes: 200_000})
	for i := range 1000 {
		r.Record(Record{Kind: KindNote, Call: fmt.Sprint("c", i), Body: bytes.Repeat([]byte("x"), 1000)})
		if i%20 == 0 {
			if err := flush(t, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := flush(t, r); err != nil {
		t.Fatal(err)
	}
	var total int64
	names, _ := Segments(dir)
	for _, n := range names {
		info, _ := os.Stat(n)
		total += info.Size()
	}
	if len(names) < 2 || total > 250_000 || total != r.Status().DiskBytes || len(names) != r.Status().Segments {
		t.Errorf("%d segments of %d bytes, status %+v", len(names), total, r.Status())
	}
	if got, _ := CallFromDir(dir, "c999"); len(got) != 1 {
		t.Error("the newest record is not in the files")
	}
	if got, _ := CallFromDir(dir, "c0"); len(got) != 0 {
		t.Error("the oldest record is still in the files")
	}
}

// fullDisk is a file on a disk with room for so many bytes.
type fullDisk struct {
	mu   sync.Mutex
	room int
	data bytes.Buffer
}

func (f *fullDisk) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(b), f.room)
	f.room -= n
	f.data.Write(b[:n])
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (f *fullDisk) Close() error { return nil }

func (f *fullDisk) free(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room = n
}

// TestFullDisk: calls go on, memory has the newest records, the operator is told, and when there is room again the
// file goes on with a mark where something is missing.
func TestFullDisk(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir(), Memory: 1})
	f := &fullDisk{room: 10_000}
	r.disk.create = func(string) (io.WriteCloser, error) { return f, nil }
	put := func(call string) {
		r.Record(Record{Service: "s", Kind: KindNote, Call: call, Body: bytes.Repeat([]byte("x"), 2000)})
	}
	for i := range 20 {
		put(fmt.Sprint("early", i))
	}
	if err := flush(t, r); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a full disk gave %v", err)
	}
	if s := r.Status(); s.DiskErrors == 0 || len(s.Exceptions()) != 1 || !strings.Contains(s.Exceptions()[0], "no space left") {
		t.Fatalf("the operator is not told: %+v %q", s, s.Exceptions())
	}
	for i := range 600 { // more than the ring holds
		put(fmt.Sprint("late", i))
	}
	if got, _ := r.Call(context.Background(), "late599"); len(got) != 1 {
		t.Error("memory does not go on")
	}
	f.free(1 << 30)
	if err := flush(t, r); err != nil {
		t.Fatal(err)
	}
	s := r.Status()
	if s.DiskError != "" || s.Lagged == 0 || len(s.Exceptions()) != 0 {
		t.Errorf("not recovered: %+v", s)
	}
	d := NewReader(&f.data)
	marks, notes, lost := 0, 0, ""
	for {
		rec, err := d.Next()
		if err != nil {
			break
		}
		if rec.Kind == KindLagged {
			marks++
			lost = rec.Field("lost")
		} else {
			notes++
		}
	}
	if marks != 1 || d.Skipped > 1 || lost != fmt.Sprint(s.Lagged) || notes+int(s.Lagged) != 620 {
		t.Errorf("%d marks of %s lost, %d notes, %d broken lines, status %+v", marks, lost, notes, d.Skipped, s)
	}
}

// TestSlowDisk: a disk that hangs holds up nobody.
func TestSlowDisk(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir(), Memory: 1, FlushEvery: time.Millisecond})
	entered, release := make(chan struct{}), make(chan struct{})
	r.disk.create = func(string) (io.WriteCloser, error) { return &hangingFile{entered: entered, release: release}, nil }
	r.Record(Record{Kind: KindNote})
	<-entered
	for range 5000 { // returns although the disk does not
		r.Record(Record{Kind: KindNote, Call: "x", Body: make([]byte, 1000)})
	}
	if got := r.Recent(Filter{Call: "x"}, 3); len(got) != 3 {
		t.Errorf("%d recent records", len(got))
	}
	close(release)
	if err := flush(t, r); err != nil {
		t.Error(err)
	}
}

type hangingFile struct {
	once             sync.Once
	entered, release chan struct{}
}

func (h *hangingFile) Write(b []byte) (int, error) {
	h.once.Do(func() { close(h.entered) })
	<-h.release
	return len(b), nil
}
func (h *hangingFile) Close() error { return nil }

// TestLevels: the table, and that it changes while the recorder runs.
func TestLevels(t *testing.T) {
	r := open(t, Config{})
	set := func(s Scope, l Level) {
		t.Helper()
		if err := r.SetLevel(s, l); err != nil {
			t.Fatal(err)
		}
	}
	check := func(service, device, user string, l Level, want bool) {
		t.Helper()
		if got := r.Enabled(service, device, user, l); got != want {
			t.Errorf("%s/%s/%s at %v: %v", service, device, user, l, got)
		}
		got := r.Record(Record{Service: service, Device: device, User: user, Level: l}) != 0
		if got != want {
			t.Errorf("%s/%s/%s at %v recorded: %v", service, device, user, l, got)
		}
	}
	check("s", "", "", Inherit, true)
	check("s", "", "", Detail, false)
	set(Scope{Device: "SEP1"}, Debug)
	check("s", "SEP1", "", Debug, true)
	check("s", "SEP2", "", Debug, false)
	set(Scope{Service: "s"}, Error)
	check("s", "SEP2", "", Info, false)
	check("s", "SEP1", "", Debug, true) // the device's rule tells more
	check("t", "SEP2", "", Info, true)
	set(Scope{Service: "s", Device: "SEP1"}, Off)
	check("s", "SEP1", "", Error, false)
	check("t", "SEP1", "", Debug, true)
	set(Scope{User: "al"}, Detail)
	check("s", "", "al", Detail, true)
	set(Scope{}, Off)
	check("t", "", "", Error, false)
	if n := len(r.Levels().Rules()); n != 5 {
		t.Errorf("%d rules", n)
	}
	for _, rule := range r.Levels().Rules() {
		set(rule.Scope, Inherit)
	}
	check("s", "", "", Info, true)
	if n := len(r.Levels().Rules()); n != 1 {
		t.Errorf("%d rules left", n)
	}
	if r.SetLevel(Scope{Device: "x"}, 99) == nil {
		t.Error("level 99 was taken")
	}
}

// TestTail: a feed sees what is recorded; a slow one loses and is told.
func TestTail(t *testing.T) {
	r := open(t, Config{})
	tail := r.Tail(Filter{Device: "d"}, 3)
	for i := range 5 {
		r.Record(Record{Device: "d", Summary: fmt.Sprint(i)})
		r.Record(Record{Device: "e"})
	}
	for want := range 3 {
		rec, err := tail.Next(context.Background())
		if err != nil || rec.Summary != fmt.Sprint(want) {
			t.Fatalf("%v %v", rec, err)
		}
	}
	if n := tail.Lost(); n != 2 {
		t.Errorf("%d lost", n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := tail.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	tail.Close()
	tail.Close()
	if _, err := tail.Next(context.Background()); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	other := r.Tail(Filter{}, 1)
	r.Close()
	if _, err := other.Next(context.Background()); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// TestConcurrent: from many goroutines every record gets a number of its own, and none is lost.
func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Config{Dir: dir, FlushEvery: time.Millisecond})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				r.Record(Record{Kind: KindNote, Call: fmt.Sprint(g), SIPCallID: fmt.Sprint(i % 3), Summary: fmt.Sprint(i)})
				if i%50 == 0 {
					r.Calls(1)
				}
			}
		})
	}
	wg.Wait()
	r.Close()
	all, err := r.Call(context.Background(), "3")
	if err != nil || len(all) != 1600 {
		t.Fatalf("%d records, %v", len(all), err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	var fromFiles []Record
	for _, f := range files {
		recs, _ := ReadFile(f)
		fromFiles = append(fromFiles, recs...)
	}
	for i, rec := range fromFiles {
		if rec.Seq != uint64(i+1) {
			t.Fatalf("record %d has number %d", i, rec.Seq)
		}
	}
	if len(fromFiles) != 1600 {
		t.Errorf("%d records in the files", len(fromFiles))
	}
}

// TestIndexBounds: a flood of dialogs does not grow the index beyond its bound.
func TestIndexBounds(t *testing.T) {
	var x index
	x.init()
	for i := range maxGroups + 100 {
		x.add(&Record{SIPCallID: fmt.Sprint(i)}, ref{block: 1})
	}
	for i := range maxGroupNames + 100 {
		x.add(&Record{Call: "many", SIPCallID: fmt.Sprint("m", i)}, ref{block: 2})
	}
	if x.count > maxGroups || len(x.groups) > maxGroups+maxGroupNames {
		t.Errorf("%d groups under %d names", x.count, len(x.groups))
	}
	if g := x.find("many"); g == nil || len(g.names) > maxGroupNames+1 || !g.cut {
		t.Error("a call with too many names is not marked as cut")
	}
	x.evict(100)
	if x.count != 0 || len(x.groups) != 0 {
		t.Errorf("%d groups and %d names are left after all blocks have gone", x.count, len(x.groups))
	}
}

func TestNilRecorder(t *testing.T) {
	var r *Recorder
	if r.Record(Record{}) != 0 || r.Enabled("", "", "", Error) || r.Close() != nil || r.SetLevel(Scope{}, Debug) != nil {
		t.Error("a nil recorder did something")
	}
	r.Link("s", "c", "x")
	if _, err := r.Tail(Filter{}, 1).Next(context.Background()); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func FuzzReader(f *testing.F) {
	var b bytes.Buffer
	for _, r := range sampleCall() {
		line, _ := json.Marshal(r)
		b.Write(append(line, '\n'))
	}
	f.Add(b.Bytes())
	f.Add([]byte("{}\n{\"fields\":{\"a\":1}}\n{\"seq\":-1}\n\n\r\n{\"kind\":\"x\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		recs, err := ReadAll(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recs {
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			var back Record
			if err := json.Unmarshal(b, &back); err != nil {
				t.Fatalf("a record that was read cannot be read again: %v: %s", err, b)
			}
		}
		NewLadder(recs, LadderOptions{Engine: true}).Text(100)
		Gather(recs, "c7")
	})
}

// BenchmarkCall records everything of one bridged call: 14 messages and 12 inputs of the engine with their outputs.
func BenchmarkCall(b *testing.B) {
	var recs []Record
	for _, r := range sampleCall() {
		if r.Kind.SIP() && len(recs) < 14 {
			r.Seq, r.Time = 0, time.Time{}
			recs = append(recs, r)
		}
	}
	engine := []byte(`{"leg":12,"kind":"setup","from":{"number":"2001","name":"Alice"},"to":"2002","desc":{"ref":1234,"kind":"offer","direction":"sendrecv","security":"encrypted"}}`)
	for i := range 12 {
		recs = append(recs, Record{Service: "callmanager", Kind: KindSignal, Call: "c7", Leg: "l1", Device: "SEP001122334455", Summary: "Setup to=2002", Body: engine, SIPCallID: recs[i%14].SIPCallID})
	}
	for _, c := range []struct {
		name  string
		level Level
	}{{"info", Info}, {"off", Off}} {
		b.Run(c.name, func(b *testing.B) {
			r := open(b, Config{Dir: b.TempDir(), Level: c.level, TotalBytes: 64 << 20})
			b.ReportAllocs()
			for b.Loop() {
				for i := range recs {
					r.Record(recs[i])
				}
			}
		})
	}
}

// TestEngineBody: an input of the engine comes back whole, for a replay, whatever its size; its patterns are no digits
// that somebody keyed in.
func TestEngineBody(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir(), Memory: 1})
	body := []byte(`{"n":1,"input":{"digits":"9011"},"pad":"` + strings.Repeat("x", 3<<20) + `"}`)
	r.Record(Record{Service: "s", Kind: KindTimer, Call: "c", Body: body})
	if err := flush(t, r); err != nil {
		t.Fatal(err)
	}
	r.Record(Record{Service: "s", Kind: KindSignal, Call: "c", Body: []byte(`{"digit":"5"}`)})
	if err := flush(t, r); err != nil {
		t.Fatal(err)
	}
	got, err := CallFromDir(r.cfg.Dir, "c")
	if err != nil || len(got) != 2 || !bytes.Equal(got[0].Body, body) {
		t.Fatalf("%d records, %v", len(got), err)
	}
	if want := `{"digit":"[redacted]"}`; string(got[1].Body) != want {
		t.Errorf("%s, want %s", got[1].Body, want)
	}
	r.Record(Record{Service: "s", Kind: KindNote, Call: "d"})
	if s := r.Status(); s.Memory > 6<<20 {
		t.Errorf("%d bytes of memory", s.Memory)
	}
}
