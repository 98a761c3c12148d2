package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
)

// What users set at their phones, and operators for them: forwards of lines, do not disturb, privacy and hunt login of devices.

// LineForward makes or ends a forward of a line.
type LineForward struct {
	Number    string `json:"number" minLength:"1" maxLength:"64" doc:"the line's number"`
	Partition string `json:"partition,omitempty" maxLength:"64" doc:"its partition; needed where several lines have the number"`
	Kind      string `json:"kind" enum:"all,busy,no-answer,unregistered"`
	To        string `json:"to,omitempty" maxLength:"64" doc:"the number to call instead; without it and voicemail the forward ends"`
	Voicemail bool   `json:"voicemail,omitempty" doc:"to the line's mailbox"`
	// CallingSearchSpace in which To is looked up.
	CallingSearchSpace string `json:"callingSearchSpace,omitempty" maxLength:"64" doc:"left out: the line's own"`
}

type lineForwardInput struct{ Body LineForward }

// object says what is changed, for the audit log.
func (i *lineForwardInput) object() string {
	to := i.Body.To
	switch {
	case i.Body.Voicemail:
		to = "voicemail"
	case to == "":
		to = "off"
	}
	return i.Body.Number + " " + i.Body.Kind + " " + to
}

// DeviceSetting turns a setting of a device on or off.
type DeviceSetting struct {
	Device  string `json:"device" minLength:"1" maxLength:"128"`
	Setting string `json:"setting" enum:"do-not-disturb,privacy,hunt-login"`
	On      bool   `json:"on"`
}

type deviceSettingInput struct{ Body DeviceSetting }

func (i *deviceSettingInput) object() string {
	if i.Body.On {
		return i.Body.Device + " " + i.Body.Setting + " on"
	}
	return i.Body.Device + " " + i.Body.Setting + " off"
}

func (s *Server) lineOperations(api huma.API) {
	add(s, api, get("lines", "/v1/lines", RoleViewer, "What becomes of the calls of every line: forwards, mailbox, do not disturb, hunt login; name is a line's number"), rowsOf[bus.LineState](s, bus.VerbLines))
	add(s, api, operation{id: "set-line-forward", method: http.MethodPost, path: "/v1/lines/forward", role: RoleOperator, action: "set-line-forward",
		summary: "Make or end a forward of a line, as its user does by a feature code"},
		func(ctx context.Context, in *lineForwardInput) (*body[Rows[bus.SettingResult]], error) {
			b := in.Body
			return settingOf(ctx, s, bus.VerbSetForward, bus.ForwardRequest{Number: b.Number, Partition: b.Partition, Kind: b.Kind, To: b.To, Voicemail: b.Voicemail,
				CallingSearchSpace: b.CallingSearchSpace, Actor: who(ctx).name})
		})
	add(s, api, operation{id: "set-device-setting", method: http.MethodPost, path: "/v1/device-settings", role: RoleOperator, action: "set-device-setting",
		summary: "Turn do not disturb, privacy or hunt login of a device on or off, as its user does by a feature code"},
		func(ctx context.Context, in *deviceSettingInput) (*body[Rows[bus.SettingResult]], error) {
			return settingOf(ctx, s, bus.VerbSetDevice, bus.DeviceSettingRequest{Device: in.Body.Device, Setting: in.Body.Setting, On: in.Body.On, Actor: who(ctx).name})
		})
}

// settingOf asks every call manager; one that takes it is enough.
func settingOf[Req any](ctx context.Context, s *Server, verb string, req Req) (*body[Rows[bus.SettingResult]], error) {
	out := Rows[bus.SettingResult]{Rows: []bus.SettingResult{}}
	var first error
	for _, service := range s.cfg.Services {
		results, err := fan[Req, bus.SettingResult](ctx, s, service, verb, req)
		if err != nil && (first == nil || codeOf(first) == bus.CodeNoResponder) {
			first = err // a service that has no lines says less than one that has
		}
		out.Rows = append(out.Rows, results...)
	}
	if len(out.Rows) == 0 && first != nil {
		return nil, first
	}
	return &body[Rows[bus.SettingResult]]{out}, nil
}

func codeOf(err error) bus.Code {
	if e, ok := errors.AsType[*bus.Error](err); ok {
		return e.Code
	}
	return bus.CodeInternal
}
