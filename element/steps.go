package element

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/trace"
)

// engineTrace writes every input of the engine with what came of it: the replay file.
type engineTrace struct{ el *Element }

var _ live.Recorder = engineTrace{}

// Record implements live.Recorder.
func (e engineTrace) Record(r live.Record) {
	if e.el.cfg.Hooks.Stepped != nil {
		e.el.cfg.Hooks.Stepped(&r)
	}
	t := e.el.cfg.Trace
	if !t.Enabled(e.el.cfg.Service, "", "", trace.Info) {
		return
	}
	rec := trace.Record{Time: r.At, Service: e.el.cfg.Service, Kind: trace.KindTimer, Level: trace.Info}
	switch {
	case r.Input.Signal != nil:
		rec.Kind = trace.KindSignal
		rec.Summary = nameOf(r.Input.Signal)
		if leg := r.Input.Signal.SignalLeg(); leg != 0 {
			rec.Leg = leg.String()
			rec.Summary += " " + rec.Leg
		}
	case r.Input.Request != nil:
		rec.Kind, rec.User, rec.Summary = trace.KindRequest, r.Input.By, nameOf(r.Input.Request)
	case r.Input.Config != nil:
		rec.Summary = "Configure"
	default:
		rec.Summary = "Tick"
	}
	for _, ev := range r.Output.Events {
		if ev.View != nil && ev.View.GlobalID != "" {
			rec.Call = ev.View.GlobalID
			break
		}
	}
	rec.Made = step{r.Seq, r.At, r.Input, r.Output}
	t.Record(rec)
}

// step is the body of an engine's record: the input as call.Replay wants it, and what came of it as text. JSON of the output would
// cost ten times as much, and says no more: the views follow from the events. Inputs and outputs never change.
type step struct {
	seq uint64
	at  time.Time
	in  call.Input
	out call.Output
}

// AppendBody implements trace.Source.
func (s step) AppendBody(body []byte) []byte {
	body = strconv.AppendUint(append(body, `{"n":`...), s.seq, 10) // 1 is where an engine's life begins
	in, err := call.AppendInput(append(body, `,"input":`...), s.at, s.in)
	if err != nil {
		in = appendJSON(append(body, `,"unwritten":`...), []byte(err.Error()))
	}
	body = in
	text := wireBuffers.Get().(*[]byte)
	defer giveBack(text)
	*text = call.AppendOutput((*text)[:0], s.out)
	return append(appendJSON(append(body, `,"text":`...), *text), '}')
}

// giveBack returns a buffer to the pool; a huge one is left to the collector.
func giveBack(b *[]byte) {
	if cap(*b) <= 64<<10 {
		wireBuffers.Put(b)
	}
}

// appendJSON appends a text as a JSON string. RFC 8259, 7: quotation mark, backslash and control characters are escaped; what
// is not UTF-8 goes the long way.
func appendJSON(b, text []byte) []byte {
	if !utf8.Valid(text) {
		quoted, _ := json.Marshal(string(text)) // a string can always be written
		return append(b, quoted...)
	}
	b = append(b, '"')
	from := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, text[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
	}
	return append(append(b, text[from:]...), '"')
}

// nameOf is the word for a value of the engine's vocabulary: "Setup" for call.Setup.
func nameOf(v any) string {
	name := fmt.Sprintf("%T", v)
	return name[strings.LastIndexByte(name, '.')+1:]
}
