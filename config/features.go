package config

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// FeatureCode is a number that a phone dials to use a feature, instead of calling somebody. The phone is answered with a
// short tone, shows what was done, and is released; or it is refused and told why.
type FeatureCode struct {
	// Digits to dial: *72. Where the feature takes an argument (a number to forward to), it is dialled right behind them.
	Code string `yaml:"code" json:"code"`
	// Partition of the code. Left out: everyone can reach it.
	Partition string `yaml:"partition" json:"partition,omitempty"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// What it does: conference, park, pickup, group-pickup, barge, take-over, forward-all, forward-busy, forward-no-answer,
	// forward-unregistered, forward-off, do-not-disturb, privacy, hunt-login or voicemail.
	Feature Feature `yaml:"feature" json:"feature"`
}

// ParkNumber is a park number or a range of them: a call that is parked waits there until somebody dials it.
type ParkNumber struct {
	// One number or a range: 7001, 70[0-4]X. At most 1000 numbers.
	Pattern string `yaml:"pattern" json:"pattern"`
	// Partition of the numbers. Left out: everyone can reach them. Who can reach a number can park there and fetch from there.
	Partition string `yaml:"partition" json:"partition,omitempty"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// How long a call waits before it rings whoever parked it. Default: 60s.
	Reminder Duration `yaml:"reminder" json:"reminder,omitempty"`
	// Number that a call rings at after that time. Left out: the line that parked it.
	Reversion string `yaml:"reversion" json:"reversion,omitempty"`
	// Calling search space of the reversion. Left out: that of the line that parked the call.
	CallingSearchSpace string `yaml:"callingSearchSpace" json:"callingSearchSpace,omitempty"`
	// Calls are parked here only by number: by a transfer to it, or by dialling it while a call is on hold. The park code takes
	// other ranges.
	Directed bool `yaml:"directed" json:"directed,omitempty"`
}

// PickupGroup is a set of lines that answer each other's calls. Lines name the group they are in.
type PickupGroup struct {
	// Name of the group.
	Name string `yaml:"name" json:"name"`
	// Number to dial behind the code of group-pickup. Left out: only associated groups can answer this group's calls.
	Number string `yaml:"number" json:"number,omitempty"`
	// Other groups whose calls this group's lines may answer, in this order when nothing rings in their own.
	Associated []string `yaml:"associated" json:"associated,omitempty"`
}

// Feature is what a feature code does.
type Feature uint8

// Values of Feature; the first is none.
const (
	FeatureNone Feature = iota
	FeatureConference
	FeaturePark
	FeaturePickup
	FeatureGroupPickup
	FeatureBarge
	FeatureTakeOver
	FeatureForwardAll
	FeatureForwardBusy
	FeatureForwardNoAnswer
	FeatureForwardUnregistered
	FeatureForwardOff
	FeatureDoNotDisturb
	FeaturePrivacy
	FeatureHuntLogin
	FeatureVoicemail
)

// Values lists the spellings of Feature.
func (Feature) Values() []string {
	return []string{"none", "conference", "park", "pickup", "group-pickup", "barge", "take-over", "forward-all", "forward-busy", "forward-no-answer",
		"forward-unregistered", "forward-off", "do-not-disturb", "privacy", "hunt-login", "voicemail"}
}

func (f Feature) String() string { return enumString(f, f.Values()) }

// MarshalText writes the value as a site file spells it.
func (f Feature) MarshalText() ([]byte, error) { return enumText(f, f.Values()) }

// UnmarshalText reads one of Values.
func (f *Feature) UnmarshalText(b []byte) error { return enumParse(f, f.Values(), b) }

// TakesArgument says whether something may be dialled behind the code.
func (f Feature) TakesArgument() bool {
	switch f {
	case FeaturePark, FeaturePickup, FeatureGroupPickup, FeatureForwardAll, FeatureForwardBusy, FeatureForwardNoAnswer, FeatureForwardUnregistered:
		return true
	}
	return false
}

// WithDefaults returns the park number with every default filled in.
func (p ParkNumber) WithDefaults() ParkNumber {
	p.Reminder = cmp.Or(p.Reminder, Duration(time.Minute))
	return p
}

// maxParkNumbers bounds one range.
const maxParkNumbers = 1000

// Numbers are all numbers of the range in ascending order, nil when the pattern is none or stands for more than 1000.
func (p ParkNumber) Numbers() []string {
	out := []string{""}
	for rest := p.Pattern; rest != ""; {
		choices := rest[:1]
		switch {
		case rest[0] == 'X':
			choices = "0123456789"
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil
			}
			choices, rest = members(rest[1:end]), rest[end:]
		case !strings.ContainsRune("0123456789*#", rune(rest[0])):
			return nil
		}
		rest = rest[1:]
		if len(out)*len(choices) > maxParkNumbers {
			return nil
		}
		var next []string
		for _, n := range out {
			for _, c := range choices {
				next = append(next, n+string(c))
			}
		}
		out = next
	}
	return out
}

// members are the digits of a set as it stands in a pattern between its brackets.
func members(set string) string {
	set, inverted := strings.CutPrefix(set, "^")
	in := func(d byte) bool {
		for i := 0; i < len(set); i++ {
			if i+2 < len(set) && set[i+1] == '-' {
				if d >= set[i] && d <= set[i+2] {
					return true
				}
				i += 2
			} else if set[i] == d {
				return true
			}
		}
		return false
	}
	var out []byte
	for d := byte('0'); d <= '9'; d++ {
		if in(d) != inverted {
			out = append(out, d)
		}
	}
	return string(out)
}

// features checks what stands for supplementary services.
func (c *checker) features(claimed map[string]string) {
	c.within("cluster.parkReminders", c.site.Cluster.ParkReminders, 1, 1000)
	for i, f := range c.site.FeatureCodes {
		path := fmt.Sprintf("featureCodes[%d]", i)
		c.pattern(path+".code", f.Code)
		c.ref(path+".partition", KindPartition, f.Partition, false)
		if f.Feature == FeatureNone {
			c.at(path+".feature", "is missing", "expected one of "+listOf(f.Feature.Values()[1:]))
		}
		c.claim(claimed, path+".code", f.Code, f.Partition, "a feature code")
	}
	for i, p := range c.site.ParkNumbers {
		path := fmt.Sprintf("parkNumbers[%d]", i)
		if n := p.Numbers(); len(n) == 0 || p.Pattern == "" {
			c.at(path+".pattern", fmt.Sprintf("%q stands for no park numbers", p.Pattern), "expected for instance 7001 or 70[0-4]X: digits, X and sets, at most 1000 numbers")
		}
		c.ref(path+".partition", KindPartition, p.Partition, false)
		c.between(path+".reminder", p.Reminder, time.Second, time.Hour)
		c.ref(path+".callingSearchSpace", KindCallingSearchSpace, p.CallingSearchSpace, false)
		if p.Reversion != "" {
			c.number(path+".reversion", p.Reversion)
		}
		if p.CallingSearchSpace != "" && p.Reversion == "" {
			c.at(path+".callingSearchSpace", "has no effect without a reversion", "give a reversion, or remove it")
		}
		c.claim(claimed, path+".pattern", p.Pattern, p.Partition, "a park number")
	}
	c.conferences(claimed)
	numbers := map[string]string{}
	eachOf(c, "pickupGroups", c.site.PickupGroups, func(g PickupGroup) string { return g.Name }, func(path string, g PickupGroup) {
		c.refs(path+".associated", KindPickupGroup, g.Associated, false)
		if g.Number == "" {
			return
		}
		c.number(path+".number", g.Number)
		if other, dup := numbers[g.Number]; dup {
			c.at(path+".number", fmt.Sprintf("%s is already the number of %q", g.Number, other), "expected every group to have a number of its own")
		}
		numbers[g.Number] = g.Name
	})
}

// Kind implements Entity.
func (FeatureCode) Kind() Kind { return KindFeatureCode }

// Key is "code/partition".
func (e FeatureCode) Key() string { return e.Code + "/" + e.Partition }

// Kind implements Entity.
func (ParkNumber) Kind() Kind { return KindParkNumber }

// Key is "pattern/partition".
func (e ParkNumber) Key() string { return e.Pattern + "/" + e.Partition }

// Kind implements Entity.
func (PickupGroup) Kind() Kind { return KindPickupGroup }

// Key is the name.
func (e PickupGroup) Key() string { return e.Name }
