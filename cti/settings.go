package cti

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/wire/secret"
)

// settingsFile is in the folder of the settings, mode 0600: it holds the password.
const settingsFile = "tsp.json"

// Settings is the whole form of a telephony service provider: the pages User, CTI Manager, Security and Trace.
type Settings struct {
	User         string
	Password     secret.Text
	SingleSignOn bool // refused by the protocol's error when used

	Primary, Backup Manager
	Prefer          Family

	// Clear uses port 2748 in place of the secure connection.
	Clear         bool
	Security      Security
	Authorization secret.Text // authorization string or join token; forgotten once a certificate was fetched with it

	Trace TraceConfig
}

// DefaultSettings are what the form shows the first time.
func DefaultSettings() Settings {
	return Settings{Security: Security{Port: 3804, Retries: 2, Interval: 2 * time.Second}, Trace: TraceConfig{Size: 10, Files: 10}}
}

// stored is Settings on disk: the only place where the secrets are written.
type stored struct {
	User          string      `json:"user"`
	Password      string      `json:"password,omitempty"`
	SingleSignOn  bool        `json:"singleSignOn,omitempty"`
	Primary       Manager     `json:"primary"`
	Backup        Manager     `json:"backup"`
	Prefer        Family      `json:"prefer"`
	Clear         bool        `json:"clear,omitempty"`
	Security      Security    `json:"security"`
	Authorization string      `json:"authorization,omitempty"`
	Trace         TraceConfig `json:"trace"`
}

// LoadSettings reads the form of a folder; the default one where there is none yet.
func LoadSettings(dir string) (Settings, error) {
	b, err := os.ReadFile(filepath.Join(dir, settingsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return DefaultSettings(), nil
	}
	if err != nil {
		return Settings{}, err
	}
	var d stored
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return Settings{}, fmt.Errorf("%s: %w", filepath.Join(dir, settingsFile), err)
	}
	return Settings{d.User, secret.New(d.Password), d.SingleSignOn, d.Primary, d.Backup, d.Prefer, d.Clear, d.Security, secret.New(d.Authorization), d.Trace}, nil
}

// Save writes the form, in one piece.
func (s Settings) Save(dir string) error {
	if err := s.Check(); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	b, err := json.MarshalIndent(stored{s.User, s.Password.Reveal(), s.SingleSignOn, s.Primary, s.Backup, s.Prefer, s.Clear, s.Security,
		s.Authorization.Reveal(), s.Trace}, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, settingsFile+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, settingsFile))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// Check says what in the form is wrong. What is still missing is not wrong.
func (s Settings) Check() error {
	for _, m := range []struct {
		name string
		Manager
	}{{"primary", s.Primary}, {"backup", s.Backup}} {
		if err := m.Check(); err != nil {
			return fmt.Errorf("the %s CTI manager: %w", m.name, err)
		}
	}
	_, err := enroll.ParseAuthorization(s.Authorization.Reveal())
	switch {
	case err != nil:
		return err
	case !s.Primary.None() && s.Primary == s.Backup:
		return errors.New("primary and backup CTI manager are the same")
	case s.Security.Port < 0 || s.Security.Port > 65535:
		return fmt.Errorf("the CAPF port %d is none", s.Security.Port)
	case s.Security.Retries < 0 || s.Security.Retries > 100:
		return fmt.Errorf("%d retries: 0 to 100", s.Security.Retries)
	case s.Security.Interval < 0 || s.Security.Interval > time.Hour:
		return fmt.Errorf("a retry interval of %v: up to an hour", s.Security.Interval)
	case s.Trace.Size < 0 || s.Trace.Files < 0 || s.Trace.Files > 10000:
		return errors.New("the trace's file size and number of files cannot be negative")
	}
	return nil
}

// Certificates are in the folder beside the form.
func certificatesIn(dir string) string { return filepath.Join(dir, "certificates") }

// Enrolment is the page Security at work.
func (s Settings) Enrolment(dir string, trace *Tracer, observe func(enroll.Event)) (*Enrolment, error) {
	return NewEnrolment(certificatesIn(dir), s.Security, s.Authorization.Reveal(), trace, observe)
}

// CertificateStatus looks at the certificate without asking anybody.
func (s Settings) CertificateStatus(dir string) CertificateStatus {
	if _, err := os.Stat(certificatesIn(dir)); err != nil {
		return CertificateStatus{Reason: "none was fetched yet", Folder: certificatesIn(dir)}
	}
	store, err := enroll.OpenStore(certificatesIn(dir), false)
	if err != nil {
		return CertificateStatus{Reason: err.Error(), Folder: certificatesIn(dir)}
	}
	return StatusOf(store)
}

// Tracer opens the trace of the form; its files are in the folder unless it names another.
func (s Settings) Tracer(dir string) (*Tracer, error) {
	t := s.Trace
	if t.Dir == "" {
		t.Dir = filepath.Join(dir, "trace")
	}
	return NewTracer(t, nil)
}

// Config is a login by the form.
func (s Settings) Config(dir string, trace *Tracer) (Config, error) {
	c := Config{User: s.User, Password: s.Password, SingleSignOn: s.SingleSignOn, Primary: s.Primary, Backup: s.Backup, Prefer: s.Prefer, Clear: s.Clear, Trace: trace}
	if s.Clear || s.SingleSignOn {
		return c, nil
	}
	e, err := s.Enrolment(dir, trace, nil)
	if err != nil {
		return c, err
	}
	if st := e.Status(); !st.Available {
		return c, &Error{Doing: "Reading the certificate in " + st.Folder, Err: errors.New(st.Reason), Advice: "Fetch one: locktone tsp fetch-certificate"}
	}
	c.TLS = e.TLS
	return c, nil
}

// Open logs in by the form.
func (s Settings) Open(ctx context.Context, dir string, trace *Tracer) (*Provider, error) {
	cfg, err := s.Config(dir, trace)
	if err != nil {
		return nil, err
	}
	return Open(ctx, cfg)
}

// MarshalText is ipv4 or ipv6.
func (f Family) MarshalText() ([]byte, error) {
	if f == PreferIPv6 {
		return []byte("ipv6"), nil
	}
	return []byte("ipv4"), nil
}

// UnmarshalText reads ipv4 or ipv6.
func (f *Family) UnmarshalText(b []byte) error {
	switch string(b) {
	case "ipv4", "":
		*f = PreferIPv4
	case "ipv6":
		*f = PreferIPv6
	default:
		return fmt.Errorf("%q: ipv4 or ipv6", b)
	}
	return nil
}

var levelNames = [...]string{"off", "error", "detailed"}

// MarshalText is off, error or detailed.
func (l TraceLevel) MarshalText() ([]byte, error) { return []byte(levelNames[l]), nil }

// UnmarshalText reads off, error or detailed.
func (l *TraceLevel) UnmarshalText(b []byte) error {
	for i, name := range levelNames {
		if string(b) == name {
			*l = TraceLevel(i)
			return nil
		}
	}
	return fmt.Errorf("%q: off, error or detailed", b)
}

// ParseManager reads the place of a CTI manager: none, an IPv4 address, an IPv6 address or a host name, each with a port
// where it is not the protocol's own.
func ParseManager(text string) (Manager, error) {
	host := withoutPort(text)
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	switch {
	case text == "" || text == "none":
		return Manager{}, nil
	case err == nil && a.Is4():
		return Manager{IPv4: text}, nil
	case err == nil:
		if host == text {
			text = strings.Trim(text, "[]")
		}
		return Manager{IPv6: text}, nil
	case strings.ContainsAny(text, " /@"):
		return Manager{}, fmt.Errorf("%q is neither none nor an address nor a host name", text)
	}
	return Manager{Host: text}, nil
}
