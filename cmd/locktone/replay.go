package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/trace"
)

// replayCmd is `locktone replay FILE`.
type replayCmd struct {
	Files   []string `arg:"" help:"Trace files (trace-*.jsonl), or a folder of them." type:"path"`
	Service string   `help:"The service whose engine to replay." default:"callmanager"`
}

// replayed is what a replay says.
type replayed struct {
	Inputs  int    `json:"inputs"`
	Same    bool   `json:"same"`
	Runs    int    `json:"runs"` // starts of the engine in the files
	Skipped int    `json:"skipped"`
	Error   string `json:"error,omitempty"`
}

// Run reads the engine's inputs out of trace files, runs them through a fresh engine, and compares.
func (c *replayCmd) Run(a *app) error {
	recs, err := c.read()
	if err != nil {
		return err
	}
	result := replayed{Same: true}
	for _, run := range splitRuns(recs, c.Service) {
		result.Runs++
		result.Inputs += len(run.inputs)
		result.Skipped += run.skipped
		if err := run.replay(); err != nil {
			result.Same, result.Error = false, err.Error()
			break
		}
	}
	if result.Inputs == 0 {
		return fmt.Errorf("no inputs of the engine of %s are in these files: were they recorded at level info or above?", c.Service)
	}
	if a.json {
		err = a.printJSON(result)
	} else {
		printReplay(a, result)
	}
	if err == nil && !result.Same {
		err = errQuiet
	}
	return err
}

func printReplay(a *app, r replayed) {
	if r.Same {
		fmt.Fprintf(a.out, "%d inputs of %d runs gave the same outputs, byte for byte\n", r.Inputs, r.Runs)
	} else {
		fmt.Fprintf(a.out, "run %d differs: %s\n", r.Runs, r.Error)
	}
	if r.Skipped > 0 {
		fmt.Fprintf(a.out, "%d inputs were left out: the start of their engine, or one before them, is not in the files\n", r.Skipped)
	}
}

// read reads all records, in order.
func (c *replayCmd) read() ([]trace.Record, error) {
	var out []trace.Record
	for _, name := range c.Files {
		files := []string{name}
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			if files, err = trace.Segments(name); err != nil {
				return nil, err
			}
		}
		for _, f := range files {
			recs, err := trace.ReadFile(f)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("%s does not exist", f)
			}
			if err != nil {
				return nil, err
			}
			out = append(out, recs...)
		}
	}
	slices.SortStableFunc(out, func(x, y trace.Record) int {
		switch {
		case x.Seq < y.Seq:
			return -1
		case x.Seq > y.Seq:
			return 1
		}
		return 0
	})
	return out, nil
}

// engineRun is one life of an engine, from its first input on.
type engineRun struct {
	inputs  []call.Recorded
	skipped int
	gap     uint64 // the first input that is missing; 0: none
}

// engineBody is the body of a record of the engine: the number of the input in the engine's life, from 1.
type engineBody struct {
	N      uint64          `json:"n"`
	Input  json.RawMessage `json:"input"`
	Output json.RawMessage `json:"output"`
	Text   string          `json:"text"`
}

// splitRuns picks the inputs of one service's engine and divides them where an engine's life begins.
func splitRuns(recs []trace.Record, service string) []*engineRun {
	var out []*engineRun
	skipped := 0
	for i := range recs {
		r := &recs[i]
		var b engineBody
		if r.Service != service || !r.Kind.Engine() || json.Unmarshal(r.Body, &b) != nil || b.Input == nil {
			continue
		}
		if b.N == 1 {
			out = append(out, &engineRun{skipped: skipped})
			skipped = 0
		}
		if len(out) == 0 {
			skipped++ // the engine's start is not in these files: what it did cannot be repeated
			continue
		}
		out[len(out)-1].add(b)
	}
	return out
}

// add takes the next input, unless one before it is missing.
func (r *engineRun) add(b engineBody) {
	if r.gap == 0 && b.N != uint64(len(r.inputs))+1 {
		r.gap = uint64(len(r.inputs)) + 1
	}
	if r.gap > 0 {
		r.skipped++
		return
	}
	r.inputs = append(r.inputs, call.Recorded{Input: b.Input, Output: b.Output, Text: []byte(b.Text)})
}

// replay runs it; an input with a redacted value cannot be repeated, and is then what the error is about.
func (r *engineRun) replay() error {
	_, err := call.Replay(r.inputs)
	if err == nil && r.gap > 0 {
		return fmt.Errorf("input %d is missing in the files (the level was off, or the disk was full); the %d before it gave the same outputs", r.gap, len(r.inputs))
	}
	if err == nil {
		return nil
	}
	for i, in := range r.inputs {
		if bytes.Contains(in.Input, []byte("[redacted]")) {
			return fmt.Errorf("input %d holds a value that is not stored (DTMF digits may be a PIN), so what follows cannot be repeated: %w", i+1, err)
		}
	}
	return err
}
