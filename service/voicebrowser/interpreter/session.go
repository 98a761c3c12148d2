package interpreter

import "time"

// Start says where a session begins and what its documents may know of the call.
type Start struct {
	URL        string            `json:"url"`
	Method     string            `json:"method,omitempty"`     // GET (also when empty) or POST: RFC 5552, 2.1.1
	Form       []Variable        `json:"form,omitempty"`       // of the POST
	MaxAge     time.Duration     `json:"max_age"`              // of the first document; negative: the platform's default
	MaxStale   time.Duration     `json:"max_stale"`            //
	Connection Connection        `json:"connection"`           // session.connection
	Session    map[string]string `json:"session,omitempty"`    // further strings in the session scope, by name: session.NAME
	Properties map[string]string `json:"properties,omitempty"` // the platform's defaults for <property>, over VoiceXML's own
	Limits     Limits            `json:"limits"`
}

// Connection is session.connection of VoiceXML 2.0, section 5.1.4, filled as RFC 5552, 2.4 says.
type Connection struct {
	Local           string            `json:"local,omitempty"`      // local.uri: what was called
	Remote          string            `json:"remote,omitempty"`     // remote.uri: who calls
	Originator      string            `json:"originator,omitempty"` // "local" or "remote" (also when empty): who began the call
	AAI             string            `json:"aai,omitempty"`        // application-to-application information
	ProtocolName    string            `json:"protocol,omitempty"`   // protocol.name: "sip"
	ProtocolVersion string            `json:"version,omitempty"`    // protocol.version: "2.0"
	Headers         []Variable        `json:"headers,omitempty"`    // protocol.sip.headers[name], names in small letters
	RequestURI      map[string]string `json:"requesturi,omitempty"` // protocol.sip.requesturi[parameter]
	Redirect        []Redirection     `json:"redirect,omitempty"`   // the newest first
}

// Redirection is one member of session.connection.redirect.
type Redirection struct {
	URI    string `json:"uri"`
	Reason string `json:"reason,omitempty"` // unknown, user busy, no answer, unconditional ...
}

// End is how a session ended.
type End string

// The ways a session ends.
const (
	Failed       End = "failed"       // an error nobody handled, a limit, or the platform: Result.Error says which
	Exited       End = "exited"       // <exit/>, or there was nothing more to do
	Disconnected End = "disconnected" // <disconnect/>: we hung up
	HungUp       End = "hung up"      // the caller hung up and the documents have had their say
	Departed     End = "transferred"  // the caller is gone to where a transfer sent it
)

// Result is what a session leaves behind.
type Result struct {
	End    End        `json:"end"`
	Values []Variable `json:"values,omitempty"` // namelist or expr (with an empty name) of <exit/>, namelist of <disconnect/>
	Event  string     `json:"event,omitempty"`  // Failed: the event nobody handled (error.badfetch ...), or "runaway"
	Error  string     `json:"error,omitempty"`  // Failed: what failed, and where (URL:line:column)
	Steps  int        `json:"steps,omitempty"`  // elements interpreted
}

// Limits bound one session. Zero fields mean the default in brackets.
type Limits struct {
	Document  int           `json:"document,omitempty"`   // bytes of a document, script, grammar or data (1 MiB)
	Steps     int           `json:"steps,omitempty"`      // elements interpreted without waiting for the caller (20,000)
	Session   int           `json:"session,omitempty"`    // elements interpreted in the whole session (5,000,000)
	Script    time.Duration `json:"script,omitempty"`     // time of ECMAScript without waiting for the caller (5 s)
	CallStack int           `json:"call_stack,omitempty"` // depth of calls in ECMAScript (512)
	Variables int           `json:"variables,omitempty"`  // in one scope (4,096)
	Value     int           `json:"value,omitempty"`      // bytes of one value on its way out: prompt text, log line, submitted value (256 KiB)
	Nesting   int           `json:"nesting,omitempty"`    // subdialogs within subdialogs (32)
	Catches   int           `json:"catches,omitempty"`    // events thrown by handlers of events, in a row (32)
	Prompts   int           `json:"prompts,omitempty"`    // queued at once (256); more are dropped
	Pages     int           `json:"pages,omitempty"`      // documents fetched without waiting for the caller, in a row (64)
}
