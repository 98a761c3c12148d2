package interpreter

import "time"

// A Prompt is one <prompt> as it is to be heard: conditions are decided, expressions are evaluated, URLs are absolute.
type Prompt struct {
	Pieces   []Piece `json:"pieces"`
	Language string  `json:"language,omitempty"` // BCP 47
	Barge    bool    `json:"barge,omitempty"`    // the caller may type over it
	Hotword  bool    `json:"hotword,omitempty"`  // with Barge: only a match stops it
}

// A Piece of a prompt is exactly one of: Text (to be spoken as Say tells), Audio, Break, Mark. Unknown SSML has become its text.
type Piece struct {
	Text  string        `json:"text,omitempty"`
	Say   *Say          `json:"say,omitempty"` // with Text; nil: plain
	Audio *Audio        `json:"audio,omitempty"`
	Break time.Duration `json:"break,omitempty"`
	Mark  string        `json:"mark,omitempty"`
}

// Say is how a text is spoken: the attributes of SSML 1.0, as they stood in the document, of the innermost elements around it.
type Say struct {
	As       string `json:"as,omitempty"`     // say-as interpret-as: digits, date, time, currency, number, phone, boolean, vxml:...
	Format   string `json:"format,omitempty"` // say-as format
	Detail   string `json:"detail,omitempty"` // say-as detail
	Language string `json:"language,omitempty"`
	Voice    string `json:"voice,omitempty"`  // voice name
	Gender   string `json:"gender,omitempty"` // voice gender
	Rate     string `json:"rate,omitempty"`   // prosody
	Pitch    string `json:"pitch,omitempty"`
	Volume   string `json:"volume,omitempty"`
	Emphasis string `json:"emphasis,omitempty"` // strong, moderate, none, reduced
	Phoneme  string `json:"phoneme,omitempty"`  // ph in Alphabet; Text is what it stands for
	Alphabet string `json:"alphabet,omitempty"` // ipa ...
}

// Audio is a file (URL, absolute) or a recording of this session. When it cannot be had, Else is played in its place.
type Audio struct {
	URL       string        `json:"url,omitempty"`
	Recording string        `json:"recording,omitempty"` // Recorded.Reference
	Else      []Piece       `json:"else,omitempty"`
	Timeout   time.Duration `json:"timeout,omitempty"`
	MaxAge    time.Duration `json:"max_age"` // negative: not said
	MaxStale  time.Duration `json:"max_stale"`
}
