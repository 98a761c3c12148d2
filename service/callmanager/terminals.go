package callmanager

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/leg/ctileg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/sdp"
)

// Terminals: CTI ports and route points. An application registers one by its CTI manager, over the bus; from then on it is a device that is
// registered here like a phone, and its legs go by the driver ctileg. Who has registered it lives as long as the session says so.

// terminals are those registered at this node. The table owns them, guarded by its lock; what it returns are copies.
type terminals struct {
	mu  sync.Mutex
	all map[string]*terminal // by device
}

// A terminal is a registered one. Its holders are who has registered it: one for a port, for a route point as many as agree on its media.
type terminal struct {
	driver  ctileg.Terminal
	since   time.Time
	holders []terminalHolder
}

type terminalHolder struct {
	reg   live.TerminalRegistration
	until time.Time
}

// is says whether the holder is the one named; an empty name is any.
func (h *terminalHolder) is(session, holder string) bool {
	return h.reg.Session == session && (holder == "" || h.reg.Holder == holder)
}

// plain says that its media is RTP: no SRTP was registered.
func (t *terminal) plain() bool { return t.driver.Media != ctileg.NoMedia && len(t.driver.Suites) == 0 }

// maxTerminalHolders bounds who may have registered one route point.
const maxTerminalHolders = 16

// get is a terminal as it is registered.
func (t *terminals) get(device string) (terminal, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.all[device]
	if x == nil {
		return terminal{}, false
	}
	out := *x
	out.holders = slices.Clone(x.holders)
	return out, true
}

// names are the registered ones, in order.
func (t *terminals) names() (out []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range t.all {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// register takes a registration in; the error says who else has the terminal.
func (t *terminals) register(now time.Time, d *directory.Device, r live.TerminalRegistration, as ctileg.Terminal) (was bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.all[d.Name]
	h := terminalHolder{r, now.Add(live.TerminalLease)}
	if x == nil {
		if t.all == nil {
			t.all = map[string]*terminal{}
		}
		t.all[d.Name] = &terminal{driver: as, since: now, holders: []terminalHolder{h}}
		return false, nil
	}
	others := slices.DeleteFunc(slices.Clone(x.holders), func(o terminalHolder) bool {
		return o.reg.Application == r.Application && (o.reg.Holder == r.Holder || o.reg.Session != r.Session)
	})
	switch {
	case len(others) == 0:
	case d.Protocol == config.ProtocolCTIPort:
		return true, &bus.Error{Code: bus.CodeConflict, Message: fmt.Sprintf("CTI port %s is registered by %s: let it unregister first", d.Name, others[0].reg.Application)}
	case x.driver.Media != as.Media || as.Media == ctileg.Static:
		return true, &bus.Error{Code: bus.CodeConflict, Message: fmt.Sprintf("route point %s is registered by %s with %s media: register it the same way, without an address of its own",
			d.Name, others[0].reg.Application, cmp.Or(others[0].reg.Media, "no"))}
	case len(others) >= maxTerminalHolders:
		return true, &bus.Error{Code: bus.CodeUnavailable, Message: fmt.Sprintf("%d applications have registered route point %s", len(others), d.Name)}
	}
	if len(others) == 0 {
		x.driver = as
	}
	x.holders = append(others, h)
	return true, nil
}

// end forgets the holders that match; gone are the terminals that have none any more.
func (t *terminals) end(match func(device string, h *terminalHolder) bool) (gone []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, x := range t.all {
		x.holders = slices.DeleteFunc(x.holders, func(h terminalHolder) bool { return match(name, &h) })
		if len(x.holders) == 0 {
			delete(t.all, name)
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	return gone
}

// keep renews the leases of a session and names its terminals.
func (t *terminals) keep(now time.Time, session string) (devices []string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, x := range t.all {
		for i := range x.holders {
			if x.holders[i].is(session, "") {
				x.holders[i].until = now.Add(live.TerminalLease)
				devices = append(devices, name)
				n++
			}
		}
	}
	slices.Sort(devices)
	return slices.Compact(devices), n
}

// address changes the address of a terminal with static media; false when it is not registered so by the session.
func (t *terminals) address(r live.TerminalAddress) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.all[r.Device]
	if x == nil || x.driver.Media != ctileg.Static || !slices.ContainsFunc(x.holders, func(h terminalHolder) bool { return h.is(r.Session, "") }) {
		return false
	}
	x.driver.Address = r.Address
	return true
}

// startTerminals attaches the driver of terminals.
func (s *Service) startTerminals() error {
	engine, err := s.host.Attach(driverCTI, 0)
	if err != nil {
		return err
	}
	s.cti = ctileg.Start(ctileg.Config{Engine: engine, Plane: s.plane, Keys: s.cfg.Media.Keys, Changed: func(leg call.LegID) { s.watches.agreed(media.LegID(leg)) },
		Terminal: func(device string) (ctileg.Terminal, bool) {
			t, ok := s.terminals.get(device)
			return t.driver, ok
		},
		AcceptTimer: func() time.Duration { return s.site.Load().Cluster().CTINewCallAcceptTimer.D() }})
	return nil
}

// serveTerminals answers the verbs of terminals.
func (s *Service) serveTerminals() error {
	for _, serve := range []func() (*bus.Responder, error){
		func() (*bus.Responder, error) {
			return bus.Serve(s.cfg.Bus, s.cfg.Bus.Subject(Name, live.VerbTerminalRegister), s.registerTerminal)
		},
		func() (*bus.Responder, error) {
			return bus.Serve(s.cfg.Bus, s.cfg.Bus.Subject(Name, live.VerbTerminalUnregister), s.unregisterTerminal)
		},
		func() (*bus.Responder, error) {
			return bus.Serve(s.cfg.Bus, s.cfg.Bus.Subject(Name, live.VerbTerminalMedia), s.terminalAddress)
		},
		func() (*bus.Responder, error) {
			return bus.Serve(s.cfg.Bus, s.cfg.Bus.Subject(Name, live.VerbTerminalKeep), s.keepTerminals)
		},
	} {
		r, err := serve()
		if err != nil {
			return err
		}
		s.responders = append(s.responders, r)
	}
	return nil
}

// registerTerminal registers a terminal here.
func (s *Service) registerTerminal(_ context.Context, r live.TerminalRegistration) (live.TerminalAnswer, error) {
	st := s.site.Load()
	d := st.device(r.Device)
	if d == nil || !d.Protocol.Terminal() {
		return live.TerminalAnswer{}, &bus.Error{Code: bus.CodeNotFound, Message: fmt.Sprintf("there is no CTI port or route point %q", r.Device)}
	}
	if refused := s.placedTerminal(st, d); refused != nil {
		return live.TerminalAnswer{}, refused
	}
	as, err := terminalOf(d, r)
	if err != nil {
		return live.TerminalAnswer{}, &bus.Error{Code: bus.CodeInvalid, Message: err.Error()}
	}
	if r.Session == "" || r.Application == "" {
		return live.TerminalAnswer{}, &bus.Error{Code: bus.CodeInvalid, Message: "expected the session that keeps the terminal alive, and for whom it is registered"}
	}
	was, err := s.terminals.register(s.now(), d, r, as)
	if err != nil {
		return live.TerminalAnswer{}, err
	}
	s.reachable(d.Name, false, true) // though it was: its media may be other than before
	if !was {
		s.note(d.Name, fmt.Sprintf("terminal of %s: media %s", r.Application, mediaText(as)))
	}
	return live.TerminalAnswer{Lease: live.TerminalLease}, nil
}

// placedTerminal refuses a terminal that shall be at another node, as phones are.
func (s *Service) placedTerminal(st *site, d *directory.Device) *bus.Error {
	if refused := s.belongs(st, d); refused != nil {
		return &bus.Error{Code: bus.CodeUnavailable, Message: refused.why}
	}
	if _, here := s.terminals.get(d.Name); here || !s.drain.on() || len(s.others(st, d.Nodes)) == 0 {
		return nil
	}
	return &bus.Error{Code: bus.CodeUnavailable, Message: "node " + s.cfg.Node + " is being drained"}
}

// terminalOf is a registration as the driver takes it, or what is wrong with it.
func terminalOf(d *directory.Device, r live.TerminalRegistration) (t ctileg.Terminal, err error) {
	t.Patience = min(r.Patience, time.Minute)
	switch r.Media {
	case live.TerminalNoMedia:
		if d.Protocol == config.ProtocolCTIPort {
			return t, fmt.Errorf("CTI port %s needs media, static or dynamic: only route points do without", d.Name)
		}
		return t, nil
	case live.TerminalStatic:
		t.Media, t.Address = ctileg.Static, r.Address
		if !reachableRTP(r.Address) {
			return t, fmt.Errorf("terminal %s: static media needs the address and port of its RTP, not %s", d.Name, r.Address)
		}
	case live.TerminalDynamic:
		t.Media = ctileg.Dynamic
	default:
		return t, fmt.Errorf("terminal %s: media %q is not known: expected none, %s or %s", d.Name, r.Media, live.TerminalStatic, live.TerminalDynamic)
	}
	usable := false
	for _, c := range r.Codecs[:min(len(r.Codecs), 64)] {
		_, ok := ctileg.CodecOf(ctiqbe.MediaPayload(c.Payload))
		usable = usable || ok
		t.Codecs = append(t.Codecs, ctileg.Codec{Payload: ctiqbe.MediaPayload(c.Payload), Packet: min(max(c.Packet, 0), 200)})
	}
	if !usable {
		return t, fmt.Errorf("terminal %s: none of the codecs registered is known here: expected G.711, G.722, G.729 or one of the other payload codes of CTI", d.Name)
	}
	for _, suite := range sdp.Suites() {
		if slices.Contains(r.SRTP, uint32(ctileg.AlgorithmOf(suite))) {
			t.Suites = append(t.Suites, suite)
		}
	}
	if len(r.SRTP) > 0 && len(t.Suites) == 0 {
		return t, fmt.Errorf("terminal %s: none of the SRTP algorithms %v registered is known here: expected 1, 2, 5 or 6 (F8 is not offered)", d.Name, r.SRTP)
	}
	return t, nil
}

// reachableRTP says whether RTP can be sent to an address.
func reachableRTP(a netip.AddrPort) bool {
	return a.IsValid() && a.Port() != 0 && !a.Addr().IsUnspecified() && !a.Addr().IsMulticast()
}

func mediaText(t ctileg.Terminal) string {
	switch {
	case t.Media == ctileg.NoMedia:
		return "none"
	case len(t.Suites) == 0:
		return "RTP"
	}
	return "SRTP"
}

// unregisterTerminal ends registrations of a session.
func (s *Service) unregisterTerminal(_ context.Context, r live.TerminalEnd) (live.TerminalAnswer, error) {
	s.endTerminals("unregistered", func(device string, h *terminalHolder) bool {
		return h.is(r.Session, r.Holder) && (r.Device == "" || r.Device == device)
	})
	_, n := s.terminals.keep(s.now(), r.Session)
	return live.TerminalAnswer{Lease: live.TerminalLease, Terminals: n}, nil
}

// endTerminals ends the registrations that match. The calls of a terminal that nobody has registered any more go with it: those that wait to
// where their lines' forwards say, for the field a failure of the application; those that were answered end.
func (s *Service) endTerminals(why string, match func(device string, h *terminalHolder) bool) {
	for _, device := range s.terminals.end(match) {
		s.note(device, "terminal: "+why)
		s.reachable(device, true, false)
		s.cti.End(device, call.DestinationOutOfOrder, call.DestinationOutOfOrder)
	}
}

// terminalAddress names an address.
func (s *Service) terminalAddress(_ context.Context, r live.TerminalAddress) (live.TerminalAnswer, error) {
	t, here := s.terminals.get(r.Device)
	switch {
	case !here || !slices.ContainsFunc(t.holders, func(h terminalHolder) bool { return h.is(r.Session, "") }):
		return live.TerminalAnswer{}, &bus.Error{Code: bus.CodeNotFound, Message: "terminal " + r.Device + " is not registered here by this session"}
	case !reachableRTP(r.Address):
		return live.TerminalAnswer{}, &bus.Error{Code: bus.CodeInvalid, Message: fmt.Sprintf("expected the address and port of RTP, not %s", r.Address)}
	case r.Leg == 0 && !s.terminals.address(r):
		return live.TerminalAnswer{}, &bus.Error{Code: bus.CodeConflict, Message: "terminal " + r.Device + " has no static media"}
	case r.Leg != 0 && !s.cti.Address(r.Device, call.LegID(r.Leg), r.Address):
		return live.TerminalAnswer{}, &bus.Error{Code: bus.CodeNotFound, Message: fmt.Sprintf("no address is wanted for leg %d of %s", r.Leg, r.Device)}
	}
	return live.TerminalAnswer{Lease: live.TerminalLease}, nil
}

// keepTerminals renews what a session has here. While the node drains, idle terminals that another node could have are named.
func (s *Service) keepTerminals(_ context.Context, r live.TerminalKeep) (live.TerminalAnswer, error) {
	devices, n := s.terminals.keep(s.now(), r.Session)
	a := live.TerminalAnswer{Lease: live.TerminalLease, Terminals: n}
	if !s.drain.on() {
		return a, nil
	}
	_, busy, err := s.occupied()
	if err != nil {
		return a, nil
	}
	st := s.site.Load()
	for _, name := range devices {
		if d := st.device(name); d != nil && !busy[name] && len(s.others(st, d.Nodes)) > 0 {
			a.Leave = append(a.Leave, name)
		}
	}
	return a, nil
}

// sweepTerminals ends registrations that nobody keeps alive, and those of nodes that are lost, until the service ends.
func (s *Service) sweepTerminals() {
	beat := time.NewTicker(live.TerminalLease / 5)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			now := s.now()
			s.endTerminals("its application was not kept alive", func(_ string, h *terminalHolder) bool { return now.After(h.until) })
		case <-s.ctx.Done():
			return
		}
	}
}

// reviewTerminals ends registrations of devices that are no terminals any more.
func (s *Service) reviewTerminals(st *site) {
	s.endTerminals("the configuration has changed", func(device string, _ *terminalHolder) bool {
		d := st.device(device)
		return d == nil || !d.Protocol.Terminal() || s.belongs(st, d) != nil
	})
}

// deviceState is what the engine is told of a device that is here, or here no more.
func (s *Service) deviceState(device string, up bool) call.DeviceState {
	t, _ := s.terminals.get(device)
	return call.DeviceState{Device: device, Up: up, Plain: up && t.plain()}
}

// here says whether a device is registered at this node.
func (s *Service) here(device string) bool {
	if _, ok := s.terminals.get(device); ok {
		return true
	}
	_, ok := s.bindings.reach(s.now(), device, "")
	return ok
}

// registrationOf is what other nodes are told of a device that is here.
func (s *Service) registrationOf(d *directory.Device) (f registrationFact, ok bool) {
	if t, terminal := s.terminals.get(d.Name); terminal {
		f = registrationFact{Mode: strings.ToLower(mediaText(t.driver)), Lines: numbers(d), Agent: t.holders[0].reg.Application, Since: t.since.UTC()}
		if t.driver.Address.IsValid() {
			f.Remote = t.driver.Address.String()
		}
		return f, true
	}
	b, ok := s.bindings.reach(s.now(), d.Name, "")
	if !ok {
		return f, false
	}
	return registrationFact{Mode: d.Security.DeviceSecurityMode.String(), Lines: numbers(d), Contact: b.contact.URI.String(), Remote: b.remote.String(),
		Agent: b.agent, Since: b.since.UTC()}, true
}

// terminalRow is a terminal in `show registrations`.
func (s *Service) terminalRow(d *directory.Device) bus.Registration {
	row := bus.Registration{Node: s.cfg.Node, Device: d.Name, Model: d.Model, Lines: numbers(d), Protocol: "CTI", State: "unregistered", Group: d.Pool.CallManagerGroup}
	t, ok := s.terminals.get(d.Name)
	if !ok {
		return row
	}
	row.State, row.Mode, row.Since, row.Rank = "registered", strings.ToLower(mediaText(t.driver)), t.since.UTC(), s.rank(d)
	if t.driver.Address.IsValid() {
		row.Remote = t.driver.Address.String()
	}
	var by []string
	for _, h := range t.holders {
		by = append(by, h.reg.Application)
		if h.until.After(row.Expires) {
			row.Expires = h.until.UTC()
		}
	}
	row.Agent = strings.Join(by, ", ")
	return row
}

// plainTerminals are the exceptions of terminals that were registered without SRTP.
func (s *Service) plainTerminals() (rows []bus.Exception) {
	for _, name := range s.terminals.names() {
		if t, ok := s.terminals.get(name); ok && t.plain() {
			rows = append(rows, bus.Exception{Node: s.cfg.Node, Kind: "device", Name: name, Setting: "media", Value: "rtp", Default: "srtp",
				From: "application " + t.holders[0].reg.Application, Risk: "the application has registered its terminal without SRTP algorithms: whoever is on the way of its media can listen"})
		}
	}
	return rows
}
