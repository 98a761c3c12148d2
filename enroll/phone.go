package enroll

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"time"

	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/phonexml"
	"github.com/locktone/locktone/wire/trustlist"
)

// PhoneConfig says which phone to be.
type PhoneConfig struct {
	Name string // SEP001122334455
	Dir  string // DIR/tsp001 is the phone's memory
	// Source is where it gets its files: TFTP{} or HTTP{}.
	Source Source
	// Authorization is what a user keys in when the configuration asks for an authentication string; a join token pins the
	// signers of the first list.
	Authorization capf.JoinToken
	// MIC is the manufacturer's certificate; nil: the phone has none.
	MIC *tls.Certificate
	// CAPF and TVS are used in place of the addresses in the configuration and the lists: host or host:port.
	CAPF, TVS string
	Retries   int           // of an enrolment, as in Config
	Every     time.Duration // as in Config
	LegacyRSA bool
	NoEC      bool
	Version   uint8
	Observe   func(Event)
	Now       func() time.Time
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
}

// Phone does what a desk phone does before it registers, in a phone's order:
//
//	CTLSEP<MAC>.tlv (4 tries)      accepted by: a pin, the lists held, TVS; at first, by itself
//	ITLSEP<MAC>.tlv, ITLFile.tlv   by the CTL just fetched, the lists held, TVS; at first, by itself
//	SEP<MAC>.cnf.xml.sgn           signed by a CCM+TFTP or TFTP entry of the lists
//	SEP<MAC>.cnf.xml.enc.sgn       when the former says so and our certificate is the one it names
//	CAPF                           when the configuration says so, or names another certificate
//
// Its methods are not for concurrent use.
type Phone struct {
	client  *Client
	cfg     PhoneConfig
	last    *Configuration
	session uint32 // of TVS
}

// NewPhone opens the phone's memory.
func NewPhone(cfg PhoneConfig) (*Phone, error) {
	c, err := New(Config{Device: cfg.Name, Authorization: cfg.Authorization, Dir: cfg.Dir, Source: cfg.Source, CAPF: orDefault(cfg.CAPF, "as configured"),
		Retries: cfg.Retries, Every: cfg.Every, LegacyRSA: cfg.LegacyRSA, NoEC: cfg.NoEC, Version: cfg.Version, Observe: cfg.Observe, Now: cfg.Now, Dial: cfg.Dial})
	if err != nil {
		return nil, err
	}
	c.mic = cfg.MIC
	return &Phone{client: c, cfg: cfg, session: 0x3e9}, nil // where phones begin to count
}

// Authorize is Client.Authorize: what a user keys in later.
func (p *Phone) Authorize(a capf.JoinToken) { p.client.Authorize(a) }

// Store is the phone's memory.
func (p *Phone) Store() *Store { return p.client.store }

// Lists are the trust lists in force after Update; nil when there is none.
type Lists struct {
	CTL, ITL *trustlist.List
	Pinned   bool     // they go back to a join token
	Changed  []string // names of the files that were taken
	Warnings []string
}

func (l Lists) both() []*trustlist.List { return []*trustlist.List{l.CTL, l.ITL} }

func (l Lists) any() bool { return l.CTL != nil || l.ITL != nil }

// ctlTries is how often a phone asks for its CTL when nobody answers.
const ctlTries = 4

// Update fetches the lists and takes those that may be believed. A file that is not there is normal: a cluster that is not in
// mixed mode may have no CTL. A list that is refused leaves the one held in force and is an error.
func (p *Phone) Update(ctx context.Context) (Lists, error) {
	l, err := p.held()
	if err != nil {
		return l, err
	}
	st, err := p.Store().State()
	if err != nil {
		st = State{}
	}
	l.Pinned = st.Pinned && l.any()
	if err := p.update(ctx, &l, &l.CTL, []string{trustlist.CTL.DeviceFilename(p.cfg.Name)}, ctlTries); err != nil {
		return l, err
	}
	return l, p.update(ctx, &l, &l.ITL, []string{trustlist.ITL.DeviceFilename(p.cfg.Name), trustlist.ITL.Filename()}, 1)
}

// held are the lists in memory; a damaged one counts as none, but not on a phone that was pinned.
func (p *Phone) held() (l Lists, err error) {
	for kind, into := range map[trustlist.Kind]**trustlist.List{trustlist.CTL: &l.CTL, trustlist.ITL: &l.ITL} {
		if *into, err = p.Store().List(kind); err != nil {
			return l, &Error{Step: StepStore, Where: p.Store().Path(), Err: err, Advice: "The phone's memory is damaged; empty the folder to begin anew."}
		}
	}
	return l, nil
}

// update fetches one list into its place.
func (p *Phone) update(ctx context.Context, l *Lists, place **trustlist.List, names []string, tries int) error {
	name, raw, err := p.fetch(ctx, names, tries)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	fresh, err := trustlist.Parse(raw)
	if err != nil {
		return listError(name, err, false)
	}
	pinned, err := p.judge(ctx, fresh, l)
	if err != nil {
		return listError(name, err, len(p.client.authorized().Signers) > 0)
	}
	if held := *place; held != nil && pinned == l.Pinned {
		if string(held.Bytes()) == string(raw) {
			return nil
		}
		if fresh.Header.Time.Before(held.Header.Time) {
			l.Warnings = append(l.Warnings, fmt.Sprintf("%s is older than the list held: an old copy; it was not taken.", name))
			return nil
		}
	}
	st, err := p.Store().State()
	if err != nil {
		st = State{}
	}
	if err := p.client.take(fresh, name, pinned, st); err != nil {
		return &Error{Step: StepStore, Where: p.Store().Path(), Err: err}
	}
	*place, l.Pinned, l.Changed = fresh, pinned, append(l.Changed, name)
	return nil
}

// fetch tries the names in order, each of them again while nobody answers.
func (p *Phone) fetch(ctx context.Context, names []string, tries int) (name string, b []byte, err error) {
	for try := 1; ; try++ {
		name, b, err = p.client.download(ctx, names)
		if err == nil || errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil || try == tries {
			return name, b, err
		}
	}
}

// judge says whether a list may be believed, and whether that goes back to a join token.
func (p *Phone) judge(ctx context.Context, fresh *trustlist.List, l *Lists) (pinned bool, err error) {
	if pins := p.client.authorized().Signers; len(pins) > 0 {
		if _, err = trustlist.AcceptPinned(fresh, pins); err == nil || !l.Pinned {
			return true, err
		}
	}
	_, err = trustlist.AcceptPhone(fresh, l.CTL, l.ITL)
	var unknown *trustlist.UntrustedSignerError
	if !errors.As(err, &unknown) {
		return l.Pinned, err
	}
	cert, roles, tvsErr := p.ask(ctx, unknown.Signer, l)
	if tvsErr != nil {
		p.client.observe(tvsErr, "The trust verification service does not vouch for the signer %s.", unknown.Signer.Subject)
		return l.Pinned, err
	}
	_, err = trustlist.AcceptVouched(fresh, cert, roles, l.CTL, l.ITL)
	return l.Pinned, err
}

// Configuration is what a phone learned from its configuration file.
type Configuration struct {
	File      string // its name; XMLDefault.cnf.xml for a phone that nobody knows
	Signed    bool   // verified with the lists
	Encrypted bool   // it was encrypted to our certificate
	// NeedsCertificate says that this is the short companion of a file encrypted to a certificate that we do not have:
	// CAPF first.
	NeedsCertificate bool
	Device           *phonexml.Device  // nil with Default
	Default          *phonexml.Default // nil with Device
}

// The ends of the names of configuration files.
const (
	plainEnd     = ".cnf.xml"
	signedEnd    = ".cnf.xml.sgn"
	encryptedEnd = ".cnf.xml.enc.sgn"
	defaultFile  = "XMLDefault.cnf.xml"
)

// Config fetches the configuration. A phone that holds a trust list takes nothing that is not signed by an entry of it.
func (p *Phone) Config(ctx context.Context) (Configuration, error) {
	l, err := p.held()
	if err != nil {
		return Configuration{}, err
	}
	if !l.any() {
		if len(p.client.authorized().Signers) > 0 {
			return Configuration{}, &Error{Step: StepVerify, Where: p.cfg.Name, Err: errors.New("there is no trust list, and a join token wants one"), Advice: "Update first."}
		}
		return p.known(p.plain(ctx))
	}
	c, err := p.signed(ctx, p.cfg.Name+signedEnd, l)
	if err != nil || c.Device == nil || !c.Device.EncryptedConfig || c.Device.FullConfig {
		return p.known(c, err)
	}
	key, ok := p.owner(c.Device.CertHash)
	if !ok {
		c.NeedsCertificate = true
		return p.known(c, nil)
	}
	return p.known(p.encrypted(ctx, p.cfg.Name+encryptedEnd, l, key))
}

func (p *Phone) known(c Configuration, err error) (Configuration, error) {
	if err == nil {
		p.last = &c
	}
	return c, err
}

// plain is the file of a phone without trust lists.
func (p *Phone) plain(ctx context.Context) (Configuration, error) {
	name, b, err := p.fetch(ctx, []string{p.cfg.Name + plainEnd, defaultFile}, 1)
	if err != nil {
		return Configuration{}, err
	}
	c := Configuration{File: name}
	return c, c.parse(b)
}

func (p *Phone) signed(ctx context.Context, name string, l Lists) (Configuration, error) {
	name, b, err := p.fetch(ctx, []string{name, defaultFile + ".sgn"}, 1)
	if err != nil {
		return Configuration{}, err
	}
	c := Configuration{File: name, Signed: true}
	text, _, err := opened(name, b, l)
	if err != nil {
		return c, err
	}
	return c, c.parse(text)
}

// opened verifies a signed file and that it is the one that was asked for, or somebody could hand out another phone's.
func opened(name string, b []byte, l Lists) ([]byte, *trustlist.Signed, error) {
	payload, signed, err := trustlist.Open(b, l.both()...)
	if err == nil && signed.Header.Filename != name {
		err = fmt.Errorf("it is signed as %q", signed.Header.Filename)
	}
	if err != nil {
		return nil, nil, &Error{Step: StepVerify, Where: name, Err: err, Advice: "Nothing of it was used. Is the TFTP server this site's, and is its certificate in the lists?"}
	}
	return payload, signed, nil
}

func (p *Phone) encrypted(ctx context.Context, name string, l Lists, key crypto.Decrypter) (Configuration, error) {
	name, b, err := p.fetch(ctx, []string{name}, 1)
	if err != nil {
		return Configuration{}, err
	}
	_, signed, err := opened(name, b, l)
	if err != nil {
		return Configuration{}, err
	}
	text, err := signed.Decrypt(key)
	if err != nil {
		return Configuration{}, &Error{Step: StepVerify, Where: name, Err: err, Advice: "It is not encrypted to the certificate that the short file names; a phone now enrols anew."}
	}
	c := Configuration{File: name, Signed: true, Encrypted: true}
	return c, c.parse(text)
}

func (c *Configuration) parse(b []byte) (err error) {
	if c.File == defaultFile || c.File == defaultFile+".sgn" {
		c.Default, err = phonexml.ParseDefault(b)
	} else {
		c.Device, err = phonexml.Parse(b)
	}
	if err != nil {
		return &Error{Step: StepVerify, Where: c.File, Err: err}
	}
	return nil
}

// owner is the key of the certificate that a certHash names, if it is one of ours and can decrypt.
func (p *Phone) owner(hash string) (crypto.Decrypter, bool) {
	for _, c := range p.certificates() {
		if key, ok := c.PrivateKey.(crypto.Decrypter); ok && phonexml.CertHash(c.Certificate[0]) == hash {
			return key, true
		}
	}
	return nil, false
}

// certificates are what we hold: the LSC, then the MIC.
func (p *Phone) certificates() (out []tls.Certificate) {
	if lsc, err := p.Store().Credential(); err == nil {
		out = append(out, lsc)
	}
	if p.cfg.MIC != nil {
		out = append(out, *p.cfg.MIC)
	}
	return out
}

// Credential is the certificate to show: the LSC, else the MIC; ErrNone when there is neither.
func (p *Phone) Credential() (tls.Certificate, error) {
	if all := p.certificates(); len(all) > 0 {
		return all[0], nil
	}
	return tls.Certificate{}, ErrNone
}

// Enroll runs CAPF as the configuration last fetched says: with the authentication string, with the null string, or with the
// certificate held. It tries the servers in order until one answers.
func (p *Phone) Enroll(ctx context.Context) (Result, error) {
	l, err := p.held()
	if err != nil {
		return Result{}, err
	}
	if !l.any() {
		return Result{}, &Error{Step: StepVerify, Where: p.cfg.Name, Err: errors.New("there is no trust list to know CAPF by"), Advice: "Update first; a cluster without lists has no way to prove its CAPF."}
	}
	servers := p.servers(l)
	if len(servers) == 0 {
		return Result{}, &Error{Step: StepConfig, Where: p.cfg.Name, Err: errors.New("neither the configuration nor the lists name a CAPF server")}
	}
	st, _ := p.Store().State()
	return p.client.retry(ctx, func(ctx context.Context) (r Result, err error) {
		for _, address := range servers {
			r = Result{Name: p.cfg.Name, Folder: p.Store().Path(), Pinned: st.Pinned}
			if list := l.CTL; list != nil {
				p.client.using(list, st.List, &r)
			} else {
				p.client.using(l.ITL, st.List, &r)
			}
			err = p.client.session(ctx, address, l.both(), p.authentication(), &r)
			var e *Error
			if !errors.As(err, &e) || e.Step != StepConnect {
				break
			}
		}
		return r, err
	})
}

// authentication is how the configuration wants us to prove who we are.
func (p *Phone) authentication() authentication {
	mode := phonexml.CAPFNone
	if p.last != nil && p.last.Device != nil {
		mode = p.last.Device.CAPFAuthMode
	}
	switch mode {
	case phonexml.CAPFString:
		return authentication{password: p.client.authorized().Password}
	case phonexml.CAPFNullString:
		return authentication{}
	case phonexml.CAPFLSC, phonexml.CAPFMIC:
		return authentication{existing: true, mic: mode == phonexml.CAPFMIC}
	}
	return authentication{password: p.client.authorized().Password, existing: true}
}

// servers are the addresses of CAPF: as told, of the configuration, of the lists.
func (p *Phone) servers(l Lists) (out []string) {
	if p.cfg.CAPF != "" {
		return []string{withPort(p.cfg.CAPF, strconv.Itoa(capf.Port))}
	}
	if p.last != nil && p.last.Device != nil {
		for _, s := range p.last.Device.CAPF {
			out = append(out, net.JoinHostPort(s.Host, strconv.Itoa(orDefault(s.Port, capf.Port))))
		}
	}
	if len(out) > 0 {
		return out
	}
	return addresses(l, trustlist.RoleCAPF, capf.Port)
}

// addresses are those of the records of a role.
func addresses(l Lists, role trustlist.Role, port int) (out []string) {
	for _, list := range l.both() {
		if list == nil {
			continue
		}
		for _, r := range list.ByRole(role) {
			switch {
			case r.Address.IsValid() && !r.Address.IsUnspecified():
				out = append(out, net.JoinHostPort(r.Address.String(), strconv.Itoa(port)))
			case r.Name != "":
				out = append(out, net.JoinHostPort(r.Name, strconv.Itoa(port)))
			}
		}
	}
	return out
}

// Provision does everything until the phone could register: lists, configuration, and enrolment followed by the configuration
// again when it is ordered or needed. The Result is zero when there was no enrolment.
func (p *Phone) Provision(ctx context.Context) (Configuration, Result, error) {
	if _, err := p.Update(ctx); err != nil {
		return Configuration{}, Result{}, err
	}
	c, err := p.Config(ctx)
	if err != nil || c.Device == nil || c.Device.CAPFAuthMode == phonexml.CAPFNone && !c.NeedsCertificate {
		return c, Result{}, err
	}
	r, err := p.Enroll(ctx)
	if err != nil {
		return c, r, err
	}
	c, err = p.Config(ctx)
	return c, r, err
}

// ServerTLS is the configuration for a connection to the call manager: it must stand in the lists held as CCM or CCM+TFTP, and
// it is shown the certificate held at that moment. It reads the lists and the certificate at every handshake.
func (s *Store) ServerTLS(fallback *tls.Certificate, roles ...trustlist.Role) *tls.Config {
	if len(roles) == 0 {
		roles = []trustlist.Role{trustlist.RoleCCM, trustlist.RoleCCMTFTP}
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // #nosec: verified below, against the trust lists
		VerifyConnection: func(cs tls.ConnectionState) error {
			var lists []*trustlist.List
			for _, kind := range []trustlist.Kind{trustlist.CTL, trustlist.ITL} {
				list, err := s.List(kind)
				if err != nil {
					return err
				}
				lists = append(lists, list)
			}
			return listed(cs.PeerCertificates[0], lists, roles...)
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			have, err := s.Credential()
			switch {
			case err == nil:
				return &have, nil
			case errors.Is(err, ErrNone) && fallback != nil:
				return fallback, nil
			case errors.Is(err, ErrNone):
				return &tls.Certificate{}, nil
			}
			return nil, err
		},
	}
}
