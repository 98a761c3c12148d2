package call

import (
	"bytes"
	"fmt"
)

// A Recorded is one input of an engine's life with what came of it, as MarshalInput and MarshalOutput wrote them.
type Recorded struct {
	Input  []byte
	Output []byte
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

// Replay runs a recording from its first input on through a fresh engine and compares the outputs byte for byte. A recorded
// output that is empty is not compared. The error is a *ReplayError when an output differs, or says which input cannot be read.
func Replay(records []Recorded) (*Engine, error) {
	e := New()
	for i, r := range records {
		at, in, err := UnmarshalInput(r.Input)
		if err != nil {
			return e, fmt.Errorf("call: record %d: %w", i+1, err)
		}
		got, err := MarshalOutput(e.Step(at, in))
		if err != nil {
			return e, fmt.Errorf("call: record %d: %w", i+1, err)
		}
		if len(r.Output) > 0 && !bytes.Equal(r.Output, got) {
			return e, &ReplayError{i, r.Input, r.Output, got}
		}
	}
	return e, nil
}
