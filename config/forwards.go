package config

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Forwards are where a line's calls go instead of ringing there. What a user sets at the phone (feature codes) overrides them until it
// is set again. A call is never forwarded back to a line it has been through, nor to an emergency number.
type Forwards struct {
	// Every call, at once.
	All Forward `yaml:"all" json:"all,omitzero"`
	// When the line is busy: at its busy trigger, while do not disturb rejects calls, or when the phone says so.
	Busy Forward `yaml:"busy" json:"busy,omitzero"`
	// When nobody answers within the line's noAnswerTimeout.
	NoAnswer Forward `yaml:"noAnswer" json:"noAnswer,omitzero"`
	// When no phone of the line can be reached.
	Unregistered Forward `yaml:"unregistered" json:"unregistered,omitzero"`
}

// Forward is one of them.
type Forward struct {
	// Number to call instead, as the line would dial it.
	To string `yaml:"to" json:"to,omitempty"`
	// Send the calls to the line's mailbox, by its voicemail profile.
	Voicemail bool `yaml:"voicemail" json:"voicemail,omitempty"`
	// Calling search space in which the number is looked up. Left out: the line's own; to voicemail, that of the voicemail profile.
	CallingSearchSpace string `yaml:"callingSearchSpace" json:"callingSearchSpace,omitempty"`
}

// VoicemailProfile says where the mailboxes of lines are.
type VoicemailProfile struct {
	// Name of the profile. The one named default serves every line that names none.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Voicemail pilot: the number that reaches the mailbox system.
	Pilot string `yaml:"pilot" json:"pilot"`
	// Calling search space in which the pilot is looked up for forwarded calls. Left out: the line's own.
	CallingSearchSpace string `yaml:"callingSearchSpace" json:"callingSearchSpace,omitempty"`
	// Number by which the mailbox system knows a line, as a mask: X is a digit of the line's own number. Left out: the line's number.
	MailboxMask string `yaml:"mailboxMask" json:"mailboxMask,omitempty"`
}

// HuntPilot is a number that looks for somebody in the line groups of a hunt list.
type HuntPilot struct {
	// Number people dial, or a pattern.
	Pattern string `yaml:"pattern" json:"pattern"`
	// Partition of the number. Left out: everyone can reach it.
	Partition string `yaml:"partition" json:"partition,omitempty"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Name shown to the caller while members ring, and to the members. Default: the name of the hunt list.
	Display string `yaml:"display" json:"display,omitempty"`
	// Hunt list to look through.
	HuntList string `yaml:"huntList" json:"huntList"`
	// How long is looked for somebody altogether. Left out: until every member has been tried.
	MaximumHuntTimer Duration `yaml:"maximumHuntTimer" json:"maximumHuntTimer,omitempty"`
	// Where the call goes when nobody takes it; voicemail is the mailbox of the pilot, at the profile named default. Left out: the
	// caller hears what the last member had to say.
	Forward Forward `yaml:"forward" json:"forward,omitzero"`
}

// HuntList is an ordered list of line groups.
type HuntList struct {
	// Name of the list.
	Name string `yaml:"name" json:"name"`
	// Names of line groups, asked one after the other.
	LineGroups []string `yaml:"lineGroups" json:"lineGroups"`
}

// LineGroup is a set of lines that a hunt pilot rings. Members that are busy, not registered, logged out of hunting, or on do not
// disturb are passed over; their own forwards do not act.
type LineGroup struct {
	// Name of the group.
	Name string `yaml:"name" json:"name"`
	// Who rings first: top-down (always the first), circular (the one after the member that rang last), longest-idle, or
	// broadcast (all at once).
	Distribution HuntDistribution `yaml:"distribution" json:"distribution,omitempty"`
	// How long a member rings before the next is tried; in a broadcast, all of them. Default: 10s.
	RingTimeout Duration `yaml:"ringTimeout" json:"ringTimeout,omitempty"`
	// The lines, in their order.
	Members []LineMember `yaml:"members" json:"members"`
}

// LineMember names a line.
type LineMember struct {
	// Number of the line.
	Number string `yaml:"number" json:"number"`
	// Partition of the line.
	Partition string `yaml:"partition" json:"partition,omitempty"`
}

// HuntDistribution is the order in which the members of a line group ring.
type HuntDistribution uint8

// Values of HuntDistribution; the first is the default.
const (
	HuntTopDown HuntDistribution = iota
	HuntCircular
	HuntLongestIdle
	HuntBroadcast
)

// Values lists the spellings of HuntDistribution.
func (HuntDistribution) Values() []string {
	return []string{"top-down", "circular", "longest-idle", "broadcast"}
}

func (d HuntDistribution) String() string { return enumString(d, d.Values()) }

// MarshalText writes the value as a site file spells it.
func (d HuntDistribution) MarshalText() ([]byte, error) { return enumText(d, d.Values()) }

// UnmarshalText reads one of Values.
func (d *HuntDistribution) UnmarshalText(b []byte) error { return enumParse(d, d.Values(), b) }

// AutoAnswer says whose calls a line's phones answer by themselves.
type AutoAnswer uint8

// Values of AutoAnswer; the first is the default.
const (
	AutoAnswerOff AutoAnswer = iota
	AutoAnswerInternal
	AutoAnswerEveryone
)

// Values lists the spellings of AutoAnswer.
func (AutoAnswer) Values() []string { return []string{"off", "internal", "everyone"} }

func (a AutoAnswer) String() string { return enumString(a, a.Values()) }

// MarshalText writes the value as a site file spells it.
func (a AutoAnswer) MarshalText() ([]byte, error) { return enumText(a, a.Values()) }

// UnmarshalText reads one of Values.
func (a *AutoAnswer) UnmarshalText(b []byte) error { return enumParse(a, a.Values(), b) }

// DNDOption is what do not disturb does.
type DNDOption uint8

// Values of DNDOption; the first is the default.
const (
	CallReject DNDOption = iota
	RingerOff
)

// Values lists the spellings of DNDOption.
func (DNDOption) Values() []string { return []string{"call-reject", "ringer-off"} }

func (o DNDOption) String() string { return enumString(o, o.Values()) }

// MarshalText writes the value as a site file spells it.
func (o DNDOption) MarshalText() ([]byte, error) { return enumText(o, o.Values()) }

// UnmarshalText reads one of Values.
func (o *DNDOption) UnmarshalText(b []byte) error { return enumParse(o, o.Values(), b) }

// RedirectingNumbers says how the other side is told which way a call came.
type RedirectingNumbers uint8

// Values of RedirectingNumbers; the first is the default.
const (
	RedirectingDiversion RedirectingNumbers = iota
	RedirectingHistoryInfo
	RedirectingBoth
	RedirectingNone
)

// Values lists the spellings of RedirectingNumbers.
func (RedirectingNumbers) Values() []string {
	return []string{"diversion", "history-info", "both", "none"}
}

func (r RedirectingNumbers) String() string { return enumString(r, r.Values()) }

// MarshalText writes the value as a site file spells it.
func (r RedirectingNumbers) MarshalText() ([]byte, error) { return enumText(r, r.Values()) }

// UnmarshalText reads one of Values.
func (r *RedirectingNumbers) UnmarshalText(b []byte) error { return enumParse(r, r.Values(), b) }

// RedirectingParty says which of several redirecting numbers a trunk's peer is told.
type RedirectingParty uint8

// Values of RedirectingParty; the first is the default.
const (
	AllRedirecting RedirectingParty = iota
	FirstRedirecting
	LastRedirecting
)

// Values lists the spellings of RedirectingParty.
func (RedirectingParty) Values() []string { return []string{"all", "first", "last"} }

func (p RedirectingParty) String() string { return enumString(p, p.Values()) }

// MarshalText writes the value as a site file spells it.
func (p RedirectingParty) MarshalText() ([]byte, error) { return enumText(p, p.Values()) }

// UnmarshalText reads one of Values.
func (p *RedirectingParty) UnmarshalText(b []byte) error { return enumParse(p, p.Values(), b) }

// WithDefaults returns the line group with every default filled in.
func (g LineGroup) WithDefaults() LineGroup {
	g.RingTimeout = cmp.Or(g.RingTimeout, Duration(10*time.Second))
	return g
}

// NoVoicemail is the name that a line gives instead of a voicemail profile when it has no mailbox.
const NoVoicemail = "none"

// VoicemailOf is the voicemail profile of a line: the one it names, else the one named default. The zero value when it has none.
func (s *Site) VoicemailOf(l Line) VoicemailProfile {
	return s.voicemail(cmp.Or(l.VoicemailProfile, "default"))
}

func (s *Site) voicemail(name string) VoicemailProfile {
	for _, p := range s.VoicemailProfiles {
		if p.Name == name {
			return p
		}
	}
	return VoicemailProfile{}
}

// Mailbox is the number by which the mailbox system knows a number of ours.
func (p VoicemailProfile) Mailbox(number string) string {
	number = strings.TrimPrefix(number, `\`)
	if p.MailboxMask == "" {
		return number
	}
	return fillMask(p.MailboxMask, number)
}

// hunting checks voicemail profiles, hunt pilots, hunt lists and line groups.
func (c *checker) hunting(claimed map[string]string) {
	eachOf(c, "voicemailProfiles", c.site.VoicemailProfiles, func(p VoicemailProfile) string { return p.Name }, func(path string, p VoicemailProfile) {
		if p.Name == NoVoicemail {
			c.at(path+".name", "none stands for no mailbox", "expected another name")
		}
		c.number(path+".pilot", p.Pilot)
		c.ref(path+".callingSearchSpace", KindCallingSearchSpace, p.CallingSearchSpace, false)
		c.mask(path+".mailboxMask", p.MailboxMask)
	})
	for i, p := range c.site.HuntPilots {
		path := fmt.Sprintf("huntPilots[%d]", i)
		c.pattern(path+".pattern", p.Pattern)
		c.ref(path+".partition", KindPartition, p.Partition, false)
		c.ref(path+".huntList", KindHuntList, p.HuntList, true)
		c.between(path+".maximumHuntTimer", p.MaximumHuntTimer, time.Second, time.Hour)
		c.forward(path+".forward", p.Forward, c.site.voicemail("default"))
		c.claim(claimed, path+".pattern", p.Pattern, p.Partition, "a hunt pilot")
	}
	eachOf(c, "huntLists", c.site.HuntLists, func(l HuntList) string { return l.Name }, func(path string, l HuntList) {
		c.refs(path+".lineGroups", KindLineGroup, l.LineGroups, true)
	})
	eachOf(c, "lineGroups", c.site.LineGroups, func(g LineGroup) string { return g.Name }, func(path string, g LineGroup) {
		c.between(path+".ringTimeout", g.RingTimeout, time.Second, 10*time.Minute)
		if len(g.Members) == 0 {
			c.at(path+".members", "is empty", "expected at least one line")
		}
		seen := map[string]bool{}
		for i, m := range g.Members {
			sub := fmt.Sprintf("%s.members[%d]", path, i)
			c.line(sub+".number", m.Number, m.Partition)
			if key := m.Number + "/" + m.Partition; seen[key] {
				c.at(sub, "the line stands twice in the group", "remove one")
			} else {
				seen[key] = true
			}
		}
	})
}

// line checks that a number and partition name a line.
func (c *checker) line(path, number, partition string) {
	switch {
	case number == "":
		c.at(path, "is missing", "expected the number of a line")
	case !c.has[KindLine][Line{Number: number, Partition: partition}.Key()]:
		c.at(path, fmt.Sprintf("there is no line %q in partition %s", number, orNone(partition)), c.lineHint(number))
	}
}

// forwards checks what a line does with its calls.
func (c *checker) forwards(path string, l Line) {
	mailbox := c.site.VoicemailOf(l)
	if l.VoicemailProfile != NoVoicemail {
		c.ref(path+".voicemailProfile", KindVoicemailProfile, l.VoicemailProfile, false)
	}
	f := l.Forwards
	c.forward(path+".forwards.all", f.All, mailbox)
	c.forward(path+".forwards.busy", f.Busy, mailbox)
	c.forward(path+".forwards.noAnswer", f.NoAnswer, mailbox)
	c.forward(path+".forwards.unregistered", f.Unregistered, mailbox)
	for _, to := range []string{f.All.To, f.Busy.To, f.NoAnswer.To, f.Unregistered.To} {
		if to == l.Number && to != "" {
			c.at(path+".forwards", "the line is forwarded to itself", "expected another number")
		}
	}
}

func (c *checker) forward(path string, f Forward, mailbox VoicemailProfile) {
	switch {
	case f.To != "" && f.Voicemail:
		c.at(path, "to and voicemail are both given", "expected one of them")
	case f.To == "" && !f.Voicemail && f.CallingSearchSpace != "":
		c.at(path+".callingSearchSpace", "has no effect", "give to or voicemail as well, or remove it")
	case f.Voicemail && mailbox.Pilot == "":
		c.at(path+".voicemail", "there is no voicemail profile to go by", "expected a voicemail profile, by name or named default")
	}
	c.digits(path+".to", f.To)
	c.ref(path+".callingSearchSpace", KindCallingSearchSpace, f.CallingSearchSpace, false)
}

// Kind implements Entity.
func (VoicemailProfile) Kind() Kind { return KindVoicemailProfile }

// Key is the name.
func (e VoicemailProfile) Key() string { return e.Name }

// Kind implements Entity.
func (HuntPilot) Kind() Kind { return KindHuntPilot }

// Key is "pattern/partition".
func (e HuntPilot) Key() string { return e.Pattern + "/" + e.Partition }

// Kind implements Entity.
func (HuntList) Kind() Kind { return KindHuntList }

// Key is the name.
func (e HuntList) Key() string { return e.Name }

// Kind implements Entity.
func (LineGroup) Kind() Kind { return KindLineGroup }

// Key is the name.
func (e LineGroup) Key() string { return e.Name }
