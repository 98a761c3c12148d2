package phone

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// State is where a call stands.
type State uint8

// The states of a call.
const (
	Dialing State = iota // our INVITE went out
	Ringing              // the far end rings, or we do
	Talking
	Ended
)

// String names the state.
func (s State) String() string { return [...]string{"dialing", "ringing", "talking", "ended"}[s&3] }

// Call is one call of a phone. Its methods may be called from any goroutine.
type Call struct {
	p      *Phone
	server int // at which it began, for as long as it has no connection
	callID string
	key    dialogKey
	ses    *dialog.Session    // endpoint goroutine
	tx     *endpoint.ClientTx // of our INVITE
	inputs []dialog.Input
	armed  time.Time
	timer  *endpoint.Timer
	stream *media.Stream
	offer  []byte // of the peer, until answered
	taken  []byte // the answer to our first offer
	given  []byte // our early answer, which the 200 repeats
	plain  *plainSender
	invite *sip.Message // of an incoming call; never written
	ear    ear

	headers      []dialog.Header // of our INVITE
	mu           sync.Mutex      // guards what follows; the phone's change channel announces it
	state        State
	incoming     bool
	from         sip.Address
	to           string
	held         bool // by us
	peerHeld     bool // by the far end
	status       int  // why it ended
	byPeer       bool
	reason       string
	warning      string
	flow         *transport.Flow
	digits       []byte
	asserted     sip.Address // who the far end says it is
	focus        bool        // it says that it is a conference
	transfer     int         // status of the transfer we asked for
	transferLine string      // and its status line
	final        bool
	changes      int // completed changes of ours (hold, resume)
	failed       int // status of the last change that was refused
	offers       int // offers of the peer that were answered
	refreshs     int
	early        bool // media flows before the answer
	source       media.Source
	name         sip.Replaces // of the dialog at the call manager
	lock         Lock
	locks        []Lock
}

type (
	// order is what a user of the phone wants of a call.
	order struct {
		call *Call
		what verb
		text string
		num  int
		with *Call
	}
	callTick struct{ call *Call }
	verb     uint8
)

const (
	verbDial verb = iota
	verbAnswer
	verbReject
	verbHangup
	verbHold
	verbResume
	verbTransfer
	verbInfo
	verbRefresh
)

func (p *Phone) newCall(callID string) (*Call, error) {
	s, err := media.OpenStream(p.cfg.Media)
	if err != nil {
		return nil, fmt.Errorf("phone %s: opening media: %w", p.cfg.Name, err)
	}
	c := &Call{p: p, server: p.server(), callID: callID, ses: dialog.New(p.session()), stream: s}
	s.Record(&c.ear)
	if p.cfg.Misbehave.PlainMedia || p.cfg.Misbehave.Mute {
		s.SetDirection(sdp.RecvOnly)
	}
	go c.hear()
	return c, nil
}

// hear collects digits until the stream is closed.
func (c *Call) hear() {
	for {
		select {
		case d := <-c.stream.Digits():
			c.set(func() { c.digits = append(c.digits, d.Key) })
		case <-c.stream.Done():
			return
		}
	}
}

// Dial calls a number and returns at once; WaitRinging and WaitAnswered tell how it goes.
func (p *Phone) Dial(ctx context.Context, number string) (*Call, error) {
	return p.DialWith(ctx, number, DialOptions{})
}

// ringing is an INVITE for this phone.
func (p *Phone) ringing(tx *endpoint.ServerTx, m *sip.Message) {
	c, err := p.newCall(m.CallID())
	if err != nil {
		_ = tx.Reply(500, "")
		return
	}
	c.incoming, c.from, c.to, c.flow, c.invite = true, m.From(), m.To().URI.User, tx.Flow(), m
	c.step(dialog.Request{Tx: tx, Msg: m, Tag: tx.LocalTag(), Contact: p.contact()})
}

// index makes the call findable for requests of the peer.
func (c *Call) index() {
	c.key = dialogKey{c.callID, c.ses.DialogID().Local}
	c.p.mu.Lock()
	c.p.calls[c.key] = c
	c.p.mu.Unlock()
}

// set changes what others read, and wakes them.
func (c *Call) set(change func()) {
	c.mu.Lock()
	change()
	c.mu.Unlock()
	c.p.notify()
}

// step moves the session; outputs may lead to further steps, which follow in order.
func (c *Call) step(in dialog.Input) {
	c.inputs = append(c.inputs, in)
	if len(c.inputs) > 1 {
		return
	}
	for i := 0; i < len(c.inputs); i++ {
		for _, o := range c.ses.Step(time.Now(), c.inputs[i]) {
			c.output(o)
		}
	}
	c.inputs = c.inputs[:0]
	c.arm()
	if c.ses.Done() {
		c.p.mu.Lock()
		delete(c.p.calls, c.key)
		c.p.mu.Unlock()
	}
}

func (c *Call) arm() {
	at := c.ses.Deadline()
	if at.IsZero() || !c.armed.IsZero() && !at.Before(c.armed) {
		return
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.armed = at
	c.timer = c.p.ep.After(c.callID, max(0, time.Until(at)), callTick{c})
}

func (c *Call) tick() {
	c.armed, c.timer = time.Time{}, nil
	if !c.vanished() {
		c.step(dialog.Tick{})
	}
}

func (c *Call) vanished() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.p.cfg.Misbehave.Vanish && c.state == Ended
}

// target is where the call's requests go: the connection it lives on, or the server.
func (c *Call) target() endpoint.Target {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flow != nil && c.flow.Alive() {
		return endpoint.Target{Flow: c.flow}
	}
	return c.p.targetOf(c.server)
}

// output acts on an output of the session.
func (c *Call) output(o dialog.Output) {
	if c.vanished() {
		return
	}
	switch o.Kind {
	case dialog.OutRequest:
		if d := c.p.digest; d != nil && o.Msg.Method() == sip.INVITE && o.Msg.ToTag() == "" && !o.Msg.Has("Authorization") {
			d.Authorize(o.Msg) // with what was asked for before
		}
		tx, err := c.p.ep.RequestTag(o.Msg, c.target(), c)
		if err != nil {
			c.step(dialog.Failed{Method: o.Msg.Method(), Seq: o.Seq, Status: 503})
		} else if o.Msg.Method() == sip.INVITE {
			c.tx = tx
		}
	case dialog.OutAck:
		if !c.p.cfg.Misbehave.NeverAck {
			_ = c.p.ep.Send(o.Msg, c.target())
		}
	case dialog.OutResponse:
		if tx, ok := o.Tx.(*endpoint.ServerTx); ok {
			_ = tx.Respond(o.Msg)
		}
	case dialog.OutCancel:
		if c.tx != nil {
			c.tx.Cancel()
		}
	default:
		c.event(o)
	}
}

func (c *Call) event(o dialog.Output) {
	c.told(o.Msg)
	switch o.Kind {
	case dialog.EvInvite:
		c.invited(o)
	case dialog.EvProgress:
		if o.Body != nil && !o.Msg.HasToken("Require", "100rel") { // else it comes as EvAgreed
			c.hearEarly(o.Body)
		}
		c.set(func() {
			if c.state == Dialing && (o.Status == 180 || o.Status == 183) {
				c.state = Ringing
			}
		})
	case dialog.EvAnswered:
		c.answered(o)
	case dialog.EvAcked:
		c.set(func() {})
	case dialog.EvOffer:
		c.offered(o)
	case dialog.EvAgreed:
		c.agreed(o)
	case dialog.EvRefused:
		c.stream.Rollback()
		c.set(func() { c.failed = o.Status })
	case dialog.EvRefreshed:
		c.set(func() { c.refreshs++ })
	case dialog.EvRequest:
		c.asked(o)
	case dialog.EvResponse:
		c.responded(o)
	case dialog.EvEnded:
		c.ended(o)
	}
}

func (c *Call) invited(o dialog.Output) {
	c.index()
	c.offer = o.Body
	c.set(func() { c.state = Ringing })
	if !c.p.cfg.NoRinging {
		c.step(dialog.Ring{Status: 180})
	}
	if c.p.cfg.EarlyMedia && c.offer != nil {
		c.speakEarly()
	}
	select {
	case c.p.incoming <- c:
	default:
		c.step(dialog.End{Status: 486})
		return
	}
	if c.p.cfg.AutoAnswer || c.p.cfg.Intercom && c.AnswerAsked() {
		c.accept()
	}
}

// accept answers an incoming call.
func (c *Call) accept() {
	body, err := c.given, error(nil)
	if body == nil {
		body, err = c.describe(c.offer)
	}
	if err != nil {
		c.step(dialog.End{Status: 488})
		return
	}
	c.offer = nil
	c.step(dialog.Accept{Body: body})
	c.talk()
}

// speakEarly answers the offer before the call is answered.
func (c *Call) speakEarly() {
	body, err := c.describe(c.offer)
	if err != nil {
		return // the 488 comes when the call is answered
	}
	c.given = body
	c.step(dialog.Ring{Status: 183, Body: body})
	c.set(func() { c.early = true })
	c.send()
}

// hearEarly takes an answer that comes before the call is answered.
func (c *Call) hearEarly(answer []byte) {
	if c.take(answer) == nil {
		c.set(func() { c.early = true })
		c.send()
	}
}

// take takes the answer to our first offer, or another one in its place: of another fork, or of a 200 after a 183.
func (c *Call) take(answer []byte) error {
	if c.taken != nil {
		if dialog.SameDescription(c.taken, answer) {
			return nil
		}
		c.stream.Reopen()
	}
	err := c.stream.Accept(answer)
	if err == nil {
		c.taken = answer
	}
	return err
}

// describe answers an offer, or makes one where the peer sent none.
func (c *Call) describe(offer []byte) ([]byte, error) {
	if offer == nil {
		return c.makeOffer()
	}
	return c.makeAnswer(offer)
}

func (c *Call) answered(o dialog.Output) {
	var err error
	switch {
	case o.Offer:
		var answer []byte
		if answer, err = c.makeAnswer(o.Body); err == nil {
			c.step(dialog.Answer{Body: answer})
		}
	case o.Body != nil:
		err = c.take(o.Body)
	}
	if err != nil {
		c.set(func() { c.warning = err.Error() })
		c.step(dialog.End{Status: 488})
		return
	}
	c.talk()
}

func (c *Call) talk() {
	c.noteHold()
	c.set(func() {
		c.state = Talking
		if f := c.p.lastFlow(); c.flow == nil {
			c.flow = f
		}
	})
	c.send()
}

func (p *Phone) lastFlow() *transport.Flow {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flow
}

// offered is an offer of the peer inside the call.
func (c *Call) offered(o dialog.Output) {
	body, err := c.describe(o.Body)
	if err != nil {
		c.step(dialog.Reject{Status: 488})
		return
	}
	c.step(dialog.Answer{Body: body})
	c.noteHold()
	c.set(func() { c.offers++ })
}

// noteHold sees whether the far end put us on hold.
func (c *Call) noteHold() {
	n, ok := c.stream.Negotiated()
	c.set(func() { c.peerHeld = ok && n.Held })
}

// agreed is the answer to an offer of ours.
func (c *Call) agreed(o dialog.Output) {
	if o.Carrier == dialog.CarrierReliable1xx {
		c.hearEarly(o.Body)
		return
	}
	if err := c.stream.Accept(o.Body); err != nil {
		c.set(func() { c.warning = err.Error() })
		c.step(dialog.End{Status: 488})
		return
	}
	c.noteHold()
	c.set(func() { c.changes++ })
}

func (c *Call) asked(o dialog.Output) {
	status := 200
	switch o.Msg.Method() {
	case sip.INFO:
		if _, digit, ok := strings.Cut(string(o.Msg.Body()), "Signal="); ok && digit != "" {
			c.set(func() { c.digits = append(c.digits, digit[0]) })
		}
	case sip.NOTIFY:
		if n, ok := dialog.ParseSipfrag(o.Msg.Body()); ok {
			s, _ := o.Msg.SubscriptionState()
			line, _, _ := strings.Cut(string(o.Msg.Body()), "\r\n")
			c.set(func() { c.transfer, c.final, c.transferLine = n, s.State == "terminated", line })
		}
	case sip.REFER:
		status = 603
	}
	c.step(dialog.Reply{Tx: o.Tx, Req: o.Msg, Status: status})
}

// responded is the answer to REFER or INFO.
func (c *Call) responded(o dialog.Output) {
	if o.Status >= 300 {
		c.set(func() { c.transfer, c.final, c.failed = o.Status, true, o.Status })
	}
}

func (c *Call) ended(o dialog.Output) {
	c.set(func() {
		c.state, c.status, c.byPeer = Ended, o.Status, !o.Local
		if o.Msg != nil {
			if r := o.Msg.Header("Reason"); r != "" { // else what its CANCEL said
				c.reason = r
			}
			if w := o.Msg.Header("Warning"); w != "" {
				c.warning = w
			}
		}
	})
	c.closeMedia()
	if c.p.server() > 0 {
		c.p.look() // it may be idle now, and go back
	}
}

func (c *Call) closeMedia() {
	if c.plain != nil {
		c.plain.close()
	}
	_ = c.stream.Close()
}

// obey carries out an order.
func (c *Call) obey(o order) {
	switch o.what {
	case verbDial:
		c.dial(o.text)
	case verbAnswer:
		c.accept()
	case verbReject:
		c.step(dialog.End{Status: o.num, Headers: c.redirection(o.text)})
	case verbHangup:
		c.hangup()
	case verbHold, verbResume:
		c.hold(o.what == verbHold)
	case verbTransfer:
		c.refer(o.text, o.with)
	case verbInfo:
		c.step(dialog.Do{Method: sip.INFO, ContentType: "application/dtmf-relay",
			Body: []byte("Signal=" + o.text + "\r\nDuration=100\r\n")})
	case verbRefresh:
		c.step(dialog.Refresh{})
	}
}

func (c *Call) dial(number string) {
	in := dialog.Call{
		URI: c.p.uri(number), From: c.p.address(), To: sip.Address{URI: c.p.uri(number)}, CallID: c.callID, Contact: c.p.contact(),
		Headers: c.headers,
	}
	if !c.p.cfg.LateOffer {
		offer, err := c.makeOffer()
		if err != nil {
			c.set(func() { c.state, c.status, c.warning = Ended, 500, err.Error() })
			return
		}
		in.Body = offer
	}
	c.step(in)
	c.index()
}

func (c *Call) hangup() {
	if c.p.cfg.Misbehave.Vanish {
		c.set(func() { c.state = Ended })
		c.closeMedia()
		return
	}
	status := 603
	if c.incoming {
		status = 486
	}
	c.step(dialog.End{Status: status})
}

func (c *Call) hold(on bool) {
	d := sdp.SendRecv
	if on {
		d = sdp.SendOnly
	}
	c.stream.SetDirection(d)
	offer, err := c.makeOffer()
	if err != nil {
		c.set(func() { c.failed, c.warning = 500, err.Error() })
		return
	}
	c.set(func() { c.held, c.failed = on, 0 })
	c.step(dialog.Offer{Body: offer})
}

func (c *Call) refer(number string, with *Call) {
	to := sip.Address{URI: c.p.uri(number)}
	if with != nil {
		to.URI.Headers = sip.Params{{Name: "Replaces", Value: sip.EscapeHeader(with.ses.ReplacesFor().String())}}
	}
	c.set(func() { c.transfer, c.final = 0, false })
	c.step(dialog.Refer(to, c.p.address(), false))
}

// do hands an order to the call's goroutine.
func (c *Call) do(o order) {
	o.call = c
	c.p.ep.Post(c.callID, o)
}

// Incoming tells whether the far end called.
func (c *Call) Incoming() bool { return c.incoming }

// From is the caller of an incoming call.
func (c *Call) From() sip.Address { return c.from }

// Connected is who the far end is, as the network asserts it; zero when it said nothing.
func (c *Call) Connected() sip.Address {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asserted
}

// WaitConnected waits until the network says that this number is at the far end.
func (c *Call) WaitConnected(ctx context.Context, number string) error {
	return c.wait(ctx, "waiting to be connected with "+number, func() (bool, error) { return c.asserted.URI.User == number, nil })
}

// State is where the call stands.
func (c *Call) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// OnHold tells whether the far end (or the network for it) has put us on hold.
func (c *Call) OnHold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peerHeld
}

// errEnded is a call that ended while something else was awaited.
var errEnded = errors.New("the call has ended")

func (c *Call) over() error {
	return fmt.Errorf("%w: %w", errEnded, &Refused{Status: c.status, Warning: c.warning})
}

// wait waits for a condition of the call; the end of the call is an error unless the condition holds then.
func (c *Call) wait(ctx context.Context, what string, done func() (bool, error)) error {
	return c.p.wait(ctx, what, func() (bool, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		ok, err := done()
		if !ok && err == nil && c.state == Ended {
			err = c.over()
		}
		return ok, err
	})
}

// WaitRinging waits until the far end rings (or has answered).
func (c *Call) WaitRinging(ctx context.Context) error {
	return c.wait(ctx, "waiting for ringing", func() (bool, error) { return c.state == Ringing || c.state == Talking, nil })
}

// WaitAnswered waits until the call is up.
func (c *Call) WaitAnswered(ctx context.Context) error {
	return c.wait(ctx, "waiting for the answer", func() (bool, error) { return c.state == Talking, nil })
}

// WaitEnded waits for the end and says how it came: the final status of a call that was never up, 200 for one that was
// cleared normally.
func (c *Call) WaitEnded(ctx context.Context) (status int, byPeer bool, err error) {
	err = c.p.wait(ctx, "waiting for the end of the call", func() (bool, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		status, byPeer = c.status, c.byPeer
		return c.state == Ended, nil
	})
	return status, byPeer, err
}

// Talking reports whether the call is up.
func (c *Call) Talking() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == Talking
}

// Warning is what the peer's Warning, or our own refusal of its media, said.
func (c *Call) Warning() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.warning
}

// Reason is the Reason header of the message that ended the call.
func (c *Call) Reason() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// WaitHeld waits until the far end has put us on hold, or taken us back.
func (c *Call) WaitHeld(ctx context.Context, held bool) error {
	return c.wait(ctx, "waiting for hold", func() (bool, error) { return c.peerHeld == held, nil })
}

// WaitRefreshed waits until the session timer was refreshed n times.
func (c *Call) WaitRefreshed(ctx context.Context, n int) error {
	return c.wait(ctx, "waiting for a session refresh", func() (bool, error) { return c.refreshs >= n, nil })
}

// WaitDigits waits until the digits were heard, and no others: as events (RFC 4733), tones or by INFO.
func (c *Call) WaitDigits(ctx context.Context, digits string) error {
	err := c.wait(ctx, "waiting for digits "+digits, func() (bool, error) { return string(c.digits) == digits, nil })
	if err != nil {
		return fmt.Errorf("%w, after hearing %q", err, c.Digits())
	}
	return nil
}

// Digits are the digits heard so far.
func (c *Call) Digits() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.digits)
}

// Answer answers an incoming call and waits until it is up.
func (c *Call) Answer(ctx context.Context) error {
	c.do(order{what: verbAnswer})
	return c.WaitAnswered(ctx)
}

// StartAnswer answers an incoming call and returns at once.
func (c *Call) StartAnswer() { c.do(order{what: verbAnswer}) }

// Reject refuses an incoming call.
func (c *Call) Reject(status int) { c.do(order{what: verbReject, num: status}) }

// Hangup ends the call, whatever its state, and waits for the end.
func (c *Call) Hangup(ctx context.Context) error {
	c.do(order{what: verbHangup})
	_, _, err := c.WaitEnded(ctx)
	return err
}

// Hold puts the far end on hold and waits for its answer.
func (c *Call) Hold(ctx context.Context) error { return c.changed(ctx, verbHold) }

// Resume takes the far end back and waits for its answer.
func (c *Call) Resume(ctx context.Context) error { return c.changed(ctx, verbResume) }

func (c *Call) changed(ctx context.Context, v verb) error {
	c.mu.Lock()
	before := c.changes
	c.failed = 0
	c.mu.Unlock()
	c.do(order{what: v})
	return c.wait(ctx, "waiting for the answer to hold or resume", func() (bool, error) {
		if c.failed != 0 {
			return false, &Refused{Status: c.failed, Warning: c.warning}
		}
		return c.changes > before, nil
	})
}

// Refresh refreshes the session now, without changing anything.
func (c *Call) Refresh() { c.do(order{what: verbRefresh}) }

// Transfer sends the far end to a number (blind), and waits until the network says how that ended: its status.
func (c *Call) Transfer(ctx context.Context, number string) (int, error) {
	return c.transferred(ctx, order{what: verbTransfer, text: number})
}

// TransferTo joins the far ends of two calls of this phone (attended).
func (c *Call) TransferTo(ctx context.Context, other *Call) (int, error) {
	return c.transferred(ctx, order{what: verbTransfer, text: other.to, with: other})
}

func (c *Call) transferred(ctx context.Context, o order) (status int, err error) {
	c.do(o)
	err = c.p.wait(ctx, "waiting for the result of the transfer", func() (bool, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		status = c.transfer
		if !c.final && c.state == Ended {
			return false, c.over()
		}
		return c.final, nil
	})
	return status, err
}

// TransferLine is the status line of the last word on a transfer: "SIP/2.0 200 Parked at 7001".
func (c *Call) TransferLine() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.transferLine
}

// SendDigits sends digits as RFC 4733 events and waits until they are out.
func (c *Call) SendDigits(ctx context.Context, digits string) error {
	done, err := c.stream.SendDigits(digits)
	if err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SendInfo sends one digit by INFO.
func (c *Call) SendInfo(digit string) { c.do(order{what: verbInfo, text: digit}) }

// Tone sends a tone from now on; 0 Hz is silence.
func (c *Call) Tone(hz float64) {
	c.mu.Lock()
	if c.source = tone.NewSine(hz, -10); hz == 0 {
		c.source = nil
	}
	up := c.state == Talking || c.early
	c.mu.Unlock()
	if up {
		c.send()
	}
}
