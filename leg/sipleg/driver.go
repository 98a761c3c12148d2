package sipleg

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"sync"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// Driver ties the SIP dialogs of one endpoint to one call engine. It is the endpoint's User. Its own state is an index of
// legs; each leg belongs to the shard of its Call-ID.
type Driver struct {
	cfg Config
	ep  *endpoint.Endpoint

	mu       sync.RWMutex
	byLeg    map[call.LegID]*leg
	byDialog map[dialogKey]*leg
	ties     map[string]int // legs to other call managers of the cluster, by node
}

// dialogKey finds a leg by what a request of the peer carries. Our tag is random: no remote tag is needed to tell the
// dialogs of one Call-ID apart, and a forked call of ours has several remote tags.
type dialogKey struct{ callID, tag string }

var _ endpoint.User = (*Driver)(nil)

// New makes a driver. It is given to endpoint.New as User, and Run starts it with that endpoint.
func New(cfg Config) (*Driver, error) {
	if cfg.Directory == nil || cfg.Engine == nil || cfg.Plane == nil || cfg.Outside == nil {
		return nil, errors.New("sipleg: Config needs Directory, Engine, Plane and Outside")
	}
	if cfg.Random == nil {
		cfg.Random = cryptoRandom
	}
	return &Driver{cfg: cfg, byLeg: map[call.LegID]*leg{}, byDialog: map[dialogKey]*leg{}}, nil
}

// Use tells the driver its endpoint. It must be called before the endpoint has a listener.
func (d *Driver) Use(ep *endpoint.Endpoint) { d.ep = ep }

// Run carries the engine's commands to the shards until the engine closes the channel or ctx is done.
func (d *Driver) Run(ctx context.Context) error {
	for {
		select {
		case c, ok := <-d.cfg.Engine.Commands():
			if !ok {
				return nil
			}
			d.command(c, d.ep.Post)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Command takes one command of the engine without a queue and a goroutine in between: it is left to the shard of its leg. Wake, or
// the endpoint itself when its Relay ran the engine, sees to the rest. See live.Carrier.
func (d *Driver) Command(c call.Command) { d.command(c, d.ep.Leave) }

// Wake has the shards run for which there were commands.
func (d *Driver) Wake() { d.ep.Wake() }

// commanded is a command on its way to the shard of its leg.
type commanded struct {
	leg *leg
	cmd call.Command
}

// ticked is a leg's timer.
type ticked struct{ leg *leg }

// asked is a leg whose device is to say whether it still has the call.
type asked struct{ leg *leg }

// Back has a device asked for its calls: it has registered by a new connection, and may have lost or ended them when it had none. A call
// that it does not know ends (481); the others go on by the new connection. Calls whose connection is still there are not asked for.
func (d *Driver) Back(device string) {
	d.mu.RLock()
	var legs []*leg
	for _, l := range d.byLeg {
		if l.device == device {
			legs = append(legs, l)
		}
	}
	d.mu.RUnlock()
	for _, l := range legs {
		d.ep.Post(l.callID, asked{l})
	}
}

// command finds the leg and posts to its shard.
func (d *Driver) command(c call.Command, post func(callID string, v any)) {
	l := d.leg(c.CommandLeg())
	if ring, ok := c.(call.Ring); ok && l == nil {
		l = d.newLeg(ring.Leg, d.newCallID())
		d.mu.Lock()
		d.byLeg[l.id] = l
		d.mu.Unlock()
	}
	if l == nil {
		return // the dialog ended while the command was on its way; Released says so
	}
	post(l.callID, commanded{l, c})
}

func (d *Driver) newCallID() string {
	return strconv.FormatUint(d.cfg.Random(), 36) + strconv.FormatUint(d.cfg.Random(), 36)
}

func (d *Driver) leg(id call.LegID) *leg {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byLeg[id]
}

func (d *Driver) byTag(callID, tag string) *leg {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byDialog[dialogKey{callID, tag}]
}

// index makes a leg findable.
func (d *Driver) index(l *leg) {
	d.mu.Lock()
	l.key, l.device = dialogKey{l.callID, l.ses.DialogID().Local}, l.target.Device
	d.byLeg[l.id] = l
	d.byDialog[l.key] = l
	d.mu.Unlock()
}

// remove forgets a leg's dialog.
func (d *Driver) remove(l *leg) {
	d.mu.Lock()
	delete(d.byLeg, l.id)
	if d.byDialog[l.key] == l {
		delete(d.byDialog, l.key)
	}
	d.mu.Unlock()
}

// replaced finds the leg a Replaces header names (RFC 3891, 3).
func (d *Driver) replaced(r sip.Replaces) (call.LegID, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	l := d.byDialog[dialogKey{r.CallID, r.ToTag}]
	if l == nil {
		return 0, false
	}
	remote := l.remoteTag.Load()
	if remote == nil || *remote != r.FromTag || r.EarlyOnly && l.confirmed.Load() {
		return 0, false
	}
	return l.id, true
}

// meant finds the leg a Replaces or Join header names, here or, owner then says where, at another node.
func (d *Driver) meant(r sip.Replaces) (leg call.LegID, owner string, ok bool) {
	if leg, ok = d.replaced(r); ok {
		return leg, "", true
	}
	owner, leg, ok = d.cfg.Directory.Elsewhere(r)
	return leg, owner, ok
}

// CallID is the Call-ID of a leg's dialog, "" when it is over or another driver's.
func (d *Driver) CallID(id call.LegID) string {
	if l := d.leg(id); l != nil {
		return l.callID
	}
	return ""
}

// Dialog names the dialog of a leg as a Replaces header field must name it (RFC 3891, 3): its to-tag is Local, its from-tag Remote.
// ok is false while the peer has no tag yet, and for a leg without a dialog.
func (d *Driver) Dialog(id call.LegID) (name dialog.ID, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	l := d.byLeg[id]
	if l == nil || l.key.tag == "" {
		return dialog.ID{}, false
	}
	remote := l.remoteTag.Load()
	if remote == nil || *remote == "" {
		return dialog.ID{}, false
	}
	return dialog.ID{CallID: l.key.callID, Local: l.key.tag, Remote: *remote}, true
}

// Legs is the number of dialogs the driver has.
func (d *Driver) Legs() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.byLeg)
}

// Ties is the number of legs to each other call manager of the cluster, by node.
func (d *Driver) Ties() map[string]int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return maps.Clone(d.ties)
}

// tied counts a leg to a node that begins (1) or is over (-1).
func (d *Driver) tied(node string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ties == nil {
		d.ties = map[string]int{}
	}
	d.ties[node] += n
}

// Request implements endpoint.User.
func (d *Driver) Request(tx *endpoint.ServerTx, m *sip.Message) {
	if tag := m.ToTag(); tag != "" {
		d.inDialog(tx, m, tag)
		return
	}
	switch m.Method() {
	case sip.INVITE:
		d.arrive(tx, m)
	case sip.ACK:
	case sip.BYE, sip.PRACK, sip.UPDATE, sip.INFO:
		_ = tx.Reply(481, "") // these exist only inside dialogs
	default:
		d.cfg.Outside.Request(tx, m)
	}
}

func (d *Driver) inDialog(tx *endpoint.ServerTx, m *sip.Message, tag string) {
	l := d.byTag(m.CallID(), tag)
	switch {
	case l != nil:
		l.request(tx, m)
	case m.Method() == sip.ACK:
	case m.Method() == sip.NOTIFY, m.Method() == sip.SUBSCRIBE, m.Method() == sip.REFER:
		d.cfg.Outside.Request(tx, m)
	default:
		_ = tx.Reply(481, "")
	}
}

// Cancelled implements endpoint.User.
func (d *Driver) Cancelled(tx *endpoint.ServerTx) {
	if l := d.byTag(tx.Request().CallID(), tx.LocalTag()); l != nil {
		l.why = l.reasonOf(tx.Cancel())
		l.step(dialog.Cancelled{})
		return
	}
	if l := d.byTag(tx.Request().CallID(), tx.Request().ToTag()); l != nil { // a re-INVITE
		l.step(dialog.Cancelled{})
		return
	}
	d.cfg.Outside.Cancelled(tx)
}

// Response implements endpoint.User.
func (d *Driver) Response(tx *endpoint.ClientTx, m *sip.Message) {
	switch tag := tx.Tag.(type) {
	case *leg:
		tag.response(tx, m)
	case *undelivered: // whatever it says: it has heard
	default:
		d.cfg.Outside.Response(tx, m)
	}
}

// Failed implements endpoint.User.
func (d *Driver) Failed(tx *endpoint.ClientTx, err error) {
	switch tag := tx.Tag.(type) {
	case *leg:
		tag.failed(tx, err)
	case *undelivered:
		d.later(tag)
	default:
		d.cfg.Outside.Failed(tx, err)
	}
}

// Posted implements endpoint.User.
func (d *Driver) Posted(callID string, v any) {
	switch v := v.(type) {
	case commanded:
		v.leg.command(v.cmd)
	case ticked:
		v.leg.tick()
	case asked:
		v.leg.ask()
	case *undelivered:
		d.deliver(v)
	case endpoint.NoAck, endpoint.ServerFailed:
		// The session counts the time itself, and ends the call when no ACK came.
	default:
		d.cfg.Outside.Posted(callID, v)
	}
}

// refuse turns an INVITE away that made no leg.
func (d *Driver) refuse(tx *endpoint.ServerTx, m *sip.Message, r Refusal) {
	if r.Status == 0 {
		r.Status = 403
	}
	res := sip.NewResponse(m, r.Status, "")
	res.SetToTag(tx.LocalTag())
	if d.cfg.Agent != "" {
		res.Set("Server", d.cfg.Agent)
	}
	if r.Warning != "" {
		res.Add("Warning", d.warning(r.Code, r.Warning))
	}
	if r.Retry > 0 {
		res.Set("Retry-After", strconv.Itoa(r.Retry))
	}
	for _, f := range r.Header {
		res.Add(f.Name, f.Value)
	}
	_ = tx.Respond(res)
}

// warning is a Warning value (RFC 3261, 20.43).
func (d *Driver) warning(code int, text string) string {
	if code == 0 {
		code = 399
	}
	agent := d.cfg.Domain
	if agent == "" {
		agent = "locktone"
	}
	return sip.Warning{Code: code, Agent: agent, Text: text}.String()
}
