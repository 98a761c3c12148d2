package contact

import (
	"time"

	"github.com/locktone/locktone/call"
)

// A Kind says what a Label has a call server do.
type Kind uint8

// The kinds. The zero value changes nothing.
const (
	Stay    Kind = iota // the caller stays where it is: at a voice browser, with somebody, or kept with music
	Treat               // the caller is brought to a voice browser, which does Steps
	Connect             // Number is rung; the caller stays where it is until it answers
	End                 // the call ends with Cause
)

var kindNames = [...]string{"stay", "treat", "connect", "end"}

func (k Kind) String() string { return name(kindNames[:], int(k)) }

// MarshalText writes the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name.
func (k *Kind) UnmarshalText(b []byte) error {
	n, err := value("kind of label", kindNames[:], b)
	*k = Kind(n)
	return err
}

// A Label is what becomes of a call. It holds until another one has a higher Serial.
type Label struct {
	// Serial is higher than that of every Label the call has had.
	Serial uint64 `json:"serial"`
	Kind   Kind   `json:"kind,omitempty"`
	// Steps of Treat, done in order. When the last one is done, or one has ended without what it asked for, the call server asks with Step.
	// A caller that is at a voice browser stays at it.
	Steps []Play `json:"steps,omitempty"`
	// Language of the texts as in xml:lang (RFC 5646); empty takes the voice browser's.
	Language string `json:"language,omitempty"`
	// Number of Connect, looked up in the call routes of the call server.
	Number string `json:"number,omitempty"`
	// NoAnswer is how long Number may ring; zero takes the call server's setting. Then it asks with NoAnswer.
	NoAnswer time.Duration `json:"no_answer,omitempty"`
	// Calling is the number shown to whoever is rung instead of the caller's own.
	Calling string `json:"calling,omitempty"`
	// Originator sends Number to where the call came from (send to originator), whatever the call routes say.
	Originator bool `json:"originator,omitempty"`
	// Cause of End; zero is NormalClearing.
	Cause call.Cause `json:"cause,omitempty"`
	// Variables are set on the call before anything else is done; one with an empty value is forgotten.
	Variables map[string]string `json:"variables,omitempty"`
}

// A PlayKind says what a step of a treatment does.
type PlayKind uint8

// The kinds.
const (
	Say    PlayKind = iota // plays Prompts
	Menu                   // plays Prompts and has the caller choose one of Choices
	Digits                 // plays Prompts and collects Min to Max digits
	Music                  // plays Source for For, or until another Label comes
	Record                 // plays Prompts and records what the caller says
)

var playNames = [...]string{"say", "menu", "digits", "music", "record"}

func (k PlayKind) String() string { return name(playNames[:], int(k)) }

// MarshalText writes the name.
func (k PlayKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name.
func (k *PlayKind) UnmarshalText(b []byte) error {
	n, err := value("kind of step", playNames[:], b)
	*k = PlayKind(n)
	return err
}

// A Play is one step of a treatment.
//
// Menu, Digits and Record set a variable of the call: Variable, to the Value of the choice, the digits, or the name of the recording. Where
// the caller has not done so in as many Tries, Variable is set to nothing, Variable with the suffix Why to WhyNoInput or WhyNoMatch, the
// steps that follow are not done, and the treatment is over.
type Play struct {
	Kind    PlayKind `json:"kind,omitempty"`
	Prompts []Prompt `json:"prompts,omitempty"`
	// Variable of Menu, Digits and Record.
	Variable string   `json:"variable,omitempty"`
	Choices  []Choice `json:"choices,omitempty"`
	// Min and Max of Digits: zero is 1, and as many as Min, or 1.
	Min int `json:"min,omitempty"`
	Max int `json:"max,omitempty"`
	// End is the key that ends Digits before Max: empty is "#", NoEnd that there is none.
	End string `json:"end,omitempty"`
	// Timeout is how long is waited for the first key; zero is 5 s. Inter is how long for each further one; zero is 3 s.
	Timeout time.Duration `json:"timeout,omitempty"`
	Inter   time.Duration `json:"inter,omitempty"`
	// Tries is how often is asked; zero is 3.
	Tries int `json:"tries,omitempty"`
	// Barge lets a key cut the prompts short. Of a Say it takes the key as nothing but that.
	Barge bool `json:"barge,omitempty"`
	// For is how long Music plays, zero until another Label comes; and how long Record records, zero is 60 s.
	For time.Duration `json:"for,omitempty"`
	// Source is what Music plays, as Prompt.Audio; empty is the voice browser's music on hold.
	Source string `json:"source,omitempty"`
}

// Values around a step.
const (
	// NoEnd is a Play.End that no key is.
	NoEnd = "none"
	// Why is the suffix of the variable that says why a step has no result; then it is WhyNoInput or WhyNoMatch.
	Why        = "_why"
	WhyNoInput = "noinput"
	WhyNoMatch = "nomatch"
)

// A Prompt is something to hear: exactly one of Text and Audio.
type Prompt struct {
	// Text is spoken.
	Text string `json:"text,omitempty"`
	// Audio is the name of an audio file that the call servers have (folder callserver/audio), or an http or https URI of one.
	Audio string `json:"audio,omitempty"`
}

// A Choice is one way through a Menu.
type Choice struct {
	// Key is what the caller presses: one or more of 0 to 9, * and #.
	Key string `json:"key"`
	// Value is what the variable becomes; empty is Key.
	Value string `json:"value,omitempty"`
}
