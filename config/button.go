package config

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Button is a key of a device that is no line: it dials a number, and may show
// what the number's line does.
type Button struct {
	// Key on the device, from 1, in one row with the lines' keys. Default: the first free ones behind the lines.
	Index int `yaml:"index" json:"index,omitempty"`
	// Speed-dial: the key dials. Busy-lamp: it dials, and shows whether the line rings, talks or is free; the number must be a
	// line that the device's subscribe calling search space reaches.
	Type ButtonType `yaml:"type" json:"type,omitempty"`
	// What the key dials, as it is keyed in.
	Number string `yaml:"number" json:"number"`
	// Text next to the key. Default: the number.
	Label string `yaml:"label" json:"label,omitempty"`
	// A busy lamp that tells its user who calls the line, and what the phone needs to answer there.
	Pickup bool `yaml:"pickup" json:"pickup,omitempty"`
}

// ButtonType is what a key of a device does.
type ButtonType uint8

// Values of ButtonType; the first is the default.
const (
	SpeedDial ButtonType = iota
	BusyLamp
)

// Values lists the spellings of ButtonType.
func (ButtonType) Values() []string { return []string{"speed-dial", "busy-lamp"} }

func (b ButtonType) String() string { return enumString(b, b.Values()) }

// MarshalText writes the value as a site file spells it.
func (b ButtonType) MarshalText() ([]byte, error) { return enumText(b, b.Values()) }

// UnmarshalText reads one of Values.
func (b *ButtonType) UnmarshalText(text []byte) error { return enumParse(b, b.Values(), text) }

// MessageLamp says whether phones show that messages wait for a line.
type MessageLamp uint8

// Values of MessageLamp; the first is the default.
const (
	MessageLampLight MessageLamp = iota
	MessageLampNone
)

// Values lists the spellings of MessageLamp.
func (MessageLamp) Values() []string { return []string{"light", "none"} }

func (m MessageLamp) String() string { return enumString(m, m.Values()) }

// MarshalText writes the value as a site file spells it.
func (m MessageLamp) MarshalText() ([]byte, error) { return enumText(m, m.Values()) }

// UnmarshalText reads one of Values.
func (m *MessageLamp) UnmarshalText(b []byte) error { return enumParse(m, m.Values(), b) }

// MessageWaiting says which phones are told that messages wait.
type MessageWaiting uint8

// Values of MessageWaiting; the first is the default.
const (
	MessageWaitingAll MessageWaiting = iota
	MessageWaitingSubscribed
)

// Values lists the spellings of MessageWaiting.
func (MessageWaiting) Values() []string { return []string{"all", "subscribed"} }

func (m MessageWaiting) String() string { return enumString(m, m.Values()) }

// MarshalText writes the value as a site file spells it.
func (m MessageWaiting) MarshalText() ([]byte, error) { return enumText(m, m.Values()) }

// UnmarshalText reads one of Values.
func (m *MessageWaiting) UnmarshalText(b []byte) error { return enumParse(m, m.Values(), b) }

// LampIdentities says whose number a watcher of a line may see.
type LampIdentities uint8

// Values of LampIdentities; the first is the default.
const (
	LampIdentitiesAll LampIdentities = iota
	LampIdentitiesInternal
	LampIdentitiesNone
)

// Values lists the spellings of LampIdentities.
func (LampIdentities) Values() []string { return []string{"all", "internal", "none"} }

func (l LampIdentities) String() string { return enumString(l, l.Values()) }

// MarshalText writes the value as a site file spells it.
func (l LampIdentities) MarshalText() ([]byte, error) { return enumText(l, l.Values()) }

// UnmarshalText reads one of Values.
func (l *LampIdentities) UnmarshalText(b []byte) error { return enumParse(l, l.Values(), b) }

// buttons fills in the keys that were left out, behind those of the lines.
func (d *Device) buttons() {
	next := 0
	for _, a := range d.Lines {
		next = max(next, a.Index)
	}
	taken := map[int]bool{}
	out := make([]Button, len(d.Buttons))
	for _, b := range d.Buttons {
		taken[b.Index] = true
	}
	for i, b := range d.Buttons {
		if b.Index == 0 {
			for next++; taken[next]; next++ {
			}
			b.Index = next
		}
		b.Label = cmp.Or(b.Label, b.Number)
		out[i] = b
	}
	if d.Buttons != nil {
		d.Buttons = out
	}
}

// buttons checks the keys of devices that are no lines. claimed are all numbers and patterns that can be dialled.
func (c *checker) buttons(claimed map[string]string) {
	var all dialled
	spaces := map[string][]string{}
	for _, s := range c.site.CallingSearchSpaces {
		spaces[s.Name] = s.Partitions
	}
	lineSpace := map[string]string{}
	for _, l := range c.site.Lines {
		lineSpace[l.Key()] = l.CallingSearchSpace
	}
	for i, d := range c.site.Devices {
		if len(d.Buttons) == 0 {
			continue
		}
		if all.exact == nil {
			all = indexed(claimed)
		}
		d = d.WithDefaults()
		k := keys{device: d.Name, taken: map[int]bool{}, dials: partitions(spaces[d.CallingSearchSpace])}
		for _, a := range d.Lines {
			k.taken[a.Index] = true
			maps.Copy(k.dials, partitions(spaces[lineSpace[Line{Number: a.Number, Partition: a.Partition}.Key()]]))
		}
		if k.watches = k.dials; d.SubscribeCallingSearchSpace != "" {
			k.watches = partitions(spaces[d.SubscribeCallingSearchSpace])
		}
		for j, b := range d.Buttons {
			c.button(fmt.Sprintf("devices[%d].buttons[%d]", i, j), b, &k, all)
		}
	}
}

// keys is what is known of a device while its buttons are checked.
type keys struct {
	device         string
	taken          map[int]bool
	dials, watches map[string]bool // partitions
}

// partitions is a search space as a set; numbers without a partition are in every one.
func partitions(space []string) map[string]bool {
	set := map[string]bool{"": true}
	for _, p := range space {
		set[p] = true
	}
	return set
}

// keyedShape is what a key can dial.
var keyedShape = regexp.MustCompile(`^\+?[0-9*#]{1,32}$`)

func (c *checker) button(path string, b Button, k *keys, all dialled) {
	c.within(path+".index", b.Index, 1, 200)
	if k.taken[b.Index] {
		c.at(path+".index", fmt.Sprintf("button %d is taken", b.Index), "expected each button once, lines included")
	}
	k.taken[b.Index] = true
	if b.Pickup && b.Type != BusyLamp {
		c.at(path+".pickup", "has no effect on a speed dial", "remove it, or choose type busy-lamp")
	}
	switch {
	case b.Number == "":
		c.at(path+".number", "is missing", "expected the digits the key dials")
	case !keyedShape.MatchString(b.Number):
		c.at(path+".number", fmt.Sprintf("%q cannot be dialled", b.Number), "expected up to 32 of 0-9, * and #, a + only in front")
	case b.Type == BusyLamp && !all.reached(b.Number, k.watches):
		c.at(path+".number", fmt.Sprintf("device %s may not watch %q: nothing in its subscribe calling search space matches", k.device, b.Number), "correct the number, or widen subscribeCallingSearchSpace")
	case b.Type == SpeedDial && !all.reached(b.Number, k.dials):
		c.at(path+".number", fmt.Sprintf("device %s cannot dial %q: nothing in the calling search spaces of its lines and of the device matches", k.device, b.Number), "correct the number, or widen a search space")
	}
}

// dialled is everything that can be dialled.
type dialled struct {
	exact    map[string][]string // partitions by number
	patterns []dialledPattern
}

type dialledPattern struct {
	exp       *regexp.Regexp // nil: written in a way that is not known here; its own check says what is wrong with it
	partition string
}

// indexed sorts claimed numbers and patterns, "digits/partition" without the dot.
func indexed(claimed map[string]string) dialled {
	d := dialled{exact: map[string][]string{}}
	for key, what := range claimed {
		at := strings.LastIndex(key, "/")
		if at < 0 {
			continue
		}
		digits, partition := key[:at], key[at+1:]
		if what == "a feature code" { // with or without an argument behind it
			d.exact[digits] = append(d.exact[digits], partition)
			digits += "!"
		}
		if !strings.ContainsAny(digits, "X![") {
			plain := strings.ReplaceAll(digits, `\`, "")
			d.exact[plain] = append(d.exact[plain], partition)
			continue
		}
		exp, _ := regexp.Compile("^" + strings.NewReplacer("X", "[0-9]", "!", "[0-9]+", "*", `\*`).Replace(digits) + "$")
		d.patterns = append(d.patterns, dialledPattern{exp, partition})
	}
	return d
}

// reached says whether something in the partitions matches the number.
func (d *dialled) reached(number string, in map[string]bool) bool {
	return slices.ContainsFunc(d.exact[number], func(p string) bool { return in[p] }) ||
		slices.ContainsFunc(d.patterns, func(p dialledPattern) bool { return in[p.partition] && (p.exp == nil || p.exp.MatchString(number)) })
}
