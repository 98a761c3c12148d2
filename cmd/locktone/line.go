package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/service/admin"
)

// linesCmd is `locktone show lines`.
type linesCmd struct{ byName }

// Run lists what becomes of the calls of every line.
func (c *linesCmd) Run(a *app) error {
	return rows(a, "/v1/lines", c.Name, []string{"LINE", "PARTITION", "NAME", "FORWARDS", "VOICEMAIL", "MAILBOX", "AUTO-ANSWER", "DEVICES", "NOT DISTURBED", "PRIVATE", "OUT OF HUNTING"}, "no line is configured",
		func(r bus.LineState) []string {
			var forwards []string
			for _, f := range r.Forwards {
				forwards = append(forwards, forwardText(f))
			}
			return []string{r.Line, r.Partition, r.Display, strings.Join(forwards, ", "), r.Voicemail, r.Mailbox, r.AutoAnswer, strings.Join(r.Devices, ","),
				strings.Join(r.DoNotDisturb, ","), strings.Join(r.Private, ","), strings.Join(r.HuntOut, ",")}
		})
}

// forwardText is "busy: 1002", with a star where a user has set it.
func forwardText(f bus.ForwardState) string {
	text := f.Kind + ": " + f.To
	switch {
	case f.Voicemail:
		text = f.Kind + ": voicemail"
	case f.To == "":
		text = f.Kind + ": off"
	}
	if f.SetByUser {
		text += "*"
	}
	return text
}

// lineCmd is `locktone line`.
type lineCmd struct {
	Forward lineForwardCmd `cmd:"" help:"Make or end a forward of a line, as its user does at the phone."`
}

type lineForwardCmd struct {
	Number    string `arg:"" help:"The line's number."`
	Kind      string `arg:"" enum:"all,busy,no-answer,unregistered" help:"Which calls: all, busy, no-answer or unregistered."`
	To        string `arg:"" help:"Number to call instead; voicemail for the line's mailbox; off ends the forward."`
	Partition string `help:"Partition of the line, where several have the number."`
	Space     string `name:"calling-search-space" help:"Calling search space in which the number is looked up. Left out: the line's own."`
}

// Run makes or ends a forward.
func (c *lineForwardCmd) Run(a *app) error {
	f := admin.LineForward{Number: c.Number, Partition: c.Partition, Kind: c.Kind, To: c.To, CallingSearchSpace: c.Space}
	text := "calls are forwarded to " + c.To
	switch c.To {
	case "off":
		f.To, text = "", "calls are no longer forwarded"
	case "voicemail":
		f.To, f.Voicemail, text = "", true, "calls are forwarded to the mailbox"
	}
	return a.set("/v1/lines/forward", f, fmt.Sprintf("line %s: %s %s", c.Number, c.Kind, text))
}

// deviceCmd is `locktone device`.
type deviceCmd struct {
	DND       deviceDNDCmd     `cmd:"" name:"dnd" help:"Turn do not disturb of a device on or off."`
	Privacy   devicePrivacyCmd `cmd:"" help:"Hide the calls of a device from those it shares lines with, or show them."`
	HuntLogin deviceHuntCmd    `cmd:"" help:"Have the lines of a device take part in hunting, or not."`
}

type deviceSwitch struct {
	Name  string `arg:"" help:"Name of the device."`
	State string `arg:"" enum:"on,off" help:"on or off."`
}

type (
	deviceDNDCmd     struct{ deviceSwitch }
	devicePrivacyCmd struct{ deviceSwitch }
	deviceHuntCmd    struct{ deviceSwitch }
)

// Run turns do not disturb on or off.
func (c *deviceDNDCmd) Run(a *app) error { return c.set(a, bus.SettingDoNotDisturb) }

// Run turns privacy on or off.
func (c *devicePrivacyCmd) Run(a *app) error { return c.set(a, bus.SettingPrivacy) }

// Run logs a device in to hunting or out of it.
func (c *deviceHuntCmd) Run(a *app) error { return c.set(a, bus.SettingHuntLogin) }

func (c *deviceSwitch) set(a *app, setting string) error {
	return a.set("/v1/device-settings", admin.DeviceSetting{Device: c.Name, Setting: setting, On: c.State == "on"},
		fmt.Sprintf("device %s: %s is %s", c.Name, setting, c.State))
}

// set changes a setting and says so.
func (a *app) set(path string, what any, text string) error {
	var out admin.Rows[bus.SettingResult]
	if err := a.api.Do(a.ctx, http.MethodPost, path, what, &out); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	fmt.Fprintln(a.out, text)
	return nil
}
