package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

var update = flag.Bool("update", false, "write the golden files anew")

// node starts an administration with one service in a folder, and puts a call into its traces.
func node(t *testing.T) string {
	t.Helper()
	ctx, home := context.Background(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := store.Open(ctx, filepath.Join(home, "s.db"), store.Options{})
	must(err)
	t.Cleanup(func() { s.Close() })
	_, err = s.Apply(ctx, store.ChangeSet{Changes: config.Diff(nil, config.Default("node1"))})
	must(err)
	b, err := bus.Open(ctx, bus.Config{})
	must(err)
	t.Cleanup(func() { b.Close() })
	r, err := trace.Open(trace.Config{Dir: filepath.Join(home, "trace")})
	must(err)
	t.Cleanup(func() { r.Close() })
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, first := range []string{"INVITE sip:1002@h SIP/2.0", "SIP/2.0 486 Busy Here"} {
		kind := trace.KindSIPIn
		if i == 1 {
			kind = trace.KindSIPOut
		}
		r.Record(trace.Record{Time: at, Service: "cm", Kind: kind, Call: "c1", SIPCallID: "x@y", Device: "alice", Net: "tls",
			Body: []byte(first + "\r\nFrom: <sip:1001@h>;tag=a\r\nTo: <sip:1002@h>\r\nCall-ID: x@y\r\nCSeq: 1 INVITE\r\n\r\n")})
		at = at.Add(time.Second)
	}
	rows := func(context.Context, bus.Query) ([]bus.Registration, error) {
		return []bus.Registration{{Node: "node1", Device: "alice", Lines: []string{"1001"}, Mode: "encrypted", State: "registered", Remote: "10.0.0.7:40112", Since: at, Subject: "CN=alice"}}, nil
	}
	must(s.AppendCalls(ctx, oneCall(at)))
	must(s.AppendLegs(ctx, itsLegs(at)...))
	one, err := bus.Serve(b, b.Subject("cm", bus.VerbRegistrations), rows)
	must(err)
	t.Cleanup(one.Close)
	server, err := admin.Listen(ctx, admin.Config{Home: home, Services: []string{"cm"}, Store: s, Bus: b, Trace: r, Records: s})
	must(err)
	t.Cleanup(func() { server.Close(ctx) })
	return home
}

// command runs a command line and returns everything it said and its exit code.
func command(t *testing.T, args ...string) (text string, code int) {
	t.Helper()
	var out bytes.Buffer
	a := &app{ctx: context.Background(), out: &out, err: &out, wired: services{Demos: []Demo{
		{Name: "call", Summary: "a call", Run: func(_ context.Context, w io.Writer, _ bool, _ func(string)) (bool, error) {
			_, err := io.WriteString(w, "table\n")
			return false, err
		}},
		{Name: "broken", Summary: "cannot run", Run: func(context.Context, io.Writer, bool, func(string)) (bool, error) {
			return false, errors.New("no address is free")
		}},
	}}}
	code = a.run(args)
	return out.String(), code
}

// TestOutput: what people read, command by command.
func TestOutput(t *testing.T) {
	t.Setenv("TZ", "UTC")
	home := node(t)
	var all strings.Builder
	for _, line := range []string{
		"calls", "calls show g1", "--json calls show g1", "calls show nothing", "calls export", "calls export --legs", "calls export --legs --format jsonl --party bob",
		"calls export --since 2026-02-01", "calls export --since yesterday", "trace c1", "trace c1 --records", "trace none", "trace --service cm", "trace --service other", "trace --levels", "trace --device alice --level debug",
		"show registrations", "show trunks", "reset device nobody", "demo", "demo --list", "demo broken", "demo nothing", "load", "up", "plan /nonexistent.yaml", "nonsense",
		"--json show registrations", "--json trace none",
	} {
		text, code := command(t, append([]string{"--home", home}, strings.Fields(line)...)...)
		all.WriteString("$ locktone " + line + "\n" + text + "exit " + string(rune('0'+code)) + "\n\n")
	}
	path := filepath.Join("testdata", "output.txt")
	if *update {
		if err := os.WriteFile(path, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if all.String() != string(want) {
		t.Errorf("%s differs (-update writes it anew):\n%s", path, all.String())
	}
}

// TestNoNode: exit code 3, in words and in JSON.
func TestNoNode(t *testing.T) {
	home := t.TempDir()
	if text, code := command(t, "--home", home, "status"); code != exitNoNode || !strings.Contains(text, "locktone up") {
		t.Errorf("%d %s", code, text)
	}
	text, code := command(t, "--home", home, "--json", "status")
	var p admin.Problem
	if err := json.Unmarshal([]byte(text), &p); err != nil || p.Code != "not-running" || code != exitNoNode {
		t.Errorf("%d %s %v", code, text, err)
	}
}

// TestFiles: drawings and archives are written whole.
func TestFiles(t *testing.T) {
	home, dir := node(t), t.TempDir()
	svg, logs := filepath.Join(dir, "c.svg"), filepath.Join(dir, "l.tar.gz")
	if text, code := command(t, "--home", home, "trace", "c1", "--svg", svg); code != 0 {
		t.Error(text)
	}
	if b, err := os.ReadFile(svg); err != nil || !bytes.HasPrefix(b, []byte("<svg")) {
		t.Errorf("%v %.20s", err, b)
	}
	if text, code := command(t, "--home", home, "logs", "collect", "-o", logs); code != 0 {
		t.Error(text)
	}
	if b, err := os.ReadFile(logs); err != nil || len(b) < 500 {
		t.Errorf("%v, %d bytes", err, len(b))
	}
	if _, code := command(t, "--home", home, "trace", "none", "--svg", svg+"2"); code != exitFailed {
		t.Error("a drawing of no call")
	}
	if left, _ := filepath.Glob(svg + "2*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestReplay: a recording gives the same again; one that was tampered with, or has a gap, does not.
func TestReplay(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	engine := call.New()
	var bodies []string
	for i := range 3 {
		now := at.Add(time.Duration(i) * time.Second)
		in, err := call.MarshalInput(now, call.Input{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := call.MarshalOutput(engine.Step(now, call.Input{}))
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, `{"n":`+string(rune('1'+i))+`,"input":`+string(in)+`,"output":`+string(out)+`}`)
	}
	write := func(bodies ...string) string {
		dir := t.TempDir()
		r, err := trace.Open(trace.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range bodies {
			r.Record(trace.Record{Service: "callmanager", Kind: trace.KindTimer, Body: []byte(b)})
		}
		r.Close()
		return dir
	}
	if text, code := command(t, "replay", write(append(bodies, bodies...)...)); code != 0 || !strings.Contains(text, "6 inputs of 2 runs") {
		t.Errorf("%d %s", code, text)
	}
	tampered := strings.Replace(bodies[1], `"output":{`, `"output":{"x":1`, 1)
	if text, code := command(t, "replay", write(bodies[0], tampered)); code != exitFailed || !strings.Contains(text, "differs") {
		t.Errorf("%d %s", code, text)
	}
	if text, code := command(t, "replay", write(bodies[0], bodies[2])); code != exitFailed || !strings.Contains(text, "input 2 is missing") {
		t.Errorf("%d %s", code, text)
	}
	if text, code := command(t, "replay", write()); code != exitFailed {
		t.Errorf("%d %s", code, text)
	}
}
