package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/secret"
)

// tspCmd is `locktone tsp`: a telephony service provider on the command line, against any CTI manager.
type tspCmd struct {
	Dir string `help:"Folder of the settings, certificates and trace files." default:"tsp" type:"path" env:"LOCKTONE_TSP"`

	Configure tspConfigureCmd `cmd:"" help:"The form: who logs in where, where certificates come from, what is traced. Without flags it is only shown."`
	Fetch     tspFetchCmd     `cmd:"" name:"fetch-certificate" help:"Fetch the trust list by TFTP and a certificate from CAPF."`
	Status    tspStatusCmd    `cmd:"" help:"The certificate, and whether the login works."`
	Phones    tspPhonesCmd    `cmd:"" help:"The telephones and lines that the user controls."`
	Dial      tspDialCmd      `cmd:"" help:"Call a number from a line."`
	Answer    tspAnswerCmd    `cmd:"" help:"Answer the call that rings."`
	Hold      tspHoldCmd      `cmd:"" help:"Hold the call, or take it back (--retrieve)."`
	Drop      tspDropCmd      `cmd:"" help:"End the call."`
	Transfer  tspTransferCmd  `cmd:"" help:"Hand the call to a number: at once, or after asking there (--consult)."`
	Monitor   tspMonitorCmd   `cmd:"" help:"Watch lines and their calls live; Ctrl-C ends."`
}

// tspConfigureCmd is `locktone tsp configure`.
type tspConfigureCmd struct {
	User          string         `help:"User name." placeholder:"NAME"`
	Password      bool           `help:"Ask for the password, on the terminal without echo or from standard input."`
	SingleSignOn  *bool          `help:"Use single sign-on. The protocol's form of it is unknown: a login is refused with CTIERR_SSO_DISABLED." name:"single-sign-on" negatable:""`
	Primary       *string        `help:"Primary CTI manager: none, an IPv4 address, an IPv6 address or a host name." placeholder:"WHERE"`
	Backup        *string        `help:"Backup CTI manager, in the same form." placeholder:"WHERE"`
	Prefer        string         `help:"Preferred IP addressing mode where a host name has both: ipv4 or ipv6." enum:"ipv4,ipv6," default:""`
	Secure        *bool          `help:"Secure connection to the CTI manager on port 2749; without it the clear port 2748." negatable:""`
	Authorization bool           `help:"Ask for the authorization string or join token, as for the password."`
	Instance      string         `help:"Instance identifier of the user's CAPF profile." placeholder:"ID"`
	CAPF          string         `help:"IP address of the CAPF server." name:"capf" placeholder:"HOST"`
	CAPFPort      int            `help:"Port of the CAPF server (default 3804)." name:"capf-port" placeholder:"PORT"`
	Retries       *int           `help:"Number of retries for certificate fetch (default 2)." placeholder:"N"`
	Interval      *time.Duration `help:"Retry interval for certificate fetch (default 2s)." placeholder:"TIME"`
	TFTP          string         `help:"IP address of the TFTP server." name:"tftp" placeholder:"HOST"`
	Legacy        *bool          `help:"Exception capf-legacy-rsa: also offer cipher suites without forward secrecy, for old call managers." name:"legacy-rsa" negatable:""`
	Trace         string         `help:"Trace of the provider: off, error or detailed." enum:"off,error,detailed," default:""`
	TraceCTI      *bool          `help:"Trace the messages of the protocol, by name." name:"trace-cti" negatable:""`
	TraceTSPI     *bool          `help:"Trace the functions of the telephony interface." name:"trace-tspi" negatable:""`
	TraceSize     *int           `help:"Megabytes of a trace file (default 10)." name:"trace-size" placeholder:"N"`
	TraceFiles    *int           `help:"Number of trace files kept of each kind (default 10)." name:"trace-files" placeholder:"N"`
	TraceDir      string         `help:"Folder of the trace files (default trace, in the folder of the settings)." name:"trace-dir" type:"path" placeholder:"DIR"`
}

// put sets what was given.
func put[T any](to *T, given *T) {
	if given != nil {
		*to = *given
	}
}

func putText(to *string, given string) {
	if given != "" {
		*to = given
	}
}

// Run changes the form and shows it.
func (c *tspConfigureCmd) Run(a *app, tsp *tspCmd) error {
	before, err := cti.LoadSettings(tsp.Dir)
	if err != nil {
		return err
	}
	s := before
	if err := c.change(a, &s); err != nil {
		return err
	}
	if s != before {
		if err := s.Save(tsp.Dir); err != nil {
			return err
		}
	}
	return a.tspForm(s, tsp.Dir)
}

func (c *tspConfigureCmd) change(a *app, s *cti.Settings) (err error) {
	putText(&s.User, c.User)
	put(&s.SingleSignOn, c.SingleSignOn)
	for to, text := range map[*cti.Manager]*string{&s.Primary: c.Primary, &s.Backup: c.Backup} {
		if text != nil {
			if *to, err = cti.ParseManager(*text); err != nil {
				return err
			}
		}
	}
	if c.Prefer != "" {
		if err := s.Prefer.UnmarshalText([]byte(c.Prefer)); err != nil {
			return err
		}
	}
	if c.Secure != nil {
		s.Clear = !*c.Secure
	}
	putText(&s.Security.Instance, c.Instance)
	putText(&s.Security.CAPF, c.CAPF)
	putText(&s.Security.TFTP, c.TFTP)
	if c.CAPFPort != 0 {
		s.Security.Port = c.CAPFPort
	}
	put(&s.Security.Retries, c.Retries)
	put(&s.Security.Interval, c.Interval)
	put(&s.Security.LegacyRSA, c.Legacy)
	if c.Trace != "" {
		if err := s.Trace.Level.UnmarshalText([]byte(c.Trace)); err != nil {
			return err
		}
	}
	put(&s.Trace.CTI, c.TraceCTI)
	put(&s.Trace.TSPI, c.TraceTSPI)
	put(&s.Trace.Size, c.TraceSize)
	put(&s.Trace.Files, c.TraceFiles)
	putText(&s.Trace.Dir, c.TraceDir)
	return c.secrets(a, s)
}

// secrets asks for them, one after the other.
func (c *tspConfigureCmd) secrets(a *app, s *cti.Settings) error {
	if c.Password && c.Authorization {
		return errors.New("password and authorization are asked for one at a time: give --password and --authorization in two commands")
	}
	if c.Password {
		text, err := a.password("Password: ", "Verify password: ")
		if err != nil {
			return err
		}
		s.Password = secret.New(text)
	}
	if c.Authorization {
		text, err := a.password("Authorization string: ")
		if err != nil {
			return err
		}
		s.Authorization = secret.New(strings.TrimSpace(text))
	}
	return nil
}

// tspFormJSON is the form without its secrets.
type tspFormJSON struct {
	User          string          `json:"user"`
	HasPassword   bool            `json:"hasPassword"`
	SingleSignOn  bool            `json:"singleSignOn"`
	Primary       cti.Manager     `json:"primary"`
	Backup        cti.Manager     `json:"backup"`
	Prefer        cti.Family      `json:"prefer"`
	Secure        bool            `json:"secure"`
	Certificate   string          `json:"certificateStatus"`
	HasString     bool            `json:"hasAuthorization"`
	Security      cti.Security    `json:"security"`
	IntervalText  string          `json:"retryInterval"`
	Trace         cti.TraceConfig `json:"trace"`
	CertificateTo *time.Time      `json:"certificateExpires,omitempty"`
	Exceptions    []string        `json:"exceptions,omitempty"`
}

// tspForm shows the form in the words of the field's.
func (a *app) tspForm(s cti.Settings, dir string) error {
	cert := s.CertificateStatus(dir)
	var exceptions []string
	if s.Clear {
		exceptions = append(exceptions, "cti-clear")
	}
	if s.Security.LegacyRSA {
		exceptions = append(exceptions, "capf-legacy-rsa")
	}
	if a.json {
		f := tspFormJSON{User: s.User, HasPassword: !s.Password.IsZero(), SingleSignOn: s.SingleSignOn, Primary: s.Primary, Backup: s.Backup, Prefer: s.Prefer,
			Secure: !s.Clear, Certificate: cert.String(), HasString: !s.Authorization.IsZero(), Security: s.Security, IntervalText: s.Security.Interval.String(),
			Trace: s.Trace, Exceptions: exceptions}
		if !cert.NotAfter.IsZero() {
			f.CertificateTo = &cert.NotAfter
		}
		return a.printJSON(f)
	}
	set := func(v secret.Text) string {
		if v.IsZero() {
			return "not set"
		}
		return "set"
	}
	manager := func(m cti.Manager) string {
		switch {
		case m.IPv4 != "":
			return "IP Address " + m.IPv4
		case m.IPv6 != "":
			return "IPV6 Address " + m.IPv6
		case m.Host != "":
			return "Host Name " + m.Host
		}
		return "None"
	}
	family, _ := s.Prefer.MarshalText()
	level, _ := s.Trace.Level.MarshalText()
	a.form([][2]string{{"User Name", s.User}, {"Password", set(s.Password)}, {"Use Single Sign On", yes(s.SingleSignOn)},
		{"Primary CTI Manager Location", manager(s.Primary)}, {"Backup CTI Manager Location", manager(s.Backup)},
		{"Preferred IP Addressing Mode", string(family)}, {"Secure Connection", yes(!s.Clear)},
		{"Certificate Status", cert.String()}, {"Authorization String", set(s.Authorization)}, {"Instance Identifier", s.Security.Instance},
		{"CAPF IP Address", s.Security.CAPF}, {"CAPF Port", strconv.Itoa(s.Security.Port)}, {"Number Of Retries", strconv.Itoa(s.Security.Retries)},
		{"Retry Interval", s.Security.Interval.String()}, {"TFTP Server IP Address", s.Security.TFTP}, {"TSP Trace", string(level)},
		{"CTI Trace", yes(s.Trace.CTI)}, {"TSPI Trace", yes(s.Trace.TSPI)}, {"Trace File Size (MB)", strconv.Itoa(s.Trace.Size)},
		{"Number of Trace Files", strconv.Itoa(s.Trace.Files)}, {"Trace Directory", s.Trace.Dir}, {"Exceptions", strings.Join(exceptions, ", ")}})
	return nil
}

// tspFetchCmd is `locktone tsp fetch-certificate`.
type tspFetchCmd struct{}

// Run is the button Fetch Certificate.
func (c *tspFetchCmd) Run(a *app, tsp *tspCmd) error {
	s, err := cti.LoadSettings(tsp.Dir)
	if err != nil {
		return err
	}
	trace, err := s.Tracer(tsp.Dir)
	if err != nil {
		return err
	}
	defer trace.Close()
	e, err := s.Enrolment(tsp.Dir, trace, a.told)
	if err != nil {
		return explained(err)
	}
	r, err := e.Fetch(a.ctx)
	if err != nil {
		return explained(err)
	}
	if !s.Authorization.IsZero() { // good for one use
		s.Authorization = secret.Text{}
		if err := s.Save(tsp.Dir); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(r)
	}
	a.printEnrolled(r)
	return nil
}

// provider logs in by the form.
func (tsp *tspCmd) provider(a *app) (*cti.Provider, func(), error) {
	s, err := cti.LoadSettings(tsp.Dir)
	if err != nil {
		return nil, nil, err
	}
	trace, err := s.Tracer(tsp.Dir)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.Open(a.ctx, tsp.Dir, trace)
	if err != nil {
		_ = trace.Close()
		return nil, nil, tspProblem(err)
	}
	return p, func() { _ = p.Close(); _ = trace.Close() }, nil
}

// tspProblem gives an error of the client the form of all errors here.
func tspProblem(err error) error {
	var all *cti.Unreachable
	if errors.As(err, &all) {
		p := &admin.Problem{Code: "cti-unreachable", Detail: "no CTI manager could be used", Advice: "Each is told above with its cause"}
		for _, each := range all.Each {
			p.Details = append(p.Details, each.Error())
		}
		return p
	}
	var e *cti.Error
	if !errors.As(err, &e) {
		return explained(err)
	}
	p := &admin.Problem{Code: "cti", Detail: strings.TrimSuffix(strings.TrimSuffix(err.Error(), e.Advice), ". "), Advice: strings.TrimSuffix(e.Advice, ".")}
	if e.Result != ctiqbe.OK {
		p.Code = admin.Code("cti-" + strings.ToLower(strings.TrimPrefix(e.Result.String(), "CTIERR_")))
	}
	return p
}

// tspStatusCmd is `locktone tsp status`.
type tspStatusCmd struct {
	Offline bool `help:"Only look at the certificate; do not log in."`
}

type tspStatusJSON struct {
	Certificate  cti.CertificateStatus `json:"certificate"`
	Up           bool                  `json:"up"`
	Manager      string                `json:"manager,omitempty"`
	ProviderID   uint32                `json:"providerID,omitempty"`
	Cluster      string                `json:"cluster,omitempty"`
	Heartbeat    string                `json:"heartbeat,omitempty"`
	Devices      int                   `json:"devices"`
	Lines        int                   `json:"lines"`
	Expires      uint32                `json:"passwordExpiresInDays,omitempty"`
	Capabilities *cti.Capabilities     `json:"capabilities,omitempty"`
}

// Run looks, and logs in.
func (c *tspStatusCmd) Run(a *app, tsp *tspCmd) error {
	s, err := cti.LoadSettings(tsp.Dir)
	if err != nil {
		return err
	}
	out := tspStatusJSON{Certificate: s.CertificateStatus(tsp.Dir)}
	if !c.Offline {
		p, closing, err := tsp.provider(a)
		if err != nil {
			if !a.json {
				a.tspStatus(out)
			}
			return err
		}
		st := p.Status()
		out.Up, out.Manager, out.ProviderID, out.Cluster, out.Heartbeat = st.Up, st.Manager, st.ProviderID, st.Cluster, st.Heartbeat.String()
		out.Devices, out.Lines, out.Expires, out.Capabilities = len(p.Devices()), len(p.Lines()), st.Expires, &st.Capabilities
		closing()
	}
	if a.json {
		return a.printJSON(out)
	}
	a.tspStatus(out)
	return nil
}

func (a *app) tspStatus(s tspStatusJSON) {
	lines := [][2]string{{"Certificate Status", s.Certificate.String()}, {"Certificate", s.Certificate.Subject}, {"Issuer", s.Certificate.Issuer}}
	if !s.Certificate.NotAfter.IsZero() {
		lines = append(lines, [2]string{"Valid until", s.Certificate.NotAfter.Format(time.RFC3339)}, [2]string{"Trust list pinned", yes(s.Certificate.Pinned)})
	}
	if s.Up {
		lines = append(lines, [2]string{"CTI Manager", s.Manager}, [2]string{"Provider", strconv.Itoa(int(s.ProviderID))}, [2]string{"Cluster", s.Cluster},
			[2]string{"Heartbeat", s.Heartbeat}, [2]string{"Devices", strconv.Itoa(s.Devices)}, [2]string{"Lines", strconv.Itoa(s.Lines)},
			[2]string{"May", strings.Join(tspRights(*s.Capabilities), ", ")})
	}
	if s.Expires > 0 {
		lines = append(lines, [2]string{"Password expires in", fmt.Sprintf("%d days", s.Expires)})
	}
	a.form(lines)
}

// tspRights are the rights beyond the control of the user's own devices.
func tspRights(c cti.Capabilities) []string {
	var all []string
	for _, r := range []struct {
		has  bool
		name string
	}{{c.ControlAnyDevice, "control all devices"}, {c.MonitorParkDN, "monitor parked calls"}, {c.ModifyCallingParty, "modify the calling number"},
		{c.AllowCallMonitoring, "monitor calls"}, {c.AllowCallRecording, "record calls"}} {
		if r.has {
			all = append(all, r.name)
		}
	}
	return all
}

// tspPhonesCmd is `locktone tsp phones`.
type tspPhonesCmd struct{}

// Run lists them.
func (c *tspPhonesCmd) Run(a *app, tsp *tspCmd) error {
	p, closing, err := tsp.provider(a)
	if err != nil {
		return err
	}
	defer closing()
	devices := p.Devices()
	if a.json {
		return a.printJSON(devices)
	}
	var rows [][]string
	for _, d := range devices {
		address := ""
		if d.Address.IsValid() {
			address = d.Address.String()
		}
		for _, l := range d.Lines {
			note := ""
			if d.Restricted || l.Restricted {
				note = "no control from CTI"
			}
			rows = append(rows, []string{d.Name, d.TypeName, yes(d.Registered), address, strconv.Itoa(int(l.Button)), l.ID.Number, l.ID.Partition, l.Label, note})
		}
	}
	a.table([]string{"DEVICE", "MODEL", "REGISTERED", "ADDRESS", "BUTTON", "LINE", "PARTITION", "LABEL", "NOTE"}, rows, "the user controls no telephones")
	return nil
}
