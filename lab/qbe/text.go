package qbe

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/locktone/locktone/wire/ctiqbe"
)

// Names gives the numbers of a connection names that are the same in every run: a call is the number of its line and its place among the
// line's calls (1001.2), a global call handle g1, g2 and so on, each in the order in which it was said first.
type Names struct {
	lines   map[[2]uint32]string
	calls   map[[2]uint32]string
	byN     map[string][2]uint32 // calls by name
	count   map[string]int
	gchs    map[[2]uint32]string
	devices map[[2]uint32]string
}

// NewNames begins with the lines that are open.
func NewNames(lines ...Line) *Names {
	n := &Names{lines: map[[2]uint32]string{}, calls: map[[2]uint32]string{}, byN: map[string][2]uint32{}, count: map[string]int{}, gchs: map[[2]uint32]string{}, devices: map[[2]uint32]string{}}
	for _, l := range lines {
		n.lines[[2]uint32{l.CallManager, l.ID}] = l.Number
		n.devices[[2]uint32{l.DeviceManager, l.DeviceID}] = l.Device
	}
	return n
}

// device is the name of a device that is open.
func (n *Names) device(v reflect.Value) string {
	id := v.FieldByName("DeviceID")
	m := v.FieldByName("DeviceCallManagerID")
	if !id.IsValid() || !m.IsValid() {
		return ""
	}
	return n.devices[[2]uint32{uint32(m.Uint()), uint32(id.Uint())}]
}

// Learn notes the calls of a message that begins one.
func (n *Names) Learn(m ctiqbe.Message) {
	switch m := m.(type) {
	case *ctiqbe.LineNewCallEvent:
		n.call(n.lines[[2]uint32{m.LineCallManagerID, m.LineID}], [2]uint32{m.CallCallManagerID, m.CallLegID})
	case *ctiqbe.LineExistingCallEvent:
		n.call(n.lines[[2]uint32{m.LineCallManagerID, m.LineID}], [2]uint32{m.CallCallManagerID, m.CallLegID})
	case *ctiqbe.LineCallInitiateResponse:
		n.call(n.lines[[2]uint32{m.LineCallManagerID, m.LineID}], [2]uint32{m.CallManagerID, m.CallLegID})
	case *ctiqbe.CallSetupTransferResponse:
		n.call(m.ConsultLine, [2]uint32{m.ConsultCallManagerID, m.ConsultCallID})
	case *ctiqbe.CallSetupConferenceResponse:
		n.call(m.ConsultLine, [2]uint32{m.ConsultCallManagerID, m.ConsultCallID})
	}
}

func (n *Names) call(line string, h [2]uint32) {
	if _, ok := n.calls[h]; !ok {
		n.count[line]++
		name := fmt.Sprintf("%s.%d", line, n.count[line])
		n.calls[h], n.byN[name] = name, h
	}
}

// Call is a call by its name.
func (n *Names) Call(name string) (callManager, leg uint32, ok bool) {
	h, ok := n.byN[name]
	return h[0], h[1], ok
}

// GCH is the name of a global call handle.
func (n *Names) GCH(callManager, call uint32) string {
	h := [2]uint32{callManager, call}
	if h == [2]uint32{} {
		return ""
	}
	if n.gchs[h] == "" {
		n.gchs[h] = fmt.Sprintf("g%d", len(n.gchs)+1)
	}
	return n.gchs[h]
}

func (n *Names) callName(callManager, leg uint32) string {
	if name := n.calls[[2]uint32{callManager, leg}]; name != "" || leg == 0 {
		return name
	}
	return "other"
}

// Text says a message in one line: its name and what is in it that matters to a person, each number by its name. Line is the line it is
// about, empty for none.
func (n *Names) Text(m ctiqbe.Message) (line, text string) {
	b := &strings.Builder{}
	if f, ok := m.(*ctiqbe.FailureResponse); ok {
		return "", fmt.Sprintf("FailureResponse %v", f.Result)
	}
	v := reflect.ValueOf(m).Elem()
	if d := n.device(v); d != "" {
		b.WriteString(d + " ")
	}
	b.WriteString(m.PDU().String())
	n.fields(b, v)
	return n.lineOf(v), b.String()
}

func (n *Names) lineOf(v reflect.Value) string {
	if id := v.FieldByName("LineID"); id.IsValid() {
		return n.lines[[2]uint32{uint32(v.FieldByName("LineCallManagerID").Uint()), uint32(id.Uint())}]
	}
	return ""
}

// pairs are the fields that are handles: the second of each, with the first and what it is a handle of.
var pairs = map[string]struct {
	first, name string
	gch         bool
}{
	"CallLegID":                    {"CallCallManagerID", "call", false},
	"CallID":                       {"GlobalCallManagerID", "gch", true},
	"GlobalCallID":                 {"GlobalCallManagerID", "gch", true},
	"NewGlobalCallID":              {"NewGlobalCallManagerID", "gch", true},
	"GlobalCallHandleCallID":       {"GlobalCallHandleCallManager", "gch", true},
	"SurvivingGCCID":               {"SurvivingGCMID", "surviving", true},
	"OtherGCCID":                   {"OtherGCMID", "other", true},
	"FinalControllerCallLegID":     {"FinalControllerCallManagerID", "final", false},
	"OtherControllerCallLegID":     {"OtherControllerCallManagerID", "ends", false},
	"ConsultCallID":                {"ConsultCallManagerID", "consult", false},
	"FarEndpointCallManagerID":     {"FarEndpointCallManagerID", "", false},
	"CallCallManagerID":            {"", "", false},
	"CallManagerID":                {"", "", false},
	"GlobalCallManagerID":          {"", "", false},
	"NewGlobalCallManagerID":       {"", "", false},
	"SurvivingGCMID":               {"", "", false},
	"OtherGCMID":                   {"", "", false},
	"GlobalCallHandleCallManager":  {"", "", false},
	"FinalControllerCallManagerID": {"", "", false},
	"OtherControllerCallManagerID": {"", "", false},
	"ConsultCallManagerID":         {"", "", false},
	"LineCallManagerID":            {"", "", false},
	"LineID":                       {"", "", false},
	"DeviceCallManagerID":          {"", "", false},
	"DeviceID":                     {"", "", false},
	"SequenceNumber":               {"", "", false},
	"TransactionID":                {"", "", false},
	"ConferenceStateChangedID":     {"", "", false},
}

// dull says that a field says nothing that another does not say, or nothing that is the same in every run.
func dull(name string) bool {
	for _, p := range []string{"Unicode", "Unmodified", "Globalized"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	for _, s := range []string{"Name", "PI", "Locale", "UUID", "EndpointType", "EndPointType", "Presentable", "Priority", "HandleSpecified", "CallReference", "DNInfo", "AddressingMode",
		"Changed", "CallType", "CallTypes", "PermanentLineID"} {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	return false
}

func (n *Names) fields(b *strings.Builder, v reflect.Value) {
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		if p, ok := pairs[name]; ok {
			n.pair(b, v, f, p.first, p.name, p.gch)
			continue
		}
		if dull(name) || f.IsZero() {
			continue
		}
		n.field(b, v, f, name)
	}
}

func (n *Names) pair(b *strings.Builder, v, second reflect.Value, first, name string, gch bool) {
	if name == "" {
		return
	}
	f := v.FieldByName(first)
	if !f.IsValid() {
		f = v.FieldByName("CallManagerID")
	}
	if !f.IsValid() {
		return
	}
	said := n.callName(uint32(f.Uint()), uint32(second.Uint()))
	if gch {
		said = n.GCH(uint32(f.Uint()), uint32(second.Uint()))
	}
	if said != "" {
		fmt.Fprintf(b, " %s=%s", name, said)
	}
}

func (n *Names) field(b *strings.Builder, v, f reflect.Value, name string) {
	switch x := f.Interface().(type) {
	case string:
		fmt.Fprintf(b, " %s=%s%s", lower(name), x, partition(v, name))
	case []ctiqbe.CallHandle:
		var out []string
		for _, h := range x {
			out = append(out, n.callName(h.CallManagerID, h.CallLegID))
		}
		fmt.Fprintf(b, " %s=%s", lower(name), strings.Join(out, ","))
	case []ctiqbe.GlobalCallHandle:
		var out []string
		for _, h := range x {
			out = append(out, n.GCH(h.CallManagerID, h.CallID))
		}
		fmt.Fprintf(b, " %s=%s", lower(name), strings.Join(out, ","))
	case ctiqbe.ParticipantInfo:
		fmt.Fprintf(b, " %s=%s", lower(name), n.participant(&x))
	case []ctiqbe.ParticipantInfo:
		var out []string
		for i := range x {
			out = append(out, n.participant(&x[i]))
		}
		fmt.Fprintf(b, " %s=%s", lower(name), strings.Join(out, ","))
	case bool:
		fmt.Fprintf(b, " %s", lower(name))
	default:
		n.value(b, f, name)
	}
}

func (n *Names) value(b *strings.Builder, f reflect.Value, name string) {
	switch f.Kind() {
	case reflect.Struct:
		fmt.Fprintf(b, " %s={", lower(name))
		n.fields(b, f)
		b.WriteString(" }")
	case reflect.Slice:
		if f.Type().Elem().Kind() != reflect.Struct {
			fmt.Fprintf(b, " %s=%v", lower(name), f.Interface())
			return
		}
		for i := range f.Len() {
			n.value(b, f.Index(i), name)
		}
	default:
		fmt.Fprintf(b, " %s=%v", lower(name), f.Interface())
	}
}

func (n *Names) participant(p *ctiqbe.ParticipantInfo) string {
	return fmt.Sprintf("%s@%s(%s)", p.ParticipantNumber, p.ParticipantDNInfo.Partition, n.callName(p.CallManagerID, p.CallLegID))
}

// partition is that of a party, where the message has one for it: a number without its partition is another party to clients.
func partition(v reflect.Value, name string) string {
	f := v.FieldByName(name + "DNInfo")
	if !f.IsValid() {
		f = v.FieldByName(strings.Replace(name, "OriginalParty", "OriginalCalledParty", 1) + "DNInfo")
	}
	if info, ok := f, f.IsValid(); ok {
		return "@" + info.FieldByName("Partition").String()
	}
	return ""
}

func lower(name string) string {
	if strings.ToUpper(name) == name || len(name) < 2 || name[1] >= 'A' && name[1] <= 'Z' {
		return strings.ToLower(name)
	}
	return strings.ToLower(name[:1]) + name[1:]
}
