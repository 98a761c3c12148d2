package dialog

import (
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// Subscriptions (RFC 6665), both ends, for any event package.
//
//	subscriber (RFC 6665, 4.1.2)                       notifier (RFC 6665, 4.2.2)
//
//	            SUBSCRIBE sent                                      SUBSCRIBE received
//	  init -------------------> notify-wait                 init ----------------------+
//	                             |   | Timer N               |                         |
//	          NOTIFY pending     |   +--------> terminated   | policy: later           | policy: yes
//	        +--------------------+                 ^         v                         v
//	        v    NOTIFY active                     |       pending -----------------> active
//	     pending ---------> active --NOTIFY--------+         |                         |
//	        |                 |   terminated, 481, |         +---> terminated <--------+
//	        +-----------------+---expiry-----------+               expiry, 481, time-out, decision

// SubState is where a subscription stands.
type SubState uint8

// The states of RFC 6665.
const (
	SubInit       SubState = iota
	SubNotifyWait          // subscriber: SUBSCRIBE was sent, no NOTIFY came yet
	SubPending             // the notifier has not decided yet
	SubActive
	SubTerminated
)

// String is the word of the Subscription-State header field, where there is one.
func (s SubState) String() string {
	names := [...]string{"init", "notify-wait", "pending", "active", "terminated"}
	if int(s) >= len(names) {
		return "?"
	}
	return names[s]
}

// SubConfig is what both ends know of their subscriptions. It is shared and never written.
type SubConfig struct {
	Agent   string
	Accept  string        // subscriber: Accept
	Expires time.Duration // subscriber: asked for; notifier: the most it grants; 0 = 1 h
	Min     time.Duration // notifier: shorter subscriptions get 423; 0 = 60 s
	T1      time.Duration // 0 = 500 ms
	Random  func() uint64 // required
}

func (c *SubConfig) expires() time.Duration {
	if c.Expires <= 0 {
		return time.Hour
	}
	return c.Expires
}

func (c *SubConfig) min() time.Duration {
	if c.Min <= 0 {
		return time.Minute
	}
	return c.Min
}

// timerN is how long a subscriber waits for a NOTIFY (RFC 6665, 4.1.2.4).
func (c *SubConfig) timerN() time.Duration {
	if c.T1 <= 0 {
		return 64 * 500 * time.Millisecond
	}
	return 64 * c.T1
}

// Inputs of a subscription, beside Request, Response, Failed and Tick.
type (
	// Subscribe starts a subscriber.
	Subscribe struct {
		URI      sip.URI
		From, To sip.Address
		CallID   string
		Contact  sip.Address
		Event    string // package, with parameters
		Headers  []Header
	}
	// Unsubscribe ends a subscriber's subscription.
	Unsubscribe struct{}
	// Notify is a notifier's new state. Several before the peer has answered count as the last one. State SubPending or
	// SubActive is the notifier's decision, SubTerminated ends the subscription with Reason (RFC 6665, 4.1.3); SubInit
	// leaves the state as it is.
	Notify struct {
		State       SubState
		Reason      string
		ContentType string
		Body        []byte
	}
)

// Repeat has a notifier tell its state once more: the subscriber may not have heard the last NOTIFY.
type Repeat struct{}

func (Repeat) input()      {}
func (Subscribe) input()   {}
func (Unsubscribe) input() {}
func (Notify) input()      {}

// Subscriber is the subscriber's end. One goroutine owns it.
type Subscriber struct {
	Dialog
	cfg     *SubConfig
	state   SubState
	event   string
	contact sip.Address
	refresh time.Time // next SUBSCRIBE
	expire  time.Time // the subscription ends
	timerN  time.Time
	asked   time.Duration // Expires of the SUBSCRIBE under way; 0 = it unsubscribes
	seq     uint32        // of the SUBSCRIBE under way, 0 = none
	first   *sip.Message  // the first SUBSCRIBE, for 423
	retried bool
	out     []Output
	now     time.Time
}

// NewSubscriber makes a subscriber that waits for Subscribe.
func NewSubscriber(cfg *SubConfig) *Subscriber { return &Subscriber{cfg: cfg} }

// State is where the subscription stands.
func (s *Subscriber) State() SubState { return s.state }

// Deadline is when the subscriber wants a Tick; zero = never.
func (s *Subscriber) Deadline() time.Time { return earliest(s.timerN, earliest(s.refresh, s.expire)) }

// Step tells the subscriber in. Its outputs are OutRequest, OutResponse, EvRequest (a NOTIFY, answered already: Msg) and
// EvEnded (Status; Msg is the NOTIFY or response that ended it).
func (s *Subscriber) Step(now time.Time, in Input) []Output {
	clear(s.out)
	s.out, s.now = s.out[:0], now
	switch in := in.(type) {
	case Subscribe:
		s.subscribe(in)
	case Refresh:
		if s.state == SubPending || s.state == SubActive {
			s.again(s.cfg.expires())
		}
	case Unsubscribe:
		if s.state == SubPending || s.state == SubActive {
			s.again(0)
		} else {
			s.end(0, nil)
		}
	case Request:
		s.notified(in.Tx, in.Msg)
	case Response:
		s.response(in.Msg.CSeq().Seq, in.Msg.Status(), in.Msg)
	case Failed:
		s.response(in.Seq, in.Status, nil)
	case Tick:
		s.tick()
	}
	return s.out
}

func (s *Subscriber) subscribe(in Subscribe) {
	if s.state != SubInit {
		return
	}
	m := sip.NewRequest(sip.SUBSCRIBE, in.URI)
	m.SetMaxForwards(70)
	from := in.From
	from.Params = from.Params.With("tag", Tag(s.cfg.Random()))
	m.SetFrom(from)
	m.SetTo(in.To)
	m.SetCallID(in.CallID)
	m.SetCSeq(sip.CSeq{Seq: uint32(s.cfg.Random()&0xffff) + 1, Method: sip.SUBSCRIBE})
	s.event, s.contact = in.Event, in.Contact
	for _, h := range in.Headers {
		m.Add(h.Name, h.Value)
	}
	s.Dialog, s.state = NewUAC(m), SubNotifyWait
	s.first = m
	s.send(m, s.cfg.expires())
}

// send completes a SUBSCRIBE and starts Timer N.
func (s *Subscriber) send(m *sip.Message, expires time.Duration) {
	m.Set("Event", s.event)
	m.Set("Expires", secondsText(expires))
	m.SetContact(s.contact)
	if s.cfg.Accept != "" {
		m.Set("Accept", s.cfg.Accept)
	}
	if s.cfg.Agent != "" {
		m.Set("User-Agent", s.cfg.Agent)
	}
	s.asked, s.seq, s.refresh = expires, m.CSeq().Seq, time.Time{}
	s.timerN = s.now.Add(s.cfg.timerN())
	s.out = append(s.out, Output{Kind: OutRequest, Msg: m, Seq: s.seq})
}

// again refreshes the subscription, or ends it with expires 0 (RFC 6665, 4.1.2.2 and 4.1.2.3).
func (s *Subscriber) again(expires time.Duration) { s.send(s.Dialog.Request(sip.SUBSCRIBE), expires) }

func (s *Subscriber) response(seq uint32, status int, m *sip.Message) {
	if seq != s.seq || status < 200 || s.state == SubTerminated {
		return
	}
	s.seq = 0
	switch {
	case status < 300:
		s.first = nil
		if e, ok := m.Expires(); ok && s.asked > 0 {
			s.granted(min(s.asked, time.Duration(e)*time.Second)) // RFC 6665, 4.1.2.1: shorter, never longer
		}
	case status == 423 && !s.retried && s.tooBrief(m):
	case s.state == SubNotifyWait, status == 481, status == 408 && m == nil, s.asked == 0:
		s.end(status, m)
	default: // RFC 6665, 4.1.2.2: the subscription stays valid for what is left of it
		s.timerN = time.Time{}
	}
}

// tooBrief tries once more with the least the notifier takes (RFC 6665, 4.2.1.1).
func (s *Subscriber) tooBrief(m *sip.Message) bool {
	n, err := strconv.Atoi(m.Header("Min-Expires"))
	if err != nil || n <= 0 {
		return false
	}
	s.retried = true
	if s.first == nil {
		s.again(time.Duration(n) * time.Second)
		return true
	}
	next := s.first.Clone()
	next.Del("Via")
	s.localSeq++
	next.SetCSeq(sip.CSeq{Seq: s.localSeq, Method: sip.SUBSCRIBE})
	s.first = next
	s.send(next, time.Duration(n)*time.Second)
	return true
}

// granted plans the refresh: a tenth of the time, at most a minute, before the end.
func (s *Subscriber) granted(d time.Duration) {
	s.expire = s.now.Add(d)
	s.refresh = s.expire.Add(-min(d/10, time.Minute))
}

// notified is a NOTIFY. RFC 6665, 4.4.1: it makes the dialog; several ones, of a forked SUBSCRIBE, are refused but for
// the first.
func (s *Subscriber) notified(tx any, m *sip.Message) {
	status := s.judge(m)
	res := sip.NewResponse(m, status, "")
	res.SetToTag(s.Local.Tag())
	s.out = append(s.out, Output{Kind: OutResponse, Tx: tx, Msg: res})
	if status != 200 {
		return
	}
	s.timerN = time.Time{}
	st, _ := m.SubscriptionState()
	switch st.State {
	case "terminated":
		s.out = append(s.out, Output{Kind: EvRequest, Msg: m, Body: m.Body()})
		s.end(200, m)
		return
	case "pending":
		s.state = SubPending
	default:
		s.state = SubActive
	}
	if st.Expires >= 0 && s.asked > 0 {
		s.granted(st.Expires)
	}
	s.out = append(s.out, Output{Kind: EvRequest, Msg: m, Body: m.Body()})
}

func (s *Subscriber) judge(m *sip.Message) int {
	ev, ok := m.Event()
	mine, _, _ := strings.Cut(s.event, ";")
	switch {
	case m.Method() != sip.NOTIFY:
		return 405
	case s.state == SubInit || s.state == SubTerminated || !ok || ev.Package != mine:
		return 481
	case s.Dialog.State == None:
		s.adopt(m)
	case !s.MatchesRequest(m):
		return 481
	}
	if s.Accept(m) != nil {
		return 500
	}
	s.Refresh(m)
	return 200
}

// adopt makes the dialog from the first NOTIFY: its sender is the notifier.
func (s *Subscriber) adopt(m *sip.Message) {
	s.Remote = own(m.From())
	s.routes = ownAll(m.RecordRoutes())
	s.Dialog.State = Confirmed
}

func (s *Subscriber) tick() {
	switch {
	case due(s.timerN, s.now), due(s.expire, s.now):
		s.end(408, nil)
	case due(s.refresh, s.now):
		s.again(s.cfg.expires())
	}
}

func (s *Subscriber) end(status int, m *sip.Message) {
	s.timerN, s.refresh, s.expire = time.Time{}, time.Time{}, time.Time{}
	if s.state == SubTerminated {
		return
	}
	s.state, s.Dialog.State = SubTerminated, Terminated
	s.out = append(s.out, Output{Kind: EvEnded, Status: status, Msg: m})
}

// Notifier is the notifier's end of one subscription. One goroutine owns it.
type Notifier struct {
	Dialog
	cfg     *SubConfig
	state   SubState
	reason  string
	event   string
	contact sip.Address
	expire  time.Time
	last    Notify // what the subscriber should know
	dirty   bool   // it does not know it yet
	flight  uint32 // CSeq of the NOTIFY under way, 0 = none
	out     []Output
	now     time.Time
}

// NewNotifier makes a notifier for the SUBSCRIBE that comes as its first Request. The caller has checked the event
// package (489 otherwise) and who asks.
func NewNotifier(cfg *SubConfig) *Notifier { return &Notifier{cfg: cfg} }

// State is where the subscription stands.
func (n *Notifier) State() SubState { return n.state }

// Deadline is when the notifier wants a Tick; zero = never.
func (n *Notifier) Deadline() time.Time { return n.expire }

// Step tells the notifier in. Its outputs are OutRequest, OutResponse and EvEnded. The first SUBSCRIBE makes it pending
// and sends a NOTIFY without a body; Begin sends a state with it.
func (n *Notifier) Step(now time.Time, in Input) []Output {
	clear(n.out)
	n.out, n.now = n.out[:0], now
	switch in := in.(type) {
	case Request:
		n.subscribe(in)
	case Notify:
		n.set(in)
	case Repeat:
		n.dirty = n.state == SubPending || n.state == SubActive
		n.flush()
	case Response:
		n.response(in.Msg.CSeq().Seq, in.Msg.Status())
	case Failed:
		n.response(in.Seq, in.Status)
	case Tick:
		if due(n.expire, n.now) {
			n.set(Notify{State: SubTerminated, Reason: "timeout", ContentType: n.last.ContentType, Body: n.last.Body})
		}
	}
	return n.out
}

// Begin answers the SUBSCRIBE that opens the subscription and sends the first state with it.
func (n *Notifier) Begin(now time.Time, req Request, first Notify) []Output {
	n.last = first
	return n.Step(now, req)
}

// subscribe is a SUBSCRIBE: the first one, a refresh, or the wish to end (RFC 6665, 4.2.1).
func (n *Notifier) subscribe(in Request) {
	m := in.Msg
	if n.state == SubTerminated || m.Method() != sip.SUBSCRIBE {
		n.respond(in.Tx, m, 481)
		return
	}
	want := n.cfg.expires()
	if e, ok := m.Expires(); ok {
		want = min(want, time.Duration(e)*time.Second)
		if e > 0 && want < n.cfg.min() {
			n.respond(in.Tx, m, 423).Set("Min-Expires", secondsText(n.cfg.min()))
			return
		}
	}
	if n.state == SubInit {
		if !n.open(in) {
			return
		}
	} else if n.Accept(m) != nil {
		n.respond(in.Tx, m, 500)
		return
	}
	n.Refresh(m)
	res := n.respond(in.Tx, m, 200)
	res.Set("Expires", secondsText(want))
	res.SetContact(n.contact)
	if want == 0 {
		n.set(Notify{State: SubTerminated, Reason: "timeout", ContentType: n.last.ContentType, Body: n.last.Body})
		return
	}
	n.expire = n.now.Add(want)
	n.dirty = true
	n.flush()
}

func (n *Notifier) open(in Request) bool {
	tag := in.Tag
	if tag == "" {
		tag = Tag(n.cfg.Random())
	}
	d, err := NewUAS(in.Msg, tag)
	if err != nil {
		n.state = SubTerminated
		n.respond(in.Tx, in.Msg, 400)
		return false
	}
	d.State, d.localSeq = Confirmed, uint32(n.cfg.Random()&0xffff)
	n.Dialog, n.contact = d, in.Contact
	n.event = in.Msg.Header("Event")
	if n.state = SubPending; n.last.State == SubActive {
		n.state = SubActive
	}
	return true
}

func (n *Notifier) respond(tx any, m *sip.Message, status int) *sip.Message {
	res := sip.NewResponse(m, status, "")
	if tag := n.Local.Tag(); tag != "" { // a SUBSCRIBE that is refused makes no dialog
		res.SetToTag(tag)
	}
	if n.cfg.Agent != "" {
		res.Set("Server", n.cfg.Agent)
	}
	n.out = append(n.out, Output{Kind: OutResponse, Tx: tx, Msg: res})
	return res
}

// set takes a new state to tell.
func (n *Notifier) set(in Notify) {
	if n.state == SubTerminated || n.state == SubInit {
		return
	}
	if in.State != SubInit {
		n.state, n.reason = in.State, in.Reason
	}
	n.last, n.dirty = in, true
	if n.state == SubTerminated {
		n.expire, n.flight = time.Time{}, 0 // the last NOTIFY does not wait for an answer to the one before
	}
	n.flush()
	if n.state == SubTerminated {
		n.over(200)
	}
}

// flush sends the newest state, one NOTIFY at a time.
func (n *Notifier) flush() {
	if !n.dirty || n.flight != 0 {
		return
	}
	m := n.Dialog.Request(sip.NOTIFY)
	m.Set("Event", n.event)
	st := sip.SubscriptionState{State: n.state.String(), Reason: n.reason, Expires: n.expire.Sub(n.now), RetryAfter: -1}
	if n.state == SubTerminated {
		st.Expires = -1
	}
	m.Set("Subscription-State", st.String())
	m.SetContact(n.contact)
	if n.cfg.Agent != "" {
		m.Set("User-Agent", n.cfg.Agent)
	}
	if len(n.last.Body) > 0 && n.state != SubPending { // RFC 6665, 4.2.2: a pending subscriber learns nothing yet
		m.SetBody(n.last.ContentType, n.last.Body)
	}
	n.dirty, n.flight = false, m.CSeq().Seq
	n.out = append(n.out, Output{Kind: OutRequest, Msg: m, Seq: n.flight})
}

// response is the answer to a NOTIFY. RFC 6665, 4.2.2: 481 and a time-out end the subscription.
func (n *Notifier) response(seq uint32, status int) {
	if seq != n.flight || status < 200 {
		return
	}
	n.flight = 0
	if status == 481 || status == 408 || status == 503 || status == 489 {
		n.over(status)
		return
	}
	n.flush()
}

func (n *Notifier) over(status int) {
	if n.Dialog.State == Terminated {
		return
	}
	n.state, n.Dialog.State, n.expire = SubTerminated, Terminated, time.Time{}
	n.out = append(n.out, Output{Kind: EvEnded, Status: status})
}
