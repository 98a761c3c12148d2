package enroll

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/trustlist"
)

// InstancePrefix begins the device name of an application: "CTI-" and its instance id.
const InstancePrefix = "CTI-"

// Config says who enrols where. Exactly one of Instance and Device, CAPF, Dir, and TFTP or Source are needed.
type Config struct {
	Instance string // instance id of an application's CAPF profile
	Device   string // name of a device
	// Authorization is the authorization string, and the pin when it was a join token: ParseAuthorization makes it from either
	// text. Zero is the null string, or the certificate held. The string is forgotten after its first success.
	Authorization capf.JoinToken
	Dir           string // DIR/tsp001 holds the files
	TFTP          string // host or host:port
	CAPF          string // host or host:port
	Source        Source // in place of TFTP
	// Retries is how many more attempts follow the first one when the cause may pass, Every the pause before each; 0 is no
	// retry, 30 s. A refusal is not retried: the server counts wrong strings.
	Retries int
	Every   time.Duration
	// HashOld also writes the certificates under the subject hash of OpenSSL before 1.0.
	HashOld bool
	// LegacyRSA is the exception capf-legacy-rsa: it also offers cipher suites without forward secrecy, which is all that old
	// call managers have.
	LegacyRSA bool
	// Version of the protocol to announce; 0 is 1 for an application with a string, as the field's clients do, else 3.
	Version uint8
	// NoEC refuses orders for EC keys.
	NoEC bool
	// Observe is told what happens, from one goroutine. Nil: nobody.
	Observe func(Event)
	// Now is the clock; nil is time.Now. Dial opens connections; nil is a net.Dialer.
	Now  func() time.Time
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// An Event is something to tell a person who waits.
type Event struct {
	Time time.Time
	Text string // one sentence
	Err  error  // what went wrong, nil when nothing did
}

// ParseAuthorization makes the authorization of either text: a plain string or a join token.
func ParseAuthorization(text string) (capf.JoinToken, error) {
	if capf.IsJoinToken(text) {
		return capf.ParseJoinToken(text)
	}
	if text != "" && !capf.ValidPassword(text) {
		return capf.JoinToken{}, errors.New("an authorization string has 4 to 16 letters and digits; a join token begins with LT1-")
	}
	return capf.JoinToken{Password: capf.NewSecret(text)}, nil
}

// Result is what an enrolment brought.
type Result struct {
	Name      string         `json:"name"` // DEVICE_NAME
	Operation capf.Operation `json:"-"`
	Done      string         `json:"operation"` // Operation in the field's words
	Folder    string         `json:"folder"`
	Attempts  int            `json:"attempts"`
	// Pinned says that the trust list goes back to a join token. When it is false, the first list was trusted on first use.
	Pinned     bool      `json:"pinned"`
	List       string    `json:"list"`       // the file's name
	ListSigner string    `json:"listSigner"` // its signer's subject
	ListTime   time.Time `json:"listTime"`   // its date
	Server     string    `json:"server"`     // CAPF's address and certificate
	TLS        string    `json:"tls"`        // version and cipher suite
	Subject    string    `json:"subject,omitempty"`
	Issuer     string    `json:"issuer,omitempty"`
	Serial     string    `json:"serial,omitempty"` // hex
	SHA256     string    `json:"sha256,omitempty"`
	NotAfter   time.Time `json:"notAfter,omitzero"`
	Renew      time.Time `json:"renew,omitzero"` // two thirds of the lifetime
	Warnings   []string  `json:"warnings,omitempty"`

	Certificate *x509.Certificate `json:"-"`
}

// Client enrols an application or a device. Its methods are not for concurrent use, but for Authorize.
type Client struct {
	cfg   Config
	store *Store
	rule  acceptRule
	mic   *tls.Certificate // a phone's, nil when there is none

	authorizing   sync.Mutex
	authorization capf.JoinToken
}

// New checks the configuration and opens the folder.
func New(cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, &Error{Step: StepConfig, Err: err}
	}
	if cfg.Source == nil {
		cfg.Source = TFTP{Server: cfg.TFTP}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	cfg.Every = orDefault(cfg.Every, 30*time.Second)
	store, err := OpenStore(cfg.Dir, cfg.HashOld)
	if err != nil {
		return nil, &Error{Step: StepStore, Where: cfg.Dir, Err: err}
	}
	c := &Client{cfg: cfg, store: store, rule: trustlist.AcceptJTAPI, authorization: cfg.Authorization}
	if cfg.Device != "" {
		c.rule = func(fresh, held *trustlist.List) (trustlist.Acceptance, error) {
			return trustlist.AcceptPhone(fresh, held)
		}
	}
	if st, err := store.State(); err == nil && st.Name != "" && st.Name != c.name() {
		return nil, &Error{Step: StepConfig, Where: store.Path(), Err: fmt.Errorf("the folder is %s's, not %s's", st.Name, c.name()), Advice: "Give each instance a folder of its own (--dir)."}
	}
	return c, nil
}

func (cfg *Config) check() error {
	switch {
	case (cfg.Instance == "") == (cfg.Device == ""):
		return errors.New("give an instance id or a device name, and not both")
	case cfg.CAPF == "":
		return errors.New("the CAPF server's address is missing")
	case cfg.TFTP == "" && cfg.Source == nil:
		return errors.New("the TFTP server's address is missing")
	case cfg.Dir == "":
		return errors.New("the folder for the certificates is missing")
	case !plainName(cfg.Instance + cfg.Device):
		return fmt.Errorf("%q: a name has letters, digits, '.', '_' and '-'", cfg.Instance+cfg.Device)
	}
	return nil
}

// plainName keeps names out of which file names are made free of everything that means something in a path.
func plainName(s string) bool {
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return len(s) <= 128 && s != "." && s != ".."
}

// name is DEVICE_NAME.
func (c *Client) name() string {
	if c.cfg.Device != "" {
		return c.cfg.Device
	}
	return InstancePrefix + c.cfg.Instance
}

// Store is the client's folder.
func (c *Client) Store() *Store { return c.store }

func (c *Client) observe(err error, format string, args ...any) {
	if c.cfg.Observe != nil {
		c.cfg.Observe(Event{c.cfg.Now(), fmt.Sprintf(format, args...), err})
	}
}

// Authorize gives a new authorization string for the next attempt of Enroll or Keep: those that were given out are good for
// one use. It may be called at any time, from any goroutine. The pins stay as they were when the token has none.
func (c *Client) Authorize(a capf.JoinToken) {
	c.authorizing.Lock()
	defer c.authorizing.Unlock()
	if len(a.Signers) == 0 {
		a.Signers = c.authorization.Signers
	}
	c.authorization = a
}

// authorized is the authorization in force.
func (c *Client) authorized() capf.JoinToken {
	c.authorizing.Lock()
	defer c.authorizing.Unlock()
	return c.authorization
}

// spent forgets a string that did its work, unless a new one has come.
func (c *Client) spent(used capf.Secret) {
	c.authorizing.Lock()
	defer c.authorizing.Unlock()
	if c.authorization.Password == used {
		c.authorization.Password = capf.Secret{}
	}
}

// ErrNothingPending says that the server let us in and has nothing for us to do.
var ErrNothingPending = errors.New("no certificate operation is pending")

// Enroll fetches and verifies the list, and does what the server orders: normally a new certificate. It retries as the
// configuration says. The error is an *Error, or ctx's.
func (c *Client) Enroll(ctx context.Context) (Result, error) { return c.retry(ctx, c.attempt) }

// retry makes attempts until one succeeds, or fails for a cause that does not pass.
func (c *Client) retry(ctx context.Context, attempt func(context.Context) (Result, error)) (Result, error) {
	for n := 1; ; n++ {
		used := c.authorized().Password
		r, err := attempt(ctx)
		r.Attempts = n
		if err == nil {
			c.spent(used)
			return r, nil
		}
		var e *Error
		if ctx.Err() != nil || !errors.As(err, &e) || !e.Retry || n > c.cfg.Retries {
			return r, err
		}
		pause := max(c.cfg.Every, e.After)
		c.observe(err, "Attempt %d of %d failed; the next one in %v.", n, c.cfg.Retries+1, pause)
		if err := sleep(ctx, pause); err != nil {
			return r, err
		}
	}
}

// sleep waits, at most until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Client) attempt(ctx context.Context) (Result, error) {
	r := Result{Name: c.name(), Folder: c.store.Path()}
	address, ips, err := c.capf(ctx)
	if err != nil {
		return r, err
	}
	list, err := c.refresh(ctx, ips, &r)
	if err != nil {
		return r, err
	}
	return r, c.session(ctx, address, []*trustlist.List{list}, authentication{password: c.authorized().Password, existing: true}, &r)
}

// authentication is with what to prove who we are.
type authentication struct {
	password capf.Secret
	existing bool // a certificate held may do
	mic      bool // the MIC before the LSC
}

// capf is CAPF's host:port, and its addresses, of which the list's file name is made.
func (c *Client) capf(ctx context.Context) (address string, ips []netip.Addr, err error) {
	address = withPort(c.cfg.CAPF, strconv.Itoa(capf.Port))
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", nil, &Error{Step: StepConfig, Where: c.cfg.CAPF, Err: err}
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return address, []netip.Addr{ip.Unmap()}, nil
	}
	ips, err = net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return address, nil, &Error{Step: StepConnect, Where: host, Err: err, Retry: true, Advice: "The name of the CAPF server does not resolve."}
	}
	return address, ips, nil
}

// session connects to CAPF, which must stand in one of the lists, and does what it orders.
func (c *Client) session(ctx context.Context, address string, lists []*trustlist.List, auth authentication, r *Result) error {
	host, _, _ := net.SplitHostPort(address)
	raw, err := c.cfg.Dial(ctx, "tcp", address)
	if err != nil {
		return connectError(address, err)
	}
	asked := false
	conn := tls.Client(raw, serverTLS(lists, c.cfg.LegacyRSA, host, &asked))
	shake, cancel := context.WithTimeout(ctx, handshakeTime)
	err = conn.HandshakeContext(shake)
	cancel()
	if err != nil {
		_ = raw.Close()
		return handshakeError(address, err, c.cfg.LegacyRSA, asked)
	}
	c.describe(conn.ConnectionState(), address, r)
	who := &identity{device: c.name(), store_: c.store, key: c.store.pending(), now: c.cfg.Now, present: map[string]crypto.PrivateKey{}}
	cfg := capf.ClientConfig{Device: c.name(), Password: auth.password, Version: c.version(auth), Pending: who.key != nil, NoEC: c.cfg.NoEC}
	cfg.Held = who.holds(c.certificates(false))
	if auth.existing {
		cfg.Existing = who.holds(c.certificates(auth.mic))
	}
	done := converse(ctx, conn, capf.NewClient(cfg, c.cfg.Now()), c.cfg.Now, who)
	return c.finish(address, done, who, r)
}

// held is a certificate we hold, with its kind.
type held struct {
	kind capf.CertType
	tls.Certificate
}

// certificates are what we hold, in the order in which to show them.
func (c *Client) certificates(micFirst bool) (out []held) {
	if lsc, err := c.store.Credential(); err == nil {
		out = append(out, held{capf.CertLSC, lsc})
	}
	if c.mic != nil {
		out = append(out, held{capf.CertMIC, *c.mic})
	}
	if micFirst {
		slices.Reverse(out)
	}
	return out
}

// version is what to announce: an application with a string behaves as the field's do, which know RSA keys alone.
func (c *Client) version(auth authentication) uint8 {
	switch {
	case c.cfg.Version != 0:
		return c.cfg.Version
	case c.cfg.Instance != "" && !auth.password.IsZero():
		return capf.VersionJTAPI
	}
	return capf.VersionPhone
}

func (c *Client) describe(cs tls.ConnectionState, address string, r *Result) {
	leaf := cs.PeerCertificates[0]
	r.Server = fmt.Sprintf("%s, %s", address, subjectOf(leaf))
	r.TLS = tls.VersionName(cs.Version) + " " + tls.CipherSuiteName(cs.CipherSuite)
	if now := c.cfg.Now(); now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		r.warn("The certificate of CAPF, %s, is good from %s to %s only; the trust list vouches for it all the same.", subjectOf(leaf),
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	c.observe(nil, "Connected to CAPF at %s by %s; its certificate is the one the trust list names.", address, r.TLS)
}

func (r *Result) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// finish judges the end of a session and writes down what it brought.
func (c *Client) finish(address string, done capf.Result, who *identity, r *Result) error {
	r.Operation, r.Done = done.Operation, done.Operation.String()
	if who.got != nil { // it counts even when the last message was lost
		c.enrolled(who.got, r)
	}
	switch {
	case done.Err != nil && who.got != nil:
		r.warn("The certificate is stored, but the session did not end well: %v. The server may still show the operation as pending.", done.Err)
	case done.Err != nil:
		e := dialogueError(address, c.name(), done)
		e.After = done.Retry
		return e
	case done.Operation == capf.OperationNone:
		return &Error{Step: StepDialogue, Where: address + " as " + c.name(), Err: ErrNothingPending,
			Advice: "The server knows us and was not told to do anything: order one on the server (locktone capf profile create, which also makes a new authorization string)."}
	}
	st, err := c.store.State()
	if err != nil {
		st = State{}
	}
	st.Name = c.name()
	switch {
	case who.got != nil:
		st.Enrolled, st.Issuer, st.Serial, st.NotAfter = c.cfg.Now().UTC(), r.Issuer, r.Serial, r.NotAfter
	case who.erased:
		st.Enrolled, st.Issuer, st.Serial, st.NotAfter = time.Time{}, "", "", time.Time{}
	}
	if err := c.store.putState(st); err != nil {
		r.warn("%v", err)
	}
	return nil
}

func (c *Client) enrolled(cert *x509.Certificate, r *Result) {
	r.Certificate, r.Subject, r.Issuer = cert, subjectOf(cert), issuerOf(cert)
	r.Serial, r.SHA256 = cert.SerialNumber.Text(16), fingerprint(cert.Raw)
	r.NotAfter, r.Renew = cert.NotAfter.UTC(), renewal(cert)
	if now := c.cfg.Now(); now.Before(cert.NotBefore) {
		r.warn("The certificate is good from %s on; this machine's clock says %s.", cert.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	c.observe(nil, "Stored the certificate %s, issued by %s, good until %s.", r.Subject, r.Issuer, r.NotAfter.Format(time.RFC3339))
}

// Refresh fetches and verifies the trust list without enrolling, as applications do each time they connect. When no server
// answers, the list held stays in force and Result.Warnings says so; without one that is an error.
func (c *Client) Refresh(ctx context.Context) (Result, error) {
	r := Result{Name: c.name(), Folder: c.store.Path(), Attempts: 1}
	_, ips, err := c.capf(ctx)
	if err != nil {
		return r, err
	}
	_, err = c.refresh(ctx, ips, &r)
	return r, err
}

// acceptRule is whose rule a fresh list is judged by: an application's or a phone's.
type acceptRule func(fresh, held *trustlist.List) (trustlist.Acceptance, error)

// refresh brings the list to be used: the one served, when it may be believed, or the one held.
func (c *Client) refresh(ctx context.Context, ips []netip.Addr, r *Result) (*trustlist.List, error) {
	held, err := c.store.List(trustlist.CTL)
	if err != nil {
		c.observe(err, "The list held is damaged and is not used.")
		held = nil
	}
	st, err := c.store.State()
	if err != nil {
		st = State{}
	}
	r.Pinned = st.Pinned && held != nil
	name, raw, err := c.download(ctx, c.listNames(ips))
	if err != nil {
		if held == nil || ctx.Err() != nil {
			return nil, err
		}
		r.warn("The trust list held stays in use: %v", err)
		return c.using(held, st.List, r), nil
	}
	fresh, err := trustlist.Parse(raw)
	if err != nil {
		return c.refused(held, st, name, err, r)
	}
	pinned, err := c.judge(fresh, held, r.Pinned)
	if err != nil {
		return c.refused(held, st, name, err, r)
	}
	if held != nil && pinned == r.Pinned && fresh.Header.Time.Before(held.Header.Time) {
		r.warn("%s is of %s, older than the list held, of %s: an old copy. The list held stays in use.", name, fresh.Header.Time.UTC().Format(time.RFC3339), held.Header.Time.UTC().Format(time.RFC3339))
		return c.using(held, st.List, r), nil
	}
	if err := c.take(fresh, name, pinned, st); err != nil {
		return nil, &Error{Step: StepStore, Where: c.store.Path(), Err: err}
	}
	r.Pinned = pinned
	if !pinned && held == nil {
		r.warn("The trust list was trusted on first use: nothing but itself vouches for its signer, %s. A join token pins it.", fresh.Header.Signer.Subject)
	}
	return c.using(fresh, name, r), nil
}

func (c *Client) using(list *trustlist.List, name string, r *Result) *trustlist.List {
	r.List, r.ListSigner, r.ListTime = name, list.Header.Signer.Subject, list.Header.Time.UTC()
	return list
}

// refused is a list that may not be believed. What is held stays in force, unless a join token was to settle it.
func (c *Client) refused(held *trustlist.List, st State, name string, err error, r *Result) (*trustlist.List, error) {
	pin := len(c.authorized().Signers) > 0
	e := listError(name, err, pin)
	if held == nil || pin {
		return nil, e
	}
	c.observe(e, "The list served was refused; the one held stays in use.")
	r.warn("%v", e)
	return c.using(held, st.List, r), nil
}

// judge says whether a list may be believed, and whether that goes back to a join token. The token decides when there is one:
// what was once trusted on first use cannot outvote it.
func (c *Client) judge(fresh, held *trustlist.List, heldPinned bool) (pinned bool, err error) {
	if pins := c.authorized().Signers; len(pins) > 0 {
		if _, err = trustlist.AcceptPinned(fresh, pins); err == nil || !heldPinned {
			return true, err
		}
	}
	_, err = c.rule(fresh, held)
	return heldPinned, err
}

// take stores a list that is believed, when it is another one than that held.
func (c *Client) take(list *trustlist.List, name string, pinned bool, st State) error {
	if err := c.store.putList(list); err != nil {
		return err
	}
	st.Name, st.Pinned, st.List, st.Signer, st.Fetched = c.name(), pinned, name, list.Header.Signer.Subject, c.cfg.Now().UTC()
	c.observe(nil, "Took the trust list %s of %s, signed by %s.", name, list.Header.Time.UTC().Format(time.RFC3339), st.Signer)
	return c.store.putState(st)
}

// listNames are the names under which the list may be: for an application by CAPF's address, for a device by its own name.
func (c *Client) listNames(ips []netip.Addr) (names []string) {
	if c.cfg.Device != "" {
		return []string{trustlist.CTL.DeviceFilename(c.cfg.Device), trustlist.CTL.Filename()}
	}
	for _, ip := range ips {
		names = append(names, trustlist.CAPFFilenames(ip)...)
	}
	return append(names, trustlist.CTL.Filename())
}

// download fetches the first of the names that is there. Only "no such file" moves on to the next one.
func (c *Client) download(ctx context.Context, names []string) (name string, b []byte, err error) {
	for _, name = range names {
		b, err = c.cfg.Source.Fetch(ctx, name)
		if err == nil {
			return name, b, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return "", nil, downloadError(c.server(), name, err)
}

func (c *Client) server() string {
	if c.cfg.TFTP != "" {
		return c.cfg.TFTP
	}
	return fmt.Sprintf("%+v", c.cfg.Source)
}
