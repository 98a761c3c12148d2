package call

import (
	"bytes"
	"fmt"
)

// A Recorded is one input of an engine's life as MarshalInput wrote it, with what came of it: as MarshalOutput wrote it, or as
// text by AppendOutput, or both, or neither.
type Recorded struct {
	Input  []byte
	Output []byte
	Text   []byte
}

// A ReplayError says where a replay went another way than the recording.
type ReplayError struct {
	// Index is the place in the recording, from 0.
	Index     int
	Input     []byte
	Want, Got []byte
}

func (e *ReplayError) Error() string {
	at := 0
	for at < len(e.Want) && at < len(e.Got) && e.Want[at] == e.Got[at] {
		at++
	}
	return fmt.Sprintf("call: input %d gave another output than recorded, from byte %d on:\ninput    %s\nrecorded %s\nnow      %s", e.Index+1, at, e.Input, e.Want, e.Got)
}

// Replay runs a recording from its first input on through a fresh engine and compares the outputs byte for byte, in the forms
// that were recorded. The error is a *ReplayError when an output differs, or says which input cannot be read.
func Replay(records []Recorded) (*Engine, error) {
	e := New()
	for i, r := range records {
		at, in, err := UnmarshalInput(r.Input)
		if err != nil {
			return e, fmt.Errorf("call: record %d: %w", i+1, err)
		}
		out := e.Step(at, in)
		if len(r.Output) > 0 {
			got, err := MarshalOutput(out)
			if err != nil {
				return e, fmt.Errorf("call: record %d: %w", i+1, err)
			}
			if !bytes.Equal(r.Output, got) {
				return e, &ReplayError{i, r.Input, r.Output, got}
			}
		}
		if got := AppendOutput(nil, out); len(r.Text) > 0 && !bytes.Equal(r.Text, got) {
			return e, &ReplayError{i, r.Input, r.Text, got}
		}
	}
	return e, nil
}
