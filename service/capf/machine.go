package capf

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/locktone/locktone/pki/capfprofile"
	wire "github.com/locktone/locktone/wire/capf"
)

// The server's side of one session. docs/wire/capf.md, "Dialogues":
//
//	           AUTH_REQ                AUTH_RES / Authenticate             Decided
//	 start --------------> greeting ---------------------------> deciding ----------+-----------+-------------+
//	                                                                |              |           |             |
//	                                     refused: END_SESSION 0/7/9 |   KEYGEN_REQ |DELETE_REQ | FETCH_REQ   |
//	                                                                v              v           v             |
//	   RETRY_LATER (2, 3)   Waiting        Issue      KEYGEN_RES  ended        making      deleting     fetching
//	   17 and 17 again (1) <------- issuing <-------------------------------------+            |             |
//	         |  Issued                 | Issued                   DELETE_RES / NoteDeleted     |             |
//	         +--------> STORE_CERT_REQ <+                         FETCH_RES / NoteFetched      |             |
//	                        v                                                                  v             v
//	                     storing -- STORE_CERT_RES / NoteStored --> noting <-------------------+-------------+
//	                                                                   | Noted: END_SESSION 1 (fetch: 0)
//	                                                                   v
//	                                                                 ended
//
// After every output but Send the machine waits for the answer named beside it. What the client sends out of turn ends
// the session with reason 7. Whatever ends a session that was let in, other than success, comes out as Failed with the
// cause that the profile's status shows; Quit only closes.

// Times of a session; the zero value is a good one.
type Times struct {
	// Greeting is how long a client may take to say who it is. Default: 30s.
	Greeting time.Duration
	// Key is how long it may be silent while it makes a key; REQUEST_IN_PROGRESS starts it anew. 7900 phones need minutes
	// for 2048 bits. Default: 15m.
	Key time.Duration
	// Answer is how long it may take to store, delete or fetch. Default: 2m.
	Answer time.Duration
	// Issue is how long an authority may take, the wait for a worker in a burst included. Default: 5m.
	Issue time.Duration
	// Hold is how long an application waits, connected, for the answer of an offline authority: it makes a new key at
	// every attempt, so that an answer can reach it only in the session that asked. Default: 30m.
	Hold time.Duration
	// KeepAlive is the time between two REQUEST_IN_PROGRESS to an application on hold, which gives up after some 90 s of
	// silence. Default: 20s.
	KeepAlive time.Duration
	// Retry is what RETRY_LATER tells a phone whose request lies with an offline authority. Default: 15m.
	Retry time.Duration
	// Session bounds everything. Default: 1h.
	Session time.Duration
}

func (t Times) withDefaults() Times {
	for _, x := range []struct {
		v *time.Duration
		d time.Duration
	}{{&t.Greeting, 30 * time.Second}, {&t.Key, 15 * time.Minute}, {&t.Answer, 2 * time.Minute}, {&t.Issue, 5 * time.Minute},
		{&t.Hold, 30 * time.Minute}, {&t.KeepAlive, 20 * time.Second}, {&t.Retry, 15 * time.Minute}, {&t.Session, time.Hour}} {
		if *x.v == 0 {
			*x.v = x.d
		}
	}
	return t
}

// version is the highest protocol version spoken here.
const version = wire.VersionPhone

// input is what a session's runner feeds: received, decided, issued, noted, closed, or nil when the deadline passed.
type input interface{ input() }

type (
	// received is a message, or what was wrong with what came.
	received struct {
		message wire.Message
		err     error
	}
	// decided answers authenticate.
	decided struct {
		profile capfprofile.Profile // when let in
		reason  wire.Reason         // of the refusal
		refused bool
	}
	// issued answers issue: a certificate; or a cause; or waiting.
	issued struct {
		certificate *x509.Certificate
		cause       capfprofile.Cause
		waiting     bool // an offline authority has the request; another issued may follow
	}
	// noted answers noteStored, noteDeleted and noteFetched.
	noted struct{ err error }
	// closed says that the connection has ended.
	closed struct{ err error }
)

func (received) input() {}
func (decided) input()  {}
func (issued) input()   {}
func (noted) input()    {}
func (closed) input()   {}

// output is what a runner does: send, authenticate, issue, noteStored, noteDeleted, noteFetched, failed, quit.
type output interface{ output() }

type (
	send         struct{ message wire.Message }
	authenticate struct{ response wire.AuthResponse } // answer: decided
	issue        struct {                             // answer: issued
		key  crypto.PublicKey
		spki []byte
	}
	noteStored  struct{}                                  // answer: noted
	noteDeleted struct{}                                  // answer: noted
	noteFetched struct{ certificates []wire.Certificate } // answer: noted
	failed      struct {
		cause capfprofile.Cause
		why   string
	} // no answer
	quit struct{} // the last one
)

func (send) output()         {}
func (authenticate) output() {}
func (issue) output()        {}
func (noteStored) output()   {}
func (noteDeleted) output()  {}
func (noteFetched) output()  {}
func (failed) output()       {}
func (quit) output()         {}

// state is where the dialogue is.
type state uint8

const (
	greeting state = iota
	deciding
	making
	issuing
	waiting
	storing
	deleting
	fetching
	noting
	ended
)

var stateNames = [...]string{"greeting", "deciding", "making a key", "issuing", "waiting for the authority", "storing", "deleting", "fetching", "noting", "ended"}

func (s state) String() string { return stateNames[s] }

// machine is one session. It is not for concurrent use.
type machine struct {
	id       uint32
	times    Times
	state    state
	deadline time.Time
	end      time.Time // of the session, whatever happens
	hold     time.Time // end of an application's wait
	version  uint8     // the client's
	profile  capfprofile.Profile
	orders   []wire.KeygenRequest // those not tried yet; the first is on the wire
	success  wire.Reason
}

// newMachine opens a session.
func newMachine(id uint32, times Times, now time.Time) (*machine, []output) {
	m := &machine{id: id, times: times.withDefaults()}
	m.end = now.Add(m.times.Session + m.times.Hold)
	m.wait(greeting, now, m.times.Greeting)
	return m, []output{send{wire.AuthRequest{Version: version}.Message(id)}}
}

// Deadline is when Step wants to be called with nil at the latest; zero once the session ended.
func (m *machine) Deadline() time.Time {
	if m.state == ended || m.deadline.Before(m.end) {
		return m.deadline
	}
	return m.end
}

func (m *machine) wait(s state, now time.Time, d time.Duration) {
	m.state, m.deadline = s, now.Add(d)
}

// Step takes one input and returns what is to be done, in order. After quit it returns nothing.
func (m *machine) Step(now time.Time, in input) []output {
	if m.state == ended {
		return nil
	}
	switch in := in.(type) {
	case received:
		return m.received(now, in)
	case decided:
		return m.decided(now, in)
	case issued:
		return m.issued(now, in)
	case noted:
		return m.noted(in)
	case closed:
		return m.broken("the client closed the connection while the server was " + m.state.String())
	}
	if now.Before(m.Deadline()) {
		return nil
	}
	return m.late(now)
}

// late is a passed deadline.
func (m *machine) late(now time.Time) []output {
	switch {
	case m.state == waiting && now.Before(m.hold) && now.Before(m.end):
		m.deadline = now.Add(m.times.KeepAlive)
		return []output{send{wire.InProgress{}.Message(m.id)}}
	case m.state == waiting:
		return m.finish(wire.ReasonNone) // the operation stays pending
	case m.state == making:
		return m.fail(capfprofile.CauseKeyTimeout, "no key in time", wire.ReasonRefused)
	case m.state == issuing:
		return m.fail(capfprofile.CauseCA, "no certificate in time", wire.ReasonRefused)
	case m.state == greeting, m.state == deciding:
		return m.finish(wire.ReasonRefused)
	}
	return m.fail(capfprofile.CauseCommunication, "no answer in time while "+m.state.String(), wire.ReasonRefused)
}

// broken is the end of the connection before the end of the session.
func (m *machine) broken(why string) []output {
	s := m.state
	m.state, m.deadline = ended, time.Time{}
	switch s {
	case greeting, deciding, waiting: // not let in, or it comes back for its certificate
		return []output{quit{}}
	}
	return []output{failed{capfprofile.CauseCommunication, why}, quit{}}
}

// finish ends the session with END_SESSION.
func (m *machine) finish(r wire.Reason) []output {
	m.state, m.deadline = ended, time.Time{}
	return []output{send{wire.EndSession{Reason: r}.Message(m.id)}, quit{}}
}

// fail ends a session that was let in.
func (m *machine) fail(c capfprofile.Cause, why string, r wire.Reason) []output {
	return append([]output{failed{c, why}}, m.finish(r)...)
}

// wrong ends the session for something the client may not send.
func (m *machine) wrong(why string) []output {
	switch m.state {
	case greeting, deciding, waiting:
		return m.finish(wire.ReasonRefused)
	case making:
		return m.fail(capfprofile.CauseKeyFailed, why, wire.ReasonRefused)
	}
	return m.fail(capfprofile.CauseCommunication, why, wire.ReasonRefused)
}

func (m *machine) received(now time.Time, in received) []output {
	if in.err != nil {
		return m.wrong(in.err.Error())
	}
	if in.message.Session != m.id {
		return m.wrong(fmt.Sprintf("%s of session %d in session %d", in.message.Command, in.message.Session, m.id))
	}
	switch in.message.Command {
	case wire.CommandInProgress:
		if m.state == making {
			m.deadline = now.Add(m.times.Key)
		}
		return nil
	case wire.CommandStatusResponse: // an application's answer to REQUEST_IN_PROGRESS
		return nil
	}
	switch m.state {
	case greeting:
		return m.authResponse(now, in.message)
	case making:
		return m.keygenResponse(now, in.message)
	case storing:
		return m.storeResponse(now, in.message)
	case deleting:
		return m.deleteResponse(now, in.message)
	case fetching:
		return m.fetchResponse(now, in.message)
	}
	return m.wrong(fmt.Sprintf("%s while %s", in.message.Command, m.state))
}

func (m *machine) authResponse(now time.Time, msg wire.Message) []output {
	r, err := wire.ParseAuthResponse(msg)
	if err != nil || r.Reason != wire.ReasonOK {
		return m.finish(wire.ReasonRefused)
	}
	m.version = min(max(r.Version, wire.VersionJTAPI), version)
	m.wait(deciding, now, m.times.Issue)
	return []output{authenticate{r}}
}

// decided begins the operation, or ends the session with the reason of the refusal.
func (m *machine) decided(now time.Time, in decided) []output {
	if m.state != deciding {
		return nil
	}
	if in.refused {
		return m.finish(in.reason)
	}
	m.profile, m.success = in.profile, wire.ReasonOK
	switch in.profile.Operation {
	case capfprofile.InstallUpgrade:
		return m.install(now)
	case capfprofile.Delete:
		m.wait(deleting, now, m.times.Answer)
		return []output{send{wire.DeleteRequest{}.Message(m.id)}}
	case capfprofile.Troubleshoot:
		if m.version < wire.VersionJabber { // it would hang for good
			m.state = fetching
			return m.fail(capfprofile.CauseCommunication, "a client of version 1 knows no FETCH_CERT_REQ", wire.ReasonRefused)
		}
		m.success = wire.ReasonNone // as the reference product ends it
		m.wait(fetching, now, m.times.Answer)
		return []output{send{wire.FetchRequest{}.Message(m.id)}}
	}
	return m.finish(wire.ReasonNone)
}

// install orders a key. Only clients of version 3 know EC keys.
func (m *machine) install(now time.Time) []output {
	rsa := wire.KeygenRequest{Type: wire.KeyRSA, Size: m.profile.RSAKeySize, Version: m.version}
	curve, _ := wire.CurveOf(m.profile.ECKeySize)
	ec := wire.KeygenRequest{Type: wire.KeyEC, Curve: curve, Version: m.version}
	switch {
	case m.profile.Order == capfprofile.RSAOnly:
		m.orders = []wire.KeygenRequest{rsa}
	case m.version >= wire.VersionPhone && m.profile.Order == capfprofile.ECOnly:
		m.orders = []wire.KeygenRequest{ec}
	case m.version >= wire.VersionPhone:
		m.orders = []wire.KeygenRequest{ec, rsa}
	case m.profile.Order == capfprofile.ECOnly:
		m.state = making
		return m.fail(capfprofile.CauseECUnsupported, fmt.Sprintf("a client of version %d makes RSA keys only", m.version), wire.ReasonRefused)
	default:
		m.orders = []wire.KeygenRequest{rsa}
	}
	return m.order(now)
}

func (m *machine) order(now time.Time) []output {
	m.wait(making, now, m.times.Key)
	return []output{send{m.orders[0].Message(m.id)}}
}

// keygenResponse takes the key. A client that cannot make an EC key may be asked for an RSA one; a key that is not what
// was ordered is refused.
func (m *machine) keygenResponse(now time.Time, msg wire.Message) []output {
	r, err := wire.ParseKeygenResponse(msg)
	if err != nil {
		return m.wrong(err.Error())
	}
	if r.Reason != wire.ReasonOK {
		if m.orders = m.orders[1:]; len(m.orders) > 0 {
			return m.order(now)
		}
		return m.fail(capfprofile.CauseKeyFailed, fmt.Sprintf("the client made no key: reason %d", r.Reason), wire.ReasonRefused)
	}
	key, err := wire.CheckKey(r.PublicKey, m.orders[0])
	if err != nil {
		return m.fail(capfprofile.CauseKeyFailed, err.Error(), wire.ReasonRefused)
	}
	m.wait(issuing, now, m.times.Issue)
	return []output{issue{key, r.PublicKey}}
}

// issued hands the certificate over. An application is kept on the line when the authority is offline; a phone is sent
// away for a while.
func (m *machine) issued(now time.Time, in issued) []output {
	switch {
	case m.state != issuing && m.state != waiting:
		return nil
	case in.certificate != nil:
		m.wait(storing, now, m.times.Answer)
		return []output{send{wire.StoreRequest{Type: wire.CertLSC, Certificate: wire.Certificate{Type: wire.CertLSC, DER: in.certificate.Raw}}.Message(m.id)}}
	case !in.waiting:
		return m.fail(in.cause, "the authority issued no certificate", wire.ReasonRefused)
	case m.state == waiting:
		return nil
	case m.version >= wire.VersionJabber:
		m.state, m.deadline = ended, time.Time{}
		return []output{send{wire.RetryLater{Seconds: int(m.times.Retry / time.Second)}.Message(m.id)}, quit{}}
	}
	m.hold = now.Add(m.times.Hold)
	m.wait(waiting, now, m.times.KeepAlive)
	return nil
}

func (m *machine) storeResponse(now time.Time, msg wire.Message) []output {
	r, err := wire.ParseStoreResponse(msg)
	if err != nil {
		return m.wrong(err.Error())
	}
	if r.Reason != wire.ReasonOK {
		return m.fail("", fmt.Sprintf("the client did not store its certificate: reason %d", r.Reason), wire.ReasonRefused)
	}
	m.wait(noting, now, m.times.Issue)
	return []output{noteStored{}}
}

func (m *machine) deleteResponse(now time.Time, msg wire.Message) []output {
	r, err := wire.ParseDeleteResponse(msg)
	if err != nil {
		return m.wrong(err.Error())
	}
	if r.Reason != wire.ReasonOK {
		return m.fail("", fmt.Sprintf("the client did not delete its certificate: reason %d", r.Reason), wire.ReasonRefused)
	}
	m.wait(noting, now, m.times.Issue)
	return []output{noteDeleted{}}
}

func (m *machine) fetchResponse(now time.Time, msg wire.Message) []output {
	r, err := wire.ParseFetchResponse(msg)
	if err != nil {
		return m.wrong(err.Error())
	}
	if r.Reason != wire.ReasonOK {
		return m.fail("", fmt.Sprintf("the client showed no certificate: reason %d", r.Reason), wire.ReasonRefused)
	}
	m.wait(noting, now, m.times.Issue)
	return []output{noteFetched{r.Certificates}}
}

// noted ends the session once the outcome is where a crash does not lose it.
func (m *machine) noted(in noted) []output {
	switch {
	case m.state != noting:
		return nil
	case in.err != nil:
		return m.finish(wire.ReasonRefused)
	}
	return m.finish(m.success)
}
