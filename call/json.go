package call

import (
	"bytes"
	"encoding/json"
	"fmt"
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
func MarshalInput(at time.Time, in Input) ([]byte, error) { return AppendInput(nil, at, in) }

// AppendInput appends what MarshalInput writes. The envelope is written by hand: this runs once for every input of a busy engine.
func AppendInput(b []byte, at time.Time, in Input) ([]byte, error) {
	b = at.UTC().AppendFormat(append(b, `{"at":"`...), time.RFC3339Nano)
	b = append(b, '"')
	b = appendString(b, "driver", in.Driver)
	b = appendString(b, "by", in.By)
	b = appendString(b, "id", in.RequestID)
	var body any
	name := "body"
	switch {
	case in.Config != nil:
		name, body = "config", in.Config.Site()
	case in.Signal != nil:
		b, body = appendString(b, "signal", kindName(in.Signal)), in.Signal
	case in.Request != nil:
		b, body = appendString(b, "request", kindName(in.Request)), in.Request
	default:
		return append(b, '}'), nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("call: writing %s: %w", kindName(body), err)
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return append(append(b, text...), '}'), nil
}

// appendString appends a member that is a string, nothing for the empty one.
func appendString(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	if plain(v) { // all that the engine's own words are
		return append(append(append(b, '"'), v...), '"')
	}
	text, _ := json.Marshal(v) // a string can always be written
	return append(b, text...)
}

// plain says whether JSON shows a string as it is.
func plain(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
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

// signalKinds and requestKinds read a body by the name of its type.
var (
	signalKinds = map[string]func([]byte) (Signal, error){
		"Setup": signalOf[Setup], "Alerting": signalOf[Alerting], "Progressing": signalOf[Progressing], "Answered": signalOf[Answered],
		"Confirmed": signalOf[Confirmed], "Reoffered": signalOf[Reoffered], "ReofferAnswered": signalOf[ReofferAnswered],
		"ReofferRejected": signalOf[ReofferRejected], "Digit": signalOf[Digit], "TransferAsked": signalOf[TransferAsked],
		"Heard": signalOf[Heard], "Measured": signalOf[Measured],
		"Released": signalOf[Released], "DeviceState": signalOf[DeviceState], "TrunkState": signalOf[TrunkState], "DriverLost": signalOf[DriverLost],
		"NodeState": signalOf[NodeState], "Elsewhere": signalOf[Elsewhere], "Identified": signalOf[Identified], "LockShown": signalOf[LockShown],
	}
	requestKinds = map[string]func([]byte) (Request, error){
		"MakeCall": requestOf[MakeCall], "AnswerCall": requestOf[AnswerCall], "AcceptCall": requestOf[AcceptCall], "SendDigits": requestOf[SendDigits],
		"Drop": requestOf[Drop], "Hold": requestOf[Hold], "Resume": requestOf[Resume], "Redirect": requestOf[Redirect],
		"Transfer": requestOf[Transfer], "Conference": requestOf[Conference], "Barge": requestOf[Barge], "TakeOver": requestOf[TakeOver],
		"Park": requestOf[Park], "Retrieve": requestOf[Retrieve], "Pickup": requestOf[Pickup],
		"SetForward": requestOf[SetForward], "SetDoNotDisturb": requestOf[SetDoNotDisturb], "SetPrivacy": requestOf[SetPrivacy],
		"SetHuntLogin": requestOf[SetHuntLogin], "Deliver": requestOf[Deliver], "CancelDeliver": requestOf[CancelDeliver], "SetGuard": requestOf[SetGuard], "Join": requestOf[Join],
	}
)

func signalOf[T Signal](body []byte) (Signal, error)    { return strict[T](body) }
func requestOf[T Request](body []byte) (Request, error) { return strict[T](body) }

// strict reads a body that may have no fields but those of T.
func strict[T any](body []byte) (T, error) {
	var v T
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(&v)
	return v, err
}

func decode[T any](what, name string, body []byte, kinds map[string]func([]byte) (T, error)) (T, error) {
	read := kinds[name]
	if read == nil {
		var none T
		return none, fmt.Errorf("call: there is no %s %q", what, name)
	}
	v, err := read(body)
	if err != nil {
		return v, fmt.Errorf("call: reading %s %s: %w", what, name, err)
	}
	return v, nil
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
