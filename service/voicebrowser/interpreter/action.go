package interpreter

import (
	"context"
	"time"
)

// A Platform does for the interpreter what needs the world. Do is called from one goroutine, one action at a time, and blocks until the action
// has its outcome. The outcome has the member that belongs to the action (see Action). An error means the platform itself is gone (the pipe to
// it broke, ctx ended): the session then ends with Result.End Failed. What merely went wrong (no such document, the callee is busy) is an
// Outcome, because documents handle it.
//
// A caller who hangs up is told by Outcome.Hangup on whatever action is waiting or comes next: the interpreter then throws
// connection.disconnect.hangup, and the document's handlers run on (they may still Fetch and Log; a Play is answered at once).
type Platform interface {
	Do(ctx context.Context, action Action) (Outcome, error)
}

// An Action is one request to the platform: exactly one member is set.
//
//	Action      what happens                                          Outcome member
//	Fetch       a document, script, grammar or data is fetched        Fetched
//	Play        prompts are played; with Collect, a digit is awaited  Input (nil when there was no Collect)
//	Listen      the next digit is awaited, nothing is played          Input
//	Stop        prompts still playing (hotword) are stopped           none
//	Record      prompts, beep, then the caller is recorded            Recorded
//	Transfer    prompts, then the caller is connected elsewhere       Transferred, or Input while the bridge stands
//	Log         a line for whoever operates this                      none
//	Disconnect  the prompts are played, the call is ended             none
type Action struct {
	Fetch      *Fetch      `json:"fetch,omitempty"`
	Play       *Play       `json:"play,omitempty"`
	Listen     *Listen     `json:"listen,omitempty"`
	Stop       *Stop       `json:"stop,omitempty"`
	Record     *Record     `json:"record,omitempty"`
	Transfer   *Transfer   `json:"transfer,omitempty"`
	Log        *Log        `json:"log,omitempty"`
	Disconnect *Disconnect `json:"disconnect,omitempty"`
}

// An Outcome answers an Action.
type Outcome struct {
	Hangup      bool         `json:"hangup,omitempty"` // the caller is gone; may come with any action, and stays true
	Fetched     *Fetched     `json:"fetched,omitempty"`
	Input       *Input       `json:"input,omitempty"`
	Recorded    *Recorded    `json:"recorded,omitempty"`
	Transferred *Transferred `json:"transferred,omitempty"`
	Mark        *Mark        `json:"mark,omitempty"` // with Play, Listen, Record, Transfer: the last <mark/> that was reached
}

// Use says what a fetch is for: it selects the defaults of caching, and a cache may refuse a type that cannot be of use.
type Use string

// The uses of a fetch.
const (
	UseDocument Use = "document"
	UseScript   Use = "script"
	UseGrammar  Use = "grammar"
	UseData     Use = "data"
)

// Fetch asks for a resource. URL is absolute, or what the document said when it had no base. MaxAge and MaxStale are those of RFC 9111,
// 5.2.1.1 and 5.2.1.2, and negative when the document says nothing. With Audio, that file is played once Delay is over, for at least Minimum,
// until the resource is there; queued prompts came before, with a Play.
type Fetch struct {
	Use      Use           `json:"use"`
	URL      string        `json:"url"`
	Method   string        `json:"method,omitempty"`  // GET (also when empty) or POST
	Encoding string        `json:"enctype,omitempty"` // POST: application/x-www-form-urlencoded or multipart/form-data
	Form     []Variable    `json:"form,omitempty"`    // GET: already in the URL; POST: to be encoded
	Timeout  time.Duration `json:"timeout,omitempty"` // 0: the platform's own
	MaxAge   time.Duration `json:"max_age"`
	MaxStale time.Duration `json:"max_stale"`
	Audio    string        `json:"audio,omitempty"`
	Delay    time.Duration `json:"delay,omitempty"`
	Minimum  time.Duration `json:"minimum,omitempty"`
}

// A Variable is a name and a value on their way out of the session: ECMAScript's string of a primitive, JSON of an object. A recording has
// Recording, the platform's reference, instead.
type Variable struct {
	Name      string `json:"name"`
	Value     string `json:"value,omitempty"`
	Recording string `json:"recording,omitempty"`
}

// Fetched is what a fetch brought. Status 0 with a Failure: it did not get as far as an answer (no such host, forbidden origin, time is over).
// A scheme that has no statuses says 200.
type Fetched struct {
	Status  int    `json:"status,omitempty"`
	Failure string `json:"failure,omitempty"` // for people
	Denied  bool   `json:"denied,omitempty"`  // the origin is not one this session may fetch from: error.noauthorization
	Timeout bool   `json:"timed_out,omitempty"`
	URL     string `json:"url,omitempty"`  // where it came from in the end (redirects); base of what is relative in it
	Type    string `json:"type,omitempty"` // media type
	Body    []byte `json:"body,omitempty"`
}

// Play plays Prompts one after the other. Without Collect it is over when they are. With Collect the first digit of the caller ends it, or
// silence of Collect.Timeout after the last prompt has been played. How a digit meets a playing prompt is said by each prompt:
//
//	Barge false            the digit is thrown away, and so is what was typed ahead before the prompt began
//	Barge true             playing stops, the prompts behind it are dropped, the digit is the outcome
//	Barge and Hotword      the digit is the outcome with Playing set, the prompt plays on: Listen, and Stop when it is a match
//
// A digit that was typed ahead is the outcome at once, and prompts that may be barged into are not played.
type Play struct {
	Prompts []Prompt `json:"prompts,omitempty"`
	Collect *Collect `json:"collect,omitempty"`
}

// Collect says how long silence may last.
type Collect struct {
	Timeout time.Duration `json:"timeout"`
}

// Listen waits for one more digit: for Wait from now (interdigit timeout), or with Rest for Wait from the end of the prompts that still play.
type Listen struct {
	Wait time.Duration `json:"wait"`
	Rest bool          `json:"rest,omitempty"`
}

// Stop stops what plays.
type Stop struct{}

// Input is what a caller did while one was waiting: a digit (one of 0 to 9, *, #, A to D), or nothing at all (Digit empty).
type Input struct {
	Digit   string `json:"digit,omitempty"`
	Playing bool   `json:"playing,omitempty"` // a hotword prompt plays on
}

// Mark is the last <mark/> reached before the caller's first digit (VoiceXML 2.1, section 4), and the time since.
type Mark struct {
	Name string        `json:"name"`
	Time time.Duration `json:"time"`
}

// Record plays Prompts and records: first waits up to Timeout for a voice to begin (0: does not wait for one), records until MaxTime, until
// FinalSilence of silence, or until a digit when Term is set. Zero MaxTime and FinalSilence mean the platform's own limits.
type Record struct {
	Prompts      []Prompt      `json:"prompts,omitempty"`
	Beep         bool          `json:"beep,omitempty"`
	Timeout      time.Duration `json:"timeout,omitempty"`
	MaxTime      time.Duration `json:"max_time,omitempty"`
	FinalSilence time.Duration `json:"final_silence,omitempty"`
	Term         bool          `json:"term,omitempty"` // any digit ends it; else digits are ignored
	Type         string        `json:"type,omitempty"` // media type wanted: audio/x-wav ...
}

// Recorded is what was recorded; Reference empty: no voice came in time (noinput). A caller who hangs up ends the recording and what was
// recorded until then counts (Outcome.Hangup is set with it).
type Recorded struct {
	Reference string        `json:"reference,omitempty"` // the platform's name for it: Audio.Recording, Variable.Recording
	Duration  time.Duration `json:"duration,omitempty"`
	Size      int64         `json:"size,omitempty"` // bytes
	TermChar  string        `json:"term_char,omitempty"`
	MaxTime   bool          `json:"max_time,omitempty"` // ended by MaxTime
	Type      string        `json:"type,omitempty"`
}

// TransferKind is the type of a transfer (VoiceXML 2.1, section 7).
type TransferKind string

// The kinds of transfer.
const (
	Blind        TransferKind = "blind"        // we let go as soon as it is asked for
	Bridge       TransferKind = "bridge"       // the caller comes back when the callee hangs up
	Consultation TransferKind = "consultation" // we let go when the callee has answered, and keep the caller if not
)

// Transfer plays Prompts and connects the caller to Dest. With Digits, a bridge reports each digit of the caller as Input (with no
// Transferred): the interpreter answers by a Transfer with Resume, or one with End when that was the word to come back.
type Transfer struct {
	Prompts        []Prompt      `json:"prompts,omitempty"`
	Kind           TransferKind  `json:"kind"`
	Dest           string        `json:"dest"` // tel: or sip: URI
	AAI            string        `json:"aai,omitempty"`
	ConnectTimeout time.Duration `json:"connect_timeout,omitempty"`
	MaxTime        time.Duration `json:"max_time,omitempty"` // of the bridge; 0: none
	Audio          string        `json:"audio,omitempty"`    // URL of what the caller hears until the callee answers
	Digits         bool          `json:"digits,omitempty"`
	Resume         bool          `json:"resume,omitempty"`
	End            bool          `json:"end,omitempty"`
}

// Transferred is how a transfer ended. Result is one of VoiceXML 2.0, section 2.3.7.3: busy, noanswer, network_busy, near_end_disconnect,
// far_end_disconnect, network_disconnect, maxtime_disconnect, unknown; or "transferred" when the caller is gone to Dest for good (blind,
// consultation): the interpreter then throws connection.disconnect.transfer. Failure is an event of section 2.3.7.3 instead of a result:
// error.connection.noauthorization, error.connection.baddestination, error.connection.noroute, error.connection.noresource,
// error.connection.protocol.NNN, error.unsupported.transfer.KIND, error.unsupported.uri.
type Transferred struct {
	Result   string        `json:"result,omitempty"`
	Failure  string        `json:"failure,omitempty"`
	Message  string        `json:"message,omitempty"`
	Duration time.Duration `json:"duration,omitempty"`
}

// Log is a line: of <log>, or a word of the interpreter about the document (Warning).
type Log struct {
	Label   string `json:"label,omitempty"`
	Text    string `json:"text"`
	At      string `json:"at,omitempty"` // URL:line:column
	Warning bool   `json:"warning,omitempty"`
}

// Disconnect plays the prompts and hangs up; Values are the namelist of VoiceXML 2.1, section 8.
type Disconnect struct {
	Prompts []Prompt   `json:"prompts,omitempty"`
	Values  []Variable `json:"values,omitempty"`
}
