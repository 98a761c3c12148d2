package call

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// wireInput is an Input as a line of JSON: exactly one of the three bodies is there, or none for a Tick.
type wireInput struct {
	At      time.Time       `json:"at"`
	Driver  string          `json:"driver,omitempty"`
	By      string          `json:"by,omitempty"`
	ID      string          `json:"id,omitempty"`
	Signal  string          `json:"signal,omitempty"`
	Request string          `json:"request,omitempty"`
	Body    json.RawMessage `json:"body,omitempty"`
	Config  *Site           `json:"config,omitempty"`
}

// MarshalInput writes an input and the time of its Step as one line of JSON, without the line feed.
func MarshalInput(at time.Time, in Input) ([]byte, error) {
	w := wireInput{At: at.UTC(), Driver: in.Driver, By: in.By, ID: in.RequestID}
	var body any
	switch {
	case in.Config != nil:
		site := in.Config.Site()
		w.Config = &site
	case in.Signal != nil:
		w.Signal, body = kindName(in.Signal), in.Signal
	case in.Request != nil:
		w.Request, body = kindName(in.Request), in.Request
	}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("call: writing %s: %w", kindName(body), err)
		}
		w.Body = b
	}
	return json.Marshal(w)
}

// UnmarshalInput reads what MarshalInput wrote.
func UnmarshalInput(line []byte) (time.Time, Input, error) {
	var w wireInput
	if err := json.Unmarshal(line, &w); err != nil {
		return time.Time{}, Input{}, fmt.Errorf("call: reading an input: %w", err)
	}
	in := Input{Driver: w.Driver, By: w.By, RequestID: w.ID}
	var err error
	switch {
	case w.Config != nil:
		in.Config, err = w.Config.Compile()
	case w.Signal != "":
		in.Signal, err = decode("signal", w.Signal, w.Body, signalKinds)
	case w.Request != "":
		in.Request, err = decode("request", w.Request, w.Body, requestKinds)
	}
	return w.At, in, err
}

// The kinds that can be read, as zero values.
var (
	signalKinds = []Signal{Setup{}, Alerting{}, Progressing{}, Answered{}, Confirmed{}, Reoffered{}, ReofferAnswered{},
		ReofferRejected{}, Digit{}, TransferAsked{}, Released{}, DeviceState{}, TrunkState{}, DriverLost{}}
	requestKinds = []Request{MakeCall{}, Drop{}, Hold{}, Resume{}, Redirect{}}
)

// kindName is the name of a signal, request or command: its type's.
func kindName(v any) string { return strings.TrimPrefix(fmt.Sprintf("%T", v), "call.") }

func decode[T any](what, name string, body []byte, kinds []T) (T, error) {
	var none T
	for _, k := range kinds {
		if kindName(k) != name {
			continue
		}
		v := reflect.New(reflect.TypeOf(k))
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(v.Interface()); err != nil {
			return none, fmt.Errorf("call: reading %s %s: %w", what, name, err)
		}
		return v.Elem().Interface().(T), nil
	}
	return none, fmt.Errorf("call: there is no %s %q", what, name)
}

// wireOutput is an Output as a line of JSON.
type wireOutput struct {
	Commands []wireOrder `json:"commands,omitempty"`
	Events   []Event     `json:"events,omitempty"`
	Reply    *Reply      `json:"reply,omitempty"`
}

type wireOrder struct {
	Driver  string  `json:"driver"`
	Command string  `json:"command"`
	Body    Command `json:"body"`
}

// MarshalOutput writes an output as one line of JSON, without the line feed. Equal outputs give equal bytes.
func MarshalOutput(out Output) ([]byte, error) {
	w := wireOutput{Events: out.Events, Reply: out.Reply}
	for _, o := range out.Commands {
		w.Commands = append(w.Commands, wireOrder{o.Driver, kindName(o.Command), o.Command})
	}
	return json.Marshal(w)
}
