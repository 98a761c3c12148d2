package worker

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/locktone/locktone/service/voicebrowser/interpreter"
)

// A frame is one message on a pipe: exactly one member is set.
type frame struct {
	Begin   *begin               `json:"begin,omitempty"`
	Ready   *ready               `json:"ready,omitempty"`
	Start   *interpreter.Start   `json:"start,omitempty"`
	Action  *interpreter.Action  `json:"action,omitempty"`
	Outcome *interpreter.Outcome `json:"outcome,omitempty"`
	Result  *interpreter.Result  `json:"result,omitempty"`
}

// begin are the limits a child sets for itself.
type begin struct {
	Memory uint64        `json:"memory"` // address space beyond that of the start, octets
	CPU    time.Duration `json:"cpu"`
}

// ready says that the child has set them.
type ready struct {
	Space uint64 `json:"space"` // address space at the start, octets
}

// Bounds of a frame, octets. A document of 1 MiB is 1.4 MiB in base64.
const (
	maxFromChild = 1 << 20
	maxToChild   = 4 << 20
)

var errFrameSize = errors.New("a frame is larger than is allowed")

func writeFrame(w io.Writer, f frame, limit int) error {
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("a frame cannot be encoded: %w", err)
	}
	if len(body) > limit {
		return errFrameSize
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...))
	return err
}

// readFrame is total on any input; io.EOF between frames is the end.
func readFrame(r io.Reader, limit int) (frame, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if uint64(n) > uint64(limit) {
		return frame{}, errFrameSize
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return frame{}, io.ErrUnexpectedEOF
	}
	var f frame
	if err := json.Unmarshal(body, &f); err != nil {
		return frame{}, fmt.Errorf("a frame is not understood: %w", err)
	}
	if f.members() != 1 {
		return frame{}, errors.New("a frame has not exactly one member")
	}
	return f, nil
}

func (f frame) members() (n int) {
	for _, set := range []bool{f.Begin != nil, f.Ready != nil, f.Start != nil, f.Action != nil, f.Outcome != nil, f.Result != nil} {
		if set {
			n++
		}
	}
	return n
}

// whole says whether an action is one: exactly one member, no time below zero where none may be.
func whole(a *interpreter.Action) error {
	n := 0
	for _, set := range []bool{a.Fetch != nil, a.Play != nil, a.Listen != nil, a.Stop != nil, a.Record != nil, a.Transfer != nil, a.Log != nil, a.Disconnect != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("an action has %d members", n)
	}
	return nil
}
