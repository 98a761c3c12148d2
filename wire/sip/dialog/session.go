package dialog

import (
	"bytes"
	"hash/fnv"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// Reliability says how a user agent uses reliable provisional responses (RFC 3262). The zero value speaks 100rel when
// the peer demands it.
type Reliability uint8

// The policies.
const (
	ReliableOnDemand  Reliability = iota // Supported: 100rel; used when the peer requires it
	ReliablePreferred                    // used whenever the peer supports it
	ReliableRequired                     // Require: 100rel in our INVITE
	ReliableOff                          // unknown: a request that requires it gets 420
	ReliableSDP                          // as preferred, for responses that carry a description
)

// Config is what a session needs to know of its user agent. Many sessions share one; it is never written.
type Config struct {
	Agent     string   // User-Agent and Server; "" = none
	Allow     string   // Allow; "" = DefaultAllow
	Supported []string // option tags beside timer, 100rel and replaces, which follow from the fields below
	Timer     TimerConfig
	Reliable  Reliability
	Replaces  bool          // we take INVITE with Replaces (RFC 3891)
	T1, T2    time.Duration // 0 = 500 ms and 4 s (RFC 3261, 17.1.1.1)
	// Repeats2xx says that the transaction layer repeats our 2xx to INVITE until the ACK comes. Otherwise the session
	// does (RFC 3261, 13.3.1.4). Either way it gives up after 64*T1.
	Repeats2xx bool

	// Random gives 64 random bits: tags, first CSeq and RSeq numbers, the glare delay. It is required.
	Random func() uint64
	// Authorize answers a 401 or 407: it adds credentials to next, a copy of the refused request, and says whether it
	// could. Nil = the challenge is the final answer.
	Authorize func(challenge, next *sip.Message) bool
}

// DefaultAllow is the Allow header field of a full user agent.
const DefaultAllow = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, REFER, NOTIFY, INFO"

// ContentSDP is the type of a session description.
const ContentSDP = "application/sdp"

func (c *Config) t1() time.Duration {
	if c.T1 <= 0 {
		return 500 * time.Millisecond
	}
	return c.T1
}

func (c *Config) t2() time.Duration {
	if c.T2 <= 0 {
		return 4 * time.Second
	}
	return c.T2
}

// Phase is the life of an INVITE session.
type Phase uint8

// The phases.
//
//	None --Call----> Calling --2xx--> Up --End--> Ending --response--> Over
//	None --INVITE--> Ringing --Accept-^                                 ^
//	                 Calling, Ringing --final, CANCEL-------------------+
const (
	PhaseNone    Phase = iota
	PhaseCalling       // our INVITE has no final response
	PhaseRinging       // their INVITE has no final response
	PhaseUp            // a 2xx was sent or received
	PhaseEnding        // CANCEL or BYE of ours is on its way
	PhaseOver
)

// String names the phase.
func (p Phase) String() string {
	names := [...]string{"none", "calling", "ringing", "up", "ending", "over"}
	if int(p) >= len(names) {
		return "?"
	}
	return names[p]
}

// Header is one header field to add to a message.
type Header struct{ Name, Value string }

// Input is what a session is told: one of the types below.
type Input interface{ input() }

// Inputs from the wire.
type (
	// Request is a request of the peer: the INVITE that opens the session or any request inside its dialog. Tx is the
	// runner's handle for the server transaction; the session only hands it back. ACK to a 2xx has none.
	// For the opening INVITE, Contact is ours in the new dialog and Tag our tag ("" = a random one).
	Request struct {
		Tx      any
		Msg     *sip.Message
		Contact sip.Address
		Tag     string
	}
	// Response is a response to a request of ours.
	Response struct{ Msg *sip.Message }
	// Failed is a client transaction that ended without a response: Status 408 (time) or 503 (transport).
	Failed struct {
		Method sip.Method
		Seq    uint32
		Status int
	}
	// Cancelled: the peer cancelled its INVITE (RFC 3261, 9.2).
	Cancelled struct{}
	// Tick: Deadline has come.
	Tick struct{}
)

// NoHops sends Max-Forwards 0: whoever gets the request may take it, and may not pass it on.
const NoHops = -1

// Inputs from the user of the session.
type (
	// Call opens the session as UAC.
	Call struct {
		URI      sip.URI
		From, To sip.Address // without tags
		CallID   string
		Contact  sip.Address   // ours: the peer sends its requests there
		Routes   []sip.Address // preloaded routes
		Headers  []Header
		Body     []byte // the offer; nil = ask the peer for one (late offer)
		Hops     int    // Max-Forwards; 0 = 70, NoHops = 0
	}
	// Ring sends a provisional response, 101 to 199. Body is early media's answer (or offer, when the INVITE had none
	// and the response is reliable).
	Ring struct {
		Status  int
		Headers []Header
		Body    []byte
	}
	// Accept sends the 2xx of the INVITE that opened the session. Body is the answer, or the offer when the INVITE had
	// none; it stays nil when the answer went out in a reliable provisional response.
	Accept struct {
		Headers []Header
		Body    []byte
	}
	// Answer answers the peer's Offer, wherever its place is: 2xx, ACK, PRACK, UPDATE.
	Answer struct{ Body []byte }
	// Reject refuses the peer's Offer in a re-INVITE or UPDATE.
	Reject struct {
		Status  int
		Headers []Header
	}
	// Offer changes the session. A nil Body asks the peer for its offer (re-INVITE without one). An offer that cannot
	// go out now waits; a later one replaces it.
	Offer struct{ Body []byte }
	// Refresh refreshes the session now, with headers that tell something on the way (P-Asserted-Identity, RFC 4916). A gentle one
	// is worth no re-INVITE of its own: it goes by UPDATE, or with the next change of either side.
	Refresh struct {
		Headers []Header
		Gentle  bool
	}
	// Focus has our Contact say, or say no more, that the peer is in a conference of ours (RFC 4579, 4), from the next message on.
	Focus struct{ On bool }
	// Do sends a request that has no meaning for the session itself: INFO, REFER, NOTIFY, MESSAGE, OPTIONS.
	Do struct {
		Method      sip.Method
		Headers     []Header
		ContentType string
		Body        []byte
	}
	// Reply answers a request that came out as EvRequest.
	Reply struct {
		Tx      any
		Req     *sip.Message
		Status  int
		Headers []Header
	}
	// End ends the session, whatever its phase: CANCEL, a final response (Status, 0 = 480) or BYE.
	End struct {
		Status  int
		Headers []Header // Reason, Warning ...
	}
)

func (Request) input()   {}
func (Response) input()  {}
func (Failed) input()    {}
func (Cancelled) input() {}
func (Tick) input()      {}
func (Call) input()      {}
func (Ring) input()      {}
func (Accept) input()    {}
func (Answer) input()    {}
func (Reject) input()    {}
func (Offer) input()     {}
func (Refresh) input()   {}
func (Focus) input()     {}
func (Do) input()        {}
func (Reply) input()     {}
func (End) input()       {}

// Kind says what an Output is.
type Kind uint8

// The kinds of output. The first four go to the wire, the others to the user of the session.
const (
	OutNone     Kind = iota
	OutRequest       // send Msg in a new client transaction
	OutAck           // send Msg without a transaction
	OutResponse      // send Msg through server transaction Tx; a 2xx to INVITE comes again until it is acknowledged
	OutCancel        // cancel the client transaction of the INVITE whose CSeq number is Seq

	EvInvite    // the peer opens the session: Msg, Body (nil = it wants an offer); answer with Ring, Accept or End
	EvProgress  // a provisional response: Msg, Body (early media; not binding unless EvAgreed follows)
	EvAnswered  // the peer accepted our call: Msg, Body (nil when an earlier EvAgreed brought the answer); see Offer
	EvAcked     // the peer acknowledged our 2xx: the session is complete
	EvOffer     // the peer offers Body (nil = it wants our offer): answer with Answer or Reject
	EvAgreed    // the peer answered our offer with Body
	EvRefused   // our Offer failed with Status; the session is as before
	EvRequest   // a request for the user: Tx, Msg; answer with Reply
	EvResponse  // a final response (or Status alone) to a request sent with Do
	EvRefreshed // the session timer was refreshed, by either side: Msg is the peer's request or 2xx; Body: the peer's answer, where it says something new
	EvEnded     // the session is over: Status and Msg say why, Local says who; comes exactly once
)

// String names the kind.
func (k Kind) String() string {
	names := [...]string{"none", "request", "ack", "response", "cancel", "invite", "progress", "answered", "acked",
		"offer", "agreed", "refused", "request-event", "response-event", "refreshed", "ended"}
	if int(k) >= len(names) {
		return "?"
	}
	return names[k]
}

// Output is one thing to do or to know. Which fields are set depends on Kind.
type Output struct {
	Kind    Kind
	Tx      any
	Msg     *sip.Message
	Body    []byte
	Seq     uint32
	Status  int
	Headers []Header // OutCancel: why (RFC 3326)
	Carrier Carrier
	Offer   bool // EvAnswered: Body is the peer's offer, to be answered with Answer; the ACK waits for it
	Local   bool // EvEnded: this side ended the session
}

// branch is one dialog of the session: a forked INVITE has several early ones, each with its own exchange.
type branch struct {
	Dialog
	neg  Negotiation
	rseq uint32 // the last reliable provisional response taken (RFC 3262, 4)
}

// Session is an INVITE session (RFC 3261, 13 to 15) with everything that hangs on it: offers and answers, reliable
// provisional responses, refreshes, its end. One goroutine owns it. It keeps no message longer than the transaction
// that needs it.
type Session struct {
	branch            // the current dialog
	forks    []branch // our call: the other early dialogs
	cfg      *Config
	contact  sip.Address
	plain1xx bool // no 100rel in this call: an offer of the peer in a provisional response would have nobody to answer it
	phase    Phase
	ended    bool      // EvEnded was given out
	out      []Output  // the outputs of this Step; reused
	now      time.Time // of this Step

	cli     clientInvite
	srv     serverInvite
	rel     reliable
	upd     clientUpdate
	open    []unanswered // with Config.Authorize: requests that may be challenged
	timer   sessionTimer
	pending *change   // an offer that waits for its turn
	later   []Header  // what a gentle refresh could not tell yet
	retry   time.Time // when pending goes out again after a glare (RFC 3261, 14.1)
	end     *End      // the end waits for the ACK (RFC 3261, 15)
	endSeq  uint32    // CSeq of our BYE
	giveUp  time.Time // an ending session is dropped then

	localSDP   []byte // what we said, of the pair that is in force
	remoteSDP  uint64 // hash of what the peer said in it
	offeredSDP []byte // what we said last, perhaps still unanswered
	heardSDP   uint64 // the same of the peer
	peerUpdate bool   // the peer's Allow has UPDATE
}

// New makes a session that waits for Call or for the Request that opens it.
func New(cfg *Config) *Session { return &Session{cfg: cfg} }

// Phase is where the session stands.
func (s *Session) Phase() Phase { return s.phase }

// LocalSDP is our session description of the pair in force, nil before the first pair.
func (s *Session) LocalSDP() []byte { return s.localSDP }

// Exchange is the offer/answer state.
func (s *Session) Exchange() OfferState { return s.neg.State() }

// DialogID is the identifier of the current dialog.
func (s *Session) DialogID() ID { return s.Dialog.ID() }

// Done tells whether the session can be dropped: it ended, and no retransmission can need it any more.
func (s *Session) Done() bool { return s.phase == PhaseOver && s.Deadline().IsZero() }

// Deadline is when the session wants a Tick; zero = never.
func (s *Session) Deadline() time.Time {
	d := earliest(s.srv.deadline(), s.rel.deadline())
	d = earliest(d, s.cli.ackUntil)
	d = earliest(d, s.giveUp)
	if s.phase == PhaseUp {
		d = earliest(d, s.retry)
		d = earliest(d, s.timer.deadline())
	} else if s.phase < PhaseUp {
		d = earliest(d, s.retry)
	}
	return d
}

// Step tells the session in and returns what follows. The slice is valid until the next Step.
func (s *Session) Step(now time.Time, in Input) []Output {
	clear(s.out)
	s.out, s.now = s.out[:0], now
	switch in := in.(type) {
	case Request:
		s.request(in)
	case Response:
		s.response(in.Msg)
	case Failed:
		s.failed(in)
	case Cancelled:
		s.cancelled()
	case Tick:
		s.tick()
	case Call:
		s.call(in)
	case Ring:
		s.ring(in)
	case Accept:
		s.accept(in)
	case Answer:
		s.answer(in.Body)
	case Reject:
		s.reject(in.Status, in.Headers)
	case Offer:
		s.change(change{body: in.Body, ask: in.Body == nil})
	case Refresh:
		if !in.Gentle || s.peerUpdate || s.pending != nil {
			s.change(change{refresh: true, headers: in.Headers, gentle: in.Gentle})
		} else {
			s.later = told(s.later, in.Headers)
		}
	case Focus:
		s.contact = WithFocus(s.contact, in.On)
	case Do:
		s.do(in)
	case Reply:
		s.reply(in)
	case End:
		s.finish(in)
	}
	s.advance()
	return s.out
}

func (s *Session) emit(o Output) { s.out = append(s.out, o) }

// over gives out EvEnded, once.
func (s *Session) over(status int, m *sip.Message, local bool) {
	s.phase, s.State = PhaseOver, Terminated
	s.timer.stop()
	s.rel.stop()
	s.giveUp, s.retry, s.pending, s.end, s.forks, s.open = time.Time{}, time.Time{}, nil, nil, nil, nil
	if s.ended {
		return
	}
	s.ended = true
	s.emit(Output{Kind: EvEnded, Status: status, Msg: m, Local: local})
}

// abort ends the session because the peer broke a rule or is gone. The user hears of it at once: whether the BYE is
// answered does not matter to it.
func (s *Session) abort(status int, text string) {
	if !s.ended {
		s.ended = true
		defer s.emit(Output{Kind: EvEnded, Status: status, Local: true})
	}
	s.finish(End{Status: status, Headers: []Header{{"Reason", sip.Reason{Protocol: "SIP", Cause: status, Text: text}.String()}}})
}

// tick runs every timer whose time has come.
func (s *Session) tick() {
	if due(s.giveUp, s.now) {
		s.over(408, nil, true)
	}
	if due(s.cli.ackUntil, s.now) {
		s.cli.ack, s.cli.ackUntil = nil, time.Time{}
	}
	s.tickAccept()
	s.tickReliable()
	if due(s.retry, s.now) {
		s.retry = time.Time{}
	}
	if s.phase != PhaseUp {
		return
	}
	switch {
	case due(s.timer.expire, s.now):
		s.timer.stop()
		// RFC 4028, 10: no refresh came, or none of ours was answered.
		s.abort(408, "Session expired")
	case s.timer.due(s.now, s.cfg.Timer):
		s.refreshSession()
	}
}

func due(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// advance starts what had to wait for something that may be over now.
func (s *Session) advance() {
	if s.end != nil && s.phase == PhaseUp && !s.srv.unacked() {
		s.finish(*s.end)
	}
	if s.pending != nil && s.retry.IsZero() && s.mayChange() {
		c := *s.pending
		s.pending = nil
		s.send(c)
	}
}

// common adds what every request and response of a session carries.
func (s *Session) common(m *sip.Message, headers []Header) {
	switch m.Method() {
	case sip.INVITE, sip.UPDATE:
		if m.IsRequest() || m.Status() > 100 && m.Status() < 300 {
			m.SetContact(s.contact)
			s.capabilities(m)
		}
	case sip.REFER, sip.NOTIFY, sip.SUBSCRIBE:
		m.SetContact(s.contact)
	}
	if s.cfg.Agent != "" {
		name := "Server"
		if m.IsRequest() {
			name = "User-Agent"
		}
		m.Set(name, s.cfg.Agent)
	}
	for _, h := range headers {
		m.Add(h.Name, h.Value)
	}
}

func (s *Session) capabilities(m *sip.Message) {
	allow := s.cfg.Allow
	if allow == "" {
		allow = DefaultAllow
	}
	m.Set("Allow", allow)
	m.Set("Supported", s.supported())
}

func (s *Session) supported() string {
	rel := s.cfg.Reliable != ReliableOff && !s.plain1xx
	v := "timer"
	switch { // ready-made: this is in every INVITE and its answers
	case rel && s.cfg.Replaces:
		v = "timer, 100rel, replaces"
	case rel:
		v = "timer, 100rel"
	case s.cfg.Replaces:
		v = "timer, replaces"
	}
	for _, t := range s.cfg.Supported {
		v += ", " + t
	}
	return v
}

// respond builds and sends a response to a request of the peer.
func (s *Session) respond(tx any, req *sip.Message, status int, headers ...Header) *sip.Message {
	res := s.buildResponse(req, status, headers)
	s.emit(Output{Kind: OutResponse, Tx: tx, Msg: res})
	return res
}

func (s *Session) buildResponse(req *sip.Message, status int, headers []Header) *sip.Message {
	res := sip.NewResponse(req, status, "")
	res.SetToTag(s.Local.Tag())
	s.common(res, headers)
	return res
}

// description is the session description of a message, nil when it has none. It may be a part of the body (RFC 5621).
func description(m *sip.Message) []byte {
	return m.Part(ContentSDP)
}

// say puts our session description into a message and records it.
func (s *Session) say(m *sip.Message, body []byte, c Carrier) bool {
	if len(body) == 0 {
		return false
	}
	offer, err := s.neg.Send(c)
	if err != nil {
		return false
	}
	m.SetBody(ContentSDP, body)
	if s.offeredSDP = body; !offer {
		s.localSDP, s.remoteSDP = body, s.heardSDP
	}
	return true
}

// hear records a session description of the peer. It says whether it was an offer; ok is false when none may come here.
func (s *Session) hear(body []byte, c Carrier) (offer, ok bool) {
	offer, err := s.neg.Receive(c)
	if err != nil {
		return offer, false
	}
	if s.heardSDP = fingerprint(body); !offer {
		s.localSDP, s.remoteSDP = s.offeredSDP, s.heardSDP
	}
	return offer, true
}

// SameDescription tells whether two session descriptions say the same, whatever the versions in their o= lines.
func SameDescription(a, b []byte) bool { return fingerprint(a) == fingerprint(b) }

// fingerprint stands for what a description says: everything but its o= line, whose version some phones count up with each
// message.
func fingerprint(b []byte) uint64 {
	h := fnv.New64a()
	for line := range bytes.Lines(b) {
		if !bytes.HasPrefix(line, []byte("o=")) {
			_, _ = h.Write(line)
		}
	}
	return h.Sum64()
}

// learn takes note of what the peer can do.
func (s *Session) learn(m *sip.Message) {
	if m.Has("Allow") {
		s.peerUpdate = m.HasToken("Allow", "UPDATE")
	}
}
