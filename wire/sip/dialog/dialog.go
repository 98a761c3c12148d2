package dialog

import (
	"errors"
	"strconv"
	"strings"

	"github.com/locktone/locktone/wire/sip"
)

// State is the life of a dialog (RFC 3261, 12).
type State uint8

// The dialog states. None: no response with a tag was seen yet.
const (
	None State = iota
	Early
	Confirmed
	Terminated
)

// String names the state.
func (s State) String() string {
	return [...]string{"none", "early", "confirmed", "terminated"}[s&3]
}

// ID identifies a dialog at one user agent (RFC 3261, 12: Call-ID, local tag, remote tag).
type ID struct{ CallID, Local, Remote string }

// Dialog is the state two user agents share (RFC 3261, 12.1). It is a value without goroutines or clock; the session or
// subscription that created it owns it. It keeps copies only: the messages it was made from can be collected.
type Dialog struct {
	State  State
	CallID string
	Local  sip.Address // our From (as UAC) or To (as UAS), with our tag
	Remote sip.Address // the peer's, with its tag once it is known
	Target sip.URI     // RFC 3261, 12.1: the remote target, the Contact of the peer
	Secure bool        // RFC 3261, 12.1.1: the dialog was made by a request to a sips URI
	Caller bool        // we sent the request that made the dialog, so we own its Call-ID (RFC 3261, 14.1)

	routes    []sip.Address // RFC 3261, 12.1: the route set, next hop first
	localSeq  uint32
	remoteSeq uint32
	seenSeq   bool // remoteSeq was set
}

// Errors of a request inside a dialog.
var (
	// ErrOldCSeq is a request with a CSeq lower than one already seen (RFC 3261, 12.2.2: it is answered with 500).
	ErrOldCSeq = errors.New("dialog: CSeq is lower than that of an earlier request in this dialog")
	// ErrNoContact is a dialog-forming message without a usable Contact (RFC 3261, 8.1.1.8 and 12.1.1).
	ErrNoContact = errors.New("dialog: the message makes a dialog but has no usable Contact")
)

// own copies an address, so that it does not keep the message it came from in memory.
func own(a sip.Address) sip.Address {
	c, err := sip.ParseAddress(a.String())
	if err != nil {
		return a
	}
	return c
}

func ownURI(u sip.URI) sip.URI {
	c, err := sip.ParseURI(u.String())
	if err != nil {
		return u
	}
	return c
}

func ownAll(list []sip.Address) []sip.Address {
	if len(list) == 0 {
		return nil
	}
	out := make([]sip.Address, len(list))
	for i, a := range list {
		out[i] = own(a)
	}
	return out
}

// NewUAS makes the dialog of a UAS from the request that opens it (RFC 3261, 12.1.1). Our tag is the argument.
func NewUAS(req *sip.Message, tag string) (Dialog, error) {
	d := Dialog{
		State:  Early,
		CallID: strings.Clone(req.CallID()),
		Local:  own(req.To()),
		Remote: own(req.From()),
		Secure: req.RequestURI().IsSecure(),
		routes: ownAll(req.RecordRoutes()), // RFC 3261, 12.1.1: taken in order
	}
	d.Local.Params = d.Local.Params.With("tag", tag)
	d.remoteSeq, d.seenSeq = req.CSeq().Seq, true
	c, ok := req.Contact()
	if !ok || c.IsWildcard() {
		return d, ErrNoContact
	}
	d.Target = ownURI(c.URI)
	return d, nil
}

// NewUAC makes the state of a UAC before any response: the request that will open the dialog is req. Responses with a
// tag turn copies of it into dialogs with Establish.
func NewUAC(req *sip.Message) Dialog {
	return Dialog{
		CallID:   strings.Clone(req.CallID()),
		Local:    own(req.From()),
		Remote:   own(req.To()),
		Target:   ownURI(req.RequestURI()),
		Secure:   req.RequestURI().IsSecure(),
		Caller:   true,
		localSeq: req.CSeq().Seq,
	}
}

// Establish copies d into the dialog a 101 to 299 response makes (RFC 3261, 12.1.2). Each remote tag makes its own:
// a forked request leads to several early dialogs.
func (d *Dialog) Establish(res *sip.Message) (Dialog, error) {
	n := *d
	n.Remote = own(res.To())
	n.routes = reversed(res.RecordRoutes())
	n.State = Early
	if res.IsSuccess() {
		n.State = Confirmed
	}
	return n, n.refresh(res)
}

// reversed copies a Record-Route list from its end (RFC 3261, 12.1.2).
func reversed(list []sip.Address) []sip.Address {
	if len(list) == 0 {
		return nil
	}
	out := make([]sip.Address, len(list))
	for i, a := range list {
		out[len(list)-1-i] = own(a)
	}
	return out
}

// Confirm makes an early dialog of a UAC a confirmed one by its 2xx. RFC 3261, 13.2.2.4: the route set is computed
// again from the 2xx, and the remote target too.
func (d *Dialog) Confirm(res *sip.Message) error {
	if d.State != Confirmed {
		d.routes = reversed(res.RecordRoutes())
	}
	d.State = Confirmed
	return d.refresh(res)
}

// refresh takes the remote target of a target refresh request or its 2xx (RFC 3261, 12.2.1.2 and 12.2.2). A
// provisional response may lack a Contact when it is no dialog-forming one.
func (d *Dialog) refresh(m *sip.Message) error {
	c, ok := m.Contact()
	if !ok || c.IsWildcard() {
		if d.Target.Host == "" || m.IsSuccess() && m.Method() == sip.INVITE {
			return ErrNoContact
		}
		return nil
	}
	if !c.URI.Equal(d.Target) {
		d.Target = ownURI(c.URI)
	}
	return nil
}

// Refresh takes the remote target of a target refresh request (INVITE, UPDATE, SUBSCRIBE, NOTIFY) or its 2xx.
func (d *Dialog) Refresh(m *sip.Message) { _ = d.refresh(m) }

// ID is the dialog's identifier at our side.
func (d *Dialog) ID() ID { return ID{d.CallID, d.Local.Tag(), d.Remote.Tag()} }

// MatchesRequest tells whether a request from the peer belongs here (RFC 3261, 12.2.2). RFC 3261, 12.2.1.1: a peer of
// RFC 2543 times may send no tag, which matches an empty remote tag.
func (d *Dialog) MatchesRequest(m *sip.Message) bool {
	return m.CallID() == d.CallID && m.ToTag() == d.Local.Tag() && m.FromTag() == d.Remote.Tag()
}

// MatchesResponse tells whether a response to a request of ours belongs here.
func (d *Dialog) MatchesResponse(m *sip.Message) bool {
	return m.CallID() == d.CallID && m.FromTag() == d.Local.Tag() && m.ToTag() == d.Remote.Tag()
}

// Accept checks the order of a request from the peer (RFC 3261, 12.2.2) and remembers its CSeq. ACK and CANCEL carry
// the number of their INVITE and are not counted.
func (d *Dialog) Accept(m *sip.Message) error {
	if m.Method() == sip.ACK || m.Method() == sip.CANCEL {
		return nil
	}
	seq := m.CSeq().Seq
	if d.seenSeq && seq < d.remoteSeq {
		return ErrOldCSeq
	}
	d.remoteSeq, d.seenSeq = seq, true
	return nil
}

// LocalSeq is the CSeq number of our latest request.
func (d *Dialog) LocalSeq() uint32 { return d.localSeq }

// Request builds the next request of ours inside the dialog (RFC 3261, 12.2.1.1). Via and Max-Forwards' defaults are
// the transport's; Contact is the caller's.
func (d *Dialog) Request(method sip.Method) *sip.Message {
	d.localSeq++
	return d.build(method, d.localSeq)
}

// Ack builds the ACK to a 2xx: CSeq number of the INVITE, a new transaction, routed like any request of the dialog
// (RFC 3261, 13.2.2.4).
func (d *Dialog) Ack(inviteSeq uint32) *sip.Message { return d.build(sip.ACK, inviteSeq) }

func (d *Dialog) build(method sip.Method, seq uint32) *sip.Message {
	uri, routes := d.Target, d.routes
	if len(routes) > 0 && !routes[0].URI.Params.Has("lr") {
		uri, routes = strict(d.Target, routes)
	}
	m := sip.NewRequest(method, uri)
	for _, r := range routes {
		m.Add("Route", r.String())
	}
	m.SetMaxForwards(70)
	m.SetFrom(d.Local)
	m.SetTo(d.Remote)
	m.SetCallID(d.CallID)
	m.SetCSeq(sip.CSeq{Seq: seq, Method: method})
	return m
}

// strict is the strict routing of RFC 3261, 12.2.1.1: the first route becomes the Request-URI, without the parameters
// that are not allowed there, and the remote target goes to the end of the routes.
func strict(target sip.URI, routes []sip.Address) (sip.URI, []sip.Address) {
	uri := routes[0].URI
	uri.Headers = nil
	uri.Params = uri.Params.Without("method")
	out := make([]sip.Address, 0, len(routes))
	out = append(out, routes[1:]...)
	return uri, append(out, sip.Address{URI: target})
}

// NextHop is the URI the next request is sent to: the first route, or the remote target (RFC 3261, 8.1.2).
func (d *Dialog) NextHop() sip.URI {
	if len(d.routes) > 0 {
		return d.routes[0].URI
	}
	return d.Target
}

// Tag makes a tag of 64 random bits. RFC 3261, 19.3: at least 32 bits of randomness.
func Tag(random uint64) string { return strconv.FormatUint(random|1<<63, 36) }
