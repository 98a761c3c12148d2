package phonexml

import (
	"fmt"
	"strings"
)

//go:generate go run ./gendoc ../../docs/wire/phonexml.md

// A Source says where an element's value comes from when we write a file.
type Source uint8

// Sources.
const (
	NotOffered Source = iota // never written
	Configured               // from the configuration of the site
	Fixed                    // always the same
)

// String is the source in the words of the table.
func (s Source) String() string {
	switch s {
	case Configured:
		return "from configuration"
	case Fixed:
		return "fixed"
	}
	return "not offered"
}

// Element is a row of the table: one element, or one attribute (path@name), that <name>.cnf.xml can hold.
type Element struct {
	Path   string // from the root: device/devicePool/dateTimeSetting/timeZone
	Source Source
	Value  string // of a fixed leaf
	// Note says for Configured which field of the site, for Fixed why this value, for NotOffered why not.
	Note string
	Own  bool // not in the public list of elements: known from other material
}

// Elements is the table of all elements in the order of a file.
func Elements() []Element { return append([]Element(nil), elements...) }

// leaf splits a path into the parent's path and the name.
func leaf(path string) (parent, name string) {
	at := strings.LastIndexByte(path, '/')
	return path[:max(at, 0)], path[at+1:]
}

// fixed collects the fixed leaves directly below a path, in order.
func fixed(parent string) (out Settings) {
	for _, e := range elements {
		if p, name := leaf(e.Path); p == parent && e.Source == Fixed && e.Value != "" && !typed[e.Path] {
			out = append(out, Setting{name, e.Value})
		}
	}
	return out
}

// typed are fixed leaves that have a field of their own.
var typed = map[string]bool{
	"device/sipProfile/sipLines/line/proxy": true,
}

// value is what the table says for a fixed leaf.
func value(path string) string {
	for _, e := range elements {
		if e.Path == path {
			return e.Value
		}
	}
	return ""
}

// New is a full configuration for SIP or SCCP with every fixed value of the table and nothing from a site.
func New(protocol string) *Device {
	d := &Device{FullConfig: true, DeviceProtocol: protocol, Common: fixed("device/commonProfile"), Vendor: fixed("device/vendorConfig"), More: fixed("device")}
	d.Pool.DateTemplate = value("device/devicePool/dateTimeSetting/dateTemplate")
	if protocol == SIPProtocol {
		d.SIP = &SIP{Proxies: fixed("device/sipProfile/sipProxies"), CallFeatures: fixed("device/sipProfile/sipCallFeatures"),
			Stack: fixed("device/sipProfile/sipStack"), Settings: fixed("device/sipProfile")}
	}
	return d
}

// NewLine is a SIP line button with every fixed value of the table.
func NewLine(button int) Line {
	const at = "device/sipProfile/sipLines/line"
	return Line{Button: button, Index: button, Feature: FeatureLine, Proxy: value(at + "/proxy"), Settings: fixed(at),
		AutoAnswer: fixed(at + "/autoAnswer"), ForwardInfo: fixed(at + "/forwardCallInfoDisplay")}
}

// NewButton is a SIP key that is no line: FeatureSpeedDial or FeatureBusyLamp. With pickup a busy lamp also answers the calls it shows.
func NewButton(button, feature int, label, number string, pickup bool) Line {
	l := Line{Button: button, Feature: feature, Label: label, Settings: Settings{{"speedDialNumber", number}}}
	if pickup {
		l.Settings = append(l.Settings, Setting{"featureOptionMask", "1"})
	}
	return l
}

// Table is the table of elements in Markdown, as docs/wire/phonexml.md has it.
func Table() string {
	var b strings.Builder
	count := map[Source]int{}
	for _, e := range elements {
		count[e.Source]++
	}
	fmt.Fprintf(&b, "%d rows: %d from configuration, %d fixed, %d not offered.\n\n", len(elements), count[Configured], count[Fixed], count[NotOffered])
	b.WriteString("| Element | Written | Value | Why, or from where |\n|---|---|---|---|\n")
	for _, e := range elements {
		v := e.Value
		if v != "" {
			v = "`" + v + "`"
		}
		mark := ""
		if e.Own {
			mark = " (+)"
		}
		fmt.Fprintf(&b, "| `%s`%s | %s | %s | %s |\n", strings.TrimPrefix(e.Path, "device/"), mark, e.Source, v, e.Note)
	}
	return b.String()
}

// Marks between which InsertTable puts the table.
const (
	tableBegins = "<!-- The table is printed by go generate; do not edit it. -->\n"
	tableEnds   = "<!-- End of the table. -->\n"
)

// InsertTable replaces what stands between the two marks of a document by the table.
func InsertTable(doc string) (string, error) {
	head, rest, begins := strings.Cut(doc, tableBegins)
	_, tail, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return "", fmt.Errorf("the document has no place for the table: it stands between %q and %q", strings.TrimSpace(tableBegins), strings.TrimSpace(tableEnds))
	}
	return head + tableBegins + "\n" + Table() + "\n" + tableEnds + tail, nil
}
