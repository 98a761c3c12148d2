package live

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
)

// Verbs by which applications have terminals: CTI ports and route points, devices whose legs are theirs.
const (
	// VerbTerminalRegister is asked with a TerminalRegistration: calls reach the terminal from now on.
	VerbTerminalRegister = "terminal.register"
	// VerbTerminalUnregister is asked with a TerminalEnd.
	VerbTerminalUnregister = "terminal.unregister"
	// VerbTerminalMedia is asked with a TerminalAddress.
	VerbTerminalMedia = "terminal.media"
	// VerbTerminalKeep is asked with a TerminalKeep: who has registered terminals lives.
	VerbTerminalKeep = "terminal.keep"
)

// Kinds of media of a terminal.
const (
	TerminalNoMedia = ""        // calls ring there and are redirected
	TerminalStatic  = "static"  // one address for every call
	TerminalDynamic = "dynamic" // an address for each call, asked for when it is answered
)

// A TerminalRegistration says that an application takes the calls of a terminal, and what its media can do. It holds for a lease, which
// TerminalKeep renews for all terminals of a session.
type TerminalRegistration struct {
	// Session names who keeps the terminal alive: a life of a CTI manager. Node is where that is: with its end the registration ends.
	Session string `json:"session"`
	Node    string `json:"node,omitempty"`
	Device  string `json:"device"`
	// Application is the user for whom it is registered. Its own registration it may renew, from another session too.
	Application string `json:"application"`
	// Holder tells several connections of one application apart.
	Holder  string          `json:"holder,omitempty"`
	Media   string          `json:"media,omitempty"`
	Address netip.AddrPort  `json:"address,omitzero"`
	Codecs  []TerminalCodec `json:"codecs,omitempty"`
	// SRTP are algorithm ids (CTIQBE's MEDIAENCRYPTION_ALGORITHMTYPE); none: plain RTP.
	SRTP []uint32 `json:"srtp,omitempty"`
	// Patience is how long is waited for the address of a call, with TerminalDynamic; zero is the driver's.
	Patience time.Duration `json:"patience_ns,omitempty"`
}

// A TerminalCodec is a payload code of CTIQBE, and how many milliseconds a packet may have.
type TerminalCodec struct {
	Payload uint32 `json:"payload"`
	Packet  int    `json:"packet,omitempty"`
}

// A TerminalEnd ends the registration of a terminal by a holder; of all its terminals where Device is empty. Its calls that wait go where
// their lines' forwards say, those that were answered end.
type TerminalEnd struct {
	Session string `json:"session"`
	Device  string `json:"device,omitempty"`
	Holder  string `json:"holder,omitempty"`
}

// A TerminalAddress is where the media of a call is: of a terminal with dynamic media, when it is asked for, or (Leg is zero) of the calls to
// come of one with static media.
type TerminalAddress struct {
	Session string         `json:"session"`
	Device  string         `json:"device"`
	Leg     uint64         `json:"leg,omitempty"`
	Address netip.AddrPort `json:"address"`
}

// A TerminalKeep says that a session lives.
type TerminalKeep struct {
	Session string `json:"session"`
}

// A TerminalAnswer says how long registrations last without being kept, and how many terminals of the session there are.
type TerminalAnswer struct {
	Lease     time.Duration `json:"lease_ns"`
	Terminals int           `json:"terminals"`
	// Leave are idle terminals that another node should have: this one is being drained.
	Leave []string `json:"leave,omitempty"`
}

// TerminalLease is how long a registration lives without being kept alive.
const TerminalLease = 15 * time.Second

// A TerminalNote says what has become of a registration without its application's doing.
type TerminalNote struct {
	Device string
	Node   string // where it is registered now; empty: nowhere
	Why    string // where it is registered nowhere, or elsewhere than before
}

// Terminals keeps the registrations of one session, on whatever nodes they are. When a node is lost, its terminals are registered again at
// the next one of their nodes that takes them. It is safe for concurrent use.
type Terminals struct {
	remote  *Remote
	session string
	beat    time.Duration // between two signs of life
	notes   chan TerminalNote
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu   sync.Mutex
	held map[terminalKey]*heldTerminal
}

type terminalKey struct{ device, holder string }

// heldTerminal is a registration, and the nodes where it may be.
type heldTerminal struct {
	reg   TerminalRegistration
	nodes []string
	node  string // empty: nowhere now
}

// terminalNotes is how many notes may wait; who does not read them loses none, but is slower.
const terminalNotes = 256

// Terminals begins a session. Close ends it, and all of its registrations.
func (r *Remote) Terminals(session string) *Terminals {
	return r.keepTerminals(session, TerminalLease/3)
}

func (r *Remote) keepTerminals(session string, beat time.Duration) *Terminals {
	t := &Terminals{beat: beat, remote: r, session: session, notes: make(chan TerminalNote, terminalNotes), held: map[terminalKey]*heldTerminal{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.wg.Go(t.run)
	return t
}

// Notes delivers what happens to registrations; it is closed by Close.
func (t *Terminals) Notes() <-chan TerminalNote { return t.notes }

// Close ends the session. Registrations end with their lease, if the nodes cannot be told.
func (t *Terminals) Close() {
	t.cancel()
	t.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), tryWait)
	defer cancel()
	for _, node := range t.at() {
		_, _ = askTerminal(ctx, t.remote, node, VerbTerminalUnregister, TerminalEnd{Session: t.session})
	}
}

// Register registers a terminal at the first of the nodes that takes it, and keeps it registered until Unregister. A registration of the same
// device and holder takes its place. The error is that of the node that refused it, a *bus.Error.
func (t *Terminals) Register(ctx context.Context, nodes []string, r TerminalRegistration) (node string, err error) {
	r.Session, r.Node = t.session, t.remote.bus.Node()
	h := &heldTerminal{reg: r, nodes: slices.Clone(nodes)}
	if node, err = t.register(ctx, h, ""); err != nil {
		return "", err
	}
	t.mu.Lock()
	h.node = node
	t.held[terminalKey{r.Device, r.Holder}] = h
	t.mu.Unlock()
	return node, nil
}

// register asks the nodes in their order, those that live first, and not the one that has just failed.
func (t *Terminals) register(ctx context.Context, h *heldTerminal, but string) (node string, err error) {
	err = &bus.Error{Code: bus.CodeUnavailable, Message: "no node of the device's call-manager group runs"}
	for _, alive := range [...]bool{true, false} {
		for _, n := range h.nodes {
			if n == but || t.remote.bus.Board().Alive(n) != alive {
				continue
			}
			if _, err = askTerminal(ctx, t.remote, n, VerbTerminalRegister, h.reg); err == nil {
				return n, nil
			}
			if !elsewhere(err) {
				return "", err
			}
		}
	}
	return "", err
}

// elsewhere says whether another node may take what this one did not.
func elsewhere(err error) bool {
	var refused *bus.Error
	return errors.As(err, &refused) && (refused.Code == bus.CodeNoResponder || refused.Code == bus.CodeUnavailable || refused.Code == bus.CodeTimeout)
}

// Unregister ends the registration of a terminal by a holder.
func (t *Terminals) Unregister(ctx context.Context, device, holder string) error {
	t.mu.Lock()
	h := t.held[terminalKey{device, holder}]
	delete(t.held, terminalKey{device, holder})
	node := ""
	if h != nil {
		node = h.node
	}
	t.mu.Unlock()
	if node == "" {
		return nil
	}
	_, err := askTerminal(ctx, t.remote, node, VerbTerminalUnregister, TerminalEnd{Session: t.session, Device: device, Holder: holder})
	return err
}

// Address names the address of a call's media, or, with leg zero, of the calls to come.
func (t *Terminals) Address(ctx context.Context, device, holder string, leg uint64, at netip.AddrPort) error {
	t.mu.Lock()
	h := t.held[terminalKey{device, holder}]
	node := ""
	if h != nil {
		if node = h.node; leg == 0 {
			h.reg.Address = at
		}
	}
	t.mu.Unlock()
	if node == "" {
		return &bus.Error{Code: bus.CodeNotFound, Message: "terminal " + device + " is not registered"}
	}
	_, err := askTerminal(ctx, t.remote, node, VerbTerminalMedia, TerminalAddress{Session: t.session, Device: device, Leg: leg, Address: at})
	return err
}

// Node is where a terminal is registered, empty for nowhere.
func (t *Terminals) Node(device, holder string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.held[terminalKey{device, holder}]; h != nil {
		return h.node
	}
	return ""
}

func askTerminal[Q any](ctx context.Context, r *Remote, node, verb string, q Q) (TerminalAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, tryWait)
	defer cancel()
	return bus.Ask[Q, TerminalAnswer](ctx, r.bus, r.bus.Subject(r.service, verb).To(node), q)
}

// at are the nodes that have registrations of ours.
func (t *Terminals) at() (nodes []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.held {
		if h.node != "" && !slices.Contains(nodes, h.node) {
			nodes = append(nodes, h.node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// run keeps the registrations alive, and moves those of nodes that are lost.
func (t *Terminals) run() {
	defer close(t.notes)
	w := t.remote.bus.Board().Watch(t.remote.service)
	defer w.Close()
	keep := time.NewTicker(t.beat)
	defer keep.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-keep.C:
			t.keep()
		case c, open := <-w.C():
			switch {
			case !open:
				return
			case c.Member != nil && !c.Member.Alive && !c.Member.Self:
				t.again(c.Member.Name, "node "+c.Member.Name+" is lost")
			}
		}
	}
}

// keep renews the leases, node by node, and tries those again that are registered nowhere.
func (t *Terminals) keep() {
	for _, node := range t.at() {
		a, err := askTerminal(t.ctx, t.remote, node, VerbTerminalKeep, TerminalKeep{Session: t.session})
		switch {
		case err != nil:
			t.again(node, "node "+node+" does not answer: "+err.Error())
		case a.Terminals != t.count(node):
			t.repeat(node)
		}
		t.leave(node, a.Leave)
	}
	t.again("", "")
}

// leave registers terminals elsewhere that a node wants to be rid of; that ends the registration there.
func (t *Terminals) leave(node string, devices []string) {
	for _, h := range t.of(node) {
		if !slices.Contains(devices, h.reg.Device) {
			continue
		}
		if to, err := t.register(t.ctx, &heldTerminal{reg: t.copyOf(h), nodes: h.nodes}, node); err == nil && t.move(h, to) {
			t.tell(TerminalNote{Device: h.reg.Device, Node: to, Why: "node " + node + " is being drained"})
		}
	}
}

func (t *Terminals) count(node string) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.held {
		if h.node == node {
			n++
		}
	}
	return n
}

// of are the registrations at a node, in the order of their devices.
func (t *Terminals) of(node string) (out []*heldTerminal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.held {
		if h.node == node {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b *heldTerminal) int { return compareTerminals(a.reg, b.reg) })
	return out
}

func compareTerminals(a, b TerminalRegistration) int {
	return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Holder, b.Holder))
}

// repeat registers all terminals of a node there once more: it has started anew, or has lost some.
func (t *Terminals) repeat(node string) {
	for _, h := range t.of(node) {
		if _, err := askTerminal(t.ctx, t.remote, node, VerbTerminalRegister, t.copyOf(h)); err != nil && t.move(h, "") {
			t.tell(TerminalNote{Device: h.reg.Device, Why: err.Error()})
		}
	}
}

func (t *Terminals) copyOf(h *heldTerminal) TerminalRegistration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return h.reg
}

// move notes where a registration is now; false when it was given up meanwhile.
func (t *Terminals) move(h *heldTerminal, node string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held[terminalKey{h.reg.Device, h.reg.Holder}] != h {
		return false
	}
	h.node = node
	return true
}

// again registers the terminals of a node that has failed at others; of none, those that are registered nowhere.
func (t *Terminals) again(failed, why string) {
	for _, h := range t.of(failed) {
		if failed != "" && t.move(h, "") {
			t.tell(TerminalNote{Device: h.reg.Device, Why: why})
		}
		node, err := t.register(t.ctx, &heldTerminal{reg: t.copyOf(h), nodes: h.nodes}, failed)
		if err != nil {
			continue // with the next beat
		}
		if t.move(h, node) {
			t.tell(TerminalNote{Device: h.reg.Device, Node: node})
		} else {
			_, _ = askTerminal(t.ctx, t.remote, node, VerbTerminalUnregister, TerminalEnd{Session: t.session, Device: h.reg.Device, Holder: h.reg.Holder})
		}
	}
}

func (t *Terminals) tell(n TerminalNote) {
	select {
	case t.notes <- n:
	case <-t.ctx.Done():
	}
}
