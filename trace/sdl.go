package trace

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// SDL writes records in the line shape of SDL trace files; the package comment describes it. The zero value is not
// usable; see [NewSDL].
type SDL struct {
	w      *bufio.Writer
	signal uint64 // number of the SdlSig line that is being handled
	line   int    // lines written since
}

// NewSDL writes to w. Call Flush at the end.
func NewSDL(w io.Writer) *SDL { return &SDL{w: bufio.NewWriter(w)} }

// WriteSDL writes a list of records; see [SDL].
func WriteSDL(w io.Writer, recs []Record) error {
	s := NewSDL(w)
	for i := range recs {
		s.Write(&recs[i])
	}
	return s.Flush()
}

// Flush writes what is buffered and returns the first error of all writes.
func (s *SDL) Flush() error { return s.w.Flush() }

// Write writes one record; errors show in Flush.
func (s *SDL) Write(r *Record) {
	if r.Kind.Engine() {
		s.writeSignal(r)
		return
	}
	s.writeInfo(r)
}

// number writes columns 1 to 3.
func (s *SDL) number(r *Record, sort string) {
	if s.line > 999 {
		s.signal, s.line = r.Seq, 0
	}
	fmt.Fprintf(s.w, "%08d.%03d |%s |%-8s|", s.signal, s.line, r.Time.Local().Format("15:04:05.000"), sort)
	s.line++
}

func (s *SDL) writeSignal(r *Record) {
	s.signal, s.line = r.Seq, 0
	s.number(r, "SdlSig")
	name, params, _ := strings.Cut(r.Summary, " ")
	state := r.Field("state")
	if state == "" {
		state = r.Kind.String()
	}
	engine, other := process(r.Service, r.Node, r.Call, r.Leg), peerProcess(r)
	to, from := engine, other
	if r.Kind == KindCommand || r.Kind == KindEvent {
		to, from = other, engine
	}
	fmt.Fprintf(s.w, "%s |%s |%s |%s |%s |[R:N-H:0,N:0,L:0,V:0,Z:0,D:0] %s",
		sdlText(name), sdlText(state), to, from, tag(r), sdlText(params))
	for _, f := range r.Fields {
		if f.Name != "state" {
			fmt.Fprintf(s.w, " %s=%s", sdlText(f.Name), sdlText(f.Value))
		}
	}
	s.w.WriteByte('\n')
	s.body(r)
}

func (s *SDL) writeInfo(r *Record) {
	if s.signal == 0 {
		s.signal = r.Seq
	}
	s.number(r, "AppInfo")
	switch {
	case r.Kind.SIP():
		arrow := "<-"
		if r.Kind == KindSIPOut {
			arrow = "->"
		}
		fmt.Fprintf(s.w, "%s %s %s %s %s", strings.ToUpper(strings.Replace(r.Kind.String(), "-", " ", 1)), orWord(r.Net, "?"), addr(r.Local.IsValid(), r.Local), arrow, addr(r.Remote.IsValid(), r.Remote))
	default:
		fmt.Fprintf(s.w, "[%s] %s", r.Kind, sdlText(r.Summary))
	}
	for _, p := range [...]Field{{"service", r.Service}, {"flow", r.Flow}, {"call", r.Call}, {"device", r.Device}, {"user", r.User}, {"peer", r.Peer}} {
		if p.Value != "" {
			fmt.Fprintf(s.w, " %s=%s", p.Name, sdlText(p.Value))
		}
	}
	for _, f := range r.Fields {
		fmt.Fprintf(s.w, " %s=%s", sdlText(f.Name), sdlText(f.Value))
	}
	s.w.WriteByte('\n')
	s.body(r)
}

// body writes a message on lines of its own, without carriage returns.
func (s *SDL) body(r *Record) {
	if len(r.Body) == 0 {
		return
	}
	text := strings.ReplaceAll(string(r.Body), "\r", "")
	s.w.WriteString(strings.TrimRight(text, "\n"))
	s.w.WriteByte('\n')
}

func addr(valid bool, a fmt.Stringer) string {
	if !valid {
		return "?"
	}
	return a.String()
}

// process names a process: a service with its node, call and leg in brackets.
func process(name, node, call, leg string) string {
	parts := []string{sdlText(orWord(node, "0")), sdlText(orWord(call, "0")), sdlText(orWord(leg, "0"))}
	return sdlText(orWord(name, "engine")) + "(" + strings.Join(parts, ",") + ")"
}

// peerProcess names the other end: a device or peer with its address in brackets.
func peerProcess(r *Record) string {
	name := peerName(r)
	if name == "" {
		name = "driver"
	}
	if !r.Remote.IsValid() {
		return process(name, r.Node, r.Call, r.Leg)
	}
	return fmt.Sprintf("%s(%s,%d)", sdlText(name), r.Remote.Addr(), r.Remote.Port())
}

// tag is the correlation tag: who ^ address ^ device, a star where nothing is known.
func tag(r *Record) string {
	ip, device := "*", "*"
	if r.Remote.IsValid() {
		ip = r.Remote.Addr().String()
	}
	if r.Device != "" {
		device = sdlText(r.Device)
	}
	return strings.Join([]string{sdlText(orWord(r.Node, "0")), sdlText(orWord(r.Call, "0")), sdlText(orWord(r.Leg, "0"))}, ",") + "^" + ip + "^" + device
}

// sdlText keeps a value inside its column: the divider and line ends become blanks.
func sdlText(s string) string {
	if !strings.ContainsAny(s, "|\r\n") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == '|' || r == '\r' || r == '\n' {
			return ' '
		}
		return r
	}, s)
}
