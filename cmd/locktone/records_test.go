package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// oneCall is a call in the records: alice calls bob by way of a forward, who is on a trunk without protection.
func oneCall(at time.Time) store.CallRecord {
	return store.CallRecord{Call: "g1", Node: "node1", Start: at, Answer: at.Add(4 * time.Second), End: at.Add(64 * time.Second), Calling: "1001", Called: "+493012345", Dialled: "1002",
		FromDevice: "alice", ToDevice: "north", Cause: 16, ReleasedBy: "called", Security: "non-secure", Detail: "{}"}
}

func itsLegs(at time.Time) []store.LegRecord {
	return []store.LegRecord{
		{Call: "g1", Node: "node1", Party: 1, Leg: 1, Device: "alice", Feature: "hold", Line: "1001", Partition: "internal", Direction: "in", Calling: "1001", Called: "1002", Dialled: "1002",
			Connected: "+493012345", Setup: at, Answer: at.Add(4 * time.Second), End: at.Add(64 * time.Second), Outcome: "answered", Cause: 16, CauseName: "normal clearing", ReleasedBy: "other",
			Signalling: "mutual", Cipher: "TLS 1.3 TLS_AES_128_GCM_SHA256", Media: "srtp", Suite: "AEAD_AES_256_GCM", Lock: "encrypted", Proof: "authenticated", Path: "anchored", Codec: "G722",
			MeasuredBy: "here", Sent: 3000, Received: 2970, Lost: 30, Jitter: 1.25, MOS: 4.3},
		{Call: "g1", Node: "node1", Party: 2, Leg: 2, Device: "bob", Line: "1002", Partition: "internal", Direction: "out", Calling: "=cmd|' /C calc'!A0", Called: "1002", Dialled: "1002",
			Setup: at, Alert: at.Add(time.Second), End: at.Add(3 * time.Second), Outcome: "failed", Cause: 19, CauseName: "no answer", ReleasedBy: "system", Signalling: "none", Lock: "unknown", Proof: "none"},
		{Call: "g1", Node: "node1", Party: 3, Leg: 4, Trunk: "north", Feature: "forward", Direction: "out", Calling: "1001", Called: "+493012345", Dialled: "03012345", Redirecting: "1002", RedirectReason: "no-answer",
			Setup: at.Add(3 * time.Second), Answer: at.Add(4 * time.Second), End: at.Add(64 * time.Second), Outcome: "answered", Cause: 16, CauseName: "normal clearing", ReleasedBy: "leg", Joined: "g0",
			Signalling: "none", Media: "rtp", Lock: "non-secure", LockReason: "the signalling of trunk north is neither encrypted nor proven: it does not use TLS", Proof: "plain", Path: "anchored", Codec: "G722"},
	}
}

// TestFormulas: what a peer says is never a formula in a spreadsheet, and E.164 numbers stay numbers.
func TestFormulas(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "1001": "1001", "+493012345": "+493012345", "*1": "*1", "alice": "alice",
		"=1+1": "'=1+1", "@SUM(A1)": "'@SUM(A1)", "-1": "'-1", "+1-1": "'+1-1", "+": "'+", "+49 30": "'+49 30", "\t=1": "'\t=1", "\r=1": "'\r=1",
	} {
		if got := cell(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// TestExportCalls writes files that readers of the two formats take.
func TestExportCalls(t *testing.T) {
	home, dir := node(t), t.TempDir()
	file := filepath.Join(dir, "legs.csv")
	text, code := command(t, "--home", home, "calls", "export", "--legs", "-o", file)
	if code != 0 || !strings.Contains(text, "3 records") {
		t.Fatal(code, text)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := os.Stat(file)
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil || len(rows) != 4 || rows[0][0] != "id" || info.Mode().Perm() != 0o600 || !bytes.HasSuffix(b, []byte("\r\n")) {
		t.Errorf("%v, %d rows, mode %v", err, len(rows), info.Mode())
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	text, _ = command(t, "--home", home, "calls", "export", "--legs", "--format", "jsonl")
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil || len(m) != len(rows[0]) {
			t.Errorf("line %d: %v, %d members, %d columns", i+1, err, len(m), len(rows[0]))
		}
		for _, name := range rows[0] {
			if _, ok := m[name]; !ok {
				t.Errorf("line %d has no %s", i+1, name)
			}
		}
	}
	if text, code := command(t, "--home", home, "calls", "export", "-o", filepath.Join(dir, "no", "folder")); code != exitFailed {
		t.Error(code, text)
	}
}

// TestExportIsBounded: an export of many records holds a page of them at a time. LOCKTONE_ALL=1: a million.
func TestExportIsBounded(t *testing.T) {
	n := 20_000
	if os.Getenv("LOCKTONE_ALL") == "1" {
		n = 1_000_000
	}
	h := &history{records: n}
	home := t.TempDir()
	server := serveHistory(t, home, h)
	defer server.Close(t.Context())
	a := &app{ctx: t.Context(), api: admin.NewClient(home)}
	defer a.api.Close()
	w := &weigher{}
	runtime.GC()
	w.weigh()
	before := w.most
	got, err := (&exportCallsCmd{Format: "csv", Legs: true}).export(a, w)
	if err != nil || got != n || h.pages != n/1000+1 {
		t.Fatalf("%d records in %d pages, %v", got, h.pages, err)
	}
	if grown := int64(w.most) - int64(before); grown > 12<<20 {
		t.Errorf("the heap grew by %d MiB during the export of %d MiB", grown>>20, w.bytes>>20)
	}
	if w.bytes < n*100 {
		t.Errorf("%d bytes", w.bytes)
	}
}

// weigher weighs the heap now and then while something is written to it.
type weigher struct {
	bytes, next int
	most        uint64
}

func (w *weigher) Write(b []byte) (int, error) {
	if w.bytes += len(b); w.bytes > w.next {
		w.next += 1 << 20
		runtime.GC()
		w.weigh()
	}
	return len(b), nil
}

func (w *weigher) weigh() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.most = max(w.most, m.HeapAlloc)
}

// history makes up records as they are asked for.
type history struct {
	admin.CallRecords // nil: of contacts there are none
	records, pages    int
}

func (*history) Calls(context.Context, store.CallQuery) ([]store.CallRecord, error) { return nil, nil }

func (h *history) Legs(_ context.Context, q store.CallQuery) (out []store.LegRecord, _ error) {
	h.pages++
	l := itsLegs(time.Unix(1, 0))[0]
	for id := q.After + 1; id <= int64(h.records) && len(out) < q.Limit; id++ {
		l.ID = id
		out = append(out, l)
	}
	return out, nil
}

// serveHistory runs the administration of a node that has nothing but records.
func serveHistory(t *testing.T, home string, h *history) *admin.Server {
	t.Helper()
	ctx := t.Context()
	s, err := store.Open(ctx, filepath.Join(home, "db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b, err := bus.Open(ctx, bus.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	r, err := trace.Open(trace.Config{Dir: filepath.Join(home, "trace")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	server, err := admin.Listen(ctx, admin.Config{Home: home, Store: s, Bus: b, Trace: r, Records: h})
	if err != nil {
		t.Fatal(err)
	}
	return server
}
