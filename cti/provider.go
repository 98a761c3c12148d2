package cti

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/wire/ctiqbe"
)

const (
	snapshotTime = 5 * time.Second // for the existing calls of a line that was opened
	longestRetry = 30 * time.Second
	closeTime    = 2 * time.Second // for the manager to say goodbye
)

// Provider is a user's login at one of two CTI managers, and goes on through the loss of either. Its methods may be called
// from any goroutine; Next by one.
type Provider struct {
	cfg    Config
	number atomic.Uint32
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{} // run is over

	opening sync.Mutex // one line is opened at a time: several may share a device

	mu      sync.Mutex // everything below
	model   *model
	session *session // the connection in use or being made
	up      bool     // it is logged in and everything is open
	welcome welcome
	wanted  []LineID        // lines that the application opened
	ports   map[string]Port // devices that it registers, by name
	resync  *resync         // not nil from a loss to the Gap
	failure error           // why the provider ended, where it ended by itself
	queue   []Event
	wake    chan struct{}
}

// resync is what is kept from the loss of a manager until the Gap is told.
type resync struct {
	from    time.Time
	manager string
	cause   error
	calls   []Call // as they were
	devices []Device
	service map[LineID]bool

	now   []Call  // as the new manager told them, line by line
	held  []Event // what happened behind that
	begun bool    // a connection is being made: events are for now and held
}

// Open logs in at the primary manager, or at the backup. The provider goes on until Close, or until a login is refused for
// good.
func Open(ctx context.Context, cfg Config) (*Provider, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.complete()
	p := &Provider{cfg: cfg, model: newModel(), ports: map[string]Port{}, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	defer cfg.Trace.enter("CTSPProvider::Open")()
	s, err := p.connect(ctx, "")
	if err != nil {
		p.cancel()
		cfg.Trace.Fault("CTSPProvider::Open() %v", err)
		return nil, err
	}
	p.mu.Lock()
	p.up = true
	p.mu.Unlock()
	go p.run(s)
	return p, nil
}

// connect logs in at the first manager that lets us, those other than lost first.
func (p *Provider) connect(ctx context.Context, lost string) (*session, error) {
	var failed []error
	for _, m := range p.order(lost) {
		s, err := p.attempt(ctx, m)
		if err == nil {
			return s, nil
		}
		p.cfg.Trace.Fault("CTSPProvider::connect() %v", err)
		failed = append(failed, err)
		var e *Error
		if errors.As(err, &e) && final(e.Result) || ctx.Err() != nil {
			break
		}
	}
	if len(failed) == 1 {
		return nil, failed[0]
	}
	return nil, &Unreachable{failed}
}

// order is primary, backup; the one that was just lost comes last.
func (p *Provider) order(lost string) []Manager {
	all := p.cfg.managers()
	if len(all) == 2 && all[0].String() == lost {
		slices.Reverse(all)
	}
	return all
}

// attempt logs in at one manager.
func (p *Provider) attempt(ctx context.Context, m Manager) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.LoginTime)
	defer cancel()
	conn, address, err := p.cfg.dial(ctx, m)
	if err != nil {
		return nil, &Error{Doing: "Connecting to the CTI manager", Manager: m.String(), Err: err, Advice: connectAdvice(p.cfg.Clear)}
	}
	p.cfg.Trace.Detail("CTSPProvider::connect() connected to %s", address)
	p.mu.Lock()
	s := newSession(conn, m.String(), func() uint32 { return p.number.Add(1) }, p.hear, p.cfg.Trace)
	p.session = s
	p.model.connect()
	if p.resync != nil {
		p.resync.begun, p.resync.now, p.resync.held = true, nil, nil
	}
	p.mu.Unlock()
	w, err := p.cfg.login(ctx, s, m.String())
	if err != nil {
		s.end(err)
		return nil, err
	}
	p.mu.Lock()
	p.welcome = w
	p.mu.Unlock()
	p.cfg.Trace.Detail("CTSPProvider::connect() provider %d open at %s, heartbeat %v, window %v", w.providerID, address, w.beat, w.window)
	return s, nil
}

func connectAdvice(clear bool) string {
	if clear {
		return "See that the CTI manager runs there, and that its clear port is on (exception cti-clear)"
	}
	return "See that the CTI manager runs there, and that its certificate is in the trust list"
}

// hear takes a message, in the reading goroutine of its session.
func (p *Provider) hear(s *session, request, m ctiqbe.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session != s {
		return
	}
	if r, ok := ctiqbe.ResultOf(m); request != nil && ok && r == ctiqbe.OK {
		p.model.answered(request, m)
	}
	whole := len(p.model.whole)
	events := p.model.apply(m)
	if p.resync == nil {
		p.push(events...)
		return
	}
	for _, e := range events {
		p.resync.hold(p.model, e)
	}
	if len(p.model.whole) > whole {
		p.resync.keep(p.model, m.(*ctiqbe.LineExistingCallCompletedEvent))
	}
}

// hold takes an event from between the loss and the Gap. What belongs to the first picture of a line is told as a
// difference later; all else is told behind it.
func (r *resync) hold(m *model, e Event) {
	line, ofCall := lineOf(e)
	_, service := e.(ServiceChanged)
	switch {
	case service: // a difference
	case !ofCall || m.whole[line]:
		r.held = append(r.held, e)
	default:
		// A call that came and went before the picture was whole, and was not known before, is in no difference.
		if end, ok := e.(CallEnded); ok && !slices.ContainsFunc(r.calls, func(c Call) bool { return c.Line == line && c.ID == end.Call.ID }) {
			r.held = append(r.held, NewCall{Call: end.Call, Snapshot: true}, end)
		}
	}
}

// lineOf is the line of an event that says how a call is.
func lineOf(e Event) (LineID, bool) {
	switch e := e.(type) {
	case NewCall:
		return e.Call.Line, true
	case CallChanged:
		return e.Call.Line, true
	case PartiesChanged:
		return e.Call.Line, true
	case GlobalChanged:
		return e.Call.Line, true
	case CallEnded:
		return e.Call.Line, true
	}
	return LineID{}, false
}

// keep notes the picture of a line when it is whole: later events are told by themselves.
func (r *resync) keep(m *model, e *ctiqbe.LineExistingCallCompletedEvent) {
	id := m.ids[handle{e.LineCallManagerID, e.LineID}]
	for _, c := range m.calls {
		if c.Line == id {
			r.now = append(r.now, c)
		}
	}
}

// push queues events. The caller holds mu.
func (p *Provider) push(events ...Event) {
	for _, e := range events {
		if len(p.queue) >= p.cfg.Queue {
			p.overflow()
		}
		p.queue = append(p.queue, e)
	}
	if len(events) > 0 {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// overflow puts one Gap and a picture of all calls in the place of what was not read.
func (p *Provider) overflow() {
	now := time.Now()
	p.queue = append(p.queue[:0:0], Gap{From: now, To: now, Before: p.at(), Manager: p.at(), Cause: ErrLagged})
	for _, c := range p.model.calls {
		p.queue = append(p.queue, NewCall{c, true})
	}
}

func (p *Provider) at() string {
	if p.session == nil {
		return ""
	}
	return p.session.address
}

// Next is the next event; it waits for one. The last is Closed; behind it, and after Close, the error is ErrClosed.
func (p *Provider) Next(ctx context.Context) (Event, error) {
	for {
		p.mu.Lock()
		if len(p.queue) > 0 {
			e := p.queue[0]
			p.queue[0] = nil
			p.queue = p.queue[1:]
			p.mu.Unlock()
			return e, nil
		}
		p.mu.Unlock()
		select {
		case <-p.wake:
		case <-p.ended:
			p.mu.Lock()
			empty := len(p.queue) == 0
			p.mu.Unlock()
			if empty {
				return nil, ErrClosed
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// run keeps a connection until the provider ends.
func (p *Provider) run(s *session) {
	defer close(p.ended)
	for s != nil {
		select {
		case <-s.done:
			s = p.regain(s)
		case <-p.ctx.Done():
			p.goodbye(s)
			s = nil
		}
	}
	p.mu.Lock()
	p.up = false
	p.push(Closed{p.failure})
	p.mu.Unlock()
}

// goodbye closes the provider at the manager, which then needs to wait for nothing.
func (p *Provider) goodbye(s *session) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	_, _ = s.ask(ctx, "Closing the provider", &ctiqbe.ProviderCloseRequest{})
	s.end(ErrClosed)
}

// regain gets a connection in the place of one that was lost, with everything open that was. Nil: the provider ends.
func (p *Provider) regain(lost *session) *session {
	cause := lost.cause()
	p.cfg.Trace.Fault("CTSPProvider::run() lost %s: %v", lost.address, cause)
	p.lose(lost, cause)
	var closed *closedError
	if errors.As(cause, &closed) && finalClose(closed.Reason) {
		return p.fail(&Error{Doing: "Staying logged in", Manager: lost.address, Err: closed})
	}
	pause := time.Duration(0)
	if closed != nil && closed.Reason == ctiqbe.ProviderCloseReasonDuplicateCertUsed {
		pause = p.cfg.Retry // both are thrown out: the one that comes back at once does it to the other again
	}
	address := lost.address
	for {
		if p.sleep(pause) != nil {
			return p.fail(nil)
		}
		s, err := p.connect(p.ctx, address)
		if err == nil {
			if err = p.restore(s); err == nil {
				return s
			}
			s.end(err)
			address = s.address
		}
		var e *Error
		switch {
		case p.ctx.Err() != nil:
			return p.fail(nil)
		case errors.As(err, &e) && final(e.Result):
			return p.fail(err)
		}
		pause = min(max(2*pause, p.cfg.Retry), longestRetry)
	}
}

func (p *Provider) fail(err error) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure = err
	return nil
}

func (p *Provider) sleep(d time.Duration) error {
	if d == 0 {
		return p.ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// lose notes the picture at the loss of a manager. A second loss before the Gap is part of the same gap.
func (p *Provider) lose(s *session, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up = false
	now := time.Now()
	if p.resync == nil {
		p.resync = &resync{from: now, manager: s.address, cause: cause, calls: slices.Clone(p.model.calls),
			devices: p.model.devices, service: p.model.service}
	}
	p.push(LinkLost{now, s.address, cause})
}

// restore opens what was open, waits for the pictures of all lines, and tells the Gap.
func (p *Provider) restore(s *session) error {
	p.mu.Lock()
	wanted := slices.Clone(p.wanted)
	p.mu.Unlock()
	var lost []LostLine
	for _, id := range wanted {
		err := p.open(p.ctx, s, id)
		switch {
		case err == nil:
		case s.cause() != nil || p.ctx.Err() != nil:
			return err
		default:
			lost = append(lost, LostLine{id, err})
		}
	}
	if err := s.cause(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range lost {
		p.wanted = slices.DeleteFunc(p.wanted, func(id LineID) bool { return id == l.Line })
	}
	r := p.resync
	p.resync = nil
	p.up = true
	p.push(Gap{r.from, time.Now(), r.manager, s.address, r.cause, lost})
	p.push(r.differences(p.model)...)
	p.push(r.held...)
	return nil
}

// differences are what changed between the loss and the pictures that the new manager gave.
func (r *resync) differences(m *model) []Event {
	var events []Event
	for id, was := range r.service {
		if is, known := m.service[id]; known && is != was {
			e := ServiceChanged{Device: id.Device, InService: is}
			if id.Number != "" {
				e.Line = id
			}
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(a, b Event) int { return compareService(a.(ServiceChanged), b.(ServiceChanged)) })
	find := func(all []Call, c Call) int {
		return slices.IndexFunc(all, func(o Call) bool { return o.Line == c.Line && o.ID == c.ID })
	}
	for _, was := range r.calls {
		if at := find(r.now, was); at >= 0 {
			events = append(events, difference(was, r.now[at], true)...)
			continue
		}
		was.State = ctiqbe.CallStateIdle
		events = append(events, CallEnded{was, true})
	}
	for _, is := range r.now {
		if find(r.calls, is) < 0 {
			events = append(events, NewCall{is, true})
		}
	}
	return events
}

func compareService(a, b ServiceChanged) int {
	x, y := a.Device+" "+a.Line.Number+" "+a.Line.Partition, b.Device+" "+b.Line.Number+" "+b.Line.Partition
	return cmp.Compare(x, y)
}

// Close ends the provider. It returns when the manager knows, or after two seconds.
func (p *Provider) Close() error {
	p.cancel()
	<-p.ended
	return nil
}

// link is the connection in use.
func (p *Provider) link() (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ctx.Err() != nil || p.failure != nil:
		return nil, errors.Join(ErrClosed, p.failure)
	case !p.up:
		return nil, ErrNoLink
	}
	return p.session, nil
}

// Devices are the devices that the user controls, as the manager in use told them.
func (p *Provider) Devices() []Device {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := slices.Clone(p.model.devices)
	if p.resync != nil {
		out = slices.Clone(p.resync.devices)
	}
	for i := range out {
		out[i].Lines = slices.Clone(out[i].Lines)
	}
	return out
}

// Lines are the lines of all devices.
func (p *Provider) Lines() []LineInfo {
	var all []LineInfo
	for _, d := range p.Devices() {
		all = append(all, d.Lines...)
	}
	return all
}

// Find is the line with that number, at that device where one is named; without a number the device's first line. It is an
// error where several fit.
func (p *Provider) Find(device, number string) (LineID, error) {
	var found []LineID
	for _, l := range p.Lines() {
		if (device == "" || l.ID.Device == device) && (number == "" || l.ID.Number == number) {
			found = append(found, l.ID)
		}
	}
	doing := "Looking for line " + number + " of device " + device
	switch {
	case len(found) == 0:
		return LineID{}, &Error{Doing: doing, Err: ErrNoDevice, Advice: "locktone tsp phones lists the lines that there are"}
	case len(found) > 1 && (device == "" || number != ""):
		return LineID{}, &Error{Doing: doing, Err: errors.New("several lines fit"), Advice: "Name the device (--device), the line (--line)"}
	}
	return found[0], nil
}

// Calls are the calls of all open lines, as they are now; without a manager, as they were.
func (p *Provider) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resync != nil {
		return slices.Clone(p.resync.calls)
	}
	return slices.Clone(p.model.calls)
}

// Call is one of Calls.
func (p *Provider) Call(line LineID, id CallID) (Call, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.model.find(callKey{line, id})
	if at < 0 {
		return Call{}, false
	}
	return p.model.calls[at], true
}

// InService tells whether a line that is open can be used now.
func (p *Provider) InService(line LineID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.model.service[line]
}

// Status is how a provider is.
type Status struct {
	Up           bool // logged in, and everything is open
	Manager      string
	ProviderID   uint32
	Cluster      string
	Heartbeat    time.Duration // ours
	Window       time.Duration // of silence, after which a manager is lost
	Expires      uint32        // days until the password does; 0: never
	Capabilities Capabilities
	Err          error // why it ended
}

// Status is how the provider is now.
func (p *Provider) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.welcome
	return Status{p.up, p.at(), w.providerID, w.cluster, w.beat, w.window, w.expires, w.capabilities, p.failure}
}

// OpenLine opens a line, and its device, so that calls can be made on it and its events are heard. It returns when the calls
// that are there already are known; each was a NewCall marked Snapshot.
func (p *Provider) OpenLine(ctx context.Context, id LineID) (err error) {
	leave := p.cfg.Trace.tspi("TSPI_lineOpen", "%s", id)
	defer func() { leave(err) }()
	s, err := p.link()
	if err != nil {
		return err
	}
	p.opening.Lock()
	defer p.opening.Unlock()
	p.mu.Lock()
	_, open := p.model.lines[id]
	p.mu.Unlock()
	if open {
		return nil
	}
	if err := p.open(ctx, s, id); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.wanted, id) {
		p.wanted = append(p.wanted, id)
	}
	return nil
}

// open opens a line at a manager, and its device where that is not open yet, and waits for the picture of its calls.
func (p *Provider) open(ctx context.Context, s *session, id LineID) error {
	p.mu.Lock()
	_, open := p.model.handles[id.Device]
	port, registers := p.ports[id.Device]
	p.mu.Unlock()
	if !open {
		var q ctiqbe.Message = &ctiqbe.DeviceOpenRequest{DeviceName: id.Device, Filter: deviceEvents()}
		if registers {
			q = port.request(id.Device)
		}
		if _, err := s.ask(ctx, "Opening "+id.Device, q); err != nil {
			return err
		}
	}
	if _, err := s.ask(ctx, "Opening line "+id.String(), &ctiqbe.LineOpenRequest{DeviceName: id.Device, LineName: id.Number, Partition: id.Partition,
		Filter: lineEvents()}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	return p.pictured(ctx, s, id)
}

// pictured waits until the manager told all calls of a line; a line that is out of service has none. A manager that does
// not say so in time is not waited for.
func (p *Provider) pictured(ctx context.Context, s *session, id LineID) error {
	for {
		change := s.change()
		p.mu.Lock()
		_, open := p.model.lines[id]
		in, known := p.model.service[id]
		whole := p.model.whole[id]
		p.mu.Unlock()
		switch {
		case !open:
			return &Error{Doing: "Opening line " + id.String(), Manager: s.address, Err: ErrNotOpen, Advice: "The manager closed it again: see that device and line allow control from CTI"}
		case whole || known && !in:
			return nil
		}
		select {
		case <-change:
		case <-s.done:
			return &Error{Doing: "Opening line " + id.String(), Manager: s.address, Err: errors.Join(ErrNoLink, s.cause())}
		case <-ctx.Done():
			return nil
		}
	}
}

// CloseLine closes a line.
func (p *Provider) CloseLine(ctx context.Context, id LineID) (err error) {
	leave := p.cfg.Trace.tspi("TSPI_lineClose", "%s", id)
	defer func() { leave(err) }()
	p.mu.Lock()
	p.wanted = slices.DeleteFunc(p.wanted, func(o LineID) bool { return o == id })
	h, open := p.model.lines[id]
	p.mu.Unlock()
	if !open {
		return nil
	}
	s, err := p.link()
	if err != nil {
		return err
	}
	_, err = s.ask(ctx, "Closing line "+id.String(), &ctiqbe.LineCloseRequest{LineCallManagerID: h.node, LineID: h.number})
	return err
}
