package config

import (
	"fmt"
	"strings"
)

// MeetMeNumber is a number, or a range of them, that people dial to meet: whoever dials the same number is in the same conference.
// The first one hears music until somebody else comes.
type MeetMeNumber struct {
	// One number or a range: 8001, 80XX. Each number it stands for is a conference of its own.
	Pattern string `yaml:"pattern" json:"pattern"`
	// Partition of the numbers. Left out: everyone can reach them. Who can reach a number can enter its conference.
	Partition string `yaml:"partition" json:"partition,omitempty"`
	// Name that phones in it show. Default: Conference.
	Display string `yaml:"display" json:"display,omitempty"`
	// Most parties of one conference; one more is refused. Left out: that of the cluster.
	Most int `yaml:"most" json:"most,omitempty"`
	// Weakest protection a participant may have: any, authenticated (signalling proven, media plain) or encrypted. Who has less is refused,
	// and has to leave when it comes to have less.
	MinimumSecurity MinimumSecurity `yaml:"minimumSecurity" json:"minimumSecurity,omitempty"`
}

// MinimumSecurity is the weakest protection that is let in.
type MinimumSecurity uint8

// Values of MinimumSecurity; the first is the default.
const (
	MinimumAny MinimumSecurity = iota
	MinimumAuthenticated
	MinimumEncrypted
)

// Values lists the spellings of MinimumSecurity.
func (MinimumSecurity) Values() []string { return []string{"any", "authenticated", "encrypted"} }

func (m MinimumSecurity) String() string { return enumString(m, m.Values()) }

// MarshalText writes the value as a site file spells it.
func (m MinimumSecurity) MarshalText() ([]byte, error) { return enumText(m, m.Values()) }

// UnmarshalText reads one of Values.
func (m *MinimumSecurity) UnmarshalText(b []byte) error { return enumParse(m, m.Values(), b) }

// MixedCalls says what becomes of a call between an end that must have SRTP and one that has none.
type MixedCalls uint8

// Values of MixedCalls; the first is the default.
const (
	MixedRefuse MixedCalls = iota
	MixedWarn
	MixedAnchor
)

// Values lists the spellings of MixedCalls.
func (MixedCalls) Values() []string { return []string{"refuse", "warn", "anchor"} }

func (m MixedCalls) String() string { return enumString(m, m.Values()) }

// MarshalText writes the value as a site file spells it.
func (m MixedCalls) MarshalText() ([]byte, error) { return enumText(m, m.Values()) }

// UnmarshalText reads one of Values.
func (m *MixedCalls) UnmarshalText(b []byte) error { return enumParse(m, m.Values(), b) }

// ConferenceEnd says whose leaving ends a conference.
type ConferenceEnd uint8

// Values of ConferenceEnd; the first is the default.
const (
	EndLastInternal ConferenceEnd = iota
	EndNobody
	EndController
)

// Values lists the spellings of ConferenceEnd.
func (ConferenceEnd) Values() []string { return []string{"last-internal", "nobody", "controller"} }

func (e ConferenceEnd) String() string { return enumString(e, e.Values()) }

// MarshalText writes the value as a site file spells it.
func (e ConferenceEnd) MarshalText() ([]byte, error) { return enumText(e, e.Values()) }

// UnmarshalText reads one of Values.
func (e *ConferenceEnd) UnmarshalText(b []byte) error { return enumParse(e, e.Values(), b) }

// mostParties bounds what a conference may be configured to have.
const mostParties = 256

// conferences checks the meet-me numbers and what the cluster says about conferences.
func (c *checker) conferences(claimed map[string]string) {
	if n := c.site.Cluster.ConferenceParties; n != 0 && (n < 3 || n > mostParties) {
		c.at("cluster.conferenceParties", fmt.Sprintf("%d is out of range", n), fmt.Sprintf("expected 3 to %d", mostParties))
	}
	for i, m := range c.site.MeetMeNumbers {
		path := fmt.Sprintf("meetMeNumbers[%d]", i)
		c.pattern(path+".pattern", m.Pattern)
		if strings.ContainsAny(m.Pattern, "!.@") {
			c.at(path+".pattern", fmt.Sprintf("%q does not stand for numbers of a fixed length", m.Pattern), "expected for instance 8001 or 80XX: digits, X and sets")
		}
		c.ref(path+".partition", KindPartition, m.Partition, false)
		if m.Most != 0 && (m.Most < 2 || m.Most > mostParties) {
			c.at(path+".most", fmt.Sprintf("%d is out of range", m.Most), fmt.Sprintf("expected 2 to %d", mostParties))
		}
		c.claim(claimed, path+".pattern", m.Pattern, m.Partition, "a meet-me number")
	}
}

// Kind implements Entity.
func (MeetMeNumber) Kind() Kind { return KindMeetMeNumber }

// Key is "pattern/partition".
func (e MeetMeNumber) Key() string { return e.Pattern + "/" + e.Partition }
