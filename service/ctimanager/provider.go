package ctimanager

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/rights"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// A state is where a provider stands. The names are those the traces of the field show.
type state uint8

const (
	stateInit     state = iota // nothing was said yet: PROVIDER_INIT_REQUEST is awaited
	stateAwait                 // init_complete_await_provopen
	stateProceed               // init_complete_await_auth: PROVIDER_OPEN_RESPONSE is out, the login has not begun
	stateLogin                 // authenticating
	stateVerify                // verifying: the user's settings, the certificate
	stateReady                 // ready
	stateClosed                // nothing more is said
	stateHeldBack              // the login has failed, and the answer is held back
)

var stateNames = [...]string{"init", "init_complete_await_provopen", "init_complete_await_auth", "authenticating", "verifying", "ready", "closed", "held_back"}

func (s state) String() string { return stateNames[s] }

// A world is what a provider looks at: it changes nothing there.
type world interface {
	// site is the configuration in use.
	site() *siteView
	// registration is where a device is registered.
	registration(device string) (place, bool)
	// certificate is the one under which passwords come, DER.
	certificate() []byte
	// settings are what the user of a line, or of a device where one is named, has set.
	settings(line call.LineID, device string) call.Settings
	// mint is a name for a call that is about to be made.
	mint() uint64
}

// A siteView is one revision of the site as providers see it.
type siteView struct {
	*directory.Directory
	nodes  nodeNumbers
	params parameters
	only   map[string]call.LineID // lines whose number is in one partition only
	featureView
}

// A place is where a device is registered.
type place struct {
	Node   string
	Remote netip.Addr
	Since  time.Time
}

// A caller is what is known of a client before it says anything.
type caller struct {
	number uint32 // of the connection
	node   string // this one
	secure bool
	full   bool // all places are taken
	remote netip.AddrPort
	nonce  string
	login  time.Duration // for the whole of the login
	limits Limits
}

// A provider is the machine of one connection. Step is all there is to it; nothing in it waits, and nothing of it is shared.
type provider struct {
	world world
	who   caller
	now   time.Time
	state state
	out   []output
	table answerTable

	version     ctiqbe.Version
	deadlineIn  time.Time // by which it must have logged in, or the held-back answer is due
	heldBack    *refusal
	application application
	user        string
	rights      rights.Settings
	filter      ctiqbe.ProviderEventFilter

	clientBeat, serverBeat time.Duration // how often each says something
	heard, said            time.Time

	pendings map[uint64]pending
	next     uint64 // number of the last errand, handle or list

	devices map[deviceHandle]*openDevice
	lines   map[lineHandle]*openLine
	names   map[string]*openDevice // open devices by name
	open    []*openDevice          // in the order they were opened

	listening listen // what is followed of media
	relisten  bool   // that may be another now
	waiting   bool   // flows wait for their keys

	lists    map[uint32]*list // enumerations under way, by handle
	listings []*listing       // devices that are being told, one after the other
	acquired map[string]bool  // devices a provider that may control all has asked for
	told     map[string]bool  // devices the client knows of: those it may control

	minted  map[uint64]bool        // names of calls that the client was given; false: a request with it is under way
	pickups map[pickupGroup]string // groups whose calls it is told of, with their names
	rang    []projection.GCH       // the last of them, told once
}

// application is what a client says of itself.
type application struct {
	Name, ClientVersion, ID, Plugin string
	Login                           string
	Old                             bool // it enumerates devices the older way
	Sequence                        uint32
	Days                            uint32 // until the password expires
}

// deviceHandle and lineHandle are the number pairs of the protocol: a node's number and a number of this connection.
type deviceHandle struct{ CallManagerID, DeviceID uint32 }
type lineHandle struct{ CallManagerID, LineID uint32 }

// callHandle is a leg of an engine: the number of its node, and the lower 31 bits of its id.
type callHandle struct{ CallManagerID, CallLegID uint32 }

func newProvider(w world, who caller, t answerTable, now time.Time) *provider {
	return &provider{world: w, who: who, table: t, now: now, deadlineIn: now.Add(who.login), heard: now, said: now, version: ctiqbe.Version12,
		pendings: map[uint64]pending{}, devices: map[deviceHandle]*openDevice{}, lines: map[lineHandle]*openLine{}, names: map[string]*openDevice{},
		lists: map[uint32]*list{}, acquired: map[string]bool{}, told: map[string]bool{},
		minted: map[uint64]bool{}, pickups: map[pickupGroup]string{}}
}

// Step takes one input and returns what is to be done, in order.
func (p *provider) Step(now time.Time, in input) []output {
	p.now, p.out = now, nil
	if p.state == stateClosed {
		return nil
	}
	switch in := in.(type) {
	case received:
		p.heard = now
		p.receive(in)
	case asked:
		if then, ok := p.pendings[in.id]; ok {
			delete(p.pendings, in.id)
			then.finish(p, in)
		}
	case happened:
		p.event(in.event)
	case flowing:
		p.mediaFlows(in)
	case keyed:
		p.keysCome(in)
	case existing:
		p.existing(in)
	case rings:
		p.alert(in.group, &in.event)
	case registered:
		p.registrations(in.device)
	case revised:
		p.revised()
		p.relisten = true
	case drained:
		p.tellMore()
	case ordered:
		p.close(in.reason, in.why)
	case shutdown:
		p.close(ctiqbe.ProviderCloseReasonUnexpectedShutdown, "the CTI manager ends")
	case ended:
		p.lost(in)
	case tick:
	}
	p.flowsLate()
	p.time()
	if p.relisten && p.state == stateReady {
		p.listenNow()
	}
	return p.out
}

// lost is the end of the connection.
func (p *provider) lost(e ended) {
	if !e.quiet && e.err != nil {
		p.remark(trace.Info, "connection lost: "+e.err.Error())
	}
	p.state = stateClosed
	p.do(finish{})
}

// deadline is when time must be looked at, zero: never.
func (p *provider) deadline() time.Time {
	switch {
	case p.state == stateClosed:
		return time.Time{}
	case p.state != stateReady:
		return p.deadlineIn
	}
	at := earlier(p.heard.Add(2*p.clientBeat), p.said.Add(p.serverBeat))
	if due := p.flowsDue(); !due.IsZero() {
		return earlier(at, due)
	}
	return at
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// time does what is due.
func (p *provider) time() {
	switch {
	case p.state == stateClosed:
	case p.state == stateHeldBack:
		if !p.now.Before(p.deadlineIn) {
			p.refuseNow(*p.heldBack)
		}
	case p.state != stateReady:
		if !p.now.Before(p.deadlineIn) {
			p.late()
		}
	case !p.now.Before(p.heard.Add(2 * p.clientBeat)):
		p.close(ctiqbe.ProviderCloseReasonHeartbeatMissed, fmt.Sprintf("nothing was heard for two intervals of %v", p.clientBeat))
	case !p.now.Before(p.said.Add(p.serverBeat)):
		p.send(&ctiqbe.Heartbeat{})
	}
}

func (p *provider) do(o output) { p.out = append(p.out, o) }

// send sends a message.
func (p *provider) send(m ctiqbe.Message) {
	p.said = p.now
	p.do(frame{p.version, m})
}

// fail answers a request with an error; text is for people.
func (p *provider) fail(seq uint32, result ctiqbe.Result, text string) {
	p.remark(trace.Info, fmt.Sprintf("CTI FailureResponse ( seq#=%d result=%v description=%s)", seq, result, text))
	p.send(&ctiqbe.FailureResponse{SequenceNumber: seq, Result: result, Description: text})
}

// remark records a line in the trace.
func (p *provider) remark(l trace.Level, text string, fields ...trace.Field) {
	p.do(remark{l, text, fields})
}

// errand has something done for which somebody must be waited; then is done with the answer.
func (p *provider) errand(then pending, e errand) {
	p.next++
	p.pendings[p.next] = then
	p.do(run{p.next, e})
}

// ask asks the call engine of a node about a device. When too much waits for answers already, the request is refused.
func (p *provider) ask(then pending, device, node string, r call.Request) {
	if len(p.pendings) >= p.who.limits.Requests {
		then.finish(p, asked{Err: &bus.Error{Code: bus.CodeUnavailable, Message: "more requests wait for their answers than are allowed"}})
		return
	}
	p.errand(then, engineRequest{by: p.user, about: device, node: node, engine: r})
}

// close says why the provider ends, and ends it.
func (p *provider) close(reason ctiqbe.ProviderCloseReason, why string) {
	p.remark(trace.Info, fmt.Sprintf("CTI ProviderClosedEvent ( reason=%v) %s", reason, why))
	p.send(&ctiqbe.ProviderClosedEvent{Reason: reason})
	p.state = stateClosed
	p.do(finish{})
}

// device is an open device by its handle.
func (p *provider) device(callManagerID, deviceID uint32) *openDevice {
	return p.devices[deviceHandle{callManagerID, deviceID}]
}

// line is an open line by its handle.
func (p *provider) line(callManagerID, lineID uint32) *openLine {
	return p.lines[lineHandle{callManagerID, lineID}]
}

// number is the next number of this connection: of handles and lists.
func (p *provider) number() uint32 {
	p.next++
	return uint32(p.next & 0x7fffffff)
}
