package bus

import (
	"encoding/json"
	"time"
)

// Verbs of questions and control requests: the last token of a subject.
const (
	VerbStatus        = "status"
	VerbRegistrations = "registrations"
	VerbTrunks        = "trunks"
	VerbConnections   = "connections"
	VerbExceptions    = "exceptions"
	VerbReset         = "reset"
	VerbTraceLevel    = "trace-level"
	VerbDial          = "dial"
	VerbMessages      = "messages"
	VerbSetMessages   = "messages-set"
	VerbSubscriptions = "subscriptions"
	VerbLines         = "lines"
	VerbProviders     = "providers"
	VerbServerGroups  = "server-groups"
	VerbCallers       = "callers"
	VerbVoiceBrowsers = "voice-browsers"
	VerbSetForward    = "forward-set"
	VerbSetDevice     = "device-set"
)

// Code is a stable error code of an answer; programs compare it, people read
// the text beside it.
type Code string

// The codes. API errors of service/admin carry the same.
const (
	CodeOK          Code = ""
	CodeNotFound    Code = "not-found"
	CodeInvalid     Code = "invalid"
	CodeConflict    Code = "conflict"
	CodeUnavailable Code = "unavailable"
	CodeNoSpace     Code = "no-space"
	CodeForbidden   Code = "forbidden"
	CodeTimeout     Code = "timeout"
	CodeNoResponder Code = "no-responder"
	CodeInternal    Code = "internal"
)

// Error is a failure with a stable code.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Query asks for rows; zero fields do not restrict.
type Query struct {
	Name string `json:"name,omitempty"` // of the device or trunk
}

// StatusRequest asks a service how it is. The answer is a ServiceStatus.
type StatusRequest struct{}

// DialRequest asks what would happen if somebody dialled a number.
type DialRequest struct {
	// From is a device, the number of a line (NUMBER@PARTITION where it is in several), or trunk:NAME.
	From string `json:"from"`
	// Calling is the number that calls, on a trunk.
	Calling string `json:"calling,omitempty"`
	Number  string `json:"number"`
	// At is the time at which the dial plan is asked; zero is now.
	At time.Time `json:"at,omitzero"`
}

// DialAnswer says it, for people and for programs.
type DialAnswer struct {
	Node string `json:"node"`
	Text string `json:"text"`
	// Explanation is a call.Explanation.
	Explanation json.RawMessage `json:"explanation"`
}

// Object says what a reset is for.
type Object string

// The objects.
const (
	ObjectDevice Object = "device"
	ObjectTrunk  Object = "trunk"
)

// Action is what a reset does, as the field's three buttons do.
type Action string

// The actions.
const (
	// ActionApply takes new configuration into use; calls go on where it allows.
	ActionApply Action = "apply"
	// ActionRestart lets the device register again without loading anything.
	ActionRestart Action = "restart"
	// ActionReset drops registration and connections, so that the device starts over.
	ActionReset Action = "reset"
)

// ResetRequest asks call managers to apply, restart or reset a device or trunk.
type ResetRequest struct {
	Object Object `json:"object"`
	Name   string `json:"name"`
	Action Action `json:"action"`
	Actor  string `json:"actor,omitempty"` // for the audit log
}

// ResetResult says what was done.
type ResetResult struct {
	Registrations int    `json:"registrations"` // asked to register again
	Connections   int    `json:"connections"`   // closed
	Calls         int    `json:"calls"`         // ended
	Note          string `json:"note,omitempty"`
}

// TraceLevelRequest changes how much a service traces while it runs.
type TraceLevelRequest struct {
	Service string `json:"service,omitempty"` // empty: all
	Device  string `json:"device,omitempty"`
	User    string `json:"user,omitempty"`
	Level   string `json:"level"` // as package trace spells it
	// For ends the level by itself; 0: until changed.
	For   time.Duration `json:"for,omitempty"`
	Actor string        `json:"actor,omitempty"`
}

// TraceLevelResult says which level was in force before.
type TraceLevelResult struct {
	Previous string `json:"previous"`
}

// MessagesRequest tells call managers how many voice messages a line has. It is safe to repeat: a Version that the same source gave
// before, or an older one, changes nothing.
type MessagesRequest struct {
	Number    string `json:"number"`
	Partition string `json:"partition,omitempty"`
	New       uint32 `json:"new"`
	Old       uint32 `json:"old"`
	UrgentNew uint32 `json:"urgentNew,omitempty"` // of New
	UrgentOld uint32 `json:"urgentOld,omitempty"` // of Old
	// FaxNew and what follows are the same of faxes. Where all are zero nothing is said of faxes.
	FaxNew       uint32 `json:"faxNew,omitempty"`
	FaxOld       uint32 `json:"faxOld,omitempty"`
	FaxUrgentNew uint32 `json:"faxUrgentNew,omitempty"`
	FaxUrgentOld uint32 `json:"faxUrgentOld,omitempty"`
	// Waiting says that messages wait though nobody says how many: where all counts are zero, none is told.
	Waiting bool   `json:"waiting,omitempty"`
	Source  string `json:"source"` // who says so
	// Version rises with every change at the source. 0: the request is newer than whatever came before it.
	Version uint64 `json:"version,omitempty"`
}

// MessagesResult says whether that was news; if so it is kept, and the phones are being told.
type MessagesResult struct {
	Applied bool `json:"applied"`
}

// ForwardRequest makes or, with neither To nor Voicemail, ends a forward of a line, as if its user had done so.
type ForwardRequest struct {
	Number    string `json:"number"`
	Partition string `json:"partition,omitempty"` // needed where several lines have the number
	Kind      string `json:"kind"`                // all, busy, no-answer, unregistered
	To        string `json:"to,omitempty"`
	Voicemail bool   `json:"voicemail,omitempty"`
	// CallingSearchSpace in which To is looked up; empty is the line's own.
	CallingSearchSpace string `json:"callingSearchSpace,omitempty"`
	Actor              string `json:"actor"`
}

// The settings of a device that DeviceSettingRequest turns on and off.
const (
	SettingDoNotDisturb = "do-not-disturb"
	SettingPrivacy      = "privacy"
	SettingHuntLogin    = "hunt-login"
)

// DeviceSettingRequest turns a setting of a device on or off, as if its user had done so.
type DeviceSettingRequest struct {
	Device  string `json:"device"`
	Setting string `json:"setting"`
	On      bool   `json:"on"`
	Actor   string `json:"actor"`
}

// SettingResult says where a setting was changed.
type SettingResult struct {
	Node string `json:"node"`
}
