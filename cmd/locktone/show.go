package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/admin"
)

// showCmd is `locktone show`.
type showCmd struct {
	Registrations registrationsCmd `cmd:"" help:"Devices that are registered."`
	Nodes         nodesCmd         `cmd:"" help:"The nodes of the cluster: alive since when, what runs there, the revision in force."`
	Trunks        trunksCmd        `cmd:"" help:"State of every trunk destination."`
	ServerGroups  serverGroupsCmd  `cmd:"" help:"State of every member of the SIP server groups, as call servers see it."`
	CallServer    callServerCmd    `cmd:"" name:"callserver" help:"Callers that the call servers have: where they are, with whom, who is rung for them."`
	VoiceBrowser  voiceBrowserCmd  `cmd:"" name:"voicebrowser" help:"How the voice browsers are: processes, speech, cache, and who listens to which document."`
	Connections   connectionsCmd   `cmd:"" help:"Connections with TLS version, cipher, subject, failures and bytes."`
	SIPUA         sipUACmd         `cmd:"" name:"sip-ua" help:"Connections of border elements, in the field's spelling."`
	Mwi           mwiCmd           `cmd:"" name:"mwi" help:"Messages that wait for lines, who said so, and which devices have heard."`
	Subscriptions subscriptionsCmd `cmd:"" help:"What devices watch: busy lamps, presence, messages."`
	CTI           providersCmd     `cmd:"" name:"cti" help:"Applications that are logged in at the CTI managers, and what they have open."`
	Lines         linesCmd         `cmd:"" help:"What becomes of the calls of every line: forwards, mailbox, do not disturb."`
	Exceptions    exceptionsCmd    `cmd:"" help:"Everything that is weaker than the defaults."`
	Certificates  certificatesCmd  `cmd:"" help:"Certificates the cluster issued."`
	Servers       serversCmd       `cmd:"" help:"The call managers of every group in order, for phones, trunks, applications and DNS."`
	CTL           ctlCmd           `cmd:"" name:"ctl" help:"The certificate trust list, record by record, with its digests."`
	ITL           itlCmd           `cmd:"" name:"itl" help:"The initial trust list."`
}

type (
	registrationsCmd struct{ byName }
	trunksCmd        struct{ byName }
	serverGroupsCmd  struct{ byName }
	callServerCmd    struct{ byName }
	voiceBrowserCmd  struct{ byName }
	connectionsCmd   struct{ byName }
	exceptionsCmd    struct{ byName }
	certificatesCmd  struct{}
	mwiCmd           struct{ byName }
	subscriptionsCmd struct{ byName }
	providersCmd     struct {
		byName
		Devices bool `help:"One line for each device that is open."`
	}
)

// byName selects one row's owner.
type byName struct {
	Name string `arg:"" optional:"" help:"Only this device, trunk, peer or line."`
}

// rows asks for a list and prints it.
func rows[T any](a *app, path, name string, head []string, empty string, cells func(T) []string) error {
	if name != "" {
		path += "?name=" + url.QueryEscape(name)
	}
	var list admin.Rows[T]
	if err := a.api.Do(a.ctx, http.MethodGet, path, nil, &list); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	var out [][]string
	for _, r := range list.Rows {
		out = append(out, cells(r))
	}
	a.table(head, out, empty)
	a.problems(list.Problems)
	return nil
}

// Run lists registrations.
func (c *registrationsCmd) Run(a *app) error {
	return rows(a, "/v1/registrations", c.Name, []string{"DEVICE", "LINES", "MODE", "STATE", "NODE", "GROUP", "ADDRESS", "SINCE", "EXPIRES", "CERTIFICATE", "SUBJECT", "ENDS", "CTL", "ITL", "AGENT", "NOTE"}, "no device is registered",
		func(r bus.Registration) []string {
			return []string{r.Device, strings.Join(r.Lines, ","), r.Mode, r.State, r.Node, groupText(r), r.Remote, clock(r.Since), clock(r.Expires), r.Certificate, r.Subject, day(r.CertificateEnds), number(r.CTL), number(r.ITL), r.Agent, r.Reason}
		})
}

// groupText is "default (primary)", and the group alone where there is nothing to choose.
func groupText(r bus.Registration) string {
	if r.Rank == "" {
		return r.Group
	}
	return r.Group + " (" + r.Rank + ")"
}

// Run lists trunks.
func (c *trunksCmd) Run(a *app) error {
	return rows(a, "/v1/trunks", c.Name, []string{"TRUNK", "DESTINATION", "STATE", "MODE", "SRTP", "CALLS", "SINCE", "PING", "ROUND TRIP", "NOTE"}, "no trunk is configured",
		func(r bus.TrunkState) []string {
			ping, trip := "", ""
			if r.LastStatus > 0 {
				ping, trip = strconv.Itoa(r.LastStatus), fmt.Sprintf("%.1f ms", r.RoundTripMS)
			}
			return []string{r.Trunk, r.Destination, r.State, r.Mode, yes(r.SRTP), strconv.Itoa(r.Calls), clock(r.Since), ping, trip, r.Reason}
		})
}

// Run lists the members of SIP server groups.
func (c *serverGroupsCmd) Run(a *app) error {
	return rows(a, "/v1/server-groups", c.Name, []string{"GROUP", "MEMBER", "STATE", "PRIORITY", "WEIGHT", "MODE", "CALLS", "SINCE", "HEARTBEAT", "ROUND TRIP", "NODE", "NOTE"}, "no SIP server group is configured, or no call server runs",
		func(r bus.ServerGroupState) []string {
			ping, trip := "", ""
			if r.LastStatus > 0 {
				ping, trip = strconv.Itoa(r.LastStatus), fmt.Sprintf("%.1f ms", r.RoundTripMS)
			}
			return []string{r.Group, r.Destination, r.State, strconv.Itoa(r.Priority), strconv.Itoa(r.Weight), r.Mode, strconv.Itoa(r.Calls), clock(r.Since), ping, trip, r.Node, r.Reason}
		})
}

// Run lists the callers of call servers.
func (c *callServerCmd) Run(a *app) error {
	return rows(a, "/v1/callers", c.Name, []string{"CALL", "CALLED", "CALLING", "SINCE", "STATE", "WITH", "RINGING", "NODE"}, "no call server has a caller",
		func(r bus.CallerState) []string {
			return []string{r.Call, r.Called, strings.TrimSpace(r.Calling + " " + r.Display), clock(r.Since), r.State, r.With, r.Ringing, r.Node}
		})
}

// Run prints what every voice browser tells of itself, and its sessions.
func (c *voiceBrowserCmd) Run(a *app) error {
	path := "/v1/voice-browsers"
	if c.Name != "" {
		path += "?name=" + url.QueryEscape(c.Name)
	}
	var list admin.Rows[bus.VoiceBrowserState]
	if err := a.api.Do(a.ctx, http.MethodGet, path, nil, &list); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	var facts, sessions [][]string
	for _, r := range list.Rows {
		for _, f := range r.Facts {
			facts = append(facts, []string{r.Node, f.Name, f.Value})
		}
		for _, x := range r.Sessions {
			sessions = append(sessions, []string{r.Node, x.Calling, x.Called, clock(x.Since), x.Document, x.GlobalID})
		}
	}
	a.table([]string{"NODE", "WHAT", "VALUE"}, facts, "no voice browser runs")
	if len(list.Rows) > 0 {
		a.table([]string{"NODE", "CALLING", "CALLED", "SINCE", "DOCUMENT", "CALL"}, sessions, "nobody listens")
	}
	a.problems(list.Problems)
	return nil
}

// Run lists connections.
func (c *connectionsCmd) Run(a *app) error {
	return rows(a, "/v1/connections", c.Name, []string{"PEER", "REMOTE", "LOCAL", "WAY", "STATE", "TLS", "CIPHER", "VERIFIED", "SUBJECT", "FAILED", "IN", "OUT", "SINCE", "LAST FAILURE"}, "no connections",
		func(r bus.Connection) []string {
			version, verified := r.TLSVersion, yes(r.Verified)
			if r.Transport != "tls" {
				version, verified = r.Transport, ""
			}
			return []string{r.Peer, r.Remote, r.Local, r.Direction, r.State, version, r.Cipher, verified, r.Subject,
				strconv.FormatInt(r.Failures, 10), bytesText(r.BytesIn), bytesText(r.BytesOut), clock(r.Since), r.LastFailure}
		})
}

// Run lists mailboxes.
func (c *mwiCmd) Run(a *app) error {
	return rows(a, "/v1/message-waiting", c.Name, []string{"LINE", "PARTITION", "LAMP", "NEW", "OLD", "SINCE", "CHANGED", "SOURCE", "HEARD BY", "NOT BY"}, "nobody has said anything of messages",
		func(r bus.MessageState) []string {
			lamp := "off"
			switch {
			case r.Waiting && r.Lamp == "none":
				lamp = "off (none)"
			case r.Waiting:
				lamp = "on"
			}
			return []string{r.Line, r.Partition, lamp, fmt.Sprintf("%d (%d)", r.New, r.UrgentNew), fmt.Sprintf("%d (%d)", r.Old, r.UrgentOld), clock(r.Since), clock(r.Changed), r.Source,
				strings.Join(r.Acknowledged, ","), strings.Join(r.Waits, ",")}
		})
}

// Run lists subscriptions.
func (c *subscriptionsCmd) Run(a *app) error {
	empty := "nobody watches anything"
	if c.Name != "" {
		empty = c.Name + " watches nothing, or is no device"
	}
	return rows(a, "/v1/subscriptions", c.Name, []string{"DEVICE", "EVENT", "NUMBER", "PARTITION", "SINCE", "EXPIRES", "NOTIFIES", "LAST", "ANSWER"}, empty,
		func(r bus.WatchState) []string {
			return []string{r.Device, r.Event, r.Number, r.Partition, clock(r.Since), clock(r.Expires), strconv.Itoa(r.Notifies), clock(r.LastNotify), number(int64(r.LastStatus))}
		})
}

// Run lists applications.
func (c *providersCmd) Run(a *app) error {
	empty := "no application is logged in"
	if c.Name != "" {
		empty = "no application is logged in as " + c.Name
	}
	if c.Devices && !a.json {
		return c.devices(a, empty)
	}
	return rows(a, "/v1/cti/providers", c.Name, []string{"NODE", "USER", "INSTANCE", "APPLICATION", "REMOTE", "PORT", "STATE", "SINCE", "HEARD", "DEVICES", "LINES", "CALLS"}, empty,
		func(r bus.ProviderState) []string {
			return []string{r.Node, r.User, r.Instance, r.Application, r.Remote, strconv.Itoa(r.Port), r.State, clock(r.Since), clock(r.Heard), strconv.Itoa(len(r.Devices)),
				strconv.Itoa(r.Lines), strconv.Itoa(r.Calls)}
		})
}

// devices lists what they have open.
func (c *providersCmd) devices(a *app, empty string) error {
	path := "/v1/cti/providers?name=" + url.QueryEscape(c.Name)
	var list admin.Rows[bus.ProviderState]
	if err := a.api.Do(a.ctx, http.MethodGet, path, nil, &list); err != nil {
		return err
	}
	var out [][]string
	for _, r := range list.Rows {
		for _, d := range r.Devices {
			state := "out of service"
			if d.InService {
				state = "in service"
			}
			out = append(out, []string{r.Node, r.User, r.Instance, d.Name, state, strings.Join(d.Lines, " ")})
		}
	}
	a.table([]string{"NODE", "USER", "INSTANCE", "DEVICE", "STATE", "LINES"}, out, empty)
	return nil
}

// Run lists exceptions.
func (c *exceptionsCmd) Run(a *app) error {
	return rows(a, "/v1/exceptions", c.Name, []string{"KIND", "NAME", "SETTING", "VALUE", "DEFAULT", "FROM", "RISK"}, "no exceptions: everything is as secure as the defaults",
		func(r bus.Exception) []string {
			return []string{r.Kind, r.Name, r.Setting, r.Value, r.Default, r.From, r.Risk}
		})
}

// Run lists certificates.
func (c *certificatesCmd) Run(a *app) error {
	return rows(a, "/v1/certificates", "", []string{"KIND", "NAME", "SUBJECT", "KEY", "SERIAL", "ENDS", "REVOKED", "REASON"}, "no certificate was issued",
		func(e pki.Entry) []string {
			return []string{e.Kind.String(), e.Name, e.Subject, e.Algorithm, e.Serial, e.NotAfter.Format(time.DateOnly), clock(e.Revoked), e.Reason}
		})
}

// auditCmd is `locktone audit`.
type auditCmd struct {
	Limit int `help:"Most entries." default:"50"`
}

// Run lists audit entries.
func (c *auditCmd) Run(a *app) error {
	return rows(a, fmt.Sprintf("/v1/audit?limit=%d", c.Limit), "", []string{"TIME", "WHO", "FROM", "ACTION", "OBJECT", "RESULT", "DETAIL"}, "nothing was changed yet",
		func(e admin.AuditRow) []string {
			return []string{clock(e.Time), e.Actor, e.Source, e.Action, e.Object, e.Result, e.Detail}
		})
}

// controlCmd is `locktone reset device|trunk NAME`.
type controlCmd struct {
	Kind   string `arg:"" enum:"device,trunk" help:"device or trunk."`
	Name   string `arg:"" help:"Its name."`
	Action string `enum:"reset,restart,apply" default:"reset" help:"reset: start over. restart: register again. apply: take new configuration into use."`
}

// Run presses one of the three buttons.
func (c *controlCmd) Run(a *app) error {
	var out admin.Rows[bus.ResetResult]
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/"+c.Kind+"s/"+url.PathEscape(c.Name)+"/"+c.Action, nil, &out); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	for _, r := range out.Rows {
		fmt.Fprintf(a.out, "%s %s: %d asked to register again, %d connections closed, %d calls ended %s\n", c.Kind, c.Name, r.Registrations, r.Connections, r.Calls, r.Note)
	}
	return nil
}
