package capf

import (
	"errors"
	"fmt"
	"time"
)

// The client's side of the dialogue, as a machine without sockets or keys: its runner feeds it what arrives and does what
// it asks for.
//
//	            +---------+ AUTH_REQ / Send AUTH_RES   +---------+
//	 Start ---> | waiting |--------------------------->| ordered |<-----------------------------+
//	            +---------+                            +---------+                              |
//	                 |            KEYGEN_REQ / Generate |  |  | FETCH_CERT_REQ / Send FETCH_RES  |
//	                 |        +------------------------+  |  +--------------------------------->+
//	                 |        v                            | DELETE_CERT_REQ / Delete            |
//	                 |  +------------+                     +--------> +----------+ Deleted ----->+
//	                 |  | generating | Generated / Send KEYGEN_RES    | deleting | / Send DELETE_RES
//	                 |  +------------+------------------------------->+----------+              |
//	                 |  (REQUEST_IN_PROGRESS at once and every 30 s)                             |
//	                 |        STORE_CERT_REQ / Store   +---------+ Stored / Send STORE_RES       |
//	                 |      (from ordered)             | storing |------------------------------>+
//	                 |                                 +---------+
//	                 +---- END_SESSION, RETRY_LATER, anything unexpected, the deadline / Done ---> ended

// Defaults of ClientConfig.
const (
	DefaultServerWait = 90 * time.Second // what a JTAPI client was observed to wait
	DefaultProgress   = 30 * time.Second
)

// ClientConfig says who the client is and how it proves it.
type ClientConfig struct {
	Device   string // SEP..., CSF..., or CTI-<instance id>
	Password Secret // the authorization string; zero is the null string
	// Version is what the client announces: VersionJTAPI, VersionJabber or VersionPhone. 0 is VersionPhone.
	Version uint8
	// Existing are certificates with which to authenticate when the server asks for AuthLSC or AuthMIC, or says nothing and
	// there is no Password. The proof is made by the runner (Prove).
	Existing []Certificate
	// Held are the certificates that FETCH_CERT_REQ brings to the server; nil: those of Existing.
	Held []Certificate
	// Pending says that the runner holds a key of an earlier session for which no certificate came yet (an offline authority
	// takes its time), so that the server may hand out a certificate without an order.
	Pending bool
	// NoEC refuses orders for EC keys, so that a server that prefers EC can order its backup.
	NoEC bool
	// MinRSA and MaxRSA bound the ordered size in bits; 0 is 1024 and 4096.
	MinRSA, MaxRSA int
	// ServerWait is how long the server may be silent; 0 is DefaultServerWait.
	ServerWait time.Duration
	// Progress is how often REQUEST_IN_PROGRESS is sent while a key is made; 0 is DefaultProgress.
	Progress time.Duration
}

// Input is what a runner feeds: Received, Generated, Stored, Deleted, Proved, Closed or nil (the deadline has passed).
type Input interface{ input() }

// Received is a message from the server.
type Received struct{ Message Message }

// Generated answers Generate.
type Generated struct {
	PublicKey []byte // SubjectPublicKeyInfo, DER
	Err       error
}

// Stored answers Store: Err is nil once the certificate is where a crash does not lose it.
type Stored struct{ Err error }

// Deleted answers Delete.
type Deleted struct{ Err error }

// Proved answers Prove.
type Proved struct {
	SHA1 []byte
	SHA2 SignedData
	SUDI *SUDI
	Err  error
}

// Closed says that the connection ended; Err is nil for an orderly end.
type Closed struct{ Err error }

func (Received) input()  {}
func (Generated) input() {}
func (Stored) input()    {}
func (Deleted) input()   {}
func (Proved) input()    {}
func (Closed) input()    {}

// Output is what a runner does: Send, Generate, Store, Delete, Prove or Done.
type Output interface{ output() }

// Send writes a message, in one piece.
type Send struct{ Message Message }

// Generate makes a key pair and answers with Generated.
type Generate struct{ Order KeygenRequest }

// Store stores the certificate that the server issued, and answers with Stored.
type Store struct{ Certificate Certificate }

// Delete deletes the LSC and answers with Deleted.
type Delete struct{}

// Prove signs with the existing certificate and answers with Proved.
type Prove struct {
	Session     uint32
	Certificate Certificate
}

// Done is the last output; the connection is to be closed.
type Done struct{ Result Result }

func (Send) output()     {}
func (Generate) output() {}
func (Store) output()    {}
func (Delete) output()   {}
func (Prove) output()    {}
func (Done) output()     {}

// Operation is what a session did.
type Operation uint8

// The operations.
const (
	OperationNone    Operation = iota // nothing was pending
	OperationInstall                  // a certificate was stored
	OperationFetch                    // the certificates held were sent
	OperationDelete                   // the LSC was deleted
)

// String is the field's name of the operation.
func (o Operation) String() string {
	switch o {
	case OperationInstall:
		return "Install/Upgrade"
	case OperationFetch:
		return "Troubleshoot"
	case OperationDelete:
		return "Delete"
	}
	return "No Pending Operation"
}

// Result is how a session ended.
type Result struct {
	Operation Operation
	Reason    Reason        // of END_SESSION
	Info      string        // of END_SESSION
	Retry     time.Duration // the server asked to come again after this long
	Err       error         // nil: the operation is done, or nothing was pending
}

// Errors of a session, wrapped by Result.Err.
var (
	ErrRefused   = errors.New("refused by the server")                              // END_SESSION with a reason
	ErrRetry     = errors.New("the server asks to come again later")                // RETRY_LATER
	ErrSilent    = errors.New("the server is silent")                               // the deadline
	ErrClosed    = errors.New("the connection ended inside the session")            // Closed
	ErrDialogue  = errors.New("the server broke the dialogue")                      // an unexpected or malformed message
	ErrOrder     = errors.New("the server ordered a key this client does not make") // and did not offer another
	ErrLocal     = errors.New("failed on this side")                                // a key, a file, a signature
	ErrNoneSaved = errors.New("the server says done, but issued no certificate")
)

type clientState uint8

const (
	clientWaiting clientState = iota // for AUTH_REQ
	clientProving
	clientOrdered // for the server's next request
	clientGenerating
	clientStoring
	clientDeleting
	clientEnded
)

var clientStateNames = [...]string{"waiting for AUTH_REQ", "signing its proof", "waiting for the server's order", "making a key", "storing a certificate", "deleting its certificate", "ended"}

func (s clientState) String() string { return clientStateNames[s] }

// Client is the machine. The zero value is of no use; NewClient makes one. It is not for concurrent use.
type Client struct {
	cfg      ClientConfig
	state    clientState
	session  uint32
	deadline time.Time
	proving  Certificate // the existing certificate chosen for this session
	keyed    bool        // a public key was sent
	done     Operation
	refusal  error // why this side refused something, told at the end
}

// NewClient makes a client that waits for the server to speak.
func NewClient(cfg ClientConfig, now time.Time) *Client {
	if cfg.Version == 0 {
		cfg.Version = VersionPhone
	}
	if cfg.MinRSA == 0 {
		cfg.MinRSA = 1024
	}
	if cfg.MaxRSA == 0 {
		cfg.MaxRSA = 4096
	}
	if cfg.ServerWait == 0 {
		cfg.ServerWait = DefaultServerWait
	}
	if cfg.Progress == 0 {
		cfg.Progress = DefaultProgress
	}
	return &Client{cfg: cfg, deadline: now.Add(cfg.ServerWait)}
}

// Deadline is when Step wants to be called with nil at the latest; zero once the session ended.
func (c *Client) Deadline() time.Time { return c.deadline }

// Step takes one input and returns what is to be done, in order. After Done it returns nothing.
func (c *Client) Step(now time.Time, in Input) []Output {
	if c.state == clientEnded {
		return nil
	}
	switch in := in.(type) {
	case nil:
		return c.late(now)
	case Received:
		return c.received(now, in.Message)
	case Generated:
		return c.generated(now, in)
	case Stored:
		return c.stored(now, in)
	case Deleted:
		return c.deleted(now, in)
	case Proved:
		return c.proved(now, in)
	case Closed:
		if in.Err != nil {
			return c.fail(fmt.Errorf("%w while %v: %w", ErrClosed, c.state, in.Err))
		}
		return c.fail(fmt.Errorf("%w while %v", ErrClosed, c.state))
	}
	return c.fail(fmt.Errorf("%w: input %T", ErrLocal, in))
}

// late is a passed deadline: silence of the server, or time to say that the key is still being made.
func (c *Client) late(now time.Time) []Output {
	switch {
	case now.Before(c.deadline):
		return nil
	case c.state == clientGenerating:
		c.deadline = now.Add(c.cfg.Progress)
		return c.send(InProgress{}.Message(c.session))
	case c.state == clientProving, c.state == clientStoring, c.state == clientDeleting:
		return c.fail(fmt.Errorf("%w: %v took longer than %v", ErrLocal, c.state, c.cfg.ServerWait))
	}
	return c.fail(fmt.Errorf("%w: nothing for %v while %v", ErrSilent, c.cfg.ServerWait, c.state))
}

func (c *Client) received(now time.Time, m Message) []Output {
	if c.state != clientWaiting && m.Session != c.session {
		return c.fail(fmt.Errorf("%w: session %d where %d was opened", ErrDialogue, m.Session, c.session))
	}
	switch m.Command {
	case CommandEndSession:
		return c.end(m)
	case CommandRetryLater:
		r, err := ParseRetryLater(m)
		if err != nil {
			return c.fail(fmt.Errorf("%w: %w", ErrDialogue, err))
		}
		return c.finish(Result{Operation: c.done, Retry: time.Duration(r.Seconds) * time.Second, Err: ErrRetry})
	case CommandInProgress: // the server, or a certificate authority behind it, takes its time
		if c.state == clientWaiting || c.state == clientOrdered {
			c.deadline = now.Add(c.cfg.ServerWait)
		}
		if c.cfg.Version == VersionJTAPI && c.state == clientOrdered {
			return c.send(Message{Command: CommandStatusResponse, Session: c.session})
		}
		return nil
	case CommandAuthRequest:
		if c.state == clientWaiting {
			return c.authRequest(now, m)
		}
	case CommandKeygenRequest, CommandStoreRequest, CommandFetchRequest, CommandDeleteRequest:
		if c.state == clientOrdered {
			return c.ordered(now, m)
		}
	}
	return c.fail(fmt.Errorf("%w: %s while %v", ErrDialogue, m.Command, c.state))
}

func (c *Client) authRequest(now time.Time, m Message) []Output {
	r, err := ParseAuthRequest(m)
	if err != nil {
		return c.fail(fmt.Errorf("%w: %w", ErrDialogue, err))
	}
	c.session = m.Session
	c.deadline = now.Add(c.cfg.ServerWait)
	if cert, ok := c.existing(r.Auth); ok { // a server that does not know yet who calls says AuthNone
		c.state, c.proving = clientProving, cert
		return []Output{Prove{c.session, cert}}
	}
	c.state = clientOrdered
	return c.send(c.response().Message(c.session))
}

// existing is the certificate for an authentication mode: each mode prefers one kind and falls back to the other. Without a
// mode, a client that was given an authorization string uses that, and the first certificate otherwise.
func (c *Client) existing(a AuthType) (Certificate, bool) {
	asked := a == AuthLSC || a == AuthMIC || a == AuthNone && c.cfg.Password.IsZero()
	if !asked || len(c.cfg.Existing) == 0 {
		return Certificate{}, false
	}
	prefer := CertLSC
	if a == AuthMIC {
		prefer = CertMIC
	}
	for _, cert := range c.cfg.Existing {
		if a != AuthNone && cert.Type == prefer {
			return cert, true
		}
	}
	return c.cfg.Existing[0], true
}

func (c *Client) response() AuthResponse {
	r := AuthResponse{Reason: ReasonOK, Version: c.cfg.Version, Device: c.cfg.Device, Password: c.cfg.Password}
	switch c.cfg.Version {
	case VersionJTAPI:
		r.Info = "JTAPI successful response to Autherization request" // so spelt by the client itself
	case VersionJabber:
		r.NoPassword = c.cfg.Password.IsZero()
	}
	return r
}

func (c *Client) proved(now time.Time, in Proved) []Output {
	if c.state != clientProving {
		return nil
	}
	if in.Err != nil {
		return c.fail(fmt.Errorf("%w: signing with the existing certificate: %w", ErrLocal, in.Err))
	}
	r := c.response()
	r.SHA1, r.SHA2, r.SUDI = in.SHA1, in.SHA2, in.SUDI
	r.Certificates = []Certificate{c.proving}
	c.state, c.deadline = clientOrdered, now.Add(c.cfg.ServerWait)
	return c.send(r.Message(c.session))
}

func (c *Client) ordered(now time.Time, m Message) []Output {
	c.deadline = now.Add(c.cfg.ServerWait)
	switch m.Command {
	case CommandKeygenRequest:
		return c.keygen(now, m)
	case CommandStoreRequest:
		return c.store(m)
	case CommandFetchRequest:
		c.done = OperationFetch
		held := c.cfg.Held
		if held == nil {
			held = c.cfg.Existing
		}
		return c.send(FetchResponse{Reason: ReasonOK, Certificates: held}.Message(c.session))
	}
	c.state = clientDeleting
	return []Output{Delete{}}
}

func (c *Client) keygen(now time.Time, m Message) []Output {
	order, err := ParseKeygenRequest(m)
	if err != nil {
		return c.fail(fmt.Errorf("%w: %w", ErrDialogue, err))
	}
	if why := c.refuse(order); why != "" {
		c.refusal = fmt.Errorf("%w: %s", ErrOrder, why)
		return c.send(KeygenResponse{Reason: ReasonRefused, Info: why}.Message(c.session))
	}
	c.refusal, c.state = nil, clientGenerating
	c.deadline = now.Add(c.cfg.Progress)
	if c.cfg.Version < VersionPhone {
		return []Output{Generate{order}}
	}
	return append(c.send(InProgress{}.Message(c.session)), Generate{order})
}

func (c *Client) refuse(order KeygenRequest) string {
	switch {
	case order.Type == KeyEC && c.cfg.NoEC:
		return "no EC keys here"
	case order.Type == KeyRSA && (order.Size < c.cfg.MinRSA || order.Size > c.cfg.MaxRSA):
		return fmt.Sprintf("RSA keys of %d to %d bits here, not %d", c.cfg.MinRSA, c.cfg.MaxRSA, order.Size)
	}
	return ""
}

func (c *Client) generated(now time.Time, in Generated) []Output {
	if c.state != clientGenerating {
		return nil
	}
	c.state, c.deadline = clientOrdered, now.Add(c.cfg.ServerWait)
	if in.Err != nil {
		c.refusal = fmt.Errorf("%w: making a key: %w", ErrLocal, in.Err)
		return c.send(KeygenResponse{Reason: ReasonRefused, Info: "Key generation failed"}.Message(c.session))
	}
	c.keyed = true
	r := KeygenResponse{Reason: ReasonOK, Info: c.words("Key generation successful"), PublicKey: in.PublicKey}
	return c.send(r.Message(c.session))
}

func (c *Client) store(m Message) []Output {
	r, err := ParseStoreRequest(m)
	switch {
	case err != nil:
		return c.fail(fmt.Errorf("%w: %w", ErrDialogue, err))
	case !c.keyed && !c.cfg.Pending:
		return c.fail(fmt.Errorf("%w: a certificate before a key was ordered", ErrDialogue))
	}
	c.state = clientStoring
	return []Output{Store{r.Certificate}}
}

func (c *Client) stored(now time.Time, in Stored) []Output {
	if c.state != clientStoring {
		return nil
	}
	c.state, c.deadline = clientOrdered, now.Add(c.cfg.ServerWait)
	if in.Err != nil {
		c.refusal = fmt.Errorf("%w: storing the certificate: %w", ErrLocal, in.Err)
		return c.send(StoreResponse{Reason: ReasonRefused, Info: "the certificate was not stored"}.Message(c.session))
	}
	c.done = OperationInstall
	return c.send(StoreResponse{Reason: ReasonOK, Info: c.words("successfully stored the certificate")}.Message(c.session))
}

func (c *Client) deleted(now time.Time, in Deleted) []Output {
	if c.state != clientDeleting {
		return nil
	}
	c.state, c.deadline = clientOrdered, now.Add(c.cfg.ServerWait)
	if in.Err != nil {
		c.refusal = fmt.Errorf("%w: deleting the certificate: %w", ErrLocal, in.Err)
		return c.send(DeleteResponse{Reason: ReasonRefused, Info: "the certificate was not deleted"}.Message(c.session))
	}
	c.done = OperationDelete
	r := DeleteResponse{Reason: ReasonOK, Info: c.words("certificate deleted")}
	if c.cfg.Version == VersionJTAPI {
		r.CertID = []byte{0, 0, 0}
	}
	return c.send(r.Message(c.session))
}

// words are sent by JTAPI clients alone.
func (c *Client) words(text string) string {
	if c.cfg.Version == VersionJTAPI {
		return text
	}
	return ""
}

// end judges END_SESSION. Reason 1 without a certificate stored is no success, though a JTAPI client takes it for one.
func (c *Client) end(m Message) []Output {
	r, err := ParseEndSession(m)
	if err != nil {
		return c.fail(fmt.Errorf("%w: %w", ErrDialogue, err))
	}
	out := Result{Operation: c.done, Reason: r.Reason, Info: r.Info}
	switch {
	case c.refusal != nil:
		out.Err = c.refusal
	case r.Reason == ReasonOK && c.done == OperationNone:
		out.Err = ErrNoneSaved
	case r.Reason > ReasonOK, r.Reason == ReasonNone && c.keyed && c.done == OperationNone:
		out.Err = fmt.Errorf("%w: %v%s", ErrRefused, r.Reason, afterColon(r.Info))
	}
	return c.finish(out)
}

func afterColon(info string) string {
	if info == "" {
		return ""
	}
	return fmt.Sprintf(": %q", info)
}

func (c *Client) send(m Message) []Output { return []Output{Send{m}} }

func (c *Client) fail(err error) []Output { return c.finish(Result{Operation: c.done, Err: err}) }

func (c *Client) finish(r Result) []Output {
	c.state, c.deadline = clientEnded, time.Time{}
	return []Output{Done{r}}
}
